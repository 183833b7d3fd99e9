//! What happened, with the seconds since power-on: the one record that a person and the report read.
//!
//! ```text
//! serial console ─┐
//! QMP events     ─┼─► Timeline ─► printed as it happens, and kept for the report
//! the scenario   ─┘
//! ```
//!
//! Moments are in the order in which they were noted; a clone is the same timeline.

use std::io::{IsTerminal, Write, stdout};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

/// One line of the timeline.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Moment {
    /// Seconds since power-on.
    pub(crate) seconds: f64,
    /// Who did it.
    pub(crate) actor: Actor,
    /// What happened.
    pub(crate) what: String,
}

/// Who did what a moment tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Actor {
    /// The person at the node, played by the lab.
    Lab,
    /// The machine: power, resets, the hardware watchdog.
    Machine,
    /// The boot script.
    Boot,
    /// The kernel and the initramfs.
    Kernel,
    /// The agent.
    Agent,
}

impl Actor {
    fn name(self) -> &'static str {
        match self {
            Self::Lab => "lab",
            Self::Machine => "machine",
            Self::Boot => "boot",
            Self::Kernel => "kernel",
            Self::Agent => "agent",
        }
    }

    fn colour(self) -> &'static str {
        match self {
            Self::Lab => "36",
            Self::Machine => "31",
            Self::Boot => "33",
            Self::Kernel => "34",
            Self::Agent => "32",
        }
    }
}

/// Where moments are shown while they happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Show {
    /// On standard output, with colour on a terminal.
    Live,
    /// On standard error, because standard output carries JSON.
    Aside,
    /// Nowhere; it is kept for the report.
    Kept,
}

/// The record of one power-on.
#[derive(Debug, Clone)]
pub(crate) struct Timeline {
    started: Instant,
    show: Show,
    moments: Arc<Mutex<Vec<Moment>>>,
}

impl Timeline {
    /// A timeline whose power-on is now.
    pub(crate) fn start(show: Show) -> Self {
        Self { started: Instant::now(), show, moments: Arc::default() }
    }

    /// Time since power-on.
    pub(crate) fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Adds what happened just now.
    pub(crate) fn note(&self, actor: Actor, what: impl Into<String>) {
        let moment = Moment { seconds: self.elapsed().as_secs_f64(), actor, what: what.into() };
        let mut moments = self.lock();
        match self.show {
            Show::Live => {
                let line = line(&moment, Paint::for_terminal(stdout().is_terminal()));
                let mut out = stdout().lock();
                // A closed pipe must not end a run whose verdict is still to come.
                let _ = writeln!(out, "{line}").and_then(|()| out.flush());
            }
            Show::Aside => eprintln!("{}", line(&moment, Paint::Plain)),
            Show::Kept => {}
        }
        moments.push(moment);
    }

    /// All moments so far.
    pub(crate) fn moments(&self) -> Vec<Moment> {
        self.lock().clone()
    }

    /// Seconds of the first moment at or after `from` whose text begins with `start`.
    pub(crate) fn first_after(&self, from: f64, start: &str) -> Option<f64> {
        self.lock()
            .iter()
            .find(|moment| moment.seconds >= from && moment.what.starts_with(start))
            .map(|moment| moment.seconds)
    }

    /// How many moments at or after `from` (seconds since power-on) start with this.
    pub(crate) fn count_after(&self, from: f64, start: &str) -> usize {
        let moments = self.lock();
        let after = moments.iter().filter(|moment| moment.seconds >= from);
        after.filter(|moment| moment.what.starts_with(start)).count()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Moment>> {
        self.moments.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether lines carry colour.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Paint {
    /// Terminal colours.
    Colour,
    /// Plain text.
    Plain,
}

impl Paint {
    /// Colour on a terminal only.
    pub(crate) fn for_terminal(terminal: bool) -> Self {
        if terminal { Self::Colour } else { Self::Plain }
    }

    /// `text` in the terminal colour with this code.
    pub(crate) fn apply(self, code: &str, text: &str) -> String {
        match self {
            Self::Colour => format!("\u{1b}[{code}m{text}\u{1b}[0m"),
            Self::Plain => text.to_owned(),
        }
    }
}

/// One aligned line.
pub(crate) fn line(moment: &Moment, paint: Paint) -> String {
    let actor = paint.apply(moment.actor.colour(), &format!("{:<7}", moment.actor.name()));
    format!("{:>7.1} s  {actor}  {}", moment.seconds, moment.what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_aligned_and_plain_off_a_terminal() {
        let at = |seconds, actor| Moment { seconds, actor, what: "slot B is tried".into() };
        assert_eq!(
            line(&at(2.71, Actor::Boot), Paint::Plain),
            "    2.7 s  boot     slot B is tried"
        );
        assert_eq!(
            line(&at(1234.0, Actor::Machine), Paint::Plain),
            " 1234.0 s  machine  slot B is tried"
        );
        assert!(line(&at(1.0, Actor::Lab), Paint::Colour).contains("\u{1b}[36mlab    \u{1b}[0m"));
    }

    #[test]
    fn a_moment_is_found_by_how_it_begins() {
        let timeline = Timeline::start(Show::Kept);
        timeline.note(Actor::Agent, "state idle");
        timeline.clone().note(Actor::Boot, "slot A is tried");
        assert!(timeline.first_after(0.0, "slot A").is_some());
        assert!(timeline.first_after(1e9, "slot A").is_none());
        assert!(timeline.first_after(0.0, "A is tried").is_none(), "only how it begins counts");
        assert_eq!(timeline.moments().len(), 2);
    }
}
