//! One image: that its documents agree, and that all of it is there.

use super::layout::{Layout, LayoutError};
use super::oci::{CONFIG, DOCKER_CONFIG, Descriptor, Manifest, Platform};
use serde::Deserialize;

/// Why an image cannot be run from what is there.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// A part of it.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// An artifact of another kind.
    #[error("it is no image of a container: its configuration is {0}")]
    NoImage(String),
    /// A layer that would be fetched from elsewhere, or that nobody can unpack.
    #[error("it has a layer of the kind {0}")]
    Layer(String),
    /// Its configuration counts other layers than its manifest.
    #[error("it has {layers} layers, and its configuration knows {known}")]
    Layers {
        /// In the manifest.
        layers: usize,
        /// In the configuration.
        known: usize,
    },
    /// What leads to it says another platform than its configuration.
    #[error("it is called an image for {named}, and its configuration says {found}")]
    Platform {
        /// What leads to it says.
        named: String,
        /// Its own words.
        found: String,
    },
    /// There is none for the architecture that is wanted.
    #[error("it has no image for {wanted}, and it has images for {found}")]
    NotFor {
        /// `linux` and the architecture.
        wanted: String,
        /// What there is.
        found: String,
    },
    /// There are several for it.
    #[error(
        "it has {0} images for the architecture, and none of them alone is named as the reference says: save one image into an archive"
    )]
    Several(usize),
    /// There are more documents, or deeper ones, than anybody needs.
    #[error("it has more images than can be looked through")]
    Many,
}

/// An image that is all there, as far as names and sizes say it.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) platform: Platform,
    /// Its manifest, its configuration and its layers.
    pub(super) blobs: Vec<Descriptor>,
}

impl Look {
    /// All its bytes.
    pub(super) fn size(&self) -> u64 {
        self.blobs.iter().map(|blob| blob.size).fold(0, u64::saturating_add)
    }
}

#[derive(Deserialize)]
struct Config {
    #[serde(flatten)]
    platform: Platform,
    rootfs: RootFs,
}

#[derive(Deserialize)]
struct RootFs {
    diff_ids: Vec<String>,
}

/// Looks at the image of this manifest.
pub(super) fn look(layout: &Layout, image: &Descriptor) -> Result<Look, ImageError> {
    let manifest: Manifest = layout.document(image)?;
    let Manifest { config, layers, artifact_type, .. } = manifest;
    if !matches!(config.media_type.as_str(), CONFIG | DOCKER_CONFIG) {
        return Err(ImageError::NoImage(artifact_type.unwrap_or(config.media_type)));
    }
    for layer in &layers {
        if !is_layer(&layer.media_type) {
            return Err(ImageError::Layer(layer.media_type.clone()));
        }
        layout.holds(layer)?;
    }
    let Config { platform, rootfs } = layout.json(&config)?;
    let known = rootfs.diff_ids.len();
    if layers.len() != known {
        return Err(ImageError::Layers { layers: layers.len(), known });
    }
    if let Some(named) = image.platform.as_ref().filter(|named| !named.covers(&platform)) {
        let (named, found) = (named.to_string(), platform.to_string());
        return Err(ImageError::Platform { named, found });
    }
    let blobs = [image.clone(), config].into_iter().chain(layers).collect();
    Ok(Look { platform, blobs })
}

fn is_layer(media_type: &str) -> bool {
    let kinds = [
        "application/vnd.oci.image.layer.v1.tar",
        "application/vnd.oci.image.layer.v1.tar+gzip",
        "application/vnd.oci.image.layer.v1.tar+zstd",
        "application/vnd.docker.image.rootfs.diff.tar",
        "application/vnd.docker.image.rootfs.diff.tar.gzip",
    ];
    kinds.contains(&media_type)
}

impl Platform {
    /// Whether something of that platform may be called so. A variant is often written in one of two places only.
    fn covers(&self, other: &Platform) -> bool {
        let variants = match (&self.variant, &other.variant) {
            (Some(own), Some(other)) => own == other,
            _ => true,
        };
        self.architecture == other.architecture && self.os == other.os && variants
    }

    /// Whether a node of this architecture runs it. Of 64-bit ARM there is one variant to speak of.
    pub(super) fn runs_on(&self, architecture: &str) -> bool {
        self.os == "linux" && self.architecture == architecture
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} on {}", self.os, self.architecture)?;
        self.variant.iter().try_for_each(|variant| write!(f, " {variant}"))
    }
}
