//! A whole node in memory: two slots, a boot loader with attempt counters, the boot environment, the ledger, and a plug
//! that can be pulled at every effect.
//!
//! ```text
//! World ──steps()──▶ every World that could come next        (world, ports)
//!   Disk  slots, boot environment, ledger, evidence           (disk)
//!   an entry of the ledger, and the proof of its bytes        (saved)
//!   the boot script's choice                                  (loader)
//!   how machine and agent end and start, one turn of the loop (agent)
//!   what the ports do when they are given an order            (ports)
//!   workload sets: staged, assigned to a slot, removed        (sets)
//!   what must hold                                            (promises)
//!   Plug  which effect the power is lost at, and how it tears (plug)
//! every World reached, each once, and the way to it           (story)
//! ```
//!
//! The update machine, the boot environment's codec and the ledger's codec are the real ones of the core. The boot
//! script is told again in [`loader`]; `cargo lab run boot-environment` holds the real one against the same promises.

mod agent;
pub mod disk;
mod fingerprint;
pub mod loader;
pub mod plug;
mod ports;
mod promises;
mod saved;
mod sets;
pub mod story;
pub mod world;
