//! Which image of an archive is meant: by architecture, and by name where there are several.

use super::image::{ImageError, Look, look};
use super::layout::Layout;
use super::oci::{Descriptor, Index, REFERENCE};
use std::collections::BTreeSet;

/// How many documents are looked through, and how deep indexes may lead to each other.
const MOST: usize = 1000;
const DEEPEST: usize = 4;
/// Where containerd and Docker write the whole reference.
const NAME: &str = "io.containerd.image.name";

/// The image for this architecture, and its descriptor.
pub(super) fn choose(
    layout: &Layout,
    reference: &str,
    architecture: &str,
) -> Result<(Descriptor, Look), ImageError> {
    let mut found = Found { layout, images: Vec::new(), seen: BTreeSet::new() };
    let index: Index = layout.index()?;
    found.index(index, None, DEEPEST)?;
    let mut others = BTreeSet::new();
    let mut fitting = Vec::new();
    for (image, name) in found.images {
        // What is not said to be for this architecture need not be there at all.
        if image.platform.as_ref().is_some_and(|it| !it.runs_on(architecture)) {
            others.extend(image.platform.as_ref().map(ToString::to_string));
            continue;
        }
        match look(layout, &image)? {
            seen if seen.platform.runs_on(architecture) => fitting.push((image, seen, name)),
            seen => drop(others.insert(seen.platform.to_string())),
        }
    }
    if fitting.is_empty() {
        let found = others.into_iter().collect::<Vec<_>>().join(", ");
        let found = if found.is_empty() { "nothing".to_owned() } else { found };
        return Err(ImageError::NotFor { wanted: format!("linux on {architecture}"), found });
    }
    if fitting.len() > 1 {
        let several = fitting.len();
        fitting.retain(|(_, _, name)| name.as_deref() == Some(reference));
        if fitting.len() != 1 {
            return Err(ImageError::Several(several));
        }
    }
    let (image, look, _) = fitting.remove(0);
    Ok((image, look))
}

struct Found<'l> {
    layout: &'l Layout,
    /// Each once, with the name that leads to it.
    images: Vec<(Descriptor, Option<String>)>,
    seen: BTreeSet<[u8; 32]>,
}

impl Found<'_> {
    fn index(&mut self, index: Index, name: Option<&str>, deeper: usize) -> Result<(), ImageError> {
        for it in index.manifests {
            let own = it.annotations.get(NAME).or_else(|| it.annotations.get(REFERENCE)).cloned();
            let name = own.as_deref().or(name);
            if !self.seen.insert(it.digest.0) {
                continue;
            }
            if self.seen.len() > MOST || deeper == 0 {
                return Err(ImageError::Many);
            }
            if it.is_index() {
                let inner = self.layout.document(&it)?;
                self.index(inner, name, deeper - 1)?;
            } else if it.is_manifest() && !is_attestation(&it) {
                self.images.push((it, name.map(str::to_owned)));
            }
        }
        Ok(())
    }
}

/// What a build tool says of an image and lists beside it.
fn is_attestation(it: &Descriptor) -> bool {
    it.platform.as_ref().is_some_and(|platform| platform.os == "unknown")
}
