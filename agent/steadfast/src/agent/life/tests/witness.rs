//! What a failed boot left is kept, and the kernel's last words are removed only then.

use super::*;
use std::fs;
use std::path::PathBuf;
use steadfast_adapters::evidence::record::Record;
use steadfast_adapters::ledger_file::Recovered;

/// The first start after 2.0 was tried in slot B and the other slot came up.
fn fell_back(node: &mut Node) -> Event {
    let version = Version::new("2.0").expect("a version");
    let why = steadfast_core::Why::Update;
    let trial = steadfast_core::Trial { version, digest: None, set: None, slot: Slot::B, why };
    let next = steadfast_core::Node { update: Update::Rebooting { trial }, ..Default::default() };
    let (previous, at) = (steadfast_core::Digest::ZERO, stamp());
    let entry =
        steadfast_core::ledger::Entry { sequence: 40, previous, at, event: Event::Ticked, next };
    let last = steadfast_core::ledger::Last { entry, head: previous };
    let policy = policy(&Config::default(), &node.life.board);
    node.life.machine = Machine::new(Some(last), policy, sha256);
    started()
}

/// What slot B's boot said, as its keeper left it.
fn keep_journal(data: &Path) {
    use steadfast_adapters::evidence::journal::{Heading, JournalFile, Tail};
    let heading = Heading { boot: [9; 16], slot: Slot::B, version: "2.0".to_owned() };
    let mut tail = Tail::default();
    tail.feed(b"the last line\n");
    JournalFile::new(&data.join("evidence"), heading).write(&tail).expect("writable");
}

fn records(data: &Path) -> Vec<steadfast_adapters::evidence::record::Record> {
    steadfast_adapters::evidence::record::Records::new(&data.join("evidence")).all()
}

#[tokio::test]
async fn what_a_failed_boot_left_is_kept_under_the_entry_that_will_tell_of_it() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(&folder);
        let mut node = node(&folder, &config);
        let start = fell_back(&mut node);
        keep_journal(&config.paths.data);
        node.life.witness(&start);
        assert_eq!(node.life.ledger.entries(), 0, "it is kept before the entry");
        node.life.turn(start).expect("it is saved");
        let kept = records(&config.paths.data);
        let [record] = kept.as_slice() else { panic!("one: {kept:?}") };
        assert_eq!((record.failed.sequence, node.life.machine.head().0), (41, 41));
        assert_eq!(
            record.journal.as_ref().map(|kept| kept.lines.join("/")),
            Some("the last line".into())
        );
        let asked = Request::HistoryOf { version: "2.0".to_owned() };
        let Response::HistoryOf(history) = answer(&mut node.life, asked) else { panic!("known") };
        assert_eq!((history.failed.len(), history.entries[0].seq), (1, 41));
    })
    .await;
}

#[tokio::test]
async fn what_a_failed_boot_left_waits_for_the_disk_as_the_ledger_does() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(&folder);
        let holder = LedgerFile::open(&config.paths.data, &config.paths.run).expect("a ledger");
        let mut node = node(&folder, &config);
        let start = fell_back(&mut node);
        keep_journal(&config.paths.data);
        node.life.witness(&start);
        node.life.turn(start).expect("it is saved in memory");
        assert_eq!(records(&config.paths.data), []);
        drop(holder);
        assert_eq!(node.life.ledger.recover(), Recovered::OnDisk);
        node.life.recover_evidence();
        assert_eq!(records(&config.paths.data).len(), 1);
    })
    .await;
}

/// The node tried 2.0 in slot B, whose kernel panicked.
fn panicked(folder: &TempDir) {
    keep_journal(&folder.path().join("data"));
    fs::create_dir_all(folder.path().join("pstore")).expect("writable");
    fs::write(record(folder), "<0>[    4.2] Kernel panic - sysrq\n").expect("writable");
}

fn record(folder: &TempDir) -> PathBuf {
    folder.path().join("pstore/dmesg-ramoops-0")
}

fn node_of(folder: &TempDir, config: &Config) -> Node {
    let mut node = node(folder, config);
    node.life.pstore = folder.path().join("pstore");
    node
}

/// Slot A starts, in the boot of this number, as the loop does it.
fn starts(node: &mut Node, boot: u8) -> Option<Cause> {
    let start = match boot == node.life.machine.node().boot[0] {
        true => Start::SameBoot,
        false => Start::NewBoot,
    };
    let evidence = node.life.evidence().collect(start, node.life.last_reset());
    let cause = evidence.as_ref().map(|it| it.cause.clone());
    let (version, other) = (Version::new("1.0").expect("a version"), OtherSlot::Tried);
    let (slot, id, this) = (Slot::A, [boot; 16], ThisSlot::Once);
    let booted =
        Event::Booted(Boot { slot, version, id, this, other, set: Assigned::Nothing, evidence });
    node.life.witness(&booted);
    node.life.turn(booted).expect("it is saved");
    node.life.clear_evidence();
    cause
}

