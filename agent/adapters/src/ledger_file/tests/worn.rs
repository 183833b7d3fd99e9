//! A disk that takes every write and then cannot keep it, as a worn-out one does: only the sync says so.
//!
//! ```text
//! ledger ── ext4 ── loop device ── file of 16 MiB without blocks ── tmpfs, which others fill
//! ```

use super::full::run;
use super::*;
use std::process::Command;

/// A disk over a smaller one; gone with its owner.
struct Worn {
    under: tempfile::TempDir,
    data: tempfile::TempDir,
    memory: tempfile::TempDir,
}

impl Worn {
    fn new() -> Worn {
        let root = rustix::process::geteuid().is_root();
        assert!(root, "this test mounts a small file system: it must run as root");
        let folder = || tempfile::tempdir().expect("a folder");
        let disk = Worn { under: folder(), data: folder(), memory: folder() };
        let small = ["-t", "tmpfs", "-o", "size=12m,mode=700", "tmpfs"];
        run(Command::new("mount").args(small).arg(disk.under.path()));
        File::create(disk.file()).and_then(|file| file.set_len(16 << 20)).expect("it is sparse");
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-b", "4096"]).arg(disk.file()));
        disk.mount();
        disk
    }

    fn file(&self) -> PathBuf {
        self.under.path().join("disk")
    }

    fn mount(&self) {
        let options = ["-o", "loop,errors=remount-ro"];
        run(Command::new("mount").args(options).arg(self.file()).arg(self.data.path()));
    }

    fn open(&self) -> (LedgerFile, Option<Last>) {
        LedgerFile::open(self.data.path(), &self.memory.path().join("run")).expect("a ledger")
    }

    /// From now on it keeps nothing that it did not have before.
    fn breaks(&self) {
        let full = File::create(self.under.path().join("ballast"))
            .and_then(|mut ballast| io::copy(&mut io::repeat(1), &mut ballast));
        assert_eq!(full.expect_err("it is small").kind(), io::ErrorKind::StorageFull);
    }

    /// It works again, and is mounted anew.
    fn recovers(&self) {
        fs::remove_file(self.under.path().join("ballast")).expect("it is there");
        run(Command::new("umount").arg(self.data.path()));
        self.mount();
    }
}

impl Drop for Worn {
    fn drop(&mut self) {
        // Best effort: a test that failed must not fail a second time here.
        for folder in [&self.data, &self.under] {
            let _ = Command::new("umount").arg("--lazy").arg(folder.path()).status();
        }
    }
}

/// A ledger that was saved on the disk as long as that kept anything, and twice since: how many it kept, how
/// many there are.
fn saved(disk: &Worn) -> (u64, u64) {
    let (mut ledger, _) = disk.open();
    let head = (1..=20).fold(Digest::ZERO, |head, sequence| append(&mut ledger, sequence, head));
    disk.breaks();
    let (mut head, mut count) = (head, 20);
    // It may keep some more, where it has blocks for them.
    while ledger.kept() == Kept::Data {
        count += 1;
        assert!(count < 1000, "it cannot keep so much");
        head = append(&mut ledger, count, head);
    }
    let told = ledger.damage().expect("it is told");
    assert!(told.contains("cannot be written: Input/output error"), "{told}");
    append(&mut ledger, count + 1, head);
    (count - 1, count + 1)
}

#[test]
fn what_a_worn_disk_does_not_keep_is_kept_in_memory_and_carried_over_when_it_recovers() {
    let disk = Worn::new();
    let (_, count) = saved(&disk);
    disk.recovers();
    let (ledger, last) = disk.open();
    assert_eq!((ledger.kept(), sequence(last)), (Kept::Data, Some(count)));
    assert_eq!((ledger.entries(), ledger.damage(), ledger.broken_at()), (count, None, None));
}

#[test]
fn what_a_worn_disk_was_said_to_keep_outlives_a_restart_of_the_node() {
    let disk = Worn::new();
    let (kept, _) = saved(&disk);
    disk.recovers();
    // Memory forgets.
    fs::remove_dir_all(disk.memory.path().join("run")).expect("it is there");
    let (ledger, last) = disk.open();
    assert_eq!((ledger.kept(), sequence(last)), (Kept::Data, Some(kept)));
    assert_eq!((ledger.entries(), ledger.damage(), ledger.broken_at()), (kept, None, None));
}
