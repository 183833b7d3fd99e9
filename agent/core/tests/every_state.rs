//! Walks every state that the node can reach and checks what must always be true.
//!
//! One walk serves all tests: it holds each rule against each arrow and keeps the first one that
//! breaks it. Two nodes that differ only in what no decision reads (how the last update ended, the
//! words of a failure) count as one.

#[path = "every_state/rules.rs"]
mod rules;
#[path = "every_state/world.rs"]
mod world;

use expect_test::expect_file;
use rules::RULES;
use std::collections::{BTreeMap, BTreeSet, HashSet, VecDeque};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;
use steadfast_core::{
    Action, Assigned, Boot, Cause, Event, Failure, Node, OtherSlot, Policy, SetId, Sizes, Slot,
    StagedSet, ThisSlot, Update, Verdict, Version,
};
use world::{Content, Walks, World, essence, events, inspected, misplaced, set, written};

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
    fn walks(&mut self, walks: Walks, start: World) {
        let mut seen = HashSet::from([fingerprint(&start)]);
        let mut queue = VecDeque::from([start]);
        while let Some(from) = queue.pop_front() {
            self.visit(&from);
            for event in events(&from.0, &from.1, walks) {
                let next = from.0.clone().next(event.clone(), &policy());
                let content = written(&from.0, &event, &next, &from.1);
                let to = (next, content);
                self.check(&from, &event, &to);
                let to = essence(to);
                if seen.insert(fingerprint(&to)) {
                    queue.push_back(to);
                }
            }
        }
    }

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
        if let Some(promise) = misplaced(to) {
            self.breaks(promise, from, Some(event), to);
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

/// Two walks, so that each is short: one tries bundles, the other one sets.
fn walk() -> &'static Walk {
    static WALK: OnceLock<Walk> = OnceLock::new();
    WALK.get_or_init(|| {
        let mut walk = Walk::default();
        walk.walks(Walks::Bundles, start(None));
        walk.walks(Walks::Sets, start(Some(set(1))));
        walk
    })
}

/// A node that starts for the first time, from slot A, to which this set belongs.
fn start(set: Option<SetId>) -> World {
    let version = version("1");
    let (slot, this, other) = (Slot::A, ThisSlot::Once, OtherSlot::Bad);
    let id = [1; 16];
    let known = set.map_or(Assigned::Nothing, Assigned::Set);
    let boot = Boot { slot, version: version.clone(), id, this, other, set: known, evidence: None };
    let node = Node::default().next(Event::Booted(boot), &policy());
    (node, Content { slots: [Some(version), None], sets: [set, None] })
}

/// The promises that no rule of one arrow can tell.
const OTHERS: [&str; 5] = [
    "half-written slots are not activated",
    "every state comes to rest",
    "a slot keeps the set that was committed with it",
    "the node knows the set of the slot that runs",
    "a slot on trial has the set that was assigned to it",
];

#[track_caller]
fn holds(promise: &str) {
    let known = RULES.iter().map(|(name, _)| *name);
    assert!(known.chain(OTHERS).any(|name| name == promise), "no rule is called {promise}");
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

#[test]
fn a_slot_keeps_the_set_that_was_committed_with_it() {
    holds("a slot keeps the set that was committed with it");
    holds("the node knows the set of the slot that runs");
    holds("a slot on trial has the set that was assigned to it");
}

#[test]
fn a_set_that_is_refused_too_old_or_for_a_newer_system_is_never_installed() {
    holds("only fitting sets");
}

#[test]
fn a_slot_gets_the_set_that_was_staged_for_it_or_that_of_the_slot_that_runs() {
    holds("the set of an install");
}

#[test]
fn the_floor_of_sets_falls_only_by_a_rollback_and_rises_only_by_a_commit() {
    holds("the floor of sets moves with commits");
}

#[test]
fn a_system_is_not_refused_for_the_workloads_of_its_set() {
    holds("a set alone is blamed for its workloads");
}

/// The next boot starts what the slot holds.
fn starts(node: &Node, content: &Content, slot: Slot, other: OtherSlot) -> Option<Event> {
    let version = content.slots[slot as usize].clone()?;
    let set = content.sets[slot as usize].map_or(Assigned::Nothing, Assigned::Set);
    let (id, this) = ([node.boot[0].wrapping_add(1); 16], ThisSlot::Once);
    Some(Event::Booted(Boot { slot, version, id, this, other, set, evidence: None }))
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
            Action::Stage(_) => Event::Staged(Ok(StagedSet { set: set(2), minimum_os: None })),
            Action::Install { .. } => Event::Installed(Ok(())),
            // Whoever switches the node off switches it on again.
            Action::Activate(slot) if matches!(node.update, Update::Leaving { .. }) => {
                let Some(start) = starts(&node, &content, slot, OtherSlot::Untried) else {
                    return false;
                };
                start
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
                let Some(start) = starts(&node, &content, wanted, OtherSlot::Bad) else {
                    return false;
                };
                start
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
        | Event::Staged(Err(_))
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
    assert_eq!(states.len(), 14, "{states:?}");
}
