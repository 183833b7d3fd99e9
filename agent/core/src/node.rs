//! The node's whole memory, and the one function that changes it.
//!
//! Always true, checked over every reachable state by `every_state` in `agent/core/tests`:
//!
//! * only a [`VerifiedBundle`] is ever installed, and never into the slot that runs;
//! * nothing is installed while the running slot is not the committed one;
//! * only a slot that passed its gate, or that an operator vouched for, is newly committed;
//! * a refused digest is never installed again; every ending but a good one has a cause.

use crate::cause::{Cause, Failure};
use crate::event::{At, Boot, Event, Inspected, Offer, OtherSlot, Verdict};
use crate::names::{Digest, Name, Slot, Trial, VerifiedBundle, Why};
use crate::update::Update;
use crate::version::Version;
use serde::{Deserialize, Serialize};

/// How many refused digests are remembered; the oldest is forgotten first.
const REFUSED: usize = 16;

/// The limits that hold on this node.
#[derive(Clone, Debug)]
pub struct Policy {
    /// The board's name in bundles (RAUC's `compatible`).
    pub compatible: Name,
    /// The size of a root slot in bytes.
    pub room: u64,
    /// How often making a bundle available is tried.
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
}

impl Outcome {
    /// The outcome's name for machines; stable.
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Committed => "committed",
            Outcome::Refused => "refused",
            Outcome::Failed => "failed",
            Outcome::Returned => "returned",
        }
    }
}

/// How an update ended.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Ending {
    /// The version, where it became known.
    pub version: Option<Version>,
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
    /// A bundle that was being fetched, verified or installed when the node went down.
    Offer(Offer),
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
    /// What runs.
    pub running: Option<Version>,
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
            running: None,
            committed: None,
            previous: None,
            pending: Pending::Nothing,
            doubt: None,
            refused: heapless::Vec::new(),
            floor: None,
            last: None,
            endings: 0,
        }
    }
}

impl Node {
    /// The node after `event`. An event that is not waited for changes nothing.
    pub fn next(mut self, event: Event, policy: &Policy) -> Node {
        use {Event as E, Update as U, Verdict::*};
        if !self.waits_for(&event) {
            return self;
        }
        let update = core::mem::replace(&mut self.update, U::Idle);
        match (update, event) {
            (update, E::Booted(boot)) => self.booted(update, boot, policy),
            (_, E::Announced(offer)) => self.to(U::Fetching { offer, attempt: 1 }),
            (U::Fetching { offer, attempt }, E::Fetched(Ok(()))) => {
                self.to(U::Verifying { offer, attempt })
            }
            (U::Verifying { offer, attempt }, E::Verified(Ok(found))) => {
                self.verified(offer, attempt, found, policy)
            }
            (U::Fetching { offer, attempt }, E::Fetched(Err(failure)))
            | (U::Verifying { offer, attempt }, E::Verified(Err(failure))) => {
                self.not_had(offer, attempt, failure, policy)
            }
            (U::Installing { offer, bundle, target, .. }, E::Installed(Ok(()))) => {
                self.installed(offer.at, bundle, target)
            }
            (U::Installing { offer, attempt, bundle, target }, E::Installed(Err(failure))) => {
                match failure.cause.passes() && attempt < policy.fetch_attempts {
                    true => self.to(U::Fetching { offer, attempt: attempt + 1 }),
                    false => {
                        let version = Some(bundle.0.version);
                        self.ended(version, target, Outcome::Failed, Some(failure))
                    }
                }
            }
            (U::Ready { trial }, E::WindowOpened) => self.to(U::Activating { trial }),
            (U::Activating { trial }, E::Activated(Ok(()))) => self.to(U::Rebooting { trial }),
            (U::Activating { trial }, E::Activated(Err(failure))) => {
                self.ended(Some(trial.version), trial.slot, Outcome::Failed, Some(failure))
            }
            (U::Probation { trial, .. }, E::Judged(Healthy) | E::Confirmed) => {
                self.to(U::Committing { trial, attempt: 1 })
            }
            (U::Probation { trial, .. }, E::Judged(Unhealthy(failure))) => {
                self.to(U::Condemning { trial, failure })
            }
            (U::Probation { trial, .. }, E::RollbackAsked) => {
                let failure = Failure::new(Cause::Operator, format_args!("rollback"));
                self.to(U::Condemning { trial, failure })
            }
            (U::Settling { trial }, E::Judged(Healthy) | E::Confirmed) => {
                self.doubt = None;
                self.to(U::Committing { trial, attempt: 1 })
            }
            (U::Settling { trial }, E::Judged(Unhealthy(failure))) => self.doubted(trial, failure),
            (U::Idle, E::Confirmed) => {
                let trial = self.as_it_runs();
                self.doubt = None;
                self.to(U::Committing { trial, attempt: 1 })
            }
            (U::Idle, E::RollbackAsked) => self.rolled_back(),
            (U::Committing { trial, .. }, E::Committed(Ok(()))) => self.kept(trial),
            (U::Committing { trial, attempt }, E::Committed(Err(failure))) => {
                self.not_kept(trial, attempt, failure, policy)
            }
            (U::Condemning { trial, failure }, E::Condemned(_)) => self.condemned(trial, failure),
            // `waits_for` lets nothing else through.
            (update, _) => self.to(update),
        }
    }

