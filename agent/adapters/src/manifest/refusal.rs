//! What is not taken: where it stands, and why, in the operator's words.

use std::fmt;

/// One thing in a set that is not taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Refusal {
    /// The file, as its [`super::Source`] is named.
    pub file: String,
    /// The line in it, counted from 1.
    pub line: usize,
    /// The field, as Kubernetes writes it: `spec.containers[0].volumeMounts[1].mountPropagation`. Empty for what is
    /// wrong with the file itself.
    pub path: String,
    /// Why, as the end of a sentence that begins with the path. No value of a Secret is ever in it.
    pub because: String,
}

/// How many characters a reason may have: it can quote what the manifest says.
const LONGEST: usize = 400;

impl Refusal {
    /// The reason becomes one line that a terminal can show, whatever it quotes.
    pub(super) fn new(file: &str, line: usize, path: String, because: &str) -> Refusal {
        let shown = |letter: char| match letter.is_control() {
            true => letter.escape_debug().collect::<String>(),
            false => letter.to_string(),
        };
        let mut reason: String = because.chars().take(LONGEST).map(shown).collect();
        if because.chars().nth(LONGEST).is_some() {
            reason.push('…');
        }
        Refusal { file: file.to_owned(), line, path, because: reason }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Refusal { file, line, path, because } = self;
        match path.is_empty() {
            true => write!(f, "{file}, line {line}: {because}"),
            false => write!(f, "{file}, line {line}, {path}: {because}"),
        }
    }
}

impl std::error::Error for Refusal {}

/// Why a set is not taken: its refusals in the order of the files' names and lines, at most [`Refused::MOST`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}", self.told())]
pub struct Refused {
    /// The refusals, at least one.
    pub refusals: Vec<Refusal>,
    /// How many more there are.
    pub more: usize,
}

impl Refused {
    /// More are counted and not told.
    pub const MOST: usize = 100;

    /// One line for each.
    fn told(&self) -> String {
        let lines = self.refusals.iter().map(Refusal::to_string);
        let more = (self.more > 0).then(|| format!("and {} more", self.more));
        lines.chain(more).collect::<Vec<_>>().join("\n")
    }
}
