//! A check that is a program: exit code 0, or its last line as evidence.
//!
//! ```text
//! program, its own process group ──one pipe for stdout and stderr──▶ the last line
//!   exit 0 ─▶ passed     exit n, signal ─▶ failed     dropped ─▶ SIGKILL to the whole group
//! ```
//!
//! Always true: whoever stops waiting has killed the whole group; however much a program writes,
//! one line is kept.

use crate::http::in_words;
use rustix::process::{Pid, Signal, kill_process_group};
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitStatus, Stdio};
use steadfast_core::gate::Heard;
use steadfast_core::{Text, text};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;
use tokio::process::{Child, Command};

/// What a program inherits from the agent and must not have: with these it could speak for the
/// agent to systemd (sd_notify(3), sd_watchdog_enabled(3)).
const NOT_INHERITED: [&str; 4] = ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS"];

/// The last line of an output that was not blank, cut off at what evidence holds.
#[derive(Default)]
pub(super) struct LastLine {
    whole: Vec<u8>,
    begun: Vec<u8>,
}

impl LastLine {
    fn hear(&mut self, bytes: &[u8]) {
        for byte in bytes {
            match byte {
                b'\n' => self.end_line(),
                _ if self.begun.len() < Text::new().capacity() => self.begun.push(*byte),
                _ => {}
            }
        }
    }

    fn end_line(&mut self) {
        match self.begun.trim_ascii().is_empty() {
            true => self.begun.clear(),
            false => self.whole = std::mem::take(&mut self.begun),
        }
    }

    /// `what: the last line`, or `what` alone when there is none.
    pub(super) fn after(mut self, what: std::fmt::Arguments<'_>) -> Text {
        self.end_line();
        match String::from_utf8_lossy(&self.whole).trim() {
            "" => text(what),
            line => text(format_args!("{what}: {line}")),
        }
    }
}

/// A process group that does not outlive who waits for it.
struct Group(Option<Pid>);

impl Drop for Group {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // Gone already means what is wanted.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

/// Runs the program to its end; `last` holds the last line also when nobody waits for the end.
pub(super) async fn run(program: &str, arguments: &[String], last: &mut LastLine) -> Heard {
    let (mut child, mut output) = match start(program, arguments) {
        Ok(started) => started,
        Err(error) => {
            return Heard::Failed(text(format_args!(
                "{program} could not be started: {}",
                in_words(&error)
            )));
        }
    };
    let mut group = Group(leader(&child));
    let ended = wait(&mut child, &mut output, last).await;
    // The leader is reaped: from here on its number may be another's.
    group.0 = None;
    match ended {
        Ok(status) if status.success() => Heard::Passed,
        Ok(status) => {
            let last = std::mem::take(last);
            Heard::Failed(match (status.code(), status.signal()) {
                (Some(code), _) => last.after(format_args!("exit {code}")),
                (None, signal) => last.after(format_args!("signal {}", signal.unwrap_or(0))),
            })
        }
        Err(error) => Heard::Failed(text(format_args!("{program}: {}", in_words(&error)))),
    }
}

fn start(program: &str, arguments: &[String]) -> io::Result<(Child, pipe::Receiver)> {
    // One pipe for both, so that the last line is the last one written.
    let (reader, writer) = io::pipe()?;
    let mut command = command(program, arguments);
    let child = command.stdout(writer.try_clone()?).stderr(writer).spawn()?;
    Ok((child, pipe::Receiver::from_owned_fd(reader.into())?))
}

fn command(program: &str, arguments: &[String]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir("/").stdin(Stdio::null());
    for name in NOT_INHERITED {
        command.env_remove(name);
    }
    command.process_group(0).kill_on_drop(true);
    command
}

fn leader(child: &Child) -> Option<Pid> {
    child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw)
}

/// Hears the program until it ends; what it left running may keep the pipe open for ever.
async fn wait(
    child: &mut Child,
    output: &mut pipe::Receiver,
    last: &mut LastLine,
) -> io::Result<ExitStatus> {
    let mut bytes = [0; 4096];
    let status = loop {
        tokio::select! {
            status = child.wait() => break status?,
            count = output.read(&mut bytes) => match count? {
                0 => break child.wait().await?,
                count => last.hear(&bytes[..count]),
            },
        }
    };
    // What it wrote before it ended is in the pipe by now.
    while let Ok(count @ 1..) = output.try_read(&mut bytes) {
        last.hear(&bytes[..count]);
    }
    Ok(status)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_cannot_speak_for_the_agent_to_systemd() {
        let command = command("/bin/x", &[]);
        let removed = |name| command.as_std().get_envs().any(|env| env == (name, None));
        for name in ["NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"] {
            assert!(removed(std::ffi::OsStr::new(name)), "{name}");
        }
    }

    #[test]
    fn the_last_line_is_the_last_that_is_not_blank() {
        let after = |output: &[&str]| {
            let mut last = LastLine::default();
            output.iter().for_each(|part| last.hear(part.as_bytes()));
            last.after(format_args!("exit 1"))
        };
        assert_eq!(after(&["one\ntwo\n", "\n  \n"]), "exit 1: two");
        assert_eq!(after(&["one\ntw", "o"]), "exit 1: two");
        assert_eq!(after(&[" \n"]), "exit 1");
    }

    #[test]
    fn a_line_without_end_takes_no_more_than_its_evidence() {
        let mut last = LastLine::default();
        (0..1000).for_each(|_| last.hear(&[b'x'; 4096]));
        assert_eq!(last.begun.len(), Text::new().capacity());
    }
}
