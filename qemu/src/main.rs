//! The lab: boots the real image in QEMU, drives it, and judges what it did.
//!
//! `cargo lab`, `cargo demo` and `cargo verify` all start here.

mod places;
mod setup;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// Boots the real image in QEMU, drives it, and judges what it did.
#[derive(Debug, Parser)]
#[command(name = "cargo lab", disable_help_subcommand = true)]
struct Cli {
    #[command(subcommand)]
    command: Call,
}

#[derive(Debug, Subcommand)]
enum Call {
    /// Install what this machine lacks, after asking.
    Setup {
        /// Do not ask.
        #[arg(long)]
        yes: bool,
    },
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Call::Setup { yes } => setup::run(setup::Consent::from_flag(yes)).map(|changed| {
            if !changed {
                println!("The machine has all it needs.");
            }
        }),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error    {error:#}");
            ExitCode::FAILURE
        }
    }
}
