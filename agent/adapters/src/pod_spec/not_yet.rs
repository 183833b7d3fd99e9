//! What a manifest may say and a node cannot do yet: refused at the door, so that nothing is passed over.

use crate::manifest::{Medium, Network, Pod, VolumeSource};
use std::fmt;
use steadfast_core::pod::Role;

/// A field that a node cannot honour yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NotYet {
    /// The field, as Kubernetes writes it.
    pub path: String,
    /// Why, as the end of a sentence that begins with the path.
    pub because: &'static str,
}

impl fmt::Display for NotYet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.path, self.because)
    }
}

impl NotYet {
    pub(super) fn network() -> NotYet {
        let because = "a pod cannot have a network of its own yet: leave it out for the node's";
        NotYet { path: "spec.hostNetwork".to_owned(), because }
    }
}

/// Why a node cannot run this pod yet; nothing when it can.
pub fn not_yet(pod: &Pod) -> Vec<NotYet> {
    let network = matches!(pod.network, Network::Own { .. }).then(NotYet::network);
    network.into_iter().chain(volumes(pod)).chain(containers(pod)).collect()
}

fn volumes(pod: &Pod) -> impl Iterator<Item = NotYet> {
    pod.volumes.iter().enumerate().filter_map(|(number, volume)| match volume.source {
        VolumeSource::Empty { medium: Medium::Disk, limit: Some(_) } => Some(NotYet {
            path: format!("spec.volumes[{number}].emptyDir.sizeLimit"),
            because: "is not held on the node's disk yet: use medium: Memory, or leave it out",
        }),
        _ => None,
    })
}

fn containers(pod: &Pod) -> impl Iterator<Item = NotYet> {
    let first = pod.containers.iter().filter(|container| container.role != Role::Main).count();
    pod.containers.iter().enumerate().filter_map(move |(number, container)| {
        container.resources.limits.ephemeral_storage?;
        let place = match number.checked_sub(first) {
            Some(number) => format!("containers[{number}]"),
            None => format!("initContainers[{number}]"),
        };
        Some(NotYet {
            path: format!("spec.{place}.resources.limits.ephemeral-storage"),
            because: "is not held on the node's disk yet: leave it out",
        })
    })
}
