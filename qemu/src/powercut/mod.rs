//! `cargo lab powercut`: the power goes after every write of a whole update, and no node is lost.
//!
//! ```text
//! story ─► recording: start image, every write and flush ─► each point ─► each cut ─► judge
//!                                                           in order, with lost writes, torn, spoilt
//! ```
//!
//! Always true: the firmware takes a slot; that slot holds all of one release; the data file system is whole after its
//! journal was played back, or after the repair that the node makes; no entry of the ledger that a flush made durable is gone; what runs is what ran at some point since then, by the same change of the boot environment. The same seed
//! cuts the same.

mod boot;
mod cut;
mod data;
mod disk;
mod ending;
pub(crate) mod host;
mod judge;
mod ledger;
mod log;
mod record;
mod tally;

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};

use self::disk::{Disk, OUTSIDE};
use self::ending::End;
use self::judge::Judge;
use self::log::Entry;
use self::record::{Recording, Story};
use self::tally::{Tally, Way};
use crate::lab::{Lab, Subject};
use crate::places;
use crate::scenario::story;
use crate::steps::Line;
use crate::timeline::Show;
use crate::variant::{FIRST, GOOD, UNHEALTHY};

/// After a cut before anything was written; nobody serves the release to a node that is booted from a recording.
const NOT_BEGUN: End = ("refused: network", "1.0.0");
/// The same, before the slot is whole.
const NO_SERVER: End = ("failed: network", "1.0.0");

/// What is recorded: an update that stays, and one that comes back.
const STORIES: [Story; 2] = [
    Story {
        name: "commit",
        release: &GOOD,
        run: story::good_update,
        way: &["1.0.0 in A", "1.1.0 in B"],
        ends: &[("committed", "1.1.0"), NOT_BEGUN, NO_SERVER],
    },
    Story {
        name: "return",
        release: &UNHEALTHY,
        run: story::unhealthy,
        way: &["1.0.0 in A", "1.2.0 in B", "1.0.0 in A"],
        ends: &[("returned: check sick", "1.0.0"), NOT_BEGUN, NO_SERVER],
    },
];

/// How many points of each story are booted to the end when `cargo verify` checks all of them.
const CHECKED_BOOTS: usize = 2;
/// Without so many cuts the lane has not done its work.
const LEAST_CUTS: usize = 1_000;
/// How a cut is made once more: a recording stays until something that it is made from changes.
const REPEAT: &str = "the recording is kept: `cargo lab powercut --qemu --point N --boots 1 --seed S` repeats a point, here with S =";

/// Which points are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Points {
    /// As many as the lane judges when nobody says otherwise.
    Usual,
    /// Every one.
    All,
    /// So many of each story, spread evenly.
    Spread(usize),
    /// One; the points of all stories are counted in a row.
    One(usize),
}

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Wanted {
    /// The points that are judged.
    pub(crate) points: Points,
    /// How many of each story's points are booted to the end, after each of their cuts.
    pub(crate) boots: usize,
    /// Chooses what is lost and torn.
    pub(crate) seed: u64,
}

impl Wanted {
    /// What the lane on this machine judges when nobody says otherwise.
    pub(crate) fn usual() -> Self {
        Self { points: Points::Usual, boots: host::BOOTS, seed: 1 }
    }
}

/// Records, cuts and judges; returns whether no node was lost.
pub(crate) fn run(subject: &Subject, wanted: Wanted) -> Result<bool> {
    let releases = STORIES.map(|story| *story.release);
    let lab = Lab::prepare(subject, &releases, Show::Aside)?;
    let tally = judged(&lab, wanted, Show::Aside)?;
    println!("\n{}", tally.closing(wanted.seed));
    if !tally.faults.is_empty() {
        println!("{REPEAT} {}", wanted.seed);
    }
    Ok(tally.faults.is_empty())
}

