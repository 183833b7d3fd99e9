//! A pod's labels or annotations, as it is told of them.
//!
//! Always true: what many files and variables are given of them is there once.

use super::config::Content;
use std::collections::BTreeMap;

/// Labels or annotations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Texts {
    each: BTreeMap<String, Content>,
    all: Content,
}

impl Texts {
    pub(super) fn new(texts: Vec<(String, String)>) -> Texts {
        let texts: BTreeMap<String, String> = texts.into_iter().collect();
        let all = Content::of(&listed(&texts));
        let each = texts.into_iter().map(|(key, text)| (key, Content::of(&text)));
        Texts { each: each.collect(), all }
    }

    /// The one with this key; empty when there is none, as in Kubernetes.
    pub(super) fn one(&self, key: &str) -> Content {
        self.each.get(key).cloned().unwrap_or_default()
    }

    /// `key="value"` a line, in the order of the keys, with the value as Go writes it in quotes.
    pub(super) fn all(&self) -> Content {
        self.all.clone()
    }
}

fn listed(map: &BTreeMap<String, String>) -> String {
    let lines = map.iter().map(|(key, value)| {
        let mut line = format!("{key}=\"");
        value.chars().for_each(|letter| quote(letter, &mut line));
        line + "\""
    });
    lines.collect::<Vec<_>>().join("\n")
}

/// A letter as Go's `%q` writes it.
fn quote(letter: char, line: &mut String) {
    let code = u32::from(letter);
    let named = ['a', 'b', 't', 'n', 'v', 'f', 'r'];
    match (letter, code) {
        ('"' | '\\', _) => line.extend(['\\', letter]),
        (_, 7..=13) => line.extend(['\\', named[code as usize - 7]]),
        (_, 0..32 | 127) => line.push_str(&format!("\\x{code:02x}")),
        (_, 128..160) => line.push_str(&format!("\\u{code:04x}")),
        _ => line.push(letter),
    }
}
