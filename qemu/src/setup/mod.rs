//! Makes a fresh Debian or Ubuntu machine ready, and does nothing on a ready one.
//!
//! ```text
//! look (dpkg-query, sysroot, cache folder) -> plan -> print what and why -> ask -> install -> look
//! ```
//!
//! Looking costs well under two seconds, so `demo` and `verify` always start with it.

mod needs;
mod plan;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io::{BufRead, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};
use std::{env, fs, io};

use anyhow::{Context, Result, bail, ensure};

use crate::places;
use plan::{Found, Plan, plan};

/// Package lists older than this are fetched again before an installation.
const LISTS_STALE_AFTER: Duration = Duration::from_secs(24 * 3600);

/// Whether a person is asked before anything is installed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Consent {
    /// Ask on the terminal.
    Ask,
    /// The person said yes on the command line, or this is a CI job.
    Given,
}

impl Consent {
    /// Consent from a `--yes` flag and the environment's `CI`.
    pub(crate) fn from_flag(yes: bool) -> Self {
        let ci = env::var("CI").is_ok_and(|value| value == "true" || value == "1");
        if yes || ci { Self::Given } else { Self::Ask }
    }
}

/// Installs what is missing; returns whether anything was.
pub(crate) fn run(consent: Consent) -> Result<bool> {
    let mut still = plan(&look()?);
    if still.is_empty() {
        return Ok(false);
    }
    eprintln!("This machine lacks:");
    for line in still.lines() {
        eprintln!("  {line}");
    }
    if consent == Consent::Ask {
        ask()?;
    }
    // A second round: apt may take away a package of a foreign origin that stands in the way of
    // another one on the list.
    for _ in 0..2 {
        install_packages(&still)?;
        install_toolchain_parts(&still)?;
        install_tools(&still)?;
        still = plan(&look()?);
        if still.is_empty() {
            break;
        }
    }
    ensure!(still.is_empty(), "still missing after the set-up:\n{}", still.lines().join("\n"));
    eprintln!("The machine is ready.");
    Ok(true)
}

/// Folder of the ready cargo tools, to be put on `PATH`.
pub(crate) fn tools_bin() -> PathBuf {
    tools_dir().join("bin")
}

/// `PATH` with the ready cargo tools in front.
pub(crate) fn path_with_tools() -> std::ffi::OsString {
    let old = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(tools_bin()).chain(env::split_paths(&old));
    env::join_paths(folders).unwrap_or(old)
}

fn tools_dir() -> PathBuf {
    places::cache().join("cargo-tools")
}

fn look() -> Result<Found> {
    let dpkg = Command::new("dpkg-query")
        .args(["--show", "--showformat", "${db:Status-Status} ${Package}\\n"])
        .stderr(Stdio::null())
        .output()
        .context("this machine has no dpkg-query: Debian 12, Debian 13 or Ubuntu is needed")?;
    let sysroot = sysroot()?;
    Ok(Found {
        os_release: fs::read_to_string("/etc/os-release").unwrap_or_default(),
        dpkg: String::from_utf8_lossy(&dpkg.stdout).into_owned(),
        targets: names_in(&sysroot.join("lib/rustlib")),
        toolchain_programs: names_in(&sysroot.join("bin")),
        tools: found_tools(),
    })
}

/// Ready tools as `name version`, as the marker that [`install_tools`] writes last says.
fn found_tools() -> BTreeSet<String> {
    let marker = fs::read_to_string(tools_dir().join("installed")).unwrap_or_default();
    marker
        .lines()
        .filter(|line| line.split(' ').next().is_some_and(|name| tools_bin().join(name).exists()))
        .map(str::to_owned)
        .collect()
}

fn sysroot() -> Result<PathBuf> {
    let out = Command::new("rustc")
        .args(["--print", "sysroot"])
        .current_dir(places::workspace())
        .output()
        .context(
            "rustc does not start: rustup with the toolchain of rust-toolchain.toml is needed",
        )?;
    ensure!(out.status.success(), "rustc: {}", String::from_utf8_lossy(&out.stderr).trim());
    Ok(PathBuf::from(String::from_utf8_lossy(&out.stdout).trim()))
}

