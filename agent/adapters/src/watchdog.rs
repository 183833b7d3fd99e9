//! The hardware watchdog (Linux, `Documentation/watchdog/watchdog-api.rst`).
//!
//! Always true: it is fed only with the proof of a completed turn; it is never disarmed, so that
//! closing it (an agent that ends) leaves it running towards a reset.

#![allow(unsafe_code, reason = "the watchdog's ioctls have no safe wrapper in rustix")]

use rustix::ioctl::{Getter, Updater, ioctl, opcode};
use std::fs::File;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;
use steadfast_core::watchdog::TurnCompleted;

const GET_BOOT_STATUS: rustix::ioctl::Opcode = opcode::read::<i32>(b'W', 2);
const SET_TIMEOUT: rustix::ioctl::Opcode = opcode::read_write::<i32>(b'W', 6);

/// `WDIOF_CARDRESET`: the last reset was the watchdog's (`include/uapi/linux/watchdog.h`).
const CARD_RESET: i32 = 0x20;

/// An armed watchdog.
#[derive(Debug)]
pub struct Watchdog {
    device: File,
}

/// Whether the watchdog made the last reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastReset {
    /// It did.
    ByWatchdog,
    /// It did not, or its driver cannot say.
    Other,
}

impl Watchdog {
    /// Takes the watchdog over, or arms it, with this deadline.
    pub fn open(device: &Path, deadline: Duration) -> io::Result<Watchdog> {
        let device = File::options().write(true).open(device)?;
        let watchdog = Watchdog { device };
        watchdog.set_deadline(deadline)?;
        Ok(watchdog)
    }

    /// Changes the deadline, for what legitimately takes longer: a shutdown.
    pub fn set_deadline(&self, deadline: Duration) -> io::Result<()> {
        let mut seconds = i32::try_from(deadline.as_secs()).unwrap_or(i32::MAX);
        // SAFETY: WDIOC_SETTIMEOUT reads and writes one int through the pointer that it is given.
        unsafe { ioctl(&self.device, Updater::<SET_TIMEOUT, i32>::new(&mut seconds)) }?;
        Ok(())
    }

    /// Who made the last reset.
    pub fn last_reset(&self) -> LastReset {
        // SAFETY: WDIOC_GETBOOTSTATUS writes one int through the pointer that it is given.
        let flags = unsafe { ioctl(&self.device, Getter::<GET_BOOT_STATUS, i32>::new()) };
        match flags {
            Ok(flags) if flags & CARD_RESET != 0 => LastReset::ByWatchdog,
            _ => LastReset::Other,
        }
    }

    /// Feeds it. Anything but `V` keeps it armed when it is closed.
    pub fn feed(&mut self, _proof: &TurnCompleted) -> io::Result<()> {
        self.device.write_all(b"\0")
    }
}
