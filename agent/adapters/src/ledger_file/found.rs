//! What is found of a ledger: the segments of a folder, read one after the other.
//!
//! ```text
//! ledger.3  ledger.2  ledger.1  ledger
//! entries   EIO       entries   entries      the newest decides where the node resumes
//!           told, and the next one starts as after a lost one
//! ```
//!
//! Always true: of a closed segment that the disk does not give nothing is made but words: nobody writes it any
//! more, and where the node stands is in the newest. Without the newest nothing is appended, for nobody knows
//! what that would follow.

use super::held::End;
use super::{Foreign, sha256};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use steadfast_core::Digest;
use steadfast_core::ledger::{self, Last};

/// How many closed segments are kept.
pub(super) const CLOSED: usize = 8;

/// The closed segments, the oldest first, those that are not there, too.
pub(super) fn closed(folder: &Path) -> impl Iterator<Item = PathBuf> {
    (1..=CLOSED).rev().map(|number| folder.join(format!("ledger.{number}")))
}

/// The segment that is appended to.
pub(super) fn newest(folder: &Path) -> PathBuf {
    folder.join("ledger")
}

/// The segments that are there, the oldest first.
pub(super) fn segments(folder: &Path) -> Vec<PathBuf> {
    closed(folder).chain([newest(folder)]).filter(|path| path.exists()).collect()
}

/// What a folder holds of a ledger.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub last: Option<Last>,
    /// The digest of the last whole frame, whoever wrote it.
    head: Option<Digest>,
    pub entries: u64,
    unknown: u64,
    damaged: usize,
    /// Which closed segments the disk does not give, and why.
    unread: Vec<String>,
    /// Why it does not give the newest one.
    without_newest: Option<io::Error>,
    pub broken_at: Option<u64>,
    pub newest_end: u64,
    /// How many bytes behind the last whole frame were cut off.
    pub tail: u64,
}

impl Found {
    /// Reads what can be read.
    pub fn read(folder: &Path) -> Found {
        let mut all = Found::default();
        let (mut before, mut youngest_unread) = (None, None);
        for path in closed(folder) {
            match fs::read(&path) {
                Ok(bytes) => {
                    all.take(&bytes, &mut before);
                    youngest_unread = None;
                }
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => {
                    let name = path.file_name().unwrap_or_default().display();
                    all.unread.push(format!("{name} cannot be read: {error}"));
                    (before, youngest_unread) = (None, Some(error));
                }
            }
        }
        let closed_entries = all.entries;
        match fs::read(newest(folder)) {
            Ok(bytes) => all.take(&bytes, &mut before),
            Err(error) if error.kind() == ErrorKind::NotFound => {}
            Err(error) => all.without_newest = Some(error),
        }
        // A newest one without an entry says nothing: the one before it would.
        if all.entries == closed_entries {
            all.without_newest = all.without_newest.or(youngest_unread);
        }
        if let (Some(last), Some(head)) = (&mut all.last, all.head) {
            last.head = head;
        }
        all
    }

    /// The next segment; its first entry follows `before`, unless that is lost.
    fn take(&mut self, bytes: &[u8], before: &mut Option<Digest>) {
        // The oldest segment may follow one that is no longer kept.
        let first = || ledger::frames(bytes).find_map(|frame| frame.entry);
        let follows = before.unwrap_or_else(|| {
            first().filter(|it| it.sequence != 1).map_or(Digest::ZERO, |it| it.previous)
        });
        let found = ledger::read(bytes, follows, sha256);
        if found.entries > 0 {
            (*before, self.head) = (Some(found.head), Some(found.head));
        }
        self.last = found.last.or(self.last.take());
        self.entries += found.entries;
        self.unknown += found.unknown;
        self.damaged += found.damaged;
        self.broken_at = self.broken_at.or(found.broken_at);
        self.newest_end = found.end as u64;
    }

    /// The same, or why there is no newest segment in it.
    pub fn with_newest(self) -> io::Result<Found> {
        match self.without_newest {
            Some(error) => Err(error),
            None => Ok(self),
        }
    }

    pub fn end(&self) -> End {
        End { head: self.head, sequence: self.last.as_ref().map(|last| last.entry.sequence) }
    }

    pub fn foreign(&self) -> Option<Foreign> {
        let head = self.head.filter(|_| self.last.is_none())?;
        Some(Foreign { entries: self.entries, head })
    }

    /// What is wrong with it, beside a torn tail, which is never longer than one frame.
    pub fn damage(&self) -> Option<String> {
        let mut wrong = self.unread.clone();
        if self.damaged > 0 {
            wrong.push(format!("{} bytes in the middle are not entries", self.damaged));
        }
        if self.tail > ledger::MAX_FRAME as u64 {
            wrong.push(format!("{} bytes at the end were not entries", self.tail));
        }
        if self.unknown > 0 {
            wrong.push(format!("{} entries are another version's", self.unknown));
        }
        (!wrong.is_empty()).then(|| wrong.join("; "))
    }
}
