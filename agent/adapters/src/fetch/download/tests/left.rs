//! A download that somebody takes back.

use super::*;
use crate::fetch::writer::Disk;
use std::sync::mpsc;

#[tokio::test]
async fn a_write_that_nobody_waits_for_any_more_ends_before_the_next_one_begins() {
    let (disk, (told, tells)) = (Disk::default(), mpsc::channel());
    let ((begun, begins), (go, goes)) = (tokio::sync::oneshot::channel(), mpsc::channel::<()>());
    let first = told.clone();
    let left = disk.run(move || {
        begun.send(()).expect("it is waited for");
        goes.recv().expect("the test says so");
        first.send("the first").expect("the test listens");
    });
    tokio::select! {
        () = left => panic!("it waits for a word"),
        begun = begins => begun.expect("it begins"),
    }
    let next = disk.run(move || told.send("the next").expect("the test listens"));
    tokio::pin!(next);
    let early = std::future::poll_fn(|context| std::task::Poll::Ready(next.as_mut().poll(context)));
    assert!(early.await.is_pending());
    go.send(()).expect("it waits for it");
    next.await;
    assert_eq!(tells.iter().collect::<Vec<_>>(), ["the first", "the next"]);
}

#[tokio::test]
async fn a_download_that_is_left_tells_no_progress_and_the_next_order_is_carried_out() {
    let (node, body) = (Node::new(), bundle(3 << 20));
    let server = Server::of(body.clone()).await;
    server.offered().stalls = 2 << 20;
    let offer = offer(&server.url());
    let (mut port, mut told) = (node.port(BOOT), node.told.clone());
    let fetch = || Fetch { offer: offer.clone(), attempt: 1 };
    let far = |told: &Progress| told.as_ref().is_some_and(|(percent, _)| *percent > 50);
    tokio::select! {
        event = port.perform(fetch()) => panic!("{event:?}"),
        // What is borrowed is given back before the download is left.
        () = async { drop(told.wait_for(far).await.expect("it is told")) } => {}
    }
    assert_eq!(*node.told.borrow(), None);
    server.offered().stalls = usize::MAX;
    assert_eq!(port.perform(fetch()).await, Event::Fetched(Ok(())));
    assert_eq!(node.bundle(&offer), body);
}
