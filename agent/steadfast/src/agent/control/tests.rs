use super::*;
use std::os::unix::fs::PermissionsExt;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::task::LocalSet;

async fn sent(bytes: &[u8]) -> io::Result<Option<Request>> {
    let (mut tool, mut daemon) = UnixStream::pair().expect("a pair");
    tool.write_all(bytes).await.expect("room");
    drop(tool);
    read_frame(&mut daemon).await
}

#[tokio::test]
async fn garbage_and_a_request_that_is_too_long_are_errors_and_no_panic() {
    for bytes in [&[0xff; 64][..], &[3, 0, 0, 0, 0xff, 0xff, 0xff], &[9, 0, 0, 0, 1], &[1]] {
        assert!(sent(bytes).await.is_err(), "{bytes:?}");
    }
    assert_eq!(sent(&[]).await.expect("closed"), None);
}

#[tokio::test]
async fn a_request_is_read_as_the_tool_writes_it() {
    let mut bytes = Vec::new();
    crate::protocol::write_frame(&mut bytes, &Request::Rollback).expect("short");
    assert_eq!(sent(&bytes).await.expect("a request"), Some(Request::Rollback));
}

#[tokio::test]
async fn a_request_with_more_behind_it_in_its_frame_is_none() {
    let sent = sent(&[2, 0, 0, 0, 0, 9]).await;
    assert!(sent.is_err_and(|error| error.to_string().contains("follow the message")));
}

#[tokio::test]
async fn who_is_not_root_is_refused_whatever_the_connection_is() {
    within(async {
        let (mut tool, daemon) = tokio::io::duplex(4096);
        let (asks, mut asked) = answering();
        spawn_local(serve(daemon, Peer::Other, asks, watch::channel(0).1));
        let mut bytes = Vec::new();
        crate::protocol::write_frame(&mut bytes, &Request::Confirm).expect("short");
        tool.write_all(&bytes).await.expect("room");
        tool.shutdown().await.expect("it is open");
        let mut answer = Vec::new();
        tool.read_to_end(&mut answer).await.expect("it answers");
        let because = "only root may change the node".to_owned();
        let answer = crate::protocol::read_frame::<Response>(&mut answer.as_slice());
        assert_eq!(answer.expect("one answer"), Response::Refused { because });
        assert!(asked.try_recv().is_err(), "the loop was not asked");
    })
    .await;
}

#[test]
fn only_reading_is_for_everybody_who_can_connect() {
    let of = Request::HistoryOf { version: String::new() };
    let reading = [Request::Status, Request::Watch, Request::History, of];
    assert!(reading.iter().all(|request| !changes(request)));
    let at = steadfast_core::At::Now;
    let update = Request::Update { source: String::new(), at, content: None, set: None };
    assert!([update, Request::Confirm, Request::Rollback].iter().all(changes));
}

#[test]
fn the_group_is_found_by_its_name() {
    assert_eq!(group_id("root:x:0:\nsteadfast:x:990:op\n"), Some(990));
    assert_eq!(group_id("steadfastly:x:1:\n"), None);
}

/// What the loop says to everything, in these tests.
fn word() -> Response {
    Response::Refused { because: "it is a test".to_owned() }
}

/// A loop behind the socket: it says its word to everything, and lists what it was asked.
fn answering() -> (UnboundedSender<Ask>, UnboundedReceiver<Request>) {
    let (asks, mut asked) = unbounded_channel::<Ask>();
    let (list, listed) = unbounded_channel();
    spawn_local(async move {
        while let Some(Ask { request, answer }) = asked.recv().await {
            let _ = list.send(request);
            let _ = answer.send(word());
        }
    });
    (asks, listed)
}

async fn writes(stream: &mut UnixStream, request: &Request) {
    let mut bytes = Vec::new();
    crate::protocol::write_frame(&mut bytes, request).expect("short");
    stream.write_all(&bytes).await.expect("room");
}

/// The next answer, or none when the agent let the client go.
async fn reads(stream: &mut UnixStream) -> Option<Response> {
    let mut length = [0; 4];
    stream.read_exact(&mut length).await.ok()?;
    let mut bytes = vec![0; u32::from_le_bytes(length) as usize];
    stream.read_exact(&mut bytes).await.ok()?;
    Some(postcard::from_bytes(&bytes).expect("an answer"))
}

/// Runs a test where tasks of one thread can be started, and no longer than a test may take.
async fn within(test: impl Future<Output = ()>) {
    timeout(Duration::from_secs(20), LocalSet::new().run_until(test)).await.expect("it ends");
}

