use super::*;
use steadfast_adapters::evidence::journal::{Heading, JournalFile, Tail};
use steadfast_core::{
    Assigned, Cause, Committed, Ending, Failure, OtherSlot, ThisSlot, Trial, Why, text,
};
use tempfile::TempDir;

fn version(text: &str) -> Version {
    Version::new(text).expect("a version")
}

/// A node that runs 1.0 in slot A since the boot of this number, and keeps it.
fn resting() -> Node {
    let committed =
        Some(Committed { slot: Slot::A, version: version("1.0"), digest: None, set: None });
    Node { running: Some(version("1.0")), committed, boot: [1; 16], ..Node::default() }
}

fn trial() -> Trial {
    Trial { version: version("2.0"), digest: None, set: None, slot: Slot::B, why: Why::Update }
}

fn failure() -> Failure {
    Failure { cause: Cause::Panic, evidence: text(format_args!("Kernel panic")) }
}

fn boot(slot: Slot, evidence: Option<Failure>) -> Boot {
    let other = OtherSlot::Tried;
    Boot {
        slot,
        version: version("1.0"),
        id: [2; 16],
        this: ThisSlot::Once,
        other,
        set: Assigned::Nothing,
        evidence,
    }
}

/// Which system a start says has failed, and which ending it is on the way to.
fn told(before: &Node, after: &Node, boot: &Boot) -> Option<(String, Slot, Option<u32>)> {
    let nothing = Evidence { pstore: "/nowhere".into(), agent_exit: "/nowhere".into() };
    told_by(before, after, boot, &nothing)
}

fn told_by(
    before: &Node,
    after: &Node,
    boot: &Boot,
    evidence: &Evidence,
) -> Option<(String, Slot, Option<u32>)> {
    let start = Start { before, after, sequence: 7, reset: LastReset::Other, evidence };
    let Failed { version, slot, ending, .. } = Witness::of(start, boot)?.failed;
    Some((version, slot, ending))
}

#[test]
fn a_trial_that_is_condemned_by_a_start_is_what_failed_whichever_slot_runs() {
    let before = Node { update: Update::Rebooting { trial: trial() }, ..resting() };
    let condemning = Update::Condemning { trial: trial(), failure: failure() };
    for slot in Slot::ALL {
        let after = Node { update: condemning.clone(), endings: 3, ..resting() };
        let found = told(&before, &after, &boot(slot, Some(failure())));
        assert_eq!(found, Some(("2.0".into(), Slot::B, Some(4))));
        assert_eq!(told(&before, &after, &boot(slot, None)), found, "also without a trace");
    }
}

#[test]
fn a_release_that_came_back_is_what_failed_and_has_its_ending_already() {
    let returning = Update::Returning { trial: trial(), failure: failure() };
    let before = Node { update: returning, booted: Slot::B, endings: 3, ..resting() };
    let (outcome, failure) = (Outcome::Returned, Some(failure()));
    let last =
        Some(Ending { version: Some(version("2.0")), set: None, slot: Slot::B, outcome, failure });
    let after = Node { last, endings: 4, ..resting() };
    let found = told(&before, &after, &boot(Slot::A, None));
    assert_eq!(found, Some(("2.0".into(), Slot::B, Some(4))));
    // The ordinary boot after it does not fail because the one before did.
    assert_eq!(told(&after, &after, &boot(Slot::A, None)), None);
}

#[test]
fn a_system_that_something_ended_is_what_failed_and_a_committed_one_leads_to_no_ending() {
    let found = told(&resting(), &resting(), &boot(Slot::A, Some(failure())));
    assert_eq!(found, Some(("1.0".into(), Slot::A, None)));
    let on_trial = Node {
        update: Update::Probation { trial: trial(), restarts: 1, shutdowns: 0 },
        running: Some(version("2.0")),
        booted: Slot::B,
        endings: 3,
        ..resting()
    };
    let found = told(&on_trial, &on_trial, &boot(Slot::B, Some(failure())));
    assert_eq!(found, Some(("2.0".into(), Slot::B, Some(4))));
    // What ended badly on the way into a trial was the system before it.
    let rebooting = Node { update: Update::Rebooting { trial: trial() }, ..resting() };
    let found = told(&rebooting, &on_trial, &boot(Slot::B, Some(failure())));
    assert_eq!(found, Some(("1.0".into(), Slot::A, None)));
}

