mod full;
mod late;
mod unread;
mod worn;

use super::found::segments;
use super::*;
use std::os::unix::fs::MetadataExt;
use steadfast_core::ledger::{MAX_FRAME, Stamp, encode};
use steadfast_core::{Event, Node};

fn append(ledger: &mut LedgerFile, sequence: u64, previous: Digest) -> Digest {
    let at = Stamp::default();
    let (event, next) = (Event::WindowOpened, Node::default());
    let entry = Entry { sequence, previous, at, event, next };
    let mut buffer = [0; MAX_FRAME];
    let frame = encode(&entry, &mut buffer).expect("short");
    ledger.append(frame).expect("writable");
    sha256(frame)
}

fn open(folder: &Path) -> (LedgerFile, Option<Last>) {
    LedgerFile::open(&folder.join("data"), &folder.join("memory")).expect("a ledger")
}

#[test]
fn a_ledger_resumes_at_its_last_entry() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut ledger, last) = open(folder.path());
    assert_eq!(last, None);
    let head = append(&mut ledger, 1, Digest::ZERO);
    let head = append(&mut ledger, 2, head);
    drop(ledger);
    let (ledger, last) = open(folder.path());
    let last = last.expect("two entries");
    assert_eq!((last.entry.sequence, last.head), (2, head));
    assert_eq!((ledger.entries(), ledger.damage(), ledger.broken_at()), (2, None, None));
}

#[test]
fn a_torn_tail_is_cut_off_before_the_next_entry() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut ledger, _) = open(folder.path());
    let head = append(&mut ledger, 1, Digest::ZERO);
    ledger.file.write_all(&[0x5f, 0x1d, 1, 200]).expect("writable");
    drop(ledger);
    let (mut ledger, last) = open(folder.path());
    assert_eq!(last.map(|last| last.entry.sequence), Some(1));
    append(&mut ledger, 2, head);
    drop(ledger);
    let (ledger, last) = open(folder.path());
    assert_eq!(last.map(|last| last.entry.sequence), Some(2));
    assert_eq!((ledger.damage(), ledger.broken_at()), (None, None));
}

#[test]
fn the_chain_goes_on_over_segments_and_the_oldest_are_dropped() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut ledger, _) = open(folder.path());
    let mut head = Digest::ZERO;
    for sequence in 1..=30 {
        ledger.length = if sequence % 3 == 0 { SEGMENT } else { ledger.length };
        head = append(&mut ledger, sequence, head);
    }
    drop(ledger);
    assert_eq!(segments(&folder.path().join("data")).len(), CLOSED + 1);
    let (ledger, last) = open(folder.path());
    assert_eq!(last.map(|last| last.head), Some(head));
    assert_eq!(ledger.broken_at(), None);
    let mut seen = Vec::new();
    ledger.for_each(|entry| seen.push(entry.sequence)).expect("readable");
    assert!(seen.is_sorted() && seen.last() == Some(&30) && seen[0] > 1, "{seen:?}");
}

#[test]
fn a_folder_that_cannot_be_used_is_said_and_the_ledger_goes_on_in_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::write(folder.path().join("data"), "a file where the folder should be").expect("ok");
    let (mut ledger, _) = open(folder.path());
    append(&mut ledger, 1, Digest::ZERO);
    assert_eq!(ledger.kept(), Kept::Memory);
    assert!(ledger.damage().is_some_and(|damage| damage.contains("cannot be used")));
}

#[test]
fn a_disk_that_fills_up_moves_the_ledger_to_memory() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut ledger, _) = open(folder.path());
    let head = append(&mut ledger, 1, Digest::ZERO);
    ledger.file = File::options().read(true).write(true).open("/dev/full").expect("there");
    let head = append(&mut ledger, 2, head);
    assert_eq!((ledger.kept(), ledger.entries()), (Kept::Memory, 1));
    drop(ledger);
    // The next start carries it over, and resumes after it.
    let (ledger, last) = open(folder.path());
    let last = last.expect("two entries");
    assert_eq!((last.entry.sequence, last.head, ledger.kept()), (2, head, Kept::Data));
    assert_eq!((ledger.entries(), ledger.broken_at()), (2, None));
}

