use super::*;
use crate::protocol::{Request, Response};
use crate::tool::fake::*;
use expect_test::expect;

fn entry(seq: u64, event: &str, detail: &str, state: &str) -> HistoryEntry {
    let (event, detail, state) = (event.into(), detail.into(), state.into());
    let unix_s = if seq == 1 { 12 } else { NOW + seq };
    HistoryEntry { seq, unix_s, boot_s: 12.34, event, detail, state, slot: "A".into() }
}

fn a_sick_update() -> History {
    let EndingStatus { release, outcome, cause, evidence, slot, set } =
        an_ending("returned", sick(), "exit 1");
    let ending =
        HistoryEnding { seq: 9, unix_s: NOW + 9, release, outcome, cause, evidence, slot, set };
    let entries = vec![
        entry(1, "booted", "1.1.0 in slot A", "settling"),
        entry(2, "announced", "https://updates.example.com/press/1.2.0.raucb", "fetching"),
        entry(3, "judged", "check sick failed (exit 1)", "condemning"),
    ];
    History { entries, endings: vec![ending] }
}

#[test]
fn history_is_a_table_and_how_each_update_ended() {
    expect![[r#"
        when (UTC)           what       state       slot  detail
        start + 12.3 s       booted     settling    A     1.1.0 in slot A
        2026-11-22 10:54:03  announced  fetching    A     https://updates.example.com/press/1.2.0.raucb
        2026-11-22 10:54:04  judged     condemning  A     check sick failed (exit 1)

        ended    2026-11-22 10:54:10  1.2.0 returned from slot B: check sick failed (exit 1)
    "#]].assert_eq(&text(&a_sick_update(), Style::PLAIN));
}

#[test]
fn a_table_is_as_wide_as_the_terminal() {
    let narrow = Style { width: Some(70), ..Style::PLAIN };
    let text = text(&a_sick_update(), narrow);
    expect![[r#"
        when (UTC)           what       state       slot  detail
        start + 12.3 s       booted     settling    A     1.1.0 in slot A
        2026-11-22 10:54:03  announced  fetching    A     https://updates.exa…
        2026-11-22 10:54:04  judged     condemning  A     check sick failed (…

        ended    2026-11-22 10:54:10 1.2.0 returned from slot B: check sick
                 failed (exit 1)
    "#]]
    .assert_eq(&text);
    assert!(text.lines().all(|line| line.chars().count() <= 70));
}

#[test]
fn an_empty_history_says_so() {
    let nothing = History { entries: Vec::new(), endings: Vec::new() };
    assert_eq!(text(&nothing, Style::PLAIN), "nothing happened yet\n");
}

#[test]
fn history_json_is_the_protocol() {
    let agent = Agent::answering(vec![vec![Response::History(a_sick_update())]]);
    let args = HistoryArgs { version: None, json: true, all: false };
    let (out, _) = told(Style::PLAIN, |console| run(agent.socket(), &args, console));
    assert_eq!(serde_json::from_str::<History>(&out).expect("one object"), a_sick_update());
    assert_eq!(agent.asked(), [Request::History]);
}
