//! The port on paused time: systemd checks with played answers.

use super::super::systemd::Units;
use super::*;
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::pending;
use std::rc::Rc;
use steadfast_core::{Cause, Event, Failure, Port, Verdict};
use tokio::time::Instant;

/// Units that answer as they are told, and count. The time is in seconds since the start.
#[derive(Clone)]
struct Played {
    start: Instant,
    answer: fn(&str, u64) -> Option<Heard>,
    asked: Rc<RefCell<HashMap<String, Vec<u64>>>>,
}

impl Played {
    fn new(answer: fn(&str, u64) -> Option<Heard>) -> Played {
        Played { start: Instant::now(), answer, asked: Rc::default() }
    }

    fn asked(&self, unit: &str) -> Vec<u64> {
        self.asked.borrow().get(unit).cloned().unwrap_or_default()
    }
}

impl Units for Played {
    async fn ask(&self, unit: &str) -> Heard {
        let now = self.start.elapsed().as_secs();
        self.asked.borrow_mut().entry(unit.to_owned()).or_default().push(now);
        match (self.answer)(unit, now) {
            Some(heard) => heard,
            None => pending().await,
        }
    }
}

fn unit(name: &str, more: &str) -> String {
    format!("[[check]]\nname = \"{name}\"\nkind = \"systemd\"\nunit = \"{name}.service\"\n{more}\n")
}

