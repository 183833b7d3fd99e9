//! Makes U-Boot's script from `boot/boot.cmd.in` and the profile, and the first contents of the boot environment.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use hw_profile::{Profile, Ramoops};

use crate::disk::{MIB, SECTOR};
use crate::fat::{self, Volume};
use crate::host::Tool;
use crate::places;
use crate::template::{Values, fill};

/// The script's text.
pub(crate) fn render(profile: &Profile) -> Result<String> {
    let (boot, uboot, slots) = (&profile.boot, &profile.uboot, &profile.slots);
    let ramoops = profile.ramoops.as_ref().map(render_ramoops).transpose()?.unwrap_or_default();
    let values = Values::default()
        .with("name", &profile.name)
        .with("interface", &uboot.interface)
        .with("device", uboot.device)
        .with("environment", &boot.environment)
        .with("scratch_address", hex(uboot.scratch_address))
        .with("copy_size", hex(u64::from(boot.copy_size)))
        .with("copy_blocks", plain_hex(u64::from(boot.copy_size) / SECTOR))
        .with("copy0_block", plain_hex(boot.copy_offsets[0] / SECTOR))
        .with("copy1_block", plain_hex(boot.copy_offsets[1] / SECTOR))
        .with("attempts_trial", boot.attempts_trial)
        .with("attempts_committed", boot.attempts_committed)
        .with("rearms", boot.rearms)
        .with("boot_a", &slots.a.boot)
        .with("root_a", &slots.a.root)
        .with("boot_b", &slots.b.boot)
        .with("root_b", &slots.b.root)
        .with("fdt_address", hex(uboot.fdt_address))
        .with("fdt_size", hex(u64::from(uboot.fdt_size)))
        .with("ramoops", ramoops.trim_end());
    fill(&template("boot.cmd.in")?, &values)
}

fn render_ramoops(ramoops: &Ramoops) -> Result<String> {
    let values = Values::default()
        .with("unit", plain_hex(ramoops.address))
        .with("address_high", hex(ramoops.address >> 32))
        .with("address_low", hex(ramoops.address & 0xffff_ffff))
        .with("size", hex(u64::from(ramoops.size)))
        .with("record_size", hex(u64::from(ramoops.record_size)));
    fill(&template("ramoops.cmd.in")?, &values)
}

fn template(name: &str) -> Result<String> {
    let path = places::own().join("boot").join(name);
    fs::read_to_string(&path).with_context(|| format!("{} was not read", path.display()))
}

fn hex(value: u64) -> String {
    format!("{value:#x}")
}

fn plain_hex(value: u64) -> String {
    format!("{value:x}")
}

/// Writes the image of the script's partition to `out`; `folder` is for what it holds.
pub(crate) fn pack(profile: &Profile, folder: &Path, epoch: u64, out: &Path) -> Result<()> {
    let text = folder.with_extension("cmd");
    fs::write(&text, render(profile)?)?;
    fs::create_dir_all(folder)?;
    Tool::new("mkimage")
        .args(["-A", profile.arch.uboot_name(), "-T", "script", "-C", "none"])
        .args(["-n", "steadfast", "-d"])
        .arg(&text)
        .arg(folder.join("boot.scr"))
        .env("SOURCE_DATE_EPOCH", epoch.to_string())
        .run()?;
    let size = u64::from(profile.disk.script_mib) * MIB;
    fat::write(folder, &Volume { label: "SCRIPT", size, epoch }, out)
}

