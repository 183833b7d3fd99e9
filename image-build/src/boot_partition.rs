//! Makes a slot's boot partition: kernel, initramfs and `slot.env`, on vfat, the same bytes each time.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use hw_profile::Profile;

use crate::host::Tool;
use crate::variant::Variant;
use crate::{digest, root};

const MIB: u64 = 1024 * 1024;
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
    let files = root::files_below(folder)?;
    let mut content = 0;
    for file in &files {
        content += fs::metadata(file)?.len();
    }
    let size = (content + SLACK).next_multiple_of(MIB);
    ensure!(
        size <= u64::from(profile.disk.boot_mib) * MIB,
        "the boot partition was not made: its files need {} MiB, disk.boot_mib is {}",
        size / MIB,
        profile.disk.boot_mib
    );
    vfat(&files, folder, Volume { label: "BOOT", size, epoch }, out)
}

/// A vfat file system to be.
pub(crate) struct Volume {
    pub(crate) label: &'static str,
    pub(crate) size: u64,
    pub(crate) epoch: u64,
}

/// Writes `files` (below `folder`) into a new vfat image.
pub(crate) fn vfat(
    files: &[std::path::PathBuf],
    folder: &Path,
    volume: Volume,
    out: &Path,
) -> Result<()> {
    if out.exists() {
        fs::remove_file(out)?;
    }
    fs::File::create(out)?.set_len(volume.size)?;
    let id = &digest::of_text(volume.label)[..8];
    Tool::new("mkfs.vfat")
        .args(["--invariant", "-i", id, "-n", volume.label])
        .arg(out)
        .env("SOURCE_DATE_EPOCH", volume.epoch.to_string())
        .run()?;
    let stamp = format!("--date=@{}", volume.epoch);
    Tool::new("find").arg(folder).args(["-exec", "touch", &stamp, "{}", "+"]).run()?;
    for file in files {
        let name = file.strip_prefix(folder)?.to_string_lossy().into_owned();
        Tool::new("mcopy").args(["-m", "-i"]).arg(out).arg(file).arg(format!("::{name}")).run()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::profile;

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
        let scratch = std::env::temp_dir().join(format!("slot-env-{}", std::process::id()));
        fs::create_dir_all(&scratch).expect("the temporary folder can be made");
        fs::write(scratch.join("Image"), [0; 300]).expect("written");
        fs::write(scratch.join("initrd.zst"), [0; 16]).expect("written");
        let env = slot_env(&scratch, "quiet").expect("both files are there");
        assert_eq!(env, "image_size=12c\ninitrd_size=10\nslot_args=quiet\n");
        fs::remove_file(scratch.join("Image")).expect("removed");
        let error = slot_env(&scratch, "quiet").expect_err("the kernel is missing");
        assert!(error.to_string().contains("Image"), "{error}");
        fs::remove_dir_all(&scratch).expect("removed");
    }
}
