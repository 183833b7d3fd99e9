use super::*;
use crate::workload_set::tests::World;
use crate::workload_set::{SetError, SigningKey, sign};
use steadfast_core::{Cause, Digest};

/// A node's store, and a maker of sets that it trusts.
struct Place {
    maker: World,
    store: SetStore,
}

impl Place {
    fn new() -> Place {
        let maker = World::new();
        let key = maker.key(1);
        maker.keyring(&[&key]);
        let terms = Terms {
            keyring: maker.path("keyring.pem"),
            architecture: "arm64".into(),
            policy: Policy::default(),
        };
        let store = SetStore::new(&maker.path("data"), terms).leaving(0);
        Place { maker, store }
    }

    fn key(&self, seed: u8) -> SigningKey {
        self.maker.key(seed)
    }

    /// The file of a set that the node's keyring vouches for.
    fn source(&self) -> PathBuf {
        self.maker.bytes();
        sign(&self.maker.set(), &self.key(1)).expect("it is a set");
        self.maker.set()
    }

    fn staged(&self) -> SetId {
        self.store.stage(&self.source()).expect("it is taken").set
    }

    fn with(self, change: impl FnOnce(&mut Terms)) -> Place {
        let mut terms = (*self.store.terms).clone();
        change(&mut terms);
        let store = SetStore { terms: Arc::new(terms), ..self.store };
        Place { store, ..self }
    }

    fn cause(&self, source: &Path) -> Cause {
        let refused = self.store.stage(source).expect_err("it is refused");
        let left = self.names();
        assert!(left.is_empty(), "{left:?} is left of what was refused");
        refused.failure().cause
    }

    fn names(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.store.releases) else { return Vec::new() };
        let names = entries.map(|entry| entry.expect("readable").file_name());
        names.map(|name| name.into_string().expect("text")).collect()
    }
}

/// A set that is not there.
fn unknown(generation: u64) -> SetId {
    SetId { digest: Digest([9; 32]), generation }
}

#[test]
fn a_set_has_its_name_only_when_all_of_it_was_verified() {
    let place = Place::new();
    let found = place.store.stage(&place.source()).expect("it is taken");
    assert_eq!(
        (found.set.generation, found.minimum_os),
        (7, steadfast_core::Version::new("2.4.0"))
    );
    assert_eq!(place.names(), [format!("{}.tar", found.set.digest)]);
    let bytes = fs::read(place.store.archive(&found.set)).expect("it is there");
    assert_eq!(bytes, place.maker.bytes());
    assert_eq!(place.store.stage(&place.maker.set()).expect("again").set, found.set);
}

#[test]
fn what_is_no_set_of_this_node_is_refused_with_its_cause_and_leaves_nothing() {
    let place = Place::new();
    let source = place.source();
    assert_eq!(place.cause(&place.maker.path("nowhere.tar")), Cause::Source);
    assert_eq!(place.cause(&place.maker.manifests()), Cause::Source);
    let mut bytes = fs::read(&source).expect("a set");
    let cut = place.maker.put("cut.tar", &bytes[..bytes.len() / 2]);
    assert_eq!(place.cause(&cut), Cause::Damaged);
    let middle = bytes.windows(5).position(|it| it == b"press").expect("a layer's text");
    bytes[middle] ^= 1;
    let altered = place.maker.put("altered.tar", &bytes);
    assert_eq!(place.cause(&altered), Cause::Damaged);
    let place = place.with(|terms| terms.architecture = "amd64".into());
    assert_eq!(place.cause(&source), Cause::Compatible);
}

#[test]
fn a_set_that_nobody_trusted_signed_is_refused() {
    let place = Place::new();
    place.maker.bytes();
    assert_eq!(place.cause(&place.maker.set()), Cause::Signature);
    sign(&place.maker.set(), &place.key(2)).expect("it is a set");
    assert_eq!(place.cause(&place.maker.set()), Cause::Signature);
    let place = place.with(|terms| terms.keyring = "/nonexistent/keyring.pem".into());
    assert_eq!(place.cause(&place.maker.set()), Cause::Signature);
    let error = place.store.takes().expect_err("there are no keys");
    assert!(error.to_string().contains("takes no workload set"), "{error}");
}

#[test]
fn a_set_whose_pods_want_more_than_the_node_allows_is_refused_for_its_manifests() {
    let place = Place::new();
    let pod = "\
apiVersion: v1
kind: Pod
metadata: {name: bridge}
spec:
  initContainers:
  - {name: first, image: press/setup:3}
  containers:
  - {name: main, image: press/bridge:1.8.2, securityContext: {privileged: true}}
";
    place.maker.put("manifests/bridge.yaml", pod);
    let source = place.source();
    assert_eq!(place.cause(&source), Cause::Manifest);
    let place = place.with(|terms| terms.policy.privileged = crate::manifest::Privileged::Allowed);
    assert!(place.store.stage(&source).is_ok());
}

#[test]
fn a_set_that_would_take_the_nodes_own_room_is_refused_before_it_is_copied() {
    let place = Place::new();
    let source = place.source();
    let store = place.store.clone().leaving(u64::MAX / 2);
    let refused = store.stage(&source).expect_err("there is no room");
    assert_eq!(refused.failure().cause, Cause::Space);
    assert!(matches!(refused, SetStoreError::Full { .. }));
    let part = place.store.releases.join(STAGING);
    assert_eq!(fs::metadata(part).map_or(0, |found| found.len()), 0, "nothing was copied");
}

