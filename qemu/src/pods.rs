//! The lab's pods: the workload set and the manifests that scenarios give to a node.
//!
//! ```text
//! busybox ─► images ──────┐
//! qemu/pods/*.yaml ──┬────┴─► steadfast set build ─► sign ─► out/lab/pods/{set,good,bad}.tar
//!                    └─ chatty.yaml ───────────────────────► out/lab/pods/chatty.yaml
//! ```
//!
//! Always true: they are made before a guest runs; the key is a throwaway one, and nothing but a guest trusts it.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use hw_profile::Profile;

use crate::build::{cargo, target_folder};
use crate::places;
use crate::pod_image::{BUSYBOX, PodImage, WEB};
use crate::steps::step;

/// Below the folder that the server serves.
pub(crate) const FOLDER: &str = "pods";
/// All pods but [`ALONE`], with their images.
pub(crate) const SET: &str = "set.tar";
/// A manifest that is given to a node as it is, once the set has brought its image.
pub(crate) const ALONE: &str = "chatty.yaml";
/// A set with nothing wrong in it, newer than [`SET`].
pub(crate) const GOOD: &str = "good.tar";
/// The same and a pod that crashes, newer still.
pub(crate) const BAD: &str = "bad.tar";
/// The public half of the key that signed the sets.
pub(crate) const KEYRING: &str = "keyring.pem";
const KEY: &str = "maker.pem";

/// The sets: the file, its generation, and the pods in it; none named is all but [`ALONE`].
const SETS: [(&str, &str, &[&str]); 3] =
    [(SET, "1", &[]), (GOOD, "2", &["web"]), (BAD, "3", &["web", "crashing"])];

/// Makes the sets and what belongs to them.
pub(crate) fn make(profile: &Profile, busybox: &Path) -> Result<()> {
    let tool = tool()?;
    let folder = places::lab().join(FOLDER);
    fs::create_dir_all(&folder).with_context(|| format!("no folder {}", folder.display()))?;
    let alone = places::workspace().join("qemu/pods").join(ALONE);
    fs::copy(&alone, folder.join(ALONE)).with_context(|| format!("no {}", alone.display()))?;
    let busybox = fs::read(busybox).with_context(|| format!("no busybox {}", busybox.display()))?;
    for image in [BUSYBOX, WEB] {
        let archive = folder.join(image.file_name());
        fs::write(archive, image.archive(&busybox, profile.arch.oci_name())?)?;
    }
    let key = key(&folder)?;
    for (name, generation, pods) in SETS {
        let manifests = folder.join(name).with_extension("manifests");
        let _ = fs::remove_dir_all(&manifests);
        fs::create_dir_all(&manifests)?;
        for file in sources()?.iter().filter(|file| is_in(file, pods)) {
            let to = manifests.join(file.file_name().expect("it was found in a folder"));
            fs::copy(file, to).with_context(|| format!("{} was not copied", file.display()))?;
        }
        let set = folder.join(name);
        let mut build = Command::new(&tool);
        build.args(["set", "build", "--generation", generation, "-o"]).arg(&set).arg(&manifests);
        build.args(["--arch", profile.arch.oci_name()]);
        for image in images_in(&manifests)? {
            let archive = folder.join(image.file_name());
            build.arg("--image").arg(format!("{}={}", image.reference, archive.display()));
        }
        step(&format!("make the set {name}"), &mut build)?;
        let mut sign = Command::new(&tool);
        step("sign it", sign.args(["set", "sign"]).arg(&set).arg("--key").arg(&key))?;
    }
    Ok(())
}

/// Whether this manifest belongs to a set of these pods.
fn is_in(file: &Path, pods: &[&str]) -> bool {
    let stem = file.file_stem().and_then(OsStr::to_str).unwrap_or_default();
    match pods.is_empty() {
        true => file.file_name() != Some(OsStr::new(ALONE)),
        false => pods.contains(&stem),
    }
}

/// The images that these manifests name.
fn images_in(manifests: &Path) -> Result<Vec<PodImage>> {
    let mut texts = String::new();
    for entry in fs::read_dir(manifests)? {
        texts.push_str(&fs::read_to_string(entry?.path())?);
    }
    let named = |image: &PodImage| texts.contains(&format!("image: {}", image.reference));
    Ok([BUSYBOX, WEB].into_iter().filter(named).collect())
}

/// This machine's own build of the agent: it is the one that the tests have built.
fn tool() -> Result<PathBuf> {
    step("build the agent's tool", cargo().args(["build", "--package", "steadfast"]))?;
    Ok(target_folder()?.join("debug/steadfast"))
}

/// The manifests of the tree.
fn sources() -> Result<Vec<PathBuf>> {
    let folder = places::workspace().join("qemu/pods");
    let entries = fs::read_dir(&folder).with_context(|| format!("no {}", folder.display()))?;
    let files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    Ok(files.into_iter().filter(|file| file.extension() == Some(OsStr::new("yaml"))).collect())
}

/// The throwaway key, made once, with its public half beside it.
fn key(folder: &Path) -> Result<PathBuf> {
    let (key, keyring) = (folder.join(KEY), folder.join(KEYRING));
    if !keyring.exists() {
        let mut make = Command::new("openssl");
        make.args(["genpkey", "-algorithm", "ed25519", "-out"]).arg(&key);
        step("make a key for the set", &mut make)?;
        let mut publish = Command::new("openssl");
        publish.args(["pkey", "-pubout", "-in"]).arg(&key).arg("-out").arg(&keyring);
        step("make its keyring", &mut publish)?;
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_manifest_of_the_tree_names_one_pod_by_its_file_and_images_that_are_made() {
        let files = sources().expect("the folder is there");
        assert!(files.iter().any(|file| file.ends_with(ALONE)) && files.len() > 1);
        for file in files {
            let text = fs::read_to_string(&file).expect("it is text");
            let name = file.file_stem().and_then(OsStr::to_str).expect("it is named");
            assert_eq!(text.matches("kind: Pod\n").count(), 1, "{name}");
            assert!(text.contains(&format!("kind: Pod\nmetadata:\n  name: {name}\n")), "{name}");
            let images = text.lines().filter_map(|line| line.trim().strip_prefix("image: "));
            for image in images {
                assert!([BUSYBOX, WEB].iter().any(|made| made.reference == image), "{image}");
            }
        }
    }
}
