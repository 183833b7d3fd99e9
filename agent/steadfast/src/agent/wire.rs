//! What the settings and the board's facts make of the core's policy and of the ports.
//!
//! ```text
//! agent.toml, board.toml ──▶ policy ──▶ the core
//!                        └─▶ ports, each a task with its own queue ──▶ Router
//! ```
//!
//! Always true: a port is started once and lives as long as the agent.

use super::AgentError;
use super::board::{self, Board};
use super::config::{Config, Way};
use super::report::Reporter;
use super::route::{Router, serve, serve_newest};
use std::time::Duration;
use steadfast_adapters::checks::{Checks, ChecksPort};
use steadfast_adapters::downloads::Downloads;
use steadfast_adapters::fetch::{self, Backoff, FetchPort};
use steadfast_adapters::http::Client;
use steadfast_adapters::rauc::Rauc;
use steadfast_adapters::system::System;
use steadfast_core::{Event, Policy, gate};
use tokio::sync::mpsc::UnboundedSender;
use tokio::sync::watch;

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

/// Starts the ports, each as a task with its own queue.
pub fn wire(
    config: &Config,
    board: &Board,
    downloads: &Downloads,
    heard: UnboundedSender<Event>,
) -> Result<(Reporter, Router), AgentError> {
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
    let rauc = Rauc::new(stall, tls_ca, progress.clone());
    let (fetch, rauc) = match config.fetch.way {
        Way::Stream => (fetch, rauc),
        Way::Download => {
            let fetch = fetch.downloading(downloads.clone(), progress);
            (fetch, rauc.reading(downloads.clone()))
        }
    };
    let router = Router {
        own: heard.clone(),
        fetch: serve_newest(fetch, heard.clone()),
        rauc: serve(rauc, heard.clone()),
        boot: serve(board.store.clone(), heard.clone()),
        checks: serve(ChecksPort::new(checks, rule, http, watched), heard.clone()),
        system: serve(System, heard),
    };
    Ok((Reporter::new(config, progressed, checked), router))
}
