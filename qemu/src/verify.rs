//! `cargo verify`: every check of the tree, in order, with the time of each.
//!
//! ```text
//! format ─► lints ─► bare core ─► tests ─► doc tests ─► dependencies ─► cross builds ─► lab scenarios
//! ```
//!
//! It stops at the first failure, unless told to go on. What CI runs is this and nothing else.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::build::{build_agent, cargo};
use crate::lab::{Lab, Subject};
use crate::scenario::{self, Keep, Outcome, Scenario};
use crate::steps::{Line, step};
use crate::timeline::Show;
use crate::variant::Variant;

/// The static targets of the agent, with the largest binary that is accepted, in bytes.
const TARGETS: [(&str, Option<u64>); 2] =
    [("aarch64-unknown-linux-musl", Some(5_000_000)), ("x86_64-unknown-linux-musl", None)];

/// Scenarios that CI runs, most telling first, as far as [`LAB_BUDGET_S`] allows.
const SCENARIOS: [&str; 10] = [
    "good-update",
    "unhealthy",
    "no-boot",
    "hung",
    "unsigned",
    "wrong-board",
    "older",
    "kernel-panic",
    "agent-crash",
    "usb",
];

/// Seconds of scenarios, by their budgets.
const LAB_BUDGET_S: u32 = 1500;

/// No scenario is begun once the whole run has taken this long; CI ends it soon after.
const RUN_LIMIT: Duration = Duration::from_secs(50 * 60);

/// What to do after a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum AfterFailure {
    /// Stop.
    Stop,
    /// Run the other checks too.
    KeepGoing,
}

struct Tally {
    after: AfterFailure,
    passed: u32,
    failed: u32,
}

impl Tally {
    /// Counts one check; an error tells that the run stops here.
    fn count(&mut self, name: &str, result: Result<()>) -> Result<()> {
        match result {
            Ok(()) => self.passed += 1,
            Err(error) => {
                self.failed += 1;
                println!("FAILED   {name}\n{error:#}");
                if self.after == AfterFailure::Stop {
                    bail!("{name} failed");
                }
            }
        }
        Ok(())
    }
}

/// Runs every check; returns whether all passed.
pub(crate) fn run(subject: &Subject, after: AfterFailure) -> Result<bool> {
    let began = Instant::now();
    let mut tally = Tally { after, passed: 0, failed: 0 };
    let stopped = checks(&mut tally).and_then(|()| in_the_lab(&mut tally, subject, began)).is_err();
    if stopped {
        println!("stopped at the first failure; --keep-going runs the rest");
    }
    println!(
        "{} passed, {} failed in {} min {} s",
        tally.passed,
        tally.failed,
        began.elapsed().as_secs() / 60,
        began.elapsed().as_secs() % 60
    );
    Ok(tally.failed == 0)
}

/// A check's name and the arguments of cargo.
type Check = (&'static str, &'static [&'static str]);

const CHECKS: [Check; 6] = [
    ("format", &["fmt", "--all", "--check"]),
    ("lints", &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]),
    ("core without an operating system", &["bare"]),
    ("tests", &["nextest", "run", "--workspace"]),
    ("doc tests", &["test", "--doc", "--workspace"]),
    ("dependencies", &["deny", "check", "bans", "licenses", "sources"]),
];

fn checks(tally: &mut Tally) -> Result<()> {
    for (name, arguments) in CHECKS {
        let result = step(name, cargo().args(arguments)).map(|said| {
            // The test runner's own count, such as `Summary [ 12.3s] 310 tests run: 310 passed`.
            if let Some(line) = said.err.lines().rfind(|line| line.contains("tests run:")) {
                println!("        {line}");
            }
        });
        tally.count(name, result)?;
    }
    for (target, budget) in TARGETS {
        tally.count(target, cross_build(target, budget))?;
    }
    Ok(())
}

fn cross_build(target: &str, budget: Option<u64>) -> Result<()> {
    let size = binary_size(&build_agent(target)?)?;
    println!("         {size} bytes");
    if let Some(budget) = budget {
        ensure!(size <= budget, "the agent for {target} has {size} bytes; the budget is {budget}");
    }
    Ok(())
}

/// Bytes of a binary.
pub(crate) fn binary_size(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path).with_context(|| format!("{}", path.display()))?.len())
}

fn in_the_lab(tally: &mut Tally, subject: &Subject, began: Instant) -> Result<()> {
    let chosen = chosen(LAB_BUDGET_S)?;
    let releases: Vec<Variant> =
        chosen.iter().flat_map(|scenario| scenario.releases).copied().collect();
    let mut lab = None;
    let prepared = Lab::prepare(subject, &releases, Show::Aside)
        .and_then(|ready| ready.ensure_saved().map(|()| lab = Some(ready)));
    tally.count("the lab", prepared)?;
    let Some(lab) = lab else { return Ok(()) };
    for scenario in chosen {
        if began.elapsed() > RUN_LIMIT {
            println!("left out  {} (the time is up)", scenario.name);
            continue;
        }
        let line = Line::begin(&format!("scenario {}", scenario.name));
        let outcome = scenario::run(&lab, scenario, Keep::DisksOfFailures, Show::Kept);
        line.end(if outcome.passed { "passed" } else { "FAILED" });
        tally.count(scenario.name, judged(&outcome))?;
    }
    Ok(())
}

fn judged(outcome: &Outcome) -> Result<()> {
    if outcome.passed {
        return Ok(());
    }
    let outcomes = std::slice::from_ref(outcome);
    for moment in &outcome.timeline {
        println!("{}", crate::timeline::line(moment, crate::timeline::Paint::Plain));
    }
    bail!("{}", crate::report::Run::new(outcomes).table(crate::timeline::Paint::Plain))
}

/// The scenarios of [`SCENARIOS`] whose budgets fit into `budget_s`.
fn chosen(budget_s: u32) -> Result<Vec<&'static Scenario>> {
    let mut left = budget_s;
    let mut chosen = Vec::new();
    for name in SCENARIOS {
        let scenario = scenario::find(name).with_context(|| format!("no scenario {name}"))?;
        if scenario.budget_s <= left {
            left -= scenario.budget_s;
            chosen.push(scenario);
        }
    }
    Ok(chosen)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_chosen_scenarios_fit_their_budget() {
        for budget in [0, 100, LAB_BUDGET_S, 100_000] {
            let chosen = chosen(budget).expect("every name is a scenario");
            let sum: u32 = chosen.iter().map(|scenario| scenario.budget_s).sum();
            assert!(sum <= budget);
        }
        assert_eq!(chosen(100_000).expect("named").len(), scenario::ALL.len());
    }

    #[test]
    fn a_failure_stops_the_run_unless_told_to_go_on() {
        let mut stop = Tally { after: AfterFailure::Stop, passed: 0, failed: 0 };
        assert!(stop.count("x", Err(anyhow::anyhow!("no"))).is_err());
        let mut go_on = Tally { after: AfterFailure::KeepGoing, ..stop };
        assert!(go_on.count("x", Err(anyhow::anyhow!("no"))).is_ok());
        assert!(go_on.count("y", Ok(())).is_ok());
        assert_eq!((go_on.passed, go_on.failed), (1, 2));
    }
}
