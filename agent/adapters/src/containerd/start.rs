//! Starting a container: all of it, or nothing is left.

use super::connection::{leased, ours};
use super::error::{ContainerdError, or_absent};
use super::mark::SIGNAL;
use super::{Containerd, Job, RUNTIME, SNAPSHOTTER, container_id};
use containerd_client::services::v1::container::Runtime;
use containerd_client::services::v1::snapshots::PrepareSnapshotRequest;
use containerd_client::services::v1::{
    Container, CreateContainerRequest, CreateRequest, CreateTaskRequest, DeleteRequest,
    StartRequest,
};
use prost_types::Any;
use std::fs::{DirBuilder, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// What containerd calls a runtime specification (typeurl of `specs.Spec`).
const SPEC: &str = "types.containerd.io/opencontainers/runtime-spec/1/Spec";

impl Containerd {
    /// Makes a container anew and starts its process. Whatever bears its id is removed before, and what was begun is
    /// taken back when it fails.
    pub async fn start(&self, job: &Job) -> Result<(), ContainerdError> {
        let id = container_id(&job.mark.pod, &job.mark.container);
        self.remove(&id).await?;
        open_log(&job.log)?;
        // Until the container refers to it, only the lease keeps the snapshot from being collected.
        let lease = format!("start-{id}");
        self.lease(&lease).await?;
        let started = self.started(&id, job, &lease).await;
        if let Err(error) = self.release(&lease).await {
            // It keeps only what the container keeps, too, and the next start of it lets go.
            tracing::debug!(%error, id, "a lease was not let go");
        }
        if started.is_err() {
            // The reason is what counts; what is left is found, and removed by the next start.
            let _ = self.remove(&id).await;
        }
        started
    }

    async fn started(&self, id: &str, job: &Job, lease: &str) -> Result<(), ContainerdError> {
        let client = self.connection.client().await?;
        let mut snapshots = client.snapshots();
        let request = PrepareSnapshotRequest {
            snapshotter: SNAPSHOTTER.to_owned(),
            key: id.to_owned(),
            parent: job.image.chain.clone(),
            ..PrepareSnapshotRequest::default()
        };
        let made = snapshots.prepare(leased(request, lease));
        let rootfs = self.connection.call("make a root file system", made).await?.mounts;
        let (mut containers, mut tasks) = (client.containers(), client.tasks());
        let request = CreateContainerRequest { container: Some(container(id, job)) };
        let made = containers.create(leased(request, lease));
        self.connection.call("make a container", made).await?;
        let log = format!("file://{}", job.log.display());
        let request = CreateTaskRequest {
            container_id: id.to_owned(),
            rootfs,
            stdout: log.clone(),
            stderr: log,
            ..CreateTaskRequest::default()
        };
        let made = tasks.create(leased(request, lease));
        self.connection.call("set a container up", made).await?;
        let request = StartRequest { container_id: id.to_owned(), exec_id: String::new() };
        self.connection.call("start a process", tasks.start(ours(request))).await.map(drop)
    }

    /// Keeps what is made under it from being collected. One of the same name, which a cut left, is taken anew.
    pub(super) async fn lease(&self, id: &str) -> Result<(), ContainerdError> {
        self.release(id).await?;
        let mut leases = self.connection.client().await?.leases();
        let request = CreateRequest { id: id.to_owned(), ..CreateRequest::default() };
        self.connection
            .call("keep what is being made", leases.create(ours(request)))
            .await
            .map(drop)
    }

    pub(super) async fn release(&self, id: &str) -> Result<(), ContainerdError> {
        let mut leases = self.connection.client().await?.leases();
        let request = DeleteRequest { id: id.to_owned(), sync: false };
        let released = leases.delete(ours(request));
        or_absent(self.connection.call("let go of what was made", released).await)
    }
}

fn container(id: &str, job: &Job) -> Container {
    let mut labels = job.mark.labels();
    if let Some(signal) = &job.image.config.stop_signal {
        labels.insert(SIGNAL.to_owned(), signal.clone());
    }
    Container {
        id: id.to_owned(),
        labels,
        image: job.image.reference.clone(),
        runtime: Some(Runtime { name: RUNTIME.to_owned(), options: None }),
        spec: Some(Any { type_url: SPEC.to_owned(), value: job.spec.to_string().into_bytes() }),
        snapshotter: SNAPSHOTTER.to_owned(),
        snapshot_key: id.to_owned(),
        ..Container::default()
    }
}

/// The shim appends to it; only root reads what workloads say.
fn open_log(log: &Path) -> Result<(), ContainerdError> {
    let failed = |source| ContainerdError::File { path: log.to_owned(), source };
    if let Some(folder) = log.parent() {
        DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    }
    let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(log);
    opened.map(drop).map_err(failed)
}
