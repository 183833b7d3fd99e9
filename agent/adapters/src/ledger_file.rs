//! The ledger on disk: segments of appended frames, each synced before anybody acts on it.
//!
//! ```text
//! ledger.3  ledger.2  ledger.1  ledger      oldest to newest; a segment ends at 1 MiB
//!                               entries | reserve
//! ```
//!
//! Always true: an entry that was reported as saved survives a power cut; a torn tail is cut off
//! before the next entry is appended; when the folder cannot be written the ledger goes on in memory
//! (a RAM file system) and says so, because a broken disk must not stop the node; what an agent wrote that
//! could not read the disk never takes the place of what the disk says ([`held`]); a closed segment that cannot be
//! read costs the node that much of its history, and nothing else ([`found`]); on a disk that had room once
//! the next 64 KiB have their blocks already, so that a verdict, its ending and the boot after it
//! are saved however full others make it ([`reserve`]).

mod found;
mod held;
mod reserve;

use found::{CLOSED, Found, closed, newest};
use held::{End, Held, Joint};
use reserve::Reserve;
use ring::digest::{SHA256, digest};
use std::fs::{self, File};
use std::io::{self, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use steadfast_core::Digest;
use steadfast_core::ledger::{self, Entry, Last};

/// A segment is closed when it grew past this size in bytes.
const SEGMENT: u64 = 1 << 20;

/// The newest segment while it is made anew.
const ANEW: &str = "ledger.anew";

/// The SHA-256 of some bytes.
pub fn sha256(bytes: &[u8]) -> Digest {
    let mut out = Digest::ZERO;
    out.0.copy_from_slice(digest(&SHA256, bytes).as_ref());
    out
}

/// Where the ledger is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// In the data file system.
    Data,
    /// In memory, because the data file system cannot be used.
    Memory,
}

/// What came of trying to leave memory for the disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recovered {
    /// Nothing: it is on the disk already, or the disk cannot be used yet.
    Unchanged,
    /// It is on the disk, with what was kept in memory.
    OnDisk,
    /// The disk's ledger is not the one that this agent goes on with, for it could not read that at its
    /// start: only an agent that starts anew can go on from there.
    DiskIsAhead,
}

/// The ledger of this node.
#[derive(Debug)]
pub struct LedgerFile {
    folder: PathBuf,
    /// Where it belongs, when it is in memory.
    folder_wanted: PathBuf,
    memory: PathBuf,
    kept: Kept,
    /// Whether it is in memory because the disk had no room when that was last tried.
    crowded_out: bool,
    file: File,
    length: u64,
    reserve: Reserve,
    entries: u64,
    damage: Option<String>,
    broken_at: Option<u64>,
    /// What there is, when this version of the agent understands none of it.
    foreign: Option<Foreign>,
}

/// Entries that only another version of the agent understands, and nothing else: what the next entry follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// How many they are.
    pub entries: u64,
    /// The digest of the last one.
    pub head: Digest,
}

impl LedgerFile {
    /// Opens the ledger in `folder` and says where to resume. What was kept in `memory` while the
    /// folder could not be used is carried over first, if it goes on from there. When the folder cannot
    /// be used now, the ledger goes on in memory, from what can be read of either of them.
    pub fn open(folder: &Path, memory: &Path) -> io::Result<(LedgerFile, Option<Last>)> {
        let opened = LedgerFile::open_in(folder, memory, Kept::Data);
        // A full disk is opened like any other, and takes nothing.
        match opened.and_then(|(mut ledger, found)| Ok((ledger.carry_over(found)?, ledger))) {
            Ok((last, ledger)) => Ok((ledger, last)),
            Err(error) => {
                let (mut ledger, in_memory) = LedgerFile::open_in(memory, memory, Kept::Memory)?;
                let in_folder = Found::read(folder);
                let goes_on = Held::read(memory)?.joint(in_folder.end()).is_some();
                folder.clone_into(&mut ledger.folder_wanted);
                ledger.crowded_out = is_full(&error);
                ledger.damage = Some(format!("{} cannot be used: {error}", folder.display()));
                ledger.foreign = ledger.foreign.or(in_folder.foreign());
                Ok((ledger, in_memory.last.filter(|_| goes_on).or(in_folder.last)))
            }
        }
    }

