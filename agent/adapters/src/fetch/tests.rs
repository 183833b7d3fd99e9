use super::*;
use crate::http::loopback::{Loopback, PATIENT, Reply, fixture, nobody};
use steadfast_core::At;
use tokio::time::Instant;

const BUNDLE: &str = "HTTP/1.1 206 Partial Content\r\nContent-Length: 4\r\n\r\nhsqs";

/// A port that does not pause.
fn port(limits: Limits) -> FetchPort {
    let backoff = Backoff { base: Duration::ZERO, ..Backoff::new([0; 16]) };
    FetchPort::new(Client::new(fixture("ca.pem")), limits, backoff)
}

fn fetch(source: &str, attempt: u8) -> Fetch {
    let source = source.try_into().expect("a short source");
    Fetch { offer: Offer { source, at: At::Now, content: None, set: None }, attempt }
}

async fn fetched(source: &str) -> Result<(), Failure> {
    let event = port(PATIENT).perform(fetch(source, 3)).await;
    let Event::Fetched(fetched) = event else { panic!("{event:?}") };
    fetched
}

/// The cause and the evidence of a bundle that is not there.
async fn missed(source: &str) -> (Cause, String) {
    let failure = fetched(source).await.expect_err("there is no bundle");
    (failure.cause, failure.evidence.to_string())
}

/// A folder of one test.
struct Folder(tempfile::TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(tempfile::tempdir().expect("the temporary folder can be written"))
    }

    fn path(&self, name: &str) -> String {
        self.0.path().join(name).to_str().expect("the temporary folder's name is text").to_owned()
    }

    fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.path(name);
        std::fs::write(&path, content).expect("the temporary folder can be written");
        path
    }
}

#[tokio::test]
async fn a_file_that_begins_as_a_bundle_is_fetched() {
    let folder = Folder::new();
    assert_eq!(fetched(&folder.file("x.raucb", b"hsqs and more")).await, Ok(()));
}

#[tokio::test]
async fn a_file_is_held_against_the_digest_that_was_offered_and_is_not_copied() {
    let folder = Folder::new();
    let path = folder.file("x.raucb", b"hsqs and more");
    let downloads = Downloads::new(folder.0.path(), [0; 16]);
    let mut port = port(PATIENT).downloading(downloads, watch::channel(None).0);
    for (bytes, found) in [(&b"hsqs and more"[..], None), (b"hsqs", Some(Cause::Damaged))] {
        let content = Some(crate::ledger_file::sha256(bytes));
        let Fetch { offer, attempt } = fetch(&path, 1);
        let event = port.perform(Fetch { offer: Offer { content, ..offer }, attempt }).await;
        let Event::Fetched(fetched) = event else { panic!("{event:?}") };
        assert_eq!(fetched.err().map(|failure| failure.cause), found);
    }
    assert_eq!(std::fs::read_dir(folder.0.path()).expect("a folder").count(), 1);
}

#[tokio::test]
async fn a_path_without_a_file_to_read_is_no_source() {
    let folder = Folder::new();
    let fifo = folder.path("fifo");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &fifo,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR,
        0,
    )
    .expect("a fifo can be made");
    for (path, why) in [
        (folder.path("gone"), "cannot be read: No such file or directory"),
        (folder.path(""), "is not a file"),
        (fifo, "is not a file"),
        (folder.file("empty", b""), "is empty"),
    ] {
        assert_eq!(missed(&path).await, (Cause::Source, format!("{path} {why}")));
    }
    let (cause, evidence) = missed("release.raucb").await;
    assert_eq!(cause, Cause::Source);
    assert_eq!(evidence, "release.raucb is neither a URL nor a whole path");
}

#[tokio::test]
async fn what_does_not_begin_as_a_bundle_is_damaged() {
    let folder = Folder::new();
    let server = Loopback::saying("HTTP/1.1 206 OK\r\nContent-Length: 4\r\n\r\n<htm").await;
    for source in
        [folder.file("text", b"hello"), folder.file("short", b"hsq"), server.url("/x.raucb")]
    {
        assert_eq!(missed(&source).await, (Cause::Damaged, format!("{source} is not a bundle")));
    }
}

#[tokio::test]
async fn only_http_is_known_beside_paths() {
    let (cause, evidence) = missed("ftp://host/x.raucb").await;
    assert_eq!((cause, evidence.as_str()), (Cause::Source, "ftp is no known way to a bundle"));
    let (cause, evidence) = missed("http://me:secret@host/x").await;
    assert_eq!(cause, Cause::Source);
    assert!(evidence.ends_with("a URL with a user name or a password is not understood"));
}

#[tokio::test]
async fn a_server_that_streams_a_bundle_is_asked_for_its_first_bytes_only() {
    let server = Loopback::saying(BUNDLE).await;
    assert_eq!(fetched(&server.url("/x.raucb")).await, Ok(()));
    let requests = server.requests();
    assert_eq!(requests.len(), 1);
    assert!(requests[0].to_ascii_lowercase().contains("range: bytes=0-3\r\n"), "{requests:?}");
}

