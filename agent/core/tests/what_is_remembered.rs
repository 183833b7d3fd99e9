//! What the node remembers of a trial that ended, and what it makes of a start that went otherwise.

use steadfast_core::{
    Assigned, At, Boot, Bundle, Cause, Committed, Digest, Event, Failure, Inspected, Node, Offer,
    OtherSlot, Outcome, Pending, Policy, Sizes, Slot, Source, ThisSlot, Trial, Update, Verdict,
    Version, Why,
};

const HERE: [u8; 16] = [1; 16];
const NEW: [u8; 16] = [2; 16];

fn policy() -> Policy {
    Policy {
        compatible: "board".try_into().expect("short"),
        room: Default::default(),
        fetch_attempts: 2,
        restarts: 1,
        commit_attempts: 2,
    }
}

fn version(text: &str) -> Version {
    Version::new(text).expect("a version")
}

fn digest(of: u8) -> Digest {
    Digest([of; 32])
}

fn failure(cause: Cause) -> Failure {
    Failure { cause, evidence: Default::default() }
}

/// 2 in slot B.
fn trial(why: Why) -> Trial {
    Trial { version: version("2"), digest: Some(digest(2)), set: None, slot: Slot::B, why }
}

/// 1 in slot A is committed and runs.
fn at_home(update: Update) -> Node {
    let digest = Some(digest(1));
    let committed = Some(Committed { slot: Slot::A, version: version("1"), digest, set: None });
    let (running, floor) = (Some(version("1")), Some(version("1")));
    Node { update, committed, running, floor, boot: HERE, ..Node::default() }
}

/// The same node, in slot B.
fn away(update: Update) -> Node {
    Node { booted: Slot::B, running: Some(version("2")), ..at_home(update) }
}

fn after(node: Node, events: impl IntoIterator<Item = Event>) -> Node {
    events.into_iter().fold(node, |node, event| node.next(event, &policy()))
}

/// Starts in a slot, which holds what it held.
fn start(slot: Slot, id: [u8; 16], other: OtherSlot, evidence: Option<Cause>) -> Event {
    let version = version(if slot == Slot::A { "1" } else { "2" });
    Event::Booted(Boot {
        slot,
        version,
        id,
        this: ThisSlot::Once,
        other,
        set: Assigned::Nothing,
        evidence: evidence.map(failure),
    })
}

/// The ending, with its cause.
fn ended(node: &Node) -> Option<(Outcome, Slot, Option<Cause>)> {
    let cause = |it: &Failure| it.cause.clone();
    node.last.as_ref().map(|it| (it.outcome, it.slot, it.failure.as_ref().map(cause)))
}

fn condemned(node: &Node) -> Option<Cause> {
    match &node.update {
        Update::Condemning { failure, .. } => Some(failure.cause.clone()),
        _ => None,
    }
}

fn condemning(why: Why, cause: Cause) -> Update {
    Update::Condemning { trial: trial(why), failure: failure(cause) }
}

#[test]
fn a_release_that_failed_here_is_refused_from_now_on_and_what_is_not_to_blame_is_not() {
    let refused = |why, cause| {
        let node = after(away(condemning(why, cause)), [Event::Condemned(Ok(()))]);
        node.refused.contains(&digest(2))
    };
    assert!(refused(Why::Update, Cause::Deadline));
    assert!(refused(Why::Update, Cause::Panic));
    assert!(!refused(Why::Update, Cause::Power));
    assert!(!refused(Why::Update, Cause::Write));
    assert!(!refused(Why::Rollback, Cause::Deadline), "it was good once");
}

#[test]
fn a_full_list_of_refused_digests_forgets_the_oldest() {
    let refused = (10..26).map(digest).collect();
    let node = Node { refused, ..away(condemning(Why::Update, Cause::Deadline)) };
    let node = after(node, [Event::Condemned(Ok(()))]);
    assert_eq!((node.refused.len(), node.refused.first()), (16, Some(&digest(11))));
    assert_eq!(node.refused.last(), Some(&digest(2)));
}

