//! A system and a workload set as one release: committed together, or returned together.
//!
//! ```text
//! 1.0.0, no set ─► 1.0.1 and set 2: web ─► committed ─► 1.1.0 and set 3: web, crashing ─► returned: web of set 2
//! ```

use anyhow::{Context, Result};

use super::view::{ask, await_work, said};
use super::{GIVEN, READY, SHORT};
use crate::pods;
use crate::scenario::{Stage, story};
use crate::status::Status;
use crate::variant::{DOWNLOADS, GOOD, Variant};
use std::time::Duration;

/// A download and an install in a translated guest, and the boots of a release that is returned.
const LONG: Duration = Duration::from_secs(1200);

/// A good system with a good set.
pub(in crate::scenario) fn commit(stage: &mut Stage) -> Result<()> {
    story::before(stage)?;
    given(stage)?;
    stage.about("before");
    let none = ask(stage)?.pods.len();
    stage.claim("pods", none, 0);
    committed(stage)
}

/// A good system with a good set, then a good system with a set in which one pod crashes.
pub(in crate::scenario) fn returned(stage: &mut Stage) -> Result<()> {
    commit(stage)?;
    order(stage, &GOOD, pods::BAD)?;
    stage.guest.await_shell_in("B", LONG)?;
    let status = stage.guest.rest(LONG)?;
    stage.about("returned");
    stands(stage, &status, &DOWNLOADS);
    let last = status.update.last.clone().context("no update has ended")?;
    stage.claim("outcome", &last.outcome, "returned");
    stage.claim("release", last.release.unwrap_or_default(), GOOD.version);
    let cause = last.cause.context("it has no cause")?;
    let named = format!("{} {}", cause.kind, cause.name.unwrap_or_default());
    stage.claim("cause", named, "workload crashing");
    let evidence = last.evidence.unwrap_or_default();
    stage.say(format!("the evidence: {evidence}"));
    stage.claim("the evidence has the exit code", evidence.contains("code 3"), true);
    web_is_ready(stage)
}

/// Brings the sets and the key of their maker to the node.
fn given(stage: &mut Stage) -> Result<()> {
    stage.guest.must(&format!("mkdir -p {GIVEN}"), SHORT)?;
    for file in [pods::KEYRING, pods::GOOD, pods::BAD] {
        let url = stage.url_of(&format!("{}/{file}", pods::FOLDER));
        stage.guest.must(&format!("wget -q -O {GIVEN}/{file} {url}"), SHORT)?;
    }
    Ok(())
}

/// Orders a release and waits until the node restarts into it.
fn order(stage: &mut Stage, release: &Variant, set: &str) -> Result<()> {
    let command = format!("steadfast update {} --set {GIVEN}/{set}", stage.url(release));
    stage.say(&command);
    stage.guest.order(&command)?;
    stage.guest.await_rebooting(LONG).context("the update did not get to its reboot")
}

fn committed(stage: &mut Stage) -> Result<()> {
    order(stage, &DOWNLOADS, pods::GOOD)?;
    stage.guest.await_boot("B")?;
    let status = stage.guest.rest(LONG)?;
    stage.about("committed");
    stands(stage, &status, &DOWNLOADS);
    story::ending(stage, &status, "committed");
    web_is_ready(stage)
}

/// The first release runs in B, committed, with its set.
fn stands(stage: &mut Stage, status: &Status, release: &Variant) {
    let system = &status.system;
    stage.claim("version", &system.version, release.version);
    stage.claim("slot", &system.slot, "B");
    stage.claim("standing", &system.standing, "committed");
    stage.claim("generation", system.set.as_ref().map_or(0, |set| set.generation), 2);
}

/// Its pod is the only one, the node's health hangs on it, and it serves its page.
fn web_is_ready(stage: &mut Stage) -> Result<()> {
    let ready = |work: &crate::work::Work| work.ready() == ["web"];
    let work = await_work(stage, "web to be ready", READY, ready)?;
    stage.claim("pods", work.pods.len(), 1);
    stage.claim("it is required", work.pods[0].required, true);
    let page = said(stage, "wget -q -O - http://127.0.0.1:8080/index.html")?;
    stage.claim("page", page, "steadfast");
    Ok(())
}
