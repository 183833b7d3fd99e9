//! Which set belongs to a slot, as it is written down.
//!
//! Lines of a key and a value, the first one the format's name and the last one `end`; a record that is not whole is
//! an error and never "no set", because then the pods of a slot would be gone without a word.

use super::{SetStoreError, synced};
use std::fs::{self, File};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use steadfast_core::{Digest, SetId};

/// The format's name, and the first line.
const FORMAT: &str = "steadfast-slot 1";

/// What belongs to a slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// The set.
    pub set: Option<SetId>,
    /// The one before it, as long as the slot may have to go back to it.
    pub before: Option<SetId>,
}

impl Record {
    /// The record at `path`; where none was ever written, nothing belongs to the slot.
    pub(super) fn read(path: &Path) -> Result<Record, SetStoreError> {
        match fs::read(path) {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Record::default()),
            Err(source) => Err(SetStoreError::Unread { path: path.to_owned(), source }),
            Ok(bytes) => {
                let text = std::str::from_utf8(&bytes).ok();
                let record = text.and_then(Record::parse);
                record.ok_or_else(|| SetStoreError::Record(path.to_owned()))
            }
        }
    }

    /// Replaces the record at `path`, at once: after a cut there is the old one or the new one.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let fresh = path.with_extension("fresh");
        let mut options = File::options();
        let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&fresh)?;
        file.write_all(self.text().as_bytes())?;
        file.sync_all()?;
        fs::rename(&fresh, path)?;
        path.parent().map_or(Ok(()), synced)
    }

    fn text(&self) -> String {
        let line = |key: &str, set: Option<SetId>| match set {
            Some(SetId { digest, generation }) => format!("{key} {digest} {generation}\n"),
            None => format!("{key} none\n"),
        };
        let (set, before) = (line("set", self.set), line("before", self.before));
        format!("{FORMAT}\n{set}{before}end\n")
    }

    pub(super) fn parse(text: &str) -> Option<Record> {
        let body = text.strip_prefix(FORMAT)?.strip_prefix('\n')?.strip_suffix("end\n")?;
        let mut lines = body.lines();
        let mut set = |key: &str| {
            let line = lines.next()?.strip_prefix(key)?.strip_prefix(' ')?;
            match line.split_once(' ') {
                None => (line == "none").then_some(None),
                Some((digest, generation)) => {
                    let generation = generation.parse().ok()?;
                    Some(Some(SetId { digest: Digest::from_hex(digest)?, generation }))
                }
            }
        };
        let record = Record { set: set("set")?, before: set("before")? };
        lines.next().is_none().then_some(record)
    }
}
