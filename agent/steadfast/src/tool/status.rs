//! `steadfast status`: where the node stands, on one screen.

use super::output::{Console, Line, Tone};
use super::time::age;
use super::{NotDone, ToolError, client, watch, work};
use crate::cli::StatusArgs;
use crate::protocol::{
    BootStatus, CheckStatus, EndingStatus, LedgerStatus, SetStatus, Status, System, UpdateStatus,
};
use std::path::Path;
use steadfast_core::Slot;

/// Shows where the node stands, once or until it rests.
pub(super) fn run(
    socket: &Path,
    args: &StatusArgs,
    console: &mut Console<'_>,
) -> Result<(), ToolError> {
    if args.watch {
        return watch::run(socket, args, console);
    }
    let status = client::status(socket)
        .map_err(|error| NotDone::unanswered("the agent could not be asked", &error))?;
    match args.json {
        true => console.json(&status)?,
        false => console.print(&lines(&status, console.now))?,
    }
    Ok(())
}

/// The screen: nouns first, and only what is worth saying.
pub(super) fn lines(status: &Status, now: u64) -> Vec<Line> {
    let mut lines = vec![Line::new("node", &status.node)];
    lines.extend(system(&status.system, now));
    lines.push(Line::new("update", under_way(status)));
    lines.extend(status.update.last.as_ref().map(last));
    lines.push(boot(&status.boot));
    lines.extend(damaged_copies(&status.boot));
    lines.extend(checks(&status.checks));
    lines.extend(work::summary(&status.work));
    lines.push(ledger(&status.ledger));
    if let Some(floor) = status.floor.as_ref().filter(|floor| **floor != status.system.version) {
        lines.push(Line::new("floor", format!("nothing older than {floor} is installed")));
    }
    let warnings = status.warnings.iter();
    lines.extend(warnings.map(|text| Line::new("warning", text).toned(Tone::Warn)));
    match status.refused.len() {
        0 => {}
        1 => {
            lines.push(Line::new("refused", "1 bundle or set that failed here is not taken again"))
        }
        n => lines.push(Line::new(
            "refused",
            format!("{n} bundles or sets that failed here are not taken again"),
        )),
    }
    lines
}

fn system(system: &System, now: u64) -> Vec<Line> {
    let tone = match (system.standing.as_str(), &system.doubt) {
        ("uncommitted", _) | (_, Some(_)) => Tone::Warn,
        _ => Tone::Plain,
    };
    let text = format!("{}, {}", running(system), standing(system, now));
    let mut lines = vec![Line::new("system", text).toned(tone)];
    lines.extend(system.doubt.as_ref().map(|doubt| Line::new("doubt", doubt).toned(Tone::Warn)));
    if let Some(SetStatus { digest, generation }) = &system.set {
        let digest = digest.get(..12).unwrap_or(digest);
        lines.push(Line::new("set", format!("generation {generation}, digest {digest}")));
    }
    if let Some(previous) = &system.previous {
        let text = format!("{previous} in slot {}, a rollback away", other(&system.slot));
        lines.push(Line::new("previous", text));
    }
    lines
}

/// `1.1.0 in slot A`.
pub(super) fn running(system: &System) -> String {
    format!("{} in slot {}", system.version, system.slot)
}

fn standing(system: &System, now: u64) -> String {
    let ago = system.committed_unix_s.and_then(|then| age(then, now));
    match (system.standing.as_str(), ago) {
        ("committed", Some(ago)) => format!("committed {ago}"),
        ("probation", _) => "on probation".into(),
        ("settling", _) => "not judged since it started".into(),
        ("uncommitted", _) => "not committed; steadfast confirm keeps it".into(),
        (standing, _) => standing.into(),
    }
}

/// The slot that does not run.
pub(super) fn other(slot: &str) -> &str {
    Slot::from_name(slot).map_or("?", |slot| slot.other().name())
}

/// What is under way, the state first.
pub(super) fn under_way(status: &Status) -> String {
    let UpdateStatus { state, release, progress, .. } = &status.update;
    if state == "idle" {
        return "none under way".into();
    }
    let mut text = state.clone();
    text.extend(release.iter().map(|release| format!(" {release}")));
    text.extend(place(status));
    if let Some(progress) = progress {
        text.push_str(&format!(", {} %, {}", progress.percent, progress.step));
    }
    text
}

/// Where the update in this state is.
pub(super) fn place(status: &Status) -> Option<String> {
    let running = &status.system.slot;
    let next = status.boot.primary.as_deref().unwrap_or_else(|| other(running));
    match status.update.state.as_str() {
        "installing" => Some(format!(" into slot {}", other(running))),
        "ready" => Some(format!(" in slot {}, waiting for the window", other(running))),
        "activating" => Some(format!(" in slot {}", other(running))),
        "rebooting" => Some(format!(", restarting into slot {next}")),
        "returning" => Some(format!(", restarting into slot {next}")),
        "probation" | "settling" | "committing" => Some(format!(" in slot {running}")),
        _ => None,
    }
}

