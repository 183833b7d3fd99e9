//! A node for the targets that resume one.

use steadfast_core::{Policy, Sizes};

/// A board's limits.
pub fn policy() -> Policy {
    Policy {
        compatible: "steadfast-qemu-arm64".try_into().expect("short"),
        room: Sizes { boot: 64 << 20, root: 512 << 20 },
        fetch_attempts: 2,
        restarts: 3,
        commit_attempts: 3,
    }
}
