//! Kubernetes Pod manifests: from the text of a set to pods that can be run, or to every reason why not.
//!
//! ```text
//! YAML ─▶ trees with lines ─▶ Pod, ConfigMap, Secret ─▶ looked at together ─┬─▶ Set: nothing is left to look up
//!  limits on size and depth     every field read or refused                  └─▶ Refused: file, line, path, reason
//! ```
//!
//! Always true: a field is honoured or refused, never passed over; a set is taken whole or not at all; what a pod
//! refers to is in it afterwards, so that a pod can be started from nothing else; no text takes more room or time than
//! its limits allow. Why: a manifest that means something else here than in Kubernetes is worse than none.
//!
//! The rules are those of Kubernetes 1.34, with its defaults; docs/operate/pods.md has what is taken and what differs.

mod ask;
mod check;
mod config;
mod container;
mod env;
mod expand;
mod files;
mod given;
mod image;
mod names;
mod object;
mod pod;
mod policy;
mod port;
mod probe;
mod quantity;
mod read;
mod refusal;
mod resources;
mod security;
#[cfg(test)]
mod tests;
mod texts;
mod volume;
mod yaml;

pub use ask::{HttpGet, Scheme};
pub(crate) use config::decode as base64;
pub use config::{Content, Data};
pub use container::{Container, Launch, Message};
pub use env::{Fact, Facts, Value, Variables};
pub use expand::TooLong;
pub use files::File;
pub use image::{Image, Pull};
pub use pod::{Network, Pod};
pub use policy::{Policy, Privileged, Seccomp};
pub use port::{Port, Protocol};
pub use probe::{Ask, Hook, Lifecycle, Probe, Probes};
pub use refusal::{Refusal, Refused};
pub use resources::{Amounts, Resources};
pub use security::Security;
pub(crate) use security::{GIVEN, OTHERS};
pub use volume::{Access, Medium, Mount, There, Volume, VolumeSource};

/// A file of a set.
#[derive(Clone, Copy)]
pub struct Source<'s> {
    /// How it is named in refusals.
    pub name: &'s str,
    /// YAML, several documents with `---` between them, or JSON.
    pub text: &'s [u8],
}

/// The pods of a set, in the order of its files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Set {
    /// Each has another name.
    pub pods: Vec<Pod>,
}

impl Set {
    /// Reads all files of a set together, and checks them against each other and the node's policy.
    pub fn read(files: &[Source<'_>], policy: &Policy) -> Result<Set, Refused> {
        check::set(files, policy)
    }
}
