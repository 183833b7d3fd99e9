//! The root file system of a node on this machine: the programs are the machine's own, everything that a node reads
//! of itself is the tree's.
//!
//! ```text
//! usr           the machine's, with ours over it: bin/steadfast, lib/steadfast/{data, boot-state}
//! etc           os-release and checks of what runs; board.toml, agent.toml; RAUC's system.conf and keyring
//! dev           steadfast/<partition>, the machine's loop devices, kmsg as a file
//! proc          the node's own, with cmdline and boot_id of this start
//! ```
//!
//! What is not the node's: no systemd, so a restart goes to the kernel; no watchdog; bundles of the plain format.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use hw_profile::Profile;

use super::apart::done;
use super::release::{ALL, CHECK, FIRST, Release, Tools};
use crate::places;

/// Loop devices that a node may see; more are there only on machines with as many in use.
const LOOPS: usize = 256;

/// The agent's settings: a verdict after a second, or after three; a server that is gone is asked twice, for an install
/// that was cut off is begun again as often.
const SETTINGS: &str = "[node]\nname = \"host\"\n[gate]\nsoak_s = 1\ndeadline_s = 3\n\
                        [fetch]\nway = \"download\"\n[limits]\nfetch_attempts = 2\n";

/// What all nodes are made of.
pub(super) struct Parts {
    /// The board.
    pub(super) profile: Profile,
    /// The agent's binary for this machine.
    pub(super) agent: PathBuf,
    /// RAUC and the signer.
    pub(super) tools: Tools,
    /// Folder with every release's bundle.
    pub(super) bundles: PathBuf,
}

impl Parts {
    /// RAUC's configuration: the image's own, but for the format of the bundles.
    pub(super) fn rauc_conf(&self) -> Result<String> {
        rauc_conf(&self.profile)
    }

    /// The script that makes /data usable.
    pub(super) fn data_script(&self) -> Result<String> {
        data_script(&self.profile)
    }
}

fn rauc_conf(profile: &Profile) -> Result<String> {
    let slots = &profile.slots;
    let text = filled(
        "etc/rauc/system.conf.in",
        &[
            ("compatible", &profile.compatible),
            // The development keyring brings no revocation list along.
            ("check_crl", "false"),
            ("boot_a", &slots.a.boot),
            ("root_a", &slots.a.root),
            ("boot_b", &slots.b.boot),
            ("root_b", &slots.b.root),
        ],
    )?;
    let verity = "bundle-formats=verity";
    ensure!(text.contains(verity), "system.conf names other formats than before");
    Ok(text.replace(verity, "bundle-formats=plain"))
}

fn data_script(profile: &Profile) -> Result<String> {
    filled("usr/lib/steadfast/data.in", &[("data", &profile.disk.data)])
}

/// A file of the image, with these values.
fn filled(name: &str, values: &[(&str, &str)]) -> Result<String> {
    let path = places::workspace().join("image-build/rootfs").join(name);
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    let text = values
        .iter()
        .fold(text, |text, (name, value)| text.replace(&format!("{{{{{name}}}}}"), value));
    ensure!(!text.contains("{{"), "{name} asks for a value that the lane does not have");
    Ok(text)
}

/// The bus of one node, on which everybody may do everything: that of the tests with a real RAUC.
fn bus() -> Result<String> {
    let path = places::workspace().join("tests/rauc_host/bus.conf");
    let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
    Ok(text.replace("@SOCKET@", "/run/bus"))
}

/// A root file system that a node can be started in.
pub(super) struct Root {
    /// Its folder.
    pub(super) folder: PathBuf,
}

impl Root {
    /// Makes one in `seat`, a folder of the lane's own tmpfs.
    pub(super) fn make(parts: &Parts, seat: &Path) -> Result<Self> {
        let root = Self { folder: seat.join("root") };
        let folders = [
            "usr",
            "dev/steadfast",
            "proc",
            "run",
            "tmp",
            "mnt",
            "data",
            "sys",
            "rauc",
            "machine-dev",
            "bundles",
            "etc/steadfast/checks.d",
            "etc/rauc",
        ];
        for folder in folders {
            fs::create_dir_all(root.folder.join(folder))?;
        }
        root.programs(parts, seat)?;
        root.devices()?;
        root.settings(parts)?;
        for release in &ALL {
            fs::copy(
                parts.bundles.join(release.bundle()),
                root.folder.join("bundles").join(release.bundle()),
            )?;
        }
        Ok(root)
    }

