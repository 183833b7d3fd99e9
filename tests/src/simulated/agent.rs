//! The machine and the agent on it: how they end, how they start, and one turn of the loop.
//!
//! ```text
//! start: ledger ──▶ Booted, with the evidence ──saved──▶ evidence removed, if that is on the disk
//! ```

use super::disk::{Data, TRIAL};
use super::loader::{BrokenSlot, Chosen, Count, choose};
use super::plug::{Plug, PowerCut};
use super::saved::Saved;
use super::world::{Ended, Fate, Kept, Panicked, Power, Running, World, failed, policy};
use std::rc::Rc;
use steadfast_core::{Boot, Cause, Digest, Event, Failure, Node, Slot, Update, Verdict, Why};

/// A release, as one of a set.
fn bit(digest: &Digest) -> u16 {
    1 << digest.0[0]
}

/// What a step comes to: a promise broken, or the power lost, or neither.
pub(super) type Happened = Result<Result<(), PowerCut>, &'static str>;

impl World {
    /// The power is off, or was for a moment.
    pub(super) fn goes_off(&mut self) {
        self.disk.evidence.watchdog = false;
        self.power = Power::Off;
    }

    /// The machine is reset, and what it says of that lies there.
    pub(super) fn reset(&mut self, running: &Running, cause: Option<&Cause>) {
        self.goes_off();
        match cause {
            Some(Cause::Panic) => self.panics(running.saved.node.booted),
            Some(Cause::Watchdog) => self.disk.evidence.watchdog = true,
            _ => {}
        }
    }

    fn panics(&mut self, slot: Slot) {
        self.disk.evidence.panic = true;
        let update = self.disk.ledger().map(|saved| &saved.node.update);
        self.seen.panic = match update {
            Some(
                Update::Rebooting { trial }
                | Update::Probation { trial, .. }
                | Update::Leaving { trial, .. },
            ) if trial.slot == slot => Panicked::OnTrial(slot),
            _ if self.seen.panic == Panicked::No => Panicked::Yes,
            _ => self.seen.panic,
        };
    }

    pub(super) fn power_on(
        &mut self,
        (fate, count): (Fate, Count),
        plug: &mut Plug,
        broken: BrokenSlot,
    ) -> Happened {
        let slot = match choose(&mut self.disk, plug, broken, count) {
            Ok(Chosen::Slot(slot)) => slot,
            Ok(Chosen::Rest) => return Ok(Ok(())),
            Err(cut) => return Ok(Err(cut)),
        };
        let whole = self.disk.bundle(slot).is_some();
        match fate {
            Fate::Starts if whole => {
                let last = self.disk.ledger().map_or(0, |saved| saved.node.boot[0]);
                self.agent_starts(None, (slot, [last % 250 + 1; 16]), plug)
            }
            Fate::Panics if whole => {
                self.goes_off();
                self.panics(slot);
                Ok(Ok(()))
            }
            _ => {
                self.goes_off();
                Ok(Ok(()))
            }
        }
    }

    pub(super) fn agent_restarts(
        &mut self,
        running: Running,
        ended: Ended,
        plug: &mut Plug,
    ) -> Happened {
        if ended == Ended::Badly
            && let Err(cut) = self.disk.agent_ended(plug)
        {
            return Ok(Err(cut));
        }
        let here = (running.saved.node.booted, running.saved.node.boot);
        self.agent_starts(Some(running), here, plug)
    }

