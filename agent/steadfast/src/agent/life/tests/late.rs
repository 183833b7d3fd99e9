//! A node whose /data comes late, in the middle of a trial.

use super::*;
use std::fs;
use steadfast_adapters::ledger_file::Recovered;
use steadfast_core::ledger::{MAX_FRAME, encode};

const REFUSED: Digest = Digest([9; 32]);

/// The node was told to try 2.0 in slot B, and refuses another release: one entry, the only one on the disk.
fn was_to_try(folder: &TempDir) {
    let mut node = node(folder, &config(folder));
    let mut next = steadfast_core::Node {
        update: Update::Rebooting { trial: trial() },
        floor: Some(trial().version),
        ..Default::default()
    };
    next.refused.push(REFUSED).expect("there is room for one");
    let (previous, at) = (Digest::ZERO, stamp());
    let entry = Entry { sequence: 1, previous, at, event: Event::Activated(Ok(())), next };
    let mut buffer = [0; MAX_FRAME];
    node.life.ledger.append(encode(&entry, &mut buffer).expect("short")).expect("writable");
}

/// /data is not there, and a file is where its folder should be.
fn data_goes(folder: &TempDir) {
    let data = folder.path().join("data");
    fs::rename(&data, folder.path().join("away")).expect("writable");
    fs::write(data, "no folder").expect("writable");
}

fn data_comes(folder: &TempDir) {
    let data = folder.path().join("data");
    fs::remove_file(&data).expect("writable");
    fs::rename(folder.path().join("away"), data).expect("writable");
}

/// 2.0 came up in slot B; the other slot may boot.
fn tries() -> Event {
    let (version, other) = (trial().version, OtherSlot::Tried);
    Event::Booted(Boot {
        slot: Slot::B,
        version,
        id: [2; 16],
        this: ThisSlot::Once,
        other,
        set: Assigned::Nothing,
        evidence: None,
    })
}

fn sick() -> Event {
    Event::Judged(Verdict::Unhealthy(Failure::new(Cause::Deadline, format_args!("never ready"))))
}

fn committed(node: &mut Node) -> bool {
    std::iter::from_fn(|| node.boot.try_recv().ok()).any(|it| matches!(it, BootAction::Commit(_)))
}

#[tokio::test]
async fn a_node_whose_data_comes_late_forgets_neither_its_trial_nor_what_it_refused() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        was_to_try(&folder);
        data_goes(&folder);
        let mut early = node(&folder, &config(&folder));
        [tries(), sick()].into_iter().for_each(|event| early.life.turn(event).expect("saved"));
        assert_eq!(early.life.machine.head().0, 2, "more than the disk has");
        assert!(early.life.machine.node().doubt.is_some(), "it knows of no trial");
        assert!(!committed(&mut early), "and keeps nothing that did not pass its gate");
        assert_eq!(early.life.ledger.recover(), Recovered::Unchanged);
        data_comes(&folder);
        assert_eq!(early.life.ledger.recover(), Recovered::DiskIsAhead);
        drop(early);
        let mut late = node(&folder, &config(&folder));
        late.life.turn(tries()).expect("it is saved");
        let knows = late.life.machine.node();
        assert!(matches!(&knows.update, Update::Probation { trial: it, .. } if *it == trial()));
        assert_eq!(knows.refused.as_slice(), [REFUSED]);
        late.life.turn(sick()).expect("it is saved");
        assert_eq!(late.boot.try_recv(), Ok(BootAction::Condemn(Slot::B)));
    })
    .await;
}

#[tokio::test]
async fn a_node_whose_data_comes_late_tells_what_it_wrote_in_the_meantime_and_its_chain_is_whole() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        was_to_try(&folder);
        data_goes(&folder);
        let mut early = node(&folder, &config(&folder));
        [tries(), sick()].into_iter().for_each(|event| early.life.turn(event).expect("saved"));
        drop(early);
        data_comes(&folder);
        let mut late = node(&folder, &config(&folder));
        late.life.turn(tries()).expect("it is saved");
        let Response::Status(status) = answer(&mut late.life, Request::Status) else {
            panic!("it is asked for")
        };
        assert_eq!((status.ledger.chain.as_str(), status.ledger.entries), ("whole", 2));
        let told = status.ledger.damage.unwrap_or_default();
        assert!(told.starts_with("2 entries that were kept in memory do not follow it"), "{told}");
        let Response::History(history) = answer(&mut late.life, Request::History) else {
            panic!("it is asked for")
        };
        let events: Vec<_> = history.entries.iter().map(|it| (it.seq, it.event.as_str())).collect();
        assert_eq!(events, [(1, "activated"), (2, "booted")]);
    })
    .await;
}

#[tokio::test]
async fn a_node_that_understands_nothing_of_its_ledger_goes_on_behind_it() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        was_to_try(&folder);
        let path = folder.path().join("data/ledger");
        let mut bytes = fs::read(&path).expect("one entry");
        // As a version would write it that this one does not know.
        let end = bytes.len() - 4;
        bytes[2] = 99;
        let sum = crc32c(&bytes[..end]).to_le_bytes();
        bytes[end..].copy_from_slice(&sum);
        fs::write(&path, bytes).expect("writable");
        let mut node = node(&folder, &config(&folder));
        node.life.turn(started()).expect("it is saved");
        assert_eq!(node.life.machine.head().0, 2);
        drop(node);
        let ledger = LedgerFile::open(&folder.path().join("data"), &folder.path().join("run"));
        assert_eq!(ledger.expect("a ledger").0.broken_at(), None);
    })
    .await;
}

/// The checksum of a frame, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let shift = |sum: u32| (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg());
    !bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| shift(sum)))
}
