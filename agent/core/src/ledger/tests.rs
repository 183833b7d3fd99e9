use super::*;
use crate::cause::{Cause, Failure, text};
use crate::event::{At, Offer, OtherSlot};
use crate::names::{Begun, Bundle, SetId, Slot, Source, VerifiedBundle};
use crate::node::{Committed, Ending, Outcome, Pending};
use crate::update::Update;
use crate::version::Version;
use proptest::prelude::*;
extern crate std;
use std::vec::Vec;

/// Not cryptographic, but enough to tell frames apart.
fn hash(bytes: &[u8]) -> Digest {
    let mut digest = [0_u8; 32];
    for (at, byte) in bytes.iter().enumerate() {
        digest[at % 32] = digest[at % 32].wrapping_mul(31) ^ byte;
    }
    Digest(digest)
}

fn ledger(entries: u64) -> (Vec<u8>, Vec<usize>) {
    let (mut bytes, mut ends, mut previous) = (Vec::new(), Vec::new(), Digest::ZERO);
    for sequence in 1..=entries {
        let at = Stamp { unix_s: 1_700_000_000 + sequence, boot_ms: sequence };
        let next = Node::default();
        let entry = Entry { sequence, previous, at, event: Event::WindowOpened, next };
        let mut buffer = [0; MAX_FRAME];
        let frame = encode(&entry, &mut buffer).expect("short");
        previous = hash(frame);
        bytes.extend_from_slice(frame);
        ends.push(bytes.len());
    }
    (bytes, ends)
}

/// A node in which every bounded thing is full.
fn full_node() -> Node {
    let long = |c: char, n: usize| core::iter::repeat_n(c, n).collect::<std::string::String>();
    let version = Version::new(&long('9', 32)).expect("32 characters");
    let source: Source = long('s', 255).as_str().try_into().expect("255 bytes");
    let content = Some(Digest([0xff; 32]));
    let offer = Offer { source: source.clone(), at: At::Window, content, set: Some(source) };
    let digest = Digest([0xff; 32]);
    let name = long('n', 48).as_str().try_into().expect("48 bytes");
    let evidence = text(format_args!("{}", long('e', 200)));
    let failure = Failure { cause: Cause::Workload(name), evidence };
    let bundle = VerifiedBundle(Bundle { version: version.clone(), digest });
    let begun = Begun { bundle: bundle.0.clone(), cuts: 255 };
    let set = Some(SetId { digest, generation: u64::MAX });
    let committed =
        Committed { slot: Slot::B, version: version.clone(), digest: Some(digest), set };
    Node {
        update: Update::Staging {
            offer: offer.clone(),
            attempt: 255,
            bundle: bundle.clone(),
            begun: Some(begun.clone()),
        },
        booted: Slot::B,
        boot: [0xff; 16],
        other: OtherSlot::Tried,
        running: Some(version.clone()),
        set,
        committed: Some(committed.clone()),
        previous: Some(committed),
        pending: Pending::Offer(offer, Some(begun)),
        doubt: Some(failure.clone()),
        refused: core::iter::repeat_n(digest, 16).collect(),
        floor: Some(version.clone()),
        set_floor: Some(u64::MAX),
        last: Some(Ending {
            version: Some(version),
            set,
            slot: Slot::B,
            outcome: Outcome::Returned,
            failure: Some(failure),
        }),
        endings: u32::MAX,
    }
}

#[test]
fn the_longest_entry_fits_into_a_frame() {
    let next = full_node();
    let Pending::Offer(offer, _) = next.pending.clone() else { panic!("an offer") };
    let at = Stamp { unix_s: u64::MAX, boot_ms: u64::MAX };
    let event = Event::Announced(offer);
    let previous = Digest([0xff; 32]);
    let entry = Entry { sequence: u64::MAX, previous, at, event, next };
    let mut buffer = [0; MAX_FRAME];
    let bytes = encode(&entry, &mut buffer).expect("it fits");
    assert_eq!(whole(bytes).and_then(understood), Some(entry));
}

#[test]
fn a_ledger_cut_anywhere_resumes_at_its_last_whole_entry() {
    let (bytes, ends) = ledger(4);
    for cut in 0..=bytes.len() {
        let read = read(&bytes[..cut], Digest::ZERO, hash);
        let whole = ends.iter().filter(|end| **end <= cut).count();
        assert_eq!(read.entries as usize, whole, "cut at {cut}");
        assert_eq!(read.end, whole.checked_sub(1).map_or(0, |at| ends[at]), "cut at {cut}");
        assert_eq!((read.damaged, read.broken_at), (0, None), "cut at {cut}");
    }
}

#[test]
fn damage_in_the_middle_is_passed_over_and_reported() {
    let (mut bytes, ends) = ledger(3);
    bytes[ends[0] + 9] ^= 0x40;
    let read = read(&bytes, Digest::ZERO, hash);
    assert_eq!(read.last.expect("the third").entry.sequence, 3);
    assert_eq!((read.entries, read.damaged), (2, ends[1] - ends[0]));
    assert_eq!(read.broken_at, Some(3));
}

#[test]
fn a_chain_with_an_entry_taken_out_is_broken() {
    let (bytes, ends) = ledger(3);
    let shorter = [&bytes[..ends[0]], &bytes[ends[1]..]].concat();
    assert_eq!(read(&shorter, Digest::ZERO, hash).broken_at, Some(3));
    assert_eq!(read(&bytes[ends[0]..], Digest::ZERO, hash).broken_at, Some(2));
    assert_eq!(read(&bytes, Digest::ZERO, hash).broken_at, None);
}

#[test]
fn an_entry_of_another_version_is_kept_and_counted() {
    let (mut bytes, ends) = ledger(2);
    let frame = &mut bytes[ends[0]..];
    frame[2] = FORMAT + 1;
    let end = frame.len() - TAIL;
    let sum = CRC.checksum(&frame[..end]);
    frame[end..].copy_from_slice(&sum.to_le_bytes());
    let read = read(&bytes, Digest::ZERO, hash);
    assert_eq!((read.entries, read.unknown, read.end), (2, 1, ends[1]));
    let last = read.last.expect("the first");
    assert_eq!((last.entry.sequence, last.head), (1, hash(&bytes[ends[0]..])));
}

/// Frames that a released agent wrote. When this fails, the format changed: count FORMAT up and keep
/// a reader for the old one, so that no node forgets what it is in the middle of.
#[test]
fn the_bytes_of_format_1_stay_readable() {
    let bytes = include_bytes!("format-1.bin");
    let frames: Vec<_> = frames(bytes).collect();
    let entry = frames.first().and_then(|frame| frame.entry.clone()).expect("one entry");
    assert_eq!((frames.len(), entry.sequence), (1, 7));
    assert_eq!(entry.next, full_node());
}

proptest! {
    #[test]
    fn one_altered_byte_never_passes_for_an_entry(at in 0..4000_usize, change in 1..=255_u8) {
        let (mut bytes, _) = ledger(3);
        let at = at % bytes.len();
        bytes[at] ^= change;
        let read = read(&bytes, Digest::ZERO, hash);
        prop_assert!(read.entries == 2);
    }

    #[test]
    fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let mut framed = std::vec![MAGIC[0], MAGIC[1], FORMAT];
        framed.extend_from_slice(&bytes);
        let _ = read(&framed, Digest::ZERO, hash);
    }
}
