//! What becomes of a node whose power went: which slot its firmware takes, what is in it, what the node remembers.
//!
//! ```text
//! boot environment ─► U-Boot itself ─► slot ─► digests of its two partitions ─► release
//! data partition   ─► e2fsck, debugfs ──────────────────────────────────────► ledger
//! ```
//!
//! Each is asked once for the same bytes: U-Boot's choice follows from the boot environment, everything else that it
//! reads before being the same; so all cuts of an update are judged in minutes.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use std::{fmt, fs};

use anyhow::{Context, Result, ensure};
use hw_profile::{Profile, Slot};
use serde::Deserialize;

use super::data::{Looker, Memory};
use super::disk::{Disk, OUTSIDE};
use super::log::Entry;
use crate::lab::Lab;
use crate::machine::{self, Machine, Parts};
use crate::marker::Marker;
use crate::timeline::{Show, Timeline};
use crate::variant::Variant;

/// From power-on to a slot's name, on a busy machine.
const CHOICE: Duration = Duration::from_secs(90);

/// A node that goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Verdict {
    /// The slot that is tried first, and the release in it.
    pub(super) runs: String,
    /// Which change of the boot environment counted.
    pub(super) change: String,
    /// What the node remembers.
    pub(super) memory: Memory,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Memory { ledger, repaired } = &self.memory;
        let repaired = if *repaired { ", its data repaired" } else { "" };
        write!(f, "{}, its ledger to entry {}{repaired}", self.runs, ledger.last)
    }
}

/// What is known of a release's images.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Release {
    /// Its version.
    pub(super) version: String,
    /// What lies in its root partition.
    pub(super) root: Image,
    /// What lies in its boot partition.
    pub(super) boot: Image,
}

/// What is known of an image.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Image {
    /// Bytes.
    pub(super) size: u64,
    /// Their digest.
    pub(super) sha256: String,
}

/// Judges disks of one story.
pub(super) struct Judge<'l> {
    lab: &'l Lab,
    folder: PathBuf,
    releases: Vec<Release>,
    choices: HashMap<u64, Chosen>,
    contents: Contents,
    looker: Looker,
    memories: HashMap<Option<u64>, Result<Memory, String>>,
}

impl<'l> Judge<'l> {
    /// A judge who knows these releases, of a disk to which these entries will be written.
    pub(super) fn new(
        lab: &'l Lab,
        releases: &[&Variant],
        disk: &Disk,
        entries: &[Entry],
    ) -> Result<Self> {
        let read = |release: &&Variant| -> Result<Release> {
            let path = lab.folder(release).join("release.json");
            let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
            serde_json::from_str(&text).with_context(|| path.display().to_string())
        };
        let releases = releases.iter().map(read).collect::<Result<_>>()?;
        let folder = disk.path.parent().context("the disk lies in a folder")?.to_path_buf();
        let name = &lab.profile.disk.data;
        let looker = Looker::new(disk, name, entries, folder.join("data.img"))?;
        let (choices, contents, memories) = Default::default();
        Ok(Self { lab, folder, releases, choices, contents, looker, memories })
    }

    /// What becomes of a node with this disk; the inner error is a node that is lost.
    pub(super) fn judge(&mut self, disk: &Disk) -> Result<Result<Verdict, String>> {
        let Chosen { slot, change } = self.choice(disk)?;
        let Some(version) = self.content(disk, &slot)? else {
            return Ok(Err(format!("slot {slot} is tried first, and holds no whole release")));
        };
        let memory = self.memory(disk)?;
        let runs = format!("{version} in {slot}");
        Ok(memory.map(|memory| Verdict { runs, change, memory }))
    }

    /// How often something was really looked at, in one line.
    pub(super) fn looked(&self) -> String {
        let (firmware, data) = (self.choices.len(), self.memories.len());
        format!("asked the firmware {firmware} times, looked at {data} data partitions")
    }