#[tokio::test]
async fn a_bundle_behind_tls_is_fetched_from_a_trusted_server_only() {
    let server = Loopback::tls("server.pem", BUNDLE).await;
    assert_eq!(fetched(&server.https("/x.raucb")).await, Ok(()));
    let stranger = Loopback::tls("stranger.pem", BUNDLE).await;
    let (cause, evidence) = missed(&stranger.https("/x.raucb")).await;
    assert_eq!(cause, Cause::Network);
    assert!(evidence.ends_with("its certificate is from no trusted authority"), "{evidence}");
}

#[tokio::test]
async fn a_status_says_whether_trying_again_may_help() {
    for (status, cause) in [
        (200, Cause::Network),
        (301, Cause::Network),
        (401, Cause::Source),
        (403, Cause::Source),
        (404, Cause::Source),
        (410, Cause::Source),
        (416, Cause::Source),
        (429, Cause::Network),
        (500, Cause::Network),
        (503, Cause::Network),
    ] {
        let server = Loopback::plain(move |_| {
            Reply::Bytes(format!("HTTP/1.1 {status} X\r\nContent-Length: 4\r\n\r\nhsqs"))
        })
        .await;
        let (found, evidence) = missed(&server.url("/")).await;
        assert_eq!(found, cause, "{status}: {evidence}");
        assert!(evidence.starts_with(&server.address.to_string()), "{evidence}");
    }
}

#[tokio::test]
async fn a_server_without_ranges_is_told_why_it_cannot_be_used() {
    let server = Loopback::saying("HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhsqs").await;
    let (_, evidence) = missed(&server.url("/")).await;
    let wanted =
        format!("{} does not serve ranges, which streaming a bundle needs", server.address);
    assert_eq!(evidence, wanted);
}

#[tokio::test]
async fn a_server_that_is_away_breaks_off_or_stalls_is_the_network() {
    let away = nobody().await;
    let wanted = format!("{away} cannot be reached: Connection refused");
    assert_eq!(missed(&format!("http://{away}/")).await, (Cause::Network, wanted));

    let broken = Loopback::saying("HTTP/1.1 206 OK\r\nContent-Length: 4\r\n\r\nhs").await;
    assert_eq!(missed(&broken.url("/")).await.0, Cause::Network);

    let stalled = Loopback::plain(|_| Reply::Silence).await;
    let limits = Limits { answer: Duration::from_millis(20), ..PATIENT };
    let event = port(limits).perform(fetch(&stalled.url("/"), 1)).await;
    let evidence = format_args!("{} gave no answer within 20ms", stalled.address);
    assert_eq!(event, Event::Fetched(Err(Failure::new(Cause::Network, evidence))));
}

/// A server that redirects `count` times before it has the bundle.
async fn redirecting(count: usize) -> Loopback {
    Loopback::plain(move |request| {
        let target = request.split(' ').nth(1).unwrap_or_default();
        let step: usize = target.trim_start_matches('/').parse().expect("our own redirect");
        Reply::Bytes(match step < count {
            true => {
                format!("HTTP/1.1 302 Found\r\nLocation: {}\r\nContent-Length: 0\r\n\r\n", step + 1)
            }
            false => BUNDLE.to_owned(),
        })
    })
    .await
}

#[tokio::test]
async fn five_redirects_are_followed_and_no_more() {
    let server = redirecting(5).await;
    assert_eq!(fetched(&server.url("/0")).await, Ok(()));
    assert_eq!(server.requests().len(), 6);
    let server = redirecting(6).await;
    let (cause, evidence) = missed(&server.url("/0")).await;
    assert_eq!(cause, Cause::Network);
    assert_eq!(evidence, format!("more than 5 redirects, the last to {}", server.address));
}

#[tokio::test]
async fn a_redirect_may_lead_to_another_server() {
    let there = Loopback::saying(BUNDLE).await;
    let url = there.url("/x.raucb");
    let here = Loopback::plain(move |_| {
        Reply::Bytes(format!("HTTP/1.1 307 X\r\nLocation: {url}\r\nContent-Length: 0\r\n\r\n"))
    })
    .await;
    assert_eq!(fetched(&here.url("/")).await, Ok(()));
    assert_eq!(there.requests().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn only_later_attempts_wait_first() {
    let folder = Folder::new();
    let path = folder.file("x.raucb", b"hsqs");
    let backoff = Backoff::new([9; 16]);
    let mut port = FetchPort::new(Client::default(), LIMITS, backoff);
    for attempt in [1, 2, 6] {
        let start = Instant::now();
        port.perform(fetch(&path, attempt)).await;
        let waited = start.elapsed().as_millis();
        // Timers count in milliseconds and round up.
        let pause = backoff.before(attempt).as_millis();
        assert!((pause..=pause + 1).contains(&waited), "attempt {attempt}: {waited} ms");
    }
}
