//! A log line by line, from its beginning or its end, and on as it grows.
//!
//! ```text
//! file ──64 KiB──▶ held ──▶ line, line, piece of 16 KiB … ──▶ none: all that is there
//!   └─ cut in front: goes on where it was     cut off: begins anew     removed and made anew: the rest, then the new one
//! ```
//!
//! Always true: a place is counted in bytes since the file was made, so a cut in front moves nothing; what a cut took
//! before it was read is passed over up to the next whole line.

use super::given::Given;
use super::{LONGEST, LogError, read_at};
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// How much is read at once, in bytes.
const CHUNK: usize = 64 << 10;

/// Where reading begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Begin {
    /// At the first whole line.
    First,
    /// So many lines before the end.
    Last(u64),
}

/// The lines of a log.
#[derive(Debug)]
pub struct Lines {
    path: PathBuf,
    file: File,
    /// The next byte to be read, counted since the file was made.
    place: u64,
    /// What was read and not yet told, from `told` on.
    pub(super) held: Vec<u8>,
    told: usize,
}

/// What there was to be read.
enum More {
    /// Bytes, which are held now.
    Bytes,
    /// Nothing at the moment.
    Nothing,
    /// Another file, or the same from its beginning; what is held belongs to the one before.
    Anew,
}

impl Lines {
    /// Opens the log.
    pub fn open(path: &Path, begin: Begin) -> Result<Lines, LogError> {
        let opened = || -> io::Result<Lines> {
            let file = File::open(path)?;
            file.lock_shared()?;
            let (given, length) = (Given::of(&file), file.metadata()?.len());
            let at = match begin {
                Begin::First => given.first,
                Begin::Last(lines) => last(&file, given.first..length, lines)?,
            };
            file.unlock()?;
            let place = given.bytes + at;
            Ok(Lines { path: path.to_owned(), file, place, held: Vec::new(), told: 0 })
        };
        opened().map_err(|source| LogError::Read { path: path.to_owned(), source })
    }

    /// The next line, without its end, or a piece of [`LONGEST`] bytes of one that is longer; none when no further line
    /// is there yet.
    pub fn line(&mut self) -> Result<Option<Vec<u8>>, LogError> {
        loop {
            if let Some(line) = self.split() {
                return Ok(Some(line));
            }
            let more = self.more();
            match more.map_err(|source| LogError::Read { path: self.path.clone(), source })? {
                More::Bytes => {}
                More::Nothing => return Ok(None),
                More::Anew => {
                    if let Some(line) = self.rest() {
                        return Ok(Some(line));
                    }
                }
            }
        }
    }

    /// What stands behind the last line's end.
    pub fn rest(&mut self) -> Option<Vec<u8>> {
        let rest = self.held.split_off(self.told);
        (self.held, self.told) = (Vec::new(), 0);
        Some(rest).filter(|rest| !rest.is_empty())
    }

    fn split(&mut self) -> Option<Vec<u8>> {
        let held = &self.held[self.told..];
        let (line, behind) = match held.iter().take(LONGEST + 1).position(|byte| *byte == b'\n') {
            Some(end) => (held[..end].to_vec(), end + 1),
            None if held.len() > LONGEST => (held[..LONGEST].to_vec(), LONGEST),
            None => return None,
        };
        self.told += behind;
        Some(line)
    }

    fn more(&mut self) -> io::Result<More> {
        self.file.lock_shared()?;
        let (given, length) = (Given::of(&self.file), self.file.metadata()?.len());
        let at = match self.place.checked_sub(given.bytes) {
            Some(at) if at <= length => at,
            // It was cut off, or more was given back than was read.
            _ => {
                self.file.unlock()?;
                self.place = given.bytes + given.first.min(length);
                return Ok(More::Anew);
            }
        };
        self.held.drain(..self.told);
        self.told = 0;
        let old = self.held.len();
        self.held.resize(old + CHUNK, 0);
        let read = read_at(&self.file, &mut self.held[old..], at)?;
        self.file.unlock()?;
        self.held.truncate(old + read);
        self.place += read as u64;
        if read > 0 { Ok(More::Bytes) } else { self.other() }
    }

    /// Whether the log is another file by now.
    fn other(&mut self) -> io::Result<More> {
        let file = match File::open(&self.path) {
            // Perhaps it is made anew.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(More::Nothing),
            file => file?,
        };
        let (own, found) = (self.file.metadata()?, file.metadata()?);
        if (own.dev(), own.ino()) == (found.dev(), found.ino()) {
            return Ok(More::Nothing);
        }
        let given = Given::of(&file);
        (self.place, self.file) = (given.bytes + given.first, file);
        Ok(More::Anew)
    }
}

/// Where the last `lines` lines of this part of a file begin; what stands behind the last line's end is one, too.
pub(super) fn last(file: &File, part: Range<u64>, lines: u64) -> io::Result<u64> {
    let (mut chunk, mut end, mut left) = (vec![0; CHUNK], part.end, lines);
    if lines == 0 {
        return Ok(part.end);
    }
    while end > part.start {
        let start = end.saturating_sub(CHUNK as u64).max(part.start);
        let read = read_at(file, &mut chunk[..(end - start) as usize], start)?;
        for at in (0..read).rev().filter(|at| chunk[*at] == b'\n') {
            let behind = start + at as u64 + 1;
            // The end of the last line is no line of its own.
            if behind < part.end {
                left -= 1;
            }
            if left == 0 {
                return Ok(behind);
            }
        }
        end = start;
    }
    Ok(part.start)
}