fn names_in(folder: &Path) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(folder) else { return BTreeSet::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn ask() -> Result<()> {
    ensure!(
        io::stdin().is_terminal(),
        "nothing was installed: there is no terminal to ask on; say --yes, or set CI=true"
    );
    eprint!("Install this now? [Y/n] ");
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    if matches!(answer.trim(), "" | "y" | "Y" | "yes") {
        return Ok(());
    }
    bail!("nothing was installed, as you said")
}

fn install_packages(missing: &Plan) -> Result<()> {
    if missing.packages.is_empty() {
        return Ok(());
    }
    let fresh = lists_are_fresh();
    if !fresh {
        update_lists();
    }
    let names: Vec<&str> = missing.packages.iter().map(|package| package.name).collect();
    if apt_install(&names).is_ok() {
        return Ok(());
    }
    ensure!(fresh, "apt-get could not install {}", names.join(" "));
    update_lists();
    apt_install(&names)
}

/// Fetches the package lists. A failing foreign source must not stop the set-up: installing decides.
fn update_lists() {
    if let Err(error) = call_quietly(as_root("apt-get").args(["--quiet", "update"])) {
        eprintln!("Package lists are not complete ({error:#}); going on with what is there.");
    }
}

fn apt_install(names: &[&str]) -> Result<()> {
    call_quietly(
        as_root("apt-get")
            .args(["--quiet", "--yes", "--no-install-recommends"])
            .args(["-o", "DPkg::Lock::Timeout=300", "install"])
            .args(names),
    )
}

/// Whether apt fetched its lists lately.
fn lists_are_fresh() -> bool {
    let Ok(entries) = fs::read_dir("/var/lib/apt/lists") else { return false };
    entries
        .flatten()
        .filter(|entry| entry.file_name().to_string_lossy().ends_with("Release"))
        .filter_map(|entry| entry.metadata().ok()?.modified().ok())
        .max()
        .and_then(|newest| SystemTime::now().duration_since(newest).ok())
        .is_some_and(|age| age < LISTS_STALE_AFTER)
}

fn install_toolchain_parts(missing: &Plan) -> Result<()> {
    let mut in_workspace = Command::new("rustup");
    in_workspace.current_dir(places::workspace());
    if !missing.targets.is_empty() {
        let targets = missing.targets.iter().map(|(name, _)| *name);
        call(in_workspace.args(["target", "add"]).args(targets))?;
    }
    if !missing.components.is_empty() {
        let components = missing.components.iter().map(|(name, _)| *name);
        call(
            Command::new("rustup")
                .current_dir(places::workspace())
                .args(["component", "add"])
                .args(components),
        )?;
    }
    Ok(())
}

/// Puts all ready tools into a Python environment of their own and says so in a marker, last.
fn install_tools(missing: &Plan) -> Result<()> {
    if missing.tools.is_empty() {
        return Ok(());
    }
    let folder = tools_dir();
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    // The distribution's own Python: what another one on PATH makes may vanish with it.
    call(Command::new("/usr/bin/python3").args(["-m", "venv"]).arg(&folder))?;
    let wanted = needs::TOOLS.iter().map(|tool| format!("{}=={}", tool.package, tool.version));
    call(
        Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .args(wanted),
    )?;
    let marker: String =
        needs::TOOLS.iter().map(|tool| format!("{} {}\n", tool.program, tool.version)).collect();
    fs::write(folder.join("installed"), marker)?;
    Ok(())
}

/// `program`, through sudo unless this is root already.
fn as_root(program: &str) -> Command {
    if is_root() {
        let mut command = Command::new(program);
        command.env("DEBIAN_FRONTEND", "noninteractive");
        return command;
    }
    let mut command = Command::new("sudo");
    command.args(["DEBIAN_FRONTEND=noninteractive", program]);
    command
}

/// Whether this process is root: the owner of its own `/proc` entry is.
fn is_root() -> bool {
    use std::os::unix::fs::MetadataExt;
    fs::metadata("/proc/self").is_ok_and(|own| own.uid() == 0)
}

/// Runs what says much; its words are shown only when it fails.
fn call_quietly(command: &mut Command) -> Result<()> {
    let shown = announce(command);
    let done = command.output().with_context(|| format!("{shown}: does not start"))?;
    if !done.status.success() {
        eprint!("{}", String::from_utf8_lossy(&done.stdout));
        eprint!("{}", String::from_utf8_lossy(&done.stderr));
    }
    ensure!(done.status.success(), "{shown}: {}", done.status);
    Ok(())
}

/// Says what is run.
fn announce(command: &Command) -> String {
    let shown = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ");
    eprintln!("+ {shown}");
    shown
}

fn call(command: &mut Command) -> Result<()> {
    let shown = announce(command);
    // Standard output belongs to what the lab was called for, such as one JSON object.
    let status = command
        .stdout(io::stderr())
        .status()
        .with_context(|| format!("{shown}: does not start"))?;
    ensure!(status.success(), "{shown}: {status}");
    Ok(())
}
