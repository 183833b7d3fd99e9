//! What the node says about itself: the JSON of `steadfast status`, `history` and `boot-state show`.
//!
//! Only what the scenarios judge is read; what the tool adds later does not disturb them.

use std::collections::BTreeMap;

use serde::Deserialize;

/// `steadfast status --json`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(crate) struct Status {
    /// What runs.
    pub(crate) system: System,
    /// The update under way, and the last one's end.
    pub(crate) update: Update,
    /// The boot environment, read back.
    pub(crate) boot: BootState,
    /// The ledger's health.
    pub(crate) ledger: Ledger,
    /// No release below it is taken.
    pub(crate) floor: Option<String>,
    /// Digests of releases that failed here.
    pub(crate) refused: Vec<String>,
    /// What an operator should know.
    pub(crate) warnings: Vec<String>,
    /// The agent itself.
    pub(crate) agent: Agent,
}

/// What runs.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct System {
    /// Release.
    pub(crate) version: String,
    /// `A` or `B`.
    pub(crate) slot: String,
    /// `committed`, `probation`, `settling`, `uncommitted`.
    pub(crate) standing: String,
    /// Why it is not trusted, if it is not.
    pub(crate) doubt: Option<String>,
    /// The workload set that belongs to it.
    #[serde(default)]
    pub(crate) set: Option<SetStatus>,
}

/// A workload set.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct SetStatus {
    /// Its number.
    pub(crate) generation: u64,
}

/// The update under way, and the last one's end.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Update {
    /// The state's word.
    pub(crate) state: String,
    /// How the last update ended.
    pub(crate) last: Option<Ending>,
}

/// How an update ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Ending {
    /// Release; unknown when a bundle was refused before it was read.
    pub(crate) release: Option<String>,
    /// `committed`, `refused`, `failed`, `returned`.
    pub(crate) outcome: String,
    /// Why it did not commit.
    pub(crate) cause: Option<Cause>,
    /// What proves the cause.
    pub(crate) evidence: Option<String>,
    /// The slot it was for.
    pub(crate) slot: Option<String>,
}

/// Why an update did not commit.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Cause {
    /// One word of the closed list.
    pub(crate) kind: String,
    /// The check or workload.
    pub(crate) name: Option<String>,
}

/// The boot environment.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct BootState {
    /// First bootable slot.
    pub(crate) primary: Option<String>,
    /// Slots that may boot, in this order.
    pub(crate) order: Vec<String>,
    /// Attempts left.
    pub(crate) left: BTreeMap<String, u32>,
    /// Rounds of fresh attempts since the last commit.
    pub(crate) rearms: u32,
    /// How often it was written.
    pub(crate) sequence: u64,
    /// State of the two copies.
    pub(crate) copies: Vec<String>,
}

/// The ledger's health.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Ledger {
    /// `data` or `memory`.
    pub(crate) kept: String,
    /// What was lost, if anything.
    pub(crate) damage: Option<String>,
    /// `whole` or `broken`.
    pub(crate) chain: String,
}

/// The agent itself.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Agent {
    /// Resident memory.
    pub(crate) rss_kib: u64,
}

/// `steadfast history --json`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct History {
    /// Each step.
    pub(crate) entries: Vec<Entry>,
    /// How each update ended, oldest first.
    pub(crate) endings: Vec<Ending>,
}

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(crate) struct Entry {
    /// Its place.
    pub(crate) seq: u64,
    /// What happened.
    pub(crate) event: String,
    /// More of it; of a failure `not:` with its cause and evidence.
    pub(crate) detail: String,
    /// The state after it.
    pub(crate) state: String,
    /// The slot that ran.
    pub(crate) slot: String,
}

impl BootState {
    /// All of it in one line, for a claim.
    pub(crate) fn summary(&self) -> String {
        let left: Vec<String> =
            self.left.iter().map(|(slot, left)| format!("{slot} {left}")).collect();
        format!(
            "order {}, left {}, rearms {}, sequence {}, copies {}",
            self.order.join(" "),
            left.join(" "),
            self.rearms,
            self.sequence,
            self.copies.join(" ")
        )
    }
}

impl Ending {
    /// `returned: check sick`, for a claim.
    pub(crate) fn summary(&self) -> String {
        match &self.cause {
            None => self.outcome.clone(),
            Some(Cause { kind, name: None }) => format!("{}: {kind}", self.outcome),
            Some(Cause { kind, name: Some(name) }) => format!("{}: {kind} {name}", self.outcome),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A node that rests on 1.0.0 after 1.1.0 came back.
    pub(crate) fn status() -> Status {
        let text = r#"{"node":"press-07","system":{"version":"1.0.0","slot":"A","standing":"committed"},
            "update":{"state":"idle","release":null,"progress":null,"last":{"release":"1.1.0",
            "outcome":"returned","cause":{"kind":"check","name":"sick"},"evidence":"exit 1","slot":"B"}},
            "boot":{"primary":"A","order":["A"],"left":{"A":8,"B":0},"rearms":2,"sequence":12,
            "copies":["valid","valid"]},"ledger":{"entries":42,"kept":"data","damage":null,"chain":"whole"},
            "floor":"1.0.0","refused":["00"],"warnings":[],"agent":{"version":"0.1.0","pid":1,"rss_kib":2200},"new":1}"#;
        serde_json::from_str(text).expect("the contract's example")
    }

    #[test]
    fn a_status_is_read_and_unknown_keys_do_not_disturb() {
        let status = status();
        assert_eq!(
            status.boot.summary(),
            "order A, left A 8 B 0, rearms 2, sequence 12, copies valid valid"
        );
        assert_eq!((&*status.ledger.kept, &*status.ledger.chain), ("data", "whole"));
        let last = status.update.last.expect("an ending");
        assert_eq!(last.summary(), "returned: check sick");
    }

    #[test]
    fn a_history_is_read() {
        let text = r#"{"entries":[{"seq":1,"unix_s":0,"boot_s":12.3,"event":"judged","detail":"","state":"idle","slot":"A"}],
            "endings":[{"seq":9,"unix_s":0,"release":"1.1.0","outcome":"committed","cause":null,
            "evidence":null,"slot":"B"}]}"#;
        let history: History = serde_json::from_str(text).expect("the contract's example");
        assert_eq!(history.endings[0].summary(), "committed");
    }
}
