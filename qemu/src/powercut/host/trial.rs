//! Every cut of one story, judged by several workers at once.
//!
//! ```text
//! points ─┬─ worker: disk, seat ─► cut ─► firmware's choice ─► content ─► agent's start ─┬─► in order ─► verdicts
//!         └─ worker: disk, seat ─► …                                                     │
//!                                  the same boot environment, slot and /data ── known ──┘
//! ```
//!
//! Always true: a start is taken as known only when everything that it depends on is the same byte for byte: the slot
//! and what is in it, the boot environment after the count, the whole data partition.

use std::collections::HashMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, anyhow};

use super::super::cut::{self, Cut, Power};
use super::super::data::Memory;
use super::super::disk::{Disk, OUTSIDE, touched};
use super::super::judge::{self, Contents, Verdict, parts};
use super::super::ledger::Ledger;
use super::super::log::Entry;
use super::super::{Wanted, unwritten};
use super::bootloader::Bootloader;
use super::node::Beside;
use super::release::ALL;
use super::rest::Rest;
use super::root::Parts;
use super::rules;
use super::seat::{Seat, ask};
use super::story::{Known, Mark, Recording, Story, promised};
use crate::disks;

/// The bytes of which a start depends, as a number: slot, version, boot environment, trace of the data partition.
type Start = (String, String, u64, Option<u64>);

/// One story's cuts on their way to their verdicts.
pub(super) struct Trial<'t> {
    /// What nodes are made of.
    pub(super) parts: &'t Parts,
    /// What was recorded.
    pub(super) story: &'t Story,
    /// Its record.
    pub(super) recording: &'t Recording,
    /// The firmware.
    pub(super) loader: &'t Bootloader,
    /// What the releases' images are.
    pub(super) releases: Vec<judge::Release>,
    /// Folder of the lane's tmpfs.
    pub(super) folder: PathBuf,
    /// What is wanted.
    pub(super) wanted: Wanted,
    /// How many ways a point is cut with losses and torn, at most.
    pub(super) variants: u64,
    /// The points whose nodes are let come to rest.
    pub(super) rested: Vec<usize>,
    /// Starts that were made, and what came of them.
    pub(super) starts: Mutex<HashMap<Start, Result<Verdict, String>>>,
    /// What was done.
    pub(super) counts: Counts,
}

/// What was done.
#[derive(Default)]
pub(super) struct Counts {
    /// Nodes that came to rest.
    pub(super) rests: AtomicUsize,
    /// The most boots that one of them took.
    pub(super) boots: AtomicUsize,
}

/// What came of one cut.
pub(super) struct Judged {
    /// The cut; its pieces are dropped.
    pub(super) cut: Cut,
    /// A node that goes on, or how it was lost.
    pub(super) verdict: Result<Verdict, String>,
}

