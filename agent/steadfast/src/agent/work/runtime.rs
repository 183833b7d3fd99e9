//! What the workloads' task asks of the node: containers and what belongs to them.

use std::collections::BTreeSet;
use std::fmt;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;
use steadfast_adapters::containerd::FoundContainer;
use steadfast_adapters::manifest::{self, Pod};
use steadfast_core::probe::{Answer, Kind};
use steadfast_core::{Digest, Name};

/// Why something was not done, in the operator's words, on one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotDone(pub String);

impl fmt::Display for NotDone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A container to be made and started.
#[derive(Clone, Debug)]
pub struct Start {
    /// Of this pod.
    pub pod: Rc<Pod>,
    /// Its position in it.
    pub position: usize,
    /// How often it was started again.
    pub restarts: u8,
    /// The archive on the node that has its image, if there is one.
    pub archive: Option<PathBuf>,
}

impl Start {
    /// The container.
    pub fn container(&self) -> &manifest::Container {
        &self.pod.containers[self.position]
    }
}

/// A process to be ended.
#[derive(Clone, Debug)]
pub struct Stop {
    /// The container's id.
    pub id: String,
    /// The pod and the container's position in it, where its manifest is known.
    pub of: Option<(Rc<Pod>, usize)>,
    /// How long it may take to end by itself.
    pub grace: Duration,
}

/// A probe to be asked.
#[derive(Clone, Debug)]
pub struct Question {
    /// The container's id.
    pub container: String,
    /// The pod.
    pub pod: Rc<Pod>,
    /// The container's position in it.
    pub position: usize,
    /// Which probe.
    pub kind: Kind,
}

/// What is needed on the node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keep {
    /// The pods, by their names and what they are made from.
    pub pods: Vec<(Name, Digest)>,
    /// The images, as pods name them.
    pub images: BTreeSet<String>,
}

/// The node's containers. Each order is safe to repeat.
pub trait Runtime: Clone + 'static {
    /// All containers of ours.
    async fn find(&self) -> Result<Vec<FoundContainer>, NotDone>;
    /// Makes a container anew and starts its process; done when its `postStart` is.
    async fn start(&self, start: &Start) -> Result<(), NotDone>;
    /// Ends a process, after its `preStop`. None: fine.
    async fn stop(&self, stop: &Stop) -> Result<(), NotDone>;
    /// Removes a container that has no process. None: fine.
    async fn remove(&self, id: &str) -> Result<(), NotDone>;
    /// Asks a probe; a failure comes with a line that shows it. One that could not be asked says nothing.
    async fn ask(&self, question: &Question) -> Result<(Answer, String), NotDone>;
    /// Comes back when something may have changed that was not ordered.
    async fn changed(&self);
    /// Has away what else there is of pods: folders, mounts, logs, images.
    async fn clean(&self, keep: Keep);
    /// The last line of a container's log.
    fn last_words(&self, pod: &str, container: &str) -> String;
}
