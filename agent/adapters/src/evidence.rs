//! What the last end left behind: a panic record, the watchdog's flag, the agent's exit.
//!
//! ```text
//! collect ──▶ 160 bytes for the ledger's entry ─┐
//! kernel, journal ──▶ record, on /data ─────────┴──▶ the entry is saved ─┬─▶ clear
//!                     no room for it, or no disk ───▶ the entry is saved ─┴─▶ tell, and clear once it is kept
//! ```
//!
//! Always true: the kernel's words are removed only after they were kept ([`Evidence::clear`]), and until
//! then no later boot takes them for its own ([`Evidence::tell`]); what says most about the cause comes
//! first: a panic, then the hardware watchdog, then the agent's own end; an oops that no panic followed
//! ended nothing, so its words are kept, and are no cause.

pub mod journal;
pub mod record;
mod told;

use crate::watchdog::LastReset;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use steadfast_core::{Cause, Failure};
use told::Told;

/// Where evidence is found.
#[derive(Clone, Debug)]
pub struct Evidence {
    /// The kernel's persistent store (`/sys/fs/pstore`).
    pub pstore: PathBuf,
    /// One line that the unit's `ExecStopPost=` writes: `$SERVICE_RESULT $EXIT_CODE $EXIT_STATUS`.
    pub agent_exit: PathBuf,
}

/// Whether the agent starts for the first time since the kernel did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// It does: what the reset left behind is news.
    NewBoot,
    /// It does not: only its own end is news.
    SameBoot,
}

impl Evidence {
    /// What there is, if anything.
    pub fn collect(&self, start: Start, last_reset: LastReset) -> Option<Failure> {
        let reset = || match (start, last_reset) {
            (Start::NewBoot, LastReset::ByWatchdog) => Some(Failure::new(
                Cause::Watchdog,
                format_args!("the hardware watchdog reset the node"),
            )),
            _ => None,
        };
        let panic = || (start == Start::NewBoot).then(|| self.panic()).flatten();
        panic().or_else(reset).or_else(|| self.agent_exit())
    }

    /// Removes what was collected: all of it was saved.
    pub fn clear(&self) {
        remove(self.records().into_iter().chain([self.agent_exit.clone()]));
        if let Err(error) = told::forget(&self.told()) {
            tracing::warn!(%error, "it could not be forgotten which record was told of");
        }
    }

    /// Notes that this boot told of what was collected, but could not keep the kernel's words, which stay where
    /// they are. If that cannot be noted, they go: a boot that is blamed for them could be condemned.
    pub fn tell(&self, boot: [u8; 16]) {
        remove([self.agent_exit.clone()]);
        let Some(record) = self.last_record() else { return };
        if Told::read(&self.told()).is_some_and(|told| told.record == record.name) {
            return;
        }
        if let Err(error) = (Told { boot, record: record.name }).write(&self.told()) {
            tracing::warn!(%error, "the kernel's last words are lost: there is no room at all");
            remove(self.records());
        }
    }

    /// The boot that told of the kernel's last words, if they are still to be kept.
    pub fn owed(&self) -> Option<[u8; 16]> {
        let (record, told) = (self.last_record()?, Told::read(&self.told())?);
        (told.record == record.name).then_some(told.boot)
    }

    /// The last words of the kernel that ended before this boot, a line each, without the priorities.
    pub fn kernel(&self, boot: [u8; 16]) -> Option<Vec<String>> {
        if self.owed().is_some_and(|owed| owed != boot) {
            return None;
        }
        let text = self.last_record()?.text;
        let plain = text.lines().map(|line| match line.strip_prefix('<') {
            Some(rest) => rest.split_once('>').map_or(line, |(_, said)| said),
            None => line,
        });
        Some(plain.map(str::to_owned).collect())
    }

