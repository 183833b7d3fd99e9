//! A signature beside a set: another archive with the same set, under the same name.

use super::error::SetError;
use super::keys::{Keyring, SigningKey};
use super::oci::{EMPTY, Index, MANIFEST, SIGNATURE, SIGNATURE_FILE};
use super::read::{Demands, MAX_ROOTS, Opened, WorkloadSet, read};
use super::signature::{Standing, signed};
use super::write::Contents;
use crate::manifest::Policy;
use std::path::Path;

/// What became of a set that was to be signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Signed {
    /// There is one signature more.
    Now(WorkloadSet),
    /// The key had signed it before, and nothing was written.
    Before(WorkloadSet),
}

/// Signs a set that is whole. Signatures that it has stay.
pub fn sign(archive: &Path, key: &SigningKey) -> Result<Signed, SetError> {
    let policy = Policy::whole_node();
    let demands = Demands { keyring: None, architecture: None, policy: &policy };
    let opened = Opened::open(archive)?;
    let (set, blobs) = opened.read(demands)?;
    let keyring = Keyring::only(key);
    let own = Demands { keyring: Some(&keyring), ..demands };
    if set.signatures.iter().any(|signature| signature.key == key.id()) {
        // One that does not hold is refused here, and not covered up by another.
        return opened.read(own).map(|(set, _)| Signed::Before(of_one(set)));
    }
    if opened.signatures.len() + 2 > MAX_ROOTS {
        return Err(SetError::Crowded(opened.signatures.len() + 2));
    }
    let mut contents = Contents::default();
    blobs.into_iter().for_each(|blob| contents.blob(&opened.layout, blob));
    let (payload, manifest) = signed(&opened.set, key);
    contents.document(EMPTY, b"{}".to_vec());
    contents.document(SIGNATURE_FILE, payload);
    let new = contents.document(MANIFEST, manifest).artifact(SIGNATURE);
    let known = opened.signatures.iter().map(|(at, _)| at.clone());
    let mut signatures: Vec<_> = known.chain([new]).collect();
    signatures.sort_by_key(|signature| signature.digest.0);
    let roots = std::iter::once(opened.set.clone()).chain(signatures).collect();
    let part = contents.write(&Index::new(roots), archive)?;
    let set = of_one(read(part.path(), own)?);
    part.keep()?;
    Ok(Signed::Now(set))
}

/// Only the signature of the one key was looked at: whether the others hold is not asked here.
fn of_one(mut set: WorkloadSet) -> WorkloadSet {
    for signature in &mut set.signatures {
        if signature.standing == Standing::Stranger {
            signature.standing = Standing::NotLookedAt;
        }
    }
    set
}
