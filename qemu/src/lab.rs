//! The lab made ready: everything built, the first node booted once, committed and saved.
//!
//! ```text
//! builder ─► releases ─► first boot of 1.0.0 ─► committed ─► saved ─► one copy for each scenario
//! ```
//!
//! Nothing is compiled once the first guest runs: a compiler beside a translated guest doubles every wait.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use hw_profile::{Profile, Qemu};

use crate::build::{Builder, DevelopmentSigner};
use crate::disks;
use crate::guest::Guest;
use crate::machine::{Disk, Parts};
use crate::timeline::{Actor, Show, Timeline};
use crate::variant::{FIRST, Variant};
use crate::{places, pods};

/// Name of the saved machine in the base disk.
pub(crate) const SAVED: &str = "committed";

/// How a guest begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// From the saved node that has booted and committed 1.0.0.
    Saved,
    /// With power-on of a disk that was never booted.
    PowerOn,
    /// With power-on of a node that has committed 1.0.0.
    PowerOnCommitted,
}

/// Which node the lab makes.
#[derive(Debug, Clone)]
pub(crate) struct Subject {
    /// The board: a file of hw-profiles/boards.
    pub(crate) board: String,
    /// The agent's binary; none builds it from this tree.
    pub(crate) agent: Option<PathBuf>,
}

/// Everything that guests are started from.
pub(crate) struct Lab {
    /// The board.
    pub(crate) profile: Profile,
    qemu: Qemu,
    builder: Builder,
    /// Fingerprint of the first disk's inputs.
    first: u64,
    show: Show,
    /// Held as long as the lab is used: two labs would take each other's disks.
    _lock: File,
}

/// Waits until no other lab works in this tree.
fn lock() -> Result<File> {
    let folder = places::lab();
    fs::create_dir_all(&folder).with_context(|| format!("no folder {}", folder.display()))?;
    let file = File::create(folder.join("lock"))?;
    if file.try_lock().is_err() {
        eprintln!("another lab works in this tree; waiting for its end");
        file.lock().context("the lab's lock")?;
    }
    Ok(file)
}

impl Lab {
    /// Builds the first disk and the given releases.
    pub(crate) fn prepare(subject: &Subject, releases: &[Variant], show: Show) -> Result<Self> {
        let profile = Profile::named(&places::boards(), &subject.board)?;
        let qemu = profile.qemu.clone().with_context(|| {
            format!("the board {} has no [qemu] section: it is not emulated", profile.name)
        })?;
        let lock = lock()?;
        let builder = Builder::new(&profile, subject.agent.as_deref())?;
        let first = builder.build(&FIRST)?;
        for release in releases {
            builder.build(release)?;
        }
        Ok(Self { profile, qemu, builder, first, show, _lock: lock })
    }

    /// Builds a release, unless it is there already.
    pub(crate) fn build(&self, release: &Variant) -> Result<()> {
        self.builder.build(release).map(drop)
    }

    /// Makes the lab's workload set, and the manifests beside it.
    pub(crate) fn make_pods(&self) -> Result<()> {
        pods::make(&self.profile, &self.builder.busybox)
    }

    /// What the saved node was made from; it is another text when that has changed.
    pub(crate) fn saved_from(&self) -> Result<String> {
        Ok(format!("{:016x}", self.machine_fingerprint()?))
    }

    /// What a release was built from.
    pub(crate) fn built_from(&self, release: &Variant) -> Result<String> {
        let marker = self.folder(release).join("inputs");
        let text = fs::read_to_string(&marker).with_context(|| marker.display().to_string())?;
        Ok(text.trim().to_owned())
    }

    /// The folder that a release was built into.
    pub(crate) fn folder(&self, release: &Variant) -> PathBuf {
        self.builder.folder(release)
    }

    /// The bundle file of a release.
    pub(crate) fn bundle(&self, release: &Variant) -> PathBuf {
        self.folder(release).join(release.bundle_name())
    }

    /// The agent's binary.
    pub(crate) fn agent(&self) -> &Path {
        &self.builder.agent
    }

    /// Whom the images trust.
    pub(crate) fn signer(&self) -> &DevelopmentSigner {
        &self.builder.signer
    }

    /// The board's emulation.
    pub(crate) fn qemu(&self) -> &Qemu {
        &self.qemu
    }