    /// Whether the state waits for this event.
    fn waits_for(&self, event: &Event) -> bool {
        use {Event as E, Update as U};
        match event {
            E::Booted(_) => true,
            E::Ticked => false,
            E::Announced(_) => self.admits_update().is_ok(),
            E::Confirmed => self.admits_confirm().is_ok(),
            E::RollbackAsked => self.admits_rollback().is_ok(),
            E::Fetched(_) => matches!(self.update, U::Fetching { .. }),
            E::Verified(_) => matches!(self.update, U::Verifying { .. }),
            E::Installed(_) => matches!(self.update, U::Installing { .. }),
            E::WindowOpened => matches!(self.update, U::Ready { .. }),
            E::Activated(_) => matches!(self.update, U::Activating { .. }),
            E::Judged(_) => matches!(self.update, U::Probation { .. } | U::Settling { .. }),
            E::Committed(_) => matches!(self.update, U::Committing { .. }),
            E::Condemned(_) => matches!(self.update, U::Condemning { .. }),
        }
    }

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

    /// Whether the slot that runs is the committed one.
    pub fn runs_committed(&self) -> bool {
        self.committed.as_ref().is_some_and(|committed| committed.slot == self.booted)
    }

    fn to(mut self, update: Update) -> Node {
        self.update = update;
        self
    }

    fn ended(
        mut self,
        version: Option<Version>,
        slot: Slot,
        outcome: Outcome,
        failure: Option<Failure>,
    ) -> Node {
        self.last = Some(Ending { version, slot, outcome, failure });
        self.endings = self.endings.wrapping_add(1);
        self.to(Update::Idle)
    }

    /// The running slot, as an ordinary boot tries it.
    fn as_it_runs(&self) -> Trial {
        let version = self.running.clone().expect("the first event is Booted, which names it");
        let known = self.committed.as_ref().filter(|it| it.slot == self.booted);
        let digest = known.filter(|it| it.version == version).and_then(|it| it.digest);
        Trial { version, digest, slot: self.booted, why: Why::Restart }
    }

    /// A bundle could not be had, or is not good.
    fn not_had(self, offer: Offer, attempt: u8, failure: Failure, policy: &Policy) -> Node {
        if failure.cause.passes() && attempt < policy.fetch_attempts {
            return self.to(Update::Fetching { offer, attempt: attempt + 1 });
        }
        let slot = self.booted.other();
        self.ended(None, slot, Outcome::Refused, Some(failure))
    }

    /// The signature holds: is it for us, new enough, small enough, and not known to be bad?
    fn verified(mut self, offer: Offer, attempt: u8, found: Inspected, policy: &Policy) -> Node {
        let target = self.booted.other();
        let bundle = found.bundle.clone();
        if let Some(failure) = self.objection(&found, policy) {
            return self.ended(Some(bundle.version), target, Outcome::Refused, Some(failure));
        }
        let runs = self.committed.as_ref().and_then(|committed| committed.digest);
        if runs == Some(bundle.digest) {
            let slot = self.booted;
            return self.ended(Some(bundle.version), slot, Outcome::Committed, None);
        }
        self.previous = None;
        let bundle = VerifiedBundle(bundle);
        self.to(Update::Installing { offer, attempt, bundle, target })
    }

    fn objection(&self, found: &Inspected, policy: &Policy) -> Option<Failure> {
        let Inspected { bundle, compatible, root_size } = found;
        if *compatible != policy.compatible {
            let ours = &policy.compatible;
            let evidence = format_args!("it is for {compatible}, this is {ours}");
            return Some(Failure::new(Cause::Compatible, evidence));
        }
        if self.refused.contains(&bundle.digest) {
            let evidence = format_args!("digest {}", bundle.digest);
            return Some(Failure::new(Cause::Refused, evidence));
        }
        if let Some(floor) = self.floor.as_ref().filter(|floor| bundle.version < **floor) {
            let evidence = format_args!("{} is below {floor}", bundle.version);
            return Some(Failure::new(Cause::Floor, evidence));
        }
        (*root_size > policy.room).then(|| {
            let evidence = format_args!("{root_size} bytes do not fit in {}", policy.room);
            Failure::new(Cause::Space, evidence)
        })
    }

