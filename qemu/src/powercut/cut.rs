//! What may be on a disk when its power goes: everything before the last flush, and some of what came after.
//!
//! ```text
//! write write FLUSH │ write write write ✂           a point lies behind an entry of the record
//! on the disk       │ in order: all of them
//!  for good         │ lost:     some of them, chosen by the seed
//!                   │ torn:     all, the last one only up to a sector chosen by the seed
//!                   │ spoilt:   torn, and the sector that was being written holds rubbish
//! ```
//!
//! A disk may write what it was not told to flush in any order (virtio 1.3, 5.2.6); a sector of 512 bytes is
//! written whole or not at all, as file systems take it for granted. Only where nothing may be taken for granted,
//! in the boot environment, is it spoilt. A write that ran beside a flush counts as flushed when the record has it
//! before.

use std::fmt;
use std::ops::Range;

use super::log::Entry;

/// Bytes that a disk writes whole or not at all, where a spoilt one is not looked for.
pub(super) const SECTOR: u64 = 512;

/// How the power goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// Everything up to the point is on the disk.
    InOrder,
    /// Some writes after the last flush are not.
    Lost,
    /// The last write is there in part.
    Torn,
    /// The last write is there in part, and its last sector is rubbish.
    Spoilt,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InOrder => "in order",
            Self::Lost => "with lost writes",
            Self::Torn => "torn",
            Self::Spoilt => "spoilt",
        })
    }
}

/// One way in which the power may go at a point.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Cut {
    /// After so many entries.
    pub(super) point: usize,
    /// How.
    pub(super) kind: Kind,
    /// So many entries are on the disk for good.
    pub(super) durable: usize,
    /// What is there of the others, in order.
    pub(super) pieces: Vec<Piece>,
}

/// The part of a write that reached the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Piece {
    /// Which entry.
    pub(super) entry: usize,
    /// How many bytes of it.
    pub(super) length: u64,
    /// What the last sector of them is.
    pub(super) end: End,
}

/// What the last sector of a piece holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum End {
    /// What was to be written.
    Whole,
    /// Rubbish.
    Spoilt,
}

/// How a disk behaves that loses its power.
#[derive(Debug, Clone)]
pub(super) struct Power {
    /// Chooses what is lost, torn and spoilt.
    pub(super) seed: u64,
    /// The bytes of the disk in which a sector may be spoilt.
    pub(super) fragile: Range<u64>,
}

/// The ways in which the power may go after `point` entries.
pub(super) fn cuts(entries: &[Entry], point: usize, power: &Power) -> Vec<Cut> {
    let durable = durable(&entries[..point]);
    let pending: Vec<Piece> = (durable..point)
        .filter_map(|entry| {
            let length = entries[entry].write.as_ref()?.length;
            Some(Piece { entry, length, end: End::Whole })
        })
        .collect();
    let cut = |kind, pieces| Cut { point, kind, durable, pieces };
    let mut cuts = vec![cut(Kind::InOrder, pending.clone())];
    let mut dice = Dice::new(power.seed, point);
    cuts.extend(lost(entries, &pending, &mut dice).map(|pieces| cut(Kind::Lost, pieces)));
    cuts.extend(torn(&pending, &mut dice).map(|pieces| cut(Kind::Torn, pieces)));
    let last = pending.last().and_then(|piece| entries[piece.entry].write.as_ref());
    if last.is_some_and(|write| power.fragile.contains(&write.at)) {
        cuts.extend(spoilt(&pending, &mut dice).map(|pieces| cut(Kind::Spoilt, pieces)));
    }
    cuts
}

/// How many of these entries are on the disk for good.
pub(super) fn durable(entries: &[Entry]) -> usize {
    entries.iter().rposition(|entry| entry.flush).map_or(0, |flush| {
        // A flush that carries a write speaks for what came before that write.
        flush + usize::from(entries[flush].write.is_none())
    })
}

