//! What came of all cuts: the way that the node went, and every node that was lost.

use std::collections::BTreeMap;

use super::cut::{Cut, Kind};
use super::data::Memory;
use super::judge::Verdict;

/// How many faults are told in full.
const TOLD: usize = 5;

/// What the node runs from point to point, and how its ledger grows.
#[derive(Default)]
pub(super) struct Way {
    /// In the order in which it ran them.
    pub(super) runs: Vec<String>,
    /// Points, and what it runs there by which change of the boot environment, when everything is on the disk in order.
    ran: Vec<(usize, String, String)>,
    /// Points, and the ledger's last entry there.
    pub(super) last: Vec<(usize, u64)>,
    /// Cuts after which the data partition had to be repaired.
    pub(super) repaired: usize,
}

impl Way {
    /// Takes the verdict of a cut; the points come in their order.
    pub(super) fn remember(&mut self, cut: &Cut, verdict: Verdict) -> Result<(), String> {
        let Verdict { runs, change, memory: Memory { ledger, repaired } } = verdict;
        self.repaired += usize::from(repaired);
        let sure = self.last.iter().rfind(|(point, _)| *point <= cut.durable);
        if let Some((point, last)) = sure.filter(|(_, last)| ledger.last < *last) {
            return Err(format!(
                "the ledger ends with entry {}, and had {last} at point {point} of this story",
                ledger.last
            ));
        }
        if cut.kind == Kind::InOrder {
            self.last.push((cut.point, ledger.last));
            self.ran.push((cut.point, runs.clone(), change));
            if self.runs.last() != Some(&runs) {
                self.runs.push(runs);
            }
            return Ok(());
        }
        let since = self.ran.iter().filter(|(at, ..)| (cut.durable..=cut.point).contains(at));
        match since.into_iter().any(|(_, ran, by)| (ran, by) == (&runs, &change)) {
            true => Ok(()),
            false => Err(format!(
                "it runs {runs} by change {change} of the boot environment, and at no point since {} it did",
                cut.durable
            )),
        }
    }

    /// The way in one line.
    pub(super) fn told(&self) -> String {
        let last = |at: Option<&(usize, u64)>| at.map_or(0, |(_, last)| *last);
        format!(
            "the node went {}; its ledger grew from entry {} to {}; its data had to be repaired {} times",
            self.runs.join(", "),
            last(self.last.first()),
            last(self.last.last()),
            self.repaired
        )
    }
}

/// What came of all cuts.
#[derive(Default)]
pub(super) struct Tally {
    /// Points that were judged.
    pub(super) points: usize,
    /// Nodes that were booted to the end.
    pub(super) boots: usize,
    cuts: BTreeMap<Kind, usize>,
    /// Every node that was lost, and how.
    pub(super) faults: Vec<String>,
}

impl Tally {
    /// Counts a cut; the verdict's error is a node that was lost.
    pub(super) fn count(&mut self, number: usize, kind: Kind, verdict: Result<(), String>) {
        *self.cuts.entry(kind).or_default() += 1;
        if let Err(fault) = verdict {
            self.faults.push(format!("point {number}, {kind}: {fault}"));
        }
    }

    /// Whether each way of cutting was tried, in so many cuts, and nodes were booted to the end if they were to be: what
    /// was not judged is no proof.
    pub(super) fn has_enough(&mut self, least: usize, boots: usize) {
        let kinds = [Kind::InOrder, Kind::Lost, Kind::Torn, Kind::Spoilt];
        for kind in kinds.into_iter().filter(|kind| !self.cuts.contains_key(kind)) {
            self.faults.push(format!("no cut was {kind}"));
        }
        let all: usize = self.cuts.values().sum();
        if all < least {
            self.faults.push(format!("there were {all} cuts, and {least} are wanted"));
        }
        if boots > 0 && self.boots == 0 {
            self.faults.push("no node was booted to the end".to_owned());
        }
    }

    /// The first faults, and the counts in one line.
    pub(super) fn closing(&self, seed: u64) -> String {
        let mut lines: Vec<String> = self.faults.iter().take(TOLD).cloned().collect();
        if self.faults.len() > TOLD {
            lines.push(format!("and {} more", self.faults.len() - TOLD));
        }
        let kinds: Vec<String> =
            self.cuts.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        let all: usize = self.cuts.values().sum();
        lines.push(format!(
            "{} points, {all} cuts ({}), {} booted to the end, seed {seed}: {} lost",
            self.points,
            kinds.join(", "),
            self.boots,
            self.faults.len()
        ));
        lines.join("\n")
    }
}

