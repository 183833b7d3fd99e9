//! How an update ends that never ran: refused, failed or cancelled, with what is known of it.

use steadfast_core::{
    Assigned, At, Boot, Bundle, Cause, Digest, Event, Failure, Inspected, Node, Offer, OtherSlot,
    Outcome, Policy, Sizes, Slot, ThisSlot, Update, Verdict, Version,
};

fn policy() -> Policy {
    let compatible = "board".try_into().expect("short");
    let room = Sizes { boot: 10, root: 100 };
    Policy { compatible, room, fetch_attempts: 2, restarts: 1, commit_attempts: 1 }
}

fn version(text: &str) -> Version {
    Version::new(text).expect("a version")
}

fn booted(id: u8) -> Event {
    booted_after(id, None)
}

/// The same, with what the end before it left behind.
fn booted_after(id: u8, cause: Option<Cause>) -> Event {
    let (version, other) = (version("1"), OtherSlot::Bad);
    let evidence = cause.map(|cause| Failure::new(cause, format_args!("seen")));
    let (slot, this) = (Slot::A, ThisSlot::Once);
    Event::Booted(Boot {
        slot,
        version,
        id: [id; 16],
        this,
        other,
        set: Assigned::Nothing,
        evidence,
    })
}

fn after(node: Node, events: impl IntoIterator<Item = Event>) -> Node {
    events.into_iter().fold(node, |node, event| node.next(event, &policy()))
}

fn resting() -> Node {
    let healthy = Event::Judged(Verdict::Healthy);
    let node = after(Node::default(), [booted(1), healthy.clone(), Event::Committed(Ok(()))]);
    let node = after(node, [healthy]);
    assert_eq!((&node.update, node.runs_committed()), (&Update::Idle, true));
    node
}

fn verified(sizes: Sizes) -> Event {
    let bundle = Bundle { version: version("2"), digest: Digest([2; 32]) };
    let compatible = "board".try_into().expect("short");
    Event::Verified(Ok(Inspected { bundle, compatible, sizes }))
}

fn offered(at: At) -> [Event; 3] {
    let offer = Offer { source: "usb".try_into().expect("short"), at, content: None, set: None };
    let fits = Sizes { boot: 10, root: 100 };
    [Event::Announced(offer), Event::Fetched(Ok(())), verified(fits)]
}

fn failed(cause: Cause) -> Result<(), Failure> {
    Err(Failure::new(cause, format_args!("seen")))
}

fn end(node: &Node) -> (Outcome, Option<&Version>, Cause) {
    let last = node.last.as_ref().expect("an ending");
    let failure = last.failure.clone().expect("a cause");
    (last.outcome, last.version.as_ref(), failure.cause)
}

#[test]
fn an_update_that_waits_for_its_window_can_be_taken_back() {
    let node = after(resting(), offered(At::Window));
    let node = after(node, [Event::Installed(Ok(()))]);
    assert!(matches!(node.update, Update::Ready { .. }) && node.admits_cancel().is_ok());
    let node = after(node, [Event::CancelAsked]);
    assert_eq!(end(&node), (Outcome::Cancelled, Some(&version("2")), Cause::Operator));
    assert_eq!(node.update, Update::Idle);
    let node = after(node, [Event::WindowOpened]);
    assert_eq!(node.update, Update::Idle, "the window finds nothing");
}

#[test]
fn an_update_that_waits_for_the_node_to_settle_can_be_taken_back() {
    let node = after(resting(), offered(At::Window));
    let node = after(node, [Event::Installed(Ok(())), booted(2)]);
    for events in [&[][..], &[Event::Committed(Ok(()))]] {
        let node = after(node.clone(), events.to_vec());
        let state = node.update.clone();
        assert!(node.admits_cancel().is_ok(), "{state:?}");
        let node = after(node, [Event::CancelAsked]);
        assert_eq!(end(&node), (Outcome::Cancelled, Some(&version("2")), Cause::Operator));
        assert_eq!(node.update, state, "the running system goes on settling");
        let events = [Event::Committed(Ok(())), Event::Judged(Verdict::Healthy)];
        assert_eq!(after(node, events).update, Update::Idle);
    }
}

