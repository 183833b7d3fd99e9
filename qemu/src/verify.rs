//! `cargo verify`: every check of the tree, in order, with the time of each.
//!
//! ```text
//! set-up ─► format ─► lints ─► bare core ─► tests ─► doc tests ─► dependencies ─► cross builds
//!        ─► fuzzing ─► power cuts on this machine ─► power cuts of the image ─► lab scenarios
//! ```
//!
//! It stops at the first failure, unless told to go on. What is not tried is named with its reason: scenarios for which
//! there is no time, and the power cuts on a machine that cannot make them; where `CI` is `true`, that is a failure. Its last line
//! is `N passed, N failed` and nothing else, however it ends. What CI runs is this and nothing else.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};
use std::{env, fs};

use anyhow::{Context, Result, anyhow, bail, ensure};

use crate::build::{build_agent, cargo};
use crate::fuzz;
use crate::lab::{Lab, Subject};
use crate::powercut::{self, Wanted};
use crate::scenario::{self, Keep, Outcome, Scenario};
use crate::setup::{self, Consent};
use crate::steps::{Line, step};
use crate::timeline::Show;

/// The static targets of the agent, with the largest binary that is accepted, in bytes.
const TARGETS: [(&str, Option<u64>); 2] =
    [("aarch64-unknown-linux-musl", Some(5_000_000)), ("x86_64-unknown-linux-musl", None)];

/// The name of the fuzz targets' short run.
const FUZZING: &str = "fuzzing";

/// Scenarios that are tried, most telling first, as far as [`RUN_LIMIT`] allows.
const SCENARIOS: [&str; 24] = [
    "good-update",
    "unhealthy",
    "no-boot",
    "hung",
    "unsigned",
    "bad-input",
    "boot-environment",
    "download",
    "kernel-panic",
    "agent-crash",
    "agent-crash-loop",
    "wrong-board",
    "older",
    "workloads",
    "release-return",
    "usb",
    "asked-restarts",
    "data-faults",
    "boot-store-faults",
    "installer-faults",
    "verdict-faults",
    "network-faults",
    "clock-faults",
    "data-lost-on-trial",
];

/// The power cut after every write of an update of the image.
const POWER_CUTS: &str = "power cuts of the image";

/// The same on this machine, where it has what that takes.
const POWER_CUTS_HERE: &str = "power cuts on this machine";

/// The whole run ends before this; CI stops it soon after.
const RUN_LIMIT: Duration = Duration::from_secs(82 * 60);

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
    left_out: u32,
    /// What was counted or left out.
    named: BTreeSet<String>,
}

impl Tally {
    /// Nothing counted yet.
    fn new(after: AfterFailure) -> Self {
        Self { after, passed: 0, failed: 0, left_out: 0, named: BTreeSet::new() }
    }

