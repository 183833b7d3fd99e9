//! How the tool writes: a label, then what is to be said, in one column.
//!
//! ```text
//! node     press-07
//! system   2.4.1 in slot A, committed 3 days ago
//! ```
//!
//! Always true: colour and rewritten lines are for terminals only; text that came from elsewhere
//! cannot steer the terminal; nothing is wider than the terminal, and nothing is cut in a pipe.

use rustix::termios::tcgetwinsize;
use serde::Serialize;
use std::env;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

/// The width of the column of labels, the blank after it included.
pub(super) const LABEL: usize = 9;

/// The narrowest terminal that is believed; a serial console often claims 0 columns.
const NARROWEST: u16 = 40;

/// What the other end can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Style {
    /// Its columns; none in a pipe.
    pub(super) width: Option<usize>,
    /// Whether it shows colour.
    pub(super) colour: bool,
    /// Whether a line can be written over.
    pub(super) live: bool,
}

impl Style {
    /// A pipe or a file.
    pub(super) const PLAIN: Style = Style { width: None, colour: false, live: false };

    /// What this stream can show.
    pub(super) fn of(stream: &(impl AsFd + IsTerminal)) -> Style {
        if !stream.is_terminal() {
            return Style::PLAIN;
        }
        let size = tcgetwinsize(stream).ok().map(|size| size.ws_col);
        let width = size.filter(|columns| *columns >= NARROWEST).map(usize::from);
        let able = env::var_os("TERM").is_some_and(|term| term != "dumb");
        let wanted = env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Style { width, colour: able && wanted, live: able && width.is_some() }
    }
}

/// Whether a line asks for attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    /// As it should be.
    Plain,
    /// Worth a look.
    Warn,
    /// Wrong.
    Bad,
}

/// One thing to be said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    /// Its noun, at most eight letters; empty for more of the noun before.
    pub(super) label: &'static str,
    /// What is to be said of it.
    pub(super) text: String,
    /// Whether it asks for attention.
    pub(super) tone: Tone,
}

impl Line {
    /// A line about what is as it should be.
    pub(super) fn new(label: &'static str, text: impl Into<String>) -> Line {
        Line { label, text: text.into(), tone: Tone::Plain }
    }

    /// The same line with this tone.
    pub(super) fn toned(self, tone: Tone) -> Line {
        Line { tone, ..self }
    }
}

/// Where the tool writes, and the time that it goes by.
pub(super) struct Console<'o> {
    /// The stream.
    pub(super) out: &'o mut dyn Write,
    /// What it can show.
    pub(super) style: Style,
    /// Now, in seconds since 1970.
    pub(super) now: u64,
}

impl Console<'_> {
    /// Writes these lines.
    pub(super) fn print(&mut self, lines: &[Line]) -> io::Result<()> {
        self.out.write_all(screen(lines, self.style).as_bytes())?;
        self.out.flush()
    }

    /// Writes one JSON object on one line.
    pub(super) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut *self.out, value)?;
        self.out.write_all(b"\n")?;
        self.out.flush()
    }
}

/// The lines as they are written.
pub(super) fn screen(lines: &[Line], style: Style) -> String {
    let mut screen = String::new();
    for line in lines {
        let text = clean(&line.text);
        let mut label = painted(line, style);
        for row in wrapped(&text, style.width.map(|width| width - LABEL)) {
            screen.push_str(label.as_str());
            screen.push_str(&row);
            screen.push('\n');
            label = " ".repeat(LABEL);
        }
    }
    screen
}

fn painted(line: &Line, style: Style) -> String {
    let colour = match line.tone {
        Tone::Plain => "1",
        Tone::Warn => "1;33",
        Tone::Bad => "1;31",
    };
    let padded = format!("{:LABEL$}", line.label);
    match style.colour && !line.label.is_empty() {
        true => format!("\x1b[{colour}m{padded}\x1b[0m"),
        false => padded,
    }
}

/// The text without the characters that steer a terminal.
pub(super) fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

/// The text, cut off at `width` columns.
pub(super) fn cut(text: &str, width: Option<usize>) -> String {
    match width {
        Some(width) if text.chars().count() > width => {
            let kept: String = text.chars().take(width.saturating_sub(1)).collect();
            format!("{}…", kept.trim_end())
        }
        _ => text.to_owned(),
    }
}

/// The text in rows of at most `room` columns, broken between words where that is possible.
fn wrapped(text: &str, room: Option<usize>) -> Vec<String> {
    let text = text.trim_end();
    let Some(room) = room.filter(|room| text.chars().count() > *room) else {
        return vec![text.to_owned()];
    };
    let mut rows = vec![String::new()];
    for word in text.split_whitespace().flat_map(|word| pieces(word, room)) {
        let row = rows.last_mut().expect("there is always a row");
        let used = row.chars().count();
        if used == 0 {
            row.push_str(&word);
        } else if used + 1 + word.chars().count() <= room {
            row.push(' ');
            row.push_str(&word);
        } else {
            rows.push(word);
        }
    }
    rows
}

/// The word, in pieces that fit.
fn pieces(word: &str, room: usize) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    letters.chunks(room).map(|piece| piece.iter().collect()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    const NARROW: Style = Style { width: Some(40), colour: false, live: true };

    fn evidence() -> Line {
        let text = "it could not be written (write error on /dev/disk/by-partlabel/rootfs_b: \
                    Input/output error)";
        Line::new("because", text).toned(Tone::Bad)
    }

    #[test]
    fn a_long_line_is_wrapped_under_its_text_on_a_terminal() {
        expect![[r#"
            because  it could not be written (write
                     error on
                     /dev/disk/by-partlabel/rootfs_b
                     : Input/output error)
        "#]]
        .assert_eq(&screen(&[evidence()], NARROW));
    }

    #[test]
    fn a_long_line_stays_one_line_in_a_pipe() {
        assert_eq!(screen(&[evidence()], Style::PLAIN).lines().count(), 1);
    }

    #[test]
    fn only_the_label_is_coloured_and_only_where_colour_shows() {
        let colour = Style { colour: true, ..Style::PLAIN };
        let line = Line::new("error", "no").toned(Tone::Bad);
        let lines = [line, Line::new("", "more")];
        assert_eq!(screen(&lines, colour), "\x1b[1;31merror    \x1b[0mno\n         more\n");
        assert_eq!(screen(&lines, Style::PLAIN), "error    no\n         more\n");
    }

    #[test]
    fn text_from_elsewhere_cannot_steer_the_terminal() {
        let line = Line::new("because", "a\x1b[2Jb\nc");
        assert_eq!(screen(&[line], Style::PLAIN), "because  a [2Jb c\n");
    }

    #[test]
    fn what_is_cut_says_so() {
        assert_eq!(cut("äbcdef", Some(6)), "äbcdef");
        assert_eq!(cut("äbcdefg", Some(6)), "äbcde…");
        assert_eq!(cut("äbcdefg", None), "äbcdefg");
    }
}
