//! What time alone brings: a disk that works again, room, a window that opens.
//!
//! Always true: a tick does no more than a few looks when there is nothing to do, for it comes as often as the
//! watchdog wants.

use super::Life;
use crate::agent::AgentError;
use std::ops::ControlFlow;
use steadfast_adapters::ledger_file::Recovered;
use steadfast_core::{Event, Update};

impl Life {
    /// A tick: what could not be done before is tried again. Breaks when only another agent can go on.
    pub(super) fn ticked(&mut self) -> Result<ControlFlow<()>, AgentError> {
        match self.ledger.recover() {
            Recovered::Unchanged => self.retry_evidence(),
            Recovered::OnDisk => {
                self.recover_evidence();
                self.clear_downloads();
            }
            Recovered::DiskIsAhead => {
                tracing::warn!("/data knows more than this agent, which starts anew");
                self.leave();
                return Ok(ControlFlow::Break(()));
            }
        }
        // A download that was taken back ends the write that it was at after it was cleared away. One that is
        // under way writes at this moment.
        if !matches!(self.machine.node().update, Update::Fetching { .. }) {
            self.clear_downloads();
        }
        self.turn(self.tick())?;
        Ok(ControlFlow::Continue(()))
    }

    /// What a tick means: time, or that the window is open for what is ready.
    pub(super) fn tick(&self) -> Event {
        let ready = matches!(self.machine.node().update, Update::Ready { .. });
        let open = self.window.is_none_or(|window| window.is_open(self.clock()));
        if ready && open { Event::WindowOpened } else { Event::Ticked }
    }
}
