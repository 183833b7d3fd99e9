//! What the last end left behind, where a machine leaves more than one thing.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::{Duration, SystemTime};
use steadfast_adapters::evidence::journal::{Heading, JournalFile, Kept, ROOM, Tail, pace};
use steadfast_adapters::evidence::record::{Failed, KERNEL, MOST, Record, Records};
use steadfast_adapters::evidence::{Evidence, Start};
use steadfast_adapters::watchdog::LastReset;
use steadfast_core::{Cause, Failure, Slot};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a folder")
}

fn left_in(folder: &Path, files: &[(&str, &str)]) -> Evidence {
    let (pstore, agent_exit) = (folder.join("pstore"), folder.join("agent"));
    fs::create_dir(&pstore).expect("writable");
    for (name, text) in files {
        fs::write(folder.join(name), text).expect("writable");
    }
    Evidence { pstore, agent_exit }
}

fn said(files: &[(&str, &str)]) -> Option<(Cause, String)> {
    let folder = tempfile::tempdir().expect("a folder");
    let found = left_in(folder.path(), files).collect(Start::NewBoot, LastReset::Other);
    found.map(|Failure { cause, evidence }| (cause, evidence.as_str().to_owned()))
}

#[test]
fn of_several_panics_the_last_one_is_told() {
    let found = said(&[
        ("pstore/dmesg-ramoops-0", "<0>[    4.2] Kernel panic - not syncing: the first\n"),
        ("pstore/dmesg-ramoops-1", "<0>[    9.1] Kernel panic - not syncing: the second\n"),
    ]);
    assert_eq!(found, Some((Cause::Panic, "Kernel panic - not syncing: the second".into())));
}

#[test]
fn a_record_whose_words_end_with_its_time_is_told_as_it_stands() {
    let found = said(&[("pstore/dmesg-ramoops-0", "qKernel panic:C::1] \n")]);
    assert_eq!(found, Some((Cause::Panic, "qKernel panic:C::1] ".into())));
}

#[test]
fn an_oops_that_no_panic_followed_is_no_cause_and_its_words_are_there() {
    let oops = "Oops#1 Part1\n<1>[    4.0] Internal error: Oops: 96000004 [#1] SMP\n";
    assert_eq!(said(&[("pstore/dmesg-ramoops-0", oops)]), None);
    let folder = folder();
    let evidence = left_in(folder.path(), &[("pstore/dmesg-ramoops-0", oops)]);
    let words = evidence.kernel([1; 16]).expect("a record");
    assert_eq!(words, ["Oops#1 Part1", "[    4.0] Internal error: Oops: 96000004 [#1] SMP"]);
    let reset = evidence.collect(Start::NewBoot, LastReset::ByWatchdog).expect("a reset");
    assert_eq!(reset.cause, Cause::Watchdog, "what ended it was the watchdog");
    let both = format!("{oops}<0>[    4.2] Kernel panic - not syncing: Oops: Fatal exception\n");
    let found = said(&[("pstore/dmesg-ramoops-0", &both)]).expect("a panic");
    assert_eq!(found.1, "Kernel panic - not syncing: Oops: Fatal exception");
}

#[test]
fn what_a_console_printed_is_no_panic_record() {
    let console = "[    4.2] Kernel panic - not syncing: of long ago\n";
    assert_eq!(said(&[("pstore/console-ramoops-0", console)]), None);
}

#[test]
fn the_agents_last_end_is_told_with_its_code() {
    let found = said(&[("agent", "signal killed SEGV\nexit-code exited 3\n")]);
    assert_eq!(found, Some((Cause::AgentCrashed, "the agent ended: exit-code exited 3".into())));
}

#[test]
fn all_that_was_saved_is_removed_so_that_no_later_boot_is_blamed_for_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let records = ["pstore/dmesg-ramoops-0", "pstore/dmesg-ramoops-1", "agent"];
    let evidence = left_in(folder.path(), &records.map(|name| (name, "Kernel panic")));
    evidence.clear();
    assert!(records.iter().all(|name| !folder.path().join(name).exists()));
    evidence.clear();
}

