mod downloads;
mod full;
mod late;
mod sets;
mod start;
mod witness;

use super::*;
use crate::agent::config::Folders;
use crate::agent::route::Order;
use crate::protocol::Response;
use std::path::Path;
use steadfast_adapters::boot_store::{Attempts, BootAction, BootStore, Place};
use steadfast_adapters::checks::Judge;
use steadfast_adapters::fetch::Fetch;
use steadfast_adapters::rauc::RaucAction;
use steadfast_adapters::set_store::SetAction;
use steadfast_adapters::system::Reboot;
use steadfast_core::ledger::{Entry, Last};
use steadfast_core::{Assigned, At, Digest, Offer, Slot, Trial, Verdict, Version, Why};
use tempfile::TempDir;
use tokio::task::LocalSet;

const BOARD: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../hw-profiles/boards/qemu-arm64.toml");

/// An agent in a folder. Its ports are not there, so that no order is carried out: nobody restarts
/// the machine that tests it.
struct Node {
    life: Life,
    /// What the loop told itself.
    own: UnboundedReceiver<Event>,
    boot: UnboundedReceiver<BootAction>,
    checks: UnboundedReceiver<Judge>,
    told: watch::Receiver<u64>,
    fetches: UnboundedReceiver<Order<Fetch>>,
    stages: UnboundedReceiver<SetAction>,
    installs: UnboundedReceiver<RaucAction>,
    /// A port that is gone ends the agent.
    _reboots: UnboundedReceiver<Reboot>,
}

fn config(folder: &TempDir) -> Config {
    let within = |name| folder.path().join(name);
    let (data, run, checks) = (within("data"), within("run"), within("checks"));
    let paths = Folders {
        data,
        run,
        checks,
        containerd: within("containerd.sock"),
        containerd_root: within("containerd"),
    };
    Config { paths, ..Config::default() }
}

fn board(folder: &TempDir) -> Board {
    let device = folder.path().join("ubootenv");
    std::fs::write(&device, vec![0; 1 << 20]).expect("writable");
    let place = Place { device, offsets: [0, 0x80000], lock: folder.path().join("lock") };
    let store = BootStore::new(place, Attempts { trial: 3, committed: 8 });
    let board = Board::load(Path::new(BOARD)).expect("the board of the lab");
    Board { store, watchdog: folder.path().join("watchdog"), ..board }
}

fn node(folder: &TempDir, config: &Config) -> Node {
    let (changed, told) = watch::channel(0);
    let heard = unbounded_channel().0;
    let mut life =
        Life::begin(config, (board(folder), Slot::B), heard, changed).expect("it starts");
    let (own, own_heard) = unbounded_channel();
    let ((boot, boot_told), (checks, checks_told)) = (unbounded_channel(), unbounded_channel());
    let ((fetch, fetches), (rauc, installs)) = (unbounded_channel(), unbounded_channel());
    let ((system, reboots), (sets, stages)) = (unbounded_channel(), unbounded_channel());
    life.router = Router { own, fetch, rauc, sets, boot, checks, system };
    let _reboots = reboots;
    Node {
        life,
        own: own_heard,
        boot: boot_told,
        checks: checks_told,
        told,
        fetches,
        stages,
        installs,
        _reboots,
    }
}

impl Node {
    /// Its ledger ends with this.
    fn knows(&mut self, folder: &TempDir, next: steadfast_core::Node) {
        let (previous, at) = (Digest::ZERO, stamp());
        let entry = Entry { sequence: 1, previous, at, event: Event::Ticked, next };
        let last = Some(Last { entry, head: Digest::ZERO });
        self.life.machine = Machine::new(last, policy(&config(folder), &self.life.board), sha256);
    }

    /// It runs 2.0 in slot B, which is not judged yet.
    fn is_on_trial(&mut self, folder: &TempDir) {
        let update = Update::Probation { trial: trial(), restarts: 0, shutdowns: 0 };
        let next = steadfast_core::Node { update, booted: Slot::B, ..Default::default() };
        self.knows(folder, next);
    }
}

/// 2.0 in slot B.
fn trial() -> Trial {
    let version = Version::new("2.0").expect("a version");
    Trial { version, digest: None, set: None, slot: Slot::B, why: Why::Update }
}

/// Runs a test where tasks of one thread can be started.
async fn within(test: impl Future<Output = ()>) {
    LocalSet::new().run_until(test).await;
}

fn started() -> Event {
    let version = Version::new("1.0").expect("a version");
    let (slot, other) = (Slot::A, OtherSlot::Bad);
    Event::Booted(Boot {
        slot,
        version,
        id: [1; 16],
        this: ThisSlot::Once,
        other,
        set: Assigned::Nothing,
        evidence: None,
    })
}

