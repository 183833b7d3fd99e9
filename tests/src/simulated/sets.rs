//! The store of workload sets: what survives of them, and what must hold of where they are.
//!
//! ```text
//! stage:   copy, verify ──▶ name          assign: a new record ──▶ its name          clear: one archive after the other
//! ```
//!
//! A set is known by its number.

use super::disk::{Data, Disk};
use super::plug::{Leaves, Plug, PowerCut};
use super::world::{Kept, Power, Running, World};
use steadfast_core::{
    Assigned, Digest, Node, Pending, SetId, Slot, Source, StagedSet, Update, Version,
};

/// The set with this number.
pub(super) fn set(number: u8) -> SetId {
    SetId { digest: Digest([10 + number; 32]), generation: number.into() }
}

fn number(set: SetId) -> u8 {
    u8::try_from(set.generation).expect("sets are small numbers")
}

/// What is found in the set from this source. It runs on every system.
pub(super) fn staged(source: &Source) -> StagedSet {
    let number = source.parse().expect("sets are numbers");
    StagedSet { set: set(number), minimum_os: Version::new("0") }
}

impl Disk {
    /// What the store says of the slot.
    pub(super) fn assigned(&self, slot: Slot) -> Assigned {
        match (self.data, self.records[slot as usize]) {
            (Data::Gone, _) => Assigned::Unknown,
            (_, Some(number)) => Assigned::Set(set(number)),
            (_, None) => Assigned::Nothing,
        }
    }

    /// Copies and verifies a set; nothing is to be seen of it until it gets its name.
    pub(super) fn stage(&mut self, source: &Source, plug: &mut Plug) -> Result<(), PowerCut> {
        let archives = &mut self.archives;
        plug.effect(|leaves| {
            if leaves == Leaves::All {
                *archives |= 1 << number(staged(source).set);
            }
        })
    }

    /// Writes the slot's record anew.
    ///
    /// # Panics
    /// When the archive is not there.
    pub(super) fn assign(
        &mut self,
        slot: Slot,
        set: Option<SetId>,
        plug: &mut Plug,
    ) -> Result<(), PowerCut> {
        let wanted = set.map(number);
        let there = wanted.is_none_or(|number| self.archives & (1 << number) != 0);
        assert!(there, "the archive of a set that is assigned is there");
        let record = &mut self.records[slot as usize];
        if *record == wanted {
            return Ok(());
        }
        plug.effect(|leaves| {
            if leaves == Leaves::All {
                *record = wanted;
            }
        })
    }
}

impl World {
    /// Removes what no slot and nothing under way needs, once that is on the disk (`Life::clear_sets`).
    pub(super) fn clears_sets(&mut self, plug: &mut Plug) -> Result<(), PowerCut> {
        let Power::On(Running { saved, kept: Kept::Data }) = &self.power else { return Ok(()) };
        let Some(needed) = needed(&saved.node) else { return Ok(()) };
        let named = self.disk.records.iter().flatten();
        let needed = needed.into_iter().map(number).chain(named.copied());
        let stay = needed.fold(0, |all, number| all | 1 << number);
        for number in 0..8 {
            let unneeded = 1 << number & self.disk.archives & !stay;
            if unneeded == 0 || self.disk.data != Data::Works {
                continue;
            }
            let archives = &mut self.disk.archives;
            plug.effect(|leaves| {
                if leaves == Leaves::All {
                    *archives &= !unneeded;
                }
            })?;
        }
        Ok(())
    }

    /// What is wrong with where the sets are, if anything is.
    pub(super) fn misplaced(&self, node: &Node) -> Option<&'static str> {
        let runs = self.disk.records[node.booted as usize];
        if runs.is_some_and(|number| self.disk.archives & (1 << number) == 0) {
            return Some("the set of the slot that runs is there");
        }
        let belongs =
            |slot: Slot, set: Option<SetId>| self.disk.records[slot as usize] == set.map(number);
        let Power::On(Running { kept: Kept::Data, .. }) = &self.power else { return None };
        let kept = node.committed.as_ref().filter(|it| it.slot == node.booted);
        let trial = match &node.update {
            Update::Probation { trial, .. } => Some(trial),
            _ => None,
        };
        match (kept, trial) {
            (_, Some(trial)) if !belongs(trial.slot, trial.set) => {
                Some("what is on trial has the set that was staged for it")
            }
            (Some(kept), None) if !belongs(kept.slot, kept.set) => {
                Some("what was committed has the set that was committed with it")
            }
            _ => None,
        }
    }
}

/// What is needed beside what the slots name (`set_store::Needed::by`).
fn needed(node: &Node) -> Option<Vec<SetId>> {
    let staged = match &node.update {
        Update::Staging { .. } => return None,
        Update::Installing { set, .. } => *set,
        update => update.trial().and_then(|trial| trial.set),
    };
    let waits = match &node.pending {
        Pending::Ready(trial, _) => trial.set,
        Pending::Nothing | Pending::Offer(..) => None,
    };
    let kept = node.committed.iter().chain(&node.previous).filter_map(|it| it.set);
    Some(staged.into_iter().chain(waits).chain(node.set).chain(kept).collect())
}
