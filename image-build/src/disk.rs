//! Lays out the disk: a GPT with the profile's partitions, and what each holds on the first day.
//!
//! ```text
//! | GPT | environment, 2 copies | boot script | boot A | boot B | root A | root B | data, empty | GPT |
//! ```
//!
//! Always true: partitions begin at whole MiB; the data partition holds nothing, so the first boot formats it.

use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use hw_profile::Profile;

use crate::digest;
use crate::host::Tool;
use crate::places;

pub(crate) const MIB: u64 = 1024 * 1024;
pub(crate) const SECTOR: u64 = 512;

/// One partition, in MiB from the start of the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) name: String,
    pub(crate) start_mib: u64,
    /// None: to the end of the disk.
    pub(crate) size_mib: Option<u64>,
}

/// The partitions in disk order.
pub(crate) fn layout(profile: &Profile) -> Vec<Partition> {
    let (disk, slots) = (&profile.disk, &profile.slots);
    let sizes = [
        (&profile.boot.environment, Some(disk.environment_mib)),
        (&disk.script, Some(disk.script_mib)),
        (&slots.a.boot, Some(disk.boot_mib)),
        (&slots.b.boot, Some(disk.boot_mib)),
        (&slots.a.root, Some(disk.root_mib)),
        (&slots.b.root, Some(disk.root_mib)),
        (&disk.data, None),
    ];
    let mut start_mib = 1;
    sizes
        .into_iter()
        .map(|(name, size)| {
            let size_mib = size.map(u64::from);
            let partition = Partition { name: name.clone(), start_mib, size_mib };
            start_mib += size_mib.unwrap_or(0);
            partition
        })
        .collect()
}

/// What `sfdisk` reads. The identifiers are functions of the names, so that the bytes are the same each time.
fn table(profile: &Profile) -> String {
    let id = |what: &str| digest::uuid(&format!("steadfast {} {what}", profile.name));
    let mut text = format!("label: gpt\nlabel-id: {}\n", id("disk"));
    for partition in layout(profile) {
        // The attribute makes U-Boot look here for its script; not being an EFI partition, it is never written to.
        let has_script = partition.name == profile.disk.script;
        let kind = if has_script { "linux, attrs=LegacyBIOSBootable" } else { "linux" };
        let size = partition.size_mib.map(|size| format!("size={size}MiB, ")).unwrap_or_default();
        text.push_str(&format!(
            "name={}, start={}MiB, {size}uuid={}, type={kind}\n",
            partition.name,
            partition.start_mib,
            id(&partition.name)
        ));
    }
    text
}

/// Makes a new file of zeros; who still has the one of before open keeps it.
pub(crate) fn blank(path: &Path, size: u64) -> Result<()> {
    places::gone(fs::remove_file(path))?;
    File::create(path)?.set_len(size)?;
    Ok(())
}

/// A disk image being filled.
pub(crate) struct Disk {
    file: File,
    layout: Vec<Partition>,
}

impl Disk {
    /// A new image at `path` with an empty partition table of the profile.
    pub(crate) fn create(profile: &Profile, path: &Path) -> Result<Self> {
        blank(path, u64::from(profile.disk.size_mib) * MIB)?;
        Tool::new("sfdisk").arg("--quiet").arg(path).input(table(profile)).run()?;
        let file = OpenOptions::new().write(true).open(path)?;
        Ok(Self { file, layout: layout(profile) })
    }

    fn start(&self, name: &str) -> Result<u64> {
        let found = self.layout.iter().find(|partition| partition.name == name);
        found
            .map(|partition| partition.start_mib * MIB)
            .with_context(|| format!("no partition {name}"))
    }

    /// Writes `bytes` at `offset` of a partition.
    pub(crate) fn put(&mut self, name: &str, offset: u64, bytes: &[u8]) -> Result<()> {
        let start = self.start(name)?;
        ensure!(
            (bytes.len() as u64).is_multiple_of(SECTOR),
            "{name}: not a whole number of sectors"
        );
        self.file.seek(SeekFrom::Start(start + offset))?;
        self.file.write_all(bytes)?;
        Ok(())
    }

    /// Writes an image to the start of a partition; zeros stay holes.
    pub(crate) fn put_image(&mut self, name: &str, image: &Path) -> Result<()> {
        let mut at = self.start(name)?;
        let mut source = File::open(image)?;
        let mut block = vec![0; MIB as usize];
        loop {
            let read = source.read(&mut block)?;
            if read == 0 {
                return Ok(());
            }
            if block[..read].iter().any(|byte| *byte != 0) {
                self.file.seek(SeekFrom::Start(at))?;
                self.file.write_all(&block[..read])?;
            }
            at += read as u64;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::profile;
    use crate::places::Scratch;

    #[test]
    fn the_partitions_follow_each_other_and_data_takes_the_rest() {
        let layout = layout(&profile());
        let starts: Vec<_> = layout.iter().map(|p| (p.name.as_str(), p.start_mib)).collect();
        assert_eq!(
            starts,
            [
                ("ubootenv", 1),
                ("bootscript", 2),
                ("boot_a", 18),
                ("boot_b", 82),
                ("rootfs_a", 146),
                ("rootfs_b", 402),
                ("data", 658),
            ]
        );
        assert_eq!(layout.iter().filter(|p| p.size_mib.is_none()).count(), 1);
        assert_eq!(layout.last().and_then(|p| p.size_mib), None);
    }

    #[test]
    fn the_table_is_the_same_each_time_and_names_each_partition_once() {
        let text = table(&profile());
        assert_eq!(text, table(&profile()));
        for partition in layout(&profile()) {
            assert_eq!(text.matches(&format!("name={},", partition.name)).count(), 1);
        }
        let bootable = text.lines().filter(|line| line.contains("LegacyBIOSBootable"));
        assert_eq!(bootable.count(), 1);
        // U-Boot writes its variables to an EFI system partition.
        assert!(!text.contains("uefi"));
        let mut uuids: Vec<&str> =
            text.lines().filter_map(|line| line.split("uuid=").nth(1)).collect();
        uuids.sort_unstable();
        uuids.dedup();
        assert_eq!(uuids.len(), 7);
    }

    #[test]
    fn half_a_sector_and_a_partition_that_is_not_there_are_refused() {
        let scratch = Scratch::of_test("disk-put");
        let mut disk =
            Disk::create(&profile(), &scratch.join("disk.img")).expect("sfdisk is there");
        disk.put("ubootenv", 0, &[1; 512]).expect("a whole sector");
        assert!(disk.put("ubootenv", 0, &[1; 100]).is_err());
        let error = disk.put("nosuch", 0, &[1; 512]).expect_err("it is not there");
        assert!(error.to_string().contains("nosuch"), "{error}");
    }
}
