//! Volumes in memory: a tmpfs each, which all containers of the pod share and which outlives the agent.

use super::tree;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::ffi::CString;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// What a tmpfs is like (the kernel's `Documentation/filesystems/tmpfs.rst`).
#[derive(Clone, Copy, Debug)]
pub(super) struct Tmpfs {
    /// How many bytes it holds; without it half of the node's memory.
    pub(super) limit: Option<u64>,
    /// The permissions of its root.
    pub(super) mode: u32,
    /// The group that what is made in it belongs to.
    pub(super) group: Option<u32>,
}

/// Mounts one, unless it is there.
pub(super) fn tmpfs(path: &Path, like: &Tmpfs) -> io::Result<()> {
    if tree::is_mount(path)? {
        return Ok(());
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path)?;
    let options = CString::new(like.options()).expect("numbers have no zero byte");
    mount("tmpfs", path, "tmpfs", MountFlags::NODEV | MountFlags::NOSUID, options.as_c_str())?;
    Ok(())
}

impl Tmpfs {
    fn options(&self) -> String {
        let limit = self.limit.map(|bytes| format!(",size={bytes}")).unwrap_or_default();
        match self.group {
            // What is made in it has its group.
            Some(group) => format!("mode={:o},gid={group}{limit}", self.mode | 0o2000),
            None => format!("mode={:o}{limit}", self.mode),
        }
    }
}

/// Unmounts what is mounted at or in the folder of a pod's digest: its volumes and messages.
pub(super) fn unmount_below(path: &Path) -> io::Result<()> {
    let places = [path.join("volumes"), path.to_owned()];
    for folder in places.iter().filter(|folder| folder.is_dir() && !folder.is_symlink()) {
        for name in tree::names(folder)? {
            let place = folder.join(name);
            while tree::is_mount(&place)? {
                unmount(&place, UnmountFlags::NOFOLLOW)?;
            }
        }
    }
    Ok(())
}
