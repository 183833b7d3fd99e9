//! The RAUC process of a host: started, killed and started anew.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::PathBuf,
    process::{Child, Command},
    sync::{Mutex, MutexGuard, PoisonError},
};

use futures_util::StreamExt;
use zbus::Connection;

use super::{
    PATIENCE,
    bus::{Group, PrivateBus},
    steps::within,
    tools::{self, Rauc},
};

/// `rauc service` in mounts of its own.
pub(crate) struct Service {
    rauc: Rauc,
    dir: PathBuf,
    address: String,
    clock: Option<&'static str>,
    running: Mutex<Option<Group>>,
}

impl Service {
    pub(crate) fn start(rauc: Rauc, bus: &PrivateBus, clock: Option<&'static str>) -> Self {
        let (dir, address) = (bus.dir().to_owned(), bus.address().to_owned());
        let service = Self { rauc, dir, address, clock, running: Mutex::default() };
        service.restart();
        service
    }

    pub(crate) fn rauc(&self) -> &Rauc {
        &self.rauc
    }

    /// Ends it with everything that it started.
    pub(crate) fn stop(&self) {
        drop(self.running().take());
    }

    /// Waits until it has ended without anybody's help.
    pub(crate) async fn ended_by_itself(&self) {
        let mut group = self.running().take().expect("nobody stopped it");
        let wait = tokio::task::spawn_blocking(move || group.0.wait());
        within("RAUC's end", wait).await.expect("no panic").expect("a child can be waited for");
    }

    pub(crate) fn restart(&self) {
        self.stop();
        *self.running() = Some(Group(self.process()));
    }

    /// Sends a signal to the service alone, not to what it started.
    pub(crate) fn signal(&self, signal: &str) {
        let running = self.running();
        let service = running.as_ref().expect("nobody stopped it");
        tools::run(Command::new("kill").args([signal, &service.0.id().to_string()]));
    }

    fn running(&self) -> MutexGuard<'_, Option<Group>> {
        // What a test that failed leaves behind is ended all the same.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn process(&self) -> Child {
        let log = fs::File::options()
            .create(true)
            .append(true)
            .open(self.dir.join("service.log"))
            .expect("an own directory is writable");
        let streamer = self.dir.join("streamer.sh");
        self.rauc.script(&streamer);
        let mut command = self.rauc.in_own_mounts();
        if let Some(clock) = self.clock {
            tools::at(&mut command, clock);
        }
        command
            .arg(format!("--conf={}", self.dir.join("system.conf").display()))
            .args(["--override-boot-slot=A", "service"])
            .env("DBUS_SYSTEM_BUS_ADDRESS", &self.address)
            .env("RAUC_TEST_NBD_SERVER", streamer)
            .stdout(log.try_clone().expect("a file can be shared"))
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| tools::missing("unshare", &error))
    }

    /// Until this process, and not the one before it, owns RAUC's name.
    pub(crate) async fn taken_its_name(&self, connection: &Connection) {
        let bus = zbus::fdo::DBusProxy::new(connection).await.expect("a bus has this object");
        let mut owners = bus
            .receive_name_owner_changed_with_args(&[(0, "de.pengutronix.rauc")])
            .await
            .expect("a bus lets everybody watch names");
        let process = self.running().as_ref().map(|service| service.0.id());
        let owned = async {
            loop {
                let name = "de.pengutronix.rauc".try_into().expect("a well-formed name");
                if bus.get_connection_unix_process_id(name).await.ok() == process {
                    return;
                }
                owners.next().await.expect("a bus tells of names as long as it is there");
            }
        };
        if tokio::time::timeout(PATIENCE, owned).await.is_err() {
            let log = fs::read_to_string(self.dir.join("service.log")).unwrap_or_default();
            panic!("rauc service did not take its name within {PATIENCE:?}; it said:\n{log}");
        }
    }
}
