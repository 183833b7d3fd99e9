//! The checks that types cannot make: ranges, sizes that must fit, names that must differ.

use std::collections::BTreeSet;

use crate::schema::{Chooser, Profile};

/// A value that cannot be used, by its dotted key.
pub(crate) struct Fault {
    pub(crate) key: &'static str,
    pub(crate) why: String,
}

const SECTOR: u64 = 512;
const MIB: u64 = 1024 * 1024;
/// The copies that the agent reads (`steadfast_core::boot_env::COPY_SIZE`); U-Boot checks as many bytes as it is told.
const AGENTS_COPY: u64 = 4096;
/// GPT names hold 36 UTF-16 units.
const GPT_NAME: usize = 36;

/// The first value that cannot be used; none in a usable profile.
pub(crate) fn first_fault(profile: &Profile) -> Option<Fault> {
    let checks = [names, console, counters, copies, partitions, sizes, modules, memory, watchdog];
    checks.iter().find_map(|check| check(profile))
}

fn fault(key: &'static str, why: impl Into<String>) -> Option<Fault> {
    Some(Fault { key, why: why.into() })
}

fn is_word(text: &str) -> bool {
    !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '+'))
}

fn names(p: &Profile) -> Option<Fault> {
    let words = [
        ("name", &p.name),
        ("compatible", &p.compatible),
        ("suite", &p.suite),
        ("kernel.package", &p.kernel.package),
        ("uboot.interface", &p.uboot.interface),
    ];
    let (key, value) = words.into_iter().find(|(_, value)| !is_word(value))?;
    fault(key, format!("is \"{value}\"; letters, digits and - _ . + only"))
}

fn console(p: &Profile) -> Option<Fault> {
    if !is_word(&p.console.device) {
        return fault("console.device", "is a device's name without /dev/, such as ttyAMA0");
    }
    if p.console.baud == 0 {
        return fault("console.baud", "must be above 0");
    }
    None
}

/// One hexadecimal digit each, so that the boot script and every reader see the same number.
fn counters(p: &Profile) -> Option<Fault> {
    let counters = [
        ("boot.attempts_trial", p.boot.attempts_trial),
        ("boot.attempts_committed", p.boot.attempts_committed),
        ("boot.rearms", p.boot.rearms),
    ];
    let (key, value) = counters.into_iter().find(|(_, value)| !(1..=9).contains(value))?;
    fault(key, format!("is {value}; it must be 1 to 9"))
}

fn copies(p: &Profile) -> Option<Fault> {
    let size = u64::from(p.boot.copy_size);
    if size < SECTOR || size % SECTOR != 0 {
        return fault("boot.copy_size", format!("is {size}; it must be a multiple of {SECTOR}"));
    }
    if p.boot.chooser == Chooser::Steadfast && size != AGENTS_COPY {
        return fault("boot.copy_size", format!("is {size}; the agent reads {AGENTS_COPY}"));
    }
    let [first, second] = p.boot.copy_offsets;
    if first % SECTOR != 0 || second % SECTOR != 0 {
        return fault("boot.copy_offsets", format!("must be multiples of {SECTOR}"));
    }
    if first.abs_diff(second) < size {
        return fault("boot.copy_offsets", "overlap: one torn write would lose both copies");
    }
    let room = u64::from(p.disk.environment_mib) * MIB;
    if first.max(second).saturating_add(size) > room {
        return fault("boot.copy_offsets", format!("reach past the partition's {room} bytes"));
    }
    None
}

fn partitions(p: &Profile) -> Option<Fault> {
    let all = [
        ("boot.environment", &p.boot.environment),
        ("disk.script", &p.disk.script),
        ("slots.A.boot", &p.slots.a.boot),
        ("slots.B.boot", &p.slots.b.boot),
        ("slots.A.root", &p.slots.a.root),
        ("slots.B.root", &p.slots.b.root),
        ("disk.data", &p.disk.data),
    ];
    let mut seen = BTreeSet::new();
    for (key, name) in all {
        if !is_word(name) || name.len() > GPT_NAME {
            return fault(key, format!("is \"{name}\"; at most {GPT_NAME} plain letters"));
        }
        if !seen.insert(name) {
            return fault(key, format!("is \"{name}\", which another partition is called already"));
        }
    }
    None
}

fn sizes(p: &Profile) -> Option<Fault> {
    let sizes = [
        ("disk.environment_mib", p.disk.environment_mib),
        ("disk.script_mib", p.disk.script_mib),
        ("disk.boot_mib", p.disk.boot_mib),
        ("disk.root_mib", p.disk.root_mib),
        ("limits.root_image_mib", p.limits.root_image_mib),
        ("limits.boot_s", p.limits.boot_s),
    ];
    if let Some((key, _)) = sizes.iter().find(|(_, size)| *size == 0) {
        return fault(key, "must be above 0");
    }
    let d = &p.disk;
    let used = u64::from(d.environment_mib)
        + u64::from(d.script_mib)
        + 2 * (u64::from(d.boot_mib) + u64::from(d.root_mib));
    // One MiB before the first partition, one for the backup table, 16 for the smallest data partition.
    if u64::from(d.size_mib) < used + 18 {
        return fault("disk.size_mib", format!("leaves no room for data beside {used} MiB"));
    }
    if p.limits.root_image_mib >= d.root_mib {
        return fault("limits.root_image_mib", "does not fit disk.root_mib with its hash tree");
    }
    None
}

fn modules(p: &Profile) -> Option<Fault> {
    let k = &p.kernel;
    if !k.initramfs_modules.contains(&p.watchdog.module) {
        return fault("watchdog.module", "is not one of kernel.initramfs_modules, which arms it");
    }
    if let Some(name) = k.load.iter().find(|name| !k.modules.contains(name)) {
        return fault("kernel.load", format!("has {name}, which is not in kernel.modules"));
    }
    None
}

fn memory(p: &Profile) -> Option<Fault> {
    let r = p.ramoops.as_ref()?;
    if !r.size.is_power_of_two() || !r.record_size.is_power_of_two() {
        return fault("ramoops.size", "and record_size must be powers of two");
    }
    if r.record_size > r.size {
        return fault("ramoops.size", "is smaller than one record");
    }
    let end = r.address.saturating_add(u64::from(r.size));
    let u = &p.uboot;
    let written = [
        ("uboot.scratch_address", u.scratch_address, p.boot.copy_size),
        ("uboot.fdt_address", u.fdt_address, u.fdt_size),
    ];
    let reaches =
        |start: u64, size: u32| start < end && start.saturating_add(size.into()) > r.address;
    let (key, ..) = written.into_iter().find(|(_, start, size)| reaches(*start, *size))?;
    fault(key, "lies in the ramoops memory, or reaches into it, and would erase it")
}

fn watchdog(p: &Profile) -> Option<Fault> {
    let w = &p.watchdog;
    if w.deadline_s < 5 {
        return fault("watchdog.deadline_s", "is below 5 s, which a healthy node cannot promise");
    }
    if w.boot_deadline_s < w.deadline_s {
        return fault("watchdog.boot_deadline_s", "is shorter than watchdog.deadline_s");
    }
    if w.boot_deadline_s < p.limits.boot_s {
        return fault(
            "watchdog.boot_deadline_s",
            "is shorter than limits.boot_s, a legitimate boot",
        );
    }
    if !w.device.starts_with("/dev/") {
        return fault("watchdog.device", "is a path under /dev");
    }
    None
}
