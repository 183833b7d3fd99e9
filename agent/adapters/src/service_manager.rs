//! What systemd is told of the agent (sd_notify(3)). Not being run by systemd is no error.

use sd_notify::NotifyState;
use steadfast_core::watchdog::TurnCompleted;

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
