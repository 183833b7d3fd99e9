//! What a server may send, byte by byte of all its answers together, as its mood has it.
//!
//! ```text
//! set_mood ─► mood, 0 bytes ─► turn(sent, wished) ─┬─ so many bytes now
//!      ▲                                           ├─ wait: held back, or too early
//!      └──────────── wakes whoever waits ──────────┴─ break off
//! ```
//!
//! Always true: a new mood counts from its first byte, and is heard at once by answers that wait.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// How the server behaves towards every request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Serves.
    Serve,
    /// Answers 503 to everything.
    Refuse,
    /// Sends so many bytes of each answer and then nothing, until the mood changes.
    StallAfter(u64),
    /// Sends so many bytes more, of all answers together, and then nothing, until the mood changes.
    HoldAfter(u64),
    /// Sends so many bytes more, of all answers together, breaks off the answer that wants more, and then holds
    /// back the others, until the mood changes.
    BreakAfter(u64),
    /// Sends no more than so many bytes a second, of all answers together, until it sent `bytes`, and then serves.
    Slow { rate: u64, bytes: u64 },
    /// Breaks off whatever is under way and takes no connection, as a server that is down.
    Away,
}

/// The mood and what was sent in it.
#[derive(Debug)]
pub(super) struct Pace {
    inside: Mutex<Inside>,
    changed: Condvar,
}

#[derive(Debug)]
struct Inside {
    mood: Mood,
    since: Instant,
    sent: u64,
    holds: bool,
    stopped: bool,
}

/// What an answer may do next.
#[derive(Debug, PartialEq, Eq)]
enum Turn {
    Send(u64),
    Wait,
    WaitFor(Duration),
    Break,
}

impl Pace {
    pub(super) fn new() -> Self {
        let (since, sent) = (Instant::now(), 0);
        let inside = Inside { mood: Mood::Serve, since, sent, holds: false, stopped: false };
        Self { inside: Mutex::new(inside), changed: Condvar::new() }
    }

    pub(super) fn mood(&self) -> Mood {
        self.lock().mood
    }

    pub(super) fn set(&self, mood: Mood) {
        let mut inside = self.lock();
        (inside.mood, inside.since, inside.sent, inside.holds) = (mood, Instant::now(), 0, false);
        self.changed.notify_all();
    }

    /// Lets everybody go who waits.
    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    pub(super) fn is_stopped(&self) -> bool {
        self.lock().stopped
    }

    /// Notes that somebody was turned away.
    pub(super) fn turned_away(&self) {
        self.lock().holds = true;
        self.changed.notify_all();
    }

    /// Waits until an answer is held back or somebody is turned away; whether that was within `limit`.
    pub(super) fn await_kept(&self, limit: Duration) -> bool {
        let waits = |inside: &mut Inside| !inside.holds;
        let waited = self.changed.wait_timeout_while(self.lock(), limit, waits);
        !waited.unwrap_or_else(PoisonError::into_inner).1.timed_out()
    }

    /// How many of the `wished` bytes may go now, after `sent` of this answer; waits for the first of them. `None`
    /// breaks the answer off.
    pub(super) fn turn(&self, sent: u64, wished: u64) -> Option<u64> {
        let mut inside = self.lock();
        loop {
            inside = match inside.turn(sent, wished, Instant::now()) {
                Turn::Send(bytes) => {
                    inside.sent += bytes;
                    return Some(bytes);
                }
                Turn::Break => return None,
                Turn::Wait => {
                    inside.holds = true;
                    self.changed.notify_all();
                    self.changed.wait(inside).unwrap_or_else(PoisonError::into_inner)
                }
                Turn::WaitFor(time) => {
                    let waited = self.changed.wait_timeout(inside, time);
                    waited.unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn turn(&mut self, sent: u64, wished: u64, now: Instant) -> Turn {
        if self.stopped {
            return Turn::Break;
        }
        let rest = |limit: u64, used: u64| wished.min(limit.saturating_sub(used));
        let left = match self.mood {
            Mood::Serve | Mood::Refuse => wished,
            Mood::Away => return Turn::Break,
            Mood::StallAfter(limit) => rest(limit, sent),
            Mood::HoldAfter(limit) => rest(limit, self.sent),
            Mood::BreakAfter(limit) => match rest(limit, self.sent) {
                0 => {
                    self.mood = Mood::HoldAfter(0);
                    return Turn::Break;
                }
                left => left,
            },
            Mood::Slow { bytes, .. } if self.sent >= bytes => wished,
            Mood::Slow { rate, .. } => {
                let due = Duration::from_secs_f64(self.sent as f64 / rate as f64);
                let early = due.saturating_sub(now.saturating_duration_since(self.since));
                if !early.is_zero() {
                    return Turn::WaitFor(early);
                }
                // A tenth of a second's worth at a time.
                wished.min((rate / 10).max(1))
            }
        };
        if left == 0 { Turn::Wait } else { Turn::Send(left) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn in_the_mood(mood: Mood) -> (Pace, Instant) {
        let pace = Pace::new();
        pace.set(mood);
        let since = pace.lock().since;
        (pace, since)
    }

    #[test]
    fn all_answers_together_get_what_is_held_back_after() {
        let (pace, _) = in_the_mood(Mood::HoldAfter(100));
        assert_eq!((pace.turn(0, 60), pace.turn(0, 60)), (Some(60), Some(40)));
        assert!(!pace.await_kept(Duration::ZERO));
        std::thread::scope(|threads| {
            let held = threads.spawn(|| pace.turn(40, 60));
            assert!(pace.await_kept(Duration::from_secs(20)));
            pace.set(Mood::Serve);
            assert_eq!(held.join().expect("it ends"), Some(60));
        });
        assert!(!pace.await_kept(Duration::ZERO), "nobody is held back any more");
    }

    #[test]
    fn an_answer_is_broken_off_once_and_the_next_is_held_back() {
        let (pace, _) = in_the_mood(Mood::BreakAfter(100));
        let turns = [(); 3].map(|()| pace.turn(0, 80));
        assert_eq!(turns, [Some(80), Some(20), None]);
        assert_eq!(pace.mood(), Mood::HoldAfter(0));
    }

    #[test]
    fn a_slow_server_sends_its_bytes_a_second_and_no_more_until_it_sent_enough() {
        let (pace, since) = in_the_mood(Mood::Slow { rate: 1000, bytes: 10_000 });
        let mut inside = pace.lock();
        let mut sent = 0;
        for tenth in 0..100 {
            let now = since + Duration::from_millis(100 * tenth);
            while let Turn::Send(bytes) = inside.turn(0, 80, now) {
                inside.sent += bytes;
                sent += bytes;
            }
            assert!(sent.abs_diff(100 * (tenth + 1)) <= 80, "{sent} after {tenth} tenths");
        }
        let now = since + Duration::from_secs(10);
        while inside.sent < 10_000 {
            assert_eq!(inside.turn(0, 80, now), Turn::Send(80));
            inside.sent += 80;
        }
        assert_eq!(inside.turn(0, 1 << 20, now), Turn::Send(1 << 20));
    }

    #[test]
    fn who_is_away_or_stopped_breaks_off() {
        let (pace, _) = in_the_mood(Mood::Away);
        assert_eq!(pace.turn(0, 1), None);
        pace.set(Mood::HoldAfter(0));
        pace.stop();
        assert_eq!(pace.turn(0, 1), None);
    }
}
