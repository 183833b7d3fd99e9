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

pub(crate) mod bundles;
pub(crate) mod bus;
pub(crate) mod impostor;
pub(crate) mod keys;
pub(crate) mod server;
pub(crate) mod steps;
pub(crate) mod tools;

use std::{
    fs,
    os::unix::{fs::PermissionsExt, process::CommandExt},
    path::{Path, PathBuf},
    process::{Child, Command},
    time::Duration,
};

use futures_util::StreamExt;
use rauc_bindings::{Installer, Limits};
use zbus::Connection;

use self::{
    bus::{Group, PrivateBus},
    keys::Authority,
    tools::Rauc,
};

/// The compatible of the host's system.conf.
pub(crate) const COMPATIBLE: &str = "contract";
/// No wait in these tests is longer than this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// What a host's system.conf and slots may differ in.
pub(crate) struct Setup {
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
        Self { target: None, system: "", formats: "plain verity", limits }
    }
}

/// A node's worth of RAUC: two slots A (booted, primary) and B.
pub(crate) struct RaucHost {
    service: Option<Group>,
    pub(crate) connection: Connection,
    pub(crate) installer: Installer,
    /// Who signs the bundles that this host trusts.
    pub(crate) authority: Authority,
    rauc: Rauc,
    bus: PrivateBus,
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
        let service = Group(start_service(&rauc, &bus));
        let connection = bus.connect().await;
        wait_for_name(&connection, path).await;
        let installer = Installer::connect_within(&connection, setup.limits)
            .await
            .expect("the service owns its name");
        Self { service: Some(service), connection, installer, authority, rauc, bus }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.bus.dir().join(name)
    }

    /// The `rauc` that the service runs.
    pub(crate) fn rauc(&self) -> &Rauc {
        &self.rauc
    }

    /// Sends a signal to the service alone, not to what it started.
    pub(crate) fn signal_service(&self, signal: &str) {
        let service = self.service.as_ref().expect("only restart takes it away");
        tools::run(Command::new("kill").args([signal, &service.0.id().to_string()]));
    }

    /// Starts the service again after its end.
    pub(crate) async fn restart_service(&mut self) {
        drop(self.service.take());
        self.service = Some(Group(start_service(&self.rauc, &self.bus)));
        wait_for_name(&self.connection, self.bus.dir()).await;
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
        drop(self.service.take());
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
    for slot in ["slots/A", "slots/B"] {
        write(slot, "old");
    }
    write("boot/primary", "A\n");
    write("boot/state.A", "good\n");
    write("boot/state.B", "good\n");
    write("boot/backend.sh", &BACKEND.replace("@ROOT@", &root.to_string()));
    fs::set_permissions(path.join("boot/backend.sh"), fs::Permissions::from_mode(0o755))
        .expect("an own file");
    let target = setup.target.clone().unwrap_or_else(|| path.join("slots/B"));
    let conf = SYSTEM
        .replace("@ROOT@", &root.to_string())
        .replace("@COMPATIBLE@", COMPATIBLE)
        .replace("@SYSTEM@", setup.system)
        .replace("@FORMATS@", setup.formats)
        .replace("@KEYRING@", &authority.certificate().display().to_string())
        .replace("@TARGET@", &target.display().to_string());
    write("system.conf", &conf);
}

fn start_service(rauc: &Rauc, bus: &PrivateBus) -> Child {
    let path = bus.dir();
    let log = fs::File::options()
        .create(true)
        .append(true)
        .open(path.join("service.log"))
        .expect("an own directory is writable");
    let streamer = path.join("streamer.sh");
    rauc.script(&streamer);
    rauc.in_own_mounts()
        .arg(format!("--conf={}", path.join("system.conf").display()))
        .args(["--override-boot-slot=A", "service"])
        .env("DBUS_SYSTEM_BUS_ADDRESS", bus.address())
        .env("RAUC_TEST_NBD_SERVER", streamer)
        .stdout(log.try_clone().expect("a file can be shared"))
        .stderr(log)
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| tools::missing("unshare", &error))
}

/// Until RAUC owns its name.
async fn wait_for_name(connection: &Connection, path: &Path) {
    let bus = zbus::fdo::DBusProxy::new(connection).await.expect("a bus has this object");
    let mut owners = bus
        .receive_name_owner_changed_with_args(&[(0, "de.pengutronix.rauc")])
        .await
        .expect("a bus lets everybody watch names");
    let name = "de.pengutronix.rauc".try_into().expect("a well-formed name");
    if bus.name_has_owner(name).await.expect("a bus knows its names") {
        return;
    }
    let owned = async {
        while let Some(change) = owners.next().await {
            if change.args().expect("three texts").new_owner().is_some() {
                return;
            }
        }
    };
    if tokio::time::timeout(PATIENCE, owned).await.is_err() {
        let log = fs::read_to_string(path.join("service.log")).unwrap_or_default();
        panic!("rauc service did not take its name within {PATIENCE:?}; it said:\n{log}");
    }
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
path=@KEYRING@

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
