//! What was applied by hand: manifests and workload sets, each under the name of its file.

use super::join::Clash;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use steadfast_adapters::manifest::{Pod, Policy, Refused, Set, Source};
use steadfast_adapters::pod_spec::not_yet;
use steadfast_adapters::set_store::SetStoreError;
use steadfast_adapters::workload_set::{self, Demands, SetError};
use steadfast_core::gate::Weight;

/// What manifests end with.
const MANIFESTS: [&str; 3] = ["yaml", "yml", "json"];
/// What archives of sets end with.
const ARCHIVE: &str = "tar";
/// How many bytes all manifests may have: the reader's own limit, before anything is read.
const MAX_MANIFESTS: u64 = 4 << 20;
/// What is left to the rest of the node, in bytes.
const RESERVE: u64 = 16 << 20;

/// Why something is not applied, or not removed.
#[derive(Debug, thiserror::Error)]
pub enum AppliedError {
    /// The name says nothing of what is in it.
    #[error(
        "{0} is neither a manifest (.yaml, .yml, .json) nor the archive of a workload set (.tar)"
    )]
    Name(String),
    /// It cannot be read.
    #[error("{path} cannot be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// There are more bytes of manifests than anybody needs.
    #[error("the manifests have more than {MAX_MANIFESTS} bytes together")]
    Long,
    /// A manifest is refused.
    #[error("{0}")]
    Manifests(Refused),
    /// A set is refused.
    #[error("{name} is not taken")]
    Set {
        /// The archive.
        name: String,
        /// Why.
        source: SetError,
    },
    /// A pod wants what a node cannot do yet.
    #[error("{source_name}: {}", .refusals.join("\n"))]
    NotYet {
        /// Where it stands.
        source_name: String,
        /// Each with its pod, field and reason.
        refusals: Vec<String>,
    },
    /// Two sources are in each other's way.
    #[error(transparent)]
    Clash(#[from] Clash),
    /// There is no such file.
    #[error("no {name} was applied; what was: {there}")]
    Absent {
        /// The name that was given.
        name: String,
        /// Those that there are.
        there: String,
    },
    /// There is no room for it.
    #[error("it has {size} bytes, and {free} are free beside the {RESERVE} that the node keeps")]
    Space {
        /// Its length, in bytes.
        size: u64,
        /// What is free, in bytes.
        free: u64,
    },
    /// It could not be stored.
    #[error("{path} cannot be written")]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The set of the slot that runs.
    #[error("the workload set of this slot is not at hand")]
    OfTheSlot(#[from] SetStoreError),
    /// The agent ends.
    #[error("the agent is ending")]
    Ended,
}

/// Pods from one source, and the archive with their images.
#[derive(Clone, Debug)]
pub(super) struct Given {
    /// How it is called when it is in somebody's way.
    pub(super) name: String,
    pub(super) pods: Vec<Pod>,
    /// Whether the node's health hangs on them. What somebody tries by hand says nothing of the system.
    pub(super) weight: Weight,
    pub(super) archive: Option<PathBuf>,
    /// The images in the archive.
    pub(super) images: Vec<String>,
}

/// The folder of what was applied.
#[derive(Clone, Debug)]
pub(super) struct Applied(PathBuf);

impl Applied {
    pub(super) fn below(data: &Path) -> Applied {
        Applied(data.join("applied"))
    }

    /// All that is there.
    pub(super) fn read(&self, policy: &Policy) -> Result<Vec<Given>, AppliedError> {
        given(&self.files()?, policy)
    }

    /// All that is there, and this file instead of the one that has its name.
    pub(super) fn with(&self, file: &Path, policy: &Policy) -> Result<Vec<Given>, AppliedError> {
        let name = name(file)?;
        let mut files = self.files()?;
        files.retain(|other| other.file_name() != file.file_name());
        files.push(file.to_owned());
        files.sort_by_key(|file| file.file_name().map(ToOwned::to_owned));
        kind(&name)?;
        given(&files, policy)
    }

    /// All that is there but the file of this name.
    pub(super) fn without(&self, name: &str, policy: &Policy) -> Result<Vec<Given>, AppliedError> {
        let mut files = self.files()?;
        let before = files.len();
        files.retain(|file| file.file_name().is_none_or(|own| own != name));
        if files.len() == before {
            let there = files.iter().filter_map(|file| file.file_name()?.to_str());
            let there = there.collect::<Vec<_>>().join(", ");
            let there = if there.is_empty() { "nothing".to_owned() } else { there };
            return Err(AppliedError::Absent { name: name.to_owned(), there });
        }
        given(&files, policy)
    }

    /// Copies a file here, whole or not at all; only root reads it, for there may be Secrets in it.
    pub(super) fn keep(&self, file: &Path) -> Result<PathBuf, AppliedError> {
        let to = self.0.join(name(file)?);
        let beside = to.with_added_extension("new");
        let failed = |source| AppliedError::Write { path: to.clone(), source };
        DirBuilder::new().recursive(true).mode(0o700).create(&self.0).map_err(failed)?;
        self.has_room(file)?;
        // What a cut left half-made.
        let _ = fs::remove_file(&beside);
        let copied = copy(file, &beside).and_then(|()| fs::rename(&beside, &to));
        if copied.is_err() {
            let _ = fs::remove_file(&beside);
        }
        copied.and_then(|()| File::open(&self.0)?.sync_all()).map_err(failed)?;
        Ok(to)
    }

    fn has_room(&self, file: &Path) -> Result<(), AppliedError> {
        let read = |source| AppliedError::Read { path: file.to_owned(), source };
        let size = fs::metadata(file).map_err(read)?.len();
        let stat = rustix::fs::statvfs(&self.0);
        let stat = stat
            .map_err(|error| AppliedError::Write { path: self.0.clone(), source: error.into() })?;
        let free = (stat.f_bavail * stat.f_frsize).saturating_sub(RESERVE);
        if size > free { Err(AppliedError::Space { size, free }) } else { Ok(()) }
    }

    /// Removes the file of this name.
    pub(super) fn forget(&self, name: &str) -> Result<(), AppliedError> {
        let path = self.0.join(name);
        let removed = fs::remove_file(&path).and_then(|()| File::open(&self.0)?.sync_all());
        removed.map_err(|source| AppliedError::Write { path, source })
    }

    /// The files in the order of their names; what a cut left half-made has another ending and is passed over.
    fn files(&self) -> Result<Vec<PathBuf>, AppliedError> {
        let failed = |source| AppliedError::Read { path: self.0.clone(), source };
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(failed)?,
        };
        let mut files = Vec::new();
        for entry in entries {
            let path = entry.map_err(failed)?.path();
            if path.file_name().and_then(|name| kind(name.to_str()?).ok()).is_some() {
                files.push(path);
            }
        }
        files.sort();
        Ok(files)
    }
}