#[tokio::test]
async fn a_request_longer_than_any_is_not_read() {
    let mut bytes = Vec::new();
    let (source, at) = ("s".repeat(MAX_REQUEST as usize), steadfast_core::At::Now);
    crate::protocol::write_frame(
        &mut bytes,
        &Request::Update { source, at, content: None, set: None },
    )
    .expect("a frame");
    assert!(sent(&bytes).await.is_err());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_says_nothing_is_let_go() {
    within(async {
        let (_silent, daemon) = UnixStream::pair().expect("a pair");
        let served = serve(daemon, Peer::Root, answering().0, watch::channel(0).1).await;
        assert_eq!(served.map_err(|error| error.kind()), Err(io::ErrorKind::TimedOut));
    })
    .await;
}

#[tokio::test]
async fn a_client_may_ask_more_than_once() {
    within(async {
        let (mut tool, daemon) = UnixStream::pair().expect("a pair");
        spawn_local(serve(daemon, Peer::Root, answering().0, watch::channel(0).1));
        for request in [Request::Status, Request::History] {
            writes(&mut tool, &request).await;
            assert_eq!(reads(&mut tool).await, Some(word()));
        }
    })
    .await;
}

#[tokio::test]
async fn who_watches_hears_each_change_and_ends_when_he_goes() {
    within(async {
        let (mut tool, daemon) = UnixStream::pair().expect("a pair");
        let (changed, changes) = watch::channel(0);
        let (asks, mut asked) = unbounded_channel::<Ask>();
        let served = spawn_local(serve(daemon, Peer::Root, asks, changes));
        writes(&mut tool, &Request::Watch).await;
        for changes in [1, 1, 0] {
            let Ask { answer, .. } = asked.recv().await.expect("one status a change");
            // What changes while it is answered is news again.
            if changes > 0 {
                changed.send_modify(|count| *count += changes);
            }
            let _ = answer.send(word());
            assert_eq!(reads(&mut tool).await, Some(word()));
        }
        drop(tool);
        assert!(served.await.expect("no panic").is_ok());
    })
    .await;
}

#[tokio::test]
async fn a_client_that_sends_garbage_disturbs_nobody() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("run/control.sock");
        listen(&path, answering().0, watch::channel(0).1).expect("its folder is made");
        let mut garbage = UnixStream::connect(&path).await.expect("it listens");
        garbage.write_all(&[0xff; 64]).await.expect("room");
        assert_eq!(reads(&mut garbage).await, None);
        let mut tool = UnixStream::connect(&path).await.expect("it listens");
        writes(&mut tool, &Request::Status).await;
        assert_eq!(reads(&mut tool).await, Some(word()));
    })
    .await;
}

#[tokio::test]
async fn a_socket_that_an_agent_left_behind_is_replaced_and_not_for_everybody() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        drop(bind(&path).expect("the folder is new"));
        let _listener = bind(&path).expect("nobody listens there any more");
        let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
    })
    .await;
}

#[tokio::test]
async fn one_client_too_many_is_told_and_a_place_that_is_free_again_is_given() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("control.sock");
        listen(&path, answering().0, watch::channel(0).1).expect("it listens");
        let mut clients = Vec::new();
        // Root has all places; anybody else leaves some to root.
        let places =
            if rustix::process::geteuid().is_root() { CLIENTS } else { CLIENTS - FOR_ROOT };
        for _ in 0..places {
            let mut tool = UnixStream::connect(&path).await.expect("it listens");
            writes(&mut tool, &Request::Status).await;
            assert_eq!(reads(&mut tool).await, Some(word()));
            clients.push(tool);
        }
        let mut late = UnixStream::connect(&path).await.expect("it listens");
        let told = reads(&mut late).await;
        let Some(Response::Refused { because }) = &told else { panic!("{told:?}") };
        assert_eq!(because, "too many clients ask the agent at once");
        drop(clients.pop());
        // The place is free when the agent has seen that the client went.
        loop {
            let mut tool = UnixStream::connect(&path).await.expect("it listens");
            writes(&mut tool, &Request::Status).await;
            if reads(&mut tool).await == Some(word()) {
                break;
            }
        }
    })
    .await;
}

/// Set where the test itself is a client that is not root, and names the socket.
const CLIENT: &str = "STEADFAST_TEST_CLIENT";

/// Nobody's number on every Linux.
const NOBODY: u32 = 65534;

#[tokio::test]
async fn who_is_not_root_reads_changes_nothing_and_keeps_root_no_place() {
    if let Some(socket) = std::env::var_os(CLIENT) {
        return within(reader(Path::new(&socket))).await;
    }
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let open = |path: &Path, mode| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode))
                .expect("it is ours");
        };
        let (path, test) = (folder.path().join("control.sock"), folder.path().join("test"));
        std::fs::copy(std::env::current_exe().expect("this test"), &test).expect("room");
        let (asks, mut asked) = answering();
        listen(&path, asks, watch::channel(0).1).expect("it listens");
        for (it, mode) in [(folder.path(), 0o755), (&path, 0o666), (&test, 0o755)] {
            open(it, mode);
        }
        let mut client = tokio::process::Command::new(&test);
        let name = "who_is_not_root_reads_changes_nothing_and_keeps_root_no_place";
        client.args(["--exact", &format!("agent::control::tests::{name}")]).env(CLIENT, &path);
        if rustix::process::geteuid().is_root() {
            client.uid(NOBODY).gid(NOBODY);
        }
        let ended = client.output().await.expect("it runs");
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stdout));
        while let Ok(request) = asked.try_recv() {
            assert_eq!(request, Request::Status);
        }
    })
    .await;
}

/// The client that is not root.
async fn reader(socket: &Path) {
    let at = steadfast_core::At::Now;
    let mut clients = Vec::new();
    for _ in 0..CLIENTS - FOR_ROOT {
        let mut tool = UnixStream::connect(socket).await.expect("it may connect");
        writes(&mut tool, &Request::Status).await;
        assert_eq!(reads(&mut tool).await, Some(word()));
        clients.push(tool);
    }
    let update =
        Request::Update { source: "/usb/2.raucb".to_owned(), at, content: None, set: None };
    for request in [update, Request::Confirm, Request::Rollback] {
        writes(&mut clients[0], &request).await;
        let because = "only root may change the node".to_owned();
        assert_eq!(reads(&mut clients[0]).await, Some(Response::Refused { because }));
    }
    let mut late = UnixStream::connect(socket).await.expect("it may connect");
    let because = "too many clients ask the agent at once".to_owned();
    assert_eq!(reads(&mut late).await, Some(Response::Refused { because }));
}
