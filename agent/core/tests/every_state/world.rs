//! What could happen to a node: its events, and what carrying out its orders does to its slots and their sets.

use super::{failure, version};
use std::hash::Hash;
use steadfast_core::{
    Assigned, At, Boot, Bundle, Cause, Digest, Event, Failure, Inspected, Node, Offer, OtherSlot,
    SetId, Sizes, Slot, StagedSet, ThisSlot, Update, Verdict, Version,
};

/// What a walk tries; all of it at once would be too many nodes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Walks {
    /// Several bundles, each as it may be, and what the end of a system leaves behind.
    Bundles,
    /// One bundle, and sets with it.
    Sets,
}

/// What each slot holds; `None` while it is being written.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct Content {
    pub slots: [Option<Version>; 2],
    /// What the store of sets says of each slot.
    pub sets: [Option<SetId>; 2],
}

pub type World = (Node, Content);

/// The set with this number.
pub fn set(generation: u8) -> SetId {
    SetId { digest: Digest([100 + generation; 32]), generation: generation.into() }
}

pub fn inspected(text: &str, digest: u8, compatible: &str, sizes: [u64; 2]) -> Inspected {
    let [boot, root] = sizes;
    let bundle = Bundle { version: version(text), digest: Digest([digest; 32]) };
    let compatible = compatible.try_into().expect("short");
    Inspected { bundle, compatible, sizes: Sizes { boot, root } }
}

/// Every event that the outside could send, plausible or not. What runs in a slot is decided by the
/// walk, so that a boot tells the truth about it.
pub fn events(node: &Node, content: &Content, walks: Walks) -> Vec<Event> {
    let mut all = vec![
        Event::WindowOpened,
        Event::Confirmed,
        Event::RollbackAsked,
        Event::CancelAsked,
        Event::Ticked,
    ];
    // No decision on a set reads how often somebody switched the node off.
    all.extend((walks == Walks::Bundles).then_some(Event::ShutdownAsked));
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
    let sick = Verdict::Unhealthy(failure(Cause::Deadline));
    all.extend([Verdict::Healthy, sick].map(Event::Judged));
    all.extend(match walks {
        Walks::Bundles => bundles(),
        Walks::Sets => sets(node),
    });
    all.extend(boots(node, content, walks));
    all
}

fn offer(at: At, set: Option<&str>) -> Event {
    let set = set.map(|set| set.try_into().expect("short"));
    Event::Announced(Offer { source: "usb".try_into().expect("short"), at, content: None, set })
}

fn bundles() -> Vec<Event> {
    let offers = [At::Now, At::Window].map(|at| offer(at, None));
    let good = [inspected("2", 2, "board", [10, 100]), inspected("3", 3, "board", [1, 1])];
    let bad = [inspected("0", 9, "board", [1, 1]), inspected("4", 4, "other", [1, 1])];
    let large = [inspected("5", 5, "board", [1, 101]), inspected("5", 5, "board", [11, 1])];
    let found = good.into_iter().chain(bad).chain(large).map(|it| Event::Verified(Ok(it)));
    offers.into_iter().chain(found).collect()
}

fn sets(node: &Node) -> Vec<Event> {
    let staged = |generation, minimum_os: Option<&str>| {
        let minimum_os = minimum_os.map(version);
        Event::Staged(Ok(StagedSet { set: set(generation), minimum_os }))
    };
    let unready = failure(Cause::Workload("pod".try_into().expect("short")));
    // The old set comes back by a return or not at all.
    let old = node.set_floor.is_some_and(|floor| floor > 1).then(|| staged(1, None));
    let mut all = vec![
        offer(At::Now, None),
        offer(At::Window, Some("usb/set")),
        Event::Verified(Ok(inspected("2", 2, "board", [10, 100]))),
        staged(2, Some("2")),
        staged(3, Some("9")),
        Event::Staged(Err(failure(Cause::Signature))),
        Event::Judged(Verdict::Unhealthy(unready)),
    ];
    all.extend(old);
    all
}

