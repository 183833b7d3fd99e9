//! The headers of a tar archive, one after the other: what each file is called, and where it lies.

use super::*;
use std::io::Seek;
use tar::{Archive, EntryType};

/// How long an extended header of pax may be, in bytes.
const MAX_EXTENDED: u64 = 64 << 10;

pub(super) struct Scan<'f> {
    pub(super) file: &'f File,
    /// Of the archive, in bytes.
    pub(super) length: u64,
    pub(super) extra: Extra,
    pub(super) files: BTreeMap<String, Place>,
    /// The last file that was found.
    pub(super) last: String,
}

impl Scan<'_> {
    /// Finds all files. The answer is where the last one ends.
    pub(super) fn files(&mut self) -> Result<u64, LayoutError> {
        let mut file = self.file;
        file.rewind().map_err(LayoutError::Read)?;
        let mut archive = Archive::new(file);
        let not_tar = |after: &str, source| LayoutError::NotTar { after: after.into(), source };
        // Raw: no extension of the format changes a name or a size behind our back.
        let entries = archive.entries_with_seek().map_err(LayoutError::Read)?.raw(true);
        let mut end = 0;
        for (number, entry) in entries.enumerate() {
            if number >= MAX_FILES {
                return Err(LayoutError::Many);
            }
            let entry = entry.map_err(|error| match self.length < end + BLOCK {
                true => LayoutError::CutOff(self.last.clone()),
                false => not_tar(&self.last, error),
            })?;
            let name = String::from_utf8_lossy(&entry.header().path_bytes()).into_owned();
            let size = entry.header().entry_size().map_err(|error| not_tar(&self.last, error))?;
            let place = Place { at: entry.raw_file_position(), size };
            let behind = place.at.checked_add(size).filter(|end| *end <= self.length);
            let behind = behind.ok_or_else(|| LayoutError::CutOff(name.clone()))?;
            self.entry(&name, entry.header().entry_type(), place)?;
            self.last = name;
            end = behind.next_multiple_of(BLOCK);
            self.zeros(behind, end)?;
        }
        Ok(end)
    }

    fn entry(&mut self, name: &str, kind: EntryType, place: Place) -> Result<(), LayoutError> {
        let relative = name.strip_prefix("./").unwrap_or(name);
        let kind = match kind {
            EntryType::Regular => return self.regular(relative, place),
            EntryType::Directory => return self.folder(relative.trim_end_matches('/'), place),
            EntryType::XHeader | EntryType::XGlobalHeader => return self.extended(name, place),
            EntryType::Link => "a hard link",
            EntryType::Symlink => "a symbolic link",
            EntryType::Char | EntryType::Block => "a device",
            EntryType::Fifo => "a pipe",
            EntryType::GNUSparse => "a file with holes",
            EntryType::GNULongName | EntryType::GNULongLink => "a name of more than 100 bytes",
            _ => "something else",
        };
        Err(LayoutError::Kind { name: name.to_owned(), kind })
    }

    fn regular(&mut self, name: &str, place: Place) -> Result<(), LayoutError> {
        let blob = name.strip_prefix(BLOBS).and_then(Digest::from_hex);
        let own = matches!(name, "oci-layout" | "index.json" | "manifest.json")
            || blob.is_some_and(|digest| path(&digest) == name);
        let own = own && (name != "manifest.json" || self.extra == Extra::PassedOver);
        if !own && (self.extra == Extra::Refused || !stays_within(name)) {
            return Err(LayoutError::Path(name.to_owned()));
        }
        match self.files.insert(name.to_owned(), place) {
            Some(_) => Err(LayoutError::Twice(name.to_owned())),
            None => Ok(()),
        }
    }

    fn folder(&self, name: &str, place: Place) -> Result<(), LayoutError> {
        let own = matches!(name, "" | "." | "blobs" | "blobs/sha256");
        let taken = own || (self.extra == Extra::PassedOver && stays_within(name));
        match taken && place.size == 0 {
            true => Ok(()),
            false => Err(LayoutError::Path(name.to_owned())),
        }
    }

    /// An extended header may say more of the time and the owner of a file, and nothing else.
    fn extended(&self, name: &str, Place { at, size }: Place) -> Result<(), LayoutError> {
        let kind = "a header that gives the next file another name, size or kind";
        let refused = || LayoutError::Kind { name: name.to_owned(), kind };
        let length = usize::try_from(size).ok().filter(|_| size <= MAX_EXTENDED);
        let mut bytes = vec![0; length.ok_or_else(refused)?];
        self.file.read_exact_at(&mut bytes, at).map_err(LayoutError::Read)?;
        // Where the crate stops reading records, others go on.
        if bytes.windows(2).any(|pair| pair == b"\n\n") {
            return Err(refused());
        }
        let harmless = ["mtime", "atime", "ctime", "uid", "gid", "uname", "gname", "comment"];
        for record in tar::PaxExtensions::new(&bytes) {
            let record = record.map_err(|_| refused())?;
            if !record.key().is_ok_and(|key| harmless.contains(&key)) {
                return Err(refused());
            }
        }
        Ok(())
    }

    /// What is between the files and behind them says nothing.
    pub(super) fn zeros(&self, from: u64, to: u64) -> Result<(), LayoutError> {
        let mut chunk = [0; 4096];
        let mut at = from;
        while at < to.min(self.length) {
            let count = usize::try_from(to.min(self.length) - at).map_or(4096, |it| it.min(4096));
            self.file.read_exact_at(&mut chunk[..count], at).map_err(LayoutError::Read)?;
            if chunk[..count].iter().any(|byte| *byte != 0) {
                return Err(LayoutError::Between(self.last.clone()));
            }
            at += count as u64;
        }
        Ok(())
    }
}

/// Whether a path is relative and goes only down.
fn stays_within(name: &str) -> bool {
    !name.is_empty() && name.split('/').all(|part| !matches!(part, "" | "." | ".."))
}
