//! One QEMU process: its arguments from the hardware profile, its two ends, and its end.
//!
//! No fact about the board stands here; the profile's `[qemu]` section holds them. A machine that is dropped is
//! stopped: no guest outlives its scenario.

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
    /// The node's disk, qcow2; written to.
    pub(crate) disk: PathBuf,
    /// The second disk, raw and read-only: the lab's USB stick.
    pub(crate) stick: PathBuf,
    /// Name of the saved machine in `disk` to go on from; none is power-on.
    pub(crate) saved: Option<String>,
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
    child: Child,
    folder: PathBuf,
    /// Orders to the machine.
    pub(crate) qmp: Qmp,
}

impl Machine {
    /// Starts a machine whose console the lab holds, logged in `log`.
    pub(crate) fn start(
        qemu: &Qemu,
        parts: &Parts,
        log: &Path,
        timeline: &Timeline,
    ) -> Result<(Self, Console)> {
        let folder = socket_folder()?;
        let socket = folder.join("qmp.sock");
        let waiting = qmp::listen(&socket)?;
        let mut child = command(qemu, parts, Holder::Lab)
            .arg("-chardev")
            .arg(joined("socket,id=control,server=off,path=", &socket))
            .args(["-mon", "chardev=control,mode=control"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(fs::File::create(log.with_extension("qemu.log"))?)
            .spawn()
            .with_context(|| format!("{} does not start; try `cargo lab setup`", qemu.binary))?;
        let output = child.stdout.take().expect("standard output is piped");
        let input = child.stdin.take().expect("standard input is piped");
        let console = Console::attach(output, input, log, timeline.clone())?;
        let begin = if parts.saved.is_some() { "goes on from a saved guest" } else { "power on" };
        timeline.note(Actor::Machine, begin);
        let connected = waiting.connect(START_LIMIT, timeline.clone());
        match connected {
            Ok(qmp) => Ok((Self { child, folder, qmp }, console)),
            Err(error) => {
                let _ = child.kill().and_then(|()| child.wait());
                let said = fs::read_to_string(log.with_extension("qemu.log")).unwrap_or_default();
                Err(error.context(format!("QEMU says: {}", said.trim())))
            }
        }
    }
}

impl Machine {
    /// Ends QEMU in an orderly way.
    pub(crate) fn quit(&mut self) -> Result<()> {
        self.qmp.order("quit", &serde_json::json!({}))?;
        self.child.wait().context("QEMU did not end")?;
        Ok(())
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        // Already gone is as good as stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// QEMU with everything but its control socket.
pub(crate) fn command(qemu: &Qemu, parts: &Parts, holder: Holder) -> Command {
    let mut command = Command::new(&qemu.binary);
    command.args(["-nodefaults", "-no-user-config", "-display", "none"]);
    command.args(["-machine", &qemu.machine, "-cpu", &qemu.cpu]);
    command.arg("-smp").arg(qemu.smp.to_string());
    command.arg("-m").arg(qemu.memory_mib.to_string());
    command.arg("-bios").arg(&parts.firmware);
    // A guest's disk is thrown away: a flush to the host's disk would only cost time.
    command
        .arg("-drive")
        .arg(joined("if=none,id=disk,format=qcow2,cache=unsafe,file=", &parts.disk));
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
        let path = places::workspace().join("hw-profiles/boards/qemu-arm64.toml");
        let profile = hw_profile::Profile::load(path).expect("the board's file is valid");
        let parts = Parts {
            firmware: "fw.bin".into(),
            disk: "a,b.qcow2".into(),
            stick: "stick.img".into(),
            saved,
        };
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
    fn a_saved_machine_has_the_same_parts_and_one_more_argument() {
        let (cold, saved) = (arguments(None), arguments(Some("ready".into())));
        assert_eq!(saved[..cold.len()], cold[..]);
        assert_eq!(saved[cold.len()..], ["-loadvm", "ready"]);
    }
}
