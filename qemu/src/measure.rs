//! `cargo lab measure`: the figures of the specification, taken from the real thing.
//!
//! A figure that was not taken is `null` with its reason; nothing is estimated.

use std::collections::BTreeMap;

use anyhow::Result;
use serde::Serialize;

use crate::build::target_folder;
use crate::lab::Lab;
use crate::timeline::Show;
use crate::variant::FIRST;
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
    value: Option<f64>,
    /// What it counts.
    unit: &'static str,
    /// The most that is accepted.
    limit: Option<f64>,
    /// Why it was not taken, or how it was.
    note: String,
}

/// Takes every figure; returns whether all that were taken keep their limits.
pub(crate) fn run(board: &str, form: Form) -> Result<bool> {
    let show = if form == Form::Json { Show::Kept } else { Show::Aside };
    let lab = Lab::prepare(board, &[], show)?;
    let mut figures = BTreeMap::new();
    let binary = target_folder().join(lab.profile.arch.rust_target()).join("release/steadfast");
    figures.insert(
        "binary_size",
        Figure {
            value: Some(binary_size(&binary)? as f64),
            unit: "bytes",
            limit: Some(5_000_000.0),
            note: lab.profile.arch.rust_target().to_owned(),
        },
    );
    let _ = FIRST;
    print(&figures, form)?;
    Ok(figures.values().all(Figure::keeps_its_limit))
}

impl Figure {
    fn keeps_its_limit(&self) -> bool {
        self.value.zip(self.limit).is_none_or(|(value, limit)| value <= limit)
    }
}

fn print(figures: &BTreeMap<&str, Figure>, form: Form) -> Result<()> {
    if form == Form::Json {
        println!("{}", serde_json::to_string_pretty(figures)?);
        return Ok(());
    }
    let width = figures.keys().map(|name| name.len()).max().unwrap_or(0);
    for (name, figure) in figures {
        let value = figure.value.map_or("not measured".to_owned(), |value| format!("{value:.3}"));
        let limit = figure.limit.map_or(String::new(), |limit| format!("at most {limit}"));
        println!("{name:<width$}  {value:>14} {:<8} {limit:<16} {}", figure.unit, figure.note);
    }
    Ok(())
}
