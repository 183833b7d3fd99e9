//! A connection to the agent's control socket, seen from the agent: it hears what the protocol says and nothing else,
//! every request has one answer, and who is not root changes nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::io;
use std::sync::LazyLock;
use steadfast::agent::control::{Ask, Peer, serve};
use steadfast::protocol::{FrameError, Request, Response, read_frame};
use steadfast_fuzz::limited;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::sync::watch;

/// The longest request that the agent reads.
const LONGEST: usize = 4096;

fuzz_target!(|data: &[u8]| limited(data, judge));

/// Its clock stands still, so that nobody's patience ends.
static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut runtime = Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().expect("a runtime")
});

fn judge(data: &[u8]) {
    let Some((first, wire)) = data.split_first() else { return };
    let peer = if first % 2 == 0 { Peer::Other } else { Peer::Root };
    let (heard, answers) = RUNTIME.block_on(talk(peer, wire));
    let said = said(wire);
    let passes = |request: &&Request| peer == Peer::Root || !changes(request);
    let expected: Vec<Request> = said.iter().filter(passes).map(as_heard).collect();
    assert_eq!(heard, expected);
    assert_eq!(answers.len(), said.len());
    for (request, answer) in said.iter().zip(&answers) {
        let refused = matches!(answer, Response::Refused { .. });
        assert_eq!(refused, changes(request) && peer == Peer::Other, "{request:?}: {answer:?}");
    }
}

/// What the agent heard, and what it answered.
async fn talk(peer: Peer, wire: &[u8]) -> (Vec<Request>, Vec<Response>) {
    let (mut tool, daemon) = tokio::io::duplex(1 << 16);
    let (asks, asked) = unbounded_channel();
    let (_changed, changes) = watch::channel(0);
    let served = async {
        // How it ends is the client's affair.
        let _: io::Result<()> = serve(daemon, peer, asks, changes).await;
    };
    let ((), heard, answers) = tokio::join!(served, heard(asked), client(&mut tool, wire));
    (heard, answers)
}

async fn client(tool: &mut DuplexStream, wire: &[u8]) -> Vec<Response> {
    // The agent may have let the client go already.
    let _ = tool.write_all(wire).await;
    let _ = tool.shutdown().await;
    let mut bytes = Vec::new();
    tool.read_to_end(&mut bytes).await.expect("what was answered can be read");
    let mut rest = bytes.as_slice();
    let mut answers = Vec::new();
    loop {
        match read_frame(&mut rest) {
            Ok(answer) => answers.push(answer),
            Err(FrameError::Closed) => return answers,
            Err(error) => panic!("the agent sent no answer: {error}"),
        }
    }
}

/// A loop that takes every order.
async fn heard(mut asked: UnboundedReceiver<Ask>) -> Vec<Request> {
    let mut heard = Vec::new();
    while let Some(Ask { request, answer }) = asked.recv().await {
        heard.push(request);
        let _ = answer.send(Response::Accepted);
    }
    heard
}

/// The requests on the wire, as the protocol reads them, until one is none or somebody watches.
fn said(mut wire: &[u8]) -> Vec<Request> {
    let mut said = Vec::new();
    loop {
        let before = wire.len();
        let Ok(request) = read_frame::<Request>(&mut wire) else { return said };
        if before - wire.len() > 4 + LONGEST {
            return said;
        }
        let watches = request == Request::Watch;
        said.push(request);
        if watches {
            return said;
        }
    }
}

/// Who watches asks for the status.
fn as_heard(request: &Request) -> Request {
    match request {
        Request::Watch => Request::Status,
        request => request.clone(),
    }
}

fn changes(request: &Request) -> bool {
    match request {
        Request::Status
        | Request::Watch
        | Request::History
        | Request::HistoryOf { .. }
        | Request::Work => false,
        Request::Update { .. }
        | Request::Confirm
        | Request::Rollback
        | Request::Cancel
        | Request::Apply { .. }
        | Request::Remove { .. }
        | Request::StopWork => true,
    }
}
