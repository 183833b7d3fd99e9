//! What a board file can say, key by key, with units.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One board.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// The board's name; the file is `boards/<name>.toml`.
    pub name: String,
    /// The processor, in Debian's words.
    pub arch: Arch,
    /// What a bundle must be made for: RAUC's `compatible`.
    pub compatible: String,
    /// The Debian release of the image, e.g. `trixie`.
    pub suite: String,
    /// The serial console.
    pub console: Console,
    /// The boot environment and its counters.
    pub boot: Boot,
    /// What the boot script needs to know about U-Boot on this board.
    pub uboot: UBoot,
    /// The memory that survives a reset; none when the board keeps none.
    pub ramoops: Option<Ramoops>,
    /// The kernel, its modules and its command line.
    pub kernel: Kernel,
    /// The hardware watchdog.
    pub watchdog: Watchdog,
    /// The disk's partitions that do not belong to a slot, and all sizes.
    pub disk: Disk,
    /// The two slots.
    pub slots: Slots,
    /// The fixed address; none means that the image sets none.
    pub network: Option<Network>,
    /// Numbers that the image and the lab hold.
    pub limits: Limits,
    /// How to emulate the board; none for real hardware.
    pub qemu: Option<Qemu>,
}

/// A processor family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Arch {
    /// 64-bit Arm.
    Arm64,
}

impl Arch {
    /// The target that the static agent is built for.
    pub fn rust_target(self) -> &'static str {
        match self {
            Self::Arm64 => "aarch64-unknown-linux-musl",
        }
    }

    /// The folder of its shared libraries under `/usr/lib`.
    pub fn library_folder(self) -> &'static str {
        match self {
            Self::Arm64 => "aarch64-linux-gnu",
        }
    }

    /// OCI's word for it, as in the `architecture` of an image.
    pub fn oci_name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
        }
    }

    /// U-Boot's word for it, as `mkimage -A` takes it.
    pub fn uboot_name(self) -> &'static str {
        match self {
            Self::Arm64 => "arm64",
        }
    }
}

impl fmt::Display for Arch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Arm64 => f.write_str("arm64"),
        }
    }
}

/// The serial console.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Console {
    /// The device's name without `/dev/`.
    pub device: String,
    /// Bits a second.
    pub baud: u32,
}

/// Who chooses the slot at power-on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Chooser {
    /// Our boot script and its two-copy environment; `steadfast boot-state` is RAUC's backend.
    Steadfast,
    /// U-Boot's own redundant environment; RAUC's `uboot` backend writes it.
    Uboot,
}

/// The boot environment: where its two copies lie, and how many boots a slot gets.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Boot {
    /// Who chooses the slot.
    pub chooser: Chooser,
    /// The raw partition of the environment (its GPT name).
    pub environment: String,
    /// Bytes a copy: four of CRC-32, then `NAME=value` strings.
    pub copy_size: u32,
    /// Where each copy begins, in bytes from the start of the partition.
    pub copy_offsets: [u64; 2],
    /// Boots that an activated release gets before the chooser gives it up.
    pub attempts_trial: u8,
    /// Boots that a committed release gets before the other slot is tried.
    pub attempts_committed: u8,
    /// Rounds of fresh attempts when no slot has any left; then the node rests.
    pub rearms: u8,
}

/// Facts for the boot script.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct UBoot {
    /// The disk's interface as U-Boot's `load` names it: `virtio`, `mmc`.
    pub interface: String,
    /// The disk's number on that interface.
    pub device: u8,
    /// RAM for one copy of the environment.
    pub scratch_address: u64,
    /// RAM that the device tree is moved to.
    pub fdt_address: u64,
    /// Bytes of RAM for the device tree there.
    pub fdt_size: u32,
}

/// Reserved memory in which the kernel leaves its last words.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Ramoops {
    /// Physical address.
    pub address: u64,
    /// Bytes in all.
    pub size: u32,
    /// Bytes a panic record.
    pub record_size: u32,
}

