//! Right checksums, so that what is altered is read and not only turned away.
//!
//! Always true: what the agent or the boot script wrote is left as it is.

use crc::{CRC_32_ISCSI, CRC_32_ISO_HDLC, Crc};

const LEDGER: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
const ENVIRONMENT: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// How a frame of the ledger begins.
const MAGIC: [u8; 2] = [0x5f, 0x1d];
const HEAD: usize = 5;
const TAIL: usize = 4;

/// The bytes of a ledger with the right checksum behind everything that has a frame's head and fits.
pub fn with_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while at + HEAD + TAIL <= bytes.len() {
        let end = at + HEAD + usize::from(u16::from_le_bytes([bytes[at + 3], bytes[at + 4]]));
        if bytes[at..at + 2] != MAGIC || end + TAIL > bytes.len() {
            at += 1;
            continue;
        }
        let sum = LEDGER.checksum(&bytes[at..end]).to_le_bytes();
        bytes[end..end + TAIL].copy_from_slice(&sum);
        at = end + TAIL;
    }
    bytes
}

/// A copy of the boot environment that says `text`, cut off where the copy ends.
pub fn copy_of<const SIZE: usize>(text: &[u8]) -> [u8; SIZE] {
    let mut bytes = [0; SIZE];
    let length = text.len().min(SIZE - 4);
    bytes[4..4 + length].copy_from_slice(&text[..length]);
    let sum = ENVIRONMENT.checksum(&bytes[4..]).to_le_bytes();
    bytes[..4].copy_from_slice(&sum);
    bytes
}
