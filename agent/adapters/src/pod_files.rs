//! What a pod needs on the node before its containers start: folders, volumes, its control group, its log files' place.
//!
//! ```text
//! prepare ─▶ DATA/pods/POD/DIGEST/volumes/V   emptyDir on the disk
//!            RUN/pods/POD/DIGEST/volumes/V    emptyDir in memory, a tmpfs of its own; volumes made of files
//!            RUN/pods/POD/DIGEST/messages     a small tmpfs: what containers say when they end
//!            DATA/logs/POD                    what they print
//!            CGROUPS/…/steadfast/POD          with its pids.max
//! clean   ─▶ none of these of any other pod, but the logs
//! ```
//!
//! Always true: what is there of a pod's digest is kept, so all of this can be done again at any time, after any cut; a
//! volume is there whole or not at all, because it is made beside its place and renamed; no link that a pod left is
//! followed, and nothing is removed behind a mount; what cannot be made or removed is told, and the rest is done.

mod cgroup;
mod device;
mod host_path;
mod making;
mod memory;
mod nested;
#[cfg(test)]
mod tests;
mod tree;

pub use cgroup::{Cgroups, Swap, Version};
pub use device::{Device, DeviceKind};

use crate::manifest::{Medium, Pod, Policy, Volume, VolumeSource};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs::{DirBuilder, OpenOptions};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use steadfast_core::{Digest, Name};

/// How much a container can leave as its last message, in bytes; kubelet reads the last 4096 of it.
const MESSAGE: u64 = 16 * 1024;

/// Where a node keeps what belongs to its pods.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodFiles {
    /// What outlives a reboot: `/data/steadfast`.
    pub data: PathBuf,
    /// What does not: `/run/steadfast`.
    pub run: PathBuf,
    /// Where control groups are mounted: `/sys/fs/cgroup`.
    pub cgroups: PathBuf,
    /// The node's own files: `/`.
    pub node: PathBuf,
}

impl Default for PodFiles {
    /// A node's.
    fn default() -> PodFiles {
        PodFiles {
            data: PathBuf::from("/data/steadfast"),
            run: PathBuf::from("/run/steadfast"),
            cgroups: PathBuf::from("/sys/fs/cgroup"),
            node: PathBuf::from("/"),
        }
    }
}

/// Where on the node the parts of a pod lie.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodPaths {
    /// By the names of the volumes.
    pub volumes: BTreeMap<String, VolumePath>,
    /// The files behind `terminationMessagePath`, by the names of the containers.
    pub messages: BTreeMap<String, PathBuf>,
    /// The log files, by the names of the containers. They need not be there yet.
    pub logs: BTreeMap<String, PathBuf>,
    /// Files of the node that containers see, too, each with its place in the container: names, hosts and name servers.
    pub etc: Vec<(PathBuf, PathBuf)>,
    /// All devices of the node, when a container is privileged.
    pub devices: Vec<Device>,
    /// What the node's control groups are like.
    pub cgroups: Cgroups,
}

/// Where a volume lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VolumePath {
    /// A path without links.
    pub path: PathBuf,
    /// What it is, when the manifest says that it is a device.
    pub device: Option<Device>,
}

/// Why something of a pod could not be made or removed.
#[derive(Debug, thiserror::Error)]
pub enum PodFilesError {
    /// A volume could not be made.
    #[error("the volume {volume} could not be made at {}", path.display())]
    Volume {
        /// Its name.
        volume: String,
        /// Where.
        path: PathBuf,
        /// What the node said.
        source: io::Error,
    },
    /// A `hostPath` is not what the manifest says, or leads out of what the policy allows.
    #[error("the volume {volume} cannot be mounted: {} {because}", path.display())]
    HostPath {
        /// Its name.
        volume: String,
        /// What the manifest says.
        path: PathBuf,
        /// Why, as the end of a sentence that begins with the path.
        because: String,
    },
    /// Something else could not be made.
    #[error("{} could not be made", path.display())]
    Make {
        /// What.
        path: PathBuf,
        /// What the node said.
        source: io::Error,
    },
    /// The pod's control group could not be set up.
    #[error("the control group of the pod could not be set up: {}", path.display())]
    Cgroup {
        /// What could not be made or written.
        path: PathBuf,
        /// What the node said.
        source: io::Error,
    },
    /// What a pod left could not be removed.
    #[error("{} could not be removed", path.display())]
    Remove {
        /// What.
        path: PathBuf,
        /// What the node said.
        source: io::Error,
    },
}

