//! The part of a bundle that came so far.
//!
//! ```text
//! write … write ─▶ fdatasync ─▶ record (written anew, renamed, folder synced) ─▶ write …
//! ```
//!
//! Always true: its length is that of the bytes that came in a row from the first one. After a power cut a file
//! system may give zeros behind what was synced, so then it is cut back to its record; an agent that was only
//! killed loses nothing that it had written, because the kernel still has it.

use super::{DownloadError, Downloads, Record};
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use steadfast_core::Offer;

/// The part of a bundle that came so far, held by this agent alone.
#[derive(Debug)]
pub struct Partial {
    downloads: Downloads,
    file: File,
    path: PathBuf,
    record_path: PathBuf,
    whole: PathBuf,
    record: Option<Record>,
    length: u64,
}

impl Partial {
    pub(super) fn open(downloads: &Downloads, offer: &Offer) -> Result<Partial, DownloadError> {
        let path = downloads.file(offer, "part");
        let record_path = downloads.file(offer, "record");
        let record = Record::read(&record_path);
        let opened = (|| {
            let mut options = File::options();
            let options = options.create(true).truncate(false).read(true).write(true).mode(0o600);
            let mut file = options.open(&path)?;
            let lock = rustix::fs::FlockOperation::NonBlockingLockExclusive;
            let locked = rustix::fs::flock(&file, lock);
            locked.map_err(|_| io::Error::other("another agent downloads it"))?;
            let found = file.metadata()?.len();
            let length = record.as_ref().map_or(0, |record| record.trusted(found, downloads.boot));
            if length != found {
                file.set_len(length)?;
                file.sync_all()?;
            }
            file.seek(SeekFrom::Start(length))?;
            Ok((file, length))
        })();
        let (file, length) = opened.map_err(|source| downloads.unwritten(source))?;
        let record = record.filter(|_| length > 0);
        let whole = downloads.file(offer, "raucb");
        Ok(Partial { downloads: downloads.clone(), file, path, record_path, whole, record, length })
    }

    /// How many bytes came.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Where they came from; nothing as long as there are none.
    pub fn record(&self) -> Option<&Record> {
        self.record.as_ref()
    }

    /// Whether all of it came.
    pub fn is_whole(&self) -> bool {
        self.record.as_ref().is_some_and(|record| record.total == self.length)
    }

    /// Writes down where the next bytes come from, after making sure that they fit.
    pub fn comes_from(
        &mut self,
        source: &str,
        validator: Option<&str>,
        total: u64,
    ) -> Result<(), DownloadError> {
        self.downloads.room(total.saturating_sub(self.length))?;
        let (source, validator) = (source.to_owned(), validator.map(str::to_owned));
        let (synced, boot) = (self.length, self.downloads.boot);
        let record = Record { source, validator, total, synced, boot };
        let known = self.record.as_ref().map(|known| Record { synced, ..known.clone() });
        if known.as_ref() == Some(&record) {
            return Ok(());
        }
        self.record = Some(record);
        self.sync()
    }

    /// Appends bytes. They are the agent's to lose only until the kernel has them, but a power cut may
    /// take what was not synced.
    pub fn append(&mut self, bytes: &[u8]) -> Result<(), DownloadError> {
        self.file.write_all(bytes).map_err(|source| self.unwritten(source))?;
        self.length += bytes.len() as u64;
        Ok(())
    }

    /// Makes sure that no power cut takes away what came so far, and that the rest of the node still has its
    /// room.
    pub fn sync(&mut self) -> Result<(), DownloadError> {
        self.file.sync_data().map_err(|source| self.unwritten(source))?;
        let Some(record) = &mut self.record else { return Ok(()) };
        record.synced = self.length;
        let written = record.write(&self.record_path);
        written.map_err(|source| self.unwritten(source))?;
        self.downloads.room(0)
    }

    /// Forgets what came, to begin with the first byte again.
    pub fn restart(&mut self) -> Result<(), DownloadError> {
        let emptied = self.file.set_len(0).and_then(|()| self.file.rewind());
        emptied.map_err(|source| self.unwritten(source))?;
        (self.record, self.length) = (None, 0);
        Ok(())
    }

    /// Gives the whole bundle its name, under which RAUC reads it, and lets go of it: RAUC refuses what
    /// somebody may write.
    pub fn finish(self) -> Result<(), DownloadError> {
        let finished = self.file.sync_all().and_then(|()| fs::rename(&self.path, &self.whole));
        let finished = finished.and_then(|()| match self.record {
            Some(_) => fs::remove_file(&self.record_path),
            None => Ok(()),
        });
        finished.and_then(|()| sync_folder(&self.whole)).map_err(|source| self.unwritten(source))
    }

    /// Where it is until it is whole.
    pub fn path(&self) -> &Path {
        &self.path
    }

    fn unwritten(&self, source: io::Error) -> DownloadError {
        self.downloads.unwritten(source)
    }
}

impl Record {
    /// How much of a file of this length is what came.
    fn trusted(&self, found: u64, boot: [u8; 16]) -> u64 {
        match self.boot == boot {
            _ if found < self.synced => 0,
            true => found.min(self.total),
            false => self.synced,
        }
    }
}

fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}
