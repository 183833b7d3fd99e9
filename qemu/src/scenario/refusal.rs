//! A bundle that is not taken: how it is offered, and what has to be true of the node afterwards.
//!
//! ```text
//! status, bytes, boot environment ─► steadfast update … --watch ─► the same again, the cause, the tool's words
//! the same ─► the tool in the background ─► held back in the middle ─► a fault ─► the same
//! ```

use std::time::Duration;

use anyhow::Result;

use super::Stage;
use super::story::{self, Before};
use crate::shell::Done;
use crate::variant::Variant;

/// From the order to its refusal, on a busy machine.
const REFUSAL: Duration = Duration::from_secs(300);

/// Where the node stands, down to the bytes that nobody may write.
pub(super) struct Standing {
    before: Before,
    bytes: String,
    boot: String,
}

impl Standing {
    /// Where it stands now; it has to be committed.
    pub(super) fn of(stage: &mut Stage) -> Result<Self> {
        let before = story::before(stage)?;
        let bytes = story::slot_content(stage, &before.target)?;
        Ok(Self { before, bytes, boot: stage.guest.boot_state()?.summary() })
    }

    /// The slot that an update is for.
    pub(super) fn target(&self) -> &str {
        &self.before.target
    }
}

/// A release is refused for `cause` before anything is written.
pub(super) fn of_release(stage: &mut Stage, release: &Variant, cause: &str) -> Result<()> {
    let mut standing = Standing::of(stage)?;
    let source = stage.url(release);
    refused(stage, &mut standing, &source, cause).map(drop)
}

/// Offers the bundle at `source`, which has to be refused for `cause` before anything is written; returns the tool's
/// reasons.
pub(super) fn refused(
    stage: &mut Stage,
    standing: &mut Standing,
    source: &str,
    cause: &str,
) -> Result<String> {
    let because = ended(stage, standing, source, &format!("refused: {cause}"))?;
    untouched(stage, standing)?;
    Ok(because)
}

/// The other slot and the boot environment have the bytes that they had.
fn untouched(stage: &mut Stage, standing: &Standing) -> Result<()> {
    let bytes = story::slot_content(stage, &standing.before.target)?;
    stage.claim("content of the other slot", bytes, &standing.bytes);
    let boot = stage.guest.boot_state()?.summary();
    stage.claim("boot state", boot, &standing.boot);
    Ok(())
}

/// Offers the bundle at `source`, which has to fail for `cause` while it is written: what it leaves in the other slot
/// is not to be booted.
pub(super) fn failed(
    stage: &mut Stage,
    standing: &mut Standing,
    source: &str,
    cause: &str,
) -> Result<String> {
    let because = ended(stage, standing, source, &format!("failed: {cause}"))?;
    not_bootable(stage, standing)?;
    Ok(because)
}

/// The running slot boots next, and the other one does not boot.
fn not_bootable(stage: &mut Stage, standing: &Standing) -> Result<()> {
    let Before { slot, target, .. } = &standing.before;
    story::environment(stage, slot)?;
    let state = stage.guest.boot_state()?;
    stage.claim("boot order", state.order.join(" "), slot);
    let left = state.left.get(target).copied();
    stage.claim("attempts of the other slot", left.unwrap_or(u32::MAX), 0);
    Ok(())
}

fn ended(stage: &mut Stage, standing: &mut Standing, source: &str, ending: &str) -> Result<String> {
    stage.say(format!("orders {source}"));
    let done = stage.guest.run(&format!("steadfast update {source} --at now --watch"), REFUSAL)?;
    judged(stage, standing, &done, ending)
}

/// Orders the bundle at `source` and does not wait for its end, which [`over`] tells.
pub(super) fn begin(stage: &mut Stage, source: &str) -> Result<()> {
    stage.say(format!("orders {source}"));
    let update = format!("steadfast update {source} --at now --watch >/run/tool.out 2>&1");
    // No job of the shell's own, whose end it would tell in the middle of another answer.
    let command = format!("rm -f /run/tool.code; ( ({update}; echo $? >/run/tool.code) &)");
    stage.guest.must(&command, REFUSAL).map(drop)
}

/// What was begun has failed for `cause`, and the other slot is not to be booted; returns the tool's reasons.
pub(super) fn over(stage: &mut Stage, standing: &mut Standing, cause: &str) -> Result<String> {
    let done = ends(stage)?;
    has_failed(stage, standing, &done, cause)
}

/// Waits until the tool ends that was begun.
pub(super) fn ends(stage: &mut Stage) -> Result<Done> {
    let wait = "until [ -s /run/tool.code ]; do sleep 0.2; done";
    let show = "cat /run/tool.out; (exit $(cat /run/tool.code))";
    stage.guest.run(&format!("{wait}; {show}"), REFUSAL)
}

/// The same as [`over`], of a tool that has ended.
pub(super) fn has_failed(
    stage: &mut Stage,
    standing: &mut Standing,
    done: &Done,
    cause: &str,
) -> Result<String> {
    let because = judged(stage, standing, done, &format!("failed: {cause}"))?;
    not_bootable(stage, standing)?;
    Ok(because)
}

/// The node is where it was, and its update ended as it should have.
fn judged(stage: &mut Stage, standing: &mut Standing, done: &Done, ending: &str) -> Result<String> {
    let before = &mut standing.before;
    let because = words(stage, done);
    let status = stage.guest.status()?;
    stage.claim("state", &status.update.state, "idle");
    stage.claim("version", &status.system.version, &before.version);
    stage.claim("slot", &status.system.slot, &before.slot);
    stage.claim("standing", &status.system.standing, "committed");
    story::ending(stage, &status, ending);
    story::history(stage, before, ending)?;
    before.endings += 1;
    Ok(because)
}

/// The tool ends with 1 and tells what was not done, why, and where the node stands; returns why.
pub(super) fn words(stage: &mut Stage, done: &Done) -> String {
    stage.claim("exit code of the tool", done.code, 1);
    stage.claim("form of the tool's error", form(&done.output), "error because node");
    let because = done.output.lines().filter_map(|line| line.strip_prefix("because"));
    because.map(str::trim).collect::<Vec<_>>().join("; ")
}

/// The first words of the lines from `error` on, a row of the same ones told once.
fn form(output: &str) -> String {
    let from_error = output.lines().skip_while(|line| !line.starts_with("error"));
    let mut words: Vec<_> = from_error.filter_map(|line| line.split_whitespace().next()).collect();
    words.dedup();
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_form_of_an_error_is_its_first_words() {
        let good = "fetching\nerror    1.2.0 was not installed\nbecause  it is altered\n\
                    because  more\nnode     still running 1.0.0 in slot A\n";
        assert_eq!(form(good), "error because node");
        for (bad, wanted) in [
            ("done     1.2.0 is committed\n", ""),
            ("error    no\nnode     as it was\n", "error node"),
            (
                "error    no\nbecause  of it\nnode     as it was\nthread panicked\n",
                "error because node thread",
            ),
        ] {
            assert_eq!(form(bad), wanted);
        }
    }
}
