use super::*;
use rustix::fs::{CWD, FileType, Mode, OFlags, mknodat, open};
use steadfast_core::Port;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// Far more than any of these tests needs, so that a broken promise fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);

fn shell(script: &str) -> String {
    format!(
        "[[check]]\nname = \"x\"\nkind = \"command\"\ncommand = [\"/bin/sh\", \"-c\", '''{script}''']\n"
    )
}

/// A FIFO that a script and all that it starts hold open for writing: its end is their end.
fn lifeline(folder: &Folder) -> (String, pipe::Receiver) {
    let path = folder.path().join("lifeline");
    mknodat(CWD, &path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a fifo can be made");
    let reader = open(&path, OFlags::RDONLY | OFlags::NONBLOCK, Mode::empty()).expect("just made");
    let reader = pipe::Receiver::from_owned_fd(reader).expect("a fifo");
    (path.to_str().expect("text").to_owned(), reader)
}

/// A script that starts another process, says so through the lifeline, and never ends.
fn endless(fifo: &str) -> String {
    format!("exec 3>{fifo}\necho going on\nsleep 1000 &\necho >&3\nwait")
}

async fn started(alive: &mut pipe::Receiver) {
    let said = tokio::time::timeout(PATIENCE, async {
        // Before a writer opens it, a FIFO is at its end.
        loop {
            alive.readable().await.expect("a fifo");
            let mut byte = [0; 1];
            match alive.try_read(&mut byte) {
                Ok(1) => break,
                _ => tokio::task::yield_now().await,
            }
        }
    });
    said.await.expect("the script starts");
}

async fn all_ended(mut alive: pipe::Receiver) {
    let mut rest = Vec::new();
    let end = tokio::time::timeout(PATIENCE, alive.read_to_end(&mut rest)).await;
    end.expect("no process of the group lives").expect("a fifo can be read");
}

#[tokio::test]
async fn a_program_that_ends_with_0_passes() {
    assert_eq!(heard(&shell("echo much; exit 0")).await, Heard::Passed);
}

#[tokio::test]
async fn a_failure_shows_the_exit_code_and_the_last_line_of_both_outputs() {
    let script = "echo first >&2; echo no display; echo; exit 1";
    assert_eq!(heard(&shell(script)).await, failed("exit 1: no display"));
    let script = "echo first; printf 'no newline' >&2; exit 3";
    assert_eq!(heard(&shell(script)).await, failed("exit 3: no newline"));
    assert_eq!(heard(&shell("exit 7")).await, failed("exit 7"));
    assert_eq!(heard(&shell("echo bye; kill -9 $$")).await, failed("signal 9: bye"));
}

#[tokio::test]
async fn a_program_that_writes_without_end_costs_one_line() {
    let Heard::Failed(evidence) =
        heard(&shell("head -c 3000000 /dev/zero | tr '\\0' x; exit 2")).await
    else {
        panic!("it failed")
    };
    assert!(evidence.starts_with("exit 2: xxx"), "{evidence}");
    assert_eq!(evidence.len(), 160);
}

#[tokio::test]
async fn a_program_that_is_not_there_fails_with_that_evidence() {
    let toml = "[[check]]\nname = \"x\"\nkind = \"command\"\ncommand = [\"/none/x\"]\n";
    let evidence = "/none/x could not be started: No such file or directory";
    assert_eq!(heard(toml).await, failed(evidence));
}

#[tokio::test]
async fn what_a_program_leaves_running_does_not_delay_its_answer() {
    let folder = Folder::new();
    let (fifo, alive) = lifeline(&folder);
    // It holds the output open for as long as somebody reads the FIFO.
    let script = format!("( exec 3>{fifo}; while echo >&3; do :; done ) & exit 4");
    let toml = shell(&script);
    let run = heard(&toml);
    let answer = tokio::time::timeout(PATIENCE, run).await.expect("an answer");
    assert_eq!(answer, failed("exit 4"));
    drop(alive);
}

#[tokio::test]
async fn at_the_timeout_the_whole_process_group_ends() {
    let folder = Folder::new();
    let (fifo, mut alive) = lifeline(&folder);
    let toml = format!("{}timeout_s = 1\n", shell(&endless(&fifo)));
    let (answer, ()) = tokio::join!(heard(&toml), started(&mut alive));
    assert_eq!(answer, failed("not done within 1s: going on"));
    all_ended(alive).await;
}

#[tokio::test]
async fn whoever_stops_waiting_for_the_verdict_stops_the_programs() {
    let folder = Folder::new();
    let (fifo, mut alive) = lifeline(&folder);
    let toml = format!("{}timeout_s = 1000\n", shell(&endless(&fifo)));
    let (mut port, _seen) = port(checks(&toml), RULE);
    tokio::select! {
        event = port.perform(Judge) => panic!("{event:?}"),
        () = started(&mut alive) => {}
    }
    all_ended(alive).await;
}
