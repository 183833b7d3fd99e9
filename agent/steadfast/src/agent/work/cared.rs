//! One pod in the hands of the agent: what is wanted, what was found, what is under way.
//!
//! Always true: an order comes only from the core's look at what was found; what could not be started is held back for
//! longer each time, and holds up nothing else; a process that is another one is judged anew.

use super::clock::Now;
use super::plan::{Mode, Planned};
use super::runtime::{NotDone, Question, Start, Stop};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::{Duration, SystemTime};
use steadfast_adapters::containerd::{End, FoundContainer, Process, container_id};
use steadfast_adapters::manifest::{Container, Pod};
use steadfast_core::Digest;
use steadfast_core::gate::Millis;
use steadfast_core::pod::{self as core, Found, Health, Made, Order, Role, Seen};
use steadfast_core::probe::{Answer, Kind, Probes, Timing};

/// The pause after the first failure to start a container; each further one is twice as long.
const HOLD: Millis = 10_000;
/// The longest one.
const LONGEST_HOLD: Millis = 300_000;
/// The pause after something could not be stopped or removed.
const TRY_AGAIN: Millis = 5_000;
/// How long what is made from an unknown manifest may take to end, as Kubernetes has it.
const GRACE: Duration = Duration::from_secs(30);

/// How long a process may take to end by itself while the machine goes down: a node that nobody is near must come back.
const PARTING: Duration = Duration::from_secs(20);

/// What is to be done for a pod.
#[derive(Debug)]
pub(super) enum Task {
    Start(Start),
    Stop(Vec<Stop>),
    Remove(String),
}

/// What of a pod is under way.
#[derive(Clone, Copy, Debug)]
enum Busy {
    Starting(usize),
    Ending,
}

/// A container that could not be started.
#[derive(Clone, Debug)]
struct Held {
    times: u32,
    until: Millis,
    why: NotDone,
}

/// The probes of a process.
#[derive(Clone, Debug)]
struct Watch {
    pid: u32,
    position: usize,
    probes: Probes,
    /// Whether an answer is waited for.
    asking: bool,
    /// What each probe showed that failed last.
    failed: BTreeMap<&'static str, String>,
}

/// One pod.
#[derive(Debug, Default)]
pub(super) struct Cared {
    pub(super) wanted: Option<Planned>,
    /// What was wanted before: how its containers are to be ended.
    known: Vec<Rc<Pod>>,
    found: Vec<FoundContainer>,
    busy: Option<Busy>,
    held: BTreeMap<usize, Held>,
    /// Until nothing more is ended: it did not work.
    pause: Option<(Millis, NotDone)>,
    watches: BTreeMap<String, Watch>,
    /// Why a process was ended, by its container.
    notes: BTreeMap<String, (u32, String)>,
    /// When each end was, by both clocks, by its container: the node's may be set back later, and would put it off.
    ends: BTreeMap<String, (SystemTime, Millis)>,
    /// What is being ended.
    ending: BTreeSet<String>,
    /// When the core wants to look again.
    look: Option<Millis>,
}

impl Cared {
    /// Takes what is wanted from now on.
    pub(super) fn want(&mut self, wanted: Option<Planned>) {
        let digest = |planned: &Option<Planned>| planned.as_ref().map(|it| it.pod.digest);
        if digest(&self.wanted) != digest(&wanted) {
            self.known.extend(self.wanted.take().map(|before| before.pod));
            self.held.clear();
            self.pause = None;
            self.watches.clear();
        }
        self.wanted = wanted;
    }

    /// Takes what is there.
    pub(super) fn found(&mut self, found: Vec<FoundContainer>, now: Now) {
        // What is being started may be of a manifest that is wanted no more, and is not found yet.
        let busy = self.busy.is_some();
        self.known.retain(|pod| busy || found.iter().any(|it| it.mark.manifest == pod.digest));
        self.found = found;
        self.note_ends(now);
        let running = |id: &str| self.found.iter().find(|it| it.id == id).and_then(process);
        // Of a process that could not be asked its number is not known.
        let same = |now: u32, before: u32| now == before || now == 0;
        self.watches.retain(|id, watch| running(id).is_some_and(|(pid, _)| same(pid, watch.pid)));
        self.notes.retain(|id, (pid, _)| running(id).is_none_or(|(now, _)| same(now, *pid)));
        let Some(Planned { pod, .. }) = &self.wanted else { return };
        for (position, container) in pod.containers.iter().enumerate() {
            let id = container_id(&pod.name, &container.name);
            let own = self.found.iter().find(|it| it.id == id && it.mark.manifest == pod.digest);
            let Some((pid, started)) = own.and_then(process) else { continue };
            self.watches.entry(id).or_insert_with(|| {
                let start = now.boot_ms_of(started);
                let probes =
                    Probes::new(start, |kind| asked_of(container, kind, now.boot_ms - start));
                Watch { pid, position, probes, asking: false, failed: BTreeMap::new() }
            });
        }
    }

