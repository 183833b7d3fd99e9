//! When to look again.

use super::connection::ours;
use super::{Containerd, NAMESPACE};
use containerd_client::events::TaskExit;
use containerd_client::services::v1::SubscribeRequest;
use containerd_client::types::Envelope;
use prost::Message;
use std::fmt;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tonic::{Response, Status, Streaming};

/// The pause before a connection that broke is made again.
const AGAIN: Duration = Duration::from_secs(2);

/// How long containerd may take to take a subscription. It says nothing to it before the first event.
const TAKEN: Duration = Duration::from_secs(1);

type Opening = Pin<Box<dyn Future<Output = Result<Response<Streaming<Envelope>>, Status>>>>;

/// What containerd tells by itself.
pub(super) enum Events {
    /// Asked for; the first event is the answer.
    Opening(Opening),
    Open(Box<Streaming<Envelope>>),
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Events::Opening(_) => "Opening",
            Events::Open(_) => "Open",
        })
    }
}

impl Containerd {
    /// Comes back when a container of ours may have changed, or when containerd was not there and is again. What happens
    /// between two calls is not lost; one caller at a time hears.
    pub async fn changed(&self) {
        let mut events = self.events.lock().await;
        loop {
            match events.as_mut() {
                None => {
                    let Some(mut opening) = self.subscribe().await else {
                        sleep(AGAIN).await;
                        continue;
                    };
                    match timeout(TAKEN, &mut opening).await {
                        Ok(Ok(open)) => *events = Some(Events::Open(Box::new(open.into_inner()))),
                        Ok(Err(_)) => {
                            sleep(AGAIN).await;
                            continue;
                        }
                        Err(_) => *events = Some(Events::Opening(opening)),
                    }
                    // Whatever happened before.
                    return;
                }
                Some(Events::Opening(opening)) => {
                    *events =
                        opening.await.ok().map(|open| Events::Open(Box::new(open.into_inner())));
                }
                Some(Events::Open(open)) => match open.message().await {
                    Ok(Some(event)) if concerns_us(&event) => return,
                    Ok(Some(_)) => {}
                    Ok(None) | Err(_) => *events = None,
                },
            }
        }
    }

    async fn subscribe(&self) -> Option<Opening> {
        let mut events = self.connection.client().await.ok()?.events();
        let filter = format!("namespace=={NAMESPACE},topic~=\"^/tasks/(exit|oom|start)\"");
        let request = ours(SubscribeRequest { filters: vec![filter] });
        Some(Box::pin(async move { events.subscribe(request).await }))
    }
}

/// A program that was run in a container and ended is nobody's news: its caller waits for it.
fn concerns_us(event: &Envelope) -> bool {
    if event.namespace != NAMESPACE {
        return false;
    }
    match (event.topic.as_str(), &event.event) {
        ("/tasks/exit", Some(exit)) => {
            let exit = TaskExit::decode(exit.value.as_slice()).unwrap_or_default();
            exit.id.is_empty() || exit.id == exit.container_id
        }
        _ => true,
    }
}
