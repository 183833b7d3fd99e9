//! Runs one program of a longer job: one line when it is done, everything it said when it failed.
//!
//! On a terminal the line is there while the program runs; elsewhere it is printed once, at the end.

use std::ffi::OsStr;
use std::io::{IsTerminal, Write, stderr};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How many of the last lines a failure shows.
const TAIL: usize = 60;

/// What a program said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Said {
    /// On standard output.
    pub(crate) out: String,
    /// On standard error.
    pub(crate) err: String,
}

/// Runs `command` under the name `label`, and returns what it said.
pub(crate) fn step(label: &str, command: &mut Command) -> Result<Said> {
    let line = Line::begin(label);
    let out = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("{} does not start", command.get_program().display()))?;
    if out.status.success() {
        line.end("done");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        return Ok(Said { out: text(&out.stdout), err: text(&out.stderr) });
    }
    line.end("failed");
    let said = [out.stdout, out.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let lines: Vec<&str> = said.trim().lines().collect();
    let tail = lines[lines.len().saturating_sub(TAIL)..].join("\n  | ");
    bail!("{label}: `{}` failed ({}):\n  | {tail}", shown(command), out.status)
}

/// The line of one piece of work.
pub(crate) struct Line {
    label: String,
    started: Instant,
    terminal: bool,
}

impl Line {
    /// Shows on a terminal that `label` has begun.
    pub(crate) fn begin(label: &str) -> Self {
        let terminal = stderr().is_terminal();
        if terminal {
            eprint!("{label:<58} …");
            let _ = stderr().flush();
        }
        Self { label: label.to_owned(), started: Instant::now(), terminal }
    }

    /// Completes the line with its `end` and its time.
    pub(crate) fn end(self, end: &str) -> Duration {
        let took = self.started.elapsed();
        let start = if self.terminal { "\r" } else { "" };
        eprintln!("{start}{:<58} {end} in {:.1} s", self.label, took.as_secs_f64());
        took
    }
}

/// The command as a person would type it.
pub(crate) fn shown(command: &Command) -> String {
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_returns_what_the_program_printed() {
        let said = step("echo", Command::new("echo").arg("steady")).expect("echo works");
        assert_eq!(said.out, "steady\n");
    }

    #[test]
    fn a_failed_step_shows_what_the_program_said() {
        let error = step("a test", Command::new("sh").args(["-c", "echo oh no >&2; exit 3"]))
            .expect_err("it fails")
            .to_string();
        assert!(error.contains("a test") && error.contains("| oh no"), "{error}");
        assert!(error.contains("exit status: 3"), "{error}");
    }
}
