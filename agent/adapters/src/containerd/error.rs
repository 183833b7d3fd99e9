//! Why containerd did not do something, in the operator's words.

use crate::workload_set::{ArchiveError, SetError};
use std::io;
use std::path::PathBuf;
use std::time::Duration;
use steadfast_core::Digest;

/// Why something was not done.
#[derive(Debug, thiserror::Error)]
pub enum ContainerdError {
    /// Nobody listens.
    #[error("containerd does not listen on {}", socket.display())]
    Connect {
        /// Its socket.
        socket: PathBuf,
        /// Why.
        source: containerd_client::tonic::transport::Error,
    },
    /// It said no.
    #[error("containerd did not {what}: {said}")]
    Refused {
        /// What it was to do.
        what: &'static str,
        /// Its words.
        said: String,
        /// What kind of no it is.
        code: tonic::Code,
    },
    /// It said nothing.
    #[error("containerd did not {what} within {} s", limit.as_secs())]
    Silent {
        /// What it was to do.
        what: &'static str,
        /// How long it was waited for.
        limit: Duration,
    },
    /// A process goes on after SIGKILL.
    #[error("the process does not end, not even by SIGKILL")]
    Unkillable,
    /// The archive does not give the image.
    #[error("the archive cannot be used")]
    Archive(#[from] SetError),
    /// A part of the image could not be handed over.
    #[error("sha256:{digest} was not brought into the store")]
    Blob {
        /// The part.
        digest: Digest,
        /// Why.
        source: ArchiveError,
    },
    /// The set has no such image.
    #[error("the image {0} is not in the archive")]
    NoImage(String),
    /// Its configuration cannot be read.
    #[error("the configuration of the image {0} makes no sense")]
    Configuration(String, #[source] serde_json::Error),
    /// What was unpacked is not what the configuration says.
    #[error("a layer of the image {reference} unpacks to {found}, and {wanted} is named")]
    Layer {
        /// The image.
        reference: String,
        /// What the configuration says.
        wanted: String,
        /// What it is.
        found: String,
    },
    /// The store could not be synced: what was unpacked may be lost by a power cut.
    #[error("{} could not be synced to the disk", path.display())]
    Sync {
        /// The store.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file beside the store.
    #[error("{} could not be made", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// An answer without what every answer has.
    #[error("containerd answered without {0}")]
    Answer(&'static str),
}

impl ContainerdError {
    /// Whether what was asked about is not there.
    pub(super) fn is_absent(&self) -> bool {
        matches!(self, ContainerdError::Refused { code: tonic::Code::NotFound, .. })
    }

    /// Whether it is there already.
    pub(super) fn is_there(&self) -> bool {
        matches!(self, ContainerdError::Refused { code: tonic::Code::AlreadyExists, .. })
    }
}

/// What is not there needs no removing.
pub(super) fn or_absent<T: Default>(
    done: Result<T, ContainerdError>,
) -> Result<T, ContainerdError> {
    match done {
        Err(error) if error.is_absent() => Ok(T::default()),
        done => done,
    }
}