    /// An update that the boot store keeps is not on trial any more. A verdict that came before the commit stands, and
    /// before a rollback is activated its slot may have the attempts of an older commit.
    fn stays_committed(&self, before: &Update) -> Result<(), &'static str> {
        let Power::On(running) = &self.power else { return Ok(()) };
        let (Update::Probation { trial, .. } | Update::Condemning { trial, .. }) =
            &running.saved.node.update
        else {
            return Ok(());
        };
        let undecided = matches!(
            before,
            Update::Activating { .. }
                | Update::Rebooting { .. }
                | Update::Probation { .. }
                | Update::Leaving { .. }
                | Update::Committing { .. }
        );
        let kept = self.disk.boot_env().env.left[trial.slot as usize] > TRIAL;
        match kept && undecided && trial.why == Why::Update {
            true => Err("a system that was committed is not judged again"),
            false => Ok(()),
        }
    }

    /// Opens the ledger, hears how the agent came up, and removes what was told.
    fn agent_starts(
        &mut self,
        memory: Option<Running>,
        (slot, id): (Slot, [u8; 16]),
        plug: &mut Plug,
    ) -> Happened {
        let resumed = match self.opens(memory, plug) {
            Ok(resumed) => resumed,
            Err(cut) => return Ok(Err(cut)),
        };
        let before = resumed.saved.clone();
        let event = self.booted(&before.node, slot, id);
        if let Err(cut) = self.turn(resumed, &event, plug) {
            return Ok(Err(cut));
        }
        self.told(&event)?;
        self.stays_committed(&before.node.update)?;
        self.keeps_its_word()?;
        Ok(self.clears_evidence(plug))
    }

    /// Where the agent resumes (`LedgerFile::open`): what is only in memory is carried over first; what does not follow
    /// the disk's ledger is dropped as soon as that can be read.
    fn opens(&mut self, memory: Option<Running>, plug: &mut Plug) -> Result<Running, PowerCut> {
        let new = || Rc::new(Saved::new(Node::default()));
        if self.disk.data == Data::Works {
            if let Some(Running { saved, kept: Kept::Memory { first, follows: true } }) = &memory {
                first.iter().try_for_each(|first| self.disk.append(plug, first))?;
                self.disk.append(plug, saved)?;
            }
            let saved = self.disk.ledger().cloned().unwrap_or_else(new);
            return Ok(Running { saved, kept: Kept::Data });
        }
        let memory = memory.filter(|running| !self.is_ahead(running));
        Ok(match memory {
            Some(Running { saved, kept: kept @ Kept::Memory { .. } }) => Running { saved, kept },
            _ => {
                let follows = self.disk.readable().is_some() || self.disk.ledger().is_none();
                let saved = self.disk.readable().cloned().unwrap_or_else(new);
                Running { saved, kept: Kept::Memory { first: None, follows } }
            }
        })
    }

    /// Whether the disk can be read and says what this agent does not know, which could not read it at its start.
    fn is_ahead(&self, running: &Running) -> bool {
        let anew = matches!(running.kept, Kept::Memory { follows: false, .. });
        anew && self.disk.readable().is_some()
    }

    /// Whether the agent leaves memory, or starts anew from what it can read now.
    pub(super) fn can_recover(&self, running: &Running) -> bool {
        let in_memory = matches!(running.kept, Kept::Memory { .. });
        in_memory && (self.disk.data == Data::Works || self.is_ahead(running))
    }

    /// What the agent hears first; what says most about the last end comes first.
    fn booted(&self, node: &Node, slot: Slot, id: [u8; 16]) -> Event {
        let (left, new) = (self.disk.evidence, id != node.boot);
        let agent = left.agent && self.disk.data != Data::Gone;
        let evidence = match (new && left.panic, new && left.watchdog, agent) {
            (true, _, _) => Some(failed(Cause::Panic)),
            (_, true, _) => Some(failed(Cause::Watchdog)),
            (_, _, true) => Some(failed(Cause::AgentCrashed)),
            _ => None,
        };
        let version = self.disk.bundle(slot).expect("what runs is whole").version.clone();
        let env = self.disk.boot_env().env;
        let (this, other) = (env.running(slot, TRIAL), env.standing(slot.other(), TRIAL));
        let set = self.disk.assigned(slot);
        Event::Booted(Boot { slot, version, id, this, other, set, evidence })
    }

    /// Leaves memory for the disk (`LedgerFile::recover`), or starts anew from a disk that knows more.
    pub(super) fn recovers(&mut self, running: Running, plug: &mut Plug) -> Happened {
        if self.is_ahead(&running) {
            return self.agent_restarts(running, Ended::Well, plug);
        }
        match self.opens(Some(running), plug) {
            Ok(running) => self.power = Power::On(running),
            Err(cut) => return Ok(Err(cut)),
        }
        self.keeps_its_word()?;
        Ok(self.clears_evidence(plug))
    }

    /// Removes what the ledger tells, if that is on the disk. Until then a cut may let it be told again.
    fn clears_evidence(&mut self, plug: &mut Plug) -> Result<(), PowerCut> {
        let Power::On(Running { kept: Kept::Data, .. }) = &self.power else { return Ok(()) };
        // Only the first start of a boot asks for it.
        self.disk.evidence.watchdog = false;
        if self.seen.panic != Panicked::No {
            self.seen.panic = Panicked::Yes;
        }
        self.disk.clear_evidence(plug)?;
        self.seen.panic = Panicked::No;
        Ok(())
    }

    /// One turn of the loop: decide, save, and go on.
    pub(super) fn turn(
        &mut self,
        running: Running,
        event: &Event,
        plug: &mut Plug,
    ) -> Result<(), PowerCut> {
        let Running { saved: before, mut kept } = running;
        let node = &before.node;
        let vouched = match event {
            Event::Judged(Verdict::Healthy) => true,
            Event::Confirmed => node.admits_confirm().is_ok(),
            _ => false,
        };
        if vouched {
            self.seen.approved[node.booted as usize] = true;
        }
        let Some(saved) = Saved::after(&before, event, &policy(self.attempts)) else {
            self.power = Power::On(Running { saved: before, kept });
            return Ok(());
        };
        match &mut kept {
            Kept::Data if self.disk.data == Data::Works => {
                self.disk.append(plug, &saved)?;
                self.remembers(node, event, &saved.node);
            }
            Kept::Data => kept = Kept::Memory { first: None, follows: true },
            Kept::Memory { .. } => {}
        }
        // Only a cut while the ledger is carried over tells the entries in memory apart.
        if let (Kept::Memory { first, .. }, 1..) = (&mut kept, self.cuts) {
            first.get_or_insert_with(|| saved.clone());
        }
        self.power = Power::On(Running { saved, kept });
        Ok(())
    }

    /// What an onlooker holds the node to once it is on the disk.
    fn remembers(&mut self, before: &Node, event: &Event, after: &Node) {
        self.seen.refused |= after.refused.iter().map(bit).fold(0, |all, bit| all | bit);
        if let (Update::Probation { trial, .. }, Event::Judged(Verdict::Unhealthy(_))) =
            (&before.update, event)
            && trial.why == Why::Update
        {
            self.seen.unhealthy |= trial.digest.as_ref().map_or(0, bit);
        }
    }

    /// What an onlooker holds the node to once it is carried out, whether or not it could be written down. Where not even
    /// the activation could be, the ledger and the boot store say what they said before it, and the slot is tried again.
    pub(super) fn remembers_verdict(&mut self, update: &Update) {
        let Update::Condemning { trial, failure } = update else { return };
        let avoided = !self.disk.boot_env().env.order.contains(&trial.slot);
        let on_disk = self.disk.ledger().map(|saved| &saved.node.update);
        let activated = !matches!(on_disk, Some(Update::Activating { .. }));
        if avoided && activated && trial.why == Why::Update && failure.cause.blames_release() {
            self.seen.unhealthy |= trial.digest.as_ref().map_or(0, bit);
        }
    }

    /// A panic is told once: it is neither lost nor blamed on somebody again.
    fn told(&mut self, event: &Event) -> Result<(), &'static str> {
        let (Power::On(running), Event::Booted(boot)) = (&self.power, event) else { return Ok(()) };
        let panic = boot.evidence.as_ref().is_some_and(|found| found.cause == Cause::Panic);
        if panic && self.seen.panic == Panicked::No {
            return Err("a panic is not told again once it was");
        }
        let Kept::Data = running.kept else { return Ok(()) };
        if let (Panicked::OnTrial(slot), Update::Probation { trial, .. }) =
            (self.seen.panic, &running.saved.node.update)
            && trial.slot == slot
        {
            return Err("a panic in a trial is a verdict");
        }
        Ok(())
    }
}

impl World {
    /// Why an order is not given: the ledger that would tell of it is only in memory (`Life::give`).
    pub(super) fn withheld(running: &Running) -> Option<Event> {
        use steadfast_core::Action;
        let Kept::Memory { .. } = running.kept else { return None };
        let unsaved = || -> Result<(), Failure> { Err(failed(Cause::Write)) };
        match running.saved.node.update.action()? {
            Action::Stage(_) => Some(Event::Staged(Err(failed(Cause::Write)))),
            Action::Install { .. } => Some(Event::Installed(unsaved())),
            Action::Activate(_) => Some(Event::Activated(unsaved())),
            Action::Condemn(slot) if slot != running.saved.node.booted => {
                Some(Event::Condemned(unsaved()))
            }
            _ => None,
        }
    }
}
