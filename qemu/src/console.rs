//! The guest's serial console: kept in a log, read line by line, waited on with limits.
//!
//! ```text
//! QEMU ─► reader thread ─► log file (every byte)
//!                       ├► timeline (markers)
//!                       └► lines ─► wait(limit, pick)
//! ```
//!
//! A wait ends when the line comes, when the limit is over, or when the console closes; it never polls.
//! Each line is looked at once: a wait begins where the last one ended.

use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::marker::Marker;
use crate::timeline::Timeline;

/// The reading and writing ends of a guest's console.
pub(crate) struct Console {
    shared: Arc<Shared>,
    input: Box<dyn Write + Send>,
    next: usize,
    log: PathBuf,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    lines: Vec<String>,
    closed: bool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Console {
    /// Starts to read `output` into the file `log`, noting markers in `timeline`.
    pub(crate) fn attach(
        output: impl Read + Send + 'static,
        input: impl Write + Send + 'static,
        log: &Path,
        timeline: Timeline,
    ) -> Result<Self> {
        let file = File::create(log).with_context(|| format!("no log at {}", log.display()))?;
        let shared = Arc::<Shared>::default();
        let reader = Arc::clone(&shared);
        thread::spawn(move || {
            read_lines(output, file, &reader, &timeline);
            reader.lock().closed = true;
            reader.changed.notify_all();
        });
        Ok(Self { shared, input: Box::new(input), next: 0, log: log.to_path_buf() })
    }

    /// Sends `text` and a line end.
    pub(crate) fn send(&mut self, text: &str) -> Result<()> {
        self.input
            .write_all(format!("{text}\n").as_bytes())
            .and_then(|()| self.input.flush())
            .context("the guest's console takes no input")
    }

    /// The first value that `pick` makes of a line not looked at before, within `limit`.
    /// `what` names the awaited thing in the error.
    pub(crate) fn wait<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut pick: impl FnMut(&str) -> Option<T>,
    ) -> Result<T> {
        let deadline = Instant::now() + limit;
        let mut state = self.shared.lock();
        loop {
            while let Some(line) = state.lines.get(self.next) {
                self.next += 1;
                if let Some(found) = pick(line) {
                    return Ok(found);
                }
            }
            if state.closed {
                drop(state);
                bail!("the guest ended before {what} came{}", self.tail());
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                drop(state);
                bail!("{what} did not come within {} s{}", limit.as_secs(), self.tail());
            }
            state = self
                .shared
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// The first marker that `pick` takes, within `limit`.
    pub(crate) fn wait_marker<T>(
        &mut self,
        what: &str,
        limit: Duration,
        mut pick: impl FnMut(Marker) -> Option<T>,
    ) -> Result<T> {
        self.wait(what, limit, |line| Marker::in_line(line).and_then(&mut pick))
    }

    /// Waits until the guest's console closes.
    pub(crate) fn wait_end(&mut self, limit: Duration) -> Result<()> {
        let state = self.shared.lock();
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, limit, |state| !state.closed)
            .unwrap_or_else(PoisonError::into_inner);
        let closed = state.closed;
        drop(state);
        ensure!(closed, "the guest did not end within {} s{}", limit.as_secs(), self.tail());
        Ok(())
    }

    /// Everything up to now counts as looked at.
    pub(crate) fn skip_to_end(&mut self) {
        self.next = self.shared.lock().lines.len();
    }

    /// The last lines, for an error message.
    fn tail(&self) -> String {
        let state = self.shared.lock();
        let from = state.lines.len().saturating_sub(15);
        let lines: Vec<String> =
            state.lines[from..].iter().map(|line| format!("\n  | {line}")).collect();
        format!("; the console ended with (all of it: {}){}", self.log.display(), lines.concat())
    }
}

fn read_lines(mut output: impl Read, mut log: File, shared: &Shared, timeline: &Timeline) {
    let mut chunk = [0_u8; 4096];
    let mut partial = Vec::new();
    loop {
        let count = match output.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        // The log is for people: a full disk must not stop the run.
        let _ = log.write_all(&chunk[..count]);
        for &byte in &chunk[..count] {
            if byte != b'\n' {
                partial.push(byte);
                continue;
            }
            let line = clean(&partial);
            partial.clear();
            if let Some(marker) = Marker::in_line(&line) {
                let (actor, what) = marker.moment();
                timeline.note(actor, what);
            }
            shared.lock().lines.push(line);
            shared.changed.notify_all();
        }
    }
}

/// The line as text, without control characters and terminal sequences.
fn clean(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' if chars.peek() == Some(&'[') => {
                // The sequence's end is its first letter after the bracket.
                let _ = chars.by_ref().skip(1).find(|c| c.is_ascii_alphabetic() || *c == '~');
            }
            c if c.is_control() && c != '\t' => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;
    use crate::timeline::Show;

    const LIMIT: Duration = Duration::from_secs(20);

    fn console() -> (Console, UnixStream, PathBuf, Timeline) {
        let (ours, guest) = UnixStream::pair().expect("a pair of sockets");
        let log = std::env::temp_dir().join(format!(
            "steadfast-lab-console-{}-{:?}.log",
            std::process::id(),
            thread::current().id()
        ));
        let timeline = Timeline::start(Show::Kept);
        let input = ours.try_clone().expect("a second handle");
        let console = Console::attach(ours, input, &log, timeline.clone()).expect("a console");
        (console, guest, log, timeline)
    }

    #[test]
    fn a_marker_is_awaited_through_pieces_noise_and_terminal_sequences() {
        let (mut console, mut guest, log, timeline) = console();
        guest.write_all(b"noise\r\n\x1b[0;1mstead").expect("written");
        guest.write_all(b"fast-shell: ready up 3.5\r\n").expect("written");
        let up = console.wait_marker("the shell", LIMIT, |m| match m {
            Marker::Shell { up } => Some(up),
            _ => None,
        });
        assert_eq!(up.expect("the marker came"), 3.5);
        assert!(timeline.first_after(0.0, "shell").is_some());
        assert!(std::fs::read(&log).expect("the log").starts_with(b"noise\r\n"));
        std::fs::remove_file(log).expect("removed");
    }

    #[test]
    fn each_line_is_looked_at_once() {
        let (mut console, mut guest, log, _) = console();
        guest.write_all(b"one\ntwo\none\n").expect("written");
        let is = |word: &'static str| move |line: &str| (line == word).then_some(());
        console.wait("one", LIMIT, is("one")).expect("the first");
        console.wait("one", LIMIT, is("one")).expect("the second");
        drop(guest);
        let error = console.wait("two", LIMIT, is("two")).expect_err("it was passed");
        assert!(error.to_string().contains("the guest ended before two came"), "{error}");
        std::fs::remove_file(log).expect("removed");
    }

    #[test]
    fn what_is_skipped_is_not_looked_at() {
        let (mut console, mut guest, log, _) = console();
        guest.write_all(b"before\nmark\n").expect("written");
        console.wait("the mark", LIMIT, |line| (line == "mark").then_some(())).expect("it came");
        console.next = 0;
        console.skip_to_end();
        guest.write_all(b"after\n").expect("written");
        let first = console.wait("a line", LIMIT, |line| Some(line.to_owned())).expect("a line");
        assert_eq!(first, "after");
        std::fs::remove_file(log).expect("removed");
    }

    #[test]
    fn a_console_that_stays_open_has_not_ended() {
        let (mut console, guest, log, _) = console();
        assert!(console.wait_end(Duration::ZERO).is_err());
        drop(guest);
        console.wait_end(LIMIT).expect("it closed");
        std::fs::remove_file(log).expect("removed");
    }

    #[test]
    fn a_line_keeps_its_text_and_loses_what_only_a_terminal_wants() {
        assert_eq!(clean(b"\x1b[0;1ma\tb\x07\x00 \x1b[3~c\r"), "a\tb c");
    }

    #[test]
    fn a_wait_ends_at_its_limit_and_shows_the_last_lines() {
        let (mut console, mut guest, log, _) = console();
        guest.write_all(b"last words\n").expect("written");
        console.wait("a line", LIMIT, |_| Some(())).expect("the line");
        let error = console
            .wait("an answer", Duration::ZERO, |_| None::<()>)
            .expect_err("nobody answers")
            .to_string();
        assert!(error.contains("an answer did not come within 0 s"), "{error}");
        assert!(error.contains("| last words"), "{error}");
        std::fs::remove_file(log).expect("removed");
    }
}
