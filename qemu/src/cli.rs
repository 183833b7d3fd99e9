//! The command line of the lab. Exit codes: 0 done, 1 not done, 2 misused.

use std::fs;
use std::io::{IsTerminal, stdout};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};

use crate::lab::{Begin, Lab, Subject};
use crate::machine::{self, Holder};
use crate::powercut::{Points, Wanted};
use crate::report::Run;
use crate::scenario::{self, Group, Keep, Scenario, Setting, Stage};
use crate::server::Server;
use crate::setup::{self, Consent};
use crate::timeline::{Paint, Show, Timeline};
use crate::variant;
use crate::verify::AfterFailure;
use crate::{demo, disks, fuzz, measure, places, pods, powercut, verify};

/// Boots the real image in QEMU, drives it, and judges what it did.
#[derive(Debug, Parser)]
#[command(name = "cargo lab", bin_name = "cargo lab", disable_help_subcommand = true)]
struct Cli {
    /// Board to emulate: a file of hw-profiles/boards.
    #[arg(long, global = true, default_value = "qemu-arm64", value_parser = board)]
    board: String,
    /// Agent's binary to put into the images, or to run on this machine, instead of one built from this tree.
    #[arg(long, global = true, value_name = "FILE")]
    agent: Option<PathBuf>,
    #[command(subcommand)]
    call: Call,
}

#[derive(Debug, Subcommand)]
enum Call {
    /// Install what this machine lacks, after asking.
    Setup {
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
    /// Tell which scenarios there are.
    List,
    /// Try scenarios, each on a node of its own.
    Run(RunArguments),
    /// Start a node that has committed 1.0.0, with its console on this terminal.
    Shell,
    /// Power on a fresh disk, with its console on this terminal.
    Boot,
    /// Run commands on a node that has committed 1.0.0, and print what they say.
    Ask {
        /// Commands, one line each.
        #[arg(required = true)]
        commands: Vec<String>,
        /// Power the node on, instead of going on from the saved machine.
        #[arg(long)]
        power_on: bool,
    },
    /// Take the figures of the specification.
    Measure {
        /// Print one JSON object.
        #[arg(long)]
        json: bool,
    },
    /// Cut the power after each write of a whole update, and judge what is left.
    Powercut(PowercutArguments),
    /// Try inputs that nobody wrote down on everything that reads from outside.
    ///
    /// Without --seconds and --runs it is the short run of `cargo verify`, which can be repeated. A long one is
    /// `cargo lab fuzz --seconds 3600`: it goes on from what earlier ones learned (out/fuzz/corpus). What is found is
    /// kept in tests/fuzz/artifacts.
    Fuzz(FuzzArguments),
    /// Tell the whole story on one node: a good release and three bad ones.
    Demo {
        /// Install what is missing without asking.
        #[arg(long)]
        yes: bool,
    },
    /// Run every check of the tree.
    Verify {
        /// Install what is missing without asking.
        #[arg(long)]
        yes: bool,
        /// Do not stop at the first failure.
        #[arg(long)]
        keep_going: bool,
    },
}

#[derive(Debug, clap::Args)]
struct RunArguments {
    /// Names of scenarios, or `all`.
    #[arg(required_unless_present = "group", conflicts_with = "group", value_parser = scenario_name)]
    scenarios: Vec<String>,
    /// Every scenario of this group.
    #[arg(long, value_name = "NAME")]
    group: Option<Group>,
    /// Print one JSON object; the timeline goes to standard error.
    #[arg(long)]
    json: bool,
    /// Write the result as JUnit XML.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
    /// Keep every guest's disk.
    #[arg(long)]
    keep: bool,
}

#[derive(Debug, clap::Args)]
#[command(group(clap::ArgGroup::new("lane").required(true).args(["qemu", "host"])))]
struct PowercutArguments {
    /// On the real image, recorded in QEMU.
    #[arg(long)]
    qemu: bool,
    /// On this machine: the real agent and RAUC on a disk that is recorded; needs root.
    #[arg(long)]
    host: bool,
    /// Judge so many points of each story, spread evenly [default: 100 with --qemu, all with --host].
    #[arg(long, value_name = "N", conflicts_with_all = ["all", "point"])]
    points: Option<usize>,
    /// Judge every point; with --host, each in more ways.
    #[arg(long, conflicts_with = "point")]
    all: bool,
    /// Judge this point alone: with the same seed, and as long as the recording is kept, as among all points.
    #[arg(long, value_name = "N")]
    point: Option<usize>,
    /// Boot so many of each story's points to the end, after their cuts [default: 0 with --qemu, 8 with --host].
    #[arg(long, value_name = "N")]
    boots: Option<usize>,
    /// Another seed loses and tears other writes.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

impl RunArguments {
    /// The scenarios of the group, or of the names, which [`scenario_name`] has let through.
    fn chosen(&self) -> Vec<&'static Scenario> {
        let all = self.scenarios.iter().any(|name| name == "all");
        let mut chosen = scenario::ALL.iter().collect::<Vec<_>>();
        match self.group {
            Some(group) => chosen.retain(|scenario| scenario.group == group),
            None if all => {}
            None => {
                chosen = self.scenarios.iter().filter_map(|name| scenario::find(name)).collect();
            }
        }
        chosen
    }
}

#[derive(Debug, clap::Args)]
struct FuzzArguments {
    /// Targets; all of them when none is named.
    #[arg(value_name = "TARGET", value_parser = fuzz_target)]
    targets: Vec<String>,
    /// Fuzz so long in all; the targets share it.
    #[arg(long, value_name = "N", conflicts_with = "runs", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// Try so many inputs on each target.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    runs: Option<u64>,
    /// Try this one input again, on the one target that is named.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seconds", "runs", "json"], requires = "targets")]
    input: Option<PathBuf>,
    /// Print one JSON array.
    #[arg(long)]
    json: bool,
}

impl FuzzArguments {
    fn length(&self) -> fuzz::Length {
        match (self.seconds, self.runs) {
            (Some(seconds), _) => fuzz::Length::Seconds(seconds),
            (None, Some(runs)) => fuzz::Length::Runs(runs),
            (None, None) => fuzz::Length::Short,
        }
    }