/// The verdict and how many seconds it took.
async fn judged(checks: Checks, played: &Played) -> (Verdict, u64) {
    let (port, _seen) = port(checks, RULE);
    let event = port.with_units(played.clone()).perform(Judge).await;
    let Event::Judged(verdict) = event else { panic!("{event:?}") };
    (verdict, played.start.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_system_whose_checks_hold_is_healthy_when_the_soak_time_ends() {
    let played = Played::new(|_, _| Some(Heard::Passed));
    let checks = checks(&(unit("a", "") + &unit("b", "")));
    assert_eq!(judged(checks, &played).await, (Verdict::Healthy, 30));
}

#[tokio::test(start_paused = true)]
async fn a_system_without_checks_is_healthy_when_the_soak_time_ends() {
    let played = Played::new(|_, _| None);
    assert_eq!(judged(Checks::default(), &played).await, (Verdict::Healthy, 30));
}

#[tokio::test(start_paused = true)]
async fn the_deadline_names_the_check_that_fails_and_shows_why() {
    let played = Played::new(|unit, _| match unit {
        "sick.service" => Some(failed("exit 1: no display")),
        _ => Some(Heard::Passed),
    });
    let checks = checks(&(unit("well", "") + &unit("sick", "")));
    let cause = Cause::Check("sick".try_into().expect("short"));
    let failure = Failure::new(cause, format_args!("exit 1: no display"));
    assert_eq!(judged(checks, &played).await, (Verdict::Unhealthy(failure), 300));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_recovers_is_judged_from_then_on() {
    let played = Played::new(|_, now| Some(if now < 40 { failed("") } else { Heard::Passed }));
    let checks = checks(&unit("a", ""));
    assert_eq!(judged(checks, &played).await, (Verdict::Healthy, 70));
}

#[tokio::test(start_paused = true)]
async fn a_check_that_is_not_required_is_run_and_decides_nothing() {
    let played = Played::new(|_, _| Some(failed("unplugged")));
    let checks = checks(&unit("cable", "required = false\ninterval_s = 7"));
    assert_eq!(judged(checks, &played).await, (Verdict::Healthy, 30));
    assert_eq!(played.asked("cable.service"), [0, 7, 14, 21, 28]);
}

#[tokio::test(start_paused = true)]
async fn every_check_runs_at_once_and_then_on_its_own_interval() {
    let played = Played::new(|_, _| Some(Heard::Passed));
    let often = unit("often", "interval_s = 4");
    let checks = checks(&(often + &unit("seldom", "interval_s = 20")));
    judged(checks, &played).await;
    assert_eq!(played.asked("often.service"), [0, 4, 8, 12, 16, 20, 24, 28]);
    assert_eq!(played.asked("seldom.service"), [0, 20]);
}

#[tokio::test(start_paused = true)]
async fn a_check_that_hangs_fails_at_its_timeout_and_delays_no_other() {
    let played = Played::new(|unit, _| match unit {
        "hangs.service" => None,
        _ => Some(Heard::Passed),
    });
    let hangs = unit("hangs", "timeout_s = 100\ninterval_s = 1");
    let checks = checks(&(hangs + &unit("well", "")));
    let (verdict, took) = judged(checks, &played).await;
    let cause = Cause::Check("hangs".try_into().expect("short"));
    let failure = Failure::new(cause, format_args!("not done within 100s"));
    assert_eq!((verdict, took), (Verdict::Unhealthy(failure), 300));
    assert_eq!(played.asked("hangs.service"), [0, 100, 200]);
    let well = played.asked("well.service");
    assert_eq!(well[..3], [0, 5, 10], "{well:?}");
    assert!(well.len() >= 60, "{well:?}");
}

#[tokio::test(start_paused = true)]
async fn status_sees_each_answer_as_it_comes() {
    let played = Played::new(|_, now| (now >= 5).then_some(Heard::Passed));
    let (port, mut seen) = port(checks(&unit("a", "timeout_s = 3")), RULE);
    let mut port = port.with_units(played);
    let watcher = async {
        let mut all = Vec::new();
        while all.len() < 3 {
            seen.changed().await.expect("the port lives");
            let now = seen.borrow_and_update().clone();
            assert_eq!((now.len(), now[0].subject.name().as_str()), (1, "a"));
            all.push(now[0].heard.clone());
        }
        all
    };
    tokio::select! {
        event = port.perform(Judge) => panic!("{event:?}"),
        all = watcher => {
            let late = failed("not done within 3s");
            assert_eq!(all, [Heard::Nothing, late, Heard::Passed]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_judging_starts_with_nothing_heard() {
    let played = Played::new(|_, now| (now < 30).then_some(Heard::Passed));
    let (port, seen) = port(checks(&unit("a", "")), RULE);
    let mut port = port.with_units(played);
    assert_eq!(port.perform(Judge).await, Event::Judged(Verdict::Healthy));
    let Event::Judged(Verdict::Unhealthy(failure)) = port.perform(Judge).await else {
        panic!("nothing passed since")
    };
    assert_eq!(failure.evidence, "not done within 5s");
    assert_eq!(seen.borrow().len(), 1);
}

fn workload(name: &str, heard: Heard) -> Workload {
    let name = name.try_into().expect("short");
    Workload { name, weight: Weight::Required, heard }
}

/// The verdict over workloads that change at these seconds, and how many seconds it took.
async fn judged_with(changes: Vec<(u64, Vec<Workload>)>) -> (Verdict, u64) {
    let played = Played::new(|_, _| Some(Heard::Passed));
    let (port, _seen) = port(checks(&unit("a", "")), RULE);
    let mut changes = changes.into_iter();
    let (_, first) = changes.next().expect("what is there at the start");
    let (told, workloads) = watch::channel(Some(first));
    let mut port = port.with_units(played.clone()).with_workloads(workloads);
    let told = async {
        for (second, now) in changes {
            tokio::time::sleep_until(played.start + Duration::from_secs(second)).await;
            told.send_replace(Some(now));
        }
        pending::<()>().await
    };
    let verdict = tokio::select! {
        event = port.perform(Judge) => match event {
            Event::Judged(verdict) => verdict,
            other => panic!("{other:?}"),
        },
        () = told => unreachable!("it goes on for ever"),
    };
    (verdict, played.start.elapsed().as_secs())
}

#[tokio::test(start_paused = true)]
async fn a_system_is_healthy_only_after_its_workloads_were_ready_for_the_soak_time() {
    let (not_yet, ready) =
        (workload("bridge", failed("pulling")), workload("bridge", Heard::Passed));
    let judged = judged_with(vec![(0, vec![not_yet]), (40, vec![ready])]).await;
    assert_eq!(judged, (Verdict::Healthy, 70));
}

#[tokio::test(start_paused = true)]
async fn a_workload_that_is_told_again_as_it_was_breaks_no_soak_time() {
    let ready = || vec![workload("bridge", Heard::Passed)];
    let judged = judged_with(vec![(0, ready()), (10, ready()), (20, ready())]).await;
    assert_eq!(judged, (Verdict::Healthy, 30));
}

#[tokio::test(start_paused = true)]
async fn a_workload_that_is_not_ready_in_time_is_the_cause() {
    let sick = || workload("vision", failed("core exited with code 3"));
    let now = vec![workload("bridge", Heard::Passed), sick()];
    let (verdict, second) = judged_with(vec![(0, now)]).await;
    let Verdict::Unhealthy(Failure { cause, evidence }) = verdict else { panic!("{verdict:?}") };
    assert_eq!((cause.name(), cause.kind(), second), (Some("vision"), "workload", 300));
    assert_eq!(evidence, "core exited with code 3");
}

#[tokio::test(start_paused = true)]
async fn a_workload_that_vanishes_while_it_is_judged_is_not_ready() {
    let (verdict, _) =
        judged_with(vec![(0, vec![workload("bridge", Heard::Passed)]), (20, vec![])]).await;
    let Verdict::Unhealthy(failure) = verdict else { panic!("{verdict:?}") };
    assert_eq!(failure.cause.name(), Some("bridge"));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_judged_before_it_is_known_which_pods_should_run() {
    let played = Played::new(|_, _| Some(Heard::Passed));
    let (told, workloads) = watch::channel(None);
    let judge = async || {
        let (port, _seen) = port(checks(&unit("a", "")), RULE);
        port.with_units(played.clone()).with_workloads(workloads.clone()).perform(Judge).await
    };
    let Event::Judged(Verdict::Unhealthy(failure)) = judge().await else { panic!("nobody told") };
    assert_eq!((failure.cause, played.start.elapsed().as_secs()), (Cause::Deadline, 300));
    let known = async {
        tokio::time::sleep_until(Instant::now() + Duration::from_secs(20)).await;
        told.send_replace(Some(vec![workload("bridge", Heard::Passed)]));
        pending::<()>().await
    };
    let event = tokio::select! { event = judge() => event, () = known => unreachable!("for ever") };
    assert_eq!(event, Event::Judged(Verdict::Healthy));
    assert_eq!(played.start.elapsed().as_secs(), 300 + 20 + 30, "the soak time begins then");
}
