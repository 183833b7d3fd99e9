use super::*;
use std::path::Path;
use steadfast_adapters::boot_store::{Attempts, BootStore, Place};
use steadfast_core::gate::{Subject, Weight};
use steadfast_core::ledger::{self, MAX_FRAME, Stamp};
use steadfast_core::{Assigned, Boot, Cause, Digest, Outcome, ThisSlot, Trial, Version, text};

pub(super) fn version(text: &str) -> Version {
    Version::new(text).expect("a version")
}

pub(super) fn sick() -> Failure {
    let evidence = text(format_args!("exit 1"));
    Failure { cause: Cause::Check("sick".try_into().expect("short")), evidence }
}

fn committed(slot: Slot, name: &str) -> Committed {
    Committed { slot, version: version(name), digest: None, set: None }
}

/// A node that runs 1.0 in slot A and was told to keep it.
pub(super) fn settled() -> Node {
    let (running, committed) = (Some(version("1.0")), Some(committed(Slot::A, "1.0")));
    Node { running, committed, ..Node::default() }
}

fn trial(why: Why) -> Trial {
    Trial { version: version("2.0"), digest: None, set: None, slot: Slot::B, why }
}

pub(super) fn reporter(folder: &Path, progress: rauc::Progress) -> Reporter {
    let mut config = Config::default();
    config.paths.data = folder.to_owned();
    let (checks, work) = (watch::channel(Vec::new()).1, watch::channel(Rc::default()).1);
    Reporter::new(&config, watch::channel(progress).1, checks, work)
}

/// The ledger in a folder; what is appended to it needs no chain here.
pub(super) fn ledger(folder: &Path) -> LedgerFile {
    LedgerFile::open(&folder.join("ledger"), &folder.join("memory")).expect("a ledger").0
}

fn append(ledger: &mut LedgerFile, sequence: u64, next: Node) {
    append_event(ledger, sequence, Event::Confirmed, next);
}

pub(super) fn append_event(ledger: &mut LedgerFile, sequence: u64, event: Event, next: Node) {
    let at = Stamp { unix_s: 1000 * sequence, boot_ms: 1500 };
    let entry = Entry { sequence, previous: Digest::ZERO, at, event, next };
    let mut buffer = [0; MAX_FRAME];
    ledger.append(ledger::encode(&entry, &mut buffer).expect("short")).expect("writable");
}

pub(super) fn after(endings: u32, outcome: Outcome, failure: Option<Failure>) -> Node {
    let last =
        Some(Ending { version: Some(version("2.0")), set: None, slot: Slot::B, outcome, failure });
    Node { last, endings, ..settled() }
}

fn told(reporter: &Reporter, ledger: &LedgerFile) -> History {
    let Response::History(history) = reporter.history(ledger) else { panic!("a history") };
    history
}

#[test]
fn only_what_was_committed_is_called_so() {
    let update = |update| standing(&Node { update, ..settled() });
    assert_eq!(update(Update::Idle), "committed");
    assert_eq!(standing(&Node { booted: Slot::B, ..settled() }), "uncommitted");
    assert_eq!(standing(&Node { committed: None, ..settled() }), "uncommitted");
    assert_eq!(
        update(Update::Probation { trial: trial(Why::Update), restarts: 0, shutdowns: 0 }),
        "probation"
    );
    let commit =
        |why| Update::Committing { trial: trial(why), attempt: 1, restarts: 0, shutdowns: 0 };
    assert_eq!(update(commit(Why::Update)), "probation");
    assert_eq!(update(commit(Why::Rollback)), "probation");
    assert_eq!(update(commit(Why::Restart)), "settling");
    assert_eq!(update(Update::Settling { trial: trial(Why::Restart) }), "settling");
}

#[test]
fn a_doubt_and_the_previous_system_are_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let previous = Some(committed(Slot::B, "0.9"));
    let node = Node { doubt: Some(sick()), previous, ..settled() };
    let system = reporter(folder.path(), None).system(&node);
    let doubt = system.doubt.expect("a doubt");
    assert!(doubt.contains("sick") && doubt.contains("exit 1"), "{doubt}");
    assert_eq!((system.previous.as_deref(), system.slot.as_str()), (Some("0.9"), "A"));
}

