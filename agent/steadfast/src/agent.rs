//! The daemon: it hears events, lets the core decide, saves, and gives the orders.
//!
//! ```text
//! ports ──Event──▶ ┌────────┐ ──Action──▶ route ──▶ ports (a task and a queue each)
//! control socket ─▶│  life  │
//! tick ───────────▶└────────┘ ──▶ ledger, watchdog, systemd, console
//! ```
//!
//! Always true: one thread; an order is given only after its entry is saved; the watchdog is fed
//! only by a completed turn, so a long install never delays it and a stuck loop always shows.

pub mod board;
pub mod config;
pub mod control;
mod evidence;
mod life;
mod report;
mod route;
mod wire;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// Where the daemon finds its settings and its callers.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The agent's settings.
    pub config: PathBuf,
    /// The board's profile.
    pub board: PathBuf,
    /// The control socket.
    pub socket: PathBuf,
}

/// Why the daemon could not start, or ended.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    /// The settings are wrong.
    #[error(transparent)]
    Config(#[from] config::ConfigError),
    /// The board's facts are wrong or do not fit this machine.
    #[error(transparent)]
    Board(#[from] board::BoardError),
    /// The checks are wrong.
    #[error("the health checks could not be read")]
    Checks(#[from] steadfast_adapters::checks::ChecksError),
    /// Not even a ledger in memory could be made.
    #[error("no ledger could be opened, neither on /data nor in memory")]
    Ledger(#[source] std::io::Error),
    /// An entry could be saved nowhere.
    #[error("the ledger could not be written, neither on /data nor in memory")]
    Save(#[source] std::io::Error),
    /// The control socket could not be made.
    #[error("the control socket {path} could not be made")]
    Socket {
        /// Its path.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The runtime or its signals could not be set up.
    #[error("the agent could not start")]
    Start(#[source] std::io::Error),
}

/// Runs the daemon until it is told to end.
pub fn run(paths: &Paths) -> ExitCode {
    let journal = log_to_journal();
    match start(paths) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let chain = steadfast_adapters::chain(&error);
            tracing::error!(error = chain, "the agent ended");
            // Said once: without the journal the line above is on standard error, and a service's
            // standard error is the journal (systemd.exec(5), JOURNAL_STREAM).
            let service = std::env::var_os("JOURNAL_STREAM").is_some();
            if journal == Journal::Connected && !service {
                eprintln!("error    the agent ended\nbecause  {chain}");
            }
            ExitCode::FAILURE
        }
    }
}

fn start(paths: &Paths) -> Result<(), AgentError> {
    let config = config::Config::load(&paths.config)?;
    let board = board::Board::load(&paths.board)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(AgentError::Start)?;
    let ended = tokio::task::LocalSet::new().block_on(&runtime, life::live(paths, config, board));
    // A read that hangs on a dead medium must not hold the agent's end.
    runtime.shutdown_background();
    ended
}

/// Where the agent's words go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Journal {
    /// To the journal.
    Connected,
    /// To standard error.
    Absent,
}

fn log_to_journal() -> Journal {
    let registry = tracing_subscriber::registry().with(LevelFilter::INFO);
    match tracing_journald::layer() {
        Ok(journal) => {
            registry.with(journal).init();
            Journal::Connected
        }
        Err(_) => {
            registry.with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr)).init();
            Journal::Absent
        }
    }
}

#[cfg(test)]
mod tests;
