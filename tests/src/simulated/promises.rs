//! What must hold in every world, and what must hold where the node rests.

use super::disk::Content;
use super::loader::{BrokenSlot, Chosen, Count, choose};
use super::plug::Plug;
use super::world::{Kept, Power, World};
use steadfast_core::{Outcome, Update};

impl World {
    /// What must hold whatever happened.
    pub(super) fn keeps_its_word(&self) -> Result<(), &'static str> {
        if self.disk.slots.iter().all(|slot| *slot == Content::Broken) {
            return Err("some slot is whole");
        }
        let Power::On(running) = &self.power else { return Ok(()) };
        let node = &running.saved.node;
        if let Some(ending) = &node.last
            && (ending.outcome == Outcome::Committed) != ending.failure.is_none()
        {
            return Err("every ending has a cause");
        }
        if let Update::Fetching { attempt, .. } | Update::Verifying { attempt, .. } = &node.update
            && *attempt > self.attempts
        {
            return Err("a bundle is asked for as often as the policy says");
        }
        // An agent that cannot read its ledger knows nothing, and begins no update.
        let knows = !matches!(running.kept, Kept::Memory { follows: false, .. });
        let refused = node.refused.iter().fold(0, |all, digest| all | 1_u16 << digest.0[0]);
        if knows && self.seen.refused & !refused != 0 {
            return Err("a refusal is not forgotten");
        }
        if let Some(promise) = self.misplaced(node) {
            return Err(promise);
        }
        match &node.committed {
            Some(committed) if self.disk.bundle(committed.slot).is_none() => {
                Err("the committed system is whole")
            }
            _ => Ok(()),
        }
    }

    /// What is wrong with a node that waits for nobody, if anything is.
    pub fn rests_badly(&self) -> Option<&'static str> {
        let Power::On(running) = &self.power else { return Some("a node that rests runs") };
        let node = &running.saved.node;
        // After the boot script's defined rest somebody switches the node on again.
        let mut disk = self.disk.clone();
        let mut boot = || {
            let (plug, broken) = (&mut Plug::in_the_wall(), BrokenSlot::CannotBeLoaded);
            choose(&mut disk, plug, broken, Count::IsSaved)
        };
        let next = match boot() {
            Ok(Chosen::Rest) => boot(),
            chosen => chosen,
        };
        let Ok(Chosen::Slot(next)) = next else { return Some("a boot ends in a slot") };
        if self.disk.bundle(node.booted).is_none() || self.disk.bundle(next).is_none() {
            return Some("what runs, and what boots next, is whole");
        }
        let kept = node.runs_committed() && (next == node.booted || node.doubt.is_some());
        let said = !node.runs_committed() && (node.doubt.is_some() || node.committed.is_none());
        (!kept && !said).then_some("what runs is kept, or the node says why not")
    }
}