#[test]
fn a_commit_raises_the_floor_and_keeps_the_way_back() {
    let commit =
        |why| Update::Committing { trial: trial(why), attempt: 1, restarts: 0, shutdowns: 0 };
    let node = after(away(commit(Why::Update)), [Event::Committed(Ok(()))]);
    assert_eq!((node.floor, node.endings), (Some(version("2")), 1));
    let previous = node.previous.map(|it| (it.slot, it.version, it.digest));
    assert_eq!(previous, Some((Slot::A, version("1"), Some(digest(1)))));
    let known = node.committed.map(|it| (it.slot, it.version, it.digest));
    assert_eq!(known, Some((Slot::B, version("2"), Some(digest(2)))));
    let fell_back = Node { floor: Some(version("3")), ..away(commit(Why::Restart)) };
    let node = after(fell_back, [Event::Committed(Ok(()))]);
    assert_eq!(node.floor, Some(version("3")), "an ordinary boot moves no floor");
}

#[test]
fn a_commit_is_tried_again_and_then_given_up() {
    let commit =
        Update::Committing { trial: trial(Why::Update), attempt: 1, restarts: 0, shutdowns: 0 };
    let not = || Event::Committed(Err(failure(Cause::Write)));
    let node = after(away(commit), [not()]);
    assert!(matches!(node.update, Update::Committing { attempt: 2, .. }), "{:?}", node.update);
    assert_eq!(condemned(&after(node, [not()])), Some(Cause::Write));
}

#[test]
fn a_trial_that_an_operator_ends_is_ended_by_him() {
    let node = away(Update::Probation { trial: trial(Why::Update), restarts: 0, shutdowns: 0 });
    assert_eq!(condemned(&after(node, [Event::RollbackAsked])), Some(Cause::Operator));
}

#[test]
fn a_committed_system_that_is_sick_stays_in_doubt_and_takes_the_update_that_waits() {
    let settling = Trial { version: version("1"), slot: Slot::A, ..trial(Why::Restart) };
    let node = at_home(Update::Settling { trial: settling });
    let node = Node { pending: Pending::Ready(trial(Why::Update), At::Window), ..node };
    let sick = Event::Judged(Verdict::Unhealthy(failure(Cause::Deadline)));
    let node = after(node, [sick]);
    assert_eq!(node.update, Update::Ready { trial: trial(Why::Update) });
    assert_eq!(node.doubt.map(|doubt| doubt.cause), Some(Cause::Deadline));
    let node = Node { doubt: Some(failure(Cause::Deadline)), ..at_home(Update::Idle) };
    // The doubt may be that the boot store was not written, so the word is written first.
    let confirmed = after(node.clone(), [Event::Confirmed]);
    assert!(matches!(confirmed.update, Update::Committing { .. }), "{:?}", confirmed.update);
    let events = [Event::Committed(Ok(())), Event::Judged(Verdict::Healthy)];
    assert_eq!(after(confirmed, events).doubt, None);
    let rebooted = start(Slot::A, NEW, OtherSlot::Bad, None);
    assert_eq!(after(node, [rebooted]).doubt, None, "it is judged anew");
}

#[test]
fn the_first_system_is_committed_though_it_is_sick_if_there_is_no_other() {
    let sick = || Event::Judged(Verdict::Unhealthy(failure(Cause::Deadline)));
    let alone = |other| {
        let settling = Update::Settling { trial: trial(Why::Restart) };
        let node = Node { committed: None, other, ..away(settling) };
        matches!(after(node, [sick()]).update, Update::Committing { .. })
    };
    assert!(alone(OtherSlot::Bad) && !alone(OtherSlot::Untried));
    let fresh = Node { committed: None, other: OtherSlot::Bad, ..at_home(Update::Idle) };
    let node = after(fresh, [start(Slot::A, NEW, OtherSlot::Untried, None)]);
    assert_eq!(node.other, OtherSlot::Untried, "each start says it anew");
}

#[test]
fn what_never_ran_has_failed_and_what_ran_has_returned() {
    let outcome = |cause| {
        let node = after(at_home(condemning(Why::Update, cause)), [Event::Condemned(Ok(()))]);
        ended(&node).map(|(outcome, slot, _)| (outcome, slot))
    };
    assert_eq!(outcome(Cause::Write), Some((Outcome::Failed, Slot::B)));
    assert_eq!(outcome(Cause::Attempts), Some((Outcome::Returned, Slot::B)));
    let returning = Update::Returning { trial: trial(Why::Update), failure: failure(Cause::Panic) };
    let node = after(away(returning), [start(Slot::A, NEW, OtherSlot::Bad, None)]);
    assert_eq!(ended(&node), Some((Outcome::Returned, Slot::B, Some(Cause::Panic))));
    assert_eq!(node.last.and_then(|it| it.version), Some(version("2")));
    assert_eq!(node.running, Some(version("1")));
}

