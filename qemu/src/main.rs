//! The lab: boots the real image in QEMU, drives it, and judges what it did.
//!
//! ```text
//! cargo lab | demo | verify ─► setup ─► build ─► Lab ─► Stage (Guest + Server) ─► story ─► report
//!                                                        Guest = Machine (QMP) + Console + Shell
//!                                         powercut = story, with a record of every write ─► judge each cut
//! ```
//!
//! The lab knows no board: the hardware profile says how to emulate one.

mod build;
mod cli;
mod console;
mod demo;
mod disks;
mod fuzz;
mod guest;
mod lab;
mod machine;
mod marker;
mod measure;
mod places;
mod pod_image;
mod pods;
mod powercut;
mod qmp;
mod report;
mod scenario;
mod server;
mod setup;
mod shell;
mod status;
mod steps;
mod timeline;
mod variant;
mod verify;
mod work;

use std::process::ExitCode;

fn main() -> ExitCode {
    match cli::run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error    {error:#}");
            ExitCode::FAILURE
        }
    }
}
