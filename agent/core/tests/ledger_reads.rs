//! What a ledger with more than one thing wrong in it still says.

use steadfast_core::ledger::{self, Entry, MAX_FRAME, Stamp};
use steadfast_core::{Digest, Event, Node};

/// Not cryptographic, but enough to tell frames apart.
fn hash(bytes: &[u8]) -> Digest {
    let mut digest = [0_u8; 32];
    for (at, byte) in bytes.iter().enumerate() {
        digest[at % 32] = digest[at % 32].wrapping_mul(31) ^ byte;
    }
    Digest(digest)
}

/// The frames of a chain.
fn frames(count: u64) -> Vec<Vec<u8>> {
    let mut previous = Digest::ZERO;
    let frame = |sequence| {
        let (at, event, next) = (Stamp::default(), Event::WindowOpened, Node::default());
        let entry = Entry { sequence, previous, at, event, next };
        let frame = ledger::encode(&entry, &mut [0; MAX_FRAME]).expect("short").to_vec();
        previous = hash(&frame);
        frame
    };
    (1..=count).map(frame).collect()
}

#[test]
fn of_two_breaks_of_the_chain_the_first_is_told() {
    let mut frames = frames(6);
    frames.remove(4);
    frames.remove(1);
    let read = ledger::read(&frames.concat(), Digest::ZERO, hash);
    assert_eq!((read.entries, read.broken_at), (4, Some(3)));
}

#[test]
fn behind_an_entry_of_another_version_the_node_reads_on() {
    let mut frames = frames(2);
    let end = frames[0].len() - 4;
    frames[0][2] = 99;
    let sum = crc32c(&frames[0][..end]).to_le_bytes();
    frames[0][end..].copy_from_slice(&sum);
    let read = ledger::read(&frames.concat(), Digest::ZERO, hash);
    assert_eq!((read.entries, read.unknown), (2, 1));
    assert_eq!(read.last.map(|last| last.entry.sequence), Some(2));
}

/// The checksum of a frame, bit by bit.
fn crc32c(bytes: &[u8]) -> u32 {
    let shift = |sum: u32| (sum >> 1) ^ (0x82f6_3b78 & (sum & 1).wrapping_neg());
    !bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| shift(sum)))
}
