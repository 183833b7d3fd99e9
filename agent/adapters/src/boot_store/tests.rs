use super::*;
use std::path::Path;

const ATTEMPTS: Attempts = Attempts { trial: 3, committed: 8 };

fn store(folder: &Path) -> BootStore {
    let device = folder.join("ubootenv");
    std::fs::write(&device, vec![0; 1 << 20]).expect("writable");
    let lock = folder.join("lock");
    BootStore::new(Place { device, offsets: [0, 0x80000], lock }, ATTEMPTS)
}

#[test]
fn an_empty_partition_is_the_default_and_the_first_write_is_read_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path());
    assert_eq!(store.read().expect("readable").current.env, BootEnv::fresh(3));
    store.change(|env| env.committed(Slot::A, 8)).expect("writable");
    let read = store.read().expect("readable").current;
    assert_eq!((read.env.left, read.from), ([8, 3], Some(CopyIndex::First)));
}

#[test]
fn each_change_writes_the_copy_that_does_not_count() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path());
    let mut before = None;
    for slot in [Slot::A, Slot::B, Slot::A, Slot::B] {
        store.change(|env| env.activated(slot, 3)).expect("writable");
        let now = store.read().expect("readable").current;
        assert_ne!(now.from, before);
        assert_eq!(now.env.primary(), Some(slot));
        before = now.from;
    }
}

#[test]
fn a_torn_write_leaves_what_counted_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path());
    store.change(|env| env.committed(Slot::A, 8)).expect("writable");
    store.change(|env| env.activated(Slot::B, 3)).expect("writable");
    let torn = File::options().write(true).open(&store.place.device).expect("there");
    torn.write_all_at(&[0xff; 100], store.offset(CopyIndex::Second)).expect("writable");
    let now = store.read().expect("readable");
    assert_eq!(now.current.env.primary(), Some(Slot::A));
    assert_eq!(now.copies[1], Err(BootEnvError::Checksum));
}

#[test]
fn a_change_to_what_is_already_so_writes_nothing_unless_a_copy_is_broken() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path());
    let commit = || store.change(|env| env.committed(Slot::A, 8)).expect("writable").sequence;
    assert_eq!([commit(), commit(), commit()], [1, 2, 2], "the second write heals a copy");
}

#[tokio::test]
async fn a_partition_that_cannot_be_written_is_a_cause() {
    let folder = tempfile::tempdir().expect("a folder");
    let place = Place {
        device: "/dev/full".into(),
        offsets: [0, 0x80000],
        lock: folder.path().join("lock"),
    };
    let mut store = BootStore::new(place, ATTEMPTS);
    let Event::Committed(Err(failure)) = store.perform(BootAction::Commit(Slot::A)).await else {
        panic!("a failed commit");
    };
    assert_eq!(failure.cause, Cause::Write);
    assert!(failure.evidence.contains("could not be written"), "{}", failure.evidence);
}

/// An agent that is told through its port, as the core tells it.
async fn told(store: &BootStore, action: BootAction) -> Event {
    store.clone().perform(action).await
}

#[tokio::test]
async fn a_trial_gets_few_attempts_and_a_committed_slot_its_own() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path());
    let left = || store.read().expect("readable").current.env.left;
    assert_eq!(told(&store, BootAction::Commit(Slot::A)).await, Event::Committed(Ok(())));
    assert_eq!(left(), [8, 3]);
    assert_eq!(told(&store, BootAction::Activate(Slot::B)).await, Event::Activated(Ok(())));
    assert_eq!(left(), [8, 3]);
    assert_eq!(told(&store, BootAction::Commit(Slot::B)).await, Event::Committed(Ok(())));
    assert_eq!(left(), [8, 8]);
    assert_eq!(told(&store, BootAction::Activate(Slot::A)).await, Event::Activated(Ok(())));
    assert_eq!(left(), [3, 8], "even one that was committed before is on trial");
}

#[tokio::test]
async fn a_condemned_slot_never_leaves_the_node_without_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path());
    store.change(|env| env.bad(Slot::A)).expect("writable");
    store.change(|env| env.activated(Slot::B, 3)).expect("writable");
    assert_eq!(told(&store, BootAction::Condemn(Slot::B)).await, Event::Condemned(Ok(())));
    let env = store.read().expect("readable").current.env;
    assert_eq!((env.primary(), env.left), (Some(Slot::A), [3, 0]));
}

#[tokio::test]
async fn no_order_that_could_not_be_written_is_reported_as_done() {
    let folder = tempfile::tempdir().expect("a folder");
    let lock = folder.path().join("lock");
    let place = Place { device: "/dev/full".into(), offsets: [0, 0x80000], lock };
    let store = BootStore::new(place, ATTEMPTS);
    let activated = told(&store, BootAction::Activate(Slot::B)).await;
    assert!(matches!(activated, Event::Activated(Err(_))), "{activated:?}");
    let condemned = told(&store, BootAction::Condemn(Slot::B)).await;
    assert!(matches!(condemned, Event::Condemned(Err(_))), "{condemned:?}");
}

#[test]
fn while_one_process_changes_the_environment_no_other_can() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path());
    let taken = |operation| {
        let file = File::options().read(true).open(&store.place.lock).expect("it was made");
        flock(&file, operation).is_err()
    };
    let mut seen = None;
    let change = |env: &BootEnv| {
        seen = Some(taken(FlockOperation::NonBlockingLockShared));
        env.committed(Slot::A, 8)
    };
    store.change(change).expect("writable");
    assert_eq!(seen, Some(true));
    assert!(!taken(FlockOperation::NonBlockingLockExclusive), "it is given back");
}

#[test]
fn only_its_owner_can_hold_up_the_node_with_the_lock() {
    use std::os::unix::fs::PermissionsExt;
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = store(folder.path());
    store.place.lock = folder.path().join("run/lock");
    store.change(|env| env.committed(Slot::A, 8)).expect("its folder is made");
    let mode = store.place.lock.metadata().expect("it was made").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn what_does_not_read_back_as_it_was_written_is_an_error() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path());
    store.change(|env| env.committed(Slot::A, 8)).expect("writable");
    // The highest number is not valid in a copy, so the one that counted before still does.
    let change = |env: &BootEnv| BootEnv { sequence: u32::MAX, ..env.activated(Slot::B, 3) };
    let changed = store.change(change);
    assert!(matches!(changed, Err(BootStoreError::ReadBack)), "{changed:?}");
    assert_eq!(store.read().expect("readable").current.env.primary(), Some(Slot::A));
}

#[test]
fn a_change_is_done_only_when_the_medium_has_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut store = store(folder.path());
    // It takes every byte, and cannot be synced.
    store.place.device = "/dev/zero".into();
    let changed = store.change(|env| env.committed(Slot::A, 8));
    assert!(matches!(changed, Err(BootStoreError::Write(_))), "{changed:?}");
}

#[test]
fn a_partition_that_cannot_be_read_is_not_taken_for_an_empty_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let store = store(folder.path());
    store.change(|env| env.committed(Slot::A, 8)).expect("writable");
    let short = File::options().write(true).open(&store.place.device).expect("there");
    short.set_len(COPY_SIZE as u64).expect("writable");
    assert!(matches!(store.read(), Err(BootStoreError::Read(_))));
    let changed = store.change(|env| env.activated(Slot::B, 3));
    assert!(matches!(changed, Err(BootStoreError::Read(_))), "{changed:?}");
}
