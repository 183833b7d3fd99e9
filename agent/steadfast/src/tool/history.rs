//! `steadfast history`: every step, then how each update ended, the newest nearest to the prompt.

mod version;

use super::output::{Console, Line, Style, Tone, clean, cut, screen};
use super::status::how_it_ended;
use super::time::stamp;
use super::{NotDone, ToolError, client};
use crate::cli::HistoryArgs;
use crate::protocol::{EndingStatus, History, HistoryEnding, HistoryEntry};
use std::path::Path;

/// Shows what happened on the node.
pub(super) fn run(
    socket: &Path,
    args: &HistoryArgs,
    console: &mut Console<'_>,
) -> Result<(), ToolError> {
    if let Some(version) = &args.version {
        return version::run(socket, version, args, console);
    }
    let history = client::history(socket)
        .map_err(|error| NotDone::unanswered("the agent could not be asked", &error))?;
    match args.json {
        true => console.json(&history)?,
        false => console.out.write_all(text(&history, console.style).as_bytes())?,
    }
    Ok(())
}

fn text(history: &History, style: Style) -> String {
    let mut text = table(&history.entries, style);
    if !history.endings.is_empty() {
        text.push('\n');
    }
    let endings: Vec<Line> = history.endings.iter().map(ending).collect();
    text.push_str(&screen(&endings, style));
    text
}

/// The columns of a step, all but the last as wide as their widest.
fn table(entries: &[HistoryEntry], style: Style) -> String {
    if entries.is_empty() {
        return "nothing happened yet\n".into();
    }
    let head = ["when (UTC)", "what", "state", "slot", "detail"].map(str::to_owned);
    let rows: Vec<[String; 5]> = std::iter::once(head).chain(entries.iter().map(row)).collect();
    let mut widths = [0; 4];
    for row in &rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |row: &[String; 5]| {
        let [when, what, state, slot] = widths;
        let line = format!(
            "{:when$}  {:what$}  {:state$}  {:slot$}  {}",
            row[0], row[1], row[2], row[3], row[4]
        );
        format!("{}\n", cut(line.trim_end(), style.width))
    };
    rows.iter().map(line).collect()
}

fn row(entry: &HistoryEntry) -> [String; 5] {
    let when = stamp(entry.unix_s, Some(entry.boot_s));
    [when, clean(&entry.event), clean(&entry.state), clean(&entry.slot), clean(&entry.detail)]
}

fn ending(ending: &HistoryEnding) -> Line {
    let HistoryEnding { unix_s, release, outcome, cause, evidence, slot, set, .. } = ending;
    let tone = if outcome == "committed" { Tone::Plain } else { Tone::Warn };
    let how = how_it_ended(&EndingStatus {
        release: release.clone(),
        outcome: outcome.clone(),
        cause: cause.clone(),
        evidence: evidence.clone(),
        slot: slot.clone(),
        set: set.clone(),
    });
    Line::new("ended", format!("{}  {how}", stamp(*unix_s, None))).toned(tone)
}

#[cfg(test)]
mod tests;
