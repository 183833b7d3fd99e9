//! What the node takes from people in which state, and what it says when it does not.

use steadfast_core::{
    At, Cause, Committed, Digest, Event, Failure, Node, Offer, Outcome, Pending, Refusal, Slot,
    Trial, Update, Version, Why,
};

fn version(text: &str) -> Version {
    Version::new(text).expect("a version")
}

fn committed(slot: Slot) -> Option<Committed> {
    Some(Committed { slot, version: version("1"), digest: None, set: None })
}

fn trial() -> Trial {
    Trial {
        version: version("2"),
        digest: Some(Digest([2; 32])),
        set: None,
        slot: Slot::B,
        why: Why::Update,
    }
}

fn failure() -> Failure {
    Failure::new(Cause::Deadline, format_args!("seen"))
}

fn offer() -> Offer {
    Offer { source: "usb".try_into().expect("short"), at: At::Now, content: None, set: None }
}

/// Runs slot A, which is committed, and has nothing to do.
fn idle() -> Node {
    Node { committed: committed(Slot::A), running: Some(version("1")), ..Node::default() }
}

fn uncommitted() -> Node {
    Node { committed: None, ..idle() }
}

fn with(update: Update) -> Node {
    Node { update, ..idle() }
}

fn settling() -> Update {
    Update::Settling { trial: trial() }
}

fn probation() -> Update {
    Update::Probation { trial: trial(), restarts: 0, shutdowns: 0 }
}

fn fetching() -> Update {
    Update::Fetching { offer: offer(), attempt: 1, begun: None }
}

#[test]
fn an_update_is_taken_by_a_committed_system_with_nothing_to_do() {
    assert_eq!(idle().admits_update(), Ok(()));
    assert_eq!(uncommitted().admits_update(), Err(Refusal::Uncommitted));
    assert_eq!(with(settling()).admits_update(), Err(Refusal::Uncommitted));
    assert_eq!(with(fetching()).admits_update(), Err(Refusal::Busy("fetching")));
}

#[test]
fn a_rollback_is_taken_in_a_trial_and_by_a_committed_system_that_has_a_previous_one() {
    let previous = committed(Slot::B);
    assert_eq!(with(probation()).admits_rollback(), Ok(()));
    assert_eq!(Node { previous: previous.clone(), ..idle() }.admits_rollback(), Ok(()));
    assert_eq!(idle().admits_rollback(), Err(Refusal::NoPrevious));
    let unsure = Node { previous: previous.clone(), ..uncommitted() };
    assert_eq!(unsure.admits_rollback(), Err(Refusal::Uncommitted));
    let settling = Node { previous: previous.clone(), ..with(settling()) };
    assert_eq!(settling.admits_rollback(), Err(Refusal::Uncommitted));
    let busy = Node { previous, ..with(fetching()) };
    assert_eq!(busy.admits_rollback(), Err(Refusal::Busy("fetching")));
}

#[test]
fn an_operators_word_is_taken_while_a_system_is_not_trusted() {
    for update in [probation(), settling()] {
        assert_eq!(with(update).admits_confirm(), Ok(()));
    }
    assert_eq!(uncommitted().admits_confirm(), Ok(()));
    assert_eq!(Node { doubt: Some(failure()), ..idle() }.admits_confirm(), Ok(()));
    assert_eq!(idle().admits_confirm(), Err(Refusal::NothingToConfirm));
    assert_eq!(with(fetching()).admits_confirm(), Err(Refusal::Busy("fetching")));
}

#[test]
fn what_is_fetched_or_waits_can_be_taken_back_and_nothing_else() {
    assert_eq!(with(Update::Ready { trial: trial() }).admits_cancel(), Ok(()));
    let pending = Pending::Ready(trial(), At::Window);
    assert_eq!(Node { pending, ..with(settling()) }.admits_cancel(), Ok(()));
    for node in [idle(), with(settling())] {
        assert_eq!(node.admits_cancel(), Err(Refusal::NothingToCancel));
    }
    assert_eq!(with(fetching()).admits_cancel(), Ok(()));
    let Update::Fetching { offer, attempt, begun } = fetching() else { panic!("it is one") };
    let verifying = Update::Verifying { offer, attempt, begun };
    assert_eq!(with(verifying).admits_cancel(), Err(Refusal::Busy("verifying")));
}

#[test]
fn the_names_that_machines_read_stay() {
    use Outcome as O;
    let outcomes = [O::Committed, O::Refused, O::Failed, O::Returned, O::Cancelled].map(O::name);
    assert_eq!(outcomes, ["committed", "refused", "failed", "returned", "cancelled"]);
    let (trial, failure) = (trial(), failure());
    let states = [
        Update::Idle,
        fetching(),
        Update::Verifying { offer: offer(), attempt: 1, begun: None },
        Update::Ready { trial: trial.clone() },
        Update::Activating { trial: trial.clone(), at: At::Now },
        Update::Rebooting { trial: trial.clone() },
        probation(),
        settling(),
        Update::Committing { trial: trial.clone(), attempt: 1, restarts: 0, shutdowns: 0 },
        Update::Condemning { trial: trial.clone(), failure: failure.clone() },
        Update::Returning { trial: trial.clone(), failure },
        Update::Leaving { trial, restarts: 0, shutdowns: 1 },
    ];
    let names = states.each_ref().map(Update::name);
    assert_eq!(
        names,
        [
            "idle",
            "fetching",
            "verifying",
            "ready",
            "activating",
            "rebooting",
            "probation",
            "settling",
            "committing",
            "condemning",
            "returning",
            "leaving",
        ]
    );
    let versions = states.map(|state| state.version().map(ToString::to_string));
    assert!(versions[..3].iter().all(Option::is_none), "{versions:?}");
    assert!(versions[3..].iter().all(|it| it.as_deref() == Some("2")), "{versions:?}");
    let events = [Event::Ticked, Event::CancelAsked, Event::ShutdownAsked, Event::Confirmed];
    let names = events.each_ref().map(Event::name);
    assert_eq!(names, ["ticked", "cancel-asked", "shutdown-asked", "confirmed"]);
}
