//! What should run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::rc::Rc;
use steadfast_adapters::manifest::Pod;
use steadfast_core::gate::Weight;

/// What should run on the node.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// The pods, each with another name.
    pub pods: Vec<Planned>,
    /// Whether they run.
    pub mode: Mode,
    /// How much of it is known.
    pub set: SlotSet,
}

/// What is known of the set of the slot that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SlotSet {
    /// It is being read: nobody can say yet what should run.
    #[default]
    Unread,
    /// It is in the plan, or there is none.
    Read,
    /// It cannot be read, and why.
    Lost(String),
}

/// A pod that is wanted.
#[derive(Clone, Debug)]
pub struct Planned {
    /// The pod.
    pub pod: Rc<Pod>,
    /// Whether the node's health hangs on it.
    pub weight: Weight,
    /// Where the images of all pods are to be had on the node.
    pub images: Rc<Images>,
}

/// The archives of the node by the images in them: the name that pods use, and the file.
pub type Images = BTreeMap<String, PathBuf>;

/// Whether pods run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// They do.
    #[default]
    Run,
    /// The machine goes down: what runs is stopped, and nothing is started or removed.
    GoDown,
}
