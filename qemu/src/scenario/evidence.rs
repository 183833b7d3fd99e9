//! What `steadfast history VERSION` has to show of a release that came back: the words of the boot that failed.

use std::time::Duration;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::Stage;
use crate::variant::Variant;

/// Limit for a question that the node answers at once.
const QUESTION: Duration = Duration::from_secs(120);

/// From a boot to a verdict.
const VERDICT: Duration = Duration::from_secs(600);

/// A line that must be among what a failed boot left; none where it left nothing of the kind.
#[derive(Debug, Clone, Copy)]
struct Words {
    kernel: Option<&'static str>,
    journal: Option<&'static str>,
    /// Whether the hardware watchdog made the reset.
    watchdog: bool,
}

/// The part of `steadfast history VERSION --json` that is judged.
#[derive(Debug, Deserialize)]
struct History {
    entries: Vec<serde_json::Value>,
    endings: Vec<serde_json::Value>,
    failed: Vec<Failed>,
    withheld: bool,
}

#[derive(Debug, Deserialize)]
struct Failed {
    slot: String,
    watchdog: bool,
    kernel: Option<Vec<String>>,
    journal: Option<Vec<String>>,
}

/// What the failed boot of this release says last; none for a release that never runs.
fn words(release: &Variant) -> Option<Words> {
    let words = Words { kernel: None, journal: None, watchdog: false };
    match release.name {
        "unhealthy" | "flapping" | "containers-crash" => {
            Some(Words { journal: Some("judged: probation to condemning"), ..words })
        }
        // Well, but not to be kept: given up in whichever state that was seen.
        "undecided" => Some(Words { journal: Some(" to condemning"), ..words }),
        "hung" => {
            Some(Words { journal: Some("booted: rebooting to probation"), watchdog: true, ..words })
        }
        // It panics before there is a journal.
        "kernel-panic" => Some(Words { kernel: Some("Kernel panic - not syncing"), ..words }),
        "agent-crash" => Some(Words { journal: Some("status=11/SEGV"), ..words }),
        "agent-crash-loop" => {
            Some(Words { journal: Some("booted: probation to condemning"), ..words })
        }
        _ => None,
    }
}

/// Claims that the history of a release that came back from `slot` has the words of the boot that failed.
pub(super) fn shown(stage: &mut Stage, release: &Variant, slot: &str) -> Result<()> {
    let ask = format!("steadfast history {} --json", release.version);
    let said = stage.guest.must(&ask, QUESTION)?;
    let mut history: History = serde_json::from_str(said.trim())
        .with_context(|| format!("`{ask}` printed something else: {said}"))?;
    stage.claim("all steps of the version are told", history.entries.len() >= 7, true);
    stage.claim("endings of the version", history.endings.len(), 1);
    let wanted = words(release);
    let kept = usize::from(wanted.is_some());
    stage.claim("failed boots of the version that are kept", history.failed.len(), kept);
    if let Some((words, failed)) = wanted.zip(history.failed.pop()) {
        stage.claim("slot of the failed boot", &failed.slot, slot);
        stage.claim("the watchdog made the reset", failed.watchdog, words.watchdog);
        said_so(stage, "kernel", failed.kernel.as_deref(), words.kernel);
        said_so(stage, "journal", failed.journal.as_deref(), words.journal);
        let sizes = "du -sb /data/steadfast/evidence/failed/* | sort -n | tail -n 1 | cut -f 1";
        let largest = stage.guest.must(sizes, QUESTION)?;
        let largest: u32 = largest.trim().parse().context("du printed no size")?;
        stage.claim("what is kept fits into 64 KiB", largest <= 64 << 10, true);
    }
    // Whoever is in the group may read, but not what workloads and people said.
    let group = format!("setpriv --reuid=65534 --regid=steadfast --clear-groups {ask}");
    let said = stage.guest.must(&group, QUESTION)?;
    let history: History = serde_json::from_str(said.trim()).context("the group's answer")?;
    let withheld = history.failed.iter().all(|it| it.kernel.is_none() && it.journal.is_none());
    stage.claim("the group is shown no texts", withheld, true);
    stage.claim("and is told so", history.withheld, wanted.is_some());
    let unknown = stage.guest.run("steadfast history 0.0.0-unknown", QUESTION)?;
    stage.claim("exit status for a version that nobody knows", unknown.code, 1);
    Ok(())
}