    /// What the firmware does first.
    fn choice(&mut self, disk: &Disk) -> Result<Chosen> {
        let environment = &self.lab.profile.boot.environment;
        let bytes = disk.read(environment, 0, disk.partition(environment)?.size)?;
        let script = &self.lab.profile.disk.script;
        let mut hasher = DefaultHasher::new();
        (bytes, disk.trace(script), disk.trace(OUTSIDE)).hash(&mut hasher);
        let key = hasher.finish();
        if let Some(chosen) = self.choices.get(&key) {
            return Ok(chosen.clone());
        }
        let unchanged = machine::Disk::Unchanged(disk.path.clone());
        let chosen = first_slot(self.lab, unchanged, &self.folder)?;
        self.choices.insert(key, chosen.clone());
        Ok(chosen)
    }

    /// The version in a slot, if both of its partitions hold all of the same release.
    fn content(&mut self, disk: &Disk, slot: &str) -> Result<Option<String>> {
        let Some(parts) = parts(&self.lab.profile, slot) else { return Ok(None) };
        self.contents.version(disk, parts, &self.releases)
    }

    fn memory(&mut self, disk: &Disk) -> Result<Result<Memory, String>> {
        let key = disk.trace(&self.lab.profile.disk.data);
        if let Some(memory) = self.memories.get(&key) {
            return Ok(memory.clone());
        }
        let memory = self.looker.look(disk)?;
        self.memories.insert(key, memory.clone());
        Ok(memory)
    }
}

/// What a firmware does first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Chosen {
    /// The slot that it tries; `none` when it rests.
    pub(super) slot: String,
    /// Which change of the boot environment it saved by that: one more than the one that counted.
    pub(super) change: String,
}

/// What the real firmware does first when it finds this disk.
pub(super) fn first_slot(lab: &Lab, disk: machine::Disk, folder: &Path) -> Result<Chosen> {
    let parts = Parts { disk, ..lab.parts(folder, None)? };
    let timeline = Timeline::start(Show::Kept);
    let log = folder.join("firmware.log");
    let (_machine, mut console) = Machine::start(lab.qemu(), &parts, &log, &timeline)?;
    console.wait_marker("a slot or the rest", CHOICE, |marker| match marker {
        Marker::Slot { slot, sequence, .. } => Some(Chosen { slot, change: sequence }),
        Marker::Resting => Some(Chosen { slot: "none".to_owned(), change: "none".to_owned() }),
        _ => None,
    })
}

/// The partitions of the slot with this name.
pub(super) fn parts<'p>(profile: &'p Profile, slot: &str) -> Option<&'p Slot> {
    profile.slots.named().into_iter().find(|(name, _)| *name == slot).map(|(_, parts)| parts)
}

/// What lies in the slots of a disk, looked at once for the same bytes.
#[derive(Default)]
pub(super) struct Contents(HashMap<[(String, Option<u64>); 2], Option<String>>);

impl Contents {
    /// The version in a slot, if both of its partitions hold all of the same release.
    pub(super) fn version(
        &mut self,
        disk: &Disk,
        slot: &Slot,
        releases: &[Release],
    ) -> Result<Option<String>> {
        let names = [&slot.boot, &slot.root];
        let key = names.map(|name| (name.clone(), disk.trace(name)));
        if let Some(version) = self.0.get(&key) {
            return Ok(version.clone());
        }
        let read = |name: &str, size| disk.read(name, 0, size);
        let version = whole(&read, names.map(|name| &**name), releases)?;
        self.0.insert(key, version.clone());
        Ok(version)
    }
}

/// The first so many bytes of a partition.
type Read<'r> = &'r dyn Fn(&str, u64) -> Result<Vec<u8>>;

