//! What is kept of a boot that failed: the kernel's last words, the watchdog's flag, the journal's end.
//!
//! ```text
//! evidence/failed/41-1.2.0/   about  kernel  journal      41 is the ledger's entry that tells of it
//! ```
//!
//! Always true: a record is there whole or not at all; the newest [`MOST`] are kept, each at most 64 KiB;
//! a full disk loses records, the oldest first, and nothing else, and none that would go
//! for nothing; only root reads them.

use super::journal::{Kept, ROOM};
use crate::watchdog::LastReset;
use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use steadfast_core::Slot;

/// How many records are kept.
pub const MOST: usize = 8;

/// How much of the kernel's words is kept, in bytes: the end, where a panic stands.
pub const KERNEL: usize = 16 << 10;

const _: () = assert!(KERNEL + ROOM + 1024 <= 64 << 10, "a record has at most 64 KiB");

/// Which system failed, and where the ledger tells of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// What it calls itself.
    pub version: String,
    /// Its slot.
    pub slot: Slot,
    /// The ledger's entry that tells of it.
    pub sequence: u64,
    /// Which of the node's endings it leads to; none for a committed system that started again.
    pub ending: Option<u32>,
    /// Whether the watchdog made the reset.
    pub reset: LastReset,
}

/// All that is kept of one boot that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Which one.
    pub failed: Failed,
    /// The kernel's last words.
    pub kernel: Option<Vec<String>>,
    /// The journal's last lines.
    pub journal: Option<Kept>,
}

impl Record {
    fn says_nothing(&self) -> bool {
        let Record { failed, kernel, journal } = self;
        kernel.is_none() && journal.is_none() && failed.reset == LastReset::Other
    }

    /// How much it says. Of the boots on the way to one ending the first saw the failure, unless a later
    /// one was ended by its kernel or by the hardware.
    fn weight(&self) -> u8 {
        let panicked = self.kernel.iter().flatten().any(|line| super::is_panic(line));
        match (panicked, self.failed.reset) {
            (true, _) => 2,
            (false, LastReset::ByWatchdog) => 1,
            (false, LastReset::Other) => 0,
        }
    }
}

/// The records on /data.
#[derive(Clone, Debug)]
pub struct Records {
    folder: PathBuf,
}

impl Records {
    /// The records in the folder of the evidence.
    pub fn new(evidence: &Path) -> Records {
        Records { folder: evidence.join("failed") }
    }

    /// Keeps a record. When the disk is full, older ones go until it fits; the error is that of the
    /// disk without any.
    pub fn save(&self, record: &Record) -> io::Result<()> {
        self.save_by(record, |record| self.write(record))
    }

    fn save_by(
        &self,
        record: &Record,
        mut write: impl FnMut(&Record) -> io::Result<()>,
    ) -> io::Result<()> {
        if record.says_nothing() {
            return Ok(());
        }
        let mut told = Vec::new();
        if let Some(ending) = record.failed.ending {
            told = self.all();
            told.retain(|other| other.failed.ending == Some(ending));
            if told.iter().any(|other| {
                other.weight() >= record.weight() && other.failed.sequence < record.failed.sequence
            }) {
                return Ok(());
            }
        }
        self.clear_halves();
        let worth_it = self.outweigh(record);
        while let Err(error) = write(record) {
            let left = self.list().len();
            if left == 0 || !worth_it || error.kind() != io::ErrorKind::StorageFull {
                return Err(error);
            }
            self.drop_oldest(left - 1)?;
        }
        // What it takes the place of goes once it is there.
        told.retain(|other| other.failed.sequence != record.failed.sequence);
        told.iter().try_for_each(|other| gone(fs::remove_dir_all(self.place(&other.failed))))?;
        self.drop_oldest(MOST)
    }

