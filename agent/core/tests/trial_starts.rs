//! What a start of the agent means to a trial that is not judged yet.

use steadfast_core::{
    Action, Assigned, At, Boot, Cause, Committed, Digest, Event, Failure, Node, OtherSlot, Policy,
    Sizes, Slot, ThisSlot, Trial, Update, Verdict, Version, Why,
};

fn policy() -> Policy {
    let compatible = "board".try_into().expect("short");
    Policy {
        compatible,
        room: Sizes { boot: 1, root: 1 },
        fetch_attempts: 1,
        restarts: 2,
        commit_attempts: 1,
    }
}

fn on_trial(update: fn(Trial) -> Update) -> Node {
    let version = Version::new("2").expect("a version");
    let digest = Some(Digest([2; 32]));
    let trial = Trial { version, digest, set: None, slot: Slot::B, why: Why::Update };
    Node { update: update(trial), booted: Slot::B, ..Node::default() }
}

fn power_on(node: Node, id: u8) -> Node {
    let version = Version::new("2").expect("a version");
    let other = OtherSlot::Untried;
    let boot = Boot {
        slot: Slot::B,
        version,
        id: [id; 16],
        this: ThisSlot::Once,
        other,
        set: Assigned::Nothing,
        evidence: None,
    };
    node.next(Event::Booted(boot), &policy())
}

#[test]
fn a_trial_bears_no_more_restarts_than_the_policy_says() {
    let mut node = on_trial(|trial| Update::Probation { trial, restarts: 0, shutdowns: 0 });
    for id in 1..=2 {
        node = power_on(node, id);
        assert!(matches!(node.update, Update::Probation { restarts, .. } if restarts == id));
    }
    let Update::Condemning { failure, .. } = power_on(node, 3).update else { panic!("too often") };
    assert_eq!(failure.cause, Cause::Power);
}

#[test]
fn a_slot_that_starts_before_the_ledger_heard_of_its_activation_is_on_trial() {
    let activating = |trial| Update::Activating { trial, at: At::Now };
    for update in [|trial| Update::Ready { trial }, activating] {
        for other in [OtherSlot::Untried, OtherSlot::Tried, OtherSlot::Bad, OtherSlot::Unknown] {
            let version = Version::new("2").expect("a version");
            let (slot, this) = (Slot::B, ThisSlot::Once);
            let boot = Boot {
                slot,
                version,
                id: [1; 16],
                this,
                other,
                set: Assigned::Nothing,
                evidence: None,
            };
            let tried = on_trial(update).next(Event::Booted(boot), &policy()).update;
            let first = matches!(&tried, Update::Probation { trial, restarts: 0, shutdowns: 0 } if trial.slot == slot);
            assert!(first, "{other:?}: {tried:?}");
        }
    }
}

#[test]
fn an_agent_that_ended_once_before_a_power_cut_is_a_restart_and_a_panic_is_not() {
    let start = |cause: Cause| {
        let node = on_trial(|trial| Update::Probation { trial, restarts: 0, shutdowns: 0 });
        let version = Version::new("2").expect("a version");
        let evidence = Some(Failure::new(cause, format_args!("seen")));
        let boot = Boot {
            slot: Slot::B,
            version,
            id: [9; 16],
            this: ThisSlot::Once,
            other: OtherSlot::Untried,
            set: Assigned::Nothing,
            evidence,
        };
        node.next(Event::Booted(boot), &policy()).update
    };
    let ended = start(Cause::AgentCrashed);
    assert!(matches!(ended, Update::Probation { restarts: 1, .. }), "{ended:?}");
    assert!(matches!(start(Cause::Panic), Update::Condemning { .. }));
}

#[test]
fn a_commit_that_lost_its_power_is_judged_again() {
    let node =
        on_trial(|trial| Update::Committing { trial, attempt: 1, restarts: 0, shutdowns: 0 });
    let node = power_on(node, 1);
    assert!(matches!(node.update, Update::Probation { restarts: 1, .. }), "{:?}", node.update);
}

