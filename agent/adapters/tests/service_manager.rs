//! What systemd hears of the agent (sd_notify(3)), at the other end of its socket.

use std::convert::Infallible;
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use steadfast_adapters::service_manager;
use steadfast_core::ledger::Stamp;
use steadfast_core::watchdog::TurnCompleted;
use steadfast_core::{Digest, Event, Machine, Policy};

/// Set where the test itself is what systemd started.
const SERVICE: &str = "STEADFAST_TEST_SERVICE";

/// Runs `agent` as systemd would, in a process of its own, because systemd's socket is named by a
/// variable of the process. `None` within that process.
fn heard_of(test: &str, agent: impl FnOnce()) -> Option<Vec<String>> {
    if std::env::var_os(SERVICE).is_some() {
        agent();
        return None;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).expect("the folder is new");
    let test_again = std::env::current_exe().expect("this test");
    let mut service = Command::new(test_again);
    service.args(["--exact", test]).env("NOTIFY_SOCKET", &path).env(SERVICE, "1");
    assert!(service.output().expect("it runs").status.success());
    socket.set_nonblocking(true).expect("a socket can");
    let mut bytes = [0; 256];
    let next = || socket.recv(&mut bytes).ok().map(|end| lossy(&bytes[..end]));
    Some(std::iter::from_fn(next).collect())
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).trim_end().to_owned()
}

fn a_turn() -> TurnCompleted {
    let policy = Policy {
        compatible: "board".try_into().expect("short"),
        room: Default::default(),
        fetch_attempts: 1,
        restarts: 1,
        commit_attempts: 1,
    };
    let mut machine = Machine::new(None, policy, |_| Digest::ZERO);
    let save = |_: &[u8]| Ok::<(), Infallible>(());
    let Ok(turn) = machine.turn(Event::Ticked, Stamp::default(), save);
    turn.proof
}

#[test]
fn only_a_completed_turn_feeds_systemds_watchdog() {
    let heard = heard_of("only_a_completed_turn_feeds_systemds_watchdog", || {
        service_manager::ready();
        service_manager::status("probation");
        service_manager::turned(&a_turn());
    });
    let Some(heard) = heard else { return };
    assert_eq!(heard, ["READY=1", "STATUS=probation", "WATCHDOG=1"]);
}
