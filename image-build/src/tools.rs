//! Fetches what the lab and the contract tests need from the image's Debian release: firmware, a RAUC for the host, and
//! the image's busybox, of which the lab makes containers.
//! It names the throwaway authority too, so that nobody else has to know where it lies.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use hw_profile::Profile;
use serde::Serialize;

use crate::debian::{Refresh, Wanted};
use crate::host::Tool;
use crate::keys::Signer;
use crate::pipeline;

/// Paths on the host, as `cargo image tools` prints them.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Tools {
    /// The emulated board's firmware.
    pub(crate) uboot: PathBuf,
    /// An unpacked Debian of the image's suite for the host's processor, with rauc and dbus-daemon in it.
    pub(crate) rauc_root: PathBuf,
    /// The static busybox of the board's images.
    pub(crate) busybox: PathBuf,
    /// What signs development bundles, and the keyring of development images.
    pub(crate) signer: Signer,
}

/// Fetches what is missing and says where it is.
pub(crate) fn run(profile: &Profile) -> Result<Tools> {
    let qemu = profile.qemu.as_ref().context("nothing was fetched: the board is not emulated")?;
    let firmware = Wanted {
        suite: profile.suite.clone(),
        arch: profile.arch.to_string(),
        packages: vec![qemu.firmware_package.clone()],
    };
    let uboot = firmware.fetch(Refresh::Never)?.unpacked(keep)?.join(&qemu.firmware);
    ensure!(uboot.is_file(), "{} has no {}", qemu.firmware_package, qemu.firmware);
    let host = Tool::new("dpkg").arg("--print-architecture").text()?;
    let rauc = Wanted {
        suite: profile.suite.clone(),
        arch: host.trim().to_owned(),
        packages: [
            "rauc",
            "rauc-service",
            "dbus",
            "dbus-daemon",
            "squashfs-tools",
            "dash",
            "coreutils",
            "base-files",
        ]
        .map(str::to_owned)
        .to_vec(),
    };
    let rauc_root = rauc.fetch(Refresh::Never)?.unpacked(keep)?;
    let busybox = pipeline::boot_files(profile)?.join("usr/bin/busybox");
    ensure!(busybox.is_file(), "the packages of the boot partition have no static busybox");
    Ok(Tools { uboot, rauc_root, busybox, signer: Signer::development()? })
}

fn keep(_: &Path) -> Result<()> {
    Ok(())
}