impl PodFiles {
    /// Makes what the pod needs and is not there yet. Other pods, and what is there of this digest, stay as they are.
    pub fn prepare(&self, pod: &Pod, policy: &Policy) -> Result<PodPaths, PodFilesError> {
        let volume = |volume| Ok((Volume::clone(volume).name, self.volume(pod, volume, policy)?));
        let volumes = pod.volumes.iter().map(volume).collect::<Result<_, PodFilesError>>()?;
        let messages = self.messages(pod)?;
        folder(&self.data.join("logs").join(pod.name.as_str()))?;
        let log = |name: &String| (name.clone(), self.log(&pod.name, name));
        let logs = pod.containers.iter().map(|container| log(&container.name)).collect();
        let privileged = pod.containers.iter().any(|container| container.security.privileged);
        let devices = match privileged {
            true => device::all(&self.node.join("dev"))
                .map_err(|source| PodFilesError::Make { path: self.node.join("dev"), source })?,
            false => Vec::new(),
        };
        let cgroups = cgroup::make(&self.cgroups, &pod.name, pod.pids)?;
        Ok(PodPaths { volumes, messages, logs, etc: self.etc(), devices, cgroups })
    }

    /// Removes the volumes, messages and control groups of all pods but these, each by its name and digest. No container
    /// of theirs may have a process any more. After an error all the others are done.
    pub fn clean(&self, keep: &[(Name, Digest)]) -> Result<(), PodFilesError> {
        let mut done = Ok(());
        for base in [&self.run, &self.data] {
            for pod in names(&base.join("pods"), &mut done) {
                let path = base.join("pods").join(&pod);
                let kept = keep.iter().filter(|(name, _)| pod.to_str() == Some(name.as_str()));
                let kept: BTreeSet<String> = kept.map(|(_, digest)| short(digest)).collect();
                for digest in names(&path, &mut done) {
                    if digest.to_str().is_none_or(|digest| !kept.contains(digest)) {
                        done = done.and(gone(&path.join(digest)));
                    }
                }
                if kept.is_empty() {
                    done = done.and(gone(&path));
                }
            }
        }
        let keep = keep.iter().map(|(name, _)| name.as_str()).collect();
        done.and(cgroup::clean(&self.cgroups, &keep))
    }

    /// Removes the logs of all pods but these.
    pub fn forget_logs(&self, keep: &[Name]) -> Result<(), PodFilesError> {
        let logs = self.data.join("logs");
        let mut done = Ok(());
        for pod in names(&logs, &mut done) {
            if !keep.iter().any(|name| pod.to_str() == Some(name.as_str())) {
                done = done.and(gone(&logs.join(pod)));
            }
        }
        done
    }

    /// The log file of a container.
    pub fn log(&self, pod: &Name, container: &str) -> PathBuf {
        self.data.join("logs").join(pod.as_str()).join(format!("{container}.log"))
    }

    /// The file behind a container's `terminationMessagePath`.
    pub fn message(&self, pod: &Pod, container: &str) -> PathBuf {
        self.of(&self.run, pod).join("messages").join(container)
    }

    /// Empties it: each start of a container has its own last words.
    pub fn empty_message(&self, pod: &Pod, container: &str) -> Result<(), PodFilesError> {
        let path = self.message(pod, container);
        let opened = OpenOptions::new().write(true).truncate(true).open(&path);
        opened.map(drop).map_err(|source| PodFilesError::Make { path, source })
    }