/// The kernel's record, and the end of the agent, of which the boot of this number told.
fn told_of(folder: &Path, boot: u8) -> Evidence {
    let panic = "<0>[    4.2] Kernel panic - not syncing: sysrq\n";
    let left = [("pstore/dmesg-ramoops-0", panic), ("agent", "signal killed SEGV\n")];
    let evidence = left_in(folder, &left);
    evidence.tell([boot; 16]);
    evidence
}

#[test]
fn what_was_told_but_could_not_be_kept_stays_and_no_later_boot_is_blamed_for_it() {
    let folder = folder();
    let evidence = told_of(folder.path(), 1);
    assert!(folder.path().join("pstore/dmesg-ramoops-0").exists());
    assert!(!folder.path().join("agent").exists(), "the entry has all of it");
    assert_eq!(evidence.collect(Start::NewBoot, LastReset::Other), None);
    assert_eq!(evidence.owed(), Some([1; 16]));
    let words = ["[    4.2] Kernel panic - not syncing: sysrq".to_owned()];
    assert_eq!(evidence.kernel([1; 16]), Some(words.to_vec()), "the boot that told of it");
    assert_eq!(evidence.kernel([2; 16]), None, "another one");
    // Another boot that can keep nothing does not make them its own.
    evidence.tell([2; 16]);
    assert_eq!(evidence.owed(), Some([1; 16]));
    evidence.clear();
    assert_eq!((evidence.owed(), evidence.kernel([1; 16])), (None, None));
    assert!(!folder.path().join("told").is_symlink());
}

#[test]
fn a_panic_that_says_what_one_before_it_said_is_told_all_the_same() {
    let folder = folder();
    let evidence = told_of(folder.path(), 1);
    let record = folder.path().join("pstore/dmesg-ramoops-0");
    let file = File::options().write(true).open(record).expect("there");
    file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1000)).expect("ours");
    let found = evidence.collect(Start::NewBoot, LastReset::Other).expect("a panic");
    assert_eq!((found.cause, evidence.owed()), (Cause::Panic, None));
}

#[test]
fn what_cannot_even_be_noted_as_told_goes_before_a_boot_is_blamed_for_it() {
    let folder = folder();
    fs::create_dir_all(folder.path().join("told/in-the-way")).expect("writable");
    let evidence = told_of(folder.path(), 1);
    assert_eq!(evidence.collect(Start::NewBoot, LastReset::Other), None);
    assert!(!folder.path().join("pstore/dmesg-ramoops-0").exists());
}

#[test]
fn the_last_panic_is_the_youngest_record_and_not_the_one_with_the_highest_number() {
    let folder = folder();
    let records = [
        ("pstore/dmesg-ramoops-0", "Panic#1 Part1\n<0>[    9.1] Kernel panic - of the last boot\n"),
        ("pstore/dmesg-ramoops-1", "Panic#2 Part1\n<0>[   70.1] Kernel panic - of one before\n"),
    ];
    let evidence = left_in(folder.path(), &records);
    let date = |name, seconds| {
        let file = File::options().write(true).open(folder.path().join(name)).expect("there");
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)).expect("ours");
    };
    date("pstore/dmesg-ramoops-1", 1000);
    date("pstore/dmesg-ramoops-0", 2000);
    let kernel = evidence.kernel([1; 16]).expect("a record");
    assert_eq!(kernel, ["Panic#1 Part1", "[    9.1] Kernel panic - of the last boot"]);
    let found = evidence.collect(Start::NewBoot, LastReset::Other).expect("a panic");
    assert_eq!(found.evidence, "Kernel panic - of the last boot");
}

#[test]
fn a_record_that_cannot_be_read_hides_no_other_one() {
    let folder = folder();
    let records = [
        ("pstore/dmesg-ramoops-0", "<0>[    4.2] Kernel panic - not syncing: sysrq\n"),
        ("pstore/dmesg-ramoops-1.enc.z", "what the kernel could not unpack"),
    ];
    let evidence = left_in(folder.path(), &records);
    fs::create_dir(folder.path().join("pstore/dmesg-ramoops-2")).expect("ours");
    let kernel = evidence.kernel([1; 16]).expect("the first");
    assert_eq!(kernel, ["[    4.2] Kernel panic - not syncing: sysrq"]);
    fs::remove_dir_all(folder.path().join("pstore")).expect("ours");
    assert_eq!(evidence.kernel([1; 16]), None);
}

