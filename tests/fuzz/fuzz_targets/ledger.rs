//! The ledger's bytes: what is read was there, means the same when it is written again, and whatever it says
//! last, the node goes on from it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::convert::Infallible;
use steadfast_adapters::ledger_file::sha256;
use steadfast_core::ledger::{self, Entry, Read, Stamp};
use steadfast_core::{Assigned, Boot, Digest, Event, Machine, OtherSlot, Slot, ThisSlot, Version};
use steadfast_fuzz::{limited, policy, with_checksums};

/// A frame's bytes besides its entry.
const FRAME: usize = 9;

/// How many of a ledger's events the node hears again.
const EVENTS: usize = 12;

fuzz_target!(|data: &[u8]| limited(data, judge));

fn judge(data: &[u8]) {
    let whole = with_checksums(data);
    for bytes in [data, &whole] {
        let found = ledger::read(bytes, Digest::ZERO, sha256);
        fits(bytes, &found);
        for frame in ledger::frames(bytes) {
            assert_eq!(&bytes[frame.offset..][..frame.bytes.len()], frame.bytes);
            frame.entry.iter().for_each(means_the_same);
        }
        goes_on(bytes, found);
    }
}

/// There are no more entries than frames fit, and every byte is accounted for.
fn fits(bytes: &[u8], found: &Read) {
    let framed: usize = ledger::frames(bytes).map(|frame| frame.bytes.len()).sum();
    assert!(found.entries as usize * FRAME <= framed);
    assert_eq!(found.end, framed + found.damaged);
    assert!(found.end <= bytes.len() && found.unknown <= found.entries);
    assert_eq!(found.last.is_none(), found.entries == found.unknown);
}

/// What was read can be written, and says the same then.
fn means_the_same(entry: &Entry) {
    let mut buffer = [0; ledger::MAX_FRAME];
    let frame = ledger::encode(entry, &mut buffer).expect("a frame holds every entry");
    let mut again = ledger::frames(frame);
    assert_eq!(again.next().and_then(|frame| frame.entry).as_ref(), Some(entry));
    assert!(again.next().is_none());
}

/// A node that resumes here and hears what the ledger tells of appends a chain that holds.
fn goes_on(bytes: &[u8], found: Read) {
    let events = ledger::frames(bytes).filter_map(|frame| frame.entry).map(|entry| entry.event);
    let foreign = found.last.is_none() && found.entries > 0;
    let mut machine = Machine::new(found.last, policy(), sha256);
    if foreign {
        machine = machine.after(found.entries, found.head);
    }
    let mut grown = bytes[..found.end].to_vec();
    let mut saved = 0;
    for event in std::iter::once(started(bytes)).chain(events.take(EVENTS)) {
        let save = |frame: &[u8]| {
            grown.extend_from_slice(frame);
            Ok::<(), Infallible>(())
        };
        let Ok(turn) = machine.turn(event, Stamp::default(), save);
        saved += u64::from(turn.saved.is_some());
    }
    let again = ledger::read(&grown, Digest::ZERO, sha256);
    assert!(saved > 0, "a start is always an entry");
    assert_eq!(again.entries, found.entries + saved);
    assert_eq!((again.broken_at, again.damaged), (found.broken_at, found.damaged));
    let last = again.last.expect("it was just written");
    assert_eq!((last.entry.sequence, last.head), machine.head());
    assert_eq!(&last.entry.next, machine.node());
}

fn started(bytes: &[u8]) -> Event {
    let odd = bytes.len() % 2 == 1;
    Event::Booted(Boot {
        slot: if odd { Slot::A } else { Slot::B },
        version: Version::new("1.0.0").expect("a version"),
        id: [7; 16],
        this: ThisSlot::Once,
        other: if bytes.len() % 3 == 0 { OtherSlot::Tried } else { OtherSlot::Untried },
        set: Assigned::Nothing,
        evidence: None,
    })
}