/// The check that no node is lost, wherever the power goes.
pub(crate) fn check(lab: &Lab) -> Result<()> {
    let wanted = Wanted { points: Points::All, boots: CHECKED_BOOTS, seed: 1 };
    let tally = judged(lab, wanted, Show::Kept)?;
    let closing = tally.closing(wanted.seed);
    ensure!(tally.faults.is_empty(), "{closing}\n{REPEAT} {}", wanted.seed);
    println!("         {closing}");
    Ok(())
}

fn judged(lab: &Lab, wanted: Wanted, show: Show) -> Result<Tally> {
    for story in &STORIES {
        lab.build(story.release)?;
    }
    lab.ensure_saved()?;
    let (mut first, mut tally) = (0, Tally::default());
    for story in &STORIES {
        let folder = places::lab().join("powercut").join(story.name);
        let recording = record::ensure_recorded(lab, story, &folder, show)?;
        let count = recording.log.entries.len() + 1;
        let chosen = chosen(wanted.points, first, count);
        if !chosen.is_empty() {
            let offer = story.release.version;
            println!("\n{}: {offer} is offered; {}", story.name, recording.log.described(first));
            let trial = Trial { lab, story, recording: &recording, folder, first, wanted };
            trial.judged(&chosen, &mut tally)?;
        }
        first += count;
    }
    ensure!(tally.points > 0, "there are points 0 to {}", first - 1);
    if wanted.points == Points::All {
        tally.has_enough(LEAST_CUTS, wanted.boots);
    }
    Ok(tally)
}

/// These points, and with each the last one before it at which everything was there for good: what a point alone is held
/// against, as it is among all.
fn with_before(entries: &[Entry], points: &[usize]) -> Vec<usize> {
    let with = |point: &usize| [cut::durable(&entries[..*point]), *point];
    points.iter().flat_map(with).collect::<BTreeSet<_>>().into_iter().collect()
}

/// So many of these points, each in the middle of an equal share: what is first and last tells little.
fn booted(points: &[usize], count: usize) -> Vec<usize> {
    (0..count)
        .filter_map(|n| points.get(points.len() * (2 * n + 1) / (2 * count)))
        .copied()
        .collect()
}

/// The points of a story with `count` of them, the first of which is number `first`.
fn chosen(points: Points, first: usize, count: usize) -> Vec<usize> {
    match points {
        Points::All | Points::Usual => (0..count).collect(),
        Points::Spread(wanted) => cut::spread(count - 1, wanted),
        Points::One(number) => {
            number.checked_sub(first).filter(|n| *n < count).into_iter().collect()
        }
    }
}

/// One story's points on their way to their verdicts.
struct Trial<'t> {
    lab: &'t Lab,
    story: &'t Story,
    recording: &'t Recording,
    folder: PathBuf,
    first: usize,
    wanted: Wanted,
}

