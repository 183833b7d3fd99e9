//! A board of the tree, and what the templates of the root file system may say about it.

use anyhow::{Result, ensure};
use hw_profile::{Chooser, Profile, ProfileError};

use crate::places;
use crate::template::Values;

/// Starts of the agent that one interval takes; one more in it resets the machine.
const AGENT_STARTS: u32 = 5;
/// What systemd waits for a stuck agent to end, and then again for the script after it.
const AGENT_STOP_S: u32 = 20;
/// What all pods together get to end in at a shutdown: Kubernetes' own grace period. What has not ended then is killed.
const PODS_STOP_S: u32 = 30;
/// What the program that ends them may take besides.
const PODS_STOP_MORE_S: u32 = 5;

/// The name of a board in the tree, as the command line has it.
pub(crate) fn named(name: &str) -> Result<String, ProfileError> {
    hw_profile::known(&places::boards(), name).map(|()| name.to_owned())
}

/// The profile of a board in the tree.
pub(crate) fn load(name: &str) -> Result<Profile> {
    let profile = Profile::named(&places::boards(), name)?;
    ensure!(
        profile.boot.chooser == Chooser::Steadfast,
        "nothing was built: images with another boot chooser than \"steadfast\" are not made yet"
    );
    Ok(profile)
}

/// How long the agent may be stuck before systemd starts it again: shorter than the hardware's deadline.
fn service_watchdog_s(profile: &Profile) -> u32 {
    3 * profile.watchdog.deadline_s / 4
}

/// The interval in which the agent's starts are counted: all of them fit in, with room for one more, when each
/// starts as slowly as the hardware watchdog allows and then hangs.
fn agent_starts_s(profile: &Profile) -> u32 {
    let life = profile.watchdog.deadline_s + service_watchdog_s(profile) + 2 * AGENT_STOP_S;
    (AGENT_STARTS + 1) * life
}

