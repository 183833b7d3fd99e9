//! `steadfast logs`: what the containers of a pod wrote, from their files, with or without an agent.
//!
//! ```text
//! logs/POD/*.log ──▶ each from its beginning, or its last lines ──▶ --follow: what comes, of whichever it comes
//! ```
//!
//! Always true: in a pipe every byte is as the container wrote it, and a pipe that nobody reads is no error; on a
//! terminal a container cannot steer it.

use super::output::{Console, Style};
use super::{NotDone, ToolError, chain};
use crate::agent::config::Config;
use crate::cli::LogsArgs;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::error::Error;
use std::io::{self, BufWriter, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use steadfast_adapters::pod_log::{Begin, Lines, LogError, PACE};

/// What there is to wait for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waited {
    /// There may be more.
    More,
    /// Nobody reads any more.
    Gone,
}

/// What becomes of a line whose end is not written yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Begun {
    /// Its end may come.
    Waits,
    /// There is no next look.
    IsTold,
}

/// Shows them.
pub(super) fn run(args: &LogsArgs, console: &mut Console<'_>) -> Result<(), ToolError> {
    match show(args, console, || wait(&io::stdout())) {
        // Whoever closed the pipe has seen enough.
        Err(ToolError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        shown => shown,
    }
}

/// Until the next look, or until nobody reads there any more.
fn wait(out: &impl AsFd) -> Waited {
    let pace = Timespec::try_from(PACE).expect("a quarter of a second");
    let mut asked = [PollFd::new(out, PollFlags::empty())];
    // A signal only makes the look come sooner.
    match poll(&mut asked, Some(&pace)) {
        Ok(1..) => Waited::Gone,
        _ => Waited::More,
    }
}

fn show(
    args: &LogsArgs,
    console: &mut Console<'_>,
    mut wait: impl FnMut() -> Waited,
) -> Result<(), ToolError> {
    let mut shown = Shown::open(args)?;
    let style = console.style;
    let mut out = BufWriter::new(&mut *console.out);
    loop {
        shown.tell(&mut out, style, if args.follow { Begun::Waits } else { Begun::IsTold })?;
        out.flush()?;
        if !args.follow || wait() == Waited::Gone {
            return Ok(());
        }
        shown.find_more(args)?;
    }
}

/// The containers whose logs are shown.
struct Shown {
    folder: PathBuf,
    containers: Vec<(String, Lines)>,
}

impl Shown {
    fn open(args: &LogsArgs) -> Result<Shown, NotDone> {
        let fail = |error: &dyn Error| NotDone {
            what: not_shown(args),
            because: chain(error),
            node: "not asked".into(),
        };
        let config = Config::load(&args.config).map_err(|error| fail(&error))?;
        let logs = config.paths.data.join("logs");
        let pods = names(&logs, "").map_err(|error| unreadable(args, &logs, &error))?;
        if !pods.contains(&args.pod) {
            return Err(NotDone {
                what: not_shown(args),
                because: vec![format!("there is no log of a pod {}", args.pod)],
                node: has("pods", &pods),
            });
        }
        let folder = logs.join(&args.pod);
        let mut containers =
            names(&folder, ".log").map_err(|error| unreadable(args, &folder, &error))?;
        if let Some(wanted) = &args.container {
            if !containers.contains(wanted) {
                return Err(NotDone {
                    what: not_shown(args),
                    because: vec![format!("{} has no log of a container {wanted}", args.pod)],
                    node: has("its containers", &containers),
                });
            }
            containers.retain(|name| name == wanted);
        }
        let begin = args.tail.map_or(Begin::First, Begin::Last);
        let mut shown = Shown { folder, containers: Vec::new() };
        for name in containers {
            shown.add(name, begin).map_err(|error| not_opened(args, &error))?;
        }
        Ok(shown)
    }

    fn add(&mut self, name: String, begin: Begin) -> Result<(), LogError> {
        let lines = Lines::open(&self.folder.join(format!("{name}.log")), begin)?;
        self.containers.push((name, lines));
        Ok(())
    }

    /// Containers that were started meanwhile; a log that goes again at once is none.
    fn find_more(&mut self, args: &LogsArgs) -> Result<(), NotDone> {
        if args.container.is_some() {
            return Ok(());
        }
        for name in names(&self.folder, ".log").unwrap_or_default() {
            if !self.containers.iter().any(|(known, _)| *known == name) {
                match self.add(name, Begin::First) {
                    Err(error) if !is(&error, io::ErrorKind::NotFound) => {
                        return Err(not_opened(args, &error));
                    }
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Writes all lines that are there.
    fn tell(&mut self, out: &mut impl Write, style: Style, begun: Begun) -> Result<(), ToolError> {
        let width = self.width();
        for (name, lines) in &mut self.containers {
            while let Some(line) = lines.line().map_err(broke)? {
                write(out, style, (name, width), &line)?;
            }
            if begun == Begun::IsTold
                && let Some(line) = lines.rest()
            {
                write(out, style, (name, width), &line)?;
            }
        }
        Ok(())
    }

    /// How wide the names are, where there is more than one.
    fn width(&self) -> Option<usize> {
        let longest = self.containers.iter().map(|(name, _)| name.chars().count()).max();
        longest.filter(|_| self.containers.len() > 1)
    }
}

fn write(
    out: &mut impl Write,
    style: Style,
    (name, width): (&str, Option<usize>),
    line: &[u8],
) -> io::Result<()> {
    if let Some(width) = width {
        write!(out, "{name:width$}  ")?;
    }
    match style == Style::PLAIN {
        true => out.write_all(line)?,
        false => out.write_all(harmless(line).as_bytes())?,
    }
    out.write_all(b"\n")
}

/// The line without what steers a terminal (ECMA-48): its colours and its like are left out, other control characters
/// but tabs are blanks.
fn harmless(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line);
    let (mut harmless, mut letters) = (String::new(), text.trim_end_matches('\r').chars());
    while let Some(letter) = letters.next() {
        match letter {
            '\x1b' if letters.as_str().starts_with('[') => {
                letters.next();
                letters.find(|letter| matches!(letter, '@'..='~'));
            }
            '\t' => harmless.push('\t'),
            letter if letter.is_control() => harmless.push(' '),
            letter => harmless.push(letter),
        }
    }
    harmless
}

/// What in this folder ends so, without the end, in order; nothing where there is no folder.
fn names(folder: &Path, end: &str) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        names.extend(name.to_str().and_then(|name| name.strip_suffix(end)).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

fn not_shown(args: &LogsArgs) -> String {
    match &args.container {
        Some(container) => format!("the log of {} in {} is not shown", container, args.pod),
        None => format!("the logs of {} are not shown", args.pod),
    }
}

fn has(what: &str, names: &[String]) -> String {
    match names {
        [] => format!("has no logs of {what}"),
        names => format!("has logs of {what} {}", names.join(", ")),
    }
}

fn unreadable(args: &LogsArgs, folder: &Path, error: &io::Error) -> NotDone {
    let because = vec![format!("{} cannot be read", folder.display()), error.to_string()];
    let node = match error.kind() {
        io::ErrorKind::PermissionDenied => "logs are for root only; try again as root",
        _ => "not asked",
    };
    NotDone { what: not_shown(args), because, node: node.into() }
}

fn not_opened(args: &LogsArgs, error: &LogError) -> NotDone {
    let node = match is(error, io::ErrorKind::PermissionDenied) {
        true => "logs are for root only; try again as root",
        false => "not asked",
    };
    NotDone { what: not_shown(args), because: chain(error), node: node.into() }
}

fn is(error: &LogError, kind: io::ErrorKind) -> bool {
    let (LogError::Read { source, .. } | LogError::Bound { source, .. }) = error;
    source.kind() == kind
}

fn broke(error: LogError) -> NotDone {
    NotDone {
        what: "the log is not shown to its end".into(),
        because: chain(&error),
        node: "not asked".into(),
    }
}

#[cfg(test)]
mod tests;
