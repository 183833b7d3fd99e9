//! What systemd does for a node's RAUC, on a bus without systemd: it starts the service anew when it is asked to.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use zbus::{Connection, fdo, interface, zvariant::OwnedObjectPath};

use super::{RaucHost, service::Service};

struct Manager {
    service: Arc<Service>,
    bus: Connection,
    restarts: Arc<AtomicUsize>,
}

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    /// As systemd does: what has not ended by itself is killed, with everything that it started. Whoever calls the
    /// service then waits for it, which on a node the bus does.
    async fn restart_unit(&self, name: String, mode: String) -> fdo::Result<OwnedObjectPath> {
        if (name.as_str(), mode.as_str()) != ("rauc.service", "replace") {
            return Err(fdo::Error::InvalidArgs(format!("{name} {mode}")));
        }
        self.service.restart();
        self.service.taken_its_name(&self.bus).await;
        self.restarts.fetch_add(1, Ordering::Relaxed);
        Ok("/org/freedesktop/systemd1/job/1".try_into().expect("a well-formed path"))
    }
}

/// The manager on the host's bus, for as long as this is kept.
pub(crate) struct Systemd {
    _connection: Connection,
    restarts: Arc<AtomicUsize>,
}

impl Systemd {
    pub(crate) async fn start(host: &RaucHost) -> Self {
        let restarts = Arc::<AtomicUsize>::default();
        let (service, bus) = (host.service.clone(), host.bus.connect().await);
        let manager = Manager { service, bus, restarts: restarts.clone() };
        let connection = host.bus.connect().await;
        let at = "/org/freedesktop/systemd1";
        connection.object_server().at(at, manager).await.expect("an empty object server");
        let name = "org.freedesktop.systemd1";
        connection.request_name(name).await.expect("nobody else is systemd on this bus");
        Self { _connection: connection, restarts }
    }

    /// How often RAUC was started anew.
    pub(crate) fn restarts(&self) -> usize {
        self.restarts.load(Ordering::Relaxed)
    }
}
