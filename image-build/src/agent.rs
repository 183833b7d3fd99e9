//! The one static program of the node: given, or built here for the board's processor.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use hw_profile::Arch;

use crate::host::Tool;
use crate::places;

/// The program to put into the image.
pub(crate) fn find(given: Option<&Path>, arch: Arch) -> Result<PathBuf> {
    if let Some(path) = given {
        ensure!(path.is_file(), "nothing was built: there is no agent at {}", path.display());
        return Ok(path.to_path_buf());
    }
    let target = arch.rust_target();
    eprintln!("building   the agent for {target}");
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    Tool::new(&cargo)
        .args(["build", "--quiet", "--release", "--package", "steadfast", "--target", target])
        .within(&places::workspace())
        .run_visibly()
        .context("the agent was not built")?;
    let folder = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| places::workspace().join("target"), PathBuf::from);
    Ok(folder.join(target).join("release/steadfast"))
}
