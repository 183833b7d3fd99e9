use super::*;

/// What lies in the folder of the downloads.
fn downloaded(node: &Node) -> usize {
    let folder = node.life.data.join("downloads");
    std::fs::read_dir(folder).map_or(0, Iterator::count)
}

/// As if so much of this offer had been downloaded before the agent was cut off.
fn begin_download(node: &Node, source: &str) {
    let source = source.try_into().expect("short");
    let offer = Offer { source, at: At::Now, content: None, set: None };
    let mut partial = node.life.downloads.clone().leaving(0).open(&offer).expect("writable");
    partial.comes_from(&offer.source, None, 9).expect("writable");
}

#[tokio::test]
async fn a_download_is_kept_as_long_as_the_saved_state_needs_it_and_no_longer() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = config(&folder);
        config.fetch.way = Way::Download;
        let mut node = node(&folder, &config);
        settled(&mut node);
        begin_download(&node, "http://a/old.raucb");
        assert_eq!(answer(&mut node.life, update("http://a/2.raucb")), Response::Accepted);
        assert_eq!(downloaded(&node), 0, "nobody needs another one's");
        begin_download(&node, "http://a/2.raucb");
        let network = || Err(Failure::new(Cause::Network, format_args!("cut off")));
        node.life.turn(Event::Fetched(network())).expect("it is saved");
        assert_eq!(node.life.machine.node().update.name(), "fetching");
        assert_eq!(downloaded(&node), 2, "the next attempt goes on with it");
        node.life.turn(Event::Fetched(Ok(()))).expect("it is saved");
        assert_eq!(downloaded(&node), 2, "RAUC reads it");
        let unsigned = Failure::new(Cause::Signature, format_args!("nobody"));
        node.life.turn(Event::Verified(Err(unsigned))).expect("it is saved");
        assert_eq!((node.life.machine.node().update.name(), downloaded(&node)), ("idle", 0));
    })
    .await;
}

#[tokio::test]
async fn a_download_that_the_network_ended_waits_for_the_next_order() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = config(&folder);
        (config.fetch.way, config.limits.fetch_attempts) = (Way::Download, 1);
        let mut node = node(&folder, &config);
        settled(&mut node);
        let content = Some(sha256(b"2"));
        let order = |source: &str| Request::Update {
            source: source.into(),
            at: At::Now,
            content,
            set: None,
        };
        assert_eq!(answer(&mut node.life, order("http://a/2.raucb")), Response::Accepted);
        let source = "http://a/2.raucb".try_into().expect("short");
        let offer = Offer { source, at: At::Now, content, set: None };
        let mut partial = node.life.downloads.clone().leaving(0).open(&offer).expect("writable");
        partial.comes_from(&offer.source, None, 9).expect("writable");
        let network = Failure::new(Cause::Network, format_args!("cut off"));
        node.life.turn(Event::Fetched(Err(network))).expect("it is saved");
        assert_eq!((node.life.machine.node().update.name(), downloaded(&node)), ("idle", 2));
        assert_eq!(answer(&mut node.life, order("http://b/2.raucb")), Response::Accepted);
        assert_eq!(downloaded(&node), 2, "it is of the same content");
    })
    .await;
}

#[tokio::test]
async fn a_download_outlasts_a_power_cut_and_an_update_that_is_taken_back_frees_its_room() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = config(&folder);
        config.fetch.way = Way::Download;
        let mut node = node(&folder, &config);
        settled(&mut node);
        assert_eq!(answer(&mut node.life, update("http://a/2.raucb")), Response::Accepted);
        begin_download(&node, "http://a/2.raucb");
        let Event::Booted(boot) = started() else { panic!("the first event") };
        node.life.turn(Event::Booted(Boot { id: [2; 16], ..boot })).expect("it is saved");
        assert_eq!((node.life.machine.node().update.name(), downloaded(&node)), ("committing", 2));
        assert_eq!(answer(&mut node.life, Request::Cancel), Response::Accepted);
        assert_eq!(downloaded(&node), 0);
    })
    .await;
}

