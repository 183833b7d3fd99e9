//! What is written down of a download beside its bytes.
//!
//! Lines of a key and a value, the last one `end`; a record that is not whole is no record.

use std::fs::{self, File};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The format's name, and the first line.
const FORMAT: &str = "steadfast-download 1";

/// Where the bytes come from, and how many of them no power cut can take away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The URL that was offered.
    pub source: String,
    /// What the server tells this content by, where it does (`http::Head::validator`).
    pub validator: Option<String>,
    /// How many bytes the whole has.
    pub total: u64,
    /// How many bytes were synced before this was written.
    pub synced: u64,
    /// The kernel's id of the boot in which this was written.
    pub boot: [u8; 16],
}

impl Record {
    /// The record at `path`, when it is there and whole.
    pub(super) fn read(path: &Path) -> Option<Record> {
        Record::parse(&fs::read_to_string(path).ok()?)
    }

    /// Replaces the record at `path`, at once: after a cut there is the old one or the new one.
    pub(super) fn write(&self, path: &Path) -> io::Result<()> {
        let fresh = path.with_extension("fresh");
        let mut options = File::options();
        let mut file = options.create(true).truncate(true).write(true).mode(0o600).open(&fresh)?;
        file.write_all(self.text().as_bytes())?;
        file.sync_data()?;
        fs::rename(&fresh, path)?;
        path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
    }

    fn text(&self) -> String {
        let Record { source, validator, total, synced, boot } = self;
        let boot = u128::from_be_bytes(*boot);
        let validator = validator.as_ref().map(|it| format!("validator {it}\n"));
        let validator = validator.unwrap_or_default();
        format!(
            "{FORMAT}\nsource {source}\n{validator}total {total}\nsynced {synced}\nboot {boot:032x}\nend\n"
        )
    }

    fn parse(text: &str) -> Option<Record> {
        let body = text.strip_prefix(FORMAT)?.strip_prefix('\n')?.strip_suffix("end\n")?;
        let value = |key: &str| {
            let mut lines = body.lines().filter_map(|line| line.split_once(' '));
            lines.find(|(name, _)| *name == key).map(|(_, value)| value)
        };
        Some(Record {
            source: value("source")?.to_owned(),
            validator: value("validator").map(str::to_owned),
            total: value("total")?.parse().ok()?,
            synced: value("synced")?.parse().ok()?,
            boot: u128::from_str_radix(value("boot")?, 16).ok()?.to_be_bytes(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> Record {
        let source = "https://host/a b?c=d#e".to_owned();
        Record { source, validator: None, total: 9, synced: 4, boot: [7; 16] }
    }

    #[test]
    fn a_record_is_read_as_it_was_written() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.record");
        for validator in [None, Some("\"a \\ b\"".to_owned())] {
            let record = Record { validator, ..record() };
            record.write(&path).expect("writable");
            assert_eq!(Record::read(&path), Some(record));
        }
    }

    #[test]
    fn a_record_that_is_cut_off_anywhere_is_none() {
        let text = record().text();
        for end in 0..text.len() {
            assert_eq!(Record::parse(&text[..end]), None, "{end}");
        }
    }
}