#[test]
fn an_ordinary_boot_and_a_restart_of_the_agent_are_no_failed_boots() {
    assert_eq!(told(&resting(), &resting(), &boot(Slot::A, None)), None);
    let condemning = Update::Condemning { trial: trial(), failure: failure() };
    let after = Node { update: condemning, ..resting() };
    let again = Boot { id: [1; 16], ..boot(Slot::B, Some(failure())) };
    assert_eq!(told(&resting(), &after, &again), None);
}

#[test]
fn what_a_kernel_said_that_went_on_is_kept_and_leads_to_no_ending() {
    let (_folder, evidence) = left(1, Slot::B, "2.0");
    let on_trial = Node {
        update: Update::Probation { trial: trial(), restarts: 0, shutdowns: 0 },
        running: Some(version("2.0")),
        booted: Slot::B,
        ..resting()
    };
    let found = told_by(&on_trial, &on_trial, &boot(Slot::B, None), &evidence);
    assert_eq!(found, Some(("2.0".into(), Slot::B, None)));
}

/// A folder in which the boot of this number kept a line, and the kernel left a record.
fn left(number: u8, slot: Slot, release: &str) -> (TempDir, Evidence) {
    let folder = tempfile::tempdir().expect("a folder");
    let heading = Heading { boot: [number; 16], slot, version: release.to_owned() };
    let mut tail = Tail::default();
    tail.feed(b"the last line\n");
    JournalFile::new(folder.path(), heading).write(&tail).expect("writable");
    let (pstore, agent_exit) = (folder.path().join("pstore"), folder.path().join("agent"));
    std::fs::create_dir(&pstore).expect("writable");
    std::fs::write(pstore.join("dmesg-ramoops-0"), "<0>Kernel panic\n").expect("writable");
    (folder, Evidence { pstore, agent_exit })
}

fn kept(number: u8, slot: Slot, release: &str) -> Record {
    let (folder, evidence) = left(number, slot, release);
    let before = Node { update: Update::Rebooting { trial: trial() }, ..resting() };
    let after =
        Node { update: Update::Condemning { trial: trial(), failure: failure() }, ..resting() };
    let (reset, evidence) = (LastReset::ByWatchdog, &evidence);
    let start = Start { before: &before, after: &after, sequence: 7, reset, evidence };
    let witness = Witness::of(start, &boot(Slot::A, None)).expect("a boot that failed");
    witness.keep(evidence, folder.path()).expect("writable");
    let mut records = Records::new(folder.path()).all();
    records.pop().expect("it is kept")
}

#[test]
fn what_the_failed_boot_left_is_kept_with_the_entry_that_tells_of_it() {
    let Record { failed, kernel, journal } = kept(1, Slot::B, "2.0");
    assert_eq!((failed.sequence, failed.reset), (7, LastReset::ByWatchdog));
    assert_eq!(kernel.expect("a record"), ["Kernel panic"]);
    assert_eq!(journal.expect("its journal").lines, ["the last line"]);
}

#[test]
fn no_system_is_shown_the_journal_of_another_one() {
    for (number, slot, release) in [(1, Slot::A, "2.0"), (1, Slot::B, "1.9"), (2, Slot::B, "2.0")] {
        let Record { kernel, journal, .. } = kept(number, slot, release);
        assert_eq!(journal, None, "{number} {slot} {release}");
        assert!(kernel.is_some());
    }
}
