//! `steadfast confirm` and `steadfast rollback`: an operator's word on the running system.

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

fn give(socket: &Path, words: &Words, console: &mut Console<'_>) -> Result<(), ToolError> {
    client::order(socket, &words.request).map_err(|error| not_done(socket, words, &error))?;
    console.print(&[
        Line::new("accepted", words.accepted),
        Line::new("follow", "steadfast status --watch"),
    ])?;
    Ok(())
}

fn not_done(socket: &Path, words: &Words, error: &ClientError) -> NotDone {
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
