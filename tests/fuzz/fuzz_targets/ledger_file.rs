//! The ledger's files: whatever lies in them, the agent opens them, loses nothing of what was in memory, appends, and
//! finds again what it appended.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::HashSet;
use std::sync::LazyLock;
use steadfast_adapters::ledger_file::{Foreign, Kept, LedgerFile, sha256};
use steadfast_core::ledger::{self, Last, Stamp};
use steadfast_core::{Assigned, Boot, Digest, Event, Machine, OtherSlot, Slot, ThisSlot, Version};
use steadfast_fuzz::{Scratch, limited, policy, with_checksums};

fuzz_target!(|data: &[u8]| limited(data, judge));

static FOLDER: LazyLock<Scratch> = LazyLock::new(|| Scratch::folder("data"));
static MEMORY: LazyLock<Scratch> = LazyLock::new(|| Scratch::folder("memory"));

/// Every file that a ledger is kept in here.
const FILES: [&str; 4] = ["ledger.2", "ledger.1", "ledger", "ledger.aside"];

fn judge(data: &[u8]) {
    let Some((cuts, bytes)) = data.split_first_chunk::<3>() else { return };
    let bytes = with_checksums(bytes);
    let in_memory = write(*cuts, &bytes);
    let (disk, says) = opened();
    let alone = (disk.entries(), disk.broken_at());
    drop(disk);
    MEMORY.write("ledger", in_memory);
    let (mut ledger, last) = opened();
    nothing_is_lost(in_memory);
    if ledger.entries() == alone.0 {
        assert_eq!(
            (&last, ledger.broken_at()),
            (&says, alone.1),
            "what was set aside says nothing"
        );
    }
    let (entries, broken_at) = (ledger.entries(), ledger.broken_at());
    let foreign = ledger.foreign();
    assert_eq!(foreign.is_some(), last.is_none() && entries > 0);
    assert!(foreign.is_none() || ledger.damage().is_some());
    assert!(!MEMORY.path().join("ledger").exists(), "what was in memory was carried over");
    let machine = Machine::new(last, policy(), sha256);
    let mut machine = match foreign {
        Some(Foreign { entries, head }) => machine.after(entries, head),
        None => machine,
    };
    let turned = machine.turn(started(), Stamp::default(), |frame| ledger.append(frame));
    assert!(turned.expect("the folder can be written").saved.is_some());
    drop(ledger);
    let (again, last) = opened();
    let last = last.expect("it was just appended");
    assert_eq!((last.entry.sequence, last.head), machine.head());
    assert_eq!(again.entries(), entries + 1);
    assert_eq!(again.broken_at(), broken_at);
}

fn opened() -> (LedgerFile, Option<Last>) {
    let opened = LedgerFile::open(FOLDER.path(), MEMORY.path()).expect("both folders can be used");
    assert_eq!(opened.0.kept(), Kept::Data);
    opened
}

/// Each frame that was in memory is in the ledger or beside it, or one that follows it is there.
fn nothing_is_lost(in_memory: &[u8]) {
    let files = FILES.map(|name| std::fs::read(FOLDER.path().join(name)).unwrap_or_default());
    let digests = |bytes| ledger::frames(bytes).map(|frame| sha256(frame.bytes));
    let mut there: HashSet<Digest> = files.iter().flat_map(|bytes| digests(bytes)).collect();
    let frames: Vec<_> = ledger::frames(in_memory).collect();
    for frame in frames.into_iter().rev() {
        assert!(there.contains(&sha256(frame.bytes)), "a frame was lost");
        // What another version's frame follows is not known here.
        let Some(entry) = frame.entry else { return };
        there.insert(entry.previous);
    }
}

/// Two closed segments and the open one, each as long as its cut says. The rest was kept in memory.
fn write(cuts: [u8; 3], mut bytes: &[u8]) -> &[u8] {
    for name in FILES {
        let _ = std::fs::remove_file(FOLDER.path().join(name));
        let _ = std::fs::remove_file(MEMORY.path().join(name));
    }
    for (name, cut) in FILES.into_iter().zip(cuts) {
        let (part, rest) = bytes.split_at(bytes.len() * usize::from(cut) / 255);
        bytes = rest;
        if !part.is_empty() {
            FOLDER.write(name, part);
        }
    }
    bytes
}

fn started() -> Event {
    Event::Booted(Boot {
        slot: Slot::A,
        version: Version::new("1.0.0").expect("a version"),
        id: [7; 16],
        this: ThisSlot::Once,
        other: OtherSlot::Tried,
        set: Assigned::Nothing,
        evidence: None,
    })
}