#[test]
fn a_previous_system_that_is_condemned_is_no_way_back() {
    let previous =
        Some(Committed { slot: Slot::B, version: version("2"), digest: None, set: None });
    let node = Node { previous, ..at_home(condemning(Why::Rollback, Cause::Attempts)) };
    assert_eq!(after(node, [Event::Condemned(Ok(()))]).previous, None);
}

#[test]
fn what_the_end_left_behind_is_the_cause_and_without_it_the_slots_say_it() {
    let rebooting = || at_home(Update::Rebooting { trial: trial(Why::Update) });
    let back = |other, evidence| after(rebooting(), [start(Slot::A, NEW, other, evidence)]);
    let panicked = back(OtherSlot::Tried, Some(Cause::Panic));
    assert_eq!(condemned(&panicked), Some(Cause::Panic));
    assert_eq!(condemned(&back(OtherSlot::Tried, None)), Some(Cause::Attempts));
    assert_eq!(condemned(&back(OtherSlot::Untried, None)), Some(Cause::Write));
}

#[test]
fn an_agent_that_dies_in_a_trial_is_the_cause_that_it_left_behind() {
    let probation =
        away(Update::Probation { trial: trial(Why::Update), restarts: 1, shutdowns: 0 });
    let again = |evidence| start(Slot::B, HERE, OtherSlot::Untried, evidence);
    let node = after(probation.clone(), [again(Some(Cause::Watchdog))]);
    assert_eq!(condemned(&node), Some(Cause::Watchdog));
    assert_eq!(condemned(&after(probation, [again(None)])), Some(Cause::AgentCrashed));
    let commit = |attempt| {
        away(Update::Committing { trial: trial(Why::Update), attempt, restarts: 0, shutdowns: 0 })
    };
    let node = after(commit(2), [again(None)]);
    assert!(matches!(node.update, Update::Committing { attempt: 3, .. }), "{:?}", node.update);
    assert_eq!(condemned(&after(node, [again(None)])), Some(Cause::AgentCrashed));
}

#[test]
fn a_panic_in_a_trial_ends_it_at_once() {
    let node = away(Update::Probation { trial: trial(Why::Update), restarts: 0, shutdowns: 0 });
    let node = after(node, [start(Slot::B, NEW, OtherSlot::Untried, Some(Cause::Panic))]);
    assert_eq!(condemned(&node), Some(Cause::Panic));
}

#[test]
fn a_slot_that_holds_something_else_is_not_judged_in_its_name() {
    let other = Trial { version: version("3"), ..trial(Why::Update) };
    let node = at_home(Update::Rebooting { trial: other });
    let node = after(node, [start(Slot::B, NEW, OtherSlot::Untried, None)]);
    assert_eq!(condemned(&node), Some(Cause::Damaged));
}

#[test]
fn a_committed_system_that_no_longer_starts_is_told_and_refused() {
    let node = after(at_home(Update::Idle), [start(Slot::B, NEW, OtherSlot::Tried, None)]);
    assert_eq!(ended(&node), Some((Outcome::Returned, Slot::A, Some(Cause::Attempts))));
    assert!(node.refused.contains(&digest(1)));
    let node = at_home(Update::Idle);
    let node = after(node, [start(Slot::B, NEW, OtherSlot::Tried, Some(Cause::Power))]);
    assert!(node.refused.is_empty(), "power blames nobody");
}

/// The node after an ordinary boot that settled.
fn settled_again(node: Node) -> Node {
    let healthy = Event::Judged(Verdict::Healthy);
    let booted = start(Slot::A, NEW, OtherSlot::Bad, None);
    after(node, [booted, Event::Committed(Ok(())), healthy])
}

