//! `cargo lab powercut --host`: the real agent and the real RAUC on this machine, every write on a real disk, and the
//! power goes after each.
//!
//! ```text
//! story: agent, RAUC, ext4 ─► disk that records ─► each point ─► in order, lost, ─► U-Boot ─► agent ─► its answers
//!                                                               torn, spoilt            └─► a sample: on, to rest
//! ```
//!
//! Always true: the firmware takes a slot that holds all of one release; the agent starts there, with /data mounted or
//! repaired as the node does it; of what it had acted on before the cut nothing is gone; the slot that runs was not
//! written; what was not judged is not committed, what was refused is not tried, no update ends but as its story does.
//!
//! The same seed cuts a kept recording the same, one point alone as all of them. A new recording has other writes: the
//! kernel flushes when it likes.
//!
//! Each judgement is made by the node's own programs; the lane pulls the plug and reads their answers.

mod apart;
mod bootloader;
mod node;
mod recorder;
mod release;
mod rest;
mod root;
mod rules;
mod seat;
mod story;
mod trial;

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::PathBuf;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result, bail, ensure};
use hw_profile::Profile;

use self::bootloader::Bootloader;
use self::release::{ALL, Release, Tools};
use self::root::Parts;
use self::story::{Recording, STATES, STORIES, Story, Teller};
use self::trial::{Counts, Judged, Trial};
use super::tally::{Tally, Way};
use super::{Points, Wanted, chosen, cut, with_before};
use crate::build::build_agent;
use crate::lab::{Lab, Subject};
use crate::places;
use crate::steps::Line;
use crate::timeline::Show;
use crate::variant;

/// How many seeds lose and tear at each point.
const VARIANTS: u64 = 4;
/// Without so many cuts the lane has not done its work.
const LEAST_CUTS: usize = 10_000;
/// How many do when every point is wanted.
const ALL_VARIANTS: u64 = 12;
/// How many of each story's points are let come to rest.
pub(crate) const BOOTS: usize = 8;
/// How a cut is made once more: a recording stays until something that it is made from changes.
const REPEAT: &str = "the recording is kept: `cargo lab powercut --host --point N --seed S` repeats a point, here with S =";
/// More workers than these wait for each other.
const WORKERS: usize = 4;

/// Why this machine cannot run the lane, or nothing.
pub(crate) fn lacking() -> Option<String> {
    apart::lacking()
}

/// Records, cuts and judges; returns whether no node was lost.
pub(crate) fn run(subject: &Subject, wanted: Wanted) -> Result<bool> {
    if let Some(lacking) = apart::lacking() {
        bail!("the power was not cut on this machine: {lacking}");
    }
    let Some(folder) = apart::folder() else { return apart::run(subject, wanted) };
    fs::create_dir_all(&folder)?;
    let lane = Lane::prepare(subject, folder)?;
    lane.judged(wanted)
}

/// Everything that is needed, ready.
struct Lane {
    lab: Arc<Lab>,
    parts: Parts,
    folder: PathBuf,
    kept: PathBuf,
}

impl Lane {
    fn prepare(subject: &Subject, folder: PathBuf) -> Result<Self> {
        // The image gives the disk its table and its boot script; its own agent is none for this machine.
        let image = Subject { agent: None, ..subject.clone() };
        let lab = Arc::new(Lab::prepare(&image, &[], Show::Aside)?);
        let profile = Profile::named(&places::boards(), &subject.board)?;
        let agent = match &subject.agent {
            Some(agent) => agent.clone(),
            None => build_agent(&format!("{}-unknown-linux-musl", std::env::consts::ARCH))?,
        };
        let kept = places::lab().join("powercut/host");
        let parts = Parts {
            agent,
            tools: Tools::get(&subject.board)?,
            bundles: kept.join("bundles"),
            profile,
        };
        Ok(Self { lab, parts, folder, kept })
    }

    /// The bundles, made anew when what they are made from has changed; returns what recordings depend on.
    fn make_bundles(&self) -> Result<String> {
        let mut hasher = DefaultHasher::new();
        let Parts { agent, tools, .. } = &self.parts;
        let [own, powercut] =
            ["host", "."].map(|name| places::workspace().join("qemu/src/powercut").join(name));
        let mut inputs = BTreeSet::from([agent.clone(), tools.signer.keyring.clone()]);
        inputs.insert(tools.rauc_root.join("usr/bin/rauc"));
        inputs.insert(self.lab.folder(&variant::FIRST).join("inputs"));
        inputs.insert(powercut.join("log.rs"));
        inputs.insert(places::workspace().join("image-build/rootfs/usr/lib/steadfast/boot-state"));
        for file in fs::read_dir(&own)? {
            inputs.insert(file?.path());
        }
        for input in inputs {
            fs::read(&input).with_context(|| input.display().to_string())?.hash(&mut hasher);
        }
        (self.parts.rauc_conf()?, self.parts.data_script()?).hash(&mut hasher);
        let text = format!("{:016x}", hasher.finish());
        let (folder, marker) = (&self.parts.bundles, self.parts.bundles.join("inputs"));
        if !fs::read_to_string(&marker).is_ok_and(|old| old == text) {
            let _ = fs::remove_dir_all(folder);
            fs::create_dir_all(folder)?;
            for release in &ALL {
                release.pack(tools, &self.parts.profile.compatible, folder)?;
            }
            fs::write(marker, &text)?;
        }
        Ok(text)
    }

