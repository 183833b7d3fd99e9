//! From a profile to everything a release is made of.
//!
//! ```text
//! packages (cache) ─► root ─► squashfs + hash tree ──────────────┐
//!        │                          │ root hash                  ├─► bundle ─► release.json, SPDX
//!        └──► kernel, initramfs ────┴─► slot.env ─► boot vfat ───┤
//! profile ─► boot script, first environment ─────────────────────┴─► disk.img
//! ```
//!
//! Always true: the disk, the two images and the lists are functions of the inputs; only the bundle differs from
//! build to build, by its signature's time and its salt. `release.json` is written last.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use hw_profile::Profile;
use serde::Serialize;

use crate::appliance::Appliance;
use crate::debian::{Package, PackageSet, Refresh, Wanted};
use crate::disk::Disk;
use crate::host::Tool;
use crate::keys::{KeyArgs, Signer, SignerKind};
use crate::modules::Modules;
use crate::places::{self, Scratch};
use crate::release::{Described, Release};
use crate::revocation;
use crate::root::Root;
use crate::variant::Variant;
use crate::verity::{self, Compression, Packing, Verity};
use crate::{agent, board, boot_partition, bootscript, bundle, digest, initramfs, spdx};

/// What the command line asks for.
#[derive(Debug, Clone)]
pub(crate) struct Order {
    pub(crate) board: String,
    pub(crate) version: String,
    pub(crate) out: PathBuf,
    pub(crate) variant: Variant,
    pub(crate) agent: Option<PathBuf>,
    pub(crate) overlays: Vec<PathBuf>,
    pub(crate) boot_overlays: Vec<PathBuf>,
    pub(crate) compression: Compression,
    pub(crate) level: u32,
    pub(crate) keys: KeyArgs,
    pub(crate) compatible: Option<String>,
    pub(crate) products: Products,
    pub(crate) refresh: Refresh,
}

impl Order {
    /// The list of everything; its presence says that the release is whole.
    pub(crate) fn release(&self) -> PathBuf {
        self.out.join("release.json")
    }

    /// The bundle (`raucb`) or the bill of materials (`spdx.json`).
    pub(crate) fn product(&self, ending: &str) -> PathBuf {
        self.out.join(format!("steadfast-{}.{ending}", self.version))
    }
}

/// What is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Products {
    /// A disk image and a bundle.
    DiskAndBundle,
    /// A bundle for nodes that run already.
    BundleOnly,
}

/// Prints how long each part took, on standard error.
struct Steps(Instant);

impl Steps {
    fn done(&mut self, what: &str) {
        eprintln!("{what:<10} {:>6.1} s", self.0.elapsed().as_secs_f32());
        self.0 = Instant::now();
    }
}

/// Everything that stays the same while one release is made.
struct Job<'a> {
    order: &'a Order,
    profile: Profile,
    appliance: Appliance,
    signer: Signer,
    scratch: Scratch,
    epoch: u64,
}

/// What the lists are about.
struct Made<'a> {
    verity: &'a Verity,
    images: &'a Path,
    agent: &'a Path,
    packages: Vec<Package>,
}

/// Makes the release.
pub(crate) fn run(order: &Order) -> Result<Release> {
    ensure!(is_version(&order.version), "nothing was built: {} is no version", order.version);
    let profile = board::load(&order.board)?;
    let appliance = Appliance::load()?;
    let signer = Signer::choose(&order.keys, order.variant)?;
    let scratch = Scratch::named("image")?;
    bundle::trial(&signer, &scratch)?;
    let agent = agent::find(order.agent.as_deref(), profile.arch)?;
    let mut steps = Steps(Instant::now());
    let root_set = packages(&profile, &appliance.packages.root, order.refresh)?;
    let boot_set = boot_packages(&profile, &appliance, order.refresh)?;
    let kernel_files = boot_set.unpacked(describe_modules)?;
    steps.done("packages");

    let mut job = Job { order, profile, appliance, signer, scratch, epoch: 0 };
    let root = job.root(&root_set, &kernel_files, &agent)?;
    steps.done("root");
    let images = job.scratch.join("bundle");
    fs::create_dir_all(&images)?;
    let root_image = images.join("rootfs.img");
    let packing = Packing { compression: order.compression, level: order.level, epoch: job.epoch };
    let packed = verity::pack(root.path(), &root_image, packing)?;
    steps.done("squashfs");
    let verity = verity::append_hash_tree(&root_image)?;
    verity::check_size(&job.profile, packed, fs::metadata(&root_image)?.len(), packing)?;
    steps.done("hash tree");
    job.boot_image(&kernel_files, &verity, &images.join("boot.img"))?;
    steps.done("boot");

    fs::create_dir_all(&order.out)?;
    places::gone(fs::remove_file(order.release()))?;
    if order.products == Products::DiskAndBundle {
        job.disk(&images)?;
        steps.done("disk");
    }
    let manifest = bundle::manifest(job.compatible(), &order.version);
    bundle::pack(&images, &manifest, &job.signer, &order.product("raucb"))?;
    steps.done("bundle");
    let mut packages = [root_set.packages, boot_set.packages].concat();
    packages.sort();
    packages.dedup();
    let made = Made { verity: &verity, images: &images, agent: &agent, packages };
    let release = job.describe(made)?;
    steps.done("lists");
    Ok(release)
}

