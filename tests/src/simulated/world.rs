//! The node at one moment, and everything that could happen to it next.

use super::disk::{Data, Disk};
use super::loader::{BrokenSlot, Count};
use super::plug::{Leaves, Plug, PowerCut};
use super::saved::Saved;
use std::rc::Rc;
use steadfast_core::{
    Action, At, Bundle, Cause, Digest, Event, Failure, Offer, Policy, Sizes, Slot, Update, Version,
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
    /// How often its data partition, or the count of the boot script, may still fail.
    pub faults: u8,
    /// In which ways the data partition may fail.
    pub breaks: &'static [Data],
    /// How often a bundle is asked for; from the second time on its source may hold another one.
    pub attempts: u8,
    /// What a fleet offers, again and again: versions, and when they may be activated.
    pub offers: &'static [(&'static str, At)],
    /// The workload set that comes with each offer, as a number.
    pub set: Option<&'static str>,
    /// What an onlooker remembers, and the node may not forget.
    pub seen: Seen,
}

/// Whether the node runs.
#[derive(Clone, Debug)]
pub enum Power {
    /// It is down.
    Off,
    /// The agent runs.
    On(Running),
}

/// The agent that runs.
#[derive(Clone, Debug)]
pub struct Running {
    /// Its last entry.
    pub saved: Rc<Saved>,
    /// Where that is.
    pub kept: Kept,
}

/// Where the agent keeps its ledger.
#[derive(Clone, Debug)]
pub enum Kept {
    /// On the disk.
    Data,
    /// In memory, since the disk could not be used.
    Memory {
        /// The first entry that is only there; of those between it and the last nothing depends.
        first: Option<Rc<Saved>>,
        /// Whether it goes on from what the disk says; an agent that could not read it began anew.
        follows: bool,
    },
}

/// What an onlooker remembers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// Whether what a slot holds passed its gate, or an operator vouched for it.
    pub approved: [bool; 2],
    /// Releases that the ledger called refused, a bit each.
    pub refused: u16,
    /// Releases that were judged unhealthy, where that is on the disk or was carried out.
    pub unhealthy: u16,
    /// A panic that the ledger does not tell yet.
    pub panic: Panicked,
}

/// A panic that the ledger does not tell yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Panicked {
    /// There is none.
    No,
    /// There is one.
    Yes,
    /// There is one, and what was on trial in this slot is its cause.
    OnTrial(Slot),
}

/// One thing that can happen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// The boot script chooses; the kernel it starts does this.
    PowerOn(Fate, Count),
    /// The order that the node waits on comes back so.
    Port(Answer),
    /// Somebody says something.
    Heard(Box<Event>),
    /// The agent ends, in a way that is no evidence or one that is, and is started again.
    AgentRestarts(Ended),
    /// The machine is reset.
    Reset(Option<Cause>),
    /// The data partition becomes so.
    DataIs(Data),
    /// The agent tries to leave memory for the disk.
    Recovers,
}

/// How the agent ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// As somebody asked it to.
    Well,
    /// As nobody asked it to.
    Badly,
}

/// What the kernel that was started does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The agent starts.
    Starts,
    /// It never gets to the agent, and leaves nothing.
    Dies,
    /// It panics before the agent starts.
    Panics,
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
    /// The source holds another bundle than it did.
    Changed,
}

/// How it goes on when nothing fails but what is named here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Course {
    /// Each system is healthy.
    Healthy,
    /// Each system that nobody vouched for is sick.
    Sick,
    /// Each system is healthy, and each write of a slot brings the node down.
    WritesBringItDown,
}

/// Where a step led, and at which effect the power was lost, if it was, with what that effect left.
pub type Outcome = (Option<(u32, Leaves)>, World);

/// One version of the system, known by a number.
pub fn bundle(number: u8) -> Bundle {
    let version = Version::new(&number.to_string()).expect("a number is a version");
    Bundle { version, digest: Digest([number; 32]) }
}

