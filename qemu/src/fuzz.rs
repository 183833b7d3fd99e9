//! `cargo lab fuzz`: inputs that nobody wrote down, for everything that reads from outside.
//!
//! ```text
//! build with coverage ─► a target on each core: seeds of the tree ─► libFuzzer ─► promises hold, or a finding
//!                                               what was learned ──┘ (with --seconds only)
//! ```
//!
//! Always true: without `--seconds` a run starts from the seeds of the tree, from one random seed and for so many
//! inputs, so that it can be repeated; a finding is an input that is kept, and the run fails.

mod said;

use std::collections::VecDeque;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::build::{cargo, target_folder};
use crate::places;
use crate::steps::step;
use said::Said;

/// What libFuzzer needs to see which way an input took; the flags of cargo-fuzz without a sanitizer.
const COVERAGE: &str = "-Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares --cfg fuzzing";

/// The longest that one input may take: no promise of a node, but no endless loop is shorter.
const TIMEOUT_S: u32 = 20;

/// The most memory of a target, with libFuzzer's own. The targets' own limits are much lower
/// (`tests/fuzz/src/memory.rs`).
const RSS_MIB: u32 = 512;

/// One target, and its share of a short run.
struct Target {
    name: &'static str,
    /// Inputs that take about ten seconds on one core of a small machine.
    runs: u64,
}

const fn target(name: &'static str, runs: u64) -> Target {
    Target { name, runs }
}

/// Every target of `tests/fuzz`.
const TARGETS: [Target; 15] = [
    target("board_profile", 20_000),
    target("boot_environment", 100_000),
    target("checks", 20_000),
    target("config", 50_000),
    target("control_connection", 50_000),
    target("control_frame", 300_000),
    target("evidence", 30_000),
    target("http_answer", 50_000),
    target("kernel_text", 100_000),
    target("ledger", 25_000),
    target("ledger_file", 10_000),
    target("manifest", 25_000),
    target("rauc_bus", 3_000),
    target("rauc_text", 60_000),
    target("url", 200_000),
];

/// How long is fuzzed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Length {
    /// Each target's own share, as in `cargo verify`.
    Short,
    /// So many inputs a target.
    Runs(u64),
    /// So long in all; the targets share it.
    Seconds(u64),
}

/// How the result is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A table.
    Table,
    /// One JSON object.
    Json,
}

/// One line of the table.
#[derive(Debug, Serialize)]
struct Row {
    target: &'static str,
    seconds: f64,
    #[serde(flatten)]
    said: Said,
}

/// Whether there is a target of this name.
pub(crate) fn is_target(name: &str) -> bool {
    TARGETS.iter().any(|target| target.name == name)
}

/// The names of all targets.
pub(crate) fn names() -> String {
    TARGETS.map(|target| target.name).join(", ")
}

/// Fuzzes the targets of these names, or all; returns whether nothing was found.
pub(crate) fn run(names: &[String], length: Length, form: Form) -> Result<bool> {
    let chosen = |target: &&Target| names.is_empty() || names.iter().any(|it| it == target.name);
    let targets: Vec<&Target> = TARGETS.iter().filter(chosen).collect();
    let rows = fuzzed(&targets, length, &built()?)?;
    match form {
        Form::Table => println!("{}", table(&rows)),
        Form::Json => println!("{}", serde_json::to_string_pretty(&rows)?),
    }
    Ok(rows.iter().all(|row| row.said.finding.is_none()))
}

/// Tries one input again; returns whether it passes.
pub(crate) fn again(name: &str, input: &Path) -> Result<bool> {
    let scratch = Scratch::new(name)?;
    let mut command = Command::new(built()?.join(name));
    command.args(limits()).arg(input).env("TMPDIR", &scratch.0);
    Ok(command.status().context("the target does not start")?.success())
}

/// The short run of `cargo verify`.
pub(crate) fn short() -> Result<()> {
    let rows = fuzzed(&TARGETS.iter().collect::<Vec<_>>(), Length::Short, &built()?)?;
    println!("{}", table(&rows));
    ensure!(rows.iter().all(|row| row.said.finding.is_none()), "an input broke a promise");
    Ok(())
}

