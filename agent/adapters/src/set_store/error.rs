//! Why a set is not taken, or not found again, in the operator's words.

use crate::workload_set::{KeyError, LayoutError, SetError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use steadfast_core::{Cause, Failure, SetId};

/// Why a set is not taken, or not found again.
#[derive(Debug, thiserror::Error)]
pub enum SetStoreError {
    /// Nobody is trusted.
    #[error("there is no keyring at {}, so this node takes no workload set", .0.display())]
    NoKeyring(PathBuf),
    /// The file with the keys is none.
    #[error("the keyring cannot be used")]
    Keyring(#[source] KeyError),
    /// The source cannot be read.
    #[error("{} cannot be read", path.display())]
    Source {
        /// Where it was to be.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The source is a folder or the like.
    #[error("{} is not a file", .0.display())]
    NoFile(PathBuf),
    /// There is not enough room.
    #[error(
        "it takes {wanted} bytes, and of {free} bytes that are free {reserve} are the node's own"
    )]
    Full {
        /// How long it is, in bytes.
        wanted: u64,
        /// What the file system has, in bytes.
        free: u64,
        /// What is left for the rest of the node, in bytes.
        reserve: u64,
    },
    /// The file system does not take it.
    #[error("{} could not be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is no set that this node takes.
    #[error(transparent)]
    Set(SetError),
    /// A slot's record cannot be read.
    #[error("{} could not be read", path.display())]
    Unread {
        /// The record.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A slot's record is damaged.
    #[error("{} is damaged, so it is not known which set belongs to the slot", .0.display())]
    Record(PathBuf),
    /// A record names a set whose archive is gone.
    #[error("the archive of {0} is not there any more")]
    Gone(SetId),
    /// An archive is another one than its name says.
    #[error("{} holds {found}, which is another one than its name says", archive.display())]
    Other {
        /// The archive.
        archive: PathBuf,
        /// What is in it.
        found: SetId,
    },
}

impl SetStoreError {
    pub(super) fn write(path: &Path, source: io::Error) -> SetStoreError {
        SetStoreError::Write { path: path.to_owned(), source }
    }

    /// The same as a cause, with the words as its evidence.
    pub fn failure(&self) -> Failure {
        Failure::new(self.cause(), format_args!("{}", crate::chain(self)))
    }

    fn cause(&self) -> Cause {
        use SetStoreError as E;
        match self {
            E::NoKeyring(_) | E::Keyring(_) => Cause::Signature,
            E::Source { .. } | E::NoFile(_) => Cause::Source,
            E::Full { .. } => Cause::Space,
            E::Write { source, .. } => match source.kind() {
                ErrorKind::StorageFull | ErrorKind::QuotaExceeded => Cause::Space,
                _ => Cause::Write,
            },
            E::Set(error) => of_set(error),
            E::Unread { .. } | E::Record(_) | E::Gone(_) | E::Other { .. } => Cause::Write,
        }
    }
}

fn of_set(error: &SetError) -> Cause {
    match error {
        // It is the node's own copy that is read.
        SetError::Layout(LayoutError::Read(_)) => Cause::Write,
        SetError::Unsigned
        | SetError::Stranger(_)
        | SetError::Forged(_)
        | SetError::OtherSet { .. }
        | SetError::Purpose(_) => Cause::Signature,
        SetError::Architecture { .. } => Cause::Compatible,
        SetError::Manifests(_) => Cause::Manifest,
        _ => Cause::Damaged,
    }
}