#[test]
fn a_cut_in_the_commit_counts_on_and_forgets_no_restart_and_no_shutdown() {
    let after = |restarts: u8| {
        let node = on_trial(|trial| Update::Probation { trial, restarts: 0, shutdowns: 3 });
        (1..=restarts).fold(node, power_on)
    };
    let committing = |restarts| after(restarts).next(Event::Judged(Verdict::Healthy), &policy());
    let again = start(committing(1), 9, None);
    assert!(matches!(again, Update::Probation { restarts: 2, shutdowns: 3, .. }), "{again:?}");
    let Update::Condemning { failure, .. } = start(committing(2), 9, None) else {
        panic!("too often")
    };
    assert_eq!(failure.cause, Cause::Power);
    let Update::Condemning { failure, .. } = start(committing(0), 9, Some(Cause::Panic)) else {
        panic!("a verdict")
    };
    assert_eq!(failure.cause, Cause::Panic);
}

#[test]
fn an_attempt_to_commit_that_failed_forgets_no_restart() {
    let policy = Policy { commit_attempts: 2, ..policy() };
    let node =
        on_trial(|trial| Update::Committing { trial, attempt: 1, restarts: 2, shutdowns: 3 });
    let failure = || Failure::new(Cause::Write, format_args!("seen"));
    let again = node.clone().next(Event::Committed(Err(failure())), &policy).update;
    let expected = |update: &Update| {
        matches!(update, Update::Committing { attempt: 2, restarts: 2, shutdowns: 3, .. })
    };
    assert!(expected(&again), "{again:?}");
    let here = node.boot[0];
    let again = start(node, here, None);
    assert!(expected(&again), "an agent that ended: {again:?}");
}

/// Starts in the slot on trial, with this boot id and what the last end left behind.
fn start(node: Node, id: u8, evidence: Option<Cause>) -> Update {
    let version = Version::new("2").expect("a version");
    let evidence = evidence.map(|cause| Failure::new(cause, format_args!("seen")));
    let boot = Boot {
        slot: Slot::B,
        version,
        id: [id; 16],
        this: ThisSlot::Once,
        other: OtherSlot::Untried,
        set: Assigned::Nothing,
        evidence,
    };
    node.next(Event::Booted(boot), &policy()).update
}

/// The first start that the agent tells of, after what became of an earlier one or of the old system's end.
fn first_heard(this: ThisSlot, cause: Cause) -> Update {
    let (version, other) = (Version::new("2").expect("a version"), OtherSlot::Untried);
    let evidence = Some(Failure::new(cause, format_args!("seen")));
    let boot =
        Boot { slot: Slot::B, version, id: [9; 16], this, other, set: Assigned::Nothing, evidence };
    let node = Node { booted: Slot::A, ..on_trial(|trial| Update::Rebooting { trial }) };
    node.next(Event::Booted(boot), &policy()).update
}

#[test]
fn a_panic_or_a_reset_before_the_agent_first_came_up_is_a_verdict() {
    for cause in [Cause::Panic, Cause::Watchdog] {
        let ended = first_heard(ThisSlot::Again, cause.clone());
        let Update::Condemning { failure, .. } = ended else { panic!("{ended:?}") };
        assert_eq!(failure.cause, cause);
    }
}

#[test]
fn how_the_old_system_ended_is_not_blamed_on_the_new_one() {
    for cause in [Cause::Panic, Cause::Watchdog] {
        let begun = first_heard(ThisSlot::Once, cause);
        assert!(matches!(begun, Update::Probation { restarts: 0, .. }), "{begun:?}");
    }
    let ended = first_heard(ThisSlot::Again, Cause::AgentCrashed);
    assert!(matches!(ended, Update::Probation { .. }), "{ended:?}");
}

/// Somebody switches the node off in the middle of a trial that was started again as often as it may be.
fn left() -> Node {
    let node = on_trial(|trial| Update::Probation { trial, restarts: 2, shutdowns: 0 });
    node.next(Event::ShutdownAsked, &policy())
}

