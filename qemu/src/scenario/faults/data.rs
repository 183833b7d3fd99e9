//! The data partition: full, read-only, broken, and lost.
//!
//! ```text
//! full before an order ─► soon nothing is taken any more, nothing is forgotten ─► room ─► orders are taken
//! full, read-only in the middle of an install ─► failed, the primary stays ─► mended ─► the ledger is back
//! a file system that found an error ─► the same until a restart
//! lost at a start ─► the slot stays, a new ledger, and the node says so
//! ```

use anyhow::{Result, ensure};

use super::{
    INSTALL, SHORT, SMALL_MIDDLE, Stage, Standing, go_on, make_small, names, order_and_hold,
    refusal, settings, small, story,
};

/// A window that is not open keeps what was installed by mistake from being started.
const SETTINGS: &str = "[gate]\nsoak_s = 5\ndeadline_s = 75\n[limits]\nfetch_attempts = 2\n";
/// Takes every block, also those that are kept for root.
const FILL: &str = "set -- $(stat -f -c '%f %S' /data); fallocate -l $((($1 - 256) * $2)) /data/fill; \
                    dd if=/dev/zero of=/data/rest bs=4096 2>/dev/null; sync; \
                    ! dd if=/dev/zero of=/data/more bs=4096 count=8 conv=fsync 2>/dev/null";
/// Gives them back.
const EMPTY: &str = "rm -f /data/fill /data/rest /data/more && sync -f /data";
/// What a node says whose disk is full.
const FULL: &str = "/data is full";
/// What it says of a bundle that is not there.
const NO_BUNDLE: &str = "there is no bundle at the source";
/// What a node says whose ledger is in memory.
const IN_MEMORY: &str = "the ledger cannot be written to /data";

/// Everything that one node can come back from.
pub(in super::super) fn run(stage: &mut Stage) -> Result<()> {
    make_small(stage)?;
    settings(stage, SETTINGS)?;
    full_before(stage)?;
    let mut standing = Standing::of(stage)?;
    for way in &WAYS {
        in_the_middle(stage, &mut standing, way)?;
    }
    broken(stage)?;
    lost(stage)?;
    super::good_update(stage, "good release afterwards")
}

/// Waits until the ledger is kept in `place`.
fn await_kept(stage: &mut Stage, place: &str) -> Result<()> {
    let kept = format!("steadfast status --json | grep -q '\"kept\":\"{place}\"'");
    let wait = format!("for i in $(seq 200); do {kept} && break; sleep 0.5; done");
    stage.guest.must(&wait, SHORT)?;
    let status = stage.guest.status()?;
    stage.claim("ledger is kept in", status.ledger.kept, place);
    Ok(())
}

/// A full disk: once the ledger has no more than one update needs, no further one is taken, and nothing is forgotten.
fn full_before(stage: &mut Stage) -> Result<()> {
    stage.about("full /data");
    stage.guest.must(FILL, SHORT)?;
    let boot = stage.guest.boot_state()?.summary();
    let mut taken = 0;
    let because = loop {
        let because = order_nothing(stage)?;
        if !because.contains(NO_BUNDLE) {
            break because;
        }
        taken += 1;
        ensure!(taken < 100, "a full disk takes every order: {because}");
    };
    stage.say(format!("{taken} orders were taken"));
    names(stage, "the reason", &because, FULL);
    stands(stage, &boot)?;
    stage.about("agent restarted with a full /data");
    let done = stage.guest.run("systemctl restart steadfast.service", SHORT)?;
    stage.claim("exit code of the restart", done.code, 0);
    stage.guest.rest(INSTALL)?;
    let because = order_nothing(stage)?;
    names(stage, "the reason", &because, FULL);
    stands(stage, &boot)?;
    stage.about("room on /data again");
    stage.guest.must(EMPTY, SHORT)?;
    let because = order_nothing(stage)?;
    names(stage, "the reason", &because, NO_BUNDLE);
    let warnings = stage.guest.status()?.warnings.len();
    stage.claim("warnings", warnings, 0);
    Ok(())
}

/// Orders a bundle that is not there; why it was not installed.
fn order_nothing(stage: &mut Stage) -> Result<String> {
    let nothing = stage.url_of("nothing-there.raucb");
    let done = stage.guest.run(&format!("steadfast update {nothing} --watch"), SHORT)?;
    Ok(refusal::words(stage, &done))
}

/// A node on a full disk knows all that it knew, and says what is wrong.
fn stands(stage: &mut Stage, boot: &str) -> Result<()> {
    let status = stage.guest.status()?;
    names(stage, "the warning", &status.warnings.join("; "), FULL);
    stage.claim("ledger is kept in", &status.ledger.kept, "data");
    stage.claim("ledger chain", &status.ledger.chain, "whole");
    stage.claim("standing", &status.system.standing, "committed");
    let now = stage.guest.boot_state()?.summary();
    stage.claim("boot state", now, boot);
    Ok(())
}

/// How /data gets into the way of an install, and out of it.
struct Way {
    about: &'static str,
    into: &'static str,
    out: &'static str,
    cause: &'static str,
    words: &'static str,
}

