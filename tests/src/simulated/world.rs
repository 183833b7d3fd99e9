//! The node at one moment, and everything that could happen to it next.

use super::disk::{Content, Disk, TRIAL, digest};
use super::loader::{BrokenSlot, Chosen, choose};
use super::plug::{Leaves, Plug, PowerCut};
use std::hash::Hash;
use steadfast_core::ledger::Stamp;
use steadfast_core::{
    Action, At, Boot, Bundle, Cause, Digest, Event, Failure, Machine, Node, Offer, OtherSlot,
    Policy, Sizes, Slot, Update, Verdict, Version, Why,
};

/// The node at one moment.
#[derive(Clone, Debug)]
pub struct World {
    /// What survives.
    pub disk: Disk,
    /// Whether it runs.
    pub power: Power,
    /// How many power cuts may still come.
    pub cuts: u8,
    /// What a fleet offers, again and again: versions, and when they may be activated.
    pub offers: &'static [(&'static str, At)],
    /// What an onlooker remembers, and the node may not forget.
    pub seen: Seen,
}

/// Whether the node runs.
#[derive(Clone, Debug)]
pub enum Power {
    /// It is down; a panic's record or the watchdog's flag may lie in its memory.
    Off(Option<Cause>),
    /// The agent runs.
    On(Box<Node>),
}

/// What an onlooker remembers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Whether what a slot holds passed its gate, or an operator vouched for it.
    pub approved: [bool; 2],
    /// Digests that the ledger called refused.
    pub refused: Vec<Digest>,
    /// Digests of releases that were judged unhealthy.
    pub unhealthy: Vec<Digest>,
}

/// One thing that can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The boot script chooses; the kernel it starts does this.
    PowerOn(Fate),
    /// The order that the node waits on comes back so.
    Port(Answer),
    /// Somebody says something.
    Heard(Box<Event>),
    /// The agent ends and is started again.
    AgentRestarts(Option<Cause>),
    /// The machine is reset.
    Reset(Option<Cause>),
}

/// What the kernel that was started does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The agent starts.
    Starts,
    /// It never gets to the agent.
    Dies(Option<Cause>),
}

/// How an order ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// As it should; a verdict is "healthy".
    Done,
    /// It fails, and nothing was changed; a verdict is "unhealthy".
    Failed,
    /// It fails although it was done, or half done.
    FailedAfterwards,
}

/// Where a step led, and at which effect the power was lost, if it was, with what that effect left.
pub type Outcome = (Option<(u32, Leaves)>, World);

/// One version of the system, known by a number.
pub fn bundle(number: u8) -> Bundle {
    let version = Version::new(&number.to_string()).expect("a number is a version");
    Bundle { version, digest: Digest([number; 32]) }
}

pub(super) fn policy() -> Policy {
    let compatible = "board".try_into().expect("short");
    let room = Sizes { boot: 1, root: 1 };
    Policy { compatible, room, fetch_attempts: 1, restarts: 1, commit_attempts: 1 }
}

pub(super) fn failed(cause: Cause) -> Failure {
    Failure { cause, evidence: Default::default() }
}