    /// Whether what is kept takes as much of the disk as a record. If not, it could go for nothing.
    fn outweigh(&self, record: &Record) -> bool {
        let journal = record.journal.as_ref().map(|kept| kept.text().len());
        let kernel = record.kernel.as_ref().map(|lines| end_of(lines, KERNEL).len());
        // The folder, and what says whose it is.
        let files = [Some(0), Some(0), journal, kernel].into_iter().flatten();
        let wanted: u64 = files.map(|bytes| (bytes as u64).next_multiple_of(4096).max(4096)).sum();
        let kept = self.list().into_iter().flat_map(|(_, path)| {
            let file = |name| path.join(name);
            [file("about"), file("kernel"), file("journal"), path.clone()]
        });
        let blocks = kept.filter_map(|path| fs::metadata(path).ok()).map(|it| it.blocks());
        blocks.sum::<u64>() * 512 >= wanted
    }

    /// The records, the oldest first. What cannot be read is not there.
    pub fn all(&self) -> Vec<Record> {
        let read = |(failed, path): (Failed, PathBuf)| Record {
            failed,
            kernel: lines(&path.join("kernel")),
            journal: Kept::read(&path.join("journal")),
        };
        self.list().into_iter().map(read).collect()
    }

    fn list(&self) -> Vec<(Failed, PathBuf)> {
        let Ok(folder) = fs::read_dir(&self.folder) else { return Vec::new() };
        let paths = folder.flatten().map(|entry| entry.path());
        let mut found: Vec<(Failed, PathBuf)> = paths
            .filter_map(|path| {
                let about = fs::read_to_string(path.join("about")).ok()?;
                Some((parse(&about)?, path))
            })
            .collect();
        found.sort_by_key(|(failed, _)| failed.sequence);
        found
    }

    /// Removes what a power cut left of records that were being removed: nobody counts what does not say whose it is.
    fn clear_halves(&self) {
        let Ok(folder) = fs::read_dir(&self.folder) else { return };
        let paths = folder.flatten().map(|entry| entry.path()).filter(|path| path.is_dir());
        for half in paths.filter(|path| path.join("about").try_exists().is_ok_and(|there| !there)) {
            if let Err(error) = fs::remove_dir_all(&half) {
                tracing::warn!(half = %half.display(), %error, "half a record could not be removed");
            }
        }
    }

    fn place(&self, failed: &Failed) -> PathBuf {
        self.folder.join(format!("{}-{}", failed.sequence, failed.version))
    }

    fn drop_oldest(&self, keep: usize) -> io::Result<()> {
        let list = self.list();
        let over = list.len().saturating_sub(keep);
        list.into_iter().take(over).try_for_each(|(_, path)| fs::remove_dir_all(path))
    }

    fn write(&self, record: &Record) -> io::Result<()> {
        let Record { failed, kernel, journal } = record;
        let mut folder = fs::DirBuilder::new();
        folder.recursive(true).mode(0o700).create(&self.folder)?;
        let making = self.folder.join("new");
        gone(fs::remove_dir_all(&making))?;
        folder.create(&making)?;
        let written = (|| {
            if let Some(kernel) = kernel {
                write(&making.join("kernel"), end_of(kernel, KERNEL).as_bytes())?;
            }
            if let Some(journal) = journal {
                write(&making.join("journal"), journal.text().as_bytes())?;
            }
            write(&making.join("about"), about(failed).as_bytes())?;
            File::open(&making)?.sync_all()?;
            let named = self.place(failed);
            gone(fs::remove_dir_all(&named))?;
            fs::rename(&making, named)?;
            File::open(&self.folder)?.sync_all()
        })();
        if written.is_err() {
            // What is half-written must not take the room of an older one.
            let _ = fs::remove_dir_all(&making);
        }
        written
    }
}

fn about(failed: &Failed) -> String {
    let Failed { version, slot, sequence, ending, reset } = failed;
    let ending = ending.map(|ending| format!("ending {ending}\n")).unwrap_or_default();
    let reset = if *reset == LastReset::ByWatchdog { "watchdog" } else { "other" };
    format!("version {version}\nslot {slot}\nsequence {sequence}\n{ending}reset {reset}\n")
}

