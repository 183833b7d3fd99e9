//! A disk that is brought to any cut of a record and back, in place.
//!
//! ```text
//! start ─settle─► everything durable ─cut─► as the power left it ─judged─► mend ─► everything durable ─settle─► …
//! ```
//!
//! Each partition has a trace: equal traces mean equal bytes, so that nothing is judged twice.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use super::cut::{Cut, End, Piece, Power, SECTOR};
use super::log::{Write, WriteLog};
use crate::disks::{self, Partition};

/// The name for what lies in no partition.
pub(super) const OUTSIDE: &str = "outside of the partitions";

/// A disk image and how far it has come.
pub(super) struct Disk {
    /// Its file.
    pub(super) path: PathBuf,
    file: File,
    settled: usize,
    /// Its partitions by name.
    pub(super) partitions: BTreeMap<String, Partition>,
    traces: BTreeMap<String, u64>,
}

/// What was there before a cut.
pub(super) struct Undo {
    bytes: Vec<(u64, Vec<u8>)>,
    traces: BTreeMap<String, u64>,
}

impl Disk {
    /// A copy of the image `start` at `path`.
    pub(super) fn copy(start: &Path, path: &Path) -> Result<Self> {
        disks::sparse_copy(start, path)?;
        Self::open(path, disks::partitions(path)?)
    }

    /// The image at `path` with these partitions.
    pub(super) fn open(path: &Path, partitions: BTreeMap<String, Partition>) -> Result<Self> {
        let file = OpenOptions::new().read(true).write(true).open(path);
        let file = file.with_context(|| format!("no disk {}", path.display()))?;
        let traces = BTreeMap::new();
        Ok(Self { path: path.to_path_buf(), file, settled: 0, partitions, traces })
    }

    /// Writes the first `entries` entries of the record, for good.
    pub(super) fn settle(&mut self, log: &WriteLog, entries: usize) -> Result<()> {
        for entry in self.settled..entries {
            if let Some(write) = &log.entries[entry].write {
                self.put(log, write, Piece { entry, length: write.length, end: End::Whole })?;
            }
        }
        self.settled = self.settled.max(entries);
        Ok(())
    }

    /// Writes what a cut leaves; what it says is durable has to be settled.
    pub(super) fn cut(&mut self, log: &WriteLog, cut: &Cut) -> Result<Undo> {
        let mut undo = Undo { bytes: Vec::new(), traces: self.traces.clone() };
        for piece in &cut.pieces {
            let Some(write) = &log.entries[piece.entry].write else { continue };
            let mut before = vec![0; usize::try_from(piece.length)?];
            self.file.read_exact_at(&mut before, write.at)?;
            undo.bytes.push((write.at, before));
            self.put(log, write, *piece)?;
        }
        Ok(undo)
    }

    /// Takes a cut back.
    pub(super) fn mend(&mut self, undo: Undo) -> Result<()> {
        for (at, bytes) in undo.bytes.iter().rev() {
            self.file.write_all_at(bytes, *at)?;
        }
        self.traces = undo.traces;
        Ok(())
    }

    fn put(&mut self, log: &WriteLog, write: &Write, piece: Piece) -> Result<()> {
        let mut bytes = log.bytes(write, piece.length)?;
        if piece.end == End::Spoilt {
            spoil(&mut bytes);
        }
        self.file.write_all_at(&bytes, write.at)?;
        for name in touched(&self.partitions, write.at, piece.length) {
            let trace = self.traces.entry(name).or_default();
            let mut hasher = DefaultHasher::new();
            (*trace, piece).hash(&mut hasher);
            *trace = hasher.finish();
        }
        Ok(())
    }

    /// How it loses its power, if only the sectors of this partition may be spoilt.
    pub(super) fn power(&self, seed: u64, fragile: &str) -> Result<Power> {
        let Partition { start, size } = self.partition(fragile)?;
        Ok(Power { seed, fragile: start..start + size })
    }

    /// The trace of a partition; none as long as nothing was written to it.
    pub(super) fn trace(&self, partition: &str) -> Option<u64> {
        self.traces.get(partition).copied()
    }

    /// A partition by its name.
    pub(super) fn partition(&self, name: &str) -> Result<Partition> {
        self.partitions.get(name).copied().with_context(|| format!("the disk has no {name}"))
    }

    /// `length` bytes of a partition, from its byte `at`.
    pub(super) fn read(&self, name: &str, at: u64, length: u64) -> Result<Vec<u8>> {
        let mut bytes = vec![0; usize::try_from(length)?];
        self.file.read_exact_at(&mut bytes, self.partition(name)?.start + at)?;
        Ok(bytes)
    }
}

/// The last sector holds neither what was to be written nor what was there.
fn spoil(bytes: &mut [u8]) {
    let sector = bytes.len().saturating_sub(SECTOR as usize);
    for (place, byte) in bytes[sector..].iter_mut().enumerate() {
        *byte ^= 0xa5_u8.wrapping_add(place as u8);
    }
}

