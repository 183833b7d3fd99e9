mod anew;
mod disk;
mod kill;
mod left;
mod pace;
mod server;

use super::super::*;
use crate::downloads::Needed;
use crate::http::loopback::{Loopback, PATIENT, fixture, nobody};
use crate::ledger_file::sha256;
use server::{Server, bundle};
use std::path::PathBuf;
use steadfast_core::At;

/// A node's folder, and what it is told.
struct Node {
    folder: tempfile::TempDir,
    progress: watch::Sender<Progress>,
    told: watch::Receiver<Progress>,
}

const BOOT: [u8; 16] = [1; 16];

/// The boot after a power cut.
const NEXT_BOOT: [u8; 16] = [2; 16];

impl Node {
    fn new() -> Node {
        let (progress, told) = watch::channel(None);
        Node { folder: tempfile::tempdir().expect("a folder"), progress, told }
    }

    fn downloads(&self, boot: [u8; 16]) -> Downloads {
        Downloads::new(self.folder.path(), boot).leaving(0)
    }

    /// A port as an agent that was started in this boot has it; it does not pause.
    fn port(&self, boot: [u8; 16]) -> FetchPort {
        let backoff = Backoff { base: Duration::ZERO, ..Backoff::new([0; 16]) };
        let port = FetchPort::new(Client::new(fixture("ca.pem")), PATIENT, backoff);
        port.downloading(self.downloads(boot), self.progress.clone())
    }

    async fn fetched_in(&self, boot: [u8; 16], offer: &Offer) -> Result<(), Failure> {
        let fetch = Fetch { offer: offer.clone(), attempt: 1 };
        let event = self.port(boot).perform(fetch).await;
        let Event::Fetched(fetched) = event else { panic!("{event:?}") };
        fetched
    }

    async fn fetched(&self, offer: &Offer) -> Result<(), Failure> {
        self.fetched_in(BOOT, offer).await
    }

    fn place(&self, offer: &Offer) -> PathBuf {
        self.downloads(BOOT).place(offer).expect("a URL")
    }

    fn bundle(&self, offer: &Offer) -> Vec<u8> {
        std::fs::read(self.place(offer)).expect("it was fetched")
    }

    /// How much of it is here.
    fn length(&self, offer: &Offer) -> usize {
        let part = std::fs::metadata(self.place(offer).with_extension("part"));
        usize::try_from(part.expect("it has begun").len()).expect("small")
    }

    fn files(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("downloads")).map_or(0, Iterator::count)
    }
}

fn offer(url: &str) -> Offer {
    Offer { source: url.try_into().expect("a short URL"), at: At::Now, content: None, set: None }
}

/// An offer that names its content.
fn named(url: &str, body: &[u8]) -> Offer {
    Offer { content: Some(sha256(body)), ..offer(url) }
}

/// Whether these are all bytes of a bundle, in their order, and none of them twice.
fn none_twice(server: &Server) {
    let (sent, total) = (server.sent(), server.offered().body.len());
    let mut next = 0;
    for range in &sent {
        assert_eq!(range.start, next, "{sent:?}");
        next = range.end;
    }
    assert_eq!(next, total, "{sent:?}");
}

/// Serves so many bytes of the bundle, and then nothing until the attempt ends.
async fn cut_off_after(node: &Node, offer: &Offer, server: &Server, bytes: usize) {
    // The look, and one connection more.
    (server.offered().cut, server.offered().answers) = (bytes - 4, 2);
    let failure = node.fetched(offer).await.expect_err("it is cut off");
    assert_eq!(failure.cause, Cause::Network, "{failure}");
    assert_eq!((server.count(), node.length(offer)), (bytes, bytes));
    (server.offered().cut, server.offered().answers) = (usize::MAX, usize::MAX);
}

