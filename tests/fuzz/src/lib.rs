//! What every fuzz target stands on.
//!
//! ```text
//! libFuzzer ─► target ─► limited(data, judge) ─► the agent's own code ─► a promise holds, or a finding
//! ```
//!
//! Always true: a target judges by promises, not only by the absence of a panic; it writes nowhere but into its
//! [`Scratch`]; the same input is judged the same way.

mod bus;
mod frames;
mod memory;
mod node;
mod parts;
mod scratch;
mod script;

pub use bus::Bus;
pub use frames::{copy_of, with_checksums};
pub use memory::limited;
pub use node::policy;
pub use parts::{line_is_in, parts};
pub use scratch::Scratch;
pub use script::{Answer, DIGEST, Map, Script};
