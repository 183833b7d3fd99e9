//! The promises of the workloads' task, with a runtime that is played, on paused time.

mod orders;
mod probes;
mod told;

use super::plan::Planned;
use super::runtime::{Start, Stop};
use super::*;
use std::cell::{Cell, RefCell};
use std::time::SystemTime;
use steadfast_adapters::containerd::{End, Mark, Process, container_id};
use steadfast_adapters::manifest::{Pod, Policy, Set, Source};
use steadfast_core::gate::{Heard, Weight};
use tokio::time::{Instant, sleep_until};

const BOOT: [u8; 16] = [7; 16];

thread_local! {
    static START: Instant = Instant::now();
    /// How far the node's clock was set back.
    static SET_BACK: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Paused time is both clocks, but for what the node's was set back.
fn now() -> Now {
    let since = START.with(|start| start.elapsed());
    let boot_ms = u64::try_from(since.as_millis()).expect("short");
    Now {
        boot_ms: 1_000_000 + boot_ms,
        wall: SystemTime::UNIX_EPOCH + Duration::from_secs(2_000_000) + since - SET_BACK.get(),
    }
}

/// What the played runtime was told to do.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Did {
    Start(String, u8),
    Stop(String, u64),
    Remove(String),
    Clean(Vec<String>),
}

/// A runtime in memory.
#[derive(Clone, Default)]
struct Played(Rc<RefCell<Node>>);

#[derive(Default)]
struct Node {
    containers: Vec<FoundContainer>,
    did: Vec<(u64, Did)>,
    /// Containers by name that cannot be started, and why.
    broken: BTreeMap<String, String>,
    /// What a probe of a container says; without an entry it passes.
    says: BTreeMap<(String, &'static str), Result<String, NotDone>>,
    asked: Vec<(u64, String, Kind)>,
    down: Option<String>,
    /// How long a container takes to start, and what is cleaned.
    starts_for: BTreeMap<String, Duration>,
    cleans_for: Option<Duration>,
    /// How often a log was read.
    read: usize,
    /// The end of each container's log.
    words: BTreeMap<String, String>,
    next_pid: u32,
    changed: Rc<Notify>,
}

impl Played {
    fn did(&self) -> Vec<Did> {
        self.0.borrow().did.iter().map(|(_, did)| did.clone()).collect()
    }

    fn did_at(&self) -> Vec<(u64, Did)> {
        self.0.borrow().did.clone()
    }

    fn note(&self, did: Did) {
        let second = (now().boot_ms - 1_000_000) / 1000;
        self.0.borrow_mut().did.push((second, did));
    }

    /// The process of this container ends by itself.
    fn end(&self, pod: &str, container: &str, code: u32) {
        let mut node = self.0.borrow_mut();
        let id = container_id(pod, container);
        let found = node.containers.iter_mut().find(|it| it.id == id).expect("it is there");
        let Process::Running { started, .. } = found.process else { panic!("it runs") };
        let ran = now().wall.duration_since(started).expect("later");
        found.process =
            Process::Ended(End { code, at: now().wall, ran, out_of_memory: code == 137 });
        node.changed.notify_one();
    }

    fn say(&self, container: &str, kind: &'static str, said: Result<&str, &str>) {
        let said = said.map(str::to_owned).map_err(|why| NotDone(why.to_owned()));
        self.0.borrow_mut().says.insert((container.to_owned(), kind), said);
    }

    fn pid(&self, pod: &str, container: &str) -> Option<u32> {
        let id = container_id(pod, container);
        let node = self.0.borrow();
        let found = node.containers.iter().find(|it| it.id == id)?;
        match found.process {
            Process::Running { pid, .. } => Some(pid),
            _ => None,
        }
    }
}

impl Runtime for Played {
    async fn find(&self) -> Result<Vec<FoundContainer>, NotDone> {
        let node = self.0.borrow();
        node.down.clone().map_or_else(|| Ok(node.containers.clone()), |why| Err(NotDone(why)))
    }

    async fn start(&self, start: &Start) -> Result<(), NotDone> {
        let container = start.container();
        let (pod, name) = (&start.pod, &container.name);
        self.note(Did::Start(format!("{}/{name}", pod.name), start.restarts));
        let takes = self.0.borrow().starts_for.get(name).copied();
        if let Some(takes) = takes {
            sleep(takes).await;
        }
        if let Some(why) = self.0.borrow().broken.get(name) {
            return Err(NotDone(why.clone()));
        }
        let mut node = self.0.borrow_mut();
        node.next_pid += 1;
        let pid = node.next_pid;
        let id = container_id(&pod.name, name);
        node.containers.retain(|it| it.id != id);
        let mark = Mark {
            pod: pod.name.clone(),
            container: name.clone(),
            position: start.position,
            role: container.role,
            manifest: pod.digest,
            restarts: start.restarts,
            boot: BOOT,
        };
        let process = Process::Running { pid, started: now().wall };
        node.containers.push(FoundContainer { id, mark, process });
        Ok(())
    }

