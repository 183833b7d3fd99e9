//! An archive that was taken, open for whoever brings its images into the node's store.

use super::error::SetError;
use super::image::look;
use super::layout::CopyError;
use super::oci::REFERENCE;
use super::read::Opened;
use std::io::{self, Write};
use std::path::Path;
use steadfast_core::Digest;

/// The archive of a workload set. Only its table of contents was read: each blob is held against its digest as it is
/// given out.
#[derive(Debug)]
pub struct Archive(Opened);

/// Bytes in an archive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blob(pub(super) super::oci::Descriptor);

impl Blob {
    /// What it is, as OCI calls it.
    pub fn media_type(&self) -> &str {
        &self.0.media_type
    }

    /// Its SHA-256.
    pub fn digest(&self) -> Digest {
        self.0.digest
    }

    /// Its length, in bytes.
    pub fn size(&self) -> u64 {
        self.0.size
    }
}

/// The parts of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ArchivedImage {
    /// Its manifest.
    pub manifest: Blob,
    /// Its configuration.
    pub config: Blob,
    /// Its layers, the lowest first.
    pub layers: Vec<Blob>,
}

impl Archive {
    /// Opens an archive.
    pub fn open(path: &Path) -> Result<Archive, SetError> {
        Opened::open(path).map(Archive)
    }

    /// The image that pods call so; none if it is not in the set.
    pub fn image(&self, reference: &str) -> Result<Option<ArchivedImage>, SetError> {
        let named = |it: &&super::oci::Descriptor| {
            it.annotations.get(REFERENCE).is_some_and(|name| name == reference)
        };
        let Some(manifest) = self.0.index.manifests.iter().find(named) else { return Ok(None) };
        let image = look(&self.0.layout, manifest);
        let image =
            image.map_err(|source| SetError::Image { reference: reference.to_owned(), source })?;
        let mut blobs = image.blobs.into_iter().map(Blob);
        let (Some(manifest), Some(config)) = (blobs.next(), blobs.next()) else { return Ok(None) };
        Ok(Some(ArchivedImage { manifest, config, layers: blobs.collect() }))
    }

    /// All bytes of a document: a manifest or a configuration, of at most 4 MiB.
    pub fn document(&self, blob: &Blob) -> Result<Vec<u8>, SetError> {
        Ok(self.0.layout.bytes(&blob.0)?)
    }

    /// Hands all bytes of a blob on. What was written is whole and right only when this ends well.
    pub fn copy(&self, blob: &Blob, to: &mut dyn Write) -> Result<(), ArchiveError> {
        match self.0.layout.copy(&blob.0, to) {
            Ok(()) => Ok(()),
            Err(CopyError::From(error)) => Err(ArchiveError::From(error.into())),
            Err(CopyError::To(error)) => Err(ArchiveError::To(error)),
        }
    }
}

/// Why a blob was not handed on.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The archive does not give it.
    #[error("the archive does not give it")]
    From(#[source] SetError),
    /// Whoever was to have it does not take it.
    #[error("it is not taken")]
    To(#[source] io::Error),
}
