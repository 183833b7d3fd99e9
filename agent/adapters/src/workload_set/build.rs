//! A set from a folder of manifests and archives of images.

use super::choose::choose;
use super::error::SetError;
use super::image::{ImageError, Look};
use super::layout::{Extra, Layout, MAX_DOCUMENT};
use super::oci::{
    Annotations, Descriptor, EMPTY, GENERATION, INDEX, Index, MANIFEST, MINIMUM_OS, Manifest, PODS,
    PODS_FILE, REFERENCE, SET, TITLE, json,
};
use super::read::{Demands, WorkloadSet, is_pinned, named, read};
use super::write::Contents;
use crate::manifest::{Policy, Set, Source};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use steadfast_core::Version;

/// An image, and where it comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Given {
    /// What the pods call it, letter by letter.
    pub reference: String,
    /// An OCI image layout in a tar file.
    pub archive: PathBuf,
}

/// What a set is made from.
#[derive(Clone, Debug)]
pub struct Recipe<'r> {
    /// The folder with the manifests.
    pub manifests: &'r Path,
    /// Which one it is of those that a node gets, from 1.
    pub generation: u64,
    /// The oldest OS that it runs on.
    pub minimum_os: Option<Version>,
    /// An archive for each image that the pods name.
    pub images: &'r [Given],
    /// What the images are for, as OCI calls it.
    pub architecture: &'r str,
}

/// Makes a set without a signature, and reads it back before it gets its name.
pub fn build(recipe: &Recipe<'_>, out: &Path) -> Result<WorkloadSet, SetError> {
    let files = files(recipe.manifests)?;
    let policy = Policy::whole_node();
    everything_is_given(&files, recipe, &policy)?;
    let layouts = layouts(recipe)?;
    let mut contents = Contents::default();
    let mut parts = vec![pods(files, recipe, &mut contents)];
    for (reference, (layout, image, look)) in &layouts {
        is_pinned(reference, &image.digest)?;
        look.blobs.iter().for_each(|blob| contents.blob(layout, blob.clone()));
        let annotations = Annotations::from([(REFERENCE.to_owned(), (*reference).to_owned())]);
        let platform = Some(look.platform.clone());
        let bare = Descriptor { artifact_type: None, ..image.clone() };
        parts.push(Descriptor { platform, annotations, ..bare });
    }
    let index = Index { artifact_type: Some(SET.to_owned()), ..Index::new(parts) };
    let set = contents.document(INDEX, json(&index)).artifact(SET);
    let tag = format!("generation-{}", recipe.generation);
    let part = contents.write(&Index::new(vec![set.annotated(REFERENCE, tag)]), out)?;
    let architecture = Some(recipe.architecture);
    let made = read(part.path(), Demands { keyring: None, architecture, policy: &policy })?;
    part.keep()?;
    Ok(made)
}

type Files = BTreeMap<String, Vec<u8>>;

/// The manifests of a folder by their names. What begins with a dot is none.
fn files(folder: &Path) -> Result<Files, SetError> {
    let fail = |path: &Path, source| SetError::Folder { path: path.to_owned(), source };
    let mut files = Files::new();
    for entry in fs::read_dir(folder).map_err(|error| fail(folder, error))? {
        let path = entry.map_err(|error| fail(folder, error))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| SetError::NoManifest(path.clone()))?;
        if name.starts_with('.') {
            continue;
        }
        if ![".yaml", ".yml", ".json"].iter().any(|end| name.ends_with(end)) || !path.is_file() {
            return Err(SetError::NoManifest(path));
        }
        let mut text = Vec::new();
        let file = File::open(&path).map_err(|error| fail(&path, error))?;
        // One byte too much is enough to be refused.
        let read = file.take(MAX_DOCUMENT + 1).read_to_end(&mut text);
        read.map_err(|error| fail(&path, error))?;
        files.insert(name.to_owned(), text);
    }
    Ok(files)
}

/// Whether the pods can be read, and all their images were given, before anything is copied.
fn everything_is_given(
    files: &Files,
    recipe: &Recipe<'_>,
    policy: &Policy,
) -> Result<(), SetError> {
    let sources: Vec<_> = files.iter().map(|(name, text)| Source { name, text }).collect();
    let Set { pods } = Set::read(&sources, policy)?;
    if pods.is_empty() {
        return Err(SetError::NoPods);
    }
    let given = |image: &str| recipe.images.iter().any(|given| given.reference == image);
    let missing: Vec<_> = named(&pods).filter(|named| !given(&named.image)).collect();
    match missing.is_empty() {
        true => Ok(()),
        false => Err(SetError::Missing(missing)),
    }
}

type Found<'r> = BTreeMap<&'r str, (Layout, Descriptor, Look)>;

/// The images that were given, in the order of their names.
fn layouts<'r>(recipe: &Recipe<'r>) -> Result<Found<'r>, SetError> {
    let mut found = Found::new();
    for Given { reference, archive } in recipe.images {
        let chosen = || -> Result<_, ImageError> {
            let layout = Layout::open(archive, Extra::PassedOver)?;
            let (image, look) = choose(&layout, reference, recipe.architecture)?;
            Ok((layout, image, look))
        };
        let chosen = chosen().map_err(|source| SetError::Archive {
            reference: reference.clone(),
            archive: archive.clone(),
            source,
        })?;
        if found.insert(reference, chosen).is_some() {
            return Err(SetError::Twice(reference.clone()));
        }
    }
    Ok(found)
}

/// The manifests and what the set says of itself.
fn pods(files: Files, recipe: &Recipe<'_>, contents: &mut Contents<'_>) -> Descriptor {
    let layers = files.into_iter();
    let layers = layers
        .map(|(name, text)| contents.document(PODS_FILE, text).annotated(TITLE, name))
        .collect();
    let generation = (GENERATION.to_owned(), recipe.generation.to_string());
    let minimum_os = recipe.minimum_os.as_ref();
    let minimum_os = minimum_os.map(|it| (MINIMUM_OS.to_owned(), it.to_string()));
    let annotations = std::iter::once(generation).chain(minimum_os).collect();
    let manifest = Manifest { annotations, ..Manifest::artifact(PODS, layers) };
    contents.document(EMPTY, b"{}".to_vec());
    contents.document(MANIFEST, json(&manifest)).artifact(PODS)
}
