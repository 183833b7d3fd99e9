//! The node's workload sets: their archives, and which of them belongs to which boot slot.
//!
//! ```text
//! source ──copied──▶ releases/staging.part ──all of it verified──▶ releases/HEX.tar
//! slots/A, slots/B   which set belongs to the slot, and which one before it
//! ```
//!
//! Always true: what is called `.tar` was verified to its last byte, by whom the node trusts, and bears its own digest
//! as its name; a slot's record is written anew and renamed, so that after a cut there is the old one or the new one;
//! an archive that a record names is not removed; a reserve of the file system is left for the rest of the node. Why
//! beside the slots and not in them: a slot is read-only and verified, and the set may change without it.

mod error;
mod port;
mod record;
#[cfg(test)]
mod tests;

pub use error::SetStoreError;
pub use port::{SetAction, SetPort};
pub use record::Record;

use crate::downloads::RESERVE;
use crate::manifest::Policy;
use crate::workload_set::{Demands, Keyring, WorkloadSet, read, read_again};
use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use steadfast_core::{Assigned, Node, Pending, SetId, Slot, StagedSet, Update};
use tokio::sync::watch;

/// How much is copied at once, in bytes.
const CHUNK: usize = 128 << 10;
/// A set on its way.
const STAGING: &str = "staging.part";

/// What a set has to be that this node takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Terms {
    /// The PEM file of the keys whose sets are taken; without that file no set is.
    pub keyring: PathBuf,
    /// What images have to be for, as OCI calls it.
    pub architecture: String,
    /// What pods may have.
    pub policy: Policy,
}

/// What belongs to a slot, ready to be run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Current {
    /// The set.
    pub set: WorkloadSet,
    /// Its archive, with the images.
    pub archive: PathBuf,
}

/// The sets of this node. All copies of it are one store.
#[derive(Clone, Debug)]
pub struct SetStore {
    releases: PathBuf,
    slots: PathBuf,
    terms: Arc<Terms>,
    reserve: u64,
    changed: Arc<watch::Sender<u64>>,
}

impl SetStore {
    /// The folders `releases` and `slots` of the agent's data.
    pub fn new(data: &Path, terms: Terms) -> SetStore {
        let (releases, slots) = (data.join("releases"), data.join("slots"));
        let changed = Arc::new(watch::channel(0).0);
        SetStore { releases, slots, terms: Arc::new(terms), reserve: RESERVE, changed }
    }

    /// The same, leaving so many bytes to the rest of the node.
    pub fn leaving(self, reserve: u64) -> SetStore {
        SetStore { reserve, ..self }
    }

    /// Whether any set would be taken: there is a keyring.
    pub fn takes(&self) -> Result<(), SetStoreError> {
        self.keyring().map(drop)
    }

    /// Told after each change of which set belongs to a slot.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Copies a set and verifies all of it. Until that is done it has no name under which anybody would find it.
    pub fn stage(&self, source: &Path) -> Result<StagedSet, SetStoreError> {
        let keyring = self.keyring()?;
        let part = self.copy(source)?;
        let Terms { architecture, policy, .. } = &*self.terms;
        let demands = Demands { keyring: Some(&keyring), architecture: Some(architecture), policy };
        let found = read(&part, demands);
        let named = found.map_err(SetStoreError::Set).and_then(|found| {
            let archive = self.archive(&found.set_id());
            let renamed = fs::rename(&part, &archive).and_then(|()| synced(&self.releases));
            renamed.map_err(|source| SetStoreError::write(&archive, source))?;
            Ok(StagedSet { set: found.set_id(), minimum_os: found.minimum_os })
        });
        if named.is_err() {
            // The error that matters is the one before; what is left is removed with the next look.
            let _ = fs::remove_file(&part);
        }
        named
    }

    /// Lets this set belong to the slot, or none.
    pub fn assign(&self, slot: Slot, set: Option<SetId>) -> Result<(), SetStoreError> {
        self.write(slot, Record { set, before: None })
    }

    /// What belongs to the slot; nothing where nothing was ever assigned.
    pub fn of(&self, slot: Slot) -> Result<Record, SetStoreError> {
        Record::read(&self.record(slot))
    }

    /// The same, in the core's words.
    pub fn assigned(&self, slot: Slot) -> Assigned {
        match self.of(slot) {
            Ok(Record { set: Some(set), .. }) => Assigned::Set(set),
            Ok(Record { set: None, .. }) => Assigned::Nothing,
            Err(error) => {
                tracing::error!(error = crate::chain(&error), "the slot's set is not known");
                Assigned::Unknown
            }
        }
    }

    /// What is to be run while this slot runs.
    pub fn current(&self, slot: Slot) -> Result<Option<Current>, SetStoreError> {
        let Some(id) = self.of(slot)?.set else { return Ok(None) };
        let archive = self.archive(&id);
        if !archive.exists() {
            return Err(SetStoreError::Gone(id));
        }
        let set = read_again(&archive, &self.terms.policy).map_err(SetStoreError::Set)?;
        match set.set_id() == id {
            true => Ok(Some(Current { set, archive })),
            false => Err(SetStoreError::Other { archive, found: set.set_id() }),
        }
    }

