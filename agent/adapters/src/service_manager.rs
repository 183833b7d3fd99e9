//! What systemd is told of the agent (sd_notify(3)), and whether it is taking the machine down.
//!
//! Always true: not being run by systemd is no error; a systemd that does not answer takes nothing
//! down, so that a doubtful end counts as one that nobody asked for.

use sd_notify::NotifyState;
use std::io;
use std::process::Stdio;
use std::time::Duration;
use steadfast_core::watchdog::TurnCompleted;
use tokio::process::Command;
use tokio::time::timeout;

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
    goes_down(list_jobs()).await
}

/// systemd's own tool asks it on its own socket, for root: the system bus may end in the same moment as
/// the agent. zbus is no client for that socket: what systemd sends there names the well-known name
/// `org.freedesktop.systemd1` as its sender, and over such a message zbus 5.19 panics.
fn list_jobs() -> Command {
    let mut systemctl = Command::new("systemctl");
    systemctl.args(["--no-pager", "--no-legend", "--plain", "list-jobs"]);
    systemctl
}

async fn goes_down(mut list: Command) -> bool {
    list.current_dir("/").stdin(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let listed = async {
        let output = list.output().await?;
        match output.status.success() {
            true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
            false => Err(io::Error::other(output.status.to_string())),
        }
    };
    match timeout(ANSWER, listed).await {
        Ok(Ok(jobs)) => jobs.lines().any(takes_the_machine_down),
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

/// A line of systemctl(1)'s list: the job's number, unit, kind and state.
fn takes_the_machine_down(job: &str) -> bool {
    matches!(job.split_whitespace().collect::<Vec<_>>()[..], [_, "shutdown.target", "start", _])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A systemctl that does this instead.
    fn tool(script: &str) -> Command {
        let mut tool = Command::new("/bin/sh");
        tool.args(["-c", script]);
        tool
    }

    /// What the agent makes of a list of jobs.
    async fn heard(jobs: &[&str]) -> bool {
        goes_down(tool(&format!("cat <<'END'\n{}\nEND", jobs.join("\n")))).await
    }

    #[tokio::test]
    async fn a_machine_that_restarts_or_is_switched_off_goes_down() {
        let reboot = [
            "317 steadfast.service  stop  running",
            "301 reboot.target      start waiting",
            "302 shutdown.target    start waiting",
        ];
        assert!(heard(&reboot).await);
    }

    #[tokio::test]
    async fn a_service_that_is_restarted_takes_no_machine_down() {
        assert!(!heard(&["317 steadfast.service restart running"]).await);
        assert!(!heard(&["302 shutdown.target stop waiting"]).await);
        assert!(!heard(&["302 not-shutdown.target start waiting"]).await);
        assert!(!heard(&["No jobs running."]).await);
        assert!(!heard(&[]).await);
    }

    #[tokio::test]
    async fn a_systemd_that_cannot_be_asked_takes_no_machine_down() {
        let said = "echo 302 shutdown.target start waiting";
        assert!(goes_down(tool(said)).await);
        assert!(!goes_down(tool(&format!("{said}; exit 1"))).await);
        assert!(!goes_down(tool(&format!("{said}; kill -KILL $$"))).await);
        assert!(!goes_down(Command::new("/nowhere/systemctl")).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_systemd_that_does_not_answer_is_not_waited_for() {
        let said = "echo 302 shutdown.target start waiting";
        assert!(!goes_down(tool(&format!("{said}; kill -STOP $$"))).await);
    }
}
