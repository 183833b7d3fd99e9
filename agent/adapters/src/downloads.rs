//! Bundles on their way to this node, kept on the disk so that a cut costs nothing twice.
//!
//! ```text
//! downloads/KEY.part    what came so far ──whole, and what was offered──▶ KEY.raucb
//! downloads/KEY.record  where it comes from, and how much of it is synced
//! ```
//!
//! Always true: there is at most one bundle, that of the offer under way or of the one that the network cut off
//! last; what is called `.raucb` is whole and has the offer's digest, where the offer names one; a record never
//! claims more than what was synced before it; a reserve of the file system is left for the rest of the node, the
//! ledger first; only root can read or write here, and nobody holds a whole one open: RAUC takes no bundle that
//! somebody may still write.
//!
//! The key is the digest of the content where the offer names it, so that another URL for the same bytes
//! finds them again; else that of the URL.

mod partial;
mod record;
#[cfg(test)]
mod tests;

pub use partial::Partial;
pub use record::Record;

use crate::ledger_file::sha256;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use steadfast_core::{Cause, Ending, Node, Offer, Pending, Update};

/// How much of the file system a download leaves free, in bytes: the ledger takes at most 9 MiB in its
/// nine segments, and RAUC's record and the evidence little beside them.
pub const RESERVE: u64 = 16 << 20;

/// Why a bundle cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum DownloadError {
    /// There is not enough room.
    #[error(
        "it takes {wanted} bytes more, and of {free} bytes that are free {reserve} are the node's own"
    )]
    Full {
        /// What is still to come, in bytes.
        wanted: u64,
        /// What the file system has, in bytes.
        free: u64,
        /// What is left for the rest of the node, in bytes.
        reserve: u64,
    },
    /// The file system does not take it.
    #[error("{folder} could not be written")]
    Write {
        /// Where the downloads are.
        folder: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// The folder of the downloads.
#[derive(Clone, Debug)]
pub struct Downloads {
    folder: PathBuf,
    /// The kernel's id of this boot: what was written within it was lost to no power cut.
    boot: [u8; 16],
    reserve: u64,
}

impl Downloads {
    /// The folder `downloads` of the agent's data.
    pub fn new(data: &Path, boot: [u8; 16]) -> Downloads {
        Downloads { folder: data.join("downloads"), boot, reserve: RESERVE }
    }

    /// The same, leaving so many bytes to the rest of the node.
    pub fn leaving(self, reserve: u64) -> Downloads {
        Downloads { reserve, ..self }
    }

    /// Where the whole bundle of this offer is, or will be; nowhere when it is a file already.
    pub fn place(&self, offer: &Offer) -> Option<PathBuf> {
        offer.source.contains("://").then(|| self.file(offer, "raucb"))
    }

    /// What came of this offer so far, ready for more.
    pub fn open(&self, offer: &Offer) -> Result<Partial, DownloadError> {
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(|source| self.unwritten(source))?;
        Partial::open(self, offer)
    }

    /// Whether `wanted` bytes more fit beside what the rest of the node needs.
    pub fn room(&self, wanted: u64) -> Result<(), DownloadError> {
        let found = rustix::fs::statvfs(&self.folder).map_err(io::Error::from);
        let found = found.map_err(|source| self.unwritten(source))?;
        let (free, reserve) = (found.f_bavail.saturating_mul(found.f_frsize), self.reserve);
        match wanted.saturating_add(reserve) <= free {
            true => Ok(()),
            false => Err(DownloadError::Full { wanted, free, reserve }),
        }
    }

    /// Removes what is not needed. Done once the entry is saved that says so.
    pub fn keep(&self, needed: Needed<'_>) -> io::Result<()> {
        remove(self.unneeded(needed)?)
    }

    fn unneeded(&self, needed: Needed<'_>) -> io::Result<Vec<PathBuf>> {
        let wanted = match needed {
            Needed::By(offer) => key(offer),
            Needed::Later | Needed::Never => String::new(),
        };
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut unneeded = Vec::new();
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let parts = name.to_str().and_then(|name| name.split_once('.'));
            let stays = parts.is_some_and(|(key, kind)| match needed {
                Needed::By(_) => key == wanted,
                // A whole one of the same URL might be outdated when it is offered again.
                Needed::Later => kind != "raucb",
                Needed::Never => false,
            });
            if !stays {
                unneeded.push(entry.path());
            }
        }
        Ok(unneeded)
    }

    /// Removes what came of this offer.
    pub fn forget(&self, offer: &Offer) -> io::Result<()> {
        for kind in ["raucb", "part", "record"] {
            match fs::remove_file(self.file(offer, kind)) {
                Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        File::open(&self.folder)?.sync_all()
    }

    /// The error of a file of these.
    pub(crate) fn unwritten(&self, source: io::Error) -> DownloadError {
        DownloadError::Write { folder: self.folder.clone(), source }
    }

    fn file(&self, offer: &Offer, kind: &str) -> PathBuf {
        self.folder.join(format!("{}.{kind}", key(offer)))
    }
}

/// Removes each that can be removed; the error is that of the first that cannot. One that is gone is no error: whoever
/// wrote the download may still end what he had begun when it was taken back.
fn remove(files: Vec<PathBuf>) -> io::Result<()> {
    let mut removed = Ok(());
    for file in files {
        match fs::remove_file(&file) {
            Ok(()) => tracing::info!(file = %file.display(), "no update needs it any more"),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => removed = removed.and(Err(error)),
        }
    }
    removed
}

/// What the downloads are needed for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Needed<'a> {
    /// This offer still has to be fetched, verified or installed, now or after the node has settled.
    By(&'a Offer),
    /// The last offer ended because of the network: the next one may name the same URL, or another for the
    /// same content.
    Later,
    /// Nobody wants them any more.
    Never,
}

impl Needed<'_> {
    /// What the node's memory says.
    pub fn by(node: &Node) -> Needed<'_> {
        use Update as U;
        let cut_off = |last: &Ending| {
            last.failure.as_ref().is_some_and(|failure| failure.cause == Cause::Network)
        };
        match (&node.update, &node.pending) {
            (U::Fetching { offer, .. } | U::Verifying { offer, .. }, _) => Needed::By(offer),
            (U::Staging { offer, .. } | U::Installing { offer, .. }, _)
            | (_, Pending::Offer(offer, _)) => Needed::By(offer),
            _ if node.last.as_ref().is_some_and(cut_off) => Needed::Later,
            _ => Needed::Never,
        }
    }
}

/// What the files of an offer are called: no point in it, and nothing of the URL, which may hold a secret.
fn key(offer: &Offer) -> String {
    match &offer.content {
        Some(content) => format!("content-{content}"),
        None => format!("url-{}", sha256(offer.source.as_bytes())),
    }
}