/// The partitions in which some of these bytes lie.
pub(super) fn touched(
    partitions: &BTreeMap<String, Partition>,
    at: u64,
    length: u64,
) -> Vec<String> {
    let end = at + length;
    let inside =
        |part: &Partition| end.min(part.start + part.size).saturating_sub(at.max(part.start));
    let mut names = Vec::new();
    let mut covered = 0;
    for (name, partition) in partitions {
        if inside(partition) > 0 {
            covered += inside(partition);
            names.push(name.clone());
        }
    }
    if covered < length {
        names.push(OUTSIDE.to_owned());
    }
    names
}

#[cfg(test)]
pub(super) mod tests {
    use std::{env, fs, process};

    use super::super::cut::{Kind, cuts};
    use super::super::log::tests::record;
    use super::*;

    /// A disk of 16 KiB with two partitions, and its record: three writes, of which the first is durable.
    pub(crate) fn disk(name: &str) -> (Disk, WriteLog, [PathBuf; 2]) {
        let path = env::temp_dir().join(format!("steadfast-lab-{name}-{}.img", process::id()));
        fs::write(&path, [9; 16384]).expect("written");
        let partitions = [("a", 1024), ("b", 8192)]
            .map(|(name, start)| (name.to_owned(), Partition { start, size: 4096 }));
        let told = [
            (2, vec![1; 512], 0),
            (0, Vec::new(), 1),
            (16, vec![2; 1024], 0),
            (17, vec![3; 1024], 0),
        ];
        let (log, record) = record(name, &told);
        let disk = Disk::open(&path, partitions.into()).expect("it is there");
        (disk, log, [path, record])
    }

    fn bytes(disk: &Disk, at: usize, count: usize) -> Vec<u8> {
        fs::read(&disk.path).expect("read")[at..at + count].to_vec()
    }

    #[test]
    fn a_cut_leaves_its_pieces_and_is_taken_back_to_the_byte() {
        let (mut disk, log, files) = disk("pieces");
        for seed in 0..20 {
            let power = disk.power(seed, "b").expect("it is there");
            for cut in cuts(&log.entries, 4, &power) {
                disk.settle(&log, cut.durable).expect("settled");
                let before = (fs::read(&disk.path).expect("read"), disk.trace("b"));
                let undo = disk.cut(&log, &cut).expect("cut");
                let wanted = |count| [[2; 512], [3; 512], [count; 512], [9; 512]].concat();
                let found = bytes(&disk, 8192, 2048);
                match cut.kind {
                    Kind::InOrder => assert_eq!(found, wanted(3)),
                    Kind::Torn => assert_eq!(found, wanted(9)),
                    Kind::Spoilt => {
                        let length = cut.pieces.last().expect("it is torn").length as usize;
                        let spoilt = &found[length..][..512];
                        assert!(spoilt != [3; 512] && spoilt != [9; 512] && spoilt != [2; 512]);
                        assert_eq!(found[..length], wanted(9)[..length]);
                    }
                    Kind::Lost => {
                        assert!(found[..512] == [9; 512] || found[1024..1536] == [9; 512])
                    }
                }
                disk.mend(undo).expect("mended");
                assert_eq!((fs::read(&disk.path).expect("read"), disk.trace("b")), before);
            }
        }
        assert_eq!(bytes(&disk, 1024, 512), [1; 512], "what is durable stays");
        files.iter().for_each(|file| fs::remove_file(file).expect("removed"));
    }

    #[test]
    fn a_partition_changes_its_trace_with_its_bytes_and_never_else() {
        let (mut disk, log, files) = disk("traces");
        assert_eq!((disk.trace("a"), disk.trace("b")), (None, None));
        disk.settle(&log, 2).expect("settled");
        let a = disk.trace("a");
        assert!(a.is_some() && disk.trace("b").is_none());
        disk.settle(&log, 2).expect("settled before");
        assert_eq!(disk.trace("a"), a);
        let mut seen = std::collections::BTreeSet::from([None]);
        let power = disk.power(1, "b").expect("it is there");
        for cut in [3, 4].into_iter().flat_map(|point| cuts(&log.entries, point, &power)) {
            let undo = disk.cut(&log, &cut).expect("cut");
            assert_eq!(disk.trace("a"), a);
            let content = cut.pieces.is_empty() || seen.insert(disk.trace("b"));
            assert!(content || cut.kind == Kind::Lost, "{cut:?}");
            disk.mend(undo).expect("mended");
        }
        files.iter().for_each(|file| fs::remove_file(file).expect("removed"));
    }

    #[test]
    fn what_lies_in_no_partition_has_a_trace_too() {
        let (disk, _, files) = disk("outside");
        let touched = |at, length| touched(&disk.partitions, at, length);
        assert_eq!(touched(0, 512), [OUTSIDE]);
        assert_eq!(touched(1024, 4096), ["a"]);
        assert_eq!(touched(512, 1024), ["a", OUTSIDE]);
        assert_eq!(touched(4608, 4096), ["a", "b", OUTSIDE]);
        files.iter().for_each(|file| fs::remove_file(file).expect("removed"));
    }
}
