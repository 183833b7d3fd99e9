//! What the agent costs while it has nothing to do: measured on this machine, because translation inflates
//! processor time.
//!
//! ```text
//! private mount namespace: a slot on the command line, a version, an empty boot environment ─► agent ─► idle
//! ```
//!
//! The agent is the one that ships, built for this machine; it runs without RAUC, a watchdog or a disk. It is
//! read from `/proc` (proc(5): `schedstat`, `status`) at both ends of an interval.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use super::{Figure, Figures};
use crate::build::build_agent;
use crate::places;

/// How long it is watched.
const INTERVAL: Duration = Duration::from_secs(60);
/// How long it may take to come to rest.
const REST: Duration = Duration::from_secs(60);
/// The target that runs on this machine.
const TARGET: &str = "x86_64-unknown-linux-musl";

/// Makes the agent believe that it runs on a board; `$1` is an empty folder, the rest is the agent's call.
const STAGE: &str = r#"
set -eu
folder=$1; shift
mkdir -p "$folder/dev/steadfast" "$folder/run"
echo "rauc.slot=A" >"$folder/cmdline"
echo "IMAGE_VERSION=1.0.0" >"$folder/os-release"
truncate -s 1M "$folder/dev/steadfast/$1"; shift
for node in null zero urandom; do
    : >"$folder/dev/$node"
    mount --bind "/dev/$node" "$folder/dev/$node"
done
mount --bind "$folder/cmdline" /proc/cmdline
mount --bind "$folder/os-release" /etc/os-release
mount --rbind "$folder/dev" /dev
mount -t tmpfs run /run
exec "$@"
"#;

/// An agent on this machine; dropping it ends it.
struct Agent {
    child: Child,
    folder: PathBuf,
}

impl Drop for Agent {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// What the kernel counted for a process so far.
#[derive(Debug, Clone, Copy)]
struct Counted {
    /// Time on a processor.
    busy: Duration,
    /// Times it was put on a processor after waiting.
    wakeups: u64,
}

/// Adds the idle figures, or why they were not taken.
pub(super) fn measure(board: &Path, environment: &str, figures: &mut Figures) {
    match watch(board, environment) {
        Ok((percent, wakeups)) => {
            let note = format!("on this machine, over {} s", INTERVAL.as_secs());
            figures.insert(
                "idle_cpu",
                Figure::taken(percent, "percent of a core", &note).at_most(0.1),
            );
            figures.insert("idle_wakeups", Figure::taken(wakeups, "a second", note).at_most(2.0));
        }
        Err(error) => {
            let why = format!("{error:#}");
            figures.insert("idle_cpu", Figure::not_taken("percent of a core", &why).at_most(0.1));
            figures.insert("idle_wakeups", Figure::not_taken("a second", why).at_most(2.0));
        }
    }
}

fn watch(board: &Path, environment: &str) -> Result<(f64, f64)> {
    ensure!(std::env::consts::ARCH == "x86_64", "this machine is no x86_64");
    let agent = start(&build_agent(TARGET)?, board, environment)?;
    let process = agent.child.id();
    let (before, began) = (counted(process)?, Instant::now());
    // The interval itself is what is measured.
    thread::sleep(INTERVAL);
    let (after, took) = (counted(process)?, began.elapsed().as_secs_f64());
    let percent = (after.busy - before.busy).as_secs_f64() / took * 100.0;
    Ok((percent, (after.wakeups - before.wakeups) as f64 / took))
}

/// Starts the agent and waits until it rests.
fn start(agent: &Path, board: &Path, environment: &str) -> Result<Agent> {
    let folder = places::lab().join("runs/idle");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let config = folder.join("agent.toml");
    fs::write(&config, config_in(&folder))?;
    let socket = folder.join("control.sock");
    let child = Command::new("unshare")
        .args(["--mount", "--map-root-user", "sh", "-c", STAGE, "stage"])
        .args([folder.as_path(), Path::new(environment), agent])
        .arg("--socket")
        .arg(&socket)
        .args(["agent", "--config"])
        .arg(&config)
        .arg("--board")
        .arg(board)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(fs::File::create(folder.join("log"))?)
        .spawn()
        .context("unshare does not start")?;
    let running = Agent { child, folder };
    let began = Instant::now();
    while began.elapsed() < REST {
        let mut asked = Command::new(agent);
        asked.arg("--socket").arg(&socket).args(["status", "--watch", "--json"]);
        if asked.stderr(Stdio::null()).output().is_ok_and(|out| out.status.success()) {
            return Ok(running);
        }
        thread::yield_now();
    }
    let said = fs::read_to_string(running.folder.join("log")).unwrap_or_default();
    bail!("the agent did not come to rest on this machine: {}", said.trim())
}

fn config_in(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "[gate]\nsoak_s = 1\ndeadline_s = 10\n[paths]\ndata = \"{folder}/data\"\n\
         run = \"{folder}/own\"\nchecks = \"{folder}/checks\"\n"
    )
}

/// The sums over all threads of a process.
fn counted(process: u32) -> Result<Counted> {
    let mut sum = Counted { busy: Duration::ZERO, wakeups: 0 };
    for thread in fs::read_dir(format!("/proc/{process}/task")).context("the agent is gone")? {
        let folder = thread?.path();
        let read = |name| fs::read_to_string(folder.join(name));
        // Ended since the list was made: what it did before is in nobody's sum.
        let (Ok(times), Ok(status)) = (read("schedstat"), read("status")) else { continue };
        let nanoseconds = times.split_whitespace().next().and_then(|word| word.parse().ok());
        sum.busy += Duration::from_nanos(nanoseconds.context("schedstat has no number")?);
        sum.wakeups +=
            voluntary_switches(&status).context("status has no voluntary_ctxt_switches")?;
    }
    Ok(sum)
}

/// Each wake-up follows one voluntary switch away.
fn voluntary_switches(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
    line.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_counters_are_read() {
        let counted = counted(std::process::id()).expect("this process is there");
        assert!(counted.busy > Duration::ZERO);
        let status = "Name:\tx\nvoluntary_ctxt_switches:\t12\nnonvoluntary_ctxt_switches:\t3\n";
        assert_eq!(voluntary_switches(status), Some(12));
    }
}
