//! A pod's control group: above those of its containers, with the bound on its processes.
//!
//! ```text
//! cgroup v2   ROOT/steadfast/POD          cpu, memory and pids handed down from the root
//! cgroup v1   ROOT/pids/steadfast/POD     in the other hierarchies runc makes it, and it is removed here
//! ```

use super::{PodFilesError, names, tree};
use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

const OURS: &str = "steadfast";

/// What the node's control groups are like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cgroups {
    /// Which kind they are.
    pub version: Version,
    /// Whether swap is counted.
    pub swap: Swap,
}

/// Which kind of control groups a node has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// A hierarchy for each controller.
    V1,
    /// One hierarchy.
    V2,
}

/// Whether the kernel counts what a control group has in swap: only then can it be limited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Swap {
    /// It does.
    Counted,
    /// It does not.
    NotCounted,
}

/// Makes the control group of a pod, or gives the one that is there this bound.
pub(super) fn make(root: &Path, pod: &str, pids: Option<u32>) -> Result<Cgroups, PodFilesError> {
    let version = version(root);
    let group = match version {
        Version::V1 => made(&root.join("pids"), pod)?,
        Version::V2 => {
            hand_down(root)?;
            let group = made(root, pod)?;
            hand_down(&root.join(OURS))?;
            hand_down(&group)?;
            group
        }
    };
    let most = pids.map_or_else(|| "max".to_owned(), |pids| pids.to_string());
    write(&group.join("pids.max"), &most)?;
    let counts = match version {
        Version::V1 => root.join("memory/memory.memsw.limit_in_bytes"),
        Version::V2 => group.join("memory.swap.max"),
    };
    let swap = if counts.exists() { Swap::Counted } else { Swap::NotCounted };
    Ok(Cgroups { version, swap })
}

/// cgroups(7): only the root of the one hierarchy has this file.
fn version(root: &Path) -> Version {
    match root.join("cgroup.controllers").exists() {
        true => Version::V2,
        false => Version::V1,
    }
}

fn made(hierarchy: &Path, pod: &str) -> Result<PathBuf, PodFilesError> {
    // A hierarchy that is not mounted is not made up.
    let ours = hierarchy.join(OURS);
    let group = ours.join(pod);
    for folder in [&ours, &group] {
        match fs::create_dir(folder) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
                return Err(PodFilesError::Cgroup { path: folder.clone(), source: error });
            }
            _ => {}
        }
    }
    Ok(group)
}

/// Lets the groups below have these controllers (the kernel's `Documentation/admin-guide/cgroup-v2.rst`).
fn hand_down(group: &Path) -> Result<(), PodFilesError> {
    write(&group.join("cgroup.subtree_control"), "+cpu +memory +pids")
}

fn write(path: &Path, text: &str) -> Result<(), PodFilesError> {
    let written = fs::write(path, text);
    written.map_err(|source| PodFilesError::Cgroup { path: path.to_owned(), source })
}

/// Removes the control groups of all pods but these. After an error all the others are done.
pub(super) fn clean(root: &Path, keep: &BTreeSet<&str>) -> Result<(), PodFilesError> {
    let hierarchies = match version(root) {
        Version::V2 => vec![root.to_owned()],
        Version::V1 => {
            let names = tree::names(root).unwrap_or_default();
            // What is a link is another name of one that is there, too.
            let paths = names.iter().map(|name| root.join(name));
            paths.filter(|path| path.is_dir() && !path.is_symlink()).collect()
        }
    };
    let mut done = Ok(());
    for ours in hierarchies.iter().map(|hierarchy| hierarchy.join(OURS)) {
        for pod in names(&ours, &mut done) {
            let path = ours.join(&pod);
            if path.is_dir() && pod.to_str().is_none_or(|pod| !keep.contains(pod)) {
                let removed = remove(&path);
                done = done.and(removed.map_err(|source| PodFilesError::Remove { path, source }));
            }
        }
    }
    done
}

/// The groups below first; their files go with them.
fn remove(group: &Path) -> io::Result<()> {
    let mut groups = vec![group.to_owned()];
    let mut next = 0;
    while let Some(group) = groups.get(next).cloned() {
        for entry in fs::read_dir(&group)? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                groups.push(entry.path());
            }
        }
        next += 1;
    }
    groups.iter().rev().try_for_each(fs::remove_dir)
}