#[test]
fn a_slot_has_the_set_that_was_assigned_to_it_and_the_other_slot_keeps_its_own() {
    let place = Place::new();
    let set = place.staged();
    for slot in Slot::ALL {
        assert_eq!(place.store.assigned(slot), Assigned::Nothing);
    }
    let mut changes = place.store.changes();
    place.store.assign(Slot::B, Some(set)).expect("writable");
    assert!(changes.has_changed().expect("the store is there"));
    assert_eq!(place.store.assigned(Slot::B), Assigned::Set(set));
    assert_eq!(place.store.assigned(Slot::A), Assigned::Nothing);
    changes.mark_unchanged();
    place.store.assign(Slot::B, Some(set)).expect("writable");
    assert!(!changes.has_changed().expect("the store is there"), "nothing changed");
    place.store.assign(Slot::B, None).expect("writable");
    assert_eq!(place.store.assigned(Slot::B), Assigned::Nothing);
}

#[test]
fn a_set_that_is_not_there_is_assigned_to_no_slot() {
    let place = Place::new();
    let refused = place.store.assign(Slot::B, Some(unknown(3))).expect_err("it is not there");
    assert!(matches!(refused, SetStoreError::Gone(_)), "{refused:?}");
    assert_eq!(place.store.assigned(Slot::B), Assigned::Nothing);
}

#[test]
fn a_record_that_is_damaged_or_cut_off_anywhere_is_told_and_is_not_no_set() {
    let place = Place::new();
    let set = place.staged();
    place.store.assign(Slot::A, Some(set)).expect("writable");
    let path = place.store.record(Slot::A);
    let text = fs::read_to_string(&path).expect("text");
    for end in 0..text.len() {
        fs::write(&path, &text[..end]).expect("writable");
        assert_eq!(place.store.assigned(Slot::A), Assigned::Unknown, "{end}");
        assert!(place.store.current(Slot::A).is_err(), "{end}");
    }
    fs::write(&path, [0xff; 90]).expect("writable");
    assert!(matches!(place.store.of(Slot::A), Err(SetStoreError::Record(_))));
    place.store.assign(Slot::A, Some(set)).expect("it is written anew");
    assert_eq!(place.store.assigned(Slot::A), Assigned::Set(set));
}

#[test]
fn a_record_is_read_as_it_was_written() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("A");
    let sets = [None, Some(unknown(1)), Some(unknown(u64::MAX))];
    for record in sets.iter().flat_map(|set| sets.map(|before| Record { set: *set, before })) {
        record.write(&path).expect("writable");
        assert_eq!(Record::read(&path).expect("whole"), record);
    }
}

#[test]
fn what_is_to_be_run_is_the_set_of_the_slot_with_its_archive() {
    let place = Place::new();
    assert_eq!(place.store.current(Slot::A).expect("readable"), None);
    let set = place.staged();
    place.store.assign(Slot::A, Some(set)).expect("writable");
    let current = place.store.current(Slot::A).expect("readable").expect("a set");
    assert_eq!((current.set.set_id(), current.archive), (set, place.store.archive(&set)));
    assert_eq!(current.set.pods.len(), 1);
    // Another keyring came with another system: who vouched for it was asked when it was taken.
    let place = place.with(|terms| terms.keyring = "/nonexistent/keyring.pem".into());
    assert!(place.store.current(Slot::A).is_ok());
    fs::write(place.store.archive(&set), "altered").expect("writable");
    let error = place.store.current(Slot::A).expect_err("it is no set");
    assert!(matches!(error, SetStoreError::Set(SetError::Layout(_))), "{error:?}");
    fs::remove_file(place.store.archive(&set)).expect("it is there");
    let error = place.store.current(Slot::A).expect_err("it is gone");
    assert!(matches!(error, SetStoreError::Gone(_)), "{error:?}");
}

#[test]
fn an_archive_that_a_slot_or_an_update_names_is_kept_and_no_other() {
    let place = Place::new();
    let set = place.staged();
    let only = [format!("{}.tar", set.digest)];
    fs::write(place.store.releases.join(STAGING), "half").expect("writable");
    place.store.keep(&Needed::All).expect("readable");
    assert_eq!(place.names().len(), 2, "a set is being staged");
    place.store.keep(&Needed::These(vec![set])).expect("readable");
    assert_eq!(place.names(), only);
    place.store.assign(Slot::B, Some(set)).expect("writable");
    place.store.keep(&Needed::These(Vec::new())).expect("readable");
    assert_eq!(place.names(), only);
    place.store.write(Slot::B, Record { set: None, before: Some(set) }).expect("writable");
    place.store.keep(&Needed::These(Vec::new())).expect("readable");
    assert_eq!(place.names(), only, "the slot may go back to it");
    fs::write(place.store.record(Slot::B), "damaged").expect("writable");
    assert!(place.store.keep(&Needed::These(Vec::new())).is_err());
    assert_eq!(place.names(), only, "nobody knows what the slot needs");
    place.store.assign(Slot::B, None).expect("writable");
    place.store.keep(&Needed::These(Vec::new())).expect("readable");
    assert!(place.names().is_empty());
}

#[tokio::test]
async fn a_set_is_taken_from_a_file_and_not_from_a_server() {
    use steadfast_core::{Event, Port};
    let place = Place::new();
    let mut port = SetPort::new(place.store.clone());
    let mut ask = async |source: &str| {
        let source = source.try_into().expect("short");
        let Event::Staged(staged) = port.perform(SetAction::Stage(source)).await else {
            panic!("its answer")
        };
        staged
    };
    for source in ["https://server/set.tar", "set.tar", ""] {
        assert_eq!(ask(source).await.expect_err("no file").cause, Cause::Source, "{source:?}");
    }
    let source = place.source();
    let staged = ask(source.to_str().expect("text")).await.expect("it is taken");
    assert_eq!(staged.set.generation, 7);
}
