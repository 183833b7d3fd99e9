//! YAML as a tree that remembers its lines, within limits.
//!
//! Always true: no anchor, no alias and no tag, so a tree is never larger than its text; the depth and the number of
//! nodes are bounded while the text is read, not after it; a key stands once in its map. Nothing here recurses.

use saphyr_parser::{Event, Marker, Parser, ScalarStyle};

/// How deep a document may be nested; a Pod needs nine levels.
const MAX_DEPTH: usize = 32;
/// How many values all files of a set may have together.
const MAX_NODES: usize = 50_000;
/// How long a key may be: the longest one that Kubernetes knows is a label's, with 317 bytes.
const MAX_KEY: usize = 512;

/// A value and the line where it begins, counted from 1.
///
/// It has no `Debug`: it may be a Secret's.
pub(super) struct Node {
    pub(super) line: usize,
    pub(super) value: Value,
}

/// What a value is before anybody knows what it should be.
pub(super) enum Value {
    /// Nothing, `~` or `null`. To Kubernetes it is as if the field were not there.
    Null,
    Text(Text),
    List(Vec<Node>),
    /// In the order of the text.
    Map(Vec<Entry>),
}

/// A scalar. What it means depends on the field.
pub(super) struct Text {
    pub(super) text: String,
    pub(super) style: Style,
}

/// Whether a scalar can be something else than text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// `1`, `true` and `abc`: YAML decides by what it looks like.
    Plain,
    /// In quotes or a block: text.
    Quoted,
}

/// A key with its value, and the line of the key.
pub(super) struct Entry {
    pub(super) line: usize,
    pub(super) key: String,
    pub(super) node: Node,
}

/// A text that is not taken before any field of it is known.
pub(super) struct Broken {
    pub(super) line: usize,
    pub(super) because: String,
}

/// What the files of a set may still bring.
pub(super) struct Room(usize);

impl Room {
    pub(super) fn new() -> Room {
        Room(MAX_NODES)
    }
}

/// A list or a map that is not complete.
enum Open {
    List(usize, Vec<Node>),
    Map(usize, Vec<Entry>, Option<(usize, String)>),
}

/// The documents of a text; those with nothing in them are left out.
pub(super) fn documents(text: &str, room: &mut Room) -> Result<Vec<Node>, Broken> {
    only_whole_line_breaks(text)?;
    // What is missing at the end is missing in the last line, and not behind it.
    let last = text.lines().count().max(1);
    let line = |at: &Marker| at.line().clamp(1, last);
    let mut reader = Reader { room, open: Vec::new(), documents: Vec::new() };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|error| {
            broken(line(error.marker()), format!("is no YAML: {}", error.info()))
        })?;
        reader.hear(event, line(&span.start))?;
    }
    Ok(reader.documents)
}

/// To YAML a carriage return alone ends a line, and hardly anything shows it so: what seems to be behind a `#` would be a
/// field, and no line would be the one that its number says.
fn only_whole_line_breaks(text: &str) -> Result<(), Broken> {
    let alone = |at: &usize| !text[at + 1..].starts_with('\n');
    let mut returns = text.match_indices('\r').map(|(at, _)| at);
    match returns.find(alone) {
        Some(at) => {
            let line = 1 + text[..at].matches('\n').count();
            Err(broken(line, "has a carriage return without a line feed behind it"))
        }
        None => Ok(()),
    }
}

fn broken(line: usize, because: impl Into<String>) -> Broken {
    Broken { line, because: because.into() }
}

struct Reader<'r> {
    room: &'r mut Room,
    open: Vec<Open>,
    documents: Vec<Node>,
}

impl Reader<'_> {
    fn hear(&mut self, event: Event<'_>, line: usize) -> Result<(), Broken> {
        let (anchor, tagged) = match &event {
            Event::Scalar(_, _, anchor, tag)
            | Event::SequenceStart(anchor, tag)
            | Event::MappingStart(anchor, tag) => (*anchor, tag.is_some()),
            Event::Alias(anchor) => (*anchor, false),
            _ => (0, false),
        };
        if anchor != 0 {
            return Err(broken(line, "anchors and aliases (& and *) are not taken: write it out"));
        }
        if tagged {
            return Err(broken(line, "tags (!) are not taken"));
        }
        match event {
            Event::Scalar(text, style, ..) => self.scalar(line, text.into_owned(), style),
            Event::SequenceStart(..) => self.begin(line, Open::List(line, Vec::new())),
            Event::MappingStart(..) => self.begin(line, Open::Map(line, Vec::new(), None)),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            _ => Ok(()),
        }
    }

    fn begin(&mut self, line: usize, open: Open) -> Result<(), Broken> {
        if let Some(Open::Map(_, _, None)) = self.open.last() {
            return Err(broken(line, "a key has to be one word"));
        }
        if self.open.len() == MAX_DEPTH {
            return Err(broken(line, format!("is nested deeper than {MAX_DEPTH} levels")));
        }
        self.spend(line)?;
        self.open.push(open);
        Ok(())
    }

    /// Takes a value of what the set may have.
    fn spend(&mut self, line: usize) -> Result<(), Broken> {
        let left = self.room.0.checked_sub(1);
        self.room.0 =
            left.ok_or_else(|| broken(line, format!("the set has more than {MAX_NODES} values")))?;
        Ok(())
    }

    fn end(&mut self) -> Result<(), Broken> {
        match self.open.pop() {
            Some(Open::List(line, items)) => self.add(Node { line, value: Value::List(items) }),
            Some(Open::Map(line, entries, _)) => {
                no_key_twice(&entries)?;
                self.add(Node { line, value: Value::Map(entries) });
            }
            None => {}
        }
        Ok(())
    }

    fn scalar(&mut self, line: usize, text: String, style: ScalarStyle) -> Result<(), Broken> {
        if let Some(Open::Map(_, _, key @ None)) = self.open.last_mut() {
            if text.is_empty() || text.len() > MAX_KEY {
                return Err(broken(line, format!("a key has to have 1 to {MAX_KEY} bytes")));
            }
            *key = Some((line, text));
            return Ok(());
        }
        let style = match style {
            ScalarStyle::Plain => Style::Plain,
            _ => Style::Quoted,
        };
        let null = matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL");
        let value = match null && style == Style::Plain {
            true => Value::Null,
            false => Value::Text(Text { text, style }),
        };
        self.spend(line)?;
        self.add(Node { line, value });
        Ok(())
    }

    fn add(&mut self, node: Node) {
        match self.open.last_mut() {
            None if matches!(node.value, Value::Null) => {}
            None => self.documents.push(node),
            Some(Open::List(_, items)) => items.push(node),
            Some(Open::Map(_, entries, key)) => {
                let (line, key) = key.take().expect("a value of a map comes after its key");
                entries.push(Entry { line, key, node });
            }
        }
    }
}

