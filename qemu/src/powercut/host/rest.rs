//! From a cut to rest: boot after boot with the real firmware's choice, the real agent and the real RAUC, until the
//! node rests.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;

use anyhow::Result;

use super::super::disk::Disk;
use super::super::ending;
use super::super::judge::{self, parts, whole};
use super::bootloader::Bootloader;
use super::node::{Beside, Node, Word};
use super::release::{ALL, Release, SICK};
use super::root::Parts;
use super::rules;
use super::seat::{Seat, ask};
use super::story::{PATIENCE, Story};

/// A node rests within so many boots.
const BOOTS: usize = 8;

/// How a boot ends.
enum Ended {
    /// With a restart.
    Restarted,
    /// In rest, and what is wrong with that.
    Rests(Option<String>),
}

/// Who lets nodes come to rest.
pub(super) struct Rest<'r> {
    /// What nodes are made of.
    pub(super) parts: &'r Parts,
    /// The story that was cut.
    pub(super) story: &'r Story,
    /// The firmware.
    pub(super) loader: &'r Bootloader,
    /// What the releases' images are.
    pub(super) releases: &'r [judge::Release],
}

impl Rest<'_> {
    /// Lets a node with this disk come to rest; returns how many boots it took, or what is wrong. An error is the
    /// lab's, such as a firmware that cannot be asked.
    pub(super) fn reach(&self, seat: &mut Seat, disk: &Disk) -> Result<Result<usize, String>> {
        let name = &self.parts.profile.boot.environment;
        let file = seat.root.file(name);
        fs::write(&file, disk.read(name, 0, disk.partition(name)?.size)?)?;
        seat.lay_data(disk)?;
        seat.lay_slots(disk)?;
        for boot in 1..=BOOTS {
            let environment = fs::read(&file)?;
            let choice = self.loader.choice(&environment)?;
            fs::write(&file, choice.after(&environment))?;
            let slot = &choice.slot;
            let Some(release) = self.content(seat, slot)? else {
                return Ok(Err(format!(
                    "at boot {boot} slot {slot} is tried, and holds no whole release"
                )));
            };
            let ended = match self.boot(seat, slot, release) {
                Ok(ended) => ended,
                Err(error) => return Ok(Err(format!("at boot {boot}: {error:#}"))),
            };
            if self.content(seat, slot)? != Some(release) {
                return Ok(Err(format!("at boot {boot} slot {slot} was written while it ran")));
            }
            match ended {
                Ended::Restarted => {}
                Ended::Rests(fault) => return Ok(fault.map_or(Ok(boot), Err)),
            }
        }
        Ok(Err(format!("after {BOOTS} boots it does not rest")))
    }

    /// One boot; an error is the node's, which does not come up or does not answer.
    fn boot(&self, seat: &mut Seat, slot: &str, release: &Release) -> Result<Ended> {
        let mut node = seat.start(slot, release, Beside::Rauc)?;
        let ended = match settled(&mut node)? {
            true => Ended::Rests(self.resting(&mut node, [release.version, slot])?),
            false => Ended::Restarted,
        };
        node.stop()?;
        Ok(ended)
    }

    /// What lies in a slot of the seat.
    fn content(&self, seat: &Seat, slot: &str) -> Result<Option<&'static Release>> {
        let Some(parts) = parts(&self.parts.profile, slot) else { return Ok(None) };
        let read = |name: &str, size: u64| -> Result<Vec<u8>> {
            let mut bytes = vec![0; usize::try_from(size)?];
            File::open(seat.root.file(name))?.read_exact_at(&mut bytes, 0)?;
            Ok(bytes)
        };
        let version = whole(&read, [&parts.boot, &parts.root], self.releases)?;
        Ok(ALL.iter().find(|release| Some(release.version) == version.as_deref()))
    }

    /// What is wrong with a node that rests.
    fn resting(&self, node: &mut Node, runs: [&str; 2]) -> Result<Option<String>> {
        let seen = match ask(node)? {
            Ok(seen) => seen,
            Err(fault) => return Ok(Some(fault)),
        };
        let system = &seen.status.system;
        if system.standing != "committed" {
            return Ok(Some(format!(
                "it rests with {}, which is {}",
                system.version, system.standing
            )));
        }
        let fault = rules::fault(&seen, self.story, runs)
            .or_else(|| ending::fault(&seen.status, &seen.history, self.story.ends));
        if fault.is_some() || seen.status.refused.is_empty() {
            return Ok(fault);
        }
        // What failed here is offered again, and turned away before a byte of it is written.
        node.offer(&[SICK.path()])?;
        if !settled(node)? {
            return Ok(Some("it tried a release again that it refuses".to_owned()));
        }
        let again: crate::status::Status = node.ask("status")?;
        let ending = again.update.last.map(|ending| ending.summary());
        Ok((ending.as_deref() != Some("refused: refused"))
            .then(|| format!("what it refuses was offered again, and ended: {ending:?}")))
    }
}

/// Waits for a node's rest, or for its restart; returns whether it rests.
fn settled(node: &mut Node) -> Result<bool> {
    loop {
        match node.next(PATIENCE)? {
            Word::Restarted => return Ok(false),
            Word::State(state) if state == "idle" => return Ok(true),
            Word::State(_) | Word::Ready => {}
        }
    }
}
