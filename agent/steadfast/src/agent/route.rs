//! The one `match` on an order outside the core: each goes to its port's queue.

use steadfast_adapters::boot_store::BootAction;
use steadfast_adapters::checks::Judge;
use steadfast_adapters::fetch::Fetch;
use steadfast_adapters::rauc::RaucAction;
use steadfast_adapters::set_store::SetAction;
use steadfast_adapters::system::Reboot;
use steadfast_core::{Action, Event, Port};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};
use tokio::task::spawn_local;

/// What a port is told whose work may be taken back.
#[derive(Debug, PartialEq, Eq)]
pub enum Order<A> {
    /// Do this, and nothing else any more.
    Begin(A),
    /// Leave it; nobody waits for it any more.
    Leave,
}

/// The queue of each port.
#[derive(Debug)]
pub struct Router {
    /// Back to the loop.
    pub own: UnboundedSender<Event>,
    /// To the fetcher.
    pub fetch: UnboundedSender<Order<Fetch>>,
    /// To RAUC.
    pub rauc: UnboundedSender<RaucAction>,
    /// To the store of workload sets.
    pub sets: UnboundedSender<SetAction>,
    /// To the boot store.
    pub boot: UnboundedSender<BootAction>,
    /// To the health checks.
    pub checks: UnboundedSender<Judge>,
    /// To the machine.
    pub system: UnboundedSender<Reboot>,
}

impl Router {
    /// Answers an order that no port was given.
    pub fn heard(&self, event: Event) {
        // The loop holds the other end as long as it runs.
        let _ = self.own.send(event);
    }

    /// Takes back the order to fetch: nothing is heard of it any more.
    pub fn leave_fetching(&self) {
        assert!(self.fetch.send(Order::Leave).is_ok(), "a port's task ends only with the agent");
    }

    /// Hands the order to its port.
    pub fn route(&self, action: Action) {
        let taken = match action {
            Action::Fetch { offer, attempt } => {
                self.fetch.send(Order::Begin(Fetch { offer, attempt })).is_ok()
            }
            Action::Verify(offer) => self.rauc.send(RaucAction::Verify(offer)).is_ok(),
            Action::Stage(source) => self.sets.send(SetAction::Stage(source)).is_ok(),
            Action::Install { offer, bundle, target, set } => {
                self.rauc.send(RaucAction::Install { offer, bundle, target, set }).is_ok()
            }
            Action::Activate(slot) => self.boot.send(BootAction::Activate(slot)).is_ok(),
            Action::Commit(slot) => self.boot.send(BootAction::Commit(slot)).is_ok(),
            Action::Condemn(slot) => self.boot.send(BootAction::Condemn(slot)).is_ok(),
            Action::Judge => self.checks.send(Judge).is_ok(),
            Action::Reboot => self.system.send(Reboot).is_ok(),
        };
        assert!(taken, "a port's task ends only with the agent");
    }
}

/// Runs the port as a task of its own; its events come back through `heard`.
pub fn serve<P>(mut port: P, heard: UnboundedSender<Event>) -> UnboundedSender<P::Action>
where
    P: Port + 'static,
    P::Action: 'static,
{
    let (sender, mut orders) = unbounded_channel();
    spawn_local(async move {
        while let Some(action) = orders.recv().await {
            let event = port.perform(action).await;
            if heard.send(event).is_err() {
                break;
            }
        }
    });
    sender
}

/// The same for a port whose work may be taken back: the next order ends the one before, of which nothing is
/// heard any more.
pub fn serve_newest<P>(
    mut port: P,
    heard: UnboundedSender<Event>,
) -> UnboundedSender<Order<P::Action>>
where
    P: Port + 'static,
    P::Action: 'static,
{
    let (sender, mut orders) = unbounded_channel();
    spawn_local(async move {
        let mut next = orders.recv().await;
        while let Some(order) = next {
            let Order::Begin(action) = order else {
                next = orders.recv().await;
                continue;
            };
            next = tokio::select! {
                biased;
                newer = orders.recv() => newer,
                event = port.perform(action) => match heard.send(event) {
                    Ok(()) => orders.recv().await,
                    Err(_) => None,
                },
            };
        }
    });
    sender
}

#[cfg(test)]
mod tests;
