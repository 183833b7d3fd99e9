//! The real boot choice: U-Boot itself with the boot script of the image, on a disk with this boot environment.
//!
//! ```text
//! boot environment ─► U-Boot ─┬─► the slot that it tries first
//!                             └─► what it wrote before: the attempt, counted
//! ```
//!
//! Its choice follows from the boot environment alone, everything else that it reads before being the same; so it is
//! asked once for the same bytes, one question at a time, and nobody who knows the answer waits for one. Answers are
//! kept as long as the machine, the boot script and QEMU are the same, so that a point is repeated without it. What it
//! writes is taken from a record of its own disk, because it goes on to the other slot when it finds no kernel in this
//! one.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::super::disk::Disk;
use super::super::judge::{Chosen, digest, first_slot};
use super::super::log::WriteLog;
use crate::disks::{self, Partition};
use crate::lab::Lab;
use crate::machine;

/// What the firmware does with a boot environment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Choice {
    /// The slot that it tries first; `none` when it rests.
    pub(super) slot: String,
    /// Which change of the boot environment it saves by that.
    pub(super) change: String,
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

/// Answers of one firmware.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Answers {
    /// What gave them.
    made_from: String,
    /// By the digest of the boot environment.
    choices: BTreeMap<String, Choice>,
}

impl Answers {
    /// Those that are kept in a file, if what is `made_from` this gave them.
    fn kept(file: &Path, made_from: String) -> Self {
        let text = fs::read_to_string(file).unwrap_or_default();
        let kept = serde_json::from_str(&text).ok();
        let kept = kept.filter(|kept: &Self| kept.made_from == made_from);
        kept.unwrap_or(Self { made_from, ..Self::default() })
    }
}

/// The firmware of one lab.
pub(super) struct Bootloader {
    lab: Arc<Lab>,
    folder: PathBuf,
    place: Partition,
    kept: PathBuf,
    answers: RwLock<Answers>,
    asked: AtomicUsize,
    /// Held by who asks: there is one disk to ask with.
    asking: Mutex<()>,
}

impl Bootloader {
    /// The firmware, with a disk of its own in `folder`: a copy of `start`, which has the boot script. Its answers are
    /// kept in a file.
    pub(super) fn new(lab: Arc<Lab>, start: &Path, [folder, kept]: [PathBuf; 2]) -> Result<Self> {
        fs::create_dir_all(&folder)?;
        disks::sparse_copy(start, &folder.join("disk.img"))?;
        let name = &lab.profile.boot.environment;
        let place = disks::partitions(start)?.get(name).copied();
        let place = place.with_context(|| format!("the disk has no {name}"))?;
        let made_from = made_from(&lab, &Disk::open(start, disks::partitions(start)?)?)?;
        let answers = RwLock::new(Answers::kept(&kept, made_from));
        let (asked, asking) = Default::default();
        Ok(Self { lab, folder, place, kept, answers, asked, asking })
    }

    /// How often it was really asked, of how many answers.
    pub(super) fn asked(&self) -> [usize; 2] {
        let answers = self.answers.read().unwrap_or_else(PoisonError::into_inner);
        [self.asked.load(Ordering::Relaxed), answers.choices.len()]
    }

    fn known(&self, key: &str) -> Option<Choice> {
        let answers = self.answers.read().unwrap_or_else(PoisonError::into_inner);
        answers.choices.get(key).cloned()
    }

    /// What it does with this boot environment.
    pub(super) fn choice(&self, environment: &[u8]) -> Result<Choice> {
        let key = digest(environment)?;
        if let Some(choice) = self.known(&key) {
            return Ok(choice);
        }
        let _asking = self.asking.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(choice) = self.known(&key) {
            return Ok(choice);
        }
        let choice = self.ask(environment)?;
        self.asked.fetch_add(1, Ordering::Relaxed);
        let mut answers = self.answers.write().unwrap_or_else(PoisonError::into_inner);
        answers.choices.insert(key, choice.clone());
        fs::write(&self.kept, serde_json::to_string(&*answers)?)?;
        Ok(choice)
    }

    fn ask(&self, environment: &[u8]) -> Result<Choice> {
        let (disk, log) = (self.folder.join("disk.img"), self.folder.join("writes.log"));
        File::options().write(true).open(&disk)?.write_all_at(environment, self.place.start)?;
        File::create(&log)?;
        let recorded = machine::Disk::Recorded { disk, log: log.clone() };
        let Chosen { slot, change } = first_slot(&self.lab, recorded, &self.folder)?;
        let written = WriteLog::open(&log)?;
        // The slot is named after the count was saved; whatever follows belongs to another try.
        let first = written.entries.iter().find_map(|entry| entry.write.as_ref());
        let counted = first.map(|write| -> Result<_> {
            let at = write.at.checked_sub(self.place.start).context("it wrote elsewhere")?;
            Ok((at, written.bytes(write, write.length)?))
        });
        Ok(Choice { slot, change, counted: counted.transpose()? })
    }
}

/// What an answer depends on, beside the boot environment: the machine, where its partitions are, and the boot script.
fn made_from(lab: &Lab, start: &Disk) -> Result<String> {
    let name = &lab.profile.disk.script;
    let script = digest(&start.read(name, 0, start.partition(name)?.size)?)?;
    Ok(format!("{:016x} {script} {:?}", lab.bare_fingerprint()?, start.partitions))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_slot(slot: &str) -> Choice {
        Choice { slot: slot.into(), change: "7".into(), counted: None }
    }

    #[test]
    fn a_count_changes_only_the_copy_that_was_written() {
        let choice = Choice { counted: Some((4, vec![7; 2])), ..of_slot("A") };
        assert_eq!(choice.after(&[1; 8]), [1, 1, 1, 1, 7, 7, 1, 1]);
        let none = of_slot("A");
        assert_eq!(none.after(&[1; 8]), [1; 8]);
    }

    #[test]
    fn answers_are_those_of_this_firmware_or_none() {
        let file =
            std::env::temp_dir().join(format!("steadfast-lab-answers-{}", std::process::id()));
        let choice = Choice { counted: Some((4, vec![7; 2])), ..of_slot("B") };
        let choices = BTreeMap::from([("digest".to_owned(), choice)]);
        let answers = Answers { made_from: "this".into(), choices };
        fs::write(&file, serde_json::to_string(&answers).expect("made")).expect("written");
        assert_eq!(Answers::kept(&file, "this".into()), answers);
        assert!(Answers::kept(&file, "another".into()).choices.is_empty());
        fs::remove_file(&file).expect("removed");
        assert!(Answers::kept(&file, "this".into()).choices.is_empty());
    }
}