fn is_version(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '+' | '~'))
}

fn packages(profile: &Profile, names: &[String], refresh: Refresh) -> Result<PackageSet> {
    let (suite, arch) = (profile.suite.clone(), profile.arch.to_string());
    Wanted { suite, arch, packages: names.to_vec() }.fetch(refresh)
}

fn boot_packages(profile: &Profile, appliance: &Appliance, refresh: Refresh) -> Result<PackageSet> {
    let kernel = std::slice::from_ref(&profile.kernel.package);
    packages(profile, &[&appliance.packages.boot, kernel].concat(), refresh)
}

/// The unpacked packages that the boot partition is made from, fetched when they are not there.
pub(crate) fn boot_files(profile: &Profile) -> Result<PathBuf> {
    boot_packages(profile, &Appliance::load()?, Refresh::Never)?.unpacked(describe_modules)
}

/// Runs depmod over the freshly unpacked kernel.
fn describe_modules(files: &Path) -> Result<()> {
    let modules = files.join("usr/lib/modules");
    for entry in fs::read_dir(&modules)? {
        let version = entry?.file_name();
        Tool::new("depmod").arg("--basedir").arg(files.join("usr")).arg(version).run()?;
    }
    Ok(())
}

/// The folders of files that not every image gets, each with the unit that uses them.
fn extras(profile: &Profile, variant: Variant) -> Vec<(&'static str, &'static str)> {
    let mut extras = Vec::new();
    if profile.network.is_some() {
        extras.push(("rootfs-fixed-address", "fixed-address.service"));
    }
    if variant == Variant::Development {
        extras.push(("rootfs-dev", "steadfast-shell.service"));
    }
    extras
}

fn write_json(path: &Path, content: &impl Serialize) -> Result<()> {
    let text = serde_json::to_string_pretty(content)?;
    fs::write(path, format!("{text}\n")).with_context(|| format!("{} was not made", path.display()))
}

