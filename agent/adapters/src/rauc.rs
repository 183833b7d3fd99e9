//! RAUC as a port: verify a bundle, install it, and type what went wrong.

use crate::bus::{ask_systemd, system_bus};
use crate::downloads::Downloads;
use crate::set_store::SetStore;
use rauc_bindings::{
    Access, BundleInfo, Error, FailureKind, InspectArgs, InstallArgs, Installer, Limits,
};
use std::path::PathBuf;
use std::time::Duration;
use steadfast_core::{
    Bundle, Cause, Digest, Event, Failure, Inspected, Offer, Port, SetId, Sizes, Slot,
    VerifiedBundle, Version,
};
use tokio::sync::watch;

/// How long RAUC may inspect a bundle: longer than the 300 s after which the kernel gives up a
/// streaming server that says nothing (RAUC 1.13, `NBD_ATTR_TIMEOUT`).
const INSPECT: Duration = Duration::from_secs(330);

/// What RAUC is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RaucAction {
    /// Check the signature and read the manifest.
    Verify(Offer),
    /// Write the bundle to the slot.
    Install {
        /// Where it is.
        offer: Offer,
        /// What was verified.
        bundle: VerifiedBundle,
        /// The slot.
        target: Slot,
        /// The workload set that belongs to the slot then.
        set: Option<SetId>,
    },
}

/// How far an install or a download is: percent, and what is being done.
pub type Progress = Option<(u8, String)>;

/// RAUC on the system bus. Each order has a connection of its own, so that a bus that was restarted
/// costs nothing.
#[derive(Debug)]
pub struct Rauc {
    limits: Limits,
    tls_ca: Option<PathBuf>,
    progress: watch::Sender<Progress>,
    downloads: Option<Downloads>,
    sets: Option<SetStore>,
}

impl Rauc {
    /// RAUC that may report nothing for `stall` while it installs; `tls_ca` is a PEM file of
    /// authorities for https, or RAUC's default.
    pub fn new(
        stall: Duration,
        tls_ca: Option<PathBuf>,
        progress: watch::Sender<Progress>,
    ) -> Rauc {
        let limits = Limits { stall, inspect: INSPECT, ..Limits::default() };
        Rauc { limits, tls_ca, progress, downloads: None, sets: None }
    }

    /// The same, reading from here what a server offers: the node downloads first.
    pub fn reading(self, downloads: Downloads) -> Rauc {
        Rauc { downloads: Some(downloads), ..self }
    }

    /// The same, assigning to each slot that was written the workload set that belongs to it.
    pub fn assigning(self, sets: SetStore) -> Rauc {
        Rauc { sets: Some(sets), ..self }
    }

    /// Where RAUC finds what was offered: a URL that it streams, or a file.
    fn source(&self, offer: &Offer) -> String {
        let place = self.downloads.as_ref().and_then(|downloads| downloads.place(offer));
        place.map_or_else(|| offer.source.to_string(), |place| place.display().to_string())
    }

    async fn installer(&self) -> Result<Installer, Error> {
        let bus = system_bus().await?;
        Installer::connect_within(&bus, self.limits).await
    }

    fn access(&self) -> Access {
        let tls_ca = self.tls_ca.as_ref().map(|path| path.display().to_string());
        Access { tls_ca, ..Access::default() }
    }

    async fn verify(&self, offer: &Offer) -> Result<Inspected, Failure> {
        match self.inspect(offer).await {
            Ok(info) => inspected(info),
            Err(error) => Err(self.failed(offer, &error).await),
        }
    }

    async fn inspect(&self, offer: &Offer) -> Result<BundleInfo, Error> {
        let (installer, source) = (self.installer().await?, self.source(offer));
        let ask = || installer.inspect(&source, InspectArgs { access: self.access() });
        match ask().await {
            Err(Error::Busy) => {
                others_end(&installer).await?;
                ask().await
            }
            answer => answer,
        }
    }

    /// The failure. RAUC has no call to break an order off, so one that hangs is ended by starting RAUC
    /// anew; otherwise it would answer nobody again. Whether the order is given again, the core says.
    async fn failed(&self, offer: &Offer, error: &Error) -> Failure {
        if !hangs(error) {
            return failure(error);
        }
        if let Err(error) = ask_systemd("RestartUnit", &("rauc.service", "replace")).await {
            tracing::error!(%error, "RAUC could not be started anew");
        }
        let remote = self.source(offer).contains("://");
        let cause = if remote { Cause::Network } else { Cause::Installer };
        Failure::new(cause, format_args!("{}", crate::chain(error)))
    }

