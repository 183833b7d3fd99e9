use super::*;
use crate::http::loopback::{Loopback, Reply};

/// A download that was cut off at 20000 of 50000 bytes, and its server.
async fn begun(node: &Node) -> (Server, Offer) {
    let server = Server::of(bundle(50_000)).await;
    let offer = offer(&server.url());
    cut_off_after(node, &offer, &server, 20_000).await;
    (server, offer)
}

/// Another bundle, which differs everywhere behind its first bytes.
fn exchanged(length: usize) -> Vec<u8> {
    let mut body = bundle(length);
    body.iter_mut().skip(4).for_each(|byte| *byte = !*byte);
    body
}

/// What was begun comes to be this body, without a byte of another.
async fn comes_to_be(node: &Node, offer: &Offer, server: &Server, body: Vec<u8>) {
    server.offered().body.clone_from(&body);
    assert_eq!(node.fetched(offer).await, Ok(()));
    assert!(node.bundle(offer) == body, "two contents were joined");
}

#[tokio::test]
async fn content_that_was_exchanged_is_fetched_anew() {
    let node = Node::new();
    let (server, offer) = begun(&node).await;
    server.offered().validator = Some("ETag: \"two\"");
    comes_to_be(&node, &offer, &server, exchanged(50_000)).await;
}

#[tokio::test]
async fn content_that_was_exchanged_is_seen_where_the_server_compares_nothing() {
    let node = Node::new();
    let (server, offer) = begun(&node).await;
    (server.offered().validator, server.offered().compares) = (Some("ETag: \"two\""), false);
    comes_to_be(&node, &offer, &server, exchanged(50_000)).await;
}

#[tokio::test]
async fn content_of_another_length_is_fetched_anew() {
    // Shorter than what is here, too: 416.
    for length in [10_000, 40_000, 60_000] {
        let node = Node::new();
        let (server, offer) = begun(&node).await;
        server.offered().compares = false;
        comes_to_be(&node, &offer, &server, exchanged(length)).await;
    }
}

#[tokio::test]
async fn content_that_nothing_tells_from_another_is_fetched_anew() {
    let line =
        "Last-Modified: Mon, 23 Nov 2026 10:00:00 GMT\r\nDate: Mon, 23 Nov 2026 10:00:00 GMT";
    for validator in [None, Some("ETag: W/\"one\""), Some(line)] {
        let node = Node::new();
        let server = Server::of(bundle(50_000)).await;
        server.offered().validator = validator;
        server.offered().cut = 20_000;
        server.offered().answers = 2;
        let offer = offer(&server.url());
        node.fetched(&offer).await.expect_err("it is cut off");
        (server.offered().cut, server.offered().answers) = (usize::MAX, usize::MAX);
        comes_to_be(&node, &offer, &server, exchanged(50_000)).await;
    }
}

#[tokio::test]
async fn a_server_that_serves_no_ranges_is_downloaded_from_and_what_is_here_is_kept() {
    let (node, body) = (Node::new(), bundle(50_000));
    let server = Server::of(body.clone()).await;
    (server.offered().serves_ranges, server.offered().cut) = (false, 30_000);
    server.offered().answers = 1;
    let offer = offer(&server.url());
    node.fetched(&offer).await.expect_err("it is cut off");
    // The second time it breaks even earlier.
    (server.offered().cut, server.offered().answers) = (10_000, 1);
    node.fetched(&offer).await.expect_err("it is cut off");
    assert_eq!(node.length(&offer), 30_000);
    (server.offered().cut, server.offered().answers) = (usize::MAX, usize::MAX);
    assert_eq!(node.fetched(&offer).await, Ok(()));
    assert!(node.bundle(&offer) == body);
    assert_eq!(server.sent(), [0..30_000, 0..10_000, 0..50_000]);
}

#[tokio::test]
async fn a_good_bundle_is_not_damaged_because_of_what_another_source_sent_of_it() {
    for validator in [None, Some("ETag: \"theirs\"")] {
        let (node, body) = (Node::new(), bundle(50_000));
        let (wrong, right) = (Server::of(exchanged(50_000)).await, Server::of(body.clone()).await);
        cut_off_after(&node, &named(&wrong.url(), &body), &wrong, 20_000).await;
        right.offered().validator = validator;
        let offer = named(&right.url(), &body);
        assert_eq!(node.fetched(&offer).await, Ok(()));
        assert!(node.bundle(&offer) == body, "two contents were joined");
        assert_eq!(right.sent(), [20_000..50_000, 0..4, 4..50_000]);
    }
}

