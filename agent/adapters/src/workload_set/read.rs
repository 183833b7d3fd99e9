//! A set from its archive: from what vouches for it down to its pods.

use super::error::{Missing, SetError};
use super::image::look;
use super::keys::Keyring;
use super::layout::{Extra, Layout, MAX_DOCUMENT};
use super::oci::{
    Descriptor, EMPTY, GENERATION, Index, MINIMUM_OS, Manifest, PODS, PODS_FILE, REFERENCE, SET,
    SIGNATURE, TITLE, sha256,
};
use super::signature::{Signature, Standing, checked};
use crate::manifest::{Pod, Policy, Set, Source};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use steadfast_core::pod::Role;
use steadfast_core::{Digest, SetId, Version};

/// How much `index.json` and a set index may name. A document is read for each.
pub(super) const MAX_ROOTS: usize = 64;
const MAX_IMAGES: usize = 1000;

/// What a set has to be.
#[derive(Clone, Copy, Debug)]
pub struct Demands<'d> {
    /// Who has to have signed it. Without one nobody vouches for it.
    pub keyring: Option<&'d Keyring>,
    /// What its images have to be for; without it, for one architecture.
    pub architecture: Option<&'d str>,
    /// What its pods may have.
    pub policy: &'d Policy,
}

/// A set that is whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkloadSet {
    /// Of the set index, which is what is signed.
    pub digest: Digest,
    /// Which one it is of those that a node gets, from 1.
    pub generation: u64,
    /// The oldest OS that it runs on.
    pub minimum_os: Option<Version>,
    /// With a keyring, at least one holds.
    pub signatures: Vec<Signature>,
    /// What its images are for, as OCI calls it.
    pub architecture: String,
    /// In the order of their names.
    pub images: Vec<SetImage>,
    /// The names of the files with its manifests.
    pub files: Vec<String>,
    /// What is to be run.
    pub pods: Vec<Pod>,
}

impl WorkloadSet {
    /// What tells it from all others.
    pub fn set_id(&self) -> SetId {
        SetId { digest: self.digest, generation: self.generation }
    }
}

/// An image of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SetImage {
    /// What pods call it.
    pub reference: String,
    /// Of its manifest.
    pub digest: Digest,
    /// All its bytes.
    pub size: u64,
    /// How many containers use it; none is no fault, and a waste of room.
    pub used: usize,
}

/// Reads a set, all of it.
pub fn read(archive: &Path, demands: Demands<'_>) -> Result<WorkloadSet, SetError> {
    Opened::open(archive)?.read(demands).map(|(set, _)| set)
}

/// Reads a set again that was taken before: its documents against their digests, and of the layers only that they are
/// there. Who vouched for it was asked when it was taken.
pub fn read_again(archive: &Path, policy: &Policy) -> Result<WorkloadSet, SetError> {
    let demands = Demands { keyring: None, architecture: None, policy };
    Opened::open(archive)?.read_to(demands, Depth::Documents).map(|(set, _)| set)
}

/// How much of an archive is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Depth {
    /// What leads to the layers, and what is to be run.
    Documents,
    /// Every byte.
    Everything,
}

/// An archive in which a set was found, and no more than that.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) layout: Layout,
    /// The set index, as `index.json` names it.
    pub(super) set: Descriptor,
    pub(super) index: Index,
    pub(super) signatures: Vec<(Descriptor, Manifest)>,
}

impl Opened {
    pub(super) fn open(archive: &Path) -> Result<Opened, SetError> {
        let layout = Layout::open(archive, Extra::Refused)?;
        let roots: Index = layout.index()?;
        if roots.manifests.len() > MAX_ROOTS {
            return Err(SetError::Crowded(roots.manifests.len()));
        }
        let mut sets = Vec::new();
        let mut signatures = Vec::new();
        for root in roots.manifests {
            if root.is_index() {
                let index: Index = layout.document(&root)?;
                match index.artifact_type.as_deref() {
                    Some(SET) => sets.push((root, index)),
                    _ => return Err(SetError::Foreign(root.digest)),
                }
            } else {
                let manifest: Manifest = layout.document(&root)?;
                match manifest.artifact_type.as_deref() {
                    Some(SIGNATURE) => signatures.push((root, manifest)),
                    _ => return Err(SetError::Foreign(root.digest)),
                }
            }
        }
        match (sets.pop(), sets.len()) {
            (Some((set, index)), 0) => Ok(Opened { layout, set, index, signatures }),
            (Some(_), others) => Err(SetError::SeveralSets(others + 1)),
            (None, _) => Err(SetError::NoSet),
        }
    }

