//! What an operator orders: taken, or refused with the reason, before anything changes.

use super::Life;
use crate::agent::AgentError;
use crate::agent::config::Way;
use crate::agent::work::{Wish, Wished};
use crate::protocol::Response;
use steadfast_adapters::ledger_file::Kept;
use steadfast_core::{At, Digest, Event, Offer, Refusal, Source};
use tokio::sync::oneshot;

impl Life {
    pub(super) fn wish(
        &self,
        wish: Wish,
        answer: oneshot::Sender<Response>,
    ) -> Result<(), AgentError> {
        let sent = self.wishes.send(Wished { wish, answer });
        assert!(sent.is_ok(), "the planner ends only with the agent");
        Ok(())
    }

    pub(super) fn update(
        &mut self,
        (source, set): (&str, Option<&str>),
        at: At,
        content: Option<Digest>,
    ) -> Result<Response, AgentError> {
        let sources = named(source).and_then(|source| Ok((source, set.map(named).transpose()?)));
        let (name, set) = match sources {
            Ok(sources) => sources,
            Err(because) => return Ok(Response::Refused { because }),
        };
        if let Some(because) = set.as_ref().and_then(|set| self.objection_to_set(set)) {
            return Ok(Response::Refused { because });
        }
        if self.way == Way::Stream && content.is_some() && source.contains("://") {
            let because = "what is streamed from a server cannot be held against --sha256; this node streams, \
                           unless fetch.way is \"download\"";
            return Ok(Response::Refused { because: because.to_owned() });
        }
        if !self.ledger.has_room() {
            let because = "/data is full, so the node could not remember what became of it";
            return Ok(Response::Refused { because: because.to_owned() });
        }
        let admitted = self.machine.node().admits_update();
        self.admit_on_disk(admitted, Event::Announced(Offer { source: name, at, content, set }))
    }

    /// Why no set from there would be taken, as far as that can be said at once.
    fn objection_to_set(&self, source: &Source) -> Option<String> {
        if source.contains("://") {
            return Some("a workload set is taken from a file, not from a server".to_owned());
        }
        self.sets.takes().err().map(|error| steadfast_adapters::chain(&error))
    }

    /// Admits what a restart would have to know about: only while the ledger is on the disk.
    pub(super) fn admit_on_disk(
        &mut self,
        admitted: Result<(), Refusal>,
        event: Event,
    ) -> Result<Response, AgentError> {
        if self.ledger.kept() == Kept::Memory {
            let because = "the ledger cannot be written to /data, so a restart would forget it";
            return Ok(Response::Refused { because: because.to_owned() });
        }
        self.admit(admitted, event)
    }

    pub(super) fn admit(
        &mut self,
        admitted: Result<(), Refusal>,
        event: Event,
    ) -> Result<Response, AgentError> {
        if let Err(refusal) = admitted {
            return Ok(Response::Refused { because: refusal.to_string() });
        }
        self.turn(event)?;
        Ok(Response::Accepted)
    }
}

/// A source as the core takes it, or why not.
fn named(source: &str) -> Result<Source, String> {
    let long = |_| format!("the source is {} bytes long; 255 are allowed", source.len());
    source.try_into().map_err(long)
}