#[test]
fn the_time_of_a_commit_is_that_of_its_entry_and_not_of_the_last_one() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ledger = ledger(folder.path());
    append(&mut ledger, 1, Node { committed: None, ..settled() });
    append(&mut ledger, 2, settled());
    append(&mut ledger, 3, settled());
    let mut reporter = reporter(folder.path(), None);
    reporter.remember(&ledger);
    reporter.saw(&settled());
    assert_eq!(reporter.system(&settled()).committed_unix_s, Some(2000));
    let elsewhere = Node { booted: Slot::B, ..settled() };
    assert_eq!(reporter.system(&elsewhere).committed_unix_s, None, "slot B was not committed");
    reporter.saw(&Node { committed: Some(committed(Slot::A, "1.1")), ..settled() });
    assert!(reporter.system(&settled()).committed_unix_s > Some(3000), "it is another one now");
}

#[test]
fn a_loss_of_the_data_partition_is_told_beside_the_ledgers_own_damage() {
    let folder = tempfile::tempdir().expect("a folder");
    let reporter = reporter(folder.path(), None);
    assert_eq!(reporter.ledger_status(&ledger(folder.path())).damage, None);
    std::fs::create_dir(folder.path().join("evidence")).expect("writable");
    std::fs::write(folder.path().join("evidence/data"), "formatted anew\n").expect("writable");
    let status = reporter.ledger_status(&ledger(folder.path()));
    assert_eq!(status.damage.as_deref(), Some("/data was formatted anew"));
    // Another one holds the folder, so this ledger is in memory.
    let _holder = ledger(folder.path());
    let status = reporter.ledger_status(&ledger(folder.path()));
    let damage = status.damage.expect("two things");
    assert!(damage.contains("cannot be used") && damage.contains("formatted"), "{damage}");
    assert_eq!(status.kept, "memory");
}

#[test]
fn a_chain_that_does_not_hold_is_called_broken() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut written = ledger(folder.path());
    append(&mut written, 1, settled());
    let chain = |ledger| reporter(folder.path(), None).ledger_status(&ledger).chain;
    append(&mut written, 2, settled());
    drop(written);
    // Neither entry names the one before it.
    assert_eq!(chain(ledger(folder.path())), "broken");
    std::fs::remove_dir_all(folder.path().join("ledger")).expect("it is ours");
    assert_eq!(chain(ledger(folder.path())), "whole");
}

#[test]
fn progress_is_told_only_where_there_is_some_and_a_release_only_when_one_is_under_way() {
    let folder = tempfile::tempdir().expect("a folder");
    let reporter = reporter(folder.path(), Some((42, "Copying".into())));
    let update = |update| reporter.update(&Node { update, ..settled() });
    assert_eq!(update(Update::Idle).progress, None);
    let source = "http://a/x.raucb".try_into().expect("short");
    let offer =
        steadfast_core::Offer { source, at: steadfast_core::At::Now, content: None, set: None };
    let fetching = update(Update::Fetching { offer, attempt: 1, begun: None });
    assert_eq!(fetching.progress.map(|progress| progress.percent), Some(42));
    let ready = update(Update::Ready { trial: trial(Why::Update) });
    assert_eq!((ready.release.as_deref(), ready.progress), (Some("2.0"), None));
    assert_eq!(update(Update::Settling { trial: trial(Why::Restart) }).release, None);
    let commit =
        |why| Update::Committing { trial: trial(why), attempt: 1, restarts: 0, shutdowns: 0 };
    assert_eq!(update(commit(Why::Restart)).release, None);
    assert_eq!(update(commit(Why::Update)).release.as_deref(), Some("2.0"));
}

#[test]
fn an_ending_is_told_with_its_cause_and_what_shows_it() {
    let ending = after(1, Outcome::Returned, Some(sick())).last.expect("an ending");
    let told = ending_status(&ending);
    assert_eq!((told.outcome.as_str(), told.slot.as_str()), ("returned", "B"));
    let cause = told.cause.expect("a cause");
    assert_eq!((cause.kind.as_str(), cause.name.as_deref()), ("check", Some("sick")));
    assert_eq!((told.release.as_deref(), told.evidence.as_str()), (Some("2.0"), "exit 1"));
}

