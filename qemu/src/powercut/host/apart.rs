//! The lane's own corner of the machine: the lab starts itself once more, in namespaces that end with it.
//!
//! ```text
//! lab ─► unshare: mounts, processes ─► sh, process 1 ─► tmpfs ─► lab, apart ─► unshare: mounts, processes ─► a node
//! ```
//!
//! Always true: what is mounted here is seen by nobody else and is gone at the end; an order to restart ends the
//! namespace in which it is given and never the machine, because a node starts nowhere but as process 1 of its own
//! namespace, within the lane's, and its start is refused anywhere else.

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::{env, fs, process};

use anyhow::{Context, Result, bail, ensure};

use super::super::{Points, Wanted};
use crate::lab::Subject;

/// Names the lane's folder to the lab that runs apart.
const FOLDER: &str = "STEADFAST_LAB_APART";

/// Begins the name of a lane's folder; the number of the lab's process follows.
const TAG: &str = "steadfast-host-";

/// What the lane runs, apart from what every machine has.
const PROGRAMS: [&str; 4] = ["qemu-storage-daemon", "losetup", "unshare", "dbus-daemon"];

/// What the shell does as process 1: a shell waits for whoever is left behind, and passes an interrupt on.
const FIRST: &str =
    "[ $$ = 1 ] || exit 3; mount -t tmpfs steadfast \"$1\" || exit 3; shift; \"$@\"; exit $?";

/// Why this machine cannot run the lane, or nothing.
pub(super) fn lacking() -> Option<String> {
    if fs::metadata("/proc/self").map_or(0, |own| own.uid()) != 0 {
        return Some("loop devices and mounts need root".to_owned());
    }
    if let Some(shut) = ["/dev/loop-control", "/dev/fuse"].into_iter().find_map(shut) {
        return Some(shut);
    }
    let missing = PROGRAMS.iter().find(|name| !installed(name));
    if let Some(name) = missing {
        return Some(format!("there is no {name}; `cargo lab setup` installs it"));
    }
    let tried = |program: &str, words: &[&str]| done(Command::new(program).args(words)).err();
    if let Some(error) = tried("losetup", &["--find"]) {
        return Some(format!("there is no free loop device: {error:#}"));
    }
    // What the lane and each of its nodes begin with.
    let own =
        ["--mount", "--pid", "--fork", "--mount-proc", "mount", "-t", "tmpfs", "none", "/mnt"];
    tried("unshare", &own)
        .map(|error| format!("this machine gives no mounts and processes of one's own: {error:#}"))
}

/// Why a device cannot be used, or nothing.
fn shut(device: &str) -> Option<String> {
    let opened = fs::File::options().read(true).write(true).open(device);
    opened.err().map(|error| format!("{device} cannot be opened: {error}"))
}

fn installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let more = ["/usr/sbin", "/sbin"].map(PathBuf::from);
    env::split_paths(&path).chain(more).any(|folder| folder.join(program).is_file())
}

/// The lane's folder, in the lab that runs apart.
pub(super) fn folder() -> Option<PathBuf> {
    env::var_os(FOLDER).map(PathBuf::from)
}

/// Starts the lab once more, apart; returns whether it was content.
pub(super) fn run(subject: &Subject, wanted: Wanted) -> Result<bool> {
    sweep();
    let tag = format!("{TAG}{}", process::id());
    let mount = env::temp_dir().join(&tag);
    fs::create_dir_all(&mount).with_context(|| format!("no folder {}", mount.display()))?;
    let ended = Command::new("setpriv")
        // A lab that is killed takes it along.
        .args(["--pdeathsig", "KILL", "unshare"])
        .args(["--mount", "--propagation", "private", "--pid", "--fork", "--kill-child"])
        .args(["--mount-proc", "--", "sh", "-c", FIRST, "sh"])
        .arg(&mount)
        .arg(env::current_exe()?)
        .args(arguments(subject, wanted))
        // Of what lies in here, others see the path from the mount on: the tag tells whose it is.
        .env(FOLDER, mount.join(&tag))
        .stdin(Stdio::null())
        .status();
    clear(&tag);
    match ended.context("unshare does not start")?.code() {
        Some(0) => Ok(true),
        Some(1) => Ok(false),
        Some(3) => bail!("the lane got no processes and mounts of its own"),
        _ => bail!("the lane was interrupted"),
    }
}