#[test]
fn an_update_that_a_boot_cut_off_goes_on_when_the_node_has_settled() {
    let source = "usb".try_into().expect("short");
    let offered = Event::Announced(Offer { source, at: At::Now, content: None, set: None });
    let node = settled_again(after(at_home(Update::Idle), [offered.clone()]));
    assert_eq!(node.update.name(), "fetching");
    let node = settled_again(after(at_home(Update::Idle), [offered, Event::Fetched(Ok(()))]));
    assert_eq!(node.update.name(), "fetching", "a bundle may be gone after a boot");
    let ready = Update::Ready { trial: trial(Why::Update) };
    assert_eq!(settled_again(at_home(ready.clone())).update, ready, "it waits for its window");
    let activating = Update::Activating { trial: trial(Why::Update), at: At::Now };
    assert_eq!(settled_again(at_home(activating.clone())).update, activating);
}

#[test]
fn the_digest_of_what_runs_is_known_only_for_what_was_committed() {
    let other = Node { running: Some(version("9")), ..at_home(Update::Idle) };
    let version = version("9");
    let (slot, id, other_slot) = (Slot::A, NEW, OtherSlot::Bad);
    let boot = Boot {
        slot,
        version,
        id,
        this: ThisSlot::Once,
        other: other_slot,
        set: Assigned::Nothing,
        evidence: None,
    };
    let node = after(other, [Event::Booted(boot)]);
    let Update::Committing { trial, .. } = node.update else { panic!("its attempts come back") };
    assert_eq!(trial.digest, None, "somebody wrote another system into the slot");
    let node = after(at_home(Update::Idle), [start(Slot::A, NEW, OtherSlot::Bad, None)]);
    let Update::Committing { trial, .. } = node.update else { panic!("its attempts come back") };
    assert_eq!(trial.digest, Some(digest(1)));
}

#[test]
fn a_bundle_that_cannot_be_had_is_asked_for_as_often_as_the_policy_says() {
    let source = "usb".try_into().expect("short");
    let not = |cause| Event::Fetched(Err(failure(cause)));
    let node = after(
        at_home(Update::Idle),
        [Event::Announced(Offer { source, at: At::Now, content: None, set: None })],
    );
    let again = after(node.clone(), [not(Cause::Network)]);
    assert!(matches!(again.update, Update::Fetching { attempt: 2, .. }), "{:?}", again.update);
    let ended_with = |node| ended(&node).and_then(|(_, _, cause)| cause);
    assert_eq!(ended_with(after(again, [not(Cause::Network)])), Some(Cause::Network));
    assert_eq!(ended_with(after(node, [not(Cause::Source)])), Some(Cause::Source));
}

#[test]
fn a_committed_slot_that_was_passed_over_is_not_blamed() {
    let passed_over = start(Slot::B, NEW, OtherSlot::Untried, None);
    let node = after(at_home(Update::Idle), [passed_over]);
    let last = node.last.expect("it is told");
    assert_eq!(last.failure.map(|failure| failure.cause), Some(Cause::Write));
    assert!(node.refused.is_empty(), "its digest is not refused");
}

#[test]
fn a_half_written_slot_that_starts_all_the_same_is_condemned() {
    let node = at_home(Update::Idle);
    let source: Source = "usb".try_into().expect("short");
    let bundle = Bundle { version: version("2"), digest: digest(2) };
    let sizes = Sizes::default();
    let found = Inspected { bundle, compatible: "board".try_into().expect("short"), sizes };
    let offered = Event::Announced(Offer { source, at: At::Now, content: None, set: None });
    let events = [offered, Event::Fetched(Ok(())), Event::Verified(Ok(found))];
    let installing = after(node, events);
    assert!(matches!(installing.update, Update::Installing { .. }), "{:?}", installing.update);
    let node = after(installing, [start(Slot::B, NEW, OtherSlot::Untried, None)]);
    assert_eq!(condemned(&node), Some(Cause::Write));
}

#[test]
fn a_rollback_tries_the_previous_system_and_forgets_nothing_until_it_is_judged() {
    let previous = Some(Committed {
        slot: Slot::B,
        version: version("2"),
        digest: Some(digest(2)),
        set: None,
    });
    let before = Node { previous, ..at_home(Update::Idle) };
    let node = after(before.clone(), [Event::RollbackAsked]);
    let update = Update::Activating { trial: trial(Why::Rollback), at: At::Now };
    assert_eq!(node, Node { update, ..before });
}
