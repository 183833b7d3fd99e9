//! Walks every state that the node can reach and checks what must always be true.
//!
//! One walk serves all tests: it holds each rule against each arrow and keeps the first one that
//! breaks it. Two nodes that differ only in what no decision reads (how the last update ended, the
//! words of a failure) count as one.

#[path = "every_state/rules.rs"]
mod rules;

use expect_test::expect_file;
use rules::RULES;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;
use steadfast_core::{
    Action, At, Boot, Bundle, Cause, Digest, Event, Failure, Inspected, Node, Offer, OtherSlot,
    Policy, Sizes, Slot, ThisSlot, Update, Verdict, Version,
};

fn policy() -> Policy {
    Policy {
        compatible: "board".try_into().expect("short"),
        room: Sizes { boot: 10, root: 100 },
        fetch_attempts: 2,
        restarts: 1,
        commit_attempts: 2,
    }
}

fn version(text: &str) -> Version {
    Version::new(text).expect("a valid version")
}

fn failure(cause: Cause) -> Failure {
    Failure { cause, evidence: Default::default() }
}

fn inspected(text: &str, digest: u8, compatible: &str, sizes: [u64; 2]) -> Inspected {
    let [boot, root] = sizes;
    let bundle = Bundle { version: version(text), digest: Digest([digest; 32]) };
    let compatible = compatible.try_into().expect("short");
    Inspected { bundle, compatible, sizes: Sizes { boot, root } }
}

/// Every event that the outside could send, plausible or not. What runs in a slot is decided by the
/// walk, so that a boot tells the truth about it.
fn events(node: &Node, content: &Content) -> Vec<Event> {
    let offer = |at| Offer { source: "usb".try_into().expect("short"), at, content: None };
    let mut all = vec![Event::Announced(offer(At::Now)), Event::Announced(offer(At::Window))];
    all.extend([
        Event::WindowOpened,
        Event::Confirmed,
        Event::RollbackAsked,
        Event::CancelAsked,
        Event::ShutdownAsked,
        Event::Ticked,
    ]);
    let passing = || failure(Cause::Network);
    let lasting = || failure(Cause::Write);
    for outcome in [Ok(()), Err(passing()), Err(lasting())] {
        all.push(Event::Fetched(outcome.clone()));
        all.push(Event::Installed(outcome.clone()));
        all.push(Event::Activated(outcome.clone()));
        all.push(Event::Committed(outcome.clone()));
        all.push(Event::Condemned(outcome));
    }
    all.extend([Err(passing()), Err(failure(Cause::Signature))].map(Event::Verified));
    let good = [inspected("2", 2, "board", [10, 100]), inspected("3", 3, "board", [1, 1])];
    let bad = [inspected("0", 9, "board", [1, 1]), inspected("4", 4, "other", [1, 1])];
    let large = [inspected("5", 5, "board", [1, 101]), inspected("5", 5, "board", [11, 1])];
    all.extend(good.into_iter().chain(bad).chain(large).map(|it| Event::Verified(Ok(it))));
    let sick = Verdict::Unhealthy(failure(Cause::Deadline));
    all.extend([Verdict::Healthy, sick].map(Event::Judged));
    for slot in Slot::ALL {
        let Some(version) = content.slots[slot as usize].clone() else { continue };
        // No decision reads both.
        let others = [OtherSlot::Bad, OtherSlot::Untried, OtherSlot::Tried, OtherSlot::Unknown];
        let others = others.map(|other| (ThisSlot::Once, other));
        let these = [ThisSlot::Again, ThisSlot::Kept].map(|this| (this, OtherSlot::Tried));
        for (this, other) in others.into_iter().chain(these) {
            for evidence in [None, Some(Cause::Panic), Some(Cause::Watchdog)] {
                let evidence = evidence.map(failure);
                // Two boot ids are enough: this boot's, and another.
                let new = [if node.boot[0] == 1 { 2 } else { 1 }; 16];
                for id in [node.boot, new] {
                    // Within one boot the slot stays.
                    if id == node.boot && slot != node.booted {
                        continue;
                    }
                    let (version, evidence) = (version.clone(), evidence.clone());
                    all.push(Event::Booted(Boot { slot, version, id, this, other, evidence }));
                }
            }
        }
    }
    all
}

/// What each slot holds; `None` while it is being written.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Content {
    slots: [Option<Version>; 2],
}

type World = (Node, Content);

