//! What translates between the core and the node's neighbours: one module a neighbour.
//!
//! Always true: nothing here decides. A port carries out one order and says what came of it; an `if`
//! that chooses what the node does belongs in `steadfast-core`.

pub mod boot_store;
mod bus;
pub mod checks;
pub mod containerd;
pub mod downloads;
pub mod evidence;
pub mod fetch;
pub mod http;
pub mod ledger_file;
pub mod manifest;
pub mod pod_files;
pub mod pod_log;
pub mod pod_probe;
pub mod pod_spec;
pub mod rauc;
pub mod service_manager;
pub mod set_store;
pub mod system;
pub mod watchdog;
pub mod workload_set;

/// An error and its sources on one line, as it is logged where it stops.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
