//! Keys: one that signs, and those that are trusted.
//!
//! ```text
//! BEGIN PRIVATE KEY ─▶ PKCS#8 (RFC 8410) ─▶ SigningKey        openssl genpkey -algorithm ed25519
//! BEGIN PUBLIC KEY  ─▶ SubjectPublicKeyInfo ─▶ Keyring        openssl pkey -pubout
//! ```
//!
//! Always true: a key is Ed25519 or refused; a keyring has no private key in it; no error says anything of a key.

use super::oci::sha256;
use crate::ledger_file;
use crate::manifest::base64;
use ring::signature::{ED25519, Ed25519KeyPair, KeyPair, UnparsedPublicKey};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use steadfast_core::Digest;

/// How long a file with keys may be, in bytes.
const MAX_FILE: u64 = 64 << 10;
/// What comes before the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410, section 4).
const SPKI: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

/// Why a file gives no keys.
#[derive(Debug, thiserror::Error)]
#[error("{} {what}", path.display())]
pub struct KeyError {
    /// The file.
    pub path: PathBuf,
    what: &'static str,
    /// Why, where the file system does not give it.
    source: Option<io::Error>,
}

/// A key by the SHA-256 of its SubjectPublicKeyInfo, as `openssl pkey -pubout -outform DER | sha256sum` shows it.
#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyId(#[serde(with = "sha256")] Digest);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

impl KeyId {
    fn of(key: &[u8]) -> KeyId {
        KeyId(ledger_file::sha256(&[&SPKI, key].concat()))
    }
}

/// The keys whose sets are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyring(Vec<[u8; 32]>);

impl Keyring {
    /// Reads a PEM file with one or more public keys. What stands between them is a comment.
    pub fn read(path: &Path) -> Result<Keyring, KeyError> {
        let refuse = |what| KeyError { path: path.to_owned(), what, source: None };
        let mut keys = Vec::new();
        for (label, der) in blocks(path)? {
            if label.ends_with("PRIVATE KEY") {
                return Err(refuse("has a private key in it: a keyring has public keys only"));
            }
            let key = der.strip_prefix(&SPKI).filter(|_| label == "PUBLIC KEY");
            let key = key.and_then(|key| key.try_into().ok());
            keys.push(key.ok_or_else(|| refuse("has a key that is no public Ed25519 key"))?);
        }
        match keys.is_empty() {
            true => Err(refuse("has no BEGIN PUBLIC KEY in it")),
            false => Ok(Keyring(keys)),
        }
    }

    /// The keyring in which this key alone is.
    pub(super) fn only(key: &SigningKey) -> Keyring {
        Keyring(key.public().try_into().into_iter().collect())
    }

    /// The keys in it.
    pub fn keys(&self) -> impl Iterator<Item = KeyId> {
        self.0.iter().map(|key| KeyId::of(key))
    }

    /// Whether the key signed this; nothing, when it is not in the keyring.
    pub(super) fn vouches(&self, id: KeyId, message: &[u8], signature: &[u8]) -> Option<bool> {
        let key = self.0.iter().find(|key| KeyId::of(*key) == id)?;
        Some(UnparsedPublicKey::new(&ED25519, key).verify(message, signature).is_ok())
    }
}

/// A key that signs.
pub struct SigningKey(Ed25519KeyPair);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SigningKey({:?})", self.id())
    }
}

impl SigningKey {
    /// Reads a PEM file with one private key.
    pub fn read(path: &Path) -> Result<SigningKey, KeyError> {
        let refuse = |what| KeyError { path: path.to_owned(), what, source: None };
        let mut blocks = blocks(path)?;
        let (Some((label, der)), true) = (blocks.pop(), blocks.is_empty()) else {
            return Err(refuse("has to have exactly one key in it"));
        };
        match label.as_str() {
            "PRIVATE KEY" => {}
            "ENCRYPTED PRIVATE KEY" => return Err(refuse("is encrypted: decrypt the key first")),
            _ => return Err(refuse("has no BEGIN PRIVATE KEY in it: a key in PKCS#8 is wanted")),
        }
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der);
        pair.map(SigningKey).map_err(|_| refuse("has a key that is no private Ed25519 key"))
    }

    pub(super) fn public(&self) -> &[u8] {
        self.0.public_key().as_ref()
    }

    /// The name of the key.
    pub fn id(&self) -> KeyId {
        KeyId::of(self.public())
    }

    /// 64 bytes; the same each time.
    pub(super) fn sign(&self, message: &[u8]) -> Vec<u8> {
        self.0.sign(message).as_ref().to_vec()
    }
}

type Block = (String, Vec<u8>);

/// The blocks of a PEM file (RFC 7468) with their labels.
fn blocks(path: &Path) -> Result<Vec<Block>, KeyError> {
    let fail = |what, source| KeyError { path: path.to_owned(), what, source };
    let mut text = String::new();
    let file = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text));
    file.map_err(|error| fail("cannot be read", Some(error)))?;
    if text.len() as u64 > MAX_FILE {
        return Err(fail("has more than 64 KiB, so it is no file with keys", None));
    }
    parse(&text).ok_or_else(|| fail("is no whole PEM file", None))
}

fn parse(text: &str) -> Option<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix("-----BEGIN ") else { continue };
        let label = label.strip_suffix("-----")?;
        let end = format!("-----END {label}-----");
        let mut inner = String::new();
        loop {
            match lines.next()? {
                line if line == end => break,
                line => inner.push_str(line),
            }
        }
        blocks.push((label.to_owned(), base64(&inner)?));
    }
    Some(blocks)
}

#[cfg(test)]
mod tests;