    /// The set, and all blobs of the archive.
    pub(super) fn read(
        &self,
        demands: Demands<'_>,
    ) -> Result<(WorkloadSet, Vec<Descriptor>), SetError> {
        self.read_to(demands, Depth::Everything)
    }

    fn read_to(
        &self,
        demands: Demands<'_>,
        depth: Depth,
    ) -> Result<(WorkloadSet, Vec<Descriptor>), SetError> {
        let signatures = self.vouched(demands.keyring)?;
        let (pods, images) = self.parts()?;
        let artifact: Manifest = self.layout.document(pods)?;
        let mut named = Named { layout: &self.layout, sizes: BTreeMap::new() };
        named.take(&self.set)?;
        named.take(pods)?;
        named.manifest(&artifact)?;
        for (at, manifest) in &self.signatures {
            named.take(at)?;
            named.manifest(manifest)?;
        }
        let mut images = self.images(images, demands.architecture, &mut named)?;
        if depth == Depth::Everything {
            named.all_and_no_more()?;
        }
        let files = self.files(pods, &artifact)?;
        let sources = files.iter().map(|(name, text)| Source { name, text });
        let Set { pods } = Set::read(&sources.collect::<Vec<_>>(), demands.policy)?;
        let architecture = images.architecture;
        against(&pods, &mut images.all)?;
        let set = WorkloadSet {
            digest: self.set.digest,
            generation: generation(&artifact)?,
            minimum_os: minimum_os(&artifact)?,
            signatures,
            architecture,
            images: images.all,
            files: files.into_iter().map(|(name, _)| name).collect(),
            pods,
        };
        Ok((set, named.sizes.into_values().collect()))
    }

    /// Each signature, when one of them is enough for the keyring.
    fn vouched(&self, keyring: Option<&Keyring>) -> Result<Vec<Signature>, SetError> {
        let all = self.signatures.iter();
        let all = all.map(|(at, it)| checked(&self.layout, &self.set.digest, (at, it), keyring));
        let all: Vec<Signature> = all.collect::<Result<_, _>>()?;
        let holds = all.iter().any(|it| it.standing == Standing::Holds);
        match keyring {
            Some(_) if all.is_empty() => Err(SetError::Unsigned),
            Some(_) if !holds => Err(SetError::Stranger(all.iter().map(|it| it.key).collect())),
            _ => Ok(all),
        }
    }

    /// The one manifest of pods, and those of images.
    fn parts(&self) -> Result<(&Descriptor, Vec<&Descriptor>), SetError> {
        let all = self.index.manifests.iter();
        let is_pods = |it: &&Descriptor| it.artifact_type.as_deref() == Some(PODS);
        let (pods, images): (Vec<&Descriptor>, Vec<_>) = all.partition(is_pods);
        match pods.as_slice() {
            [pods] if images.len() <= MAX_IMAGES => Ok((pods, images)),
            [_] => Err(SetError::shape(&self.set, "a set has 1000 images at most")),
            _ => Err(SetError::shape(&self.set, "a set has one manifest of pods")),
        }
    }

    fn images(
        &self,
        listed: Vec<&Descriptor>,
        wanted: Option<&str>,
        named: &mut Named<'_>,
    ) -> Result<Images, SetError> {
        let mut architecture = wanted.map(str::to_owned);
        let mut all = BTreeMap::new();
        for it in listed {
            let reference = it.annotations.get(REFERENCE);
            let reference =
                reference.ok_or_else(|| SetError::shape(&self.set, "an image has no name"))?;
            if !it.is_manifest() || it.platform.is_none() {
                return Err(SetError::shape(&self.set, "an image has no platform, or several"));
            }
            let image = look(&self.layout, it);
            let image =
                image.map_err(|source| SetError::Image { reference: reference.clone(), source })?;
            let wanted =
                architecture.get_or_insert_with(|| image.platform.architecture.clone()).clone();
            if !image.platform.runs_on(&wanted) {
                let (reference, found) = (reference.clone(), image.platform.to_string());
                return Err(SetError::Architecture { reference, found, wanted });
            }
            is_pinned(reference, &it.digest)?;
            image.blobs.iter().try_for_each(|blob| named.take(blob))?;
            let digest = it.digest;
            let found =
                SetImage { reference: reference.clone(), digest, size: image.size(), used: 0 };
            if all.insert(reference.clone(), found).is_some() {
                return Err(SetError::Twice(reference.clone()));
            }
        }
        let architecture = architecture.unwrap_or_default();
        Ok(Images { architecture, all: all.into_values().collect() })
    }

