//! A disk that others fill to the last block.

use super::super::reserve::RESERVE;
use super::*;
use crate::evidence::Evidence;
use crate::evidence::record::{Failed, Record, Records};
use crate::watchdog::LastReset;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use steadfast_core::{
    Assigned, Boot, Cause, Failure, Machine, OtherSlot, Outcome, Policy, Sizes, Slot, ThisSlot,
    Trial, Update, Verdict, Version, Why,
};

/// A disk of 16 MiB with ext4 in it, as a node's `/data` has; gone with its owner.
struct Disk {
    folder: tempfile::TempDir,
    memory: tempfile::TempDir,
}

impl Disk {
    fn new() -> Disk {
        let root = rustix::process::geteuid().is_root();
        assert!(root, "this test mounts a small file system: it must run as root");
        let (folder, memory) = (tempfile::tempdir(), tempfile::tempdir());
        let (folder, memory) = (folder.expect("a folder"), memory.expect("a folder"));
        let disk = memory.path().join("disk");
        File::create(&disk).and_then(|file| file.set_len(16 << 20)).expect("it takes no room");
        run(Command::new("mkfs.ext4").args(["-q", "-F", "-b", "4096"]).arg(&disk));
        run(Command::new("mount").args(["-o", "loop"]).arg(&disk).arg(folder.path()));
        Disk { folder, memory }
    }

    fn data(&self) -> &Path {
        self.folder.path()
    }

    fn open(&self) -> (LedgerFile, Option<Last>) {
        LedgerFile::open(self.data(), &self.memory.path().join("run")).expect("a ledger")
    }

    /// What a restart of the node leaves of the ledger.
    fn restarted(&self, ledger: LedgerFile) -> (LedgerFile, Option<Last>) {
        drop(ledger);
        // Memory forgets.
        let _ = fs::remove_dir_all(self.memory.path().join("run"));
        self.open()
    }

    /// Somebody else takes every block that there is: the last ones by short files, which need no more than
    /// what they hold. What is under way counts twice, so that one failure is not the end.
    fn fill(&self) {
        let others = self.data().join("others");
        fs::create_dir_all(&others).expect("there is room");
        let mut number = fs::read_dir(&others).expect("it is there").count();
        let mut takes = |size: usize| {
            number += 1;
            let path = others.join(number.to_string());
            let written = File::create(path).and_then(|mut file| {
                file.write_all(&vec![1; size])?;
                file.sync_all()
            });
            written.map_err(|error| assert_eq!(error.kind(), io::ErrorKind::StorageFull)).is_ok()
        };
        while takes(256 << 10) {}
        while takes(4 << 10) || takes(4 << 10) || takes(1) {}
    }

    /// Somebody makes room again.
    fn clear(&self) {
        fs::remove_dir_all(self.data().join("others")).expect("it is there");
        File::open(self.data()).and_then(|folder| folder.sync_all()).expect("it is synced");
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        // Best effort: a test that failed must not fail a second time here.
        let _ = Command::new("umount").arg("--lazy").arg(self.data()).status();
    }
}