fn heading(boot: u8, slot: Slot, version: &str) -> Heading {
    Heading { boot: [boot; 16], slot, version: version.to_owned() }
}

fn tail(text: &str) -> Tail {
    let mut tail = Tail::default();
    tail.feed(text.as_bytes());
    tail
}

#[test]
fn of_a_boot_the_last_lines_are_kept_whatever_it_said() {
    let mut tail = Tail::default();
    for number in 0..5000 {
        tail.feed(format!("[{number:>5}] a line of an ordinary length\n").as_bytes());
    }
    let lines = tail.lines();
    let bytes: usize = lines.iter().map(|line| line.len() + 1).sum();
    assert!(bytes <= ROOM && bytes > ROOM - 100, "{bytes}");
    assert_eq!(lines.last().map(String::as_str), Some("[ 4999] a line of an ordinary length"));
    // One endless line takes its place among the others, and no more.
    for _ in 0..100 {
        assert!(!tail.feed(&[b'x'; 1 << 16]));
    }
    assert!(tail.feed(b"\nafter it\n"));
    let lines = tail.lines();
    assert!(lines.len() > 700, "{}", lines.len());
    assert_eq!(lines[lines.len() - 2].len(), 1000);
    assert_eq!(lines.last().map(String::as_str), Some("after it"));
}

#[test]
fn a_line_that_comes_in_pieces_is_one_line() {
    let mut tail = Tail::default();
    assert!(!tail.feed(b"[ 1.0] on"));
    assert_eq!(tail.lines(), Vec::<String>::new());
    assert!(tail.feed(b"e\n[ 1.1] tw"));
    assert!(tail.feed(b"o\n"));
    assert_eq!(tail.lines(), ["[ 1.0] one", "[ 1.1] two"]);
}

#[test]
fn the_next_boot_finds_what_the_last_one_said_before_and_after_it_keeps_its_own() {
    let folder = folder();
    let (bad, good) = (heading(1, Slot::B, "1.2.0"), heading(2, Slot::A, "1.0.0"));
    let mut file = JournalFile::new(folder.path(), bad.clone());
    file.write(&tail("it begins\n")).expect("writable");
    file.write(&tail("it begins\nit hangs\n")).expect("writable");
    let found = Kept::of_boot_before([2; 16], folder.path()).expect("it was kept");
    assert_eq!((found.heading, found.lines.join("/")), (bad.clone(), "it begins/it hangs".into()));
    let mut file = JournalFile::new(folder.path(), good);
    file.write(&tail("all is well\n")).expect("writable");
    file.write(&tail("all is well\nstill\n")).expect("writable");
    let found = Kept::of_boot_before([2; 16], folder.path()).expect("it was kept");
    assert_eq!((found.heading, found.lines.join("/")), (bad, "it begins/it hangs".into()));
    // A third boot is after the second one, and of its own words nothing is told.
    let found = Kept::of_boot_before([3; 16], folder.path()).expect("it was kept");
    assert_eq!(found.lines, ["all is well", "still"]);
}

#[test]
fn the_keeper_that_starts_again_within_a_boot_keeps_what_the_boot_before_said() {
    let folder = folder();
    for (boot, text) in [(1, "the first\n"), (2, "the second\n"), (2, "the second again\n")] {
        let mut file = JournalFile::new(folder.path(), heading(boot, Slot::A, "1.0.0"));
        file.write(&tail(text)).expect("writable");
    }
    let found = Kept::of_boot_before([2; 16], folder.path()).expect("it was kept");
    assert_eq!(found.lines, ["the first"]);
}

