//! Which record of the kernel the ledger tells of already, although its words could not be kept yet.
//!
//! ```text
//! told ──▶ 0123…ef-89abcdef01234567      the boot that told of it, and which record it is
//! ```
//!
//! Always true: after a cut the link is the old one or the new one; a full disk takes it, for a link that is
//! so short lies in no block of its own. Why: a record that stays in the kernel's store is found by each boot
//! after it, and none of them is to be blamed for it.

use super::written;
use crate::ledger_file::sha256;
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::UNIX_EPOCH;

/// A record that was told of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told {
    /// The kernel's id of the boot that told of it.
    pub boot: [u8; 16],
    /// The first bytes of the record's digest, in hexadecimal digits.
    pub record: String,
}

impl Told {
    pub fn read(link: &Path) -> Option<Told> {
        let link = fs::read_link(link).ok()?;
        let (boot, record) = link.to_str()?.split_once('-')?;
        let number = (boot.len() == 32).then(|| u128::from_str_radix(boot, 16).ok())?;
        Some(Told { boot: number?.to_be_bytes(), record: record.to_owned() })
    }

    pub fn write(&self, link: &Path) -> io::Result<()> {
        let boot = u128::from_be_bytes(self.boot);
        let making = link.with_extension("new");
        forget(&making)?;
        symlink(format!("{boot:032x}-{}", self.record), &making)?;
        fs::rename(&making, link)?;
        link.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
    }
}

/// Removes the link.
pub(super) fn forget(link: &Path) -> io::Result<()> {
    match fs::remove_file(link) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Which record this is: two that say the same were written at two times.
pub(super) fn name_of(path: &Path, record: &[u8]) -> String {
    let time = written(path).duration_since(UNIX_EPOCH).unwrap_or_default().as_nanos();
    let digest = sha256(&[&time.to_be_bytes(), record].concat());
    digest.0[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
