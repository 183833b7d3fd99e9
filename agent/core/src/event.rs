//! What reaches the core and what leaves it: [`Event`] in the past tense, [`Action`] as an order.

use crate::cause::Failure;
use crate::names::{Bundle, Digest, Name, SetId, Slot, Source, VerifiedBundle};
use crate::version::Version;
use serde::{Deserialize, Serialize};

/// When an installed bundle may be activated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum At {
    /// As soon as it is installed.
    Now,
    /// When the site's window opens.
    Window,
}

/// A bundle that was offered. What is in it is known only after verifying.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Offer {
    /// Where it is.
    pub source: Source,
    /// When it may be activated.
    pub at: At,
    /// The SHA-256 of the bundle's own bytes, where whoever offers it knows it: two sources with one content
    /// are one bundle.
    pub content: Option<Digest>,
    /// Where the workload set is that comes with it. Without one the node keeps the set that it has.
    pub set: Option<Source>,
}

/// What staging found in a workload set that is whole and vouched for.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct StagedSet {
    /// The set.
    pub set: SetId,
    /// The oldest system that it runs on.
    pub minimum_os: Option<Version>,
}

/// Which workload set belongs to the slot that runs, as the store of sets has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Assigned {
    /// None.
    Nothing,
    /// This one.
    Set(SetId),
    /// The store could not be read.
    Unknown,
}

/// What verifying found in a bundle whose signature holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Inspected {
    /// Its version and digest.
    pub bundle: Bundle,
    /// The board that it is for.
    pub compatible: Name,
    /// How big its images are.
    pub sizes: Sizes,
}

/// What the images of a bundle take, or what the partitions of a slot hold, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Sizes {
    /// The boot partition's.
    pub boot: u64,
    /// The root partition's.
    pub root: u64,
}

/// What the boot environment says of the slot that did not boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum OtherSlot {
    /// It may not be booted.
    Bad,
    /// It may be booted and was not tried since it was activated.
    Untried,
    /// It may be booted and was tried.
    Tried,
    /// The boot environment could not be read.
    Unknown,
}

/// What the boot environment says of the slot that runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ThisSlot {
    /// It was started once since it was activated, as far as is known.
    Once,
    /// It was started more than once since it was activated.
    Again,
    /// It has more attempts than a trial gets, which only a commit gives.
    Kept,
}

/// How the agent came up.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Boot {
    /// The slot that runs.
    pub slot: Slot,
    /// What the image in it calls itself.
    pub version: Version,
    /// The kernel's boot id: the same for each start of the agent within one boot
    /// (`/proc/sys/kernel/random/boot_id`).
    pub id: [u8; 16],
    /// What the boot environment says of the slot that runs.
    pub this: ThisSlot,
    /// What the boot environment says of the slot that did not boot.
    pub other: OtherSlot,
    /// What the store of sets says of the slot that runs.
    pub set: Assigned,
    /// What the last end left behind: a panic record, the watchdog's flag, the agent's exit.
    pub evidence: Option<Failure>,
}

/// What the health gate found.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Verdict {
    /// Every required check held for the soak time.
    Healthy,
    /// A required check did not, before the deadline.
    Unhealthy(Failure),
}

/// Something that happened. New ones are added at the end: the ledger stores the position.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Event {
    /// The agent started, from this slot.
    Booted(Boot),
    /// A bundle was offered.
    Announced(Offer),
    /// The bundle is at hand, or can be streamed.
    Fetched(Result<(), Failure>),
    /// The bundle's signature was checked and its manifest read.
    Verified(Result<Inspected, Failure>),
    /// The inactive slot was written.
    Installed(Result<(), Failure>),
    /// The site allows a reboot now.
    WindowOpened,
    /// The boot store names the new primary, read back.
    Activated(Result<(), Failure>),
    /// The health gate reached its verdict.
    Judged(Verdict),
    /// The boot store keeps the slot, read back.
    Committed(Result<(), Failure>),
    /// The boot store avoids the slot, read back.
    Condemned(Result<(), Failure>),
    /// An operator vouches for the running system.
    Confirmed,
    /// An operator wants the previous system back.
    RollbackAsked,
    /// Time passed. Changes nothing, and proves that the loop turns.
    Ticked,
    /// An operator takes back the update that is being fetched or waits for its window.
    CancelAsked,
    /// Somebody switches the machine off or restarts it in an orderly way, and it was not the agent.
    ShutdownAsked,
    /// The workload set was copied and all of it verified.
    Staged(Result<StagedSet, Failure>),
}

impl Event {
    /// The event's name for machines; stable.
    pub fn name(&self) -> &'static str {
        match self {
            Event::Booted(_) => "booted",
            Event::Announced(_) => "announced",
            Event::Fetched(_) => "fetched",
            Event::Verified(_) => "verified",
            Event::Installed(_) => "installed",
            Event::WindowOpened => "window-opened",
            Event::Activated(_) => "activated",
            Event::Judged(_) => "judged",
            Event::Committed(_) => "committed",
            Event::Condemned(_) => "condemned",
            Event::Confirmed => "confirmed",
            Event::RollbackAsked => "rollback-asked",
            Event::Ticked => "ticked",
            Event::CancelAsked => "cancel-asked",
            Event::ShutdownAsked => "shutdown-asked",
            Event::Staged(_) => "staged",
        }
    }
}

/// Something to do. Safe to repeat: after a power cut the last one is given again.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    /// Make the bundle available; the attempt counts from one and grows the pause before it.
    Fetch {
        /// What was offered.
        offer: Offer,
        /// Which attempt this is.
        attempt: u8,
    },
    /// Check the bundle's signature and read its manifest.
    Verify(Offer),
    /// Copy the workload set to the node and verify all of it.
    Stage(Source),
    /// Write the bundle to the slot, and then let the workload set belong to it.
    Install {
        /// Where the bundle is.
        offer: Offer,
        /// What was verified.
        bundle: VerifiedBundle,
        /// The slot to write; never the booted one.
        target: Slot,
        /// The workload set that belongs to the slot once it is written.
        set: Option<SetId>,
    },
    /// Boot this slot next, on trial.
    Activate(Slot),
    /// Restart the node.
    Reboot,
    /// Run the health gate and judge the running system.
    Judge,
    /// Keep booting this slot.
    Commit(Slot),
    /// Never boot this slot again.
    Condemn(Slot),
}

/// One neighbour that the node can act on.
///
/// A port translates; it never decides, retries or remembers. Every outcome, failures included,
/// comes back as an [`Event`], so the core sees all of it.
pub trait Port {
    /// The orders that this port understands.
    type Action;

    /// Carries out one action and says what came of it.
    ///
    /// Must be safe to repeat: after a power cut the core gives the last order again.
    #[allow(async_fn_in_trait, reason = "all ports run on one thread")]
    async fn perform(&mut self, action: Self::Action) -> Event;
}
