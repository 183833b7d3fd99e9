//! The workloads' task: what should run and what runs, brought together.
//!
//! ```text
//! Plan ──────────┐                                    ┌─▶ orders, one a pod at a time ─▶ Runtime ─▶ containerd
//!                ├─▶ Cared, a pod ─▶ core: pod::order ┤
//! Runtime::find ─┘       ▲                            └─▶ told: the gate, `steadfast work`
//!                        └── answers of its probes ◀─▶ core: probe
//! ```
//!
//! Always true: what is found was asked for after the last order of a pod had ended; of each pod at most one order is
//! under way; what the task remembers it can do without, so that a new agent goes on with the containers that it finds;
//! it never holds up the loop of the agent, which feeds the watchdog.

mod cared;
mod clock;
mod node;
mod plan;
mod planner;
mod runtime;
mod shown;
#[cfg(test)]
mod tests;

pub use node::Node;
pub use plan::Plan;
use plan::{Mode, SlotSet};
pub use planner::{ByHand, Planner, Sources, Wish, Wished};
use runtime::{Keep, NotDone, Question, Runtime};

use crate::protocol::work::Work as Shown;
use cared::{Cared, Task};
use clock::Now;
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::time::Duration;
use steadfast_adapters::checks::Workload;
use steadfast_adapters::containerd::FoundContainer;
use steadfast_core::gate::Millis;
use steadfast_core::probe::{Answer, Kind};
use steadfast_core::{Digest, Name};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{Notify, watch};
use tokio::task::{AbortHandle, spawn_local};
use tokio::time::sleep;

/// How long nothing is asked when nothing is heard: for changes that nobody told of.
const LOOK_AGAIN: Millis = 60_000;
/// How long until a runtime that did not answer is asked again.
const ASK_AGAIN: Millis = 2_000;

/// What the task tells.
#[derive(Clone, Debug)]
pub struct Told {
    /// For the gate; nothing until it is known what should run.
    pub workloads: watch::Sender<Option<Vec<Workload>>>,
    /// For `steadfast work`.
    pub shown: watch::Sender<Rc<Shown>>,
}

/// Where it is heard: by the gate, and by the tool.
pub type Heard = (watch::Receiver<Option<Vec<Workload>>>, watch::Receiver<Rc<Shown>>);

impl Told {
    /// Where it is told, and where it is heard.
    pub fn new() -> (Told, Heard) {
        let (workloads, for_the_gate) = watch::channel(None);
        let (shown, for_the_tool) = watch::channel(Rc::default());
        (Told { workloads, shown }, (for_the_gate, for_the_tool))
    }
}

/// What was begun and came to its end.
pub(in crate::agent) enum Done {
    /// An order of this pod.
    Ordered { pod: Name, result: Result<(), NotDone> },
    /// A probe of this pod's container, asked of this process.
    Answered {
        pod: Name,
        container: String,
        pid: u32,
        kind: Kind,
        said: Result<(Answer, String), NotDone>,
    },
    /// What no pod needs any more is away.
    Cleaned,
}

/// Pods by their names and what they are made from.
type Kept = BTreeSet<(Name, [u8; 32])>;

/// The workloads' task.
pub struct Work<R> {
    runtime: R,
    clock: fn() -> Now,
    plan: watch::Receiver<Plan>,
    mode: Mode,
    set: SlotSet,
    /// The kernel's id of this boot.
    boot: [u8; 16],
    pods: BTreeMap<Name, Cared>,
    /// Why the runtime could not be asked.
    trouble: Option<NotDone>,
    /// When it is asked although nothing was heard.
    look: Millis,
    /// What was kept when it was cleaned last, and whether that is still under way.
    kept: Option<Kept>,
    cleaning: bool,
    /// The orders under way, by their pods.
    under_way: BTreeMap<Name, AbortHandle>,
    told: Told,
    done: UnboundedSender<Done>,
    heard: UnboundedReceiver<Done>,
}

impl<R: Runtime> Work<R> {
    /// A task that has not looked yet.
    pub fn new(runtime: R, plan: watch::Receiver<Plan>, boot: [u8; 16], told: Told) -> Work<R> {
        let (done, heard) = unbounded_channel();
        let mut work = Work {
            runtime,
            clock: Now::read,
            plan,
            mode: Mode::Run,
            set: SlotSet::Unread,
            boot,
            pods: BTreeMap::new(),
            trouble: None,
            look: 0,
            kept: None,
            cleaning: false,
            under_way: BTreeMap::new(),
            told,
            done,
            heard,
        };
        work.take_plan();
        work.tell((work.clock)());
        work
    }

