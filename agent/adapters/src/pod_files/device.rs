//! Devices of the node, as a container is given them.

use rustix::fs::{major, minor};
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

/// A device of the node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Device {
    /// Its path on the node.
    pub path: PathBuf,
    /// Of which kind it is.
    pub kind: DeviceKind,
    /// Its driver.
    pub major: u32,
    /// Which one of the driver's.
    pub minor: u32,
    /// Its permissions.
    pub mode: u32,
    /// Its owner.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
}

/// Of which kind a device is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeviceKind {
    /// A character device.
    Character,
    /// A block device.
    Block,
}

impl Device {
    /// The device at this path, if one is there; a link is none.
    pub(super) fn at(path: &Path, found: &Metadata) -> Option<Device> {
        let kind = match found.file_type() {
            kind if kind.is_char_device() => DeviceKind::Character,
            kind if kind.is_block_device() => DeviceKind::Block,
            _ => return None,
        };
        let (major, minor) = (major(found.rdev()), minor(found.rdev()));
        let (mode, path) = (found.mode() & 0o7777, path.to_owned());
        Some(Device { path, kind, major, minor, mode, uid: found.uid(), gid: found.gid() })
    }
}

/// All devices in a folder, without those that each container has its own of (`oci.HostDevices` of containerd).
pub(super) fn all(folder: &Path) -> io::Result<Vec<Device>> {
    const OWN: [&str; 8] =
        ["pts", "shm", "fd", "mqueue", ".lxc", ".lxd-mounts", ".udev", "console"];
    let mut devices = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let entry = entry?;
            let (path, name) = (entry.path(), entry.file_name());
            // A device can be unplugged at any moment.
            let Ok(found) = entry.metadata() else { continue };
            if OWN.iter().any(|own| name == *own) {
                continue;
            }
            match found.is_dir() {
                true => folders.push(path),
                false => devices.extend(Device::at(&path, &found)),
            }
        }
    }
    devices.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(devices)
}
