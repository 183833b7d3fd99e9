//! A running node: its machine, its console, its shell, and what it says about itself.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hw_profile::Qemu;
use serde::de::DeserializeOwned;

use crate::console::Console;
use crate::machine::{Machine, Parts};
use crate::marker::Marker;
use crate::shell::{Done, Shell};
use crate::status::{BootState, History, Status};
use crate::timeline::{Actor, Timeline};

/// Limit for a question that the node answers at once.
const QUESTION: Duration = Duration::from_secs(120);

/// A running node.
pub(crate) struct Guest {
    machine: Machine,
    console: Console,
    shell: Shell,
    timeline: Timeline,
    boot_limit: Duration,
}

impl Guest {
    /// Starts a node; with a saved machine in `parts` it goes on from there.
    pub(crate) fn start(
        qemu: &Qemu,
        parts: &Parts,
        log: &Path,
        timeline: &Timeline,
    ) -> Result<Self> {
        let (machine, console) = Machine::start(qemu, parts, log, timeline)?;
        let mut guest = Self {
            machine,
            console,
            shell: Shell::default(),
            timeline: timeline.clone(),
            boot_limit: Duration::from_secs(300),
        };
        if parts.saved.is_some() {
            guest.shell.greet(&mut guest.console)?;
        }
        Ok(guest)
    }

    /// Sets how long a boot may take.
    pub(crate) fn with_boot_limit(mut self, limit: Duration) -> Self {
        self.boot_limit = limit;
        self
    }

    /// The timeline of this power-on.
    pub(crate) fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// Waits until the shell of a boot of `slot` takes commands.
    /// `limit` is for all boots together: a release under trial may get several.
    /// A commit of the other slot ends the wait with an error: the node will not come back.
    pub(crate) fn await_shell_in(&mut self, slot: &str, limit: Duration) -> Result<()> {
        let mut trying = None;
        let came =
            self.console.wait_marker(&format!("the shell in slot {slot}"), limit, |marker| {
                match marker {
                    Marker::Slot { slot, .. } => trying = Some(slot),
                    Marker::Shell { .. } if trying.as_deref() == Some(slot) => return Some(true),
                    Marker::State { state, slot: running, .. }
                        if state == "committing" && running != slot =>
                    {
                        return Some(false);
                    }
                    _ => {}
                }
                None
            })?;
        ensure!(came, "the node committed the other slot instead of coming to slot {slot}");
        self.shell.greet(&mut self.console)
    }

    /// Waits for a whole boot into `slot`.
    pub(crate) fn await_boot(&mut self, slot: &str) -> Result<()> {
        self.await_shell_in(slot, self.boot_limit)
    }

    /// Waits until the agent is idle, in whichever slot and after however many boots, and the shell answers.
    pub(crate) fn await_idle(&mut self, limit: Duration) -> Result<()> {
        self.console.wait_marker("the state idle", limit, |marker| match marker {
            Marker::State { state, .. } if state == "idle" => Some(()),
            _ => None,
        })?;
        self.shell.greet(&mut self.console)
    }

    /// Waits until the agent begins to reboot the node; a rest before that is an error, with the node's reason.
    pub(crate) fn await_rebooting(&mut self, limit: Duration) -> Result<()> {
        let state =
            self.console.wait_marker("the state rebooting", limit, |marker| match marker {
                Marker::State { state, .. }
                    if matches!(state.as_str(), "rebooting" | "idle" | "condemning") =>
                {
                    Some(state)
                }
                _ => None,
            })?;
        if state != "rebooting" {
            let last = self.status()?.update.last;
            let why = last.map_or_else(
                || "it gives no reason".to_owned(),
                |l| format!("{} ({})", l.summary(), l.evidence.unwrap_or_default()),
            );
            anyhow::bail!("the node did not activate the release; its update ended: {why}");
        }
        Ok(())
    }

    /// Waits until the agent gives the running system up; one that is kept is an error.
    pub(crate) fn await_condemning(&mut self, limit: Duration) -> Result<()> {
        let state =
            self.console.wait_marker("the state condemning", limit, |marker| match marker {
                Marker::State { state, .. } if matches!(state.as_str(), "condemning" | "idle") => {
                    Some(state)
                }
                _ => None,
            })?;
        ensure!(state == "condemning", "the node kept the system that it had to give up");
        Ok(())
    }

    /// Runs a command that may fail.
    pub(crate) fn run(&mut self, command: &str, limit: Duration) -> Result<Done> {
        self.shell.run(&mut self.console, command, limit)
    }

    /// Runs a command that must succeed, and returns what it printed.
    pub(crate) fn must(&mut self, command: &str, limit: Duration) -> Result<String> {
        let done = self.run(command, limit)?;
        ensure!(
            done.code == 0,
            "`{command}` failed in the guest (exit {}): {}",
            done.code,
            done.output.trim()
        );
        Ok(done.output)
    }

    /// Sends a command whose end will not be seen, because the node reboots.
    pub(crate) fn order(&mut self, command: &str) -> Result<()> {
        self.console.skip_to_end();
        self.console.send(&format!("{command} >/run/lab.order 2>&1 </dev/null &"))
    }

    /// `steadfast status --json`.
    pub(crate) fn status(&mut self) -> Result<Status> {
        self.ask("steadfast status --json")
    }

    /// `steadfast history --json`.
    pub(crate) fn history(&mut self) -> Result<History> {
        self.ask("steadfast history --json")
    }

    /// `steadfast boot-state show --json`.
    pub(crate) fn boot_state(&mut self) -> Result<BootState> {
        self.ask("steadfast boot-state show --json")
    }

    /// Waits until the node rests, and returns what it says then.
    pub(crate) fn rest(&mut self, limit: Duration) -> Result<Status> {
        // Joins the start that the boot has queued: the agent answers from READY on.
        let ask = "systemctl start steadfast.service && steadfast status --watch --json";
        let said = self.run(ask, limit)?;
        let last = said.output.trim().lines().last().unwrap_or_default();
        serde_json::from_str(last).with_context(|| {
            format!(
                "the node did not come to rest (exit {}); its last words: {}",
                said.code,
                said.output.trim().lines().last().unwrap_or("none")
            )
        })
    }

    fn ask<T: DeserializeOwned>(&mut self, command: &str) -> Result<T> {
        let said = self.must(command, QUESTION)?;
        serde_json::from_str(said.trim())
            .with_context(|| format!("`{command}` printed something else: {}", said.trim()))
    }

    /// Reboots the node as its operator would.
    pub(crate) fn reboot(&mut self) -> Result<()> {
        self.timeline.note(Actor::Lab, "orders a reboot");
        self.order("systemctl reboot")
    }

    /// Saves the whole machine under `name` in its disk.
    pub(crate) fn save(&mut self, name: &str) -> Result<()> {
        self.must("sync", QUESTION)?;
        self.machine.qmp.save(name)
    }

    /// The power goes: what the node had only in memory is lost.
    pub(crate) fn cut_power(&mut self) -> Result<()> {
        self.timeline.note(Actor::Machine, "the power goes");
        self.machine.kill()
    }

    /// Ends QEMU in an orderly way, so that its disk image is complete.
    pub(crate) fn quit(mut self) -> Result<()> {
        self.machine.quit()
    }
}