    fn open_in(folder: &Path, memory: &Path, kept: Kept) -> io::Result<(LedgerFile, Found)> {
        fs::create_dir_all(folder)?;
        let path = newest(folder);
        let fresh = !path.exists();
        let mut file =
            File::options().create(true).truncate(false).read(true).write(true).open(&path)?;
        locked(&file)?;
        let ours = |there: fs::Metadata| file.metadata().is_ok_and(|own| own.ino() == there.ino());
        if !fs::metadata(&path).is_ok_and(ours) {
            return Err(io::Error::other("another agent made the ledger anew"));
        }
        // What a cut left of it.
        let _ = fs::remove_file(folder.join(ANEW));
        if fresh {
            File::open(folder)?.sync_all()?;
        }
        let mut found = Found::read(folder).with_newest()?;
        found.tail = file.metadata()?.len().saturating_sub(found.newest_end);
        if found.tail > 0 {
            file.set_len(found.newest_end)?;
            file.sync_all()?;
        }
        file.seek(SeekFrom::Start(found.newest_end))?;
        let mut reserve = Reserve::default();
        if kept == Kept::Data {
            reserve.keep_up(&file, found.newest_end);
        }
        let ledger = LedgerFile {
            folder: folder.to_owned(),
            folder_wanted: folder.to_owned(),
            memory: memory.to_owned(),
            kept,
            crowded_out: false,
            file,
            length: found.newest_end,
            reserve,
            entries: found.entries,
            damage: found.damage(),
            broken_at: found.broken_at,
            foreign: found.foreign(),
        };
        Ok((ledger, found))
    }

    /// Appends what was kept in memory and goes on from what was found here, sets aside what does not, and
    /// forgets it there. Returns the last entry that there is then.
    fn carry_over(&mut self, mut found: Found) -> io::Result<Option<Last>> {
        let held = Held::read(&self.memory)?;
        if !held.is_empty() {
            match self.write_anew() {
                // What fits into the old one is still better kept there than in memory.
                Err(error) if is_full(&error) => {}
                made => made?,
            }
        }
        let another = Joint { others: held.count(), there: held.count() };
        let Joint { others, there } = held.joint(found.end()).unwrap_or(another);
        held::set_aside(&self.folder, held.oldest(others))?;
        held.from(there).try_for_each(|frame| self.try_append(frame))?;
        if there < held.count() {
            let tail = found.tail;
            found = Found::read(&self.folder).with_newest()?;
            found.tail = tail;
            (self.broken_at, self.foreign) = (found.broken_at, found.foreign());
        }
        held::forget(&self.memory)?;
        let told = found.damage().into_iter().chain(held::told_aside(&self.folder));
        self.damage = told.reduce(|before, aside| format!("{before}; {aside}"));
        Ok(found.last)
    }

    /// Makes the newest segment anew, whole and synced, and puts it in the place of the old one. Why: what is read of a
    /// disk that took no writes may lie in the kernel's cache alone, where no later fsync(2) finds it (seen with Linux
    /// 6.12, ext4 after an emergency remount: the kernel knows the file's new length, and never writes it).
    fn write_anew(&mut self) -> io::Result<()> {
        let (path, anew) = (newest(&self.folder), self.folder.join(ANEW));
        let bytes = fs::read(&path)?;
        let whole = bytes.get(..usize::try_from(self.length).unwrap_or(usize::MAX));
        let made = File::options().create(true).truncate(true).read(true).write(true).open(&anew);
        let written = made.and_then(|mut file| {
            file.write_all(whole.ok_or(io::ErrorKind::UnexpectedEof)?)?;
            synced(&file)?;
            locked(&file)?;
            fs::rename(&anew, &path)?;
            File::open(&self.folder)?.sync_all()?;
            Ok(file)
        });
        match written {
            Ok(file) => (self.file, self.reserve) = (file, Reserve::default()),
            Err(error) => {
                // On a full disk half of it would be in the way.
                let _ = fs::remove_file(&anew);
                return Err(error);
            }
        }
        self.keep_up();
        Ok(())
    }

    /// Tries to leave memory for the folder again, if that is where the ledger is; else keeps up the reserve.
    pub fn recover(&mut self) -> Recovered {
        if self.kept == Kept::Data {
            self.keep_up();
            return Recovered::Unchanged;
        }
        // What is on the disk is known; it is read again once there is room.
        if self.crowded_out && reserve::is_at_its_end(&newest(&self.folder_wanted)) {
            return Recovered::Unchanged;
        }
        // Its own lock must not keep it out of carrying itself over.
        let (folder, memory) = (self.folder_wanted.clone(), self.memory.clone());
        let Ok(held) = Held::read(&memory) else { return Recovered::Unchanged };
        let ahead = |disk: End| match held.is_empty() {
            true => disk.sequence.is_some(),
            false => held.joint(disk).is_none(),
        };
        let Ok((mut ledger, found)) = LedgerFile::open_in(&folder, &memory, Kept::Data) else {
            // What can be read, but not written, is the node's history all the same.
            let read = || ahead(Found::read(&folder).end());
            return match held.began_anew() && read() {
                true => Recovered::DiskIsAhead,
                false => Recovered::Unchanged,
            };
        };
        if ahead(found.end()) {
            return Recovered::DiskIsAhead;
        }
        if let Err(error) = ledger.carry_over(found) {
            self.crowded_out = is_full(&error);
            return Recovered::Unchanged;
        }
        tracing::info!(folder = %folder.display(), "the ledger is back on its disk");
        *self = ledger;
        Recovered::OnDisk
    }

