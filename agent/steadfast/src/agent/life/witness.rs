//! When what shows a failed boot is kept, and when it is removed.
//!
//! ```text
//! start ──▶ keep ──▶ the entry ──▶ clear, or tell what could not be kept
//! tick  ──────────────────────────▶ keep ──▶ clear
//! ```
//!
//! Always true: the kernel's words are removed only once they are kept, however often the agent starts in the
//! meantime; of kernels whose words could not be kept the last one's are.

use super::super::evidence::{self, Witness};
use super::Life;
use std::io;
use std::path::PathBuf;
use steadfast_adapters::evidence::Evidence;
use steadfast_adapters::ledger_file::Kept;
use steadfast_adapters::watchdog::{LastReset, Watchdog};
use steadfast_core::Event;

impl Life {
    /// What shows how the last boot failed is kept before the entry that tells of it.
    pub(super) fn witness(&mut self, booted: &Event) {
        let Event::Booted(boot) = booted else { return };
        let after = &self.machine.expected(booted);
        let (before, sequence) = (self.machine.node(), self.machine.head().0 + 1);
        let (reset, evidence) = (self.last_reset(), &self.evidence());
        let start = evidence::Start { before, after, sequence, reset, evidence };
        let last = Witness::of(start, boot);
        self.failed = self.unkept(boot.id).into_iter().chain(last).collect();
        if let Err(error) = self.keep_evidence() {
            tracing::warn!(%error, "the evidence of the failed boot is not kept yet");
        }
    }

    /// The failed boot that this boot or an earlier one told of, if it is still to be kept.
    fn unkept(&self, boot: [u8; 16]) -> Option<Witness> {
        let evidence = self.evidence();
        let told = Some(boot).filter(|boot| *boot == self.machine.node().boot);
        let teller = evidence.owed().or(told)?;
        if self.ledger.kept() == Kept::Memory {
            return None;
        }
        let found = match teller == boot {
            true => Witness::again(&self.ledger, teller, self.last_reset(), &evidence),
            false => Witness::again(&self.ledger, teller, LastReset::Other, &evidence)
                .map(Witness::of_an_earlier_boot),
        };
        found.filter(|witness| !witness.is_kept(&self.records()))
    }

    fn keep_evidence(&mut self) -> io::Result<()> {
        while self.ledger.kept() == Kept::Data
            && let Some(failed) = self.failed.front()
        {
            failed.keep(&self.evidence(), &self.records())?;
            self.failed.pop_front();
        }
        Ok(())
    }

    /// What could not be kept yet is tried again: the disk may have room now.
    pub(super) fn retry_evidence(&mut self) {
        if !self.failed.is_empty() && self.keep_evidence().is_ok() {
            self.clear_evidence();
        }
    }

    /// The ledger came back to its disk, and what waited for it can be kept.
    pub(super) fn recover_evidence(&mut self) {
        // What is there already is kept once more, as it is.
        if let Some(unkept) = self.unkept(self.machine.node().boot) {
            self.failed.push_front(unkept);
        }
        if let Err(error) = self.keep_evidence() {
            tracing::warn!(%error, "the evidence of the failed boot is not kept yet");
        }
        self.clear_evidence();
    }

    /// Evidence is removed once it is kept, and the entry that tells of it is on the disk.
    pub(super) fn clear_evidence(&self) {
        match (self.ledger.kept(), self.failed.is_empty()) {
            (Kept::Memory, _) => {}
            (Kept::Data, false) => self.evidence().tell(self.machine.node().boot),
            (Kept::Data, true) => self.evidence().clear(),
        }
    }

    pub(super) fn last_reset(&self) -> LastReset {
        self.watchdog.as_ref().map_or(LastReset::Other, Watchdog::last_reset)
    }

    fn records(&self) -> PathBuf {
        self.data.join("evidence")
    }

    pub(super) fn evidence(&self) -> Evidence {
        Evidence { pstore: self.pstore.clone(), agent_exit: self.records().join("agent") }
    }
}
