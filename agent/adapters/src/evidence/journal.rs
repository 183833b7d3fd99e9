//! The last lines of each boot's journal, kept on /data while the boot runs.
//!
//! ```text
//! this boot:        journal        written anew, then renamed: whole at any cut
//! the one before:   journal.1      what was `journal` when another boot began to keep its own
//! ```
//!
//! Always true: at most [`ROOM`] bytes of a boot are kept, its last ones; the heading says whose they are,
//! so that no system is shown the words of another one. Why a file of our own: the journal itself is in
//! memory, because a broken /data must never stop those who log.

use std::collections::VecDeque;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use steadfast_core::Slot;

/// How much of one boot is kept, in bytes.
pub const ROOM: usize = 32 << 10;

/// The longest line that is kept, in bytes; the rest of a longer one is dropped.
const LINE: usize = 1000;

const MAGIC: &str = "steadfast-journal";

/// Which boot the lines are of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Heading {
    /// The kernel's id of the boot.
    pub boot: [u8; 16],
    /// The slot that ran.
    pub slot: Slot,
    /// What the image in it calls itself.
    pub version: String,
}

impl Heading {
    fn parse(line: &str) -> Option<Heading> {
        let mut words = line.split(' ');
        let mut word = |name| words.next().filter(|word| *word == name).and(words.next());
        let boot = boot_id(word(MAGIC)?)?;
        let slot = Slot::from_name(word("slot")?)?;
        let version = word("version")?.to_owned();
        Some(Heading { boot, slot, version })
    }
}

impl fmt::Display for Heading {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Heading { boot, slot, version } = self;
        let boot = u128::from_be_bytes(*boot);
        write!(f, "{MAGIC} {boot:032x} slot {slot} version {version}")
    }
}

fn boot_id(hex: &str) -> Option<[u8; 16]> {
    let number = (hex.len() == 32).then(|| u128::from_str_radix(hex, 16).ok())?;
    number.map(u128::to_be_bytes)
}

/// What was kept of one boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Whose it is.
    pub heading: Heading,
    /// Its last lines.
    pub lines: Vec<String>,
}

impl Kept {
    /// Reads what was written; `None` when it is nothing of ours.
    pub fn read(path: &Path) -> Option<Kept> {
        let bytes = fs::read(path).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let mut lines = text.lines();
        let heading = Heading::parse(lines.next()?)?;
        Some(Kept { heading, lines: lines.map(str::to_owned).collect() })
    }

    /// As it is written.
    pub fn text(&self) -> String {
        let lines = self.lines.iter().map(|line| format!("{line}\n"));
        std::iter::once(format!("{}\n", self.heading)).chain(lines).collect()
    }

    /// What the boot before `this` one kept in this folder.
    pub fn of_boot_before(this: [u8; 16], folder: &Path) -> Option<Kept> {
        // In this order: whoever keeps this boot's lines may move the older file right now.
        let newest = Kept::read(&current(folder)).filter(|kept| kept.heading.boot != this);
        newest.or_else(|| Kept::read(&before(folder)).filter(|kept| kept.heading.boot != this))
    }
}

fn current(folder: &Path) -> PathBuf {
    folder.join("journal")
}

fn before(folder: &Path) -> PathBuf {
    folder.join("journal.1")
}

/// The last lines of a stream, at most [`ROOM`] bytes.
#[derive(Debug, Default)]
pub struct Tail {
    lines: VecDeque<String>,
    bytes: usize,
    /// What came of the line that has not ended yet.
    begun: Vec<u8>,
}

impl Tail {
    /// Takes the next bytes of the stream. Returns whether they ended a line.
    pub fn feed(&mut self, mut bytes: &[u8]) -> bool {
        let mut ended = false;
        while let Some(end) = bytes.iter().position(|byte| *byte == b'\n') {
            self.begin(&bytes[..end]);
            let line = std::mem::take(&mut self.begun);
            self.push(String::from_utf8_lossy(&line).into_owned());
            bytes = &bytes[end + 1..];
            ended = true;
        }
        self.begin(bytes);
        ended
    }

    fn begin(&mut self, bytes: &[u8]) {
        let room = LINE - self.begun.len();
        self.begun.extend(&bytes[..bytes.len().min(room)]);
    }

    /// Adds a line, and drops the oldest that no longer fit.
    fn push(&mut self, line: String) {
        self.bytes += line.len() + 1;
        self.lines.push_back(line);
        while self.bytes > ROOM
            && let Some(oldest) = self.lines.pop_front()
        {
            self.bytes -= oldest.len() + 1;
        }
    }

    /// The lines, the oldest first.
    pub fn lines(&self) -> Vec<String> {
        self.lines.iter().cloned().collect()
    }
}

/// How long lines may wait until they are written, `up` after the start of the kernel.
///
/// A trial is judged soon after its boot, so a young boot loses at most two seconds. Later the disk is
/// spared, yet a hang is still written before a watchdog of 40 s ends it.
pub fn pace(up: Duration) -> Duration {
    const YOUNG: Duration = Duration::from_secs(20 * 60);
    Duration::from_secs(if up < YOUNG { 2 } else { 30 })
}

/// Where this boot's lines are kept.
#[derive(Debug)]
pub struct JournalFile {
    folder: PathBuf,
    heading: Heading,
    moved: bool,
}

impl JournalFile {
    /// A place for the boot of this heading.
    pub fn new(folder: &Path, heading: Heading) -> JournalFile {
        JournalFile { folder: folder.to_owned(), heading, moved: false }
    }

    /// Writes the lines so that a cut at any time leaves these or those before.
    pub fn write(&mut self, tail: &Tail) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let path = current(&self.folder);
        if !self.moved {
            let other = |kept: &Kept| kept.heading.boot != self.heading.boot;
            if Kept::read(&path).as_ref().is_some_and(other) {
                fs::rename(&path, before(&self.folder))?;
            }
            self.moved = true;
        }
        let kept = Kept { heading: self.heading.clone(), lines: tail.lines() };
        super::record::replace(&path, kept.text().as_bytes())
    }
}
