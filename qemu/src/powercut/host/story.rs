//! What is recorded: an update that stays, one that comes back, and one that is downloaded and waits for its window;
//! told by a real node, boot after boot.
//!
//! ```text
//! disk of 1.0.0, blank /data ─► first boot, committed ─► start.img ─┬─► commit ─► writes.log, marks
//!                                                                   ├─► return ─► writes.log, marks
//!                                                                   └─► wait   ─► writes.log, marks
//! ```
//!
//! The lab is the power switch and the processor: it lets the real U-Boot choose, writes the attempt that it counted,
//! and starts the agent in that slot. A mark says how long the record was when the agent had told of a state: from
//! there on its entry must be on the disk, whatever happens to the power.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::{Deserialize, Serialize};

use super::super::disk::Disk;
use super::super::ending::End;
use super::super::judge::{parts, whole};
use super::super::log::WriteLog;
use super::super::record::played_back;
use super::apart::done;
use super::bootloader::Bootloader;
use super::node::{Beside, Node, Start, Word};
use super::recorder::{self, Recorder};
use super::release::{ALL, FIRST, GOOD, Release, SICK};
use super::root::{Parts, Root};
use crate::disks::{self, Partition};
use crate::lab::Lab;
use crate::server::Server;
use crate::steps::Line;
use crate::variant;

/// What happens.
pub(super) struct Story {
    /// Its name, and that of its folder.
    pub(super) name: &'static str,
    /// What is offered; nothing for the first boot.
    pub(super) offer: Option<&'static Release>,
    /// How.
    from: From,
    /// What the node runs, from the first point to the last.
    pub(super) way: &'static [&'static str],
    /// The only ends that it may come to.
    pub(super) ends: &'static [End],
}

/// How a release is offered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum From {
    /// As a file that the node has; to be started at once.
    File,
    /// By a server that is gone after the story, so that nobody serves it to a node after a cut; to be started when
    /// the window opens.
    Server,
}

/// A node's first boot, which makes /data and commits 1.0.0.
const BEGINNING: Story = Story { name: "base", offer: None, from: From::File, way: &[], ends: &[] };

/// The stories that are cut.
pub(super) const STORIES: [Story; 3] = [
    Story {
        name: "commit",
        offer: Some(&GOOD),
        from: From::File,
        way: &["1.0.0 in A", "1.1.0 in B"],
        ends: &[("committed", "1.1.0")],
    },
    Story {
        name: "return",
        offer: Some(&SICK),
        from: From::File,
        way: &["1.0.0 in A", "1.2.0 in B", "1.0.0 in A"],
        ends: &[("returned: check work", "1.0.0")],
    },
    Story {
        name: "wait",
        offer: Some(&GOOD),
        from: From::Server,
        way: &["1.0.0 in A", "1.1.0 in B"],
        ends: &[
            ("committed", "1.1.0"),
            ("refused: network", "1.0.0"),
            ("failed: network", "1.0.0"),
        ],
    },
];

/// Every state of the update machine that the stories lead through: all of them but `leaving`, which takes a systemd that
/// goes down.
pub(super) const STATES: [&str; 12] = [
    "idle",
    "fetching",
    "verifying",
    "installing",
    "ready",
    "activating",
    "rebooting",
    "probation",
    "settling",
    "committing",
    "condemning",
    "returning",
];

/// How long a node may say nothing, on a busy machine.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
/// No story has as many boots.
const BOOTS: u32 = 6;

/// What was known when the record had so many entries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Mark {
    /// So many entries.
    pub(super) position: usize,
    /// What.
    pub(super) what: Known,
}

/// What is known from a mark on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Known {
    /// This slot starts.
    Started {
        /// A or B.
        slot: String,
    },
    /// The agent has acted on this entry of its ledger.
    Saved {
        /// The entry's number.
        sequence: u64,
        /// The state that it led to.
        state: String,
    },
}

/// A recording that is whole.
pub(super) struct Recording {
    /// The disk before the first write.
    pub(super) start: PathBuf,
    /// Every write and flush.
    pub(super) log: WriteLog,
    /// What was known when.
    pub(super) marks: Vec<Mark>,
}

/// Who tells stories.
pub(super) struct Teller<'t> {
    /// The lab, for the board and the firmware.
    pub(super) lab: &'t Lab,
    /// What nodes are made of.
    pub(super) parts: &'t Parts,
    /// The firmware.
    pub(super) loader: &'t Bootloader,
    /// Folder of the lane's tmpfs.
    pub(super) seat: PathBuf,
    /// Where recordings are kept.
    pub(super) folder: PathBuf,
    /// What recordings are made from.
    pub(super) inputs: String,
}

