mod grpc;
mod http;

use super::*;
use crate::http::loopback::{Loopback, nobody};
use crate::manifest::{Policy, Set, Source};
use std::cell::RefCell;
use std::future::pending;
use std::net::SocketAddr;

/// Long enough never to matter.
pub(super) const LONG: Duration = Duration::from_secs(60);
const SECOND: Duration = Duration::from_secs(1);

/// A runtime that answers from a script.
pub(super) struct Runtime {
    play: Play,
    ran: RefCell<Vec<Vec<String>>>,
}

enum Play {
    Ends(u32, &'static str),
    /// Ends it at the limit, as a runtime has to.
    Kills,
    Hangs,
    Fails,
}

impl Runtime {
    fn playing(play: Play) -> Runtime {
        Runtime { play, ran: RefCell::new(Vec::new()) }
    }

    /// One that nobody asks.
    pub(super) fn idle() -> Runtime {
        Runtime::playing(Play::Fails)
    }
}

impl Exec for Runtime {
    type Error = io::Error;

    async fn exec(&self, command: &[String], limit: Duration) -> io::Result<Executed> {
        self.ran.borrow_mut().push(command.to_vec());
        match self.play {
            Play::Ends(code, output) => Ok(Executed { code, output: output.to_owned() }),
            Play::Kills => {
                let _ = timeout(limit, pending::<()>()).await;
                Ok(Executed { code: 137, output: "begun".to_owned() })
            }
            Play::Hangs => pending().await,
            Play::Fails => Err(io::Error::other("no such container")),
        }
    }
}

/// The one container of a pod with these further fields.
pub(super) fn container(fields: &str) -> Container {
    let text = format!(
        "{{apiVersion: v1, kind: Pod, metadata: {{name: a}}, \
         spec: {{containers: [{{name: c, image: 'i:1', {fields}}}]}}}}"
    );
    let source = Source { name: "a.yaml", text: text.as_bytes() };
    let set = Set::read(&[source], &Policy::default());
    set.unwrap_or_else(|refused| panic!("{refused}")).pods.remove(0).containers.remove(0)
}

/// What the liveness probe of this text hears, where the pod is asked at the loopback.
pub(super) async fn heard(probe: &str, runtime: &Runtime, limit: Duration) -> Heard {
    let container = container(&format!("livenessProbe: {{{probe}}}"));
    let at = Asked { exec: runtime, container: &container, address: ON_THE_NODES_NETWORK };
    let probe = container.probes.liveness.as_ref().expect("it was written");
    ask(&probe.ask, &at, limit).await
}

/// What came of the hook of this text.
pub(super) async fn done(hook: &str, runtime: &Runtime, limit: Duration) -> Result<(), String> {
    let container = container(&format!("lifecycle: {{postStart: {{{hook}}}}}"));
    let at = Asked { exec: runtime, container: &container, address: ON_THE_NODES_NETWORK };
    let hook = container.lifecycle.post_start.as_ref().expect("it was written");
    self::hook(hook, &at, limit).await.map_err(|error| error.to_string())
}

pub(super) fn failed(found: &str) -> Heard {
    Heard::Failed(text(format_args!("{found}")))
}

async fn exec_heard(play: Play) -> Heard {
    heard("exec: {command: [look]}", &Runtime::playing(play), SECOND).await
}

#[tokio::test(start_paused = true)]
async fn a_program_passes_with_exit_code_0_and_no_other() {
    assert_eq!(exec_heard(Play::Ends(0, "odd\n")).await, Heard::Passed);
    let sick = exec_heard(Play::Ends(1, "looking\n no queue\n\n \n")).await;
    assert_eq!(sick, failed("exec exited 1: no queue"));
    assert_eq!(exec_heard(Play::Ends(3, "")).await, failed("exec exited 3"));
    assert_eq!(exec_heard(Play::Fails).await, failed("exec could not be run: no such container"));
}

#[tokio::test(start_paused = true)]
async fn a_program_that_takes_longer_has_failed_whatever_it_says() {
    assert_eq!(exec_heard(Play::Kills).await, failed("exec not done within 1s"));
}

#[tokio::test(start_paused = true)]
async fn a_runtime_that_hangs_holds_up_nobody_for_long() {
    let start = Instant::now();
    assert_eq!(exec_heard(Play::Hangs).await, failed("exec not done within 1s"));
    assert_eq!(start.elapsed(), SECOND + KILL);
}

#[tokio::test(start_paused = true)]
async fn names_are_expanded_in_the_command_of_a_probe_and_not_in_that_of_a_hook() {
    let env = "env: [{name: WHAT, value: queue}]";
    let command = "exec: {command: [look, $(WHAT)]}";
    let container = container(&format!(
        "{env}, livenessProbe: {{{command}}}, lifecycle: {{postStart: {{{command}}}}}"
    ));
    let runtime = Runtime::playing(Play::Ends(0, ""));
    let at = Asked { exec: &runtime, container: &container, address: ON_THE_NODES_NETWORK };
    let probe = container.probes.liveness.as_ref().expect("it was written");
    assert_eq!(ask(&probe.ask, &at, SECOND).await, Heard::Passed);
    let written = container.lifecycle.post_start.as_ref().expect("it was written");
    hook(written, &at, SECOND).await.expect("done");
    assert_eq!(*runtime.ran.borrow(), [["look", "queue"], ["look", "$(WHAT)"]]);
}

#[tokio::test]
async fn a_port_passes_when_it_accepts_a_connection() {
    let server = Loopback::saying("").await;
    let asked = |address: SocketAddr, host| async move {
        let probe = format!("tcpSocket: {{port: {}{host}}}", address.port());
        heard(&probe, &Runtime::idle(), LONG).await
    };
    assert_eq!(asked(server.address, "").await, Heard::Passed);
    assert_eq!(asked(server.address, ", host: localhost").await, Heard::Passed);
    let closed = nobody().await;
    let port = closed.port();
    assert_eq!(
        asked(closed, "").await,
        failed(&format!("tcpSocket :{port} refused the connection"))
    );
    assert_eq!(
        asked(closed, ", host: 127.0.0.1").await,
        failed(&format!("tcpSocket 127.0.0.1:{port} refused the connection"))
    );
}

#[tokio::test]
async fn a_host_that_is_none_is_named_with_what_the_resolver_says() {
    let Heard::Failed(found) =
        heard("tcpSocket: {port: 9, host: a..b}", &Runtime::idle(), LONG).await
    else {
        panic!("there is none")
    };
    assert!(found.starts_with("tcpSocket a..b:9 cannot be reached: "), "{found}");
}

#[tokio::test(start_paused = true)]
async fn a_hook_says_what_it_did_not_do() {
    let exec = "exec: {command: [drain]}";
    let ended = |code, output| Runtime::playing(Play::Ends(code, output));
    assert_eq!(done(exec, &ended(0, ""), SECOND).await, Ok(()));
    let broken = done(exec, &ended(2, "no valve\n"), SECOND).await;
    assert_eq!(broken, Err("exec exited 2: no valve".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_hook_that_sleeps_takes_its_time_and_no_more_than_there_is() {
    let start = Instant::now();
    let runtime = Runtime::idle();
    assert_eq!(done("sleep: {seconds: 7}", &runtime, LONG).await, Ok(()));
    assert_eq!(start.elapsed(), Duration::from_secs(7));
    let cut = done("sleep: {seconds: 7}", &runtime, SECOND).await;
    assert_eq!(cut, Err("sleep not done within 1s".to_owned()));
    assert_eq!(start.elapsed(), Duration::from_secs(8));
}

#[test]
fn the_core_hears_whether_it_passed() {
    assert_eq!(Heard::Passed.answer(), Answer::Passed);
    assert_eq!(failed("exec exited 1").answer(), Answer::Failed);
}

#[tokio::test]
async fn evidence_is_one_line_that_still_says_what_was_found() {
    let port = nobody().await.port();
    let path = "/long".repeat(100);
    let probe = format!("httpGet: {{port: {port}, path: {path}}}");
    let Heard::Failed(found) = heard(&probe, &Runtime::idle(), LONG).await else {
        panic!("nobody is there")
    };
    assert!(found.ends_with("… refused the connection"), "{found}");
    let Heard::Failed(found) = exec_heard(Play::Ends(1, "\u{1b}[2Jé".repeat(99).leak())).await
    else {
        panic!("it exited 1")
    };
    assert!(found.len() <= 160 && !found.chars().any(char::is_control), "{found}");
}
