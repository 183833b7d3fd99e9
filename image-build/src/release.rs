//! `release.json`: what a release is made of, with the digests to check it by.

use std::fs;
use std::path::Path;

use anyhow::Result;
use serde::Serialize;

use crate::debian::Package;
use crate::digest;

/// A file by its content.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Described {
    /// The file's name without its folder.
    pub(crate) file: String,
    /// Bytes.
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

impl Described {
    pub(crate) fn of(path: &Path) -> Result<Self> {
        let file = path.file_name().map(|name| name.to_string_lossy().into_owned());
        Ok(Self {
            file: file.unwrap_or_default(),
            size: fs::metadata(path)?.len(),
            sha256: digest::of_file(path)?,
        })
    }
}

/// One release, as written to `release.json`.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Release {
    /// Of this file; grows when a key changes its meaning.
    pub(crate) format: u32,
    pub(crate) board: String,
    pub(crate) version: String,
    pub(crate) compatible: String,
    pub(crate) variant: &'static str,
    pub(crate) suite: String,
    /// Seconds since 1970: the date of every file in the images.
    pub(crate) source_date_epoch: u64,
    /// The image trusts keys that were made for development.
    pub(crate) throwaway_keys: bool,
    pub(crate) keyring_sha256: String,
    /// dm-verity's root hash of `root`.
    pub(crate) root_hash: String,
    pub(crate) salt: String,
    /// Blocks of 4096 bytes before the hash tree.
    pub(crate) data_blocks: u64,
    /// The root image with its hash tree, as the bundle carries it.
    pub(crate) root: Described,
    /// The boot image, as the bundle carries it.
    pub(crate) boot: Described,
    pub(crate) agent: Described,
    pub(crate) bundle: Described,
    /// None when only a bundle was made.
    pub(crate) disk: Option<Described>,
    pub(crate) packages: Vec<Package>,
}
