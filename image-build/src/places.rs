//! Where things are on the host: the source tree, the cache, the throwaway authority.

use std::env;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

/// The folder of this crate: templates, overlays, package lists.
pub(crate) fn own() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR")
        .filter(|value| Path::new(value).join("appliance.toml").exists())
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from)
}

/// The root of the source tree.
pub(crate) fn workspace() -> PathBuf {
    let own = own();
    own.parent().map_or_else(|| own.clone(), PathBuf::from)
}

/// The boards of the tree.
pub(crate) fn boards() -> PathBuf {
    workspace().join("hw-profiles/boards")
}

/// The user's cache folder; safe to remove at any time.
pub(crate) fn cache() -> PathBuf {
    base("XDG_CACHE_HOME", ".cache").join("steadfast")
}

/// The throwaway authority's folder, outside of the tree and of the cache.
pub(crate) fn dev_authority() -> PathBuf {
    base("XDG_DATA_HOME", ".local/share").join("steadfast/dev-ca")
}

fn base(variable: &str, below_home: &str) -> PathBuf {
    env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from).unwrap_or_else(
        || {
            env::var_os("HOME")
                .map_or_else(|| PathBuf::from("/root"), PathBuf::from)
                .join(below_home)
        },
    )
}

/// Takes "there is no such file" for a removal that succeeded.
pub(crate) fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        removed => removed,
    }
}

/// Holds `folder` for this process until the value is dropped; another process waits.
pub(crate) fn hold(folder: &Path) -> Result<File> {
    fs::create_dir_all(folder).with_context(|| format!("{} was not made", folder.display()))?;
    let path = folder.join(".lock");
    let file = File::create(&path).with_context(|| format!("{} was not made", path.display()))?;
    file.lock().with_context(|| format!("{} was not locked", path.display()))?;
    Ok(file)
}

/// A folder that is removed with everything in it when the value is dropped.
pub(crate) struct Scratch(PathBuf);

impl Scratch {
    /// A new, empty folder in the cache, for this process alone.
    pub(crate) fn named(what: &str) -> Result<Self> {
        let path = cache().join("work").join(format!("{what}-{}", std::process::id()));
        gone(fs::remove_dir_all(&path))?;
        fs::create_dir_all(&path).with_context(|| format!("{} was not made", path.display()))?;
        Ok(Self(path))
    }

    /// A new, empty folder for the test `name`.
    #[cfg(test)]
    pub(crate) fn of_test(name: &str) -> Self {
        let path = env::temp_dir().join(format!("image-{name}-{}", std::process::id()));
        fs::create_dir_all(&path).expect("the temporary folder can be made");
        Self(path)
    }

    pub(crate) fn join(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // What stays behind is in the cache, which may be removed at any time.
        drop(fs::remove_dir_all(&self.0));
    }
}
