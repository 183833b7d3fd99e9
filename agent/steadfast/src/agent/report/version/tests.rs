use super::super::tests::{after, append_event, ledger, reporter, settled, sick, version};
use super::*;
use crate::protocol::MAX_FRAME;
use std::path::Path;
use steadfast_adapters::evidence::journal::{Heading, Kept};
use steadfast_adapters::evidence::record::Failed;
use steadfast_core::{At, Node, Offer, Outcome, Slot, Trial, Why};

fn announced(source: &str) -> Event {
    let source = source.try_into().expect("short");
    Event::Announced(Offer { source, at: At::Now, content: None, set: None })
}

fn on_trial(name: &str, endings: u32) -> Node {
    let trial =
        Trial { version: version(name), digest: None, set: None, slot: Slot::B, why: Why::Update };
    Node { update: Update::Rebooting { trial }, endings, ..settled() }
}

/// 2.0 came back, then another bundle was refused unread, then 2.0 was committed.
fn a_ledger(folder: &Path) -> LedgerFile {
    let mut ledger = ledger(folder);
    let mut said = |sequence, event, next| append_event(&mut ledger, sequence, event, next);
    let idle = |endings| Node { endings, ..settled() };
    said(1, Event::Confirmed, idle(0));
    said(2, announced("/usb/2.raucb"), idle(0));
    said(3, Event::WindowOpened, on_trial("2.0", 0));
    said(4, Event::Confirmed, after(1, Outcome::Returned, Some(sick())));
    said(5, Event::Confirmed, after(1, Outcome::Returned, Some(sick())));
    said(6, announced("/usb/unread.raucb"), after(1, Outcome::Returned, Some(sick())));
    let mut unread = after(2, Outcome::Refused, Some(sick()));
    unread.last.as_mut().expect("an ending").version = None;
    said(7, Event::Confirmed, unread);
    said(8, announced("/usb/2b.raucb"), idle(2));
    said(9, Event::WindowOpened, on_trial("2.0", 2));
    said(10, Event::Confirmed, after(3, Outcome::Committed, None));
    said(11, announced("/usb/3.raucb"), after(3, Outcome::Committed, None));
    said(12, Event::WindowOpened, on_trial("3.0", 3));
    ledger
}

fn told(folder: &Path, name: &str, ledger: &LedgerFile) -> VersionHistory {
    match reporter(folder, None).history_of(name, ledger) {
        Response::HistoryOf(history) => history,
        other => panic!("a history: {other:?}"),
    }
}

fn steps(history: &VersionHistory) -> Vec<u64> {
    history.entries.iter().map(|entry| entry.seq).collect()
}

fn record(sequence: u64, name: &str) -> Record {
    let lines = vec!["x".repeat(31); 1023];
    let heading = Heading { boot: [1; 16], slot: Slot::B, version: name.to_owned() };
    let failed = Failed {
        version: name.to_owned(),
        slot: Slot::B,
        sequence,
        ending: None,
        reset: LastReset::ByWatchdog,
    };
    let kernel = Some(vec!["y".repeat(31); 512]);
    Record { failed, kernel, journal: Some(Kept { heading, lines }) }
}

#[test]
fn the_history_of_a_version_is_each_of_its_updates_from_its_announcement_to_its_end() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = a_ledger(folder.path());
    let history = told(folder.path(), "2.0", &ledger);
    assert_eq!(steps(&history), [2, 3, 4, 8, 9, 10]);
    let outcomes: Vec<_> = history.endings.iter().map(|ending| ending.outcome.as_str()).collect();
    assert_eq!((outcomes.join(" "), history.failed.len()), ("returned committed".into(), 0));
}

#[test]
fn an_update_is_about_what_its_ending_says_whatever_it_was_taken_for_before() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ledger = ledger(folder.path());
    let mut said = |sequence, event, next| append_event(&mut ledger, sequence, event, next);
    said(1, announced("/usb/2.raucb"), settled());
    // What was begun as 3.0 turned out to be 2.0.
    said(2, Event::WindowOpened, on_trial("3.0", 0));
    said(3, Event::Confirmed, after(1, Outcome::Returned, Some(sick())));
    assert_eq!(steps(&told(folder.path(), "2.0", &ledger)), [1, 2, 3]);
    let other = reporter(folder.path(), None).history_of("3.0", &ledger);
    assert!(matches!(other, Response::Refused { .. }), "{other:?}");
}

#[test]
fn an_update_that_is_under_way_is_told_so_far() {
    let folder = tempfile::tempdir().expect("a folder");
    let history = told(folder.path(), "3.0", &a_ledger(folder.path()));
    assert_eq!((steps(&history), history.endings.len()), (vec![11, 12], 0));
}

#[test]
fn a_version_that_the_ledger_does_not_know_is_refused_and_one_that_only_ran_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = a_ledger(folder.path());
    let Response::Refused { because } = reporter(folder.path(), None).history_of("9", &ledger)
    else {
        panic!("nobody heard of it");
    };
    assert_eq!(because, "the ledger knows no version 9");
    assert_eq!(steps(&told(folder.path(), "1.0", &ledger)), Vec::<u64>::new());
}

#[test]
fn what_failed_boots_left_is_told_with_the_steps_that_tell_of_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let ledger = a_ledger(folder.path());
    let records = Records::new(&folder.path().join("evidence"));
    records.save(&record(4, "2.0")).expect("writable");
    records.save(&record(5, "1.0")).expect("writable");
    let history = told(folder.path(), "2.0", &ledger);
    assert_eq!(steps(&history), [2, 3, 4, 8, 9, 10], "no step is told twice");
    let [failed] = history.failed.as_slice() else { panic!("one: {:?}", history.failed) };
    assert_eq!((failed.seq, failed.slot.as_str(), failed.watchdog), (4, "B", true));
    assert_eq!(failed.kernel.as_ref().map(Vec::len), Some(512));
    assert_eq!(failed.journal.as_ref().map(Vec::len), Some(1023));
    // A committed system that was reset has no update here, and the step that tells of it.
    assert_eq!(steps(&told(folder.path(), "1.0", &ledger)), [5]);
}

#[test]
fn the_longest_history_of_a_version_fits_into_one_frame() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut ledger = ledger(folder.path());
    let source = format!("/{}", "s".repeat(254));
    for sequence in 1..=2 * STEPS as u64 {
        let ended = u32::try_from(sequence).expect("small");
        let mut long = sick();
        long.evidence = steadfast_core::text(format_args!("{}", "e".repeat(160)));
        let next = after(ended, Outcome::Returned, Some(long));
        append_event(&mut ledger, sequence, announced(&source), next);
    }
    let records = Records::new(&folder.path().join("evidence"));
    (1..=record::MOST as u64).for_each(|at| records.save(&record(at, "2.0")).expect("writable"));
    let history = told(folder.path(), "2.0", &ledger);
    assert_eq!((history.entries.len(), history.endings.len()), (STEPS, STEPS));
    assert_eq!(history.entries.last().map(|entry| entry.seq), Some(2 * STEPS as u64));
    assert_eq!(history.failed.len(), record::MOST);
    let bytes = postcard::to_allocvec(&Response::HistoryOf(history)).expect("it has a form").len();
    assert!(bytes <= MAX_FRAME as usize, "{bytes}");
}
