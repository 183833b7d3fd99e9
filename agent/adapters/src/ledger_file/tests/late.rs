//! A disk that comes late, or comes back with less or more than it was left with.

use super::*;
use std::ops::RangeInclusive;

/// The frames of a chain behind this one, with these numbers.
fn chain(mut head: Digest, event: &Event, sequences: RangeInclusive<u64>) -> Vec<Vec<u8>> {
    let mut next = |sequence| {
        let (at, next, event) = (Stamp::default(), Node::default(), event.clone());
        let entry = Entry { sequence, previous: head, at, event, next };
        let frame = encode(&entry, &mut [0; MAX_FRAME]).expect("short").to_vec();
        head = sha256(&frame);
        frame
    };
    sequences.map(&mut next).collect()
}

/// What the disk was left with, and what goes on from there.
fn ours(sequences: RangeInclusive<u64>) -> Vec<Vec<u8>> {
    let whole = chain(Digest::ZERO, &Event::WindowOpened, 1..=*sequences.end());
    whole[*sequences.start() as usize - 1..].to_vec()
}

/// What an agent writes that could not read the disk: a ledger of its own, from the first entry on.
fn anew(last: u64) -> Vec<Vec<u8>> {
    chain(Digest::ZERO, &Event::Confirmed, 1..=last)
}

fn put(folder: &Path, file: &str, frames: &[Vec<u8>]) {
    let path = folder.join(file);
    fs::create_dir_all(path.parent().expect("a folder")).expect("writable");
    fs::write(path, frames.concat()).expect("writable");
}

/// A node whose disk and memory hold these.
fn holding(disk: &[Vec<u8>], memory: &[Vec<u8>]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    put(folder.path(), "data/ledger", disk);
    put(folder.path(), "memory/ledger", memory);
    folder
}

/// An agent that runs on what its memory holds; the disk comes back with this.
fn in_memory(disk: &[Vec<u8>], memory: &[Vec<u8>]) -> (tempfile::TempDir, LedgerFile) {
    let folder = holding(&[], memory);
    let data = folder.path().join("data");
    fs::remove_dir_all(&data).expect("it is ours");
    fs::write(&data, "no folder").expect("writable");
    let (ledger, last) = open(folder.path());
    assert_eq!(
        (ledger.kept(), sequence(last)),
        (
            Kept::Memory,
            memory.len().checked_sub(1).map(|at| ledger::frames(&memory[at])
                .find_map(|it| it.entry)
                .expect("whole")
                .sequence)
        )
    );
    fs::remove_file(&data).expect("it is ours");
    put(folder.path(), "data/ledger", disk);
    (folder, ledger)
}

/// The ledger on the disk: the number of its last entry, how many it has, where its chain breaks.
fn stands(opened: (LedgerFile, Option<Last>)) -> (Option<u64>, u64, Option<u64>) {
    let (ledger, last) = opened;
    assert_eq!(ledger.kept(), Kept::Data);
    (sequence(last), ledger.entries(), ledger.broken_at())
}

fn on_disk(folder: &Path) -> Vec<u8> {
    fs::read(folder.join("data/ledger")).expect("it is there")
}

fn aside(folder: &Path) -> Vec<u8> {
    fs::read(folder.join("data/ledger.aside")).expect("it is there")
}

fn damage(folder: &Path) -> String {
    open(folder).0.damage().unwrap_or_default().to_owned()
}

#[test]
fn what_an_agent_wrote_that_could_not_read_the_disk_is_not_taken_for_what_follows() {
    let folder = holding(&ours(1..=2), &anew(5));
    assert_eq!(stands(open(folder.path())), (Some(2), 2, None), "though 3, 4 and 5 are newer");
    assert_eq!(on_disk(folder.path()), ours(1..=2).concat());
}

#[test]
fn what_does_not_follow_the_disk_is_set_aside_and_told_until_somebody_removes_it() {
    let folder = holding(&ours(1..=2), &anew(5));
    for _ in 0..2 {
        let told = damage(folder.path());
        assert!(told.starts_with("5 entries that were kept in memory do not follow it"), "{told}");
        assert!(told.ends_with("data/ledger.aside"), "{told}");
    }
    assert_eq!(aside(folder.path()), anew(5).concat());
    assert!(!folder.path().join("memory/ledger").exists());
    // The disk was late again.
    put(folder.path(), "memory/ledger", &anew(3));
    assert!(damage(folder.path()).starts_with("8 entries"));
    fs::remove_file(folder.path().join("data/ledger.aside")).expect("it is there");
    assert_eq!(damage(folder.path()), "");
}

#[test]
fn what_is_set_aside_lies_there_once_however_often_the_power_goes() {
    let folder = holding(&ours(1..=2), &anew(3));
    drop(open(folder.path()));
    put(folder.path(), "memory/ledger", &anew(3));
    assert!(damage(folder.path()).starts_with("3 entries"));
    assert_eq!(aside(folder.path()), anew(3).concat());
}