impl Job<'_> {
    /// What the bundle is for.
    fn compatible(&self) -> &str {
        self.order.compatible.as_deref().unwrap_or(&self.profile.compatible)
    }

    fn root(&mut self, set: &PackageSet, kernel_files: &Path, agent: &Path) -> Result<Root> {
        let root = Root::at(self.scratch.join("root"));
        set.unpack(root.path(), &self.appliance.leave_out.paths)?;
        self.epoch = match std::env::var("SOURCE_DATE_EPOCH") {
            Ok(told) => told.parse().context("SOURCE_DATE_EPOCH is no number")?,
            Err(_) => root.newest()?,
        };
        let own = places::own();
        let revocation = revocation::listed(&self.signer.keyring)?;
        let values = board::values(&self.profile).with("check_crl", revocation);
        root.overlay(&own.join("rootfs"), &values)?;
        root.settle(self.epoch)?;
        root.busybox_links(&self.appliance.packages.busybox_links)?;
        let extras = extras(&self.profile, self.order.variant);
        for (folder, _) in &extras {
            root.overlay(&own.join(folder), &values)?;
        }
        self.identity(&root)?;
        root.write("usr/bin/steadfast", fs::read(agent)?)?;
        root.make_executable("usr/bin/steadfast")?;
        let started: Vec<&str> = extras.into_iter().map(|(_, unit)| unit).collect();
        root.units(&self.appliance.units, &started)?;
        let modules = Modules::below(&kernel_files.join("usr"))?;
        modules.install(&self.profile.kernel.modules, root.path())?;
        let load = self.profile.kernel.load.join("\n");
        root.write("etc/modules-load.d/steadfast.conf", format!("{load}\n"))?;
        for overlay in &self.order.overlays {
            root.copy_over(overlay)?;
        }
        Ok(root)
    }

    /// What the image says about itself: version, board, whom it trusts.
    fn identity(&self, root: &Root) -> Result<()> {
        let Order { version, board, variant, .. } = self.order;
        let suite = &self.profile.suite;
        root.write(
            "etc/os-release",
            format!(
                "PRETTY_NAME=\"Steadfast {version}\"\nNAME=Steadfast\nID=steadfast\nID_LIKE=debian\n\
                 VERSION_ID={version}\nVERSION_CODENAME={suite}\nIMAGE_ID=steadfast\n\
                 IMAGE_VERSION={version}\nVARIANT_ID={}\n",
                variant.id()
            ),
        )?;
        let profile = places::workspace().join(format!("hw-profiles/boards/{board}.toml"));
        root.write("etc/steadfast/board.toml", fs::read(profile)?)?;
        root.write("etc/rauc/keyring.pem", fs::read(&self.signer.keyring)?)?;
        if let Some(dns) = self.profile.network.as_ref().and_then(|network| network.dns.as_ref()) {
            root.write("etc/resolv.conf", format!("nameserver {dns}\n"))?;
        }
        if self.signer.kind == SignerKind::Throwaway {
            let note = "This image trusts a throwaway authority made for development: \
                        whoever holds that key can replace it. Do not ship it.\n";
            root.write("etc/steadfast/keyring-note", note)?;
            root.write("etc/motd", note)?;
        }
        Ok(())
    }

    fn boot_image(&self, kernel_files: &Path, verity: &Verity, out: &Path) -> Result<()> {
        let folder = self.scratch.join("boot");
        fs::create_dir_all(&folder)?;
        let modules = Modules::below(&kernel_files.join("usr"))?;
        let kernel = kernel_files.join(format!("boot/vmlinuz-{}", modules.version));
        fs::copy(kernel, folder.join("Image")).context("the kernel was not copied")?;
        let tree = self.scratch.join("initramfs");
        initramfs::pack(&self.profile, kernel_files, &tree, &folder.join("initrd.zst"))?;
        let boot = Root::at(folder.clone());
        for overlay in &self.order.boot_overlays {
            boot.copy_over(overlay)?;
        }
        if !folder.join("slot.env").exists() {
            let args =
                boot_partition::slot_args(&self.profile, &verity.argument(), self.order.variant);
            let text = boot_partition::slot_env(&folder, &args)?;
            boot.write("slot.env", text)?;
        }
        boot_partition::pack(&self.profile, &folder, self.epoch, out)
    }

    fn disk(&self, images: &Path) -> Result<()> {
        let script = self.scratch.join("script.img");
        bootscript::pack(&self.profile, &self.scratch.join("script"), self.epoch, &script)?;
        let mut disk = Disk::create(&self.profile, &self.order.out.join("disk.img"))?;
        let environment = bootscript::first_environment(&self.profile)?;
        disk.put(&self.profile.boot.environment, self.profile.boot.copy_offsets[0], &environment)?;
        disk.put_image(&self.profile.disk.script, &script)?;
        disk.put_image(&self.profile.slots.a.boot, &images.join("boot.img"))?;
        disk.put_image(&self.profile.slots.a.root, &images.join("rootfs.img"))
    }

    fn describe(&self, made: Made<'_>) -> Result<Release> {
        let Made { verity, images, agent, packages } = made;
        let Order { board, version, variant, .. } = self.order;
        let root = Described::of(&images.join("rootfs.img"))?;
        self.write_bill(&root, &packages)?;
        let disk = match self.order.products {
            Products::DiskAndBundle => Some(Described::of(&self.order.out.join("disk.img"))?),
            Products::BundleOnly => None,
        };
        let release = Release {
            format: 1,
            board: board.clone(),
            version: version.clone(),
            compatible: self.compatible().to_owned(),
            variant: variant.id(),
            suite: self.profile.suite.clone(),
            source_date_epoch: self.epoch,
            throwaway_keys: self.signer.kind == SignerKind::Throwaway,
            keyring_sha256: digest::of_file(&self.signer.keyring)?,
            root_hash: verity.root_hash.clone(),
            salt: verity.salt.clone(),
            data_blocks: verity.data_blocks,
            root,
            boot: Described::of(&images.join("boot.img"))?,
            agent: Described::of(agent)?,
            bundle: Described::of(&self.order.product("raucb"))?,
            disk,
            packages,
        };
        write_json(&self.order.release(), &release)?;
        Ok(release)
    }

    fn write_bill(&self, root: &Described, packages: &[Package]) -> Result<()> {
        let Order { board, version, .. } = self.order;
        let subject = spdx::Subject {
            board,
            version,
            suite: &self.profile.suite,
            epoch: self.epoch,
            root_sha256: &root.sha256,
        };
        write_json(&self.order.product("spdx.json"), &spdx::document(&subject, packages))
    }
}

#[cfg(test)]
#[path = "pipeline_tests.rs"]
pub(crate) mod tests;