/// What carrying out the order does to the slots: an install leaves nothing until it is done.
fn written(from: &Node, event: &Event, to: &Node, content: &Content) -> Content {
    let mut content = content.clone();
    if let (Update::Installing { bundle, target, .. }, Event::Installed(Ok(()))) =
        (&from.update, event)
    {
        content.slots[*target as usize] = Some(bundle.bundle().version.clone());
    }
    if let Update::Installing { target, .. } = &to.update {
        content.slots[*target as usize] = None;
    }
    content
}

/// The node without what no decision reads.
fn essence((mut node, content): World) -> World {
    let same = |failure: &mut Failure| *failure = self::failure(Cause::Deadline);
    match &mut node.update {
        Update::Condemning { failure, .. } | Update::Returning { failure, .. } => same(failure),
        _ => {}
    }
    if let Some(doubt) = &mut node.doubt {
        same(doubt);
    }
    node.last = None;
    node.endings = 0;
    node.boot = [1; 16];
    node.refused.sort_unstable_by_key(|digest| digest.0);
    (node, content)
}

fn fingerprint(world: &World) -> [u64; 2] {
    [1_u8, 2].map(|salt| {
        let mut hasher = DefaultHasher::new();
        salt.hash(&mut hasher);
        world.hash(&mut hasher);
        hasher.finish()
    })
}

#[derive(Default)]
struct Walk {
    worlds: usize,
    arrows: usize,
    states: BTreeSet<&'static str>,
    diagram: BTreeSet<String>,
    broken: BTreeMap<&'static str, String>,
}

impl Walk {
    fn check(&mut self, from: &World, event: &Event, to: &World) {
        self.arrows += 1;
        let (was, is) = (from.0.update.name(), to.0.update.name());
        if was != is {
            self.diagram.insert(format!("    {was} --> {is}: {}\n", label(event)));
        }
        for (promise, rule) in RULES {
            if !rule(&from.0, event, &to.0) {
                self.breaks(promise, from, Some(event), to);
            }
        }
        if let Some(Action::Activate(slot)) = to.0.update.action()
            && to.1.slots[slot as usize].is_none()
        {
            self.breaks("half-written slots are not activated", from, Some(event), to);
        }
    }

    fn visit(&mut self, world: &World) {
        self.worlds += 1;
        self.states.insert(world.0.update.name());
        for healthy in [true, false] {
            if !rests(world.clone(), healthy) {
                self.breaks("every state comes to rest", world, None, world);
            }
        }
    }

    fn breaks(&mut self, promise: &'static str, from: &World, event: Option<&Event>, to: &World) {
        let story = || format!("{from:?}\n\n{event:?}\n\n{to:?}");
        self.broken.entry(promise).or_insert_with(story);
    }
}

fn walk() -> &'static Walk {
    static WALK: OnceLock<Walk> = OnceLock::new();
    WALK.get_or_init(|| {
        let version = version("1");
        let (slot, this, other) = (Slot::A, ThisSlot::Once, OtherSlot::Bad);
        let boot =
            Boot { slot, version: version.clone(), id: [1; 16], this, other, evidence: None };
        let start = Node::default().next(Event::Booted(boot), &policy());
        let start = (start, Content { slots: [Some(version), None] });
        let mut walk = Walk::default();
        let mut seen = HashSet::from([fingerprint(&start)]);
        let mut queue = VecDeque::from([start]);
        while let Some(from) = queue.pop_front() {
            walk.visit(&from);
            for event in events(&from.0, &from.1) {
                let next = from.0.clone().next(event.clone(), &policy());
                let content = written(&from.0, &event, &next, &from.1);
                let to = (next, content);
                walk.check(&from, &event, &to);
                let to = essence(to);
                if seen.insert(fingerprint(&to)) {
                    queue.push_back(to);
                }
            }
        }
        walk
    })
}

#[track_caller]
fn holds(promise: &str) {
    let known = RULES.iter().map(|(name, _)| *name);
    let others = ["half-written slots are not activated", "every state comes to rest"];
    assert!(known.chain(others).any(|name| name == promise), "no rule is called {promise}");
    assert!(walk().arrows > 10_000, "the walk is a walk");
    if let Some(story) = walk().broken.get(promise) {
        panic!("{promise}:\n{story}");
    }
}

#[test]
fn the_running_slot_is_never_written() {
    holds("running slot never written");
}

#[test]
fn nothing_is_installed_beside_a_system_that_is_not_committed() {
    holds("no install beside an uncommitted system");
}

#[test]
fn only_a_bundle_out_of_verifying_is_installed() {
    holds("only verified bundles");
}

#[test]
fn a_refused_digest_a_wrong_board_an_older_or_a_large_bundle_is_never_installed() {
    holds("only fitting bundles");
}