impl Trial<'_> {
    fn judged(&self, points: &[usize], tally: &mut Tally) -> Result<()> {
        let log = &self.recording.log;
        let path = self.folder.join("cut.img");
        let mut disk = Disk::copy(&self.recording.start, &path)?;
        let known = [&FIRST, self.story.release];
        let mut judge = Judge::new(self.lab, &known, &disk, &log.entries)?;
        let (mut way, booted) = (Way::default(), booted(points, self.wanted.boots));
        let line = Line::begin(&format!("judge {} points of {}", points.len(), self.story.name));
        let power = disk.power(self.wanted.seed, &self.lab.profile.boot.environment)?;
        for point in &with_before(&log.entries, points) {
            let judged = points.contains(point);
            tally.points += usize::from(judged);
            // What is only held against later points is wanted in order.
            let ways = if judged { usize::MAX } else { 1 };
            for cut in cut::cuts(&log.entries, *point, &power).into_iter().take(ways) {
                let number = self.first + point;
                disk.settle(log, cut.durable)?;
                let undo = disk.cut(log, &cut)?;
                let context = || format!("point {number}, {}", cut.kind);
                let verdict = judge.judge(&disk).with_context(context)?;
                let mut verdict = verdict
                    .and_then(|verdict| way.remember(&cut, verdict))
                    .and_then(|()| self.kept(&disk));
                if verdict.is_ok() && judged && booted.contains(point) {
                    tally.boots += 1;
                    verdict = self.boot(&disk, number).with_context(context)?;
                }
                if judged {
                    tally.count(number, cut.kind, verdict);
                }
                disk.mend(undo)?;
            }
        }
        line.end("done");
        println!("{}\n{}", way.told(), judge.looked());
        if points.len() > log.entries.len() && way.runs != self.story.way {
            let (name, wanted) = (self.story.name, self.story.way.join(", "));
            tally.faults.push(format!("{name}: {}, wanted {wanted}", way.told()));
        }
        Ok(fs::remove_file(path)?)
    }

    fn boot(&self, disk: &Disk, number: usize) -> Result<Result<(), String>> {
        let line = Line::begin(&format!("boot point {number}"));
        let rest = boot::rest(self.lab, disk, &self.folder, self.story.ends)?;
        line.end(&match &rest {
            Ok(runs) => format!("rests with {runs}"),
            Err(fault) => fault.clone(),
        });
        Ok(rest.map(drop))
    }

    /// Nothing was written that no update may write.
    fn kept(&self, disk: &Disk) -> Result<(), String> {
        let profile = &self.lab.profile;
        let running = &profile.slots.a;
        unwritten(disk, &[OUTSIDE, &profile.disk.script, &running.boot, &running.root])
    }
}

fn unwritten(disk: &Disk, parts: &[&str]) -> Result<(), String> {
    let written: Vec<&str> =
        parts.iter().copied().filter(|name| disk.trace(name).is_some()).collect();
    if written.is_empty() { Ok(()) } else { Err(format!("written: {}", written.join(", "))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn points_of_all_stories_are_counted_in_a_row() {
        assert_eq!(chosen(Points::One(3), 0, 4), [3]);
        assert_eq!(chosen(Points::One(4), 0, 4), [0; 0]);
        assert_eq!(chosen(Points::One(4), 4, 10), [0]);
        assert_eq!(chosen(Points::All, 4, 3), [0, 1, 2]);
        assert_eq!(chosen(Points::Spread(2), 4, 3), [0, 2]);
    }

    #[test]
    fn what_is_booted_is_spread_over_the_middle_of_an_update() {
        assert_eq!(booted(&[10, 20, 30, 40, 50], 0), [0; 0]);
        assert_eq!(booted(&[10, 20, 30, 40, 50], 1), [30]);
        assert_eq!(booted(&[10, 20, 30, 40, 50], 2), [20, 40]);
        assert_eq!(booted(&[10, 20], 4), [10, 10, 20, 20]);
    }

    #[test]
    fn a_point_is_judged_with_the_last_one_at_which_all_was_there_for_good() {
        let told = [(0, vec![1; 512], 0), (0, Vec::new(), 1), (8, vec![2; 512], 0)];
        let (log, path) = log::tests::record("alone", &told);
        fs::remove_file(path).expect("removed");
        let with = |points: &[usize]| with_before(&log.entries, points);
        assert_eq!(with(&[3]), [2, 3]);
        assert_eq!(with(&[2]), [2]);
        assert_eq!(with(&[1]), [0, 1]);
        assert_eq!(with(&[1, 3]), [0, 1, 2, 3]);
    }

    #[test]
    fn what_no_update_may_write_is_named() {
        let (mut disk, log, files) = disk::tests::disk("unwritten");
        disk.settle(&log, 4).expect("settled");
        assert_eq!(unwritten(&disk, &[OUTSIDE]), Ok(()));
        assert_eq!(unwritten(&disk, &["a", OUTSIDE, "b"]), Err("written: a, b".to_owned()));
        files.iter().for_each(|file| fs::remove_file(file).expect("removed"));
    }
}