#[tokio::test]
async fn a_node_that_streams_keeps_no_download() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mut node = node(&folder, &config(&folder));
        settled(&mut node);
        begin_download(&node, "http://a/2.raucb");
        assert_eq!(answer(&mut node.life, update("http://a/2.raucb")), Response::Accepted);
        assert_eq!(downloaded(&node), 0);
    })
    .await;
}

#[tokio::test]
async fn while_the_ledger_is_in_memory_no_download_is_removed() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let config = config(&folder);
        let holder = LedgerFile::open(&config.paths.data, &config.paths.run).expect("a ledger");
        let node = node(&folder, &config);
        assert_eq!(node.life.ledger.kept(), Kept::Memory);
        begin_download(&node, "http://a/2.raucb");
        node.life.clear_downloads();
        assert_eq!(downloaded(&node), 2);
        drop(holder);
    })
    .await;
}

#[tokio::test]
async fn a_download_that_is_taken_back_is_left_and_frees_its_room() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = config(&folder);
        config.fetch.way = Way::Download;
        let mut node = node(&folder, &config);
        settled(&mut node);
        assert_eq!(answer(&mut node.life, update("http://a/2.raucb")), Response::Accepted);
        begin_download(&node, "http://a/2.raucb");
        assert!(matches!(node.fetches.try_recv(), Ok(Order::Begin(_))));
        assert_eq!(answer(&mut node.life, Request::Cancel), Response::Accepted);
        assert_eq!((node.life.machine.node().update.name(), downloaded(&node)), ("idle", 0));
        assert_eq!(node.fetches.try_recv(), Ok(Order::Leave), "nothing is heard of it any more");
        assert_eq!(answer(&mut node.life, update("http://a/3.raucb")), Response::Accepted);
        assert!(matches!(node.fetches.try_recv(), Ok(Order::Begin(it)) if it.attempt == 1));
    })
    .await;
}

#[tokio::test]
async fn what_a_download_still_wrote_when_it_was_taken_back_goes_with_the_next_tick() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let mut config = config(&folder);
        config.fetch.way = Way::Download;
        let mut node = node(&folder, &config);
        settled(&mut node);
        assert_eq!(answer(&mut node.life, update("http://a/2.raucb")), Response::Accepted);
        assert_eq!(answer(&mut node.life, Request::Cancel), Response::Accepted);
        begin_download(&node, "http://a/2.raucb");
        assert!(node.life.ticked().expect("a turn").is_continue());
        assert_eq!(downloaded(&node), 0);
        // One that is under way is let alone.
        assert_eq!(answer(&mut node.life, update("http://a/3.raucb")), Response::Accepted);
        begin_download(&node, "http://a/2.raucb");
        assert!(node.life.ticked().expect("a turn").is_continue());
        assert_eq!(downloaded(&node), 2);
    })
    .await;
}

#[tokio::test]
async fn a_digest_that_nobody_would_hold_the_bundle_against_is_refused() {
    within(async {
        let content = Some(sha256(b"2"));
        let order = |source: &str| Request::Update {
            source: source.into(),
            at: At::Now,
            content,
            set: None,
        };
        for (way, source, taken) in [
            (Way::Stream, "http://a/2.raucb", false),
            (Way::Stream, "/usb/2.raucb", true),
            (Way::Download, "http://a/2.raucb", true),
        ] {
            let folder = tempfile::tempdir().expect("a folder");
            let mut config = config(&folder);
            config.fetch.way = way;
            let mut node = node(&folder, &config);
            settled(&mut node);
            let answer = answer(&mut node.life, order(source));
            assert_eq!(answer == Response::Accepted, taken, "{way:?} {source}: {answer:?}");
            assert_eq!(node.life.machine.node().update.name() == "fetching", taken);
            if let Response::Refused { because } = answer {
                assert!(because.contains("cannot be held against --sha256"), "{because}");
            }
        }
    })
    .await;
}
