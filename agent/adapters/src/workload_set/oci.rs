//! The documents of OCI (image-spec 1.1): descriptors, manifests and indexes, as far as sets need them.

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use steadfast_core::Digest;

pub(super) const INDEX: &str = "application/vnd.oci.image.index.v1+json";
pub(super) const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
pub(super) const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
pub(super) const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// What Docker calls them; containerd takes both.
pub(super) const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
pub(super) const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
pub(super) const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// The set index.
pub(super) const SET: &str = "application/vnd.steadfast.workload-set.v1";
/// The manifest whose layers are the files with the pods.
pub(super) const PODS: &str = "application/vnd.steadfast.manifests.v1";
pub(super) const PODS_FILE: &str = "application/vnd.steadfast.manifests.v1+yaml";
/// The manifest whose layer is a signature.
pub(super) const SIGNATURE: &str = "application/vnd.steadfast.signature.v1";
pub(super) const SIGNATURE_FILE: &str = "application/vnd.steadfast.signature.v1+json";

pub(super) const REFERENCE: &str = "org.opencontainers.image.ref.name";
pub(super) const TITLE: &str = "org.opencontainers.image.title";
pub(super) const GENERATION: &str = "dev.steadfast.generation";
pub(super) const MINIMUM_OS: &str = "dev.steadfast.minimum-os";

pub(super) type Annotations = BTreeMap<String, String>;

/// What a document points to: bytes by their digest and number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Descriptor {
    pub(super) media_type: String,
    #[serde(with = "sha256")]
    pub(super) digest: Digest,
    pub(super) size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) artifact_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) platform: Option<Platform>,
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub(super) annotations: Annotations,
}

/// What an image is made for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Platform {
    pub(super) architecture: String,
    pub(super) os: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) variant: Option<String>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Index {
    pub(super) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) artifact_type: Option<String>,
    pub(super) manifests: Vec<Descriptor>,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Manifest {
    pub(super) schema_version: u32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) media_type: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) artifact_type: Option<String>,
    pub(super) config: Descriptor,
    pub(super) layers: Vec<Descriptor>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) subject: Option<Descriptor>,
    #[serde(default, skip_serializing_if = "Annotations::is_empty")]
    pub(super) annotations: Annotations,
}

/// A document that says of itself what it is.
pub(super) trait Document: for<'d> Deserialize<'d> {
    /// The version, which is 2, and the media type, where it is written.
    fn says(&self) -> (u32, Option<&str>);
}

impl Document for Index {
    fn says(&self) -> (u32, Option<&str>) {
        (self.schema_version, self.media_type.as_deref())
    }
}

impl Document for Manifest {
    fn says(&self) -> (u32, Option<&str>) {
        (self.schema_version, self.media_type.as_deref())
    }
}

impl Descriptor {
    /// Of these bytes.
    pub(super) fn of(media_type: &str, bytes: &[u8]) -> Descriptor {
        Descriptor {
            media_type: media_type.to_owned(),
            digest: crate::ledger_file::sha256(bytes),
            size: bytes.len() as u64,
            artifact_type: None,
            platform: None,
            annotations: Annotations::new(),
        }
    }

    pub(super) fn annotated(mut self, key: &str, value: impl Into<String>) -> Descriptor {
        self.annotations.insert(key.to_owned(), value.into());
        self
    }

    pub(super) fn artifact(self, artifact_type: &str) -> Descriptor {
        Descriptor { artifact_type: Some(artifact_type.to_owned()), ..self }
    }

    pub(super) fn is_index(&self) -> bool {
        matches!(self.media_type.as_str(), INDEX | DOCKER_INDEX)
    }

    pub(super) fn is_manifest(&self) -> bool {
        matches!(self.media_type.as_str(), MANIFEST | DOCKER_MANIFEST)
    }
}

impl Index {
    pub(super) fn new(manifests: Vec<Descriptor>) -> Index {
        let media_type = Some(INDEX.to_owned());
        Index { schema_version: 2, media_type, artifact_type: None, manifests }
    }
}

impl Manifest {
    /// An artifact: what it is for is its type, and its configuration is empty.
    pub(super) fn artifact(artifact_type: &str, layers: Vec<Descriptor>) -> Manifest {
        Manifest {
            schema_version: 2,
            media_type: Some(MANIFEST.to_owned()),
            artifact_type: Some(artifact_type.to_owned()),
            config: Descriptor::of(EMPTY, b"{}"),
            layers,
            subject: None,
            annotations: Annotations::new(),
        }
    }
}

/// Documents of ours as they are written.
pub(super) fn json(document: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(document).expect("text, numbers and maps with text as keys are JSON")
}

/// A digest as OCI writes it: `sha256:` and 64 digits in small letters.
pub(super) mod sha256 {
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serializer};
    use steadfast_core::Digest;

    pub(in super::super) fn read(text: &str) -> Option<Digest> {
        let hex = text.strip_prefix("sha256:")?;
        Digest::from_hex(hex).filter(|_| !hex.bytes().any(|digit| digit.is_ascii_uppercase()))
    }

    pub(in super::super) fn serialize<S: Serializer>(
        digest: &Digest,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("sha256:{digest}"))
    }

    pub(in super::super) fn deserialize<'d, D: Deserializer<'d>>(
        from: D,
    ) -> Result<Digest, D::Error> {
        let text = String::deserialize(from)?;
        read(&text).ok_or_else(|| D::Error::custom("a digest has to be sha256:, then 64 digits"))
    }
}
