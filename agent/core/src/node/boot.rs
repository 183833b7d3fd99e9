//! What a start of the agent changes: it was restarted, or the machine was switched on.
//!
//! ```text
//! same boot id ──▶ agent_restarted    a trial bears a few
//! new boot id ───▶ switched_on ─┬─ the slot on trial ──▶ Probation, or Condemning with evidence
//!                               └─ the other one ──────▶ Settling, or Condemning what fell back
//! ```
//!
//! What the ledger could not be told, because `/data` could not be written, the boot store tells: a trial that it keeps
//! was committed, and one that it avoids was condemned.

use super::{Committed, Node, Outcome, Pending, Policy};
use crate::cause::{Cause, Failure};
use crate::event::{At, Boot, Offer, OtherSlot, ThisSlot};
use crate::names::{Begun, Trial, Why};
use crate::update::Update;

impl Node {
    pub(super) fn booted(mut self, update: Update, boot: Boot, policy: &Policy) -> Node {
        let same_boot = boot.id == self.boot;
        self.booted = boot.slot;
        self.boot = boot.id;
        self.other = boot.other;
        self.running = Some(boot.version.clone());
        self.set = self.belonging(&update, &boot, same_boot);
        if !same_boot {
            self.doubt = None;
        }
        match (self.committed_unsaved(&update, boot.this), same_boot) {
            (Some(trial), true) => self.kept(trial),
            (Some(trial), false) => self.kept(trial).settling(boot.evidence),
            (None, true) => self.agent_restarted(update, boot, policy),
            (None, false) => self.switched_on(update, boot, policy),
        }
    }

    /// The trial that runs and is committed already, although the ledger was not told.
    fn committed_unsaved(&self, update: &Update, this: ThisSlot) -> Option<Trial> {
        let trial = activated(update)?;
        let runs = trial.slot == self.booted && self.running.as_ref() == Some(&trial.version);
        (runs && this == ThisSlot::Kept).then(|| trial.clone())
    }