pub(super) fn run(command: &mut Command) {
    let done = command.output();
    let done = done.unwrap_or_else(|error| panic!("{command:?} cannot be run here: {error}"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?} cannot be done here: {said}");
}

fn version(text: &str) -> Version {
    Version::new(text).expect("a version")
}

/// A node that tries 2.0 in slot B.
fn on_trial() -> Machine {
    let trial =
        Trial { version: version("2.0"), digest: None, set: None, slot: Slot::B, why: Why::Update };
    let update = Update::Probation { trial, restarts: 0, shutdowns: 0 };
    let next = Node { update, booted: Slot::B, running: Some(version("2.0")), ..Node::default() };
    let entry = Entry {
        sequence: 1,
        previous: Digest::ZERO,
        at: Stamp::default(),
        event: Event::WindowOpened,
        next,
    };
    let policy = Policy {
        compatible: "board".try_into().expect("short"),
        room: Sizes::default(),
        fetch_attempts: 3,
        restarts: 3,
        commit_attempts: 3,
    };
    Machine::new(Some(Last { entry, head: Digest::ZERO }), policy, sha256)
}

fn save(machine: &mut Machine, ledger: &mut LedgerFile, event: Event) {
    let turn = machine.turn(event, Stamp::default(), |frame| ledger.append(frame));
    assert!(turn.expect("it is saved").saved.is_some(), "it is an entry");
}

/// The verdict, what was made of it, and the boot after it.
fn its_ending() -> [Event; 3] {
    let evidence = "x".repeat(160);
    let failure = Failure::new(Cause::Deadline, format_args!("{evidence}"));
    let (version, other) = (version("1.0"), OtherSlot::Bad);
    let (this, evidence) = (ThisSlot::Once, Some(failure.clone()));
    let boot =
        Boot { slot: Slot::A, version, id: [2; 16], this, other, set: Assigned::Nothing, evidence };
    [Event::Judged(Verdict::Unhealthy(failure)), Event::Condemned(Ok(())), Event::Booted(boot)]
}

#[test]
fn what_a_disk_that_became_read_only_was_given_is_not_called_saved() {
    let disk = Disk::new();
    let path = disk.data().join("entry");
    fs::write(&path, "entry").expect("there is room");
    let file = File::open(&path).expect("it is there");
    synced(&file).expect("it was written");
    run(Command::new("mount").args(["-o", "remount,ro"]).arg(disk.data()));
    file.sync_data().expect("the kernel says nothing of it");
    let error = synced(&file).expect_err("nobody writes it any more");
    assert_eq!(error.kind(), io::ErrorKind::ReadOnlyFilesystem);
}

#[test]
fn a_verdict_that_is_reached_on_a_full_disk_is_not_forgotten_by_the_restart_that_it_orders() {
    let disk = Disk::new();
    let (mut machine, (mut ledger, _)) = (on_trial(), disk.open());
    disk.fill();
    for event in its_ending() {
        save(&mut machine, &mut ledger, event);
        assert_eq!((ledger.kept(), ledger.damage()), (Kept::Data, None));
        let (again, last) = disk.restarted(ledger);
        assert_eq!(last.expect("it is there").entry.next, *machine.node());
        ledger = again;
    }
    let ending = machine.node().last.as_ref().expect("it ended");
    assert_eq!((ending.outcome, ending.slot), (Outcome::Returned, Slot::B));
    assert_eq!((ledger.entries(), ledger.broken_at()), (3, None));
}

#[test]
fn sixteen_of_the_longest_entries_fit_on_a_full_disk_and_then_the_ledger_goes_on_in_memory() {
    let disk = Disk::new();
    let (mut ledger, _) = disk.open();
    disk.fill();
    let longest = [0x5f; MAX_FRAME];
    for _ in 0..16 {
        ledger.append(&longest).expect("writable");
        assert_eq!(ledger.recover(), Recovered::Unchanged);
        assert_eq!(ledger.kept(), Kept::Data);
    }
    (0..16).for_each(|_| ledger.append(&longest).expect("memory has room"));
    assert_eq!(ledger.kept(), Kept::Memory);
}

#[test]
fn an_agent_that_starts_while_the_disk_is_full_goes_on_in_memory() {
    let disk = Disk::new();
    let (mut ledger, _) = disk.open();
    let (mut sequence, mut head) = (1, append(&mut ledger, 1, Digest::ZERO));
    // To cut a file off where it ends gives up what lies behind.
    ledger.file.set_len(ledger.length).expect("writable");
    disk.fill();
    while ledger.kept() == Kept::Data {
        sequence += 1;
        head = append(&mut ledger, sequence, head);
    }
    drop(ledger);
    let (mut ledger, last) = disk.open();
    assert_eq!((ledger.kept(), last.map(|last| last.head)), (Kept::Memory, Some(head)));
    head = append(&mut ledger, sequence + 1, head);
    assert_eq!(ledger.recover(), Recovered::Unchanged);
    disk.clear();
    assert_eq!(ledger.recover(), Recovered::OnDisk);
    let (ledger, last) = disk.restarted(ledger);
    assert_eq!((ledger.kept(), last.map(|last| last.head)), (Kept::Data, Some(head)));
    assert_eq!((ledger.entries(), ledger.broken_at()), (sequence + 1, None));
}

#[test]
fn a_disk_with_little_room_takes_the_ledger_back_without_a_second_copy_of_it() {
    let disk = Disk::new();
    let (mut ledger, _) = disk.open();
    let (mut sequence, mut head) = (1, append(&mut ledger, 1, Digest::ZERO));
    // The segment is long, and the disk has no second place for as much.
    while ledger.length < 64 << 10 {
        sequence += 1;
        head = append(&mut ledger, sequence, head);
    }
    ledger.file.set_len(ledger.length).expect("writable");
    disk.fill();
    while ledger.kept() == Kept::Data {
        sequence += 1;
        head = append(&mut ledger, sequence, head);
    }
    // Four blocks: the last files that the others wrote.
    let others = disk.data().join("others");
    let small = fs::read_dir(&others).expect("it is there").flatten();
    let small = small.filter(|it| it.metadata().is_ok_and(|it| it.len() == 4096)).take(4);
    small.for_each(|file| fs::remove_file(file.path()).expect("removed"));
    File::open(disk.data()).and_then(|folder| folder.sync_all()).expect("it is synced");
    assert_eq!(ledger.recover(), Recovered::OnDisk);
    let (ledger, last) = disk.restarted(ledger);
    assert_eq!((ledger.kept(), last.map(|last| last.head)), (Kept::Data, Some(head)));
    assert_eq!((ledger.entries(), ledger.broken_at()), (sequence, None));
}

#[test]
fn there_is_room_for_an_update_only_with_the_reserve_of_one() {
    let disk = Disk::new();
    let (mut ledger, _) = disk.open();
    disk.fill();
    let longest = [0x5f; MAX_FRAME];
    while ledger.has_room() {
        assert!(ledger.length <= RESERVE / 4, "a quarter of it may be used");
        ledger.append(&longest).expect("the reserve has it");
        ledger.keep_up();
    }
    for _ in 0..13 {
        ledger.append(&longest).expect("what was begun has its room");
    }
    assert_eq!((ledger.kept(), ledger.has_room()), (Kept::Data, false));
    disk.clear();
    ledger.keep_up();
    assert!(ledger.has_room());
}

/// Whether anybody has read this file since this was asked last (`relatime` notes that).
fn was_read(path: &Path) -> bool {
    let never = std::time::SystemTime::UNIX_EPOCH;
    let file = File::options().write(true).open(path).expect("it is there");
    let read = file.metadata().and_then(|found| found.accessed()).expect("ext4 knows") != never;
    file.set_times(fs::FileTimes::new().set_accessed(never)).expect("ours");
    read
}

#[test]
fn the_ledger_of_a_full_disk_is_read_again_only_once_there_is_room() {
    let disk = Disk::new();
    let (mut ledger, _) = disk.open();
    disk.fill();
    let (mut head, mut count) = (Digest::ZERO, 0);
    while ledger.kept() == Kept::Data {
        count += 1;
        head = append(&mut ledger, count, head);
    }
    let path = disk.data().join("ledger");
    was_read(&path);
    for _ in 0..3 {
        assert_eq!(ledger.recover(), Recovered::Unchanged);
    }
    assert!(!was_read(&path), "nothing is to be learnt from it");
    append(&mut ledger, count + 1, head);
    disk.clear();
    assert_eq!(ledger.recover(), Recovered::OnDisk);
    assert!(was_read(&path));
    assert_eq!((ledger.entries(), ledger.broken_at()), (count + 1, None));
}

/// What is left of a boot whose kernel said so much.
fn said(sequence: u64, lines: usize) -> Record {
    let (version, slot, reset) = ("2.0".to_owned(), Slot::B, LastReset::ByWatchdog);
    let kernel = Some((0..lines).map(|line| format!("line {line}")).collect());
    let failed = Failed { version, slot, sequence, ending: None, reset };
    Record { failed, kernel, journal: None }
}

fn failed(sequence: u64) -> Record {
    said(sequence, 1000)
}

#[test]
fn no_record_goes_for_one_that_does_not_fit_all_the_same() {
    let disk = Disk::new();
    let records = Records::new(&disk.data().join("evidence"));
    let sequences = || records.all().iter().map(|it| it.failed.sequence).collect::<Vec<_>>();
    // A folder and two short files: 12 KiB.
    records.save(&said(1, 1)).expect("there is room");
    disk.fill();
    records.save(&said(2, 9000)).expect_err("24 KiB have no room");
    assert_eq!(sequences(), [1]);
}

#[test]
fn what_is_kept_as_evidence_takes_nothing_of_the_ledgers_reserve() {
    let disk = Disk::new();
    let (mut machine, (mut ledger, _)) = (on_trial(), disk.open());
    disk.fill();
    let records = Records::new(&disk.data().join("evidence"));
    records.save(&failed(1)).expect_err("there is no room");
    // What is not kept is at least noted, for which a full disk has room.
    let (pstore, agent_exit) = (disk.memory.path().join("pstore"), disk.data().join("agent"));
    fs::create_dir(&pstore).expect("writable");
    fs::write(pstore.join("dmesg-ramoops-0"), "<0>Kernel panic\n").expect("writable");
    let evidence = Evidence { pstore, agent_exit };
    evidence.tell([1; 16]);
    assert_eq!(evidence.owed(), Some([1; 16]));
    its_ending().into_iter().for_each(|event| save(&mut machine, &mut ledger, event));
    assert_eq!(ledger.kept(), Kept::Data);
    disk.clear();
    records.save(&failed(2)).expect("there is room");
}

#[test]
fn the_reserve_is_made_again_when_there_is_room_and_is_no_part_of_the_ledger() {
    let disk = Disk::new();
    let (mut machine, (mut ledger, _)) = (on_trial(), disk.open());
    let bytes = || fs::metadata(disk.data().join("ledger")).expect("it is there").len();
    let blocks = || fs::metadata(disk.data().join("ledger")).expect("it is there").blocks() * 512;
    assert_eq!((bytes(), blocks()), (0, RESERVE));
    disk.fill();
    its_ending().into_iter().for_each(|event| save(&mut machine, &mut ledger, event));
    let longest = vec![0x5f; RESERVE as usize / 2];
    ledger.append(&longest).expect("the reserve has it");
    assert_eq!(ledger.recover(), Recovered::Unchanged);
    assert!(blocks() < bytes() + RESERVE, "there is no room");
    disk.clear();
    assert_eq!(ledger.recover(), Recovered::Unchanged);
    assert!(blocks() >= bytes() + RESERVE, "at the next tick");
    let said = fs::read(disk.data().join("ledger")).expect("readable");
    assert!(said.ends_with(&longest), "it lies behind the end");
}

#[test]
fn a_reserve_that_is_lost_is_made_at_the_next_start_and_is_no_fault() {
    let disk = Disk::new();
    let (mut machine, (mut ledger, _)) = (on_trial(), disk.open());
    let [verdict, ending, boot] = its_ending();
    save(&mut machine, &mut ledger, verdict);
    // To cut a file off where it ends gives up what lies behind.
    ledger.file.set_len(ledger.length).expect("writable");
    let blocks = || fs::metadata(disk.data().join("ledger")).expect("it is there").blocks() * 512;
    assert!(blocks() < RESERVE, "it is lost");
    let (mut ledger, last) = disk.restarted(ledger);
    assert_eq!((sequence(last), ledger.damage()), (Some(2), None));
    assert!(blocks() >= RESERVE, "it is made");
    disk.fill();
    save(&mut machine, &mut ledger, ending);
    assert_eq!(ledger.kept(), Kept::Data);
    // Lost on a full disk, it is missed only by the entry that needs it.
    ledger.file.set_len(ledger.length).expect("writable");
    disk.fill();
    let (mut ledger, last) = disk.restarted(ledger);
    assert_eq!((sequence(last), ledger.damage(), ledger.kept()), (Some(3), None, Kept::Data));
    (0..8).for_each(|_| ledger.append(&[0x5f; MAX_FRAME]).expect("memory has room"));
    assert_eq!(ledger.kept(), Kept::Memory);
    save(&mut machine, &mut ledger, boot);
}

#[test]
fn a_segment_that_ends_on_a_full_disk_leaves_its_reserve_to_the_next_one() {
    let disk = Disk::new();
    let (mut machine, (mut ledger, _)) = (on_trial(), disk.open());
    while ledger.length < SEGMENT {
        ledger.append(&[0x5f; MAX_FRAME]).expect("there is room");
        ledger.recover();
    }
    disk.fill();
    its_ending().into_iter().for_each(|event| save(&mut machine, &mut ledger, event));
    assert_eq!((ledger.kept(), segments(disk.data()).len()), (Kept::Data, 2));
    let (_, last) = disk.restarted(ledger);
    assert_eq!(last.expect("it is there").entry.next, *machine.node());
}
