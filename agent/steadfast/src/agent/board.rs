//! This machine: the board's profile, and what the kernel and the image say of themselves.

use hw_profile::{Chooser, Profile, ProfileError};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};
use steadfast_adapters::boot_store::{Attempts, BootStore, Place};
use steadfast_adapters::system::boot_id;
use steadfast_core::{Name, Sizes, Slot, Version};

/// The lock of the boot environment, shared with `steadfast boot-state`.
const LOCK: &str = "/run/steadfast-boot-state.lock";

/// Where the initramfs links the partitions of the disk that the node was started from, by their names.
const PARTITIONS: &str = "/dev/steadfast";

/// Where the kernel command line is.
const COMMAND_LINE: &str = "/proc/cmdline";

/// Where the kernel names this boot.
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

/// Where the image names itself.
const OS_RELEASE: &str = "/etc/os-release";

/// What the agent needs to know of the board.
#[derive(Clone, Debug)]
pub struct Board {
    /// The name in bundles.
    pub compatible: Name,
    /// How much the partitions of a slot hold.
    pub room: Sizes,
    /// Where the boot environment is, and the attempts that a slot gets.
    pub store: BootStore,
    /// The watchdog's device.
    pub watchdog: PathBuf,
    /// How long the running agent may be silent.
    pub deadline: Duration,
    /// How long a boot, and so a shutdown, may take.
    pub boot_deadline: Duration,
}

/// Why the board's facts cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BoardError {
    /// The profile is wrong.
    #[error("the board profile could not be read")]
    Profile(#[from] ProfileError),
    /// Another boot chooser than ours.
    #[error("the board's chooser is not \"steadfast\", the only one that this agent writes")]
    Chooser,
    /// A name is too long.
    #[error("the board's compatible is longer than 48 bytes")]
    Compatible,
    /// The kernel command line does not say which slot runs.
    #[error("{COMMAND_LINE} has no rauc.slot=A or rauc.slot=B")]
    Slot,
    /// The image does not say what it is.
    #[error("{OS_RELEASE} has no IMAGE_VERSION that is a version")]
    Version,
    /// A file of the kernel or the image could not be read.
    #[error("{path} could not be read")]
    Read {
        /// The file.
        path: &'static str,
        /// Why.
        source: std::io::Error,
    },
}

/// What runs, as the kernel and the image say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// The slot.
    pub slot: Slot,
    /// What the image calls itself.
    pub version: Version,
    /// The kernel's id of this boot.
    pub boot: [u8; 16],
}

impl Running {
    /// Asks the kernel and the image.
    pub fn ask() -> Result<Running, BoardError> {
        Ok(Running { slot: booted_slot()?, version: image_version()?, boot: this_boot()? })
    }
}

/// The kernel's id of this boot.
pub fn this_boot() -> Result<[u8; 16], BoardError> {
    boot_id(Path::new(BOOT_ID)).map_err(|source| BoardError::Read { path: BOOT_ID, source })
}

impl Board {
    /// Reads the profile.
    pub fn load(path: &Path) -> Result<Board, BoardError> {
        let Profile { compatible, boot, watchdog, disk, .. } = Profile::load(path)?;
        if boot.chooser != Chooser::Steadfast {
            return Err(BoardError::Chooser);
        }
        let place = Place {
            device: Path::new(PARTITIONS).join(&boot.environment),
            offsets: boot.copy_offsets,
            lock: LOCK.into(),
        };
        let attempts = Attempts { trial: boot.attempts_trial, committed: boot.attempts_committed };
        Ok(Board {
            compatible: compatible.as_str().try_into().map_err(|_| BoardError::Compatible)?,
            room: Sizes {
                boot: u64::from(disk.boot_mib) << 20,
                root: u64::from(disk.root_mib) << 20,
            },
            store: BootStore::new(place, attempts),
            watchdog: watchdog.device.into(),
            deadline: Duration::from_secs(watchdog.deadline_s.into()),
            boot_deadline: Duration::from_secs(watchdog.boot_deadline_s.into()),
        })
    }
}

fn read(path: &'static str) -> Result<String, BoardError> {
    std::fs::read_to_string(path).map_err(|source| BoardError::Read { path, source })
}

/// The slot that runs: `rauc.slot=` on the kernel command line, as RAUC reads it.
pub fn booted_slot() -> Result<Slot, BoardError> {
    slot_of(&read(COMMAND_LINE)?).ok_or(BoardError::Slot)
}

/// The slot that a kernel command line names.
pub fn slot_of(command_line: &str) -> Option<Slot> {
    let words = command_line.split_whitespace();
    words.filter_map(|word| word.strip_prefix("rauc.slot=")).find_map(Slot::from_name)
}

/// What the image calls itself: `IMAGE_VERSION=` (os-release(5)).
fn image_version() -> Result<Version, BoardError> {
    version_of(&read(OS_RELEASE)?).ok_or(BoardError::Version)
}

/// When the image was made, in seconds since 1970: image-build gives each of its files that time.
pub fn image_made() -> Result<u64, BoardError> {
    let read = std::fs::metadata(OS_RELEASE).and_then(|file| file.modified());
    let made = read.map_err(|source| BoardError::Read { path: OS_RELEASE, source })?;
    Ok(made.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs()))
}

/// The version that the text of an os-release names.
pub fn version_of(os_release: &str) -> Option<Version> {
    let mut lines = os_release.lines();
    let value = lines.find_map(|line| line.strip_prefix("IMAGE_VERSION="))?;
    Version::new(value.trim().trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slot_comes_from_the_kernel_command_line() {
        assert_eq!(slot_of("console=ttyAMA0 rauc.slot=B quiet"), Some(Slot::B));
        assert_eq!(slot_of("xrauc.slot=B rauc.slot=C"), None);
    }

    #[test]
    fn the_version_comes_from_os_release() {
        let version = version_of("ID=debian\nIMAGE_VERSION=\"1.2.0\"\n");
        assert_eq!(version, Version::new("1.2.0"));
        assert_eq!(version_of("VERSION=13\n"), None);
    }
}
