//! What the node says of itself: the core's memory in the words of the protocol.

mod version;

use super::config::Config;
use crate::protocol::work::Work;
use crate::protocol::{
    AgentStatus, BootStatus, CauseStatus, CheckStatus, EndingStatus, History, HistoryEnding,
    HistoryEntry, LedgerStatus, Left, Progress, Response, SetStatus, Status, System, UpdateStatus,
};
use std::collections::VecDeque;
use std::path::PathBuf;
use std::rc::Rc;
use steadfast_adapters::boot_store::{BootStoreError, Snapshot};
use steadfast_adapters::ledger_file::{Kept, LedgerFile};
use steadfast_adapters::rauc;
use steadfast_core::gate::{Heard, Subject, Watched, Weight};
use steadfast_core::ledger::Entry;
use steadfast_core::{
    Committed, Ending, Event, Failure, Node, Offer, OtherSlot, SetId, Slot, Update, Verdict, Why,
};
use tokio::sync::watch;

/// How many entries, and how many endings, one answer holds: the newest. An entry is at most about
/// 500 bytes as an answer, so both fit into one frame.
const HISTORY: usize = 1000;

/// What is needed to answer, beside the core's memory.
#[derive(Debug)]
pub struct Reporter {
    node: String,
    progress: watch::Receiver<rauc::Progress>,
    checks: watch::Receiver<Vec<Watched>>,
    work: watch::Receiver<Rc<Work>>,
    committed: Option<(Committed, u64)>,
    /// Where what failed is kept, and where the start of /data leaves word of a repair or a loss (whoever
    /// has read that removes it).
    evidence: PathBuf,
}

impl Reporter {
    /// A reporter for the node that the settings name.
    pub fn new(
        config: &Config,
        progress: watch::Receiver<rauc::Progress>,
        checks: watch::Receiver<Vec<Watched>>,
        work: watch::Receiver<Rc<Work>>,
    ) -> Reporter {
        let host = || rustix::system::uname().nodename().to_string_lossy().into_owned();
        let node = config.node.name.clone().unwrap_or_else(host);
        let evidence = config.paths.data.join("evidence");
        Reporter { node, progress, checks, work, committed: None, evidence }
    }

    /// Learns from the ledger when the running system was committed.
    pub fn remember(&mut self, ledger: &LedgerFile) {
        let read = ledger.for_each(|entry| self.learn(&entry.next, entry.at.unix_s));
        if let Err(error) = read {
            tracing::warn!(%error, "the ledger could not be read for the time of the last commit");
        }
    }

