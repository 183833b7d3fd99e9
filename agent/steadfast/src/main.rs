//! The one binary of a Steadfast node.

use std::process::ExitCode;

fn main() -> ExitCode {
    steadfast::cli::main()
}