fn answer(life: &mut Life, request: Request) -> Response {
    let (answer, mut answered) = tokio::sync::oneshot::channel();
    life.answer(Ask { request, answer }).expect("the agent goes on");
    answered.try_recv().expect("each request is answered")
}

fn update(source: &str) -> Request {
    Request::Update { source: source.to_owned(), at: At::Now, content: None, set: None }
}

/// A node that settled on its first system.
fn settled(node: &mut Node) {
    let events = [started(), Event::Judged(Verdict::Healthy), Event::Committed(Ok(()))];
    events.into_iter().for_each(|event| node.life.turn(event).expect("it is saved"));
    assert_eq!(node.life.machine.node().admits_update(), Ok(()));
}

#[tokio::test]
async fn a_start_is_saved_its_order_given_and_who_watches_is_told() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mut node = node(&folder, &config(&folder));
        node.told.mark_unchanged();
        node.life.turn(started()).expect("it is saved");
        assert_eq!(node.life.ledger.entries(), 1);
        assert_eq!(node.checks.try_recv(), Ok(Judge));
        assert!(node.told.has_changed().expect("the agent lives"));
        node.life.turn(Event::Ticked).expect("a turn");
        assert_eq!(node.life.ledger.entries(), 1);
    })
    .await;
}

#[tokio::test]
async fn while_the_ledger_is_in_memory_no_update_is_taken_and_no_slot_is_moved() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("data"), "no folder").expect("writable");
        let mut node = node(&folder, &config(&folder));
        settled(&mut node);
        let Response::Refused { because } = answer(&mut node.life, update("/usb/2.raucb")) else {
            panic!("it cannot be resumed");
        };
        assert!(because.contains("cannot be written to /data"), "{because}");
        while node.boot.try_recv().is_ok() {}
        node.life.give(Action::Activate(Slot::B));
        let heard = node.own.try_recv();
        assert!(matches!(&heard, Ok(Event::Activated(Err(why))) if why.cause == Cause::Write));
        assert!(node.boot.try_recv().is_err(), "the boot store was not told");
        // What could not be activated is not condemned either: it is the system to fall back to.
        node.life.give(Action::Condemn(Slot::B));
        let heard = node.own.try_recv();
        assert!(matches!(&heard, Ok(Event::Condemned(Err(why))) if why.cause == Cause::Write));
        assert!(node.boot.try_recv().is_err(), "the boot store was not told");
        for request in [Request::Rollback, Request::Cancel] {
            let Response::Refused { because } = answer(&mut node.life, request) else {
                panic!("a restart would forget it");
            };
            assert!(because.contains("cannot be written to /data"), "{because}");
        }
        node.life.give(Action::Commit(Slot::A));
        assert_eq!(node.boot.try_recv(), Ok(BootAction::Commit(Slot::A)));
    })
    .await;
}

#[tokio::test]
async fn while_the_ledger_is_in_memory_nothing_is_installed() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("data"), "no folder").expect("writable");
        let mut node = node(&folder, &config(&folder));
        // Only the core makes a verified bundle; its ledger gives back the ones that it made.
        let version = Version::new("2.0").expect("a version");
        let bundle = steadfast_core::Bundle { version, digest: sha256(b"2.0") };
        let bytes = postcard::to_allocvec(&bundle).expect("short");
        let bundle = postcard::from_bytes(&bytes).expect("it is one");
        let offer = Offer {
            source: "/usb/2.raucb".try_into().expect("short"),
            at: At::Now,
            content: None,
            set: None,
        };
        node.life.give(Action::Install { offer, bundle, target: Slot::B, set: None });
        let heard = node.own.try_recv();
        assert!(matches!(&heard, Ok(Event::Installed(Err(why))) if why.cause == Cause::Write));
    })
    .await;
}

#[tokio::test]
async fn what_could_not_be_saved_on_the_disk_is_not_removed() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(&folder);
        let holder = LedgerFile::open(&config.paths.data, &config.paths.run).expect("a ledger");
        let node = node(&folder, &config);
        assert_eq!(node.life.ledger.kept(), Kept::Memory);
        let ended = config.paths.data.join("evidence/agent");
        assert_eq!(node.life.evidence().agent_exit, ended, "where the unit leaves it");
        std::fs::create_dir_all(ended.parent().expect("a folder")).expect("writable");
        std::fs::write(&ended, "signal killed SEGV\n").expect("writable");
        node.life.clear_evidence();
        assert!(ended.exists());
        drop(holder);
    })
    .await;
}

