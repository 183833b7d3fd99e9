use super::*;
use crate::protocol::Response;
use crate::tool::fake::{self, Agent, NOW, told};
use crate::tool::output::{Style, screen};

fn container(name: &str, state: &str) -> ContainerStatus {
    ContainerStatus {
        name: name.into(),
        role: "main".into(),
        image: "press/bridge:1.8.2".into(),
        state: state.into(),
        ready: state == "running",
        restarts: 0,
        pid: None,
        exit: None,
        reason: None,
        again_unix_s: None,
    }
}

fn work() -> Work {
    let setup =
        ContainerStatus { role: "init".into(), exit: Some(0), ..container("setup", "ended") };
    let bridge = ContainerStatus { pid: Some(412), ..container("bridge", "running") };
    let core = ContainerStatus {
        restarts: 2,
        exit: Some(137),
        reason: Some("out of memory".into()),
        again_unix_s: Some(NOW + 40),
        ..container("core", "ended")
    };
    let pod = |name: &str, because: Option<&str>, containers| PodStatus {
        name: name.into(),
        phase: "running".into(),
        ready: because.is_none(),
        required: true,
        manifest: None,
        because: because.map(Into::into),
        containers,
    };
    let pods = vec![
        pod("mqtt-bridge", None, vec![setup, bridge]),
        pod("vision", Some("core exited with code 137: out of memory"), vec![core]),
    ];
    Work { runtime: RuntimeStatus { state: "up".into(), because: None }, pods }
}

fn plain(lines: &[Line]) -> String {
    screen(lines, Style::PLAIN)
}

#[test]
fn each_pod_is_shown_with_its_containers() {
    let shown = plain(&lines(&work(), NOW));
    expect_test::expect![[r"
        pod      mqtt-bridge  running    ready
                   setup      ended      init, press/bridge:1.8.2, exit 0
                   bridge     running    press/bridge:1.8.2, pid 412
        pod      vision       running    core exited with code 137: out of memory
                   core       ended      press/bridge:1.8.2, exit 137, out of memory, again in 40 s, restarted 2 times in a row
    "]]
    .assert_eq(&shown);
}

#[test]
fn the_status_has_a_line_for_each_pod() {
    expect_test::expect![[r"
        work     mqtt-bridge  running    ready
                 vision       running    core exited with code 137: out of memory
    "]]
    .assert_eq(&plain(&summary(&work())));
}

#[test]
fn a_runtime_that_is_down_is_shown_first_and_in_the_status_only_where_there_are_pods() {
    let because = Some("containerd does not answer".to_owned());
    let down = RuntimeStatus { state: "down".into(), because };
    let none = Work { runtime: down.clone(), pods: Vec::new() };
    assert_eq!(
        plain(&lines(&none, NOW)),
        "runtime  down: containerd does not answer\npods     none\n"
    );
    assert_eq!(plain(&summary(&none)), "");
    let some = Work { runtime: down, ..work() };
    assert!(plain(&summary(&some)).starts_with("runtime  down: containerd does not answer\n"));
}

#[test]
fn what_runs_is_named_by_its_pod() {
    assert_eq!(running(&work()), ["mqtt-bridge/bridge"]);
}

#[test]
fn an_apply_that_is_refused_says_why_and_that_nothing_changed() {
    let agent = Agent::answering(vec![fake::refused("pod.yaml, line 3: no")]);
    let args = ApplyArgs { file: "/srv/pod.yaml".into() };
    let (_, error) = told(Style::PLAIN, |console| apply(agent.socket(), &args, console));
    assert_eq!(
        error,
        "error    /srv/pod.yaml was not applied\nbecause  pod.yaml, line 3: no\n\
         node     what ran goes on running; nothing changed\n"
    );
    let file = "/srv/pod.yaml".to_owned();
    assert_eq!(agent.asked(), [Request::Apply { file }]);
}

#[test]
fn a_file_is_removed_by_its_name() {
    let agent = Agent::answering(vec![vec![Response::Accepted]]);
    let args = RemoveArgs { file: "some/where/pod.yaml".into() };
    let (out, error) = told(Style::PLAIN, |console| remove(agent.socket(), &args, console));
    assert_eq!((out.lines().count(), error.as_str()), (2, ""));
    assert_eq!(agent.asked(), [Request::Remove { name: "pod.yaml".into() }]);
}

#[test]
fn a_stop_waits_until_nothing_runs() {
    let mut stopped = work();
    stopped.pods[0].containers[1].state = "ended".into();
    let answers = [work(), stopped].map(|work| vec![Response::Work(Box::new(work))]);
    let script = [vec![vec![Response::Accepted]], answers.to_vec()].concat();
    let agent = Agent::answering(script);
    let args = StopPodsArgs { within: 900 };
    let (out, error) = told(Style::PLAIN, |console| stop(agent.socket(), &args, console));
    assert!(out.starts_with("stopped  nothing runs, after ") && error.is_empty(), "{out}{error}");
    assert_eq!(agent.asked(), [Request::StopWork, Request::Work, Request::Work]);
}

#[test]
fn a_stop_that_takes_too_long_names_what_still_runs() {
    let agent =
        Agent::answering(vec![vec![Response::Accepted], vec![Response::Work(Box::new(work()))]]);
    let args = StopPodsArgs { within: 0 };
    let (_, error) = told(Style::PLAIN, |console| stop(agent.socket(), &args, console));
    assert!(error.contains("after 0 s there still run mqtt-bridge/bridge"), "{error}");
    assert_eq!(agent.asked(), [Request::StopWork, Request::Work]);
}