/// What a file is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Manifest,
    Archive,
}

fn kind(name: &str) -> Result<Kind, AppliedError> {
    let known = |end: &str| match end {
        ARCHIVE => Some(Kind::Archive),
        end if MANIFESTS.contains(&end) => Some(Kind::Manifest),
        _ => None,
    };
    let (stem, end) = name.rsplit_once('.').unwrap_or((name, ""));
    let hidden = stem.is_empty() || stem.starts_with('.');
    known(end).filter(|_| !hidden).ok_or_else(|| AppliedError::Name(name.to_owned()))
}

fn name(file: &Path) -> Result<String, AppliedError> {
    let name = file.file_name().and_then(|name| name.to_str());
    name.map(str::to_owned).ok_or_else(|| AppliedError::Name(file.display().to_string()))
}

/// The pods of all these files: the manifests together, each archive by itself.
fn given(files: &[PathBuf], policy: &Policy) -> Result<Vec<Given>, AppliedError> {
    let mut texts = Vec::new();
    let mut all = Vec::new();
    let mut left = MAX_MANIFESTS;
    for path in files {
        let name = name(path)?;
        match kind(&name)? {
            Kind::Manifest => {
                let failed = |source| AppliedError::Read { path: path.clone(), source };
                let about = fs::metadata(path).map_err(failed)?;
                if !about.is_file() {
                    // A pipe would be waited for, and a device has no end.
                    return Err(failed(io::Error::other("it is no ordinary file")));
                }
                let size = about.len();
                left = left.checked_sub(size).ok_or(AppliedError::Long)?;
                texts.push((name, fs::read(path).map_err(failed)?));
            }
            Kind::Archive => all.push(archive(path, name, policy)?),
        }
    }
    let sources = texts.iter().map(|(name, text)| Source { name, text });
    let set = Set::read(&sources.collect::<Vec<_>>(), policy).map_err(AppliedError::Manifests)?;
    let name = "the manifests that were applied".to_owned();
    let weight = Weight::Wanted;
    all.push(Given { name, pods: set.pods, weight, archive: None, images: Vec::new() });
    all.iter().try_for_each(can_be_run)?;
    Ok(all)
}

/// Nothing that a node cannot do yet is passed over.
pub(super) fn can_be_run(given: &Given) -> Result<(), AppliedError> {
    let refusals = given.pods.iter().flat_map(|pod| {
        let name = &pod.name;
        not_yet(pod).into_iter().map(move |refusal| format!("pod {name}, {refusal}"))
    });
    let refusals: Vec<String> = refusals.collect();
    match refusals.is_empty() {
        true => Ok(()),
        false => Err(AppliedError::NotYet { source_name: given.name.clone(), refusals }),
    }
}

/// The pods of a set. Nobody has to vouch for what is applied by hand.
fn archive(path: &Path, name: String, policy: &Policy) -> Result<Given, AppliedError> {
    let demands = Demands { keyring: None, architecture: Some(architecture()), policy };
    let set = workload_set::read(path, demands);
    let set = set.map_err(|source| AppliedError::Set { name: name.clone(), source })?;
    let images = set.images.into_iter().map(|image| image.reference).collect();
    let (weight, archive) = (Weight::Wanted, Some(path.to_owned()));
    Ok(Given { name, pods: set.pods, weight, archive, images })
}

/// This node's, as OCI calls it.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "aarch64" => "arm64",
        "x86_64" => "amd64",
        other => other,
    }
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    let mut out = OpenOptions::new().write(true).create_new(true).mode(0o600).open(to)?;
    io::copy(&mut File::open(from)?, &mut out)?;
    out.sync_all()
}