    async fn install(&self, offer: &Offer, bundle: &Bundle, target: Slot) -> Result<(), Failure> {
        match self.write(offer).await {
            Ok(installer) => written(&installer, bundle, target).await,
            Err(error) => Err(self.failed(offer, &error).await),
        }
    }

    fn assign(&self, target: Slot, set: Option<SetId>) -> Result<(), Failure> {
        let assigned = self.sets.as_ref().map_or(Ok(()), |sets| sets.assign(target, set));
        assigned.map_err(|error| error.failure())
    }

    async fn write(&self, offer: &Offer) -> Result<Installer, Error> {
        let installer = self.installer().await?;
        others_end(&installer).await?;
        let args = InstallArgs { access: self.access(), ..InstallArgs::default() };
        let mut installation = installer.install(&self.source(offer), args).await?;
        while let Some(progress) = installation.next().await? {
            self.progress.send_replace(Some((progress.percent, progress.message)));
        }
        Ok(installer)
    }
}

impl Port for Rauc {
    type Action = RaucAction;

    async fn perform(&mut self, action: RaucAction) -> Event {
        match action {
            RaucAction::Verify(offer) => Event::Verified(self.verify(&offer).await),
            RaucAction::Install { offer, bundle, target, set } => {
                let installed = self.install(&offer, bundle.bundle(), target).await;
                self.progress.send_replace(None);
                // Only a slot that holds its system gets the set that came with it.
                Event::Installed(installed.and_then(|()| self.assign(target, set)))
            }
        }
    }
}

/// Waits for the end of an installation that is not this order's: one by hand, or of an earlier life of the agent.
/// How it ends is nobody's concern here, unless it hangs: then it would keep RAUC from every order to come.
async fn others_end(installer: &Installer) -> Result<(), Error> {
    let Some(running) = installer.running().await? else { return Ok(()) };
    tracing::info!("waiting for the end of an installation that is running already");
    match running.finish().await {
        Err(error) if hangs(&error) => return Err(error),
        Err(error) => tracing::info!(%error, "it failed"),
        Ok(()) => {}
    }
    Ok(())
}

/// Whether RAUC would answer nobody again.
fn hangs(error: &Error) -> bool {
    matches!(error, Error::NoAnswer { .. } | Error::Stalled { .. })
}

/// What was verified is what lies in the slot: RAUC's own record of it names the same manifest.
async fn written(installer: &Installer, bundle: &Bundle, target: Slot) -> Result<(), Failure> {
    let slots = installer.slot_status().await.map_err(|error| failure(&error))?;
    let slot = slots.iter().find(|slot| slot.bootname.as_deref() == Some(target.name()));
    let Some(slot) = slot else {
        let evidence = format_args!("RAUC knows no slot with the bootname {target}");
        return Err(Failure::new(Cause::Installer, evidence));
    };
    match &slot.bundle.hash {
        Some(hash) if *hash.as_bytes() == bundle.digest.0 => Ok(()),
        found => {
            let found = found.as_ref().map_or("nothing".to_owned(), ToString::to_string);
            let evidence = format_args!("RAUC says the slot holds {found}, not {}", bundle.digest);
            Err(Failure::new(Cause::Damaged, evidence))
        }
    }
}

/// The manifest in the core's words.
fn inspected(info: BundleInfo) -> Result<Inspected, Failure> {
    let damaged = |what: &str| Failure::new(Cause::Damaged, format_args!("{what}"));
    let version = info.version.as_deref().and_then(Version::new);
    let version = version.ok_or_else(|| damaged("the manifest has no version that can be used"))?;
    let compatible = info.compatible.as_str().try_into();
    let compatible = compatible.map_err(|_| damaged("the manifest's compatible is too long"))?;
    let size = |class: &str| {
        let images = info.images.iter().filter(|image| image.slot_class == class);
        images.filter_map(|image| image.size).max()
    };
    // The boot partition names the hash of its root, so one without the other never boots.
    let none = |class: &str| {
        let evidence = format_args!("the manifest names no {class} image and its size");
        Failure::new(Cause::Damaged, evidence)
    };
    let boot = size("boot").ok_or_else(|| none("boot"))?;
    let root = size("rootfs").ok_or_else(|| none("rootfs"))?;
    let sizes = Sizes { boot, root };
    let digest = Digest(*info.manifest_hash.as_bytes());
    Ok(Inspected { bundle: Bundle { version, digest }, compatible, sizes })
}

