//! Times as people read them: how long ago, or the date in UTC.
//!
//! A node without a battery starts in 1970, so a time before this program was written is no time.

/// 2025-01-01: no clock that was set says less.
const PLAUSIBLE: u64 = 1_735_689_600;

const DAY: u64 = 24 * 60 * 60;

/// How long before `now` this was, unless one of the two is not to be believed.
pub(super) fn age(then: u64, now: u64) -> Option<String> {
    if then < PLAUSIBLE {
        return None;
    }
    let seconds = now.checked_sub(then)?;
    let (count, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..DAY => (seconds / 3600, "hour"),
        _ => (seconds / DAY, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    Some(format!("{count} {unit}{plural} ago"))
}

/// The date and time in UTC; of a clock that was not set, the time since the kernel started.
pub(super) fn stamp(unix_s: u64, boot_s: Option<f64>) -> String {
    match boot_s {
        Some(boot_s) if unix_s < PLAUSIBLE => format!("start + {boot_s:.1} s"),
        _ => utc(unix_s),
    }
}

/// `2026-11-22 10:54:01`, by the civil calendar (Howard Hinnant, `civil_from_days`).
fn utc(unix_s: u64) -> String {
    let (days, second) = (unix_s / DAY, unix_s % DAY);
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month + 2) / 5 + 1;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_has_one_unit() {
        let now = 1_800_000_000;
        let ages = [0, 1, 59, 60, 3599, 7200, DAY - 1, DAY, 3 * DAY + 5];
        let ages = ages.map(|age_s| age(now - age_s, now).expect("plausible"));
        assert_eq!(
            ages,
            [
                "0 seconds ago",
                "1 second ago",
                "59 seconds ago",
                "1 minute ago",
                "59 minutes ago",
                "2 hours ago",
                "23 hours ago",
                "1 day ago",
                "3 days ago"
            ]
        );
    }

    #[test]
    fn a_clock_that_was_not_set_tells_no_age() {
        assert_eq!(age(12, 1_800_000_000), None);
        assert_eq!(age(1_800_000_000, 1_799_999_999), None);
    }

    #[test]
    fn dates_are_right_around_leap_days() {
        for (unix_s, date) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_400, "2000-02-29 00:00:00"),
            (1_709_251_199, "2024-02-29 23:59:59"),
            (1_709_251_200, "2024-03-01 00:00:00"),
            (1_795_344_841, "2026-11-22 10:54:01"),
            (4_107_542_400, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(utc(unix_s), date);
        }
    }

    #[test]
    fn a_clock_that_was_not_set_gives_the_time_since_the_start() {
        assert_eq!(stamp(12, Some(12.34)), "start + 12.3 s");
        assert_eq!(stamp(12, None), "1970-01-01 00:00:12");
        assert_eq!(stamp(1_795_344_841, Some(12.34)), "2026-11-22 10:54:01");
    }
}
