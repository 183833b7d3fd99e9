//! A real `rauc service` 1.13 on a private bus, with plain files as slots.
//!
//! ```text
//! temp dir ── bus.conf ──> dbus-daemon ── bus ──> zbus::Connection ──> Installer
//!    │                         └─── unshare -m ── rauc service (slots/, boot/, data/)
//!    └── boot/backend.sh: RAUC's custom boot backend, file by file, with a log of every call
//! ```
//!
//! Always true: everything lies in one temporary directory; the machine's own bus, mounts and RAUC
//! configuration are not touched; whatever was started dies with the [`RaucHost`].

pub(crate) mod agent;
pub(crate) mod bundles;
pub(crate) mod bus;
pub(crate) mod disks;
pub(crate) mod impostor;
pub(crate) mod keys;
pub(crate) mod manager;
pub(crate) mod own_process;
pub(crate) mod server;
mod service;
pub(crate) mod steps;
pub(crate) mod tools;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rauc_bindings::{Installer, Limits};
use zbus::Connection;

use self::{bus::PrivateBus, keys::Authority, service::Service, tools::Rauc};

/// The compatible of the host's system.conf.
pub(crate) const COMPATIBLE: &str = "contract";
/// No wait in these tests is longer than this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What a host's system.conf is made of.
#[derive(Clone, Copy)]
pub(crate) enum Conf {
    /// One slot class, and certificates judged by the clock.
    Plain,
    /// The one that image-build puts into a node.
    Node,
}

/// Whether RAUC looks at revocation lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Revocation {
    Unlisted,
    Listed,
}

/// What a host's system.conf, slots and clock may differ in.
pub(crate) struct Setup {
    pub(crate) conf: Conf,
    /// The clock that the service goes by, as libfaketime reads it; this machine's when there is none.
    pub(crate) clock: Option<&'static str>,
    /// A line added to `[keyring]`.
    pub(crate) keyring: &'static str,
    /// Whether a node's image was made with a revocation list.
    pub(crate) revocation: Revocation,
    /// The device of slot rootfs.1, instead of a file.
    pub(crate) target: Option<PathBuf>,
    /// A line added to `[system]`.
    pub(crate) system: &'static str,
    /// The key `bundle-formats`.
    pub(crate) formats: &'static str,
    /// Limits of [`RaucHost::installer`].
    pub(crate) limits: Limits,
}

impl Default for Setup {
    fn default() -> Self {
        let limits = Limits { answer: PATIENCE, inspect: PATIENCE, stall: PATIENCE };
        Self {
            conf: Conf::Plain,
            clock: None,
            keyring: "",
            revocation: Revocation::Unlisted,
            target: None,
            system: "",
            formats: "plain verity",
            limits,
        }
    }
}

impl Setup {
    /// As on a node.
    pub(crate) fn node() -> Self {
        Self { conf: Conf::Node, ..Self::default() }
    }
}

/// A node's worth of RAUC: two slots A (booted, primary) and B.
pub(crate) struct RaucHost {
    pub(crate) service: Arc<Service>,
    pub(crate) connection: Connection,
    pub(crate) installer: Installer,
    /// Who signs the bundles that this host trusts.
    pub(crate) authority: Authority,
    pub(crate) bus: PrivateBus,
}

impl RaucHost {
    pub(crate) async fn start() -> Self {
        Self::start_with(Setup::default()).await
    }

    pub(crate) async fn start_with(setup: Setup) -> Self {
        let rauc = Rauc::find();
        let bus = PrivateBus::start();
        let path = bus.dir();
        let authority = Authority::new(&path.join("ca"), "trusted");
        lay_out(path, &authority, &setup);
        let service = Arc::new(Service::start(rauc, &bus, setup.clock));
        let connection = bus.connect().await;
        service.taken_its_name(&connection).await;
        let installer = Installer::connect_within(&connection, setup.limits)
            .await
            .expect("the service owns its name");
        Self { service, connection, installer, authority, bus }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.bus.dir().join(name)
    }

    /// The `rauc` that the service runs.
    pub(crate) fn rauc(&self) -> &Rauc {
        self.service.rauc()
    }

    /// Sends a signal to the service alone, not to what it started.
    pub(crate) fn signal_service(&self, signal: &str) {
        self.service.signal(signal);
    }

    /// Starts the service again after its end.
    pub(crate) async fn restart_service(&self) {
        self.service.restart();
        self.service.taken_its_name(&self.connection).await;
    }

    /// Whom this host trusts from now on: the files of a keyring, one behind the other.
    pub(crate) fn trust(&self, files: &[PathBuf]) {
        let texts = files.iter().map(|file| fs::read(file).expect("an own file"));
        let keyring = texts.collect::<Vec<_>>().concat();
        fs::write(self.path("keyring.pem"), keyring).expect("an own directory is writable");
    }

