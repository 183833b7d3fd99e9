//! Compares what the machine has with what it needs, and changes nothing.

use std::collections::BTreeSet;

use super::needs::{self, Package, Tool};

/// What was found on the machine.
#[derive(Debug, Default, Clone)]
pub(crate) struct Found {
    /// Contents of `/etc/os-release`.
    pub(crate) os_release: String,
    /// Lines of `dpkg-query --show --showformat='${db:Status-Status} ${Package}\n'`.
    pub(crate) dpkg: String,
    /// Compiler targets of the toolchain.
    pub(crate) targets: BTreeSet<String>,
    /// Programs of the toolchain, such as `cargo-clippy`.
    pub(crate) toolchain_programs: BTreeSet<String>,
    /// Ready cargo tools as `name version`.
    pub(crate) tools: BTreeSet<String>,
}

/// What has to be installed; empty when the machine is ready.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// Distribution packages.
    pub(crate) packages: Vec<Package>,
    /// Compiler targets with their reasons.
    pub(crate) targets: Vec<(&'static str, &'static str)>,
    /// Toolchain components with their reasons.
    pub(crate) components: Vec<(&'static str, &'static str)>,
    /// Ready cargo tools.
    pub(crate) tools: Vec<Tool>,
}

impl Plan {
    /// Whether nothing is missing.
    pub(crate) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// One aligned line for each missing thing: kind, name, reason.
    pub(crate) fn lines(&self) -> Vec<String> {
        let mut rows: Vec<(&str, String, &str)> = Vec::new();
        rows.extend(self.packages.iter().map(|p| ("package", p.name.to_owned(), p.reason)));
        rows.extend(self.targets.iter().map(|(n, r)| ("target", (*n).to_owned(), *r)));
        rows.extend(self.components.iter().map(|(n, r)| ("component", (*n).to_owned(), *r)));
        rows.extend(
            self.tools.iter().map(|t| ("tool", format!("{} {}", t.program, t.version), t.reason)),
        );
        let width = rows.iter().map(|(_, name, _)| name.len()).max().unwrap_or(0);
        rows.iter().map(|(kind, name, why)| format!("{kind:<10} {name:<width$}  {why}")).collect()
    }
}

/// What is missing on a machine where `found` was found.
pub(crate) fn plan(found: &Found) -> Plan {
    let installed: BTreeSet<&str> = found
        .dpkg
        .lines()
        .filter_map(|line| line.split_once(' '))
        .filter_map(|(state, name)| (state == "installed").then_some(name.trim()))
        .collect();
    let ubuntu = is_ubuntu(&found.os_release);
    Plan {
        packages: needs::PACKAGES
            .iter()
            .filter(|p| (ubuntu || !p.ubuntu_only) && !installed.contains(p.name))
            .copied()
            .collect(),
        targets: needs::TARGETS
            .iter()
            .filter(|(name, _)| !found.targets.contains(*name))
            .copied()
            .collect(),
        components: needs::COMPONENTS
            .iter()
            .filter(|(_, program, _)| !found.toolchain_programs.contains(*program))
            .map(|(name, _, reason)| (*name, *reason))
            .collect(),
        tools: needs::TOOLS
            .iter()
            .filter(|tool| !found.tools.contains(&format!("{} {}", tool.program, tool.version)))
            .copied()
            .collect(),
    }
}

/// Whether `os_release` is Ubuntu or made from it.
fn is_ubuntu(os_release: &str) -> bool {
    os_release
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(key, _)| matches!(*key, "ID" | "ID_LIKE"))
        .any(|(_, value)| value.trim_matches('"').split(' ').any(|id| id == "ubuntu"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete() -> Found {
        Found {
            os_release: "ID=debian\n".into(),
            dpkg: needs::PACKAGES.iter().map(|p| format!("installed {}\n", p.name)).collect(),
            targets: needs::TARGETS.iter().map(|(n, _)| (*n).to_owned()).collect(),
            toolchain_programs: needs::COMPONENTS.iter().map(|c| c.1.to_owned()).collect(),
            tools: needs::TOOLS.iter().map(|t| format!("{} {}", t.program, t.version)).collect(),
        }
    }

    #[test]
    fn a_complete_machine_needs_nothing() {
        assert!(plan(&complete()).is_empty());
    }

    #[test]
    fn a_removed_package_with_leftover_configuration_is_missing() {
        let mut found = complete();
        found.dpkg = found.dpkg.replace("installed rauc\n", "config-files rauc\n");
        let missing = plan(&found);
        assert_eq!(missing.packages.iter().map(|p| p.name).collect::<Vec<_>>(), ["rauc"]);
        assert_eq!(missing.lines(), ["package    rauc  makes and signs the bundles"]);
    }

    #[test]
    fn the_debian_keyring_is_asked_for_on_ubuntu_only() {
        let mut found = complete();
        found.dpkg = found.dpkg.replace("installed debian-archive-keyring\n", "");
        assert!(plan(&found).is_empty());
        for ubuntu in ["ID=ubuntu\n", "ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"] {
            found.os_release = ubuntu.into();
            assert_eq!(plan(&found).packages.len(), 1, "{ubuntu}");
        }
    }

    #[test]
    fn another_version_of_a_cargo_tool_is_replaced() {
        let mut found = complete();
        found.tools = ["cargo-nextest 0.1.0".to_owned(), "cargo-deny 0.20.2".to_owned()].into();
        assert_eq!(plan(&found).tools.len(), 1);
    }

    #[test]
    fn every_package_gives_its_reason_once() {
        let names: BTreeSet<_> = needs::PACKAGES.iter().map(|p| p.name).collect();
        assert_eq!(names.len(), needs::PACKAGES.len());
        assert!(needs::PACKAGES.iter().all(|p| !p.reason.is_empty()));
    }
}
