//! Makes the plan: from what the node was given to the pods that should run.
//!
//! ```text
//! the set of the slot that runs ───────────────────────────────────────┐
//! work apply|remove ─▶ looked at whole ─▶ /data/steadfast/applied/ ────┴─▶ Plan ─▶ the workloads' task
//!                        └─▶ refused: nothing changes
//! ```
//!
//! Always true: what is refused changes nothing, neither on the disk nor in the plan; what was taken is on the disk
//! before it runs; an agent that starts anew plans the same.

mod applied;
mod join;

pub use applied::AppliedError;

use super::plan::{Mode, Plan, SlotSet};
use crate::protocol::Response;
use applied::{Applied, Given, can_be_run};
use join::joined;
use std::collections::VecDeque;
use std::path::PathBuf;
use steadfast_adapters::chain;
use steadfast_adapters::manifest::Policy;
use steadfast_adapters::set_store::{Current, SetStore};
use steadfast_core::Slot;
use steadfast_core::gate::Weight;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::{oneshot, watch};
use tokio::task::spawn_blocking;

/// Whether manifests may be applied by hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ByHand {
    /// A development node.
    Allowed,
    /// A node that runs what it was released with.
    Refused,
}

/// What somebody wants of the workloads.
#[derive(Debug)]
pub enum Wish {
    /// Run the pods of this file, too.
    Apply(PathBuf),
    /// Run the pods of the file of this name no more.
    Remove(String),
    /// Stop what runs: the machine goes down.
    GoDown,
}

/// A wish, and where its answer goes.
#[derive(Debug)]
pub struct Wished {
    /// What is wanted.
    pub wish: Wish,
    /// Taken or refused.
    pub answer: oneshot::Sender<Response>,
}

/// Where pods come from.
#[derive(Clone, Debug)]
pub struct Sources {
    /// The sets of the slots.
    pub sets: SetStore,
    /// The slot that runs.
    pub slot: Slot,
    /// The agent's folder on the data file system.
    pub data: PathBuf,
    /// Whether manifests may be applied by hand.
    pub by_hand: ByHand,
    /// What pods may have of the node.
    pub policy: Policy,
}

/// Makes the plan.
#[derive(Debug)]
pub struct Planner {
    sources: Sources,
    applied: Applied,
    plan: watch::Sender<Plan>,
}

impl Planner {
    /// A planner that has not read anything yet.
    pub fn new(sources: Sources) -> (Planner, watch::Receiver<Plan>) {
        let (plan, planned) = watch::channel(Plan::default());
        let applied = Applied::below(&sources.data);
        (Planner { sources, applied, plan }, planned)
    }

    /// Reads what there is, then fulfils wishes, one after the other, for ever.
    pub async fn serve(self, mut wishes: UnboundedReceiver<Wished>) {
        let mut changes = self.sources.sets.changes();
        let mut waiting = VecDeque::new();
        self.beside(self.read(), &mut wishes, &mut waiting).await;
        loop {
            let wished = tokio::select! {
                biased;
                Ok(()) = changes.changed() => None,
                Some(wished) = first(&mut waiting, &mut wishes) => Some(wished),
                else => return,
            };
            match wished {
                None => {
                    self.plan.send_modify(|plan| plan.set = SlotSet::Unread);
                    self.beside(self.read(), &mut wishes, &mut waiting).await;
                }
                Some(wished) => {
                    self.beside(self.fulfil(wished), &mut wishes, &mut waiting).await;
                }
            }
        }
    }

    /// A machine that goes down waits for no archive that is looked at.
    async fn beside(
        &self,
        work: impl Future<Output = ()>,
        wishes: &mut UnboundedReceiver<Wished>,
        waiting: &mut VecDeque<Wished>,
    ) {
        tokio::pin!(work);
        loop {
            tokio::select! {
                () = &mut work => return,
                Some(more) = wishes.recv() => match more.wish {
                    Wish::GoDown => self.fulfil(more).await,
                    _ => waiting.push_back(more),
                },
            }
        }
    }

