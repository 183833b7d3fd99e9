//! What happens in each scenario, relative to where the node stands: the demo tells the same stories in a row.
//!
//! ```text
//! before ─► update ─► (boots of the other slot) ─► the node rests ─► claims on status, history, boot-state
//! ```

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::{Stage, evidence};
use crate::disks::STICK_LABEL;
use crate::status::Status;
use crate::variant::Variant;

/// An install over HTTP in a translated guest on a busy machine.
const INSTALL: Duration = Duration::from_secs(900);
/// All boots that a bad release may get, and the one that returns.
const RETURN: Duration = Duration::from_secs(1200);
/// From a boot to a verdict.
const VERDICT: Duration = Duration::from_secs(600);

/// Where the node stood before an update.
pub(super) struct Before {
    /// What ran.
    pub(super) version: String,
    /// Where.
    pub(super) slot: String,
    /// The slot that an update is for.
    pub(super) target: String,
    /// How many updates had ended.
    pub(super) endings: usize,
}

/// Where the node stands; it has to be committed.
pub(super) fn before(stage: &mut Stage) -> Result<Before> {
    let status = stage.guest.rest(VERDICT)?;
    ensure!(
        status.system.standing == "committed",
        "the story needs a committed node: {:?}",
        status.system
    );
    let slot = status.system.slot;
    let target = if slot == "A" { "B" } else { "A" }.to_owned();
    let endings = stage.guest.history()?.endings.len();
    Ok(Before { version: status.system.version, slot, target, endings })
}

/// A good release is committed, and a further reboot stays in it.
pub(crate) fn good_update(stage: &mut Stage, release: &Variant) -> Result<()> {
    let before = before(stage)?;
    let source = stage.url(release);
    let served = stage.server().count();
    update(stage, release, &source)?;
    stage.guest.await_boot(&before.target)?;
    let after = stage.server().count();
    let ranges = after.ranges - served.ranges;
    stage.say(format!(
        "the server had {} requests, {ranges} of them for ranges, {:.1} MiB",
        after.requests - served.requests,
        (after.bytes - served.bytes) as f64 / f64::from(1 << 20),
    ));
    stage.claim("the bundle was streamed in more than one range", ranges > 1, true);
    committed(stage, &before, release)?;
    stage.guest.reboot()?;
    stage.guest.await_boot(&before.target)?;
    let status = stage.guest.rest(VERDICT)?;
    stage.claim("slot after a further reboot", &status.system.slot, &before.target);
    stage.claim("version after a further reboot", &status.system.version, release.version);
    stage.claim("standing after a further reboot", &status.system.standing, "committed");
    // A commit that was only said to be written would lose attempts at each boot.
    environment(stage, &before.target)?;
    Ok(())
}

/// A bundle from a stick is committed.
pub(crate) fn usb(stage: &mut Stage, release: &Variant) -> Result<()> {
    let before = before(stage)?;
    untouched(stage)?;
    stage.say("mounts the stick");
    let mount =
        format!("mkdir -p /run/media/stick && mount -o ro LABEL={STICK_LABEL} /run/media/stick");
    stage.guest.must(&mount, Duration::from_secs(60))?;
    update(stage, release, &format!("/run/media/stick/{}", release.bundle_name()))?;
    stage.guest.await_boot(&before.target)?;
    committed(stage, &before, release)
}

/// Of a stick that is plugged in nothing is mounted or read by itself, and nothing of ours can be reached from outside.
fn untouched(stage: &mut Stage) -> Result<()> {
    let quick = Duration::from_secs(60);
    let mounted = format!("grep -c \"^$(blkid -L {STICK_LABEL}) \" /proc/mounts || [ $? = 1 ]");
    let mounted = stage.guest.must(&mounted, quick)?;
    stage.claim("mounts of the stick", mounted.trim(), "0");
    // The states of a socket in /proc/net are those of include/net/tcp_states.h: 0A is LISTEN.
    let listens = "cat /proc/net/tcp /proc/net/tcp6 | grep -c ' 0A ' || [ $? = 1 ]";
    let listens = stage.guest.must(listens, quick)?;
    stage.claim("TCP sockets that listen", listens.trim(), "0");
    let state = stage.guest.status()?.update.state;
    stage.claim("state beside a stick", state, "idle");
    Ok(())
}

