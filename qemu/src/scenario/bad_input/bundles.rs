//! Bundles that are wrong on purpose: two small images, signed by whom the node trusts, then spoilt.
//!
//! ```text
//! noise ─► rauc bundle ─► whole ─┬─ its end cut off ──────────► truncated
//!                                ├─ a bit of the signature ───► forged
//!                                └─ bits of the root image ───► rotten
//! a root image of one block more than its slot ─► rauc bundle ─► oversized
//! ```

use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::build::DevelopmentSigner;
use crate::lab::Lab;
use crate::steps::step;

/// Cut off in the middle.
pub(in super::super) const TRUNCATED: &str = "truncated.raucb";
/// A bit of the signature is turned.
pub(in super::super) const FORGED: &str = "forged.raucb";
/// Bits of the root image are turned, behind a signature that holds.
pub(in super::super) const ROTTEN: &str = "rotten.raucb";
/// The root image is one block longer than the partition.
pub(in super::super) const OVERSIZED: &str = "oversized.raucb";
/// Nothing wrong with it but its content: what the others are made from.
pub(in super::super) const WHOLE: &str = "whole.raucb";

/// The images of the bundles, in bytes: so small that they are made in a second.
const ROOT: usize = 4 << 20;
const BOOT: usize = 1 << 20;
/// Unit of dm-verity's checks.
const BLOCK: u64 = 4096;
/// From the end: inside of the signature, behind which only its length follows (8 bytes).
const IN_THE_SIGNATURE: u64 = 40;
/// So many bytes of the image are enough to find their place in the bundle.
const SAMPLE: usize = 64;

/// Makes all of them in `folder`.
pub(in super::super) fn make(lab: &Lab, folder: &Path) -> Result<()> {
    let _ = fs::remove_dir_all(folder);
    fs::create_dir_all(folder).with_context(|| format!("no folder {}", folder.display()))?;
    let pack = |name: &str, fill: &dyn Fn(&Path) -> Result<()>| -> Result<PathBuf> {
        let content = folder.join("content");
        fs::create_dir(&content)?;
        fill(&content)?;
        fs::write(content.join("manifest.raucm"), manifest(&lab.profile.compatible))?;
        let bundle = folder.join(name);
        let DevelopmentSigner { key, certificate, keyring } = lab.signer();
        sign([("--key", key), ("--cert", certificate), ("--keyring", keyring)], &content, &bundle)?;
        fs::remove_dir_all(content)?;
        Ok(bundle)
    };
    let root = noise(ROOT);
    let whole = pack(WHOLE, &|content| {
        fs::write(content.join("rootfs.img"), &root)?;
        Ok(fs::write(content.join("boot.img"), &root[..BOOT])?)
    })?;
    pack(OVERSIZED, &|content| {
        let slot = u64::from(lab.profile.disk.root_mib) << 20;
        File::create(content.join("rootfs.img"))?.set_len(slot + BLOCK)?;
        // RAUC makes no bundle of zeros alone: packed, they are shorter than one block.
        Ok(fs::write(content.join("boot.img"), &root[..BOOT])?)
    })?;
    let copied = |name: &str| -> Result<File> {
        let path = folder.join(name);
        fs::copy(&whole, &path)?;
        Ok(OpenOptions::new().read(true).write(true).open(path)?)
    };
    let size = fs::metadata(&whole)?.len();
    copied(TRUNCATED)?.set_len(size / 2)?;
    turn(&copied(FORGED)?, size - IN_THE_SIGNATURE)?;
    // The squashfs keeps what does not compress as it is.
    let at = place(&fs::read(&whole)?, &root[ROOT / 2..][..SAMPLE])?;
    turn(&copied(ROTTEN)?, at)?;
    Ok(())
}

/// Makes a bundle like [`WHOLE`] that somebody else signs; nobody looks whether he may.
pub(in super::super) fn small_by(
    lab: &Lab,
    bundle: &Path,
    key: &PathBuf,
    certificate: &PathBuf,
) -> Result<()> {
    let content = bundle.with_extension("content");
    fs::create_dir(&content)?;
    let root = noise(ROOT);
    fs::write(content.join("rootfs.img"), &root)?;
    fs::write(content.join("boot.img"), &root[..BOOT])?;
    fs::write(content.join("manifest.raucm"), manifest(&lab.profile.compatible))?;
    sign([("--key", key), ("--cert", certificate)], &content, bundle)?;
    Ok(fs::remove_dir_all(content)?)
}

fn manifest(compatible: &str) -> String {
    format!(
        "[update]\ncompatible={compatible}\nversion=9.0.0\n\n[bundle]\nformat=verity\n\n\
         [image.rootfs]\nfilename=rootfs.img\n\n[image.boot]\nfilename=boot.img\n"
    )
}

fn sign<const N: usize>(by: [(&str, &PathBuf); N], content: &Path, bundle: &Path) -> Result<()> {
    let mut rauc = Command::new("rauc");
    rauc.arg("bundle");
    for (option, file) in by {
        rauc.arg(option).arg(file);
    }
    let name = bundle.file_stem().unwrap_or_default().display().to_string();
    step(&format!("sign the {name} bundle"), rauc.arg(content).arg(bundle)).map(drop)
}

/// Bytes that do not compress, the same each time.
fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(size / 8).flatten().collect()
}

/// Where `sample` begins in `bytes`; it has to be there once.
fn place(bytes: &[u8], sample: &[u8]) -> Result<u64> {
    let mut places = bytes.windows(sample.len()).enumerate().filter(|(_, part)| *part == sample);
    let (at, _) = places.next().context("the image's bytes are not found in the bundle")?;
    ensure!(places.next().is_none(), "the image's bytes are in the bundle twice");
    Ok(at as u64)
}

/// Turns every bit of the byte at `at`.
fn turn(file: &File, at: u64) -> Result<()> {
    let mut byte = [0];
    file.read_exact_at(&mut byte, at)?;
    Ok(file.write_all_at(&[!byte[0]], at)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_found_where_it_is_and_nowhere_else() {
        let bytes = noise(4096);
        assert_eq!(place(&bytes, &bytes[1000..1064]).expect("it is there"), 1000);
        assert!(place(&bytes, &[0; 64]).is_err());
        assert!(place(&[bytes.clone(), bytes.clone()].concat(), &bytes[..64]).is_err());
    }

    #[test]
    fn a_turned_byte_is_another_one_and_the_only_one() {
        let path = std::env::temp_dir().join(format!("steadfast-lab-turn-{}", std::process::id()));
        fs::write(&path, [1, 2, 3]).expect("written");
        let file = OpenOptions::new().read(true).write(true).open(&path).expect("it is there");
        turn(&file, 1).expect("turned");
        assert_eq!(fs::read(&path).expect("read"), [1, 0xfd, 3]);
        fs::remove_file(path).expect("removed");
    }
}
