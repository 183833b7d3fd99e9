//! The promises that need no mounts and no root; `tests/pod_contract.rs` has the others.

mod groups;
mod paths;
mod trees;

use super::*;
use std::fs;
use tempfile::{TempDir, tempdir};

fn folder_of_test() -> TempDir {
    tempdir().expect("the temporary directory is writable")
}

fn permissions(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt;
    fs::symlink_metadata(path).expect("it is there").permissions().mode() & 0o7777
}
