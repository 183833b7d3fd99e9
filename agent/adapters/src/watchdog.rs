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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Seek};
    use steadfast_core::ledger::Stamp;
    use steadfast_core::{Digest, Event, Machine, Policy};

    fn a_turn() -> TurnCompleted {
        let policy = Policy {
            compatible: "board".try_into().expect("short"),
            room: Default::default(),
            fetch_attempts: 1,
            restarts: 1,
            commit_attempts: 1,
        };
        let mut machine = Machine::new(None, policy, |_| Digest::ZERO);
        let turned = machine.turn(Event::Ticked, Stamp::default(), |_| Ok::<(), io::Error>(()));
        turned.expect("it is saved").proof
    }

    #[test]
    fn it_is_fed_and_stays_armed_when_the_agent_ends() {
        let device = tempfile::tempfile().expect("a file");
        let mut watchdog = Watchdog { device };
        watchdog.feed(&a_turn()).expect("it takes a byte");
        watchdog.feed(&a_turn()).expect("and another one");
        let mut fed = Vec::new();
        watchdog.device.rewind().expect("a file can");
        watchdog.device.read_to_end(&mut fed).expect("readable");
        // The magic V would disarm it at the close (Documentation/watchdog/watchdog-api.rst).
        assert!(fed.len() == 2 && !fed.contains(&b'V'), "{fed:?}");
    }

    #[test]
    fn a_device_that_takes_no_deadline_is_no_watchdog_and_made_no_reset() {
        let opened = Watchdog::open(Path::new("/dev/null"), Duration::from_secs(40));
        assert!(opened.is_err(), "{opened:?}");
        let watchdog = Watchdog { device: tempfile::tempfile().expect("a file") };
        assert_eq!(watchdog.last_reset(), LastReset::Other);
    }

    /// The numbers are those of `include/uapi/linux/watchdog.h`, spelt out by `_IOR` and `_IOWR`.
    #[test]
    fn the_kernel_is_asked_by_its_own_numbers() {
        assert_eq!((GET_BOOT_STATUS, SET_TIMEOUT), (0x8004_5702, 0xc004_5706));
        assert_eq!(CARD_RESET, 0x20);
    }
}
