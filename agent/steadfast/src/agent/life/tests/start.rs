//! What the first event says of the slots.

use super::*;
use steadfast_core::boot_env::BootEnv;

/// The first event, in slot A.
fn first(life: &Life) -> Boot {
    let version = Version::new("1").expect("a version");
    let running = Running { slot: Slot::A, version, boot: [1; 16] };
    let Event::Booted(boot) = life.booted(running) else { panic!("the first event") };
    boot
}

/// What it says of the slot that did not boot.
fn other_slot(life: &Life) -> OtherSlot {
    first(life).other
}

#[tokio::test]
async fn the_first_event_tells_how_the_slot_that_runs_was_started() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let Node { life, .. } = node(&folder, &config(&folder));
        let store = &life.board.store;
        let told = |left| {
            store
                .change(|env| BootEnv { left: [left, 3], ..env.good(Slot::A, 3) })
                .expect("writable");
            first(&life).this
        };
        assert_eq!((told(2), told(1)), (ThisSlot::Once, ThisSlot::Again));
        assert_eq!(told(7), ThisSlot::Kept);
        std::fs::remove_file(folder.path().join("ubootenv")).expect("it was there");
        assert_eq!(first(&life).this, ThisSlot::Once, "nothing is known of it");
    })
    .await;
}

#[tokio::test]
async fn the_first_event_tells_how_the_slot_that_did_not_boot_stands() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let Node { life, .. } = node(&folder, &config(&folder));
        let store = &life.board.store;
        assert_eq!(other_slot(&life), OtherSlot::Untried);
        store.change(|env| BootEnv { left: [3, 1], ..env.good(Slot::A, 3) }).expect("writable");
        assert_eq!(other_slot(&life), OtherSlot::Tried);
        store.change(|env| env.bad(Slot::B)).expect("writable");
        assert_eq!(other_slot(&life), OtherSlot::Bad);
    })
    .await;
}

#[tokio::test]
async fn a_boot_environment_that_cannot_be_read_vouches_for_no_slot() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let Node { life, .. } = node(&folder, &config(&folder));
        std::fs::remove_file(folder.path().join("ubootenv")).expect("it was there");
        assert_eq!(other_slot(&life), OtherSlot::Unknown);
    })
    .await;
}
