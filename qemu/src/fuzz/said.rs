//! What libFuzzer says of one target, read from its output.

use std::path::PathBuf;

use serde::Serialize;

/// One input that broke a promise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Finding {
    /// What happened: a panic's place and words, a limit, or libFuzzer's own word for it.
    pub(crate) what: String,
    /// The input.
    pub(crate) input: PathBuf,
}

/// What came of one target.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub(crate) struct Said {
    /// Inputs that were tried.
    pub(crate) executions: u64,
    /// Edges of the program that some input took.
    pub(crate) edges: u64,
    /// Edges and how often they were taken, as libFuzzer tells inputs apart.
    pub(crate) features: u64,
    /// Inputs that are worth keeping.
    pub(crate) corpus: u64,
    /// None when every promise held.
    pub(crate) finding: Option<Finding>,
}

impl Said {
    /// Whether so many inputs were tried on code whose edges are counted, or one of them was a finding.
    pub(super) fn tried(&self, wanted: u64) -> bool {
        self.finding.is_some() || (self.executions >= wanted && self.edges > 0)
    }
}

/// Reads what libFuzzer wrote to standard error, with `-print_final_stats=1`.
pub(crate) fn read(text: &str) -> Said {
    let mut said = Said::default();
    for line in text.lines() {
        if let Some(after) = line.strip_prefix("stat::number_of_executed_units:") {
            said.executions = number(after);
        }
        // "#4096 pulse  cov: 210 ft: 640 corp: 33/1024b exec/s: …"
        if let Some((_, after)) = line.split_once(" cov: ").filter(|_| line.starts_with('#')) {
            said.edges = number(after);
            said.features = after.split_once(" ft: ").map_or(0, |(_, after)| number(after));
            said.corpus = after.split_once(" corp: ").map_or(0, |(_, after)| number(after));
        }
    }
    let input = text.lines().find_map(|line| line.split_once("Test unit written to "));
    said.finding = input.map(|(_, path)| Finding { what: what(text), input: path.trim().into() });
    said
}

/// The number that a text begins with.
fn number(text: &str) -> u64 {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text[..end].parse().unwrap_or(0)
}

/// Why the input is a finding, in one line.
fn what(text: &str) -> String {
    let mut lines = text.lines();
    if let Some(line) = lines.by_ref().find(|line| line.contains("panicked at ")) {
        let place = line.split_once("panicked at ").map_or(line, |(_, place)| place);
        let words = lines.next().unwrap_or_default();
        return format!("{} {words}", place.trim_end_matches(':'));
    }
    let limit = text.lines().find(|line| line.starts_with("limit: "));
    let own = || text.lines().find_map(|line| Some(line.split_once("ERROR: libFuzzer: ")?.1));
    limit.or_else(own).unwrap_or("it ended for no reason that is known").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const RUN: &str = "INFO: Seed: 1\n#2\tINITED cov: 90 ft: 91 corp: 1/1b exec/s: 0 rss: 30Mb\n\
                       #2048\tpulse  cov: 210 ft: 640 corp: 33/1024b lim: 21 exec/s: 1024 rss: 31Mb\n";

    #[test]
    fn a_run_that_found_nothing_is_counted() {
        let text =
            format!("{RUN}Done 5000 runs in 2 second(s)\nstat::number_of_executed_units: 5000\n");
        let expected =
            Said { executions: 5000, edges: 210, features: 640, corpus: 33, finding: None };
        assert_eq!(read(&text), expected);
    }

    #[test]
    fn a_run_that_did_less_than_it_was_to_is_none() {
        let did = |executions, edges| Said { executions, edges, ..Said::default() };
        assert!(did(5000, 1).tried(5000));
        for idle in [did(4999, 1), did(5000, 0), read("")] {
            assert!(!idle.tried(5000), "{idle:?}");
        }
    }

    #[test]
    fn a_finding_is_told_with_its_reason_and_its_input() {
        let written = "artifact_prefix='a/'; Test unit written to a/crash-1\n";
        let panic = "thread '<unnamed>' panicked at src/x.rs:7:5:\nassertion failed: it holds\n";
        let limit = "limit: an allocation of 99 bytes; 9 at once and 9 in all are allowed\n";
        let timeout = "==7== ERROR: libFuzzer: timeout after 20 seconds\n";
        for (why, what) in [
            (panic, "src/x.rs:7:5 assertion failed: it holds"),
            (limit, limit.trim()),
            (timeout, "timeout after 20 seconds"),
        ] {
            let finding = read(&format!("{RUN}{why}{written}")).finding.expect("there is one");
            assert_eq!((finding.what.as_str(), finding.input), (what, "a/crash-1".into()));
        }
    }
}
