//! What the boot environment says of each slot, and what of its bytes is read.

use steadfast_core::Slot;
use steadfast_core::boot_env::{BootEnv, COPY_SIZE};

#[test]
fn a_slot_is_good_only_with_a_place_in_the_order_and_an_attempt_left() {
    let fresh = BootEnv::fresh(3);
    assert!(fresh.is_good(Slot::B));
    assert!(!BootEnv { left: [3, 0], ..fresh.clone() }.is_good(Slot::B));
    assert!(!BootEnv { left: [0, 3], ..fresh.bad(Slot::B) }.is_good(Slot::B));
}

#[test]
fn a_slot_that_is_good_again_does_not_boot_before_the_one_that_stayed() {
    let env = BootEnv::fresh(3).bad(Slot::A).good(Slot::A, 3);
    assert_eq!((&env.order[..], env.primary()), (&[Slot::B, Slot::A][..], Some(Slot::B)));
    let env = BootEnv::fresh(3).good(Slot::B, 3);
    assert_eq!(env.primary(), Some(Slot::A), "its place stays");
}

#[test]
fn a_slot_that_runs_on_trial_and_is_activated_again_has_its_attempts_back_and_boots_first() {
    let on_trial = BootEnv { left: [3, 0], ..BootEnv::fresh(3).activated(Slot::B, 3) };
    assert_eq!(on_trial.primary(), Some(Slot::A), "this was its last boot");
    let env = on_trial.activated(Slot::B, 3);
    assert_eq!((&env.order[..], env.left), (&[Slot::B, Slot::A][..], [3, 3]));
}

/// U-Boot reads up to the first empty text (`env/common.c`), so what stands behind it is nothing.
#[test]
fn what_stands_behind_the_end_is_not_read() {
    let mut text = b"SEQ=4\0BOOT_ORDER=A\0BOOT_A_LEFT=3\0\0BOOT_B_LEFT=3\0REARMS=2\0".to_vec();
    text.resize(COPY_SIZE - 4, 0);
    let sum = crc32(&text).to_le_bytes();
    let env = BootEnv::decode(&[&sum[..], &text].concat()).expect("valid");
    assert_eq!((env.left, env.rearms, env.primary()), ([3, 0], 0, Some(Slot::A)));
}

/// U-Boot's checksum, bit by bit.
fn crc32(bytes: &[u8]) -> u32 {
    let shift = |sum: u32| (sum >> 1) ^ (0xedb8_8320 & (sum & 1).wrapping_neg());
    !bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), |sum, _| shift(sum)))
}
