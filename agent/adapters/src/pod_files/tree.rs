//! A folder with all that is in it, removed.
//!
//! Always true: no link is followed, nothing behind a mount is touched, and neither the depth nor the size of what a pod
//! made there takes more than a few open files.

use rustix::fs::{
    AtFlags, CWD, Dir, Mode, OFlags, StatxAttributes, StatxFlags, fstat, openat, statx, unlinkat,
};
use rustix::io::Errno;
use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// The names in a folder; none when there is no folder.
pub(super) fn names(folder: &Path) -> io::Result<Vec<OsString>> {
    match std::fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.file_name())).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Whether something is mounted exactly here.
pub(super) fn is_mount(path: &Path) -> io::Result<bool> {
    match root_of_mount(CWD, path) {
        Err(Errno::NOENT) => Ok(false),
        answer => Ok(answer?),
    }
}

/// statx(2), since Linux 5.8.
fn root_of_mount<P: rustix::path::Arg>(folder: impl AsFd, path: P) -> rustix::io::Result<bool> {
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let found = statx(folder, path, flags, StatxFlags::TYPE)?;
    match found.stx_attributes_mask.contains(StatxAttributes::MOUNT_ROOT) {
        true => Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT)),
        false => Err(Errno::NOSYS),
    }
}

/// Removes a folder, or whatever is there instead of it; nothing there is fine.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match unlinkat(CWD, path, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR) => {}
        Err(error) => return Err(error.into()),
    }
    emptied(enter(CWD, path)?)?;
    Ok(unlinkat(CWD, path, AtFlags::REMOVEDIR)?)
}

/// Goes down into the first folder that is there, and back up when one is empty.
fn emptied(top: OwnedFd) -> io::Result<()> {
    let mut above: Vec<(CString, Id)> = Vec::new();
    let mut here = top;
    loop {
        if let Some(name) = first_folder(&here)? {
            let below = enter(&here, name.as_c_str())?;
            above.push((name, id(&here)?));
            here = below;
            continue;
        }
        let Some((name, parent)) = above.pop() else { return Ok(()) };
        here = openat(&here, "..", FOLDER, Mode::empty())?;
        if id(&here)? != parent {
            return Err(io::Error::other("somebody moves folders in it"));
        }
        unlinkat(&here, name.as_c_str(), AtFlags::REMOVEDIR)?;
    }
}

const FOLDER: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Device and inode.
type Id = (u64, u64);

fn id(folder: &OwnedFd) -> io::Result<Id> {
    let found = fstat(folder)?;
    Ok((found.st_dev, found.st_ino))
}

fn enter<P: rustix::path::Arg + Copy>(folder: impl AsFd, name: P) -> io::Result<OwnedFd> {
    if root_of_mount(folder.as_fd(), name)? {
        return Err(io::Error::other("something is mounted in it"));
    }
    Ok(openat(folder, name, FOLDER, Mode::empty())?)
}

/// Removes what is no folder, up to the first one that is.
fn first_folder(folder: &OwnedFd) -> io::Result<Option<CString>> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        match unlinkat(folder, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(Errno::ISDIR) => return Ok(Some(name.to_owned())),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(None)
}
