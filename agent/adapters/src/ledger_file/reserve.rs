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
use std::fs::File;

/// How much is reserved, in bytes: the longest entry more than twenty times.
pub(super) const RESERVE: u64 = 64 << 10;

const _: () = assert!(RESERVE >= 20 * steadfast_core::ledger::MAX_FRAME as u64);

/// How far the blocks of the file are there.
#[derive(Debug, Default)]
pub(super) struct Reserve {
    until: u64,
}

impl Reserve {
    /// Takes what is missing once a quarter of it is used, if the disk has it.
    pub fn keep_up(&mut self, file: &File, length: u64) {
        if self.until >= length + RESERVE * 3 / 4 {
            return;
        }
        if fallocate(file, FallocateFlags::KEEP_SIZE, length, RESERVE).is_ok() {
            self.until = length + RESERVE;
        }
    }
}
