//! The record of a disk: every write and flush, in the order in which the disk had them.
//!
//! ```text
//! magic, version, entries, sector size │ entry │ data … │ entry │ data … │ …    each part begins a sector
//! entry: first sector, sectors, flags, length of a mark                        all u64, little-endian
//! ```
//!
//! The format is that of the kernel's dm-log-writes (drivers/md/dm-log-writes.c); QEMU's driver `blklogwrites`
//! writes it.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

const MAGIC: u64 = 0x006a_7366_7773_6872;
const VERSION: u64 = 1;
/// Bytes of the head and of an entry that are read.
const HEAD: usize = 28;
const ENTRY: usize = 32;
/// What an entry's flags say.
const FLUSH: u64 = 1;
const FUA: u64 = 2;
const DISCARD: u64 = 4;
const MARK: u64 = 8;

/// What the disk was told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    /// Whether everything before it is on the disk for good.
    pub(super) flush: bool,
    /// Whether it is itself on the disk for good once it has ended.
    pub(super) durable: bool,
    /// What is written.
    pub(super) write: Option<Write>,
}

/// A write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Write {
    /// Where on the disk, in bytes.
    pub(super) at: u64,
    /// How many bytes.
    pub(super) length: u64,
    /// Where its bytes are in the record; zeros without.
    place: Option<u64>,
}

/// A whole record.
#[derive(Debug)]
pub(super) struct WriteLog {
    file: File,
    /// Everything that the disk was told, first to last.
    pub(super) entries: Vec<Entry>,
}

impl WriteLog {
    /// Reads the record in the file at `path`.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let context = || format!("the record {}", path.display());
        let file = File::open(path).with_context(context)?;
        let entries = entries(&file).with_context(context)?;
        Ok(Self { file, entries })
    }

    /// How much it is, in one line; its points are counted from `first` on.
    pub(super) fn described(&self, first: usize) -> String {
        let writes: Vec<&Write> = self.entries.iter().flat_map(|entry| &entry.write).collect();
        let flushes = self.entries.iter().filter(|entry| entry.flush).count();
        let bytes: u64 = writes.iter().map(|write| write.length).sum();
        format!(
            "{} writes, {flushes} flushes, {:.1} MiB; points {first} to {}",
            writes.len(),
            bytes as f64 / f64::from(1 << 20),
            first + self.entries.len(),
        )
    }

    /// The first `length` bytes of a write.
    pub(super) fn bytes(&self, write: &Write, length: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length.min(write.length))?];
        if let Some(place) = write.place {
            self.file.read_exact_at(&mut bytes, place).context("the record ends too early")?;
        }
        Ok(bytes)
    }
}

fn entries(file: &File) -> Result<Vec<Entry>> {
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, 0)?;
    ensure!(number(&head, 0) == MAGIC, "it is no record of writes");
    ensure!(number(&head, 8) == VERSION, "it has version {}", number(&head, 8));
    let sector = number(&head, 24) & 0xffff_ffff;
    ensure!(sector >= 512, "its sectors have {sector} bytes");
    let mut entries = Vec::new();
    let mut place = sector;
    for _ in 0..number(&head, 16) {
        let mut entry = [0; ENTRY];
        file.read_exact_at(&mut entry, place).context("it ends too early")?;
        let (first, sectors, flags) = (number(&entry, 0), number(&entry, 8), number(&entry, 16));
        ensure!(flags & MARK == 0, "it has a mark, which nobody made");
        place += sector;
        let length = sectors * sector;
        let zeros = flags & DISCARD != 0;
        let write = (length > 0).then(|| Write {
            at: first * sector,
            length,
            place: (!zeros).then_some(place),
        });
        entries.push(Entry { flush: flags & FLUSH != 0, durable: flags & FUA != 0, write });
        if !zeros {
            place += length;
        }
    }
    Ok(entries)
}

/// The eight bytes at `at`; what lies behind the end is zero.
fn number(bytes: &[u8], at: usize) -> u64 {
    bytes[at..].iter().take(8).rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
pub(super) mod tests {
    use std::path::PathBuf;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::{env, fs, process};

    use super::*;

    /// A record of these entries: first sector, bytes, flags.
    pub(crate) fn record(name: &str, told: &[(u64, Vec<u8>, u64)]) -> (WriteLog, PathBuf) {
        let mut bytes = Vec::new();
        let sector = |bytes: &mut Vec<u8>, numbers: &[u64]| {
            let start = bytes.len();
            bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
            bytes.resize(start + 512, 0);
        };
        sector(&mut bytes, &[MAGIC, VERSION, told.len() as u64, 512]);
        for (first, data, flags) in told {
            sector(&mut bytes, &[*first, data.len() as u64 / 512, *flags, 0]);
            if flags & DISCARD == 0 {
                bytes.extend(data);
            }
        }
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("steadfast-lab-{name}-{}-{number}.log", process::id());
        let path = env::temp_dir().join(name);
        fs::write(&path, bytes).expect("written");
        (WriteLog::open(&path).expect("a record"), path)
    }

    #[test]
    fn a_record_is_read_entry_by_entry() {
        let (log, path) = record(
            "read",
            &[
                (8, vec![7; 1024], 0),
                (0, Vec::new(), FLUSH),
                (20, vec![0; 512], DISCARD),
                (9, vec![8; 512], FUA),
            ],
        );
        assert_eq!(log.described(5), "3 writes, 1 flushes, 0.0 MiB; points 5 to 9");
        let writes: Vec<_> = log.entries.iter().map(|entry| entry.write.as_ref()).collect();
        let places: Vec<_> =
            writes.iter().flatten().map(|write| (write.at, write.length)).collect();
        assert_eq!(places, [(8 * 512, 1024), (20 * 512, 512), (9 * 512, 512)]);
        let flags: Vec<_> = log.entries.iter().map(|entry| (entry.flush, entry.durable)).collect();
        assert_eq!(flags, [(false, false), (true, false), (false, false), (false, true)]);
        let bytes =
            |n: usize, length| log.bytes(writes[n].expect("a write"), length).expect("read");
        assert_eq!(bytes(0, 1024), [7; 1024]);
        assert_eq!(bytes(0, 512), [7; 512]);
        assert_eq!(bytes(2, 512), [0; 512]);
        assert_eq!(bytes(3, 512), [8; 512], "a discard has no bytes in the record");
        fs::remove_file(path).expect("removed");
    }

    #[test]
    fn what_is_no_whole_record_is_an_error() {
        let (_, path) = record("cut", &[(8, vec![7; 1024], 0), (0, Vec::new(), FLUSH)]);
        let whole = fs::read(&path).expect("read");
        for bad in [&whole[..100], &whole[..whole.len() - 512], &[0; 4096]] {
            fs::write(&path, bad).expect("written");
            assert!(WriteLog::open(&path).is_err());
        }
        fs::remove_file(path).expect("removed");
    }
}
