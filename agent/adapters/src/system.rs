//! The machine itself: restarting it, and naming the boot that it is in.

use std::io;
use std::path::Path;
use steadfast_core::{Event, Port};

/// The order to restart the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reboot;

/// Restarts the node through systemd, so that services stop first; if systemd does not take the
/// order, through the kernel, after a sync.
#[derive(Clone, Copy, Debug)]
pub struct System;

/// A connection of its own for each order: a bus that was restarted costs nothing.
async fn ask_systemd() -> zbus::Result<()> {
    let bus = zbus::Connection::system().await?;
    let (name, path) = ("org.freedesktop.systemd1", "/org/freedesktop/systemd1");
    let interface = Some("org.freedesktop.systemd1.Manager");
    bus.call_method(Some(name), path, interface, "Reboot", &()).await.map(drop)
}

impl Port for System {
    type Action = Reboot;

    /// Never comes back: the next event is [`Event::Booted`], after the restart.
    async fn perform(&mut self, Reboot: Reboot) -> Event {
        if let Err(error) = ask_systemd().await {
            tracing::error!(%error, "systemd did not take the order to reboot; the kernel will");
            rustix::fs::sync();
            let done = rustix::system::reboot(rustix::system::RebootCommand::Restart);
            tracing::error!(?done, "the kernel did not reboot");
        }
        std::future::pending().await
    }
}

/// The kernel's id of this boot.
pub fn boot_id(path: &Path) -> io::Result<[u8; 16]> {
    let text = std::fs::read_to_string(path)?;
    let digits: String = text.chars().filter(char::is_ascii_hexdigit).collect();
    let id = u128::from_str_radix(&digits, 16);
    id.map(u128::to_be_bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_boot_id_of_this_kernel_is_read_and_stays() {
        let path = Path::new("/proc/sys/kernel/random/boot_id");
        let id = boot_id(path).expect("every Linux has one");
        assert_ne!(id, [0; 16]);
        assert_eq!(id, boot_id(path).expect("still there"));
    }
}