#[test]
fn a_disk_that_works_again_takes_the_ledger_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut ledger, _) = open(folder.path());
    let head = append(&mut ledger, 1, Digest::ZERO);
    ledger.file = File::options().read(true).write(true).open("/dev/full").expect("there");
    let head = append(&mut ledger, 2, head);
    assert_eq!(ledger.recover(), Recovered::OnDisk);
    append(&mut ledger, 3, head);
    assert_eq!((ledger.kept(), ledger.entries(), ledger.damage()), (Kept::Data, 3, None));
    drop(ledger);
    assert_eq!(open(folder.path()).0.broken_at(), None);
}

#[test]
fn a_disk_that_knows_more_than_the_agent_is_not_written_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let (data, away) = (folder.path().join("data"), folder.path().join("away"));
    let (mut ledger, _) = open(folder.path());
    let head = append(&mut ledger, 1, Digest::ZERO);
    let head = append(&mut ledger, 2, head);
    drop(ledger);
    // The disk comes late: an agent starts without it, from nothing.
    fs::rename(&data, &away).expect("renamed");
    fs::write(&data, "no folder").expect("writable");
    let (mut ledger, last) = open(folder.path());
    assert_eq!((last, ledger.kept()), (None, Kept::Memory));
    append(&mut ledger, 1, Digest::ZERO);
    assert_eq!(ledger.recover(), Recovered::Unchanged);
    fs::remove_file(&data).and_then(|()| fs::rename(&away, &data)).expect("renamed");
    assert_eq!((ledger.recover(), ledger.kept()), (Recovered::DiskIsAhead, Kept::Memory));
    drop(ledger);
    // The agent that starts then goes on from the disk, and says what it dropped.
    let (ledger, last) = open(folder.path());
    assert_eq!((last.map(|last| last.head), ledger.kept()), (Some(head), Kept::Data));
    assert!(ledger.damage().is_some_and(|damage| damage.contains("1 entries")));
}

#[test]
fn a_second_agent_cannot_open_the_ledger() {
    let folder = tempfile::tempdir().expect("a folder");
    let (_first, _) = open(folder.path());
    let (second, _) = open(folder.path());
    assert_eq!(second.kept(), Kept::Memory);
    assert!(second.damage().is_some_and(|damage| damage.contains("another agent")));
}

/// The whole frame of one entry.
fn frame(sequence: u64, previous: Digest) -> Vec<u8> {
    let (event, next) = (Event::WindowOpened, Node::default());
    let entry = Entry { sequence, previous, at: Stamp::default(), event, next };
    encode(&entry, &mut [0; MAX_FRAME]).expect("short").to_vec()
}

fn sequence(last: Option<Last>) -> Option<u64> {
    last.map(|last| last.entry.sequence)
}

#[test]
fn an_entry_that_cannot_be_synced_is_not_saved_there() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut ledger, _) = open(folder.path());
    let head = append(&mut ledger, 1, Digest::ZERO);
    // A pipe takes every byte, and cannot be synced.
    let (_reader, writer) = io::pipe().expect("a pipe");
    ledger.file = File::from(std::os::fd::OwnedFd::from(writer));
    append(&mut ledger, 2, head);
    assert_eq!(ledger.kept(), Kept::Memory);
    assert!(ledger.damage().is_some_and(|damage| damage.contains("cannot be written")));
}

#[test]
fn an_entry_that_can_be_saved_nowhere_is_not_reported_as_saved() {
    let folder = tempfile::tempdir().expect("a folder");
    let full = || File::options().read(true).write(true).open("/dev/full").expect("there");
    let (mut ledger, _) = open(folder.path());
    ledger.file = full();
    fs::write(folder.path().join("memory"), "a file where the folder should be").expect("ok");
    assert!(
        ledger.append(&frame(1, Digest::ZERO)).is_err(),
        "the disk is full, memory is not there"
    );
    fs::remove_file(folder.path().join("memory")).expect("it is ours");
    append(&mut ledger, 1, Digest::ZERO);
    assert_eq!(ledger.kept(), Kept::Memory);
    ledger.file = full();
    assert!(ledger.append(&frame(2, Digest::ZERO)).is_err(), "memory is full, too");
}

#[test]
fn nothing_of_a_torn_tail_is_left_behind_the_next_entry() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut ledger, _) = open(folder.path());
    let head = append(&mut ledger, 1, Digest::ZERO);
    ledger.file.write_all(&[0x5f; 3000]).expect("writable");
    drop(ledger);
    let (mut ledger, _) = open(folder.path());
    append(&mut ledger, 2, head);
    let length = fs::metadata(folder.path().join("data/ledger")).expect("it is there").len();
    assert_eq!(length, (frame(1, Digest::ZERO).len() + frame(2, head).len()) as u64);
}