#[tokio::test]
async fn a_bundle_that_was_downloaded_is_the_servers_byte_for_byte() {
    let (node, body) = (Node::new(), bundle(300_000));
    let server = Server::of(body.clone()).await;
    for offer in [offer(&server.url()), named(&server.url(), &body)] {
        assert_eq!(node.fetched(&offer).await, Ok(()));
        assert_eq!(node.bundle(&offer), body);
        node.downloads(BOOT).keep(Needed::Never).expect("its own folder");
        assert_eq!(node.files(), 0);
    }
}

#[tokio::test]
async fn a_link_that_breaks_after_every_few_bytes_costs_no_byte_twice() {
    for (cut, length) in [(4, 60), (5, 300), (4096, 100_000), (65_536, 600_000), (70_001, 800_000)]
    {
        let (node, body) = (Node::new(), bundle(length));
        let server = Server::of(body.clone()).await;
        server.offered().cut = cut;
        let offer = offer(&server.url());
        assert_eq!(node.fetched(&offer).await, Ok(()), "every {cut}");
        assert_eq!(node.bundle(&offer), body, "every {cut}");
        assert!(server.sent().len() >= length / cut, "{} connections", server.sent().len());
        none_twice(&server);
    }
}

#[tokio::test]
async fn the_next_attempt_goes_on_where_the_last_one_stopped() {
    let (node, body) = (Node::new(), bundle(500_000));
    let server = Server::of(body.clone()).await;
    let offer = offer(&server.url());
    cut_off_after(&node, &offer, &server, 123_456).await;
    assert_eq!(node.fetched(&offer).await, Ok(()));
    assert_eq!(node.bundle(&offer), body);
    none_twice(&server);
}

#[tokio::test]
async fn after_a_power_cut_it_goes_on_where_it_was_cut_off() {
    let (node, body) = (Node::new(), bundle(500_000));
    let server = Server::of(body.clone()).await;
    let offer = offer(&server.url());
    cut_off_after(&node, &offer, &server, 123_456).await;
    assert_eq!(node.fetched_in(NEXT_BOOT, &offer).await, Ok(()));
    assert_eq!(node.bundle(&offer), body);
    none_twice(&server);
}

#[tokio::test]
async fn another_url_for_the_same_digest_goes_on_where_the_first_stopped() {
    let (node, body) = (Node::new(), bundle(500_000));
    let (one, other) = (Server::of(body.clone()).await, Server::of(body.clone()).await);
    cut_off_after(&node, &named(&one.url(), &body), &one, 200_000).await;
    // Mirrors name their files as they like.
    other.offered().validator = Some("ETag: \"another\"");
    let offer = named(&other.url(), &body);
    assert_eq!(node.fetched_in(NEXT_BOOT, &offer).await, Ok(()));
    assert_eq!(node.bundle(&offer), body);
    assert_eq!(one.sent(), [0..4, 4..200_000]);
    assert_eq!(other.only_sent(), 200_000..500_000);
}

#[tokio::test]
async fn another_url_without_a_digest_is_another_bundle() {
    let (node, body) = (Node::new(), bundle(50_000));
    let (one, other) = (Server::of(body.clone()).await, Server::of(body.clone()).await);
    cut_off_after(&node, &offer(&one.url()), &one, 20_000).await;
    assert_eq!(node.fetched(&offer(&other.url())).await, Ok(()));
    none_twice(&other);
}

#[tokio::test]
async fn what_has_another_digest_than_was_offered_is_damaged_and_dropped() {
    let (node, body) = (Node::new(), bundle(50_000));
    let server = Server::of(body.clone()).await;
    let offer = named(&server.url(), b"something else");
    let failure = node.fetched(&offer).await.expect_err("it is not what was offered");
    let content = offer.content.expect("it is named");
    let wanted = format!("SHA-256 {}, not {content}", sha256(&body));
    assert_eq!((failure.cause, failure.evidence.as_str()), (Cause::Damaged, wanted.as_str()));
    assert_eq!(node.files(), 0);
}

