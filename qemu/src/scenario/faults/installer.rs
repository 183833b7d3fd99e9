//! RAUC and what it stands on: the slot that it writes, its process, the bus, and a second order.
//!
//! ```text
//! slot mounted by somebody ─► failed: write     slot read-only ─► failed: write
//! one update: RAUC killed ─► tried again ─► RAUC stopped ─► stalled, started anew, tried again
//!             ─► the bus killed ─► tried again ─► committed
//! ```

use anyhow::Result;

use super::{
    GOOD, INSTALL, MIDDLE, SHORT, SMALL_MIDDLE, Stage, Standing, failed_installs, go_on, held,
    make_small, names, order_and_hold, refusal, settings, small, story,
};
use crate::server::Mood;

/// Enough attempts for every fault of one update, and a stall that is seen soon: RAUC reports nothing while it copies a
/// root image by its block index, which takes 12 s here and five times as long on a busy machine.
const SETTINGS: &str = "[gate]\nsoak_s = 5\ndeadline_s = 75\n\
                        [limits]\nfetch_attempts = 6\nstall_s = 70\n";

/// What is done to a unit, and what the ledger says of the install that it ended.
const FAULTS: [(&str, &str); 3] = [
    ("KILL rauc.service", "RAUC stopped answering (the RAUC service vanished"),
    ("STOP rauc.service", "the server could not be used (the installation reported nothing for"),
    ("KILL dbus.service", "RAUC stopped answering (the D-Bus connection failed"),
];

/// Tries all of them on one node.
pub(in super::super) fn run(stage: &mut Stage) -> Result<()> {
    make_small(stage)?;
    settings(stage, SETTINGS)?;
    let mut standing = Standing::of(stage)?;
    let target = target_device(stage, &standing)?;
    mounted_slot(stage, &mut standing, &target)?;
    slot_of_a_read_only_disk(stage, &mut standing, &target)?;
    slot_turns_read_only(stage, &mut standing, &target)?;
    one_update_through_all(stage)
}

/// The partition that an update's root image is written to.
fn target_device(stage: &mut Stage, standing: &Standing) -> Result<String> {
    let slots = &stage.lab.profile.slots;
    let parts = if standing.target() == "A" { &slots.a } else { &slots.b };
    Ok(format!("/dev/steadfast/{}", parts.root))
}

/// Somebody has the slot mounted: it is not written under him, and who reads the cause learns what is in the way.
fn mounted_slot(stage: &mut Stage, standing: &mut Standing, target: &str) -> Result<()> {
    stage.about("slot mounted by somebody");
    let mount = format!("mke2fs -q -F {target} && mount {target} /mnt");
    stage.guest.must(&mount, SHORT)?;
    let source = small(stage);
    let because = refusal::failed(stage, standing, &source, "write")?;
    names(stage, "the reason", &because, target);
    stage.guest.must("umount /mnt", SHORT).map(drop)
}

/// The disk takes no write: the partition is read-only in the kernel's eyes.
fn slot_of_a_read_only_disk(
    stage: &mut Stage,
    standing: &mut Standing,
    target: &str,
) -> Result<()> {
    stage.about("read-only slot");
    stage.guest.must(&format!("blockdev --setro {target}"), SHORT)?;
    let source = small(stage);
    let because = refusal::failed(stage, standing, &source, "write")?;
    names(stage, "the reason", &because, "Operation not permitted");
    stage.guest.must(&format!("blockdev --setrw {target}"), SHORT).map(drop)
}

/// The partition becomes read-only in the middle, as flash does that is worn out.
fn slot_turns_read_only(stage: &mut Stage, standing: &mut Standing, target: &str) -> Result<()> {
    stage.about("slot turns read-only in the middle");
    let source = small(stage);
    order_and_hold(stage, &source, SMALL_MIDDLE)?;
    stage.guest.must(&format!("blockdev --setro {target}"), SHORT)?;
    go_on(stage);
    let because = refusal::over(stage, standing, "write")?;
    names(stage, "the reason", &because, "Operation not permitted");
    stage.guest.must(&format!("blockdev --setrw {target}"), SHORT).map(drop)
}

/// A second order, and root's own RAUC beside the agent's, are turned away; the first one is not disturbed.
fn second_order(stage: &mut Stage, source: &str) -> Result<()> {
    let done = stage.guest.run(&format!("steadfast update {source} --at now"), SHORT)?;
    let because = refusal::words(stage, &done);
    names(stage, "the reason for the second order", &because, "another update is installing");
    let done = stage.guest.run(&format!("rauc install {source}"), SHORT)?;
    stage.claim("exit code of a rauc install beside it", done.code, 2);
    names(stage, "its words", &done.output, "Already processing");
    Ok(())
}

/// RAUC is killed, stopped and cut off from its bus, and the same update goes on each time until it is committed.
fn one_update_through_all(stage: &mut Stage) -> Result<()> {
    stage.about("one update through all");
    let before = story::before(stage)?;
    let source = stage.url(&GOOD);
    let process = "systemctl show -P MainPID rauc.service";
    order_and_hold(stage, &source, MIDDLE)?;
    second_order(stage, &source)?;
    for (fault, _) in FAULTS {
        stage.say(fault);
        let was = stage.guest.must(process, SHORT)?;
        stage.server().set_mood(Mood::HoldAfter(MIDDLE));
        stage.guest.must(&format!("systemctl kill --kill-whom=main -s {fault}"), SHORT)?;
        held(stage)?;
        let is = stage.guest.must(process, SHORT)?;
        stage.claim("RAUC is another process", is != was, true);
    }
    let failed = failed_installs(stage)?;
    stage.claim("installs that failed", failed.len(), FAULTS.len());
    for (why, (_, words)) in failed.iter().zip(FAULTS) {
        names(stage, "why it was tried again", why, words);
    }
    go_on(stage);
    stage.guest.await_rebooting(INSTALL)?;
    stage.guest.await_boot(&before.target)?;
    story::committed(stage, &before, &GOOD)
}
