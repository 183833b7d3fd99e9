//! `cargo lab measure`: the figures of the specification, taken from the real thing.
//!
//! ```text
//! files of a release ─► binary_size, root_image
//! power-on           ─► boot phases, agent_rss
//! bad release        ─► verdict to old slot
//! pairs of installs  ─► cost of the agent over bare rauc
//! the agent, here    ─► idle processor time and wake-ups
//! ```
//!
//! A figure that was not taken is `null` with its reason, and does not hold its limit; nothing is estimated. Times are wall time in a
//! translated guest: they compare with each other, not with a board.

mod idle;
mod install;
mod phases;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::lab::{Begin, Lab, Subject};
use crate::places;
use crate::scenario::{self, Keep, Setting, Stage};
use crate::timeline::{Show, Timeline};
use crate::variant;
use crate::verify::binary_size;

/// How the figures are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// One JSON object.
    Json,
    /// Aligned lines.
    Table,
}

/// One figure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Figure {
    /// Its value; none when it was not taken.
    pub(crate) value: Option<f64>,
    /// What it counts.
    pub(crate) unit: &'static str,
    /// The most that is accepted.
    pub(crate) limit: Option<f64>,
    /// How it was taken, or why it was not.
    pub(crate) note: String,
}

/// Figures by name.
pub(crate) type Figures = BTreeMap<&'static str, Figure>;

impl Figure {
    /// A figure that was taken.
    pub(crate) fn taken(value: f64, unit: &'static str, note: impl Into<String>) -> Self {
        Self { value: Some(value), unit, limit: None, note: note.into() }
    }

    /// A figure that was not.
    pub(crate) fn not_taken(unit: &'static str, why: impl Into<String>) -> Self {
        Self { value: None, unit, limit: None, note: why.into() }
    }

    /// The same figure with the most that is accepted.
    pub(crate) fn at_most(self, limit: f64) -> Self {
        Self { limit: Some(limit), ..self }
    }

    /// Whether it keeps its limit; with a limit, a figure that was not taken does not.
    fn holds(&self) -> bool {
        self.limit.is_none_or(|limit| self.value.is_some_and(|value| value <= limit))
    }

    /// Why its limit is not kept.
    fn fault(&self) -> Option<String> {
        match (self.value, self.limit) {
            _ if self.holds() => None,
            (Some(value), Some(limit)) => {
                Some(format!("{value:.2} {}, at most {limit} is accepted", self.unit))
            }
            _ => Some(format!("not measured: {}", self.note)),
        }
    }
}

/// Takes every figure; returns whether each that has a limit was taken and keeps it.
pub(crate) fn run(subject: &Subject, form: Form) -> Result<bool> {
    let releases = [variant::GOOD, variant::UNHEALTHY, variant::OLDER];
    let lab = Lab::prepare(subject, &releases, Show::Aside)?;
    lab.ensure_saved()?;
    let mut figures = Figures::new();
    sizes(&lab, &mut figures)?;
    power_on(&lab, &mut figures)?;
    verdict(&lab, &mut figures)?;
    install::measure(&lab, &mut figures)?;
    let board = places::workspace().join(format!("hw-profiles/boards/{}.toml", subject.board));
    idle::measure(&board, &lab.profile.boot.environment, &mut figures);
    print(&figures, form)?;
    for (name, figure) in &figures {
        if let Some(fault) = figure.fault() {
            eprintln!("not held: {name} ({fault})");
        }
    }
    Ok(figures.values().all(Figure::holds))
}

fn sizes(lab: &Lab, figures: &mut Figures) -> Result<()> {
    let target = lab.profile.arch.rust_target();
    let size = binary_size(lab.agent())? as f64;
    figures.insert("binary_size", Figure::taken(size, "bytes", target).at_most(5_000_000.0));
    let facts = fs::read_to_string(lab.folder(&variant::FIRST).join("release.json"))?;
    let facts: serde_json::Value = serde_json::from_str(&facts)?;
    // The hash tree follows the squashfs in the same file.
    let blocks = facts["data_blocks"].as_f64().context("release.json has no data_blocks")?;
    let limit = f64::from(lab.profile.limits.root_image_mib);
    let root = blocks * 4096.0 / f64::from(1 << 20);
    figures.insert("root_image", Figure::taken(root, "MiB", "squashfs, zstd").at_most(limit));
    Ok(())
}

/// A power-on of a committed node until it rests.
fn power_on(lab: &Lab, figures: &mut Figures) -> Result<()> {
    let timeline = Timeline::start(Show::Aside);
    let mut stage = stage(lab, Begin::PowerOnCommitted, &timeline)?;
    stage.guest.await_boot("A")?;
    let status = stage.guest.rest(lab.boot_limit())?;
    let rss = status.agent.rss_kib as f64;
    figures.insert("agent_rss", Figure::taken(rss, "KiB", "in the guest").at_most(8192.0));
    phases::add(&timeline, figures);
    Ok(())
}

/// From the verdict to the old slot, in the scenario that tries it.
fn verdict(lab: &Lab, figures: &mut Figures) -> Result<()> {
    let scenario = scenario::find("unhealthy").context("no scenario unhealthy")?;
    let outcome = scenario::run(lab, scenario, Keep::DisksOfFailures, Show::Aside);
    let why = if outcome.passed {
        "scenario unhealthy did not show it".to_owned()
    } else {
        let claim = outcome.claims.iter().find(|claim| !claim.holds());
        let claim = claim.map(|c| format!("{} is {}, wanted {}", c.what, c.found, c.wanted));
        let why = outcome.error.or(claim).unwrap_or_default();
        format!("scenario unhealthy failed: {}", why.lines().next().unwrap_or("it says nothing"))
    };
    for (name, key, limit) in [
        ("verdict_to_reboot", "verdict_to_reboot_s", Some(20.0)),
        ("shutdown", "shutdown_s", None),
        ("old_slot_boot", "old_slot_boot_s", None),
    ] {
        let seconds = outcome.figures.get(key).filter(|_| outcome.passed);
        let figure = match seconds {
            Some(seconds) => Figure::taken(*seconds, "s", "scenario unhealthy"),
            None => Figure::not_taken("s", &why),
        };
        figures.insert(name, Figure { limit, ..figure });
    }
    Ok(())
}

fn stage<'l>(lab: &'l Lab, begin: Begin, timeline: &Timeline) -> Result<Stage<'l>> {
    let folder: PathBuf = places::lab().join("runs/measure");
    Stage::set(lab, &Setting { folder, begin, stick: None }, timeline)
}

fn print(figures: &Figures, form: Form) -> Result<()> {
    if form == Form::Json {
        println!("{}", serde_json::to_string_pretty(figures)?);
        return Ok(());
    }
    let width = figures.keys().map(|name| name.len()).max().unwrap_or(0);
    for (name, figure) in figures {
        let value = figure.value.map_or("not measured".to_owned(), |value| format!("{value:.2}"));
        let limit = figure.limit.map_or(String::new(), |limit| format!("at most {limit}"));
        println!("{name:<width$}  {value:>14} {:<17} {limit:<16} {}", figure.unit, figure.note);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_above_its_limit_or_not_taken_does_not_hold() {
        assert!(Figure::taken(5.0, "s", "").at_most(5.0).holds());
        assert!(Figure::not_taken("s", "no board").holds());
        let above = Figure::taken(5.1, "s", "").at_most(5.0);
        assert_eq!(above.fault().as_deref(), Some("5.10 s, at most 5 is accepted"));
        let missing = Figure::not_taken("s", "no board").at_most(5.0);
        assert_eq!(missing.fault().as_deref(), Some("not measured: no board"));
    }
}