    /// Removes the archives that no slot and nothing under way needs. Done once the entry is saved that says so.
    pub fn keep(&self, needed: &Needed) -> Result<(), SetStoreError> {
        let Needed::These(sets) = needed else { return Ok(()) };
        let mut named: BTreeSet<String> = sets.iter().map(file_name).collect();
        for slot in Slot::ALL {
            // A record that cannot be read may name any of them.
            let Record { set, before } = self.of(slot)?;
            named.extend(set.iter().chain(&before).map(file_name));
        }
        let unread = |source| SetStoreError::write(&self.releases, source);
        let entries = match fs::read_dir(&self.releases) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
            entries => entries.map_err(unread)?,
        };
        for entry in entries {
            let path = entry.map_err(unread)?.path();
            let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
            let ours = name == STAGING || name.ends_with(".tar");
            if ours && !named.contains(name) {
                fs::remove_file(&path).map_err(|source| SetStoreError::write(&path, source))?;
                tracing::info!(file = %path.display(), "no slot needs this set any more");
            }
        }
        Ok(())
    }

    fn write(&self, slot: Slot, record: Record) -> Result<(), SetStoreError> {
        if let Some(set) = record.set.filter(|set| !self.archive(set).exists()) {
            return Err(SetStoreError::Gone(set));
        }
        let path = self.record(slot);
        if self.of(slot).is_ok_and(|known| known == record) && path.exists() {
            return Ok(());
        }
        let written = made(&self.slots).and_then(|()| record.write(&path));
        written.map_err(|source| SetStoreError::write(&path, source))?;
        self.changed.send_modify(|count| *count += 1);
        Ok(())
    }

    fn keyring(&self) -> Result<Keyring, SetStoreError> {
        let path = &self.terms.keyring;
        match path.exists() {
            true => Keyring::read(path).map_err(SetStoreError::Keyring),
            false => Err(SetStoreError::NoKeyring(path.clone())),
        }
    }

    /// A copy of the source, synced; what it holds is not looked at.
    fn copy(&self, source: &Path) -> Result<PathBuf, SetStoreError> {
        let unread = |error| SetStoreError::Source { path: source.to_owned(), source: error };
        let found = fs::metadata(source).map_err(unread)?;
        if !found.is_file() {
            return Err(SetStoreError::NoFile(source.to_owned()));
        }
        let mut from = File::open(source).map_err(unread)?;
        let part = self.releases.join(STAGING);
        let unwritten = |error| SetStoreError::write(&part, error);
        made(&self.releases).map_err(unwritten)?;
        // What a cut left is given up first: it takes the room that is measured next.
        let mut options = File::options();
        let options = options.create(true).truncate(true).write(true).mode(0o600);
        let mut to = options.open(&part).map_err(unwritten)?;
        self.room(found.len())?;
        let mut chunk = vec![0; CHUNK];
        let mut left = found.len();
        while left > 0 {
            let count = usize::try_from(left).map_or(CHUNK, |left| left.min(CHUNK));
            from.read_exact(&mut chunk[..count]).map_err(unread)?;
            to.write_all(&chunk[..count]).map_err(unwritten)?;
            left -= count as u64;
        }
        to.sync_all().map_err(unwritten)?;
        Ok(part)
    }

    fn room(&self, wanted: u64) -> Result<(), SetStoreError> {
        let found = rustix::fs::statvfs(&self.releases).map_err(io::Error::from);
        let found = found.map_err(|source| SetStoreError::write(&self.releases, source))?;
        let (free, reserve) = (found.f_bavail.saturating_mul(found.f_frsize), self.reserve);
        match wanted.saturating_add(reserve) <= free {
            true => Ok(()),
            false => Err(SetStoreError::Full { wanted, free, reserve }),
        }
    }

    fn archive(&self, set: &SetId) -> PathBuf {
        self.releases.join(file_name(set))
    }

    fn record(&self, slot: Slot) -> PathBuf {
        self.slots.join(slot.name())
    }
}

fn file_name(set: &SetId) -> String {
    format!("{}.tar", set.digest)
}

/// Makes a folder that only root reads: a set holds Secrets.
fn made(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

/// Makes the names in a folder outlive a power cut.
fn synced(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

/// Which archives are needed beside those that the slots name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Needed {
    /// One is being staged, and nobody knows yet what it is: nothing is removed.
    All,
    /// These.
    These(Vec<SetId>),
}

impl Needed {
    /// What the node's memory says.
    pub fn by(node: &Node) -> Needed {
        let staged = match &node.update {
            Update::Staging { .. } => return Needed::All,
            Update::Installing { set, .. } => *set,
            update => update.trial().and_then(|trial| trial.set),
        };
        let waits = match &node.pending {
            Pending::Ready(trial, _) => trial.set,
            Pending::Nothing | Pending::Offer(..) => None,
        };
        let kept = node.committed.iter().chain(&node.previous).filter_map(|it| it.set);
        Needed::These(staged.into_iter().chain(waits).chain(node.set).chain(kept).collect())
    }
}
