//! The system bus, with a limit on everything that is asked of it.

use std::time::Duration;
use tokio::time::timeout;
use zbus::Connection;

/// How long the bus may take to let us in.
const CONNECT: Duration = Duration::from_secs(20);

/// A connection of its own for one order, so that a bus that was restarted costs nothing.
pub(crate) async fn system_bus() -> zbus::Result<Connection> {
    let late = || zbus::Error::Failure("the system bus did not answer within 20 s".to_owned());
    timeout(CONNECT, Connection::system()).await.unwrap_or_else(|_| Err(late()))
}

/// Asks systemd's manager for something; it has 20 s for its answer.
pub(crate) async fn ask_systemd<B>(method: &str, body: &B) -> zbus::Result<()>
where
    B: serde::Serialize + zbus::zvariant::DynamicType,
{
    let bus = system_bus().await?;
    let (name, path) = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1");
    let interface = Some("org.freedesktop.systemd1.Manager");
    let call = bus.call_method(Some(name), path, interface, method, body);
    let late = || zbus::Error::Failure(format!("systemd did not answer {method} within 20 s"));
    timeout(CONNECT, call).await.unwrap_or_else(|_| Err(late())).map(drop)
}
