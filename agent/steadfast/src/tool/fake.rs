//! An agent that answers from a script, and the nodes that the tests speak of.

use super::output::{Console, Style, screen};
use super::{NotDone, ToolError};
use crate::protocol::*;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread::{self, JoinHandle};
use std::{env, fs, process};

/// 2026-11-22 10:54:01 UTC.
pub(super) const NOW: u64 = 1_795_344_841;

/// An agent on a socket of its own.
pub(super) struct Agent {
    folder: PathBuf,
    socket: PathBuf,
    thread: JoinHandle<Vec<Request>>,
}

impl Agent {
    /// Each connection gets the next list of answers, and is closed after it.
    pub(super) fn answering(script: Vec<Vec<Response>>) -> Agent {
        let (folder, socket) = nobody();
        let listener = UnixListener::bind(&socket).expect("the folder is new");
        let thread = thread::spawn(move || {
            let mut asked = Vec::new();
            for answers in script {
                let (mut stream, _) = listener.accept().expect("the socket is there");
                let Ok(request) = read_frame(&mut stream) else { break };
                asked.push(request);
                for answer in answers {
                    if write_frame(&mut stream, &answer).is_err() {
                        break; // The tool knows enough.
                    }
                }
            }
            asked
        });
        Agent { folder, socket, thread }
    }

    pub(super) fn socket(&self) -> &Path {
        &self.socket
    }

    /// What it was asked.
    pub(super) fn asked(self) -> Vec<Request> {
        // An empty connection ends a script that was not used up.
        drop(UnixStream::connect(&self.socket));
        let asked = self.thread.join().expect("the script was played");
        fs::remove_dir_all(&self.folder).expect("it is ours");
        asked
    }
}

/// A new folder, and a socket in it on which nobody listens.
pub(super) fn nobody() -> (PathBuf, PathBuf) {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("steadfast-tool-{}-{count}", process::id()));
    // What an older process of this number left.
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the temporary folder can be written");
    let socket = folder.join("control.sock");
    (folder, socket)
}

/// What the tool writes, and how it ends.
pub(super) fn told(
    style: Style,
    tool: impl FnOnce(&mut Console<'_>) -> Result<(), ToolError>,
) -> (String, String) {
    let mut out = Vec::new();
    let ended = tool(&mut Console { out: &mut out, style, now: NOW });
    let error = match ended {
        Ok(()) => String::new(),
        Err(ToolError::NotDone(not_done)) => error(&not_done),
        Err(ToolError::NotMade(not_made)) => screen(&not_made.lines(), Style::PLAIN),
        Err(ToolError::Output(error)) => panic!("a vector takes everything: {error}"),
    };
    (String::from_utf8(out).expect("text"), error)
}

pub(super) fn error(not_done: &NotDone) -> String {
    screen(&not_done.lines(), Style::PLAIN)
}

/// A node that rests on 1.1.0 in slot A.
pub(super) fn resting() -> Status {
    Status {
        node: "press-07".into(),
        system: System {
            version: "1.1.0".into(),
            slot: "A".into(),
            standing: "committed".into(),
            doubt: None,
            previous: Some("1.0.0".into()),
            committed_unix_s: Some(NOW - 3 * 86_400),
            set: None,
        },
        update: UpdateStatus {
            state: "idle".into(),
            release: None,
            set: None,
            progress: None,
            last: None,
        },
        boot: BootStatus {
            primary: Some("A".into()),
            order: vec!["A".into(), "B".into()],
            left: Left { A: 8, B: 8 },
            rearms: 0,
            sequence: 12,
            copies: vec!["valid".into(), "valid".into()],
        },
        ledger: LedgerStatus {
            entries: 42,
            kept: "data".into(),
            damage: None,
            chain: "whole".into(),
        },
        checks: vec![check("kiosk-ui", "passed", ""), check("mqtt", "passed", "")],
        work: work::Work::default(),
        floor: Some("1.1.0".into()),
        refused: Vec::new(),
        warnings: Vec::new(),
        agent: AgentStatus { version: "0.1.0".into(), pid: 312, rss_kib: 2200 },
    }
}

pub(super) fn check(name: &str, state: &str, evidence: &str) -> CheckStatus {
    let (name, state, evidence) = (name.into(), state.into(), evidence.into());
    CheckStatus { name, required: true, state, evidence }
}

/// The same node with 1.2.0 under way in this state.
pub(super) fn updating(state: &str) -> Status {
    let mut status = resting();
    status.update.state = state.into();
    status.update.release = Some("1.2.0".into());
    status.system.previous = None;
    status.boot.order = vec!["A".into()];
    status.boot.left.B = 0;
    if matches!(state, "rebooting") {
        status.boot.primary = Some("B".into());
        status.boot.order = vec!["B".into(), "A".into()];
        status.boot.left.B = 3;
    }
    status
}

/// The same node, installing.
pub(super) fn installing(percent: u8, step: &str) -> Status {
    let mut status = updating("installing");
    status.update.progress = Some(Progress { percent, step: step.into() });
    status
}

/// The same node after an update that ended so.
pub(super) fn after(ending: EndingStatus) -> Status {
    let mut status = resting();
    status.update.last = Some(ending);
    status
}

/// How 1.2.0 ended.
pub(super) fn an_ending(outcome: &str, cause: Option<CauseStatus>, evidence: &str) -> EndingStatus {
    EndingStatus {
        release: Some("1.2.0".into()),
        outcome: outcome.into(),
        cause,
        evidence: evidence.into(),
        slot: "B".into(),
        set: None,
    }
}

pub(super) fn cause(cause: &steadfast_core::Cause) -> Option<CauseStatus> {
    let name = cause.name().map(str::to_owned);
    Some(CauseStatus { kind: cause.kind().into(), name, text: cause.to_string() })
}

pub(super) fn sick() -> Option<CauseStatus> {
    cause(&steadfast_core::Cause::Check("sick".try_into().expect("short")))
}

pub(super) fn statuses(statuses: &[Status]) -> Vec<Response> {
    statuses.iter().map(|status| Response::Status(Box::new(status.clone()))).collect()
}

pub(super) fn refused(because: &str) -> Vec<Response> {
    vec![Response::Refused { because: because.into() }]
}
