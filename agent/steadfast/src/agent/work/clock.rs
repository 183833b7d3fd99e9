//! Now, by both clocks: pauses are counted by the one that only goes forward, and containerd tells the other.

use std::time::SystemTime;
use steadfast_core::gate::Millis;

/// One moment.
#[derive(Clone, Copy, Debug)]
pub(super) struct Now {
    /// Milliseconds since the kernel started.
    pub(super) boot_ms: Millis,
    /// By the node's clock.
    pub(super) wall: SystemTime,
}

impl Now {
    pub(super) fn read() -> Now {
        let boot = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
        let seconds = u64::try_from(boot.tv_sec).unwrap_or(0);
        let millis = u64::try_from(boot.tv_nsec / 1_000_000).unwrap_or(0);
        Now { boot_ms: seconds * 1000 + millis, wall: SystemTime::now() }
    }

    /// When that was, in milliseconds since the kernel started. What the clock calls the future, because it was set
    /// back since, is now; what was before the start of the kernel is its start.
    pub(super) fn boot_ms_of(&self, then: SystemTime) -> Millis {
        let ago = self.wall.duration_since(then).unwrap_or_default();
        self.boot_ms.saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX))
    }

    /// When that will be, in seconds since 1970 by the node's clock.
    pub(super) fn unix_s_of(&self, boot_ms: Millis) -> u64 {
        let now = self.wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        now.as_secs() + boot_ms.saturating_sub(self.boot_ms).div_ceil(1000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const NOW: Duration = Duration::from_secs(1_000_000);

    fn now() -> Now {
        Now { boot_ms: 50_000, wall: SystemTime::UNIX_EPOCH + NOW }
    }

    #[test]
    fn a_moment_of_the_nodes_clock_is_one_of_the_boots() {
        let before = |seconds| now().wall - Duration::from_secs(seconds);
        assert_eq!(now().boot_ms_of(before(20)), 30_000);
        assert_eq!(now().boot_ms_of(before(60)), 0, "before this boot");
        assert_eq!(now().boot_ms_of(now().wall + NOW), 50_000, "the clock was set back");
    }

    #[test]
    fn a_moment_to_come_is_told_by_the_nodes_clock() {
        assert_eq!(now().unix_s_of(70_500), 1_000_021);
        assert_eq!(now().unix_s_of(1), 1_000_000);
    }
}