    fn programs(&self, parts: &Parts, seat: &Path) -> Result<()> {
        let layer = seat.join("layer");
        fs::create_dir_all(layer.join("bin"))?;
        fs::create_dir_all(layer.join("lib/steadfast"))?;
        fs::copy(&parts.agent, layer.join("bin/steadfast")).context("the agent's binary")?;
        let backend = places::workspace().join("image-build/rootfs/usr/lib/steadfast/boot-state");
        let scripts =
            [("data", parts.data_script()?), ("boot-state", fs::read_to_string(backend)?)];
        for (name, text) in scripts {
            let path = layer.join("lib/steadfast").join(name);
            fs::write(&path, text)?;
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755))?;
        }
        let layers = format!("lowerdir={}:/usr", layer.display());
        mount(&["-t", "overlay", "-o", &layers, "steadfast"], &self.folder.join("usr"))?;
        for name in ["bin", "sbin", "lib", "lib64"] {
            let (of_machine, own) = (Path::new("/").join(name), self.folder.join(name));
            if let Ok(aim) = fs::read_link(&of_machine) {
                symlink(aim, own)?;
            } else if of_machine.is_dir() {
                fs::create_dir(&own)?;
                bind(&of_machine, &own)?;
            }
        }
        bind(&parts.tools.rauc_root, &self.folder.join("rauc"))
    }

    fn devices(&self) -> Result<()> {
        bind(Path::new("/dev"), &self.folder.join("machine-dev"))?;
        let plain =
            ["null", "zero", "full", "random", "urandom", "loop-control"].map(str::to_owned);
        for name in plain.into_iter().chain((0..LOOPS).map(|number| format!("loop{number}"))) {
            symlink(format!("/machine-dev/{name}"), self.folder.join("dev").join(name))?;
        }
        // What is told to the kernel's log stays in the node.
        Ok(fs::write(self.folder.join("dev/kmsg"), "")?)
    }

    fn settings(&self, parts: &Parts) -> Result<()> {
        let board = places::boards().join(format!("{}.toml", parts.profile.name));
        let write = |name: &str, text: &[u8]| fs::write(self.folder.join("etc").join(name), text);
        write("steadfast/board.toml", &fs::read(board)?)?;
        write("steadfast/agent.toml", SETTINGS.as_bytes())?;
        write("rauc/system.conf", parts.rauc_conf()?.as_bytes())?;
        write("rauc/keyring.pem", &fs::read(&parts.tools.signer.keyring)?)?;
        write("bus.conf", bus()?.as_bytes())?;
        write("passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534::/:/bin/false\n")?;
        write("group", b"root:x:0:\nnogroup:x:65534:\n")?;
        self.holds(&FIRST)
    }

    /// The slot that starts holds this release.
    pub(super) fn holds(&self, release: &Release) -> Result<()> {
        let Release { version, check } = release;
        let checks = format!(
            "[[check]]\nname = \"{CHECK}\"\nkind = \"command\"\ncommand = [\"{check}\"]\n\
             interval_s = 1\ntimeout_s = 10\n"
        );
        fs::write(self.folder.join("etc/os-release"), format!("IMAGE_VERSION={version}\n"))?;
        Ok(fs::write(self.folder.join("etc/steadfast/checks.d/10-work.toml"), checks)?)
    }

    /// The partition `name` is this device or file.
    pub(super) fn link(&self, name: &str, to: &Path) -> Result<()> {
        let link = self.folder.join("dev/steadfast").join(name);
        let _ = fs::remove_file(&link);
        symlink(to, &link).with_context(|| link.display().to_string())
    }

    /// The partition `name` is a file of the node's own, at this path.
    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.folder.join("dev/steadfast").join(name)
    }
}

fn bind(from: &Path, to: &Path) -> Result<()> {
    mount(&["--bind", &from.display().to_string()], to)
}

fn mount(words: &[&str], at: &Path) -> Result<()> {
    done(Command::new("mount").args(words).arg(at)).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lane_has_every_value_that_the_images_files_ask_for() {
        for board in hw_profile::boards(&places::boards()).expect("the tree has boards") {
            let profile = Profile::named(&places::boards(), &board).expect("it is valid");
            let conf = rauc_conf(&profile).expect("it is filled");
            assert!(conf.contains(&profile.compatible) && conf.contains("bundle-formats=plain"));
            assert!(data_script(&profile).expect("it is filled").contains(&profile.disk.data));
        }
    }
}