#[tokio::test]
async fn an_operators_word_is_taken_only_when_the_node_waits_for_it() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mut node = node(&folder, &config(&folder));
        node.life.turn(started()).expect("it is saved");
        for request in [update("/usb/2.raucb"), Request::Rollback] {
            let answer = answer(&mut node.life, request);
            let Response::Refused { because } = answer else { panic!("{answer:?}") };
            assert_eq!(because, "the running system is not committed yet");
        }
        assert_eq!(node.life.ledger.entries(), 1);
        assert_eq!(answer(&mut node.life, Request::Confirm), Response::Accepted);
        assert_eq!(node.boot.try_recv(), Ok(BootAction::Commit(Slot::A)));
        node.life.turn(Event::Committed(Ok(()))).expect("it is saved");
        assert_eq!(answer(&mut node.life, update("/usb/2.raucb")), Response::Accepted);
        assert_eq!(node.life.machine.node().update.name(), "fetching");
    })
    .await;
}

#[tokio::test]
async fn a_source_that_does_not_fit_is_refused_and_not_cut() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mut node = node(&folder, &config(&folder));
        settled(&mut node);
        let Response::Refused { because } = answer(&mut node.life, update(&"s".repeat(256))) else {
            panic!("it is too long");
        };
        assert_eq!(because, "the source is 256 bytes long; 255 are allowed");
        assert_eq!(node.life.machine.node().update.name(), "idle");
    })
    .await;
}

#[tokio::test]
async fn an_installed_bundle_waits_for_the_window_and_without_one_for_nothing() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mut node = node(&folder, &config(&folder));
        assert_eq!(node.life.tick(), Event::Ticked, "nothing is ready");
        node.knows(
            &folder,
            steadfast_core::Node { update: Update::Ready { trial: trial() }, ..Default::default() },
        );
        assert_eq!(node.life.tick(), Event::WindowOpened);
        let minute =
            |hours: u64| u16::try_from((stamp().unix_s / 60 + hours * 60) % 1440).expect("small");
        node.life.window = Some(Window { from: minute(2), until: minute(3) });
        assert_eq!(node.life.tick(), Event::Ticked, "it opens in two hours");
        node.life.window = Some(Window { from: minute(23), until: minute(1) });
        assert_eq!(node.life.tick(), Event::WindowOpened);
    })
    .await;
}

#[test]
fn the_settings_and_the_board_become_the_limits_that_hold() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut config = config(&folder);
    config.limits.fetch_attempts = 7;
    config.limits.restarts = 8;
    config.limits.commit_attempts = 9;
    let board = board(&folder);
    let policy = policy(&config, &board);
    assert_eq!((policy.fetch_attempts, policy.restarts, policy.commit_attempts), (7, 8, 9));
    assert_eq!((policy.compatible, policy.room), (board.compatible, board.room));
}

#[tokio::test(start_paused = true)]
async fn the_gate_holds_as_many_seconds_as_the_settings_say() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = config(&folder);
        (config.gate.soak_s, config.gate.deadline_s) = (5, 60);
        let (heard, mut events) = unbounded_channel();
        let downloads = Downloads::new(&config.paths.data, [0; 16]);
        let sets = SetStore::new(&config.paths.data, terms(&config));
        let board = board(&folder);
        let wired = wire((&config, &board), (&downloads, &sets), Slot::A, heard);
        let Wired { router, .. } = wired.expect("no check is wrong");
        let start = tokio::time::Instant::now();
        router.route(Action::Judge);
        assert_eq!(events.recv().await, Some(Event::Judged(Verdict::Healthy)));
        assert_eq!(start.elapsed().as_secs(), 5);
    })
    .await;
}

#[tokio::test]
async fn a_trial_that_somebody_ends_by_a_shutdown_gets_its_attempts_back() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mut node = node(&folder, &config(&folder));
        node.is_on_trial(&folder);
        let (heard, mut events) = unbounded_channel();
        let answers = async {
            assert_eq!(node.boot.recv().await, Some(BootAction::Activate(Slot::B)));
            heard.send(Event::Judged(Verdict::Healthy)).expect("the agent hears");
            heard.send(Event::Activated(Ok(()))).expect("the agent hears");
        };
        let (parted, ()) = tokio::join!(node.life.part(&mut events), answers);
        parted.expect("it is saved");
        assert_eq!(node.life.machine.node().update.name(), "leaving");
        assert_eq!(node.life.ledger.entries(), 1);
        assert!(events.try_recv().is_err(), "it waited for the boot store");
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_boot_store_that_does_not_answer_holds_no_shutdown_up() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mut node = node(&folder, &config(&folder));
        node.is_on_trial(&folder);
        let (_heard, mut events) = unbounded_channel();
        let start = tokio::time::Instant::now();
        node.life.part(&mut events).await.expect("it is saved");
        assert_eq!(start.elapsed(), PARTING);
    })
    .await;
}

#[tokio::test]
async fn without_a_trial_a_shutdown_is_nothing_to_remember() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mut node = node(&folder, &config(&folder));
        settled(&mut node);
        let entries = node.life.ledger.entries();
        let (_heard, mut events) = unbounded_channel();
        node.life.part(&mut events).await.expect("nothing is waited for");
        assert_eq!(node.life.ledger.entries(), entries);
    })
    .await;
}
