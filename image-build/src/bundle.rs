//! Wraps the two images of a release into a signed RAUC bundle.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Error, Result};

use crate::digest;
use crate::host::Tool;
use crate::keys::Signer;
use crate::places::{self, Scratch};

/// The manifest: format verity, and a block index so that a node fetches only blocks that it lacks.
pub(crate) fn manifest(compatible: &str, version: &str) -> String {
    format!(
        "[update]\ncompatible={compatible}\nversion={version}\n\n[bundle]\nformat=verity\n\n\
         [image.rootfs]\nfilename=rootfs.img\nadaptive=block-hash-index\n\n\
         [image.boot]\nfilename=boot.img\nadaptive=block-hash-index\n"
    )
}

/// Signs `folder` (rootfs.img, boot.img) into the bundle `out`.
pub(crate) fn pack(folder: &Path, manifest: &str, signer: &Signer, out: &Path) -> Result<()> {
    fs::write(folder.join("manifest.raucm"), manifest)?;
    places::gone(fs::remove_file(out))?;
    Tool::new("rauc")
        .arg("bundle")
        .arg(format!("--key={}", signer.key))
        .arg(format!("--cert={}", signer.certificate))
        .arg(format!("--keyring={}", signer.keyring.display()))
        // The root is compressed already; the kernel gains from a quick one.
        .arg("--mksquashfs-args=-comp zstd -Xcompression-level 3")
        .arg(folder)
        .arg(out)
        .run()
        .map(drop)
        .map_err(explained)
        .context("the bundle was not signed")
}

/// Signs a bundle of no use below `scratch` and gives its path. Whoever mistyped a PIN reads so at once, and
/// not after the minutes that an image takes.
pub(crate) fn trial(signer: &Signer, scratch: &Scratch) -> Result<PathBuf> {
    let (folder, out) = (scratch.join("trial"), scratch.join("trial.raucb"));
    fs::create_dir_all(&folder)?;
    // RAUC takes no bundle that fits one block, so this must not compress to nothing.
    let content: String = (0..256).map(|line| digest::of_text(&line.to_string())).collect();
    for image in ["rootfs.img", "boot.img"] {
        fs::write(folder.join(image), &content)?;
    }
    pack(&folder, &manifest("steadfast-trial", "0"), signer, &out)
        .context("nothing was built: these keys do not sign what the keyring trusts")?;
    Ok(out)
}

/// Words of RAUC, OpenSSL and its PKCS#11 engine, and what they mean; the first that fits is the nearest.
const MEANINGS: [(&str, &str); 9] = [
    ("no such engine", "OpenSSL has no engine for tokens; `cargo lab setup` installs it"),
    ("Unable to load PKCS#11 module", "the module that RAUC_PKCS11_MODULE names was not loaded"),
    (
        "PIN incorrect",
        "the token does not take the PIN; many lock themselves after a few wrong ones",
    ),
    ("No PIN code was entered", "the token wants a PIN, and RAUC_PKCS11_PIN does not hold one"),
    ("No matching initialized token", "no token fits the URI; `p11tool --list-tokens` lists them"),
    ("certificate was not found at", "the token has no certificate that fits the URI"),
    ("private key was not found at", "the token has no key that fits the URI"),
    ("key values mismatch", "the certificate is not the one of the key"),
    ("unable to get local issuer", "the keyring does not trust the certificate"),
];

fn explained(error: Error) -> Error {
    let said = error.to_string();
    match MEANINGS.iter().find(|(words, _)| said.contains(words)) {
        Some((_, meaning)) => error.context(*meaning),
        None => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_for_one_board_and_one_version() {
        let text = manifest("steadfast-qemu-arm64", "1.2.0");
        assert!(text.contains("compatible=steadfast-qemu-arm64\nversion=1.2.0\n"));
        assert!(text.contains("[bundle]\nformat=verity\n"));
        for image in ["rootfs", "boot"] {
            let lines =
                format!("[image.{image}]\nfilename={image}.img\nadaptive=block-hash-index\n");
            assert!(text.contains(&lines), "{lines} is not in\n{text}");
        }
    }
}
