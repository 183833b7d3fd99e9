//! What systemd says of a unit, over the system bus.
//!
//! One call tells the state and loads the unit if it has to: `ListUnitsByNames` of
//! `org.freedesktop.systemd1.Manager` (org.freedesktop.systemd1(5); since systemd 230). Active is
//! what `systemctl is-active` calls active: also while the unit reloads.
//!
//! Always true: a bus that is lost is an answer, and the next question connects anew.

use crate::http::in_words;
use std::cell::RefCell;
use steadfast_core::gate::Heard;
use steadfast_core::{Text, text};
use zbus::Connection;
use zbus::zvariant::{OwnedObjectPath, OwnedValue};

const NAME: &str = "org.freedesktop.systemd1";
const PATH: &str = "/org/freedesktop/systemd1";
const MANAGER: &str = "org.freedesktop.systemd1.Manager";
const SERVICE: &str = "org.freedesktop.systemd1.Service";
const PROPERTIES: &str = "org.freedesktop.DBus.Properties";

/// Who knows whether a unit is active.
pub trait Units {
    /// Passed when it is; else what it is instead.
    #[allow(async_fn_in_trait, reason = "all ports run on one thread")]
    async fn ask(&self, unit: &str) -> Heard;
}

/// systemd on the system bus.
#[derive(Debug, Default)]
pub struct SystemBus {
    /// Connected when the first unit is asked for.
    connection: RefCell<Option<Connection>>,
}

/// An element of `ListUnitsByNames`: name, description, load state, active state, sub state, the
/// unit that it follows, its object, and its job's number, type and object.
type Listed =
    (String, String, String, String, String, String, OwnedObjectPath, u32, String, OwnedObjectPath);

impl From<Connection> for SystemBus {
    fn from(connection: Connection) -> SystemBus {
        SystemBus { connection: RefCell::new(Some(connection)) }
    }
}

impl Units for SystemBus {
    async fn ask(&self, unit: &str) -> Heard {
        match self.look(unit).await {
            Ok(heard) => heard,
            Err(zbus::Error::MethodError(name, words, _)) => {
                let words = words.unwrap_or_else(|| name.to_string());
                Heard::Failed(text(format_args!("systemd does not know {unit}: {words}")))
            }
            Err(error) => {
                self.connection.take();
                Heard::Failed(text(format_args!("no answer from systemd: {}", in_words(&error))))
            }
        }
    }
}

impl SystemBus {
    async fn connected(&self) -> zbus::Result<Connection> {
        if let Some(connection) = self.connection.borrow().clone() {
            return Ok(connection);
        }
        let connection = Connection::system().await?;
        self.connection.replace(Some(connection.clone()));
        Ok(connection)
    }

    async fn look(&self, unit: &str) -> zbus::Result<Heard> {
        let bus = self.connected().await?;
        let asked = &(&[unit][..],);
        let answer =
            bus.call_method(Some(NAME), PATH, Some(MANAGER), "ListUnitsByNames", asked).await?;
        let mut units: Vec<Listed> = answer.body().deserialize()?;
        let Some((_, _, load, active, sub, _, object, ..)) = units.pop() else {
            return Ok(Heard::Failed(text(format_args!("{unit} does not exist"))));
        };
        Ok(match (load.as_str(), active.as_str()) {
            (_, "active" | "reloading" | "refreshing") => Heard::Passed,
            ("not-found", _) => Heard::Failed(text(format_args!("{unit} does not exist"))),
            ("loaded", "failed") => Heard::Failed(why_failed(&bus, unit, &object).await),
            ("loaded", _) => Heard::Failed(text(format_args!("{unit} is {active} ({sub})"))),
            (load, _) => Heard::Failed(text(format_args!("{unit} is {active}, {load}"))),
        })
    }
}

/// What a failed service's `Result` and `ExecMainStatus` say; other units have none.
async fn why_failed(bus: &Connection, unit: &str, object: &OwnedObjectPath) -> Text {
    let property = async |name: &str| -> zbus::Result<OwnedValue> {
        let asked = &(SERVICE, name);
        bus.call_method(Some(NAME), object, Some(PROPERTIES), "Get", asked)
            .await?
            .body()
            .deserialize()
    };
    let result = property("Result").await.ok().and_then(|value| String::try_from(value).ok());
    let status = property("ExecMainStatus").await.ok().and_then(|value| i32::try_from(value).ok());
    match (result, status) {
        (Some(result), Some(status)) if result == "exit-code" => {
            text(format_args!("{unit} failed: exit {status}"))
        }
        (Some(result), _) => text(format_args!("{unit} failed: {result}")),
        (None, _) => text(format_args!("{unit} failed")),
    }
}