    /// How long a boot may take.
    pub(crate) fn boot_limit(&self) -> Duration {
        Duration::from_secs(u64::from(self.profile.limits.boot_s))
    }

    /// Where the saved node lies.
    pub(crate) fn base_folder(&self) -> PathBuf {
        places::lab().join("base")
    }

    /// Boots and commits 1.0.0 and saves the machine, unless that was done with this very disk.
    pub(crate) fn ensure_saved(&self) -> Result<()> {
        let folder = self.base_folder();
        let (marker, disk) = (folder.join("inputs"), folder.join("disk.qcow2"));
        let text = format!("{:016x}\n", self.machine_fingerprint()?);
        if disk.exists() && fs::read_to_string(&marker).is_ok_and(|old| old == text) {
            return Ok(());
        }
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        let timeline = Timeline::start(self.show);
        timeline.note(Actor::Lab, "boots 1.0.0 once, to save the node that scenarios start from");
        let mut guest = self.power_on(&folder, &timeline)?;
        self.await_committed(&mut guest)?;
        guest.save(SAVED)?;
        timeline.note(Actor::Lab, "the committed node is saved");
        guest.quit()?;
        fs::write(marker, text)?;
        Ok(())
    }

    /// What a saved machine depends on: the disk, and the machine without it.
    fn machine_fingerprint(&self) -> Result<u64> {
        let mut hasher = DefaultHasher::new();
        (self.first, self.bare_fingerprint()?).hash(&mut hasher);
        Ok(hasher.finish())
    }

    /// The machine without its disk: what is emulated, its firmware, and QEMU itself.
    pub(crate) fn bare_fingerprint(&self) -> Result<u64> {
        let firmware = &self.builder.firmware;
        let firmware =
            fs::read(firmware).with_context(|| format!("no firmware {}", firmware.display()))?;
        let qemu = Command::new(&self.qemu.binary)
            .arg("--version")
            .output()
            .with_context(|| format!("{} does not start", self.qemu.binary))?;
        let mut hasher = DefaultHasher::new();
        (format!("{:?}", self.qemu), firmware, qemu.stdout).hash(&mut hasher);
        Ok(hasher.finish())
    }

    /// Waits for the first boot of a fresh disk, until 1.0.0 is committed.
    pub(crate) fn await_committed(&self, guest: &mut Guest) -> Result<()> {
        guest.await_boot("A")?;
        let status = guest.rest(self.boot_limit())?;
        ensure!(
            status.system.standing == "committed" && status.system.version == FIRST.version,
            "the first boot did not commit {}: {status:?}",
            FIRST.version
        );
        Ok(())
    }

    /// Starts a guest in `folder`, with the stick that lies there.
    pub(crate) fn start(&self, begin: Begin, folder: &Path, timeline: &Timeline) -> Result<Guest> {
        match begin {
            Begin::PowerOn => self.power_on(folder, timeline),
            Begin::Saved | Begin::PowerOnCommitted => {
                disks::copy(&self.base_folder().join("disk.qcow2"), &folder.join("disk.qcow2"))?;
                let saved = (begin == Begin::Saved).then(|| SAVED.to_owned());
                self.guest(folder, timeline, saved)
            }
        }
    }

    fn power_on(&self, folder: &Path, timeline: &Timeline) -> Result<Guest> {
        disks::overlay(&self.folder(&FIRST).join("disk.img"), &folder.join("disk.qcow2"))?;
        self.guest(folder, timeline, None)
    }

    fn guest(&self, folder: &Path, timeline: &Timeline, saved: Option<String>) -> Result<Guest> {
        let parts = self.parts(folder, saved)?;
        Guest::start(&self.qemu, &parts, &folder.join("serial.log"), timeline)
            .map(|guest| guest.with_boot_limit(self.boot_limit()))
    }

    /// The machine's parts in `folder`; a stick that is not there is made blank.
    pub(crate) fn parts(&self, folder: &Path, saved: Option<String>) -> Result<Parts> {
        let stick = disks::stick_in(folder);
        if !stick.exists() {
            disks::blank_stick(&stick)?;
        }
        Ok(Parts {
            firmware: self.builder.firmware.clone(),
            disk: Disk::Layered(folder.join("disk.qcow2")),
            stick,
            saved,
        })
    }
}
