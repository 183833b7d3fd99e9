use super::*;
use crate::protocol::{EndingStatus, HistoryEnding, HistoryEntry, Request, Response};
use crate::tool::fake::*;
use expect_test::expect;

fn entry(seq: u64, event: &str, detail: &str, state: &str) -> HistoryEntry {
    let (event, detail, state) = (event.into(), detail.into(), state.into());
    HistoryEntry { seq, unix_s: NOW + seq, boot_s: 12.34, event, detail, state, slot: "A".into() }
}

fn texts(name: &str, count: usize) -> Option<Vec<String>> {
    Some((1..=count).map(|number| format!("[{number:>5}.000000] {name} {number}")).collect())
}

fn panicked() -> VersionHistory {
    let panic = cause(&steadfast_core::Cause::Panic);
    let EndingStatus { release, outcome, cause, evidence, slot, set } =
        an_ending("returned", panic, "Kernel panic - not syncing: sysrq");
    VersionHistory {
        version: "1.2.0".into(),
        entries: vec![
            entry(2, "announced", "https://updates.example.com/press/1.2.0.raucb", "fetching"),
            entry(9, "booted", "1.0.0 in slot A, B may not boot", "condemning"),
        ],
        endings: vec![HistoryEnding {
            seq: 10,
            unix_s: NOW,
            release,
            outcome,
            cause,
            evidence,
            slot,
            set,
        }],
        failed: vec![FailedBoot {
            seq: 9,
            slot: "B".into(),
            watchdog: false,
            kernel: texts("kernel", 2),
            journal: texts("journal", 3),
        }],
        withheld: false,
    }
}

fn for_group(history: VersionHistory) -> VersionHistory {
    match Response::HistoryOf(history).for_group() {
        Response::HistoryOf(history) => history,
        other => panic!("another answer: {other:?}"),
    }
}

#[test]
fn a_version_that_came_back_shows_why_down_to_the_last_words_of_its_boot() {
    expect![[r#"
        version  1.2.0
        when (UTC)           what       state       slot  detail
        2026-11-22 10:54:03  announced  fetching    A     https://updates.example.com/press/1.2.0.raucb
        2026-11-22 10:54:10  booted     condemning  A     1.0.0 in slot A, B may not boot
        ended    2026-11-22 10:54:01  1.2.0 returned from slot B: the kernel panicked (Kernel panic - not syncing: sysrq)
        failed   the boot in slot B before step 9
        watchdog made no reset
        kernel   2 lines
          [    1.000000] kernel 1
          [    2.000000] kernel 2
        journal  3 lines
          [    1.000000] journal 1
          [    2.000000] journal 2
          [    3.000000] journal 3
    "#]].assert_eq(&text(&panicked(), SHOWN, Style::PLAIN));
}

#[test]
fn of_long_texts_the_end_is_shown_unless_all_is_asked_for() {
    let mut long = panicked();
    long.failed[0].journal = texts("journal", 300);
    long.failed[0].kernel = texts("kernel", 300);
    long.entries = (1..=90).map(|seq| entry(seq, "booted", "", "probation")).collect();
    let short = text(&long, SHOWN, Style::PLAIN);
    assert!(short.lines().count() <= 3 * SHOWN + 10, "{}", short.lines().count());
    assert!(short.contains("journal  the last 20 of 300 lines; --all shows them\n"), "{short}");
    assert!(!short.contains(" journal 280\n") && short.contains(" journal 281\n"), "{short}");
    assert!(short.ends_with(" journal 300\n"), "{short}");
    let all = text(&long, usize::MAX, Style::PLAIN);
    assert!(all.contains("journal  300 lines\n") && all.contains(" kernel 1\n"), "{all}");
}

#[test]
fn nothing_that_a_failed_boot_said_steers_the_terminal_or_is_wider_than_it() {
    let mut wild = panicked();
    wild.failed[0].journal = Some(vec![format!("\x1b[2J\u{7}{}", "x".repeat(500))]);
    let narrow = Style { width: Some(60), ..Style::PLAIN };
    let text = text(&wild, SHOWN, narrow);
    assert!(!text.contains('\x1b') && !text.contains('\u{7}'), "{text:?}");
    assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
}

#[test]
fn whoever_may_not_read_the_texts_is_told_that_they_are_there() {
    let history = for_group(panicked());
    assert_eq!((&history.failed[0].kernel, &history.failed[0].journal), (&None, &None));
    expect![[r#"
        version  1.2.0
        when (UTC)           what       state       slot  detail
        2026-11-22 10:54:03  announced  fetching    A     https://updates.example.com/press/1.2.0.raucb
        2026-11-22 10:54:10  booted     condemning  A     1.0.0 in slot A, B may not boot
        ended    2026-11-22 10:54:01  1.2.0 returned from slot B: the kernel panicked (Kernel panic - not syncing: sysrq)
        failed   the boot in slot B before step 9
        watchdog made no reset
        texts    what the kernel and the journal said is shown to root only
    "#]].assert_eq(&text(&history, SHOWN, Style::PLAIN));
}

#[test]
fn nothing_is_withheld_where_there_is_nothing() {
    let history = for_group(VersionHistory { failed: Vec::new(), ..panicked() });
    assert!(!history.withheld);
    let text = text(&history, SHOWN, Style::PLAIN);
    assert!(text.contains("failed   nothing is kept"), "{text}");
}

#[test]
fn a_boot_that_left_only_the_watchdogs_flag_says_what_is_missing() {
    let mut history = panicked();
    let failed = &mut history.failed[0];
    (failed.watchdog, failed.kernel, failed.journal) = (true, None, None);
    history.entries.clear();
    expect![[r#"
        version  1.2.0
        no update to it is in the ledger
        ended    2026-11-22 10:54:01  1.2.0 returned from slot B: the kernel panicked (Kernel panic - not syncing: sysrq)
        failed   the boot in slot B before step 9
        watchdog the hardware watchdog reset the node
        kernel   no record: it did not panic, or its memory was lost
        journal  none: the boot did not come that far, or /data was not there
    "#]].assert_eq(&text(&history, SHOWN, Style::PLAIN));
}

#[test]
fn a_version_that_the_ledger_does_not_know_is_an_error_and_says_so() {
    let agent = Agent::answering(vec![refused("the ledger knows no version 9.9.9")]);
    let args = HistoryArgs { version: Some("9.9.9".into()), json: false, all: false };
    let ask = |console: &mut Console<'_>| super::super::run(agent.socket(), &args, console);
    let (out, error) = told(Style::PLAIN, ask);
    assert_eq!(out, "");
    expect![[r#"
        error    there is no history of 9.9.9
        because  the ledger knows no version 9.9.9
        node     as it was; steadfast history shows what it knows
    "#]]
    .assert_eq(&error);
    assert_eq!(agent.asked(), [Request::HistoryOf { version: "9.9.9".into() }]);
}

#[test]
fn a_versions_json_is_the_protocol_and_always_whole() {
    let mut long = panicked();
    long.failed[0].journal = texts("journal", 300);
    let agent = Agent::answering(vec![vec![Response::HistoryOf(long.clone())]]);
    let args = HistoryArgs { version: Some("1.2.0".into()), json: true, all: false };
    let ask = |console: &mut Console<'_>| super::super::run(agent.socket(), &args, console);
    let (out, _) = told(Style::PLAIN, ask);
    assert_eq!(serde_json::from_str::<VersionHistory>(&out).expect("one object"), long);
}
