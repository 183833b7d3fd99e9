//! The agent without its loop: the update machine and its port to RAUC, on the system bus.
//!
//! ```text
//! offer ─▶ Node ─order─▶ port ─▶ RAUC
//!           ▲               │
//!           └────event──────┘   until the update waits for its window, or has ended
//! ```

use std::{path::PathBuf, time::Duration};

use steadfast_adapters::rauc::{Progress, Rauc, RaucAction};
use steadfast_core::{
    Action, At, Committed, Event, Failure, Node, Offer, Policy, Port, Sizes, Slot, Update, Version,
};
use tokio::sync::watch;

use super::{COMPATIBLE, PATIENCE};

/// A node in slot A that takes one bundle after the other.
pub(crate) struct Agent {
    port: Rauc,
    node: Node,
    policy: Policy,
    progress: watch::Receiver<Progress>,
    /// How long the port may take for one order.
    patience: Duration,
}

impl Agent {
    pub(crate) fn new() -> Self {
        Self::that_bears(PATIENCE)
    }

    /// One that bears this much silence in an installation.
    pub(crate) fn that_bears(stall: Duration) -> Self {
        Self::with_port(|progress| Rauc::new(stall, None, progress))
    }

    /// One that trusts these authorities for https.
    pub(crate) fn with_tls_ca(stall: Duration, tls_ca: PathBuf) -> Self {
        Self::with_port(|progress| Rauc::new(stall, Some(tls_ca), progress))
    }

    fn with_port(port: impl FnOnce(watch::Sender<Progress>) -> Rauc) -> Self {
        let (sender, progress) = watch::channel(None);
        let version = Version::new("1.0.0").expect("a version");
        let node = Node {
            running: Some(version.clone()),
            committed: Some(Committed { slot: Slot::A, version, digest: None, set: None }),
            ..Node::default()
        };
        let room = Sizes { boot: 1 << 30, root: 1 << 30 };
        let compatible = COMPATIBLE.try_into().expect("a short name");
        let policy =
            Policy { compatible, room, fetch_attempts: 1, restarts: 2, commit_attempts: 3 };
        Self { port: port(sender), node, policy, progress, patience: PATIENCE }
    }

    /// How often a bundle is tried whose failure may pass.
    pub(crate) fn trying(mut self, attempts: u8) -> Self {
        self.policy.fetch_attempts = attempts;
        self
    }

    /// One whose clock the test sets on: only the port's own limits count.
    pub(crate) fn without_patience(mut self) -> Self {
        self.patience = Duration::MAX;
        self
    }

    /// What the port says of an installation under way.
    pub(crate) fn progress(&self) -> watch::Receiver<Progress> {
        self.progress.clone()
    }

    /// The whole way to the window, or why it ended before.
    pub(crate) async fn update(&mut self, source: &str) -> Result<(), Failure> {
        self.offer(source);
        self.install().await
    }

    /// Until the bundle is verified, and no further.
    pub(crate) async fn verify(&mut self, source: &str) -> Result<(), Failure> {
        self.offer(source);
        while let Some(order) = self.node.update.action() {
            if matches!(order, Action::Install { .. }) {
                return Ok(());
            }
            self.carry_out(order).await;
        }
        self.end()
    }

    /// The rest of the way after [`verify`](Self::verify).
    pub(crate) async fn install(&mut self) -> Result<(), Failure> {
        while let Some(order) = self.node.update.action() {
            self.carry_out(order).await;
        }
        self.end()
    }

    fn offer(&mut self, source: &str) {
        if matches!(self.node.update, Update::Ready { .. }) {
            self.hear(Event::CancelAsked);
        }
        let source = source.try_into().expect("a short source");
        self.hear(Event::Announced(Offer { source, at: At::Window, content: None, set: None }));
        assert!(matches!(self.node.update, Update::Fetching { .. }), "{:?}", self.node.update);
    }

    /// A bundle is streamed or read where it lies, so fetching it is nothing.
    async fn carry_out(&mut self, order: Action) {
        let order = match order {
            Action::Fetch { .. } => return self.hear(Event::Fetched(Ok(()))),
            Action::Verify(offer) => RaucAction::Verify(offer),
            Action::Install { offer, bundle, target, set } => {
                RaucAction::Install { offer, bundle, target, set }
            }
            other => panic!("nothing was activated, but the order is {other:?}"),
        };
        let event = tokio::time::timeout(self.patience, self.port.perform(order)).await;
        let event = event.expect("the port has its limits");
        println!("{event:?}");
        self.hear(event);
    }

    fn hear(&mut self, event: Event) {
        self.node = self.node.clone().next(event, &self.policy);
    }

    fn end(&self) -> Result<(), Failure> {
        match &self.node.update {
            Update::Ready { .. } => Ok(()),
            _ => {
                Err(self.node.last.clone().and_then(|end| end.failure).expect("an end has a cause"))
            }
        }
    }
}