#[test]
fn a_file_that_is_no_kept_journal_is_nobodys_words() {
    let folder = folder();
    let head = |boot| format!("steadfast-journal {boot} slot B version 1\nwords\n");
    let (short, no_digit) = (head("00"), head("0123456789abcdef0123456789abcdeg"));
    for text in ["", "words\n", &short, &no_digit] {
        fs::write(folder.path().join("journal"), text).expect("writable");
        assert_eq!(Kept::of_boot_before([2; 16], folder.path()), None, "{text}");
    }
    assert!(
        JournalFile::new(&folder.path().join("journal"), heading(1, Slot::A, "1"))
            .write(&tail("a folder is not there\n"))
            .is_err()
    );
}

#[test]
fn a_young_boot_loses_two_seconds_and_an_old_one_less_than_a_watchdogs_deadline() {
    assert_eq!(pace(Duration::ZERO), Duration::from_secs(2));
    assert_eq!(pace(Duration::from_secs(1199)), Duration::from_secs(2));
    assert_eq!(pace(Duration::from_secs(1200)), Duration::from_secs(30));
}

fn failed(sequence: u64) -> Failed {
    let (version, slot) = ("1.2.0".to_owned(), Slot::B);
    Failed { version, slot, sequence, ending: None, reset: LastReset::ByWatchdog }
}

fn record(sequence: u64) -> Record {
    let kernel = Some(vec!["[ 4.2] Kernel panic - not syncing: sysrq".to_owned()]);
    let journal =
        Kept { heading: heading(1, Slot::B, "1.2.0"), lines: vec!["the last line".to_owned()] };
    Record { failed: failed(sequence), kernel, journal: Some(journal) }
}

fn sequences(records: &Records) -> Vec<u64> {
    records.all().iter().map(|record| record.failed.sequence).collect()
}

#[test]
fn what_is_kept_of_a_failed_boot_is_read_again_as_it_was_and_by_root_only() {
    let folder = folder();
    let records = Records::new(folder.path());
    assert_eq!(records.all(), []);
    records.save(&record(41)).expect("writable");
    assert_eq!(records.all(), [record(41)]);
    let mode = |path: &str| {
        let of = fs::metadata(folder.path().join(path)).expect("it is there");
        of.permissions().mode() & 0o777
    };
    assert_eq!(mode("failed"), 0o700);
    assert_eq!(mode("failed/41-1.2.0/journal"), 0o600);
    // The same entry again, after a cut before it was saved: one record, the last.
    let again = Record { journal: None, ..record(41) };
    records.save(&again).expect("writable");
    assert_eq!(records.all(), [again]);
}

#[test]
fn the_newest_failed_boots_are_kept_each_bounded() {
    let folder = folder();
    let records = Records::new(folder.path());
    let lines = |count| (0..count).map(|number| format!("line {number}")).collect::<Vec<_>>();
    let long = |sequence| Record { kernel: Some(lines(90_000)), ..record(sequence) };
    let most = MOST as u64;
    // Nine before ten: the number decides, not the name.
    (3..=most + 4).for_each(|sequence| records.save(&long(sequence)).expect("writable"));
    assert_eq!(sequences(&records), (5..=most + 4).collect::<Vec<u64>>());
    for record in records.all() {
        let kernel = record.kernel.expect("kept");
        let bytes: usize = kernel.iter().map(|line| line.len() + 1).sum();
        assert!(bytes <= KERNEL && bytes > KERNEL - 20, "{bytes}");
        assert_eq!(kernel.last().map(String::as_str), Some("line 89999"));
    }
}