    /// Goes on for ever.
    pub async fn run(mut self) {
        let changed = Rc::new(Notify::new());
        spawn_local(listen(self.runtime.clone(), Rc::clone(&changed)));
        loop {
            if (self.clock)().boot_ms >= self.look {
                self.find().await;
            }
            let now = (self.clock)();
            self.order(now);
            self.ask(now);
            self.clean();
            self.tell(now);
            let wait = Duration::from_millis(self.wakes().saturating_sub(now.boot_ms));
            tokio::select! {
                biased;
                Some(done) = self.heard.recv() => {
                    self.hear(done);
                    // Many may end together, and each look asks for all that there is.
                    while let Ok(done) = self.heard.try_recv() {
                        self.hear(done);
                    }
                }
                Ok(()) = self.plan.changed() => {
                    self.take_plan();
                    self.look = 0;
                }
                () = changed.notified() => self.look = 0,
                () = sleep(wait) => {}
            }
        }
    }

    fn take_plan(&mut self) {
        let Plan { pods, mode, set } = self.plan.borrow_and_update().clone();
        if mode == Mode::GoDown && self.mode == Mode::Run {
            self.break_off();
        }
        (self.mode, self.set) = (mode, set);
        for (name, cared) in &mut self.pods {
            cared.want(pods.iter().find(|planned| planned.pod.name == *name).cloned());
        }
        for planned in pods {
            let cared = self.pods.entry(planned.pod.name.clone()).or_default();
            cared.want(Some(planned));
        }
    }

    /// The machine does not wait for an image that is brought in, nor for a process that has an hour to end.
    fn break_off(&mut self) {
        // What has ended is heard: later it would pass for the end of another order.
        while let Ok(done) = self.heard.try_recv() {
            self.hear(done);
        }
        for (pod, order) in std::mem::take(&mut self.under_way) {
            order.abort();
            if let Some(cared) = self.pods.get_mut(&pod) {
                cared.break_off();
            }
        }
    }

    /// Asks the runtime what is there.
    async fn find(&mut self) {
        let found = self.runtime.find().await;
        let now = (self.clock)();
        match found {
            Ok(found) => {
                if self.trouble.take().is_some() {
                    tracing::info!("the container runtime answers again");
                }
                self.look = now.boot_ms + LOOK_AGAIN;
                self.sort(found, now);
            }
            Err(why) => {
                if self.trouble.is_none() {
                    tracing::error!(%why, "the container runtime does not answer");
                }
                self.look = now.boot_ms + ASK_AGAIN;
                self.trouble = Some(why);
            }
        }
    }

    /// Gives each pod its containers.
    fn sort(&mut self, found: Vec<FoundContainer>, now: Now) {
        let mut of_pods = BTreeMap::<Name, Vec<FoundContainer>>::new();
        for container in found {
            of_pods.entry(container.mark.pod.clone()).or_default().push(container);
        }
        for name in of_pods.keys() {
            self.pods.entry(name.clone()).or_default();
        }
        for (name, cared) in &mut self.pods {
            cared.found(of_pods.remove(name).unwrap_or_default(), now);
        }
        self.pods.retain(|_, cared| !cared.is_over());
    }

    /// Gives each pod its next order.
    fn order(&mut self, now: Now) {
        // What is not known to be unwanted is not taken down.
        let known = self.set != SlotSet::Unread || self.mode == Mode::GoDown;
        if self.trouble.is_some() || now.boot_ms >= self.look || !known {
            return;
        }
        let cleaned = being_cleaned(self.kept.as_ref(), self.cleaning, self.mode);
        for (name, cared) in &mut self.pods {
            if is_in_the_way(cleaned, name, cared) {
                continue;
            }
            let Some(task) = cared.next(self.boot, now, self.mode) else { continue };
            let (runtime, done, pod) = (self.runtime.clone(), self.done.clone(), name.clone());
            let order = spawn_local(async move {
                let result = carry_out(&runtime, task).await;
                // The loop holds the other end as long as it runs.
                let _ = done.send(Done::Ordered { pod, result });
            });
            self.under_way.insert(name.clone(), order.abort_handle());
        }
    }

    /// Asks the probes that are due.
    fn ask(&mut self, now: Now) {
        for (name, cared) in &mut self.pods {
            for (question, pid) in cared.questions(now) {
                let (runtime, done, pod) = (self.runtime.clone(), self.done.clone(), name.clone());
                spawn_local(async move {
                    let said = runtime.ask(&question).await;
                    let Question { container, kind, .. } = question;
                    let _ = done.send(Done::Answered { pod, container, pid, kind, said });
                });
            }
        }
    }

