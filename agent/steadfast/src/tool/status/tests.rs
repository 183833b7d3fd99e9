use super::*;
use crate::protocol::{Request, Response};
use crate::tool::fake::*;
use crate::tool::output::{Style, screen};
use expect_test::{Expect, expect};
use steadfast_core::Cause;

fn shows(status: &Status, expected: Expect) {
    expected.assert_eq(&screen(&lines(status, NOW), Style::PLAIN));
}

#[test]
fn a_resting_node_is_told_in_a_few_lines() {
    shows(
        &resting(),
        expect![[r#"
        node     press-07
        system   1.1.0 in slot A, committed 3 days ago
        previous 1.0.0 in slot B, a rollback away
        update   none under way
        boot     slot A (8 attempts), then slot B (8 attempts)
        checks   2 of 2 passed
        ledger   42 entries kept on /data, chain whole
    "#]],
    );
}

#[test]
fn an_update_that_came_back_is_told_with_its_cause() {
    let mut status = after(an_ending("returned", sick(), "exit 1"));
    status.boot.order = vec!["A".into()];
    status.boot.left.B = 0;
    status.refused = vec!["ab".repeat(32)];
    status.floor = Some("1.0.0".into());
    status.system.previous = None;
    shows(
        &status,
        expect![[r#"
        node     press-07
        system   1.1.0 in slot A, committed 3 days ago
        update   none under way
        last     1.2.0 returned from slot B: check sick failed (exit 1)
        boot     slot A (8 attempts); slot B is not tried
        checks   2 of 2 passed
        ledger   42 entries kept on /data, chain whole
        floor    nothing older than 1.0.0 is installed
        refused  1 bundle or set that failed here is not taken again
    "#]],
    );
}

#[test]
fn what_the_node_goes_on_without_is_told() {
    let mut status = resting();
    status.checks.clear();
    status.warnings = vec!["no hardware watchdog".into()];
    shows(
        &status,
        expect![[r#"
        node     press-07
        system   1.1.0 in slot A, committed 3 days ago
        previous 1.0.0 in slot B, a rollback away
        update   none under way
        boot     slot A (8 attempts), then slot B (8 attempts)
        ledger   42 entries kept on /data, chain whole
        warning  no hardware watchdog
    "#]],
    );
}

#[test]
fn an_install_is_told_with_its_progress() {
    shows(
        &installing(42, "Copying image to rootfs.1"),
        expect![[r#"
        node     press-07
        system   1.1.0 in slot A, committed 3 days ago
        update   installing 1.2.0 into slot B, 42 %, Copying image to rootfs.1
        boot     slot A (8 attempts); slot B is not tried
        checks   2 of 2 passed
        ledger   42 entries kept on /data, chain whole
    "#]],
    );
}

#[test]
fn a_system_on_probation_is_told_with_its_open_checks() {
    let mut status = updating("probation");
    status.system.version = "1.2.0".into();
    status.system.slot = "B".into();
    status.system.standing = "probation".into();
    status.system.committed_unix_s = None;
    let failed = check("mqtt", "failed", "connection refused on 127.0.0.1:1883");
    let mut unheard = check("clock", "unheard", "");
    unheard.required = false;
    status.checks = vec![check("kiosk-ui", "passed", ""), failed, unheard];
    shows(
        &status,
        expect![[r#"
        node     press-07
        system   1.2.0 in slot B, on probation
        update   probation 1.2.0 in slot B
        boot     slot A (8 attempts); slot B is not tried
        checks   1 of 3 passed
                 mqtt   failed   required  connection refused on 127.0.0.1:1883
                 clock  unheard  wanted
        ledger   42 entries kept on /data, chain whole
        floor    nothing older than 1.1.0 is installed
    "#]],
    );
}

#[test]
fn what_is_wrong_with_a_node_is_told() {
    let mut status = resting();
    status.system.standing = "uncommitted".into();
    status.system.doubt = Some("check sick failed (exit 1)".into());
    status.system.previous = None;
    status.boot.order = Vec::new();
    status.boot.rearms = 2;
    status.boot.copies = vec!["valid".into(), "its CRC does not match".into()];
    status.ledger.kept = "memory".into();
    status.ledger.damage = Some("12 damaged bytes".into());
    status.ledger.chain = "broken".into();
    status.checks = Vec::new();
    shows(
        &status,
        expect![[r#"
            node     press-07
            system   1.1.0 in slot A, not committed; steadfast confirm keeps it
            doubt    check sick failed (exit 1)
            update   none under way
            boot     no slot can boot; re-armed 2 times
                     copy 2 of the boot environment: its CRC does not match
            ledger   42 entries kept in memory only, /data cannot be written, chain broken; 12 damaged bytes
        "#]],
    );
}

#[test]
fn every_state_says_where_the_update_is() {
    let states = [
        "idle",
        "fetching",
        "verifying",
        "installing",
        "ready",
        "activating",
        "rebooting",
        "probation",
        "settling",
        "committing",
        "condemning",
        "returning",
    ];
    let told = states.map(|state| under_way(&updating(state)) + "\n").concat();
    expect![[r#"
        none under way
        fetching 1.2.0
        verifying 1.2.0
        installing 1.2.0 into slot B
        ready 1.2.0 in slot B, waiting for the window
        activating 1.2.0 in slot B
        rebooting 1.2.0, restarting into slot B
        probation 1.2.0 in slot A
        settling 1.2.0 in slot A
        committing 1.2.0 in slot A
        condemning 1.2.0
        returning 1.2.0, restarting into slot A
    "#]]
    .assert_eq(&told);
}

#[test]
fn every_ending_says_what_became_of_it() {
    let unnamed = EndingStatus {
        release: None,
        ..an_ending("refused", cause(&Cause::Signature), "unable to get local issuer certificate")
    };
    let endings = [
        an_ending("committed", None, ""),
        unnamed,
        an_ending("failed", cause(&Cause::Write), ""),
        an_ending("returned", sick(), "exit 1"),
    ];
    let told = endings.map(|ending| how_it_ended(&ending) + "\n").concat();
    expect![[r#"
        1.2.0 committed in slot B
        a bundle refused: it is not signed by a key this node trusts (unable to get local issuer certificate)
        1.2.0 failed: it could not be written
        1.2.0 returned from slot B: check sick failed (exit 1)
    "#]].assert_eq(&told);
}

#[test]
fn status_json_is_the_protocol_field_by_field() {
    let agent = Agent::answering(vec![statuses(&[after(an_ending("returned", sick(), "exit 1"))])]);
    let args = StatusArgs { json: true, watch: false };
    let (out, error) = told(Style::PLAIN, |console| run(agent.socket(), &args, console));
    expect![[r#"
        {"node":"press-07","system":{"version":"1.1.0","slot":"A","standing":"committed","doubt":null,"previous":"1.0.0","committed_unix_s":1795085641,"set":null},"update":{"state":"idle","release":null,"set":null,"progress":null,"last":{"release":"1.2.0","outcome":"returned","cause":{"kind":"check","name":"sick","text":"check sick failed"},"evidence":"exit 1","slot":"B","set":null}},"boot":{"primary":"A","order":["A","B"],"left":{"A":8,"B":8},"rearms":0,"sequence":12,"copies":["valid","valid"]},"ledger":{"entries":42,"kept":"data","damage":null,"chain":"whole"},"checks":[{"name":"kiosk-ui","required":true,"state":"passed","evidence":""},{"name":"mqtt","required":true,"state":"passed","evidence":""}],"work":{"runtime":{"state":"","because":null},"pods":[]},"floor":"1.1.0","refused":[],"warnings":[],"agent":{"version":"0.1.0","pid":312,"rss_kib":2200}}
    "#]].assert_eq(&out);
    assert_eq!(error, "");
    assert_eq!(agent.asked(), [Request::Status]);
}

#[test]
fn the_workload_set_of_the_system_is_shown_and_that_of_an_ending_named() {
    let set = SetStatus { digest: "ab".repeat(32), generation: 7 };
    let mut status = after(EndingStatus {
        set: Some(SetStatus { generation: 8, ..set.clone() }),
        ..an_ending("returned", sick(), "exit 1")
    });
    status.system.set = Some(set);
    let text = screen(&lines(&status, NOW), Style::PLAIN);
    assert!(text.contains("set      generation 7, digest abababababab\n"), "{text}");
    assert!(text.contains("1.2.0 with set 8 returned from slot B"), "{text}");
}

#[test]
fn an_agent_that_does_not_run_is_named_with_where_to_look() {
    let (folder, socket) = nobody();
    let args = StatusArgs { json: false, watch: false };
    let (out, error) = told(Style::PLAIN, |console| run(&socket, &args, console));
    assert_eq!(out, "");
    let error = error.replace(&socket.display().to_string(), "SOCKET");
    expect![[r#"
        error    the agent could not be asked
        because  nothing listens on SOCKET: the agent does not run
        node     not known without the agent; see systemctl status steadfast
    "#]]
    .assert_eq(&error);
    std::fs::remove_dir_all(folder).expect("it is ours");
}

#[test]
fn an_answer_to_another_question_is_no_answer() {
    let agent = Agent::answering(vec![vec![Response::Accepted]]);
    let args = StatusArgs { json: false, watch: false };
    let (out, error) = told(Style::PLAIN, |console| run(agent.socket(), &args, console));
    assert_eq!(out, "");
    expect![[r#"
        error    the agent could not be asked
        because  the agent answered another question
        node     not known without the agent; see systemctl status steadfast
    "#]]
    .assert_eq(&error);
    agent.asked();
}