/// A required check fails.
pub(crate) fn unhealthy(stage: &mut Stage, release: &Variant) -> Result<()> {
    let before = before(stage)?;
    let ordered = stage.now();
    let source = stage.url(release);
    update(stage, release, &source)?;
    stage.guest.await_shell_in(&before.slot, RETURN)?;
    let timeline = stage.guest.timeline().clone();
    returned(stage, &before, release, "returned: check sick")?;
    let verdict = timeline.first_after(ordered, "condemning");
    let reboot = verdict.and_then(|at| {
        timeline.first_after(at, "rebooting").or(timeline.first_after(at, "returning"))
    });
    let chosen = reboot.and_then(|at| timeline.first_after(at, &format!("slot {}", before.slot)));
    let up = chosen.and_then(|at| timeline.first_after(at, "shell"));
    for (name, from, to) in [
        ("verdict_to_reboot_s", verdict, reboot),
        ("shutdown_s", reboot, chosen),
        ("old_slot_boot_s", chosen, up),
    ] {
        if let (Some(from), Some(to)) = (from, to) {
            stage.figure(name, to - from);
        }
    }
    Ok(())
}

/// The agent stops turning.
pub(crate) fn hung(stage: &mut Stage, release: &Variant) -> Result<()> {
    let ordered = bad_release(stage, release, "returned: watchdog")?.at;
    let armed = stage.guest.timeline().first_after(ordered, "watchdog armed").is_some();
    stage.claim("the initramfs armed the watchdog", armed, true);
    let bitten = stage.guest.timeline().first_after(ordered, "the hardware watchdog").is_some();
    stage.claim("the hardware watchdog reset the machine", bitten, true);
    Ok(())
}

/// The kernel panics.
pub(crate) fn kernel_panic(stage: &mut Stage, release: &Variant) -> Result<()> {
    let ordered = bad_release(stage, release, "returned: panic")?.at;
    let seen = stage.guest.timeline().first_after(ordered, "panic:").is_some();
    stage.claim("the console showed the panic", seen, true);
    evidence::of_a_committed_system(stage)
}

/// The kernel file is empty.
pub(crate) fn no_boot(stage: &mut Stage, release: &Variant) -> Result<()> {
    let ordered = bad_release(stage, release, "returned: attempts")?;
    let given_up = format!("slot {} cannot be loaded", ordered.target);
    let seen = stage.guest.timeline().first_after(ordered.at, &given_up).is_some();
    stage.claim(&format!("the boot script said: {given_up}"), seen, true);
    Ok(())
}

/// The agent dies before it says a word: systemd's start limit and the boot attempts return the node.
pub(crate) fn agent_crash(stage: &mut Stage, release: &Variant) -> Result<()> {
    bad_release(stage, release, "returned: agent-crashed").map(drop)
}

/// The agent dies once it is up, again and again: its own count of restarts returns the node, within one boot.
pub(crate) fn agent_crash_loop(stage: &mut Stage, release: &Variant) -> Result<()> {
    let ordered = bad_release(stage, release, "returned: agent-crashed")?;
    let tried = format!("slot {} is tried", ordered.target);
    let boots = stage.guest.timeline().count_after(ordered.at, &tried);
    stage.claim("boots of the bad slot", boots, 1);
    Ok(())
}

/// When an update was ordered, and for which slot.
pub(super) struct Ordered {
    at: f64,
    target: String,
}

pub(super) fn bad_release(stage: &mut Stage, release: &Variant, wanted: &str) -> Result<Ordered> {
    let before = before(stage)?;
    let source = stage.url(release);
    let at = stage.now();
    update(stage, release, &source)?;
    stage.guest.await_shell_in(&before.slot, RETURN)?;
    returned(stage, &before, release, wanted)?;
    Ok(Ordered { at, target: before.target })
}

/// Orders an update and waits until the node restarts for it.
pub(super) fn update(stage: &mut Stage, release: &Variant, source: &str) -> Result<()> {
    stage.say(format!("orders {} ({}) from {source}", release.version, release.name));
    let ordered = stage.now();
    stage.guest.order(&format!("steadfast update {source} --at now"))?;
    let restarted = stage.guest.await_rebooting(INSTALL);
    let said = || "the update did not get to its reboot".to_owned();
    restarted.with_context(said)?;
    let took = stage.now() - ordered;
    stage.figure("order_to_reboot_s", took);
    Ok(())
}