#[test]
fn of_one_ending_the_first_failed_boot_is_told_unless_a_later_one_says_why() {
    let folder = folder();
    let records = Records::new(folder.path());
    let of = |sequence, ending, reset| Record {
        failed: Failed { ending: Some(ending), reset, ..failed(sequence) },
        kernel: None,
        ..record(sequence)
    };
    records.save(&of(1, 7, LastReset::Other)).expect("writable");
    records.save(&of(2, 7, LastReset::Other)).expect("writable");
    records.save(&of(3, 8, LastReset::Other)).expect("writable");
    assert_eq!(sequences(&records), [1, 3]);
    records.save(&of(4, 7, LastReset::ByWatchdog)).expect("writable");
    assert_eq!(sequences(&records), [3, 4]);
    records.save(&of(5, 7, LastReset::ByWatchdog)).expect("writable");
    assert_eq!(sequences(&records), [3, 4], "the first reset saw the failure");
    let panicked =
        |sequence| Record { kernel: record(0).kernel, ..of(sequence, 7, LastReset::Other) };
    let oops = Record {
        kernel: Some(vec!["Internal error: Oops".to_owned()]),
        ..of(5, 7, LastReset::Other)
    };
    records.save(&oops).expect("writable");
    assert_eq!(sequences(&records), [3, 4], "an oops ended nothing");
    records.save(&panicked(6)).expect("writable");
    assert_eq!(sequences(&records), [3, 6]);
    records.save(&of(7, 7, LastReset::ByWatchdog)).expect("writable");
    assert_eq!(sequences(&records), [3, 6]);
    // The entry could not be saved, and the same start is told again.
    let again = Record { journal: None, ..panicked(6) };
    records.save(&again).expect("writable");
    assert_eq!(records.all().last(), Some(&again));
    // A committed system that starts again leads to no ending, and each time is told.
    records.save(&record(8)).expect("writable");
    records.save(&record(9)).expect("writable");
    assert_eq!(sequences(&records), [3, 6, 8, 9]);
}

#[test]
fn a_boot_that_left_nothing_behind_makes_no_record() {
    let folder = folder();
    let records = Records::new(folder.path());
    let failed = Failed { reset: LastReset::Other, ..failed(1) };
    records.save(&Record { failed, kernel: None, journal: None }).expect("nothing to do");
    assert_eq!(records.all(), []);
    records.save(&Record { kernel: None, journal: None, ..record(2) }).expect("a flag is enough");
    assert_eq!(sequences(&records), [2]);
}

#[test]
fn a_record_that_was_cut_off_is_none_and_is_in_nobodys_way() {
    let folder = folder();
    let records = Records::new(folder.path());
    let half = folder.path().join("failed/new");
    fs::create_dir_all(&half).expect("writable");
    fs::write(half.join("kernel"), "half").expect("writable");
    assert_eq!(records.all(), []);
    records.save(&record(3)).expect("writable");
    assert_eq!(records.all(), [record(3)]);
    assert!(!half.exists());
}

#[test]
fn a_folder_that_cannot_be_written_is_an_error_and_loses_no_record() {
    let folder = folder();
    fs::write(folder.path().join("failed"), "no folder").expect("writable");
    Records::new(folder.path()).save(&record(1)).expect_err("there is no folder");
    fs::remove_file(folder.path().join("failed")).expect("ours");
    let records = Records::new(folder.path());
    records.save(&record(1)).expect("writable");
    // Something stands where the next one is made.
    fs::write(folder.path().join("failed/new"), "no folder").expect("writable");
    records.save(&record(2)).expect_err("it cannot be made");
    assert_eq!(sequences(&records), [1]);
}

#[test]
fn a_record_goes_only_once_the_one_is_there_that_takes_its_place() {
    let folder = folder();
    let records = Records::new(folder.path());
    let of = |sequence, reset| Record {
        failed: Failed { ending: Some(7), reset, ..failed(sequence) },
        kernel: None,
        ..record(sequence)
    };
    records.save(&of(1, LastReset::Other)).expect("writable");
    let in_the_way = folder.path().join("failed/new");
    fs::write(&in_the_way, "no folder").expect("writable");
    records.save(&of(2, LastReset::ByWatchdog)).expect_err("it cannot be made");
    assert_eq!(sequences(&records), [1]);
    fs::remove_file(in_the_way).expect("ours");
    records.save(&of(2, LastReset::ByWatchdog)).expect("writable");
    assert_eq!(sequences(&records), [2]);
    let others = 3..3 + MOST as u64 - 1;
    others.clone().for_each(|sequence| records.save(&record(sequence)).expect("writable"));
    fs::write(folder.path().join("failed/new"), "no folder").expect("writable");
    records.save(&record(others.end)).expect_err("it cannot be made");
    assert_eq!(sequences(&records), (2..others.end).collect::<Vec<u64>>(), "none of all");
}
