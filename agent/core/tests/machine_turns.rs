//! What one turn of the loop promises: saved first, the order after, and the proof only with both.

use steadfast_core::ledger::{self, Entry, Last, Stamp};
use steadfast_core::{
    Action, Assigned, Boot, Digest, Event, Machine, OtherSlot, Policy, Slot, ThisSlot, Update,
    Verdict, Version,
};

fn policy() -> Policy {
    Policy {
        compatible: "board".try_into().expect("short"),
        room: Default::default(),
        fetch_attempts: 1,
        restarts: 1,
        commit_attempts: 1,
    }
}

/// Not cryptographic, but enough to tell frames apart.
fn hash(bytes: &[u8]) -> Digest {
    let mut digest = [0_u8; 32];
    for (at, byte) in bytes.iter().enumerate() {
        digest[at % 32] = digest[at % 32].wrapping_mul(31) ^ byte;
    }
    Digest(digest)
}

fn started(id: u8) -> Event {
    let version = Version::new("1").expect("a version");
    let other = OtherSlot::Bad;
    Event::Booted(Boot {
        slot: Slot::A,
        version,
        id: [id; 16],
        this: ThisSlot::Once,
        other,
        set: Assigned::Nothing,
        evidence: None,
    })
}

/// A machine, and all that it saved.
struct Saved {
    machine: Machine,
    bytes: Vec<u8>,
}

impl Saved {
    fn new() -> Saved {
        Saved { machine: Machine::new(None, policy(), hash), bytes: Vec::new() }
    }

    fn hears(&mut self, event: Event) -> Option<Action> {
        let save = |frame: &[u8]| -> Result<(), ()> {
            self.bytes.extend_from_slice(frame);
            Ok(())
        };
        self.machine.turn(event, Stamp::default(), save).expect("it is saved").order
    }

    fn entries(&self) -> Vec<Entry> {
        ledger::frames(&self.bytes).filter_map(|frame| frame.entry).collect()
    }

    fn last(&self) -> Option<Last> {
        ledger::read(&self.bytes, Digest::ZERO, hash).last
    }

    /// The same node after a cut: it knows what it saved and nothing else.
    fn cut(self) -> Saved {
        let machine = Machine::new(self.last(), policy(), hash);
        Saved { machine, bytes: self.bytes }
    }
}

#[test]
fn an_entry_that_cannot_be_saved_changes_nothing_and_makes_no_turn() {
    let mut node = Saved::new();
    node.hears(started(1));
    let (before, head) = (node.machine.node().clone(), node.machine.head());
    let sick_disk = |_: &[u8]| Err("no space");
    let judged = || Event::Judged(Verdict::Healthy);
    let turned = node.machine.turn(judged(), Stamp::default(), sick_disk);
    assert_eq!(turned.map(|turn| turn.order), Err("no space"));
    assert_eq!((node.machine.node(), node.machine.head()), (&before, head));
    assert_eq!(node.hears(judged()), Some(Action::Commit(Slot::A)), "it can be heard again");
}

#[test]
fn the_order_is_that_of_the_entry_that_was_saved() {
    let mut node = Saved::new();
    let order = node.hears(started(1));
    let entries = node.entries();
    let [entry] = entries.as_slice() else { panic!("one entry: {entries:?}") };
    assert!(matches!(entry.next.update, Update::Settling { .. }), "{:?}", entry.next.update);
    assert_eq!((&entry.event, order), (&started(1), Some(Action::Judge)));
    assert_eq!(&entry.next, node.machine.node());
}

#[test]
fn after_any_cut_the_order_of_the_last_entry_is_given_again() {
    let mut node = Saved::new();
    node.hears(started(1));
    let order = node.hears(Event::Judged(Verdict::Healthy));
    assert_eq!(order, Some(Action::Commit(Slot::A)));
    let known = node.machine.node().clone();
    let mut node = node.cut();
    assert_eq!(node.machine.node(), &known);
    assert_eq!(node.hears(started(1)), order, "the agent was started again within the boot");
    assert_eq!(node.machine.node(), &known);
}

#[test]
fn the_chain_holds_over_every_turn_and_every_start() {
    let mut node = Saved::new();
    for id in 1..=3 {
        node.hears(started(id));
        node.hears(Event::Ticked);
        node.hears(Event::Judged(Verdict::Healthy));
        node = node.cut();
    }
    let read = ledger::read(&node.bytes, Digest::ZERO, hash);
    assert_eq!((read.entries, read.broken_at), (6, None));
    let counted: Vec<u64> = node.entries().iter().map(|entry| entry.sequence).collect();
    assert_eq!(counted, [1, 2, 3, 4, 5, 6]);
    let last = node.last().expect("six entries");
    assert_eq!(node.machine.head(), (6, last.head));
}

#[test]
fn an_event_that_is_not_waited_for_saves_nothing_and_orders_nothing() {
    let mut node = Saved::new();
    node.hears(started(1));
    let saved = node.bytes.len();
    for event in [Event::Ticked, Event::WindowOpened, Event::Committed(Ok(()))] {
        assert_eq!(node.hears(event), None);
    }
    assert_eq!(node.bytes.len(), saved);
}

#[test]
fn a_node_that_understands_no_entry_begins_anew_behind_the_last_one() {
    let head = Digest([7; 32]);
    let mut machine = Machine::new(None, policy(), hash).after(40, head);
    assert_eq!(machine.node(), &steadfast_core::Node::default());
    let mut bytes = Vec::new();
    let save = |frame: &[u8]| -> Result<(), ()> {
        bytes.extend_from_slice(frame);
        Ok(())
    };
    machine.turn(started(1), Stamp::default(), save).expect("it is saved");
    let read = ledger::read(&bytes, head, hash);
    assert_eq!((read.broken_at, read.last.map(|last| last.entry.sequence)), (None, Some(41)));
}
