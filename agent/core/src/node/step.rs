//! What each event changes.

use super::{Committed, Ending, Node, Outcome, Pending, Policy, SHUTDOWNS};
use crate::cause::{Cause, Failure};
use crate::event::{At, Event, Inspected, Offer, OtherSlot, Verdict};
use crate::names::{Begun, Digest, SetId, Slot, Trial, VerifiedBundle, Why};
use crate::update::Update;
use crate::version::Version;

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
            (_, E::Announced(offer)) => self.to(U::Fetching { offer, attempt: 1, begun: None }),
            (U::Fetching { offer, attempt, begun }, E::Fetched(Ok(()))) => {
                self.to(U::Verifying { offer, attempt, begun })
            }
            (U::Verifying { offer, attempt, begun }, E::Verified(Ok(found))) => {
                self.verified(Wanted { offer, attempt, begun }, found, policy)
            }
            (U::Staging { offer, attempt, bundle, begun }, E::Staged(Ok(found))) => {
                self.staged(Wanted { offer, attempt, begun }, bundle, found)
            }
            (U::Staging { bundle, begun, .. }, E::Staged(Err(failure))) => {
                self.not_staged(bundle, begun, failure)
            }
            (U::Fetching { offer, attempt, begun }, E::Fetched(Err(failure)))
            | (U::Verifying { offer, attempt, begun }, E::Verified(Err(failure))) => {
                match failure.cause.passes() && attempt < policy.fetch_attempts {
                    true => self.to(U::Fetching { offer, attempt: attempt + 1, begun }),
                    false => self.not_had(begun, failure),
                }
            }
            (U::Installing { offer, bundle, set, target, .. }, E::Installed(Ok(()))) => {
                self.installed(offer.at, bundle.trial(target, set))
            }
            (
                U::Installing { offer, attempt, bundle, set, target, cuts },
                E::Installed(Err(failure)),
            ) => {
                let bundle = bundle.0;
                match failure.cause.passes() && attempt < policy.fetch_attempts {
                    true => {
                        let begun = Some(Begun { bundle, cuts });
                        self.to(U::Fetching { offer, attempt: attempt + 1, begun })
                    }
                    false => {
                        let brought = self.brought(set);
                        self.ended(Some(bundle.version), target, Outcome::Failed, Some(failure))
                            .with_set(brought)
                    }
                }
            }
            (U::Ready { trial }, E::WindowOpened) => {
                self.to(U::Activating { trial, at: At::Window })
            }
            (U::Fetching { begun, .. }, E::CancelAsked) => {
                let (version, slot) = (begun.map(Begun::version), self.booted.other());
                self.ended(version, slot, Outcome::Cancelled, Some(taken_back()))
            }
            (U::Ready { trial }, E::CancelAsked) => {
                self.ended_trial(trial, Outcome::Cancelled, Some(taken_back()))
            }
            (update, E::CancelAsked) => {
                self.without_pending(Outcome::Cancelled, taken_back()).to(update)
            }
            (U::Activating { trial, .. }, E::Activated(Ok(()))) => self.to(U::Rebooting { trial }),
            // It may be written all the same: take it back.
            (U::Activating { trial, .. }, E::Activated(Err(failure))) => {
                self.to(U::Condemning { trial, failure })
            }
            (U::Probation { trial, restarts, shutdowns }, E::Judged(Healthy) | E::Confirmed) => {
                self.to(U::Committing { trial, attempt: 1, restarts, shutdowns })
            }
            (U::Probation { trial, .. }, E::Judged(Unhealthy(failure))) => {
                self.to(U::Condemning { trial, failure })
            }
            (U::Probation { trial, .. }, E::RollbackAsked) => {
                let failure = Failure::new(Cause::Operator, format_args!("rollback"));
                self.to(U::Condemning { trial, failure })
            }
            (U::Probation { trial, restarts, shutdowns }, E::ShutdownAsked) => {
                self.to(U::Leaving { trial, restarts, shutdowns: shutdowns + 1 })
            }
            (U::Settling { trial }, E::Judged(Healthy) | E::Confirmed) => self.settled(trial),
            (U::Settling { trial }, E::Judged(Unhealthy(failure))) => self.doubted(trial, failure),
            // Also when it is the committed one: a doubt may be a boot store that was not written.
            (U::Idle, E::Confirmed) => {
                let trial = self.as_it_runs();
                self.to(U::keeping(trial))
            }
            (U::Idle, E::RollbackAsked) => self.rolled_back(),
            (U::Committing { trial, .. }, E::Committed(Ok(()))) => self.kept(trial),
            (U::Committing { trial, attempt, restarts, shutdowns }, E::Committed(Err(_)))
                if attempt < policy.commit_attempts =>
            {
                self.to(U::Committing { trial, attempt: attempt + 1, restarts, shutdowns })
            }
            (U::Committing { trial, .. }, E::Committed(Err(failure))) => {
                self.not_kept(trial, failure)
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
            E::CancelAsked => self.admits_cancel().is_ok(),
            E::Fetched(_) => matches!(self.update, U::Fetching { .. }),
            E::Verified(_) => matches!(self.update, U::Verifying { .. }),
            E::Staged(_) => matches!(self.update, U::Staging { .. }),
            E::Installed(_) => matches!(self.update, U::Installing { .. }),
            E::WindowOpened => matches!(self.update, U::Ready { .. }),
            E::Activated(_) => matches!(self.update, U::Activating { .. }),
            E::Judged(_) => matches!(self.update, U::Probation { .. } | U::Settling { .. }),
            E::Committed(_) => matches!(self.update, U::Committing { .. }),
            E::Condemned(_) => matches!(self.update, U::Condemning { .. }),
            E::ShutdownAsked => {
                matches!(self.update, U::Probation { shutdowns, .. } if shutdowns < SHUTDOWNS)
            }
        }
    }

    pub(super) fn to(mut self, update: Update) -> Node {
        self.update = update;
        self
    }

    pub(super) fn ended(
        mut self,
        version: Option<Version>,
        slot: Slot,
        outcome: Outcome,
        failure: Option<Failure>,
    ) -> Node {
        self.last = Some(Ending { version, set: None, slot, outcome, failure });
        self.endings = self.endings.wrapping_add(1);
        self.to(Update::Idle)
    }

    /// The same for what was installed, with the set that it brought.
    pub(super) fn ended_trial(
        self,
        trial: Trial,
        outcome: Outcome,
        failure: Option<Failure>,
    ) -> Node {
        let brought = self.brought(trial.set);
        self.ended(Some(trial.version), trial.slot, outcome, failure).with_set(brought)
    }

    /// The running slot, as an ordinary boot tries it.
    pub(super) fn as_it_runs(&self) -> Trial {
        let version = self.running.clone().expect("the first event is Booted, which names it");
        let known = self.committed.as_ref().filter(|it| it.slot == self.booted);
        let known = known.filter(|it| it.version == version);
        let digest = known.and_then(|it| it.digest);
        // What was committed stays so, whatever belongs to the slot since.
        let set = known.and_then(|it| it.set).or(self.set);
        Trial { version, digest, set, slot: self.booted, why: Why::Restart }
    }

    /// A bundle could not be had, or is not good. One whose installation had begun has failed: its
    /// slot was written.
    pub(super) fn not_had(self, begun: Option<Begun>, failure: Failure) -> Node {
        let slot = self.booted.other();
        let outcome = if begun.is_some() { Outcome::Failed } else { Outcome::Refused };
        self.ended(begun.map(Begun::version), slot, outcome, Some(failure))
    }

    /// The signature holds: is it for us, new enough, small enough, and not known to be bad?
    fn verified(self, wanted: Wanted, found: Inspected, policy: &Policy) -> Node {
        let Wanted { offer, attempt, begun } = wanted;
        let target = self.booted.other();
        let bundle = found.bundle.clone();
        // What had begun is gone from its source: that is its end, whatever lies there now.
        if let Some(begun) = begun.clone().filter(|begun| begun.bundle != bundle) {
            let evidence = format_args!("its source holds {} now", bundle.version);
            let failure = Failure::new(Cause::Source, evidence);
            return self.ended(Some(begun.version()), target, Outcome::Failed, Some(failure));
        }
        if let Some(failure) = self.objection(&found, policy) {
            return self.ended(Some(bundle.version), target, Outcome::Refused, Some(failure));
        }
        let bundle = VerifiedBundle(bundle);
        if offer.set.is_some() {
            return self.to(Update::Staging { offer, attempt, bundle, begun });
        }
        if self.runs(&bundle) {
            let slot = self.booted;
            return self.ended(Some(bundle.0.version), slot, Outcome::Committed, None);
        }
        let set = self.set;
        self.installing(Wanted { offer, attempt, begun }, bundle, set)
    }

    /// Whether the committed system is this one.
    pub(super) fn runs(&self, bundle: &VerifiedBundle) -> bool {
        let runs = self.committed.as_ref().and_then(|committed| committed.digest);
        runs == Some(bundle.0.digest)
    }

    /// Writes the other slot: what was in it is no way back any more.
    pub(super) fn installing(
        mut self,
        wanted: Wanted,
        bundle: VerifiedBundle,
        set: Option<SetId>,
    ) -> Node {
        let Wanted { offer, attempt, begun } = wanted;
        let (target, cuts) = (self.booted.other(), begun.map_or(0, |begun| begun.cuts));
        self.previous = None;
        self.to(Update::Installing { offer, attempt, bundle, set, target, cuts })
    }

    fn objection(&self, found: &Inspected, policy: &Policy) -> Option<Failure> {
        let Inspected { bundle, compatible, sizes } = found;
        if *compatible != policy.compatible {
            let ours = &policy.compatible;
            let evidence = format_args!("it is for {compatible}, this is {ours}");
            return Some(Failure::new(Cause::Compatible, evidence));
        }
        if self.refused.contains(&bundle.digest) {
            let evidence = format_args!("digest {}", bundle.digest);
            return Some(Failure::new(Cause::Refused, evidence));
        }
        if let Some(floor) =
            self.floor.as_ref().filter(|floor| bundle.version.precedence(floor).is_lt())
        {
            let evidence = format_args!("{} is below {floor}", bundle.version);
            return Some(Failure::new(Cause::Floor, evidence));
        }
        let boot = ("boot", sizes.boot, policy.room.boot);
        let root = ("root", sizes.root, policy.room.root);
        let (part, size, room) = [boot, root].into_iter().find(|(_, size, room)| size > room)?;
        let evidence = format_args!("its {part} image has {size} bytes, the partition {room}");
        Some(Failure::new(Cause::Space, evidence))
    }

    fn installed(self, at: At, trial: Trial) -> Node {
        self.to(match at {
            At::Now => Update::Activating { trial, at },
            At::Window => Update::Ready { trial },
        })
    }

    fn rolled_back(self) -> Node {
        let Some(Committed { slot, version, digest, set }) = self.previous.clone() else {
            return self;
        };
        let trial = Trial { version, digest, set, slot, why: Why::Rollback };
        self.to(Update::Activating { trial, at: At::Now })
    }

    /// An ordinary boot is healthy, or an operator says so.
    fn settled(mut self, trial: Trial) -> Node {
        self.doubt = None;
        match self.runs_committed() {
            true => self.resumed(),
            false => self.to(Update::keeping(trial)),
        }
    }

    /// An ordinary boot whose gate said no. A slot that was committed stays so: what happened since
    /// is not the update's doing. One that never was stays as it is, unless there is no other.
    fn doubted(mut self, trial: Trial, failure: Failure) -> Node {
        self.doubt = Some(failure.clone());
        if self.runs_committed() {
            return self.resumed();
        }
        let alone = matches!(self.other, OtherSlot::Bad | OtherSlot::Unknown);
        if self.committed.is_none() && alone {
            return self.to(Update::keeping(trial));
        }
        self.without_pending(Outcome::Failed, failure)
    }

    /// Goes on with what waited for the running slot to settle.
    fn resumed(mut self) -> Node {
        match core::mem::replace(&mut self.pending, Pending::Nothing) {
            Pending::Nothing => self.to(Update::Idle),
            Pending::Offer(offer, begun) => self.to(Update::Fetching { offer, attempt: 1, begun }),
            Pending::Ready(trial, At::Window) => self.to(Update::Ready { trial }),
            Pending::Ready(trial, at) => self.to(Update::Activating { trial, at }),
        }
    }

    /// Idle, and what waited for the running slot to settle ends here.
    fn without_pending(mut self, outcome: Outcome, failure: Failure) -> Node {
        match core::mem::replace(&mut self.pending, Pending::Nothing) {
            Pending::Nothing => self.to(Update::Idle),
            Pending::Offer(_, begun) => {
                let (slot, version) = (self.booted.other(), begun.map(Begun::version));
                self.ended(version, slot, outcome, Some(failure))
            }
            Pending::Ready(trial, _) => self.ended_trial(trial, outcome, Some(failure)),
        }
    }

    /// The boot store keeps the slot.
    pub(super) fn kept(mut self, trial: Trial) -> Node {
        let Trial { version, digest, set, slot, why } = trial;
        let brought = self.brought(set);
        let now = Committed { slot, version: version.clone(), digest, set };
        let before = self.committed.replace(now);
        let rearmed = before.as_ref().is_some_and(|before| before.slot == slot);
        let elsewhere = before.filter(|before| before.slot != slot);
        if why != Why::Restart {
            self.previous = elsewhere;
            self.floor = Some(version.clone());
            self.set_floor = match why {
                Why::Rollback => set.map(|set| set.generation),
                // A set that is only kept may be older, where the node fell back to it.
                _ => self.set_floor.max(set.map(|set| set.generation)),
            };
            return self.ended(Some(version), slot, Outcome::Committed, None).with_set(brought);
        }
        self.floor.get_or_insert(version.clone());
        self.set_floor = self.set_floor.or(set.map(|set| set.generation));
        if rearmed {
            // Its attempts are given back; now judge how it is.
            return self.to(Update::Settling { trial: Trial { version, digest, set, slot, why } });
        }
        self.previous = None;
        self.resumed()
    }

    /// The boot store could not be written. A new system is given up; an old one goes on, in doubt.
    fn not_kept(mut self, trial: Trial, failure: Failure) -> Node {
        if trial.why != Why::Restart {
            return self.to(Update::Condemning { trial, failure });
        }
        self.doubt = Some(failure.clone());
        self.without_pending(Outcome::Failed, failure)
    }

    /// The slot is avoided from now on; or it could not be, and its attempts will run out.
    fn condemned(mut self, trial: Trial, failure: Failure) -> Node {
        if trial.why == Why::Update && failure.cause.blames_release() {
            self.blame(&trial, &failure.cause);
        }
        if self.previous.as_ref().is_some_and(|previous| previous.slot == trial.slot) {
            self.previous = None;
        }
        if trial.slot == self.booted {
            return self.to(Update::Returning { trial, failure });
        }
        // The node never left, or it is back already.
        let outcome = match failure.cause {
            Cause::Write => Outcome::Failed,
            _ => Outcome::Returned,
        };
        self.back(trial, outcome, failure)
    }

    /// In the old slot again, with the ending of what was tried.
    pub(super) fn back(self, trial: Trial, outcome: Outcome, failure: Failure) -> Node {
        self.ended_trial(trial, outcome, Some(failure)).arrived()
    }

    /// An ordinary boot: a committed slot gets its boot attempts back at once, because the agent
    /// runs; any other slot must pass its gate first.
    pub(super) fn arrived(self) -> Node {
        let trial = self.as_it_runs();
        match self.runs_committed() {
            true => self.to(Update::keeping(trial)),
            false => self.to(Update::Settling { trial }),
        }
    }

    pub(super) fn refuse(&mut self, digest: Option<Digest>) {
        let Some(digest) = digest.filter(|digest| !self.refused.contains(digest)) else { return };
        if self.refused.is_full() {
            self.refused.remove(0);
        }
        self.refused.push(digest).expect("one was removed when it was full");
    }
}

/// What was offered, which attempt at having it this is, and what of it was being installed before.
pub(super) struct Wanted {
    pub(super) offer: Offer,
    pub(super) attempt: u8,
    pub(super) begun: Option<Begun>,
}

fn taken_back() -> Failure {
    Failure::new(Cause::Operator, format_args!("before it was activated"))
}

impl Begun {
    fn version(self) -> Version {
        self.bundle.version
    }
}

impl VerifiedBundle {
    pub(super) fn trial(self, slot: Slot, set: Option<SetId>) -> Trial {
        let VerifiedBundle(bundle) = self;
        let digest = Some(bundle.digest);
        Trial { version: bundle.version, digest, set, slot, why: Why::Update }
    }
}