    fn judged(&self, wanted: Wanted) -> Result<bool> {
        let inputs = self.make_bundles()?;
        let image = self.lab.folder(&variant::FIRST).join("disk.img");
        let loader = Bootloader::new(
            Arc::clone(&self.lab),
            &image,
            [self.folder.join("firmware"), self.kept.join("firmware.json")],
        )?;
        let teller = Teller {
            lab: &self.lab,
            parts: &self.parts,
            loader: &loader,
            seat: self.folder.join("story"),
            folder: self.kept.clone(),
            inputs,
        };
        let judge = Judge { lane: self, loader: &loader, wanted };
        let (mut first, mut tally) = (0, Tally::default());
        let (mut told, mut states) = (Vec::new(), BTreeSet::new());
        for story in &STORIES {
            let recording = teller.ensure(story)?;
            states.extend(story::states(&recording.marks).map(str::to_owned));
            let count = recording.log.entries.len() + 1;
            let points = chosen(wanted.points, first, count);
            if !points.is_empty() {
                let offer = story.offer.map_or("nothing", |release| release.version);
                println!(
                    "\n{}: {offer} is offered; {}",
                    story.name,
                    recording.log.described(first)
                );
                let trial = judge.trial(story, &recording, &points)?;
                told.extend(judge.story(&trial, &points, first, &mut tally)?);
            }
            first += count;
        }
        ensure!(tally.points > 0, "there are points 0 to {}", first - 1);
        let untold = STATES.into_iter().find(|state| !states.contains(*state));
        ensure!(
            untold.is_none(),
            "no story leads through the state {}",
            untold.unwrap_or_default()
        );
        if matches!(wanted.points, Points::Usual | Points::All) {
            tally.has_enough(LEAST_CUTS, wanted.boots);
        }
        let [asked, answers] = loader.asked();
        println!("\nthe firmware was asked {asked} times; {answers} answers of it are known");
        if let Points::One(_) = wanted.points {
            println!("{}", told.join("\n"));
        } else {
            fs::write(self.kept.join("judged"), told.join("\n"))?;
        }
        println!("{}", tally.closing(wanted.seed));
        if !tally.faults.is_empty() {
            println!("each cut is in {}/judged\n{REPEAT} {}", self.kept.display(), wanted.seed);
        }
        Ok(tally.faults.is_empty())
    }
}

/// Who judges the stories' cuts.
struct Judge<'j> {
    lane: &'j Lane,
    loader: &'j Bootloader,
    wanted: Wanted,
}

impl<'j> Judge<'j> {
    fn trial(
        &self,
        story: &'j Story,
        recording: &'j Recording,
        points: &[usize],
    ) -> Result<Trial<'j>> {
        let releases = ALL.iter().map(Release::images).collect::<Result<_>>()?;
        let last = points.len().saturating_sub(1);
        let rested = match self.wanted.boots {
            0 => Vec::new(),
            count => cut::spread(last, count).into_iter().map(|place| points[place]).collect(),
        };
        let variants = match self.wanted.points {
            Points::All | Points::One(_) => ALL_VARIANTS,
            Points::Usual | Points::Spread(_) => VARIANTS,
        };
        Ok(Trial {
            parts: &self.lane.parts,
            story,
            recording,
            loader: self.loader,
            releases,
            folder: self.lane.folder.join(story.name),
            wanted: self.wanted,
            variants,
            rested,
            starts: Mutex::default(),
            counts: Counts::default(),
        })
    }

    /// Judges a story's points, counts what came of them, and tells it of each cut.
    fn story(
        &self,
        trial: &Trial<'_>,
        points: &[usize],
        first: usize,
        tally: &mut Tally,
    ) -> Result<Vec<String>> {
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(WORKERS);
        let line = Line::begin(&format!("judge {} points of {}", points.len(), trial.story.name));
        let judged = trial.judged(&with_before(&trial.recording.log.entries, points), workers)?;
        line.end("done");
        let (mut way, mut told) = (Way::default(), Vec::new());
        for Judged { cut, verdict } in judged {
            let known = verdict.as_ref().map(|verdict| verdict.to_string());
            let known = known.unwrap_or_default();
            let verdict = verdict.and_then(|verdict| way.remember(&cut, verdict));
            if points.contains(&cut.point) {
                let said =
                    verdict.as_ref().map_or_else(|fault| format!("lost: {fault}"), |()| known);
                told.push(format!("point {}, {}: {said}", first + cut.point, cut.kind));
                tally.count(first + cut.point, cut.kind, verdict);
            }
        }
        tally.points += points.len();
        tally.boots += trial.counts.rests.load(Ordering::Relaxed);
        println!("{}", way.told());
        println!(
            "the agent was started and asked {} times: cuts that leave slot, boot environment and /data alike \
             share a start; {} nodes came to rest, within {} boots",
            trial.starts.lock().map_or(0, |starts| starts.len()),
            trial.counts.rests.load(Ordering::Relaxed),
            trial.counts.boots.load(Ordering::Relaxed),
        );
        if points.len() > trial.recording.log.entries.len() && way.runs != trial.story.way {
            let (name, wanted) = (trial.story.name, trial.story.way.join(", "));
            tally.faults.push(format!("{name}: {}, wanted {wanted}", way.told()));
        }
        tally.faults.extend(trial.written_while_it_ran()?);
        Ok(told)
    }
}
