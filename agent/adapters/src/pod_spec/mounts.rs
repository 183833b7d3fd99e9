//! What a container sees in its root: the kernel's file systems, the pod's volumes, and some files of the node.
//!
//! Always true: where two things want to be in one place, a volume of the manifest is there; what lies higher is
//! mounted first, so that it hides nothing.

use super::{Given, SpecError};
use crate::manifest::{Access, Container};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// The kernel's: where, of which type, from which source, and how (`oci.defaultMounts` of containerd; the last as
/// `customopts.WithMounts` adds it).
const KERNELS: [(&str, &str, &str, &[&str]); 7] = [
    ("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
    ("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
    (
        "/dev/pts",
        "devpts",
        "devpts",
        &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    ),
    ("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
    ("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
    ("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
];

/// `mounts`, in their order.
pub(super) fn mounts(container: &Container, given: &Given<'_>) -> Result<Vec<Value>, SpecError> {
    let mut bound = volumes(container, given)?;
    let message = given.paths.messages.get(&container.name);
    let message = message
        .ok_or_else(|| SpecError::NotPrepared(format!("the container {}", container.name)))?;
    let place = container.message_place();
    if !bound.iter().any(|(path, ..)| *path == place) {
        bound.push((place, message.clone(), Access::Write));
    }
    for (source, place) in &given.paths.etc {
        // Below a volume there is nothing of the node's: a volume that is only to read has no place for it, either.
        if !bound.iter().any(|(path, ..)| place.starts_with(path)) {
            bound.push((place.clone(), source.clone(), Access::Read));
        }
    }
    bound.sort_by_key(|(path, ..)| path.components().count());
    let kernels = KERNELS.iter().filter(|(place, ..)| {
        let place = Path::new(place);
        !bound.iter().any(|(path, ..)| path == place || (path == "/dev" && place.starts_with(path)))
    });
    let kernels = kernels.map(|(place, kind, source, options)| {
        // A privileged container writes to /sys and its control groups.
        let writes = |option: &str| option == "ro" && container.security.privileged;
        let options = options.iter().map(|it| if writes(it) { "rw" } else { *it });
        let options: Vec<_> = options.collect();
        json!({ "destination": place, "type": kind, "source": source, "options": options })
    });
    let bound = bound.iter().map(|(place, source, access)| {
        let access = if *access == Access::Read { "ro" } else { "rw" };
        let options = ["rbind", "rprivate", access];
        json!({ "destination": place, "type": "bind", "source": source, "options": options })
    });
    Ok(kernels.chain(bound).collect())
}

/// A place in the container, what is there, and what can be done with it.
type Bound = (PathBuf, PathBuf, Access);

fn volumes(container: &Container, given: &Given<'_>) -> Result<Vec<Bound>, SpecError> {
    let bound = container.mounts.iter().map(|mount| {
        let mut source = given.volume(&mount.volume)?.path.clone();
        source.extend(&mount.part);
        Ok((mount.place(), source, mount.access))
    });
    bound.collect()
}
