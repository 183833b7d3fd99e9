//! How long to wait before another attempt.

use std::time::Duration;

/// Doubling pauses, spread so that the nodes of a fleet do not all come back at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backoff {
    /// The pause before the second attempt is at most twice this.
    pub base: Duration,
    /// No pause is longer.
    pub cap: Duration,
    /// What tells this node and this boot from others: the kernel's boot id.
    pub seed: [u8; 16],
}

impl Backoff {
    /// A base of one second, and at most five minutes.
    pub fn new(seed: [u8; 16]) -> Backoff {
        Backoff { base: Duration::from_secs(1), cap: Duration::from_secs(300), seed }
    }

    /// The pause before this attempt: nothing before the first, then between the half and the whole
    /// of `base * 2^(attempt - 1)`.
    pub fn before(&self, attempt: u8) -> Duration {
        if attempt <= 1 {
            return Duration::ZERO;
        }
        let factor = 1u32.checked_shl(u32::from(attempt - 1)).unwrap_or(u32::MAX);
        let whole = self.base.saturating_mul(factor).min(self.cap);
        let half = whole / 2;
        half + half.mul_f64(f64::from(self.spread(attempt)) / f64::from(u32::MAX))
    }

    /// FNV-1a, 32 bits: the same seed and attempt always give the same number.
    fn spread(&self, attempt: u8) -> u32 {
        let bytes = self.seed.iter().chain([&attempt]);
        bytes.fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(*byte)).wrapping_mul(0x0100_0193))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_attempt_comes_at_once() {
        assert_eq!(Backoff::new([7; 16]).before(1), Duration::ZERO);
    }

    #[test]
    fn each_pause_is_between_half_and_all_of_twice_the_one_before_up_to_the_cap() {
        for seed in 0..=255 {
            let backoff = Backoff::new([seed; 16]);
            for attempt in 2..=255 {
                let whole = Duration::from_secs(1 << (attempt - 1).min(9)).min(backoff.cap);
                let pause = backoff.before(attempt);
                assert!(pause >= whole / 2 && pause <= whole, "attempt {attempt}: {pause:?}");
            }
        }
    }

    #[test]
    fn nodes_that_start_together_come_back_at_different_times() {
        let pauses: std::collections::BTreeSet<Duration> = (0..=255u8)
            .map(|node| {
                let mut seed = [0; 16];
                seed[3] = node;
                Backoff::new(seed).before(5)
            })
            .collect();
        assert!(pauses.len() > 250, "{} of 256 are different", pauses.len());
        let (first, last) = (pauses.first().expect("many"), pauses.last().expect("many"));
        assert!(*last - *first > Duration::from_secs(6), "{first:?} to {last:?} of 8 to 16 s");
    }
}
