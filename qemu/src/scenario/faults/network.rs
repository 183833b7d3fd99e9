//! A server that breaks off, stops, goes away and is slow, while a release is streamed from it.
//!
//! ```text
//! gone for good ─► failed: network
//! breaks off ─► says nothing any more ─► away and back ─► slow for longer than the watchdogs' deadlines ─► committed
//! ```

use anyhow::Result;

use super::{
    GOOD, INSTALL, SHORT, SMALL_MIDDLE, Stage, Standing, failed_installs, held, make_small, names,
    order_and_hold, refusal, settings, small, story,
};
use crate::server::Mood;

/// Enough attempts for every fault of one update.
const SETTINGS: &str = "[gate]\nsoak_s = 5\ndeadline_s = 75\n[limits]\nfetch_attempts = 5\n";

/// After so many bytes the server breaks off: more than is looked at to verify a release.
const BEGUN: u64 = 1 << 20;
/// Slow for 50 s: longer than the watchdogs' deadlines. How much of a release is sent in all is no fact to rely on: two
/// releases differ in a few blocks of their root image, or in nearly all of them where one file compressed otherwise.
const SLOW: Mood = Mood::Slow { rate: 20_000, bytes: 1_000_000 };

/// Tries all of them on one node.
pub(in super::super) fn run(stage: &mut Stage) -> Result<()> {
    make_small(stage)?;
    let mut standing = Standing::of(stage)?;
    gone(stage, &mut standing)?;
    settings(stage, SETTINGS)?;
    one_update_through_all(stage)
}

/// A server that goes away in the middle and stays away.
fn gone(stage: &mut Stage, standing: &mut Standing) -> Result<()> {
    stage.about("server gone in the middle");
    let source = small(stage);
    order_and_hold(stage, &source, SMALL_MIDDLE)?;
    stage.server().set_mood(Mood::Away);
    let because = refusal::over(stage, standing, "network")?;
    stage.say(because);
    stage.server().set_mood(Mood::Serve);
    let failed = failed_for_the_network(stage)?;
    stage.claim("installs that failed", failed, 1);
    Ok(())
}

/// Each install that failed says that it was the network; how many did.
fn failed_for_the_network(stage: &mut Stage) -> Result<usize> {
    let failed = failed_installs(stage)?;
    for why in &failed {
        names(stage, "why it was tried again", why, "the server could not be used");
    }
    Ok(failed.len())
}

/// The same update goes on after each of them, and is committed.
fn one_update_through_all(stage: &mut Stage) -> Result<()> {
    stage.about("one update through all");
    let before = story::before(stage)?;
    let source = stage.url(&GOOD);
    let began = stage.now();
    stage.server().set_mood(Mood::BreakAfter(BEGUN));
    refusal::begin(stage, &source)?;
    // It broke off, was asked again, and says nothing now.
    held(stage)?;
    stage.server().set_mood(Mood::Away);
    stage.server().await_kept(INSTALL)?;
    stage.say("the server was away and comes back, and is slow");
    let failed = failed_for_the_network(stage)?;
    stage.say(format!("so far {failed} installs failed"));
    slow(stage)?;
    let bitten = stage.guest.timeline().first_after(began, "the hardware watchdog").is_some();
    stage.claim("the hardware watchdog reset the machine", bitten, false);
    stage.guest.await_boot(&before.target)?;
    let tried = stage.guest.timeline().count_after(began, "slot ");
    stage.claim("boots", tried, 1);
    story::committed(stage, &before, &GOOD)
}

/// An install that takes longer than the hardware's watchdog and systemd's wait for the agent.
fn slow(stage: &mut Stage) -> Result<()> {
    let agent = "systemctl show -P MainPID -P NRestarts steadfast.service";
    let was = stage.guest.must(agent, SHORT)?;
    let began = stage.now();
    stage.server().set_mood(SLOW);
    stage.guest.must(
        "until steadfast status --json | grep -q '\"state\":\"installing\"'; do sleep 0.5; done",
        INSTALL,
    )?;
    let now = stage.guest.must(agent, SHORT)?;
    stage.claim("process and restarts of the agent", now, was);
    stage.guest.await_rebooting(INSTALL)?;
    let took = stage.now() - began;
    stage.figure("slow_install_s", took);
    let deadline = f64::from(stage.lab.profile.watchdog.deadline_s);
    stage.claim("it took longer than the watchdog's deadline", took > deadline, true);
    Ok(())
}
