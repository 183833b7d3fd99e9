//! Where things are on the host.

use std::env;
use std::path::PathBuf;

/// The root of the source tree.
pub(crate) fn workspace() -> PathBuf {
    let own = env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    own.parent().map_or_else(|| own.clone(), PathBuf::from)
}

/// The boards of the tree.
pub(crate) fn boards() -> PathBuf {
    workspace().join("hw-profiles/boards")
}

/// The user's cache folder for Steadfast; safe to remove at any time.
pub(crate) fn cache() -> PathBuf {
    let base = env::var_os("XDG_CACHE_HOME").filter(|value| !value.is_empty());
    base.map_or_else(|| home().join(".cache"), PathBuf::from).join("steadfast")
}

/// What the lab builds and keeps: releases, saved guests, logs.
pub(crate) fn lab() -> PathBuf {
    workspace().join("out/lab")
}

fn home() -> PathBuf {
    env::var_os("HOME").map_or_else(|| PathBuf::from("/root"), PathBuf::from)
}
