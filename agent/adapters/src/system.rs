//! The machine itself: restarting it, and naming the boot that it is in.

use std::io;
use std::path::Path;
use std::time::Duration;
use steadfast_core::{Event, Port};
use tokio::time::{sleep, timeout};

use crate::bus::ask_systemd;

/// How long services may take to stop before the kernel restarts the node all the same.
const SHUTDOWN: Duration = Duration::from_secs(120);

/// How long the disks may take to be synced then.
const SYNC: Duration = Duration::from_secs(10);

/// The order to restart the node.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reboot;

/// Restarts the node through systemd, so that services stop first; if systemd does not take the
/// order or does not get there, through the kernel, after a sync.
#[derive(Clone, Copy, Debug)]
pub struct System;

impl Port for System {
    type Action = Reboot;

    /// Never comes back: the next event is [`Event::Booted`], after the restart.
    async fn perform(&mut self, Reboot: Reboot) -> Event {
        match ask_systemd("Reboot", &()).await {
            Ok(()) => sleep(SHUTDOWN).await,
            Err(error) => tracing::error!(%error, "systemd did not take the order to reboot"),
        }
        tracing::error!("the kernel restarts the node now");
        // A sync that hangs on a dead disk must not keep the node from restarting.
        let _ = timeout(SYNC, tokio::task::spawn_blocking(rustix::fs::sync)).await;
        let done = rustix::system::reboot(rustix::system::RebootCommand::Restart);
        tracing::error!(?done, "the kernel did not restart");
        std::future::pending().await
    }
}

/// The kernel's id of this boot.
pub fn boot_id(path: &Path) -> io::Result<[u8; 16]> {
    let text = std::fs::read_to_string(path)?;
    let digits = text.trim().replace('-', "");
    let digits = Some(digits).filter(|digits| digits.len() == 32 && !digits.starts_with('+'));
    let id = digits.and_then(|digits| u128::from_str_radix(&digits, 16).ok());
    let none = || io::Error::new(io::ErrorKind::InvalidData, format!("{text:?} is no boot id"));
    id.map(u128::to_be_bytes).ok_or_else(none)
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

    #[test]
    fn a_boot_id_is_all_of_its_digits_and_what_is_none_is_an_error() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("boot_id");
        let read = |text: &str| {
            std::fs::write(&path, text).expect("writable");
            boot_id(&path)
        };
        let id = read("00112233-4455-6677-8899-aabbccddeeff\n").expect("an id");
        assert_eq!((id[0], id[1], id[14], id[15]), (0x00, 0x11, 0xee, 0xff));
        assert!(read("").is_err() && read("\n").is_err() && read("none\n").is_err());
        assert!(boot_id(&folder.path().join("nowhere")).is_err());
    }
}