/// No record can be made until this is gone.
fn no_room(folder: &TempDir) -> PathBuf {
    let in_the_way = folder.path().join("data/evidence/failed");
    fs::create_dir_all(folder.path().join("data/evidence")).expect("writable");
    fs::write(&in_the_way, "no folder").expect("writable");
    in_the_way
}

fn only(folder: &TempDir) -> Record {
    let mut kept = records(&folder.path().join("data"));
    assert_eq!(kept.len(), 1, "{kept:?}");
    kept.remove(0)
}

const WORDS: &str = "[    4.2] Kernel panic - sysrq";

#[tokio::test]
async fn the_kernels_last_words_stay_until_the_disk_has_room_for_them() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mut node = node_of(&folder, &config(&folder));
        fell_back(&mut node);
        panicked(&folder);
        let in_the_way = no_room(&folder);
        assert_eq!(starts(&mut node, 1), Some(Cause::Panic));
        node.life.retry_evidence();
        assert!(record(&folder).exists(), "they are kept nowhere else");
        fs::remove_file(in_the_way).expect("ours");
        node.life.retry_evidence();
        let Record { failed, kernel, journal } = only(&folder);
        assert_eq!((failed.sequence, kernel), (41, Some(vec![WORDS.to_owned()])));
        assert_eq!(journal.expect("its own").lines, ["the last line"]);
        assert!(!record(&folder).exists());
    })
    .await;
}

/// On the disk: the node was told to try 2.0 in slot B, and does.
fn was_to_try(folder: &TempDir) {
    let mut node = node_of(folder, &config(folder));
    let update = Update::Rebooting { trial: trial() };
    let next = steadfast_core::Node { update, ..Default::default() };
    let (previous, at) = (Digest::ZERO, stamp());
    let entry = Entry { sequence: 1, previous, at, event: Event::Activated(Ok(())), next };
    let mut buffer = [0; steadfast_core::ledger::MAX_FRAME];
    let frame = steadfast_core::ledger::encode(&entry, &mut buffer).expect("short");
    node.life.ledger.append(frame).expect("writable");
}

#[tokio::test]
async fn an_agent_that_starts_again_within_the_boot_keeps_what_waited_for_the_disk() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        was_to_try(&folder);
        panicked(&folder);
        // Who holds the ledger keeps the disk from being written, not from being read.
        let data = folder.path().join("data");
        let holder = LedgerFile::open(&data, &folder.path().join("none")).expect("a ledger");
        let mut first = node_of(&folder, &config(&folder));
        assert_eq!(starts(&mut first, 1), Some(Cause::Panic));
        assert_eq!((first.life.ledger.kept(), records(&data)), (Kept::Memory, vec![]));
        drop(first);
        // Still in memory: what waits is found once that is on the disk.
        let mut second = node_of(&folder, &config(&folder));
        starts(&mut second, 1);
        assert!(record(&folder).exists());
        drop(holder);
        assert_eq!(second.life.ledger.recover(), Recovered::OnDisk);
        second.life.recover_evidence();
        let Record { failed, kernel, journal } = only(&folder);
        assert_eq!((failed.sequence, kernel), (2, Some(vec![WORDS.to_owned()])));
        assert!(journal.is_some() && !record(&folder).exists());
    })
    .await;
}

#[tokio::test]
async fn an_agent_that_starts_again_after_room_returned_keeps_it_and_keeps_it_once() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        was_to_try(&folder);
        panicked(&folder);
        let data = folder.path().join("data");
        let holder = LedgerFile::open(&data, &folder.path().join("none")).expect("a ledger");
        starts(&mut node_of(&folder, &config(&folder)), 1);
        drop(holder);
        for _ in 0..2 {
            starts(&mut node_of(&folder, &config(&folder)), 1);
            let Record { failed, kernel, .. } = only(&folder);
            assert_eq!((failed.sequence, kernel), (2, Some(vec![WORDS.to_owned()])));
            assert!(!record(&folder).exists());
        }
    })
    .await;
}

#[tokio::test]
async fn a_later_boot_keeps_the_words_that_were_told_of_and_is_not_blamed_for_them() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        was_to_try(&folder);
        panicked(&folder);
        let in_the_way = no_room(&folder);
        assert_eq!(starts(&mut node_of(&folder, &config(&folder)), 1), Some(Cause::Panic));
        assert_eq!(starts(&mut node_of(&folder, &config(&folder)), 2), None);
        assert!(record(&folder).exists(), "there is still no room");
        fs::remove_file(in_the_way).expect("ours");
        assert_eq!(starts(&mut node_of(&folder, &config(&folder)), 3), None);
        let Record { failed, kernel, journal } = only(&folder);
        assert_eq!((failed.sequence, failed.version.as_str()), (2, "2.0"));
        assert_eq!((kernel, journal), (Some(vec![WORDS.to_owned()]), None));
        assert!(!record(&folder).exists());
    })
    .await;
}
