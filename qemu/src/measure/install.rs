//! What the agent costs over a bare `rauc install` of the same bundle from the same server.
//!
//! Pairs, each half on a fresh copy of the same saved node, in turn: a busy host disturbs both halves alike. Both
//! clocks run from the order: to RAUC's success, and to the agent's order to activate.
//!
//! An emulated processor translates code at its first run, which a real one does not. So each half first has the node
//! refuse an older release: the same work for both, and what is measured after it is no translation.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Figure, Figures, stage};
use crate::lab::{Begin, Lab};
use crate::scenario::Stage;
use crate::timeline::{Show, Timeline};
use crate::variant::{GOOD, OLDER};

/// Pairs that are taken.
const PAIRS: usize = 5;
/// Limit for one install.
const INSTALL: Duration = Duration::from_secs(900);

/// Adds the medians and their ratio.
pub(super) fn measure(lab: &Lab, figures: &mut Figures) -> Result<()> {
    let (mut bare, mut ours) = (Vec::new(), Vec::new());
    for _ in 0..PAIRS {
        bare.push(bare_install(lab)?);
        ours.push(agent_install(lab)?);
    }
    let (bare, ours) = (median(bare), median(ours));
    let note = format!("median of {PAIRS} pairs, streamed over HTTP");
    figures.insert("install_bare", Figure::taken(bare, "s", &note));
    figures.insert("install_agent", Figure::taken(ours, "s", &note));
    let cost = (ours / bare - 1.0) * 100.0;
    figures.insert("install_cost", Figure::taken(cost, "percent", note).at_most(5.0));
    Ok(())
}

fn bare_install(lab: &Lab) -> Result<f64> {
    let timeline = Timeline::start(Show::Aside);
    let mut stage = stage(lab, Begin::Saved, &timeline)?;
    warm_up(&mut stage)?;
    let url = stage.url(&GOOD);
    let began = stage.now();
    stage.guest.must(&format!("rauc install {url}"), INSTALL)?;
    Ok(stage.now() - began)
}

fn agent_install(lab: &Lab) -> Result<f64> {
    let timeline = Timeline::start(Show::Aside);
    let mut stage = stage(lab, Begin::Saved, &timeline)?;
    warm_up(&mut stage)?;
    let url = stage.url(&GOOD);
    let began = stage.now();
    stage.guest.order(&format!("steadfast update {url} --at now"))?;
    stage.guest.await_rebooting(INSTALL)?;
    let ready = timeline.first_after(began, "activating").context("the agent did not activate")?;
    Ok(ready - began)
}

/// Offers a release that is refused after it was looked at, and asks RAUC where its slots stand.
fn warm_up(stage: &mut Stage) -> Result<()> {
    let older = stage.url(&OLDER);
    let refused = stage.guest.run(&format!("steadfast update {older} --watch"), INSTALL)?;
    ensure!(refused.code == 1, "the older release was not refused: {}", refused.output);
    stage.guest.must("rauc status >/dev/null", INSTALL).map(drop)
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_one() {
        assert!((median(vec![3.0, 1.0, 100.0]) - 3.0).abs() < f64::EPSILON);
    }
}
