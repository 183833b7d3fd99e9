//! One start of a node on this machine: the real agent as process 1 of its own namespace, with or without RAUC.
//!
//! ```text
//! unshare ─► sh, process 1 ─► proc, cmdline, boot id ─► chroot ─► /data made usable ─► [bus, RAUC] ─► steadfast agent
//! agent ──READY, STATUS=state──▶ lab        (sd_notify(3): each state is told once its entry is on the disk)
//! ```
//!
//! Always true: the shell goes on only as process 1, so the agent's reboot(2) ends its namespace and nothing else
//! (reboot(2), "Behavior inside PID namespaces": it is killed with SIGHUP). That end is the restart.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde::de::DeserializeOwned;

use super::apart::done;
use super::release::{Release, Tools};
use super::root::Root;

/// How often somebody who says nothing is looked at.
const LOOK: Duration = Duration::from_millis(50);

/// Until a restart, reboot(2) in a namespace of processes kills its first one with this signal.
const RESTART: i32 = 1;

/// From the namespace to the node's own root.
const ENTER: &str = r#"[ $$ = 1 ] || exit 99
mount -t proc proc "$1/proc" && mount --bind "$1/cmdline" "$1/proc/cmdline" &&
mount --bind "$1/boot_id" "$1/proc/sys/kernel/random/boot_id" && exec chroot "$1" /bin/sh /start"#;

/// The bus and RAUC, until they can be asked.
const SERVICES: &str = r#"dbus-daemon --config-file=/etc/bus.conf --nofork --nopidfile &
until [ -S /run/bus ]; do sleep 0.05; done
@RAUC@ service &
until dbus-send --bus=unix:path=/run/bus --print-reply --dest=org.freedesktop.DBus / \
    org.freedesktop.DBus.NameHasOwner string:de.pengutronix.rauc 2>/dev/null | grep -q true; do sleep 0.05; done
"#;

/// What is started.
pub(super) struct Start<'s> {
    /// The slot.
    pub(super) slot: &'s str,
    /// What lies in it.
    pub(super) release: &'s Release,
    /// Tells this boot from all others.
    pub(super) boot: u32,
    /// What runs beside the agent.
    pub(super) beside: Beside,
}

/// What runs beside the agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Beside {
    /// RAUC and a bus.
    Rauc,
    /// A bus that never answers, so that no order gets anywhere before the agent was asked.
    Silence,
}

/// What a node says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Word {
    /// It saved an entry that led to this state.
    State(String),
    /// It can be asked.
    Ready,
    /// It restarted.
    Restarted,
}

/// A node that runs; it ends with its owner.
pub(super) struct Node {
    child: Child,
    words: UnixDatagram,
    root: PathBuf,
    log: PathBuf,
    _silence: Option<UnixListener>,
}

impl Node {
    /// Starts it.
    pub(super) fn start(root: &Root, start: &Start<'_>) -> Result<Self> {
        let folder = root.folder.clone();
        let run = folder.join("run");
        // A fresh boot has a fresh /run.
        fs::remove_dir_all(&run)?;
        fs::create_dir(&run)?;
        root.holds(start.release)?;
        let boot_id = format!("00000000-0000-4000-8000-{:012x}\n", start.boot);
        fs::write(folder.join("cmdline"), format!("rauc.slot={}\n", start.slot))?;
        fs::write(folder.join("boot_id"), boot_id)?;
        fs::write(folder.join("start"), script(start.beside))?;
        let words =
            UnixDatagram::bind(run.join("notify")).context("no socket for the agent's words")?;
        words.set_read_timeout(Some(LOOK))?;
        let silence = match start.beside {
            Beside::Silence => Some(UnixListener::bind(run.join("bus"))?),
            Beside::Rauc => None,
        };
        let log = folder.join("../node.log");
        let said = File::create(&log)?;
        let child = Command::new("unshare")
            .args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"])
            .args(["--", "sh", "-c", ENTER, "sh"])
            .arg(&folder)
            .env("NOTIFY_SOCKET", "/run/notify")
            .env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/run/bus")
            .env("GIO_MODULE_DIR", "/nonexistent")
            .env("GIO_USE_VFS", "local")
            .env("OPENSSL_CONF", "/dev/null")
            .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
            .stdin(std::process::Stdio::null())
            .stdout(said.try_clone()?)
            .stderr(said)
            .spawn()
            .context("unshare does not start")?;
        Ok(Self { child, words, root: folder, log, _silence: silence })
    }

