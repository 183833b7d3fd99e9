//! Ending a process, and removing a container.

use super::connection::{CALL, ours};
use super::error::{ContainerdError, or_absent};
use super::mark::SIGNAL;
use super::{Containerd, SNAPSHOTTER};
use containerd_client::services::v1::snapshots::RemoveSnapshotRequest;
use containerd_client::services::v1::{
    DeleteContainerRequest, DeleteTaskRequest, GetContainerRequest, KillRequest, WaitRequest,
};
use std::time::Duration;
use tokio::time::timeout;

const SIGTERM: u32 = 15;
const SIGKILL: u32 = 9;

/// How long the kernel may take to end a process by SIGKILL: one that waits for a dead disk does not end at all.
const KILL: Duration = Duration::from_secs(20);

impl Containerd {
    /// Asks a process to end, by SIGTERM or the image's own signal, and ends it by SIGKILL after `grace`; comes back
    /// when it has ended. None there: fine.
    pub async fn stop(&self, id: &str, grace: Duration) -> Result<(), ContainerdError> {
        let signal = self.signal_of(id).await?;
        self.kill(id, signal).await?;
        if self.has_ended_within(id, grace).await? {
            return Ok(());
        }
        self.kill(id, SIGKILL).await?;
        match self.has_ended_within(id, KILL).await? {
            true => Ok(()),
            false => Err(ContainerdError::Unkillable),
        }
    }

    /// Removes all that bears this id: the task, the container and its snapshot. Nothing there: fine.
    pub async fn remove(&self, id: &str) -> Result<(), ContainerdError> {
        let client = self.connection.client().await?;
        let (mut containers, mut tasks) = (client.containers(), client.tasks());
        let mut snapshots = client.snapshots();
        let request = || ours(DeleteTaskRequest { container_id: id.to_owned() });
        let deleted = self.connection.call("delete a task", tasks.delete(request())).await;
        if let Err(error) = or_absent(deleted.map(drop)) {
            // It still runs, or was set up and never started.
            tracing::debug!(%error, id, "a task is ended before it is deleted");
            self.kill(id, SIGKILL).await?;
            self.has_ended_within(id, KILL).await?;
            let deleted = self.connection.call("delete a task", tasks.delete(request())).await;
            or_absent(deleted.map(drop))?;
        }
        let deleted = containers.delete(ours(DeleteContainerRequest { id: id.to_owned() }));
        or_absent(self.connection.call("remove a container", deleted).await)?;
        let (snapshotter, key) = (SNAPSHOTTER.to_owned(), id.to_owned());
        let removed = snapshots.remove(ours(RemoveSnapshotRequest { snapshotter, key }));
        or_absent(self.connection.call("remove a root file system", removed).await)
    }

    /// The signal that the image wants.
    async fn signal_of(&self, id: &str) -> Result<u32, ContainerdError> {
        let mut containers = self.connection.client().await?.containers();
        let got = containers.get(ours(GetContainerRequest { id: id.to_owned() }));
        let got = or_absent(self.connection.call("show a container", got).await)?;
        let labels = got.container.map(|container| container.labels).unwrap_or_default();
        Ok(labels.get(SIGNAL).and_then(|name| number(name)).unwrap_or(SIGTERM))
    }

    /// SIGKILL goes to all of its processes. A process that has ended needs no signal.
    async fn kill(&self, id: &str, signal: u32) -> Result<(), ContainerdError> {
        let mut tasks = self.connection.client().await?.tasks();
        let all = signal == SIGKILL;
        let request =
            KillRequest { container_id: id.to_owned(), signal, all, ..Default::default() };
        or_absent(self.connection.call("signal a process", tasks.kill(ours(request))).await)
    }

    async fn has_ended_within(&self, id: &str, limit: Duration) -> Result<bool, ContainerdError> {
        let mut tasks = self.connection.client().await?.tasks();
        let request = WaitRequest { container_id: id.to_owned(), exec_id: String::new() };
        let ended = tasks.wait(ours(request));
        let ended = self.connection.long_call("wait for a process", limit + CALL, ended);
        match timeout(limit, ended).await {
            Err(_) => Ok(false),
            Ok(ended) => or_absent(ended.map(drop)).map(|()| true),
        }
    }
}

/// The number of a signal: of its name, with or without `SIG`, or as it is written (signal(7), Linux on ARM and x86).
fn number(signal: &str) -> Option<u32> {
    const NAMES: [(&str, u32); 20] = [
        ("HUP", 1),
        ("INT", 2),
        ("QUIT", 3),
        ("ILL", 4),
        ("TRAP", 5),
        ("ABRT", 6),
        ("BUS", 7),
        ("FPE", 8),
        ("KILL", 9),
        ("USR1", 10),
        ("SEGV", 11),
        ("USR2", 12),
        ("PIPE", 13),
        ("ALRM", 14),
        ("TERM", 15),
        ("CHLD", 17),
        ("CONT", 18),
        ("WINCH", 28),
        ("PWR", 30),
        ("SYS", 31),
    ];
    let name = signal.to_ascii_uppercase();
    let name = name.strip_prefix("SIG").unwrap_or(&name);
    let real_time = || {
        let above = name.strip_prefix("RTMIN")?;
        let above = if above.is_empty() { 0 } else { above.strip_prefix('+')?.parse().ok()? };
        Some(34 + above)
    };
    let known = NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    known
        .or_else(|| name.parse().ok())
        .or_else(real_time)
        .filter(|number| (1..=64).contains(number))
}

#[cfg(test)]
mod tests {
    use super::number;

    #[test]
    fn a_signal_is_known_by_its_name_and_by_its_number() {
        for (signal, wanted) in [
            ("SIGQUIT", Some(3)),
            ("quit", Some(3)),
            ("3", Some(3)),
            ("SIGWINCH", Some(28)),
            ("SIGRTMIN", Some(34)),
            ("SIGRTMIN+3", Some(37)),
            ("0", None),
            ("65", None),
            ("SIGRTMIN+31", None),
            ("SIGNAL", None),
            ("", None),
        ] {
            assert_eq!(number(signal), wanted, "{signal}");
        }
    }
}