/// What is open for writing keeps a remount away; the kernel's emergency order asks nobody.
const READ_ONLY: &str = "echo u >/proc/sysrq-trigger; \
                         until grep -q ' /data ext4 ro' /proc/mounts; do sleep 0.2; done";

const WAYS: [Way; 2] = [
    Way {
        about: "/data fills up in the middle",
        into: FILL,
        out: EMPTY,
        cause: "space",
        words: "No space left on device",
    },
    Way {
        about: "/data turns read-only in the middle",
        into: READ_ONLY,
        out: "mount -o remount,rw /data",
        cause: "write",
        words: "Read-only file system",
    },
];

/// RAUC writes its record of the slot to /data, and the agent its ledger: what was installed is not started.
fn in_the_middle(stage: &mut Stage, standing: &mut Standing, way: &Way) -> Result<()> {
    stage.about(way.about);
    let source = small(stage);
    order_and_hold(stage, &source, SMALL_MIDDLE)?;
    stage.guest.must(way.into, SHORT)?;
    go_on(stage);
    let done = refusal::ends(stage)?;
    stage.guest.must(way.out, SHORT)?;
    // An ending that went to memory follows the ledger back to its disk.
    await_kept(stage, "data")?;
    let because = refusal::has_failed(stage, standing, &done, way.cause)?;
    names(stage, "the reason", &because, way.words);
    names(stage, "what it was about", &because, "/data/rauc");
    Ok(())
}

/// The file system found an error of its disk and takes no write until it is checked: the next start mends it.
fn broken(stage: &mut Stage) -> Result<()> {
    stage.about("/data found broken");
    let before = story::before(stage)?;
    let broken =
        "echo lab >/sys/fs/ext4/$(basename $(readlink -f /dev/steadfast/data))/trigger_fs_error";
    stage.guest.must(broken, SHORT)?;
    order_nothing(stage)?;
    await_kept(stage, "memory")?;
    let because = order_nothing(stage)?;
    names(stage, "the reason", &because, IN_MEMORY);
    stage.guest.reboot()?;
    stage.guest.await_boot(&before.slot)?;
    let status = stage.guest.rest(INSTALL)?;
    stage.claim("standing after the restart", &status.system.standing, "committed");
    stage.claim("ledger is kept in", &status.ledger.kept, "data");
    stage.claim("ledger chain", &status.ledger.chain, "whole");
    Ok(())
}

/// Nothing of the partition can be read as a file system any more.
fn lost(stage: &mut Stage) -> Result<()> {
    stage.about("/data lost");
    let before = story::before(stage)?;
    ruin(stage)?;
    stage.guest.await_boot(&before.slot)?;
    let status = stage.guest.rest(INSTALL)?;
    stage.claim("slot", &status.system.slot, &before.slot);
    stage.claim("version", &status.system.version, &before.version);
    stage.claim("standing", &status.system.standing, "committed");
    stage.claim("floor", status.floor.unwrap_or_default(), &before.version);
    stage.claim("ledger chain", &status.ledger.chain, "whole");
    let damage = status.ledger.damage.unwrap_or_default();
    names(stage, "the ledger's damage", &damage, "/data was lost");
    let endings = stage.guest.history()?.endings.len();
    stage.claim("endings in the new ledger", endings, 0);
    story::environment(stage, &before.slot)
}

/// Overwrites the superblock, its backup (block 32768 of 4096 bytes) and what lies behind them with noise, and resets
/// the machine.
fn ruin(stage: &mut Stage) -> Result<()> {
    stage.say("overwrites /data and resets the node");
    let over = "for at in 0 128; do dd if=/dev/urandom of=/dev/steadfast/data bs=1M count=4 seek=$at \
                conv=notrunc,fsync 2>/dev/null || exit 1; done";
    stage.guest.must(&format!("({over})"), SHORT)?;
    stage.guest.order("sh -c 'echo b >/proc/sysrq-trigger'")
}

/// The data is lost while a new system is judged: it stays, in doubt and uncommitted, until an operator confirms it.
pub(in super::super) fn lost_on_trial(stage: &mut Stage) -> Result<()> {
    use crate::variant::UNDECIDED;
    stage.about("/data lost in probation");
    let before = story::before(stage)?;
    let source = stage.url(&UNDECIDED);
    story::update(stage, &UNDECIDED, &source)?;
    stage.guest.await_boot(&before.target)?;
    super::in_probation(stage)?;
    ruin(stage)?;
    stage.guest.await_boot(&before.target)?;
    let status = stage.guest.rest(INSTALL)?;
    stage.claim("slot", &status.system.slot, &before.target);
    stage.claim("standing", &status.system.standing, "uncommitted");
    names(stage, "the doubt", &status.system.doubt.unwrap_or_default(), "flag");
    names(
        stage,
        "the ledger's damage",
        &status.ledger.damage.unwrap_or_default(),
        "/data was lost",
    );
    let done = stage.guest.run(&format!("steadfast update {source} --watch"), SHORT)?;
    let because = refusal::words(stage, &done);
    names(stage, "why no update is taken", &because, "is not committed");
    stage.guest.must("steadfast confirm", SHORT)?;
    let status = stage.guest.rest(INSTALL)?;
    stage.claim("standing once it was confirmed", &status.system.standing, "committed");
    story::environment(stage, &before.target)
}
