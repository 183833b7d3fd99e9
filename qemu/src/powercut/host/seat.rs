//! A place at which one node after the other is started, each on the disk that a cut left.
//!
//! ```text
//! cut.img ─┬─ boot environment ─► U-Boot ─► slot, count ─► file ──┐
//!          └─ data: what is used ─► file ─► loop device ─► /data ─┴─► agent ─► its answers
//! ```
//!
//! The node writes to copies, so the disk stays as it was cut.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{fs, time::Duration};

use anyhow::{Context, Result, ensure};

use super::super::data::Looker;
use super::super::disk::Disk;
use super::super::ledger;
use super::super::log::Entry;
use super::apart::done;
use super::node::{Beside, Node, Start, Word};
use super::release::Release;
use super::root::{Parts, Root};
use super::rules::Seen;

/// From the start to a first answer.
const START: Duration = Duration::from_secs(120);

/// One seat.
pub(super) struct Seat {
    /// Its nodes' root.
    pub(super) root: Root,
    device: PathBuf,
    data: Looker,
    slots: Vec<Looker>,
    boots: u32,
}

impl Seat {
    /// A seat in `folder` for nodes of this disk, to which these entries will be written.
    pub(super) fn new(
        parts: &Parts,
        disk: &Disk,
        entries: &[Entry],
        folder: &Path,
    ) -> Result<Self> {
        fs::create_dir_all(folder)?;
        let root = Root::make(parts, folder)?;
        let profile = &parts.profile;
        let file = folder.join("data.img");
        let data = Looker::new(disk, &profile.disk.data, entries, file.clone())?;
        data.copy(disk)?;
        let device = done(Command::new("losetup").args(["--find", "--show"]).arg(&file))?;
        let device = PathBuf::from(device);
        let name = device.file_name().context("a loop device has a name")?;
        root.link(&profile.disk.data, &Path::new("/machine-dev").join(name))?;
        let (a, b) = (&profile.slots.a, &profile.slots.b);
        let slots = [&a.boot, &a.root, &b.boot, &b.root]
            .into_iter()
            .map(|name| Looker::new(disk, name, entries, root.file(name)));
        let slots = slots.collect::<Result<_>>()?;
        Ok(Self { root, device, data, slots, boots: 0 })
    }

    /// What lies on the disk now is what the next node finds in /data.
    pub(super) fn lay_data(&self, disk: &Disk) -> Result<()> {
        self.data.copy(disk)
    }

    /// And in its slots.
    pub(super) fn lay_slots(&self, disk: &Disk) -> Result<()> {
        self.slots.iter().try_for_each(|slot| slot.copy(disk))
    }

    /// Starts a node, and comes back when it can be asked.
    pub(super) fn start(&mut self, slot: &str, release: &Release, beside: Beside) -> Result<Node> {
        // No story of a recording has as many boots.
        self.boots += 1;
        let start = Start { slot, release, boot: 1000 + self.boots, beside };
        let mut node = Node::start(&self.root, &start)?;
        loop {
            match node.next(START)? {
                Word::Ready => return Ok(node),
                Word::State(_) => {}
                Word::Restarted => {
                    anyhow::bail!("it restarted before it could be asked:\n{}", node.said())
                }
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let _ = done(Command::new("losetup").arg("--detach").arg(&self.device));
    }
}

/// What a node says of itself, and whether its ledger is what it says.
pub(super) fn ask(node: &Node) -> Result<Result<Seen, String>> {
    let seen = Seen { status: node.ask("status")?, history: node.ask("history")? };
    if seen.status.ledger.kept != "data" {
        return Ok(Ok(seen));
    }
    let bytes = node.read("/data/steadfast/ledger")?;
    let read = ledger::read(&bytes).map_err(|fault| fault.to_string());
    ensure!(seen.before() > 0, "the ledger began anew");
    Ok(read.map(|_| seen))
}