#[test]
fn a_cut_while_it_is_activated_does_not_open_the_window() {
    let node = after(resting(), offered(At::Window));
    let node = after(node, [Event::Installed(Ok(())), Event::WindowOpened]);
    assert!(matches!(node.update, Update::Activating { .. }));
    let healthy = Event::Judged(Verdict::Healthy);
    let node = after(node, [booted(2), Event::Committed(Ok(())), healthy]);
    assert!(matches!(node.update, Update::Ready { .. }), "{:?}", node.update);
}

#[test]
fn what_had_begun_ends_as_failed_when_its_source_holds_another_bundle() {
    let node = after(resting(), offered(At::Now));
    let healthy = Event::Judged(Verdict::Healthy);
    let node = after(node, [booted(2), Event::Committed(Ok(())), healthy, Event::Fetched(Ok(()))]);
    let bundle = Bundle { version: version("3"), digest: Digest([3; 32]) };
    let compatible = "another".try_into().expect("short");
    let found = Inspected { bundle, compatible, sizes: Sizes::default() };
    let node = after(node, [Event::Verified(Ok(found))]);
    assert_eq!(end(&node), (Outcome::Failed, Some(&version("2")), Cause::Source));
}

#[test]
fn an_update_that_is_being_fetched_can_be_taken_back() {
    let [announced, fetched, _] = offered(At::Now);
    let node = after(resting(), [announced]);
    assert!(matches!(node.update, Update::Fetching { .. }) && node.admits_cancel().is_ok());
    let node = after(node, [Event::CancelAsked]);
    assert_eq!(end(&node), (Outcome::Cancelled, None, Cause::Operator));
    let node = after(node, [fetched]);
    assert_eq!(node.update, Update::Idle, "what comes all the same finds nothing");
    // The same where its slot was written in part: the version is known.
    let node = after(resting(), offered(At::Now));
    let again = after(node, [Event::Installed(failed(Cause::Network)), Event::CancelAsked]);
    assert_eq!(end(&again), (Outcome::Cancelled, Some(&version("2")), Cause::Operator));
}

#[test]
fn an_update_under_way_cannot_be_taken_back() {
    let node = after(resting(), offered(At::Now));
    assert!(node.admits_cancel().is_err());
    assert_eq!(after(node.clone(), [Event::CancelAsked]), node);
}

#[test]
fn a_bundle_whose_installation_began_ends_as_failed_with_its_version() {
    let network = || Event::Fetched(failed(Cause::Network));
    let cut = Event::Installed(failed(Cause::Network));
    let node = after(resting(), offered(At::Now));
    let again = after(node.clone(), [cut, network()]);
    assert_eq!(end(&again), (Outcome::Failed, Some(&version("2")), Cause::Network));
    // The same when the power was lost while it was written.
    let healthy = Event::Judged(Verdict::Healthy);
    let resumed = after(node, [booted(2), Event::Committed(Ok(())), healthy]);
    assert!(matches!(resumed.update, Update::Fetching { attempt: 1, .. }), "{:?}", resumed.update);
    let ended = after(resumed, [network(), network()]);
    assert_eq!(end(&ended), (Outcome::Failed, Some(&version("2")), Cause::Network));
}

/// A boot in the middle of an install, and all that follows until the next one.
fn begun_again(node: Node, boot: Event) -> Node {
    let [_, fetched, verified] = offered(At::Now);
    let settled = [Event::Committed(Ok(())), Event::Judged(Verdict::Healthy)];
    after(node, [boot].into_iter().chain(settled).chain([fetched, verified]))
}

