//! `steadfast history VERSION`: why it ended so, down to the last words of the boot that failed.
//!
//! ```text
//! steps ─ ended ─ then, for each failed boot: watchdog, kernel, journal
//! ```
//!
//! Always true: by default at most [`SHOWN`] lines of each are shown, the last, and it says of how many.

use super::super::output::{Console, Line, Style, Tone, clean, cut, screen};
use super::super::{NotDone, ToolError, client};
use super::{ending, table};
use crate::cli::HistoryArgs;
use crate::protocol::{FailedBoot, VersionHistory};
use crate::tool::client::ClientError;
use std::path::Path;

/// How many lines of each text are shown unless all are asked for.
const SHOWN: usize = 20;

/// Shows what happened with one version.
pub(super) fn run(
    socket: &Path,
    version: &str,
    args: &HistoryArgs,
    console: &mut Console<'_>,
) -> Result<(), ToolError> {
    let history = client::history_of(socket, version).map_err(|error| match error {
        ClientError::Refused(because) => NotDone {
            what: format!("there is no history of {}", clean(version)),
            because: vec![because],
            node: "as it was; steadfast history shows what it knows".into(),
        },
        error => NotDone::unanswered("the agent could not be asked", &error),
    })?;
    let shown = if args.all { usize::MAX } else { SHOWN };
    match args.json {
        true => console.json(&history)?,
        false => console.out.write_all(text(&history, shown, console.style).as_bytes())?,
    }
    Ok(())
}

fn text(history: &VersionHistory, shown: usize, style: Style) -> String {
    let VersionHistory { version, entries, endings, failed, withheld } = history;
    let mut text = screen(&[Line::new("version", version)], style);
    match entries.len() {
        0 => text.push_str("no update to it is in the ledger\n"),
        steps => {
            let last = &entries[steps.saturating_sub(shown)..];
            if last.len() < steps {
                let of = format!("the last {shown} of {steps}; --all shows them");
                text.push_str(&screen(&[Line::new("steps", of)], style));
            }
            text.push_str(&table(last, style));
        }
    }
    let endings: Vec<Line> = endings.iter().map(ending).collect();
    text.push_str(&screen(&endings, style));
    for boot in failed {
        text.push_str(&failed_boot(boot, *withheld, shown, style));
    }
    let returned = history.endings.iter().any(|ending| ending.outcome == "returned");
    if failed.is_empty() && returned {
        let none = "nothing is kept: the slot never ran, or it was too long ago";
        text.push_str(&screen(&[Line::new("failed", none)], style));
    }
    text
}

fn failed_boot(boot: &FailedBoot, withheld: bool, shown: usize, style: Style) -> String {
    let FailedBoot { seq, slot, watchdog, kernel, journal } = boot;
    let title = Line::new("failed", format!("the boot in slot {slot} before step {seq}"));
    let watchdog = match watchdog {
        true => Line::new("watchdog", "the hardware watchdog reset the node").toned(Tone::Warn),
        false => Line::new("watchdog", "made no reset"),
    };
    let mut text = screen(&[title.toned(Tone::Warn), watchdog], style);
    if withheld {
        let root = "what the kernel and the journal said is shown to root only";
        text.push_str(&screen(&[Line::new("texts", root)], style));
        return text;
    }
    let texts = [
        ("kernel", kernel, "no record: it did not panic, or its memory was lost"),
        ("journal", journal, "none: the boot did not come that far, or /data was not there"),
    ];
    for (label, lines, none) in texts {
        let Some(lines) = lines else {
            text.push_str(&screen(&[Line::new(label, none)], style));
            continue;
        };
        let last = &lines[lines.len().saturating_sub(shown)..];
        text.push_str(&heading(label, last.len(), lines.len(), style));
        for line in last {
            text.push_str(&format!("  {}\n", cut(&clean(line), style.width.map(|room| room - 2))));
        }
    }
    text
}

/// `the last 20 of 31 lines; --all shows them`.
fn heading(label: &'static str, shown: usize, all: usize, style: Style) -> String {
    let text = match shown < all {
        true => format!("the last {shown} of {all} lines; --all shows them"),
        false => format!("{all} lines"),
    };
    screen(&[Line::new(label, text)], style)
}

#[cfg(test)]
mod tests;