    /// The agent ended and was started again; the system went on.
    fn agent_restarted(self, update: Update, boot: Boot, policy: &Policy) -> Node {
        match update {
            Update::Probation { trial, restarts, .. } if restarts >= policy.restarts => {
                let failure = boot.evidence.unwrap_or_else(|| {
                    Failure::new(Cause::AgentCrashed, format_args!("{} restarts", restarts + 1))
                });
                self.to(Update::Condemning { trial, failure })
            }
            Update::Probation { trial, restarts, shutdowns } => {
                self.to(Update::Probation { trial, restarts: restarts + 1, shutdowns })
            }
            // The machine did not end after all.
            Update::Leaving { trial, restarts, shutdowns } => {
                self.to(Update::Probation { trial, restarts, shutdowns })
            }
            // An agent that dies while it commits must not do so for ever.
            Update::Committing { trial, attempt, restarts, shutdowns }
                if trial.why != Why::Restart =>
            {
                let most = policy.commit_attempts.saturating_add(policy.restarts);
                if attempt < most {
                    let attempt = attempt + 1;
                    return self.to(Update::Committing { trial, attempt, restarts, shutdowns });
                }
                let crashed = format_args!("while committing, {attempt} times");
                let failure = Failure::new(Cause::AgentCrashed, crashed);
                self.to(Update::Condemning { trial, failure })
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
            U::Fetching { offer, begun, .. }
            | U::Verifying { offer, begun, .. }
            | U::Staging { offer, begun, .. } => {
                self.pending = Pending::Offer(offer, begun);
                self.settling(boot.evidence)
            }
            U::Installing { bundle, set, target, .. } if target == boot.slot => {
                let failure = Failure::new(Cause::Write, format_args!("it was half-written"));
                self.to(U::Condemning { trial: bundle.trial(target, set), failure })
            }
            U::Installing { offer, bundle, cuts, .. } => {
                let begun = Begun { bundle: bundle.0, cuts: cuts.saturating_add(1) };
                self.cut_off(offer, begun, boot.evidence, policy)
            }
            U::Ready { trial } | U::Activating { trial, .. } if trial.slot == boot.slot => {
                self.on_trial(trial)
            }
            U::Rebooting { trial } if trial.slot == boot.slot => {
                self.first_heard(trial, boot.this, boot.evidence)
            }
            U::Ready { trial } => {
                self.pending = Pending::Ready(trial, At::Window);
                self.settling(boot.evidence)
            }
            U::Activating { trial, at } if boot.other != OtherSlot::Tried => {
                self.pending = Pending::Ready(trial, at);
                self.settling(boot.evidence)
            }
            U::Probation { trial, restarts, shutdowns }
            | U::Committing { trial, restarts, shutdowns, .. }
                if trial.slot == boot.slot =>
            {
                self.tried_again(Tried { trial, restarts, shutdowns }, boot.evidence, policy)
            }
            U::Leaving { trial, restarts, shutdowns } if trial.slot == boot.slot => {
                self.came_back(Tried { trial, restarts, shutdowns }, boot.evidence, policy)
            }
            U::Activating { trial, .. } | U::Rebooting { trial } => {
                let failure = not_begun(boot.other, boot.evidence);
                self.to(U::Condemning { trial, failure })
            }
            U::Probation { trial, restarts, shutdowns }
            | U::Committing { trial, restarts, shutdowns, .. } => {
                let starts = restarts.saturating_add(shutdowns).saturating_add(1);
                let failure = boot.evidence.unwrap_or_else(|| came_to_nothing(boot.other, starts));
                self.to(U::Condemning { trial, failure })
            }
            // After its last shutdown the agent was not heard.
            U::Leaving { trial, restarts, shutdowns } => {
                let starts = restarts.saturating_add(shutdowns);
                let failure = boot.evidence.unwrap_or_else(|| came_to_nothing(boot.other, starts));
                self.to(U::Condemning { trial, failure })
            }
            U::Condemning { trial, failure } => self.to(U::Condemning { trial, failure }),
            U::Returning { trial, failure } if trial.slot == boot.slot => {
                self.to(U::Condemning { trial, failure })
            }
            U::Returning { trial, failure } => self.back(trial, Outcome::Returned, failure),
        }
    }

    /// The node went down while the other slot was written. It is begun again when the node has settled, and not for
    /// ever: writing it may be what brings the node down. What never ran is not refused, for a panic or a reset was the
    /// running system's.
    fn cut_off(
        mut self,
        offer: Offer,
        begun: Begun,
        evidence: Option<Failure>,
        policy: &Policy,
    ) -> Node {
        if begun.cuts < policy.fetch_attempts {
            self.pending = Pending::Offer(offer, Some(begun));
            return self.settling(evidence);
        }
        let failure = brought_down(evidence).unwrap_or_else(|| went_down(begun.cuts));
        self.not_had(Some(begun), failure).arrived()
    }

    /// An ordinary boot; or the committed slot could not start and the other one did.
    fn settling(mut self, evidence: Option<Failure>) -> Node {
        if let Pending::Ready(trial, _) = &self.pending
            && trial.slot == self.booted
        {
            let trial = trial.clone();
            self.pending = Pending::Nothing;
            return self.on_trial(trial);
        }
        let left = self.committed.clone().filter(|committed| committed.slot != self.booted);
        if let Some(Committed { slot, version, digest, .. }) = left {
            let failure = evidence.unwrap_or_else(|| gave_way(self.other));
            if failure.cause.blames_release() {
                self.refuse(digest);
            }
            self = self.ended(Some(version), slot, Outcome::Returned, Some(failure));
        }
        self.arrived()
    }

    /// The slot that was to be tried runs; it must hold what was put there, and its set must be the one that was
    /// assigned to it.
    fn on_trial(self, trial: Trial) -> Node {
        let runs = self.running.as_ref().filter(|runs| **runs != trial.version);
        let failure = match runs {
            Some(runs) => {
                let Trial { slot, version, .. } = &trial;
                let evidence = format_args!("slot {slot} holds {runs}, not {version}");
                Failure::new(Cause::Damaged, evidence)
            }
            None if self.set != trial.set => self.another_set(&trial),
            None => return self.to(Update::Probation { trial, restarts: 0, shutdowns: 0 }),
        };
        self.to(Update::Condemning { trial, failure })
    }

    /// The agent is heard in the new slot for the first time. A panic or a reset may have been the old system's, which
    /// was to restart the node, unless the new slot was started before: then that start died.
    fn first_heard(self, trial: Trial, this: ThisSlot, evidence: Option<Failure>) -> Node {
        let node = self.on_trial(trial.clone());
        match (brought_down(evidence), this, &node.update) {
            (Some(failure), ThisSlot::Again, Update::Probation { .. }) => {
                node.to(Update::Condemning { trial, failure })
            }
            _ => node,
        }
    }

    /// The new slot started once more before it was judged.
    fn tried_again(self, tried: Tried, evidence: Option<Failure>, policy: &Policy) -> Node {
        // An agent that ended, and power that went, are restarts; a panic or a reset is a verdict.
        match evidence.as_ref().is_none_or(|it| it.cause == Cause::AgentCrashed) {
            true => self.restarted(tried, evidence, policy),
            false => self.condemning(tried, evidence),
        }
    }

    /// The new slot started again after somebody had switched the node off, which is no restart by itself.
    fn came_back(self, tried: Tried, evidence: Option<Failure>, policy: &Policy) -> Node {
        match evidence.as_ref().map(|it| &it.cause) {
            None => {
                let Tried { trial, restarts, shutdowns } = tried;
                self.to(Update::Probation { trial, restarts, shutdowns })
            }
            Some(Cause::Panic) => self.condemning(tried, evidence),
            // The shutdown hung, perhaps, and not the start after it.
            Some(_) => self.restarted(tried, evidence, policy),
        }
    }

    /// One more restart that nobody asked for; a trial bears a few.
    fn restarted(self, tried: Tried, evidence: Option<Failure>, policy: &Policy) -> Node {
        let Tried { trial, restarts, shutdowns } = tried;
        if restarts < policy.restarts {
            return self.to(Update::Probation { trial, restarts: restarts + 1, shutdowns });
        }
        self.condemning(Tried { trial, restarts, shutdowns }, evidence)
    }

    fn condemning(self, tried: Tried, evidence: Option<Failure>) -> Node {
        let Tried { trial, restarts, .. } = tried;
        let power = || Failure::new(Cause::Power, format_args!("{} restarts", restarts + 1));
        self.to(Update::Condemning { trial, failure: evidence.unwrap_or_else(power) })
    }
}

/// What took the whole system down, where that left something behind. How its agent ended did not.
fn brought_down(evidence: Option<Failure>) -> Option<Failure> {
    evidence.filter(|it| matches!(it.cause, Cause::Panic | Cause::Watchdog))
}

/// Why an install is not begun again, if nothing more is known.
fn went_down(installs: u8) -> Failure {
    Failure::new(Cause::Power, format_args!("the node went down in {installs} installs"))
}

/// The trial that is under way, if its slot's attempts were counted anew for it: by its activation, or by the
/// installation, which left it none.
fn activated(update: &Update) -> Option<&Trial> {
    use Update as U;
    match update {
        U::Rebooting { trial } | U::Probation { trial, .. } | U::Leaving { trial, .. } => {
            Some(trial)
        }
        U::Committing { trial, .. } => Some(trial).filter(|trial| trial.why != Why::Restart),
        U::Activating { trial, .. } => Some(trial).filter(|trial| trial.why == Why::Update),
        _ => None,
    }
}

/// A trial that is not judged yet, and how often it was started again.
struct Tried {
    trial: Trial,
    restarts: u8,
    shutdowns: u8,
}

/// Why the committed slot did not start: its attempts ran out, or it still has some.
fn gave_way(committed: OtherSlot) -> Failure {
    match committed {
        OtherSlot::Untried => {
            let evidence = format_args!("the other slot was started although this one may boot");
            Failure::new(Cause::Write, evidence)
        }
        OtherSlot::Tried | OtherSlot::Bad => attempts_used(),
        OtherSlot::Unknown => unreadable(),
    }
}

/// Why a trial never began. A slot that was never tried is not to blame for how the old system ended; of one that was, an
/// agent that ended before it saved anything is the reason.
fn not_begun(other: OtherSlot, evidence: Option<Failure>) -> Failure {
    let tried = evidence.filter(|_| other != OtherSlot::Untried);
    tried.unwrap_or_else(|| never_started(other))
}

/// Why a slot did not start although it was to: its attempts ran out, or it was never tried; or it did.
fn never_started(other: OtherSlot) -> Failure {
    match other {
        OtherSlot::Untried => {
            Failure::new(Cause::Write, format_args!("the slot was activated and never tried"))
        }
        OtherSlot::Tried => attempts_used(),
        OtherSlot::Bad => unsaved(),
        OtherSlot::Unknown => unreadable(),
    }
}

/// Why a trial that had begun is over although the ledger knows of no verdict. A start in which the agent was not heard
/// may have died or lost its power; that nobody can tell blames no release.
fn came_to_nothing(other: OtherSlot, starts: u8) -> Failure {
    match other {
        OtherSlot::Bad => unsaved(),
        OtherSlot::Untried | OtherSlot::Tried | OtherSlot::Unknown => {
            let evidence =
                format_args!("the agent came up {starts} times in the slot, then no more");
            Failure::new(Cause::Power, evidence)
        }
    }
}

fn attempts_used() -> Failure {
    Failure::new(Cause::Attempts, format_args!("the agent never started in the slot"))
}

/// Nobody but an agent that judges a trial, or an operator, takes its slot out of the boot order.
fn unsaved() -> Failure {
    let evidence = format_args!("the slot may not boot any more, and the ledger does not say why");
    Failure::new(Cause::Unsaved, evidence)
}

fn unreadable() -> Failure {
    Failure::new(Cause::Write, format_args!("the boot environment could not be read"))
}
