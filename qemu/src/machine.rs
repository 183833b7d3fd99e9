//! One QEMU process: its arguments from the hardware profile, its two ends, and its end.
//!
//! No fact about the board stands here; the profile's `[qemu]` section holds them. A machine that is dropped is
//! stopped, and the kernel stops it when the lab dies (prctl(2), PR_SET_PDEATHSIG, set by setpriv(1)): no guest
//! outlives its scenario.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use hw_profile::Qemu;

use crate::console::Console;
use crate::qmp::{self, Qmp};
use crate::timeline::{Actor, Timeline};

/// How long QEMU may take to open its control socket.
const START_LIMIT: Duration = Duration::from_secs(60);

/// What a machine is made of, besides the board's own facts.
#[derive(Debug, Clone)]
pub(crate) struct Parts {
    /// Firmware file.
    pub(crate) firmware: PathBuf,
    /// The node's disk; written to.
    pub(crate) disk: Disk,
    /// The second disk, raw and read-only: the lab's USB stick.
    pub(crate) stick: PathBuf,
    /// Name of the saved machine in `disk` to go on from; none is power-on.
    pub(crate) saved: Option<String>,
}

/// A node's disk.
#[derive(Debug, Clone)]
pub(crate) enum Disk {
    /// A qcow2 file, on top of another one or with saved machines.
    Layered(PathBuf),
    /// The disk's bytes and nothing else.
    Raw(PathBuf),
    /// The same, and they stay as they are: what the guest writes is gone with it.
    Unchanged(PathBuf),
    /// The disk's bytes, and a record of every write and flush in a file that is there and empty.
    Recorded {
        /// The disk.
        disk: PathBuf,
        /// Its record.
        log: PathBuf,
    },
}

impl Disk {
    /// QEMU's words for a drive called `disk`.
    fn arguments(&self) -> Vec<OsString> {
        // A guest's disk is thrown away: a flush to the host's disk would only cost time.
        let drive = |words: &str, path| {
            vec![
                "-drive".into(),
                joined(&format!("if=none,id=disk,cache=unsafe,{words},file="), path),
            ]
        };
        let file = |name: &str, path| {
            joined(&format!("driver=file,cache.no-flush=on,node-name={name},filename="), path)
        };
        match self {
            Self::Layered(path) => drive("format=qcow2", path),
            Self::Raw(path) => drive("format=raw", path),
            Self::Unchanged(path) => drive("format=raw,snapshot=on", path),
            Self::Recorded { disk, log } => {
                let recorder = "driver=blklogwrites,node-name=disk,file=image,log=log,\
                                log-sector-size=512,log-super-update-interval=1";
                let nodes = [file("image", disk), file("log", log), recorder.into()];
                nodes.into_iter().flat_map(|node| ["-blockdev".into(), node]).collect()
            }
        }
    }
}

/// Who holds the serial console.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Holder {
    /// The lab, over pipes.
    Lab,
    /// A person, on this terminal.
    Person,
}

/// A running QEMU.
pub(crate) struct Machine {
    process: Process,
    /// Orders to the machine.
    pub(crate) qmp: Qmp,
}

/// The process of QEMU with the folder of its socket; dropping it ends both.
struct Process {
    child: Child,
    folder: PathBuf,
}

