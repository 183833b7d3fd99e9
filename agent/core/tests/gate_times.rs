//! When the health gate is looked at again, and whom it blames when time ran out.

use steadfast_core::gate::{Gate, Heard, MAX_CHECKS, MAX_WORKLOADS, Rule, Subject, Weight};
use steadfast_core::{Cause, Failure, Name, Verdict, text};

const RULE: Rule = Rule { soak: 10, deadline: 100 };

fn name(text: &str) -> Name {
    text.try_into().expect("short")
}

/// A gate that starts at 1000: a port that is asked again has a clock that goes on.
fn gate(checks: &[(&str, Weight)]) -> Gate {
    let checks = checks.iter().map(|(text, weight)| (Subject::Check(name(text)), *weight));
    Gate::new(RULE, 1000, checks).expect("few")
}

fn failed() -> Heard {
    Heard::Failed(text(format_args!("exit 1")))
}

fn unhealthy(gate: &Gate, now: u64) -> Failure {
    let verdict = gate.verdict(now);
    let Some(Verdict::Unhealthy(failure)) = verdict else { panic!("{verdict:?}") };
    failure
}

#[test]
fn the_deadline_counts_from_the_start_of_the_gate() {
    let gate = gate(&[("one", Weight::Required)]);
    assert_eq!((gate.verdict(1099), gate.next_look()), (None, 1100));
    assert_eq!(unhealthy(&gate, 1100).cause, Cause::Check(name("one")));
}

#[test]
fn it_is_looked_at_when_the_soak_time_ends_or_the_deadline_comes() {
    let mut gate = gate(&[("one", Weight::Required)]);
    gate.observe(1050, 0, Heard::Passed);
    assert_eq!(gate.next_look(), 1060);
    gate.observe(1055, 0, failed());
    assert_eq!(gate.next_look(), 1100);
    gate.observe(1095, 0, Heard::Passed);
    assert_eq!(gate.next_look(), 1100, "the soak time would end at 1105");
}

#[test]
fn a_deadline_names_the_required_check_that_broke_the_soak_time_last() {
    let mut gate =
        gate(&[("one", Weight::Required), ("two", Weight::Required), ("three", Weight::Wanted)]);
    for check in [0, 1, 2] {
        gate.observe(1000, check, Heard::Passed);
    }
    for (now, check) in [(1005, 0), (1095, 1), (1097, 2)] {
        gate.observe(now, check, failed());
        gate.observe(now, check, Heard::Passed);
        if now < 1095 {
            gate.observe(now + 5, 1, failed());
        }
    }
    let failure = unhealthy(&gate, 1100);
    assert_eq!(
        (failure.cause, failure.evidence.as_str()),
        (Cause::Deadline, "two broke the soak time last")
    );
}

#[test]
fn nothing_is_left_out_because_there_is_too_much() {
    let checks = (0..MAX_CHECKS).map(|_| (Subject::Check(name("one")), Weight::Required));
    let workloads = |count| {
        let workloads = (0..count).map(|_| (Subject::Workload(name("two")), Weight::Required));
        checks.clone().chain(workloads)
    };
    assert!(Gate::new(RULE, 0, workloads(MAX_WORKLOADS)).is_ok());
    assert!(Gate::new(RULE, 0, workloads(MAX_WORKLOADS + 1)).is_err());
}
