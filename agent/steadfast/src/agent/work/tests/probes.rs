use super::*;

const LIVENESS: &str = "    livenessProbe: {exec: {command: [x]}, periodSeconds: 5, failureThreshold: 2, terminationGracePeriodSeconds: 3}\n";
const READINESS: &str =
    "    readinessProbe: {exec: {command: [x]}, periodSeconds: 5, initialDelaySeconds: 10}\n";

#[test]
fn a_container_is_ready_when_its_probe_says_so() {
    played(|| async {
        let play = Play::begin(Played::default(), plan(&one("a", READINESS)));
        play.node.say("core", "readiness", Ok("exec exited 1: no"));
        play.until(9).await;
        let Heard::Failed(why) = play.heard("a") else { panic!("nobody asked it yet") };
        assert_eq!(why, "core is not ready");
        play.until(16).await;
        let Heard::Failed(why) = play.heard("a") else { panic!("the probe failed") };
        assert_eq!(why, "core is not ready: readinessProbe: exec exited 1: no");
        play.node.0.borrow_mut().says.clear();
        play.until(20).await;
        assert_eq!(play.heard("a"), Heard::Passed);
        let asked: Vec<_> = play.node.0.borrow().asked.iter().map(|(at, ..)| *at).collect();
        assert_eq!(asked, [10, 15, 20]);
    });
}

#[test]
fn a_container_whose_liveness_probe_fails_too_often_is_ended_and_started_again() {
    played(|| async {
        let play = Play::begin(Played::default(), plan(&one("a", LIVENESS)));
        play.until(6).await;
        play.node.say("core", "liveness", Ok("httpGet :80/ answered 503"));
        play.until(14).await;
        assert_eq!(play.node.pid("a", "core"), Some(1), "one failure is not enough");
        play.until(16).await;
        let did: Vec<_> =
            play.node.did().into_iter().filter(|it| !matches!(it, Did::Clean(_))).collect();
        let stop = Did::Stop("a/core".to_owned(), 3);
        let again = Did::Start("a/core".to_owned(), 1);
        assert_eq!(did[1..], [stop, again], "by the probe's own grace period");
        assert_eq!(play.node.pid("a", "core"), Some(2));
    });
}

#[test]
fn a_probe_that_cannot_be_asked_ends_nothing() {
    played(|| async {
        let play = Play::begin(Played::default(), plan(&one("a", LIVENESS)));
        play.node.say("core", "liveness", Err("containerd does not answer"));
        play.until(100).await;
        assert_eq!(play.node.pid("a", "core"), Some(1));
        assert!(play.node.0.borrow().asked.len() > 15, "it is asked in each turn");
    });
}

#[test]
fn a_process_that_is_another_one_is_judged_anew() {
    played(|| async {
        let play = Play::begin(Played::default(), plan(&one("a", LIVENESS)));
        play.until(6).await;
        play.node.say("core", "liveness", Ok("no"));
        play.until(11).await;
        play.node.end("a", "core", 1);
        play.until(14).await;
        assert_eq!(play.node.pid("a", "core"), Some(2), "each of them failed once");
    });
}

#[test]
fn a_sidecar_is_started_before_what_follows_it() {
    played(|| async {
        let text = one(
            "a",
            "  initContainers:\n  - name: side\n    image: i:2\n    restartPolicy: Always\n    startupProbe: {exec: {command: [x]}, periodSeconds: 2, failureThreshold: 30}\n",
        );
        let play = Play::begin(Played::default(), plan(&text));
        play.node.say("side", "startup", Ok("not yet"));
        play.until(9).await;
        assert_eq!(play.node.pid("a", "core"), None);
        assert_eq!(play.shown().pods[0].phase, "pending");
        play.node.0.borrow_mut().says.clear();
        play.until(11).await;
        assert_eq!((play.node.pid("a", "side"), play.node.pid("a", "core")), (Some(1), Some(2)));
        assert_eq!(play.heard("a"), Heard::Passed);
    });
}

#[test]
fn a_new_agent_does_not_ask_for_the_start_of_what_has_long_been_up() {
    played(|| async {
        let startup =
            "    startupProbe: {exec: {command: [x]}, periodSeconds: 2, failureThreshold: 3}\n";
        let node = Played::default();
        let first = Play::begin(node.clone(), plan(&one("a", startup)));
        first.until(60).await;
        node.say("core", "startup", Ok("only while it starts"));
        let second = Play::begin(node.clone(), plan(&one("a", startup)));
        second.until(120).await;
        assert_eq!((node.pid("a", "core"), second.heard("a")), (Some(1), Heard::Passed));
    });
}

#[test]
fn a_process_that_could_not_be_asked_for_its_number_is_the_same() {
    played(|| async {
        let play = Play::begin(Played::default(), plan(&one("a", READINESS)));
        play.until(12).await;
        assert_eq!(play.heard("a"), Heard::Passed);
        let hide = |pid| {
            let mut node = play.node.0.borrow_mut();
            let Process::Running { pid: known, .. } = &mut node.containers[0].process else {
                panic!("it runs")
            };
            *known = pid;
            node.changed.notify_one();
        };
        hide(0);
        play.until(13).await;
        assert_eq!(play.heard("a"), Heard::Passed);
        hide(1);
        play.until(14).await;
        assert_eq!(play.heard("a"), Heard::Passed, "what it said before counts");
    });
}