/// Each start of the agent, within this boot and with another one, in each slot that is whole.
fn boots(node: &Node, content: &Content, walks: Walks) -> Vec<Event> {
    // No decision reads both.
    let others: &[OtherSlot] = match walks {
        Walks::Bundles => {
            &[OtherSlot::Bad, OtherSlot::Untried, OtherSlot::Tried, OtherSlot::Unknown]
        }
        Walks::Sets => &[OtherSlot::Untried],
    };
    let others = others.iter().map(|other| (ThisSlot::Once, *other));
    let these: &[ThisSlot] = match walks {
        Walks::Bundles => &[ThisSlot::Again, ThisSlot::Kept],
        Walks::Sets => &[ThisSlot::Kept],
    };
    let these = these.iter().map(|this| (*this, OtherSlot::Tried));
    let stands: Vec<_> = others.chain(these).collect();
    let left: &[Option<Cause>] = match walks {
        Walks::Bundles => &[None, Some(Cause::Panic), Some(Cause::Watchdog)],
        Walks::Sets => &[None, Some(Cause::Panic)],
    };
    let mut all = Vec::new();
    for slot in Slot::ALL {
        let Some(version) = content.slots[slot as usize].clone() else { continue };
        let found = content.sets[slot as usize];
        let mut known = vec![found.map_or(Assigned::Nothing, Assigned::Set)];
        // Of a slot that it did not run for long the node remembers nothing.
        let mut kept = node.committed.iter();
        let remembers = walks == Walks::Sets && kept.any(|kept| kept.slot == slot);
        known.extend(remembers.then_some(Assigned::Unknown));
        // Two boot ids are enough: this boot's, and another.
        let new = [if node.boot[0] == 1 { 2 } else { 1 }; 16];
        for id in [node.boot, new] {
            // Within one boot the slot stays.
            if id == node.boot && slot != node.booted {
                continue;
            }
            for (this, other) in stands.iter().copied() {
                for (set, evidence) in
                    known.iter().flat_map(|set| left.iter().map(move |it| (*set, it)))
                {
                    let evidence = evidence.clone().map(failure);
                    let version = version.clone();
                    all.push(Event::Booted(Boot { slot, version, id, this, other, set, evidence }));
                }
            }
        }
    }
    all
}

/// What carrying out the order does to the slots: an install leaves nothing until it is done, and its set belongs to
/// the slot from then on.
pub fn written(from: &Node, event: &Event, to: &Node, content: &Content) -> Content {
    let mut content = content.clone();
    if let (Update::Installing { bundle, target, set, .. }, Event::Installed(Ok(()))) =
        (&from.update, event)
    {
        content.slots[*target as usize] = Some(bundle.bundle().version.clone());
        content.sets[*target as usize] = *set;
    }
    if let Update::Installing { target, .. } = &to.update {
        content.slots[*target as usize] = None;
    }
    content
}

/// What is wrong with where the sets are, if anything is.
pub fn misplaced((node, content): &World) -> Option<&'static str> {
    let belongs = |slot: Slot, set| content.sets[slot as usize] == set;
    let kept = node.committed.iter().chain(&node.previous);
    if kept.clone().any(|it| !belongs(it.slot, it.set)) {
        return Some("a slot keeps the set that was committed with it");
    }
    if !belongs(node.booted, node.set) {
        return Some("the node knows the set of the slot that runs");
    }
    match node.update.trial() {
        Some(trial) if !belongs(trial.slot, trial.set) => {
            Some("a slot on trial has the set that was assigned to it")
        }
        _ => None,
    }
}

/// The node without what no decision reads.
pub fn essence((mut node, content): World) -> World {
    let same = |failure: &mut Failure| {
        // Only whether it was a workload decides what is refused.
        let workload = matches!(failure.cause, Cause::Workload(_));
        let cause = if workload { failure.cause.clone() } else { Cause::Deadline };
        *failure = self::failure(cause);
    };
    match &mut node.update {
        Update::Condemning { failure, .. } | Update::Returning { failure, .. } => same(failure),
        _ => {}
    }
    if let Some(doubt) = &mut node.doubt {
        *doubt = failure(Cause::Deadline);
    }
    node.last = None;
    node.endings = 0;
    node.boot = [1; 16];
    node.refused.sort_unstable_by_key(|digest| digest.0);
    (node, content)
}
