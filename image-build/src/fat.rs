//! Writes the files of a folder into a vfat image, the same bytes each time.

use std::path::Path;

use anyhow::Result;

use crate::host::Tool;
use crate::{digest, disk, root};

/// A vfat file system to be.
pub(crate) struct Volume {
    pub(crate) label: &'static str,
    /// Bytes.
    pub(crate) size: u64,
    /// The date of everything in it, in seconds since 1970.
    pub(crate) epoch: u64,
}

/// Writes the files in `folder` into the new image `out`.
pub(crate) fn write(folder: &Path, volume: &Volume, out: &Path) -> Result<()> {
    disk::blank(out, volume.size)?;
    let id = &digest::of_text(volume.label)[..8];
    Tool::new("mkfs.vfat")
        .args(["--invariant", "-i", id, "-n", volume.label])
        .arg(out)
        .env("SOURCE_DATE_EPOCH", volume.epoch.to_string())
        .run()?;
    let stamp = format!("--date=@{}", volume.epoch);
    Tool::new("find").arg(folder).args(["-exec", "touch", &stamp, "{}", "+"]).run()?;
    for file in root::files_below(folder)? {
        let name = file.strip_prefix(folder)?.to_string_lossy().into_owned();
        Tool::new("mcopy").args(["-m", "-i"]).arg(out).arg(file).arg(format!("::{name}")).run()?;
    }
    Ok(())
}