#[test]
fn a_shutdown_that_somebody_asked_for_is_no_failed_boot() {
    let node = left();
    assert_eq!(node.update.action(), Some(Action::Activate(Slot::B)), "its attempts come back");
    for heard in [Ok(()), Err(Failure::new(Cause::Write, format_args!("seen")))] {
        let after = node.clone().next(Event::Activated(heard), &policy());
        assert_eq!(after, node, "it waits for the next start, and a power-off stays one");
    }
    let again = start(node, 1, None);
    assert!(matches!(again, Update::Probation { restarts: 2, shutdowns: 1, .. }), "{again:?}");
}

#[test]
fn a_shutdown_that_was_taken_back_counts_as_no_restart() {
    let here = left().boot[0];
    for evidence in [None, Some(Cause::AgentCrashed)] {
        let again = start(left(), here, evidence);
        assert!(matches!(again, Update::Probation { restarts: 2, .. }), "{again:?}");
    }
}

#[test]
fn a_shutdown_that_hung_is_a_restart_and_a_panic_in_it_is_a_verdict() {
    let fresh = || {
        let node = on_trial(|trial| Update::Probation { trial, restarts: 0, shutdowns: 0 });
        node.next(Event::ShutdownAsked, &policy())
    };
    for cause in [Cause::Watchdog, Cause::AgentCrashed] {
        let again = start(fresh(), 1, Some(cause.clone()));
        assert!(matches!(again, Update::Probation { restarts: 1, .. }), "{again:?}");
        let Update::Condemning { failure, .. } = start(left(), 1, Some(cause.clone())) else {
            panic!("too often")
        };
        assert_eq!(failure.cause, cause);
    }
    let Update::Condemning { failure, .. } = start(fresh(), 1, Some(Cause::Panic)) else {
        panic!("a verdict")
    };
    assert_eq!(failure.cause, Cause::Panic);
}

#[test]
fn a_trial_that_was_left_and_did_not_start_again_ends() {
    let version = Version::new("1").expect("a version");
    let other = OtherSlot::Tried;
    let boot = Boot {
        slot: Slot::A,
        version,
        id: [1; 16],
        this: ThisSlot::Once,
        other,
        set: Assigned::Nothing,
        evidence: None,
    };
    let Update::Condemning { trial, failure } = left().next(Event::Booted(boot), &policy()).update
    else {
        panic!("the old slot runs")
    };
    assert_eq!((trial.slot, failure.cause), (Slot::B, Cause::Power));
}

#[test]
fn a_system_that_switches_the_node_off_again_and_again_comes_back() {
    let mut node = on_trial(|trial| Update::Probation { trial, restarts: 0, shutdowns: 0 });
    let mut starts = 0;
    while !matches!(node.update, Update::Condemning { .. }) {
        starts += 1;
        node = power_on(node.next(Event::ShutdownAsked, &policy()), starts);
    }
    assert_eq!(starts, 4 + 2 + 1, "four shutdowns are borne, then each is a restart");
}

/// The old slot runs, although something else was to.
fn at_home(update: fn(Trial) -> Update, other: OtherSlot) -> Update {
    at_home_after(update, other, None).update
}

/// The same, with what the end before it left behind.
fn at_home_after(update: fn(Trial) -> Update, other: OtherSlot, cause: Option<Cause>) -> Node {
    let version = Version::new("1").expect("a version");
    let committed =
        Some(Committed { slot: Slot::A, version: version.clone(), digest: None, set: None });
    let node = Node { committed, ..on_trial(update) };
    let evidence = cause.map(|cause| Failure::new(cause, format_args!("seen")));
    let boot = Boot {
        slot: Slot::A,
        version,
        id: [7; 16],
        this: ThisSlot::Once,
        other,
        set: Assigned::Nothing,
        evidence,
    };
    node.next(Event::Booted(boot), &policy())
}

