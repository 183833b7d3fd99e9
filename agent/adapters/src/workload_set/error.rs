//! Why a set is not read, made or signed, in the operator's words.

use super::image::ImageError;
use super::keys::KeyId;
use super::layout::LayoutError;
use super::oci::Descriptor;
use crate::manifest::Refused;
use std::fmt;
use std::io;
use std::path::PathBuf;
use steadfast_core::Digest;

/// An image that a pod names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The pod.
    pub pod: String,
    /// The field in it.
    pub path: String,
    /// What it says.
    pub image: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Missing { pod, path, image } = self;
        write!(f, "pod {pod}, {path}: the image {image} is not in the set")
    }
}

/// Why there is no set.
#[derive(Debug, thiserror::Error)]
pub enum SetError {
    /// The archive is no layout, or a blob is not what it is called.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Its `index.json` names none.
    #[error("there is no workload set in it")]
    NoSet,
    /// Its `index.json` names several.
    #[error("there are {0} workload sets in it, and one is taken")]
    SeveralSets(usize),
    /// Its `index.json` names more than anybody needs.
    #[error("its index.json names {0} documents, and a set and 63 signatures are taken")]
    Crowded(usize),
    /// Its `index.json` names something else.
    #[error("it has sha256:{0}, which is neither a workload set nor a signature of one")]
    Foreign(Digest),
    /// A document of a set is not what it has to be.
    #[error("sha256:{document}: {because}")]
    Shape {
        /// Its digest.
        document: Digest,
        /// What it has to be.
        because: &'static str,
    },
    /// A keyring was given, and there is no signature.
    #[error("nobody signed it")]
    Unsigned,
    /// A keyring was given, and none of its keys signed.
    #[error("it is signed by {} and by no key that is trusted", keys(.0))]
    Stranger(Vec<KeyId>),
    /// A signature names a trusted key, and that key did not make it.
    #[error("the signature of key {0} does not hold: somebody else made it, or it is damaged")]
    Forged(KeyId),
    /// A signature of something else.
    #[error("the signature sha256:{signature} is of another set{}", .signed.map(|it| format!(", sha256:{it}")).unwrap_or_default())]
    OtherSet {
        /// The signature's manifest.
        signature: Digest,
        /// What it signs.
        signed: Option<Digest>,
    },
    /// A signature that was not made for a workload set.
    #[error("it has a signature that was made for another purpose: {0}")]
    Purpose(String),
    /// No number, or none that can be one.
    #[error("its generation has to be a number from 1, and is {0}")]
    Generation(String),
    /// What cannot be a version.
    #[error("the OS version that it needs is {0:?}, which is no version")]
    MinimumOs(String),
    /// A blob that the set does not lead to.
    #[error("it has the blob sha256:{0}, which nothing in the set names")]
    Stray(Digest),
    /// Two images of one name.
    #[error("two images are called {0}")]
    Twice(String),
    /// One image is not what it has to be.
    #[error("image {reference} cannot be used")]
    Image {
        /// Its name.
        reference: String,
        /// Why.
        source: ImageError,
    },
    /// An image for another machine.
    #[error("image {reference} is for {found}, and the set is for {wanted}")]
    Architecture {
        /// Its name.
        reference: String,
        /// What it is for.
        found: String,
        /// What it has to be for.
        wanted: String,
    },
    /// A name that says which digest it is, and is another one.
    #[error(
        "image {reference} is sha256:{found} in the set: name the digest of the image for one architecture"
    )]
    Pinned {
        /// Its name.
        reference: String,
        /// Its digest.
        found: Digest,
    },
    /// Pods that could not be started.
    #[error("{}", lines(.0))]
    Missing(Vec<Missing>),
    /// The manifests.
    #[error(transparent)]
    Manifests(#[from] Refused),
    /// There are no pods.
    #[error("there is no pod in it")]
    NoPods,
    /// A folder that manifests were to come from.
    #[error("{} cannot be read", path.display())]
    Folder {
        /// The folder or the file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file beside the manifests.
    #[error("{} is no manifest: a file with manifests ends in .yaml, .yml or .json", .0.display())]
    NoManifest(PathBuf),
    /// An archive that an image was to come from.
    #[error("image {reference} cannot be taken from {}", archive.display())]
    Archive {
        /// The image's name.
        reference: String,
        /// The archive.
        archive: PathBuf,
        /// Why.
        source: ImageError,
    },
    /// The file system does not take it.
    #[error("{} cannot be written", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

impl SetError {
    pub(super) fn shape(document: &Descriptor, because: &'static str) -> SetError {
        SetError::Shape { document: document.digest, because }
    }
}

fn keys(keys: &[KeyId]) -> String {
    keys.iter().map(|key| format!("key {key}")).collect::<Vec<_>>().join(", ")
}

fn lines(missing: &[Missing]) -> String {
    missing.iter().map(Missing::to_string).collect::<Vec<_>>().join("\n")
}
