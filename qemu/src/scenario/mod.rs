//! A scenario: one promise about the node, tried on a real guest and judged by what the node says afterwards.
//!
//! ```text
//! build everything ─► saved node ─► copy ─► run(stage) ─► claims ─► outcome ─► table, JSON, JUnit
//! ```
//!
//! A scenario passes when it came to its end and every claim held. A claim that does not hold does not stop it:
//! what else is wrong helps to find out why.

mod bad_input;
mod boot_environment;
mod download;
mod evidence;
mod faults;
mod list;
mod refusal;
pub(crate) mod story;
mod workloads;

use std::collections::BTreeMap;
use std::fmt::Display;
use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};
use serde::Serialize;

use crate::disks;
use crate::guest::Guest;
use crate::lab::{Begin, Lab};
use crate::places;
use crate::server::Server;
use crate::timeline::{Actor, Moment, Show, Timeline};
use crate::variant::Variant;

pub(crate) use list::{ALL, find};

/// What a scenario tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Group {
    /// What an update goes through from its order to its end, good or bad.
    Loop,
    /// What else breaks while the node is at work.
    Faults,
    /// The pods of the node.
    Workloads,
}

impl Group {
    /// Its name on the command line.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Loop => "loop",
            Self::Faults => "faults",
            Self::Workloads => "workloads",
        }
    }
}

/// One promise and how it is tried.
pub(crate) struct Scenario {
    /// Name on the command line.
    pub(crate) name: &'static str,
    /// What it tells of.
    pub(crate) group: Group,
    /// The promise, in one sentence.
    pub(crate) promise: &'static str,
    /// Releases that must be built.
    pub(crate) releases: &'static [Variant],
    /// The release on the stick.
    pub(crate) stick: Option<Variant>,
    /// How its guest begins.
    pub(crate) begin: Begin,
    /// Seconds it takes on a quiet machine with two cores.
    pub(crate) budget_s: u32,
    /// Tries it.
    pub(crate) trial: Trial,
}

impl Scenario {
    /// Builds what it needs, and the saved node if it goes on from there.
    pub(crate) fn make_ready(&self, lab: &Lab) -> Result<()> {
        for release in self.releases {
            lab.build(release)?;
        }
        if self.group == Group::Workloads {
            lab.make_pods()?;
        }
        match self.trial {
            Trial::Node(_) => lab.ensure_saved(),
            Trial::Firmware(_) => Ok(()),
        }
    }
}

/// What a promise is tried on.
#[derive(Clone, Copy)]
pub(crate) enum Trial {
    /// A running node.
    Node(fn(&mut Stage) -> Result<()>),
    /// The firmware and the boot script; no kernel is awaited.
    Firmware(fn(&mut Bench) -> Result<()>),
}

/// One thing that had to be true.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Claim {
    /// What was looked at.
    pub(crate) what: String,
    /// What was found.
    pub(crate) found: String,
    /// What had to be found.
    pub(crate) wanted: String,
}

impl Claim {
    /// Whether it is true.
    pub(crate) fn holds(&self) -> bool {
        self.found == self.wanted
    }

    /// The claim that `found` has to be `wanted`; the timeline tells when it is not.
    fn noted(timeline: &Timeline, what: &str, found: impl Display, wanted: impl Display) -> Self {
        let claim =
            Self { what: what.to_owned(), found: found.to_string(), wanted: wanted.to_string() };
        if !claim.holds() {
            let text =
                format!("NOT as promised: {what} is {}, wanted {}", claim.found, claim.wanted);
            timeline.note(Actor::Lab, text);
        }
        claim
    }
}

/// What came of a scenario.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Outcome {
    /// The scenario.
    pub(crate) name: String,
    /// Its promise.
    pub(crate) promise: String,
    /// Whether it came to its end and every claim held.
    pub(crate) passed: bool,
    /// Seconds it took.
    pub(crate) seconds: f64,
    /// Why it did not come to its end.
    pub(crate) error: Option<String>,
    /// What was looked at.
    pub(crate) claims: Vec<Claim>,
    /// Figures it took on the way, in seconds.
    pub(crate) figures: BTreeMap<String, f64>,
    /// What happened.
    pub(crate) timeline: Vec<Moment>,
    /// The serial console's log.
    pub(crate) log: PathBuf,
}

/// Where and how a guest begins.
#[derive(Debug, Clone)]
pub(crate) struct Setting {
    /// Its disks and its log.
    pub(crate) folder: PathBuf,
    /// From which state.
    pub(crate) begin: Begin,
    /// The release on the stick.
    pub(crate) stick: Option<Variant>,
}

/// A guest and what belongs to it, handed to a scenario.
pub(crate) struct Stage<'l> {
    /// What everything was built from.
    pub(crate) lab: &'l Lab,
    /// The node.
    pub(crate) guest: Guest,
    server: Server,
    about: String,
    claims: Vec<Claim>,
    figures: BTreeMap<String, f64>,
}

impl<'l> Stage<'l> {
    /// A stage with a guest in the setting's folder, which is emptied first.
    pub(crate) fn set(lab: &'l Lab, setting: &Setting, timeline: &Timeline) -> Result<Self> {
        let folder = &setting.folder;
        let _ = fs::remove_dir_all(folder);
        fs::create_dir_all(folder).with_context(|| format!("no folder {}", folder.display()))?;
        if let Some(release) = &setting.stick {
            disks::stick_with(&lab.bundle(release), &disks::stick_in(folder))?;
        }
        Self::on(lab, lab.start(setting.begin, folder, timeline)?)
    }