    /// Every call of the boot backend so far, oldest first, without those that only read.
    pub(crate) fn boot_changes(&self) -> Vec<String> {
        let log = fs::read_to_string(self.path("boot/log")).unwrap_or_default();
        log.lines().filter(|line| line.starts_with("set-")).map(str::to_owned).collect()
    }

    pub(crate) fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.path(name)).expect("a file of this host")
    }
}

impl Drop for RaucHost {
    fn drop(&mut self) {
        self.service.stop();
        // A RAUC that is killed while it sets a loop device up leaves it behind.
        tools::detach_loops(self.bus.dir());
    }
}

fn lay_out(path: &Path, authority: &Authority, setup: &Setup) {
    for folder in ["boot", "slots", "data", "mnt", "bundles"] {
        fs::create_dir(path.join(folder)).expect("a fresh directory");
    }
    let write = |name: &str, text: &str| {
        fs::write(path.join(name), text).expect("a fresh directory is writable");
    };
    let root = path.display();
    for slot in ["slots/A", "slots/B", "slots/boot-A", "slots/boot-B"] {
        write(slot, "old");
    }
    write("boot/primary", "A\n");
    write("boot/state.A", "good\n");
    write("boot/state.B", "good\n");
    write("boot/backend.sh", &BACKEND.replace("@ROOT@", &root.to_string()));
    fs::set_permissions(path.join("boot/backend.sh"), fs::Permissions::from_mode(0o755))
        .expect("an own file");
    fs::copy(authority.certificate(), path.join("keyring.pem")).expect("an own file");
    let target = setup.target.clone().unwrap_or_else(|| path.join("slots/B"));
    let conf = match setup.conf {
        Conf::Plain => SYSTEM.to_owned(),
        Conf::Node => node_conf(),
    };
    let conf = conf
        .replace("@ROOT@", &root.to_string())
        .replace("@COMPATIBLE@", COMPATIBLE)
        .replace("@SYSTEM@", setup.system)
        .replace("@KEYRING_LINE@", setup.keyring)
        .replace("@LISTED@", &(setup.revocation == Revocation::Listed).to_string())
        .replace("@FORMATS@", setup.formats)
        .replace("@TARGET@", &target.display().to_string());
    write("system.conf", &conf);
}

/// The node's own system.conf with this host's paths in it. What it says of keys is kept as it is.
fn node_conf() -> String {
    let mut conf = include_str!("../../image-build/rootfs/etc/rauc/system.conf.in").to_owned();
    for (node, here) in [
        ("{{compatible}}\n", "@COMPATIBLE@\nmountprefix=@ROOT@/mnt\n@SYSTEM@\n"),
        ("bundle-formats=verity", "bundle-formats=@FORMATS@"),
        ("/data/rauc", "@ROOT@/data"),
        ("/usr/lib/steadfast/boot-state", "@ROOT@/boot/backend.sh"),
        ("/etc/rauc/keyring.pem\n", "@ROOT@/keyring.pem\n@KEYRING_LINE@\n"),
        ("{{check_crl}}", "@LISTED@"),
        // This host's libraries lie where only root may read them.
        ("sandbox-user=nobody", "sandbox-user=root"),
        ("/dev/steadfast/{{root_a}}", "@ROOT@/slots/A"),
        ("/dev/steadfast/{{boot_a}}", "@ROOT@/slots/boot-A"),
        ("/dev/steadfast/{{root_b}}", "@TARGET@"),
        ("/dev/steadfast/{{boot_b}}", "@ROOT@/slots/boot-B"),
    ] {
        assert!(conf.contains(node), "the node's system.conf no longer has {node:?}");
        conf = conf.replace(node, here);
    }
    conf
}

/// As on the node, except for the plain format, which alone can be installed without device-mapper, and for
/// `use-bundle-signing-time`, so that expiry is judged by this machine's clock.
const SYSTEM: &str = "\
[system]
compatible=@COMPATIBLE@
bootloader=custom
activate-installed=false
mountprefix=@ROOT@/mnt
bundle-formats=@FORMATS@
data-directory=@ROOT@/data
@SYSTEM@

[keyring]
path=@ROOT@/keyring.pem
@KEYRING_LINE@

[streaming]
sandbox-user=root

[handlers]
bootloader-custom-backend=@ROOT@/boot/backend.sh

[slot.rootfs.0]
device=@ROOT@/slots/A
type=raw
bootname=A

[slot.rootfs.1]
device=@TARGET@
type=raw
bootname=B
";

const BACKEND: &str = r#"#!/bin/sh
echo "$@" >> @ROOT@/boot/log
case "$1" in
 get-primary) cat @ROOT@/boot/primary;;
 set-primary) echo "$2" > @ROOT@/boot/primary; echo good > "@ROOT@/boot/state.$2";;
 get-state) cat "@ROOT@/boot/state.$2";;
 set-state) echo "$3" > "@ROOT@/boot/state.$2";;
 get-current) echo A;;
 *) exit 1;;
esac
"#;
