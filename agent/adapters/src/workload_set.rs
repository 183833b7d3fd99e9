//! Workload sets: the images and manifests of one generation in one signed archive.
//!
//! ```text
//! index.json ─┬─▶ set index ─┬─▶ manifests: generation, minimum OS version ─▶ YAML files
//!             │   (signed)   └─▶ image, image, … each by digest ─▶ its configuration and layers
//!             └─▶ signature ─▶ purpose, digest of the set index, key, Ed25519
//!
//! read: layout ─▶ set index ─▶ signatures ─▶ every blob ─▶ manifests ─▶ images against pods ─▶ WorkloadSet
//! ```
//!
//! Always true: a set is taken whole or not at all; nothing that the set index leads to is believed before the
//! signature held, where a keyring is given; every byte of the archive is a part of what is named by digest, or zero,
//! or of no effect; no image is ever in memory, and no document of more than 4 MiB; the same input makes the same
//! bytes. Why: a node without a network runs what a stick brought, and the archive is all that it has.
//!
//! The archive is an OCI image layout (image-spec 1.1, image-layout.md) in a tar file; the set index and the signatures
//! are artifacts as that specification has them (manifest.md, "Guidelines for Artifact Usage"; `subject`), so that a
//! registry takes a set as it is. docs/operate/sets.md says how one is made; `set_store`
//! keeps those of a node.

mod archive;
mod build;
mod choose;
mod error;
mod image;
mod keys;
mod layout;
mod oci;
mod read;
mod sign;
mod signature;
#[cfg(test)]
pub(crate) mod tests;
mod write;

pub use archive::{Archive, ArchiveError, ArchivedImage, Blob};
pub use build::{Given, Recipe, build};
pub use error::{Missing, SetError};
pub use image::ImageError;
pub use keys::{KeyError, KeyId, Keyring, SigningKey};
pub use layout::LayoutError;
pub use read::{Demands, SetImage, WorkloadSet, read, read_again};
pub use sign::{Signed, sign};
pub use signature::{Signature, Standing};
