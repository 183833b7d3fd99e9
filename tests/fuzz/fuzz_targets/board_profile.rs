//! The board's profile: one that is taken contradicts itself nowhere that the disk, the boot script or the agent
//! would find out on the node.

#![no_main]

use hw_profile::{Chooser, Profile, ProfileError};
use libfuzzer_sys::fuzz_target;
use std::ops::Range;
use std::sync::LazyLock;
use steadfast::agent::board::{Board, BoardError};
use steadfast_core::boot_env::COPY_SIZE;
use steadfast_fuzz::{Scratch, limited, line_is_in};

const MIB: u64 = 1 << 20;

fuzz_target!(|data: &[u8]| limited(data, judge));

static SCRATCH: LazyLock<Scratch> = LazyLock::new(|| Scratch::folder("board"));

fn judge(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    match Profile::parse(text) {
        Ok(profile) => {
            copies_are_apart(&profile);
            memory_is_apart(&profile);
            partitions_fit(&profile);
            says_the_same_again(&profile);
            the_agent_can_use_it(&profile, data);
        }
        Err(ProfileError::Syntax { line, .. } | ProfileError::Fault { line, .. }) => {
            assert!(line_is_in(data, line), "line {line}");
        }
        Err(error) => panic!("only its text was to be read: {error}"),
    }
}

fn apart(one: &Range<u64>, other: &Range<u64>) -> bool {
    one.end <= other.start || other.end <= one.start
}

fn copies_are_apart(profile: &Profile) {
    let size = u64::from(profile.boot.copy_size);
    let [first, second] = profile.boot.copy_offsets.map(|offset| offset..offset + size);
    assert!(apart(&first, &second), "{first:?} {second:?}");
    let room = u64::from(profile.disk.environment_mib) * MIB;
    assert!(first.end.max(second.end) <= room);
}

/// What the boot script writes to RAM leaves the last words of the kernel alone.
fn memory_is_apart(profile: &Profile) {
    let Some(ramoops) = &profile.ramoops else { return };
    let at = |start: u64, size: u32| start..start.saturating_add(u64::from(size));
    let kept = at(ramoops.address, ramoops.size);
    let scratch = at(profile.uboot.scratch_address, profile.boot.copy_size);
    let tree = at(profile.uboot.fdt_address, profile.uboot.fdt_size);
    assert!(apart(&kept, &scratch), "the scratch copy lies in the ramoops memory");
    assert!(apart(&kept, &tree), "the device tree lies in the ramoops memory");
}

fn partitions_fit(profile: &Profile) {
    let disk = &profile.disk;
    let slots = 2 * (u64::from(disk.boot_mib) + u64::from(disk.root_mib));
    let used = u64::from(disk.environment_mib) + u64::from(disk.script_mib) + slots;
    assert!(used < u64::from(disk.size_mib));
    assert!(profile.limits.root_image_mib < disk.root_mib);
}

fn says_the_same_again(profile: &Profile) {
    let written = serde_json::to_string(profile).expect("a profile is plain data");
    let again: Profile = serde_json::from_str(&written).expect("it was written just now");
    assert_eq!(again, *profile);
}

fn the_agent_can_use_it(profile: &Profile, data: &[u8]) {
    match Board::load(&SCRATCH.write("board.toml", data)) {
        Ok(board) => {
            assert_eq!(profile.boot.chooser, Chooser::Steadfast);
            assert_eq!(
                profile.boot.copy_size as usize, COPY_SIZE,
                "it reads other bytes than U-Boot"
            );
            assert!(board.store.attempts().trial > 0 && board.store.attempts().committed > 0);
        }
        Err(BoardError::Chooser) => assert_ne!(profile.boot.chooser, Chooser::Steadfast),
        Err(BoardError::Compatible) => assert!(profile.compatible.len() > 48),
        Err(error) => panic!("the image takes it and the agent does not: {error}"),
    }
}