/// What the templates may say about the board.
pub(crate) fn values(profile: &Profile) -> Values {
    let slots = &profile.slots;
    let mut values = Values::default()
        .with("compatible", &profile.compatible)
        .with("console", &profile.console.device)
        .with("data", &profile.disk.data)
        .with("boot_a", &slots.a.boot)
        .with("root_a", &slots.a.root)
        .with("boot_b", &slots.b.boot)
        .with("root_b", &slots.b.root)
        .with("boot_deadline_s", profile.watchdog.boot_deadline_s)
        .with("data_timeout_s", profile.watchdog.boot_deadline_s / 3)
        .with("reboot_watchdog_s", profile.watchdog.boot_deadline_s)
        .with("watchdog_device", &profile.watchdog.device)
        .with("watchdog_service_s", service_watchdog_s(profile))
        .with("agent_starts", AGENT_STARTS)
        .with("agent_starts_s", agent_starts_s(profile))
        .with("agent_stop_s", AGENT_STOP_S)
        .with("pods_stop_s", PODS_STOP_S)
        .with("pods_unit_stop_s", PODS_STOP_S + PODS_STOP_MORE_S);
    if let Some(network) = &profile.network {
        values = values
            .with("interface", &network.interface)
            .with("address", &network.address)
            .with("gateway", &network.gateway);
    }
    values
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;

    use super::*;
    use crate::root::files_below;
    use crate::template::fill;

    /// The board that every test means when it does not say which.
    pub(crate) fn profile() -> Profile {
        load("qemu-arm64").expect("the board file is right")
    }

    fn filled_for(file: &str, profile: &Profile) -> String {
        let text = fs::read_to_string(places::own().join(file)).expect("the template is there");
        fill(&text, &values(profile).with("check_crl", false)).expect("every name has a value")
    }

    fn filled(file: &str) -> String {
        filled_for(file, &profile())
    }

    const AGENT_UNIT: &str = "rootfs/etc/systemd/system/steadfast.service.in";

    /// A time or a number of a unit, in seconds.
    fn setting(unit: &str, name: &str) -> f64 {
        let value = unit.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        let value = value.unwrap_or_else(|| panic!("{name} is not in\n{unit}"));
        let number = |text: &str| text.parse::<f64>().ok();
        let seconds = match value.strip_suffix("ms") {
            Some(thousandths) => number(thousandths).map(|number| number / 1000.0),
            None => number(value.trim_end_matches('s')),
        };
        seconds.unwrap_or_else(|| panic!("{name} is no number of seconds: {value}"))
    }

    #[test]
    fn a_board_that_is_not_there_is_named() {
        let error = load("nosuch").expect_err("there is no such board");
        assert!(error.to_string().contains("no board nosuch"), "{error}");
    }

    #[test]
    fn every_template_can_be_filled_from_the_profile() {
        for folder in ["rootfs", "rootfs-dev", "rootfs-fixed-address"] {
            for file in files_below(&places::own().join(folder)).expect("the folder is there") {
                if file.extension().is_some_and(|extension| extension == "in") {
                    let text = fs::read_to_string(&file).expect("the template is text");
                    fill(&text, &values(&profile()).with("check_crl", false))
                        .unwrap_or_else(|error| panic!("{}: {error}", file.display()));
                }
            }
        }
    }

    #[test]
    fn rauc_activates_nothing_by_itself_and_takes_verity_bundles_alone() {
        let conf = filled("rootfs/etc/rauc/system.conf.in");
        for line in ["activate-installed=false", "bundle-formats=verity", "bootloader=custom"] {
            assert!(conf.lines().any(|found| found == line), "{line} is not in\n{conf}");
        }
        for (slot, root, boot) in [("A", "rootfs_a", "boot_a"), ("B", "rootfs_b", "boot_b")] {
            let number = u8::from(slot == "B");
            let at = format!(
                "[slot.rootfs.{number}]\ndevice=/dev/steadfast/{root}\ntype=raw\nbootname={slot}\n"
            );
            assert!(conf.contains(&at), "{at} is not in\n{conf}");
            let at = format!(
                "[slot.boot.{number}]\ndevice=/dev/steadfast/{boot}\ntype=raw\nparent=rootfs.{number}\n"
            );
            assert!(conf.contains(&at), "{at} is not in\n{conf}");
        }
    }

    #[test]
    fn a_long_check_of_the_data_ends_before_the_watchdog_does() {
        let unit = filled("rootfs/etc/systemd/system/steadfast-data.service.in");
        let limit = setting(&unit, "TimeoutStartSec");
        assert!(limit > 0.0 && 2.0 * limit < profile().watchdog.boot_deadline_s.into(), "{limit}");
    }

    #[test]
    fn who_uses_the_data_ends_before_it_is_unmounted() {
        for file in [
            "rootfs/etc/systemd/system/steadfast.service.in",
            "rootfs/etc/systemd/system/containerd.service.d/steadfast.conf",
            "rootfs/etc/systemd/system/rauc.service.d/steadfast.conf",
        ] {
            let unit = filled(file);
            let mut after = unit.lines().filter_map(|line| line.strip_prefix("After="));
            assert!(after.any(|units| units.split(' ').any(|unit| unit == "data.mount")), "{file}");
        }
    }

    #[test]
    fn pods_end_before_their_runtime_and_the_agent_and_hold_no_shutdown_up() {
        let unit = filled("rootfs/etc/systemd/system/steadfast-pods.service.in");
        let after = unit.lines().find_map(|line| line.strip_prefix("After=")).unwrap_or_default();
        let after: Vec<_> = after.split(' ').collect();
        assert!(["containerd.service", "steadfast.service"].iter().all(|it| after.contains(it)));
        // Ended with its runtime, a pod would be killed by nobody: shims outlive containerd.
        assert!(!unit.contains("Requires=") && !unit.contains("PartOf="), "{unit}");
        let limit = setting(&unit, "TimeoutStopSec");
        assert!(limit > PODS_STOP_S.into(), "{limit}");
        let manager = filled("rootfs/etc/systemd/system.conf.d/steadfast.conf.in");
        assert!(2.0 * limit < setting(&manager, "RebootWatchdogSec"), "{limit}");
    }

    #[test]
    fn a_container_that_crashes_fills_no_disk_with_its_memory() {
        let unit = filled("rootfs/etc/systemd/system/containerd.service.d/steadfast.conf");
        assert!(unit.lines().any(|line| line == "LimitCORE=0"), "{unit}");
    }

    #[test]
    fn a_crash_loop_of_the_agent_ends_in_a_reset() {
        let unit = filled(AGENT_UNIT);
        for line in ["Restart=always", "StartLimitAction=reboot-force", "Type=notify"] {
            assert!(unit.lines().any(|found| found == line), "{line} is not in\n{unit}");
        }
    }

    #[test]
    fn an_agent_that_hangs_again_and_again_ends_in_a_reset_too() {
        for deadline_s in [5, 40, 60, 600] {
            let mut profile = profile();
            profile.watchdog.deadline_s = deadline_s;
            let unit = filled_for(AGENT_UNIT, &profile);
            let of = |name| setting(&unit, name);
            // systemd waits for the aborted agent, and then as long for ExecStopPost.
            let stop = 2.0 * of("TimeoutStopSec");
            // A start that takes longer than the hardware's deadline is a reset already.
            let life = f64::from(deadline_s) + of("WatchdogSec") + stop + of("RestartSec");
            let (interval, lives) = (of("StartLimitIntervalSec"), of("StartLimitBurst") * life);
            assert!(interval > lives, "{interval} s do not hold {lives} s of a hanging agent");
            assert!(of("WatchdogSec") < deadline_s.into(), "the hardware comes first:\n{unit}");
        }
    }

    #[test]
    fn only_root_speaks_to_rauc() {
        let policy = "rootfs/usr/share/dbus-1/system.d/de.pengutronix.rauc.conf";
        let policy = fs::read_to_string(places::own().join(policy)).expect("the policy is there");
        let default = policy.split("context=\"default\"").nth(1).expect("there is a default part");
        assert!(
            default.contains("deny send_destination") && !default.contains("allow"),
            "{policy}"
        );
    }
}
