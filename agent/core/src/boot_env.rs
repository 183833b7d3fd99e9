//! The boot environment: which slot boots next, and how many attempts it has left.
//!
//! ```text
//! copy 0: crc32 of the rest, little endian | NAME=value\0 … \0 | zeros     4096 bytes
//! copy 1: the same
//! ```
//!
//! Each copy has the form of a U-Boot environment without a flags byte (U-Boot, `env/common.c`:
//! `env import -c`), so the boot script reads the same bytes. Numbers are hexadecimal, as U-Boot's
//! `setexpr` writes them.
//!
//! Always true: the newest valid copy wins; a writer writes the other one, with the next sequence
//! number; so a write that is cut off leaves what was there before.

use crate::event::{OtherSlot, ThisSlot};
use crate::names::Slot;
use core::fmt::Write;
use crc::{CRC_32_ISO_HDLC, Crc};

const CRC: Crc<u32> = Crc::<u32>::new(&CRC_32_ISO_HDLC);

/// The size of one copy in bytes.
pub const COPY_SIZE: usize = 4096;

/// A copy with this sequence number or a higher one is not valid: U-Boot counts in 64 bits and the
/// node in 32, and neither may ever be ahead of the other. Four thousand million writes are enough.
const SEQUENCES: u32 = 0xf000_0000;

/// The bytes of one copy.
pub type CopyBytes = [u8; COPY_SIZE];

/// What one copy says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BootEnv {
    /// Counts the writes (`SEQ`).
    pub sequence: u32,
    /// The slots that may boot, the primary first (`BOOT_ORDER`).
    pub order: heapless::Vec<Slot, 2>,
    /// The attempts left in A and in B (`BOOT_A_LEFT`, `BOOT_B_LEFT`).
    pub left: [u8; 2],
    /// How often the boot script gave the slots one more attempt (`REARMS`).
    pub rearms: u8,
}

/// Why a copy is not valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BootEnvError {
    /// It is not [`COPY_SIZE`] bytes long.
    #[error("the copy is not {COPY_SIZE} bytes long")]
    Size,
    /// The checksum does not match: never written, torn or altered.
    #[error("the checksum does not match")]
    Checksum,
    /// It has no sequence number.
    #[error("there is no sequence number")]
    Sequence,
}

/// Which of the two copies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CopyIndex {
    /// The one at the first offset.
    First,
    /// The one at the second offset.
    Second,
}

impl CopyIndex {
    /// The other one.
    pub fn other(self) -> CopyIndex {
        match self {
            CopyIndex::First => CopyIndex::Second,
            CopyIndex::Second => CopyIndex::First,
        }
    }
}

/// The environment that counts, and where the next one is to be written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// What the newest valid copy says, or the defaults when there is none.
    pub env: BootEnv,
    /// The copy that it was read from.
    pub from: Option<CopyIndex>,
}

impl Current {
    /// The copy to write next: never the one that counts.
    pub fn next_copy(&self) -> CopyIndex {
        self.from.map_or(CopyIndex::First, CopyIndex::other)
    }
}

/// The newest valid one of two copies; of two with one sequence number, the first.
pub fn current(
    first: &Result<BootEnv, BootEnvError>,
    second: &Result<BootEnv, BootEnvError>,
    attempts: u8,
) -> Current {
    let chosen = match (first, second) {
        (Ok(first), Ok(second)) if second.sequence > first.sequence => {
            Some((second, CopyIndex::Second))
        }
        (Ok(first), _) => Some((first, CopyIndex::First)),
        (Err(_), Ok(second)) => Some((second, CopyIndex::Second)),
        (Err(_), Err(_)) => None,
    };
    match chosen {
        Some((env, from)) => Current { env: env.clone(), from: Some(from) },
        None => Current { env: BootEnv::fresh(attempts), from: None },
    }
}

impl BootEnv {
    /// What holds when there is no valid copy: A before B, each with this many attempts.
    pub fn fresh(attempts: u8) -> BootEnv {
        let order = heapless::Vec::from_slice(&Slot::ALL).expect("two slots");
        BootEnv { sequence: 0, order, left: [attempts; 2], rearms: 0 }
    }