    /// The files of the manifests, with their names.
    fn files(
        &self,
        at: &Descriptor,
        artifact: &Manifest,
    ) -> Result<Vec<(String, Vec<u8>)>, SetError> {
        let sizes = artifact.layers.iter().map(|layer| layer.size);
        if sizes.fold(0, u64::saturating_add) > MAX_DOCUMENT {
            return Err(SetError::shape(at, "its manifests have more than 4 MiB together"));
        }
        let mut names = BTreeSet::new();
        let files = artifact.layers.iter().map(|layer| {
            let name = layer.annotations.get(TITLE).filter(|_| layer.media_type == PODS_FILE);
            let name = name.ok_or_else(|| SetError::shape(at, "a manifest has no file name"))?;
            match names.insert(name) {
                true => Ok((name.clone(), self.layout.bytes(layer)?)),
                false => Err(SetError::shape(at, "two manifests have one file name")),
            }
        });
        files.collect()
    }
}

struct Images {
    architecture: String,
    all: Vec<SetImage>,
}

/// What the set names: each blob once, however often it is named.
struct Named<'l> {
    layout: &'l Layout,
    sizes: BTreeMap<[u8; 32], Descriptor>,
}

impl Named<'_> {
    fn take(&mut self, blob: &Descriptor) -> Result<(), SetError> {
        self.layout.holds(blob)?;
        self.sizes.insert(blob.digest.0, blob.clone());
        Ok(())
    }

    /// An artifact's empty configuration and its layers.
    fn manifest(&mut self, artifact: &Manifest) -> Result<(), SetError> {
        if artifact.config.media_type != EMPTY {
            return Err(SetError::shape(&artifact.config, "an artifact's configuration is empty"));
        }
        let layers = artifact.layers.iter();
        std::iter::once(&artifact.config).chain(layers).try_for_each(|blob| self.take(blob))
    }

    /// Reads all of them, and finds that the archive has no others.
    fn all_and_no_more(&self) -> Result<(), SetError> {
        let stray = self.layout.blobs().find(|blob| !self.sizes.contains_key(&blob.0));
        if let Some(stray) = stray {
            return Err(SetError::Stray(stray));
        }
        self.sizes.values().try_for_each(|blob| Ok(self.layout.verify(blob)?))
    }
}

/// A reference with a digest means the very image that bears it.
pub(super) fn is_pinned(reference: &str, found: &Digest) -> Result<(), SetError> {
    let pinned = reference.split_once('@').map(|(_, digest)| sha256::read(digest));
    match pinned {
        Some(digest) if digest != Some(*found) => {
            Err(SetError::Pinned { reference: reference.to_owned(), found: *found })
        }
        _ => Ok(()),
    }
}

/// Each container finds its image, and each image its containers.
fn against(pods: &[Pod], images: &mut [SetImage]) -> Result<(), SetError> {
    if pods.is_empty() {
        return Err(SetError::NoPods);
    }
    let mut missing = Vec::new();
    for named in named(pods) {
        match images.iter_mut().find(|image| image.reference == named.image) {
            Some(image) => image.used += 1,
            None => missing.push(named),
        }
    }
    match missing.is_empty() {
        true => Ok(()),
        false => Err(SetError::Missing(missing)),
    }
}

/// The images that pods name, with the field of each.
pub(super) fn named(pods: &[Pod]) -> impl Iterator<Item = Missing> {
    pods.iter().flat_map(|pod| {
        let first = pod.containers.iter().filter(|it| it.role != Role::Main).count();
        pod.containers.iter().enumerate().map(move |(number, container)| {
            let (list, number) = match number < first {
                true => ("initContainers", number),
                false => ("containers", number - first),
            };
            Missing {
                pod: pod.name.as_str().to_owned(),
                path: format!("spec.{list}[{number}].image"),
                image: container.image.as_str().to_owned(),
            }
        })
    })
}

fn generation(artifact: &Manifest) -> Result<u64, SetError> {
    let text = artifact.annotations.get(GENERATION);
    let number = text.and_then(|text| text.parse().ok()).filter(|it| *it > 0);
    // One way to write it: what is signed is read by other programs, too.
    let number = number.filter(|it: &u64| Some(&it.to_string()) == text);
    let said = || text.map_or_else(|| "not there".to_owned(), |text| format!("{text:?}"));
    number.ok_or_else(|| SetError::Generation(said()))
}

fn minimum_os(artifact: &Manifest) -> Result<Option<Version>, SetError> {
    let text = artifact.annotations.get(MINIMUM_OS);
    let read = |text: &String| Version::new(text).ok_or_else(|| SetError::MinimumOs(text.clone()));
    text.map(read).transpose()
}
