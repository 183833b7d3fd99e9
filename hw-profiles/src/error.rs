//! Why a board file was not accepted, with the place to look at.

use std::io;
use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use crate::validate::Fault;

/// Why there is no profile.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// The file cannot be read.
    #[error("the hardware profile {path} could not be read", path = path.display())]
    Read {
        /// The file asked for.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No board is called so.
    #[error("there is no board {name}; there is {known}")]
    Unknown {
        /// The name asked for.
        name: String,
        /// The names that there are.
        known: String,
    },
    /// A board's file is called otherwise than the board.
    #[error("{path} describes the board {name}, so it must be called {name}.toml", path = path.display())]
    Misnamed {
        /// The file.
        path: PathBuf,
        /// What it calls its board.
        name: String,
    },
    /// The text is not a profile: not TOML, an unknown key, a missing key, a value of the wrong type.
    #[error("{file}:{line}: the hardware profile was not read: {message}")]
    Syntax {
        /// The file as the caller named it.
        file: String,
        /// 1-based line.
        line: usize,
        /// What is wrong, with the key's name.
        message: String,
    },
    /// A value contradicts another one, or is out of its range.
    #[error("{file}:{line}: the hardware profile was not accepted: {key} {why}")]
    Fault {
        /// The file as the caller named it.
        file: String,
        /// 1-based line.
        line: usize,
        /// The key as a dotted path, e.g. `boot.copy_size`.
        key: String,
        /// What is wrong with its value.
        why: String,
    },
}

impl ProfileError {
    pub(crate) fn syntax(file: &str, text: &str, source: &toml::de::Error) -> Self {
        let line = source.span().map_or(1, |span| line_at(text, span.start));
        Self::Syntax { file: file.to_owned(), line, message: source.message().to_owned() }
    }

    pub(crate) fn fault(file: &str, text: &str, fault: Fault) -> Self {
        let line = line_of_key(text, fault.key);
        Self::Fault { file: file.to_owned(), line, key: fault.key.to_owned(), why: fault.why }
    }
}

fn line_at(text: &str, offset: usize) -> usize {
    let before = text.as_bytes().iter().take(offset);
    1 + before.filter(|byte| **byte == b'\n').count()
}

/// The line of a dotted key; of the nearest table above it when the key itself is not written.
fn line_of_key(text: &str, dotted: &str) -> usize {
    let Ok(document) = DeTable::parse(text) else { return 1 };
    let mut table = Some(document.get_ref());
    let mut line = 1;
    for part in dotted.split('.') {
        let Some((key, value)) =
            table.and_then(|table| table.iter().find(|(key, _)| key.get_ref() == part))
        else {
            break;
        };
        line = line_at(text, key.span().start);
        table = match value.get_ref() {
            DeValue::Table(inner) => Some(inner),
            _ => None,
        };
    }
    line
}
