//! The reserve: blocks of the disk that the ledger has before it needs them.
//!
//! ```text
//! ledger    entries ··········│ reserve ·····│        its length ends at the bar, its blocks behind it
//!           an append moves the bar, and needs no block of the disk
//! ```
//!
//! Always true: nobody reads it, for it lies behind the end of the file, and nobody else can take it; a cut
//! leaves it there or not, and one that is not there is no fault, but only a ledger that a full disk moves
//! to memory. Why in the file and not beside it: what a file gives up on a full disk another writer may
//! take first.

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;
use std::fs::File;
use std::path::Path;

/// How much is reserved, in bytes: the longest entry more than eighteen times.
pub(super) const RESERVE: u64 = 64 << 10;

const _: () = assert!(RESERVE >= 18 * steadfast_core::ledger::MAX_FRAME as u64);

/// How far the blocks of the file are there.
#[derive(Debug, Default)]
pub(super) struct Reserve {
    until: u64,
    refused: Option<Errno>,
}

impl Reserve {
    /// Takes what is missing once a quarter of it is used, if the disk has it.
    pub fn keep_up(&mut self, file: &File, length: u64) {
        if !self.is_low(length) {
            return;
        }
        match fallocate(file, FallocateFlags::KEEP_SIZE, length, RESERVE) {
            Ok(()) => *self = Reserve { until: length + RESERVE, refused: None },
            Err(error) => self.refused = Some(error),
        }
    }

    /// Whether a quarter of it is used and the disk is too full to give more. A file system that reserves
    /// nothing (fallocate(2), EOPNOTSUPP) is not full.
    pub fn is_wanting(&self, length: u64) -> bool {
        self.is_low(length) && self.refused.is_some_and(is_full)
    }

    fn is_low(&self, length: u64) -> bool {
        self.until < length + RESERVE * 3 / 4
    }
}

/// Whether the disk has no room for one entry more in this file: a look that reads nothing of it.
pub(super) fn is_at_its_end(path: &Path) -> bool {
    let Ok(file) = File::options().write(true).open(path) else { return false };
    let Ok(length) = file.metadata().map(|found| found.len()) else { return false };
    let entry = steadfast_core::ledger::MAX_FRAME as u64;
    fallocate(&file, FallocateFlags::KEEP_SIZE, length, entry).is_err_and(is_full)
}

fn is_full(error: Errno) -> bool {
    matches!(error, Errno::NOSPC | Errno::DQUOT)
}