fn last(ending: &EndingStatus) -> Line {
    let tone = if ending.outcome == "committed" { Tone::Plain } else { Tone::Warn };
    Line::new("last", how_it_ended(ending)).toned(tone)
}

/// `1.2.0 returned from slot B: check sick failed (exit 1)`.
pub(super) fn how_it_ended(ending: &EndingStatus) -> String {
    let EndingStatus { release, outcome, cause, evidence, slot, set } = ending;
    let release = match (release, set) {
        (Some(release), Some(set)) => format!("{release} with set {}", set.generation),
        (Some(release), None) => release.clone(),
        (None, Some(set)) => format!("set {}", set.generation),
        (None, None) => "a bundle".into(),
    };
    let place = match outcome.as_str() {
        "committed" => format!(" in slot {slot}"),
        "returned" => format!(" from slot {slot}"),
        _ => String::new(),
    };
    let why = match (cause, evidence.as_str()) {
        (Some(cause), "") => format!(": {}", cause.text),
        (Some(cause), evidence) => format!(": {} ({evidence})", cause.text),
        (None, _) => String::new(),
    };
    format!("{release} {outcome}{place}{why}")
}

fn boot(boot: &BootStatus) -> Line {
    let attempts = |slot: &str| match slot {
        "A" => boot.left.A,
        _ => boot.left.B,
    };
    let turns: Vec<String> = boot
        .order
        .iter()
        .map(|slot| format!("slot {slot} ({})", counted(attempts(slot), "attempt")))
        .collect();
    let never = Slot::ALL.iter().map(|slot| slot.name());
    let never =
        never.filter(|name| !turns.is_empty() && !boot.order.iter().any(|slot| slot == name));
    let never = never.map(|name| format!("; slot {name} is not tried")).collect::<String>();
    let rearmed = match boot.rearms {
        0 => String::new(),
        rearms => format!("; re-armed {}", counted(rearms, "time")),
    };
    let (order, tone) = match (turns.is_empty(), boot.rearms) {
        (true, _) => ("no slot can boot".into(), Tone::Bad),
        (false, 0) => (turns.join(", then "), Tone::Plain),
        (false, _) => (turns.join(", then "), Tone::Warn),
    };
    Line::new("boot", format!("{order}{never}{rearmed}")).toned(tone)
}

fn damaged_copies(boot: &BootStatus) -> Vec<Line> {
    let copies = boot.copies.iter().enumerate().filter(|(_, copy)| *copy != "valid");
    copies
        .map(|(at, copy)| {
            let text = format!("copy {} of the boot environment: {copy}", at + 1);
            Line::new("", text).toned(Tone::Warn)
        })
        .collect()
}

fn counted(count: u8, noun: &str) -> String {
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {noun}{plural}")
}

/// How many passed, then each that did not.
fn checks(checks: &[CheckStatus]) -> Vec<Line> {
    let Some(summary) = passed(checks) else { return Vec::new() };
    let open: Vec<&CheckStatus> = checks.iter().filter(|check| check.state != "passed").collect();
    let failed = open.iter().any(|check| check.state == "failed" && check.required);
    let tone = if failed { Tone::Warn } else { Tone::Plain };
    let width = open.iter().map(|check| check.name.chars().count()).max().unwrap_or(0);
    let mut lines = vec![Line::new("checks", summary).toned(tone)];
    lines.extend(open.iter().map(|check| {
        let CheckStatus { name, state, evidence, required } = check;
        let weight = if *required { "required" } else { "wanted" };
        Line::new("", format!("{name:width$}  {state:7}  {weight:8}  {evidence}"))
    }));
    lines
}

/// `2 of 3 passed`, when there are checks.
pub(super) fn passed(checks: &[CheckStatus]) -> Option<String> {
    let passed = checks.iter().filter(|check| check.state == "passed").count();
    (!checks.is_empty()).then(|| format!("{passed} of {} passed", checks.len()))
}

fn ledger(ledger: &LedgerStatus) -> Line {
    let LedgerStatus { entries, kept, damage, chain } = ledger;
    let kept = match kept.as_str() {
        "memory" => "kept in memory only, /data cannot be written",
        _ => "kept on /data",
    };
    let damage = damage.as_ref().map(|damage| format!("; {damage}")).unwrap_or_default();
    let plural = if *entries == 1 { "entry" } else { "entries" };
    let whole = chain == "whole" && damage.is_empty() && ledger.kept != "memory";
    let tone = if whole { Tone::Plain } else { Tone::Warn };
    Line::new("ledger", format!("{entries} {plural} {kept}, chain {chain}{damage}")).toned(tone)
}

#[cfg(test)]
mod tests;