    /// Learns from what was just saved.
    pub fn saw(&mut self, node: &Node) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        self.learn(node, now.unwrap_or_default().as_secs());
    }

    fn learn(&mut self, node: &Node, unix_s: u64) {
        let Some(now) = &node.committed else { return };
        let known = self.committed.as_ref().map(|(before, _)| (before.slot, &before.version));
        if known != Some((now.slot, &now.version)) {
            self.committed = Some((now.clone(), unix_s));
        }
    }

    /// Comes back when an install, a check or a workload has news.
    pub async fn moved(&mut self) {
        let gone = tokio::select! {
            moved = self.progress.changed() => moved.is_err(),
            moved = self.checks.changed() => moved.is_err(),
            moved = self.work.changed() => moved.is_err(),
        };
        if gone {
            // The ports live as long as the agent; without them there is no news.
            std::future::pending().await
        }
    }

    /// Where the node stands.
    pub fn status(
        &self,
        node: &Node,
        ledger: &LedgerFile,
        boot: Result<Snapshot, BootStoreError>,
        warnings: Vec<String>,
    ) -> Response {
        Response::Status(Box::new(Status {
            node: self.node.clone(),
            system: self.system(node),
            update: self.update(node),
            boot: boot_status(boot),
            ledger: self.ledger_status(ledger),
            checks: self
                .checks
                .borrow()
                .iter()
                .filter(|it| is_check(it))
                .map(check_status)
                .collect(),
            work: Work::clone(&self.work.borrow()),
            floor: node.floor.as_ref().map(ToString::to_string),
            refused: node.refused.iter().map(ToString::to_string).collect(),
            warnings,
            agent: agent_status(),
        }))
    }

    /// The workloads.
    pub fn work(&self) -> Response {
        Response::Work(Box::new(Work::clone(&self.work.borrow())))
    }

    /// The ledger, and what the data file system's start had to tell of it.
    fn ledger_status(&self, ledger: &LedgerFile) -> LedgerStatus {
        let told = std::fs::read_to_string(self.evidence.join("data")).ok();
        let told =
            told.and_then(|text| text.lines().next().map(|line| format!("/data was {line}")));
        let damage: Vec<String> =
            ledger.damage().map(str::to_owned).into_iter().chain(told).collect();
        let kept = match ledger.kept() {
            Kept::Data => "data",
            Kept::Memory => "memory",
        };
        let chain = if ledger.broken_at().is_none() { "whole" } else { "broken" };
        LedgerStatus {
            entries: ledger.entries(),
            kept: kept.to_owned(),
            damage: (!damage.is_empty()).then(|| damage.join("; ")),
            chain: chain.to_owned(),
        }
    }

    fn system(&self, node: &Node) -> System {
        let committed = self.committed.as_ref().filter(|(it, _)| it.slot == node.booted);
        System {
            version: node.running.as_ref().map(ToString::to_string).unwrap_or_default(),
            slot: node.booted.to_string(),
            standing: standing(node).to_owned(),
            doubt: node.doubt.as_ref().map(ToString::to_string),
            previous: node.previous.as_ref().map(|it| it.version.to_string()),
            committed_unix_s: committed.map(|(_, unix_s)| *unix_s),
            set: node.set.map(set_status),
        }
    }

    fn update(&self, node: &Node) -> UpdateStatus {
        let progress = self.progress.borrow();
        let moves = matches!(node.update, Update::Fetching { .. } | Update::Installing { .. });
        let progress = progress.as_ref().filter(|_| moves);
        let ordinary = matches!(&node.update,
            Update::Settling { trial } | Update::Committing { trial, .. }
                if trial.why == Why::Restart);
        UpdateStatus {
            state: node.update.name().to_owned(),
            release: node.update.version().filter(|_| !ordinary).map(ToString::to_string),
            progress: progress
                .map(|(percent, step)| Progress { percent: *percent, step: step.clone() }),
            set: node.set_under_way().map(set_status),
            last: node.last.as_ref().map(ending_status),
        }
    }

    /// The ledger, entry by entry.
    pub fn history(&self, ledger: &LedgerFile) -> Response {
        let (mut entries, mut ended) = (VecDeque::new(), VecDeque::new());
        let mut endings = None;
        let read = ledger.for_each(|entry| {
            // Of the oldest entry that is kept nobody knows whether the ending was new.
            let first = if entry.sequence == 1 { 0 } else { entry.next.endings };
            if entry.next.endings != endings.unwrap_or(first)
                && let Some(last) = &entry.next.last
            {
                push(&mut ended, history_ending(&entry, last));
            }
            endings = Some(entry.next.endings);
            push(&mut entries, history_entry(&entry));
        });
        let history = History { entries: entries.into(), endings: ended.into() };
        match read {
            Ok(()) => Response::History(history),
            Err(error) => {
                Response::Refused { because: format!("the ledger could not be read: {error}") }
            }
        }
    }
}

/// Keeps the newest that fit into one answer.
fn push<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() == HISTORY {
        list.pop_front();
    }
    list.push_back(item);
}

/// How far the running system is trusted.
fn standing(node: &Node) -> &'static str {
    match &node.update {
        Update::Probation { .. } | Update::Leaving { .. } => "probation",
        Update::Committing { trial, .. } if trial.why != Why::Restart => "probation",
        Update::Settling { .. } | Update::Committing { .. } => "settling",
        _ if node.runs_committed() => "committed",
        _ => "uncommitted",
    }
}

fn boot_status(read: Result<Snapshot, BootStoreError>) -> BootStatus {
    let snapshot = match read {
        Ok(snapshot) => snapshot,
        Err(error) => {
            let copies = vec![steadfast_adapters::chain(&error)];
            let left = Left { A: 0, B: 0 };
            let (primary, order) = (None, Vec::new());
            return BootStatus { primary, order, left, rearms: 0, sequence: 0, copies };
        }
    };
    BootStatus::from(&snapshot)
}

impl From<&Snapshot> for BootStatus {
    fn from(snapshot: &Snapshot) -> BootStatus {
        let env = &snapshot.current.env;
        let copy = |copy: &Result<_, _>| match copy {
            Ok(_) => "valid".to_owned(),
            Err(error) => ToString::to_string(error),
        };
        BootStatus {
            primary: env.primary().map(|slot| slot.to_string()),
            order: env.order.iter().map(ToString::to_string).collect(),
            left: Left { A: env.left[Slot::A as usize], B: env.left[Slot::B as usize] },
            rearms: env.rearms,
            sequence: env.sequence,
            copies: snapshot
                .copies
                .iter()
                .map(|it| copy(&it.as_ref().map(|_| ()).map_err(|e| *e)))
                .collect(),
        }
    }
}