/// Makes the kernel of the committed system panic, and claims that its last words are kept although no update
/// ended: the kernel's own, and those that were logged some seconds before.
pub(super) fn of_a_committed_system(stage: &mut Stage) -> Result<()> {
    let before = stage.guest.status()?.system;
    stage.say("logs a line, and makes the kernel of the committed system panic");
    let log = "echo 'the last word of the lab' | systemd-cat -t lab && sleep 4";
    stage.guest.must(log, QUESTION)?;
    stage.guest.order("sh -c 'echo c >/proc/sysrq-trigger'")?;
    stage.guest.await_boot(&before.slot)?;
    let status = stage.guest.rest(VERDICT)?;
    stage.claim("standing after a panic", &status.system.standing, "committed");
    let ask = format!("steadfast history {} --json", before.version);
    let said = stage.guest.must(&ask, QUESTION)?;
    let mut history: History = serde_json::from_str(said.trim()).context("a history")?;
    stage.claim("failed boots of the committed version", history.failed.len(), 1);
    let failed = history.failed.pop().context("no failed boot is kept")?;
    stage.claim("slot of the committed version", &failed.slot, &before.slot);
    said_so(stage, "kernel", failed.kernel.as_deref(), Some("sysrq triggered crash"));
    said_so(stage, "journal", failed.journal.as_deref(), Some("the last word of the lab"));
    let empty = stage.guest.must("ls /sys/fs/pstore | wc -l", QUESTION)?;
    stage.claim("records of the kernel that are left for another boot", empty.trim(), "0");
    Ok(())
}

fn said_so(stage: &mut Stage, who: &str, lines: Option<&[String]>, wanted: Option<&str>) {
    if let Some(last) = lines.and_then(<[String]>::last) {
        stage.say(format!("the {who} of the failed boot said last: {last}"));
    }
    let found = found(lines, wanted);
    stage.claim(&format!("the {who} of the failed boot"), found, wanted.unwrap_or("nothing"));
}

/// `wanted` when a line has it; else what there is instead.
fn found<'w>(lines: Option<&[String]>, wanted: Option<&'w str>) -> &'w str {
    match (lines, wanted) {
        (None, _) => "nothing",
        (Some(lines), Some(words)) if lines.iter().any(|line| line.contains(words)) => words,
        (Some(_), _) => "something else",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variant;

    #[test]
    fn words_are_found_only_where_a_line_has_them_and_nothing_only_where_nothing_is() {
        let lines = ["[ 1.0] one".to_owned(), "[ 2.0] Kernel panic - sysrq".to_owned()];
        assert_eq!(found(Some(&lines), Some("Kernel panic")), "Kernel panic");
        assert_eq!(found(Some(&lines), Some("SEGV")), "something else");
        assert_eq!(found(Some(&lines), None), "something else");
        assert_eq!(found(Some(&[]), Some("Kernel panic")), "something else");
        assert_eq!(found(None, Some("Kernel panic")), "nothing");
        assert_eq!(found(None, None), "nothing");
    }

    #[test]
    fn every_release_whose_system_runs_and_comes_back_has_words_to_look_for() {
        for release in [
            variant::UNHEALTHY,
            variant::HUNG,
            variant::KERNEL_PANIC,
            variant::AGENT_CRASH,
            variant::AGENT_CRASH_LOOP,
            variant::UNDECIDED,
            variant::FLAPPING,
            variant::CONTAINERS_CRASH,
        ] {
            let words = words(&release).expect("it ran");
            assert!(words.kernel.is_some() != words.journal.is_some(), "{}", release.name);
        }
        assert!(words(&variant::NO_BOOT).is_none());
    }
}