fn parse(about: &str) -> Option<Failed> {
    let word = |name| {
        let mut pairs = about.lines().filter_map(|line| line.split_once(' '));
        pairs.find_map(|(key, value)| (key == name).then_some(value))
    };
    Some(Failed {
        version: word("version")?.to_owned(),
        slot: Slot::from_name(word("slot")?)?,
        sequence: word("sequence")?.parse().ok()?,
        ending: word("ending").and_then(|ending| ending.parse().ok()),
        reset: match word("reset")? {
            "watchdog" => LastReset::ByWatchdog,
            _ => LastReset::Other,
        },
    })
}

fn lines(path: &Path) -> Option<Vec<String>> {
    let bytes = fs::read(path).ok()?;
    Some(String::from_utf8_lossy(&bytes).lines().map(str::to_owned).collect())
}

/// The last whole lines that fit into `room` bytes.
fn end_of(lines: &[String], room: usize) -> String {
    let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
    let mut start = text.ceil_char_boundary(text.len().saturating_sub(room));
    if start > 0 {
        start += text[start..].find('\n').map_or(0, |end| end + 1);
    }
    text[start..].to_owned()
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Writes a file that only root reads, down to the disk.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file =
        File::options().create(true).truncate(true).write(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Puts a new file in the place of the old one: after a cut the one or the other is there, whole.
pub(super) fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let making = path.with_extension("new");
    if let Err(error) = write(&making, bytes).and_then(|()| fs::rename(&making, path)) {
        // Half a file must not take the room of others.
        let _ = fs::remove_file(&making);
        return Err(error);
    }
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(sequence: u64) -> Record {
        let (version, slot, reset) = ("1.2.0".to_owned(), Slot::B, LastReset::ByWatchdog);
        let failed = Failed { version, slot, sequence, ending: None, reset };
        Record { failed, kernel: None, journal: None }
    }

    /// Four records, and a fifth that fails with this error as long as more than `room` are left.
    fn fifth(room: usize, kind: io::ErrorKind) -> (io::Result<()>, Vec<u64>) {
        let folder = tempfile::tempdir().expect("a folder");
        let records = Records::new(folder.path());
        (1..=4).for_each(|sequence| records.save(&record(sequence)).expect("writable"));
        let saved = records.save_by(&record(5), |record| match records.list().len() > room {
            true => Err(kind.into()),
            false => records.write(record),
        });
        (saved, records.all().iter().map(|record| record.failed.sequence).collect())
    }

    #[test]
    fn a_full_disk_loses_the_oldest_until_the_newest_fits() {
        let (saved, left) = fifth(2, io::ErrorKind::StorageFull);
        saved.expect("two went");
        assert_eq!(left, [3, 4, 5]);
    }

    #[test]
    fn a_disk_that_is_broken_and_not_full_loses_no_record_for_another() {
        let (saved, left) = fifth(2, io::ErrorKind::ReadOnlyFilesystem);
        assert_eq!(saved.expect_err("it is broken").kind(), io::ErrorKind::ReadOnlyFilesystem);
        assert_eq!(left, [1, 2, 3, 4]);
    }

    #[test]
    fn what_a_cut_left_of_a_record_that_was_being_removed_goes_with_the_next_one() {
        let folder = tempfile::tempdir().expect("a folder");
        let records = Records::new(folder.path());
        (1..=2).for_each(|sequence| records.save(&record(sequence)).expect("writable"));
        let half = records.place(&record(1).failed);
        write(&half.join("journal"), b"the last line\n").expect("writable");
        fs::remove_file(half.join("about")).expect("it is there");
        records.save(&record(3)).expect("writable");
        assert!(!half.exists());
        let left = records.all();
        assert_eq!(left, [record(2), record(3)]);
    }
}
