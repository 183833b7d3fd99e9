//! What systemd is told of the agent (sd_notify(3)), and whether it is taking the machine down.
//!
//! Always true: not being run by systemd is no error; a systemd that does not answer takes nothing
//! down, so that a doubtful end counts as one that nobody asked for.

use crate::bus::system_bus;
use sd_notify::NotifyState;
use std::path::Path;
use std::time::Duration;
use steadfast_core::watchdog::TurnCompleted;
use tokio::net::UnixStream;
use tokio::time::timeout;
use zbus::Connection;
use zbus::zvariant::OwnedObjectPath;

/// Where systemd itself listens for root. The system bus may end in the same moment as the agent.
const PRIVATE: &str = "/run/systemd/private";

/// How long systemd may take to list its jobs.
const ANSWER: Duration = Duration::from_secs(2);

/// The agent has started.
pub fn ready() {
    notify(&[NotifyState::Ready]);
}

/// One word for `systemctl status`.
pub fn status(text: &str) {
    notify(&[NotifyState::Status(text)]);
}

/// The loop completed a turn, so `WatchdogSec=` starts again.
pub fn turned(_proof: &TurnCompleted) {
    notify(&[NotifyState::Watchdog]);
}

fn notify(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "systemd could not be told");
    }
}

/// Whether systemd stops the agent because the machine is to end or to restart.
///
/// The sign is a job that starts `shutdown.target`: every way down goes through it
/// (systemd.special(7)), the agent's unit conflicts with it, and it waits until the agent ended. The
/// manager's `SystemState` would say "starting" instead while a job of the boot is not done.
pub async fn is_going_down() -> bool {
    let asked = async {
        match jobs(Path::new(PRIVATE)).await {
            Ok(jobs) => Ok(jobs),
            Err(error) => {
                tracing::warn!(%error, "systemd is asked over the system bus");
                list(&system_bus().await?, Some("org.freedesktop.systemd1")).await
            }
        }
    };
    match timeout(ANSWER, asked).await {
        Ok(Ok(jobs)) => jobs.iter().any(takes_the_machine_down),
        Ok(Err(error)) => {
            tracing::warn!(%error, "systemd did not say whether the machine goes down");
            false
        }
        Err(_) => {
            tracing::warn!("systemd did not say within 2 s whether the machine goes down");
            false
        }
    }
}

/// One job of systemd: its number, unit, kind, state and two object paths
/// (org.freedesktop.systemd1(5), `ListJobs`).
type Job = (u32, String, String, String, OwnedObjectPath, OwnedObjectPath);

fn takes_the_machine_down((_, unit, kind, ..): &Job) -> bool {
    unit == "shutdown.target" && kind == "start"
}

/// What systemd has to do, asked of itself.
async fn jobs(socket: &Path) -> zbus::Result<Vec<Job>> {
    let stream = UnixStream::connect(socket).await?;
    let systemd = zbus::connection::Builder::unix_stream(stream).p2p().build().await?;
    list(&systemd, None).await
}

async fn list(systemd: &Connection, name: Option<&str>) -> zbus::Result<Vec<Job>> {
    let (path, interface) = ("/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager");
    let answer = systemd.call_method(name, path, Some(interface), "ListJobs", &()).await?;
    answer.body().deserialize()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::UnixListener;
    use zbus::connection::Builder;
    use zbus::zvariant::ObjectPath;
    use zbus::{Guid, interface};

    /// A played systemd: the units that it has a job for, and the job's kind.
    #[derive(Clone, Copy)]
    struct Systemd(&'static [[&'static str; 2]]);

    #[interface(name = "org.freedesktop.systemd1.Manager")]
    impl Systemd {
        fn list_jobs(&self) -> Vec<Job> {
            let path = || OwnedObjectPath::from(ObjectPath::from_static_str_unchecked("/job"));
            let job = |[unit, kind]: &[&str; 2]| {
                (7, (*unit).into(), (*kind).into(), "waiting".into(), path(), path())
            };
            self.0.iter().map(job).collect()
        }
    }

    /// What the agent makes of a systemd with these jobs behind its own socket.
    async fn goes_down(systemd: Systemd) -> bool {
        let folder = tempfile::tempdir().expect("a folder");
        let socket = folder.path().join("private");
        let listener = UnixListener::bind(&socket).expect("the folder is new");
        let serve = async {
            let (stream, _) = listener.accept().await.expect("somebody asks");
            let builder = Builder::unix_stream(stream).server(Guid::generate()).expect("a guid");
            let builder = builder.p2p().serve_at("/org/freedesktop/systemd1", systemd);
            let served = builder.expect("a path").build().await.expect("a connection");
            std::future::pending::<()>().await;
            drop(served);
        };
        let asked = async { jobs(&socket).await.expect("an answer") };
        let jobs = tokio::select! { jobs = asked => jobs, () = serve => unreachable!("it serves") };
        jobs.iter().any(takes_the_machine_down)
    }

    #[tokio::test]
    async fn a_machine_that_restarts_or_is_switched_off_goes_down() {
        let reboot = Systemd(&[
            ["steadfast.service", "stop"],
            ["reboot.target", "start"],
            ["shutdown.target", "start"],
        ]);
        assert!(goes_down(reboot).await);
    }

    #[tokio::test]
    async fn a_service_that_is_restarted_takes_no_machine_down() {
        assert!(!goes_down(Systemd(&[["steadfast.service", "restart"]])).await);
        assert!(!goes_down(Systemd(&[["shutdown.target", "stop"]])).await);
        assert!(!goes_down(Systemd(&[])).await);
    }

    #[tokio::test]
    async fn a_systemd_that_cannot_be_asked_takes_no_machine_down() {
        let folder = tempfile::tempdir().expect("a folder");
        assert!(jobs(&folder.path().join("nowhere")).await.is_err());
    }
}
