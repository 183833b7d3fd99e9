//! What RAUC answers, read from an input: errors, bodies byte by byte, or maps of the right form with anything inside.

use std::collections::HashMap;
use zbus::zvariant::{StructureBuilder, Value};

/// The bundle that is verified and installed, by its manifest's hash.
pub const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// RAUC's keys (RAUC reference, "D-Bus API"), and one that it does not have.
const KEYS: [&str; 22] = [
    "Progress",
    "activated.count",
    "adaptive",
    "boot-status",
    "bootname",
    "bundle",
    "bundle.hash",
    "bundle.version",
    "checksum",
    "compatible",
    "filename",
    "format",
    "images",
    "installed.count",
    "installed.timestamp",
    "manifest-hash",
    "nothing",
    "size",
    "slot-class",
    "state",
    "update",
    "version",
];

/// RAUC's words.
const WORDS: [&str; 10] =
    ["A", "B", "rootfs", "boot", "verity", "1.2.0", "steadfast-qemu-arm64", DIGEST, "ok", "idle"];

/// How deep maps lie in maps.
const DEEPEST: u8 = 4;

/// How many members a map or a list has at most.
const WIDEST: u8 = 8;

/// RAUC's maps.
pub type Map = HashMap<&'static str, Value<'static>>;

/// What is read from an input, piece by piece; zeros where it has ended.
#[derive(Debug)]
pub struct Script {
    bytes: Vec<u8>,
    at: usize,
    named: bool,
}

/// How one call is answered.
#[derive(Debug)]
pub enum Answer {
    /// With an error of this text.
    Error(String),
    /// With these bytes as the body.
    Raw(Vec<u8>),
    /// With a body of the right form.
    Values,
    /// As when all is well.
    Well,
}

impl Script {
    /// The script in these bytes.
    pub fn new(bytes: &[u8]) -> Script {
        Script { bytes: bytes.to_vec(), at: 0, named: false }
    }

    /// How the next call is answered.
    pub fn answer(&mut self) -> Answer {
        match self.byte() % 4 {
            0 => Answer::Well,
            1 => Answer::Values,
            2 => Answer::Error(self.text()),
            _ => Answer::Raw(self.piece()),
        }
    }

    /// Notes what is sent, so that it is known whether the bundle was named.
    pub(crate) fn note(&mut self, sent: &[u8]) {
        let digest = DIGEST.as_bytes();
        self.named |= sent.windows(digest.len()).any(|text| text.eq_ignore_ascii_case(digest));
    }

    /// Whether RAUC has named the bundle in any of its answers.
    pub fn has_named_the_bundle(&self) -> bool {
        self.named
    }

    /// A small number.
    pub fn count(&mut self) -> u8 {
        self.byte() % 5
    }

    /// A map of RAUC's keys.
    pub fn map(&mut self) -> Map {
        self.map_within(0)
    }

    /// Any value.
    pub fn value(&mut self) -> Value<'static> {
        self.value_within(0)
    }

    fn byte(&mut self) -> u8 {
        let byte = self.bytes.get(self.at).copied().unwrap_or(0);
        self.at += 1;
        byte
    }

    fn number(&mut self) -> u64 {
        u64::from_le_bytes(std::array::from_fn(|_| self.byte()))
    }

    /// As many bytes as its first two say.
    fn piece(&mut self) -> Vec<u8> {
        let length = usize::from(u16::from_le_bytes([self.byte(), self.byte()]));
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let piece = rest[..length.min(rest.len())].to_vec();
        self.at += piece.len();
        piece
    }

    fn text(&mut self) -> String {
        String::from_utf8_lossy(&self.piece()).replace('\0', " ")
    }

    fn map_within(&mut self, depth: u8) -> Map {
        let count = self.byte() % WIDEST;
        let key = |byte: u8| KEYS[usize::from(byte) % KEYS.len()];
        (0..count).map(|_| (key(self.byte()), self.value_within(depth + 1))).collect()
    }

    fn value_within(&mut self, depth: u8) -> Value<'static> {
        let kinds = if depth < DEEPEST { 14 } else { 10 };
        match self.byte() % kinds {
            0..=3 => Value::from(WORDS[usize::from(self.byte()) % WORDS.len()]),
            4 => Value::from(self.text()),
            5 => Value::from(self.number()),
            6 => Value::from(self.number() as u32),
            7 => Value::from(self.number() as i64),
            8 => Value::from(f64::from_bits(self.number())),
            9 => {
                let count = self.byte() % WIDEST;
                Value::from((0..count).map(|_| self.text()).collect::<Vec<String>>())
            }
            10 => Value::Value(Box::new(self.value_within(depth + 1))),
            11 => Value::from(self.map_within(depth)),
            12 => {
                let count = self.byte() % WIDEST;
                Value::from((0..count).map(|_| self.map_within(depth)).collect::<Vec<Map>>())
            }
            _ => {
                let progress = StructureBuilder::new().add_field(self.number() as i32);
                let progress = progress.add_field(self.text()).add_field(self.number() as i32);
                progress.build().expect("three fields").into()
            }
        }
    }

    /// What RAUC says of a bundle that is whole.
    pub(crate) fn good_bundle() -> Map {
        let update = [("compatible", "steadfast-qemu-arm64"), ("version", "1.2.0")];
        let image = |class: &'static str, size: u64| {
            Map::from([("slot-class", Value::from(class)), ("size", Value::from(size))])
        };
        Map::from([
            ("manifest-hash", Value::from(DIGEST)),
            ("update", Value::from(HashMap::from(update))),
            ("bundle", Value::from(HashMap::from([("format", "verity")]))),
            ("images", Value::from(vec![image("boot", 7), image("rootfs", 60)])),
        ])
    }

    /// What RAUC says of the slot that it was written to.
    pub(crate) fn good_slot() -> Map {
        let texts = [("bootname", "B"), ("state", "inactive"), ("bundle.hash", DIGEST)];
        texts.map(|(key, text)| (key, Value::from(text))).into()
    }
}
