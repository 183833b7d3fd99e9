//! The log files of containers: kept within bounds while they are written, read from their end, and followed.
//!
//! ```text
//! shim ──O_APPEND──▶ [ given back │ about half the limit, as it was written ] ◀── Lines: all, the last N, what comes
//!                      bound ─────▶ the front is cut out of the file, which goes on at the same end
//! ```
//!
//! Always true: the file stays the same, because its writer keeps it open: it is never renamed or made anew here; on a
//! file system that can cut (ext4, XFS) no byte that is written meanwhile is lost or moved behind another; a reader
//! that keeps pace sees every byte once, whatever is cut; memory is bounded whatever a container writes.
//!
//! A cut is at a block, so it may leave a part of a line in front. How much was given back and where the first whole
//! line begins stands in the file's attribute `user.steadfast.given`; who reads with [`Lines`] begins there, and who
//! reads the file with something else sees that part first. A lock (flock) keeps the two apart.

mod cut;
mod given;
mod lines;
#[cfg(test)]
mod tests;

pub use cut::{Bounded, bound};
pub use lines::{Begin, Lines};

use given::Given;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::time::Duration;
use steadfast_core::{Text, text};

/// How often whoever follows a log looks whether it grew: only then does anything wake up for it, and nothing has to
/// be set up that a file which is removed and made anew would outlive.
pub const PACE: Duration = Duration::from_millis(250);

/// The longest piece of a line, in bytes; a longer line comes in several.
pub const LONGEST: usize = 16 << 10;

/// How far back the last words are looked for, in bytes.
const LAST_WORDS: usize = 4 << 10;

/// Why a log cannot be read or bounded.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// It cannot be opened or read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Its front cannot be given back.
    #[error("{path} cannot be kept within its bounds")]
    Bound {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
}

/// The end of a log: at most so many lines and so many bytes. What is no UTF-8 is replaced; a file that is not there
/// has no end.
pub fn tail(path: &Path, lines: u64, bytes: usize) -> Result<String, LogError> {
    let read = || -> io::Result<String> {
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(String::new()),
            file => file?,
        };
        file.lock_shared()?;
        let (given, length) = (Given::of(&file), file.metadata()?.len());
        let from = lines::last(&file, given.first..length, lines)?;
        let from = from.max(length.saturating_sub(u64::try_from(bytes).unwrap_or(u64::MAX)));
        let mut end = vec![0; usize::try_from(length - from).unwrap_or(bytes)];
        let read = read_at(&file, &mut end, from)?;
        Ok(String::from_utf8_lossy(&end[..read]).into_owned())
    };
    read().map_err(|source| LogError::Read { path: path.to_owned(), source })
}

/// The last line with something in it, as evidence: cut off at 160 bytes, and empty where there is none.
pub fn last_words(path: &Path) -> Text {
    let end = tail(path, u64::MAX, LAST_WORDS).unwrap_or_default();
    let last = end.lines().rfind(|line| !line.trim().is_empty());
    text(format_args!("{}", last.unwrap_or_default().trim()))
}

/// Reads until the buffer is full or the file ends.
fn read_at(file: &File, buffer: &mut [u8], from: u64) -> io::Result<usize> {
    let mut read = 0;
    while read < buffer.len() {
        match file.read_at(&mut buffer[read..], from + read as u64)? {
            0 => break,
            count => read += count,
        }
    }
    Ok(read)
}