#[test]
fn an_install_that_brings_the_node_down_each_time_ends_with_its_cause() {
    let seen = |evidence: &str| (Outcome::Failed, evidence.to_owned());
    for (left, cause, evidence) in [
        (None, Cause::Power, "the node went down in 2 installs"),
        (Some(Cause::Panic), Cause::Panic, "seen"),
        (Some(Cause::Watchdog), Cause::Watchdog, "seen"),
        (Some(Cause::AgentCrashed), Cause::Power, "the node went down in 2 installs"),
    ] {
        let node = after(resting(), offered(At::Now));
        let node = begun_again(node, booted_after(2, left.clone()));
        assert!(matches!(node.update, Update::Installing { cuts: 1, .. }), "{:?}", node.update);
        let node = after(node, [booted_after(3, left)]);
        assert_eq!(end(&node), (Outcome::Failed, Some(&version("2")), cause));
        let last = node.last.as_ref().and_then(|last| Some((last.outcome, last.failure.clone()?)));
        let last = last.map(|(outcome, failure)| (outcome, failure.evidence.as_str().to_owned()));
        assert_eq!(last, Some(seen(evidence)));
        assert!(node.refused.is_empty(), "what never ran is not refused: {:?}", node.refused);
        let settled = [Event::Committed(Ok(())), Event::Judged(Verdict::Healthy)];
        let node = after(node, settled);
        assert_eq!((&node.update, node.admits_update()), (&Update::Idle, Ok(())));
    }
}

#[test]
fn a_cut_while_the_bundle_is_had_anew_is_no_cut_of_its_install_and_forgets_none() {
    let settled = || [Event::Committed(Ok(())), Event::Judged(Verdict::Healthy)];
    let [_, fetched, verified] = offered(At::Now);
    let network = Event::Fetched(failed(Cause::Network));
    let mut node = after(resting(), offered(At::Now));
    node = after(node, [booted(2)].into_iter().chain(settled()));
    for id in 3..9 {
        node = after(node, [booted(id), booted(id + 100)].into_iter().chain(settled()));
        assert!(matches!(node.update, Update::Fetching { attempt: 1, .. }), "{:?}", node.update);
        node = after(node, [network.clone(), fetched.clone()]);
        assert_eq!(node.update.name(), "verifying");
    }
    let node = after(node, [verified, Event::Installed(failed(Cause::Installer)), booted(90)]);
    assert_eq!(end(&node).2, Cause::Installer, "the second attempt was its last");
    let node = begun_again(after(resting(), offered(At::Now)), booted(2));
    let node = after(node, [Event::Installed(failed(Cause::Installer))]);
    let node = begun_again(node, booted(3));
    assert!(matches!(node.update, Update::Installing { cuts: 1, .. }), "{:?}", node.update);
    assert_eq!(end(&after(node, [booted(4)])).2, Cause::Power);
}

#[test]
fn a_bundle_that_was_never_had_ends_as_refused() {
    let [announced, ..] = offered(At::Now);
    let network = || Event::Fetched(failed(Cause::Network));
    let node = after(resting(), [announced, network(), network()]);
    assert_eq!(end(&node), (Outcome::Refused, None, Cause::Network));
}

#[test]
fn an_image_that_does_not_fit_its_partition_is_refused_before_anything_is_written() {
    for (sizes, part) in
        [(Sizes { boot: 11, root: 1 }, "boot"), (Sizes { boot: 1, root: 101 }, "root")]
    {
        let [announced, fetched, _] = offered(At::Now);
        let node = after(resting(), [announced, fetched, verified(sizes)]);
        assert_eq!(end(&node), (Outcome::Refused, Some(&version("2")), Cause::Space));
        let failure = node.last.and_then(|last| last.failure).expect("a cause");
        assert!(failure.evidence.contains(part), "{}", failure.evidence);
    }
}

#[test]
fn an_installation_that_stopped_is_begun_again_as_often_as_the_policy_says() {
    let stopped = |cause| Event::Installed(failed(cause));
    let node = after(resting(), offered(At::Now));
    let given_up = after(node.clone(), [stopped(Cause::Write)]);
    assert_eq!(end(&given_up), (Outcome::Failed, Some(&version("2")), Cause::Write));
    let again = after(node, [stopped(Cause::Installer)]);
    assert!(matches!(again.update, Update::Fetching { attempt: 2, .. }), "{:?}", again.update);
    let [_, fetched, verified] = offered(At::Now);
    let node = after(again, [fetched, verified]);
    assert!(matches!(node.update, Update::Installing { attempt: 2, .. }), "{:?}", node.update);
    let ended = after(node, [stopped(Cause::Installer)]);
    assert_eq!(end(&ended), (Outcome::Failed, Some(&version("2")), Cause::Installer));
}
