//! The ledger's files: whatever lies in them, the agent opens them, appends, and finds again what it appended.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use steadfast_adapters::ledger_file::{Kept, LedgerFile, sha256};
use steadfast_core::ledger::{Last, Stamp};
use steadfast_core::{Boot, Event, Machine, OtherSlot, Slot, Version};
use steadfast_fuzz::{Scratch, limited, policy, with_checksums};

fuzz_target!(|data: &[u8]| limited(data, judge));

static FOLDER: LazyLock<Scratch> = LazyLock::new(|| Scratch::folder("data"));
static MEMORY: LazyLock<Scratch> = LazyLock::new(|| Scratch::folder("memory"));

fn judge(data: &[u8]) {
    let Some((cuts, bytes)) = data.split_first_chunk::<3>() else { return };
    write(*cuts, &with_checksums(bytes));
    let (mut ledger, last) = opened();
    let (entries, broken_at) = (ledger.entries(), ledger.broken_at());
    // A ledger of which this version understands no entry is told as such, and begins anew.
    let begins_anew = last.is_none() && entries > 0;
    assert!(!begins_anew || ledger.damage().is_some());
    assert!(!MEMORY.path().join("ledger").exists(), "what was in memory was carried over");
    let mut machine = Machine::new(last, policy(), sha256);
    let turned = machine.turn(started(), Stamp::default(), |frame| ledger.append(frame));
    assert!(turned.expect("the folder can be written").saved.is_some());
    drop(ledger);
    let (again, last) = opened();
    let last = last.expect("it was just appended");
    assert_eq!((last.entry.sequence, last.head), machine.head());
    assert_eq!(again.entries(), entries + 1);
    assert!(begins_anew || again.broken_at().is_some() == broken_at.is_some());
}

fn opened() -> (LedgerFile, Option<Last>) {
    let opened = LedgerFile::open(FOLDER.path(), MEMORY.path()).expect("both folders can be used");
    assert_eq!(opened.0.kept(), Kept::Data);
    opened
}

/// Two closed segments, the open one, and what was kept in memory, each as long as its cut says.
fn write(cuts: [u8; 3], mut bytes: &[u8]) {
    for folder in [&FOLDER, &MEMORY] {
        for name in ["ledger", "ledger.1", "ledger.2"] {
            let _ = std::fs::remove_file(folder.path().join(name));
        }
    }
    for (name, cut) in ["ledger.2", "ledger.1", "ledger"].into_iter().zip(cuts) {
        let (part, rest) = bytes.split_at(bytes.len() * usize::from(cut) / 255);
        bytes = rest;
        if !part.is_empty() {
            FOLDER.write(name, part);
        }
    }
    if !bytes.is_empty() {
        MEMORY.write("ledger", bytes);
    }
}

fn started() -> Event {
    Event::Booted(Boot {
        slot: Slot::A,
        version: Version::new("1.0.0").expect("a version"),
        id: [7; 16],
        other: OtherSlot::Tried,
        evidence: None,
    })
}