    fn run(&self) -> Result<bool> {
        match (&self.input, self.targets.as_slice()) {
            (Some(input), [target]) => fuzz::again(target, input),
            (Some(_), _) => bail!("an input is tried on one target"),
            (None, targets) => {
                let form = if self.json { fuzz::Form::Json } else { fuzz::Form::Table };
                fuzz::run(targets, self.length(), form)
            }
        }
    }
}

impl PowercutArguments {
    fn wanted(&self) -> Wanted {
        let points = match self.point {
            Some(point) => Points::One(point),
            None if self.all => Points::All,
            None => match self.points {
                Some(count) => Points::Spread(count),
                None if self.host => Points::Usual,
                None => Points::Spread(100),
            },
        };
        let boots = self.boots.unwrap_or(if self.host { powercut::host::BOOTS } else { 0 });
        Wanted { points, boots, seed: self.seed }
    }
}

/// The name of a board in the tree.
fn board(name: &str) -> Result<String, hw_profile::ProfileError> {
    hw_profile::known(&places::boards(), name).map(|()| name.to_owned())
}

/// Does what the command line says; returns whether it is done.
pub(crate) fn run() -> Result<bool> {
    let Cli { board, agent, call } = Cli::parse();
    let subject = Subject { board, agent };
    match call {
        Call::Setup { yes } => {
            if !setup::run(Consent::from_flag(yes))? {
                println!("The machine has all it needs.");
            }
            Ok(true)
        }
        Call::List => {
            list();
            Ok(true)
        }
        Call::Run(arguments) => scenarios(&subject, &arguments),
        Call::Shell => attend(&subject, Begin::Saved),
        Call::Boot => attend(&subject, Begin::PowerOn),
        Call::Ask { commands, power_on } => {
            let begin = if power_on { Begin::PowerOn } else { Begin::Saved };
            ask(&subject, begin, &commands)
        }
        Call::Measure { json } => {
            setup::run(Consent::from_flag(false))?;
            measure::run(&subject, if json { measure::Form::Json } else { measure::Form::Table })
        }
        Call::Powercut(arguments) => {
            setup::run(Consent::from_flag(false))?;
            match arguments.host {
                true => powercut::host::run(&subject, arguments.wanted()),
                false => powercut::run(&subject, arguments.wanted()),
            }
        }
        Call::Fuzz(arguments) => {
            setup::run(Consent::from_flag(false))?;
            arguments.run()
        }
        Call::Demo { yes } => {
            setup::run(Consent::from_flag(yes))?;
            demo::run(&subject)
        }
        Call::Verify { yes, keep_going } => {
            let after = if keep_going { AfterFailure::KeepGoing } else { AfterFailure::Stop };
            verify::run(&subject, Consent::from_flag(yes), after)
        }
    }
}

fn list() {
    let width = scenario::ALL.iter().map(|scenario| scenario.name.len()).max().unwrap_or(0);
    for scenario in scenario::ALL {
        let (name, group) = (scenario.name, scenario.group.name());
        println!("{name:<width$}  {group:<9}  {}", scenario.promise);
    }
}

fn scenarios(subject: &Subject, arguments: &RunArguments) -> Result<bool> {
    let chosen = arguments.chosen();
    setup::run(Consent::from_flag(false))?;
    let show = if arguments.json { Show::Aside } else { Show::Live };
    let lab = Lab::prepare(subject, &[], show)?;
    for scenario in &chosen {
        scenario.make_ready(&lab)?;
    }
    let keep = if arguments.keep { Keep::Everything } else { Keep::DisksOfFailures };
    let mut outcomes = Vec::new();
    for scenario in chosen {
        if !arguments.json {
            println!("\n{}: {}", scenario.name, scenario.promise);
        }
        outcomes.push(scenario::run(&lab, scenario, keep, show));
    }
    let run = Run::new(&outcomes);
    if let Some(file) = &arguments.junit {
        fs::write(file, run.junit()).with_context(|| format!("no {}", file.display()))?;
    }
    if arguments.json {
        println!("{}", serde_json::to_string_pretty(&run)?);
    } else {
        println!("\n{}", run.table(Paint::for_terminal(stdout().is_terminal())));
    }
    Ok(run.all_passed())
}

/// Refuses what is no scenario while the command line is read, so that it counts as misuse.
fn scenario_name(name: &str) -> Result<String, String> {
    if name == "all" || scenario::find(name).is_some() {
        return Ok(name.to_owned());
    }
    Err("there is no such scenario; `cargo lab list` tells which there are".to_owned())
}

/// Refuses what is no target while the command line is read.
fn fuzz_target(name: &str) -> Result<String, String> {
    match fuzz::is_target(name) {
        true => Ok(name.to_owned()),
        false => Err(format!("the targets are {}", fuzz::names())),
    }
}

/// Runs `commands` in turn on one guest; returns whether all succeeded.
fn ask(subject: &Subject, begin: Begin, commands: &[String]) -> Result<bool> {
    setup::run(Consent::from_flag(false))?;
    let lab = Lab::prepare(subject, &[], Show::Aside)?;
    if begin == Begin::Saved {
        lab.ensure_saved()?;
    }
    let folder = places::lab().join("runs/ask");
    let timeline = Timeline::start(Show::Aside);
    let mut stage = Stage::set(&lab, &Setting { folder, begin, stick: None }, &timeline)?;
    if begin == Begin::PowerOn {
        stage.guest.await_boot("A")?;
    }
    let mut all = true;
    for command in commands {
        let done = stage.guest.run(command, Duration::from_secs(600))?;
        print!("{}", done.output);
        all &= done.code == 0;
    }
    Ok(all)
}

/// A guest whose console a person holds.
fn attend(subject: &Subject, begin: Begin) -> Result<bool> {
    ensure!(std::io::stdin().is_terminal(), "standard input is no terminal; run this from one");
    setup::run(Consent::from_flag(false))?;
    let lab = Lab::prepare(subject, &[variant::GOOD], Show::Live)?;
    lab.make_pods()?;
    let folder = places::lab().join("runs/attended");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let disk = folder.join("disk.qcow2");
    let saved = match begin {
        Begin::Saved | Begin::PowerOnCommitted => {
            lab.ensure_saved()?;
            disks::copy(&lab.base_folder().join("disk.qcow2"), &disk)?;
            (begin == Begin::Saved).then(|| crate::lab::SAVED.to_owned())
        }
        Begin::PowerOn => {
            disks::overlay(&lab.folder(&variant::FIRST).join("disk.img"), &disk)?;
            None
        }
    };
    let server = Server::start(&places::lab())?;
    let at = format!("http://{}:{}", lab.qemu().host_address, server.port());
    println!(
        "A good release is at {at}/{}/{}\nA workload set is at {at}/{}/{}\nType exit and Enter for a shell with a prompt. Leave with Ctrl-A X.",
        variant::GOOD.name,
        variant::GOOD.bundle_name(),
        pods::FOLDER,
        pods::SET
    );
    let parts = lab.parts(&folder, saved)?;
    let status = machine::command(lab.qemu(), &parts, Holder::Person).status()?;
    if status.success() {
        return Ok(true);
    }
    bail!("QEMU ended with {status}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_scenario_is_a_misuse() {
        let error = Cli::try_parse_from(["lab", "run", "no-such"]).expect_err("it is refused");
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("cargo lab list"), "{error}");
        assert!(Cli::try_parse_from(["lab", "run", "hung", "all"]).is_ok());
    }

