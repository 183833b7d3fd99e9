//! The nouns of the node: slots, digests, bundles and the names they carry.

use crate::version::Version;
use core::fmt;
use serde::{Deserialize, Serialize};

/// A short name of a check, a workload or a board, bounded so that state has a fixed size.
pub type Name = heapless::String<48>;

/// Where a bundle is to be had: a URL or a path, at most 255 bytes.
pub type Source = heapless::String<255>;

/// One of the two places an operating system can live. The name is RAUC's `bootname`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Slot {
    /// The first system slot.
    A,
    /// The second system slot.
    B,
}

impl Slot {
    /// Both slots, in the order of their names.
    pub const ALL: [Slot; 2] = [Slot::A, Slot::B];

    /// The slot that is not this one.
    pub fn other(self) -> Slot {
        match self {
            Slot::A => Slot::B,
            Slot::B => Slot::A,
        }
    }

    /// The slot with this bootname.
    pub fn from_name(name: &str) -> Option<Slot> {
        match name {
            "A" => Some(Slot::A),
            "B" => Some(Slot::B),
            _ => None,
        }
    }

    /// The bootname.
    pub fn name(self) -> &'static str {
        match self {
            Slot::A => "A",
            Slot::B => "B",
        }
    }
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A SHA-256 digest: 32 bytes. Of a bundle it is RAUC's manifest hash, which covers the dm-verity
/// root hash and so the whole content (RAUC reference, "Manifest Hash").
#[derive(Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Digest(pub [u8; 32]);

impl Digest {
    /// The digest that stands before the first one of a chain.
    pub const ZERO: Digest = Digest([0; 32]);

    /// Reads 64 hexadecimal digits.
    pub fn from_hex(hex: &str) -> Option<Digest> {
        let hex = hex.as_bytes();
        if hex.len() != 64 {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(hex.chunks_exact(2)) {
            let digit = |c: u8| char::from(c).to_digit(16);
            *byte = u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()?;
        }
        Some(Digest(bytes))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// An operating system as its bundle names it: a version and the digest of its content.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Bundle {
    /// The version people talk about.
    pub version: Version,
    /// The content that this version stands for.
    pub digest: Digest,
}

/// A bundle whose signature was checked on this node.
///
/// Only the update machine's transition out of `Verifying` makes one, so only it can order an
/// install. (Reading the ledger gives back the ones that it made.)
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct VerifiedBundle(pub(crate) Bundle);

impl VerifiedBundle {
    /// The bundle that was checked.
    pub fn bundle(&self) -> &Bundle {
        &self.0
    }
}

/// A workload set by its content and its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct SetId {
    /// The digest of its set index, which covers all of it.
    pub digest: Digest,
    /// Which one it is of those that a node gets, from 1; a newer one is larger.
    pub generation: u64,
}

impl fmt::Display for SetId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "set {}", self.generation)
    }
}

/// A bundle whose installation was begun and did not come to its end.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Begun {
    /// What was in it.
    pub bundle: Bundle,
    /// How often the node went down while it was written. A boot while it is only fetched or verified is not counted:
    /// nothing is written to a slot, and a download gets further with each.
    pub cuts: u8,
}

/// Why a slot is being tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Why {
    /// A bundle was installed into it.
    Update,
    /// An operator asked for the previous system.
    Rollback,
    /// Nothing was asked for: the node was switched on.
    Restart,
}

/// One slot with one system in it, on its way to be judged.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Trial {
    /// What is in the slot.
    pub version: Version,
    /// Its content, where it is known: an image from the factory does not know its own digest.
    pub digest: Option<Digest>,
    /// The workload set that belongs to the slot.
    pub set: Option<SetId>,
    /// The slot.
    pub slot: Slot,
    /// Why it is tried.
    pub why: Why,
}
