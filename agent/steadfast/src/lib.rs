//! The Steadfast agent and its tool: one static binary, whose first word says which.
//!
//! ```text
//! steadfast agent ───────▶ agent        the daemon
//! steadfast boot-state ──▶ boot_state   RAUC's boot backend
//! steadfast keep-journal ▶ keep_journal the journal's end, on /data
//! steadfast set, logs … ─▶ tool         workload sets, logs, the manual; needs no daemon
//! steadfast … ───────────▶ tool ──protocol──▶ the daemon
//! ```

pub mod agent;
pub mod boot_state;
pub mod cli;
pub mod keep_journal;
pub mod protocol;
pub mod tool;
