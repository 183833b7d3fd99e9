//! Gives back the front of a file that somebody appends to.
//!
//! Two ways. Where the file system can take blocks out of a file (`FALLOC_FL_COLLAPSE_RANGE`, fallocate(2): ext4, XFS)
//! that is one step for everybody who writes, so that nothing is lost. Elsewhere (tmpfs) the rest is copied to the front
//! and the file cut off behind it: what is appended between the last look and the cut is lost, which is some
//! microseconds' worth, and whoever is killed in between leaves lines twice. Both keep the file, and both need no
//! further room.

use super::given::Given;
use super::{LogError, read_at};
use rustix::fs::{FallocateFlags, fallocate, fstatvfs};
use rustix::io::Errno;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// How far a line's end is looked for behind a cut, in bytes.
const LOOK: usize = 64 << 10;

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bounded {
    /// It is not there, or not longer than it may be.
    Fits,
    /// So many bytes of its front were given back.
    Gave(u64),
    /// Somebody reads it at this moment; at twice the limit that is no reason any more, and costs the reader its place.
    Busy,
}

/// Keeps the file within `limit` bytes, but for what is written until the next call: a longer one gives back its front,
/// so that half the limit stays, and up to a block more.
pub fn bound(path: &Path, limit: u64) -> Result<Bounded, LogError> {
    let failed = |source| LogError::Bound { path: path.to_owned(), source };
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => cut(&file, limit).map_err(failed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Bounded::Fits),
        Err(error) => Err(failed(error)),
    }
}

fn cut(file: &File, limit: u64) -> io::Result<Bounded> {
    let length = file.metadata()?.len();
    if length <= limit {
        return Ok(Bounded::Fits);
    }
    match file.try_lock() {
        Err(TryLockError::WouldBlock) if length <= 2 * limit => return Ok(Bounded::Busy),
        Ok(()) | Err(TryLockError::WouldBlock) => {}
        Err(TryLockError::Error(error)) => return Err(error),
    }
    let block = fstatvfs(file)?.f_bsize.max(1);
    // Blocks can be taken out only where something stays behind them.
    let keep = (limit / 2).max(1);
    let bytes = (length - keep) / block * block;
    if bytes == 0 {
        return Ok(Bounded::Fits);
    }
    let first = first_line(file, bytes)?;
    match fallocate(file, FallocateFlags::COLLAPSE_RANGE, 0, bytes) {
        // EINVAL: its blocks are larger than it says, as with ext4's bigalloc.
        Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => move_down(file, bytes)?,
        done => done?,
    }
    let before = Given::of(file).bytes;
    Given { bytes: before + bytes, first }.record(file);
    Ok(Bounded::Gave(bytes))
}

/// Where the first whole line behind the cut begins, from the cut; there itself when no line ends within [`LOOK`].
fn first_line(file: &File, cut: u64) -> io::Result<u64> {
    let mut bytes = vec![0; LOOK];
    // The byte before it tells whether the cut is where a line begins.
    let read = read_at(file, &mut bytes, cut - 1)?;
    let end = bytes[..read].iter().position(|byte| *byte == b'\n');
    Ok(end.map_or(0, |end| end as u64))
}

/// Moves what is behind the first `bytes` to the front, with what is appended meanwhile, and cuts the file off.
pub(super) fn move_down(file: &File, bytes: u64) -> io::Result<()> {
    let (mut chunk, mut to) = (vec![0; LOOK], 0);
    loop {
        match read_at(file, &mut chunk, to + bytes)? {
            0 => return file.set_len(to),
            count => {
                file.write_all_at(&chunk[..count], to)?;
                to += count as u64;
            }
        }
    }
}
