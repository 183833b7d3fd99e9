//! What the last end left behind, where a machine leaves more than one thing.

use std::fs;
use std::path::Path;
use steadfast_adapters::evidence::{Evidence, Start};
use steadfast_adapters::watchdog::LastReset;
use steadfast_core::{Cause, Failure};

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
    let found = said(&[("pstore/dmesg-ramoops-0", "qOops:C::1] \n")]);
    assert_eq!(found, Some((Cause::Panic, "qOops:C::1] ".into())));
}

#[test]
fn an_oops_is_told_unless_a_panic_followed_it() {
    let oops = "<1>[    4.0] Internal error: Oops: 96000004 [#1] SMP\n";
    let found = said(&[("pstore/dmesg-ramoops-0", oops)]);
    assert_eq!(found, Some((Cause::Panic, "Internal error: Oops: 96000004 [#1] SMP".into())));
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