/// The version of the release of which all lies in these partitions, boot and root.
pub(super) fn whole(
    read: Read<'_>,
    [boot, root]: [&str; 2],
    releases: &[Release],
) -> Result<Option<String>> {
    let holds = |partition: &str, image: &Image| -> Result<bool> {
        Ok(digest(&read(partition, image.size)?)? == image.sha256)
    };
    for release in releases {
        if holds(boot, &release.boot)? && holds(root, &release.root)? {
            return Ok(Some(release.version.clone()));
        }
    }
    Ok(None)
}

/// SHA-256 in hexadecimal, as coreutils compute it.
pub(super) fn digest(bytes: &[u8]) -> Result<String> {
    let mut child = Command::new("sha256sum")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("sha256sum does not start")?;
    let mut input = child.stdin.take().context("sha256sum has no input")?;
    input.write_all(bytes).context("sha256sum reads no more")?;
    drop(input);
    let out = child.wait_with_output()?;
    ensure!(out.status.success(), "sha256sum ended with {}", out.status);
    let said = String::from_utf8_lossy(&out.stdout);
    Ok(said.split_whitespace().next().unwrap_or_default().to_owned())
}

#[cfg(test)]
mod tests {
    use std::{env, process};

    use super::*;
    use crate::disks::Partition;

    #[test]
    fn a_slot_is_whole_only_with_both_images_of_one_release() {
        let path = env::temp_dir().join(format!("steadfast-lab-whole-{}.img", process::id()));
        let image = |byte: u8| Image { size: 3, sha256: digest(&[byte; 3]).expect("made") };
        let release = |version: &str, boot, root| Release {
            version: version.into(),
            boot: image(boot),
            root: image(root),
        };
        let releases = [release("1.0.0", 1, 2), release("1.1.0", 3, 4)];
        let found = |bytes: [u8; 8]| {
            fs::write(&path, bytes).expect("written");
            let partitions = [("boot", 0), ("root", 4)]
                .map(|(name, start)| (name.to_owned(), Partition { start, size: 4 }));
            let disk = Disk::open(&path, partitions.into()).expect("it is there");
            let read = |name: &str, size| disk.read(name, 0, size);
            whole(&read, ["boot", "root"], &releases).expect("read")
        };
        assert_eq!(found([1, 1, 1, 9, 2, 2, 2, 9]).as_deref(), Some("1.0.0"));
        assert_eq!(found([3, 3, 3, 0, 4, 4, 4, 0]).as_deref(), Some("1.1.0"));
        for torn in [[3, 3, 3, 0, 2, 2, 2, 0], [1, 1, 1, 0, 4, 4, 4, 0], [3, 3, 9, 0, 4, 4, 4, 0]] {
            assert_eq!(found(torn), None, "{torn:?}");
        }
        fs::remove_file(path).expect("removed");
    }

    #[test]
    fn a_slot_that_was_written_is_looked_at_again() {
        let (mut disk, log, files) = super::super::disk::tests::disk("contents");
        let image = |byte: u8| Image { size: 4, sha256: digest(&[byte; 4]).expect("made") };
        let release = |version: &str, boot, root| Release {
            version: version.into(),
            boot: image(boot),
            root: image(root),
        };
        let releases = [release("1.0.0", 9, 9), release("1.1.0", 1, 2)];
        let slot = Slot { boot: "a".into(), root: "b".into() };
        let mut contents = Contents::default();
        let mut found = |disk: &Disk| contents.version(disk, &slot, &releases).expect("read");
        assert_eq!(found(&disk).as_deref(), Some("1.0.0"));
        disk.settle(&log, 1).expect("settled");
        assert_eq!(found(&disk), None, "the other half is missing");
        disk.settle(&log, 4).expect("settled");
        assert_eq!(found(&disk).as_deref(), Some("1.1.0"));
        files.iter().for_each(|file| fs::remove_file(file).expect("removed"));
    }

    #[test]
    fn a_digest_is_sha_256() {
        assert_eq!(
            digest(b"abc").expect("made"),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}