#[test]
fn what_memory_held_is_carried_over_once() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut ledger, _) = open(folder.path());
    let head = append(&mut ledger, 1, Digest::ZERO);
    ledger.file = File::options().read(true).write(true).open("/dev/full").expect("there");
    append(&mut ledger, 2, head);
    drop(ledger);
    let memory = folder.path().join("memory/ledger");
    let held = fs::read(&memory).expect("one entry");
    drop(open(folder.path()));
    assert!(!memory.exists());
    // The power went between the last entry that was carried over and the end of it.
    fs::write(&memory, held).expect("writable");
    let (ledger, last) = open(folder.path());
    assert_eq!((ledger.entries(), ledger.broken_at(), sequence(last)), (2, None, Some(2)));
}

/// Where the chain breaks when memory held `kept` and the disk has `before`; now and at the next start.
fn broken_by(before: &[Vec<u8>], kept: &[u8]) -> [Option<u64>; 2] {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut ledger, _) = open(folder.path());
    before.iter().for_each(|frame| ledger.append(frame).expect("writable"));
    drop(ledger);
    fs::create_dir_all(folder.path().join("memory")).expect("writable");
    fs::write(folder.path().join("memory/ledger"), kept).expect("writable");
    let now = open(folder.path()).0.broken_at();
    [now, open(folder.path()).0.broken_at()]
}

#[test]
fn what_memory_held_is_carried_over_into_a_file_that_no_failed_write_touched() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name);
    let inode = || fs::metadata(path("data/ledger")).expect("it is there").ino();
    let (mut ledger, _) = open(folder.path());
    let head = append(&mut ledger, 1, Digest::ZERO);
    append(&mut ledger, 2, head);
    let before = inode();
    drop(ledger);
    // The disk has what memory held, or its cache does; and a cut left half a file.
    fs::create_dir_all(path("memory")).expect("writable");
    fs::write(path("memory/ledger"), frame(2, head)).expect("writable");
    fs::write(path("data").join(ANEW), "half").expect("writable");
    let (ledger, last) = open(folder.path());
    assert_ne!(inode(), before, "what may be only cached is written anew");
    assert!(!path("data").join(ANEW).exists());
    assert_eq!((ledger.entries(), sequence(last), ledger.damage()), (2, Some(2), None));
    let second = LedgerFile::open(&path("data"), &path("second")).expect("memory has room").0;
    assert_eq!(second.kept(), Kept::Memory, "it is one agent's");
    drop(ledger);
    let after = inode();
    let (ledger, last) = open(folder.path());
    assert_eq!((ledger.entries(), sequence(last), inode()), (2, Some(2), after));
}

#[test]
fn a_first_entry_follows_none_and_the_oldest_that_is_kept_may_follow_one_that_is_lost() {
    assert_eq!(broken_by(&[], &frame(1, Digest::ZERO)), [None; 2]);
    assert_eq!(broken_by(&[], &frame(1, Digest([7; 32]))), [Some(1); 2]);
    assert_eq!(broken_by(&[], &frame(40, Digest([7; 32]))), [None; 2]);
}

#[test]
fn what_memory_held_follows_the_last_frame_of_the_disk_whoever_wrote_it() {
    let first = frame(1, Digest::ZERO);
    let head = sha256(&first);
    let theirs = of_another_version(frame(2, head));
    let disk = [first, theirs.clone()];
    assert_eq!(broken_by(&disk, &frame(3, sha256(&theirs))), [None; 2]);
    assert_eq!(broken_by(&disk, &frame(3, head)), [Some(3); 2]);
}

#[test]
fn while_the_folder_cannot_be_written_the_node_resumes_at_the_newest_entry_of_both() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut holder, _) = open(folder.path());
    let head = append(&mut holder, 1, Digest::ZERO);
    // What holds the folder keeps it from being written, not from being read.
    let (mut ledger, last) = open(folder.path());
    assert_eq!((ledger.kept(), sequence(last)), (Kept::Memory, Some(1)));
    append(&mut ledger, 2, head);
    drop(ledger);
    assert_eq!(sequence(open(folder.path()).1), Some(2));
}