    /// The records of kernels that ended, the oldest first; ramoops names them `dmesg-ramoops-N` and
    /// begins with 0 at each boot, so the time that the record was given comes before its number.
    fn records(&self) -> Vec<PathBuf> {
        let Ok(folder) = fs::read_dir(&self.pstore) else { return Vec::new() };
        let mut paths: Vec<PathBuf> = folder.flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| name(path).starts_with("dmesg-"));
        paths.sort_by_cached_key(|path| (written(path), path.clone()));
        paths
    }

    /// The newest record that can be read as text (one that the kernel could not unpack is none).
    fn last_record(&self) -> Option<LastRecord> {
        let newest_first = self.records().into_iter().rev();
        let mut text = newest_first.filter(|path| !name(path).ends_with(".enc.z"));
        text.find_map(|path| {
            let bytes = fs::read(&path).ok()?;
            let name = told::name_of(&path, &bytes);
            Some(LastRecord { text: String::from_utf8_lossy(&bytes).into_owned(), name })
        })
    }

    fn told(&self) -> PathBuf {
        self.agent_exit.with_file_name("told")
    }

    fn panic(&self) -> Option<Failure> {
        if self.owed().is_some() {
            return None;
        }
        let text = self.last_record()?.text;
        let line = text.lines().find(|line| is_panic(line))?;
        // Behind the kernel's time, unless nothing is there.
        let said = line.split_once("] ").map(|(_, said)| said.trim());
        let line = said.filter(|said| !said.is_empty()).unwrap_or(line);
        Some(Failure::new(Cause::Panic, format_args!("{line}")))
    }

    fn agent_exit(&self) -> Option<Failure> {
        let text = fs::read_to_string(&self.agent_exit).ok()?;
        let words: Vec<&str> = text.lines().last()?.split_whitespace().collect();
        let (result, rest) = words.split_first()?;
        let cause = if *result == "watchdog" { Cause::Watchdog } else { Cause::AgentCrashed };
        Some(Failure::new(cause, format_args!("the agent ended: {result} {}", rest.join(" "))))
    }
}

/// The newest record of a kernel.
struct LastRecord {
    text: String,
    /// Which one it is.
    name: String,
}

/// Whether a kernel says with this line that it ends.
fn is_panic(line: &str) -> bool {
    line.contains("Kernel panic")
}

fn remove(paths: impl IntoIterator<Item = PathBuf>) {
    for path in paths.into_iter().filter(|path| path.exists()) {
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(path = %path.display(), %error, "evidence could not be removed");
        }
    }
}

fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or("")
}

fn written(path: &Path) -> SystemTime {
    let modified = fs::metadata(path).and_then(|file| file.modified());
    modified.unwrap_or(SystemTime::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Place {
        _folder: tempfile::TempDir,
        evidence: Evidence,
    }

    fn place() -> Place {
        let folder = tempfile::tempdir().expect("a folder");
        let (pstore, agent_exit) = (folder.path().join("pstore"), folder.path().join("agent"));
        fs::create_dir(&pstore).expect("writable");
        Place { _folder: folder, evidence: Evidence { pstore, agent_exit } }
    }

    fn cause(found: Option<Failure>) -> Option<Cause> {
        found.map(|failure| failure.cause)
    }

    #[test]
    fn a_panic_says_more_than_the_watchdog_and_the_watchdog_more_than_the_agents_end() {
        let Place { evidence, .. } = &place();
        let collect = |reset| evidence.collect(Start::NewBoot, reset);
        assert_eq!(collect(LastReset::Other), None);
        fs::write(&evidence.agent_exit, "signal killed SEGV\n").expect("writable");
        assert_eq!(cause(collect(LastReset::Other)), Some(Cause::AgentCrashed));
        assert_eq!(cause(collect(LastReset::ByWatchdog)), Some(Cause::Watchdog));
        let record = "Panic#1 Part1\n<0>[    4.2] Kernel panic - not syncing: sysrq\n";
        fs::write(evidence.pstore.join("dmesg-ramoops-0"), record).expect("writable");
        let found = collect(LastReset::ByWatchdog).expect("a panic");
        assert_eq!(found.cause, Cause::Panic);
        assert_eq!(found.evidence, "Kernel panic - not syncing: sysrq");
    }

    #[test]
    fn within_one_boot_only_the_agents_end_is_news() {
        let Place { evidence, .. } = &place();
        let record = "<0>[    4.2] Kernel panic - not syncing: sysrq\n";
        fs::write(evidence.pstore.join("dmesg-ramoops-0"), record).expect("writable");
        let found = || evidence.collect(Start::SameBoot, LastReset::ByWatchdog);
        assert_eq!(found(), None);
        fs::write(&evidence.agent_exit, "watchdog killed ABRT\n").expect("writable");
        assert_eq!(cause(found()), Some(Cause::Watchdog));
    }

    #[test]
    fn what_was_saved_is_removed() {
        let Place { evidence, .. } = &place();
        fs::write(&evidence.agent_exit, "exit-code exited 1\n").expect("writable");
        fs::write(evidence.pstore.join("dmesg-ramoops-0"), "Kernel panic").expect("writable");
        evidence.clear();
        assert_eq!(evidence.collect(Start::NewBoot, LastReset::Other), None);
    }
}
