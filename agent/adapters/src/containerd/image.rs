//! Images that are here whole.

use super::connection::ours;
use super::error::{ContainerdError, or_absent};
use super::{Containerd, SNAPSHOTTER};
use crate::pod_spec::ImageConfig;
use containerd_client::services::v1::snapshots::{
    RemoveSnapshotRequest, StatSnapshotRequest, ViewSnapshotRequest,
};
use containerd_client::services::v1::{
    DeleteImageRequest, GetImageRequest, Image, ListImagesRequest, ReadContentRequest,
};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::path::PathBuf;
use steadfast_core::Digest;

/// The chain of an image's layers (image-spec, "ChainID"): written when they were on the disk.
pub(super) const PRESENT: &str = "dev.steadfast.present";
/// The digest of its configuration.
pub(super) const CONFIG: &str = "dev.steadfast.config";

/// An image that is here whole: unpacked, and on the disk before it was recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PresentImage {
    /// What pods call it.
    pub reference: String,
    /// Of its manifest.
    pub digest: Digest,
    /// How it wants to be started.
    pub config: ImageConfig,
    /// The snapshot of all its layers.
    pub(super) chain: String,
}

/// The configuration of an image, as far as it is needed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Configuration {
    pub(super) config: ImageConfig,
    pub(super) rootfs: RootFs,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RootFs {
    pub(super) diff_ids: Vec<String>,
}

impl Containerd {
    /// The image that pods call so, if it is here whole.
    pub async fn image(&self, reference: &str) -> Result<Option<PresentImage>, ContainerdError> {
        let client = self.connection.client().await?;
        let mut images = client.images();
        let got = images.get(ours(GetImageRequest { name: reference.to_owned() }));
        let got = self.connection.call("show an image", got).await;
        let Some(image) = or_absent(got)?.image else { return Ok(None) };
        let (Some(chain), Some(config)) = (image.labels.get(PRESENT), image.labels.get(CONFIG))
        else {
            return Ok(None);
        };
        let digest = image
            .target
            .as_ref()
            .and_then(|target| Digest::from_hex(target.digest.strip_prefix("sha256:")?));
        let (Some(digest), true) = (digest, self.has_layers(chain).await?) else { return Ok(None) };
        let Some(config) = self.content(config).await? else { return Ok(None) };
        let config = serde_json::from_slice::<Configuration>(&config)
            .map_err(|source| ContainerdError::Configuration(reference.to_owned(), source))?;
        let (reference, config, chain) = (reference.to_owned(), config.config, chain.clone());
        Ok(Some(PresentImage { reference, digest, config, chain }))
    }

    /// Whether all layers of this chain are unpacked.
    pub(super) async fn has_layers(&self, chain: &str) -> Result<bool, ContainerdError> {
        let mut snapshots = self.connection.client().await?.snapshots();
        let (snapshotter, key) = (SNAPSHOTTER.to_owned(), chain.to_owned());
        let there = snapshots.stat(ours(StatSnapshotRequest { snapshotter, key }));
        let there = self.connection.call("show a layer", there).await;
        Ok(or_absent(there)?.info.is_some())
    }

    /// The bytes of a document in the store, if it is there.
    async fn content(&self, digest: &str) -> Result<Option<Vec<u8>>, ContainerdError> {
        const WHAT: &str = "read a document of an image";
        let mut content = self.connection.client().await?.content();
        let request = ReadContentRequest { digest: digest.to_owned(), offset: 0, size: 0 };
        let read = self.connection.call(WHAT, content.read(ours(request))).await;
        let mut stream = match read {
            Err(error) if error.is_absent() => return Ok(None),
            read => read?,
        };
        let mut bytes = Vec::new();
        loop {
            let message = async { stream.message().await.map(tonic::Response::new) };
            match self.connection.call(WHAT, message).await {
                Ok(Some(part)) => bytes.extend(part.data),
                Ok(None) => return Ok(Some(bytes)),
                Err(error) if error.is_absent() => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    /// The folders that the image's files are in, the uppermost layer first.
    pub async fn layers(&self, image: &PresentImage) -> Result<Vec<PathBuf>, ContainerdError> {
        let mut snapshots = self.connection.client().await?.snapshots();
        // Pods that are started side by side may have the same image.
        let key = super::unique("view");
        let forget = || {
            let (snapshotter, key) = (SNAPSHOTTER.to_owned(), key.clone());
            ours(RemoveSnapshotRequest { snapshotter, key })
        };
        let request = ViewSnapshotRequest {
            snapshotter: SNAPSHOTTER.to_owned(),
            key: key.clone(),
            parent: image.chain.clone(),
            ..ViewSnapshotRequest::default()
        };
        let shown = self.connection.call("show the layers", snapshots.view(ours(request))).await?;
        or_absent(self.connection.call("forget a view", snapshots.remove(forget())).await)?;
        let mount = shown.mounts.first().ok_or(ContainerdError::Answer("a mount"))?;
        let lower = mount.options.iter().find_map(|option| option.strip_prefix("lowerdir="));
        Ok(match lower {
            Some(lower) => lower.split(':').map(PathBuf::from).collect(),
            None => vec![PathBuf::from(&mount.source)],
        })
    }

    /// Forgets all images but these; containerd collects what belonged to the others, and to what a cut left half-made.
    pub async fn keep_images(&self, references: &BTreeSet<String>) -> Result<(), ContainerdError> {
        // While one is brought in, its lease is needed.
        if let Ok(_alone) = self.importing.try_lock() {
            self.release_left().await?;
        }
        let mut images = self.connection.client().await?.images();
        let listed = images.list(ours(ListImagesRequest::default()));
        let listed = self.connection.call("list its images", listed).await?.images;
        for Image { name, .. } in listed {
            if references.contains(&name) {
                continue;
            }
            let request = DeleteImageRequest { name, ..DeleteImageRequest::default() };
            let deleted = images.delete(ours(request));
            or_absent(self.connection.call("forget an image", deleted).await)?;
        }
        Ok(())
    }
}