#[test]
fn what_was_set_aside_takes_no_more_room_than_a_segment() {
    let folder = holding(&ours(1..=2), &anew(3));
    let much = vec![0; SEGMENT as usize];
    fs::write(folder.path().join("data/ledger.aside"), much).expect("writable");
    drop(open(folder.path()));
    assert_eq!(aside(folder.path()), anew(3).concat());
}

#[test]
fn nothing_is_forgotten_in_memory_that_could_not_be_set_aside() {
    let folder = holding(&ours(1..=2), &anew(5));
    let in_the_way = folder.path().join("data/ledger.aside.new");
    fs::create_dir(&in_the_way).expect("writable");
    let (mut ledger, last) = open(folder.path());
    assert_eq!((ledger.kept(), sequence(last)), (Kept::Memory, Some(2)), "it can be read");
    let head = sha256(&ours(2..=2).concat());
    append(&mut ledger, 3, head);
    assert_eq!(ledger.recover(), Recovered::Unchanged, "and needs no other agent");
    fs::remove_dir(&in_the_way).expect("it is ours");
    assert_eq!(ledger.recover(), Recovered::OnDisk);
    drop(ledger);
    assert_eq!(stands(open(folder.path())), (Some(3), 3, None));
    assert_eq!(aside(folder.path()), anew(5).concat());
}

#[test]
fn an_agent_whose_late_disk_has_a_ledger_of_its_own_starts_anew_however_short_that_is() {
    let (folder, mut ledger) = in_memory(&ours(1..=2), &anew(5));
    assert_eq!((ledger.recover(), ledger.kept()), (Recovered::DiskIsAhead, Kept::Memory));
    assert_eq!(on_disk(folder.path()), ours(1..=2).concat());
    drop(ledger);
    assert_eq!(stands(open(folder.path())), (Some(2), 2, None));
}

#[test]
fn an_agent_that_can_only_read_its_late_disk_goes_on_from_there_all_the_same() {
    let (folder, mut ledger) = in_memory(&[], &anew(5));
    put(folder.path(), "data/ledger", &ours(1..=2));
    // Whoever holds the lock keeps the disk from being written, not from being read.
    let holder = LedgerFile::open(&folder.path().join("data"), &folder.path().join("none"));
    assert_eq!(ledger.recover(), Recovered::DiskIsAhead);
    drop(ledger);
    let (mut ledger, last) = open(folder.path());
    let last = last.expect("two entries");
    assert_eq!((last.entry.sequence, ledger.kept()), (2, Kept::Memory));
    append(&mut ledger, 3, last.head);
    assert_eq!(ledger.recover(), Recovered::Unchanged, "once is enough");
    drop(ledger);
    let (mut ledger, last) = open(folder.path());
    assert_eq!(sequence(last), Some(3), "what it wrote since is newer than the disk");
    drop(holder);
    assert_eq!(
        (ledger.recover(), ledger.entries(), ledger.broken_at()),
        (Recovered::OnDisk, 3, None)
    );
    assert!(ledger.damage().is_some_and(|told| told.starts_with("5 entries")));
}

#[test]
fn an_agent_that_has_read_the_disk_stays_while_that_cannot_be_written() {
    let folder = holding(&ours(1..=2), &[]);
    let holder = LedgerFile::open(&folder.path().join("data"), &folder.path().join("none"));
    let (mut ledger, last) = open(folder.path());
    append(&mut ledger, 3, last.expect("two entries").head);
    let (mut holder, last) = holder.expect("a ledger");
    let head = last.expect("two entries").head;
    (3..=4).fold(head, |head, sequence| append(&mut holder, sequence + 10, head));
    assert_eq!(
        ledger.recover(),
        Recovered::Unchanged,
        "a second agent is not started again and again"
    );
}

#[test]
fn a_new_disk_takes_the_ledger_that_began_without_it() {
    let (folder, mut ledger) = in_memory(&[], &anew(3));
    assert_eq!(ledger.recover(), Recovered::OnDisk);
    assert_eq!((ledger.entries(), ledger.damage(), ledger.broken_at()), (3, None, None));
    drop(ledger);
    assert_eq!(stands(open(folder.path())), (Some(3), 3, None));
}

#[test]
fn a_carry_over_that_was_cut_goes_on_where_it_stopped() {
    for carried in 2..=4 {
        let (folder, mut ledger) = in_memory(&ours(1..=carried), &ours(2..=4));
        assert_eq!(ledger.recover(), Recovered::OnDisk, "no other agent is needed");
        assert_eq!((ledger.entries(), ledger.damage(), ledger.broken_at()), (4, None, None));
        assert_eq!(on_disk(folder.path()), ours(1..=4).concat());
        let folder = holding(&ours(1..=carried), &ours(2..=4));
        assert_eq!(stands(open(folder.path())), (Some(4), 4, None));
        assert_eq!(damage(folder.path()), "");
    }
}