impl World {
    /// A new node with version 1 in slot A, which hears `offers` and bears `cuts` power cuts.
    pub fn new(offers: &'static [(&'static str, At)], cuts: u8) -> World {
        let seen = Seen { approved: [true, false], refused: Vec::new(), unhealthy: Vec::new() };
        World { disk: Disk::new(bundle(1)), power: Power::Off(None), cuts, offers, seen }
    }

    /// Every step that is possible now.
    pub fn steps(&self) -> Vec<Step> {
        let panic = || Some(Cause::Panic);
        match &self.power {
            Power::Off(_) => {
                let fates = [Fate::Starts, Fate::Dies(None), Fate::Dies(panic())];
                fates.map(Step::PowerOn).into()
            }
            Power::On(node) => {
                let mut steps = vec![
                    Step::Reset(panic()),
                    Step::Reset(None),
                    Step::Reset(Some(Cause::Watchdog)),
                    Step::AgentRestarts(None),
                    Step::AgentRestarts(Some(Cause::AgentCrashed)),
                ];
                let offers = self.offers.iter().map(|(number, at)| {
                    let source = (*number).try_into().expect("short");
                    Event::Announced(Offer { source, at: *at, content: None })
                });
                steps.extend(offers.map(|event| Step::Heard(event.into())));
                let said = [
                    Event::WindowOpened,
                    Event::Confirmed,
                    Event::RollbackAsked,
                    Event::CancelAsked,
                ];
                steps.extend(said.map(|event| Step::Heard(event.into())));
                // One shutdown a trial: a second one leads to nothing new until they are counted as restarts.
                if matches!(node.update, Update::Probation { shutdowns: 0, .. }) {
                    steps.push(Step::Heard(Event::ShutdownAsked.into()));
                }
                let answers: &[Answer] = match node.update.action() {
                    None => &[],
                    Some(Action::Reboot) => &[Answer::Done],
                    Some(Action::Fetch { .. } | Action::Verify(_) | Action::Judge) => {
                        &[Answer::Done, Answer::Failed]
                    }
                    Some(_) => &[Answer::Done, Answer::Failed, Answer::FailedAfterwards],
                };
                steps.extend(answers.iter().copied().map(Step::Port));
                steps
            }
        }
    }

    /// Every world that `step` can lead to: once with the plug in the wall, and, while there are cuts left, once for each
    /// effect on the way and each way that it tears. `Err` names the promise that was broken.
    pub fn after(&self, step: &Step) -> Result<Vec<Outcome>, &'static str> {
        let mut worlds = Vec::new();
        for broken in [BrokenSlot::CannotBeLoaded, BrokenSlot::StartsAndDies] {
            let mut world = self.clone();
            if world.happens(step, &mut Plug::in_the_wall(), broken)?.is_ok() {
                worlds.push((None, world));
            }
            let both = matches!(step, Step::PowerOn(_));
            for effect in 0.. {
                let mut cut = false;
                for leaves in Leaves::EACH.into_iter().filter(|_| self.cuts > 0) {
                    let mut world = World { cuts: self.cuts - 1, ..self.clone() };
                    let mut plug = Plug::pulled_at(effect, leaves);
                    if world.happens(step, &mut plug, broken)?.is_err() {
                        cut = true;
                        world.power = Power::Off(None);
                        worlds.push((Some((effect, leaves)), world));
                    }
                }
                if !cut {
                    break;
                }
            }
            if !both {
                break;
            }
        }
        Ok(worlds)
    }

    /// The world when `step` happens and the plug stays in the wall.
    pub fn undisturbed(&self, step: &Step) -> Result<World, &'static str> {
        let mut world = self.clone();
        let done = world.happens(step, &mut Plug::in_the_wall(), BrokenSlot::CannotBeLoaded)?;
        done.expect("the plug stays in the wall");
        Ok(world)
    }

    fn happens(
        &mut self,
        step: &Step,
        plug: &mut Plug,
        broken: BrokenSlot,
    ) -> Result<Result<(), PowerCut>, &'static str> {
        let done = match (self.power.clone(), step) {
            (Power::Off(left), Step::PowerOn(fate)) => self.power_on(left, fate, plug, broken),
            (Power::On(node), Step::Port(answer)) => return self.answers(&node, *answer, plug),
            (Power::On(node), Step::Heard(event)) => self.turn(&node, *event.clone(), plug),
            (Power::On(node), Step::AgentRestarts(cause)) => {
                let evidence = cause.clone().map(failed);
                let event = self.booted(node.booted, node.boot, evidence);
                self.turn(&node, event, plug)
            }
            (Power::On(_), Step::Reset(cause)) => {
                self.power = Power::Off(cause.clone());
                Ok(())
            }
            (power, step) => unreachable!("{step:?} is no step of {power:?}"),
        };
        if done.is_ok() {
            self.keeps_its_word()?;
        }
        Ok(done)
    }

    fn power_on(
        &mut self,
        left: Option<Cause>,
        fate: &Fate,
        plug: &mut Plug,
        broken: BrokenSlot,
    ) -> Result<(), PowerCut> {
        let Chosen::Slot(slot) = choose(&mut self.disk, plug, broken)? else { return Ok(()) };
        let whole = self.disk.bundle(slot).is_some();
        if let (true, Fate::Starts) = (whole, fate) {
            let id = self.disk.resume().map_or(1, |last| last.entry.next.boot[0].wrapping_add(1));
            let event = self.booted(slot, [id; 16], left.map(failed));
            let last = self.disk.resume();
            let node = last.map_or_else(Node::default, |last| last.entry.next.clone());
            return self.turn(&node, event, plug);
        }
        let last_words = match fate {
            Fate::Dies(cause) if whole => cause.clone(),
            _ => None,
        };
        self.power = Power::Off(last_words.or(left));
        Ok(())
    }

    /// What the agent hears first.
    fn booted(&self, slot: Slot, id: [u8; 16], evidence: Option<Failure>) -> Event {
        let version = self.disk.bundle(slot).expect("what runs is whole").version.clone();
        let other: OtherSlot = self.disk.boot_env().env.standing(slot.other(), TRIAL);
        Event::Booted(Boot { slot, version, id, other, evidence })
    }

    /// One turn of the loop: decide, save, and go on.
    pub(super) fn turn(
        &mut self,
        node: &Node,
        event: Event,
        plug: &mut Plug,
    ) -> Result<(), PowerCut> {
        let vouched = match &event {
            Event::Judged(Verdict::Healthy) => true,
            Event::Confirmed => node.admits_confirm().is_ok(),
            _ => false,
        };
        if vouched {
            self.seen.approved[node.booted as usize] = true;
        }
        let unhealthy = match (&node.update, &event) {
            (Update::Probation { trial, .. }, Event::Judged(Verdict::Unhealthy(_))) => {
                trial.digest.filter(|_| trial.why == Why::Update)
            }
            _ => None,
        };
        let mut machine = Machine::new(self.disk.resume().cloned(), policy(), digest);
        debug_assert_eq!(machine.node(), node, "what runs is what was saved");
        let disk = &mut self.disk;
        let turned = machine.turn(event, Stamp::default(), |frame| disk.append(plug, frame))?;
        let node = machine.node();
        if turned.saved.is_some() {
            remember(&mut self.seen.refused, node.refused.iter());
            remember(&mut self.seen.unhealthy, unhealthy.iter());
        }
        self.power = Power::On(Box::new(node.clone()));
        Ok(())
    }

    /// What must hold whatever happened.
    pub(super) fn keeps_its_word(&self) -> Result<(), &'static str> {
        if self.disk.slots.iter().all(|slot| *slot == Content::Broken) {
            return Err("some slot is whole");
        }
        let Power::On(node) = &self.power else { return Ok(()) };
        if let Some(ending) = &node.last
            && (ending.outcome == steadfast_core::Outcome::Committed) != ending.failure.is_none()
        {
            return Err("every ending has a cause");
        }
        if self.seen.refused.iter().any(|digest| !node.refused.contains(digest)) {
            return Err("a refusal is not forgotten");
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
        let Power::On(node) = &self.power else { return Some("a node that rests runs") };
        // After the boot script's defined rest somebody switches the node on again.
        let mut disk = self.disk.clone();
        let mut boot = || choose(&mut disk, &mut Plug::in_the_wall(), BrokenSlot::CannotBeLoaded);
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

    /// What happens when everything goes well from now on and each system is judged so; `None` when the node rests.
    pub fn goes_well(&self, verdict: Answer) -> Option<Step> {
        let node = match &self.power {
            Power::Off(_) => return Some(Step::PowerOn(Fate::Starts)),
            Power::On(node) => node,
        };
        let approved = self.seen.approved[node.booted as usize];
        match node.update.action() {
            None if matches!(node.update, Update::Ready { .. }) => {
                Some(Step::Heard(Event::WindowOpened.into()))
            }
            None => None,
            Some(Action::Judge) if !approved => Some(Step::Port(verdict)),
            Some(_) => Some(Step::Port(Answer::Done)),
        }
    }
}

fn remember<'d>(list: &mut Vec<Digest>, digests: impl Iterator<Item = &'d Digest>) {
    for digest in digests {
        if !list.contains(digest) {
            list.push(*digest);
        }
    }
    list.sort_unstable_by_key(|digest| digest.0);
}
