//! What was kept in memory while the disk could not be used, and how much of it goes on from the disk.
//!
//! ```text
//! disk     1 2 3        1 2 3 4      1 2            1 2 3
//! memory         4 5          4 5            4 5    1 2 3 4 5
//! appended       4 5            5            4 5    nothing
//!          follows it   in part there  its end lost   another ledger, set aside
//! ```
//!
//! Always true: a frame that the disk has is not appended again; what an agent wrote that could not read the
//! disk is never appended to it; what is not appended is set aside on the disk before memory forgets it. Why:
//! such an agent began with an empty memory, and what it knows says nothing against what the disk knows.

use super::found::segments;
use super::{SEGMENT, sha256};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};
use steadfast_core::Digest;
use steadfast_core::ledger;

/// Where a ledger ends.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct End {
    /// The digest of its last whole frame, whoever wrote it.
    pub head: Option<Digest>,
    /// The sequence number of its last entry that is understood.
    pub sequence: Option<u64>,
}

/// A whole frame in memory.
#[derive(Debug)]
struct Frame {
    place: Range<usize>,
    digest: Digest,
    /// Its sequence number and what it follows, when it is understood.
    link: Option<(u64, Digest)>,
}

/// The whole frames in memory.
#[derive(Debug, Default)]
pub(super) struct Held {
    bytes: Vec<u8>,
    frames: Vec<Frame>,
}

/// What becomes of the frames in memory, the oldest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Joint {
    /// How many are of another ledger.
    pub others: usize,
    /// How many the disk has, those of another ledger counted, too.
    pub there: usize,
}

impl Held {
    /// Reads what this folder holds.
    pub fn read(memory: &Path) -> io::Result<Held> {
        let mut held = Held::default();
        for path in segments(memory) {
            for frame in ledger::frames(&fs::read(path)?) {
                let start = held.bytes.len();
                held.bytes.extend_from_slice(frame.bytes);
                held.frames.push(Frame {
                    place: start..held.bytes.len(),
                    digest: sha256(frame.bytes),
                    link: frame.entry.map(|entry| (entry.sequence, entry.previous)),
                });
            }
        }
        Ok(held)
    }

    /// Whether there is nothing.
    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// Whether an agent wrote it that found no ledger at its start.
    pub fn began_anew(&self) -> bool {
        let oldest = self.frames.len().checked_sub(1).map(|last| &self.frames[self.run(last)]);
        oldest.is_some_and(|oldest| oldest.link.is_none_or(|(sequence, _)| sequence == 1))
    }

    /// Where it goes on from a ledger that ends so; `None` when it is another ledger.
    pub fn joint(&self, disk: End) -> Option<Joint> {
        let Some(head) = disk.head else { return Some(Joint { others: 0, there: 0 }) };
        let there = self.frames.iter().rposition(|frame| frame.digest == head);
        if let Some(at) = there {
            return Some(Joint { others: self.run(at), there: at + 1 });
        }
        let follows = |frame: &Frame| frame.link.is_some_and(|(_, previous)| previous == head);
        if let Some(at) = self.frames.iter().rposition(follows) {
            return Some(Joint { others: at, there: at });
        }
        // Whoever begins with a higher number has read what the disk has lost since.
        let Some(sequence) = disk.sequence else { return Some(Joint { others: 0, there: 0 }) };
        let oldest = self.run(self.frames.len().checked_sub(1)?);
        let (first, _) = self.frames[oldest].link?;
        (first > sequence).then_some(Joint { others: oldest, there: oldest })
    }

    /// The first of the frames that follow each other up to this one.
    fn run(&self, at: usize) -> usize {
        let follows = |at: &usize| {
            let before = at.checked_sub(1).map(|before| self.frames[before].digest);
            self.frames[*at].link.is_none_or(|(_, previous)| Some(previous) == before)
        };
        let broken = (1..=at).rev().find(|at| !follows(at));
        broken.unwrap_or(0)
    }

    /// The frames from this one on.
    pub fn from(&self, first: usize) -> impl Iterator<Item = &[u8]> {
        self.frames[first..].iter().map(|frame| &self.bytes[frame.place.clone()])
    }

    /// The bytes of so many frames, the oldest.
    pub fn oldest(&self, count: usize) -> &[u8] {
        let end = count.checked_sub(1).map_or(0, |last| self.frames[last].place.end);
        &self.bytes[..end]
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.frames.len()
    }
}

/// Forgets what memory holds, the newest last: it tells that the others are on the disk.
pub(super) fn forget(memory: &Path) -> io::Result<()> {
    segments(memory).into_iter().try_for_each(fs::remove_file)
}

fn place(folder: &Path) -> PathBuf {
    folder.join("ledger.aside")
}

/// Keeps frames that are no part of the ledger in this folder, once; what was set aside before goes when a
/// segment does not hold both.
pub(super) fn set_aside(folder: &Path, frames: &[u8]) -> io::Result<()> {
    let mut kept = match fs::read(place(folder)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Vec::new(),
        read => read?,
    };
    if kept.ends_with(frames) {
        return Ok(());
    }
    if (kept.len() + frames.len()) as u64 > SEGMENT {
        kept.clear();
    }
    kept.extend_from_slice(frames);
    let unfinished = folder.join("ledger.aside.new");
    let written = File::create(&unfinished)
        .and_then(|mut file| file.write_all(&kept).and_then(|()| file.sync_all()))
        .and_then(|()| fs::rename(&unfinished, place(folder)));
    if written.is_err() {
        // It takes room that the ledger needs.
        let _ = fs::remove_file(&unfinished);
    }
    written.and_then(|()| File::open(folder)?.sync_all())
}

/// What was set aside here, in words.
pub(super) fn told_aside(folder: &Path) -> Option<String> {
    let kept = fs::read(place(folder)).ok()?;
    let (count, place) = (ledger::frames(&kept).count(), place(folder));
    Some(format!(
        "{count} entries that were kept in memory do not follow it and lie in {}",
        place.display()
    ))
}