    /// Has away what belongs to no pod that is wanted or still there, whenever that has changed.
    fn clean(&mut self) {
        let digests = self.pods.iter().flat_map(|(name, cared)| {
            cared.digests().into_iter().map(move |digest| (name.clone(), digest.0))
        });
        let pods: BTreeSet<_> = digests.collect();
        if self.set == SlotSet::Unread
            || self.cleaning
            || self.trouble.is_some()
            || self.kept.as_ref() == Some(&pods)
        {
            return;
        }
        let keep = Keep {
            pods: pods.iter().map(|(name, digest)| (name.clone(), Digest(*digest))).collect(),
            images: self.pods.values().flat_map(Cared::images).collect(),
        };
        (self.kept, self.cleaning) = (Some(pods), true);
        let (runtime, done) = (self.runtime.clone(), self.done.clone());
        spawn_local(async move {
            runtime.clean(keep).await;
            let _ = done.send(Done::Cleaned);
        });
    }

    fn hear(&mut self, done: Done) {
        let now = (self.clock)();
        match done {
            Done::Ordered { pod, result } => {
                if let Err(why) = &result {
                    tracing::warn!(pod = pod.as_str(), %why, "an order of a pod was not done");
                }
                self.under_way.remove(&pod);
                if let Some(cared) = self.pods.get_mut(&pod) {
                    cared.ordered(result, now);
                }
                self.look = 0;
            }
            Done::Answered { pod, container, pid, kind, said } => {
                if let Some(cared) = self.pods.get_mut(&pod) {
                    cared.answered((&container, pid), kind, said, now);
                }
            }
            Done::Cleaned => self.cleaning = false,
        }
    }

    /// When something is to be done although nothing is heard.
    fn wakes(&self) -> Millis {
        // A runtime that does not answer gets no orders, so that none of them is due.
        let cleaned = being_cleaned(self.kept.as_ref(), self.cleaning, self.mode);
        let free = self
            .pods
            .iter()
            .filter(|(name, cared)| self.trouble.is_none() && !is_in_the_way(cleaned, name, cared));
        let orders = free.filter_map(|(_, cared)| cared.order_due());
        let questions = self.pods.values().filter_map(Cared::question_due);
        orders.chain(questions).chain([self.look]).min().unwrap_or(self.look)
    }

    fn tell(&self, now: Now) {
        let words = |pod: &str, container: &str| self.runtime.last_words(pod, container);
        let (boot, trouble) = (self.boot, self.trouble.as_ref());
        let shown = shown::work(&self.pods, &shown::Told { boot, now, trouble, words: &words });
        let workloads = shown::workloads(&shown, &self.pods, &self.set);
        self.told.workloads.send_if_modified(|before| replaced(before, workloads));
        self.told.shown.send_if_modified(|before| replaced(before, Rc::new(shown)));
    }
}

/// What is kept by the cleaning that is under way, if there is one.
fn being_cleaned(kept: Option<&Kept>, cleaning: bool, mode: Mode) -> Option<&Kept> {
    kept.filter(|_| cleaning && mode == Mode::Run)
}

/// Whether what this pod needs would be removed by the cleaning under way while it is made.
fn is_in_the_way(kept: Option<&Kept>, name: &Name, cared: &Cared) -> bool {
    let wanted = cared.wanted.as_ref().map(|planned| planned.pod.digest.0);
    wanted.is_some_and(|digest| kept.is_some_and(|kept| !kept.contains(&(name.clone(), digest))))
}

/// Puts `now` in the place of `before` if it is something else.
fn replaced<T: PartialEq>(before: &mut T, now: T) -> bool {
    let other = *before != now;
    if other {
        *before = now;
    }
    other
}

async fn carry_out<R: Runtime>(runtime: &R, task: Task) -> Result<(), NotDone> {
    match task {
        Task::Start(start) => runtime.start(&start).await,
        Task::Stop(stops) => {
            let (done, mut heard) = unbounded_channel();
            let count = stops.len();
            for stop in stops {
                let (runtime, done) = (runtime.clone(), done.clone());
                spawn_local(async move {
                    let _ = done.send(runtime.stop(&stop).await);
                });
            }
            drop(done);
            let mut all = Ok(());
            for _ in 0..count {
                let one = heard.recv().await.unwrap_or(Ok(()));
                all = all.and(one);
            }
            all
        }
        Task::Remove(id) => runtime.remove(&id).await,
    }
}

/// Passes on that something may have changed.
async fn listen<R: Runtime>(runtime: R, changed: Rc<Notify>) {
    loop {
        runtime.changed().await;
        changed.notify_one();
    }
}
