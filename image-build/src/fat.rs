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
    Tool::new("mkfs.vfat").args(["--invariant", "-i", id, "-n", volume.label]).arg(out).run()?;
    let stamp = format!("--date=@{}", volume.epoch);
    Tool::new("find").arg(folder).args(["-exec", "touch", &stamp, "{}", "+"]).run()?;
    for file in root::files_below(folder)? {
        let name = file.strip_prefix(folder)?.to_string_lossy().into_owned();
        Tool::new("mcopy").args(["-m", "-i"]).arg(out).arg(file).arg(format!("::{name}")).run()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::places::Scratch;

    const EPOCH: u64 = 1_000_000_000;

    /// A volume of two files, written now in this order; the bytes, and what `mdir` lists.
    fn volume(label: &'static str, files: [&str; 2]) -> (Vec<u8>, String) {
        let scratch = Scratch::of_test(&format!("fat-{label}-{}", files[0]));
        let (folder, image) = (scratch.join("files"), scratch.join("image"));
        fs::create_dir(&folder).expect("the folder is new");
        for file in files {
            fs::write(folder.join(file), file.repeat(3000)).expect("the folder is ours");
        }
        fs::write(&image, "something else").expect("the folder is ours");
        let volume = Volume { label, size: 4 * disk::MIB, epoch: EPOCH };
        write(&folder, &volume, &image).expect("mkfs.vfat and mcopy make it");
        let read = Tool::new("mtype").arg("-i").arg(&image).arg("::slot.env").run();
        assert_eq!(read.expect("it is there"), "slot.env".repeat(3000).as_bytes());
        let list = Tool::new("mdir").arg("-i").arg(&image).arg("::").text().expect("it lists");
        (fs::read(&image).expect("it was made"), list)
    }

    #[test]
    fn the_same_files_give_the_same_volume_whatever_the_time_and_come_back_whole() {
        let (bytes, list) = volume("BOOT", ["Image", "slot.env"]);
        assert!(bytes == volume("BOOT", ["slot.env", "Image"]).0, "two of the same differ");
        assert_eq!(bytes.len() as u64, 4 * disk::MIB);
        assert_eq!(list.matches("2001-09-09").count(), 2, "{list}");
        // The entry of the label is a date too: two bytes, with the years since 1980 on top.
        let entry = bytes.windows(12).position(|entry| entry == b"BOOT       \x08");
        let date = entry.map(|at| u16::from_le_bytes([bytes[at + 24], bytes[at + 25]]));
        assert!(date.is_some_and(|date| 1980 + (date >> 9) < 2020), "the label has today's date");
    }

    #[test]
    fn volumes_of_two_names_have_two_serial_numbers() {
        let serial = |label| volume(label, ["Image", "slot.env"]).0[39..43].to_vec();
        assert_ne!(serial("BOOT2"), serial("SCRIPT"));
    }
}