impl Trial<'_> {
    /// Judges these points with so many workers; the verdicts are in the points' order.
    pub(super) fn judged(&self, points: &[usize], workers: usize) -> Result<Vec<Judged>> {
        let work = |number: usize| {
            let own: Vec<usize> = points.iter().copied().skip(number).step_by(workers).collect();
            self.work(&own, &self.folder.join(format!("seat-{number}")))
        };
        let mut judged = std::thread::scope(|scope| {
            let all: Vec<_> =
                (0..workers).map(|number| scope.spawn(move || work(number))).collect();
            let mut judged = Vec::new();
            for worker in all {
                judged.extend(worker.join().map_err(|_| anyhow!("a worker failed"))??);
            }
            anyhow::Ok(judged)
        })?;
        judged.sort_by_key(|judged| judged.cut.point);
        Ok(judged)
    }

    fn work(&self, points: &[usize], folder: &Path) -> Result<Vec<Judged>> {
        fs::create_dir_all(folder)?;
        let log = &self.recording.log;
        let mut disk = Disk::copy(&self.recording.start, &folder.join("cut.img"))?;
        let mut seat = Seat::new(self.parts, &disk, &log.entries, folder)?;
        let mut firmware = Firmware::new(self);
        let mut judged = Vec::new();
        let power = disk.power(self.wanted.seed, &self.parts.profile.boot.environment)?;
        for point in points {
            let mut rested = Vec::new();
            for mut cut in variants(&log.entries, *point, &power, self.variants) {
                let context = || format!("point {point} of {}", self.story.name);
                disk.settle(log, cut.durable)?;
                let undo = disk.cut(log, &cut)?;
                let mut verdict =
                    self.verdict(&disk, &mut seat, &mut firmware).with_context(context)?;
                verdict = verdict.and_then(|verdict| self.fits(&disk, &cut, verdict));
                if verdict.is_ok() && self.rested.contains(point) && !rested.contains(&cut.kind) {
                    rested.push(cut.kind);
                    let rest = self.rest(&mut seat, &disk).with_context(context)?;
                    verdict = rest.and(verdict);
                }
                disk.mend(undo)?;
                cut.pieces.clear();
                judged.push(Judged { cut, verdict });
            }
        }
        Ok(judged)
    }

    /// What becomes of a node with this disk.
    fn verdict(
        &self,
        disk: &Disk,
        seat: &mut Seat,
        firmware: &mut Firmware<'_>,
    ) -> Result<Result<Verdict, String>> {
        let profile = &self.parts.profile;
        let (choice, version) = match firmware.starts(disk)? {
            Ok(found) => found,
            Err(fault) => return Ok(Err(fault)),
        };
        let data = disk.trace(&profile.disk.data);
        let start = (choice.slot.clone(), version, choice.digest, data);
        let known = |starts: &HashMap<_, _>| starts.get(&start).cloned();
        let starts = || self.starts.lock().map_err(|_| anyhow!("a worker failed"));
        if let Some(verdict) = known(&*starts()?) {
            return Ok(verdict);
        }
        fs::write(seat.root.file(&profile.boot.environment), &choice.after)?;
        seat.lay_data(disk)?;
        let verdict = self.start(seat, &choice, &start.1);
        starts()?.insert(start, verdict.clone());
        Ok(verdict)
    }

    /// Starts the agent in this slot, and judges what it says.
    fn start(&self, seat: &mut Seat, chosen: &Chosen, version: &str) -> Result<Verdict, String> {
        let slot = &*chosen.slot;
        let mut started = || -> Result<Result<Verdict, String>> {
            let release = ALL.iter().find(|release| release.version == version);
            let release = release.context("a release of the lane")?;
            let node = seat.start(slot, release, Beside::Silence)?;
            let seen = ask(&node)?;
            node.stop()?;
            Ok(seen.and_then(|seen| {
                if let Some(fault) = rules::fault(&seen, self.story, [version, slot]) {
                    return Err(fault);
                }
                let ledger = Ledger { entries: 1, last: seen.before() };
                let memory = Memory { ledger, repaired: seen.repaired() };
                let runs = format!("{version} in {slot}");
                Ok(Verdict { runs, change: chosen.change.clone(), memory })
            }))
        };
        started()
            .unwrap_or_else(|error| Err(format!("{version} in {slot} does not start: {error:#}")))
    }

    /// Whether a node that goes on fits to what was promised before the cut.
    fn fits(&self, disk: &Disk, cut: &Cut, verdict: Verdict) -> Result<Verdict, String> {
        let profile = &self.parts.profile;
        let running = &profile.slots.a;
        unwritten(disk, &[OUTSIDE, &profile.disk.script, &running.boot, &running.root])?;
        let (promised, last) =
            (promised(&self.recording.marks, cut.point), verdict.memory.ledger.last);
        if last < promised {
            return Err(format!(
                "the agent had acted on entry {promised} of its ledger, which ends with {last}"
            ));
        }
        Ok(verdict)
    }

    fn rest(&self, seat: &mut Seat, disk: &Disk) -> Result<Result<(), String>> {
        let Self { parts, story, loader, releases, .. } = self;
        let rest = Rest { parts, story, loader, releases };
        Ok(match rest.reach(seat, disk)? {
            Ok(boots) => {
                self.counts.rests.fetch_add(1, Ordering::Relaxed);
                self.counts.boots.fetch_max(boots, Ordering::Relaxed);
                Ok(())
            }
            Err(fault) => Err(format!("on its way to rest: {fault}")),
        })
    }

    /// What the record itself shows: a slot that was written while it ran.
    pub(super) fn written_while_it_ran(&self) -> Result<Option<String>> {
        let partitions = disks::partitions(&self.recording.start)?;
        let mut running = None;
        for (number, entry) in self.recording.log.entries.iter().enumerate() {
            running = started(&self.recording.marks, number).or(running);
            let parts = running.and_then(|slot| parts(&self.parts.profile, slot));
            let (Some(parts), Some(write)) = (parts, &entry.write) else { continue };
            let names = touched(&partitions, write.at, write.length);
            if let Some(name) = names.iter().find(|name| [&parts.boot, &parts.root].contains(name))
            {
                return Ok(Some(format!("entry {number} of the record writes {name}, which runs")));
            }
        }
        Ok(None)
    }
}