/// Workloads are told of elsewhere.
fn is_check(watched: &Watched) -> bool {
    matches!(watched.subject, Subject::Check(_))
}

fn check_status(check: &Watched) -> CheckStatus {
    let (state, evidence) = match &check.heard {
        Heard::Nothing => ("unheard", ""),
        Heard::Passed => ("passed", ""),
        Heard::Failed(evidence) => ("failed", evidence.as_str()),
    };
    CheckStatus {
        name: check.subject.name().to_string(),
        required: check.weight == Weight::Required,
        state: state.to_owned(),
        evidence: evidence.to_owned(),
    }
}

fn agent_status() -> AgentStatus {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let rss = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let rss = rss.and_then(|line| line.split_whitespace().next()?.parse().ok());
    AgentStatus {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        pid: std::process::id(),
        rss_kib: rss.unwrap_or(0),
    }
}

fn set_status(set: SetId) -> SetStatus {
    SetStatus { digest: set.digest.to_string(), generation: set.generation }
}

fn cause_status(failure: &Failure) -> CauseStatus {
    CauseStatus {
        kind: failure.cause.kind().to_owned(),
        name: failure.cause.name().map(str::to_owned),
        text: failure.cause.to_string(),
    }
}

fn evidence(failure: Option<&Failure>) -> String {
    failure.map(|failure| failure.evidence.as_str().to_owned()).unwrap_or_default()
}

fn ending_status(ending: &Ending) -> EndingStatus {
    EndingStatus {
        release: ending.version.as_ref().map(ToString::to_string),
        outcome: ending.outcome.name().to_owned(),
        cause: ending.failure.as_ref().map(cause_status),
        evidence: evidence(ending.failure.as_ref()),
        slot: ending.slot.to_string(),
        set: ending.set.map(set_status),
    }
}

fn history_ending(entry: &Entry, ending: &Ending) -> HistoryEnding {
    let EndingStatus { release, outcome, cause, evidence, slot, set } = ending_status(ending);
    let (seq, unix_s) = (entry.sequence, entry.at.unix_s);
    HistoryEnding { seq, unix_s, release, outcome, cause, evidence, slot, set }
}

fn history_entry(entry: &Entry) -> HistoryEntry {
    HistoryEntry {
        seq: entry.sequence,
        unix_s: entry.at.unix_s,
        boot_s: entry.at.boot_ms as f64 / 1000.0,
        event: entry.event.name().to_owned(),
        detail: detail(&entry.event),
        state: entry.next.update.name().to_owned(),
        slot: entry.next.booted.to_string(),
    }
}

/// More of an event, in the operator's words.
fn detail(event: &Event) -> String {
    let done = |outcome: &Result<(), Failure>| match outcome {
        Ok(()) => String::new(),
        Err(failure) => format!("not: {failure}"),
    };
    match event {
        Event::Booted(boot) => {
            let other = match boot.other {
                OtherSlot::Bad => "may not boot",
                OtherSlot::Untried => "not tried yet",
                OtherSlot::Tried => "was tried",
                OtherSlot::Unknown => "cannot be told",
            };
            let found = boot.evidence.as_ref().map(|found| format!("; {found}"));
            let (slot, version) = (boot.slot, &boot.version);
            let other = format!("{} {other}", slot.other());
            format!("{version} in slot {slot}, {other}{}", found.unwrap_or_default())
        }
        Event::Announced(Offer { source, set: Some(set), .. }) => format!("{source} with {set}"),
        Event::Announced(offer) => offer.source.to_string(),
        Event::Staged(Ok(found)) => format!("{}, digest {}", found.set, found.set.digest),
        Event::Staged(Err(failure)) => format!("not: {failure}"),
        Event::Verified(Ok(found)) => format!("{} for {}", found.bundle.version, found.compatible),
        Event::Verified(Err(failure)) => format!("not: {failure}"),
        Event::Fetched(outcome)
        | Event::Installed(outcome)
        | Event::Activated(outcome)
        | Event::Committed(outcome)
        | Event::Condemned(outcome) => done(outcome),
        Event::Judged(Verdict::Healthy) => "healthy".to_owned(),
        Event::Judged(Verdict::Unhealthy(failure)) => format!("unhealthy: {failure}"),
        Event::WindowOpened
        | Event::Confirmed
        | Event::RollbackAsked
        | Event::CancelAsked
        | Event::ShutdownAsked
        | Event::Ticked => String::new(),
    }
}

#[cfg(test)]
mod tests;
