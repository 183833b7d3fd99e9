//! Which worlds are the same: the walk visits each once.

use super::world::{Power, World, failed};
use std::hash::{Hash, Hasher};
use steadfast_core::{Cause, Failure, Node, Update};

impl World {
    /// Two worlds with the same fingerprint have the same future. What no decision reads is left out.
    pub fn fingerprint(&self) -> u128 {
        let node = self.disk.resume().map(|last| essence(last.entry.next.clone()));
        let half = |salt: u64| {
            let mut hasher = Mixer(salt);
            (self.cuts, &self.seen, &self.disk.slots).hash(&mut hasher);
            // The older copy is never read again: only whether both are valid is.
            let env = self.disk.boot_env().env;
            let both = self.disk.copies.iter().all(Option::is_some);
            (&env.order, env.left, env.rearms, both).hash(&mut hasher);
            node.hash(&mut hasher);
            match &self.power {
                Power::Off(cause) => cause.is_some().hash(&mut hasher),
                // What runs is what was saved.
                Power::On(_) => 7.hash(&mut hasher),
            }
            u128::from(hasher.finish())
        };
        half(1) << 64 | half(2)
    }
}

/// A hasher that is quick: the walk hashes millions of worlds, and nobody chooses them to collide.
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            let mixed = (self.0 ^ u64::from_le_bytes(word)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            self.0 = mixed.rotate_left(31) ^ chunk.len() as u64;
        }
    }

    fn finish(&self) -> u64 {
        (self.0 ^ (self.0 >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93)
    }
}

/// The node without what no decision reads.
fn essence(mut node: Node) -> Node {
    let same = |failure: &mut Failure| {
        let blames = failure.cause.blames_release();
        let write = failure.cause == Cause::Write;
        failure.cause = match (blames, write) {
            (true, _) => Cause::Deadline,
            (false, true) => Cause::Write,
            (false, false) => Cause::Power,
        };
    };
    match &mut node.update {
        Update::Condemning { failure, .. } | Update::Returning { failure, .. } => same(failure),
        _ => {}
    }
    if let Some(doubt) = &mut node.doubt {
        *doubt = failed(Cause::Deadline);
    }
    node.last = None;
    node.endings = 0;
    node.boot = [0; 16];
    node.refused.sort_unstable_by_key(|digest| digest.0);
    node
}
