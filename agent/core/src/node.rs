//! The node's whole memory, and the one function that changes it.
//!
//! Always true, checked over every reachable state by `every_state` in `agent/core/tests`:
//!
//! * only a [`VerifiedBundle`] is ever installed, and never into the slot that runs;
//! * nothing is installed while the running slot is not the committed one;
//! * only a slot that passed its gate, or that an operator vouched for, is newly committed;
//! * a refused digest is never installed again; every ending but a good one has a cause;
//! * a slot that is written gets the set that was staged for it or, without one, the set of the slot that runs.

mod boot;
mod set;
mod step;

use crate::cause::Failure;
use crate::event::{At, Offer, OtherSlot, Sizes};
use crate::names::{Begun, Digest, Name, SetId, Slot, Trial};
use crate::update::Update;
use crate::version::Version;
use serde::{Deserialize, Serialize};

/// How many refused digests are remembered; the oldest is forgotten first.
const REFUSED: usize = 16;

/// How many shutdowns that somebody asked for a trial bears; a further one is a restart like any other. A
/// person asks for one or two; a system that restarts the node by itself would do so for ever.
const SHUTDOWNS: u8 = 4;

/// The limits that hold on this node.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The board's name in bundles (RAUC's `compatible`).
    pub compatible: Name,
    /// How much the partitions of a slot hold.
    pub room: Sizes,
    /// How often making a bundle available is tried, and in how many of its installs the node may go down.
    pub fetch_attempts: u8,
    /// How many restarts a trial bears that nobody asked for.
    pub restarts: u8,
    /// How often a commit is tried.
    pub commit_attempts: u8,
}

/// The system that the node falls back to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Committed {
    /// Its slot.
    pub slot: Slot,
    /// Its version.
    pub version: Version,
    /// Its content, where it is known.
    pub digest: Option<Digest>,
    /// The workload set that was committed with it.
    pub set: Option<SetId>,
}

/// What became of an update.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Outcome {
    /// It runs, passed its gate and stays.
    Committed,
    /// It was turned away before anything was written.
    Refused,
    /// It could not be installed or activated; the node never ran it.
    Failed,
    /// The node ran it, or tried to, and came back.
    Returned,
    /// An operator took it back before the node ran it.
    Cancelled,
}

impl Outcome {
    /// The outcome's name for machines; stable.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Committed => "committed",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
            Outcome::Returned => "returned",
            Outcome::Cancelled => "cancelled",
        }
    }
}

/// How an update ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ending {
    /// The version, where it became known.
    pub version: Option<Version>,
    /// The workload set that came with it, once it was known.
    pub set: Option<SetId>,
    /// The slot that it was for.
    pub slot: Slot,
    /// What became of it.
    pub outcome: Outcome,
    /// Why, unless it was committed.
    pub failure: Option<Failure>,
}

/// What an ordinary boot puts off until the running slot is settled.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Pending {
    /// Nothing.
    Nothing,
    /// A bundle that was being fetched, verified or installed when the node went down, and what
    /// was in it if its installation had begun.
    Offer(Offer, Option<Begun>),
    /// A slot that was installed and not yet activated.
    Ready(Trial, At),
}

/// Why the node does not take an update now.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another one is under way.
    #[error("another update is {0}")]
    Busy(&'static str),
    /// The running system is not committed, so the other slot may be the only good one.
    #[error("the running system is not committed yet")]
    Uncommitted,
    /// There is no earlier system to go back to.
    #[error("there is no previous system in the other slot")]
    NoPrevious,
    /// Nothing waits for an operator's word.
    #[error("the running system is committed already")]
    NothingToConfirm,
    /// Nothing is fetched and nothing waits for its window.
    #[error("no update is being fetched or waits for its window")]
    NothingToCancel,
}

/// The node's whole memory. The last one saved is where the node resumes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Node {
    /// Where the update stands.
    pub update: Update,
    /// The slot that runs.
    pub booted: Slot,
    /// The boot that it runs in.
    pub boot: [u8; 16],
    /// What the boot environment said, at this boot, of the slot that did not boot.
    pub other: OtherSlot,
    /// What runs.
    pub running: Option<Version>,
    /// The workload set that belongs to the slot that runs.
    pub set: Option<SetId>,
    /// What the node falls back to.
    pub committed: Option<Committed>,
    /// The system in the other slot, if it was committed once and is whole.
    pub previous: Option<Committed>,
    /// What waits for the running slot to settle.
    pub pending: Pending,
    /// Why the running system is not trusted, when it is not.
    pub doubt: Option<Failure>,
    /// Digests that failed here.
    pub refused: heapless::Vec<Digest, REFUSED>,
    /// Nothing older than this is installed. Raised by a commit, lowered only by a rollback.
    pub floor: Option<Version>,
    /// No workload set of an older generation is taken. Moves as the floor does.
    pub set_floor: Option<u64>,
    /// How the last update ended.
    pub last: Option<Ending>,
    /// How many updates ended, so that two alike can be told apart.
    pub endings: u32,
}

impl Default for Node {
    fn default() -> Node {
        Node {
            update: Update::Idle,
            booted: Slot::A,
            boot: [0; 16],
            other: OtherSlot::Bad,
            running: None,
            set: None,
            committed: None,
            previous: None,
            pending: Pending::Nothing,
            doubt: None,
            refused: heapless::Vec::new(),
            floor: None,
            set_floor: None,
            last: None,
            endings: 0,
        }
    }
}

impl Node {
    /// Whether an update would be taken now.
    pub fn admits_update(&self) -> Result<(), Refusal> {
        match (&self.update, self.runs_committed()) {
            (Update::Idle, true) => Ok(()),
            (Update::Idle | Update::Settling { .. }, _) => Err(Refusal::Uncommitted),
            (busy, _) => Err(Refusal::Busy(busy.name())),
        }
    }

    /// Whether a rollback would be taken now.
    pub fn admits_rollback(&self) -> Result<(), Refusal> {
        match (&self.update, &self.previous) {
            (Update::Probation { .. }, _) => Ok(()),
            (Update::Idle, Some(_)) if self.runs_committed() => Ok(()),
            (Update::Idle, None) => Err(Refusal::NoPrevious),
            (Update::Idle | Update::Settling { .. }, _) => Err(Refusal::Uncommitted),
            (busy, _) => Err(Refusal::Busy(busy.name())),
        }
    }

    /// Whether an operator's word is waited for.
    pub fn admits_confirm(&self) -> Result<(), Refusal> {
        match &self.update {
            Update::Probation { .. } | Update::Settling { .. } => Ok(()),
            Update::Idle if !self.runs_committed() || self.doubt.is_some() => Ok(()),
            Update::Idle => Err(Refusal::NothingToConfirm),
            busy => Err(Refusal::Busy(busy.name())),
        }
    }

    /// Whether there is an update that an operator may still take back.
    pub fn admits_cancel(&self) -> Result<(), Refusal> {
        match &self.update {
            Update::Fetching { .. } | Update::Ready { .. } => Ok(()),
            _ if self.pending != Pending::Nothing => Ok(()),
            Update::Idle | Update::Settling { .. } => Err(Refusal::NothingToCancel),
            busy => Err(Refusal::Busy(busy.name())),
        }
    }

    /// Whether the slot that runs is the committed one.
    pub fn runs_committed(&self) -> bool {
        self.committed.as_ref().is_some_and(|committed| committed.slot == self.booted)
    }
}
