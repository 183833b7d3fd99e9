//! The facts of a board, read from `boards/<name>.toml` and checked before anybody relies on them.
//!
//! ```text
//!   boards/qemu-arm64.toml ── parse ── validate ──► Profile ──► image-build   (disk, boot script, units)
//!                                                         ├──► qemu          (machine, firmware, limits)
//!                                                         └──► the agent     (boot, slots, watchdog)
//! ```
//!
//! Always true: a [`Profile`] that exists has passed every check in `validate`, so no reader checks again;
//! an unknown key is an error; every error names the file, the key and the line.
//!
//! Why one file for three readers: a slot's name or a deadline that stands in two places will differ one day,
//! and that day the node does not boot.

mod error;
mod schema;
mod validate;

use std::path::Path;

pub use error::ProfileError;
pub use schema::{
    Arch, Boot, Chooser, Console, Disk, Kernel, Limits, Network, Profile, Qemu, Ramoops, Slot,
    Slots, UBoot, Watchdog,
};

/// The names of the boards in a folder, in their order.
pub fn boards(folder: &Path) -> Result<Vec<String>, ProfileError> {
    let read = |source| ProfileError::Read { path: folder.to_path_buf(), source };
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(read)? {
        let file = entry.map_err(read)?.file_name();
        names.extend(file.to_str().and_then(|file| file.strip_suffix(".toml")).map(str::to_owned));
    }
    names.sort();
    Ok(names)
}

/// Whether a folder has a board of this name; the error tells which it has.
pub fn known(folder: &Path, name: &str) -> Result<(), ProfileError> {
    let known = boards(folder)?;
    match known.iter().any(|board| board == name) {
        true => Ok(()),
        false => Err(ProfileError::Unknown { name: name.to_owned(), known: known.join(", ") }),
    }
}

impl Profile {
    /// The profile in the file at `path`.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, ProfileError> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path)
            .map_err(|source| ProfileError::Read { path: path.to_path_buf(), source })?;
        Self::parse_named(&text, &path.display().to_string())
    }

    /// The profile of the board `name` in a folder of boards, whose files are called after their boards.
    pub fn named(folder: &Path, name: &str) -> Result<Self, ProfileError> {
        known(folder, name)?;
        let path = folder.join(name).with_extension("toml");
        let profile = Self::load(&path)?;
        match profile.name == name {
            true => Ok(profile),
            false => Err(ProfileError::Misnamed { path, name: profile.name }),
        }
    }

    /// The profile in `text`; errors name the file `<profile>`.
    pub fn parse(text: &str) -> Result<Self, ProfileError> {
        Self::parse_named(text, "<profile>")
    }

    fn parse_named(text: &str, file: &str) -> Result<Self, ProfileError> {
        let profile: Self =
            toml::from_str(text).map_err(|source| ProfileError::syntax(file, text, &source))?;
        match validate::first_fault(&profile) {
            None => Ok(profile),
            Some(fault) => Err(ProfileError::fault(file, text, fault)),
        }
    }
}
