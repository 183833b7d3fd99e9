//! A node that downloads first, over a link that breaks, loses its power in the middle and goes on.
//!
//! ```text
//! the server stops after each third ─► connected to again ─► power cut at two thirds ─► boot, settle ─► the rest
//! ```
//!
//! QEMU is killed: what the node had only in memory is gone, and `/data` is what its disk was given.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use super::{Stage, story};
use crate::guest::Guest;
use crate::places;
use crate::server::Mood;
use crate::variant::{DOWNLOADS, GOOD, Variant};

/// The name of this scenario, and so of its folder.
pub(super) const NAME: &str = "download";

/// An install, or a download, in a translated guest on a busy machine.
const LONG: Duration = Duration::from_secs(900);
/// A question that the node answers at once.
const SHORT: Duration = Duration::from_secs(120);

/// What the agent may hold in memory, in bytes.
const IN_MEMORY: u64 = 64 << 10;
/// What a power cut may cost again (docs/operate/agent.md).
const COST: u64 = (4 << 20) + IN_MEMORY;

/// Brings the node to a release that downloads, then breaks its next download.
pub(super) fn run(stage: &mut Stage) -> Result<()> {
    story::before(stage)?;
    let source = stage.url(&DOWNLOADS);
    order(stage, &format!("steadfast update {source}"))?;
    arrive(stage, "B", &DOWNLOADS)?;

    let size = std::fs::metadata(stage.lab.bundle(&GOOD)).context("the bundle is built")?.len();
    let third = size / 3;
    let before = stage.server().count().bytes;
    stage.server().set_mood(Mood::StallAfter(third));
    let source = stage.url(&GOOD);
    let accepted = format!("steadfast update {source} --sha256 {}", digest(stage, &GOOD)?);
    stage.guest.must(&accepted, SHORT)?;
    await_bytes(stage, 4 + 2 * third)?;
    let status = stage.guest.must("steadfast status", SHORT)?;
    let told = status.lines().find(|line| line.contains("fetching")).unwrap_or("no such line");
    stage.say(format!("the node says: {}", told.trim()));
    stage.claim("the status tells how far it is", told.contains(" of "), true);
    stage.claim(
        "bytes sent before the power cut",
        stage.server().count().bytes - before,
        4 + 2 * third,
    );

    cut_power(stage)?;
    stage.server().set_mood(Mood::Serve);
    stage.guest.await_boot("B")?;
    stage.guest.await_rebooting(LONG).context("the download did not go on")?;
    let again = (stage.server().count().bytes - before).saturating_sub(size);
    stage.say(format!("{again} of {size} bytes were sent twice"));
    stage.figure("sent_twice_mib", again as f64 / f64::from(1 << 20));
    stage.claim("a power cut costs no more than it may", again <= COST, true);
    arrive(stage, "A", &GOOD)?;
    let left = stage.guest.must("ls /data/steadfast/downloads | wc -l", SHORT)?;
    stage.claim("files left of the download", left.trim(), 0);
    Ok(())
}

/// Orders an update and waits until the node restarts for it.
fn order(stage: &mut Stage, command: &str) -> Result<()> {
    stage.say(command);
    stage.guest.order(command)?;
    stage.guest.await_rebooting(LONG).context("the update did not get to its reboot")
}

/// The node comes to this slot and keeps this release.
fn arrive(stage: &mut Stage, slot: &str, release: &Variant) -> Result<()> {
    stage.guest.await_boot(slot)?;
    let status = stage.guest.rest(LONG)?;
    stage.about(release.name);
    stage.claim("version", &status.system.version, release.version);
    stage.claim("slot", &status.system.slot, slot);
    stage.claim("standing", &status.system.standing, "committed");
    story::ending(stage, &status, "committed");
    Ok(())
}

/// Waits until so many bytes have arrived: what the server has sent may still be on its way.
fn await_bytes(stage: &mut Stage, bytes: u64) -> Result<()> {
    let begun = Instant::now();
    loop {
        let sizes = "stat -c %s /data/steadfast/downloads/*.part 2>/dev/null || echo 0";
        let here: u64 = stage.guest.must(sizes, SHORT)?.trim().parse().context("a size")?;
        if here + IN_MEMORY >= bytes {
            return Ok(());
        }
        let sent = stage.server().count();
        ensure!(begun.elapsed() < LONG, "only {here} bytes arrived of {sent:?}");
        thread::sleep(Duration::from_millis(100));
    }
}

/// The SHA-256 of a release's bundle.
fn digest(stage: &Stage, release: &Variant) -> Result<String> {
    let said = Command::new("sha256sum").arg(stage.lab.bundle(release)).output()?;
    let text = String::from_utf8(said.stdout)?;
    text.split_whitespace().next().map(str::to_owned).context("sha256sum said nothing")
}

/// The power goes and comes back.
fn cut_power(stage: &mut Stage) -> Result<()> {
    stage.guest.cut_power()?;
    let folder = places::lab().join("runs").join(NAME);
    let parts = stage.lab.parts(&folder, None)?;
    let timeline = stage.guest.timeline().clone();
    let guest = Guest::start(stage.lab.qemu(), &parts, &folder.join("again.log"), &timeline)?;
    stage.guest = guest.with_boot_limit(stage.lab.boot_limit());
    Ok(())
}
