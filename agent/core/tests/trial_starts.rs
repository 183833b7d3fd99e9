//! What a start of the agent means to a trial that is not judged yet.

use steadfast_core::{
    Boot, Cause, Digest, Event, Failure, Node, OtherSlot, Policy, Sizes, Slot, Trial, Update,
    Version, Why,
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
    let trial = Trial { version, digest, slot: Slot::B, why: Why::Update };
    Node { update: update(trial), booted: Slot::B, ..Node::default() }
}

fn power_on(node: Node, id: u8) -> Node {
    let version = Version::new("2").expect("a version");
    let other = OtherSlot::Untried;
    let boot = Boot { slot: Slot::B, version, id: [id; 16], other, evidence: None };
    node.next(Event::Booted(boot), &policy())
}

#[test]
fn a_trial_bears_no_more_restarts_than_the_policy_says() {
    let mut node = on_trial(|trial| Update::Probation { trial, restarts: 0 });
    for id in 1..=2 {
        node = power_on(node, id);
        assert!(matches!(node.update, Update::Probation { restarts, .. } if restarts == id));
    }
    let Update::Condemning { failure, .. } = power_on(node, 3).update else { panic!("too often") };
    assert_eq!(failure.cause, Cause::Power);
}

#[test]
fn an_agent_that_ended_once_before_a_power_cut_is_a_restart_and_a_panic_is_not() {
    let start = |cause: Cause| {
        let node = on_trial(|trial| Update::Probation { trial, restarts: 0 });
        let version = Version::new("2").expect("a version");
        let evidence = Some(Failure::new(cause, format_args!("seen")));
        let boot =
            Boot { slot: Slot::B, version, id: [9; 16], other: OtherSlot::Untried, evidence };
        node.next(Event::Booted(boot), &policy()).update
    };
    let ended = start(Cause::AgentCrashed);
    assert!(matches!(ended, Update::Probation { restarts: 1, .. }), "{ended:?}");
    assert!(matches!(start(Cause::Panic), Update::Condemning { .. }));
}

#[test]
fn a_commit_that_lost_its_power_is_judged_again() {
    let node = on_trial(|trial| Update::Committing { trial, attempt: 1 });
    let node = power_on(node, 1);
    assert!(matches!(node.update, Update::Probation { restarts: 1, .. }), "{:?}", node.update);
}