#[test]
fn the_history_has_each_ending_once_at_the_entry_that_made_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ledger = ledger(folder.path());
    append(&mut ledger, 1, settled());
    append(&mut ledger, 2, after(1, Outcome::Returned, Some(sick())));
    append(&mut ledger, 3, after(1, Outcome::Returned, Some(sick())));
    append(&mut ledger, 4, after(2, Outcome::Returned, Some(sick())));
    append(&mut ledger, 5, after(3, Outcome::Committed, None));
    let history = told(&reporter(folder.path(), None), &ledger);
    let endings: Vec<u64> = history.endings.iter().map(|ending| ending.seq).collect();
    assert_eq!(endings, [2, 4, 5]);
    assert_eq!(history.endings[2].cause, None);
    let entries: Vec<u64> = history.entries.iter().map(|entry| entry.seq).collect();
    assert_eq!(entries, [1, 2, 3, 4, 5]);
    assert_eq!((history.entries[0].unix_s, history.entries[0].boot_s), (1000, 1.5));
}

#[test]
fn the_oldest_entry_that_is_kept_claims_no_ending() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ledger = ledger(folder.path());
    append(&mut ledger, 70, after(4, Outcome::Committed, None));
    append(&mut ledger, 71, after(5, Outcome::Returned, Some(sick())));
    let history = told(&reporter(folder.path(), None), &ledger);
    let endings: Vec<u64> = history.endings.iter().map(|ending| ending.seq).collect();
    assert_eq!(endings, [71]);
}

#[test]
fn a_history_that_is_too_long_keeps_the_newest() {
    let mut list = VecDeque::new();
    (0..=HISTORY).for_each(|item| push(&mut list, item));
    assert_eq!((list.len(), list.front(), list.back()), (HISTORY, Some(&1), Some(&HISTORY)));
}

#[test]
fn the_boot_environment_is_told_copy_by_copy_and_slot_by_slot() {
    let folder = tempfile::tempdir().expect("a folder");
    let device = folder.path().join("ubootenv");
    std::fs::write(&device, vec![0; 1 << 20]).expect("writable");
    let place = Place { device, offsets: [0, 0x80000], lock: folder.path().join("lock") };
    let store = BootStore::new(place, Attempts { trial: 3, committed: 8 });
    store.change(|env| env.activated(Slot::B, 5)).expect("writable");
    let boot = boot_status(store.read());
    assert_eq!((boot.primary.as_deref(), boot.sequence), (Some("B"), 1));
    assert_eq!((boot.order.join(" "), boot.left), ("B A".to_owned(), Left { A: 3, B: 5 }));
    assert_eq!(boot.copies, ["valid", "the checksum does not match"]);
    std::fs::remove_file(folder.path().join("ubootenv")).expect("it is ours");
    let boot = boot_status(store.read());
    let [why] = boot.copies.as_slice() else { panic!("one reason: {:?}", boot.copies) };
    assert!(boot.primary.is_none() && why.contains("could not be opened"), "{why}");
}

#[test]
fn a_check_is_told_with_its_weight_and_what_it_said() {
    let told = |weight, heard| {
        let subject = Subject::Check("one".try_into().expect("short"));
        let CheckStatus { required, state, evidence, .. } =
            check_status(&Watched { subject, weight, heard });
        (required, state, evidence)
    };
    let failed = Heard::Failed(text(format_args!("exit 1")));
    assert_eq!(told(Weight::Required, failed), (true, "failed".into(), "exit 1".into()));
    assert_eq!(told(Weight::Wanted, Heard::Nothing), (false, "unheard".into(), String::new()));
    assert_eq!(told(Weight::Wanted, Heard::Passed), (false, "passed".into(), String::new()));
}

#[test]
fn the_history_says_what_failed_and_what_a_boot_found() {
    let failed = detail(&Event::Committed(Err(sick())));
    assert!(failed.starts_with("not: ") && failed.contains("exit 1"), "{failed}");
    let unhealthy = detail(&Event::Judged(Verdict::Unhealthy(sick())));
    assert!(unhealthy.contains("sick") && unhealthy.contains("exit 1"), "{unhealthy}");
    let evidence = Some(Failure::new(Cause::Panic, format_args!("Kernel panic")));
    let (slot, id, other) = (Slot::B, [1; 16], OtherSlot::Tried);
    let booted = detail(&Event::Booted(Boot {
        slot,
        version: version("2.0"),
        id,
        this: ThisSlot::Once,
        other,
        set: Assigned::Nothing,
        evidence,
    }));
    assert!(booted.starts_with("2.0 in slot B, A was tried; "), "{booted}");
    assert!(booted.contains("Kernel panic"), "{booted}");
}