    /// The slot that boots next, if any has an attempt left.
    pub fn primary(&self) -> Option<Slot> {
        self.order.iter().copied().find(|slot| self.left[*slot as usize] > 0)
    }

    /// Whether the slot may boot.
    pub fn is_good(&self, slot: Slot) -> bool {
        self.order.contains(&slot) && self.left[slot as usize] > 0
    }

    /// What this says of a slot that did not boot, if a new one gets this many attempts.
    pub fn standing(&self, slot: Slot, attempts: u8) -> OtherSlot {
        match (self.order.contains(&slot), self.left[slot as usize]) {
            (false, _) => OtherSlot::Bad,
            (true, left) if left < attempts => OtherSlot::Tried,
            (true, _) => OtherSlot::Untried,
        }
    }

    /// What this says of the slot that runs, if a new one gets this many attempts. A start whose count could not be
    /// written leaves one more, and never more than it was given.
    pub fn running(&self, slot: Slot, attempts: u8) -> ThisSlot {
        match self.left[slot as usize] {
            left if left > attempts => ThisSlot::Kept,
            left if left.saturating_add(1) < attempts => ThisSlot::Again,
            _ => ThisSlot::Once,
        }
    }

    /// The slot boots next, with this many attempts; the other one stays behind it as it is.
    pub fn activated(&self, slot: Slot, attempts: u8) -> BootEnv {
        let mut env = self.next();
        let others: heapless::Vec<Slot, 2> =
            env.order.iter().copied().filter(|other| *other != slot).collect();
        env.order.clear();
        env.order.push(slot).expect("room for two slots");
        env.order.extend(others);
        env.left[slot as usize] = attempts;
        env
    }

    /// The slot may boot, with this many attempts; its place stays, or is the last.
    pub fn good(&self, slot: Slot, attempts: u8) -> BootEnv {
        let mut env = self.next();
        if !env.order.contains(&slot) {
            env.order.push(slot).expect("room for two slots");
        }
        env.left[slot as usize] = attempts;
        env
    }

    /// The slot may not boot.
    pub fn bad(&self, slot: Slot) -> BootEnv {
        let mut env = self.next();
        env.order.retain(|other| *other != slot);
        env.left[slot as usize] = 0;
        env
    }

    /// The slot may not boot, and the other one may: it gets this many attempts if it had none.
    pub fn condemned(&self, slot: Slot, attempts: u8) -> BootEnv {
        let env = self.bad(slot);
        match env.is_good(slot.other()) {
            true => env,
            false => BootEnv { sequence: env.sequence, ..env.good(slot.other(), attempts) },
        }
    }

    /// The slot is kept: it boots next, with this many attempts, and the re-arms start again.
    pub fn committed(&self, slot: Slot, attempts: u8) -> BootEnv {
        let mut env = self.activated(slot, attempts);
        env.rearms = 0;
        env
    }

    fn next(&self) -> BootEnv {
        BootEnv { sequence: self.sequence.wrapping_add(1), ..self.clone() }
    }