#[cfg(test)]
mod tests {
    use super::super::ledger::Ledger;
    use super::*;

    fn verdict(runs: &str, last: u64) -> Verdict {
        let memory = Memory { ledger: Ledger { entries: 1, last }, repaired: false };
        Verdict { runs: runs.into(), change: "7".into(), memory }
    }

    fn cut(kind: Kind, point: usize, durable: usize) -> Cut {
        Cut { point, kind, durable, pieces: Vec::new() }
    }

    #[test]
    fn the_way_of_a_node_is_told_once_a_release() {
        let mut way = Way::default();
        for (point, runs) in ["A", "A", "B", "B", "A"].into_iter().enumerate() {
            way.remember(&cut(Kind::InOrder, point, 0), verdict(runs, 5)).expect("it goes on");
            let lost = cut(Kind::Lost, point, point.saturating_sub(1));
            way.remember(&lost, verdict(["A", "A", "A", "B", "B"][point], 5)).expect("it goes on");
        }
        assert_eq!(way.runs, ["A", "B", "A"]);
    }

    #[test]
    fn an_entry_that_was_on_the_disk_for_good_stays() {
        let mut way = Way::default();
        for (point, last) in [(0, 7), (4, 8), (5, 9)] {
            way.remember(&cut(Kind::InOrder, point, point), verdict("A", last)).expect("it grows");
        }
        let lost = |durable| cut(Kind::Lost, 6, durable);
        assert!(way.remember(&lost(4), verdict("A", 8)).is_ok(), "9 was not flushed yet");
        let error = way.remember(&lost(5), verdict("A", 8)).expect_err("9 was flushed");
        assert!(error.contains("entry 8") && error.contains("9 at point 5"), "{error}");
    }

    #[test]
    fn a_node_runs_what_it_ran_since_the_last_flush_and_nothing_from_before() {
        let mut way = Way::default();
        for (point, runs) in ["A", "A", "B", "B"].into_iter().enumerate() {
            way.remember(&cut(Kind::InOrder, point, point), verdict(runs, 1)).expect("it goes on");
        }
        let torn = |way: &mut Way, durable, runs| {
            way.remember(&cut(Kind::Torn, 3, durable), verdict(runs, 1))
        };
        assert_eq!(torn(&mut way, 1, "A"), Ok(()));
        assert_eq!(torn(&mut way, 2, "B"), Ok(()));
        let fault = torn(&mut way, 2, "A").expect_err("B was there for good");
        let words = "it runs A by change 7 of the boot environment, and at no point since 2 it did";
        assert_eq!(fault, words);
        let older = Verdict { change: "6".into(), ..verdict("B", 1) };
        let fault =
            way.remember(&cut(Kind::Spoilt, 3, 2), older).expect_err("7 was there for good");
        assert!(fault.contains("by change 6"), "{fault}");
    }

    #[test]
    fn what_was_not_tried_is_a_fault() {
        let tried = |kinds: &[Kind], boots| {
            let mut tally = Tally { boots, ..Tally::default() };
            kinds.iter().for_each(|kind| tally.count(1, *kind, Ok(())));
            tally.has_enough(4, 1);
            tally.faults
        };
        let all = [Kind::InOrder, Kind::Lost, Kind::Torn, Kind::Spoilt];
        assert_eq!(tried(&all, 1), [""; 0]);
        assert_eq!(tried(&all, 0), ["no node was booted to the end"]);
        let three = [Kind::InOrder, Kind::Lost, Kind::Torn];
        let few = ["no cut was spoilt", "there were 3 cuts, and 4 are wanted"];
        assert_eq!(tried(&three, 1), few);
    }

    #[test]
    fn the_closing_line_counts_every_cut_and_every_node_that_was_lost() {
        let mut tally = Tally { points: 2, ..Tally::default() };
        tally.count(3, Kind::InOrder, Ok(()));
        tally.count(4, Kind::InOrder, Ok(()));
        tally.count(4, Kind::Torn, Err("no slot".into()));
        assert_eq!(
            tally.closing(9),
            "point 4, torn: no slot\n\
             2 points, 3 cuts (2 in order, 1 torn), 0 booted to the end, seed 9: 1 lost"
        );
        for _ in 0..6 {
            tally.count(5, Kind::Lost, Err("no slot".into()));
        }
        assert!(tally.closing(9).contains("\nand 2 more\n"), "{}", tally.closing(9));
    }
}