    fn of(&self, base: &Path, pod: &Pod) -> PathBuf {
        base.join("pods").join(pod.name.as_str()).join(short(&pod.digest))
    }

    fn volume(
        &self,
        pod: &Pod,
        volume: &Volume,
        policy: &Policy,
    ) -> Result<VolumePath, PodFilesError> {
        let base = match &volume.source {
            VolumeSource::Host { path, there } => {
                let path = Path::new(path);
                let found = host_path::host_path(path, *there, policy);
                return found.map_err(|wrong| wrong.of(&volume.name, path));
            }
            VolumeSource::Empty { medium: Medium::Disk, .. } => &self.data,
            VolumeSource::Empty { medium: Medium::Memory, .. } | VolumeSource::Files(_) => {
                &self.run
            }
        };
        let folder_of_all = self.of(base, pod).join("volumes");
        folder(&folder_of_all)?;
        let path = folder_of_all.join(&volume.name);
        let (group, places) = (pod.fs_group, nested::places(pod, &volume.name));
        let made = match &volume.source {
            VolumeSource::Files(files) => making::files(&path, files, &places, group),
            VolumeSource::Empty { medium: Medium::Memory, limit } => {
                memory::tmpfs(&path, &memory::Tmpfs { limit: *limit, mode: 0o777, group })
            }
            _ => making::empty(&path, group),
        };
        let made = made.and_then(|()| match volume.source {
            VolumeSource::Files(_) => Ok(()),
            _ => nested::make(&path, &places),
        });
        match made {
            Ok(()) => Ok(VolumePath { path, device: None }),
            Err(source) => Err(PodFilesError::Volume { volume: volume.name.clone(), path, source }),
        }
    }

    /// In a tmpfs of their own: a container that goes on writing fills nothing else of the node's memory.
    fn messages(&self, pod: &Pod) -> Result<BTreeMap<String, PathBuf>, PodFilesError> {
        let path = self.of(&self.run, pod).join("messages");
        folder(path.parent().expect("it lies in the folder of the pod"))?;
        let limit = Some(MESSAGE * pod.containers.len() as u64);
        let made = memory::tmpfs(&path, &memory::Tmpfs { limit, mode: 0o755, group: None });
        made.map_err(|source| PodFilesError::Make { path, source })?;
        let file = |name: &String| {
            let path = self.message(pod, name);
            match making::file_for_all(&path) {
                Ok(()) => Ok((name.clone(), path)),
                Err(source) => Err(PodFilesError::Make { path, source }),
            }
        };
        pod.containers.iter().map(|container| file(&container.name)).collect()
    }

    /// Those that are there, without the links that lead to them.
    fn etc(&self) -> Vec<(PathBuf, PathBuf)> {
        let found = ["hostname", "hosts", "resolv.conf"].into_iter().filter_map(|name| {
            let source = self.node.join("etc").join(name).canonicalize().ok()?;
            source.is_file().then(|| (source, Path::new("/etc").join(name)))
        });
        found.collect()
    }
}

/// How a pod's digest names a folder: its first sixteen digits.
fn short(digest: &Digest) -> String {
    let mut name = digest.to_string();
    name.truncate(16);
    name
}

/// A folder with those above it, for the node alone.
fn folder(path: &Path) -> Result<(), PodFilesError> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| PodFilesError::Make { path: path.to_owned(), source })
}

/// The names in a folder. That it cannot be read is the error, unless there is one already.
fn names(path: &Path, done: &mut Result<(), PodFilesError>) -> Vec<OsString> {
    tree::names(path).unwrap_or_else(|source| {
        if done.is_ok() {
            *done = Err(PodFilesError::Remove { path: path.to_owned(), source });
        }
        Vec::new()
    })
}

fn gone(path: &Path) -> Result<(), PodFilesError> {
    let removed = memory::unmount_below(path).and_then(|()| tree::remove(path));
    removed.map_err(|source| PodFilesError::Remove { path: path.to_owned(), source })
}
