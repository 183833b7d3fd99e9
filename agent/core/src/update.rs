//! Where the node stands with its update: one state, one order.
//!
//! ```text
//! Idle → Fetching → Verifying (→ Staging) → Installing → Ready → Activating → Rebooting
//!   ▲                                                                 │
//!   ├──────────── Committing ◀── healthy ───────────────────────── Probation ⇄ Leaving
//!   └─ Settling ◀─ (old slot) Returning ◀─ Condemning ◀─ unhealthy ───┘
//! ```
//!
//! Always true: what a state waits for is a function of the state ([`Update::action`]), so a power
//! cut costs nothing: the saved state is read and its order given again.

use crate::cause::Failure;
use crate::event::{Action, At, Offer};
use crate::names::{Begun, SetId, Slot, Trial, VerifiedBundle};
use serde::{Deserialize, Serialize};

/// Where the node stands. New states are added at the end: the ledger stores the position.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[allow(missing_docs, reason = "the fields are named after their types")]
pub enum Update {
    /// Nothing to do.
    Idle,
    /// Making the bundle available; `begun` was being installed from the same offer and failed.
    Fetching { offer: Offer, attempt: u8, begun: Option<Begun> },
    /// Checking the signature.
    Verifying { offer: Offer, attempt: u8, begun: Option<Begun> },
    /// Writing to `target`, the slot that did not boot, to which `set` belongs then. The node went down in so many
    /// installs of it before.
    Installing {
        offer: Offer,
        attempt: u8,
        bundle: VerifiedBundle,
        set: Option<SetId>,
        target: Slot,
        cuts: u8,
    },
    /// Installed; waiting for the window.
    Ready { trial: Trial },
    /// Telling the boot store to try the slot next.
    Activating { trial: Trial, at: At },
    /// Restarting into the slot.
    Rebooting { trial: Trial },
    /// Running the new system; its health is undecided. It was started again `restarts` times that
    /// nobody asked for, and `shutdowns` times that somebody did.
    Probation { trial: Trial, restarts: u8, shutdowns: u8 },
    /// An ordinary boot; its health is undecided.
    Settling { trial: Trial },
    /// Healthy; telling the boot store to keep the slot. A cut goes back to the trial, with what it bore so far.
    Committing { trial: Trial, attempt: u8, restarts: u8, shutdowns: u8 },
    /// Unhealthy; telling the boot store never to try the slot again.
    Condemning { trial: Trial, failure: Failure },
    /// Restarting out of the condemned slot.
    Returning { trial: Trial, failure: Failure },
    /// Somebody switches the node off in the middle of a trial, which goes on at the next start: telling
    /// the boot store that this was no failed boot.
    Leaving { trial: Trial, restarts: u8, shutdowns: u8 },
    /// Copying and verifying the workload set that came with the bundle, before anything is written to a slot.
    Staging { offer: Offer, attempt: u8, bundle: VerifiedBundle, begun: Option<Begun> },
}

impl Update {
    /// The first attempt to keep the slot of an ordinary boot, which is no trial.
    pub(crate) fn keeping(trial: Trial) -> Update {
        Update::Committing { trial, attempt: 1, restarts: 0, shutdowns: 0 }
    }

    /// The one order that this state waits on.
    pub fn action(&self) -> Option<Action> {
        use {Action as A, Update as U};
        Some(match self.clone() {
            U::Idle | U::Ready { .. } => return None,
            U::Fetching { offer, attempt, .. } => A::Fetch { offer, attempt },
            U::Verifying { offer, .. } => A::Verify(offer),
            // It is entered only with a set; an empty source is nowhere.
            U::Staging { offer, .. } => A::Stage(offer.set.unwrap_or_default()),
            U::Installing { offer, bundle, set, target, .. } => {
                A::Install { offer, bundle, target, set }
            }
            U::Activating { trial, .. } | U::Leaving { trial, .. } => A::Activate(trial.slot),
            U::Rebooting { .. } | U::Returning { .. } => A::Reboot,
            U::Probation { .. } | U::Settling { .. } => A::Judge,
            U::Committing { trial, .. } => A::Commit(trial.slot),
            U::Condemning { trial, .. } => A::Condemn(trial.slot),
        })
    }

    /// The state's name for machines; stable.
    pub fn name(&self) -> &'static str {
        match self {
            Update::Idle => "idle",
            Update::Fetching { .. } => "fetching",
            Update::Verifying { .. } => "verifying",
            Update::Installing { .. } => "installing",
            Update::Ready { .. } => "ready",
            Update::Activating { .. } => "activating",
            Update::Rebooting { .. } => "rebooting",
            Update::Probation { .. } => "probation",
            Update::Settling { .. } => "settling",
            Update::Committing { .. } => "committing",
            Update::Condemning { .. } => "condemning",
            Update::Returning { .. } => "returning",
            Update::Leaving { .. } => "leaving",
            Update::Staging { .. } => "staging",
        }
    }

    /// The system that is installed or tried, or that runs and is being judged.
    pub fn trial(&self) -> Option<&Trial> {
        match self {
            Update::Ready { trial }
            | Update::Activating { trial, .. }
            | Update::Rebooting { trial }
            | Update::Probation { trial, .. }
            | Update::Settling { trial }
            | Update::Committing { trial, .. }
            | Update::Condemning { trial, .. }
            | Update::Returning { trial, .. }
            | Update::Leaving { trial, .. } => Some(trial),
            Update::Idle
            | Update::Fetching { .. }
            | Update::Verifying { .. }
            | Update::Staging { .. }
            | Update::Installing { .. } => None,
        }
    }

    /// The version under way, once it is known.
    pub fn version(&self) -> Option<&crate::Version> {
        match self {
            Update::Fetching { begun, .. } | Update::Verifying { begun, .. } => {
                begun.as_ref().map(|begun| &begun.bundle.version)
            }
            Update::Installing { bundle, .. } | Update::Staging { bundle, .. } => {
                Some(&bundle.bundle().version)
            }
            other => other.trial().map(|trial| &trial.version),
        }
    }
}
