//! A signature of a set: what is signed, what is written down, and what it is worth.
//!
//! What is signed is two lines: the purpose, and the digest of the set index. A key that signs other things elsewhere
//! signs nothing there that begins with this purpose.

use super::SetError;
use super::keys::{KeyId, Keyring, SigningKey};
use super::layout::Layout;
use super::oci::{Descriptor, Manifest, SIGNATURE, SIGNATURE_FILE, json, sha256};
use serde::{Deserialize, Serialize};
use steadfast_core::Digest;

/// The first line of what is signed.
pub(super) const PURPOSE: &str = "steadfast workload set v1";

/// What a signature is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// A key of the keyring made it.
    Holds,
    /// It names a key that the keyring does not have; whether that key made it is not known.
    Stranger,
    /// There was no keyring, so it is not known who made it.
    NotLookedAt,
}

/// A signature, and what it is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Signature {
    /// The key that it names.
    pub key: KeyId,
    /// What it is worth.
    pub standing: Standing,
}

/// What is written down.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Payload {
    purpose: String,
    #[serde(with = "sha256")]
    set: Digest,
    key: KeyId,
    /// 128 hexadecimal digits.
    signature: String,
}

fn message(set: &Digest) -> Vec<u8> {
    format!("{PURPOSE}\nsha256:{set}\n").into_bytes()
}

/// The payload, and the manifest that makes it a referrer of the set index.
pub(super) fn signed(set: &Descriptor, key: &SigningKey) -> (Vec<u8>, Vec<u8>) {
    let signature = key.sign(&message(&set.digest));
    let signature = signature.iter().map(|byte| format!("{byte:02x}")).collect();
    let purpose = PURPOSE.to_owned();
    let payload = json(&Payload { purpose, set: set.digest, key: key.id(), signature });
    let layer = Descriptor::of(SIGNATURE_FILE, &payload);
    let subject = Descriptor { annotations: Default::default(), ..set.clone() };
    let manifest = Manifest {
        subject: Some(Descriptor { artifact_type: None, ..subject }),
        ..Manifest::artifact(SIGNATURE, vec![layer])
    };
    (payload, json(&manifest))
}

/// Looks at one signature. One of a key of the keyring that does not hold is refused; so is one of another set.
pub(super) fn checked(
    layout: &Layout,
    set: &Digest,
    (at, manifest): (&Descriptor, &Manifest),
    keyring: Option<&Keyring>,
) -> Result<Signature, SetError> {
    let other = |signed| SetError::OtherSet { signature: at.digest, signed };
    let subject = manifest.subject.as_ref().map(|subject| subject.digest);
    if subject != Some(*set) {
        return Err(other(subject));
    }
    let [layer] = manifest.layers.as_slice() else {
        return Err(SetError::shape(at, "a signature has one layer"));
    };
    if layer.media_type != SIGNATURE_FILE {
        return Err(SetError::shape(at, "its layer is of another kind"));
    }
    let Payload { purpose, set: signed, key, signature } = layout.json(layer)?;
    if purpose != PURPOSE {
        return Err(SetError::Purpose(purpose));
    }
    if signed != *set {
        return Err(other(Some(signed)));
    }
    let bytes = bytes(&signature).ok_or_else(|| SetError::shape(at, "it has no signature"))?;
    let vouches = keyring.map(|keyring| keyring.vouches(key, &message(set), &bytes));
    let standing = match vouches {
        None => Standing::NotLookedAt,
        Some(None) => Standing::Stranger,
        Some(Some(true)) => Standing::Holds,
        Some(Some(false)) => return Err(SetError::Forged(key)),
    };
    Ok(Signature { key, standing })
}

/// 64 bytes from as many pairs of digits.
fn bytes(hex: &str) -> Option<[u8; 64]> {
    let half = |range| hex.get(range).and_then(Digest::from_hex);
    let (left, right) = (half(0..64)?, half(64..hex.len())?);
    [left.0, right.0].concat().try_into().ok()
}