/// Builds every target; returns the folder of the programs.
fn built() -> Result<PathBuf> {
    let host = host()?;
    let folder = target_folder()?.join("fuzz");
    let manifest = own().join("Cargo.toml");
    let mut command = cargo();
    // A target of its own keeps the flags from build scripts, which have nothing to report to.
    command.args(["build", "--release", "--bins", "--target", &host, "--manifest-path"]);
    command.arg(manifest).arg("--target-dir").arg(&folder).env("RUSTFLAGS", COVERAGE);
    step("build the fuzz targets", &mut command)?;
    Ok(folder.join(host).join("release"))
}

/// The triple of this machine, as rustc names it.
fn host() -> Result<String> {
    let said = Command::new("rustc").arg("-vV").current_dir(places::workspace()).output();
    let said = String::from_utf8(said.context("rustc does not start")?.stdout)?;
    let host = said.lines().find_map(|line| line.strip_prefix("host: "));
    host.map(str::to_owned).context("rustc names no host")
}

/// The folder of the targets and their seeds.
fn own() -> PathBuf {
    places::workspace().join("tests/fuzz")
}

/// What was learned and said in earlier runs.
fn kept() -> PathBuf {
    places::workspace().join("out/fuzz")
}

/// Runs the targets, as many at once as there are cores.
fn fuzzed(targets: &[&Target], length: Length, programs: &Path) -> Result<Vec<Row>> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from).min(targets.len());
    let share = |seconds: u64| (seconds * cores as u64).div_ceil(targets.len() as u64);
    let queue: Mutex<VecDeque<&Target>> = Mutex::new(targets.iter().copied().collect());
    let next = || queue.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
    let work = || {
        let mut rows = Vec::new();
        while let Some(target) = next() {
            let length = match length {
                Length::Short => Length::Runs(target.runs),
                Length::Seconds(seconds) => Length::Seconds(share(seconds)),
                runs => runs,
            };
            rows.push(one(target, length, programs));
        }
        rows
    };
    let rows = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..cores).map(|_| scope.spawn(work)).collect();
        let joined = workers.into_iter().flat_map(|it| it.join().expect("a worker has no panic"));
        joined.collect::<Result<Vec<Row>>>()
    });
    let mut rows = rows?;
    rows.sort_by_key(|row| row.target);
    Ok(rows)
}

/// Runs one target to its end.
fn one(target: &Target, length: Length, programs: &Path) -> Result<Row> {
    let name = target.name;
    let scratch = Scratch::new(name)?;
    let (findings, logs) = (own().join("artifacts").join(name), kept().join("logs"));
    let learned = match length {
        Length::Seconds(_) => kept().join("corpus").join(name),
        // Empty each time: only then do the same inputs follow from the same seed.
        _ => scratch.0.join("learned"),
    };
    for folder in [&findings, &logs, &learned] {
        fs::create_dir_all(folder).with_context(|| format!("no folder {}", folder.display()))?;
    }
    let log = logs.join(format!("{name}.log"));
    let mut command = Command::new(programs.join(name));
    command.args(limits()).arg(format!("-artifact_prefix={}/", findings.display()));
    match length {
        Length::Seconds(seconds) => command.arg(format!("-max_total_time={seconds}")),
        Length::Runs(runs) => command.arg(format!("-runs={runs}")).arg("-seed=1"),
        Length::Short => command.arg(format!("-runs={}", target.runs)).arg("-seed=1"),
    };
    let words = own().join("dictionaries").join(format!("{name}.dict"));
    if words.exists() {
        command.arg(format!("-dict={}", words.display()));
    }
    command.arg(&learned).arg(own().join("corpus").join(name)).env("TMPDIR", &scratch.0);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(File::create(&log)?);
    let began = Instant::now();
    let status = command.status().with_context(|| format!("{name} does not start"))?;
    let seconds = began.elapsed().as_secs_f64();
    let said = said::read(&String::from_utf8_lossy(&fs::read(&log)?));
    let ended = status.success() || said.finding.is_some();
    ensure!(ended, "{name} ended with {status} and no input; see {}", log.display());
    let wanted = match length {
        Length::Runs(runs) => runs,
        Length::Short => target.runs,
        Length::Seconds(_) => 1,
    };
    ensure!(said.tried(wanted), "{name} did not try its inputs; see {}", log.display());
    Ok(Row { target: name, seconds, said })
}