#[test]
fn an_agent_that_ends_in_a_trial_is_a_restart() {
    let node = on_trial(|trial| Update::Probation { trial, restarts: 1, shutdowns: 3 });
    let here = node.boot[0];
    let again = start(node, here, Some(Cause::AgentCrashed));
    assert!(matches!(again, Update::Probation { restarts: 2, shutdowns: 3, .. }), "{again:?}");
}

#[test]
fn a_trial_whose_old_slot_runs_is_over_and_tells_how_often_its_agent_came_up() {
    let probation = |trial| Update::Probation { trial, restarts: 1, shutdowns: 0 };
    let leaving = |trial| Update::Leaving { trial, restarts: 1, shutdowns: 1 };
    let committing = |trial| Update::Committing { trial, attempt: 1, restarts: 1, shutdowns: 0 };
    for update in [probation, leaving, committing] {
        let ended = at_home(update, OtherSlot::Tried);
        let Update::Condemning { failure, .. } = ended else { panic!("{ended:?}") };
        assert_eq!(failure.cause, Cause::Power);
        assert_eq!(failure.evidence, "the agent came up 2 times in the slot, then no more");
    }
}

#[test]
fn a_trial_that_was_activated_and_tried_is_over_when_the_old_slot_runs() {
    let activating = |trial| Update::Activating { trial, at: At::Now };
    let tried = at_home(activating, OtherSlot::Tried);
    assert!(matches!(tried, Update::Condemning { .. }), "{tried:?}");
    let untried = at_home(activating, OtherSlot::Untried);
    assert!(matches!(untried, Update::Committing { .. }), "it settles first: {untried:?}");
}

#[test]
fn a_release_that_never_ran_is_not_refused_for_how_the_old_system_ended() {
    for cause in [Cause::Panic, Cause::Watchdog, Cause::AgentCrashed] {
        let rebooting = |trial| Update::Rebooting { trial };
        let node = at_home_after(rebooting, OtherSlot::Untried, Some(cause));
        let Update::Condemning { failure, .. } = &node.update else { panic!("{:?}", node.update) };
        assert_eq!(failure.cause, Cause::Write);
        assert_eq!(failure.evidence, "the slot was activated and never tried");
        let node = node.next(Event::Condemned(Ok(())), &policy());
        assert!(node.refused.is_empty(), "{:?}", node.refused);
    }
}

#[test]
fn what_a_slot_that_was_tried_left_behind_is_why_it_did_not_start() {
    let activating = |trial| Update::Activating { trial, at: At::Now };
    for update in [activating, |trial| Update::Rebooting { trial }] {
        for cause in [Cause::AgentCrashed, Cause::Panic, Cause::Watchdog] {
            let ended = at_home_after(update, OtherSlot::Tried, Some(cause.clone())).update;
            let Update::Condemning { failure, .. } = ended else { panic!("{ended:?}") };
            assert_eq!(failure.cause, cause);
        }
        let ended = at_home_after(update, OtherSlot::Tried, None).update;
        let Update::Condemning { failure, .. } = ended else { panic!("{ended:?}") };
        assert_eq!(failure.cause, Cause::Attempts);
    }
}

#[test]
fn a_condemned_slot_that_starts_again_is_condemned_again() {
    let returning = |trial| {
        let failure = Failure::new(Cause::Deadline, format_args!("seen"));
        Update::Returning { trial, failure }
    };
    let again = start(on_trial(returning), 9, None);
    let Update::Condemning { failure, .. } = again else { panic!("{again:?}") };
    assert_eq!(failure.cause, Cause::Deadline);
}

#[test]
fn an_ordinary_boot_whose_commit_was_cut_off_is_no_trial() {
    let rearming = |trial: Trial| Update::Committing {
        trial: Trial { slot: Slot::A, why: Why::Restart, ..trial },
        attempt: 1,
        restarts: 0,
        shutdowns: 0,
    };
    let again = at_home(rearming, OtherSlot::Bad);
    assert!(matches!(again, Update::Committing { attempt: 1, .. }), "{again:?}");
}
