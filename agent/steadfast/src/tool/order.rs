//! `steadfast confirm`, `rollback` and `cancel`: an operator's word on a system or an update.

use super::client::{self, ClientError};
use super::output::{Console, Line};
use super::status::running;
use super::{NotDone, ToolError, chain};
use crate::protocol::Request;
use std::path::Path;

/// One order, and how it is spoken of.
struct Words {
    request: Request,
    not_done: &'static str,
    accepted: &'static str,
}

/// Keeps the running system.
pub(super) fn confirm(socket: &Path, console: &mut Console<'_>) -> Result<(), ToolError> {
    let words = Words {
        request: Request::Confirm,
        not_done: "the running system was not confirmed",
        accepted: "the running system is kept",
    };
    give(socket, &words, console)
}

/// Goes back to the previous system.
pub(super) fn rollback(socket: &Path, console: &mut Console<'_>) -> Result<(), ToolError> {
    let words = Words {
        request: Request::Rollback,
        not_done: "the previous system was not brought back",
        accepted: "the node restarts into the previous system",
    };
    give(socket, &words, console)
}

/// Takes back what is being fetched or waits for its window.
pub(super) fn cancel(socket: &Path, console: &mut Console<'_>) -> Result<(), ToolError> {
    let words = Words {
        request: Request::Cancel,
        not_done: "no update was taken back",
        accepted: "the update is taken back; its slot is not tried",
    };
    give(socket, &words, console)
}

fn give(socket: &Path, words: &Words, console: &mut Console<'_>) -> Result<(), ToolError> {
    client::order(socket, &words.request).map_err(|error| not_done(socket, words, &error))?;
    console.print(&[
        Line::new("accepted", words.accepted),
        Line::new("follow", "steadfast status --watch"),
    ])?;
    Ok(())
}

fn not_done(socket: &Path, words: &Words, error: &ClientError) -> NotDone {
    if error.may_have_been_heard() {
        return NotDone {
            what: "it is not known whether the order was taken".into(),
            because: chain(error),
            node: "see steadfast status, and systemctl status steadfast".into(),
        };
    }
    if !matches!(error, ClientError::Refused(_)) {
        return NotDone::unanswered(words.not_done, error);
    }
    let node = match client::status(socket) {
        Ok(status) => format!("still running {}; nothing changed", running(&status.system)),
        Err(_) => "as it was; nothing changed".into(),
    };
    NotDone { what: words.not_done.into(), because: chain(error), node }
}

#[cfg(test)]
mod tests;
