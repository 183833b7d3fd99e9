//! A service under RAUC's name that does what RAUC does only when two things meet by chance.

use std::collections::HashMap;

use rauc_bindings::{Installer, Limits};
use zbus::{
    Connection, fdo, interface,
    object_server::SignalEmitter,
    zvariant::{OwnedValue, StructureBuilder, Value},
};

use super::{PATIENCE, bus::PrivateBus};

const INTERFACE: &str = "de.pengutronix.rauc.Installer";

type Map = HashMap<String, OwnedValue>;

struct Rauc;

fn owned(value: Value<'_>) -> OwnedValue {
    value.try_into().expect("no file descriptor inside")
}

#[interface(name = "de.pengutronix.rauc.Installer")]
impl Rauc {
    /// An earlier installation ends just before this one is accepted.
    async fn install_bundle(
        &self,
        _source: String,
        _args: Map,
        #[zbus(signal_emitter)] emitter: SignalEmitter<'_>,
    ) -> fdo::Result<()> {
        emitter.completed(0).await?;
        Ok(())
    }

    fn get_slot_status(&self) -> Vec<(String, Map)> {
        let known = Map::from([("state".into(), owned(Value::from("booted")))]);
        let strange = Map::from([
            ("state".into(), owned(Value::from("dreaming"))),
            ("size".into(), owned(Value::from(vec![1_u8]))),
            ("weather".into(), owned(Value::from(2.5))),
        ]);
        vec![("rootfs.0".into(), known), ("rootfs.1".into(), strange)]
    }

    #[zbus(property)]
    fn operation(&self) -> &str {
        "idle"
    }

    #[zbus(property)]
    fn last_error(&self) -> &str {
        ""
    }

    #[zbus(signal)]
    async fn completed(emitter: &SignalEmitter<'_>, result: i32) -> zbus::Result<()>;
}

/// The service's side of the bus.
pub(crate) struct Impostor(Connection);

impl Impostor {
    pub(crate) async fn complete(&self, code: i32) {
        let sent = self.0.emit_signal(None::<&str>, "/", INTERFACE, "Completed", &code).await;
        sent.expect("anybody may send signals on this bus");
    }

    pub(crate) async fn report(&self, percent: i32) {
        let progress = StructureBuilder::new().add_field(percent).add_field("step").add_field(2);
        let changed =
            HashMap::from([("Progress", Value::from(progress.build().expect("three fields")))]);
        let body = (INTERFACE, changed, Vec::<&str>::new());
        let (interface, member) = ("org.freedesktop.DBus.Properties", "PropertiesChanged");
        let sent = self.0.emit_signal(None::<&str>, "/", interface, member, &body).await;
        sent.expect("anybody may send signals on this bus");
    }
}

pub(crate) async fn start() -> (PrivateBus, Impostor, Installer) {
    let bus = PrivateBus::start();
    let service = bus.connect().await;
    service.object_server().at("/", Rauc).await.expect("an empty object server");
    service.request_name("de.pengutronix.rauc").await.expect("nobody else is on this bus");
    let limits = Limits { answer: PATIENCE, inspect: PATIENCE, stall: PATIENCE };
    let installer = Installer::connect_within(&bus.connect().await, limits)
        .await
        .expect("the impostor owns the name");
    (bus, Impostor(service), installer)
}
