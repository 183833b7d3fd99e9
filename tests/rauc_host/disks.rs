//! Disks that are full, too small, read-only or gone.

use std::{
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use super::tools::run;

/// A file system in memory at a folder, as large as it is told to be; gone with its owner.
pub(crate) struct Small(PathBuf);

impl Small {
    pub(crate) fn at(folder: &Path, size: &str) -> Self {
        let options = format!("size={size},mode=755");
        run(Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder));
        Self(folder.to_owned())
    }

    /// Not one byte more fits.
    pub(crate) fn fill(&self) {
        let full = fs::File::create(self.0.join("ballast"))
            .and_then(|mut ballast| std::io::copy(&mut std::io::repeat(1), &mut ballast));
        let error = full.expect_err("a small file system");
        assert_eq!(error.kind(), std::io::ErrorKind::StorageFull);
    }

    /// What [`fill`](Self::fill) took is free again.
    pub(crate) fn empty(&self) {
        fs::remove_file(self.0.join("ballast")).expect("it was filled");
    }

    pub(crate) fn make_read_only(&self) {
        run(Command::new("mount").args(["-o", "remount,ro"]).arg(&self.0));
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Best effort, and lazily: a test that failed half-way must not fail a second time here.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).stderr(Stdio::null()).status();
    }
}

/// A file system that somebody mounted; gone with its owner.
pub(crate) struct Mounted(PathBuf);

impl Mounted {
    /// Makes one on `device` and mounts it at `folder`.
    pub(crate) fn new(device: &Path, folder: &Path) -> Self {
        run(Command::new("mkfs.ext4").arg("-q").arg(device));
        fs::create_dir(folder).expect("a fresh name");
        run(Command::new("mount").args([device, folder]));
        Self(folder.to_owned())
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // Best effort: a test that failed half-way must not fail a second time here.
        let _ = Command::new("umount").arg(&self.0).stderr(Stdio::null()).status();
    }
}