pub(super) fn policy(fetch_attempts: u8) -> Policy {
    let compatible = "board".try_into().expect("short");
    let room = Sizes { boot: 1, root: 1 };
    Policy { compatible, room, fetch_attempts, restarts: 1, commit_attempts: 1 }
}

pub(super) fn failed(cause: Cause) -> Failure {
    Failure { cause, evidence: Default::default() }
}

impl World {
    /// A new node with version 1 in slot A, which hears `offers` and bears `cuts` power cuts.
    pub fn new(offers: &'static [(&'static str, At)], cuts: u8) -> World {
        let approved = [true, false];
        let seen = Seen { approved, refused: 0, unhealthy: 0, panic: Panicked::No };
        let (disk, power) = (Disk::new(bundle(1)), Power::Off);
        World { disk, power, cuts, faults: 0, breaks: &[], attempts: 1, offers, set: None, seen }
    }

    /// The same, with one fault: the data partition breaks in one of these ways, or the boot script's count is lost.
    pub fn with_a_fault(self, breaks: &'static [Data]) -> World {
        World { faults: 1, breaks, ..self }
    }

    /// The same, with workload set 1 in its slot, where each offer brings this one.
    pub fn with_a_set(mut self, set: &'static str) -> World {
        (self.disk.records, self.disk.archives) = ([Some(1), None], 1 << 1);
        World { set: Some(set), ..self }
    }

    /// The same, in which a bundle is asked for so many times.
    pub fn with_attempts(self, attempts: u8) -> World {
        World { attempts, ..self }
    }

    /// Every step that is possible now.
    pub fn steps(&self) -> Vec<Step> {
        let mut steps = match &self.power {
            Power::Off => self.steps_off(),
            Power::On(running) => self.steps_on(running),
        };
        match self.disk.data {
            Data::Works if self.faults > 0 => {
                steps.extend(self.breaks.iter().copied().map(Step::DataIs));
            }
            Data::Works => {}
            Data::ReadOnly => steps.push(Step::DataIs(Data::Works)),
            // What comes back late may come back so that it can only be read.
            Data::Gone => steps.extend([Data::Works, Data::ReadOnly].map(Step::DataIs)),
        }
        steps
    }

    /// Where the disk fails there is enough to try without what an end leaves behind; the other walks have that.
    fn tries_evidence(&self) -> bool {
        self.breaks.is_empty()
    }

    fn steps_off(&self) -> Vec<Step> {
        let mut steps = vec![Step::PowerOn(Fate::Starts, Count::IsSaved)];
        steps.push(Step::PowerOn(Fate::Dies, Count::IsSaved));
        if self.tries_evidence() {
            steps.push(Step::PowerOn(Fate::Panics, Count::IsSaved));
        }
        if self.faults > 0 {
            steps.extend([Fate::Starts, Fate::Dies].map(|fate| Step::PowerOn(fate, Count::IsLost)));
        }
        steps
    }

    fn steps_on(&self, running: &Running) -> Vec<Step> {
        let mut steps = vec![Step::Reset(None), Step::AgentRestarts(Ended::Well)];
        if self.tries_evidence() {
            steps.extend([Cause::Panic, Cause::Watchdog].map(|cause| Step::Reset(Some(cause))));
            steps.push(Step::AgentRestarts(Ended::Badly));
        }
        if self.can_recover(running) {
            steps.push(Step::Recovers);
        }
        let node = &running.saved.node;
        let mut said = self.said(running);
        said.retain(|event| node.clone().next(event.clone(), &policy(self.attempts)) != *node);
        steps.extend(said.into_iter().map(|event| Step::Heard(event.into())));
        let mut answers = answers(&node.update).to_vec();
        answers.retain(|answer| *answer != Answer::Changed || self.attempts > 1);
        steps.extend(answers.into_iter().map(Step::Port));
        steps
    }

    /// What people say. What a restart would have to know about is admitted only while the ledger is on the disk.
    fn said(&self, running: &Running) -> Vec<Event> {
        let update = &running.saved.node.update;
        let on_disk = matches!(running.kept, Kept::Data);
        let mut said = vec![Event::WindowOpened, Event::Confirmed];
        if on_disk || matches!(update, Update::Probation { .. }) {
            said.push(Event::RollbackAsked);
        }
        if on_disk {
            said.push(Event::CancelAsked);
            said.extend(self.offers.iter().map(|(number, at)| {
                let source = (*number).try_into().expect("short");
                let set = self.set.map(|set| set.try_into().expect("short"));
                Event::Announced(Offer { source, at: *at, content: None, set })
            }));
        }
        // One shutdown a trial: a second one leads to nothing new until they are counted as restarts.
        if self.tries_evidence() && matches!(update, Update::Probation { shutdowns: 0, .. }) {
            said.push(Event::ShutdownAsked);
        }
        said
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
            for effect in 0.. {
                let mut cut = false;
                for leaves in Leaves::EACH.into_iter().filter(|_| self.cuts > 0) {
                    let mut world = World { cuts: self.cuts - 1, ..self.clone() };
                    let mut plug = Plug::pulled_at(effect, leaves);
                    if world.happens(step, &mut plug, broken)?.is_err() {
                        cut = true;
                        world.goes_off();
                        worlds.push((Some((effect, leaves)), world));
                    }
                }
                if !cut {
                    break;
                }
            }
            if !matches!(step, Step::PowerOn(..)) {
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
            (_, Step::DataIs(data)) => {
                self.faults -= u8::from(self.disk.data == Data::Works);
                self.disk.data = *data;
                Ok(())
            }
            (Power::Off, Step::PowerOn(fate, count)) => {
                self.faults -= u8::from(*count == Count::IsLost);
                return self.power_on((*fate, *count), plug, broken);
            }
            (Power::On(running), Step::Port(answer)) => {
                return self.answers(&running, *answer, plug);
            }
            (Power::On(running), Step::Heard(event)) => self.turn(running, event, plug),
            (Power::On(running), Step::AgentRestarts(ended)) => {
                return self.agent_restarts(running, *ended, plug);
            }
            (Power::On(running), Step::Recovers) => return self.recovers(running, plug),
            (Power::On(running), Step::Reset(cause)) => {
                self.reset(&running, cause.as_ref());
                Ok(())
            }
            (power, step) => unreachable!("{step:?} is no step of {power:?}"),
        };
        if done.is_ok() {
            self.keeps_its_word()?;
        }
        Ok(done)
    }

    /// What happens next on this course; `None` when the node rests.
    pub fn next_step(&self, course: Course) -> Option<Step> {
        let running = match &self.power {
            Power::Off => return Some(Step::PowerOn(Fate::Starts, Count::IsSaved)),
            Power::On(running) => running,
        };
        if self.can_recover(running) {
            return Some(Step::Recovers);
        }
        let node = &running.saved.node;
        let approved = self.seen.approved[node.booted as usize];
        match node.update.action() {
            None if matches!(node.update, Update::Ready { .. }) => {
                Some(Step::Heard(Event::WindowOpened.into()))
            }
            None => None,
            Some(Action::Judge) if course == Course::Sick && !approved => {
                Some(Step::Port(Answer::Failed))
            }
            Some(Action::Install { .. })
                if course == Course::WritesBringItDown && World::withheld(running).is_none() =>
            {
                Some(Step::Reset(None))
            }
            Some(_) => Some(Step::Port(Answer::Done)),
        }
    }
}

/// How the order of this state can end.
fn answers(update: &Update) -> &'static [Answer] {
    use Answer::{Changed, Done, Failed, FailedAfterwards};
    match update {
        Update::Idle | Update::Ready { .. } => &[],
        Update::Rebooting { .. } | Update::Returning { .. } => &[Done],
        // What it may hold before is what somebody could have offered.
        Update::Verifying { begun: Some(_), .. } => &[Done, Failed, Changed],
        Update::Fetching { .. }
        | Update::Verifying { .. }
        | Update::Probation { .. }
        | Update::Settling { .. } => &[Done, Failed],
        _ => &[Done, Failed, FailedAfterwards],
    }
}
