//! Looks at a node's pods: by the tool, until it says what is waited for, and by what else the guest can tell.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use super::{SHORT, Stage};
use crate::work::Work;

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(500);

/// What the tool says now.
pub(super) fn ask(stage: &mut Stage) -> Result<Work> {
    let command = "steadfast work --json";
    let told = stage.guest.must(command, SHORT)?;
    serde_json::from_str(told.trim())
        .with_context(|| format!("`{command}` printed something else: {}", told.trim()))
}

/// Looks until `enough` is true of what the tool says; after `limit` it is an error with what it said last.
pub(super) fn await_work(
    stage: &mut Stage,
    what: &str,
    limit: Duration,
    enough: impl Fn(&Work) -> bool,
) -> Result<Work> {
    let began = Instant::now();
    loop {
        // The agent may be about to start: its answer comes with the next look.
        let told = ask(stage);
        match told {
            Ok(work) if enough(&work) => return Ok(work),
            told if began.elapsed() > limit => match told {
                Ok(work) => bail!("waited {} s for {what}: {}", limit.as_secs(), shown(&work)),
                Err(error) => return Err(error.context(format!("waited for {what}"))),
            },
            _ => thread::sleep(PAUSE),
        }
    }
}

/// Every pod and container in one line.
fn shown(work: &Work) -> String {
    let pods = work.pods.iter().map(|pod| {
        let containers = pod.containers.iter().map(|it| {
            let reason = it.reason.as_deref().unwrap_or("no reason");
            format!("{} {} ({} restarts, {reason})", it.name, it.state, it.restarts)
        });
        let ready = if pod.ready { "ready" } else { "not ready" };
        let containers = containers.collect::<Vec<_>>().join(", ");
        format!("{} is {} and {ready}: {containers}", pod.name, pod.phase)
    });
    let because = work.runtime.because.as_deref().unwrap_or("no reason");
    let runtime = format!("the runtime is {} ({because})", work.runtime.state);
    pods.chain([runtime]).collect::<Vec<_>>().join("; ")
}

/// What a command prints that has to succeed, without the white space around it.
pub(super) fn said(stage: &mut Stage, command: &str) -> Result<String> {
    stage.guest.must(command, SHORT).map(|said| said.trim().to_owned())
}

/// Claims that `text` has `word`; when it has not, the text is shown.
pub(super) fn holds(stage: &mut Stage, what: &str, text: &str, word: &str) {
    let found = if text.contains(word) { word } else { text };
    stage.claim(what, found, word);
}
