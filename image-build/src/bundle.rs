//! Wraps the two images of a release into a signed RAUC bundle.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use crate::host::Tool;
use crate::keys::Signer;

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
    if out.exists() {
        fs::remove_file(out)?;
    }
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
        .context("the bundle was not signed")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_is_for_one_board_and_one_version() {
        let text = manifest("steadfast-qemu-arm64", "1.2.0");
        assert!(text.contains("compatible=steadfast-qemu-arm64\nversion=1.2.0\n"));
        assert!(text.contains("[bundle]\nformat=verity\n"));
        assert!(text.contains("[image.rootfs]\nfilename=rootfs.img\nadaptive=block-hash-index\n"));
    }
}
