//! Commands on the development shell of the serial console, with exit code and output.
//!
//! ```text
//! lab   { COMMAND; } >/run/lab.out 2>&1; … base64 …
//! guest @7 begin 0 123
//!       c3RlYWRmYXN0Cg==
//!       @7 end
//! ```
//!
//! The kernel writes to the same line, in the middle of anything. So the output travels as base64 with its
//! length: what was disturbed is seen and asked for again, and never believed. The frame's lines are sent twice.

use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::console::Console;
use crate::marker::Marker;

/// How long the shell may take to answer when nothing has to be worked out.
const ANSWER: Duration = Duration::from_secs(60);
/// How long one greeting is waited for before the next is sent.
const GREETING: Duration = Duration::from_secs(8);
/// Where the guest keeps the output of the running command.
const OUTPUT: &str = "/run/lab.out";

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    /// Exit code.
    pub(crate) code: i32,
    /// Standard output and standard error, as they came.
    pub(crate) output: String,
}

/// The shell of one guest.
#[derive(Debug, Default)]
pub(crate) struct Shell {
    calls: u32,
}

/// What was read between a frame's two ends.
struct Frame {
    code: i32,
    length: usize,
    text: String,
}

impl Shell {
    /// Greets the shell until it answers: characters sent while it starts may be lost.
    pub(crate) fn greet(&mut self, console: &mut Console) -> Result<()> {
        self.calls += 1;
        let id = self.calls;
        for _ in 0..8 {
            console.send("")?;
            console.send("stty -echo 2>/dev/null; PS1=; PS2=; bind 'set enable-bracketed-paste off' 2>/dev/null")?;
            console.send(&format!("echo; echo @\"\"{id} here; echo @\"\"{id} here"))?;
            let here = format!("@{id} here");
            if console.wait("the shell", GREETING, |l| l.contains(&here).then_some(())).is_ok() {
                return Ok(());
            }
        }
        bail!("the shell on the console did not answer")
    }

    /// Runs `command`, which must be one line, for at most `limit`.
    pub(crate) fn run(
        &mut self,
        console: &mut Console,
        command: &str,
        limit: Duration,
    ) -> Result<Done> {
        ensure!(!command.contains('\n'), "a command is one line: {command:?}");
        self.calls += 1;
        let id = self.calls;
        let show = format!(
            "for i in 1 2; do echo; echo \"@\"\"{id} begin $labcode $(wc -c <{OUTPUT})\"; done; \
             base64 {OUTPUT}; for i in 1 2; do echo \"@\"\"{id} end\"; done"
        );
        console.send(&format!("{{ {command}; }} >{OUTPUT} 2>&1 </dev/null; labcode=$?; {show}"))?;
        let mut limit = limit;
        for _ in 0..6 {
            let frame = read_frame(console, id, limit)
                .with_context(|| format!("`{command}` did not end in the guest"))?;
            if let Some(output) = frame.and_then(|frame| frame.open()) {
                return Ok(output);
            }
            console.send(&show)?;
            limit = ANSWER;
        }
        bail!("the output of `{command}` came disturbed each time")
    }
}

/// The frame `id`; `None` when its beginning was disturbed.
fn read_frame(console: &mut Console, id: u32, limit: Duration) -> Result<Option<Frame>> {
    let (begin, end) = (format!("@{id} begin "), format!("@{id} end"));
    let mut frame: Option<Frame> = None;
    let ended = console.wait("the end of its output", limit, |line| {
        // A node that restarts answers no more: what it did instead says more than a time that ran out.
        if let Some(Marker::Slot { slot, .. }) = Marker::in_line(line) {
            return Some(Err(slot));
        }
        if let Some(at) = line.find(&begin) {
            let mut numbers = line[at + begin.len()..].split_whitespace();
            frame = numbers.next().zip(numbers.next()).and_then(|(code, length)| {
                Some(Frame {
                    code: code.parse().ok()?,
                    length: length.parse().ok()?,
                    text: String::new(),
                })
            });
        } else if line.contains(&end) {
            return Some(Ok(()));
        } else if let Some(frame) = &mut frame
            && !line.starts_with('[')
        {
            // A line of the kernel's own begins with its time; the length tells whether more is wrong.
            frame.text.push_str(line.trim());
        }
        None
    })?;
    if let Err(slot) = ended {
        bail!("the node restarted and tries slot {slot}");
    }
    Ok(frame)
}

