//! How long one attempt at a download goes on over a link that breaks again and again.
//!
//! An attempt that brings nothing at all ends at once; whether there is another one, the core says. One that
//! brings bytes goes on as long as at least 64 KiB come in each lap of five minutes, and no ten connections in a
//! row bring nothing that did not come before. So it outlasts any number of short cuts, and it ends.

use std::time::Duration;
use tokio::time::Instant;

/// What has to come in a lap, in bytes: a slow mobile link (GPRS, some 3 kB/s) brings ten times as much.
pub const LAP_BYTES: u64 = 64 << 10;

/// How long a lap may take: a modem that dials in again, or a router that restarts, takes less.
pub const LAP_TIME: Duration = Duration::from_secs(300);

/// How many connections in a row may bring nothing new.
pub const DRY: u8 = 10;

/// What one attempt has brought.
#[derive(Debug)]
pub struct Patience {
    /// The longest that the download was: what comes again after a new beginning is not new.
    most: u64,
    /// How long it was when the attempt began.
    begun: u64,
    /// When the lap began, and what came in it.
    lap: (Instant, u64),
    /// How many connections in a row brought nothing new.
    dry: u8,
}

impl Patience {
    /// An attempt that goes on from this length.
    pub fn new(length: u64) -> Patience {
        Patience { most: length, begun: length, lap: (Instant::now(), 0), dry: 0 }
    }

    /// So many bytes came, and the download has this length now.
    pub fn saw(&mut self, bytes: u64, length: u64) {
        if length > self.most {
            (self.most, self.dry) = (length, 0);
        }
        self.lap.1 += bytes;
        if self.lap.1 >= LAP_BYTES {
            self.lap = (Instant::now(), 0);
        }
    }

    /// What came in a lap that is over, in bytes; nothing while it is not.
    pub fn too_little(&self) -> Option<u64> {
        (self.lap.0.elapsed() >= LAP_TIME).then_some(self.lap.1)
    }

    /// A connection has ended: how many in a row brought nothing new with it, and at most how long from now
    /// there may be another one; nothing when the attempt is over.
    pub fn again(&mut self) -> Option<(u8, Duration)> {
        let left = LAP_TIME.saturating_sub(self.lap.0.elapsed());
        self.dry = self.dry.saturating_add(1);
        let goes_on = self.most > self.begun && !left.is_zero() && self.dry <= DRY;
        goes_on.then_some((self.dry, left))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::advance;

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_brought_nothing_ends_with_its_first_connection() {
        assert_eq!(Patience::new(70).again(), None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_brings_enough_in_each_lap_goes_on() {
        let mut patience = Patience::new(0);
        for lap in 1..100 {
            advance(LAP_TIME - Duration::from_secs(1)).await;
            patience.saw(LAP_BYTES, lap * LAP_BYTES);
            assert_eq!(patience.again(), Some((1, LAP_TIME)), "{lap}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_attempt_that_brings_too_little_in_a_lap_ends() {
        let mut patience = Patience::new(0);
        patience.saw(LAP_BYTES - 1, LAP_BYTES - 1);
        assert_eq!(patience.again(), Some((1, LAP_TIME)));
        advance(LAP_TIME - Duration::from_secs(1)).await;
        assert_eq!(patience.again(), Some((2, Duration::from_secs(1))));
        assert_eq!(patience.too_little(), None);
        advance(Duration::from_secs(1)).await;
        assert_eq!((patience.again(), patience.too_little()), (None, Some(LAP_BYTES - 1)));
    }

    #[tokio::test(start_paused = true)]
    async fn what_comes_again_after_a_new_beginning_is_not_new() {
        let mut patience = Patience::new(0);
        patience.saw(10 * LAP_BYTES, 10 * LAP_BYTES);
        for dry in 1..=DRY {
            assert_eq!(patience.again(), Some((dry, LAP_TIME)));
            (1..=10).for_each(|part| patience.saw(LAP_BYTES, part * LAP_BYTES));
        }
        assert_eq!(patience.again(), None);
    }
}
