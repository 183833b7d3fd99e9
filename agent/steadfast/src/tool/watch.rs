//! `--watch`: one line a change, until the node rests.
//!
//! ```text
//! terminal:  installing  1.2.0 into slot B  [=======>            ]  42 %  Copying image     (rewritten)
//! pipe:      installing 1.2.0 into slot B, 42 %, Copying image                              (one more)
//! --json:    {"node":…}                                                                     (one more)
//! ```

use super::client::{self, ClientError};
use super::output::{Console, clean, cut};
use super::status::{how_it_ended, other, passed, under_way};
use super::{NotDone, ToolError, chain};
use crate::cli::StatusArgs;
use crate::protocol::{Progress, Status};
use std::io;
use std::path::Path;

/// The columns within a progress bar.
const BAR: usize = 20;

/// How each change is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// As a line for people.
    Text,
    /// As JSON.
    Json,
}

impl From<bool> for Form {
    fn from(json: bool) -> Form {
        if json { Form::Json } else { Form::Text }
    }
}

/// What following the node came to.
#[derive(Debug)]
pub(super) struct Followed {
    /// Where it stood at the end.
    pub(super) last: Option<Box<Status>>,
    /// The state before that.
    pub(super) before: Option<String>,
    /// Why it could not be followed further.
    pub(super) lost: Option<ClientError>,
}

/// What a state means to whoever follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// It is shown, and more comes.
    Shown,
    /// It is shown, and is the last.
    ShownLast,
    /// It is the last, and is told in other words.
    Told,
}

/// Whether a node in this state waits for somebody else.
pub(super) fn rests(state: &str) -> bool {
    matches!(state, "idle" | "ready")
}

fn until_it_rests(state: &str) -> Step {
    if rests(state) { Step::ShownLast } else { Step::Shown }
}

/// Shows each change until the node rests.
pub(super) fn run(
    socket: &Path,
    args: &StatusArgs,
    console: &mut Console<'_>,
) -> Result<(), ToolError> {
    let followed = follow(socket, args.json.into(), console, until_it_rests)?;
    let Some(error) = followed.lost else { return Ok(()) };
    let Some(status) = followed.last else {
        return Err(NotDone::unanswered("the agent could not be asked", &error).into());
    };
    let what = "the node was not followed until it rests".into();
    Err(match restarting(&status) {
        Some(slot) => NotDone {
            what,
            because: vec![format!(
                "it restarts into slot {slot} now, and the connection ends with it"
            )],
            node: "comes back by itself; then see steadfast status".into(),
        },
        None => {
            let node = format!("was {}; see systemctl status steadfast", under_way(&status));
            NotDone { what, because: chain(&error), node }
        }
    }
    .into())
}

/// The slot that the node restarts into, when it does.
pub(super) fn restarting(status: &Status) -> Option<&str> {
    let restarts = matches!(status.update.state.as_str(), "rebooting" | "returning");
    let primary = status.boot.primary.as_deref();
    restarts.then(|| primary.unwrap_or_else(|| other(&status.system.slot)))
}

/// Shows each change until `step` says that a state is the last, or the agent is gone. Machines get
/// each status, the last included.
pub(super) fn follow(
    socket: &Path,
    form: Form,
    console: &mut Console<'_>,
    step: impl Fn(&str) -> Step,
) -> Result<Followed, ToolError> {
    let mut followed = Followed { last: None, before: None, lost: None };
    let mut shown = Shown::default();
    let statuses = match client::watch(socket) {
        Ok(statuses) => statuses,
        Err(error) => return Ok(Followed { lost: Some(error), ..followed }),
    };
    for status in statuses {
        let status = match status {
            Ok(status) => status,
            Err(error) => {
                followed.lost = Some(error);
                break;
            }
        };
        let step = step(&status.update.state);
        match (form, step) {
            (Form::Json, _) => console.json(&status)?,
            (Form::Text, Step::Told) => {}
            (Form::Text, _) => shown.show(&status, console)?,
        }
        let before = followed.last.replace(status).map(|status| status.update.state);
        let now = followed.last.as_ref().map(|status| &status.update.state);
        followed.before = before.filter(|before| Some(before) != now).or(followed.before);
        if step != Step::Shown {
            break;
        }
    }
    shown.finish(console)?;
    Ok(followed)
}

/// What stands on the terminal.
#[derive(Default)]
struct Shown {
    state: String,
    text: String,
}

impl Shown {
    /// Writes the change, over the line before when it is of the same state and that can be done.
    fn show(&mut self, status: &Status, console: &mut Console<'_>) -> io::Result<()> {
        let style = console.style;
        let text = match style.live {
            true => cut(&clean(&live(status)), style.width.map(|width| width - 1)),
            false => clean(&plain(status)),
        };
        if text == self.text {
            return Ok(());
        }
        match (style.live, self.state == status.update.state) {
            (false, _) => writeln!(console.out, "{text}")?,
            (true, true) => write!(console.out, "\r\x1b[K{text}")?,
            (true, false) if self.text.is_empty() => write!(console.out, "{text}")?,
            (true, false) => write!(console.out, "\n{text}")?,
        }
        *self = Shown { state: status.update.state.clone(), text };
        console.out.flush()
    }

    fn finish(&self, console: &mut Console<'_>) -> io::Result<()> {
        if console.style.live && !self.text.is_empty() {
            writeln!(console.out)?;
        }
        console.out.flush()
    }
}

/// One line of a pipe.
fn plain(status: &Status) -> String {
    let detail = detail(status);
    match status.update.state.as_str() {
        "idle" => detail.map_or("idle".into(), |detail| format!("idle, last {detail}")),
        _ => {
            let detail = detail.map(|detail| format!(", {detail}"));
            format!("{}{}", under_way(status), detail.unwrap_or_default())
        }
    }
}

/// One line of a terminal, with a bar while there is something to measure.
fn live(status: &Status) -> String {
    let Some(Progress { percent, step }) = &status.update.progress else { return plain(status) };
    let mut without = status.clone();
    without.update.progress = None;
    let done = usize::from((*percent).min(100)) * BAR / 100;
    let head = if done < BAR { ">" } else { "" };
    let bar = format!("{}{head}", "=".repeat(done));
    format!("{}  [{bar:BAR$}] {percent:3} %  {step}", under_way(&without))
}

/// What decides next, or how the last update ended.
fn detail(status: &Status) -> Option<String> {
    match status.update.state.as_str() {
        "idle" => status.update.last.as_ref().map(how_it_ended),
        "probation" | "settling" => {
            let mut text = passed(&status.checks).map(|passed| format!("checks {passed}"))?;
            let failed = status.checks.iter().filter(|check| check.state == "failed");
            for check in failed {
                text.push_str(&format!(", {} failed", check.name));
            }
            Some(text)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
