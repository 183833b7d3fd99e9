//! The ledger's bytes: one frame appended a step, readable after any power cut.
//!
//! ```text
//! frame:  0x5f 0x1d | format 1 | length u16 LE | entry (postcard) | crc32c of all before, LE
//! chain:  each entry names the digest of the frame before it
//! ```
//!
//! The ledger is memory and audit trail at once. Always true: the last whole entry is where the
//! node resumes; a torn tail is no error; bytes that are wrong in the middle are passed over and
//! reported, and so is a chain that does not hold.

use crate::event::Event;
use crate::names::Digest;
use crate::node::Node;
use crc::{CRC_32_ISCSI, Crc};
use serde::{Deserialize, Serialize};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
const MAGIC: [u8; 2] = [0x5f, 0x1d];
const FORMAT: u8 = 1;
const HEAD: usize = 5;
const TAIL: usize = 4;

/// The longest frame in bytes. A test encodes the worst case.
pub const MAX_FRAME: usize = 3584;

/// A SHA-256 over bytes; given from outside, so that the core needs no cryptography of its own.
pub type Hash = fn(&[u8]) -> Digest;

/// When something was written down.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Stamp {
    /// Seconds since 1970-01-01 UTC, as the node's clock had it; it may be wrong.
    pub unix_s: u64,
    /// Milliseconds since the kernel started; it is right.
    pub boot_ms: u64,
}

/// One step, as it is remembered.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Counts the steps since the ledger began, from one.
    pub sequence: u64,
    /// The digest of the frame before; zeros in the first.
    pub previous: Digest,
    /// When.
    pub at: Stamp,
    /// What happened.
    pub event: Event,
    /// Where it led: the node's whole memory.
    pub next: Node,
}

/// The last entry that is whole and understood, and the digest of the last whole frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Last {
    /// The entry.
    pub entry: Entry,
    /// What the next entry names as the one before.
    pub head: Digest,
}

/// The entry does not fit into [`MAX_FRAME`] bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the entry does not fit into {MAX_FRAME} bytes")]
pub struct TooLong;

/// Writes the frame of `entry` into `buffer` and returns its bytes.
pub fn encode<'b>(entry: &Entry, buffer: &'b mut [u8; MAX_FRAME]) -> Result<&'b [u8], TooLong> {
    let room = &mut buffer[HEAD..MAX_FRAME - TAIL];
    let length = postcard::to_slice(entry, room).map_err(|_| TooLong)?.len();
    buffer[..2].copy_from_slice(&MAGIC);
    buffer[2] = FORMAT;
    let short = u16::try_from(length).map_err(|_| TooLong)?;
    buffer[3..HEAD].copy_from_slice(&short.to_le_bytes());
    let end = HEAD + length;
    let sum = CRC.checksum(&buffer[..end]);
    buffer[end..end + TAIL].copy_from_slice(&sum.to_le_bytes());
    Ok(&buffer[..end + TAIL])
}

/// One whole frame as it stands in the ledger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame<'b> {
    /// Where it starts, in bytes.
    pub offset: usize,
    /// All its bytes.
    pub bytes: &'b [u8],
    /// What it says; `None` when another version of the agent wrote it in a way unknown to this one.
    pub entry: Option<Entry>,
}

/// Reads the whole frame at the start of `bytes`: its magic, length and checksum are right.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let head = bytes.get(..HEAD).filter(|head| head[..2] == MAGIC)?;
    let end = HEAD + usize::from(u16::from_le_bytes([head[3], head[4]]));
    let sum = bytes.get(end..end + TAIL)?;
    (CRC.checksum(&bytes[..end]).to_le_bytes() == sum).then(|| &bytes[..end + TAIL])
}

/// What a whole frame says, if this version knows its format.
fn understood(frame: &[u8]) -> Option<Entry> {
    match frame[2] {
        FORMAT => {
            let read = postcard::take_from_bytes(&frame[HEAD..frame.len() - TAIL]).ok();
            read.and_then(|(entry, rest): (Entry, &[u8])| rest.is_empty().then_some(entry))
        }
        _ => None,
    }
}

/// The whole frames in `bytes`, in order; what lies between them is passed over.
pub fn frames(bytes: &[u8]) -> impl Iterator<Item = Frame<'_>> {
    let mut at = 0;
    core::iter::from_fn(move || {
        let found = |offset| whole(&bytes[offset..]).map(|frame| (offset, frame));
        let (offset, frame) = (at..bytes.len()).find_map(found)?;
        at = offset + frame.len();
        Some(Frame { offset, bytes: frame, entry: understood(frame) })
    })
}

/// What reading a ledger found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// The last whole entry.
    pub last: Option<Last>,
    /// The digest of the last whole frame, understood or not; what was before when there is none.
    pub head: Digest,
    /// How many whole entries there are.
    pub entries: u64,
    /// How many of them another version of the agent wrote in a way unknown to this one.
    pub unknown: u64,
    /// Where the last whole frame ends; the bytes after it are a torn tail.
    pub end: usize,
    /// Bytes between whole frames that are none: damage.
    pub damaged: usize,
    /// The first entry that does not name the one before it.
    pub broken_at: Option<u64>,
}

/// Reads a ledger from its first frame, which must be the first of a chain or follow `before`.
pub fn read(bytes: &[u8], before: Digest, hash: Hash) -> Read {
    let mut found = Read {
        last: None,
        head: before,
        entries: 0,
        unknown: 0,
        end: 0,
        damaged: 0,
        broken_at: None,
    };
    for Frame { offset, bytes, entry } in frames(bytes) {
        let before = core::mem::replace(&mut found.head, hash(bytes));
        found.damaged += offset - found.end;
        found.end = offset + bytes.len();
        found.entries += 1;
        let Some(entry) = entry else {
            found.unknown += 1;
            continue;
        };
        if entry.previous != before {
            found.broken_at = found.broken_at.or(Some(entry.sequence));
        }
        found.last = Some(Last { entry, head: found.head });
    }
    if let Some(last) = &mut found.last {
        last.head = found.head;
    }
    found
}

#[cfg(test)]
mod tests;
