//! The releases that the scenarios need: one good one, and one for each way in which a release can be bad.
//!
//! A release's files lie in `variants/<name>/root` (copied over the root file system) and
//! `variants/<name>/boot` (copied over the boot partition); those of `variants/every` are in each. Versions grow, so that one story can go on from the
//! good release to each bad one.

use std::path::PathBuf;

use crate::places;

/// Who signs a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signer {
    /// The throwaway key whose certificate the image trusts.
    Development,
    /// Somebody the image has never heard of.
    Stranger,
}

/// What is built.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Product {
    /// A whole disk, for the first power-on.
    Disk,
    /// A bundle only.
    Bundle,
}

/// One release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Variant {
    /// Name of its folder, if it has one.
    pub(crate) name: &'static str,
    /// Version of the release.
    pub(crate) version: &'static str,
    /// What is built.
    pub(crate) product: Product,
    /// Who signs it.
    pub(crate) signer: Signer,
    /// Another board's name in the manifest.
    pub(crate) compatible: Option<&'static str>,
}

impl Variant {
    const fn bundle(name: &'static str, version: &'static str) -> Self {
        Self {
            name,
            version,
            product: Product::Bundle,
            signer: Signer::Development,
            compatible: None,
        }
    }

    /// File name of its bundle.
    pub(crate) fn bundle_name(&self) -> String {
        format!("steadfast-{}.raucb", self.version)
    }

    /// Folders with files for `part` (`root` or `boot`); a later one wins.
    pub(crate) fn overlays(&self, part: &str) -> Vec<PathBuf> {
        let variants = places::workspace().join("qemu/variants");
        let folders = [EVERY, self.name].map(|name| variants.join(name).join(part));
        folders.into_iter().filter(|folder| folder.is_dir()).collect()
    }
}

/// Folder with the files of every release.
const EVERY: &str = "every";

/// What every node starts with.
pub(crate) const FIRST: Variant =
    Variant { product: Product::Disk, ..Variant::bundle("first", "1.0.0") };
/// Below the floor.
pub(crate) const OLDER: Variant = Variant::bundle("older", "0.9.0");
/// Nothing wrong with it.
pub(crate) const GOOD: Variant = Variant::bundle("good", "1.1.0");
/// Nothing wrong with it, and it downloads before it installs.
pub(crate) const DOWNLOADS: Variant = Variant::bundle("downloads", "1.0.1");
/// A required check fails.
pub(crate) const UNHEALTHY: Variant = Variant::bundle("unhealthy", "1.2.0");
/// The agent stops turning, and systemd does not look.
pub(crate) const HUNG: Variant = Variant::bundle("hung", "1.3.0");
/// The kernel panics as soon as the root file system's first program runs.
pub(crate) const KERNEL_PANIC: Variant = Variant::bundle("kernel-panic", "1.4.0");
/// The kernel file is empty.
pub(crate) const NO_BOOT: Variant = Variant::bundle("no-boot", "1.5.0");
/// The agent dies at start.
pub(crate) const AGENT_CRASH: Variant = Variant::bundle("agent-crash", "1.6.0");
/// The agent dies soon after each start.
pub(crate) const AGENT_CRASH_LOOP: Variant = Variant::bundle("agent-crash-loop", "1.9.0");
/// Its check holds while the lab says so.
pub(crate) const UNDECIDED: Variant = Variant::bundle("undecided", "2.0.0");
/// Its check holds and fails in turn until the deadline.
pub(crate) const FLAPPING: Variant = Variant::bundle("flapping", "2.1.0");
/// containerd dies at each start.
pub(crate) const CONTAINERS_CRASH: Variant = Variant::bundle("containers-crash", "2.2.0");
/// Signed by a key that the node does not know.
pub(crate) const UNSIGNED: Variant =
    Variant { signer: Signer::Stranger, ..Variant::bundle("unsigned", "1.7.0") };
/// Made for another board.
pub(crate) const WRONG_BOARD: Variant =
    Variant { compatible: Some("some-other-board"), ..Variant::bundle("wrong-board", "1.8.0") };

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn each_release_has_a_version_of_its_own() {
        let all = [
            FIRST,
            OLDER,
            GOOD,
            DOWNLOADS,
            UNHEALTHY,
            HUNG,
            KERNEL_PANIC,
            NO_BOOT,
            AGENT_CRASH,
            AGENT_CRASH_LOOP,
            UNSIGNED,
            WRONG_BOARD,
            UNDECIDED,
            FLAPPING,
            CONTAINERS_CRASH,
        ];
        let versions: BTreeSet<_> = all.iter().map(|variant| variant.version).collect();
        assert_eq!(versions.len(), all.len());
    }

    #[test]
    fn each_folder_of_files_belongs_to_a_release() {
        let with_files = [
            DOWNLOADS,
            UNHEALTHY,
            HUNG,
            KERNEL_PANIC,
            NO_BOOT,
            AGENT_CRASH,
            AGENT_CRASH_LOOP,
            UNDECIDED,
            FLAPPING,
            CONTAINERS_CRASH,
        ];
        let folders = std::fs::read_dir(places::workspace().join("qemu/variants"))
            .expect("the folder is there")
            .map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned())
            .collect::<BTreeSet<_>>();
        let named = with_files.iter().map(|variant| variant.name).chain([EVERY]);
        assert_eq!(folders, named.map(str::to_owned).collect());
        for variant in with_files {
            assert_eq!(variant.overlays("root").len() + variant.overlays("boot").len(), 2);
        }
        assert_eq!(GOOD.overlays("root").len(), 1);
        let [of_every, its_own] = &UNHEALTHY.overlays("root")[..] else { panic!("two folders") };
        assert!(of_every.ends_with("every/root") && its_own.ends_with("unhealthy/root"));
    }

    #[test]
    fn what_has_to_be_refused_is_what_it_is_called() {
        assert_eq!(UNSIGNED.signer, Signer::Stranger);
        assert_ne!(WRONG_BOARD.compatible, None);
        assert!(OLDER.version < FIRST.version);
        for other in [GOOD, UNHEALTHY, HUNG, KERNEL_PANIC, NO_BOOT, AGENT_CRASH] {
            assert!(other.version > FIRST.version, "{}", other.name);
            assert_eq!((other.signer, other.compatible), (Signer::Development, None));
        }
    }
}
