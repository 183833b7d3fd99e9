//! Makes a slot's boot partition: kernel, initramfs and `slot.env`, on vfat, the same bytes each time.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use hw_profile::Profile;

use crate::disk::MIB;
use crate::fat::{self, Volume};
use crate::root;
use crate::variant::Variant;

/// What vfat itself and its clusters may take.
const SLACK: u64 = 2 * MIB;

/// The words of the kernel command line that belong to the release, not to the slot.
pub(crate) fn slot_args(profile: &Profile, verity: &str, variant: Variant) -> String {
    let console = format!("console={},{}", profile.console.device, profile.console.baud);
    // Notices reach the console of a development image: that is where the agent's state lines are.
    let loudness = match variant {
        Variant::Development => "loglevel=6",
        Variant::Production => "quiet",
    };
    format!("{console} {verity} {} {loudness} printk.devkmsg=on", profile.kernel.command_line)
}

/// `slot.env`: sizes of the two files, in U-Boot's hexadecimal, and the command line.
pub(crate) fn slot_env(folder: &Path, args: &str) -> Result<String> {
    let size = |name: &str| {
        fs::metadata(folder.join(name))
            .map(|data| data.len())
            .with_context(|| format!("{name} is missing"))
    };
    let (image, initrd) = (size("Image")?, size("initrd.zst")?);
    Ok(format!("image_size={image:x}\ninitrd_size={initrd:x}\nslot_args={args}\n"))
}

/// Packs the files in `folder` into the vfat image `out`.
pub(crate) fn pack(profile: &Profile, folder: &Path, epoch: u64, out: &Path) -> Result<()> {
    let mut content = 0;
    for file in root::files_below(folder)? {
        content += fs::metadata(file)?.len();
    }
    let size = (content + SLACK).next_multiple_of(MIB);
    ensure!(
        size <= u64::from(profile.disk.boot_mib) * MIB,
        "the boot partition was not made: its files need {} MiB, disk.boot_mib is {}",
        size / MIB,
        profile.disk.boot_mib
    );
    fat::write(folder, &Volume { label: "BOOT", size, epoch }, out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::profile;
    use crate::places::Scratch;

    #[test]
    fn a_production_image_keeps_its_notices_to_itself() {
        let production = slot_args(&profile(), "steadfast.verity=1", Variant::Production);
        assert_eq!(
            production,
            "console=ttyAMA0,115200 steadfast.verity=1 panic=5 kpti=off quiet printk.devkmsg=on"
        );
        let development = slot_args(&profile(), "steadfast.verity=1", Variant::Development);
        assert!(development.contains("loglevel=6") && !development.contains("quiet"));
    }

    #[test]
    fn slot_env_names_sizes_in_hexadecimal_and_fits_u_boots_reader() {
        let scratch = Scratch::of_test("slot-env");
        let folder = scratch.join("");
        fs::write(scratch.join("Image"), [0; 300]).expect("written");
        fs::write(scratch.join("initrd.zst"), [0; 16]).expect("written");
        let env = slot_env(&folder, "quiet").expect("both files are there");
        assert_eq!(env, "image_size=12c\ninitrd_size=10\nslot_args=quiet\n");
        fs::remove_file(scratch.join("Image")).expect("removed");
        let error = slot_env(&folder, "quiet").expect_err("the kernel is missing");
        assert!(error.to_string().contains("Image"), "{error}");
    }

    #[test]
    fn a_boot_image_over_its_partition_is_refused() {
        let scratch = Scratch::of_test("boot-size");
        let (folder, out) = (scratch.join("files"), scratch.join("boot.img"));
        fs::create_dir(&folder).expect("the folder is new");
        fs::write(folder.join("Image"), vec![0; 3 * MIB as usize]).expect("written");
        let mut board = profile();
        board.disk.boot_mib = 5;
        pack(&board, &folder, 0, &out).expect("it fits");
        assert_eq!(fs::metadata(&out).expect("it was made").len(), 5 * MIB);
        board.disk.boot_mib = 4;
        let error = pack(&board, &folder, 0, &out).expect_err("it does not fit");
        assert!(error.to_string().contains("need 5 MiB, disk.boot_mib is 4"), "{error}");
    }
}
