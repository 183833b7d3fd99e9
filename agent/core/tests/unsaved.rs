//! What the boot store tells of a trial whose end could not be saved.

use steadfast_core::{
    Assigned, At, Boot, Cause, Committed, Digest, Event, Node, OtherSlot, Outcome, Policy, Slot,
    ThisSlot, Trial, Update, Verdict, Version, Why,
};

const NEW: [u8; 16] = [2; 16];
const RELEASE: Digest = Digest([2; 32]);

fn policy() -> Policy {
    Policy {
        compatible: "board".try_into().expect("short"),
        room: Default::default(),
        fetch_attempts: 1,
        restarts: 1,
        commit_attempts: 1,
    }
}

fn version(text: &str) -> Version {
    Version::new(text).expect("a version")
}

fn trial() -> Trial {
    Trial {
        version: version("2"),
        digest: Some(RELEASE),
        set: None,
        slot: Slot::B,
        why: Why::Update,
    }
}

/// Each state in which the slot was activated and nothing was heard of its end.
fn undecided() -> [Update; 4] {
    let (restarts, shutdowns) = (1, 1);
    [
        Update::Rebooting { trial: trial() },
        Update::Probation { trial: trial(), restarts, shutdowns },
        Update::Leaving { trial: trial(), restarts, shutdowns },
        Update::Committing { trial: trial(), attempt: 1, restarts: 0, shutdowns: 0 },
    ]
}

/// 1 in slot A is committed; 2 is on trial in slot B, and the ledger says no more than this.
fn on_disk(update: Update) -> Node {
    let committed =
        Some(Committed { slot: Slot::A, version: version("1"), digest: None, set: None });
    Node { update, committed, booted: Slot::B, ..Node::default() }
}

fn heard(node: Node, event: Event) -> Node {
    node.next(event, &policy())
}

fn start(slot: Slot, this: ThisSlot, other: OtherSlot) -> Event {
    let version = version(if slot == Slot::A { "1" } else { "2" });
    Event::Booted(Boot {
        slot,
        version,
        id: NEW,
        this,
        other,
        set: Assigned::Nothing,
        evidence: None,
    })
}

fn at_home(node: Node, other: OtherSlot) -> Node {
    let condemning = heard(node, start(Slot::A, ThisSlot::Once, other));
    assert_eq!(condemning.update.name(), "condemning");
    heard(condemning, Event::Condemned(Ok(())))
}

#[test]
fn a_verdict_that_could_not_be_saved_still_refuses_the_release() {
    for update in undecided() {
        let node = at_home(on_disk(update.clone()), OtherSlot::Bad);
        let last = node.last.expect("it is told");
        assert_eq!(last.outcome, Outcome::Returned, "{update:?}");
        assert_eq!(last.failure.map(|it| it.cause), Some(Cause::Unsaved), "{update:?}");
        assert!(node.refused.contains(&RELEASE), "{update:?}");
    }
}

#[test]
fn a_boot_environment_that_cannot_be_read_blames_no_release() {
    for update in undecided() {
        let node = at_home(on_disk(update.clone()), OtherSlot::Unknown);
        assert!(node.refused.is_empty(), "{update:?}");
    }
}

#[test]
fn a_commit_that_could_not_be_saved_still_stands() {
    // Its activation may be all that was saved, or be on its way.
    let activating = Update::Activating { trial: trial(), at: At::Now };
    for update in undecided().into_iter().chain([activating]) {
        for id in [NEW, [0; 16]] {
            let Event::Booted(boot) = start(Slot::B, ThisSlot::Kept, OtherSlot::Untried) else {
                panic!("a start")
            };
            let node = heard(on_disk(update.clone()), Event::Booted(Boot { id, ..boot }));
            let committed = node.committed.as_ref().map(|it| (it.slot, it.digest));
            assert_eq!(committed, Some((Slot::B, Some(RELEASE))), "{update:?}");
            assert_eq!(node.last.as_ref().map(|it| it.outcome), Some(Outcome::Committed));
            let failure = steadfast_core::Failure::new(Cause::Deadline, format_args!("seen"));
            let node = heard(node, Event::Committed(Ok(())));
            let sick = heard(node, Event::Judged(Verdict::Unhealthy(failure)));
            assert_eq!(sick.update, Update::Idle, "a committed system that is sick later stays");
        }
    }
}

#[test]
fn a_kept_slot_that_holds_something_else_is_not_committed_in_its_name() {
    let other = Trial { version: version("3"), ..trial() };
    let kept = start(Slot::B, ThisSlot::Kept, OtherSlot::Untried);
    let node = heard(on_disk(Update::Rebooting { trial: other }), kept);
    assert_eq!(node.update.name(), "condemning");
}
