//! Faults of what the agent leans on, brought about on a running node, in the middle of its work.
//!
//! ```text
//! order ─► the server holds the bundle back ─► the node installs ─► the fault ─► the server goes on
//!                                                                                   │
//!              where the node stands, its cause and evidence, its ledger ◄──────────┘
//! ```
//!
//! Always true: a fault comes when the node is seen to be where it has to be, never after a time; where something of the
//! node was broken it is mended again, and a release is installed and committed on the same node.

pub(super) mod boot_store;
mod certificates;
pub(super) mod clock;
pub(super) mod data;
pub(super) mod installer;
pub(super) mod network;
pub(super) mod probation;

use std::time::Duration;

use anyhow::Result;

use super::Stage;
use super::bad_input::bundles;
use super::refusal::{self, Standing};
use super::story;
use crate::places;
use crate::server::Mood;
use crate::variant::GOOD;

/// Below the folder that the server serves: small bundles, with which nothing is wrong but what is in them.
const FOLDER: &str = "faults";
/// A question that the node answers at once.
const SHORT: Duration = Duration::from_secs(120);
/// From the order to the middle of an install, on a busy machine.
const INSTALL: Duration = Duration::from_secs(600);
/// So much of a release is sent before it is held back, in bytes: more than is looked at to verify it.
const MIDDLE: u64 = 2 << 20;
/// The same, of a small bundle.
const SMALL_MIDDLE: u64 = 3 << 20;

/// The address of the small bundle of which nothing is wrong.
fn small(stage: &Stage) -> String {
    stage.url_of(&format!("{FOLDER}/{}", bundles::WHOLE))
}

/// Makes the small bundles.
fn make_small(stage: &Stage) -> Result<()> {
    bundles::make(stage.lab, &places::lab().join(FOLDER))
}

/// Runs the agent with other settings until the node restarts.
fn settings(stage: &mut Stage, text: &str) -> Result<()> {
    stage.say("gives the agent other settings");
    let (file, place) = ("/run/agent.toml", "/etc/steadfast/agent.toml");
    let text = text.replace('\n', "\\n");
    let write = format!("printf '{text}' >{file}");
    let mount = format!("mountpoint -q {place} || mount --bind {file} {place}");
    let restart = "systemctl restart steadfast.service";
    stage.guest.must(&format!("{write} && {{ {mount}; }} && {restart}"), SHORT).map(drop)
}

/// Orders what lies at `source` and waits until it is held back in the middle of its install.
fn order_and_hold(stage: &mut Stage, source: &str, bytes: u64) -> Result<()> {
    stage.server().set_mood(Mood::HoldAfter(bytes));
    refusal::begin(stage, source)?;
    held(stage)
}

/// Waits until the install is held back.
fn held(stage: &mut Stage) -> Result<()> {
    let held = stage.server().await_kept(INSTALL);
    let count = stage.server().count();
    stage.say(format!("the server had {} requests and sent {} bytes", count.requests, count.bytes));
    let state = stage.guest.status()?.update.state;
    stage.claim("state in the middle", state, "installing");
    held
}

/// Lets the server go on.
fn go_on(stage: &Stage) {
    stage.server().set_mood(Mood::Serve);
}

/// A good release is installed and committed, and the node is whole.
fn good_update(stage: &mut Stage, about: &str) -> Result<()> {
    stage.about(about);
    let before = story::before(stage)?;
    let source = stage.url(&GOOD);
    story::update(stage, &GOOD, &source)?;
    stage.guest.await_boot(&before.target)?;
    story::committed(stage, &before, &GOOD)
}

/// What the ledger says of each install that failed and was tried again, since the last update ended.
fn failed_installs(stage: &mut Stage) -> Result<Vec<String>> {
    let entries = stage.guest.history()?.entries;
    let orders = entries.iter().rposition(|entry| entry.event == "announced").unwrap_or(0);
    let failed = entries[orders..].iter().filter(|entry| entry.event == "installed");
    let failed = failed.map(|entry| entry.detail.clone());
    Ok(failed.filter(|detail| detail.starts_with("not: ")).collect())
}

/// Whether `text` has `word`, as a claim.
fn names(stage: &mut Stage, what: &str, text: &str, word: &str) {
    stage.say(format!("{what}: {text}"));
    let found = if text.contains(word) { word } else { text };
    let found = found.to_owned();
    stage.claim(what, found, word);
}

/// The evidence of the last ending.
fn told(stage: &mut Stage) -> Result<String> {
    let last = stage.guest.status()?.update.last;
    Ok(last.and_then(|last| last.evidence).unwrap_or_default())
}

/// Waits until the agent of a boot answers, and claims that the system is being judged.
fn in_probation(stage: &mut Stage) -> Result<()> {
    // Joins the start that the boot has queued: the shell may be there before the agent.
    stage.guest.must("systemctl start steadfast.service", SHORT)?;
    let standing = stage.guest.status()?.system.standing;
    stage.claim("standing", standing, "probation");
    Ok(())
}
