//! What the node says of one version: the steps of its updates, how they ended, what its failed boots left.
//!
//! ```text
//! announced ─ … ─ ending      one update: every step between, whatever it was
//! ```
//!
//! Always true: a step is told once; the newest are told; what is told fits into one frame.

use super::{HISTORY, Reporter, history_ending, history_entry};
use crate::protocol::{FailedBoot, HistoryEnding, HistoryEntry, Response, VersionHistory};
use std::collections::VecDeque;
use steadfast_adapters::evidence::record::{self, Record, Records};
use steadfast_adapters::ledger_file::LedgerFile;
use steadfast_adapters::watchdog::LastReset;
use steadfast_core::ledger::Entry;
use steadfast_core::{Event, Update, Version};

/// How many steps, and how many endings, one answer holds; the rest of the frame is for what the failed boots left.
const STEPS: usize = HISTORY / 4;

const _: () =
    assert!(2 * STEPS * 512 + record::MOST * (64 << 10) < crate::protocol::MAX_FRAME as usize);

impl Reporter {
    /// All that is known of a version.
    pub fn history_of(&self, version: &str, ledger: &LedgerFile) -> Response {
        let mut failed = Records::new(&self.evidence).all();
        failed.retain(|record| record.failed.version == version);
        let told = failed.iter().map(|record| record.failed.sequence).collect();
        let mut about = About { version, told, ..About::default() };
        let read = ledger.for_each(|entry| about.hear(&entry));
        if let Err(error) = read {
            return Response::Refused { because: format!("the ledger could not be read: {error}") };
        }
        about.update_ended();
        if !about.known && failed.is_empty() {
            let because = format!("the ledger knows no version {version}");
            return Response::Refused { because };
        }
        Response::HistoryOf(VersionHistory {
            version: version.to_owned(),
            entries: about.entries.into(),
            endings: about.endings.into(),
            failed: failed.into_iter().map(failed_boot).collect(),
            withheld: false,
        })
    }
}

/// Gathers what the ledger says of one version.
#[derive(Default)]
struct About<'v> {
    version: &'v str,
    /// The steps that tell of its failed boots.
    told: Vec<u64>,
    /// Whether the ledger knows it at all.
    known: bool,
    /// How many updates had ended.
    endings_before: Option<u32>,
    /// The steps of the update under way, and whether it is to this version.
    under_way: Option<(VecDeque<HistoryEntry>, bool)>,
    entries: VecDeque<HistoryEntry>,
    endings: VecDeque<HistoryEnding>,
}

impl About<'_> {
    fn hear(&mut self, entry: &Entry) {
        let is_it = |version: Option<&Version>| {
            version.is_some_and(|version| version.as_str() == self.version)
        };
        let node = &entry.next;
        self.known |= is_it(node.running.as_ref());
        let first = if entry.sequence == 1 { 0 } else { node.endings };
        let ended = node.endings != self.endings_before.unwrap_or(first);
        self.endings_before = Some(node.endings);
        let ending = node.last.as_ref().filter(|_| ended);
        let of_it = match ending {
            Some(ending) => is_it(ending.version.as_ref()),
            // What settles is what runs; the update that it puts off is another one.
            None if matches!(node.update, Update::Settling { .. }) => false,
            None => is_it(node.update.version()),
        };
        if matches!(entry.event, Event::Announced(_) | Event::RollbackAsked) {
            self.under_way.get_or_insert_default();
        }
        match &mut self.under_way {
            Some((steps, to_it)) => {
                limited(steps, history_entry(entry));
                // An ending has the last word on what it was about.
                *to_it = of_it || (*to_it && ending.is_none());
            }
            None if (ending.is_some() && of_it) || self.told.contains(&entry.sequence) => {
                limited(&mut self.entries, history_entry(entry));
            }
            None => {}
        }
        if let Some(ending) = ending {
            if of_it {
                self.known = true;
                limited(&mut self.endings, history_ending(entry, ending));
            }
            self.update_ended();
        }
    }

    /// The steps of the update under way belong to this version, or to nobody here.
    fn update_ended(&mut self) {
        let Some((steps, true)) = self.under_way.take() else { return };
        self.known = true;
        steps.into_iter().for_each(|step| limited(&mut self.entries, step));
    }
}

/// Keeps the newest that fit into the answer.
fn limited<T>(list: &mut VecDeque<T>, item: T) {
    if list.len() == STEPS {
        list.pop_front();
    }
    list.push_back(item);
}

fn failed_boot(record: Record) -> FailedBoot {
    let Record { failed, kernel, journal } = record;
    FailedBoot {
        seq: failed.sequence,
        slot: failed.slot.to_string(),
        watchdog: failed.reset == LastReset::ByWatchdog,
        kernel,
        journal: journal.map(|kept| kept.lines),
    }
}

#[cfg(test)]
mod tests;
