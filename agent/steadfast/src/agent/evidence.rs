//! Which boot failed, by what the core makes of a start, and what of it is kept.
//!
//! ```text
//! booted event ──▶ the node it leads to ──▶ Failed ──▶ record on /data ──▶ entry saved ──▶ pstore cleared
//! ```
//!
//! Always true: what failed is the core's word (a trial that is condemned or came back), or the system that
//! ran before when something shows that it did not end as it should; nothing is kept of a start within
//! the same boot, because its journal goes on.

use std::path::Path;
use steadfast_adapters::evidence::Evidence;
use steadfast_adapters::evidence::journal::Kept;
use steadfast_adapters::evidence::record::{Failed, Record, Records};
use steadfast_adapters::watchdog::LastReset;
use steadfast_core::{Boot, Node, Outcome, Slot, Update, Version};

/// A failed boot that is still to be kept.
#[derive(Clone, Debug)]
pub struct Witness {
    failed: Failed,
    /// The boot that runs now.
    boot: [u8; 16],
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
}

impl Witness {
    /// The boot that failed, if one did.
    pub fn of(start: Start<'_>, boot: &Boot) -> Option<Witness> {
        let Start { before, after, sequence, reset } = start;
        if boot.id == before.boot {
            return None;
        }
        let (version, slot, ending) = failed(before, after, boot)?;
        let version = version.to_string();
        let failed = Failed { version, slot, sequence, ending, reset };
        Some(Witness { failed, boot: boot.id })
    }

    /// Keeps what there is of it. A disk that is full loses it, and the ledger still has its cause.
    pub fn keep(self, evidence: &Evidence, folder: &Path) {
        let Witness { failed, boot } = self;
        let of_failed = |kept: &Kept| {
            (kept.heading.slot, &kept.heading.version) == (failed.slot, &failed.version)
        };
        let journal = Kept::of_boot_before(boot, folder).filter(of_failed);
        let record = Record { kernel: evidence.kernel(), journal, failed };
        if let Err(error) = Records::new(folder).save(&record) {
            tracing::warn!(%error, "the evidence of the failed boot was not kept");
        }
    }
}

/// Which system failed, and which ending it leads to.
fn failed<'n>(
    before: &'n Node,
    after: &'n Node,
    boot: &Boot,
) -> Option<(&'n Version, Slot, Option<u32>)> {
    let next_ending = Some(after.endings + 1);
    if let Update::Condemning { trial, .. } = &after.update {
        return Some((&trial.version, trial.slot, next_ending));
    }
    let ended = after.last.as_ref().filter(|_| after.endings != before.endings);
    if let Some(last) = ended.filter(|last| last.outcome == Outcome::Returned) {
        return Some((last.version.as_ref()?, last.slot, Some(after.endings)));
    }
    boot.evidence.as_ref()?;
    let version = before.running.as_ref()?;
    let on_trial = matches!(&after.update, Update::Probation { trial, .. }
        if (&trial.version, trial.slot) == (version, before.booted));
    Some((version, before.booted, next_ending.filter(|_| on_trial)))
}

#[cfg(test)]
mod tests;