impl Drop for Process {
    fn drop(&mut self) {
        // Already gone is as good as stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

impl Machine {
    /// Starts a machine whose console the lab holds, logged in `log`.
    pub(crate) fn start(
        qemu: &Qemu,
        parts: &Parts,
        log: &Path,
        timeline: &Timeline,
    ) -> Result<(Self, Console)> {
        let said = fs::File::create(log.with_extension("qemu.log"))?;
        let folder = socket_folder()?;
        let socket = folder.join("qmp.sock");
        let waiting = qmp::listen(&socket)?;
        let child = command(qemu, parts, Holder::Lab)
            .arg("-chardev")
            .arg(joined("socket,id=control,server=off,path=", &socket))
            .args(["-mon", "chardev=control,mode=control"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(said)
            .spawn()
            .with_context(|| format!("{} does not start; try `cargo lab setup`", qemu.binary))?;
        let mut process = Process { child, folder };
        let output = process.child.stdout.take().expect("standard output is piped");
        let input = process.child.stdin.take().expect("standard input is piped");
        let console = Console::attach(output, input, log, timeline.clone())?;
        let begin = if parts.saved.is_some() { "goes on from a saved guest" } else { "power on" };
        timeline.note(Actor::Machine, begin);
        let qmp = waiting.connect(START_LIMIT, timeline.clone()).map_err(|error| {
            let said = fs::read_to_string(log.with_extension("qemu.log")).unwrap_or_default();
            error.context(format!("QEMU says: {}", said.trim()))
        })?;
        Ok((Self { process, qmp }, console))
    }

    /// Ends QEMU in an orderly way.
    pub(crate) fn quit(&mut self) -> Result<()> {
        self.qmp.order("quit", &serde_json::json!({}))?;
        self.await_end()
    }

    /// Ends QEMU at once.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.process.child.kill().context("QEMU cannot be killed")?;
        self.await_end()
    }

    /// Waits for the end of a QEMU whose console has closed.
    pub(crate) fn await_end(&mut self) -> Result<()> {
        self.process.child.wait().context("QEMU did not end")?;
        Ok(())
    }
}

/// QEMU with everything but its control socket.
pub(crate) fn command(qemu: &Qemu, parts: &Parts, holder: Holder) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", &qemu.binary]);
    command.args(["-nodefaults", "-no-user-config", "-display", "none"]);
    command.args(["-machine", &qemu.machine, "-cpu", &qemu.cpu]);
    command.arg("-smp").arg(qemu.smp.to_string());
    command.arg("-m").arg(qemu.memory_mib.to_string());
    command.arg("-bios").arg(&parts.firmware);
    command.args(parts.disk.arguments());
    command.args(["-device", &format!("{},drive=disk", qemu.disk_device)]);
    command
        .arg("-drive")
        .arg(joined("if=none,id=stick,format=raw,readonly=on,file=", &parts.stick));
    command.args(["-device", &format!("{},drive=stick", qemu.disk_device)]);
    command.args(["-netdev", "user,id=net"]);
    command.args(["-device", &format!("{},netdev=net,romfile=", qemu.network_device)]);
    for device in &qemu.devices {
        command.args(["-device", device]);
    }
    command.args(["-action", &format!("watchdog={}", qemu.watchdog_action)]);
    match holder {
        Holder::Lab => {
            command.args(["-chardev", "stdio,id=console,signal=off"]);
            command.args(["-serial", "chardev:console"]);
        }
        Holder::Person => {
            command.args(["-serial", "mon:stdio"]);
        }
    }
    if let Some(name) = &parts.saved {
        command.args(["-loadvm", name]);
    }
    command
}

/// `option` followed by a path, whose commas QEMU wants doubled.
fn joined(option: &str, path: &Path) -> OsString {
    let mut text = OsString::from(option);
    match path.to_str() {
        Some(path) => text.push(path.replace(',', ",,")),
        None => text.push(path),
    }
    text
}

/// A fresh folder with a path short enough for a socket (107 bytes).
fn socket_folder() -> Result<PathBuf> {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("steadfast-lab-{}-{number}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).with_context(|| format!("no folder {}", folder.display()))?;
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places;

    fn arguments(saved: Option<String>) -> Vec<String> {
        with_disk(Disk::Layered("a,b.qcow2".into()), saved)
    }

    fn with_disk(disk: Disk, saved: Option<String>) -> Vec<String> {
        let path = places::workspace().join("hw-profiles/boards/qemu-arm64.toml");
        let profile = hw_profile::Profile::load(path).expect("the board's file is valid");
        let parts = Parts { firmware: "fw.bin".into(), disk, stick: "stick.img".into(), saved };
        let qemu = profile.qemu.expect("this board is emulated");
        command(&qemu, &parts, Holder::Lab)
            .get_args()
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect()
    }

    #[test]
    fn the_machine_is_what_the_profile_says() {
        let arguments = arguments(None);
        assert!(arguments.contains(&"i6300esb".to_owned()));
        assert!(arguments.contains(&"watchdog=reset".to_owned()));
        assert!(arguments.iter().any(|a| a.ends_with("file=a,,b.qcow2")), "commas are doubled");
        assert!(!arguments.contains(&"-loadvm".to_owned()));
    }

    #[test]
    fn every_kind_of_disk_is_the_drive_that_the_machine_has() {
        let recorded = Disk::Recorded { disk: "d,.img".into(), log: "w.log".into() };
        let kinds = [
            (Disk::Raw("d.img".into()), "format=raw,file=d.img"),
            (Disk::Unchanged("d.img".into()), "format=raw,snapshot=on,file=d.img"),
            (recorded, "filename=d,,.img"),
        ];
        for (disk, words) in kinds {
            let arguments = with_disk(disk, None);
            assert!(arguments.iter().any(|a| a.ends_with(words)), "{words}: {arguments:?}");
            assert!(
                arguments.iter().any(|a| a.contains("id=disk") || a.contains("node-name=disk"))
            );
            assert!(arguments.contains(&"virtio-blk-pci,drive=disk".to_owned()));
        }
    }

    #[test]
    fn a_saved_machine_has_the_same_parts_and_one_more_argument() {
        let (cold, saved) = (arguments(None), arguments(Some("ready".into())));
        assert_eq!(saved[..cold.len()], cold[..]);
        assert_eq!(saved[cold.len()..], ["-loadvm", "ready"]);
    }
}
