//! Folders and files of volumes: made beside their place, then renamed, so that none is ever there half.

use super::nested::{self, Place};
use super::tree;
use crate::manifest::File;
use rustix::fs::Gid;
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// An empty folder for everybody, as kubelet makes an `emptyDir`; with a group that what is made in it belongs to.
pub(super) fn empty(place: &Path, group: Option<u32>) -> io::Result<()> {
    beside(place, |path| folder(path, 0o777, group))
}

/// A folder with these files, to be read only, and with places for what is mounted in it.
pub(super) fn files(
    place: &Path,
    files: &[File],
    places: &BTreeSet<Place>,
    group: Option<u32>,
) -> io::Result<()> {
    beside(place, |path| {
        folder(path, 0o755, group)?;
        for file in files {
            let parents = file.path.match_indices('/').map(|(end, _)| path.join(&file.path[..end]));
            for parent in parents.filter(|parent| !parent.exists()) {
                folder(&parent, 0o755, group)?;
            }
            write(&path.join(&file.path), file, group)?;
        }
        nested::make(path, places)
    })
}

/// An empty file that everybody can write, unless it is there: kubelet's for `terminationMessagePath`.
pub(super) fn file_for_all(place: &Path) -> io::Result<()> {
    if place.is_file() {
        return Ok(());
    }
    beside(place, |path| {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        fs::set_permissions(path, Permissions::from_mode(0o666))
    })
}

/// What is at the place is left as it is. A name with a dot in front is no volume's and no container's.
fn beside(place: &Path, make: impl FnOnce(&Path) -> io::Result<()>) -> io::Result<()> {
    if fs::symlink_metadata(place).is_ok() {
        return Ok(());
    }
    let path = making(place);
    tree::remove(&path)?;
    make(&path).and_then(|()| fs::rename(&path, place)).inspect_err(|_| {
        // What is left of it is removed before the next try, too.
        let _ = tree::remove(&path);
    })
}

fn making(place: &Path) -> PathBuf {
    let name = place.file_name().unwrap_or_default().to_string_lossy();
    place.with_file_name(format!(".making-{name}"))
}

fn folder(path: &Path, mode: u32, group: Option<u32>) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(path)?;
    let mode = match group {
        // What is made in it has its group.
        Some(_) => mode | 0o2000,
        None => mode,
    };
    owned(path, mode, group)
}

/// With a group, that can read each file (kubelet's `volume.SetVolumeOwnership`, for volumes that are only to read).
fn write(path: &Path, file: &File, group: Option<u32>) -> io::Result<()> {
    let mut opened = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    opened.write_all(&file.content.0)?;
    let mode = if group.is_some() { file.mode | 0o440 } else { file.mode };
    owned(path, mode, group)
}

/// The owner first: a new one takes the setgid bit away.
fn owned(path: &Path, mode: u32, group: Option<u32>) -> io::Result<()> {
    if let Some(group) = group {
        rustix::fs::chown(path, None, Some(Gid::from_raw(group)))?;
    }
    fs::set_permissions(path, Permissions::from_mode(mode))
}
