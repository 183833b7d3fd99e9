//! Disks of guests: a copy-on-write disk for each, and the USB stick.
//!
//! ```text
//! disk.img (raw, never written) ◄─ base.qcow2 (booted, committed, saved machine) ─ copied for each scenario
//! ```

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

/// Size of every stick. A saved guest has seen one of this size, so all must have it.
const STICK_MIB: u32 = 192;
/// The file system label by which a person finds the stick.
pub(crate) const STICK_LABEL: &str = "LABSTICK";

/// A fresh qcow2 disk on top of the raw image `backing`.
pub(crate) fn overlay(backing: &Path, disk: &Path) -> Result<()> {
    let backing = fs::canonicalize(backing).with_context(|| format!("{}", backing.display()))?;
    run(Command::new("qemu-img")
        .args(["create", "-q", "-f", "qcow2", "-F", "raw", "-b"])
        .arg(backing)
        .arg(disk))
}

/// A copy of a disk with its saved machines.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("{} was not copied", from.display()))?;
    Ok(())
}

/// The bytes of a qcow2 disk as a raw image; saved machines are left out.
pub(crate) fn flatten(from: &Path, to: &Path) -> Result<()> {
    run(Command::new("qemu-img").args(["convert", "-q", "-O", "raw"]).arg(from).arg(to))
}

/// A copy of a raw image that takes no more room than its content.
pub(crate) fn sparse_copy(from: &Path, to: &Path) -> Result<()> {
    run(Command::new("cp").args(["--sparse=always", "--"]).arg(from).arg(to))
}

/// Where a partition is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Partition {
    /// Its first byte.
    pub(crate) start: u64,
    /// How many it has.
    pub(crate) size: u64,
}

/// The partitions of a raw image by their names.
pub(crate) fn partitions(image: &Path) -> Result<BTreeMap<String, Partition>> {
    let out = Command::new("/sbin/sfdisk")
        .arg("--json")
        .arg(image)
        .output()
        .context("sfdisk does not start")?;
    let said: serde_json::Value = serde_json::from_slice(&out.stdout)
        .with_context(|| format!("{} has no partition table", image.display()))?;
    let table = &said["partitiontable"];
    let sector = table["sectorsize"].as_u64().context("sfdisk gives no sector size")?;
    let mut found = BTreeMap::new();
    for partition in table["partitions"].as_array().context("sfdisk gives no partitions")? {
        let bytes = |key: &str| partition[key].as_u64().map(|sectors| sectors * sector);
        let (Some(name), Some(start), Some(size)) =
            (partition["name"].as_str(), bytes("start"), bytes("size"))
        else {
            bail!("sfdisk describes a partition of {} in part", image.display());
        };
        found.insert(name.to_owned(), Partition { start, size });
    }
    Ok(found)
}

/// A stick that holds nothing.
pub(crate) fn blank_stick(path: &Path) -> Result<()> {
    let file = fs::File::create(path).with_context(|| format!("{}", path.display()))?;
    file.set_len(u64::from(STICK_MIB) * 1024 * 1024)?;
    Ok(())
}

/// A stick with the one file `bundle`.
pub(crate) fn stick_with(bundle: &Path, path: &Path) -> Result<()> {
    let folder = path.with_extension("files");
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder)?;
    let Some(name) = bundle.file_name() else { bail!("{} is no file", bundle.display()) };
    fs::copy(bundle, folder.join(name)).with_context(|| format!("{}", bundle.display()))?;
    blank_stick(path)?;
    // No journal: the guest mounts the stick read-only.
    run(Command::new("/sbin/mke2fs")
        .args(["-q", "-t", "ext4", "-O", "^has_journal", "-L", STICK_LABEL, "-d"])
        .arg(&folder)
        .arg(path))?;
    fs::remove_dir_all(folder)?;
    Ok(())
}

/// The path of the stick's file in a folder of guests.
pub(crate) fn stick_in(folder: &Path) -> PathBuf {
    folder.join("stick.img")
}

fn run(command: &mut Command) -> Result<()> {
    let out = command
        .output()
        .with_context(|| format!("{} does not start", command.get_program().display()))?;
    if out.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&out.stderr).trim().to_owned();
    bail!("{}: {said}", command.get_program().display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_stick_has_the_same_size() {
        let folder =
            std::env::temp_dir().join(format!("steadfast-lab-disks-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let bundle = folder.join("a.raucb");
        fs::write(&bundle, b"bundle").expect("a file");
        let (blank, full) = (folder.join("blank.img"), folder.join("full.img"));
        blank_stick(&blank).expect("made");
        stick_with(&bundle, &full).expect("made");
        let size = |path: &Path| fs::metadata(path).expect("it is there").len();
        assert_eq!(size(&blank), size(&full));
        fs::remove_dir_all(folder).expect("removed");
    }
}
