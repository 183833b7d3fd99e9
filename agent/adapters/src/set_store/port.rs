//! The store as a port: copying and verifying take a while, so that they have a thread of their own.

use super::{SetStore, SetStoreError};
use std::path::Path;
use steadfast_core::{Cause, Event, Failure, Port, Source, StagedSet};
use tokio::task::spawn_blocking;

/// What the store is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SetAction {
    /// Copy the set that is here and verify all of it.
    Stage(Source),
}

/// The store, with a queue.
#[derive(Debug)]
pub struct SetPort(SetStore);

impl SetPort {
    /// A port to this store.
    pub fn new(store: SetStore) -> SetPort {
        SetPort(store)
    }

    async fn stage(&self, source: Source) -> Result<StagedSet, Failure> {
        if !source.starts_with('/') {
            let evidence = format_args!("{source} is no whole path; a set is taken from a file");
            return Err(Failure::new(Cause::Source, evidence));
        }
        let store = self.0.clone();
        let staged = spawn_blocking(move || store.stage(Path::new(source.as_str())));
        let staged = staged.await.expect("staging does not panic");
        staged.map_err(|error: SetStoreError| error.failure())
    }
}

impl Port for SetPort {
    type Action = SetAction;

    async fn perform(&mut self, action: SetAction) -> Event {
        match action {
            SetAction::Stage(source) => {
                let staged = self.stage(source).await;
                if let Err(failure) = &staged {
                    tracing::info!(%failure, "the workload set is not taken");
                }
                Event::Staged(staged)
            }
        }
    }
}
