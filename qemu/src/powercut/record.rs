//! A whole update of a real guest, with a record of every write to its disk.
//!
//! ```text
//! saved node ─► start.img ─► copy, powered on with a record ─► the story ─► disk.img, writes.log
//!                    └──────── all of the record, played back ─────────► the same bytes as disk.img
//! ```
//!
//! A recording stays until what it was made from changes, so that a point keeps its number.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};

use super::disk::Disk;
use super::ending::End;
use super::log::WriteLog;
use crate::disks;
use crate::guest::Guest;
use crate::lab::Lab;
use crate::machine::{self, Parts};
use crate::scenario::Stage;
use crate::timeline::{Actor, Show, Timeline};
use crate::variant::Variant;

/// What is recorded.
pub(super) struct Story {
    /// Its name, and that of its folder.
    pub(super) name: &'static str,
    /// The release that is offered.
    pub(super) release: &'static Variant,
    /// What happens.
    pub(super) run: fn(&mut Stage, &Variant) -> Result<()>,
    /// What the node runs, from the first point to the last.
    pub(super) way: &'static [&'static str],
    /// How the update may end, wherever the power went.
    pub(super) ends: &'static [End],
}

/// A recording that is whole.
pub(super) struct Recording {
    /// The disk before the first write.
    pub(super) start: PathBuf,
    /// Every write and flush.
    pub(super) log: WriteLog,
}

/// The recording of `story` in `folder`, made now unless it is there.
pub(super) fn ensure_recorded(
    lab: &Lab,
    story: &Story,
    folder: &Path,
    show: Show,
) -> Result<Recording> {
    let (start, log, marker) =
        (folder.join("start.img"), folder.join("writes.log"), folder.join("inputs"));
    let inputs = format!("{} {}", lab.saved_from()?, lab.built_from(story.release)?);
    if fs::read_to_string(&marker).is_ok_and(|old| old == inputs) {
        return Ok(Recording { start, log: WriteLog::open(&log)? });
    }
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).with_context(|| format!("no folder {}", folder.display()))?;
    disks::flatten(&lab.base_folder().join("disk.qcow2"), &start)?;
    let disk = folder.join("disk.img");
    disks::sparse_copy(&start, &disk)?;
    File::create(&log)?;
    let timeline = Timeline::start(show);
    timeline.note(Actor::Lab, format!("records every write of the story {}", story.name));
    let recorded = machine::Disk::Recorded { disk: disk.clone(), log: log.clone() };
    let parts = Parts { disk: recorded, ..lab.parts(folder, None)? };
    let guest = Guest::start(lab.qemu(), &parts, &folder.join("serial.log"), &timeline)?;
    tell(lab, story, guest.with_boot_limit(lab.boot_limit()))?;
    let log = played_back(&log, [&start, &disk], folder)?;
    fs::remove_file(disk)?;
    fs::write(marker, inputs)?;
    Ok(Recording { start, log })
}

/// The story from power-on to an orderly end.
fn tell(lab: &Lab, story: &Story, mut guest: Guest) -> Result<()> {
    guest.await_boot("A")?;
    let mut stage = Stage::on(lab, guest)?;
    (story.run)(&mut stage, story.release)?;
    if let Some(claim) = stage.take_claims().iter().find(|claim| !claim.holds()) {
        bail!(
            "the story {}: {} is {}, wanted {}",
            story.name,
            claim.what,
            claim.found,
            claim.wanted
        );
    }
    stage.guest.must("sync", lab.boot_limit())?;
    stage.guest.quit()
}

/// The record in the file `log`, which leads from the disk `start` to the disk `end`; `folder` takes a copy meanwhile.
pub(super) fn played_back(log: &Path, [start, end]: [&Path; 2], folder: &Path) -> Result<WriteLog> {
    let log = WriteLog::open(log)?;
    let mut played = Disk::copy(start, &folder.join("played.img"))?;
    played.settle(&log, log.entries.len())?;
    ensure!(same(end, &played.path)?, "the record, played back, is not the disk that was written");
    fs::remove_file(&played.path)?;
    Ok(log)
}

/// Whether two files hold the same bytes.
fn same(one: &Path, other: &Path) -> Result<bool> {
    let (mut one, mut other) = (File::open(one)?, File::open(other)?);
    if one.metadata()?.len() != other.metadata()?.len() {
        return Ok(false);
    }
    let (mut left, mut right) = (vec![0; 1 << 20], vec![0; 1 << 20]);
    loop {
        let count = one.read(&mut left)?;
        if count == 0 {
            return Ok(true);
        }
        other.read_exact(&mut right[..count])?;
        if left[..count] != right[..count] {
            return Ok(false);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_the_same_to_the_last_byte_or_they_are_not() {
        let folder =
            std::env::temp_dir().join(format!("steadfast-lab-same-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let (one, other) = (folder.join("one"), folder.join("other"));
        let mut bytes = vec![7; 3 << 20];
        fs::write(&one, &bytes).expect("written");
        fs::write(&other, &bytes).expect("written");
        assert!(same(&one, &other).expect("read"));
        bytes[(3 << 20) - 1] = 8;
        fs::write(&other, &bytes).expect("written");
        assert!(!same(&one, &other).expect("read"));
        fs::write(&other, &bytes[1..]).expect("written");
        assert!(!same(&one, &other).expect("read"));
        fs::remove_dir_all(folder).expect("removed");
    }
}
