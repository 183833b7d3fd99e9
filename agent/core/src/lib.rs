//! Everything the node decides, and nothing it does.
//!
//! ```text
//!   outside ──Event (past tense)──▶ Machine::turn ──Action (imperative)──▶ outside
//!                                     │
//!                                     ▼ save first
//!                                   ledger entry
//! ```
//!
//! Always true: no clock, no randomness, no file, no socket and no allocator in this crate, so the
//! same event takes the same node to the same place, on the node and in every test.
#![no_std]
#![allow(clippy::large_enum_variant, reason = "there is no allocator to box with")]

pub mod boot_env;
mod cause;
mod event;
pub mod gate;
pub mod ledger;
mod machine;
mod names;
mod node;
pub mod pod;
pub mod probe;
mod update;
mod version;
pub mod watchdog;
pub mod window;

pub use cause::{Cause, Failure, Text, text};
pub use event::{
    Action, Assigned, At, Boot, Event, Inspected, Offer, OtherSlot, Port, Sizes, StagedSet,
    ThisSlot, Verdict,
};
pub use machine::{Machine, Turn};
pub use names::{Begun, Bundle, Digest, Name, SetId, Slot, Source, Trial, VerifiedBundle, Why};
pub use node::{Committed, Ending, Node, Outcome, Pending, Policy, Refusal};
pub use update::Update;
pub use version::Version;
