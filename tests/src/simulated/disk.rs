//! What survives a power cut: two slots, two copies of the boot environment, the ledger.

use super::plug::{Leaves, Plug, PowerCut};
use steadfast_core::boot_env::{BootEnv, COPY_SIZE, Current, current};
use steadfast_core::ledger::{self, Last};
use steadfast_core::{Bundle, Digest, Slot};

/// Boots that a slot on trial gets; small, so that every count is tried.
pub const TRIAL: u8 = 2;
/// Boots that a committed slot gets.
pub const COMMITTED: u8 = 3;

/// What a slot holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// Never written, or half-written.
    Broken,
    /// All of a bundle.
    Whole(Bundle),
}

/// The node's disk.
#[derive(Clone, Debug)]
pub struct Disk {
    /// What the slots hold.
    pub slots: [Content; 2],
    /// What the copies of the boot environment say; `None` is no valid copy.
    pub copies: [Option<BootEnv>; 2],
    /// The last whole frame of the ledger, with a torn tail if there is one.
    ledger: Vec<u8>,
    /// What the last whole frame names as the one before.
    before: Digest,
    /// What reading the ledger gives.
    last: Option<Last>,
}

impl Disk {
    /// A new node's: the first slot holds `bundle`, and only it may boot.
    pub fn new(bundle: Bundle) -> Disk {
        let slots = [Content::Whole(bundle), Content::Broken];
        let only = BootEnv::fresh(TRIAL).bad(Slot::B);
        Disk {
            slots,
            copies: [Some(only), None],
            ledger: Vec::new(),
            before: Digest::ZERO,
            last: None,
        }
    }

    /// The boot environment that counts.
    pub fn boot_env(&self) -> Current {
        let copy = |at: usize| {
            self.copies[at].clone().ok_or(steadfast_core::boot_env::BootEnvError::Checksum)
        };
        current(&copy(0), &copy(1), TRIAL)
    }

    /// Changes the boot environment as the boot store does: the copy that does not count is written.
    pub fn change_boot_env(
        &mut self,
        plug: &mut Plug,
        change: impl FnOnce(&BootEnv) -> BootEnv,
    ) -> Result<(), PowerCut> {
        let now = self.boot_env();
        let wanted = change(&now.env);
        let same = BootEnv { sequence: wanted.sequence, ..now.env.clone() } == wanted;
        if same && self.copies.iter().all(Option::is_some) {
            return Ok(());
        }
        self.write_boot_env(plug, &wanted)
    }

    /// Writes the copy that does not count.
    ///
    /// # Panics
    /// When a write that was cut off changed what counts.
    pub fn write_boot_env(&mut self, plug: &mut Plug, wanted: &BootEnv) -> Result<(), PowerCut> {
        let before = self.boot_env();
        let at = before.next_copy() as usize;
        let copy = &mut self.copies[at];
        let done = plug.effect(|leaves| match leaves {
            Leaves::Nothing => {}
            Leaves::Part => *copy = torn(copy.as_ref(), wanted),
            Leaves::All => *copy = Some(wanted.clone()),
        });
        let after = self.boot_env().env;
        assert!(
            after == before.env || after == *wanted,
            "a write that is cut off leaves what was there before"
        );
        self.count_sequence_anew();
        done
    }

    /// Only which copy is newer matters; small numbers make two disks alike that are.
    fn count_sequence_anew(&mut self) {
        let [first, second] = [0, 1].map(|at| self.copies[at].as_ref().map(|env| env.sequence));
        let newer = if second > first { [0, 1] } else { [1, 0] };
        for (copy, sequence) in self.copies.iter_mut().zip(newer) {
            if let Some(env) = copy {
                env.sequence = sequence;
            }
        }
    }

    /// Appends a frame to the ledger and syncs it, as the ledger file does: a torn tail is cut off first.
    ///
    /// # Panics
    /// When the chain does not hold, or a torn tail is taken for damage: no cut may lead there.
    pub fn append(&mut self, plug: &mut Plug, frame: &[u8]) -> Result<(), PowerCut> {
        let whole = ledger::read(&self.ledger, self.before, digest).end;
        self.ledger.truncate(whole);
        let ledger = &mut self.ledger;
        let done = plug.effect(|leaves| match leaves {
            Leaves::Nothing => {}
            Leaves::Part => ledger.extend_from_slice(&frame[..frame.len() - 1]),
            Leaves::All => ledger.extend_from_slice(frame),
        });
        let read = ledger::read(&self.ledger, self.before, digest);
        assert_eq!((read.broken_at, read.damaged, read.unknown), (None, 0, 0), "the chain holds");
        self.last = read.last;
        // Of the frames before the last one only their digest is needed.
        if self.ledger.len() == whole + frame.len() && whole > 0 {
            self.before = digest(&self.ledger[..whole]);
            self.ledger.drain(..whole);
        }
        done
    }

    /// Where the node resumes: what reading the ledger gave after it was last written.
    pub fn resume(&self) -> Option<&Last> {
        self.last.as_ref()
    }

    /// What `slot` holds, if it is whole.
    pub fn bundle(&self, slot: Slot) -> Option<&Bundle> {
        match &self.slots[slot as usize] {
            Content::Whole(bundle) => Some(bundle),
            Content::Broken => None,
        }
    }
}

/// A copy whose write was cut off within its text.
fn torn(old: Option<&BootEnv>, new: &BootEnv) -> Option<BootEnv> {
    let mut copy = old.map_or([0xff; COPY_SIZE], BootEnv::encode);
    copy[..24].copy_from_slice(&new.encode()[..24]);
    BootEnv::decode(&copy).ok()
}

/// A digest that is quick and not for enemies: the core takes it from outside.
pub fn digest(bytes: &[u8]) -> Digest {
    let mut lanes = [1_u64, 2, 3, 4];
    for (at, chunk) in bytes.chunks(8).enumerate() {
        let mut word = [0; 8];
        word[..chunk.len()].copy_from_slice(chunk);
        let lane = &mut lanes[at % 4];
        *lane =
            (*lane ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29);
    }
    let mut out = Digest::ZERO;
    for (bytes, lane) in out.0.chunks_exact_mut(8).zip(lanes) {
        bytes.copy_from_slice(&(lane ^ bytes.len() as u64).to_le_bytes());
    }
    out
}
