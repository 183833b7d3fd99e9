//! The releases of the lane: two images each, small enough to be written thousands of times, in a bundle that the
//! real RAUC makes and takes.
//!
//! They are bundles of the plain format: dm-verity needs the device-mapper, which not every kernel has. What a slot
//! holds is told by the digests of both images, as on the node.

use std::env::consts::ARCH;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use serde::Deserialize;

use super::super::judge::{self, Image};
use super::apart::done;
use crate::build::{DevelopmentSigner, cargo};
use crate::steps::step;

/// One release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Release {
    /// Its version.
    pub(super) version: &'static str,
    /// The program that its one check runs.
    pub(super) check: &'static str,
}

/// What every node starts with.
pub(super) const FIRST: Release = Release { version: "1.0.0", check: "/usr/bin/true" };
/// Nothing wrong with it.
pub(super) const GOOD: Release = Release { version: "1.1.0", check: "/usr/bin/true" };
/// Its check fails.
pub(super) const SICK: Release = Release { version: "1.2.0", check: "/usr/bin/false" };
/// All of them.
pub(super) const ALL: [Release; 3] = [FIRST, GOOD, SICK];

/// Name of the check that a release has.
pub(super) const CHECK: &str = "work";

/// Bytes of the images.
const BOOT: usize = 512 << 10;
const ROOT: usize = 2 << 20;

/// RAUC 1.13 out of an unpacked Debian, and who signs what images of this tree trust.
#[derive(Debug, Deserialize)]
pub(super) struct Tools {
    /// The unpacked Debian.
    pub(super) rauc_root: PathBuf,
    /// The signer.
    pub(super) signer: DevelopmentSigner,
}

impl Tools {
    /// Asks the image tool.
    pub(super) fn get(board: &str) -> Result<Self> {
        let said = step("get RAUC", cargo().args(["image", "tools", "--board", board]))?;
        serde_json::from_str(said.out.trim()).context("the image tool printed no JSON")
    }

    /// The words that start RAUC with its own libraries, seen from `root`.
    pub(super) fn rauc(root: &Path) -> Vec<PathBuf> {
        let libraries = root.join(format!("usr/lib/{ARCH}-linux-gnu"));
        let loader = match ARCH {
            "x86_64" => "ld-linux-x86-64.so.2",
            _ => "ld-linux-aarch64.so.1",
        };
        let program = root.join("usr/bin/rauc");
        vec![libraries.join(loader), "--library-path".into(), libraries, program]
    }
}

impl Release {
    /// File name of its bundle.
    pub(super) fn bundle(&self) -> String {
        format!("{}.raucb", self.version)
    }

    /// Where a node has it.
    pub(super) fn path(&self) -> String {
        format!("/bundles/{}", self.bundle())
    }

    fn boot(&self) -> Vec<u8> {
        bytes(self.version, "boot", BOOT)
    }

    fn root(&self) -> Vec<u8> {
        bytes(self.version, "root", ROOT)
    }

    /// What is known of its images.
    pub(super) fn images(&self) -> Result<judge::Release> {
        let image = |bytes: Vec<u8>| -> Result<Image> {
            Ok(Image { size: bytes.len() as u64, sha256: judge::digest(&bytes)? })
        };
        let (boot, root) = (image(self.boot())?, image(self.root())?);
        Ok(judge::Release { version: self.version.to_owned(), root, boot })
    }

    /// Its images by the names of their classes.
    pub(super) fn parts(&self) -> [(&'static str, Vec<u8>); 2] {
        [("boot", self.boot()), ("rootfs", self.root())]
    }

    /// Makes its bundle in `folder`.
    pub(super) fn pack(&self, tools: &Tools, compatible: &str, folder: &Path) -> Result<()> {
        let content = folder.join(format!("{}.d", self.version));
        fs::create_dir_all(&content)?;
        let mut manifest = format!(
            "[update]\ncompatible={compatible}\nversion={}\n\n[bundle]\nformat=plain\n",
            self.version
        );
        for (class, bytes) in self.parts() {
            fs::write(content.join(format!("{class}.img")), bytes)?;
            manifest += &format!("\n[image.{class}]\nfilename={class}.img\n");
        }
        fs::write(content.join("manifest.raucm"), manifest)?;
        let words = Tools::rauc(&tools.rauc_root);
        done(
            Command::new(&words[0])
                .args(&words[1..])
                .arg("bundle")
                .arg("--cert")
                .arg(&tools.signer.certificate)
                .arg("--key")
                .arg(&tools.signer.key)
                .arg(&content)
                .arg(folder.join(self.bundle()))
                .env("OPENSSL_CONF", "/dev/null"),
        )?;
        Ok(fs::remove_dir_all(content)?)
    }
}

/// Bytes that do not compress and are the same each time (xorshift).
fn bytes(version: &str, part: &str, count: usize) -> Vec<u8> {
    let seed = version.bytes().chain(part.bytes());
    let mut state = seed.fold(0x9e37_79b9_7f4a_7c15_u64, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x100_0001)
    });
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(count / 8).flatten().collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_images_are_alike_and_each_is_the_same_again() {
        let parts = || ALL.iter().flat_map(|release| [release.boot(), release.root()]);
        assert_eq!(parts().collect::<BTreeSet<_>>().len(), 2 * ALL.len());
        assert!(parts().eq(parts()));
    }
}
