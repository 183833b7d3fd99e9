//! `steadfast keep-journal`: the last lines of the running boot, on /data, for whoever asks why it failed.
//!
//! ```text
//! journald (in memory) ──▶ journalctl --follow ──pipe──▶ the last 32 KiB ──▶ /data/steadfast/evidence/journal
//!                     ╰──▶ journalctl, at an ordered end ──────╯
//! ```
//!
//! Always true: nobody waits for it, neither journald nor the agent, so that a broken /data stops no one who
//! logs; it does nothing while nothing is logged; a reset loses at most what [`pace`] says; a boot that was asked
//! to end says so, for it may be shown for one after it. Why a process of its own: it must be there when the agent
//! hangs, crashes or never starts.

use crate::agent::board::{BoardError, Running};
use crate::agent::config::Config;
use std::future::pending;
use std::io;
use std::path::Path;
use std::process::{ExitCode, Stdio};
use std::time::Duration;
use steadfast_adapters::chain;
use steadfast_adapters::evidence::journal::{Heading, JournalFile, Tail, pace};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time::{Instant, sleep_until, timeout};

/// How the journal is read: as many lines of this boot as could fit; it may hold a thousand times as many.
const AS_KEPT: [&str; 4] = ["--boot", "--lines=800", "--output=short-monotonic", "--quiet"];

/// The last line of a journal that was asked to end. It is shown for whatever failed next, which may be a boot that
/// ended before it could keep a line of its own.
const ASKED_TO_END: &str = "-- asked to end here: what failed later, in this shutdown or in a boot after it, is not in these lines --\n";

/// How long journald may take for what it is asked at the end; the unit's `TimeoutStopSec` holds both questions.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Why the journal is not kept.
#[derive(Debug, thiserror::Error)]
enum KeepError {
    /// The kernel or the image does not say what runs.
    #[error(transparent)]
    Running(#[from] BoardError),
    /// journalctl could not be followed.
    #[error("journalctl could not be followed")]
    Follow(#[source] io::Error),
    /// journalctl ended although nobody asked it to.
    #[error("journalctl ended")]
    Ended,
}

/// Keeps the journal until systemd asks it to end.
pub fn run(config: &Path) -> ExitCode {
    // Settings that stop the agent must not stop the one who says so.
    let paths = Config::load(config).unwrap_or_default().paths;
    let kept = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(KeepError::Follow)
        .and_then(|runtime| runtime.block_on(keep(&paths.data.join("evidence"))));
    match kept {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("the journal is not kept: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

async fn keep(folder: &Path) -> Result<(), KeepError> {
    let Running { slot, version, boot } = Running::ask()?;
    let heading = Heading { boot, slot, version: version.to_string() };
    let mut asked_to_end = signal(SignalKind::terminate()).map_err(KeepError::Follow)?;
    let mut journalctl = Command::new("journalctl")
        .arg("--follow")
        .args(AS_KEPT)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(KeepError::Follow)?;
    let lines = journalctl.stdout.take().expect("it was asked for");
    let file = JournalFile::new(folder, heading);
    let ended = follow(lines, file, asked_to_end.recv(), now()).await;
    ended.map_err(KeepError::Follow)?.then_some(()).ok_or(KeepError::Ended)
}

/// What the journal holds, with all that was logged before this is asked.
async fn now() -> io::Result<Vec<u8>> {
    let mut sync = Command::new("journalctl");
    // Without it the lines that journald has not read yet are missing, and no others.
    let _ = timeout(LAST_WORDS, sync.arg("--sync").kill_on_drop(true).status()).await;
    let mut journalctl = Command::new("journalctl");
    let read = journalctl.args(AS_KEPT).stdin(Stdio::null()).kill_on_drop(true).output();
    Ok(timeout(LAST_WORDS, read).await??.stdout)
}

/// Keeps what `lines` brings, until it ends or `end` comes; then what the journal holds `now`. Returns whether
/// it was asked to end.
async fn follow(
    mut lines: impl AsyncRead + Unpin,
    mut file: JournalFile,
    end: impl Future<Output = Option<()>>,
    now: impl Future<Output = io::Result<Vec<u8>>>,
) -> io::Result<bool> {
    let (mut tail, mut due, mut silent) = (Tail::default(), None, false);
    let mut bytes = [0; 8 << 10];
    tokio::pin!(end);
    let asked = loop {
        tokio::select! {
            read = lines.read(&mut bytes) => match read? {
                0 => break false,
                length if tail.feed(&bytes[..length]) => {
                    due.get_or_insert_with(|| Instant::now() + pace(up()));
                }
                _ => {}
            },
            () = until(due) => {
                due = None;
                write(&mut file, &tail, &mut silent);
            }
            _ = &mut end => break true,
        }
    };
    // journald wakes its readers up to 250 ms late: the last words are asked for, the stream may not have them.
    if asked {
        if let Ok(journal) = now.await
            && !journal.is_empty()
        {
            tail = Tail::default();
            tail.feed(&journal);
        }
        tail.feed(ASKED_TO_END.as_bytes());
    }
    write(&mut file, &tail, &mut silent);
    Ok(asked)
}

async fn until(due: Option<Instant>) {
    match due {
        Some(due) => sleep_until(due).await,
        None => pending().await,
    }
}

/// Writes what there is. What cannot be written is tried again with the next line; it is said once, for the
/// words are such a line.
fn write(file: &mut JournalFile, tail: &Tail, silent: &mut bool) {
    match file.write(tail) {
        Ok(()) => *silent = false,
        Err(error) if !*silent => {
            *silent = true;
            eprintln!("the journal is not kept: {error}");
        }
        Err(_) => {}
    }
}

/// How long the kernel runs.
fn up() -> Duration {
    let up = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::from_secs(up.tv_sec.unsigned_abs())
}

#[cfg(test)]
mod tests;
