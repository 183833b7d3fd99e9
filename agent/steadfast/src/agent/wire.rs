//! What the settings and the board's facts make of the core's policy and of the ports.
//!
//! ```text
//! agent.toml, board.toml ──▶ policy ──▶ the core
//!                        ├─▶ ports, each a task with its own queue ──▶ Router
//!                        └─▶ planner and workloads, a task each ──▶ Reporter
//! ```
//!
//! Always true: a port is started once and lives as long as the agent.

use super::AgentError;
use super::board::{self, Board};
use super::config::{self, Config, Way};
use super::report::Reporter;
use super::route::{Router, serve, serve_newest};
use super::work::{self, ByHand, Node, Planner, Sources, Told, Wished};
use crate::protocol::work::Work;
use std::rc::Rc;
use std::time::Duration;
use steadfast_adapters::checks::{Checks, ChecksPort, Workload};
use steadfast_adapters::downloads::Downloads;
use steadfast_adapters::fetch::{self, Backoff, FetchPort};
use steadfast_adapters::http::Client;
use steadfast_adapters::manifest::{self, Privileged};
use steadfast_adapters::rauc::Rauc;
use steadfast_adapters::set_store::{SetPort, SetStore, Terms};
use steadfast_adapters::system::System;
use steadfast_core::{Event, Policy, Slot, gate};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::sync::watch;
use tokio::task::spawn_local;

/// What the core may decide with.
pub fn policy(config: &Config, board: &Board) -> Policy {
    Policy {
        compatible: board.compatible.clone(),
        room: board.room,
        fetch_attempts: config.limits.fetch_attempts,
        restarts: config.limits.restarts,
        commit_attempts: config.limits.commit_attempts,
    }
}

/// Which workload sets this node takes.
pub fn terms(config: &Config) -> Terms {
    let config::Work { keyring, host_paths, privileged, capabilities, apply: _ } =
        config.work.clone();
    let privileged = if privileged { Privileged::Allowed } else { Privileged::Forbidden };
    let policy = manifest::Policy { host_paths, privileged, capabilities, ..Default::default() };
    // What Rust and OCI call it (image-spec 1.1, "platform").
    let architecture = match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86_64" => "amd64",
        other => other,
    };
    Terms { keyring, architecture: architecture.to_owned(), policy }
}

/// What the loop is connected with.
#[derive(Debug)]
pub struct Wired {
    /// What the node says of itself.
    pub reporter: Reporter,
    /// To the ports.
    pub router: Router,
    /// To the planner of the workloads.
    pub wishes: UnboundedSender<Wished>,
}

/// Starts the ports, each as a task with its own queue, and the workloads.
pub fn wire(
    (config, board): (&Config, &Board),
    (downloads, sets): (&Downloads, &SetStore),
    slot: Slot,
    heard: UnboundedSender<Event>,
) -> Result<Wired, AgentError> {
    let (progress, progressed) = watch::channel(None);
    let (watched, checked) = watch::channel(Vec::new());
    let checks = Checks::load(&config.paths.checks)?;
    let millis = |seconds: u32| u64::from(seconds) * 1000;
    let rule =
        gate::Rule { soak: millis(config.gate.soak_s), deadline: millis(config.gate.deadline_s) };
    let stall = Duration::from_secs(config.limits.stall_s.into());
    let tls_ca = config.streaming.tls_ca.clone();
    let backoff = Backoff::new(board::this_boot()?);
    let http = tls_ca.clone().map_or_else(Client::default, Client::new);
    let fetch = FetchPort::new(http.clone(), fetch::LIMITS, backoff);
    let rauc = Rauc::new(stall, tls_ca, progress.clone()).assigning(sets.clone());
    let (fetch, rauc) = match config.fetch.way {
        Way::Stream => (fetch, rauc),
        Way::Download => {
            let fetch = fetch.downloading(downloads.clone(), progress);
            (fetch, rauc.reading(downloads.clone()))
        }
    };
    let (wishes, workloads, shown) = workloads(config, sets, slot)?;
    let checks = ChecksPort::new(checks, rule, http, watched).with_workloads(workloads);
    let router = Router {
        own: heard.clone(),
        fetch: serve_newest(fetch, heard.clone()),
        rauc: serve(rauc, heard.clone()),
        sets: serve(SetPort::new(sets.clone()), heard.clone()),
        boot: serve(board.store.clone(), heard.clone()),
        checks: serve(checks, heard.clone()),
        system: serve(System, heard),
    };
    Ok(Wired { reporter: Reporter::new(config, progressed, checked, shown), router, wishes })
}

/// Where wishes about workloads go, and where is told of them.
type Workloads =
    (UnboundedSender<Wished>, watch::Receiver<Option<Vec<Workload>>>, watch::Receiver<Rc<Work>>);

/// Starts the planner and the workloads' task.
fn workloads(config: &Config, sets: &SetStore, slot: Slot) -> Result<Workloads, AgentError> {
    let boot = board::this_boot()?;
    let by_hand = if config.work.apply { ByHand::Allowed } else { ByHand::Refused };
    let policy = terms(config).policy;
    let (sets, data) = (sets.clone(), config.paths.data.clone());
    let sources = Sources { sets, slot, data, by_hand, policy: policy.clone() };
    let (planner, plan) = Planner::new(sources);
    let (told, (workloads, shown)) = Told::new();
    let runtime = Node::new(config, policy, boot);
    spawn_local(runtime.clone().bound_logs());
    spawn_local(work::Work::new(runtime, plan, boot, told).run());
    let (wishes, heard) = unbounded_channel();
    spawn_local(planner.serve(heard));
    Ok((wishes, workloads, shown))
}