#[test]
fn a_slot_is_newly_committed_only_after_its_gate_or_an_operator_said_yes() {
    holds("only healthy slots committed");
}

#[test]
fn the_committed_system_changes_only_by_a_commit_of_the_running_slot() {
    holds("committed changes by a commit");
}

#[test]
fn the_floor_falls_only_by_a_rollback_and_rises_only_by_a_commit() {
    holds("floor moves with commits");
}

#[test]
fn every_ending_but_a_good_one_has_a_cause() {
    holds("every bad ending has a cause");
}

#[test]
fn an_update_under_way_never_ends_in_silence() {
    holds("no update ends in silence");
}

#[test]
fn the_previous_system_is_forgotten_before_its_slot_is_written() {
    holds("previous is not overwritten");
}

#[test]
fn what_waits_for_the_running_slot_to_settle_waits_no_longer() {
    holds("pending only while settling");
}

#[test]
fn an_install_that_a_boot_cut_off_is_counted_until_it_ends() {
    holds("installs that a boot cut off are counted");
}

#[test]
fn a_release_that_never_ran_is_not_blamed_for_a_boot() {
    holds("what never ran is not blamed");
}

#[test]
fn time_alone_changes_nothing() {
    holds("a tick changes nothing");
}

#[test]
fn a_shutdown_that_somebody_asked_for_costs_a_trial_no_restart() {
    holds("a shutdown is no restart");
}

#[test]
fn no_slot_that_is_half_written_is_activated() {
    holds("half-written slots are not activated");
}

#[test]
fn from_every_state_the_node_comes_to_rest() {
    holds("every state comes to rest");
}

/// Whether the node comes to rest when the ports do what they are told and each system is judged so.
fn rests((mut node, mut content): World, healthy: bool) -> bool {
    for _ in 0..40 {
        let Some(action) = node.update.action() else { return true };
        let verdict = match healthy {
            true => Verdict::Healthy,
            false => Verdict::Unhealthy(failure(Cause::Deadline)),
        };
        let event = match action {
            Action::Fetch { .. } => Event::Fetched(Ok(())),
            Action::Verify(_) => Event::Verified(Ok(inspected("3", 3, "board", [1, 1]))),
            Action::Install { .. } => Event::Installed(Ok(())),
            // Whoever switches the node off switches it on again.
            Action::Activate(slot) if matches!(node.update, Update::Leaving { .. }) => {
                let Some(version) = content.slots[slot as usize].clone() else { return false };
                let id = [node.boot[0].wrapping_add(1); 16];
                let (this, other) = (ThisSlot::Once, OtherSlot::Untried);
                Event::Booted(Boot { slot, version, id, this, other, evidence: None })
            }
            Action::Activate(_) => Event::Activated(Ok(())),
            Action::Judge => Event::Judged(verdict),
            Action::Commit(_) => Event::Committed(Ok(())),
            Action::Condemn(_) => Event::Condemned(Ok(())),
            Action::Reboot => {
                let wanted = match &node.update {
                    Update::Rebooting { trial } => trial.slot,
                    _ => node.booted.other(),
                };
                let Some(version) = content.slots[wanted as usize].clone() else { return false };
                let id = [node.boot[0].wrapping_add(1); 16];
                let (this, other) = (ThisSlot::Once, OtherSlot::Bad);
                Event::Booted(Boot { slot: wanted, version, id, this, other, evidence: None })
            }
        };
        let next = node.clone().next(event.clone(), &policy());
        content = written(&node, &event, &next, &content);
        node = next;
    }
    false
}

#[test]
fn the_diagram_in_the_docs_is_the_machine() {
    let lines: String = walk().diagram.iter().map(String::as_str).collect();
    let text = format!("stateDiagram-v2\n    [*] --> settling\n{lines}");
    expect_file!["../../../docs/update-machine.mmd"].assert_eq(&text);
}

fn label(event: &Event) -> String {
    let outcome = match event {
        Event::Fetched(Err(_))
        | Event::Verified(Err(_))
        | Event::Installed(Err(_))
        | Event::Activated(Err(_))
        | Event::Committed(Err(_))
        | Event::Condemned(Err(_)) => " not",
        Event::Judged(Verdict::Healthy) => " healthy",
        Event::Judged(Verdict::Unhealthy(_)) => " unhealthy",
        _ => "",
    };
    format!("{}{outcome}", event.name())
}

#[test]
fn the_walk_reaches_every_state() {
    let Walk { worlds, arrows, states, .. } = walk();
    println!("{} states, {worlds} nodes, {arrows} arrows", states.len());
    assert_eq!(states.len(), 13, "{states:?}");
}
