//! What is there, and how what is there no more has ended.

use super::connection::ours;
use super::error::{ContainerdError, or_absent};
use super::mark::{END, Mark, end_label, read_end};
use super::{Containerd, End, FoundContainer, Process, cgroup};
use containerd_client::services::v1::{
    Container, DeleteTaskRequest, GetContainerRequest, ListContainersRequest, ListTasksRequest,
    UpdateContainerRequest,
};
use containerd_client::types::v1 as task;
use prost_types::{FieldMask, Timestamp};
use std::cell::Cell;
use std::collections::HashMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// How long a shim may take to go. Everybody waits for that.
const DELETE: Duration = Duration::from_secs(10);

/// Whether shims do what they are asked: one that does not is waited for once in a look.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shims {
    Answer,
    Hang,
}

impl Containerd {
    /// All containers of ours. How a process ended is written down as a label, and its task is deleted, so that no shim
    /// is kept for it and the end is known after a restart of the node, too.
    pub async fn find(&self) -> Result<Vec<FoundContainer>, ContainerdError> {
        let listed = self.listed().await?;
        let mut tasks = self.connection.client().await?.tasks();
        let running = tasks.list(ours(ListTasksRequest::default()));
        let running = self.connection.call("list its tasks", running).await?.tasks;
        let mut tasks: HashMap<String, task::Process> = HashMap::new();
        for task in running {
            // 1.6 names the container in the id of the process.
            let id = Some(task.container_id.clone()).filter(|id| !id.is_empty());
            tasks.insert(id.unwrap_or_else(|| task.id.clone()), task);
        }
        let (mut found, shims) = (Vec::new(), Cell::new(Shims::Answer));
        for container in listed {
            let mark = Mark::read(&container.id, &container.labels);
            let process = match tasks.remove(&container.id) {
                Some(task) => self.process(&container, &mark, (&task, &shims)).await?,
                None => read_end(&container.labels).map_or(Process::None, Process::Ended),
            };
            found.push(FoundContainer { id: container.id, mark, process });
        }
        Ok(found)
    }

    /// One after the other and without what they are made from: all of that at once is more than a message holds.
    async fn listed(&self) -> Result<Vec<Container>, ContainerdError> {
        const WHAT: &str = "list its containers";
        let mut containers = self.connection.client().await?.containers();
        let listed = containers.list_stream(ours(ListContainersRequest::default()));
        let mut listed = self.connection.call(WHAT, listed).await?;
        let mut all = Vec::new();
        loop {
            let message = async { listed.message().await.map(tonic::Response::new) };
            match self.connection.call(WHAT, message).await? {
                None => return Ok(all),
                Some(one) => all.extend(one.container.map(|it| Container { spec: None, ..it })),
            }
        }
    }

    async fn process(
        &self,
        container: &Container,
        mark: &Mark,
        (task, shims): (&task::Process, &Cell<Shims>),
    ) -> Result<Process, ContainerdError> {
        let started = time(container.created_at.as_ref());
        match task.status() {
            task::Status::Created => Ok(Process::None),
            // It was made anew since it was listed: what ended is not what is listed.
            task::Status::Stopped if !self.is_still(container).await? => Ok(Process::None),
            task::Status::Stopped => {
                let at = time(task.exited_at.as_ref());
                let ran = at.duration_since(started).unwrap_or_default();
                let out_of_memory = ran_out_of_memory(&self.places.cgroups, &cgroup(mark));
                let end = End { code: task.exit_status, at, ran, out_of_memory };
                // One whose shim hangs, or a disk without room for the label, holds up no other: its task stays, so that
                // the end is not lost, and this is done again.
                if let Err(error) = self.write_down(container, &end, shims).await {
                    tracing::warn!(%error, id = container.id, "an end was not written down");
                }
                Ok(Process::Ended(end))
            }
            // One that is paused has its process, and one that cannot be asked may have.
            _ => Ok(Process::Running { pid: task.pid, started }),
        }
    }

    /// Whether the container of this id is the one that was listed.
    async fn is_still(&self, listed: &Container) -> Result<bool, ContainerdError> {
        let mut containers = self.connection.client().await?.containers();
        let got = containers.get(ours(GetContainerRequest { id: listed.id.clone() }));
        let got = or_absent(self.connection.call("show a container", got).await)?;
        Ok(got.container.is_some_and(|it| it.created_at == listed.created_at))
    }

    /// First the label, then the task: a cut between them leaves a task that has ended, and this is done again.
    async fn write_down(
        &self,
        container: &Container,
        end: &End,
        shims: &Cell<Shims>,
    ) -> Result<(), ContainerdError> {
        let client = self.connection.client().await?;
        let (mut containers, mut tasks) = (client.containers(), client.tasks());
        let mut noted = Container { id: container.id.clone(), ..Container::default() };
        noted.labels.insert(END.to_owned(), end_label(end));
        let mask = FieldMask { paths: vec![format!("labels.{END}")] };
        let request = UpdateContainerRequest { container: Some(noted), update_mask: Some(mask) };
        let noted = containers.update(ours(request));
        or_absent(self.connection.call("note how a container ended", noted).await.map(drop))?;
        let request = DeleteTaskRequest { container_id: container.id.clone() };
        if shims.get() == Shims::Hang {
            return Ok(());
        }
        let deleted = tasks.delete(ours(request));
        const WHAT: &str = "delete a task that has ended";
        let deleted = self.connection.long_call(WHAT, DELETE, deleted).await;
        if let Err(ContainerdError::Silent { .. }) = deleted {
            shims.set(Shims::Hang);
        }
        or_absent(deleted.map(drop))
    }
}

/// A moment, to the millisecond: so exactly it is written down.
fn time(stamp: Option<&Timestamp>) -> SystemTime {
    let Some(Timestamp { seconds, nanos }) = stamp else { return SystemTime::UNIX_EPOCH };
    let millis = u64::try_from(*nanos).unwrap_or(0) / 1_000_000;
    let since = u64::try_from(*seconds).unwrap_or(0).saturating_mul(1000).saturating_add(millis);
    SystemTime::UNIX_EPOCH + Duration::from_millis(since)
}

/// Whether the kernel ended a process in this control group for its memory (cgroup-v2.rst, `memory.events`; in the
/// first version `memory.oom_control`). It is there until the task is deleted.
fn ran_out_of_memory(cgroups: &Path, of: &Path) -> bool {
    let files = [
        cgroups.join(of).join("memory.events"),
        cgroups.join("memory").join(of).join("memory.oom_control"),
    ];
    let kills = files.iter().filter_map(|file| {
        let text = std::fs::read_to_string(file).ok()?;
        let count = text.lines().find_map(|line| line.strip_prefix("oom_kill "))?;
        count.trim().parse::<u64>().ok()
    });
    kills.max().unwrap_or(0) > 0
}
