//! The data partition after a cut, treated as the node treats it: its journal is played back, or else it is repaired;
//! then its structure is checked and its ledger is read.
//!
//! ```text
//! copy ─► e2fsck -p ─┬─ nothing but the journal ─► e2fsck -fn ─► debugfs ─► ledger
//!                    └─ else ─► copy ─► e2fsck -y ──┘                          (image-build/rootfs, data.in)
//! ```
//!
//! Nothing is mounted, so that nobody has to be root; e2fsck plays a journal back as the kernel does.

use std::collections::BTreeSet;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use anyhow::{Context, Result, ensure};

use super::disk::Disk;
use super::ledger::{self, Ledger};
use super::log::Entry;

/// Where the agent keeps its ledger, seen from the partition's root.
const LEDGER: &str = "/steadfast/ledger";
/// What is copied at once.
const CHUNK: u64 = 64 << 10;

/// What a data partition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Memory {
    /// The agent's ledger.
    pub(super) ledger: Ledger,
    /// Whether it could be read only after a repair.
    pub(super) repaired: bool,
}

/// Looks at the data partition of one story's disk.
pub(super) struct Looker {
    name: String,
    /// Numbers of the chunks that are not zeros at every moment of the story.
    used: BTreeSet<u64>,
    scratch: PathBuf,
}

impl Looker {
    /// Who looks at the partition `name` of a disk with this content, to which these entries will be written;
    /// `scratch` is overwritten.
    pub(super) fn new(
        disk: &Disk,
        name: &str,
        entries: &[Entry],
        scratch: PathBuf,
    ) -> Result<Self> {
        let place = disk.partition(name)?;
        let mut used = BTreeSet::new();
        for chunk in 0..place.size.div_ceil(CHUNK) {
            let at = chunk * CHUNK;
            let bytes = disk.read(name, at, CHUNK.min(place.size - at))?;
            if bytes.iter().any(|byte| *byte != 0) {
                used.insert(chunk);
            }
        }
        for write in entries.iter().filter_map(|entry| entry.write.as_ref()) {
            let end = (write.at + write.length).min(place.start + place.size);
            let first = write.at.max(place.start);
            if first < end {
                used.extend((first - place.start) / CHUNK..=(end - 1 - place.start) / CHUNK);
            }
        }
        Ok(Self { name: name.to_owned(), used, scratch })
    }

    /// What the partition holds, or what is wrong with it.
    pub(super) fn look(&self, disk: &Disk) -> Result<Result<Memory, String>> {
        self.copy(disk)?;
        let repaired = !self.played_back()?;
        if repaired {
            self.copy(disk)?;
            self.fsck("-y")?;
        }
        let checked = self.fsck("-fn")?;
        if !checked.status.success() {
            let said = text(&checked.stdout);
            return Ok(Err(format!("{} has no whole file system: {said}", self.name)));
        }
        let read = run(Command::new("/sbin/debugfs")
            .args(["-R", &format!("cat {LEDGER}")])
            .arg(&self.scratch))?;
        ensure!(read.status.success(), "debugfs: {}", text(&read.stderr));
        let ledger = ledger::read(&read.stdout);
        Ok(ledger.map(|ledger| Memory { ledger, repaired }).map_err(|fault| fault.to_string()))
    }

    /// Plays the journal back; returns whether nothing else had to be done.
    fn played_back(&self) -> Result<bool> {
        let played = self.fsck("-p")?;
        let said = String::from_utf8_lossy(&played.stdout);
        // e2fsck(8): 1 is "corrected", which playing a journal back may be called.
        Ok(matches!(played.status.code(), Some(0 | 1)) && said.lines().all(expected))
    }

    fn fsck(&self, how: &str) -> Result<Output> {
        run(Command::new("/sbin/e2fsck").arg(how).arg(&self.scratch))
    }

    /// The partition as a file of its own, which takes no more room than its content.
    pub(super) fn copy(&self, disk: &Disk) -> Result<()> {
        let size = disk.partition(&self.name)?.size;
        let file = File::create(&self.scratch)
            .with_context(|| format!("no file {}", self.scratch.display()))?;
        file.set_len(size)?;
        for chunk in &self.used {
            let at = chunk * CHUNK;
            let bytes = disk.read(&self.name, at, CHUNK.min(size - at))?;
            file.write_all_at(&bytes, at)?;
        }
        Ok(())
    }
}

/// Whether e2fsck says no more than what the kernel does at every mount after a power cut: it plays the journal back,
/// frees what was open and deleted, and counts anew.
fn expected(line: &str) -> bool {
    let usual = [
        "recovering journal",
        "features different from backup, check forced",
        "Feature orphan_present is set but orphan file is clean",
        "Clearing orphaned inode",
        "Setting free inodes count to",
        "Setting free blocks count to",
        " files (",
        ": clean, ",
    ];
    // What follows the words of the orphan file stands alone; behind other words it is a repair.
    ["", "CLEARED."].contains(&line) || usual.iter().any(|words| line.contains(words))
}

