//! SHA-256 of files and texts, as lower-case hex.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result};
use ring::digest::{Context as Hash, SHA256};

/// The digest of a file's bytes.
pub(crate) fn of_file(path: &Path) -> Result<String> {
    let mut file =
        File::open(path).with_context(|| format!("{} was not opened", path.display()))?;
    let mut hash = Hash::new(&SHA256);
    let mut buffer = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(hex(hash.finish().as_ref()));
        }
        hash.update(&buffer[..read]);
    }
}

/// The digest of a text.
pub(crate) fn of_text(text: &str) -> String {
    hex(ring::digest::digest(&SHA256, text.as_bytes()).as_ref())
}

/// A version-8 UUID made from a text: the same text always gives the same one.
pub(crate) fn uuid(text: &str) -> String {
    let d = of_text(text);
    format!("{}-{}-8{}-a{}-{}", &d[..8], &d[8..12], &d[13..16], &d[17..20], &d[20..32])
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_standard_one() {
        let known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(of_text("abc"), known);
    }

    #[test]
    fn a_uuid_is_a_function_of_its_text() {
        assert_eq!(uuid("abc"), "ba7816bf-8f01-8fea-a141-40de5dae2223");
        assert_ne!(uuid("abc"), uuid("abd"));
    }
}