#[test]
fn a_ledger_that_began_in_memory_goes_on_where_its_carry_over_was_cut() {
    let (folder, mut ledger) = in_memory(&anew(2), &anew(5));
    assert_eq!(ledger.recover(), Recovered::OnDisk);
    assert_eq!((ledger.entries(), ledger.damage(), ledger.broken_at()), (5, None, None));
    assert_eq!(on_disk(folder.path()), anew(5).concat());
}

#[test]
fn what_is_no_part_of_the_ledger_is_set_aside_though_the_carry_over_was_cut() {
    let memory = [anew(5), ours(3..=5)].concat();
    for carried in 2..=5 {
        let folder = holding(&ours(1..=carried), &memory);
        assert_eq!(stands(open(folder.path())), (Some(5), 5, None));
        assert_eq!(aside(folder.path()), anew(5).concat());
    }
}

#[test]
fn a_disk_that_lost_its_end_takes_what_came_after_it_and_the_chain_is_told_as_broken() {
    let (folder, mut ledger) = in_memory(&ours(1..=2), &ours(5..=6));
    assert_eq!((ledger.recover(), ledger.broken_at()), (Recovered::OnDisk, Some(5)));
    drop(ledger);
    assert_eq!(stands(open(folder.path())), (Some(6), 4, Some(5)));
    assert_eq!(damage(folder.path()), "", "nothing of it was set aside");
    let folder = holding(&ours(1..=2), &[anew(5), ours(5..=6)].concat());
    assert_eq!(stands(open(folder.path())), (Some(6), 4, Some(5)));
    assert_eq!(aside(folder.path()), anew(5).concat());
}

#[test]
fn a_disk_that_went_on_without_the_agent_is_not_written_on() {
    for first in 5..=6 {
        let memory = chain(Digest([7; 32]), &Event::Confirmed, first..=first + 3);
        let (folder, mut ledger) = in_memory(&ours(1..=6), &memory);
        assert_eq!(ledger.recover(), Recovered::DiskIsAhead);
        drop(ledger);
        assert_eq!(stands(open(folder.path())), (Some(6), 6, None));
        assert!(damage(folder.path()).starts_with("4 entries"));
    }
}

#[test]
fn a_disk_of_which_nothing_is_understood_takes_what_memory_held() {
    let theirs = [of_another_version(frame(1, Digest::ZERO))];
    let (folder, mut ledger) = in_memory(&theirs, &anew(3));
    assert_eq!((ledger.recover(), ledger.broken_at()), (Recovered::OnDisk, Some(1)));
    drop(ledger);
    assert_eq!(stands(open(folder.path())), (Some(3), 4, Some(1)));
}

#[test]
fn what_memory_held_in_several_segments_is_carried_over_whole() {
    let folder = holding(&ours(1..=1), &ours(4..=4));
    put(folder.path(), "memory/ledger.2", &ours(2..=2));
    put(folder.path(), "memory/ledger.1", &ours(3..=3));
    assert_eq!(stands(open(folder.path())), (Some(4), 4, None));
    assert_eq!(segments(&folder.path().join("memory")), Vec::<PathBuf>::new());
}

#[test]
fn what_another_version_kept_in_memory_is_carried_over_with_the_rest() {
    let head = sha256(&ours(1..=1).concat());
    let theirs = of_another_version(frame(2, head));
    let last = frame(3, sha256(&theirs));
    let folder = holding(&ours(1..=1), &[frame(2, head), theirs.clone(), last.clone()]);
    let (ledger, _) = open(folder.path());
    assert_eq!(ledger.entries(), 4);
    drop(ledger);
    let there = [&ours(1..=1)[..], &[frame(2, head), theirs.clone()]].concat();
    let folder = holding(&there, &[frame(2, head), theirs.clone(), last]);
    assert_eq!(open(folder.path()).0.entries(), 4);
    assert!(!folder.path().join("data/ledger.aside").exists(), "it is no other ledger");
    let folder = holding(&ours(1..=1), &[frame(2, head), theirs.clone()]);
    let (ledger, last) = open(folder.path());
    let last = last.expect("the second");
    assert_eq!(ledger.damage(), Some("1 entries are another version's"), "at once");
    drop(ledger);
    assert_eq!((last.entry.sequence, last.head), (2, sha256(&theirs)), "the next one follows it");
    let folder = holding(&ours(1..=2), &[theirs]);
    let (ledger, last) = open(folder.path());
    assert_eq!((ledger.entries(), sequence(last)), (2, Some(2)));
    assert!(ledger.damage().is_some_and(|told| told.starts_with("1 entries that were kept")));
}

#[test]
fn damage_of_the_disk_is_told_beside_what_was_set_aside() {
    let mut disk = ours(1..=3);
    disk[1][9] ^= 0x40;
    let folder = holding(&disk, &anew(5));
    let told = damage(folder.path());
    assert!(told.contains("in the middle are not entries; 5 entries that were kept"), "{told}");
}