fn run(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("{} does not start", command.get_program().display()))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim().replace('\n', "; ")
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::super::ledger::tests::sample;
    use super::super::log::tests::record;
    use super::*;
    use crate::disks::Partition;

    #[test]
    fn a_journal_played_back_is_expected_and_a_repair_is_not() {
        for line in [
            "data: recovering journal",
            "data: Clearing orphaned inode 15 (uid=0, gid=0, mode=0100600, size=4096)",
            "data: 26/93456 files (0.0% non-contiguous), 10093/93440 blocks",
            "data: Feature orphan_present is set but orphan file is clean.",
            "CLEARED.",
        ] {
            assert!(expected(line), "{line}");
        }
        for line in [
            "data: Inode 13, i_blocks is 16, should be 8.  FIXED.",
            "data: Entry 'ledger' in /steadfast (13) has deleted/unused inode 14.  CLEARED.",
            "Block bitmap differences:  -1234",
        ] {
            assert!(!expected(line), "{line}");
        }
    }

    /// A disk with one partition, `data`, which holds a ledger with this content.
    fn disk(name: &str, ledger: &[u8]) -> (Disk, PathBuf) {
        let folder = env::temp_dir().join(format!("steadfast-lab-{name}-{}", process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("files/steadfast")).expect("a folder");
        fs::write(folder.join("files").join(&LEDGER[1..]), ledger).expect("written");
        let image = folder.join("disk.img");
        File::create(&image).expect("made").set_len(25 << 20).expect("sized");
        // So many blocks that there is a backup of the superblock.
        let made = Command::new("/sbin/mke2fs")
            .args(["-q", "-t", "ext4", "-b", "1024", "-E", "offset=1048576", "-d"])
            .arg(folder.join("files"))
            .arg(&image)
            .arg("24M")
            .status();
        assert!(made.expect("mke2fs runs").success());
        let data = Partition { start: 1 << 20, size: 24 << 20 };
        (Disk::open(&image, [("data".to_owned(), data)].into()).expect("made"), folder)
    }

    fn look(disk: &Disk, folder: &std::path::Path) -> Result<Memory, String> {
        let looker = Looker::new(disk, "data", &[], folder.join("data.img")).expect("it is there");
        looker.look(disk).expect("its tools are there")
    }

    #[test]
    fn a_torn_superblock_is_repaired_as_on_the_node_and_the_ledger_is_there() {
        let (disk, folder) = disk("superblock", &sample());
        let whole = look(&disk, &folder).expect("nothing happened to it");
        assert!(!whole.repaired && whole.ledger.entries > 0);
        // The superblock's second sector, with its checksum.
        let image = File::options().write(true).open(&disk.path).expect("it is there");
        image.write_all_at(&[0; 512], (1 << 20) + 1536).expect("written");
        assert_eq!(look(&disk, &folder), Ok(Memory { repaired: true, ..whole }));
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn what_cannot_be_repaired_is_a_fault() {
        let (disk, folder) = disk("no-backup", &sample());
        let image = File::options().write(true).open(&disk.path).expect("it is there");
        image.write_all_at(&vec![0; 20 << 20], 1 << 20).expect("written");
        let fault = look(&disk, &folder).expect_err("nothing is left of it");
        assert!(fault.starts_with("data has no whole file system"), "{fault}");
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn what_will_be_written_is_looked_at_too() {
        let (disk, folder) = disk("used", &sample());
        let new = |told: &[(u64, Vec<u8>, u64)]| {
            let (log, path) = record("used", told);
            fs::remove_file(path).expect("removed");
            let looker = Looker::new(&disk, "data", &log.entries, folder.join("data.img"));
            looker.expect("it is there").used
        };
        let (first, chunk) = ((1 << 20) / 512, CHUNK / 512);
        let before = new(&[]);
        let writes = [
            (first + 200 * chunk - 1, vec![1; 1024], 0),
            (first - 1, vec![1; 512], 0),
            (first + 384 * chunk, vec![1; 512], 0),
        ];
        let more: Vec<u64> = new(&writes).difference(&before).copied().collect();
        assert_eq!(more, [199, 200], "the others lie before and behind the partition");
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn a_ledger_that_is_no_ledger_is_a_fault() {
        let (disk, folder) = disk("no-ledger", b"no ledger at all");
        assert_eq!(look(&disk, &folder), Err("the ledger has no whole entry".to_owned()));
        fs::remove_dir_all(folder).expect("removed");
    }
}
