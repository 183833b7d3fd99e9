//! The watchdog rule: it is fed only by a completed turn of the loop.
//!
//! Feeding proves that the node hears, decides and saves; a loop that is stuck in any of the three
//! does not make the proof, and the hardware resets the node.

use core::time::Duration;

/// The proof that the loop completed a turn. Only [`crate::Machine::turn`] makes one.
#[derive(Debug)]
pub struct TurnCompleted(());

impl TurnCompleted {
    pub(crate) fn new() -> TurnCompleted {
        TurnCompleted(())
    }
}

/// How often the loop must turn when nothing happens: a quarter of the deadline, at least once in
/// ten seconds and at most once a second, so that three turns may be late.
pub fn period(deadline: Duration) -> Duration {
    (deadline / 4).clamp(Duration::from_secs(1), Duration::from_secs(10))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_comes_at_least_three_times_within_a_deadline() {
        for seconds in 4..600 {
            let deadline = Duration::from_secs(seconds);
            assert!(period(deadline) * 3 < deadline, "{seconds}");
        }
    }
}
