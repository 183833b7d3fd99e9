//! The boot environment: a pair of copies, whatever they hold, names a slot or none, and no change and no torn
//! write loses what counted.

#![no_main]

use libfuzzer_sys::fuzz_target;
use steadfast_core::Slot;
use steadfast_core::boot_env::{BootEnv, COPY_SIZE, CopyBytes, CopyIndex, Current, current};
use steadfast_fuzz::{copy_of, limited, parts};

/// Numbers from here on are not valid (U-Boot counts in 64 bits, the node in 32).
const SEQUENCES: u32 = 0xf000_0000;

/// Bytes that a disk writes whole or not at all.
const SECTOR: usize = 512;

/// Sectors of a copy.
const WHOLE: u8 = 8;

/// A write that ends after so many sectors.
#[derive(Clone, Copy)]
struct Write {
    sectors: u8,
    /// The attempts of a fresh environment.
    attempts: u8,
}

fuzz_target!(|data: &[u8]| limited(data, judge));

fn judge(data: &[u8]) {
    let _ = BootEnv::decode(data);
    let Some((head, texts)) = data.split_first_chunk::<4>() else { return };
    let [spoiled, attempts, change, torn] = head;
    let [first, second] = parts(texts);
    let mut pair = [copy_of(first), copy_of(second)];
    for (bit, copy) in pair.iter_mut().enumerate() {
        copy[0] ^= (spoiled >> bit) & 1;
    }
    let attempts = 1 + attempts % 9;
    let before = counts(&pair, attempts);
    same_again(&before.env);
    let after = changed(&before.env, *change, attempts);
    if after.sequence < SEQUENCES {
        written(pair, &before, &after, Write { sectors: torn % (WHOLE + 1), attempts });
    }
}

/// What counts is the newest valid copy; it names a slot that may boot, or none may.
fn counts(pair: &[CopyBytes; 2], attempts: u8) -> Current {
    let [first, second] = pair.each_ref().map(|copy| BootEnv::decode(copy));
    let found = current(&first, &second, attempts);
    let newest = [&first, &second].into_iter().flatten().map(|env| env.sequence).max();
    assert_eq!(found.env.sequence, newest.unwrap_or(0));
    assert_ne!(Some(found.next_copy()), found.from, "the copy that counts is not written");
    match found.env.primary() {
        Some(slot) => assert!(found.env.is_good(slot)),
        None => assert!(!Slot::ALL.into_iter().any(|slot| found.env.is_good(slot))),
    }
    found
}

/// What was read is read again from what it is written as.
fn same_again(env: &BootEnv) {
    assert_eq!(BootEnv::decode(&env.encode()).as_ref(), Ok(env));
}

/// One of the changes that the agent and RAUC make, and what it promises.
fn changed(env: &BootEnv, change: u8, attempts: u8) -> BootEnv {
    let slot = Slot::ALL[usize::from(change & 1)];
    let after = match (change >> 1) % 5 {
        0 => env.activated(slot, attempts),
        1 => env.good(slot, attempts),
        2 => env.bad(slot),
        3 => env.condemned(slot, attempts),
        _ => env.committed(slot, attempts),
    };
    match (change >> 1) % 5 {
        0 | 4 => assert_eq!(after.primary(), Some(slot)),
        1 => assert!(after.is_good(slot)),
        2 => assert!(!after.is_good(slot)),
        _ => assert_eq!(after.primary(), Some(slot.other())),
    }
    assert_eq!(after.sequence, env.sequence.wrapping_add(1));
    after
}

/// After a write the change counts; torn at any sector it counts, or what counted before does.
fn written(mut pair: [CopyBytes; 2], before: &Current, after: &BootEnv, write: Write) {
    let end = usize::from(write.sectors) * SECTOR;
    pair[index(before.next_copy())][..end].copy_from_slice(&after.encode()[..end]);
    let found = counts(&pair, write.attempts).env;
    assert!(found == *after || (found == before.env && end < COPY_SIZE), "torn at {end}");
}

fn index(copy: CopyIndex) -> usize {
    match copy {
        CopyIndex::First => 0,
        CopyIndex::Second => 1,
    }
}
