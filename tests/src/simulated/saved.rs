//! An entry of the ledger, and the proof that its bytes hold what it says.
//!
//! The walk saves tens of millions of entries and knows few different ones. Each of these goes once through the real
//! [`Machine`] and the real codec, whole and torn; after that it is only passed around.

use super::fingerprint::{Mixer, essence};
use std::cell::RefCell;
use std::collections::HashSet;
use std::convert::Infallible;
use std::hash::{Hash, Hasher};
use std::rc::Rc;
use steadfast_core::ledger::{self, Entry, Last, MAX_FRAME, Stamp};
use steadfast_core::{Digest, Event, Machine, Node, Policy};

/// What was saved.
#[derive(Debug)]
pub struct Saved {
    /// The node's memory.
    pub node: Node,
    /// Two with the same print decide the same.
    pub print: u128,
}

/// What one node saved when it heard one event.
type Turned = (Rc<Saved>, Event, Option<Rc<Saved>>);

thread_local! {
    static PROVED: RefCell<HashSet<u128>> = RefCell::default();
    /// A step is taken once for each cut, and decides the same each time.
    static LAST: RefCell<Option<Turned>> = const { RefCell::new(None) };
}

impl Saved {
    /// What a node knows that has no ledger.
    pub fn new(node: Node) -> Saved {
        Saved { print: print(&node), node }
    }

    /// What `from` saves when it hears `event`, if that is anything.
    pub fn after(from: &Rc<Saved>, event: &Event, policy: &Policy) -> Option<Rc<Saved>> {
        let known = LAST.with_borrow(|last| {
            let last =
                last.as_ref().filter(|(to, heard, _)| Rc::ptr_eq(to, from) && heard == event);
            last.map(|(.., saved)| saved.clone())
        });
        known.unwrap_or_else(|| {
            let saved = Saved::decided(&from.node, event, policy);
            LAST.set(Some((from.clone(), event.clone(), saved.clone())));
            saved
        })
    }

    fn decided(from: &Node, event: &Event, policy: &Policy) -> Option<Rc<Saved>> {
        let started = matches!(event, Event::Booted(_));
        let node = from.clone().next(event.clone(), policy);
        if node == *from && !started {
            return None;
        }
        let print = print(&node);
        if PROVED.with_borrow_mut(|proved| proved.insert(print)) {
            holds(from, event, &node, policy);
        }
        Some(Rc::new(Saved { node, print }))
    }
}

fn print(node: &Node) -> u128 {
    let mut hasher = Mixer::default();
    essence(node.clone()).hash(&mut hasher);
    hasher.print()
}

/// The machine saves this, a torn frame counts as none, and a whole one is read back.
fn holds(from: &Node, event: &Event, node: &Node, policy: &Policy) {
    let at = Stamp::default();
    let before =
        Entry { sequence: 1, previous: Digest::ZERO, at, event: Event::Ticked, next: from.clone() };
    let mut buffer = [0; MAX_FRAME];
    let mut bytes = ledger::encode(&before, &mut buffer).expect("it fits").to_vec();
    let (whole, last) = (bytes.len(), Last { head: digest(&bytes), entry: before });
    let mut machine = Machine::new(Some(last), policy.clone(), digest);
    let Ok(turn) = machine.turn(event.clone(), at, |frame| {
        bytes.extend_from_slice(frame);
        Ok::<(), Infallible>(())
    });
    assert_eq!((machine.node(), turn.saved), (node, Some(2)), "the machine saves what it decided");
    for (end, expected) in
        [(whole, from), (whole + 7, from), (bytes.len() - 1, from), (bytes.len(), node)]
    {
        let read = ledger::read(&bytes[..end], Digest::ZERO, digest);
        assert_eq!((read.broken_at, read.damaged, read.unknown), (None, 0, 0), "the chain holds");
        let last = read.last.expect("the first frame is whole");
        assert_eq!(last.entry.next, *expected, "the last whole entry is where the node resumes");
    }
}

/// A digest that is quick and not for enemies: the core takes it from outside.
fn digest(bytes: &[u8]) -> Digest {
    let mut out = Digest::ZERO;
    for (lane, bytes_out) in out.0.chunks_exact_mut(8).enumerate() {
        let mut hasher = Mixer::default();
        hasher.write_usize(lane);
        hasher.write(bytes);
        bytes_out.copy_from_slice(&hasher.finish().to_le_bytes());
    }
    out
}