    /// Keeps the moment at which each end was seen first.
    fn note_ends(&mut self, now: Now) {
        let before = std::mem::take(&mut self.ends);
        for FoundContainer { id, process, .. } in &self.found {
            let Process::Ended(End { at, .. }) = process else { continue };
            let known = before.get(id).filter(|(known, _)| known == at);
            let seen = known.copied().unwrap_or_else(|| (*at, now.boot_ms_of(*at)));
            self.ends.insert(id.clone(), seen);
        }
    }

    /// Whether nobody has to care for it any more.
    pub(super) fn is_over(&self) -> bool {
        self.wanted.is_none() && self.found.is_empty() && self.busy.is_none()
    }

    /// What its folders are needed for: the wanted manifest and those that containers were or are being made from.
    pub(super) fn digests(&self) -> Vec<Digest> {
        let wanted = self.wanted.iter().map(|planned| planned.pod.digest);
        let wanted = wanted.chain(self.known.iter().map(|pod| pod.digest));
        wanted.chain(self.found.iter().map(|it| it.mark.manifest)).collect()
    }

    /// The images that it may need: its own, and all that archives on the node have.
    pub(super) fn images(&self) -> Vec<String> {
        let Some(Planned { pod, images, .. }) = &self.wanted else { return Vec::new() };
        let own = pod.containers.iter().map(|it| it.image.as_str().to_owned());
        own.chain(images.keys().cloned()).collect()
    }

    /// Its containers as the core sees them, with their ids: those that are wanted in their order, then all others.
    pub(super) fn seen(&self, boot: [u8; 16], now: Now) -> Vec<(String, Seen)> {
        let mut others: Vec<&FoundContainer> = self.found.iter().collect();
        let mut seen = Vec::new();
        if let Some(Planned { pod, .. }) = &self.wanted {
            for (position, container) in pod.containers.iter().enumerate() {
                let id = container_id(&pod.name, &container.name);
                let at = others.iter().position(|it| it.id == id);
                let one = at.map(|at| self.one(others.remove(at), boot, now));
                seen.push((id, self.or_held(one, position, pod)));
            }
        }
        seen.extend(others.into_iter().map(|it| (it.id.clone(), self.one(it, boot, now))));
        seen
    }

    fn one(&self, found: &FoundContainer, boot: [u8; 16], now: Now) -> Seen {
        let mark = &found.mark;
        let made = if mark.boot == boot { Made::ThisBoot } else { Made::Before };
        let what = match &found.process {
            Process::None => Found::Created,
            Process::Running { .. } => Found::Running(self.health(&found.id)),
            Process::Ended(End { code, at, ran, .. }) => Found::Exited {
                code: *code,
                at: self.ends.get(&found.id).map_or_else(|| now.boot_ms_of(*at), |seen| seen.1),
                ran: u64::try_from(ran.as_millis()).unwrap_or(u64::MAX),
            },
        };
        let (manifest, role, restarts) = (mark.manifest, mark.role, mark.restarts);
        Seen { manifest, found: what, made, role, restarts }
    }

    /// A container that could not be started is held back; how it ended before stays known.
    fn or_held(&self, one: Option<Seen>, position: usize, pod: &Pod) -> Seen {
        let seen = one.unwrap_or(Seen::NOTHING);
        let Some(Held { until, .. }) = self.held.get(&position) else { return seen };
        let own = seen.manifest == pod.digest;
        let found = match (seen.found, seen.made) {
            (Found::Absent, _) => Found::Held { until: *until },
            (Found::Created, _) | (Found::Exited { .. }, Made::Before) if own => {
                Found::Held { until: *until }
            }
            (Found::Exited { code, at, ran }, Made::ThisBoot) if own => {
                Found::Exited { code, at: at.max(*until), ran }
            }
            _ => return seen,
        };
        let role = pod.containers[position].role;
        Seen { manifest: pod.digest, found, role, ..seen }
    }

