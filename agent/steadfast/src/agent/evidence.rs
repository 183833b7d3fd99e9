//! Which boot failed, by what the core makes of a start, and what of it is kept.
//!
//! ```text
//! booted event ──▶ the node it leads to ──▶ Failed ──▶ record on /data ──▶ entry saved ──▶ pstore cleared
//! ledger ──────────▶ the boot that told of it ─┘       what an agent before this one could not keep
//! ```
//!
//! Always true: what failed is the core's word (a trial that is condemned or came back), or the system that
//! ran before when something shows that it did not end as it should; of a start within the same boot
//! nothing new is kept, because its journal goes on. What a kernel said that went on is kept, too, and blamed
//! on no ending.

use std::io;
use std::path::Path;
use steadfast_adapters::evidence::Evidence;
use steadfast_adapters::evidence::journal::Kept;
use steadfast_adapters::evidence::record::{Failed, Record, Records};
use steadfast_adapters::ledger_file::LedgerFile;
use steadfast_adapters::watchdog::LastReset;
use steadfast_core::{Boot, Event, Node, Outcome, Slot, Update, Version};

/// A failed boot that is still to be kept.
#[derive(Clone, Debug)]
pub struct Witness {
    failed: Failed,
    /// The boot that tells of it.
    boot: [u8; 16],
    journal: Journal,
}

/// What is left of the failed boot's journal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Journal {
    /// It is the last but that of the boot which runs.
    Last,
    /// Other boots have written since.
    Gone,
}

/// What the agent knows at its start.
#[derive(Clone, Copy, Debug)]
pub struct Start<'s> {
    /// The node as it was left.
    pub before: &'s Node,
    /// The node as it will be.
    pub after: &'s Node,
    /// The entry that will say so.
    pub sequence: u64,
    /// Who made the last reset.
    pub reset: LastReset,
    /// What the last end left behind.
    pub evidence: &'s Evidence,
}

impl Witness {
    /// The boot that failed, if one did.
    pub fn of(start: Start<'_>, boot: &Boot) -> Option<Witness> {
        let Start { before, sequence, reset, .. } = start;
        if boot.id == before.boot {
            return None;
        }
        let (version, slot, ending) = failed(start, boot)?;
        let version = version.to_string();
        let failed = Failed { version, slot, sequence, ending, reset };
        Some(Witness { failed, boot: boot.id, journal: Journal::Last })
    }

    /// The same, by what the ledger says of the first start within this boot.
    pub fn again(
        ledger: &LedgerFile,
        teller: [u8; 16],
        reset: LastReset,
        evidence: &Evidence,
    ) -> Option<Witness> {
        let (mut before, mut found) = (Node::default(), None);
        let read = ledger.for_each(|entry| {
            let (after, sequence) = (entry.next, entry.sequence);
            if let Event::Booted(boot) = entry.event
                && boot.id == teller
            {
                let (before, after) = (&before, &after);
                let start = Start { before, after, sequence, reset, evidence };
                found = found.take().or_else(|| Witness::of(start, &boot));
            }
            before = after;
        });
        read.ok().and(found)
    }

    /// The same, of which a boot told that is over.
    pub fn of_an_earlier_boot(self) -> Witness {
        Witness { journal: Journal::Gone, ..self }
    }

    /// Whether there is a record of it.
    pub fn is_kept(&self, folder: &Path) -> bool {
        let records = Records::new(folder).all();
        records.iter().any(|record| record.failed.sequence == self.failed.sequence)
    }

    /// Keeps what there is of it. The error is that of the disk: it may be full.
    pub fn keep(&self, evidence: &Evidence, folder: &Path) -> io::Result<()> {
        let Witness { failed, boot, journal } = self;
        let of_failed = |kept: &Kept| {
            (kept.heading.slot, &kept.heading.version) == (failed.slot, &failed.version)
        };
        let journal = match journal {
            Journal::Last => Kept::of_boot_before(*boot, folder).filter(of_failed),
            Journal::Gone => None,
        };
        let kernel = evidence.kernel(*boot);
        Records::new(folder).save(&Record { kernel, journal, failed: failed.clone() })
    }
}

/// Which system failed, and which ending it leads to.
fn failed<'n>(start: Start<'n>, boot: &Boot) -> Option<(&'n Version, Slot, Option<u32>)> {
    let Start { before, after, evidence, .. } = start;
    let next_ending = Some(after.endings + 1);
    if let Update::Condemning { trial, .. } = &after.update {
        return Some((&trial.version, trial.slot, next_ending));
    }
    let ended = after.last.as_ref().filter(|_| after.endings != before.endings);
    if let Some(last) = ended.filter(|last| last.outcome == Outcome::Returned) {
        return Some((last.version.as_ref()?, last.slot, Some(after.endings)));
    }
    let version = before.running.as_ref()?;
    if boot.evidence.is_none() {
        // An oops, perhaps: the kernel went on.
        return evidence.kernel(boot.id).map(|_| (version, before.booted, None));
    }
    let on_trial = matches!(&after.update, Update::Probation { trial, .. }
        if (&trial.version, trial.slot) == (version, before.booted));
    Some((version, before.booted, next_ending.filter(|_| on_trial)))
}

#[cfg(test)]
mod tests;
