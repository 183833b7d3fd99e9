use super::*;
use crate::protocol::Request;
use crate::tool::fake::*;
use crate::tool::output::Style;
use expect_test::expect;

const TERMINAL: Style = Style { width: Some(60), colour: false, live: true };

fn watched(style: Style, json: bool, seen: &[Status]) -> (String, String) {
    let agent = Agent::answering(vec![statuses(seen)]);
    let args = StatusArgs { json, watch: true };
    let told = told(style, |console| run(agent.socket(), &args, console));
    assert_eq!(agent.asked(), [Request::Watch]);
    told
}

fn probation() -> Status {
    let mut status = updating("probation");
    status.system.slot = "B".into();
    status.checks[1] = check("mqtt", "failed", "exit 1");
    status
}

fn coming_back() -> [Status; 5] {
    let settling = updating("settling");
    let idle = after(an_ending("returned", sick(), "exit 1"));
    [updating("rebooting"), probation(), probation(), settling, idle]
}

#[test]
fn a_pipe_gets_one_line_a_change_until_the_node_rests() {
    let (out, error) = watched(Style::PLAIN, false, &coming_back());
    expect![[r#"
        rebooting 1.2.0, restarting into slot B
        probation 1.2.0 in slot B, checks 1 of 2 passed, mqtt failed
        settling 1.2.0 in slot A, checks 2 of 2 passed
        idle, last 1.2.0 returned from slot B: check sick failed (exit 1)
    "#]]
    .assert_eq(&out);
    assert_eq!(error, "");
}

#[test]
fn a_terminal_keeps_one_line_a_state_and_writes_over_it() {
    let seen = [
        installing(0, "Installing"),
        installing(42, "Copying image to rootfs.1 and some more"),
        installing(100, "Installing done."),
        updating("ready"),
    ];
    let (out, error) = watched(TERMINAL, false, &seen);
    expect![[r#"
        installing 1.2.0 into slot B  [>                   ]   0 %…<over>installing 1.2.0 into slot B  [========>           ]  42 %…<over>installing 1.2.0 into slot B  [====================] 100 %…
        ready 1.2.0 in slot B, waiting for the window
    "#]].assert_eq(&out.replace("\r\x1b[K", "<over>"));
    assert_eq!(error, "");
    assert!(
        out.lines().flat_map(|line| line.split("\r\x1b[K")).all(|row| row.chars().count() < 60)
    );
}

#[test]
fn json_is_one_object_a_line_and_ends_with_the_rest() {
    let (out, error) = watched(Style::PLAIN, true, &[updating("settling"), resting(), resting()]);
    let states: Vec<String> = out
        .lines()
        .map(|line| serde_json::from_str::<Status>(line).expect("one object").update.state)
        .collect();
    assert_eq!(states, ["settling", "idle"]);
    assert_eq!(error, "");
}

#[test]
fn a_restart_that_ends_the_connection_is_told_as_such() {
    let (_, error) = watched(Style::PLAIN, false, &[updating("activating"), updating("rebooting")]);
    expect![[r#"
        error    the node was not followed until it rests
        because  it restarts into slot B now, and the connection ends with it
        node     comes back by itself; then see steadfast status
    "#]]
    .assert_eq(&error);
}

#[test]
fn an_agent_that_goes_away_is_told_with_where_it_was() {
    let (_, error) = watched(Style::PLAIN, false, &[installing(42, "Copying")]);
    expect![[r#"
        error    the node was not followed until it rests
        because  the connection was closed
        node     was installing 1.2.0 into slot B, 42 %, Copying; see systemctl status steadfast
    "#]]
    .assert_eq(&error);
}
