//! The simulated node, and what the tests of several crates share. The tests themselves lie one folder up, a file a
//! promise.

pub mod simulated;