#[tokio::test]
async fn what_is_joined_and_wrong_is_asked_for_once_more_and_then_it_is_damaged() {
    let (node, body) = (Node::new(), bundle(50_000));
    let wrong = Server::of(exchanged(50_000)).await;
    wrong.offered().validator = None;
    let failure = node.fetched(&named(&wrong.url(), &body)).await.expect_err("it is another");
    assert_eq!(failure.cause, Cause::Damaged, "{failure}");
    assert_eq!(wrong.sent(), [0..4, 4..50_000, 0..4, 4..50_000]);
    assert_eq!(node.files(), 0);
}

#[tokio::test]
async fn a_portals_page_costs_nothing_of_what_is_here() {
    let node = Node::new();
    let (server, offer) = begun(&node).await;
    let body = std::mem::replace(&mut server.offered().body, b"<html>Please log in".to_vec());
    (server.offered().serves_ranges, server.offered().validator) = (false, None);
    let failure = node.fetched(&offer).await.expect_err("it is no bundle");
    assert_eq!(failure.cause, Cause::Network, "{failure}");
    assert_eq!(node.length(&offer), 20_000);
    (server.offered().serves_ranges, server.offered().validator) = (true, Some("ETag: \"one\""));
    server.offered().sent.clear();
    comes_to_be(&node, &offer, &server, body).await;
    assert_eq!(server.only_sent(), 20_000..50_000);
}

#[tokio::test]
async fn a_portals_page_at_the_first_contact_is_the_network_and_the_bundle_is_asked_for_again() {
    let (node, body) = (Node::new(), bundle(50_000));
    let server = Server::of(b"<html>Please log in".to_vec()).await;
    (server.offered().serves_ranges, server.offered().validator) = (false, None);
    let offer = offer(&server.url());
    let failure = node.fetched(&offer).await.expect_err("it is no bundle");
    assert_eq!(failure.cause, Cause::Network, "{failure}");
    assert!(failure.evidence.ends_with("sent something else"), "{failure}");
    // Somebody logged in.
    (server.offered().serves_ranges, server.offered().validator) = (true, Some("ETag: \"one\""));
    comes_to_be(&node, &offer, &server, body).await;
}

#[tokio::test]
async fn what_a_server_that_serves_ranges_begins_with_otherwise_is_no_bundle() {
    let node = Node::new();
    let server = Server::of(b"<html>Not found, says 206".to_vec()).await;
    let failure = node.fetched(&offer(&server.url())).await.expect_err("it is no bundle");
    assert_eq!(failure.cause, Cause::Damaged, "{failure}");
}

#[tokio::test]
async fn a_server_that_changes_its_mind_each_time_is_the_network() {
    let node = Node::new();
    let mut answered = 0;
    let server = Loopback::plain(move |request| {
        answered += 1;
        let (range, length, bytes) = match request.to_ascii_lowercase().contains("bytes=0-3") {
            true => ("0-3", 4, "hsqs"),
            false => ("4-9", 6, "123456"),
        };
        let line = format!("Content-Range: bytes {range}/10\r\nETag: \"{answered}\"");
        let head = format!("HTTP/1.1 206 X\r\n{line}\r\nContent-Length: {length}");
        Reply::Bytes(format!("{head}\r\n\r\n{bytes}"))
    });
    let server = server.await;
    let failure = node.fetched(&offer(&server.url("/"))).await.expect_err("none is whole");
    assert_eq!(failure.cause, Cause::Network);
    assert!(failure.evidence.contains("keeps changing it"), "{failure}");
    // The look and what goes on, twice each; and after each of the pauses again.
    let asked = server.requests().len();
    assert!((4..50).contains(&asked), "it was asked {asked} times");
}

#[tokio::test]
async fn a_server_that_does_not_say_how_long_it_is_or_sends_more_is_not_believed() {
    let node = Node::new();
    let silent = Loopback::saying("HTTP/1.1 206 X\r\nContent-Length: 4\r\n\r\nhsqs").await;
    let failure = node.fetched(&offer(&silent.url("/"))).await.expect_err("nobody knows");
    assert_eq!(failure.cause, Cause::Network);
    assert!(failure.evidence.ends_with("does not say how long the bundle is"), "{failure}");
    let lavish = Loopback::plain(|request| {
        let (range, bytes) = match request.to_ascii_lowercase().contains("bytes=0-3") {
            true => ("0-3", "hsqs"),
            false => ("4-9", "123456789"),
        };
        let length = bytes.len();
        let line = format!("Content-Range: bytes {range}/10\r\nETag: \"1\"");
        let head = format!("HTTP/1.1 206 X\r\n{line}\r\nContent-Length: {length}");
        Reply::Bytes(format!("{head}\r\n\r\n{bytes}"))
    });
    let lavish = lavish.await;
    let offer = offer(&lavish.url("/"));
    let failure = node.fetched(&offer).await.expect_err("it is too long");
    assert_eq!(failure.cause, Cause::Network);
    assert_eq!(node.length(&offer), 4);
}
