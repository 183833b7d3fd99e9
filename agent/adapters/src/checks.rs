//! The health checks: read from files, run each on its own interval, heard by the gate.
//!
//! ```text
//! checks.d/*.toml ──load──▶ Checks ──▶ ChecksPort: run, wait, run … ──observe──▶ Gate ──▶ Judged
//! the workloads' task ──▶ Workload, on each change ──────────────────────▲  └── snapshot ──▶ status
//! ```
//!
//! Always true: the gate decides, this module reports; the first run of every check is at once; no
//! check waits for another; a check ends at its timeout, with every process that it started; who
//! stops waiting for the verdict stops the checks.

mod command;
mod load;
mod net;
mod run;
pub mod systemd;
#[cfg(test)]
mod tests;

pub use load::ChecksError;
pub use run::{ChecksPort, Judge};

use crate::http::Url;
use std::time::Duration;
use steadfast_core::Name;
use steadfast_core::gate::{Heard, Weight};

/// Where an image keeps its checks.
pub const FOLDER: &str = "/etc/steadfast/checks.d";

/// The checks of a node, at most [`steadfast_core::gate::MAX_CHECKS`], in the order of their files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Checks(Vec<Check>);

/// A workload as the gate hears of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Its pod.
    pub name: Name,
    /// Whether it decides.
    pub weight: Weight,
    /// Passed while it is ready; else what it lacks.
    pub heard: Heard,
}

/// One check.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Check {
    name: Name,
    weight: Weight,
    kind: Kind,
    /// From the start of one run to the start of the next.
    interval: Duration,
    /// When a run that has not ended has failed.
    timeout: Duration,
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Kind {
    /// The unit is active.
    Systemd(String),
    /// The program ends with exit code 0.
    Command { program: String, arguments: Vec<String> },
    /// The server answers with this status.
    Http { url: Url, status: u16 },
    /// Something accepts a connection.
    Tcp(String),
}