/// The limits of every run.
fn limits() -> [String; 4] {
    [
        format!("-timeout={TIMEOUT_S}"),
        format!("-rss_limit_mb={RSS_MIB}"),
        "-print_final_stats=1".to_owned(),
        // Nobody else adds to the folder of what was learned.
        "-reload=0".to_owned(),
    ]
}

/// A folder for the files of one target: in memory where there is such a place, and gone in the end.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Result<Self> {
        let memory = PathBuf::from("/dev/shm");
        let base = if memory.is_dir() { memory } else { env::temp_dir() };
        let folder = base.join(format!("steadfast-lab-fuzz-{}-{name}", std::process::id()));
        fs::create_dir_all(&folder).with_context(|| format!("no folder {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind is in memory or in a folder for what is temporary.
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn table(rows: &[Row]) -> String {
    let head = "target              executions    exec/s  features    corpus   seconds  findings";
    let mut lines = vec![head.to_owned()];
    for Row { target, seconds, said } in rows {
        let Said { executions, features, corpus, finding, .. } = said;
        let pace = *executions as f64 / seconds.max(0.1);
        let found = u8::from(finding.is_some());
        lines.push(format!(
            "{target:<18} {executions:>11} {pace:>9.0} {features:>9} {corpus:>9} {seconds:>9.1} {found:>9}"
        ));
    }
    for Row { target, said, .. } in rows {
        if let Some(finding) = &said.finding {
            lines.push(format!("\nfound    {target}: {}", finding.what));
            let input = finding.input.display();
            lines.push(format!("again    cargo lab fuzz {target} --input {input}"));
        }
    }
    let executions: u64 = rows.iter().map(|row| row.said.executions).sum();
    let found = rows.iter().filter(|row| row.said.finding.is_some()).count();
    lines.push(format!("\n{} targets, {executions} executions, {found} findings", rows.len()));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use said::Finding;
    use std::collections::BTreeSet;

    fn names_in(folder: &str, end: &str) -> BTreeSet<String> {
        let entries = fs::read_dir(own().join(folder)).expect("it is there").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        names.filter_map(|name| name.strip_suffix(end).map(str::to_owned)).collect()
    }

    #[test]
    fn every_target_is_run_and_has_seeds() {
        let known: BTreeSet<String> = TARGETS.iter().map(|it| it.name.to_owned()).collect();
        assert_eq!(names_in("fuzz_targets", ".rs"), known);
        assert_eq!(names_in("corpus", ""), known);
        let manifest = fs::read_to_string(own().join("Cargo.toml")).expect("it is there");
        for name in &known {
            assert!(manifest.contains(&format!("name = \"{name}\"\n")), "{name} is not built");
            assert!(!names_in(&format!("corpus/{name}"), "").is_empty(), "{name} has no seed");
        }
        assert!(names_in("dictionaries", ".dict").is_subset(&known));
    }

    #[test]
    fn a_finding_is_in_the_table_with_the_way_to_see_it_again() {
        let finding = Finding { what: "it fell".into(), input: "crash-1".into() };
        let said = Said { executions: 1000, finding: Some(finding), ..Said::default() };
        let text = table(&[Row { target: "ledger", seconds: 2.0, said }]);
        assert!(text.contains("cargo lab fuzz ledger --input crash-1"), "{text}");
        assert!(text.ends_with("1 targets, 1000 executions, 1 findings"), "{text}");
        assert!(text.contains("       500 "), "{text}");
    }
}
