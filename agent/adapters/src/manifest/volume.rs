//! `volumes` and `volumeMounts`.

use super::files::{File, of_many, of_one};
use super::given::Context;
use super::names;
use super::object::Meta;
use super::quantity;
use super::read::{At, Fields, Flag, NotTaken, Taken};
use std::collections::BTreeSet;
use std::path::{Component, Path, PathBuf};

/// A volume of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Volume {
    /// `name`.
    pub name: String,
    /// Where it comes from.
    pub source: VolumeSource,
}

/// Where a volume comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeSource {
    /// `emptyDir`: as old as the pod.
    Empty {
        /// What it lies in.
        medium: Medium,
        /// How many bytes it may hold (`sizeLimit`).
        limit: Option<u64>,
    },
    /// `hostPath`.
    Host {
        /// A path of the node that its policy allows; links in it are followed when it is mounted.
        path: String,
        /// What has to be there (`type`).
        there: There,
    },
    /// `configMap`, `secret`, `downwardAPI` or `projected`: only to read.
    Files(Vec<File>),
}

/// What an `emptyDir` lies in (`medium`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Medium {
    /// The node's disk.
    Disk,
    /// Memory, which counts for the container's limit.
    Memory,
}

/// What a `hostPath` has to be before the pod starts (`type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum There {
    /// Nothing is looked at.
    Anything,
    /// A folder, made when there is nothing (mode 0755).
    FolderOrNew,
    /// A folder.
    Folder,
    /// A file, made when there is nothing (mode 0644).
    FileOrNew,
    /// A file.
    File,
    /// A Unix socket.
    Socket,
    /// A character device.
    CharDevice,
    /// A block device.
    BlockDevice,
}

const CLUSTER: &str = "is storage of a cluster: use emptyDir or a hostPath that the policy allows";
const NOT_A_SOURCE: NotTaken = &[
    ("persistentVolumeClaim", CLUSTER),
    ("ephemeral", CLUSTER),
    ("csi", CLUSTER),
    ("nfs", CLUSTER),
    ("iscsi", CLUSTER),
    ("fc", CLUSTER),
    ("awsElasticBlockStore", CLUSTER),
    ("azureDisk", CLUSTER),
    ("azureFile", CLUSTER),
    ("cephfs", CLUSTER),
    ("cinder", CLUSTER),
    ("flexVolume", CLUSTER),
    ("flocker", CLUSTER),
    ("gcePersistentDisk", CLUSTER),
    ("glusterfs", CLUSTER),
    ("photonPersistentDisk", CLUSTER),
    ("portworxVolume", CLUSTER),
    ("quobyte", CLUSTER),
    ("rbd", CLUSTER),
    ("scaleIO", CLUSTER),
    ("storageos", CLUSTER),
    ("vsphereVolume", CLUSTER),
    ("image", "is not supported: put what is in it into the container's image"),
    ("gitRepo", "is not supported: it runs git as root"),
];

/// A volume. With a source that is refused it still has its name, so that its mounts are not refused, too.
pub(super) fn volume(at: At<'_>, meta: &Meta, context: &Context<'_>) -> Taken<Volume> {
    const SOURCES: [&str; 6] =
        ["emptyDir", "hostPath", "configMap", "secret", "downwardAPI", "projected"];
    let mut fields = at.fields("a volume")?;
    let name = fields.needed("name", names::label);
    // A volume with a name alone is an emptyDir in Kubernetes, too.
    let source = match fields.holds_only(&["name"]) {
        true => Some(VolumeSource::Empty { medium: Medium::Disk, limit: None }),
        false => at.door().taken(fields.one_of(&SOURCES, NOT_A_SOURCE)).and_then(|source| {
            fields.maybe(source, |at| match source {
                "emptyDir" => empty_dir(&at),
                "hostPath" => host_path(&at, context),
                "projected" => of_many(&at, meta, context).map(VolumeSource::Files),
                _ => of_one(&at, source, meta, context).map(VolumeSource::Files),
            })
        }),
    };
    fields.close(NOT_A_SOURCE);
    Ok(Volume { name: name?, source: source.unwrap_or(VolumeSource::Files(Vec::new())) })
}

fn empty_dir(at: &At<'_>) -> Taken<VolumeSource> {
    let mut fields = at.fields("an emptyDir")?;
    let media = [("", Medium::Disk), ("Memory", Medium::Memory)];
    let medium = fields.maybe("medium", |at| at.choice(&media)).unwrap_or(Medium::Disk);
    let limit = fields.maybe("sizeLimit", |at| match quantity::bytes(at.clone())? {
        0 => Err(at.refuse("has to be more than 0: without a limit, leave it out")),
        limit => Ok(limit),
    });
    fields.close(&[]);
    Ok(VolumeSource::Empty { medium, limit })
}

