//! What is told of the workloads.

use serde::{Deserialize, Serialize};

/// The workloads of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Work {
    /// What runs them.
    pub runtime: RuntimeStatus,
    /// In the order of their names.
    pub pods: Vec<PodStatus>,
}

/// What runs the workloads.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RuntimeStatus {
    /// `up`, or `down` while it does not answer.
    pub state: String,
    /// Why it is down.
    pub because: Option<String>,
}

/// A pod.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PodStatus {
    /// Its name.
    pub name: String,
    /// `pending`, `running`, `succeeded` or `failed`, as Kubernetes has it; `ending` when it is wanted no more.
    pub phase: String,
    /// Whether all of it is ready, or has done its work.
    pub ready: bool,
    /// Whether the node's health hangs on it.
    pub required: bool,
    /// The digest of what it is made from, in hexadecimal; none when it is wanted no more.
    pub manifest: Option<String>,
    /// What it lacks.
    pub because: Option<String>,
    /// Its containers in the order of their start.
    pub containers: Vec<ContainerStatus>,
}

/// A container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerStatus {
    /// Its name in the pod.
    pub name: String,
    /// `init`, `sidecar` or `main`.
    pub role: String,
    /// The image, as the manifest names it.
    pub image: String,
    /// `waiting`, `running` or `ended`.
    pub state: String,
    /// Whether it is ready.
    pub ready: bool,
    /// How often in a row it was started again.
    pub restarts: u8,
    /// Its process.
    pub pid: Option<u32>,
    /// The exit code of its last process.
    pub exit: Option<u32>,
    /// Why it is as it is.
    pub reason: Option<String>,
    /// When it is started again, in seconds since 1970 by the node's clock.
    pub again_unix_s: Option<u64>,
}
