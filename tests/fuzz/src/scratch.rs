//! A folder for what is read from files only.

use std::path::{Path, PathBuf};

/// A folder of this process, below the place for temporary files; whoever started the target removes it.
#[derive(Debug)]
pub struct Scratch(PathBuf);

impl Scratch {
    /// An empty folder of this name.
    pub fn folder(name: &str) -> Scratch {
        let own = format!("steadfast-fuzz-{}", std::process::id());
        let folder = std::env::temp_dir().join(own).join(name);
        let scratch = Scratch(folder);
        scratch.empty();
        scratch
    }

    /// Removes everything in it.
    pub fn empty(&self) {
        let _ = std::fs::remove_dir_all(&self.0);
        std::fs::create_dir_all(&self.0).expect("temporary files can be made");
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Writes one file and says where it is.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, bytes).expect("temporary files can be written");
        path
    }
}
