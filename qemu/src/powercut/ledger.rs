//! The agent's ledger as it lies on the disk, read anew from its format alone: the lab must not share a mistake with
//! the agent.
//!
//! ```text
//! 5f 1d | format 1 | length u16 LE | entry: sequence (varint), digest of the frame before, … | CRC-32C LE
//! ```

use std::fmt;

const MAGIC: [u8; 2] = [0x5f, 0x1d];
const HEAD: usize = 5;
const TAIL: usize = 4;

/// What a ledger holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ledger {
    /// Whole entries.
    pub(super) entries: usize,
    /// Number of the last one.
    pub(super) last: u64,
}

/// Why a ledger is not whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// There is no whole entry.
    Empty,
    /// Bytes before the last whole entry are no entry.
    Hole { at: usize },
    /// An entry does not follow the one before it.
    Gap { after: u64, comes: u64 },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("the ledger has no whole entry"),
            Self::Hole { at } => write!(f, "the ledger has a hole at byte {at}"),
            Self::Gap { after, comes } => {
                write!(f, "in the ledger, entry {comes} follows entry {after}")
            }
        }
    }
}

/// Reads a ledger; an entry that was not written to its end is no fault when nothing follows it.
pub(super) fn read(bytes: &[u8]) -> Result<Ledger, Fault> {
    let (mut entries, mut last, mut at) = (0, None, 0);
    while let Some(frame) = whole(&bytes[at..]) {
        let comes = varint(&frame[HEAD..]);
        if let Some(after) = last
            && comes != after + 1
        {
            return Err(Fault::Gap { after, comes });
        }
        (last, entries, at) = (Some(comes), entries + 1, at + frame.len());
    }
    if (at + 1..bytes.len()).any(|later| whole(&bytes[later..]).is_some()) {
        return Err(Fault::Hole { at });
    }
    last.map(|last| Ledger { entries, last }).ok_or(Fault::Empty)
}

/// The frame that `bytes` begin with.
fn whole(bytes: &[u8]) -> Option<&[u8]> {
    let head = bytes.get(..HEAD).filter(|head| head[..2] == MAGIC)?;
    let end = HEAD + usize::from(u16::from_le_bytes([head[3], head[4]]));
    let sum = bytes.get(end..end + TAIL)?;
    (crc32c(&bytes[..end]).to_le_bytes() == sum).then(|| &bytes[..end + TAIL])
}

/// A number of postcard: seven bits a byte, the lowest first.
fn varint(bytes: &[u8]) -> u64 {
    let mut number = 0;
    for (n, byte) in bytes.iter().take(10).enumerate() {
        number |= u64::from(byte & 0x7f).checked_shl(7 * n as u32).unwrap_or(0);
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

/// CRC-32C (Castagnoli).
fn crc32c(data: &[u8]) -> u32 {
    !data.iter().fold(u32::MAX, |sum, byte| {
        (0..8).fold(sum ^ u32::from(*byte), |sum, _| {
            if sum & 1 == 1 { (sum >> 1) ^ 0x82f6_3b78 } else { sum >> 1 }
        })
    })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Frames that an agent wrote, kept as a sample of the format.
    pub(crate) fn sample() -> Vec<u8> {
        let path = crate::places::workspace().join("agent/core/src/ledger/format-1.bin");
        std::fs::read(path).expect("it is there")
    }

    fn frame(sequence: u8) -> Vec<u8> {
        let entry = [&[sequence][..], &[0xab; 40]].concat();
        let mut frame = [&MAGIC[..], &[1, entry.len() as u8, 0], &entry].concat();
        frame.extend(crc32c(&frame).to_le_bytes());
        frame
    }

    #[test]
    fn the_checksum_is_castagnolis() {
        assert_eq!(crc32c(b"123456789"), 0xe306_9283);
    }

    #[test]
    fn the_agents_own_bytes_are_read() {
        let ledger = read(&sample()).expect("it is whole");
        assert!(ledger.entries > 0 && ledger.last >= ledger.entries as u64, "{ledger:?}");
    }

    #[test]
    fn a_torn_end_is_no_fault_and_a_hole_is_one() {
        let three = [frame(4), frame(5), frame(6)].concat();
        assert_eq!(read(&three), Ok(Ledger { entries: 3, last: 6 }));
        for short in [1, 20, 49] {
            let torn = &three[..three.len() - short];
            assert_eq!(read(torn), Ok(Ledger { entries: 2, last: 5 }));
        }
        assert_eq!(
            read(&[three.clone(), vec![0; 300]].concat()),
            Ok(Ledger { entries: 3, last: 6 })
        );
        let mut hole = three.clone();
        hole[60] ^= 1;
        assert_eq!(read(&hole), Err(Fault::Hole { at: 50 }));
        assert_eq!(read(&[frame(4), frame(6)].concat()), Err(Fault::Gap { after: 4, comes: 6 }));
        assert_eq!(read(&frame(4)[..30]), Err(Fault::Empty));
    }

    #[test]
    fn numbers_are_read_as_postcard_writes_them() {
        for (bytes, number) in [(&[5][..], 5), (&[0x80, 1], 128), (&[0xac, 2, 7], 300)] {
            assert_eq!(varint(bytes), number);
        }
    }
}