    async fn stop(&self, stop: &Stop) -> Result<(), NotDone> {
        let name = |it: &FoundContainer| format!("{}/{}", it.mark.pod, it.mark.container);
        let at = self.0.borrow().containers.iter().position(|it| it.id == stop.id);
        let at = at.expect("only what is there is stopped");
        let name = name(&self.0.borrow().containers[at]);
        self.note(Did::Stop(name, stop.grace.as_secs()));
        let end =
            End { code: 143, at: now().wall, ran: Duration::from_secs(1), out_of_memory: false };
        self.0.borrow_mut().containers[at].process = Process::Ended(end);
        Ok(())
    }

    async fn remove(&self, id: &str) -> Result<(), NotDone> {
        let at = self.0.borrow().containers.iter().position(|it| it.id == id);
        let found = self.0.borrow_mut().containers.remove(at.expect("it is there"));
        self.note(Did::Remove(format!("{}/{}", found.mark.pod, found.mark.container)));
        Ok(())
    }

    async fn ask(&self, question: &Question) -> Result<(Answer, String), NotDone> {
        let name = question.pod.containers[question.position].name.clone();
        let second = (now().boot_ms - 1_000_000) / 1000;
        self.0.borrow_mut().asked.push((second, name.clone(), question.kind));
        let kind = match question.kind {
            Kind::Startup => "startup",
            Kind::Liveness => "liveness",
            Kind::Readiness => "readiness",
        };
        match self.0.borrow().says.get(&(name, kind)) {
            None => Ok((Answer::Passed, String::new())),
            Some(Ok(shown)) => Ok((Answer::Failed, shown.clone())),
            Some(Err(why)) => Err(why.clone()),
        }
    }

    async fn changed(&self) {
        let changed = Rc::clone(&self.0.borrow().changed);
        changed.notified().await;
    }

    fn last_words(&self, _: &str, container: &str) -> String {
        let mut node = self.0.borrow_mut();
        node.read += 1;
        assert!(node.read < 10_000, "the task never rests");
        node.words.get(container).cloned().unwrap_or_default()
    }

    async fn clean(&self, keep: Keep) {
        let takes = self.0.borrow().cleans_for;
        if let Some(takes) = takes {
            sleep(takes).await;
        }
        self.note(Did::Clean(keep.pods.into_iter().map(|(name, _)| name.to_string()).collect()));
    }
}

/// The pods of these manifests: names with what their spec holds beside the containers.
fn pods(text: &str) -> Vec<Rc<Pod>> {
    let set = Set::read(&[Source { name: "set.yaml", text: text.as_bytes() }], &Policy::default());
    set.unwrap_or_else(|refused| panic!("{refused}")).pods.into_iter().map(Rc::new).collect()
}

/// A pod of one container `core` with these further fields, which begin at the column of `name`.
fn one(name: &str, fields: &str) -> String {
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}}}\nspec:\n  containers:\n  - name: core\n    image: i:1\n{fields}---\n"
    )
}

fn plan(text: &str) -> Plan {
    let pods = pods(text).into_iter();
    let pods =
        pods.map(|pod| Planned { pod, weight: Weight::Required, images: Rc::default() }).collect();
    Plan { pods, mode: Mode::Run, set: SlotSet::Read }
}

/// A task with its plan and what it tells.
struct Play {
    node: Played,
    plan: watch::Sender<Plan>,
    workloads: watch::Receiver<Option<Vec<Workload>>>,
    shown: watch::Receiver<Rc<Shown>>,
}

impl Play {
    fn begin(node: Played, first: Plan) -> Play {
        // Time begins with the play.
        let _ = now();
        let (plan, planned) = watch::channel(first);
        let (told, (workloads, shown)) = Told::new();
        let mut work = Work::new(node.clone(), planned, BOOT, told);
        work.clock = now;
        spawn_local(work.run());
        Play { node, plan, workloads, shown }
    }

    /// Waits until this second.
    async fn until(&self, second: u64) {
        sleep_until(START.with(|start| *start) + Duration::from_secs(second)).await;
        // Everything that is due in this moment is done.
        for _ in 0..200 {
            tokio::task::yield_now().await;
        }
    }

    fn heard(&self, name: &str) -> Heard {
        let workloads = self.workloads.borrow();
        let workloads = workloads.as_ref().expect("it is known what should run");
        let found = workloads.iter().find(|it| it.name == name);
        found.expect("it is told of").heard.clone()
    }

    fn shown(&self) -> Rc<Shown> {
        Rc::clone(&self.shown.borrow())
    }
}

/// Plays on one thread with paused time.
fn played<F: Future<Output = ()>>(play: impl FnOnce() -> F) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .expect("a runtime");
    tokio::task::LocalSet::new().block_on(&runtime, async { play().await });
}