    /// What a process of this manifest is known to be; of others nobody asks the probes.
    fn health(&self, id: &str) -> Health {
        let well = Health { started: true, live: true, ready: true };
        self.watches.get(id).map_or(well, |watch| watch.probes.health())
    }

    /// The next thing to do for it, which is then under way.
    pub(super) fn next(&mut self, boot: [u8; 16], now: Now, mode: Mode) -> Option<Task> {
        if self.busy.is_some() {
            return None;
        }
        if self.pause.as_ref().is_some_and(|(until, _)| *until <= now.boot_ms) {
            self.pause = None;
        }
        let seen = self.seen(boot, now);
        let found: Vec<Seen> = seen.iter().map(|(_, seen)| *seen).collect();
        let wanted = self.wanted.as_ref().filter(|_| mode == Mode::Run);
        let wanted = wanted.map(|planned| planned.pod.wanted());
        let core::Next { order, look } = core::order(wanted.as_ref(), &found, now.boot_ms);
        self.look = look;
        let task = match order? {
            Order::Start { container: position, restarts } => {
                let Planned { pod, images, .. } = self.wanted.clone()?;
                let archive = images.get(pod.containers[position].image.as_str()).cloned();
                self.busy = Some(Busy::Starting(position));
                return Some(Task::Start(Start { pod, position, restarts, archive }));
            }
            Order::Stop(which) => {
                let ids = which.iter().map(|at| seen[*at].0.clone());
                let ids: Vec<String> = ids.collect();
                Task::Stop(ids.iter().map(|id| self.stop(id, mode)).collect())
            }
            Order::Remove(_) if mode == Mode::GoDown => return None,
            Order::Remove(at) => Task::Remove(seen[at].0.clone()),
        };
        if self.pause.is_some() {
            return None;
        }
        self.busy = Some(Busy::Ending);
        Some(task)
    }

    /// How a process is ended, and a note why.
    fn stop(&mut self, id: &str, mode: Mode) -> Stop {
        let mark = self.found.iter().find(|it| it.id == id).map(|it| &it.mark);
        let wanted = self.wanted.iter().map(|planned| &planned.pod);
        let mut pods = wanted.chain(&self.known);
        let pod = pods.find(|pod| mark.is_some_and(|mark| mark.manifest == pod.digest)).cloned();
        let of = pod.and_then(|pod| {
            let name = &mark?.container;
            let position = pod.containers.iter().position(|it| it.name == *name)?;
            Some((pod, position))
        });
        let begun = !self.ending.insert(id.to_owned());
        let failed = self.watches.get(id).filter(|watch| !watch.probes.health().live);
        let mut grace = of.as_ref().map_or(GRACE, |(pod, _)| pod.grace);
        if let (Some(watch), Some((pod, position))) = (failed, &of) {
            let started = watch.probes.health().started;
            let kind = if started { Kind::Liveness } else { Kind::Startup };
            let probe = pod.containers[*position].probes.of(kind);
            grace = probe.and_then(|probe| probe.grace).unwrap_or(grace);
            let shown = watch.failed.get(name_of(kind)).cloned().unwrap_or_default();
            let note = (watch.pid, format!("{}: {shown}", name_of(kind)));
            self.notes.insert(id.to_owned(), note);
        }
        if mode == Mode::GoDown {
            grace = grace.min(PARTING);
        }
        // Its preStop is done once.
        Stop { id: id.to_owned(), of: of.filter(|_| !begun), grace }
    }

    /// The probes that are to be asked now, each with the process it is about.
    pub(super) fn questions(&mut self, now: Now) -> Vec<(Question, u32)> {
        let Some(Planned { pod, .. }) = &self.wanted else { return Vec::new() };
        let mut questions = Vec::new();
        for (container, watch) in &mut self.watches {
            let Some((kind, due)) = watch.probes.next() else { continue };
            if watch.asking || due > now.boot_ms {
                continue;
            }
            watch.asking = true;
            let (container, pod, position) = (container.clone(), Rc::clone(pod), watch.position);
            questions.push((Question { container, pod, position, kind }, watch.pid));
        }
        questions
    }

