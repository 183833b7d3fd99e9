//! The health gate: when a system may stay.
//!
//! ```text
//! started ──▶ all required checks pass ──soak──▶ Healthy
//!    │               │ one fails: the soak starts again
//!    └──── deadline ─┴──▶ Unhealthy(check NAME | deadline)
//! ```
//!
//! Always true: a wanted check decides nothing; a required one that was not heard is not passed;
//! a verdict comes at the deadline at the latest.

use crate::cause::{Cause, Failure, Text};
use crate::event::Verdict;
use crate::names::Name;

/// How many checks a node can have.
pub const MAX_CHECKS: usize = 32;

/// How many workloads a node can have.
pub const MAX_WORKLOADS: usize = 64;

/// How much a gate can watch.
const MAX_WATCHED: usize = MAX_CHECKS + MAX_WORKLOADS;

/// A moment in milliseconds of a clock that only goes forward.
pub type Millis = u64;

/// What the gate asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// How long all required checks must hold without a break, in milliseconds.
    pub soak: Millis,
    /// When the verdict must have been reached, in milliseconds since the start.
    pub deadline: Millis,
}

/// What is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The check of this name.
    Check(Name),
    /// The workload of this name: it passes while it is ready.
    Workload(Name),
}

impl Subject {
    /// Its name.
    pub fn name(&self) -> &Name {
        match self {
            Subject::Check(name) | Subject::Workload(name) => name,
        }
    }

    /// The cause that names it.
    fn cause(&self) -> Cause {
        match self {
            Subject::Check(name) => Cause::Check(name.clone()),
            Subject::Workload(name) => Cause::Workload(name.clone()),
        }
    }
}

/// Whether a check or a workload decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Weight {
    /// It must hold.
    Required,
    /// It is reported and decides nothing: what an update cannot have caused.
    Wanted,
}

/// What a check or a workload said last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Nothing yet.
    Nothing,
    /// It passed.
    Passed,
    /// It failed, and what it showed.
    Failed(Text),
}

/// One check or workload, as the gate sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watched {
    /// Which.
    pub subject: Subject,
    /// Whether it decides.
    pub weight: Weight,
    /// What it said last.
    pub heard: Heard,
}

/// The gate of one boot.
#[derive(Clone, Debug)]
pub struct Gate {
    rule: Rule,
    started: Millis,
    held_since: Option<Millis>,
    broken_by: Option<usize>,
    watched: heapless::Vec<Watched, MAX_WATCHED>,
}

/// More than [`MAX_CHECKS`] checks and [`MAX_WORKLOADS`] workloads together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("more than {MAX_WATCHED} checks and workloads")]
pub struct TooManyWatched;

impl Gate {
    /// A gate that starts now.
    pub fn new(
        rule: Rule,
        now: Millis,
        subjects: impl IntoIterator<Item = (Subject, Weight)>,
    ) -> Result<Gate, TooManyWatched> {
        let mut watched = heapless::Vec::new();
        for (subject, weight) in subjects {
            let silent = Watched { subject, weight, heard: Heard::Nothing };
            watched.push(silent).map_err(|_| TooManyWatched)?;
        }
        let mut gate = Gate { rule, started: now, held_since: None, broken_by: None, watched };
        gate.hold(now);
        Ok(gate)
    }

    /// Hears what the check or workload at this position said.
    pub fn observe(&mut self, now: Millis, at: usize, heard: Heard) {
        let Some(watched) = self.watched.get_mut(at) else { return };
        let failed = matches!(heard, Heard::Failed(_)) && watched.weight == Weight::Required;
        watched.heard = heard;
        if failed {
            self.broken_by = Some(at);
        }
        self.hold(now);
    }

    /// What is watched and what it said last.
    pub fn watched(&self) -> &[Watched] {
        &self.watched
    }

    /// The verdict, once there is one.
    pub fn verdict(&self, now: Millis) -> Option<Verdict> {
        let held = self.held_since.is_some_and(|since| now - since >= self.rule.soak);
        if held {
            return Some(Verdict::Healthy);
        }
        (now - self.started >= self.rule.deadline).then(|| Verdict::Unhealthy(self.failure()))
    }

    /// When to look again if nothing is heard before: the soak's end or the deadline.
    pub fn next_look(&self) -> Millis {
        let deadline = self.started + self.rule.deadline;
        self.held_since.map_or(deadline, |since| deadline.min(since + self.rule.soak))
    }

    fn hold(&mut self, now: Millis) {
        let required = |watched: &&Watched| watched.weight == Weight::Required;
        let passed = |watched: &Watched| watched.heard == Heard::Passed;
        match self.watched.iter().filter(required).all(passed) {
            true => self.held_since = self.held_since.or(Some(now)),
            false => self.held_since = None,
        }
    }