    /// A stage with this guest.
    pub(crate) fn on(lab: &'l Lab, guest: Guest) -> Result<Self> {
        let server = Server::start(&places::lab())?;
        let (claims, figures) = (Vec::new(), BTreeMap::new());
        Ok(Self { lab, guest, server, about: String::new(), claims, figures })
    }

    /// Adds what the lab does to the timeline.
    pub(crate) fn say(&self, what: impl Into<String>) {
        self.guest.timeline().note(Actor::Lab, what);
    }

    /// Seconds since power-on.
    pub(crate) fn now(&self) -> f64 {
        self.guest.timeline().elapsed().as_secs_f64()
    }

    /// Says what the claims from here on are about.
    pub(crate) fn about(&mut self, what: &str) {
        self.about = format!("{what}: ");
    }

    /// Notes that `found` had to be `wanted`.
    pub(crate) fn claim(&mut self, what: &str, found: impl Display, wanted: impl Display) {
        let what = format!("{}{what}", self.about);
        self.claims.push(Claim::noted(self.guest.timeline(), &what, found, wanted));
    }

    /// Notes a figure in seconds.
    pub(crate) fn figure(&mut self, name: &str, seconds: f64) {
        self.figures.insert(name.to_owned(), seconds);
    }

    /// The address at which the guest gets a release's bundle.
    pub(crate) fn url(&self, release: &Variant) -> String {
        self.url_of(&format!("{}/{}", release.name, release.bundle_name()))
    }

    /// The address of a file below the lab's folder.
    pub(crate) fn url_of(&self, path: &str) -> String {
        format!("http://{}:{}/{path}", self.lab.qemu().host_address, self.server.port())
    }

    /// The server of bundles.
    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Takes the claims made so far.
    pub(crate) fn take_claims(&mut self) -> Vec<Claim> {
        std::mem::take(&mut self.claims)
    }
}

/// Disk images and their firmware, handed to a scenario that starts its machines itself.
pub(crate) struct Bench<'l> {
    /// What everything was built from.
    pub(crate) lab: &'l Lab,
    /// An empty folder for its images and its log.
    pub(crate) folder: PathBuf,
    timeline: Timeline,
    claims: Vec<Claim>,
}

impl<'l> Bench<'l> {
    /// A bench in `folder`, which is emptied first.
    fn set(lab: &'l Lab, folder: PathBuf, timeline: &Timeline) -> Result<Self> {
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).with_context(|| format!("no folder {}", folder.display()))?;
        Ok(Self { lab, folder, timeline: timeline.clone(), claims: Vec::new() })
    }

    /// Adds what the lab does to the timeline.
    pub(crate) fn say(&self, what: impl Into<String>) {
        self.timeline.note(Actor::Lab, what);
    }

    /// Notes that `found` had to be `wanted`.
    pub(crate) fn claim(&mut self, what: &str, found: impl Display, wanted: impl Display) {
        self.claims.push(Claim::noted(&self.timeline, what, found, wanted));
    }
}

/// What stays of a guest's files after a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keep {
    /// The log always, the disk only of a scenario that failed.
    DisksOfFailures,
    /// Everything.
    Everything,
}

/// Tries one scenario.
pub(crate) fn run(lab: &Lab, scenario: &Scenario, keep: Keep, show: Show) -> Outcome {
    let folder = folder_of(scenario);
    let timeline = Timeline::start(show);
    let (claims, figures, ended) = match scenario.trial {
        Trial::Node(run) => on_a_node(lab, scenario, &timeline, run),
        Trial::Firmware(run) => match Bench::set(lab, folder.clone(), &timeline) {
            Err(error) => (Vec::new(), BTreeMap::new(), Err(error)),
            Ok(mut bench) => {
                let ended = run(&mut bench);
                (bench.claims, BTreeMap::new(), ended)
            }
        },
    };
    let passed = ended.is_ok() && !claims.is_empty() && claims.iter().all(Claim::holds);
    if passed && keep == Keep::DisksOfFailures {
        for file in ["disk.qcow2", "disk.img", "stick.img"] {
            let _ = fs::remove_file(folder.join(file));
        }
    }
    Outcome {
        name: scenario.name.to_owned(),
        promise: scenario.promise.to_owned(),
        passed,
        seconds: timeline.elapsed().as_secs_f64(),
        error: ended.err().map(|error| format!("{error:#}")),
        claims,
        figures,
        timeline: timeline.moments(),
        log: folder.join("serial.log"),
    }
}

/// What a scenario found, its figures, and whether it came to its end.
type Ended = (Vec<Claim>, BTreeMap<String, f64>, Result<()>);

fn on_a_node(
    lab: &Lab,
    scenario: &Scenario,
    timeline: &Timeline,
    run: fn(&mut Stage) -> Result<()>,
) -> Ended {
    let folder = folder_of(scenario);
    let setting = Setting { folder, begin: scenario.begin, stick: scenario.stick };
    match Stage::set(lab, &setting, timeline) {
        Err(error) => (Vec::new(), BTreeMap::new(), Err(error)),
        Ok(mut stage) => {
            let ended = run(&mut stage);
            (stage.claims, stage.figures, ended)
        }
    }
}

fn folder_of(scenario: &Scenario) -> PathBuf {
    places::lab().join("runs").join(scenario.name)
}