/// The firmware in front of one worker's disk, which is the same to it as long as its traces are.
struct Firmware<'t> {
    trial: &'t Trial<'t>,
    choices: HashMap<Option<u64>, Rc<Chosen>>,
    contents: Contents,
}

/// A choice of the firmware, carried out.
struct Chosen {
    slot: String,
    /// Which change of the boot environment that was.
    change: String,
    /// The boot environment, with the attempt counted.
    after: Vec<u8>,
    /// Of that.
    digest: u64,
}

impl<'t> Firmware<'t> {
    fn new(trial: &'t Trial<'t>) -> Self {
        Self { trial, choices: HashMap::new(), contents: Contents::default() }
    }

    /// What starts, and its version; or why nothing does.
    fn starts(&mut self, disk: &Disk) -> Result<Result<(Rc<Chosen>, String), String>> {
        let chosen = self.chosen(disk)?;
        let Some(slot) = parts(&self.trial.parts.profile, &chosen.slot) else {
            return Ok(Err("the firmware finds no slot that may boot".to_owned()));
        };
        let version = self.contents.version(disk, slot, &self.trial.releases)?;
        Ok(version.map(|version| (Rc::clone(&chosen), version)).ok_or_else(|| {
            format!("slot {} is tried first, and holds no whole release", chosen.slot)
        }))
    }

    fn chosen(&mut self, disk: &Disk) -> Result<Rc<Chosen>> {
        let name = &self.trial.parts.profile.boot.environment;
        let trace = disk.trace(name);
        if let Some(chosen) = self.choices.get(&trace) {
            return Ok(Rc::clone(chosen));
        }
        let environment = disk.read(name, 0, disk.partition(name)?.size)?;
        let choice = self.trial.loader.choice(&environment)?;
        let after = choice.after(&environment);
        let mut hasher = DefaultHasher::new();
        after.hash(&mut hasher);
        let digest = hasher.finish();
        let chosen = Chosen { slot: choice.slot, change: choice.change, after, digest };
        let chosen = Rc::new(chosen);
        self.choices.insert(trace, Rc::clone(&chosen));
        Ok(chosen)
    }
}

/// The slot that starts when the record has so many entries.
fn started(marks: &[Mark], entries: usize) -> Option<&str> {
    let at = marks.iter().filter(|mark| mark.position == entries);
    at.filter_map(|mark| match &mark.what {
        Known::Started { slot } => Some(&**slot),
        Known::Saved { .. } => None,
    })
    .next_back()
}

/// The ways in which the power may go at a point, no two alike: in order, and so many chosen by the seed.
fn variants(entries: &[Entry], point: usize, power: &Power, count: u64) -> Vec<Cut> {
    let mut found: Vec<Cut> = Vec::new();
    for number in 0..count {
        let seed = power.seed.wrapping_mul(1000).wrapping_add(number);
        for cut in cut::cuts(entries, point, &Power { seed, ..power.clone() }) {
            if found.iter().all(|other| other.pieces != cut.pieces) {
                found.push(cut);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::super::super::cut::Kind;
    use super::super::super::log::tests::record;
    use super::*;

    #[test]
    fn a_point_is_cut_in_many_ways_and_no_two_are_alike() {
        let told: Vec<_> = (0..6).map(|n| (n * 8, vec![1; 4096], 0)).collect();
        let (log, path) = record("variants", &told);
        fs::remove_file(path).expect("removed");
        let power = |seed| Power { seed, fragile: 0..0 };
        let cuts = variants(&log.entries, 6, &power(1), 8);
        assert_eq!(cuts.iter().filter(|cut| cut.kind == Kind::InOrder).count(), 1);
        assert!(cuts.len() > 8, "{}", cuts.len());
        let alike = |n: usize| cuts[..n].iter().any(|cut| cut.pieces == cuts[n].pieces);
        assert!(!(0..cuts.len()).any(alike));
        assert_eq!(cuts, variants(&log.entries, 6, &power(1), 8));
        assert_ne!(cuts, variants(&log.entries, 6, &power(2), 8));
    }

    #[test]
    fn the_slot_that_runs_is_known_from_its_start_on() {
        let mark =
            |position, slot: &str| Mark { position, what: Known::Started { slot: slot.into() } };
        let marks = [mark(1, "A"), mark(5, "B")];
        assert_eq!(
            [0, 1, 4, 5].map(|entries| started(&marks, entries)),
            [None, Some("A"), None, Some("B")]
        );
    }
}