    /// Counts one check; an error tells that the run stops here.
    fn count(&mut self, name: &str, result: Result<()>) -> Result<()> {
        self.named.insert(name.to_owned());
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

    /// Names what is not tried, and why.
    fn leave_out(&mut self, name: &str, why: &str) {
        self.named.insert(name.to_owned());
        self.left_out += 1;
        println!("left out: {name} ({why})");
    }

    /// Leaves out everything that was not come to.
    fn leave_out_the_rest(&mut self, why: &str) {
        let checks = CHECKS.iter().map(|(name, _)| *name);
        let targets = TARGETS.iter().map(|(name, _)| *name);
        let scenarios = scenario::ALL.iter().map(|scenario| scenario.name);
        let more = [FUZZING, POWER_CUTS_HERE, "the lab", POWER_CUTS];
        for name in checks.chain(targets).chain(more).chain(scenarios) {
            if !self.named.contains(name) {
                self.leave_out(name, why);
            }
        }
    }

    /// The last line of the run.
    fn closing(&self) -> String {
        format!("{} passed, {} failed", self.passed, self.failed)
    }
}

/// Runs every check; returns whether all passed.
pub(crate) fn run(subject: &Subject, consent: Consent, after: AfterFailure) -> Result<bool> {
    let began = Instant::now();
    let mut tally = Tally::new(after);
    let stopped = tally
        .count("set-up", setup::run(consent).map(drop))
        .and_then(|()| checks(&mut tally))
        .and_then(|()| on_this_machine(&mut tally, subject))
        .and_then(|()| in_the_lab(&mut tally, subject, began))
        .is_err();
    if stopped {
        tally.leave_out_the_rest("stopped at the first failure; --keep-going runs the rest");
    }
    let seconds = began.elapsed().as_secs();
    println!("{} left out, after {} min {} s", tally.left_out, seconds / 60, seconds % 60);
    println!("{}", tally.closing());
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
    tally.count(FUZZING, fuzz::short())
}

fn cross_build(target: &str, budget: Option<u64>) -> Result<()> {
    let size = binary_size(&build_agent(target)?)?;
    println!("         {size} bytes");
    within(size, budget).with_context(|| format!("the agent for {target}"))
}

fn within(size: u64, budget: Option<u64>) -> Result<()> {
    if let Some(budget) = budget {
        ensure!(size <= budget, "it has {size} bytes; the budget is {budget}");
    }
    Ok(())
}

/// Bytes of a binary.
pub(crate) fn binary_size(path: &Path) -> Result<u64> {
    Ok(fs::metadata(path).with_context(|| format!("{}", path.display()))?.len())
}

/// Before the lab is held: the lane runs in a lab of its own, which holds it.
fn on_this_machine(tally: &mut Tally, subject: &Subject) -> Result<()> {
    match powercut::host::lacking() {
        Some(lacking) if !env::var("CI").is_ok_and(|ci| ci == "true") => {
            tally.leave_out(POWER_CUTS_HERE, &lacking);
            return Ok(());
        }
        Some(lacking) => return tally.count(POWER_CUTS_HERE, Err(anyhow!(lacking))),
        None => {}
    }
    let held = powercut::host::run(subject, Wanted::usual()).and_then(|held| {
        ensure!(held, "a node was lost, or too few were tried");
        Ok(())
    });
    tally.count(POWER_CUTS_HERE, held)
}

fn in_the_lab(tally: &mut Tally, subject: &Subject, began: Instant) -> Result<()> {
    let scenarios = in_order()?;
    let mut lab = None;
    let prepared = Lab::prepare(subject, &[], Show::Aside).map(|ready| lab = Some(ready));
    tally.count("the lab", prepared)?;
    let Some(lab) = lab else {
        scenarios.iter().for_each(|scenario| tally.leave_out(scenario.name, "there is no lab"));
        tally.leave_out(POWER_CUTS, "there is no lab");
        return Ok(());
    };
    tally.count(POWER_CUTS, powercut::check(&lab))?;
    for scenario in scenarios {
        if in_time(tally, began, scenario.name, scenario.budget_s) {
            tally.count(scenario.name, tried(&lab, scenario))?;
        }
    }
    for scenario in scenario::ALL.iter().filter(|scenario| !SCENARIOS.contains(&scenario.name)) {
        tally.leave_out(scenario.name, "never part of this run; `cargo lab run` tries it");
    }
    Ok(())
}

/// Whether there is time for what takes `budget_s`; what there is no time for is left out.
fn in_time(tally: &mut Tally, began: Instant, name: &str, budget_s: u32) -> bool {
    let fits = fits(began.elapsed(), budget_s);
    if !fits {
        tally.leave_out(name, &format!("with {budget_s} s it may not end in time"));
    }
    fits
}

/// Whether what takes `budget_s` ends before the limit on a machine of half the speed, when it begins after `elapsed`.
fn fits(elapsed: Duration, budget_s: u32) -> bool {
    elapsed + Duration::from_secs(2 * u64::from(budget_s)) < RUN_LIMIT
}

fn tried(lab: &Lab, scenario: &Scenario) -> Result<()> {
    scenario.make_ready(lab)?;
    let line = Line::begin(&format!("scenario {}", scenario.name));
    let outcome = scenario::run(lab, scenario, Keep::DisksOfFailures, Show::Kept);
    line.end(if outcome.passed { "passed" } else { "FAILED" });
    judged(&outcome)
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

/// The scenarios of [`SCENARIOS`].
fn in_order() -> Result<Vec<&'static Scenario>> {
    let found = |name| scenario::find(name).with_context(|| format!("no scenario {name}"));
    SCENARIOS.into_iter().map(found).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scenario_is_begun_only_with_twice_its_budget_before_the_limit() {
        for scenario in in_order().expect("every name is a scenario") {
            let twice = Duration::from_secs(2 * u64::from(scenario.budget_s));
            assert!(fits(Duration::ZERO, scenario.budget_s), "{}", scenario.name);
            assert!(!fits(RUN_LIMIT - twice, scenario.budget_s), "{}", scenario.name);
        }
    }

    #[test]
    fn each_scenario_has_one_place() {
        let names: BTreeSet<_> = SCENARIOS.into_iter().collect();
        assert_eq!(names.len(), SCENARIOS.len());
    }

    #[test]
    fn a_binary_may_have_its_budget_and_no_byte_more() {
        assert!(within(10, Some(10)).is_ok() && within(11, None).is_ok());
        assert!(within(11, Some(10)).is_err());
    }

    #[test]
    fn a_scenario_with_a_claim_that_does_not_hold_fails_the_check() {
        let claim = scenario::Claim { what: "slot".into(), found: "B".into(), wanted: "A".into() };
        let outcome = Outcome {
            name: "hung".into(),
            promise: "It comes back.".into(),
            passed: false,
            seconds: 1.0,
            error: None,
            claims: vec![claim],
            figures: Default::default(),
            timeline: Vec::new(),
            log: "serial.log".into(),
        };
        let error = judged(&outcome).expect_err("it failed").to_string();
        assert!(error.contains("slot is B, wanted A"), "{error}");
        assert!(judged(&Outcome { passed: true, ..outcome }).is_ok());
    }

    #[test]
    fn the_closing_line_is_the_two_counts() {
        let tally = Tally { passed: 12, failed: 1, ..Tally::new(AfterFailure::Stop) };
        assert_eq!(tally.closing(), "12 passed, 1 failed");
    }

    #[test]
    fn a_failure_stops_the_run_unless_told_to_go_on() {
        let mut stop = Tally::new(AfterFailure::Stop);
        assert!(stop.count("x", Err(anyhow::anyhow!("no"))).is_err());
        let mut go_on = Tally { after: AfterFailure::KeepGoing, ..stop };
        assert!(go_on.count("x", Err(anyhow::anyhow!("no"))).is_ok());
        assert!(go_on.count("y", Ok(())).is_ok());
        assert_eq!((go_on.passed, go_on.failed), (1, 2));
    }

    #[test]
    fn what_a_stopped_run_did_not_come_to_is_left_out_by_name() {
        let mut tally = Tally::new(AfterFailure::Stop);
        tally.count("format", Ok(())).expect("it passed");
        tally.leave_out_the_rest("stopped");
        let rest = CHECKS.len() - 1 + TARGETS.len() + 4 + scenario::ALL.len();
        assert_eq!(usize::try_from(tally.left_out).expect("few"), rest);
    }
}
