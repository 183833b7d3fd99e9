//! The boot store: the two-copy boot environment on its raw partition.
//!
//! ```text
//! lock ─▶ read both copies ─▶ change the newest ─▶ write the other ─▶ fsync ─▶ read back
//! ```
//!
//! Always true: the copy that counts is never written; one writer at a time (a lock, since RAUC calls
//! `steadfast boot-state` as a process of its own); a write that cannot be read back is an error.

use rustix::fs::{Advice, FlockOperation, fadvise, flock};
use std::fs::File;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::PathBuf;
use steadfast_core::boot_env::{self, BootEnv, BootEnvError, COPY_SIZE, CopyIndex, Current};
use steadfast_core::{Cause, Event, Failure, Port, Slot};

/// How many boots a slot gets.
#[derive(Clone, Copy, Debug)]
pub struct Attempts {
    /// Before it was committed.
    pub trial: u8,
    /// Once it is.
    pub committed: u8,
}

/// Where the environment is.
#[derive(Clone, Debug)]
pub struct Place {
    /// The raw partition, or a file of its layout.
    pub device: PathBuf,
    /// Where its two copies start, in bytes.
    pub offsets: [u64; 2],
    /// The file that is locked by whoever writes.
    pub lock: PathBuf,
}

/// Why the boot environment could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum BootStoreError {
    /// The lock could not be taken.
    #[error("the lock {path} could not be taken")]
    Lock {
        /// The lock's file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The partition could not be opened.
    #[error("{path} could not be opened")]
    Open {
        /// The partition.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A copy could not be read.
    #[error("the boot environment could not be read")]
    Read(#[source] std::io::Error),
    /// A copy could not be written; the one that counts is as it was.
    #[error("the boot environment could not be written")]
    Write(#[source] std::io::Error),
    /// What was read back is not what was written.
    #[error("the boot environment does not read back as it was written")]
    ReadBack,
}

/// Both copies, and the one that counts.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What each copy says, or why it is not valid.
    pub copies: [Result<BootEnv, BootEnvError>; 2],
    /// What counts.
    pub current: Current,
}

/// The boot store of this node.
#[derive(Clone, Debug)]
pub struct BootStore {
    place: Place,
    attempts: Attempts,
}

/// What the boot store is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BootAction {
    /// Boot this slot next, on trial.
    Activate(Slot),
    /// Keep booting this slot.
    Commit(Slot),
    /// Never boot this slot again.
    Condemn(Slot),
}

impl BootStore {
    /// The store at this place.
    pub fn new(place: Place, attempts: Attempts) -> BootStore {
        BootStore { place, attempts }
    }

    /// How many boots a slot gets.
    pub fn attempts(&self) -> Attempts {
        self.attempts
    }

    /// Reads both copies.
    pub fn read(&self) -> Result<Snapshot, BootStoreError> {
        let path = &self.place.device;
        let opened = File::open(path);
        let file = opened.map_err(|source| BootStoreError::Open { path: path.clone(), source })?;
        self.snapshot(&file)
    }

    /// Changes what counts, and proves by reading back that it is changed. An environment that is as
    /// wanted already, in two whole copies, is left alone.
    pub fn change(
        &self,
        change: impl FnOnce(&BootEnv) -> BootEnv,
    ) -> Result<BootEnv, BootStoreError> {
        let _lock = self.lock()?;
        let path = &self.place.device;
        let opened = File::options().read(true).write(true).open(path);
        let file = opened.map_err(|source| BootStoreError::Open { path: path.clone(), source })?;
        let before = self.snapshot(&file)?;
        let wanted = change(&before.current.env);
        let same = BootEnv { sequence: wanted.sequence, ..before.current.env.clone() } == wanted;
        if same && before.copies.iter().all(Result::is_ok) {
            return Ok(before.current.env);
        }
        let offset = self.offset(before.current.next_copy());
        file.write_all_at(&wanted.encode(), offset).map_err(BootStoreError::Write)?;
        file.sync_data().map_err(BootStoreError::Write)?;
        // Drop the page cache, so that the next read asks the medium. Best effort: a file on a RAM
        // file system has nothing behind its cache.
        let _ = fadvise(&file, 0, None, Advice::DontNeed);
        match self.snapshot(&file)?.current.env == wanted {
            true => Ok(wanted),
            false => Err(BootStoreError::ReadBack),
        }
    }

    fn lock(&self) -> Result<File, BootStoreError> {
        let path = &self.place.lock;
        let error = |source| BootStoreError::Lock { path: path.clone(), source };
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(error)?;
        }
        // Nobody but root may take it, so that nobody else can make the node wait.
        let file = File::options().create(true).truncate(false).write(true).mode(0o600).open(path);
        let file = file.map_err(error)?;
        flock(&file, FlockOperation::LockExclusive).map_err(|code| error(code.into()))?;
        Ok(file)
    }

    fn offset(&self, copy: CopyIndex) -> u64 {
        self.place.offsets[copy as usize]
    }

    fn snapshot(&self, file: &File) -> Result<Snapshot, BootStoreError> {
        let copy = |copy| {
            let mut bytes = [0; COPY_SIZE];
            file.read_exact_at(&mut bytes, self.offset(copy)).map_err(BootStoreError::Read)?;
            Ok(BootEnv::decode(&bytes))
        };
        let copies = [copy(CopyIndex::First)?, copy(CopyIndex::Second)?];
        let current = boot_env::current(&copies[0], &copies[1], self.attempts.trial);
        Ok(Snapshot { copies, current })
    }
}

impl Port for BootStore {
    type Action = BootAction;

    async fn perform(&mut self, action: BootAction) -> Event {
        let Attempts { trial, committed } = self.attempts;
        let done = match action {
            BootAction::Activate(slot) => self.change(|env| env.activated(slot, trial)),
            BootAction::Commit(slot) => self.change(|env| env.committed(slot, committed)),
            BootAction::Condemn(slot) => self.change(|env| env.condemned(slot, trial)),
        };
        let done = done.map(drop).map_err(|error| {
            let chain = crate::chain(&error);
            Failure::new(Cause::Write, format_args!("{chain}"))
        });
        match action {
            BootAction::Activate(_) => Event::Activated(done),
            BootAction::Commit(_) => Event::Committed(done),
            BootAction::Condemn(_) => Event::Condemned(done),
        }
    }
}

#[cfg(test)]
mod tests;
