use super::*;
use crate::protocol::Response;
use crate::tool::fake::*;
use crate::tool::output::Style;
use expect_test::{Expect, expect};
use steadfast_core::{At, Cause};

const URL: &str = "https://updates.example.com/press/1.2.0.raucb?token=x";

fn args(watch: bool, json: bool) -> UpdateArgs {
    UpdateArgs { source: URL.into(), at: When::Now, sha256: None, set: None, watch, json }
}

fn order() -> Request {
    Request::Update { source: URL.into(), at: At::Now, content: None, set: None }
}

/// What the tool says of an update that it follows through these statuses.
fn followed(seen: &[Status]) -> (String, String) {
    let agent = Agent::answering(vec![vec![Response::Accepted], statuses(seen)]);
    let told = told(Style::PLAIN, |console| run(agent.socket(), &args(true, false), console));
    assert_eq!(agent.asked(), [order(), Request::Watch]);
    told
}

/// The error at the end of such an update.
fn comes_to(before: &str, end: &Status, expected: Expect) {
    let (_, error) = followed(&[updating(before), end.clone()]);
    expected.assert_eq(&error);
}

#[test]
fn an_accepted_update_says_how_to_follow_it() {
    let agent = Agent::answering(vec![vec![Response::Accepted]]);
    let (out, error) =
        told(Style::PLAIN, |console| run(agent.socket(), &args(false, false), console));
    expect![[r#"
        accepted 1.2.0.raucb, starts as soon as it is installed
        follow   steadfast status --watch
    "#]]
    .assert_eq(&out);
    assert_eq!(error, "");
    assert_eq!(agent.asked(), [order()]);
}

#[test]
fn a_refused_order_says_why_and_what_still_runs() {
    let refused = refused("another update is installing");
    let agent = Agent::answering(vec![refused, statuses(&[resting()])]);
    let (out, error) =
        told(Style::PLAIN, |console| run(agent.socket(), &args(true, true), console));
    expect![[r#"
        {"accepted":false,"because":"another update is installing"}
    "#]]
    .assert_eq(&out);
    expect![[r#"
        error    1.2.0.raucb was not installed
        because  another update is installing
        node     still running 1.1.0 in slot A; nothing was written
    "#]]
    .assert_eq(&error);
    assert_eq!(agent.asked(), [order(), Request::Status]);
}

#[test]
fn an_update_is_followed_until_the_node_restarts() {
    let seen = [updating("fetching"), installing(42, "Copying"), updating("rebooting")];
    let (out, error) = followed(&seen);
    expect![[r#"
        fetching 1.2.0
        installing 1.2.0 into slot B, 42 %, Copying
        restart  into 1.2.0 in slot B now; this connection ends with it
        follow   steadfast status --watch, once the node is back
    "#]]
    .assert_eq(&out);
    assert_eq!(error, "");
}

#[test]
fn an_update_that_waits_for_its_window_is_done() {
    let (out, error) = followed(&[updating("ready")]);
    expect![[r#"
        ready    1.2.0 is in slot B and starts when the window opens
    "#]]
    .assert_eq(&out);
    assert_eq!(error, "");
}

#[test]
fn an_update_that_runs_already_is_done() {
    let mut same = an_ending("committed", None, "");
    same.slot = "A".into();
    same.release = Some("1.1.0".into());
    let (out, error) = followed(&[updating("verifying"), after(same)]);
    expect![[r#"
        verifying 1.2.0
        done     1.1.0 is committed in slot A
    "#]]
    .assert_eq(&out);
    assert_eq!(error, "");
}

#[test]
fn a_refused_bundle_says_that_nothing_was_written() {
    let evidence = "unable to get local issuer certificate";
    let mut last = an_ending("refused", cause(&Cause::Signature), evidence);
    last.release = None;
    comes_to(
        "verifying",
        &after(last),
        expect![[r#"
        error    1.2.0.raucb was not installed
        because  it is not signed by a key this node trusts
        because  unable to get local issuer certificate
        node     still running 1.1.0 in slot A; nothing was written
    "#]],
    );
}

#[test]
fn a_failed_install_says_that_the_slot_is_not_tried() {
    let last = an_ending("failed", cause(&Cause::Write), "Input/output error");
    let mut end = after(last);
    end.boot.order = vec!["A".into()];
    comes_to(
        "installing",
        &end,
        expect![[r#"
        error    1.2.0 was not installed
        because  it could not be written
        because  Input/output error
        node     still running 1.1.0 in slot A; slot B is not tried
    "#]],
    );
}

#[test]
fn a_failed_activation_says_so() {
    let last = an_ending("failed", cause(&Cause::Write), "");
    comes_to(
        "activating",
        &after(last),
        expect![[r#"
        error    1.2.0 was installed and not activated
        because  it could not be written
        node     still running 1.1.0 in slot A
    "#]],
    );
}

#[test]
fn an_update_that_came_back_says_what_runs_again() {
    comes_to(
        "condemning",
        &after(an_ending("returned", sick(), "exit 1")),
        expect![[r#"
        error    1.2.0 was not kept
        because  check sick failed
        because  exit 1
        node     back on 1.1.0 in slot A
    "#]],
    );
}

#[test]
fn an_agent_that_goes_away_during_an_install_is_no_end() {
    let (_, error) = followed(&[installing(42, "Copying")]);
    expect![[r#"
        error    1.2.0.raucb was not followed to its end
        because  the agent was lost while installing 1.2.0 into slot B, 42 %, Copying
        because  the connection was closed
        node     goes on with it when the agent is back; see steadfast status
    "#]]
    .assert_eq(&error);
}

#[test]
fn json_carries_one_status_a_line_and_the_exit_tells_the_end() {
    let last = after(an_ending("refused", cause(&Cause::Floor), "1.2.0 is below 1.3.0"));
    let seen = statuses(&[updating("verifying"), last]);
    let agent = Agent::answering(vec![vec![Response::Accepted], seen]);
    let (out, error) =
        told(Style::PLAIN, |console| run(agent.socket(), &args(true, true), console));
    agent.asked();
    let last = out.lines().last().expect("two lines");
    let last: Status = serde_json::from_str(last).expect("a status");
    assert_eq!(last.update.last.expect("it ended").cause.expect("not well").kind, "floor");
    assert_eq!(out.lines().count(), 2);
    assert!(error.starts_with("error    1.2.0 was not installed\n"), "{error}");
}

#[test]
fn a_file_that_is_not_there_is_not_asked_for() {
    let agent = Agent::answering(vec![vec![Response::Accepted]]);
    let args = UpdateArgs { source: "/nowhere/1.2.0.raucb".into(), ..args(false, false) };
    let (_, error) = told(Style::PLAIN, |console| run(agent.socket(), &args, console));
    expect![[r#"
        error    1.2.0.raucb was not installed
        because  /nowhere/1.2.0.raucb: No such file or directory (os error 2)
        node     not asked; nothing changed
    "#]]
    .assert_eq(&error);
    assert_eq!(agent.asked(), []);
}

#[test]
fn a_file_is_sent_by_its_absolute_path() {
    let file = absolute("Cargo.toml").expect("tests run in the crate's folder");
    let sent = source("./Cargo.toml").expect("it is there");
    assert_eq!(Path::new(&sent), file);
    let error = source("src").expect_err("a folder");
    assert!(error.because[0].ends_with("/src is not a file"), "{error:?}");
}

#[test]
fn an_agent_that_hangs_up_may_have_taken_the_order() {
    let agent = Agent::answering(vec![vec![]]);
    let (_, error) =
        told(Style::PLAIN, |console| run(agent.socket(), &args(false, false), console));
    expect![[r#"
        error    it is not known whether 1.2.0.raucb was taken
        because  the connection was closed
        node     see steadfast status, and systemctl status steadfast
    "#]]
    .assert_eq(&error);
    agent.asked();
}
