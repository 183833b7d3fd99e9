//! A new release that is neither well nor dead: its check flaps, its containerd dies again and again, or a person
//! restarts it while it is judged.

use anyhow::Result;

use super::{Stage, names, story, told};
use crate::variant::{CONTAINERS_CRASH, FLAPPING, UNDECIDED};

/// A check that flaps until the deadline, then a required unit that crashes as often as it is started.
pub(in super::super) fn verdicts(stage: &mut Stage) -> Result<()> {
    stage.about("flapping check");
    story::bad_release(stage, &FLAPPING, "returned: deadline")?;
    let told = told(stage)?;
    names(stage, "the evidence", &told, "flapping");
    stage.about("containerd crashes");
    story::bad_release(stage, &CONTAINERS_CRASH, "returned: check containers")?;
    let told = self::told(stage)?;
    names(stage, "the evidence", &told, "containerd.service");
    Ok(())
}

/// More restarts than a trial bears and than the slot has attempts, each asked for by a person.
pub(in super::super) fn asked_restarts(stage: &mut Stage) -> Result<()> {
    stage.about("restarts that a person asked for");
    let before = story::before(stage)?;
    let source = stage.url(&UNDECIDED);
    story::update(stage, &UNDECIDED, &source)?;
    stage.guest.await_boot(&before.target)?;
    // `limits.restarts` is 3 where nobody sets it.
    let trial = u32::from(stage.lab.profile.boot.attempts_trial);
    for _ in 0..=trial.max(3) {
        super::in_probation(stage)?;
        let left = stage.guest.boot_state()?.left.get(&before.target).copied();
        stage.claim("attempts that are left", left.unwrap_or(0), trial - 1);
        stage.guest.reboot()?;
        stage.guest.await_boot(&before.target)?;
    }
    stage.guest.must("touch /run/flag", super::SHORT)?;
    story::committed(stage, &before, &UNDECIDED)
}