    /// What it says next, within `limit`.
    pub(super) fn next(&mut self, limit: Duration) -> Result<Word> {
        let began = Instant::now();
        let mut bytes = [0; 512];
        loop {
            match self.words.recv(&mut bytes) {
                Ok(count) => {
                    if let Some(word) = word(&String::from_utf8_lossy(&bytes[..count])) {
                        return Ok(word);
                    }
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) =>
                {
                    if let Some(ended) = self.child.try_wait()? {
                        ensure!(
                            ended.signal() == Some(RESTART),
                            "the node ended with {ended}:\n{}",
                            self.said()
                        );
                        return Ok(Word::Restarted);
                    }
                    ensure!(
                        began.elapsed() < limit,
                        "the node says nothing more:\n{}",
                        self.said()
                    );
                }
                Err(error) => bail!(error),
            }
        }
    }

    /// The answer of `steadfast WORDS --json`.
    pub(super) fn ask<A: DeserializeOwned>(&self, words: &str) -> Result<A> {
        let answer = done(self.tool().args([words, "--json"]))
            .with_context(|| format!("{}\n{}", words, self.said()))?;
        serde_json::from_str(&answer).with_context(|| format!("{words}: {answer}"))
    }

    /// Orders an update with these words.
    pub(super) fn offer(&self, words: &[String]) -> Result<()> {
        done(self.tool().arg("update").args(words)).map(drop)
    }

    /// The tool, in the node's root.
    fn tool(&self) -> Command {
        let mut command = Command::new("chroot");
        command.arg(&self.root).arg("/usr/bin/steadfast");
        command
    }

    /// A file of the node, as the node sees it.
    pub(super) fn read(&self, path: &str) -> Result<Vec<u8>> {
        let seen = format!("/proc/{}/root{}{path}", self.child.id(), self.root.display());
        fs::read(&seen).with_context(|| format!("{path} of the node"))
    }

    /// The end of what it wrote.
    pub(super) fn said(&self) -> String {
        let all = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = all.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }

    /// Pulls the plug; comes back when nothing of it is mounted any more.
    pub(super) fn stop(mut self) -> Result<()> {
        self.end()
    }

    fn end(&mut self) -> Result<()> {
        let own = self.child.id();
        let first =
            fs::read_to_string(format!("/proc/{own}/task/{own}/children")).unwrap_or_default();
        // The mounts go with the namespace's first process; its parent waits for that.
        for process in first.split_whitespace() {
            Command::new("kill")
                .args(["-KILL", process])
                .stderr(std::process::Stdio::null())
                .status()?;
        }
        self.child.wait()?;
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let _ = self.end();
    }
}

/// What a message of sd_notify(3) says to the lane.
fn word(message: &str) -> Option<Word> {
    message.lines().find_map(|line| match line.split_once('=')? {
        ("READY", "1") => Some(Word::Ready),
        ("STATUS", state) => Some(Word::State(state.to_owned())),
        _ => None,
    })
}

fn script(beside: Beside) -> String {
    let services = match beside {
        Beside::Silence => String::new(),
        Beside::Rauc => {
            let words = Tools::rauc(Path::new("/rauc"));
            let words: Vec<String> = words.iter().map(|word| word.display().to_string()).collect();
            SERVICES.replace("@RAUC@", &words.join(" "))
        }
    };
    format!("/usr/lib/steadfast/data\n{services}exec /usr/bin/steadfast agent\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_what_systemd_is_told_the_states_and_the_readiness_are_heard() {
        assert_eq!(word("STATUS=settling\n"), Some(Word::State("settling".into())));
        assert_eq!(word("READY=1"), Some(Word::Ready));
        assert_eq!(word("WATCHDOG=1\n"), None);
    }

    #[test]
    fn whoever_is_not_the_first_of_its_own_processes_starts_no_node() {
        let ended = Command::new("sh").args(["-c", ENTER, "sh", "/nowhere"]).status();
        assert_eq!(ended.expect("a shell").code(), Some(99));
    }
}
