//! The boot environment, while the agent wants to write it.
//!
//! ```text
//! read-only before the activation ─► failed: write
//! one copy broken ─► the other counts, and a whole pair is written    both broken ─► the same, from the defaults
//! read-only at the commit ─► given up, and once more writable returned: write, and may be tried again
//! ```

use anyhow::Result;

use super::{
    INSTALL, MIDDLE, SHORT, SMALL_MIDDLE, Stage, Standing, go_on, make_small, names,
    order_and_hold, refusal, small, story,
};
use crate::variant::UNDECIDED;

/// Tries all of them on one node.
pub(in super::super) fn run(stage: &mut Stage) -> Result<()> {
    make_small(stage)?;
    let mut standing = Standing::of(stage)?;
    read_only_at_the_activation(stage, &mut standing)?;
    let before = story::before(stage)?;
    broken_copies(stage, &before.target)?;
    read_only_at_the_commit(stage, &before)?;
    super::good_update(stage, "good release afterwards")
}

fn device(stage: &Stage) -> String {
    format!("/dev/steadfast/{}", stage.lab.profile.boot.environment)
}

fn block(stage: &mut Stage, how: &str) -> Result<()> {
    let device = device(stage);
    stage.guest.must(&format!("blockdev --{how} {device}"), SHORT).map(drop)
}

/// It is installed, and cannot be made the next to boot.
fn read_only_at_the_activation(stage: &mut Stage, standing: &mut Standing) -> Result<()> {
    stage.about("read-only before the activation");
    let source = small(stage);
    order_and_hold(stage, &source, SMALL_MIDDLE)?;
    block(stage, "setro")?;
    go_on(stage);
    let because = refusal::over(stage, standing, "write")?;
    names(stage, "the reason", &because, "the boot environment");
    block(stage, "setrw")
}

/// Noise over one copy and later over both, while a release is installed that is then started.
fn broken_copies(stage: &mut Stage, target: &str) -> Result<()> {
    stage.about("broken copies");
    let device = device(stage);
    let [first, second] = stage.lab.profile.boot.copy_offsets;
    let ruin = |at| {
        format!(
            "head -c 4096 /dev/urandom | dd of={device} bs=4096 seek={} conv=notrunc,fsync",
            at / 4096
        )
    };
    let source = stage.url(&UNDECIDED);
    for at in [first, second] {
        let whole = stage.guest.boot_state()?;
        stage.guest.must(&ruin(at), SHORT)?;
        let state = stage.guest.boot_state()?;
        stage.claim("order with one copy broken", state.order.join(" "), whole.order.join(" "));
        stage.guest.must("steadfast boot-state set-state B bad", SHORT)?;
        let state = stage.guest.boot_state()?;
        stage.claim("copies once it was written", state.copies.join(" "), "valid valid");
    }
    order_and_hold(stage, &source, MIDDLE)?;
    stage.guest.must(&format!("{} && {}", ruin(first), ruin(second)), SHORT)?;
    let status = stage.guest.status()?;
    stage.claim("state with both copies broken", status.update.state, "installing");
    go_on(stage);
    stage.guest.await_rebooting(INSTALL)?;
    stage.guest.await_boot(target)
}

/// The new system is well and cannot be kept: it is given up, and nobody blames it.
fn read_only_at_the_commit(stage: &mut Stage, before: &story::Before) -> Result<()> {
    stage.about("read-only at the commit");
    super::in_probation(stage)?;
    let device = device(stage);
    stage.guest.order(&format!("blockdev --setro {device} && touch /run/flag"))?;
    // Its slot starts once more, for it could not be condemned either.
    stage.guest.await_condemning(INSTALL)?;
    stage.guest.await_shell_in(&before.slot, INSTALL)?;
    story::returned(stage, before, &UNDECIDED, "returned: write")?;
    let refused = stage.guest.must("steadfast status --json", SHORT)?.contains("\"refused\":[]");
    stage.claim("no release is refused for it", refused, true);
    Ok(())
}