impl Teller<'_> {
    /// The recording of `story`, made now unless it is there.
    pub(super) fn ensure(&self, story: &Story) -> Result<Recording> {
        let base = self.folder.join("base");
        if story.offer.is_some() && !self.kept(&base) {
            recorder::prove(&self.seat.join("proof"))
                .context("the recorder is not to be trusted")?;
            self.make(&BEGINNING, &base)?;
        }
        let folder = self.folder.join(story.name);
        if !self.kept(&folder) {
            self.make(story, &folder)?;
        }
        let marks = fs::read_to_string(folder.join("marks.json"))?;
        Ok(Recording {
            start: folder.join("start.img"),
            log: WriteLog::open(&folder.join("writes.log"))?,
            marks: serde_json::from_str(&marks)?,
        })
    }

    fn kept(&self, folder: &Path) -> bool {
        fs::read_to_string(folder.join("inputs")).is_ok_and(|old| old == self.inputs)
    }

    fn make(&self, story: &Story, folder: &Path) -> Result<()> {
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).with_context(|| folder.display().to_string())?;
        let (start, disk, log) =
            (folder.join("start.img"), folder.join("disk.img"), folder.join("writes.log"));
        let base = self.folder.join("base");
        let sequence = match story.offer {
            None => self.first_disk(&start).map(|()| 0)?,
            Some(_) => {
                disks::sparse_copy(&base.join("disk.img"), &start)?;
                let marks: Vec<Mark> =
                    serde_json::from_str(&fs::read_to_string(base.join("marks.json"))?)?;
                promised(&marks, usize::MAX)
            }
        };
        disks::sparse_copy(&start, &disk)?;
        let line = Line::begin(&format!("record the story {}", story.name));
        let marks = self.tell(story, [&disk, &log], sequence)?;
        line.end("done");
        played_back(&log, [&start, &disk], folder)?;
        fs::write(folder.join("marks.json"), serde_json::to_string_pretty(&marks)?)?;
        Ok(fs::write(folder.join("inputs"), &self.inputs)?)
    }

    /// The image's own disk, with the slots of this lane: 1.0.0 in A, nothing in B.
    fn first_disk(&self, path: &Path) -> Result<()> {
        let image = self.lab.folder(&variant::FIRST).join("disk.img");
        let (from, to) = (File::open(&image)?, File::create(path)?);
        let size = from.metadata()?.len();
        to.set_len(size)?;
        let partitions = disks::partitions(&image)?;
        let of = |name: &str| partitions.get(name).with_context(|| format!("no partition {name}"));
        let profile = &self.parts.profile;
        let copied = [of(&profile.boot.environment)?, of(&profile.disk.script)?];
        // The partition table and its backup.
        let tables = [(0, 1 << 20), (size - (1 << 20), 1 << 20)];
        for (start, size) in copied.map(|part| (part.start, part.size)).into_iter().chain(tables) {
            let mut bytes = vec![0; usize::try_from(size)?];
            from.read_exact_at(&mut bytes, start)?;
            to.write_all_at(&bytes, start)?;
        }
        let slot = &profile.slots.a;
        for (class, bytes) in FIRST.parts() {
            let name = if class == "boot" { &slot.boot } else { &slot.root };
            to.write_all_at(&bytes, of(name)?.start)?;
        }
        format(path, of(&profile.disk.data)?)
    }

    fn tell(&self, story: &Story, [disk, log]: [&Path; 2], sequence: u64) -> Result<Vec<Mark>> {
        let seat = self.seat.join(story.name);
        fs::create_dir_all(&seat)?;
        let root = Root::make(self.parts, &seat)?;
        let partitions = disks::partitions(disk)?;
        let recorder = Recorder::start(disk, log, &partitions, &seat)?;
        for (name, device) in recorder.devices() {
            root.link(
                name,
                &Path::new("/machine-dev").join(device.file_name().context("a device")?),
            )?;
        }
        let disk = Disk::open(disk, partitions)?;
        let server = Server::start(&self.parts.bundles)?;
        let mut telling = Telling {
            teller: self,
            story,
            root: &root,
            recorder: &recorder,
            server: &server,
            disk,
            sequence,
            marks: Vec::new(),
        };
        let mut boot = 1;
        while !telling.boot(boot)? {
            boot += 1;
            ensure!(boot < BOOTS, "the story {} has no end after {boot} boots", story.name);
        }
        // What it came to holds after a further start.
        ensure!(telling.boot(boot + 1)?, "the story {} goes on after its end", story.name);
        let marks = telling.marks;
        recorder.finish()?;
        Ok(marks)
    }
}