    fn installed(self, at: At, bundle: VerifiedBundle, slot: Slot) -> Node {
        let trial = bundle.trial(slot);
        self.to(match at {
            At::Now => Update::Activating { trial },
            At::Window => Update::Ready { trial },
        })
    }

    fn rolled_back(self) -> Node {
        let Some(Committed { slot, version, digest }) = self.previous.clone() else {
            return self;
        };
        self.to(Update::Activating { trial: Trial { version, digest, slot, why: Why::Rollback } })
    }

    /// An ordinary boot whose gate said no. A slot that was committed stays so: what happened since
    /// is not the update's doing, and its boot attempts must not run out. Any other stays as it is.
    fn doubted(mut self, trial: Trial, failure: Failure) -> Node {
        self.doubt = Some(failure.clone());
        if self.runs_committed() {
            return self.to(Update::Committing { trial, attempt: 1 });
        }
        self.without_pending(failure)
    }

    /// Idle, and what waited for the running slot to settle ends here.
    fn without_pending(mut self, failure: Failure) -> Node {
        match core::mem::replace(&mut self.pending, Pending::Nothing) {
            Pending::Nothing => self.to(Update::Idle),
            Pending::Offer(_) => {
                let slot = self.booted.other();
                self.ended(None, slot, Outcome::Failed, Some(failure))
            }
            Pending::Ready(trial, _) => {
                self.ended(Some(trial.version), trial.slot, Outcome::Failed, Some(failure))
            }
        }
    }

    /// The boot store keeps the slot.
    fn kept(mut self, trial: Trial) -> Node {
        let Trial { version, digest, slot, why } = trial;
        let now = Committed { slot, version: version.clone(), digest };
        let before = self.committed.replace(now);
        let elsewhere = before.filter(|before| before.slot != slot);
        if why != Why::Restart {
            self.previous = elsewhere;
            self.floor = Some(version.clone());
            return self.ended(Some(version), slot, Outcome::Committed, None);
        }
        if elsewhere.is_some() {
            self.previous = None;
        }
        self.floor.get_or_insert(version);
        match core::mem::replace(&mut self.pending, Pending::Nothing) {
            Pending::Nothing => self.to(Update::Idle),
            Pending::Offer(offer) => self.to(Update::Fetching { offer, attempt: 1 }),
            Pending::Ready(trial, At::Window) => self.to(Update::Ready { trial }),
            Pending::Ready(trial, At::Now) => self.to(Update::Activating { trial }),
        }
    }

    /// The boot store could not be written. A new system is given up; an old one goes on, in doubt.
    fn not_kept(mut self, trial: Trial, attempt: u8, failure: Failure, policy: &Policy) -> Node {
        if attempt < policy.commit_attempts {
            return self.to(Update::Committing { trial, attempt: attempt + 1 });
        }
        if trial.why != Why::Restart {
            return self.to(Update::Condemning { trial, failure });
        }
        self.doubt = Some(failure.clone());
        self.without_pending(failure)
    }

    /// The slot is avoided from now on; or it could not be, and its attempts will run out.
    fn condemned(mut self, trial: Trial, failure: Failure) -> Node {
        if let (Why::Update, Some(digest)) = (trial.why, trial.digest) {
            self.refuse(digest);
        }
        if self.previous.as_ref().is_some_and(|previous| previous.slot == trial.slot) {
            self.previous = None;
        }
        if trial.slot == self.booted {
            return self.to(Update::Returning { trial, failure });
        }
        self.returned(trial, failure)
    }

    fn returned(self, trial: Trial, failure: Failure) -> Node {
        let Trial { version, slot, .. } = trial;
        let node = self.ended(Some(version), slot, Outcome::Returned, Some(failure));
        let trial = node.as_it_runs();
        node.to(Update::Settling { trial })
    }

    fn refuse(&mut self, digest: Digest) {
        if self.refused.contains(&digest) {
            return;
        }
        if self.refused.is_full() {
            self.refused.remove(0);
        }
        self.refused.push(digest).expect("one was removed when it was full");
    }

    fn booted(mut self, update: Update, boot: Boot, policy: &Policy) -> Node {
        let same_boot = boot.id == self.boot;
        self.booted = boot.slot;
        self.boot = boot.id;
        self.running = Some(boot.version.clone());
        if same_boot {
            return self.agent_restarted(update, boot, policy);
        }
        self.doubt = None;
        self.switched_on(update, boot, policy)
    }