/// A copy of the environment that starts the committed slot A, as U-Boot's own tool makes it.
pub(crate) fn first_environment(profile: &Profile) -> Result<Vec<u8>> {
    let boot = &profile.boot;
    let text = format!(
        "SEQ=1\nBOOT_ORDER=A\nBOOT_A_LEFT={:x}\nBOOT_B_LEFT=0\nREARMS=0\n",
        boot.attempts_committed
    );
    Tool::new("mkenvimage")
        .args(["-p", "0x00", "-s", &hex(u64::from(boot.copy_size)), "-o", "-", "-"])
        .input(text)
        .run()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::tests::profile;

    #[test]
    fn the_script_carries_the_boards_facts() {
        let script = render(&profile()).expect("every name has a value");
        for fact in [
            "part start virtio 0 ubootenv sf_start",
            "setexpr sf_block1 ${sf_start} + 400",
            "env import -c ${sf_a} 0x1000 SEQ BOOT_ORDER",
            "setenv BOOT_A_LEFT 3\n",
            "-gt 8; then setenv BOOT_A_LEFT 8; fi",
            "test 0x${REARMS} -lt 3;",
            "setenv sf_boot boot_b; setenv sf_root rootfs_b",
            "ramoops@70000000 reg <0x0 0x70000000 0x0 0x100000>",
        ] {
            assert!(script.contains(fact), "the script lacks {fact:?}");
        }
    }

    #[test]
    fn another_board_gives_another_script() {
        let mut other = profile();
        other.boot.copy_offsets = [0, 0x4_0000];
        other.uboot.interface = "mmc".into();
        other.boot.rearms = 2;
        other.ramoops = None;
        let script = render(&other).expect("every name has a value");
        assert!(script.contains("setexpr sf_block1 ${sf_start} + 200"));
        assert!(script.contains("mmc write ${sf_a} ${sf_block} 8"));
        assert!(script.contains("test 0x${REARMS} -lt 2;"));
        assert!(!script.contains("ramoops") && !script.contains("virtio"));
    }

    #[test]
    fn the_count_is_saved_before_the_slot_is_loaded() {
        let script = render(&profile()).expect("every name has a value");
        let count = script.find("setenv BOOT_${s}_LEFT ${sf_left}").expect("it counts down");
        let save = script[count..].find("run sf_save").expect("it saves after that") + count;
        let load = script.find("if run sf_load_kernel").expect("it loads");
        assert!(count < save && save < load);
    }

    #[test]
    fn the_copy_in_force_changes_only_after_a_write_that_succeeded() {
        let script = render(&profile()).expect("every name has a value");
        assert!(script.contains(
            "if virtio write ${sf_a} ${sf_block} 8; then setenv sf_copy ${sf_next}; setenv sf_saved yes; fi"
        ));
        assert_eq!(script.matches("setenv sf_copy ${sf_next}").count(), 1);
    }

    #[test]
    fn the_markers_are_the_agreed_ones() {
        let script = render(&profile()).expect("every name has a value");
        for marker in [
            r#"echo "steadfast-boot: slot ${s} order=\"${BOOT_ORDER}\" left=${sf_left} seq=${SEQ} copy=${sf_copy}""#,
            r#"echo "steadfast-boot: slot ${s} cannot be loaded""#,
            r#"echo "steadfast-boot: count not saved""#,
            r#"echo "steadfast-boot: rearm ${REARMS}""#,
            r#"echo "steadfast-boot: no slot can boot, resting""#,
        ] {
            assert!(script.contains(marker), "the script lacks {marker}");
        }
    }

    #[test]
    fn a_stale_kernel_in_memory_is_wiped_before_another_one_is_loaded() {
        let script = render(&profile()).expect("every name has a value");
        assert!(script.contains("setexpr sf_magic ${kernel_addr_r} + 38\n"));
        assert!(script.contains("sf_load_kernel 'mw.l ${sf_magic} 0; load virtio 0:${sf_part} "));
    }

    #[test]
    fn a_new_disk_starts_the_committed_slot_a_and_knows_no_other() {
        let mut board = profile();
        board.boot.attempts_committed = 7;
        let bytes = first_environment(&board).expect("mkenvimage makes it");
        assert_eq!(bytes.len(), board.boot.copy_size as usize);
        let text = String::from_utf8_lossy(&bytes[4..]).into_owned();
        let wanted = "SEQ=1\0BOOT_ORDER=A\0BOOT_A_LEFT=7\0BOOT_B_LEFT=0\0REARMS=0\0\0";
        assert!(text.starts_with(wanted), "{}", text.trim_end_matches('\0'));
    }
}