    /// The bytes of a copy that says this.
    pub fn encode(&self) -> CopyBytes {
        let mut text = heapless::String::<256>::new();
        let mut write = || {
            write!(text, "SEQ={:x}\0BOOT_ORDER=", self.sequence)?;
            for (at, slot) in self.order.iter().enumerate() {
                write!(text, "{}{slot}", if at == 0 { "" } else { " " })?;
            }
            for slot in Slot::ALL {
                write!(text, "\0BOOT_{slot}_LEFT={:x}", self.left[slot as usize])?;
            }
            write!(text, "\0REARMS={:x}\0", self.rearms)
        };
        write().expect("the longest environment is under 100 bytes");
        let mut bytes = [0; COPY_SIZE];
        bytes[4..4 + text.len()].copy_from_slice(text.as_bytes());
        let sum = CRC.checksum(&bytes[4..]);
        bytes[..4].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// What a copy says. Unknown variables and slot names are passed over; a number that cannot be
    /// read counts as none left.
    pub fn decode(bytes: &[u8]) -> Result<BootEnv, BootEnvError> {
        if bytes.len() != COPY_SIZE {
            return Err(BootEnvError::Size);
        }
        let (sum, rest) = bytes.split_at(4);
        if CRC.checksum(rest).to_le_bytes() != sum {
            return Err(BootEnvError::Checksum);
        }
        let number = |name| variable(rest, name).and_then(hexadecimal);
        let small = |name| number(name).and_then(|it| u8::try_from(it).ok()).unwrap_or(0);
        let sequence = number("SEQ").filter(|it| *it < SEQUENCES).ok_or(BootEnvError::Sequence)?;
        let mut order = heapless::Vec::new();
        let names = variable(rest, "BOOT_ORDER").unwrap_or("").split(' ');
        for slot in names.filter_map(Slot::from_name) {
            if !order.contains(&slot) {
                order.push(slot).expect("each of two slots once");
            }
        }
        let left = [small("BOOT_A_LEFT"), small("BOOT_B_LEFT")];
        Ok(BootEnv { sequence, order, left, rearms: small("REARMS") })
    }
}

/// A number as U-Boot's `setexpr` writes it: lower case, no sign, no leading zero.
fn hexadecimal(text: &str) -> Option<u32> {
    let plain = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let canonical = text == "0" || !text.starts_with('0');
    let number = || u32::from_str_radix(text, 16).ok();
    (canonical && text.bytes().all(plain)).then(number).flatten()
}

/// The value of a variable in `NAME=value\0 … \0`.
fn variable<'a>(bytes: &'a [u8], name: &str) -> Option<&'a str> {
    let texts = bytes.split(|byte| *byte == 0).take_while(|text| !text.is_empty());
    texts.filter_map(|text| core::str::from_utf8(text).ok()).find_map(|text| {
        let (found, value) = text.split_once('=')?;
        (found == name).then_some(value)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn env(sequence: u32) -> BootEnv {
        BootEnv { sequence, ..BootEnv::fresh(3) }
    }

    #[test]
    fn a_copy_is_what_u_boot_writes() {
        let bytes = BootEnv { rearms: 2, left: [3, 10], ..env(0x1f) }.encode();
        let text = b"SEQ=1f\0BOOT_ORDER=A B\0BOOT_A_LEFT=3\0BOOT_B_LEFT=a\0REARMS=2\0\0";
        assert_eq!(&bytes[4..4 + text.len()], text);
        // The sum was computed by `mkenvimage -s 0x1000 -p 0` (u-boot-tools 2023.01) of the same text.
        assert_eq!(u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]), MKENVIMAGE);
    }
    const MKENVIMAGE: u32 = 0x24ae_2e9b;

    #[test]
    fn the_newest_valid_copy_counts() {
        let bad = Err(BootEnvError::Checksum);
        let from = |first: &_, second: &_| current(first, second, 3).from;
        assert_eq!(from(&Ok(env(4)), &Ok(env(5))), Some(CopyIndex::Second));
        assert_eq!(from(&Ok(env(0x10)), &Ok(env(0xf))), Some(CopyIndex::First));
        assert_eq!(from(&Ok(env(4)), &Ok(env(4))), Some(CopyIndex::First));
        assert_eq!(from(&bad, &Ok(env(1))), Some(CopyIndex::Second));
        assert_eq!(from(&Ok(env(1)), &bad), Some(CopyIndex::First));
        assert_eq!(from(&bad, &bad), None);
        assert_eq!(current(&bad, &bad, 3).env, BootEnv::fresh(3));
    }

    #[test]
    fn the_copy_that_counts_is_never_the_next_to_be_written() {
        for (first, second) in [(1, 2), (2, 1), (7, 7)] {
            let now = current(&Ok(env(first)), &Ok(env(second)), 3);
            assert_ne!(Some(now.next_copy()), now.from);
        }
    }

    #[test]
    fn a_bad_slot_does_not_boot_and_an_activated_one_boots_first() {
        let env = env(1).bad(Slot::B);
        assert_eq!((env.primary(), env.is_good(Slot::B)), (Some(Slot::A), false));
        assert_eq!(env.standing(Slot::B, 3), OtherSlot::Bad);
        let env = env.activated(Slot::B, 3);
        assert_eq!((env.primary(), &env.order[..]), (Some(Slot::B), &[Slot::B, Slot::A][..]));
        assert_eq!(env.standing(Slot::B, 3), OtherSlot::Untried);
        let env = BootEnv { left: [3, 2], ..env };
        assert_eq!(env.standing(Slot::B, 3), OtherSlot::Tried);
        let env = BootEnv { left: [3, 0], ..env };
        assert_eq!(env.primary(), Some(Slot::A));
        assert_eq!(env.sequence, 3);
    }

    #[test]
    fn the_attempts_left_tell_a_commit_from_a_trial() {
        let left = |left| BootEnv { left: [3, left], ..env(1) }.running(Slot::B, 3);
        assert_eq!([1, 0].map(left), [ThisSlot::Again; 2]);
        assert_eq!([3, 2].map(left), [ThisSlot::Once; 2], "a count may be lost");
        assert_eq!([4, 8].map(left), [ThisSlot::Kept; 2]);
    }

    #[test]
    fn condemning_a_slot_leaves_the_other_one_bootable() {
        let env = env(1).bad(Slot::A).condemned(Slot::B, 3);
        assert_eq!((env.primary(), env.left, env.sequence), (Some(Slot::A), [3, 0], 3));
    }

    #[test]
    fn a_commit_ends_the_count_of_rearms() {
        let env = BootEnv { rearms: 2, ..env(1) }.committed(Slot::B, 8);
        assert_eq!((env.rearms, env.left, env.primary()), (0, [3, 8], Some(Slot::B)));
    }

    proptest! {
        #[test]
        fn what_was_encoded_is_decoded(
            sequence in 0..SEQUENCES, left: [u8; 2], rearms: u8, order in 0..5_usize
        ) {
            use Slot::{A, B};
            let orders: [&[Slot]; 5] = [&[], &[A], &[B], &[A, B], &[B, A]];
            let order = heapless::Vec::from_slice(orders[order]).expect("two at the most");
            let env = BootEnv { sequence, order, left, rearms };
            prop_assert_eq!(BootEnv::decode(&env.encode()), Ok(env));
        }

        #[test]
        fn one_altered_byte_is_noticed(at in 0..COPY_SIZE, change in 1..=255_u8) {
            let mut bytes = env(9).encode();
            bytes[at] ^= change;
            prop_assert_eq!(BootEnv::decode(&bytes), Err(BootEnvError::Checksum));
        }

        #[test]
        fn any_bytes_with_a_right_checksum_are_read_without_a_panic(
            mut bytes in prop::collection::vec(any::<u8>(), COPY_SIZE)
        ) {
            let sum = CRC.checksum(&bytes[4..]);
            bytes[..4].copy_from_slice(&sum.to_le_bytes());
            let _ = BootEnv::decode(&bytes);
        }
    }

    #[test]
    fn strange_values_are_read_as_far_as_they_make_sense() {
        let bytes = |text: &[u8]| {
            let mut bytes = [0; COPY_SIZE];
            bytes[4..4 + text.len()].copy_from_slice(text);
            let sum = CRC.checksum(&bytes[4..]);
            bytes[..4].copy_from_slice(&sum.to_le_bytes());
            BootEnv::decode(&bytes)
        };
        let env = bytes(b"SEQ=4\0BOOT_ORDER=X B B A;reset\0BOOT_B_LEFT=zz\0\0").expect("valid");
        assert_eq!((&env.order[..], env.left), (&[Slot::B][..], [0, 0]));
        assert_eq!(bytes(b"BOOT_ORDER=B A\0\0"), Err(BootEnvError::Sequence));
        for text in
            [&b"SEQ=-1\0\0"[..], b"SEQ=+5\0\0", b"SEQ=1F\0\0", b"SEQ=07\0\0", b"SEQ=f0000000\0\0"]
        {
            assert_eq!(bytes(text), Err(BootEnvError::Sequence), "{text:?}");
        }
    }
}