/// Each write that nothing made durable is there or not; at least one is not.
fn lost(entries: &[Entry], pending: &[Piece], dice: &mut Dice) -> Option<Vec<Piece>> {
    let loose: Vec<usize> =
        (0..pending.len()).filter(|n| !entries[pending[*n].entry].durable).collect();
    let sure = *loose.get(dice.below(loose.len() as u64)? as usize)?;
    let kept = pending.iter().enumerate().filter(|(n, piece)| {
        *n != sure && (entries[piece.entry].durable || dice.below(2) == Some(0))
    });
    Some(kept.map(|(_, piece)| *piece).collect())
}

/// The write that the power interrupts is the last one.
fn torn(pending: &[Piece], dice: &mut Dice) -> Option<Vec<Piece>> {
    let (last, before) = pending.split_last()?;
    let sectors = last.length / SECTOR;
    if sectors < 2 {
        return None;
    }
    let length = (1 + dice.below(sectors - 1)?) * SECTOR;
    let mut pieces = before.to_vec();
    pieces.push(Piece { length, ..*last });
    Some(pieces)
}

/// The power goes while some sector of the last write is being written.
fn spoilt(pending: &[Piece], dice: &mut Dice) -> Option<Vec<Piece>> {
    let (last, before) = pending.split_last()?;
    let length = (1 + dice.below(last.length / SECTOR)?) * SECTOR;
    let mut pieces = before.to_vec();
    pieces.push(Piece { length, end: End::Spoilt, ..*last });
    Some(pieces)
}

/// Numbers that are the same for the same seed and point (splitmix64).
struct Dice(u64);

