//! The tool: every word of the command line that asks the agent, or makes something for a node.
//!
//! ```text
//! words ──▶ client ──▶ agent          words ──▶ set ──▶ archive of a workload set
//!             │                                  │
//!             ▼                                  ▼
//!    lines (status, history, update) ─────────▶ output
//! ```
//!
//! `logs` reads the files of containers, and so needs no agent; `completion` and `man` tell what the words are.
//!
//! Always true: what was asked for goes to the standard output, and why it was not done to the
//! standard error; exit 0 done, 1 not done, 2 misused.

mod client;
mod exec;
mod history;
mod logs;
mod manual;
mod order;
mod output;
mod set;
mod status;
mod time;
mod update;
mod watch;
mod work;

#[cfg(test)]
mod fake;

use crate::cli::{
    CompletionArgs, ExecArgs, HistoryArgs, LogsArgs, ManArgs, SetCommand, StatusArgs, StopPodsArgs,
    UpdateArgs, WorkArgs,
};
use client::ClientError;
use output::{Console, Line, Style, Tone, screen};
use std::error::Error;
use std::io;
use std::path::Path;
use std::process::ExitCode;
use std::time::SystemTime;

/// What the tool is asked to do.
#[derive(Debug)]
pub enum Order {
    /// Show where the node stands.
    Status(StatusArgs),
    /// Install a bundle.
    Update(UpdateArgs),
    /// Show what happened.
    History(HistoryArgs),
    /// Show what a pod's containers wrote; needs no agent.
    Logs(LogsArgs),
    /// Keep what runs.
    Confirm,
    /// Go back.
    Rollback,
    /// Take back what waits.
    Cancel,
    /// Show the pods, or give an order about them.
    Work(WorkArgs),
    /// Stop all pods.
    StopPods(StopPodsArgs),
    /// Make, sign or look at a workload set; needs no node.
    Set(SetCommand),
    /// Print what completes the command line; needs no node.
    Completion(CompletionArgs),
    /// Write the manual; needs no node.
    Man(ManArgs),
}

/// What was not done, why, and where the node stands.
#[derive(Debug, PartialEq, Eq)]
struct NotDone {
    what: String,
    because: Vec<String>,
    node: String,
}

/// What was not done where no node is concerned, and why.
#[derive(Debug, PartialEq, Eq)]
struct NotMade {
    what: String,
    because: Vec<String>,
}

/// Why the tool ends with status 1.
#[derive(Debug)]
enum ToolError {
    NotDone(NotDone),
    NotMade(NotMade),
    Output(io::Error),
}

impl From<NotDone> for ToolError {
    fn from(not_done: NotDone) -> ToolError {
        ToolError::NotDone(not_done)
    }
}

impl From<NotMade> for ToolError {
    fn from(not_made: NotMade) -> ToolError {
        ToolError::NotMade(not_made)
    }
}

impl From<io::Error> for ToolError {
    fn from(error: io::Error) -> ToolError {
        ToolError::Output(error)
    }
}

impl NotDone {
    /// The agent gave no answer, and nothing was asked of it that could have changed anything.
    fn unanswered(what: impl Into<String>, error: &ClientError) -> NotDone {
        let node = match error {
            ClientError::NotAllowed(_) => "not asked; try again as root",
            _ => "not known without the agent; see systemctl status steadfast",
        };
        NotDone { what: what.into(), because: chain(error), node: node.into() }
    }

    fn lines(&self) -> Vec<Line> {
        let mut lines = told(&self.what, &self.because);
        lines.push(Line::new("node", &self.node));
        lines
    }
}

impl NotMade {
    fn lines(&self) -> Vec<Line> {
        told(&self.what, &self.because)
    }
}

fn told(what: &str, because: &[String]) -> Vec<Line> {
    let because = because.iter().filter(|because| !because.is_empty());
    let error = Line::new("error", what).toned(Tone::Bad);
    let because = because.map(|because| Line::new("because", because));
    std::iter::once(error).chain(because).collect()
}

/// The error and what lies behind it, one by one.
fn chain(error: &dyn Error) -> Vec<String> {
    let mut chain = vec![error.to_string()];
    let mut behind = error.source();
    while let Some(error) = behind {
        chain.push(error.to_string());
        behind = error.source();
    }
    chain
}

/// Runs a program in a container. The answer is the program's own exit status, or 1 when it was not run.
pub fn exec(args: &ExecArgs) -> ExitCode {
    match exec::run(args) {
        Ok(code) => ExitCode::from(code),
        Err(not_done) => {
            eprint!("{}", screen(&not_done.lines(), Style::of(&io::stderr())));
            ExitCode::FAILURE
        }
    }
}

/// Does what is asked. The answer is the process's exit status.
pub fn run(socket: &Path, order: &Order) -> ExitCode {
    let mut out = io::stdout().lock();
    let style = Style::of(&out);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let now = now.map_or(0, |now| now.as_secs());
    let mut console = Console { out: &mut out, style, now };
    let done = match order {
        Order::Status(args) => status::run(socket, args, &mut console),
        Order::Update(args) => update::run(socket, args, &mut console),
        Order::History(args) => history::run(socket, args, &mut console),
        Order::Logs(args) => logs::run(args, &mut console),
        Order::Confirm => order::confirm(socket, &mut console),
        Order::Rollback => order::rollback(socket, &mut console),
        Order::Cancel => order::cancel(socket, &mut console),
        Order::Work(args) => work::run(socket, args, &mut console),
        Order::StopPods(args) => work::stop(socket, args, &mut console),
        Order::Set(command) => set::run(command, &mut console),
        Order::Completion(args) => manual::completion(args, &mut console),
        Order::Man(args) => manual::pages(args, &mut console),
    };
    match done {
        Ok(()) => return ExitCode::SUCCESS,
        // Whoever closed the pipe knows.
        Err(ToolError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
        Err(ToolError::Output(error)) => eprintln!("error    nothing can be written: {error}"),
        Err(ToolError::NotDone(not_done)) => {
            eprint!("{}", screen(&not_done.lines(), Style::of(&io::stderr())));
        }
        Err(ToolError::NotMade(not_made)) => {
            eprint!("{}", screen(&not_made.lines(), Style::of(&io::stderr())));
        }
    }
    ExitCode::FAILURE
}