    /// Takes what is missing of the reserve, if the disk has it.
    pub fn keep_up(&mut self) {
        if self.kept == Kept::Data {
            self.reserve.keep_up(&self.file, self.length);
        }
    }

    /// Whether there is room for all that an update has to remember, its verdict and its ending included.
    pub fn has_room(&self) -> bool {
        !self.reserve.is_wanting(self.length)
    }

    /// Appends one frame and syncs it. When the disk fails, the ledger goes on in memory.
    pub fn append(&mut self, frame: &[u8]) -> io::Result<()> {
        match self.try_append(frame) {
            Err(error) if self.kept == Kept::Data => {
                let folder = self.folder.clone();
                let (mut ledger, _) =
                    LedgerFile::open_in(&self.memory, &self.memory, Kept::Memory)?;
                ledger.crowded_out = is_full(&error);
                ledger.damage = Some(format!("{} cannot be written: {error}", folder.display()));
                ledger.folder_wanted = folder;
                *self = ledger;
                self.try_append(frame)
            }
            done => done,
        }
    }

    fn try_append(&mut self, frame: &[u8]) -> io::Result<()> {
        if self.length >= SEGMENT {
            self.close_segment()?;
        }
        let written = self.file.write_all(frame).and_then(|()| synced(&self.file));
        if let Err(error) = written {
            // What was half-written is a torn tail; cut it off if the disk still lets us.
            let _ = self.file.set_len(self.length);
            let _ = self.file.seek(SeekFrom::Start(self.length));
            return Err(error);
        }
        self.length += frame.len() as u64;
        self.entries += 1;
        Ok(())
    }

    fn close_segment(&mut self) -> io::Result<()> {
        let name = |number: usize| self.folder.join(format!("ledger.{number}"));
        for number in (1..CLOSED).rev().filter(|number| name(*number).exists()) {
            fs::rename(name(number), name(number + 1))?;
        }
        let path = newest(&self.folder);
        // It is written no more: its reserve is the next one's, on a full disk, too.
        self.file.set_len(self.length)?;
        fs::rename(&path, name(1))?;
        self.file = File::options().create_new(true).read(true).write(true).open(&path)?;
        rustix::fs::flock(&self.file, rustix::fs::FlockOperation::NonBlockingLockExclusive)?;
        File::open(&self.folder)?.sync_all()?;
        self.length = 0;
        self.reserve = Reserve::default();
        self.keep_up();
        Ok(())
    }

    /// Where it is kept.
    pub fn kept(&self) -> Kept {
        self.kept
    }

    /// How many whole entries there are.
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// What is wrong with it.
    pub fn damage(&self) -> Option<&str> {
        self.damage.as_deref()
    }

    /// What the first entry of this version follows, if this version understands none that is there.
    pub fn foreign(&self) -> Option<Foreign> {
        self.foreign
    }

    /// The first entry that does not name the one before it.
    pub fn broken_at(&self) -> Option<u64> {
        self.broken_at
    }

    /// Calls `visit` with each whole entry, the oldest first, without those of closed segments that cannot be
    /// read.
    pub fn for_each(&self, mut visit: impl FnMut(Entry)) -> io::Result<()> {
        let mut tell = |bytes: Vec<u8>| {
            ledger::frames(&bytes).filter_map(|frame| frame.entry).for_each(&mut visit);
        };
        closed(&self.folder).filter_map(|path| fs::read(path).ok()).for_each(&mut tell);
        fs::read(newest(&self.folder)).map(tell)
    }
}

fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// Takes the ledger for this agent alone.
fn locked(file: &File) -> io::Result<()> {
    let taken = rustix::fs::flock(file, rustix::fs::FlockOperation::NonBlockingLockExclusive);
    taken.map_err(|_| io::Error::other("another agent holds the ledger"))
}

/// Has the disk take what was written. An ext4 that became read-only after an error takes nothing, and its
/// fsync(2) says nothing of it (seen with Linux 6.12, for a file that was open before).
fn synced(file: &File) -> io::Result<()> {
    file.sync_data()?;
    let flags = rustix::fs::fstatvfs(file)?.f_flag;
    match flags.contains(rustix::fs::StatVfsMountFlags::RDONLY) {
        true => Err(io::ErrorKind::ReadOnlyFilesystem.into()),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests;