impl Dice {
    fn new(seed: u64, point: usize) -> Self {
        let mut dice = Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ point as u64);
        dice.next();
        dice
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`; none is below zero.
    fn below(&mut self, limit: u64) -> Option<u64> {
        self.next().checked_rem(limit)
    }
}

/// `count` points of a record with so many entries, spread evenly, the first and the last among them.
pub(super) fn spread(entries: usize, count: usize) -> Vec<usize> {
    if count > entries {
        return (0..=entries).collect();
    }
    let steps = count.saturating_sub(1).max(1);
    let mut points: Vec<usize> = (0..count).map(|n| entries * n / steps).collect();
    points.dedup();
    points
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::powercut::log::tests::record;

    const FLUSH: u64 = 1;
    const FUA: u64 = 2;

    /// Two writes, a flush, three writes of which one is durable by itself.
    fn entries() -> Vec<Entry> {
        let told = [
            (0, vec![1; 512], 0),
            (1, vec![2; 512], 0),
            (0, Vec::new(), FLUSH),
            (2, vec![3; 4096], 0),
            (3, vec![4; 512], FUA),
            (4, vec![5; 4096], 0),
        ];
        let (log, path) = record("cuts", &told);
        fs::remove_file(path).expect("removed");
        log.entries
    }

    fn sound(seed: u64) -> Power {
        Power { seed, fragile: 0..0 }
    }

    fn of(kind: Kind, point: usize, seed: u64) -> Option<Cut> {
        cuts(&entries(), point, &sound(seed)).into_iter().find(|cut| cut.kind == kind)
    }

    #[test]
    fn what_was_flushed_is_there_in_every_cut() {
        for seed in 0..50 {
            for point in 3..=6 {
                assert!(cuts(&entries(), point, &sound(seed)).iter().all(|cut| cut.durable == 3));
            }
            assert_eq!(cuts(&entries(), 2, &sound(seed))[0].durable, 0);
        }
        assert_eq!(cuts(&entries(), 3, &sound(1)).len(), 1, "nothing is pending behind a flush");
    }

    #[test]
    fn a_write_that_brings_a_flush_along_is_not_flushed_itself() {
        let told = [(0, vec![1; 512], 0), (1, vec![2; 1024], FLUSH)];
        let (log, path) = record("preflush", &told);
        fs::remove_file(path).expect("removed");
        let cuts = cuts(&log.entries, 2, &sound(1));
        assert!(cuts.iter().all(|cut| cut.durable == 1));
        let kinds: Vec<_> = cuts.iter().map(|cut| (cut.kind, cut.pieces.len())).collect();
        assert_eq!(kinds, [(Kind::InOrder, 1), (Kind::Lost, 0), (Kind::Torn, 1)]);
    }

    #[test]
    fn a_cut_in_order_has_all_of_every_write() {
        let cut = of(Kind::InOrder, 6, 1).expect("it is always there");
        let pieces: Vec<_> = cut.pieces.iter().map(|piece| (piece.entry, piece.length)).collect();
        assert_eq!(pieces, [(3, 4096), (4, 512), (5, 4096)]);
    }

    #[test]
    fn a_cut_with_losses_loses_one_at_least_and_none_that_is_durable() {
        let mut lost_first = 0;
        for seed in 0..200 {
            let cut = of(Kind::Lost, 6, seed).expect("two writes are pending");
            let kept: Vec<usize> = cut.pieces.iter().map(|piece| piece.entry).collect();
            assert!(kept.contains(&4) && kept.len() < 3, "{kept:?}");
            lost_first += u32::from(!kept.contains(&3));
        }
        assert!((80..190).contains(&lost_first), "{lost_first} of 200 lost the first");
        assert_eq!(of(Kind::Lost, 4, 1).map(|cut| cut.pieces), Some(Vec::new()));
    }

    #[test]
    fn a_torn_cut_has_whole_sectors_of_the_last_write_but_not_all() {
        let mut lengths = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let cut = of(Kind::Torn, 6, seed).expect("it has eight sectors");
            let last = cut.pieces.last().expect("it is there in part");
            assert_eq!((cut.pieces.len(), last.entry), (3, 5));
            lengths.insert(last.length);
        }
        assert_eq!(lengths, (1..8).map(|sectors| sectors * 512).collect());
        assert_eq!(of(Kind::Torn, 5, 1), None, "one sector is not torn");
    }

    #[test]
    fn any_sector_of_a_write_is_spoilt_where_that_may_be_and_nowhere_else() {
        let fragile = Power { seed: 0, fragile: 4 * 512..5 * 512 };
        let mut lengths = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let power = Power { seed, ..fragile.clone() };
            let cuts = cuts(&entries(), 6, &power);
            let spoilt: Vec<_> = cuts.iter().filter(|cut| cut.kind == Kind::Spoilt).collect();
            let [cut] = spoilt[..] else { panic!("one is") };
            let last = cut.pieces.last().expect("it is there in part");
            assert_eq!((cut.pieces.len(), last.entry, last.end), (3, 5, End::Spoilt));
            assert!(cut.pieces[..2].iter().all(|piece| piece.end == End::Whole));
            lengths.insert(last.length);
        }
        assert_eq!(lengths, (1..9).map(|sectors| sectors * 512).collect());
        for point in [4, 5] {
            let kinds: Vec<_> =
                cuts(&entries(), point, &fragile).iter().map(|cut| cut.kind).collect();
            assert!(!kinds.contains(&Kind::Spoilt), "{kinds:?}");
        }
    }

    #[test]
    fn a_seed_repeats_its_cuts_and_another_makes_others() {
        let all =
            |seed| (0..=6).map(|point| cuts(&entries(), point, &sound(seed))).collect::<Vec<_>>();
        assert_eq!(all(7), all(7));
        assert!((0..20).any(|seed| all(seed) != all(7)));
    }

    #[test]
    fn points_are_spread_from_the_first_to_the_last() {
        assert_eq!(spread(10, 3), [0, 5, 10]);
        assert_eq!(spread(2, 100), [0, 1, 2]);
        assert_eq!(spread(300, 1), [0]);
        assert_eq!(spread(300, 301).len(), 301);
        assert_eq!(spread(300, 300).last(), Some(&300));
    }
}