impl Frame {
    /// The command's end, unless the text was disturbed.
    fn open(self) -> Option<Done> {
        let bytes = base64(&self.text)?;
        (bytes.len() == self.length)
            .then(|| Done { code: self.code, output: String::from_utf8_lossy(&bytes).into_owned() })
    }
}

/// The bytes of RFC 4648 base64 `text`; `None` for anything that is not exactly that.
fn base64(text: &str) -> Option<Vec<u8>> {
    let body = text.trim_end_matches('=');
    if !text.len().is_multiple_of(4) || text.len() - body.len() > 2 {
        return None;
    }
    let mut out = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for c in body.bytes() {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = bits << 6 | u32::from(six);
        count += 6;
        if count >= 8 {
            count -= 8;
            out.push((bits >> count) as u8);
        }
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Write};
    use std::os::unix::net::UnixStream;
    use std::{env, fs, process, thread};

    use super::*;
    use crate::timeline::{Show, Timeline};

    const LIMIT: Duration = Duration::from_secs(20);

    /// A console whose other side answers each line with the next of `answers`.
    fn answering(answers: Vec<&'static str>) -> Console {
        let (ours, mut guest) = UnixStream::pair().expect("a pair of sockets");
        let lines = BufReader::new(guest.try_clone().expect("a second handle"));
        thread::spawn(move || {
            let mut answers = answers.into_iter();
            // Who has said all still listens: a closed socket would end the conversation early.
            for _ in lines.lines().map_while(Result::ok) {
                let Some(answer) = answers.next() else { continue };
                guest.write_all(answer.as_bytes()).expect("the lab listens");
            }
        });
        let log = env::temp_dir().join(format!(
            "steadfast-lab-shell-{}-{:?}.log",
            process::id(),
            thread::current().id()
        ));
        let input = ours.try_clone().expect("a second handle");
        let console =
            Console::attach(ours, input, &log, Timeline::start(Show::Kept)).expect("a console");
        fs::remove_file(log).expect("removed");
        console
    }

    #[test]
    fn a_command_gives_its_exit_code_and_output() {
        let mut console =
            answering(vec!["\n@1 begin 3 10\n\n@1 begin 3 10\nc3RlYWRmYXN0Cg==\n@1 end\n@1 end\n"]);
        let done = Shell::default().run(&mut console, "anything", LIMIT).expect("it ended");
        assert_eq!(done, Done { code: 3, output: "steadfast\n".into() });
    }

    #[test]
    fn disturbed_output_is_asked_for_again() {
        let mut console = answering(vec![
            "@1 begin 0 10\nc3RlYW[   9.1] usb 1-1: new device\nRmYXN0Cg==\n@1 end\n@1 end\n",
            "@1 begin 0 10\nc3RlYWRmYXN0\n@1 end\n@1 end\n",
            "[  9.2] audit: @1 beg\n@1 begin 0 10\nc3RlYWRmYXN0Cg==\n@1 end\n@1 end\n",
        ]);
        let done = Shell::default().run(&mut console, "anything", LIMIT).expect("it ended");
        assert_eq!(done.output, "steadfast\n");
    }

    #[test]
    fn a_command_of_two_lines_is_refused() {
        let mut console = answering(Vec::new());
        assert!(Shell::default().run(&mut console, "a\nb", LIMIT).is_err());
    }

    #[test]
    fn base64_is_read_exactly_or_not_at_all() {
        assert_eq!(base64("").as_deref(), Some(&b""[..]));
        assert_eq!(base64("AP8Q").as_deref(), Some(&[0, 255, 16][..]));
        assert_eq!(base64("YQ==").as_deref(), Some(&b"a"[..]));
        for bad in ["YQ=", "Y", "YQ==YQ==", "Y[==", "===="] {
            assert_eq!(base64(bad), None, "{bad}");
        }
    }
}
