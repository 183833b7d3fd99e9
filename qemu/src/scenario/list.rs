//! The list of scenarios.

use super::{
    Group, Scenario, Trial, bad_input, boot_environment, download, faults, refusal, story,
    workloads,
};
use crate::lab::Begin;
use crate::variant;

/// Every scenario, in the order in which `run all` tries them.
pub(crate) const ALL: &[Scenario] = &[
    Scenario {
        releases: &[variant::GOOD],
        budget_s: 240,
        ..scenario(
            "good-update",
            "A good release, streamed over HTTP, is committed, and a further reboot stays in it.",
            |stage| story::good_update(stage, &variant::GOOD),
        )
    },
    Scenario {
        releases: &[variant::UNHEALTHY],
        budget_s: 240,
        ..scenario(
            "unhealthy",
            "A release whose own check fails is returned, with the check's name.",
            |stage| story::unhealthy(stage, &variant::UNHEALTHY),
        )
    },
    Scenario {
        releases: &[variant::HUNG],
        budget_s: 420,
        ..scenario(
            "hung",
            "A release whose agent stops turning is returned by the hardware watchdog.",
            |stage| story::hung(stage, &variant::HUNG),
        )
    },
    Scenario {
        releases: &[variant::KERNEL_PANIC],
        budget_s: 180,
        ..scenario("kernel-panic", "A release whose kernel panics is returned.", |stage| {
            story::kernel_panic(stage, &variant::KERNEL_PANIC)
        })
    },
    Scenario {
        releases: &[variant::NO_BOOT],
        budget_s: 180,
        ..scenario(
            "no-boot",
            "A release whose slot cannot start is given up by the boot script.",
            |stage| story::no_boot(stage, &variant::NO_BOOT),
        )
    },
    Scenario {
        releases: &[variant::AGENT_CRASH],
        budget_s: 500,
        ..scenario("agent-crash", "A release whose agent crashes at start is returned.", |stage| {
            story::agent_crash(stage, &variant::AGENT_CRASH)
        })
    },
    Scenario {
        releases: &[variant::AGENT_CRASH_LOOP],
        budget_s: 200,
        ..scenario(
            "agent-crash-loop",
            "A release whose agent crashes again and again once it runs is returned within one boot.",
            |stage| story::agent_crash_loop(stage, &variant::AGENT_CRASH_LOOP),
        )
    },
    Scenario {
        releases: &[variant::UNSIGNED],
        budget_s: 60,
        ..scenario(
            "unsigned",
            "A bundle signed by a stranger is refused, and nothing is written.",
            |stage| refusal::of_release(stage, &variant::UNSIGNED, "signature"),
        )
    },
    Scenario {
        releases: &[variant::WRONG_BOARD],
        budget_s: 60,
        ..scenario(
            "wrong-board",
            "A bundle for another board is refused, and nothing is written.",
            |stage| refusal::of_release(stage, &variant::WRONG_BOARD, "compatible"),
        )
    },
    Scenario {
        releases: &[variant::OLDER],
        budget_s: 60,
        ..scenario(
            "older",
            "A signed release below the floor is refused, and nothing is written.",
            |stage| refusal::of_release(stage, &variant::OLDER, "floor"),
        )
    },
    Scenario {
        budget_s: 120,
        ..scenario(
            "bad-input",
            "Nothing that is no good release is taken, whatever is wrong with it, and each has its cause.",
            bad_input::run,
        )
    },
    Scenario {
        releases: &[variant::DOWNLOADS, variant::GOOD],
        budget_s: 480,
        ..scenario(
            download::NAME,
            "A download whose server stops and whose node loses its power goes on where it stopped.",
            download::run,
        )
    },
    Scenario {
        releases: &[variant::GOOD],
        stick: Some(variant::GOOD),
        budget_s: 200,
        ..scenario("usb", "A bundle from a local stick is installed and committed.", |stage| {
            story::usb(stage, &variant::GOOD)
        })
    },
    Scenario {
        name: "boot-environment",
        group: Group::Loop,
        promise: "The boot script finds a slot or a defined rest, whatever the boot environment holds.",
        releases: &[],
        stick: None,
        begin: Begin::PowerOn,
        budget_s: 150,
        trial: Trial::Firmware(boot_environment::run),
    },
    Scenario {
        group: Group::Faults,
        releases: &[variant::GOOD],
        budget_s: 150,
        ..scenario(
            "installer-faults",
            "An install outlives RAUC and its bus, and a slot that cannot be written is told with its cause.",
            faults::installer::run,
        )
    },
    Scenario {
        group: Group::Faults,
        releases: &[variant::GOOD],
        budget_s: 170,
        ..scenario(
            "network-faults",
            "An install outlives a server that breaks off, stops, goes away and is slow, or says that it was the network.",
            faults::network::run,
        )
    },
    Scenario {
        group: Group::Faults,
        releases: &[variant::GOOD],
        budget_s: 110,
        ..scenario(
            "data-faults",
            "A full, read-only, broken or lost /data moves no slot, and the node says what is wrong.",
            faults::data::run,
        )
    },
    Scenario {
        group: Group::Faults,
        releases: &[variant::UNDECIDED],
        budget_s: 110,
        ..scenario(
            "data-lost-on-trial",
            "A system whose /data is lost while it is judged is committed only by its gate or by an operator.",
            faults::data::lost_on_trial,
        )
    },
    Scenario {
        group: Group::Faults,
        releases: &[variant::UNDECIDED, variant::GOOD],
        budget_s: 120,
        ..scenario(
            "boot-store-faults",
            "A boot environment that cannot be written or is broken ends an update with its cause, and loses no slot.",
            faults::boot_store::run,
        )
    },
    Scenario {
        group: Group::Faults,
        budget_s: 40,
        ..scenario(
            "clock-faults",
            "A wrong clock keeps no good bundle away, and a wrong certificate is refused with its reason.",
            faults::clock::run,
        )
    },
    Scenario {
        group: Group::Faults,
        releases: &[variant::FLAPPING, variant::CONTAINERS_CRASH],
        budget_s: 130,
        ..scenario(
            "verdict-faults",
            "A release whose check flaps until the deadline or whose containerd crashes is returned, with its cause.",
            faults::probation::verdicts,
        )
    },
    Scenario {
        group: Group::Faults,
        releases: &[variant::UNDECIDED],
        budget_s: 100,
        ..scenario(
            "asked-restarts",
            "A restart that a person asks for is not counted against a release that is being judged.",
            faults::probation::asked_restarts,
        )
    },
    Scenario {
        group: Group::Workloads,
        budget_s: 150,
        ..scenario(
            "workloads",
            "Pods run as their manifests say, outlive the agent and containerd, come back after a restart, and leave nothing.",
            workloads::run,
        )
    },
    Scenario {
        group: Group::Workloads,
        releases: &[variant::DOWNLOADS],
        budget_s: 120,
        ..scenario(
            "release-commit",
            "A system and a workload set that come together are committed together, after the pods were ready.",
            workloads::release::commit,
        )
    },
    Scenario {
        group: Group::Workloads,
        releases: &[variant::DOWNLOADS, variant::GOOD],
        budget_s: 300,
        ..scenario(
            "release-return",
            "A good system with a pod that crashes is returned together with its set, and the pods before it are back.",
            workloads::release::returned,
        )
    },
];

const fn scenario(
    name: &'static str,
    promise: &'static str,
    run: fn(&mut super::Stage) -> anyhow::Result<()>,
) -> Scenario {
    Scenario {
        name,
        group: Group::Loop,
        promise,
        releases: &[],
        stick: None,
        begin: Begin::Saved,
        budget_s: 300,
        trial: Trial::Node(run),
    }
}

/// The scenario with this name.
pub(crate) fn find(name: &str) -> Option<&'static Scenario> {
    ALL.iter().find(|scenario| scenario.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_promises_are_sentences() {
        let names: BTreeSet<_> = ALL.iter().map(|scenario| scenario.name).collect();
        assert_eq!(names.len(), ALL.len());
        for scenario in ALL {
            assert!(scenario.promise.ends_with('.'), "{}", scenario.name);
            assert!(find(scenario.name).is_some());
            let stick = scenario.stick.iter().all(|release| scenario.releases.contains(release));
            assert!(stick, "{} has a stick with a release that is built", scenario.name);
        }
    }
}