    /// Plans the set of the slot, and what was applied beside it. What was applied and cannot be run any more is told in
    /// the log and left out; a set that cannot be read is told to the gate.
    async fn read(&self) {
        let (sources, applied) = (self.sources.clone(), self.applied.clone());
        let given = aside(move || {
            let own = of_the_slot(&sources)?;
            let beside = match sources.by_hand {
                ByHand::Allowed => applied.read(&sources.policy),
                ByHand::Refused => Ok(Vec::new()),
            };
            let all = beside.and_then(|beside| {
                let all: Vec<Given> = own.iter().cloned().chain(beside).collect();
                joined(&all)?;
                Ok(all)
            });
            Ok(all.unwrap_or_else(|error| {
                tracing::error!(error = chain(&error), "what was applied by hand is not run");
                own.into_iter().collect()
            }))
        });
        let planned = given.await.and_then(|given| Ok(joined(&given)?));
        match planned {
            Ok(Plan { pods, set, .. }) => self.plan.send_modify(|plan| {
                (plan.pods, plan.set) = (pods, set);
            }),
            Err(error) => {
                let why = chain(&error);
                tracing::error!(error = why, "the pods of this slot are not run");
                self.plan.send_modify(|plan| {
                    (plan.pods, plan.set) = (Vec::new(), SlotSet::Lost(why));
                });
            }
        }
    }

    async fn fulfil(&self, Wished { wish, answer }: Wished) {
        let done = match wish {
            Wish::GoDown => {
                self.plan.send_modify(|plan| plan.mode = Mode::GoDown);
                Ok(())
            }
            Wish::Apply(_) | Wish::Remove(_) if self.sources.by_hand == ByHand::Refused => {
                let because = "this node runs what it was released with: work.apply is false";
                Err(because.to_owned())
            }
            Wish::Apply(file) => self.apply(file).await.map_err(|error| chain(&error)),
            Wish::Remove(name) => self.remove(&name).await.map_err(|error| chain(&error)),
        };
        let response =
            done.map_or_else(|because| Response::Refused { because }, |()| Response::Accepted);
        // Whoever asked may have gone.
        let _ = answer.send(response);
    }

    async fn apply(&self, file: PathBuf) -> Result<(), AppliedError> {
        let (applied, sources) = (self.applied.clone(), self.sources.clone());
        let given = aside(move || {
            let mut given = applied.with(&file, &sources.policy)?;
            given.extend(of_the_slot(&sources)?);
            joined(&given)?;
            let kept = applied.keep(&file)?;
            // What was handed in may go; what was kept stays.
            for archive in given.iter_mut().filter_map(|it| it.archive.as_mut()) {
                if *archive == file {
                    archive.clone_from(&kept);
                }
            }
            Ok(given)
        });
        self.replan(&given.await?)
    }

    async fn remove(&self, name: &str) -> Result<(), AppliedError> {
        let (applied, sources) = (self.applied.clone(), self.sources.clone());
        let name = name.to_owned();
        let given = aside(move || {
            let mut given = applied.without(&name, &sources.policy)?;
            given.extend(of_the_slot(&sources)?);
            joined(&given)?;
            applied.forget(&name)?;
            Ok(given)
        });
        self.replan(&given.await?)
    }

    fn replan(&self, given: &[Given]) -> Result<(), AppliedError> {
        let Plan { pods, .. } = joined(given)?;
        self.plan.send_modify(|plan| plan.pods = pods);
        Ok(())
    }
}

/// The wish that waits for the longest time.
async fn first(
    waiting: &mut VecDeque<Wished>,
    wishes: &mut UnboundedReceiver<Wished>,
) -> Option<Wished> {
    match waiting.pop_front() {
        None => wishes.recv().await,
        first => first,
    }
}

/// The set of the slot that runs.
fn of_the_slot(sources: &Sources) -> Result<Option<Given>, AppliedError> {
    let Some(Current { set, archive }) = sources.sets.current(sources.slot)? else {
        return Ok(None);
    };
    let given = Given {
        name: format!("the workload set of slot {}", sources.slot),
        pods: set.pods,
        weight: Weight::Required,
        archive: Some(archive),
        images: set.images.into_iter().map(|image| image.reference).collect(),
    };
    can_be_run(&given).map(|()| Some(given))
}

/// Away from the loop: an archive takes a while to read.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AppliedError> + Send + 'static,
) -> Result<T, AppliedError> {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(AppliedError::Ended))
}

#[cfg(test)]
mod tests;
