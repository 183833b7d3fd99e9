//! The real boot choice: U-Boot itself with the boot script of the image, on a disk with this boot environment.
//!
//! ```text
//! boot environment ─► U-Boot ─┬─► the slot that it tries first
//!                             └─► what it wrote before: the attempt, counted
//! ```
//!
//! Its choice follows from the boot environment alone, everything else that it reads before being the same; so it is
//! asked once for the same bytes. What it writes is taken from a record of its own disk, because it goes on to the
//! other slot when it finds no kernel in this one.

use std::collections::HashMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

use super::super::judge::first_slot;
use super::super::log::WriteLog;
use crate::disks::{self, Partition};
use crate::lab::Lab;
use crate::machine;

/// What the firmware does with a boot environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Choice {
    /// The slot that it tries first; `none` when it rests.
    pub(super) slot: String,
    /// Where in the partition it wrote, and what.
    pub(super) counted: Option<(u64, Vec<u8>)>,
}

impl Choice {
    /// The boot environment after it.
    pub(super) fn after(&self, environment: &[u8]) -> Vec<u8> {
        let mut after = environment.to_vec();
        if let Some((at, bytes)) = &self.counted {
            let at = usize::try_from(*at).expect("a place in a partition of a few MiB");
            after[at..at + bytes.len()].copy_from_slice(bytes);
        }
        after
    }
}

/// The firmware of one lab.
pub(super) struct Bootloader {
    lab: Arc<Lab>,
    folder: PathBuf,
    place: Partition,
    known: HashMap<Vec<u8>, Choice>,
}

impl Bootloader {
    /// The firmware, with a disk of its own in `folder`: a copy of `start`, which has the boot script.
    pub(super) fn new(lab: Arc<Lab>, start: &Path, folder: PathBuf) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        disks::sparse_copy(start, &folder.join("disk.img"))?;
        let name = &lab.profile.boot.environment;
        let place = disks::partitions(start)?.get(name).copied();
        let place = place.with_context(|| format!("the disk has no {name}"))?;
        Ok(Self { lab, folder, place, known: HashMap::new() })
    }

    /// How often it was really asked.
    pub(super) fn asked(&self) -> usize {
        self.known.len()
    }

    /// What it does with this boot environment.
    pub(super) fn choice(&mut self, environment: &[u8]) -> Result<Choice> {
        if let Some(choice) = self.known.get(environment) {
            return Ok(choice.clone());
        }
        let choice = self.ask(environment)?;
        self.known.insert(environment.to_vec(), choice.clone());
        Ok(choice)
    }

    fn ask(&self, environment: &[u8]) -> Result<Choice> {
        let (disk, log) = (self.folder.join("disk.img"), self.folder.join("writes.log"));
        File::options().write(true).open(&disk)?.write_all_at(environment, self.place.start)?;
        File::create(&log)?;
        let recorded = machine::Disk::Recorded { disk, log: log.clone() };
        let slot = first_slot(&self.lab, recorded, &self.folder)?;
        let written = WriteLog::open(&log)?;
        // The slot is named after the count was saved; whatever follows belongs to another try.
        let first = written.entries.iter().find_map(|entry| entry.write.as_ref());
        let counted = first.map(|write| -> Result<_> {
            let at = write.at.checked_sub(self.place.start).context("it wrote elsewhere")?;
            Ok((at, written.bytes(write, write.length)?))
        });
        Ok(Choice { slot, counted: counted.transpose()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_changes_only_the_copy_that_was_written() {
        let choice = Choice { slot: "A".into(), counted: Some((4, vec![7; 2])) };
        assert_eq!(choice.after(&[1; 8]), [1, 1, 1, 1, 7, 7, 1, 1]);
        let none = Choice { slot: "A".into(), counted: None };
        assert_eq!(none.after(&[1; 8]), [1; 8]);
    }
}