/// An ext4 as the node makes it, whose tables are complete: the kernel would fill them in for minutes, with thousands of
/// writes that nothing depends on.
fn format(disk: &Path, data: &Partition) -> Result<()> {
    let content = disk.with_extension("d");
    for folder in ["steadfast", "rauc"] {
        fs::create_dir_all(content.join(folder))?;
    }
    let place = format!("offset={},lazy_itable_init=0,lazy_journal_init=0", data.start);
    done(
        Command::new("/sbin/mke2fs")
            .args(["-q", "-F", "-t", "ext4", "-b", "4096", "-L", "data", "-E", &place, "-d"])
            .arg(&content)
            .arg(disk)
            .arg(format!("{}k", data.size >> 10)),
    )?;
    Ok(fs::remove_dir_all(content)?)
}

/// A story on its way.
struct Telling<'t> {
    teller: &'t Teller<'t>,
    story: &'t Story,
    root: &'t Root,
    recorder: &'t Recorder,
    server: &'t Server,
    disk: Disk,
    sequence: u64,
    marks: Vec<Mark>,
}

impl Telling<'_> {
    /// From power-on to a restart or the end; returns whether the story is over.
    fn boot(&mut self, boot: u32) -> Result<bool> {
        let (slot, release) = self.firmware()?;
        self.mark(Known::Started { slot: slot.clone() })?;
        // The first boots of all have other names than those of the stories.
        let name = if self.story.offer.is_none() { 500 + boot } else { boot };
        let start = Start { slot: &slot, release, boot: name, beside: Beside::Rauc };
        let mut node = Node::start(self.root, &start)?;
        let (mut ready, mut rests) = (false, false);
        loop {
            match node.next(PATIENCE)? {
                Word::Restarted => return Ok(false),
                Word::Ready => ready = true,
                Word::State(state) => {
                    self.sequence += 1;
                    rests = state == "idle";
                    self.mark(Known::Saved { sequence: self.sequence, state })?;
                }
            }
            let offer = self.story.offer.filter(|_| boot == 1);
            match offer {
                _ if !(ready && rests) => {}
                Some(offer) if slot == "A" => {
                    rests = false;
                    node.offer(&self.order(offer))?;
                }
                _ => return node.stop().map(|()| true),
            }
        }
    }

    /// What the tool is told.
    fn order(&self, release: &Release) -> Vec<String> {
        match self.story.from {
            From::File => vec![release.path()],
            From::Server => {
                let url = format!("http://127.0.0.1:{}/{}", self.server.port(), release.bundle());
                vec![url, "--at".to_owned(), "window".to_owned()]
            }
        }
    }

    /// The firmware's choice, its count on the disk, and what lies in the slot.
    fn firmware(&self) -> Result<(String, &'static Release)> {
        let profile = &self.teller.parts.profile;
        let name = &profile.boot.environment;
        let environment = self.disk.read(name, 0, self.disk.partition(name)?.size)?;
        let choice = self.teller.loader.choice(&environment)?;
        if let Some((at, bytes)) = &choice.counted {
            self.recorder.put(name, *at, bytes)?;
        }
        let slot = parts(profile, &choice.slot).context("the firmware rests")?;
        let images = ALL.iter().map(Release::images).collect::<Result<Vec<_>>>()?;
        let read = |name: &str, size| self.disk.read(name, 0, size);
        let version = whole(&read, [&slot.boot, &slot.root], &images)?;
        let release = ALL.iter().find(|release| Some(release.version) == version.as_deref());
        let release = release.with_context(|| format!("slot {} holds no release", choice.slot))?;
        Ok((choice.slot.clone(), release))
    }

    fn mark(&mut self, what: Known) -> Result<()> {
        let position = self.recorder.position()?;
        self.marks.push(Mark { position, what });
        Ok(())
    }
}

/// The states that were told of.
pub(super) fn states(marks: &[Mark]) -> impl Iterator<Item = &str> {
    marks.iter().filter_map(|mark| match &mark.what {
        Known::Saved { state, .. } => Some(&**state),
        Known::Started { .. } => None,
    })
}

/// The last entry of the ledger that the agent has acted on before the record had more than `position` entries.
pub(super) fn promised(marks: &[Mark], position: usize) -> u64 {
    let before = marks.iter().filter(|mark| mark.position <= position);
    let saved = before.filter_map(|mark| match mark.what {
        Known::Saved { sequence, .. } => Some(sequence),
        Known::Started { .. } => None,
    });
    saved.max().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_promised_from_the_moment_on_at_which_the_agent_told_of_it() {
        let mark = |position, sequence| {
            let what = Known::Saved { sequence, state: "idle".into() };
            Mark { position, what }
        };
        let started = Mark { position: 0, what: Known::Started { slot: "A".into() } };
        let marks = [started, mark(4, 7), mark(9, 8)];
        let found = [0, 3, 4, 8, 9, 100].map(|position| promised(&marks, position));
        assert_eq!(found, [0, 0, 7, 7, 8, 8]);
    }
}