/// The kernel and its modules.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Kernel {
    /// The Debian package.
    pub package: String,
    /// Words for the kernel command line, besides the ones the image adds (console, root, slot, verity).
    pub command_line: String,
    /// Modules that the initramfs loads, in this order.
    pub initramfs_modules: Vec<String>,
    /// Modules kept in the root file system, with what they depend on.
    pub modules: Vec<String>,
    /// Those of `modules` that are loaded at boot.
    pub load: Vec<String>,
}

/// The hardware watchdog.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Watchdog {
    /// The device file.
    pub device: String,
    /// The kernel module; one of `kernel.initramfs_modules`.
    pub module: String,
    /// Module options; `{boot_deadline_s}` stands for that figure.
    pub options: String,
    /// Seconds from the initramfs to the agent's first feeding: covers the slowest legitimate boot, so it is
    /// at least `limits.boot_s`.
    pub boot_deadline_s: u32,
    /// Seconds between two feedings of the running agent.
    pub deadline_s: u32,
}

impl Watchdog {
    /// The module options with the figure filled in.
    pub fn module_options(&self) -> String {
        self.options.replace("{boot_deadline_s}", &self.boot_deadline_s.to_string())
    }
}

/// The disk's layout: sizes in MiB and the GPT names of what no slot owns.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    /// The image file; a bigger real disk is used to its end at first boot.
    pub size_mib: u32,
    /// The boot environment's partition.
    pub environment_mib: u32,
    /// The partition of the boot script.
    pub script_mib: u32,
    /// Each slot's boot partition.
    pub boot_mib: u32,
    /// Each slot's root partition.
    pub root_mib: u32,
    /// Name of the boot script's partition. It is no EFI system partition: U-Boot keeps its EFI variables on one,
    /// and a cut in that write could take the script with it.
    pub script: String,
    /// Name of the data partition.
    pub data: String,
}

/// The partitions of one slot, by their GPT names.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Slot {
    /// Kernel, initramfs and `slot.env` on vfat.
    pub boot: String,
    /// The root file system with its hash tree.
    pub root: String,
}

/// Both slots.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Slots {
    /// Bootname `A`.
    #[serde(rename = "A")]
    pub a: Slot,
    /// Bootname `B`.
    #[serde(rename = "B")]
    pub b: Slot,
}

impl Slots {
    /// Both slots with their bootnames, A first.
    pub fn named(&self) -> [(&'static str, &Slot); 2] {
        [("A", &self.a), ("B", &self.b)]
    }
}

/// A fixed address.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// The kernel's name of the interface.
    pub interface: String,
    /// Address with prefix length, e.g. `10.0.2.15/24`.
    pub address: String,
    /// The default route.
    pub gateway: String,
    /// The name server, if there is one.
    pub dns: Option<String>,
}

/// Numbers that others hold.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// The root image (squashfs with zstd, before the hash tree), MiB.
    pub root_image_mib: u32,
    /// Power-on to a running agent, seconds, on a busy machine.
    pub boot_s: u32,
}

/// The emulated machine.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Qemu {
    /// The program.
    pub binary: String,
    /// `-M`.
    pub machine: String,
    /// `-cpu`.
    pub cpu: String,
    /// `-smp`.
    pub smp: u8,
    /// `-m`, MiB.
    pub memory_mib: u32,
    /// The Debian package of the firmware, from the profile's suite.
    pub firmware_package: String,
    /// The firmware file inside that package; given to `-bios`.
    pub firmware: String,
    /// `-device` of the disk, without `drive=`.
    pub disk_device: String,
    /// `-device` of the network card, without `netdev=`.
    pub network_device: String,
    /// The host as the guest sees it on QEMU's user network.
    pub host_address: String,
    /// Further `-device` arguments.
    pub devices: Vec<String>,
    /// `-action watchdog=`.
    pub watchdog_action: String,
}