    #[test]
    fn a_run_is_of_names_or_of_one_group() {
        let chosen = |words: &str| {
            let words = ["lab", "run"].into_iter().chain(words.split(' '));
            match Cli::try_parse_from(words).map(|cli| cli.call) {
                Ok(Call::Run(arguments)) => Some(arguments.chosen()),
                _ => None,
            }
        };
        let of = |group| scenario::ALL.iter().filter(|s| s.group == group).count();
        let groups = [Group::Loop, Group::Faults, Group::Workloads].map(|group| {
            let chosen = chosen(&format!("--group {}", group.name())).expect("it is a group");
            assert!(chosen.iter().all(|scenario| scenario.group == group) && !chosen.is_empty());
            assert_eq!(chosen.len(), of(group));
            chosen.len()
        });
        let all = chosen("all").expect("it is a word").len();
        assert_eq!((all, groups.iter().sum()), (scenario::ALL.len(), scenario::ALL.len()));
        assert_eq!(chosen("hung").map(|chosen| chosen[0].name), Some("hung"));
        for wrong in ["--group nope", "--group loop hung", "--json"] {
            assert!(chosen(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn fuzzing_is_as_long_as_one_of_its_lengths_says() {
        let length = |words: &str| {
            let words = ["lab", "fuzz"].into_iter().chain(words.split_whitespace());
            match Cli::try_parse_from(words).map(|cli| cli.call) {
                Ok(Call::Fuzz(arguments)) => Some(arguments.length()),
                _ => None,
            }
        };
        assert_eq!(length(""), Some(fuzz::Length::Short));
        assert_eq!(length("ledger config --seconds 3600"), Some(fuzz::Length::Seconds(3600)));
        assert_eq!(length("ledger --runs 7 --json"), Some(fuzz::Length::Runs(7)));
        for wrong in ["--seconds 1 --runs 1", "--seconds 0", "no-such", "--input x"] {
            assert_eq!(length(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_points_of_a_power_cut_are_chosen_in_one_way() {
        let points = |words: &str| {
            let words = ["lab", "powercut"].into_iter().chain(words.split(' '));
            match Cli::try_parse_from(words).map(|cli| cli.call) {
                Ok(Call::Powercut(arguments)) => Some(arguments.wanted().points),
                _ => None,
            }
        };
        assert_eq!(points("--qemu"), Some(Points::Spread(100)));
        assert_eq!(points("--qemu --points 7"), Some(Points::Spread(7)));
        assert_eq!(points("--qemu --all --seed 9"), Some(Points::All));
        assert_eq!(points("--qemu --point 31"), Some(Points::One(31)));
        assert_eq!(points("--host"), Some(Points::Usual));
        assert_eq!(points("--host --points 7"), Some(Points::Spread(7)));
        for wrong in ["--all", "--qemu --all --point 1", "--qemu --points 2 --all", "--qemu --host"]
        {
            assert_eq!(points(wrong), None, "{wrong}");
        }
    }
}
