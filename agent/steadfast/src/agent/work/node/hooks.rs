//! Programs in a container, for probes and hooks.

use super::super::runtime::NotDone;
use super::told;
use std::cell::RefCell;
use std::time::Duration;
use steadfast_adapters::containerd::{Containerd, ContainerdError};
use steadfast_adapters::manifest::Container;
use steadfast_adapters::pod_probe::{Asked, Exec, Executed, ON_THE_NODES_NETWORK};

/// One container, and why a program could not be run in it.
pub(super) struct InContainer {
    containerd: Containerd,
    id: String,
    not_run: RefCell<Option<NotDone>>,
}

impl InContainer {
    pub(super) fn new(containerd: Containerd, id: String) -> InContainer {
        InContainer { containerd, id, not_run: RefCell::default() }
    }

    /// The container as it is asked.
    pub(super) fn asked<'a>(&'a self, container: &'a Container) -> Asked<'a, InContainer> {
        Asked { exec: self, container, address: ON_THE_NODES_NETWORK }
    }

    /// Why the program was not run: that says nothing of the container.
    pub(super) fn not_run(self) -> Option<NotDone> {
        self.not_run.into_inner()
    }
}

impl Exec for InContainer {
    type Error = ContainerdError;

    async fn exec(&self, command: &[String], limit: Duration) -> Result<Executed, ContainerdError> {
        // If nobody waits any longer, that is what it was: containerd did not answer.
        self.not_run
            .replace(Some(NotDone("containerd did not run the program in time".to_owned())));
        match self.containerd.exec(&self.id, command, limit).await {
            Ok(done) => {
                self.not_run.replace(None);
                Ok(Executed { code: done.code, output: done.output })
            }
            Err(error) => {
                self.not_run.replace(Some(told(&error)));
                Err(error)
            }
        }
    }
}