    /// Why the deadline came first: what fails now, what never spoke, or what broke the soak last.
    fn failure(&self) -> Failure {
        let required = || self.watched.iter().filter(|it| it.weight == Weight::Required);
        let failing = required().find(|it| matches!(it.heard, Heard::Failed(_)));
        if let Some(Watched { subject, heard: Heard::Failed(evidence), .. }) = failing {
            return Failure { cause: subject.cause(), evidence: evidence.clone() };
        }
        if let Some(silent) = required().find(|it| it.heard == Heard::Nothing) {
            let evidence = format_args!("it gave no answer before the deadline");
            return Failure::new(silent.subject.cause(), evidence);
        }
        let broke = self.broken_by.and_then(|at| self.watched.get(at));
        let name = broke.map_or("a check", |it| it.subject.name().as_str());
        Failure::new(Cause::Deadline, format_args!("{name} broke the soak time last"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cause::text;

    const RULE: Rule = Rule { soak: 10, deadline: 100 };

    fn gate(weights: &[Weight]) -> Gate {
        let check = |name| Subject::Check(Name::try_from(name).expect("short"));
        let subjects = ["one", "two", "three"].map(check);
        Gate::new(RULE, 0, subjects.into_iter().zip(weights.iter().copied())).expect("few")
    }

    fn failed() -> Heard {
        Heard::Failed(text(format_args!("exit 1")))
    }

    #[test]
    fn a_system_is_healthy_only_after_the_whole_soak_time() {
        let mut gate = gate(&[Weight::Required, Weight::Required]);
        gate.observe(5, 0, Heard::Passed);
        assert_eq!(gate.verdict(50), None, "one required check was not heard");
        gate.observe(50, 1, Heard::Passed);
        assert_eq!(gate.verdict(59), None);
        assert_eq!(gate.verdict(60), Some(Verdict::Healthy));
    }

    #[test]
    fn a_break_starts_the_soak_time_again() {
        let mut gate = gate(&[Weight::Required]);
        gate.observe(0, 0, Heard::Passed);
        gate.observe(9, 0, failed());
        gate.observe(9, 0, Heard::Passed);
        assert_eq!(gate.verdict(18), None);
        assert_eq!(gate.verdict(19), Some(Verdict::Healthy));
    }

    #[test]
    fn a_wanted_check_decides_nothing() {
        let mut gate = gate(&[Weight::Required, Weight::Wanted]);
        gate.observe(0, 1, failed());
        gate.observe(0, 0, Heard::Passed);
        assert_eq!(gate.verdict(10), Some(Verdict::Healthy));
    }

    #[test]
    fn the_deadline_names_the_check_that_fails() {
        let mut gate = gate(&[Weight::Wanted, Weight::Required]);
        gate.observe(3, 0, failed());
        gate.observe(3, 1, failed());
        assert_eq!(gate.verdict(99), None);
        let Some(Verdict::Unhealthy(failure)) = gate.verdict(100) else { panic!("a verdict") };
        assert_eq!(failure.cause, Cause::Check("two".try_into().expect("short")));
        assert_eq!(failure.evidence, "exit 1");
    }

    #[test]
    fn a_check_that_never_speaks_fails_at_the_deadline() {
        let gate = gate(&[Weight::Required]);
        let Some(Verdict::Unhealthy(failure)) = gate.verdict(100) else { panic!("a verdict") };
        assert_eq!(failure.cause, Cause::Check("one".try_into().expect("short")));
    }

    #[test]
    fn a_workload_that_is_not_ready_at_the_deadline_is_named_as_one() {
        let workload = |name| Subject::Workload(Name::try_from(name).expect("short"));
        let required = |name| (workload(name), Weight::Required);
        let mut gate = Gate::new(RULE, 0, [required("bridge"), required("vision")]).expect("few");
        gate.observe(1, 0, Heard::Passed);
        gate.observe(1, 1, failed());
        let Some(Verdict::Unhealthy(failure)) = gate.verdict(100) else { panic!("a verdict") };
        assert_eq!(failure.cause, Cause::Workload("vision".try_into().expect("short")));
        assert_eq!(failure.evidence, "exit 1");
        gate.observe(101, 1, Heard::Passed);
        assert_eq!(gate.verdict(111), Some(Verdict::Healthy), "both were ready for the soak time");
    }

    #[test]
    fn a_check_that_flaps_to_the_end_is_a_deadline() {
        let mut gate = gate(&[Weight::Required]);
        for now in (0..100).step_by(5) {
            gate.observe(now, 0, failed());
            gate.observe(now, 0, Heard::Passed);
            assert_eq!(gate.verdict(now), None);
        }
        let verdict = gate.verdict(100);
        let Some(Verdict::Unhealthy(failure)) = verdict else { panic!("{verdict:?}") };
        assert_eq!(failure.cause, Cause::Deadline);
        assert_eq!(failure.evidence, "one broke the soak time last");
    }

    #[test]
    fn without_required_checks_the_soak_time_alone_decides() {
        assert_eq!(gate(&[]).verdict(9), None);
        assert_eq!(gate(&[]).verdict(10), Some(Verdict::Healthy));
    }
}