    /// Hears what a probe said of this process.
    pub(super) fn answered(
        &mut self,
        (container, pid): (&str, u32),
        kind: Kind,
        said: Result<(Answer, String), NotDone>,
        now: Now,
    ) {
        let watch = self.watches.get_mut(container);
        let Some(watch) = watch.filter(|watch| watch.pid == pid) else { return };
        watch.asking = false;
        match said {
            Ok((answer, shown)) => {
                watch.probes.hear(kind, answer, now.boot_ms);
                match answer {
                    Answer::Passed => watch.failed.remove(name_of(kind)),
                    Answer::Failed => watch.failed.insert(name_of(kind), shown),
                };
            }
            Err(_) => watch.probes.put_off(kind, now.boot_ms),
        }
    }

    /// What was under way is not waited for any more.
    pub(super) fn break_off(&mut self) {
        self.busy = None;
    }

    /// Hears that what was under way has ended.
    pub(super) fn ordered(&mut self, result: Result<(), NotDone>, now: Now) {
        self.ending.clear();
        let busy = self.busy.take();
        if let Some(Busy::Starting(position)) = busy {
            // What was heard of a process while it was made may be dated by the one before.
            self.watches.retain(|_, watch| watch.position != position);
        }
        match (busy, result) {
            (Some(Busy::Starting(position)), Ok(())) => {
                self.held.remove(&position);
            }
            (Some(Busy::Starting(position)), Err(why)) => {
                let times = self.held.get(&position).map_or(0, |held| held.times);
                let pause = (HOLD << times.min(10)).min(LONGEST_HOLD);
                let held = Held { times: times + 1, until: now.boot_ms + pause, why };
                self.held.insert(position, held);
            }
            (_, Ok(())) => self.pause = None,
            (_, Err(why)) => self.pause = Some((now.boot_ms + TRY_AGAIN, why)),
        }
    }

    /// When there may be an order for it although nothing is heard.
    pub(super) fn order_due(&self) -> Option<Millis> {
        let waits = self.look.into_iter().chain(self.pause.as_ref().map(|(until, _)| *until));
        waits.filter(|_| self.busy.is_none()).min()
    }

    /// When one of its probes is to be asked.
    pub(super) fn question_due(&self) -> Option<Millis> {
        let asked = self.watches.values().filter(|watch| !watch.asking);
        asked.filter_map(|watch| watch.probes.next()).map(|(_, due)| due).min()
    }

    /// What is there of the container with this id.
    pub(super) fn container(&self, id: &str) -> Option<&FoundContainer> {
        self.found.iter().find(|it| it.id == id)
    }

    /// Why the container at this position of the wanted pod is as it is, where that is known.
    pub(super) fn note(&self, position: usize, id: &str) -> Option<String> {
        let held = self.held.get(&position).map(|held| held.why.0.clone());
        let note = self.notes.get(id).map(|(_, note)| note.clone());
        let failed = self.watches.get(id).and_then(|watch| {
            let (name, shown) = watch.failed.iter().next()?;
            Some(format!("{name}: {shown}"))
        });
        let stuck = self.pause.as_ref().map(|(_, why)| why.0.clone());
        held.or(note).or(failed).or(stuck)
    }

    /// All that is there of it.
    pub(super) fn all(&self) -> &[FoundContainer] {
        &self.found
    }
}

fn process(found: &FoundContainer) -> Option<(u32, SystemTime)> {
    match found.process {
        Process::Running { pid, started } => Some((pid, started)),
        _ => None,
    }
}

/// When a probe is asked of a process of this age. One that was up longer than its startup probe would have let it
/// passed that before somebody else's eyes: a new agent does not ask for it again.
fn asked_of(container: &Container, kind: Kind, age: Millis) -> Option<Timing> {
    let probe = container.probes.of(kind)?;
    let Timing { delay, period, failures, .. } = probe.timing;
    let timeout = u64::try_from(probe.timeout.as_millis()).unwrap_or(u64::MAX);
    let longest = (period.saturating_add(timeout)).saturating_mul(u64::from(failures) + 1);
    let passed = kind == Kind::Startup && age > longest.saturating_add(delay);
    (!passed).then_some(probe.timing)
}

/// What Kubernetes calls it.
fn name_of(kind: Kind) -> &'static str {
    match kind {
        Kind::Startup => "startupProbe",
        Kind::Liveness => "livenessProbe",
        Kind::Readiness => "readinessProbe",
    }
}

/// What a role is called.
pub(super) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Init => "init",
        Role::Sidecar => "sidecar",
        Role::Main => "main",
    }
}
