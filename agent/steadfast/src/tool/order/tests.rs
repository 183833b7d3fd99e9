use super::*;
use crate::protocol::Response;
use crate::tool::fake::*;
use crate::tool::output::Style;
use expect_test::expect;

#[test]
fn an_accepted_confirmation_says_how_to_follow_it() {
    let agent = Agent::answering(vec![vec![Response::Accepted]]);
    let (out, error) = told(Style::PLAIN, |console| confirm(agent.socket(), console));
    expect![[r#"
        accepted the running system is kept
        follow   steadfast status --watch
    "#]]
    .assert_eq(&out);
    assert_eq!(error, "");
    assert_eq!(agent.asked(), [Request::Confirm]);
}

#[test]
fn an_order_that_may_have_been_heard_is_not_called_undone() {
    let agent = Agent::answering(vec![vec![]]);
    let (out, error) = told(Style::PLAIN, |console| cancel(agent.socket(), console));
    assert_eq!(out, "");
    expect![[r#"
        error    it is not known whether the order was taken
        because  the connection was closed
        node     see steadfast status, and systemctl status steadfast
    "#]]
    .assert_eq(&error);
    assert_eq!(agent.asked(), [Request::Cancel]);
}

#[test]
fn a_refused_rollback_says_why_and_what_still_runs() {
    let refused = refused("there is no previous system in the other slot");
    let agent = Agent::answering(vec![refused, statuses(&[resting()])]);
    let (out, error) = told(Style::PLAIN, |console| rollback(agent.socket(), console));
    assert_eq!(out, "");
    expect![[r#"
        error    the previous system was not brought back
        because  there is no previous system in the other slot
        node     still running 1.1.0 in slot A; nothing changed
    "#]]
    .assert_eq(&error);
    assert_eq!(agent.asked(), [Request::Rollback, Request::Status]);
}