#[tokio::test]
async fn a_bundle_that_is_here_is_not_asked_for_again() {
    let (node, body) = (Node::new(), bundle(50_000));
    let server = Server::of(body.clone()).await;
    for offer in [offer(&server.url()), named(&server.url(), &body)] {
        assert_eq!(node.fetched(&offer).await, Ok(()));
        let asked = server.requests().len();
        assert_eq!(node.fetched_in(NEXT_BOOT, &offer).await, Ok(()));
        assert_eq!(server.requests().len(), asked);
    }
}

#[tokio::test]
async fn a_bundle_that_its_disk_damaged_is_fetched_again() {
    let (node, body) = (Node::new(), bundle(50_000));
    let server = Server::of(body.clone()).await;
    let offer = named(&server.url(), &body);
    assert_eq!(node.fetched(&offer).await, Ok(()));
    let mut damaged = body.clone();
    damaged[40_000] ^= 1;
    std::fs::write(node.place(&offer), damaged).expect("its own folder");
    assert_eq!(node.fetched(&offer).await, Ok(()));
    assert_eq!(node.bundle(&offer), body);
}

#[tokio::test]
async fn a_server_that_stops_in_the_middle_is_the_network_and_what_came_is_kept() {
    let (node, body) = (Node::new(), bundle(50_000));
    let server = Server::of(body).await;
    server.offered().stalls = 30_000;
    let offer = offer(&server.url());
    let mut port = node.port(BOOT);
    port.limits.answer = Duration::from_millis(50);
    let event = port.perform(Fetch { offer: offer.clone(), attempt: 1 }).await;
    let Event::Fetched(Err(failure)) = event else { panic!("{event:?}") };
    let host = server.url().split('/').nth(2).expect("a host").to_owned();
    // The last of the connections that the attempt still made.
    let wanted = format!("{host} sent nothing for 50ms");
    assert_eq!((failure.cause, failure.evidence.as_str()), (Cause::Network, wanted.as_str()));
    assert_eq!(node.length(&offer), 30_000);
}

#[tokio::test]
async fn a_server_that_cannot_be_used_is_the_same_cause_as_when_it_is_streamed() {
    let away = nobody().await;
    let head = |status: &str, body: &str| {
        format!(
            "HTTP/1.1 {status}\r\nContent-Range: bytes 0-3/9\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        )
    };
    let mut servers = Vec::new();
    for status in ["404 X", "403 X", "408 X", "429 X", "500 X", "503 X", "416 X", "302 X"] {
        servers.push(Loopback::saying(head(status, "").leak()).await);
    }
    servers.push(Loopback::saying(head("206 X", "<htm").leak()).await);
    let urls = servers.iter().map(|server| server.url("/x.raucb"));
    let known =
        [format!("http://{away}/"), "http://me:secret@host/x".to_owned(), "ftp://a/b".into()];
    for url in urls.chain(known) {
        let node = Node::new();
        let downloaded = node.fetched(&offer(&url)).await;
        let mut streaming = FetchPort { kept: None, ..node.port(BOOT) };
        let streamed = streaming.perform(Fetch { offer: offer(&url), attempt: 1 }).await;
        assert!(downloaded.is_err(), "{url}");
        assert_eq!(Event::Fetched(downloaded), streamed, "{url}");
    }
}

#[tokio::test]
async fn how_far_it_is_is_told_and_at_its_end_no_more() {
    let (mut node, body) = (Node::new(), bundle(3 << 20));
    let server = Server::of(body.clone()).await;
    let mut told = node.told.clone();
    let seen = tokio::spawn(async move {
        let mut seen = Vec::new();
        while told.changed().await.is_ok() {
            seen.push(told.borrow_and_update().clone());
        }
        seen
    });
    assert_eq!(node.fetched(&named(&server.url(), &body)).await, Ok(()));
    assert_eq!(*node.told.borrow_and_update(), None);
    drop(node);
    let seen = seen.await.expect("it ends with the node");
    let percents: Vec<u8> = seen.iter().flatten().map(|(percent, _)| *percent).collect();
    assert!(percents.is_sorted() && percents.len() > 10, "{percents:?}");
    assert!(seen.iter().flatten().any(|(_, step)| step == "1 of 3 MiB"), "{seen:?}");
}
