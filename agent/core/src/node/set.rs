//! What a release's workload set changes: whether it is taken, to which slot it belongs, what is blamed when it fails.
//!
//! Always true: a set is refused before anything is written to a slot; a set belongs to a slot only with the system
//! that was installed with it, so that booting the other slot returns the workloads too.

use super::step::Wanted;
use super::{Node, Outcome, Pending};
use crate::cause::{Cause, Failure};
use crate::event::{Assigned, Boot, StagedSet};
use crate::names::{Begun, SetId, Trial, VerifiedBundle, Why};
use crate::update::Update;
use crate::version::Version;

impl Node {
    /// The set of the slot that runs. Where the store cannot be read, what is remembered of the slot stands.
    pub(super) fn belonging(&self, update: &Update, boot: &Boot, same_boot: bool) -> Option<SetId> {
        match boot.set {
            Assigned::Nothing => None,
            Assigned::Set(set) => Some(set),
            Assigned::Unknown if same_boot => self.set,
            Assigned::Unknown => {
                let waits = match &self.pending {
                    Pending::Ready(trial, _) => Some(trial),
                    _ => None,
                };
                let mut tried = update.trial().into_iter().chain(waits);
                let tried = tried.find(|trial| trial.slot == boot.slot).map(|trial| trial.set);
                let mut kept = self.committed.iter().chain(&self.previous);
                let kept = kept.find(|kept| kept.slot == boot.slot).map(|kept| kept.set);
                tried.or(kept).flatten()
            }
        }
    }

    /// The workload set of the update that is under way, once it is known.
    pub fn set_under_way(&self) -> Option<SetId> {
        match &self.update {
            Update::Installing { set, .. } => *set,
            Update::Settling { .. } => None,
            Update::Committing { trial, .. } if trial.why == Why::Restart => None,
            update => update.trial().and_then(|trial| trial.set),
        }
    }

    /// The set is whole and vouched for: is it new enough, does it run on the system, and is it not known to be bad?
    pub(super) fn staged(self, wanted: Wanted, bundle: VerifiedBundle, found: StagedSet) -> Node {
        let StagedSet { set, .. } = found;
        if let Some(failure) = self.objection_to_set(&found, &bundle.bundle().version) {
            return self.not_staged(bundle, wanted.begun, failure).with_set(Some(set));
        }
        let same = self.committed.as_ref().is_some_and(|kept| kept.set == Some(set));
        if same && self.runs(&bundle) {
            let (version, slot) = (bundle.bundle().version.clone(), self.booted);
            return self.ended(Some(version), slot, Outcome::Committed, None).with_set(Some(set));
        }
        self.installing(wanted, bundle, Some(set))
    }

    /// The set could not be had, or is not good. A release whose installation had begun has failed: its slot was
    /// written.
    pub(super) fn not_staged(
        self,
        bundle: VerifiedBundle,
        begun: Option<Begun>,
        failure: Failure,
    ) -> Node {
        let (version, slot) = (bundle.bundle().version.clone(), self.booted.other());
        let outcome = if begun.is_some() { Outcome::Failed } else { Outcome::Refused };
        self.ended(Some(version), slot, outcome, Some(failure))
    }

    fn objection_to_set(&self, found: &StagedSet, system: &Version) -> Option<Failure> {
        let StagedSet { set: SetId { digest, generation }, minimum_os } = found;
        if self.refused.contains(digest) {
            let evidence = format_args!("set {generation}, digest {digest}");
            return Some(Failure::new(Cause::Refused, evidence));
        }
        if let Some(floor) = self.set_floor.filter(|floor| generation < floor) {
            let evidence = format_args!("set {generation} is older than set {floor}");
            return Some(Failure::new(Cause::Floor, evidence));
        }
        let needed = minimum_os.as_ref().filter(|needed| system.precedence(needed).is_lt())?;
        let evidence = format_args!("set {generation} needs {needed}, and the system is {system}");
        Some(Failure::new(Cause::Floor, evidence))
    }

    /// Why a trial cannot begin whose slot has another set than was assigned to it.
    pub(super) fn another_set(&self, trial: &Trial) -> Failure {
        let name = |set: Option<SetId>| set.map_or(0, |set| set.generation);
        let (slot, found, wanted) = (trial.slot, name(self.set), name(trial.set));
        let evidence = format_args!("slot {slot} has set {found}, not set {wanted}");
        Failure::new(Cause::Write, evidence)
    }

    /// The set of a trial, if it came with it: the committed system has another.
    pub(super) fn brought(&self, set: Option<SetId>) -> Option<SetId> {
        let kept = self.committed.as_ref().and_then(|kept| kept.set);
        set.filter(|_| set != kept)
    }

    /// Remembers what failed, so that it is not tried again. A workload that was not ready is the fault of the set that
    /// came with the release; of a check or an operator's word nobody can tell which of the two it was; all else is the
    /// system's.
    pub(super) fn blame(&mut self, trial: &Trial, cause: &Cause) {
        let brought = self.brought(trial.set).map(|set| set.digest);
        match cause {
            Cause::Workload(_) if brought.is_some() => self.refuse(brought),
            Cause::Check(_) | Cause::Deadline | Cause::Operator | Cause::Unsaved => {
                self.refuse(trial.digest);
                self.refuse(brought);
            }
            _ => self.refuse(trial.digest),
        }
    }

    /// The last ending was of a release with this set.
    pub(super) fn with_set(mut self, set: Option<SetId>) -> Node {
        if let Some(last) = &mut self.last {
            last.set = set;
        }
        self
    }
}
