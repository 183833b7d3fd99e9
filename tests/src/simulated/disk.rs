//! What survives a power cut: two slots, two copies of the boot environment, the ledger, and evidence.

use super::plug::{Leaves, Plug, PowerCut};
use super::saved::Saved;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use steadfast_core::boot_env::{BootEnv, BootEnvError, COPY_SIZE, Current, current};
use steadfast_core::{Bundle, Slot};

/// Boots that a slot on trial gets; small, so that every count is tried.
pub const TRIAL: u8 = 2;
/// Boots that a committed slot gets; its first start leaves it more than any trial gets.
pub const COMMITTED: u8 = 4;

/// What a slot holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Content {
    /// Never written, or half-written.
    Broken,
    /// All of a bundle.
    Whole(Bundle),
}

/// Whether the data partition can be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Data {
    /// It can.
    Works,
    /// It can be read and not written: it is read-only, or full.
    ReadOnly,
    /// It can be neither read nor written, for now.
    Gone,
}

/// What an end leaves behind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Evidence {
    /// A panic's record. A power cut may take it away; then it is as if there had been none.
    pub panic: bool,
    /// The hardware's word that the watchdog made the last reset; the next reset takes it back.
    pub watchdog: bool,
    /// How the agent ended, on the data partition.
    pub agent: bool,
}

/// The node's disk, and what else survives.
#[derive(Clone, Debug)]
pub struct Disk {
    /// What the slots hold.
    pub slots: [Content; 2],
    /// What the copies of the boot environment say; `None` is no valid copy.
    pub copies: [Option<BootEnv>; 2],
    /// What the last end left behind.
    pub evidence: Evidence,
    /// Whether the ledger can be read and written.
    pub data: Data,
    /// Which workload set belongs to each slot, by its number.
    pub records: [Option<u8>; 2],
    /// The sets whose archives are there under their names, a bit each.
    pub archives: u8,
    /// The last whole entry of the ledger.
    ledger: Option<Rc<Saved>>,
}

impl Disk {
    /// A new node's: the first slot holds `bundle`, and only it may boot.
    pub fn new(bundle: Bundle) -> Disk {
        let slots = [Content::Whole(bundle), Content::Broken];
        let only = BootEnv::fresh(TRIAL).bad(Slot::B);
        let (evidence, data) = (Evidence::default(), Data::Works);
        let (copies, records, archives) = ([Some(only), None], [None; 2], 0);
        Disk { slots, copies, evidence, data, records, archives, ledger: None }
    }

    /// The boot environment that counts.
    pub fn boot_env(&self) -> Current {
        let copy = |at: usize| self.copies[at].clone().ok_or(BootEnvError::Checksum);
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

    /// Appends an entry to the ledger and syncs it. Before the sync it is the only thing that is not on the
    /// medium, so that it is lost, torn or whole; that a torn one counts as lost is proved in [`Saved`].
    pub fn append(&mut self, plug: &mut Plug, saved: &Rc<Saved>) -> Result<(), PowerCut> {
        let ledger = &mut self.ledger;
        plug.effect(|leaves| {
            if leaves == Leaves::All {
                *ledger = Some(saved.clone());
            }
        })
    }

    /// The last whole entry.
    pub fn ledger(&self) -> Option<&Rc<Saved>> {
        self.ledger.as_ref()
    }

    /// The same, if it can be read.
    pub fn readable(&self) -> Option<&Rc<Saved>> {
        self.ledger.as_ref().filter(|_| self.data != Data::Gone)
    }

    /// The agent ended badly, and its unit writes it down.
    pub fn agent_ended(&mut self, plug: &mut Plug) -> Result<(), PowerCut> {
        if self.data != Data::Works {
            return Ok(());
        }
        Disk::leave(plug, &mut self.evidence.agent, true)
    }

    /// Removes what was told: the records first, each by itself.
    pub fn clear_evidence(&mut self, plug: &mut Plug) -> Result<(), PowerCut> {
        Disk::leave(plug, &mut self.evidence.panic, false)?;
        match self.data {
            Data::Works => Disk::leave(plug, &mut self.evidence.agent, false),
            Data::ReadOnly | Data::Gone => Ok(()),
        }
    }

    fn leave(plug: &mut Plug, what: &mut bool, wanted: bool) -> Result<(), PowerCut> {
        if *what == wanted {
            return Ok(());
        }
        plug.effect(|leaves| {
            if leaves == Leaves::All {
                *what = wanted;
            }
        })
    }

    /// What `slot` holds, if it is whole.
    pub fn bundle(&self, slot: Slot) -> Option<&Bundle> {
        match &self.slots[slot as usize] {
            Content::Whole(bundle) => Some(bundle),
            Content::Broken => None,
        }
    }
}

/// All that a copy says, in a form that can be looked up.
type Key = (u32, Vec<Slot>, [u8; 2], u8);
/// What a copy said, and what was to be written over it.
type Write = (Option<Key>, Key);

thread_local! {
    /// The bytes of a copy are 4096 and their sum is slow; few are different.
    static TORN: RefCell<HashMap<Write, Option<BootEnv>>> = RefCell::default();
}

/// A copy whose write was cut off within its text.
fn torn(old: Option<&BootEnv>, new: &BootEnv) -> Option<BootEnv> {
    let key = |env: &BootEnv| (env.sequence, env.order.to_vec(), env.left, env.rearms);
    TORN.with_borrow_mut(|torn| {
        torn.entry((old.map(key), key(new))).or_insert_with(|| cut_off(old, new)).clone()
    })
}

fn cut_off(old: Option<&BootEnv>, new: &BootEnv) -> Option<BootEnv> {
    let mut copy = old.map_or([0xff; COPY_SIZE], BootEnv::encode);
    copy[..24].copy_from_slice(&new.encode()[..24]);
    BootEnv::decode(&copy).ok()
}
