//! The site's window: when a reboot is allowed.

use serde::{Deserialize, Serialize};

/// Minutes in a day.
const DAY: u16 = 24 * 60;

/// A daily span of time in which the node may reboot, in minutes since midnight UTC. A span whose
/// end is not after its start goes over midnight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// The first minute.
    pub from: u16,
    /// The minute after the last.
    pub until: u16,
}

impl Window {
    /// Reads `HH:MM-HH:MM`.
    pub fn parse(text: &str) -> Option<Window> {
        let (from, until) = text.split_once('-')?;
        Some(Window { from: minute(from)?, until: minute(until)? })
    }

    /// Whether it is open by this clock. By one that was not set it is closed: nobody knows which
    /// hour it is.
    pub fn is_open(self, clock: Clock) -> bool {
        if !clock.is_set() {
            return false;
        }
        let now = (clock.unix_s / 60) % u64::from(DAY);
        let (from, until) = (u64::from(self.from), u64::from(self.until));
        match from < until {
            true => from <= now && now < until,
            false => now >= from || now < until,
        }
    }
}

/// The node's clock, and the one thing that it can be held against.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Clock {
    /// What it shows, in seconds since 1970-01-01 UTC.
    pub unix_s: u64,
    /// How long the kernel has run, in seconds.
    pub up_s: u64,
    /// The newest file of the image that runs, in seconds since 1970. Without a battery or a network a
    /// node starts no later than that: in 1970, or when its systemd was built (systemd(1), "Clock
    /// epoch").
    pub image_unix_s: u64,
}

impl Clock {
    /// Whether somebody set it: by it, the kernel started more than a day after the image's newest
    /// file. A clock that is set while the node runs moves that start, too.
    pub fn is_set(self) -> bool {
        let started = self.unix_s.saturating_sub(self.up_s);
        started > self.image_unix_s + u64::from(DAY) * 60
    }
}

fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then(|| hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_over_midnight_is_open_on_both_sides_of_it() {
        let window = Window::parse("22:30-04:00").expect("valid");
        let day = 20_000 * 24 * 60 * 60;
        let at = |hours: u64, minutes: u64| {
            let unix_s = day + (hours * 60 + minutes) * 60;
            window.is_open(Clock { unix_s, up_s: 60, image_unix_s: 0 })
        };
        assert_eq!(
            [at(22, 29), at(22, 30), at(0, 0), at(3, 59), at(4, 0)],
            [false, true, true, true, false]
        );
    }

    #[test]
    fn a_window_within_a_day_is_open_from_its_first_minute_until_its_last() {
        let window = Window::parse("02:30-04:00").expect("valid");
        let at = |hours: u64, minutes: u64| {
            let unix_s = 20_000 * 24 * 60 * 60 + (hours * 60 + minutes) * 60;
            window.is_open(Clock { unix_s, up_s: 60, image_unix_s: 0 })
        };
        assert_eq!(
            [at(0, 0), at(2, 29), at(2, 30), at(3, 59), at(4, 0), at(23, 0)],
            [false, false, true, true, false, false]
        );
    }

    #[test]
    fn by_a_clock_that_was_not_set_no_window_is_open() {
        let always = Window::parse("00:00-00:00").expect("valid");
        let image_unix_s = 1_700_000_000;
        let open = |unix_s, up_s| always.is_open(Clock { unix_s, up_s, image_unix_s });
        let next_day = image_unix_s + 24 * 60 * 60;
        assert_eq!([open(0, 0), open(next_day, 0), open(next_day + 1, 0)], [false, false, true]);
        let year = 365 * 24 * 60 * 60;
        assert!(!open(image_unix_s + year, year), "it ran for a year and was never set");
    }

    #[test]
    fn what_is_not_a_window_is_refused() {
        for text in ["", "1-2", "24:00-01:00", "01:60-02:00", "01:00", "9999:00-01:00"] {
            assert_eq!(Window::parse(text), None, "{text}");
        }
    }
}
