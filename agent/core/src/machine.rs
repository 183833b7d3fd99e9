//! One turn of the loop: hear, decide, save, and only then act.
//!
//! ```text
//! event ──▶ Node::next ──▶ save(frame) ──▶ Turn { order }
//!                              │ fails: nothing changed, no Turn, so the watchdog is not fed
//! ```

use crate::event::{Action, Event};
use crate::ledger::{self, Entry, Stamp};
use crate::names::Digest;
use crate::node::{Node, Policy};
use crate::watchdog::TurnCompleted;

/// The node, its policy, and the head of its ledger.
#[derive(Debug)]
pub struct Machine {
    node: Node,
    policy: Policy,
    sequence: u64,
    head: Digest,
    hash: ledger::Hash,
}

/// What one turn led to.
#[derive(Debug)]
pub struct Turn {
    /// The order to carry out, when the turn led to a new one.
    pub order: Option<Action>,
    /// Whether an entry was saved.
    pub saved: Option<u64>,
    /// The proof that feeds the watchdog.
    pub proof: TurnCompleted,
}

impl Machine {
    /// A machine that resumes after `last`, or a new node without one.
    pub fn new(last: Option<ledger::Last>, policy: Policy, hash: ledger::Hash) -> Machine {
        match last {
            Some(ledger::Last { entry, head }) => {
                Machine { node: entry.next, policy, sequence: entry.sequence, head, hash }
            }
            None => {
                Machine { node: Node::default(), policy, sequence: 0, head: Digest::ZERO, hash }
            }
        }
    }

    /// The same, whose next entry follows so many others that end with `head` and that this version of the agent
    /// does not understand.
    pub fn after(self, entries: u64, head: Digest) -> Machine {
        Machine { sequence: entries, head, ..self }
    }

    /// Where the node stands.
    pub fn node(&self) -> &Node {
        &self.node
    }

    /// The sequence number of the last entry, and its digest.
    pub fn head(&self) -> (u64, Digest) {
        (self.sequence, self.head)
    }

    /// Where `event` would lead, before anything is saved.
    pub fn expected(&self, event: &Event) -> Node {
        self.node.clone().next(event.clone(), &self.policy)
    }

    /// Hears one event. `save` writes the frame so that it survives a power cut; when it fails,
    /// nothing changed and the event has to be heard again.
    pub fn turn<E>(
        &mut self,
        event: Event,
        at: Stamp,
        save: impl FnOnce(&[u8]) -> Result<(), E>,
    ) -> Result<Turn, E> {
        let started = matches!(event, Event::Booted(_));
        let next = self.expected(&event);
        if next == self.node && !started {
            return Ok(Turn { order: None, saved: None, proof: TurnCompleted::new() });
        }
        let sequence = self.sequence + 1;
        // What is in work already is not ordered a second time.
        let moved = started || next.update != self.node.update;
        let entry = Entry { sequence, previous: self.head, at, event, next };
        let mut buffer = [0; ledger::MAX_FRAME];
        let frame = ledger::encode(&entry, &mut buffer).expect("MAX_FRAME holds every entry");
        save(frame)?;
        self.head = (self.hash)(frame);
        self.sequence = sequence;
        self.node = entry.next;
        let order = self.node.update.action().filter(|_| moved);
        Ok(Turn { order, saved: Some(sequence), proof: TurnCompleted::new() })
    }
}