/// RAUC's failures as causes; its own words are the evidence.
fn failure(error: &Error) -> Failure {
    let Error::Bundle(bundle) = error else {
        return Failure::new(Cause::Installer, format_args!("{}", crate::chain(error)));
    };
    let cause = match bundle.kind {
        FailureKind::Signature(_) => Cause::Signature,
        FailureKind::Damaged | FailureKind::Format => Cause::Damaged,
        FailureKind::Compatible => Cause::Compatible,
        FailureKind::VersionLimit => Cause::Floor,
        FailureKind::Network(_) => Cause::Network,
        FailureKind::NotFound | FailureKind::Unsafe => Cause::Source,
        FailureKind::TooLarge => Cause::Space,
        FailureKind::Write | FailureKind::BootChooser => Cause::Write,
        FailureKind::Hook | FailureKind::Node | FailureKind::Unknown => Cause::Installer,
    };
    Failure::new(cause, format_args!("{}", bundle.text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rauc_bindings::BundleFailure;

    #[test]
    fn what_rauc_says_keeps_its_cause_and_its_words() {
        let text = "Failed to stream bundle x.raucb: server not responding".to_owned();
        let error = Error::Bundle(BundleFailure::read("http://10.0.2.2/x.raucb", text.clone()));
        let failure = failure(&error);
        assert_eq!((failure.cause, failure.evidence.as_str()), (Cause::Network, text.as_str()));
    }

    #[test]
    fn what_was_downloaded_is_read_from_the_disk_and_what_is_a_file_where_it_lies() {
        let offer = |source: &str| Offer {
            source: source.try_into().expect("short"),
            at: steadfast_core::At::Now,
            content: None,
            set: None,
        };
        let rauc = Rauc::new(INSPECT, None, watch::channel(None).0);
        assert_eq!(rauc.source(&offer("http://a/x.raucb")), "http://a/x.raucb");
        let downloads = Downloads::new(std::path::Path::new("/data"), [0; 16]);
        let rauc = rauc.reading(downloads.clone());
        let place = downloads.place(&offer("http://a/x.raucb")).expect("a URL");
        assert_eq!(rauc.source(&offer("http://a/x.raucb")), place.display().to_string());
        assert_eq!(rauc.source(&offer("/usb/x.raucb")), "/usb/x.raucb");
    }

    fn bundle(images: &[(&str, Option<u64>)]) -> BundleInfo {
        let images = images.iter().map(|(class, size)| rauc_bindings::Image {
            slot_class: (*class).to_owned(),
            size: *size,
            ..rauc_bindings::Image::default()
        });
        BundleInfo {
            compatible: "board".to_owned(),
            version: Some("2".to_owned()),
            description: None,
            build: None,
            manifest_hash: [2; 32].into(),
            format: "verity".to_owned(),
            images: images.collect(),
        }
    }

    #[test]
    fn both_images_of_a_bundle_are_measured() {
        // The classes of image-build's system.conf.
        let found = inspected(bundle(&[("rootfs", Some(60)), ("boot", Some(7))])).expect("whole");
        assert_eq!(found.sizes, Sizes { boot: 7, root: 60 });
    }

    #[test]
    fn a_bundle_without_a_root_or_a_boot_image_is_damaged() {
        let rootless = bundle(&[("boot", Some(7))]);
        let unmeasured = bundle(&[("rootfs", Some(60)), ("boot", None)]);
        let bootless = bundle(&[("rootfs", Some(60))]);
        for (bundle, class) in [(rootless, "rootfs"), (unmeasured, "boot"), (bootless, "boot")] {
            let failure = inspected(bundle).expect_err("it never boots");
            assert_eq!(failure.cause, Cause::Damaged);
            assert!(failure.evidence.contains(class), "{}", failure.evidence);
        }
    }

    #[test]
    fn a_service_that_died_is_the_installers_cause_and_may_pass() {
        let failure = failure(&Error::ServiceVanished);
        assert_eq!(failure.cause, Cause::Installer);
        assert!(failure.cause.passes());
    }
}
