//! Makes the plan: from what the node was given to the pods that should run.
//!
//! ```text
//! work apply|remove ─▶ looked at whole ─▶ /data/steadfast/applied/ ─▶ Plan ─▶ the workloads' task
//!                        └─▶ refused: nothing changes
//! ```
//!
//! Always true: what is refused changes nothing, neither on the disk nor in the plan; what was taken is on the disk
//! before it runs; an agent that starts anew plans the same.

mod applied;
mod join;

pub use applied::AppliedError;

use super::plan::{Mode, Plan};
use crate::protocol::Response;
use applied::{Applied, Given};
use join::joined;
use std::path::{Path, PathBuf};
use steadfast_adapters::chain;
use steadfast_adapters::manifest::Policy;
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

/// Makes the plan.
#[derive(Debug)]
pub struct Planner {
    applied: Applied,
    by_hand: ByHand,
    policy: Policy,
    plan: watch::Sender<Plan>,
}

impl Planner {
    /// Plans what was applied before. What cannot be read any more is told in the log and left out.
    pub fn begin(data: &Path, by_hand: ByHand, policy: Policy) -> (Planner, watch::Receiver<Plan>) {
        let applied = Applied::below(data);
        let plan = match by_hand {
            ByHand::Refused => Plan::default(),
            ByHand::Allowed => {
                let given = applied.read(&policy).and_then(|given| Ok(joined(&given)?));
                given.unwrap_or_else(|error| {
                    tracing::error!(error = chain(&error), "what was applied is not run");
                    Plan::default()
                })
            }
        };
        let (plan, planned) = watch::channel(plan);
        (Planner { applied, by_hand, policy, plan }, planned)
    }

    /// Fulfils wishes, one after the other, for ever.
    pub async fn serve(mut self, mut wishes: UnboundedReceiver<Wished>) {
        while let Some(Wished { wish, answer }) = wishes.recv().await {
            let done = match wish {
                Wish::GoDown => {
                    self.plan.send_modify(|plan| plan.mode = Mode::GoDown);
                    Ok(())
                }
                Wish::Apply(_) | Wish::Remove(_) if self.by_hand == ByHand::Refused => {
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
    }

    async fn apply(&mut self, file: PathBuf) -> Result<(), AppliedError> {
        let (applied, policy) = (self.applied.clone(), self.policy.clone());
        let given = aside(move || {
            let given = applied.with(&file, &policy)?;
            joined(&given)?;
            applied.keep(&file)?;
            Ok(given)
        });
        self.replan(&given.await?)
    }

    async fn remove(&mut self, name: &str) -> Result<(), AppliedError> {
        let (applied, policy, name) = (self.applied.clone(), self.policy.clone(), name.to_owned());
        let given = aside(move || {
            let given = applied.without(&name, &policy)?;
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

/// Away from the loop: an archive takes a while to read.
async fn aside<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, AppliedError> + Send + 'static,
) -> Result<T, AppliedError> {
    let done = spawn_blocking(work).await;
    done.unwrap_or_else(|_| Err(AppliedError::Ended))
}

#[cfg(test)]
mod tests;