pub(super) fn committed(stage: &mut Stage, before: &Before, release: &Variant) -> Result<()> {
    let status = stage.guest.rest(VERDICT)?;
    stage.claim("version", &status.system.version, release.version);
    stage.claim("slot", &status.system.slot, &before.target);
    stage.claim("standing", &status.system.standing, "committed");
    stage.claim("state", &status.update.state, "idle");
    let floor = status.floor.clone().unwrap_or_default();
    stage.claim("floor", floor, release.version);
    ending(stage, &status, "committed");
    environment(stage, &before.target)?;
    history(stage, before, "committed")
}

pub(super) fn returned(
    stage: &mut Stage,
    before: &Before,
    release: &Variant,
    wanted: &str,
) -> Result<()> {
    let status = stage.guest.rest(VERDICT)?;
    stage.claim("version", &status.system.version, &before.version);
    stage.claim("slot", &status.system.slot, &before.slot);
    stage.claim("standing", &status.system.standing, "committed");
    stage.claim("state", &status.update.state, "idle");
    ending(stage, &status, wanted);
    let named = status.update.last.as_ref().and_then(|last| last.release.clone());
    stage.claim("release that ended", named.unwrap_or_default(), release.version);
    let evidence = status.update.last.and_then(|last| last.evidence).unwrap_or_default();
    stage.claim("evidence is given", !evidence.is_empty(), true);
    environment(stage, &before.slot)?;
    evidence::shown(stage, release, &before.target)?;
    history(stage, before, wanted)
}

/// The update ended with `wanted`, and the ledger is whole.
pub(super) fn ending(stage: &mut Stage, status: &Status, wanted: &str) {
    let found = status.update.last.as_ref().map_or("none".to_owned(), |last| last.summary());
    let evidence = status.update.last.as_ref().and_then(|last| last.evidence.as_deref());
    match evidence.map(str::trim).filter(|text| !text.is_empty()) {
        Some(text) => stage.say(format!("the node says: {found} ({})", text.replace('\n', " / "))),
        None => stage.say(format!("the node says: {found}")),
    }
    stage.claim("end of the update", found, wanted);
    stage.claim("ledger chain", &status.ledger.chain, "whole");
    stage.claim("ledger is kept in", &status.ledger.kept, "data");
}

/// The history's newest ending is `wanted`, and it is the only new one.
pub(super) fn history(stage: &mut Stage, before: &Before, wanted: &str) -> Result<()> {
    let history = stage.guest.history()?;
    let found = history.endings.last().map_or("none".to_owned(), |last| last.summary());
    stage.claim("newest ending in the history", found, wanted);
    stage.claim("endings in the history", history.endings.len(), before.endings + 1);
    let rising = history.entries.windows(2).all(|pair| pair[0].seq < pair[1].seq);
    stage.claim("entries of the history are in order", rising, true);
    Ok(())
}

/// The boot environment, read back by the tool, names `slot` first and gives it all its attempts.
pub(super) fn environment(stage: &mut Stage, slot: &str) -> Result<()> {
    let state = stage.guest.boot_state()?;
    let attempts = u32::from(stage.lab.profile.boot.attempts_committed);
    stage.claim("primary", state.primary.unwrap_or_default(), slot);
    stage.claim("first in the boot order", state.order.first().map_or("", String::as_str), slot);
    let left = state.left.get(slot).copied().unwrap_or(0);
    stage.claim("attempts of the committed slot", left, attempts);
    stage.claim("copies of the boot environment", state.copies.join(" "), "valid valid");
    Ok(())
}

/// Digests over the first MiBs of the partitions of `slot`, and how much was ever written to each since power-on
/// (sectors, the seventh number of the kernel's Documentation/block/stat).
pub(super) fn slot_content(stage: &mut Stage, slot: &str) -> Result<String> {
    let slots = &stage.lab.profile.slots;
    let parts = if slot == "A" { &slots.a } else { &slots.b };
    let command = format!(
        "for p in {} {}; do p=$(readlink -e /dev/disk/by-partlabel/$p) && \
         head -c 16M $p | sha256sum && set -- $(cat /sys/class/block/${{p##*/}}/stat) && \
         echo written $7 || exit 1; done",
        parts.boot, parts.root
    );
    let said =
        stage.guest.must(&format!("(set -o pipefail; {command})"), Duration::from_secs(120))?;
    Ok(said.split_whitespace().filter(|word| *word != "-").collect::<Vec<_>>().join(" "))
}
