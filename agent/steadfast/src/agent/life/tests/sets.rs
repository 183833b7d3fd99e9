use super::*;
use steadfast_core::{Assigned, SetId, StagedSet};

/// A public Ed25519 key (RFC 8410, section 10.1): whose it is does not matter here.
const KEYRING: &str = "-----BEGIN PUBLIC KEY-----\n\
    MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n\
    -----END PUBLIC KEY-----\n";

fn with_set(set: &str) -> Request {
    let (source, set) = ("/usb/2.raucb".to_owned(), Some(set.to_owned()));
    Request::Update { source, at: At::Now, content: None, set }
}

/// The settings of a node that trusts somebody.
fn trusting(folder: &TempDir) -> Config {
    let mut config = config(folder);
    config.work.keyring = folder.path().join("keyring.pem");
    std::fs::write(&config.work.keyring, KEYRING).expect("writable");
    config
}

#[tokio::test]
async fn a_node_without_a_keyring_takes_no_set_and_one_from_a_server_nobody_does() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = config(&folder);
        config.work.keyring = folder.path().join("nowhere.pem");
        let mut node = node(&folder, &config);
        settled(&mut node);
        for (set, because) in [
            ("/usb/set.tar", "there is no keyring"),
            ("https://server/set.tar", "from a file"),
            (&"s".repeat(256), "256 bytes long"),
        ] {
            let answer = answer(&mut node.life, with_set(set));
            let Response::Refused { because: found } = answer else { panic!("{answer:?}") };
            assert!(found.contains(because), "{found}");
        }
        assert_eq!(node.life.machine.node().update.name(), "idle");
    })
    .await;
}

#[tokio::test]
async fn a_set_is_staged_before_anything_is_written_and_its_slot_gets_it_with_the_bundle() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mut node = node(&folder, &trusting(&folder));
        settled(&mut node);
        assert_eq!(answer(&mut node.life, with_set("/usb/set.tar")), Response::Accepted);
        let compatible = node.life.board.compatible.clone();
        let version = Version::new("2.0").expect("a version");
        let bundle = steadfast_core::Bundle { version, digest: sha256(b"2.0") };
        let sizes = node.life.board.room;
        let found = steadfast_core::Inspected { bundle, compatible, sizes };
        for event in [Event::Fetched(Ok(())), Event::Verified(Ok(found))] {
            node.life.turn(event).expect("it is saved");
        }
        let staged = node.stages.try_recv();
        assert_eq!(staged, Ok(SetAction::Stage("/usb/set.tar".try_into().expect("short"))));
        while node.installs.try_recv().is_ok() {}
        let set = SetId { digest: sha256(b"set"), generation: 7 };
        let found = StagedSet { set, minimum_os: None };
        node.life.turn(Event::Staged(Ok(found))).expect("it is saved");
        let Ok(RaucAction::Install { set: assigned, target, .. }) = node.installs.try_recv() else {
            panic!("it is installed now");
        };
        assert_eq!((assigned, target), (Some(set), Slot::B));
    })
    .await;
}

#[tokio::test]
async fn while_the_ledger_is_in_memory_no_set_is_staged() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("data"), "no folder").expect("writable");
        let mut node = node(&folder, &config(&folder));
        node.life.give(Action::Stage("/usb/set.tar".try_into().expect("short")));
        let heard = node.own.try_recv();
        assert!(matches!(&heard, Ok(Event::Staged(Err(why))) if why.cause == Cause::Write));
        assert!(node.stages.try_recv().is_err(), "the store was not told");
    })
    .await;
}

#[tokio::test]
async fn the_set_of_the_slot_that_runs_is_told_at_each_start() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(&folder);
        let node = node(&folder, &config);
        let told = |slot| {
            let version = Version::new("1.0").expect("a version");
            let Event::Booted(boot) = node.life.booted(Running { slot, version, boot: [9; 16] })
            else {
                panic!("a start")
            };
            boot.set
        };
        assert_eq!(told(Slot::A), Assigned::Nothing);
        let slots = config.paths.data.join("slots");
        std::fs::create_dir_all(&slots).expect("writable");
        let digest = "ab".repeat(32);
        let text = format!("steadfast-slot 1\nset {digest} 7\nbefore none\nend\n");
        std::fs::write(slots.join("B"), &text).expect("writable");
        let set = SetId { digest: Digest([0xab; 32]), generation: 7 };
        assert_eq!((told(Slot::A), told(Slot::B)), (Assigned::Nothing, Assigned::Set(set)));
        std::fs::write(slots.join("B"), "damaged").expect("writable");
        assert_eq!(told(Slot::B), Assigned::Unknown);
    })
    .await;
}
