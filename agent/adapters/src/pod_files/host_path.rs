//! `hostPath`: a path of the node, with its links followed, and still what the policy allows.
//!
//! Links are followed once, before the container starts. A pod that can write to a folder which another pod mounts a
//! part of can exchange that part afterwards, as in Kubernetes: a policy that lets both in trusts both.

use super::device::Device;
use super::{PodFilesError, VolumePath};
use crate::manifest::{Policy, There};
use std::fs::{self, DirBuilder, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{DirBuilderExt, FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why a path of the node cannot be mounted.
#[derive(Debug)]
pub(super) enum Wrong {
    /// It is not what the manifest or the policy says, as the end of a sentence that begins with the path.
    Because(String),
    /// The node cannot look at it, or make it.
    Failed(io::Error),
}

impl Wrong {
    pub(super) fn of(self, volume: &str, path: &Path) -> PodFilesError {
        let (volume, path) = (volume.to_owned(), path.to_owned());
        match self {
            Wrong::Because(because) => PodFilesError::HostPath { volume, path, because },
            Wrong::Failed(source) => PodFilesError::Volume { volume, path, source },
        }
    }
}

/// Where the volume lies.
pub(super) fn host_path(path: &Path, there: There, policy: &Policy) -> Result<VolumePath, Wrong> {
    let found = match path.canonicalize() {
        Err(error) if error.kind() == ErrorKind::NotFound => make(path, there, policy)?,
        found => found.map_err(Wrong::Failed)?,
    };
    allowed(path, &found, policy)?;
    let what = fs::symlink_metadata(&found).map_err(Wrong::Failed)?;
    is(&what, there)?;
    let named = matches!(there, There::CharDevice | There::BlockDevice);
    let device = named.then(|| Device::at(&found, &what)).flatten();
    Ok(VolumePath { path: found, device })
}

/// Where links lead counts as if the manifest had named it.
fn allowed(path: &Path, found: &Path, policy: &Policy) -> Result<(), Wrong> {
    let (named, found_is) = (policy.lets_mount(path), policy.lets_mount(found));
    let because = match (named, found_is) {
        (true, true) => return Ok(()),
        (false, _) => "is outside what the node's policy allows".to_owned(),
        (true, false) => {
            format!("leads to {}, which the node's policy does not allow", found.display())
        }
    };
    Err(Wrong::Because(because))
}

/// Makes what is not there, if the type says so, below what is there of it. Nothing is made where the policy allows
/// nothing.
fn make(path: &Path, there: There, policy: &Policy) -> Result<PathBuf, Wrong> {
    let is_file = match there {
        // Without a type nothing is looked at, and containerd makes a folder.
        There::Anything | There::FolderOrNew => false,
        There::FileOrNew => true,
        _ => return Err(Wrong::Because("is not there".to_owned())),
    };
    let mut above = path.ancestors().skip(1);
    let above = above.find_map(|above| Some((above, above.canonicalize().ok()?)));
    let (above, found) = above.expect("the root is there");
    let place = found.join(path.strip_prefix(above).expect("it lies above"));
    allowed(path, &place, policy)?;
    let made = match is_file {
        true => {
            let mut file = OpenOptions::new();
            file.write(true).create_new(true).mode(0o644).open(&place).map(drop)
        }
        false => DirBuilder::new().recursive(true).mode(0o755).create(&place),
    };
    made.map(|()| place).map_err(Wrong::Failed)
}

/// Whether what is there is what has to be (`type`).
fn is(what: &Metadata, there: There) -> Result<(), Wrong> {
    let kind = what.file_type();
    let (right, wanted) = match there {
        There::Anything => return Ok(()),
        There::FolderOrNew | There::Folder => (kind.is_dir(), "folder"),
        There::FileOrNew | There::File => (kind.is_file(), "file"),
        There::Socket => (kind.is_socket(), "socket"),
        There::CharDevice => (kind.is_char_device(), "character device"),
        There::BlockDevice => (kind.is_block_device(), "block device"),
    };
    if right { Ok(()) } else { Err(Wrong::Because(format!("is no {wanted}"))) }
}
