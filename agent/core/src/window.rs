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

    /// Whether it is open at this time, in seconds since 1970-01-01 UTC.
    pub fn is_open(self, unix_s: u64) -> bool {
        let now = (unix_s / 60) % u64::from(DAY);
        let (from, until) = (u64::from(self.from), u64::from(self.until));
        match from < until {
            true => from <= now && now < until,
            false => now >= from || now < until,
        }
    }
}

fn minute(text: &str) -> Option<u16> {
    let (hours, minutes) = text.trim().split_once(':')?;
    let (hours, minutes): (u16, u16) = (hours.parse().ok()?, minutes.parse().ok()?);
    (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_over_midnight_is_open_on_both_sides_of_it() {
        let window = Window::parse("22:30-04:00").expect("valid");
        let at = |hours: u64, minutes: u64| window.is_open((hours * 60 + minutes) * 60);
        assert_eq!(
            [at(22, 29), at(22, 30), at(0, 0), at(3, 59), at(4, 0)],
            [false, true, true, true, false]
        );
    }

    #[test]
    fn what_is_not_a_window_is_refused() {
        for text in ["", "1-2", "25:00-01:00", "01:60-02:00", "01:00"] {
            assert_eq!(Window::parse(text), None, "{text}");
        }
    }
}