    /// The agent ended and was started again; the system went on.
    fn agent_restarted(self, update: Update, boot: Boot, policy: &Policy) -> Node {
        match update {
            Update::Probation { trial, restarts } if restarts >= policy.restarts => {
                let failure = boot.evidence.unwrap_or_else(|| {
                    Failure::new(Cause::AgentCrashed, format_args!("{} restarts", restarts + 1))
                });
                self.to(Update::Condemning { trial, failure })
            }
            Update::Probation { trial, restarts } => {
                self.to(Update::Probation { trial, restarts: restarts + 1 })
            }
            update => self.to(update),
        }
    }

    /// The machine started, as it was asked to or not.
    fn switched_on(mut self, update: Update, boot: Boot, policy: &Policy) -> Node {
        use Update as U;
        match update {
            U::Idle | U::Settling { .. } => self.settling(boot.evidence),
            U::Committing { trial, .. } if trial.why == Why::Restart => {
                self.settling(boot.evidence)
            }
            U::Fetching { offer, .. } | U::Verifying { offer, .. } => {
                self.pending = Pending::Offer(offer);
                self.settling(boot.evidence)
            }
            U::Installing { bundle, target, .. } if target == boot.slot => {
                let failure = Failure::new(Cause::Write, format_args!("it was half-written"));
                self.to(U::Condemning { trial: bundle.trial(target), failure })
            }
            U::Installing { offer, .. } => {
                self.pending = Pending::Offer(offer);
                self.settling(boot.evidence)
            }
            U::Ready { trial } | U::Activating { trial } | U::Rebooting { trial }
                if trial.slot == boot.slot =>
            {
                self.to(U::Probation { trial, restarts: 0 })
            }
            U::Ready { trial } => {
                self.pending = Pending::Ready(trial, At::Window);
                self.settling(boot.evidence)
            }
            U::Activating { trial } if boot.other != OtherSlot::Tried => {
                self.pending = Pending::Ready(trial, At::Now);
                self.settling(boot.evidence)
            }
            U::Probation { trial, restarts } if trial.slot == boot.slot => {
                self.tried_again(trial, restarts, boot.evidence, policy)
            }
            U::Committing { trial, .. } if trial.slot == boot.slot => {
                self.to(U::Probation { trial, restarts: 0 })
            }
            U::Activating { trial }
            | U::Rebooting { trial }
            | U::Probation { trial, .. }
            | U::Committing { trial, .. } => {
                let failure = fell_back(boot.evidence, boot.other);
                self.to(U::Condemning { trial, failure })
            }
            U::Condemning { trial, failure } => self.to(U::Condemning { trial, failure }),
            U::Returning { trial, failure } if trial.slot == boot.slot => {
                self.to(U::Condemning { trial, failure })
            }
            U::Returning { trial, failure } => self.returned(trial, failure),
        }
    }

    /// An ordinary boot; or the committed slot could not start and the other one did.
    fn settling(mut self, evidence: Option<Failure>) -> Node {
        if let Pending::Ready(trial, _) = &self.pending
            && trial.slot == self.booted
        {
            let trial = trial.clone();
            self.pending = Pending::Nothing;
            return self.to(Update::Probation { trial, restarts: 0 });
        }
        let left = self.committed.clone().filter(|committed| committed.slot != self.booted);
        if let Some(Committed { slot, version, .. }) = left {
            let failure = fell_back(evidence, OtherSlot::Tried);
            self = self.ended(Some(version), slot, Outcome::Returned, Some(failure));
        }
        let trial = self.as_it_runs();
        self.to(Update::Settling { trial })
    }

    /// The new slot started once more before it was judged.
    fn tried_again(
        self,
        trial: Trial,
        restarts: u8,
        evidence: Option<Failure>,
        policy: &Policy,
    ) -> Node {
        let failure = match evidence {
            Some(failure) => failure,
            None if restarts < policy.restarts => {
                return self.to(Update::Probation { trial, restarts: restarts + 1 });
            }
            None => Failure::new(Cause::Power, format_args!("{} restarts", restarts + 1)),
        };
        self.to(Update::Condemning { trial, failure })
    }
}

impl VerifiedBundle {
    fn trial(self, slot: Slot) -> Trial {
        let VerifiedBundle(bundle) = self;
        let digest = Some(bundle.digest);
        Trial { version: bundle.version, digest, slot, why: Why::Update }
    }
}

/// Why the new slot did not stay: what the last end left behind, or that its attempts ran out.
fn fell_back(evidence: Option<Failure>, other: OtherSlot) -> Failure {
    evidence.unwrap_or_else(|| match other {
        OtherSlot::Untried => {
            Failure::new(Cause::Write, format_args!("the slot was activated and never tried"))
        }
        OtherSlot::Tried | OtherSlot::Bad => {
            Failure::new(Cause::Attempts, format_args!("the agent never started in the slot"))
        }
    })
}
