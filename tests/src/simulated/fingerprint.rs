//! Which worlds are the same: the walk visits each once.

use super::world::{Kept, Power, World, failed};
use std::hash::{Hash, Hasher};
use steadfast_core::{Cause, Failure, Node, Update};

impl World {
    /// Two worlds with the same fingerprint have the same future. What no decision reads is left out.
    pub fn fingerprint(&self) -> u128 {
        let mut hasher = Mixer::default();
        let disk = &self.disk;
        (self.cuts, self.faults, &self.seen, &disk.slots).hash(&mut hasher);
        (disk.evidence, disk.data, disk.records, disk.archives).hash(&mut hasher);
        // The older copy is never read again: only whether both are valid is.
        let env = disk.boot_env().env;
        let both = disk.copies.iter().all(Option::is_some);
        (&env.order, env.left, env.rearms, both).hash(&mut hasher);
        let ledger = disk.ledger();
        ledger.map(|saved| saved.print).hash(&mut hasher);
        match &self.power {
            Power::Off => 7.hash(&mut hasher),
            // What runs is what was saved; in memory it is more than that.
            Power::On(running) => match &running.kept {
                Kept::Data => 8.hash(&mut hasher),
                Kept::Memory { first, follows } => {
                    let first = first.as_ref().map(|first| first.print);
                    let boot = ledger.map(|saved| saved.node.boot == running.saved.node.boot);
                    (9, running.saved.print, first, follows, boot).hash(&mut hasher);
                }
            },
        }
        hasher.print()
    }
}

/// A hasher that is quick: the walk hashes millions of worlds, and nobody chooses them to collide.
pub(super) struct Mixer([u64; 2]);

impl Default for Mixer {
    fn default() -> Mixer {
        Mixer([1, 2])
    }
}

impl Mixer {
    /// Both lanes.
    pub fn print(&self) -> u128 {
        u128::from(Mixer::end(self.0[0])) << 64 | u128::from(Mixer::end(self.0[1]))
    }

    fn mix(&mut self, word: u64, length: u64) {
        let [one, two] = &mut self.0;
        *one = (*one ^ word).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(31) ^ length;
        *two = (*two ^ word).wrapping_mul(0xd6e8_feb8_6659_fd93).rotate_left(29) ^ length;
    }

    fn end(lane: u64) -> u64 {
        (lane ^ (lane >> 32)).wrapping_mul(0xd6e8_feb8_6659_fd93)
    }
}

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.mix(u64::from_le_bytes(word), chunk.len() as u64);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.mix(byte.into(), 1);
    }

    fn write_usize(&mut self, number: usize) {
        self.mix(number as u64, 8);
    }

    fn finish(&self) -> u64 {
        Mixer::end(self.0[0])
    }
}

/// The node without what no decision reads.
pub(super) fn essence(mut node: Node) -> Node {
    let same = |failure: &mut Failure| {
        let blames = failure.cause.blames_release();
        let write = failure.cause == Cause::Write;
        failure.cause = match (blames, write) {
            (true, _) => Cause::Deadline,
            (false, true) => Cause::Write,
            (false, false) => Cause::Power,
        };
        failure.evidence.clear();
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
