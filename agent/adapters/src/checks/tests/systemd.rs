//! A played systemd behind a real D-Bus connection.

use super::super::systemd::{SystemBus, Units};
use super::*;
use std::collections::HashMap;
use tokio::net::UnixStream;
use zbus::connection::Builder;
use zbus::zvariant::{ObjectPath, OwnedObjectPath};
use zbus::{Connection, Guid, fdo, interface};

type Listed =
    (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

/// Load, active and sub state of the units.
struct Manager(HashMap<&'static str, [&'static str; 3]>);

#[interface(name = "org.freedesktop.systemd1.Manager")]
impl Manager {
    fn list_units_by_names(&self, names: Vec<String>) -> fdo::Result<Vec<Listed>> {
        names.iter().map(|name| self.listed(name)).collect()
    }
}

impl Manager {
    fn listed(&self, name: &str) -> fdo::Result<Listed> {
        if name.contains(' ') {
            return Err(fdo::Error::InvalidArgs(format!("Unit name {name} is not valid.")));
        }
        let unknown = ["not-found", "inactive", "dead"];
        let [load, active, sub] = self.0.get(name).unwrap_or(&unknown).map(str::to_owned);
        let path = |path| OwnedObjectPath::from(ObjectPath::from_static_str_unchecked(path));
        let none = String::new;
        Ok((name.into(), none(), load, active, sub, none(), path(UNIT), 0, none(), path("/")))
    }
}

const UNIT: &str = "/org/freedesktop/systemd1/unit/x";

struct Service;

#[interface(name = "org.freedesktop.systemd1.Service")]
impl Service {
    #[zbus(property)]
    fn result(&self) -> String {
        "exit-code".into()
    }

    #[zbus(property)]
    fn exec_main_status(&self) -> i32 {
        203
    }
}

/// The node's end, and systemd's, which ends with it.
async fn systemd() -> (SystemBus, Connection) {
    let units = HashMap::from([
        ("up.service", ["loaded", "active", "running"]),
        ("again.service", ["loaded", "reloading", "reload"]),
        ("down.service", ["loaded", "inactive", "dead"]),
        ("soon.service", ["loaded", "activating", "auto-restart"]),
        ("sick.service", ["loaded", "failed", "failed"]),
        ("masked.service", ["masked", "inactive", "dead"]),
    ]);
    let (ours, theirs) = UnixStream::pair().expect("a pair of sockets");
    let guid = Guid::generate();
    let served = Builder::unix_stream(theirs)
        .server(guid)
        .expect("a guid")
        .p2p()
        .serve_at("/org/freedesktop/systemd1", Manager(units))
        .expect("a path")
        .serve_at(UNIT, Service)
        .expect("a path");
    let asking = Builder::unix_stream(ours).p2p();
    let (served, asking) = tokio::join!(served.build(), asking.build());
    (asking.expect("a connection").into(), served.expect("a connection"))
}

#[tokio::test]
async fn a_unit_passes_when_systemd_calls_it_active() {
    let (bus, _served) = systemd().await;
    assert_eq!(bus.ask("up.service").await, Heard::Passed);
    assert_eq!(bus.ask("again.service").await, Heard::Passed);
}

#[tokio::test]
async fn a_unit_that_is_not_active_shows_what_it_is() {
    let (bus, _served) = systemd().await;
    for (unit, evidence) in [
        ("down.service", "down.service is inactive (dead)"),
        ("soon.service", "soon.service is activating (auto-restart)"),
        ("sick.service", "sick.service failed: exit 203"),
        ("masked.service", "masked.service is inactive, masked"),
        ("none.service", "none.service does not exist"),
        ("a b.service", "systemd does not know a b.service: Unit name a b.service is not valid."),
    ] {
        assert_eq!(bus.ask(unit).await, failed(evidence));
    }
}

#[tokio::test]
async fn a_lost_bus_is_a_failed_check() {
    let (bus, served) = systemd().await;
    assert_eq!(bus.ask("up.service").await, Heard::Passed);
    served.close().await.expect("it was open");
    let Heard::Failed(evidence) = bus.ask("up.service").await else { panic!("it is lost") };
    assert!(evidence.starts_with("no answer from systemd: "), "{evidence}");
}
