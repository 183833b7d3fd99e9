//! A container of a pod as the OCI runtime is to start it: what kubelet and containerd's CRI plugin would make of it.
//!
//! ```text
//! manifest::Pod, Container ─┐
//! the image's configuration ├─▶ spec ─▶ OCI runtime specification 1.0.2, for runc 1.1
//! PodPaths, Facts, Accounts ┘     └───▶ or why this image cannot be started so
//! ```
//!
//! Always true: the same questions have the same answer, for nothing here looks at the node; a field of the manifest is
//! in the answer, or the pod is refused by [`not_yet`] before it is asked for; what a container may do is never more
//! than its manifest and the node's policy say.
//!
//! Sources: the OCI runtime and image specifications; kubelet 1.34 (`kuberuntime`, `qos`, `securitycontext`);
//! containerd 1.7 (`pkg/cri`, `oci`, `contrib/seccomp`).

mod accounts;
mod capability;
mod mounts;
mod not_yet;
mod process;
mod resources;
mod seccomp;
#[cfg(test)]
mod tests;

pub use accounts::Accounts;
pub use not_yet::{NotYet, not_yet};

use crate::ledger_file::sha256;
use crate::manifest::{Container, Facts, Network, Pod, Seccomp, TooLong};
use crate::pod_files::{PodPaths, Version, VolumePath};
use accounts::User;
use serde::Deserialize;
use serde_json::{Value, json};

/// What an image says of how it is started: `config` of its configuration (OCI image specification, "config.md").
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub struct ImageConfig {
    /// `USER`, `USER:GROUP`, each a number or a name of the image's own; empty for root.
    pub user: Option<String>,
    /// `NAME=value`.
    pub env: Option<Vec<String>>,
    /// The program, with its first arguments.
    pub entrypoint: Option<Vec<String>>,
    /// Its further arguments; without an entrypoint the program, too.
    pub cmd: Option<Vec<String>>,
    /// Where it starts; empty for `/`.
    pub working_dir: Option<String>,
    /// The signal that ends it (`SIGQUIT`, or a number); without it SIGTERM.
    pub stop_signal: Option<String>,
}

/// What the node adds to a manifest and an image.
#[derive(Clone, Copy, Debug)]
pub struct Given<'g> {
    /// The node's name and addresses.
    pub facts: &'g Facts,
    /// Where the pod's volumes and files lie.
    pub paths: &'g PodPaths,
    /// The users and groups of the image.
    pub accounts: &'g Accounts,
    /// The node's memory in bytes (`MemTotal`): a container that asks for much of it is ended later when it is full.
    pub memory: u64,
}

impl Given<'_> {
    fn volume(&self, name: &str) -> Result<&VolumePath, SpecError> {
        let volume = self.paths.volumes.get(name);
        volume.ok_or_else(|| SpecError::NotPrepared(format!("the volume {name}")))
    }
}

/// Why an image cannot be started as its manifest says.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// There is no program.
    #[error("neither the manifest nor the image says what is to be run")]
    NoCommand,
    /// The node's name makes it longer than Linux takes.
    #[error("it cannot be given to a program")]
    TooLong(#[from] TooLong),
    /// `WorkingDir` of the image.
    #[error("the image's working directory {0} is no path from /")]
    WorkingDir(String),
    /// `User` of the image.
    #[error("the image is to run as {0}, which is no USER or USER:GROUP")]
    NotAUser(String),
    /// The user is a name.
    #[error("the image is to run as the user {0}, who is not in its /etc/passwd")]
    NoSuchUser(String),
    /// The group is a name.
    #[error("the image is to run as the group {0}, which is not in its /etc/group")]
    NoSuchGroup(String),
    /// `runAsNonRoot`.
    #[error("the image runs as root, which runAsNonRoot forbids: set runAsUser")]
    Root,
    /// The pod was let in although it cannot be run.
    #[error("{0}")]
    NotYet(NotYet),
    /// These are not the paths of this pod.
    #[error("nothing was prepared for {0}")]
    NotPrepared(String),
}

/// Which architecture the program was made for that starts the container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Arch {
    X86,
    Arm,
}

const ARCH: Arch = if cfg!(target_arch = "aarch64") { Arch::Arm } else { Arch::X86 };

/// The specification of one container.
pub fn spec(
    pod: &Pod,
    container: &Container,
    image: &ImageConfig,
    given: &Given<'_>,
) -> Result<Value, SpecError> {
    if let Network::Own { .. } = pod.network {
        return Err(SpecError::NotYet(NotYet::network()));
    }
    let capabilities = capability::capabilities(&container.security);
    let mut linux = linux(pod, container, given);
    if container.security.seccomp == Seccomp::RuntimeDefault && !container.security.privileged {
        linux["seccomp"] = seccomp::profile(ARCH, &capabilities);
    }
    linux["resources"] = resources::resources(container, given)?;
    Ok(json!({
        "ociVersion": "1.0.2",
        "process": process(pod, container, (image, &capabilities), given)?,
        "root": { "path": "rootfs", "readonly": container.security.read_only_root },
        "mounts": mounts::mounts(container, given)?,
        "annotations": { "io.containerd.runc.v2.group": group(pod.name.as_str()) },
        "linux": linux,
    }))
}

/// The id of a pod: its containers share the shim that is started for it.
fn group(pod: &str) -> String {
    let mut id = sha256(pod.as_bytes()).to_string();
    id.truncate(32);
    id
}

fn process(
    pod: &Pod,
    container: &Container,
    (image, capabilities): (&ImageConfig, &[String]),
    given: &Given<'_>,
) -> Result<Value, SpecError> {
    let launch = container.launch(given.facts)?;
    let user = User::of(pod, &container.security, image, given.accounts)?;
    // No ambient capabilities and none to inherit: a user who is not root has them only through a program's file, as
    // with the CRI.
    Ok(json!({
        "user": { "uid": user.uid, "gid": user.gid, "additionalGids": user.groups },
        "args": process::args(&launch, image)?,
        "env": process::env(&launch, image, given.facts),
        "cwd": process::cwd(container, image)?,
        "capabilities": {
            "bounding": capabilities, "effective": capabilities, "permitted": capabilities,
        },
        "noNewPrivileges": !container.security.escalation,
        "oomScoreAdj": resources::oom_score_adj(pod, container, given.memory),
    }))
}

/// What kubelet hides in `/proc` and `/sys`: what tells of the node, and what could be written past the namespaces.
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// What is there to read only.
const READ_ONLY: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What is Linux's own, but seccomp and the resources.
fn linux(pod: &Pod, container: &Container, given: &Given<'_>) -> Value {
    let privileged = container.security.privileged;
    // The pod is on the node's network, and with it has the node's name.
    let mut namespaces = vec!["pid", "ipc", "mount"];
    if given.paths.cgroups.version == Version::V2 && !privileged {
        namespaces.push("cgroup");
    }
    let namespaces: Vec<_> = namespaces.iter().map(|kind| json!({ "type": kind })).collect();
    let mut linux = json!({
        "cgroupsPath": format!("/steadfast/{}/{}", pod.name, container.name),
        "namespaces": namespaces,
    });
    if privileged {
        linux["devices"] = given.paths.devices.iter().map(resources::node).collect();
    } else {
        linux["maskedPaths"] = json!(MASKED);
        linux["readonlyPaths"] = json!(READ_ONLY);
    }
    linux
}
