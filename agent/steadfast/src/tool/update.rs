//! `steadfast update`: hands a bundle to the agent and, when asked to, follows what becomes of it.
//!
//! ```text
//! look at the file ──▶ Update ──▶ Accepted ──▶ Watch … idle | ready | rebooting
//! ```
//!
//! The agent answers `Accepted` after it left the state idle, so the first idle that is seen is the
//! update's end, and `last` is how it ended.

use super::client::{self, ClientError};
use super::output::{Console, Line};
use super::status::{other, running, under_way};
use super::watch::{self, Followed, Step, follow, rests};
use super::{NotDone, ToolError, chain};
use crate::cli::{UpdateArgs, When};
use crate::protocol::{EndingStatus, Request, Status};
use serde_json::json;
use std::path::{Path, absolute};

/// Hands the bundle over; with `--watch` says what became of it.
pub(super) fn run(
    socket: &Path,
    args: &UpdateArgs,
    console: &mut Console<'_>,
) -> Result<(), ToolError> {
    let source = source(&args.source)?;
    let name = name(&source).to_owned();
    let set = args.set.as_deref().map(|set| file(set, &name)).transpose()?;
    let request = Request::Update { source, at: args.at.into(), content: args.sha256, set };
    if let Err(error) = client::order(socket, &request) {
        if args.json
            && let ClientError::Refused(because) = &error
        {
            console.json(&json!({ "accepted": false, "because": because }))?;
        }
        return Err(not_taken(socket, &name, &error).into());
    }
    match (args.watch, args.json) {
        (true, json) => {
            let followed = follow(socket, json.into(), console, until_it_ends)?;
            let said = said(&name, &followed)?;
            if !json {
                console.print(&said)?;
            }
        }
        (false, true) => console.json(&json!({ "accepted": true }))?,
        (false, false) => console.print(&accepted(&name, args.at))?,
    }
    Ok(())
}

/// Until the update ended, waits, or the node goes down.
fn until_it_ends(state: &str) -> Step {
    if rests(state) || state == "rebooting" { Step::Told } else { Step::Shown }
}

/// The source as the agent takes it: a URL, or the absolute path of a file that is there.
fn source(given: &str) -> Result<String, NotDone> {
    if given.starts_with("http://") || given.starts_with("https://") {
        return Ok(given.into());
    }
    file(given, name(given))
}

/// The absolute path of a file that is there; without it, what is called `name` is not installed.
fn file(given: &str, name: &str) -> Result<String, NotDone> {
    let not_done = |because: String| NotDone {
        what: format!("{name} was not installed"),
        because: vec![because],
        node: "not asked; nothing changed".into(),
    };
    let path = absolute(given).map_err(|error| not_done(error.to_string()))?;
    let found = path.metadata();
    let found = found.map_err(|error| not_done(format!("{}: {error}", path.display())))?;
    if !found.is_file() {
        return Err(not_done(format!("{} is not a file", path.display())));
    }
    let text = path.to_str().map(str::to_owned);
    text.ok_or_else(|| not_done(format!("{} is not UTF-8", path.display())))
}

/// The last part of the source, without what follows `?` or `#` in a URL.
fn name(source: &str) -> &str {
    let path = match source.contains("://") {
        true => source.split(['?', '#']).next().unwrap_or(source),
        false => source,
    };
    path.trim_end_matches('/').rsplit('/').next().filter(|name| !name.is_empty()).unwrap_or(source)
}

fn accepted(name: &str, at: When) -> Vec<Line> {
    let when = match at {
        When::Now => "starts as soon as it is installed",
        When::Window => "starts when the window opens",
    };
    vec![
        Line::new("accepted", format!("{name}, {when}")),
        Line::new("follow", "steadfast status --watch"),
    ]
}

/// The agent did not take the order, or may have and did not say so.
fn not_taken(socket: &Path, name: &str, error: &ClientError) -> NotDone {
    if let ClientError::Refused(because) = error {
        let node = match client::status(socket) {
            Ok(status) => format!("still running {}; nothing was written", running(&status.system)),
            Err(_) => "as it was; nothing was written".into(),
        };
        let because = vec![because.clone()];
        return NotDone { what: format!("{name} was not installed"), because, node };
    }
    if error.may_have_been_heard() {
        return NotDone {
            what: format!("it is not known whether {name} was taken"),
            because: chain(error),
            node: "see steadfast status, and systemctl status steadfast".into(),
        };
    }
    NotDone::unanswered(format!("{name} was not installed"), error)
}

/// What became of the update.
fn said(name: &str, followed: &Followed) -> Result<Vec<Line>, NotDone> {
    let Some(status) = &followed.last else {
        return Err(lost(name, followed, "right after it was accepted".into()));
    };
    let slot = other(&status.system.slot);
    let release = status.update.release.as_deref().unwrap_or(name);
    match status.update.state.as_str() {
        "rebooting" => Ok(restart(release, watch::restarting(status).unwrap_or(slot))),
        _ if followed.lost.is_some() => {
            Err(lost(name, followed, format!("while {}", under_way(status))))
        }
        "ready" => Ok(vec![Line::new(
            "ready",
            format!("{release} is in slot {slot} and starts when the window opens"),
        )]),
        _ => ended(name, status, followed.before.as_deref()),
    }
}

fn restart(release: &str, slot: &str) -> Vec<Line> {
    vec![
        Line::new(
            "restart",
            format!("into {release} in slot {slot} now; this connection ends with it"),
        ),
        Line::new("follow", "steadfast status --watch, once the node is back"),
    ]
}

fn lost(name: &str, followed: &Followed, when: String) -> NotDone {
    let mut because = vec![format!("the agent was lost {when}")];
    because.extend(followed.lost.iter().flat_map(|error| chain(error)));
    NotDone {
        what: format!("{name} was not followed to its end"),
        because,
        node: "goes on with it when the agent is back; see steadfast status".into(),
    }
}

/// How the update ended, and where the node stands after it.
fn ended(name: &str, status: &Status, before: Option<&str>) -> Result<Vec<Line>, NotDone> {
    let Some(ending) = &status.update.last else {
        return Err(NotDone {
            what: format!("{name} did not end as updates end"),
            because: vec!["the agent is idle and knows of no update".into()],
            node: format!("running {}; see steadfast history", running(&status.system)),
        });
    };
    let EndingStatus { release, outcome, cause, evidence, slot, .. } = ending;
    let release = release.as_deref().unwrap_or(name);
    if outcome == "committed" {
        return Ok(vec![Line::new("done", format!("{release} is committed in slot {slot}"))]);
    }
    let what = match (outcome.as_str(), before) {
        ("returned", _) => "was not kept",
        ("failed", Some("activating")) => "was installed and not activated",
        _ => "was not installed",
    };
    let cause = cause.as_ref().map(|cause| cause.text.clone());
    Err(NotDone {
        what: format!("{release} {what}"),
        because: cause.into_iter().chain([evidence.clone()]).collect(),
        node: stands(status, ending),
    })
}

fn stands(status: &Status, ending: &EndingStatus) -> String {
    let running = running(&status.system);
    let tried = status.boot.order.contains(&ending.slot);
    match ending.outcome.as_str() {
        "refused" => format!("still running {running}; nothing was written"),
        "returned" => format!("back on {running}"),
        _ if tried => format!("still running {running}"),
        _ => format!("still running {running}; slot {} is not tried", ending.slot),
    }
}

#[cfg(test)]
mod tests;
