//! A disk that does not give what it was given, file by file.

use super::*;
use std::os::unix::fs::symlink;

/// A segment of one entry each: these are 1, 2, … and the last one is the newest.
fn segments_of_one(count: u64) -> (tempfile::TempDir, Digest) {
    let folder = tempfile::tempdir().expect("a folder");
    let (mut ledger, _) = open(folder.path());
    let head = (1..=count).fold(Digest::ZERO, |head, sequence| {
        ledger.length = if sequence > 1 { SEGMENT } else { 0 };
        append(&mut ledger, sequence, head)
    });
    (folder, head)
}

/// What is read of this file from now on is "Input/output error": nothing is there at address 0 of a process.
fn breaks(folder: &Path, segment: &str) {
    let path = folder.join("data").join(segment);
    fs::remove_file(&path).expect("it is there");
    symlink("/proc/self/mem", path).expect("writable");
}

#[test]
fn a_closed_segment_that_cannot_be_read_is_told_and_the_node_resumes_at_its_last_entry() {
    for (segment, entries) in [("ledger.3", 3), ("ledger.2", 3), ("ledger.1", 3)] {
        let (folder, head) = segments_of_one(4);
        breaks(folder.path(), segment);
        let (mut ledger, last) = open(folder.path());
        assert_eq!((ledger.kept(), last.map(|last| last.head)), (Kept::Data, Some(head)));
        assert_eq!((ledger.entries(), ledger.broken_at()), (entries, None), "{segment}");
        let told = ledger.damage().expect("it is damage");
        assert!(
            told.starts_with(&format!("{segment} cannot be read: Input/output error")),
            "{told}"
        );
        append(&mut ledger, 5, head);
        drop(ledger);
        assert_eq!(sequence(open(folder.path()).1), Some(5));
    }
}

#[test]
fn where_the_last_entry_cannot_be_read_nothing_is_appended_behind_an_older_one() {
    let (folder, _) = segments_of_one(4);
    // The power went as the newest was begun.
    fs::write(folder.path().join("data/ledger"), "").expect("writable");
    breaks(folder.path(), "ledger.1");
    let (ledger, last) = open(folder.path());
    assert_eq!((ledger.kept(), sequence(last)), (Kept::Memory, Some(2)));
    let told = ledger.damage().expect("it is damage");
    assert!(told.contains("Input/output error"), "{told}");
    drop(ledger);
    // An older one that cannot be read is in nobody's way.
    let (folder, _) = segments_of_one(4);
    fs::write(folder.path().join("data/ledger"), "").expect("writable");
    breaks(folder.path(), "ledger.2");
    let (ledger, last) = open(folder.path());
    assert_eq!((ledger.kept(), sequence(last)), (Kept::Data, Some(3)));
}

#[test]
fn what_is_told_of_the_past_goes_on_behind_a_segment_that_cannot_be_read() {
    let (folder, _) = segments_of_one(4);
    breaks(folder.path(), "ledger.2");
    let mut seen = Vec::new();
    let (ledger, _) = open(folder.path());
    ledger.for_each(|entry| seen.push(entry.sequence)).expect("the newest is readable");
    assert_eq!(seen, [1, 3, 4]);
}

#[test]
fn what_memory_held_is_carried_over_although_a_closed_segment_cannot_be_read() {
    let (folder, head) = segments_of_one(3);
    breaks(folder.path(), "ledger.1");
    fs::create_dir_all(folder.path().join("memory")).expect("writable");
    fs::write(folder.path().join("memory/ledger"), frame(4, head)).expect("writable");
    let (ledger, last) = open(folder.path());
    assert_eq!((ledger.kept(), sequence(last), ledger.entries()), (Kept::Data, Some(4), 3));
    assert!(ledger.damage().is_some_and(|told| told.starts_with("ledger.1 cannot be read")));
}

#[test]
fn without_its_newest_segment_the_node_goes_on_in_memory_from_those_before_it() {
    let (folder, _) = segments_of_one(3);
    breaks(folder.path(), "ledger");
    let (mut ledger, last) = open(folder.path());
    let last = last.expect("two entries");
    assert_eq!((ledger.kept(), last.entry.sequence), (Kept::Memory, 2));
    assert!(
        ledger.damage().is_some_and(|told| told.contains("cannot be used: Input/output error"))
    );
    append(&mut ledger, 3, last.head);
    assert_eq!(ledger.recover(), Recovered::Unchanged, "nobody knows what it would follow");
    drop(ledger);
    assert_eq!(sequence(open(folder.path()).1), Some(3));
}