fn host_path(at: &At<'_>, context: &Context<'_>) -> Taken<VolumeSource> {
    let types = [
        ("", There::Anything),
        ("DirectoryOrCreate", There::FolderOrNew),
        ("Directory", There::Folder),
        ("FileOrCreate", There::FileOrNew),
        ("File", There::File),
        ("Socket", There::Socket),
        ("CharDevice", There::CharDevice),
        ("BlockDevice", There::BlockDevice),
    ];
    let mut fields = at.fields("a hostPath")?;
    let path = fields.needed("path", |at| {
        let path = names::absolute(at.clone())?;
        match context.policy.lets_mount(Path::new(&path)) {
            true => Ok(path),
            false => Err(at.refuse(folders(&context.policy.host_paths))),
        }
    });
    let there = fields.maybe("type", |at| at.choice(&types)).unwrap_or(There::Anything);
    fields.close(&[]);
    Ok(VolumeSource::Host { path: path?, there })
}

fn folders(allowed: &[std::path::PathBuf]) -> String {
    let listed: Vec<_> = allowed.iter().map(|path| path.display().to_string()).collect();
    match listed.is_empty() {
        true => "the node's policy allows no path of the node".to_owned(),
        false => format!("is outside what the node's policy allows: {}", listed.join(", ")),
    }
}

/// Where a container sees a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Which volume (`name`).
    pub volume: String,
    /// Where (`mountPath`), from the container's root.
    pub path: String,
    /// Only this file or folder of it (`subPath`); of volumes of files only.
    pub part: Option<String>,
    /// Whether it is only to read (`readOnly`); volumes of files always are.
    pub access: Access,
}

impl Mount {
    /// Where, without what says nothing in the path: each part once, no `.` and no `/` at its end.
    pub fn place(&self) -> PathBuf {
        place(&self.path)
    }
}

/// The door let no `..` in.
pub(super) fn place(path: &str) -> PathBuf {
    let parts = Path::new(path).components();
    parts.filter(|part| matches!(part, Component::RootDir | Component::Normal(_))).collect()
}

/// What a container can do with what is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Read and write.
    Write,
}

const NOT_MOUNTED: NotTaken =
    &[("subPathExpr", "is not supported: a pod has one name here, so write subPath")];

/// The mounts of a container.
pub(super) fn mounts(fields: &mut Fields<'_>, volumes: &[Volume]) -> Vec<Mount> {
    let mounts = fields.list("volumeMounts", |at| Ok((mount(&at, volumes)?, at)));
    let mut paths = BTreeSet::new();
    for (mount, at) in &mounts {
        if !paths.insert(mount.path.trim_end_matches('/')) {
            let because = format!("{} is mounted twice", mount.path);
            at.door().refuse(at.part("mountPath").refuse(because));
        }
    }
    mounts.into_iter().map(|(mount, _)| mount).collect()
}

fn mount(at: &At<'_>, volumes: &[Volume]) -> Taken<Mount> {
    let mut fields = at.fields("a volumeMount")?;
    let volume = fields.needed("name", |at| {
        let name = at.text()?;
        let volume = volumes.iter().find(|volume| volume.name == name);
        volume.ok_or_else(|| at.refuse(format!("there is no volume {} here", name)))
    });
    let path = fields.needed("mountPath", |at| {
        let path = names::absolute(at.clone())?;
        match path.trim_matches('/').is_empty() || path.contains(':') {
            true => Err(at.refuse("has to be a path below / without : in it")),
            false => Ok(path),
        }
    });
    let read_only = fields.flag("readOnly", Flag::Unset);
    let part = fields.find("subPath").filter(|at| at.text() != Ok(""));
    let because = "no mount is handed on between the node and a container";
    fields.only("mountPropagation", &["None"], because);
    fields.only("recursiveReadOnly", &["Disabled"], "is not supported");
    fields.close(NOT_MOUNTED);
    let volume = volume?;
    let part = part.map(|at| sub_path(at, volume)).transpose()?;
    let read = read_only || matches!(volume.source, VolumeSource::Files(_));
    let access = if read { Access::Read } else { Access::Write };
    Ok(Mount { volume: volume.name.clone(), path: path?, part, access })
}

/// In a folder that a pod can write, a link could lead `subPath` out of the volume (CVE-2017-1002101, CVE-2021-25741).
fn sub_path(at: At<'_>, volume: &Volume) -> Taken<String> {
    let VolumeSource::Files(files) = &volume.source else {
        return Err(at.refuse(
            "is taken for volumes of files only: a link in this one could lead out of it",
        ));
    };
    let path = names::relative(at.clone())?;
    let there = files.iter().any(|file| {
        let below = file.path.strip_prefix(&path);
        below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    });
    // Nothing is known of a volume that was refused itself.
    match there || (files.is_empty() && at.door().has_refused()) {
        true => Ok(path),
        false => Err(at.refuse(format!("there is no {path} in the volume {}", volume.name))),
    }
}