#[test]
fn damage_is_told_in_words_and_the_chain_as_broken() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("data/ledger");
    let (mut ledger, _) = open(folder.path());
    let head = append(&mut ledger, 1, Digest::ZERO);
    let second = ledger.length as usize;
    let head = append(&mut ledger, 2, head);
    append(&mut ledger, 3, head);
    drop(ledger);
    let mut bytes = fs::read(&path).expect("readable");
    bytes[second + 9] ^= 0x40;
    bytes.extend([0x5f; MAX_FRAME + 1]);
    fs::write(&path, bytes).expect("writable");
    let (ledger, last) = open(folder.path());
    assert_eq!((sequence(last), ledger.broken_at()), (Some(3), Some(3)));
    let damage = ledger.damage().expect("it is damaged").to_owned();
    assert!(damage.contains("in the middle are not entries"), "{damage}");
    let end = format!("{} bytes at the end were not entries", MAX_FRAME + 1);
    assert!(damage.contains(&end), "{damage}");
}

#[test]
fn entries_of_another_version_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut ledger, _) = open(folder.path());
    let head = append(&mut ledger, 1, Digest::ZERO);
    ledger.append(&of_another_version(frame(2, head))).expect("writable");
    drop(ledger);
    let (ledger, last) = open(folder.path());
    assert_eq!(ledger.damage(), Some("1 entries are another version's"));
    assert_eq!((sequence(last), ledger.entries()), (Some(1), 2));
}

/// The same whole frame, whose entry nobody here can read.
fn of_another_version(mut frame: Vec<u8>) -> Vec<u8> {
    let end = frame.len() - 4;
    frame[2] = 99;
    let sum = crc32c(&frame[..end]).to_le_bytes();
    frame[end..].copy_from_slice(&sum);
    frame
}

#[test]
fn the_chain_goes_on_behind_entries_of_which_none_is_understood() {
    let folder = tempfile::tempdir().expect("a folder");
    let first = of_another_version(frame(1, Digest::ZERO));
    let second = of_another_version(frame(2, sha256(&first)));
    let (mut ledger, _) = open(folder.path());
    assert_eq!(ledger.foreign(), None, "there is nothing to follow");
    [first, second].iter().for_each(|frame| ledger.append(frame).expect("writable"));
    // What holds the folder keeps it from being written, not from being read.
    let (in_memory, last) = open(folder.path());
    let foreign = in_memory.foreign();
    assert_eq!((in_memory.kept(), last), (Kept::Memory, None));
    drop((ledger, in_memory));
    let (mut ledger, last) = open(folder.path());
    assert_eq!((last, ledger.foreign()), (None, foreign));
    let Some(Foreign { entries: 2, head }) = foreign else { panic!("two: {foreign:?}") };
    append(&mut ledger, 3, head);
    drop(ledger);
    let (ledger, last) = open(folder.path());
    assert_eq!((sequence(last), ledger.foreign(), ledger.broken_at()), (Some(3), None, None));
}

#[test]
fn the_chain_goes_on_behind_a_segment_that_another_version_wrote_alone() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut ledger, _) = open(folder.path());
    let head = append(&mut ledger, 1, Digest::ZERO);
    ledger.length = SEGMENT;
    ledger.append(&of_another_version(frame(2, head))).expect("writable");
    drop(ledger);
    let (mut ledger, last) = open(folder.path());
    append(&mut ledger, 2, last.expect("the first").head);
    drop(ledger);
    let (ledger, last) = open(folder.path());
    assert_eq!((sequence(last), ledger.broken_at()), (Some(2), None));
}

/// The checksum of a frame, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let shift = |sum: u32| (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg());
    !bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| shift(sum)))
}

#[test]
fn a_segment_ends_when_it_is_full_and_the_next_one_has_one_writer_too() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut ledger, _) = open(folder.path());
    ledger.length = SEGMENT - 1;
    let head = append(&mut ledger, 1, Digest::ZERO);
    assert_eq!(segments(&folder.path().join("data")).len(), 1);
    append(&mut ledger, 2, head);
    assert_eq!(segments(&folder.path().join("data")).len(), 2);
    let (second, _) = open(folder.path());
    assert_eq!(second.kept(), Kept::Memory);
}

#[test]
fn an_entry_taken_out_between_two_segments_breaks_the_chain() {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut ledger, _) = open(folder.path());
    let head = append(&mut ledger, 1, Digest::ZERO);
    ledger.length = SEGMENT;
    append(&mut ledger, 3, sha256(&frame(2, head)));
    drop(ledger);
    assert_eq!(open(folder.path()).0.broken_at(), Some(3));
}
