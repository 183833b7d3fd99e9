//! What a node lets pods have of itself.

use std::path::{Component, Path, PathBuf};

/// What a container may be started without (`seccompProfile.type`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seccomp {
    /// The system calls that containerd's own profile leaves.
    RuntimeDefault,
    /// Every system call.
    Unconfined,
}

/// Whether containers may be `privileged`, which makes them root of the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Privileged {
    /// They are refused.
    Forbidden,
    /// They are taken.
    Allowed,
}

/// What a node lets pods have of itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The folders and files that `hostPath` may name, each with all below it.
    pub host_paths: Vec<PathBuf>,
    /// Whether containers may be privileged.
    pub privileged: Privileged,
    /// Which capabilities may be added besides those that the runtime gives anyway; `ALL` is a privilege.
    pub capabilities: Vec<String>,
    /// What a container has that does not say it, as kubelet's `seccompDefault` decides it on a node of Kubernetes.
    pub seccomp: Seccomp,
}

impl Default for Policy {
    /// Nothing of the node.
    fn default() -> Policy {
        Policy {
            host_paths: Vec::new(),
            privileged: Privileged::Forbidden,
            capabilities: Vec::new(),
            seccomp: Seccomp::RuntimeDefault,
        }
    }
}

impl Policy {
    /// All of the node. Where no node is at hand, manifests are looked at under this one; that of the node that is to
    /// run them says what they really get.
    pub fn whole_node() -> Policy {
        Policy {
            host_paths: vec![PathBuf::from("/")],
            privileged: Privileged::Allowed,
            ..Policy::default()
        }
    }

    /// Whether a pod may have this path. Links are not followed here: before it is mounted, where they lead is asked for
    /// again.
    pub(crate) fn lets_mount(&self, path: &Path) -> bool {
        let climbs = path.components().any(|part| part == Component::ParentDir);
        !climbs && self.host_paths.iter().any(|folder| path.starts_with(folder))
    }
}