/// The command line that says the same.
fn arguments(subject: &Subject, wanted: Wanted) -> Vec<String> {
    let mut words = vec!["--board".to_owned(), subject.board.clone()];
    if let Some(agent) = &subject.agent {
        words.extend(["--agent".to_owned(), agent.display().to_string()]);
    }
    words.extend(["powercut", "--host"].map(str::to_owned));
    words.extend(match wanted.points {
        Points::Usual => Vec::new(),
        Points::All => vec!["--all".to_owned()],
        Points::Spread(count) => vec!["--points".to_owned(), count.to_string()],
        Points::One(number) => vec!["--point".to_owned(), number.to_string()],
    });
    words.extend(["--boots".to_owned(), wanted.boots.to_string()]);
    words.extend(["--seed".to_owned(), wanted.seed.to_string()]);
    words
}

/// Clears away what labs left behind that were killed.
fn sweep() {
    let gone = |tag: &str| {
        let process = tag.strip_prefix(TAG).filter(|process| process.parse::<u32>().is_ok());
        process.is_some_and(|process| !Path::new("/proc").join(process).exists())
    };
    let Ok(folders) = fs::read_dir(env::temp_dir()) else { return };
    let names = folders.flatten().map(|folder| folder.file_name().to_string_lossy().into_owned());
    names.filter(|name| gone(name)).for_each(|name| clear(&name));
}

/// Frees the loop devices over files of a lane, and takes its folder away.
fn clear(tag: &str) {
    let list = ["--list", "--noheadings", "--output", "NAME,BACK-FILE"];
    let loops = done(Command::new("losetup").args(list)).unwrap_or_default();
    for line in loops.lines() {
        if let Some((device, file)) = line.trim().split_once(' ')
            && file.contains(&format!("{tag}/"))
        {
            // Whoever still holds it lets it go at its end.
            let _ = done(Command::new("losetup").args(["--detach", device]));
        }
    }
    let _ = fs::remove_dir(env::temp_dir().join(tag));
}

/// Runs a program to its end; it has to succeed.
pub(super) fn done(command: &mut Command) -> Result<String> {
    let name = command.get_program().display().to_string();
    let out = command.output().with_context(|| format!("{name} does not start"))?;
    let said = String::from_utf8_lossy(&out.stderr);
    ensure!(out.status.success(), "{} ended with {}: {}", name, out.status, said.trim());
    Ok(String::from_utf8_lossy(&out.stdout).trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lab_apart_is_asked_for_the_same() {
        let subject = Subject { board: "board".into(), agent: Some("file".into()) };
        let words = |points| arguments(&subject, Wanted { points, boots: 3, seed: 7 }).join(" ");
        assert_eq!(
            words(Points::One(5)),
            "--board board --agent file powercut --host --point 5 --boots 3 --seed 7"
        );
        assert!(words(Points::All).contains("--host --all --boots"));
        assert!(words(Points::Spread(9)).contains("--host --points 9 --boots"));
    }

    #[test]
    fn a_device_that_is_not_there_is_named_and_one_that_is_lacks_nothing() {
        assert_eq!(shut("/dev/null"), None);
        let shut = shut("/dev/no-such-device").expect("it is not there");
        assert!(shut.starts_with("/dev/no-such-device cannot be opened: "), "{shut}");
    }

    #[test]
    fn a_node_that_is_not_apart_is_not_started() {
        let ended = Command::new("sh").args(["-c", FIRST, "sh", "/nowhere", "true"]).status();
        assert_eq!(ended.expect("a shell").code(), Some(3));
    }
}