fn no_key_twice(entries: &[Entry]) -> Result<(), Broken> {
    let mut sorted: Vec<_> = entries.iter().map(|entry| (&entry.key, entry.line)).collect();
    sorted.sort();
    match sorted.windows(2).find(|pair| pair[0].0 == pair[1].0) {
        Some(pair) => {
            let key = pair[1].0.escape_debug();
            Err(broken(pair[1].1, format!("{key} is there twice in one map")))
        }
        None => Ok(()),
    }
}

impl Node {
    /// What it says, without how it is written: the order of a map, comments, quotes and line breaks change nothing.
    pub(super) fn digest(&self) -> [u8; 32] {
        let mut bytes = Vec::new();
        self.write(&mut bytes);
        let digest = ring::digest::digest(&ring::digest::SHA256, &bytes);
        digest.as_ref().try_into().expect("SHA-256 has 32 bytes")
    }

    fn write(&self, bytes: &mut Vec<u8>) {
        let mut part = |kind: u8, text: &[u8]| {
            bytes.push(kind);
            bytes.extend(u64::try_from(text.len()).unwrap_or(u64::MAX).to_le_bytes());
            bytes.extend(text);
        };
        match &self.value {
            Value::Null => part(b'0', b""),
            Value::Text(text) if text.is_text() => part(b's', text.text.as_bytes()),
            Value::Text(text) => part(b'p', text.text.as_bytes()),
            Value::List(items) => {
                part(b'l', b"");
                items.iter().for_each(|item| item.write(bytes));
                bytes.push(b'.');
            }
            Value::Map(entries) => {
                part(b'm', b"");
                let mut entries: Vec<_> = entries.iter().collect();
                entries.retain(|entry| !matches!(entry.node.value, Value::Null));
                entries.sort_by(|one, other| one.key.cmp(&other.key));
                for entry in entries {
                    Node::key(&entry.key).write(bytes);
                    entry.node.write(bytes);
                }
                bytes.push(b'.');
            }
        }
    }

    fn key(key: &str) -> Node {
        let text = Text { text: key.to_owned(), style: Style::Quoted };
        Node { line: 0, value: Value::Text(text) }
    }
}

impl Text {
    /// Whether it is text to Kubernetes, which reads YAML as it was before version 1.2.
    pub(super) fn is_text(&self) -> bool {
        self.style == Style::Quoted || self.other_than_text().is_none()
    }

    /// What a plain scalar is when it is not text.
    pub(super) fn other_than_text(&self) -> Option<&'static str> {
        const WORDS: [&str; 8] = ["y", "yes", "on", "true", "n", "no", "off", "false"];
        let text = self.text.as_str();
        let cased = text == text.to_lowercase() || text == text.to_uppercase() || {
            let rest = text.chars().skip(1);
            rest.clone().all(|c| !c.is_uppercase()) && text.starts_with(char::is_uppercase)
        };
        if cased && WORDS.contains(&text.to_lowercase().as_str()) {
            return Some("true or false");
        }
        is_number(text).then_some("a number")
    }
}

/// Whether YAML sees a number: whole, in another base, with a fraction, an exponent, or none that can be counted.
fn is_number(text: &str) -> bool {
    let text = text.replace('_', "");
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(&text);
    if let ".inf" | ".Inf" | ".INF" | ".nan" | ".NaN" | ".NAN" = unsigned {
        return true;
    }
    for (prefix, base) in [("0x", 16), ("0o", 8), ("0b", 2)] {
        if let Some(digits) = unsigned.strip_prefix(prefix) {
            return u64::from_str_radix(digits, base).is_ok();
        }
    }
    let starts = unsigned.trim_start_matches('.').starts_with(|c: char| c.is_ascii_digit());
    let letters = |c: char| c.is_ascii_digit() || matches!(c, '.' | 'e' | 'E' | '-' | '+');
    starts && unsigned.chars().all(letters) && unsigned.parse::<f64>().is_ok()
}
