//! What the agent downloaded, a real RAUC takes.
//!
//! ```text
//! a server that breaks off ──▶ FetchPort ──▶ downloads/KEY.raucb ──▶ rauc service: inspect, install
//! ```

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    ops::Range,
    path::{Path, PathBuf},
    sync::{Arc, Mutex},
    thread,
};

use rauc_bindings::InspectArgs;
use steadfast_adapters::{
    downloads::Downloads,
    fetch::{Backoff, Fetch, FetchPort, LIMITS},
    http::Client,
    ledger_file::sha256,
};
use steadfast_core::{At, Event, Offer, Port};

use super::rauc_host::{
    RaucHost,
    bundles::{Recipe, image},
    steps::{install, text},
};

/// After so many bytes each connection breaks.
const CUT: usize = 700_001;

/// Which bytes a server sent.
type Sent = Arc<Mutex<Vec<Range<usize>>>>;

/// A server of these bytes whose connections break.
fn breaking(body: Vec<u8>) -> (String, Sent) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let sent = Sent::default();
    let counted = Arc::clone(&sent);
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // A client that hangs up has seen enough.
            if let Ok(range) = answer(stream, &body) {
                counted.lock().expect("nobody panics with it").push(range);
            }
        }
    });
    (format!("http://{address}/release.raucb"), sent)
}

fn answer(mut stream: TcpStream, body: &[u8]) -> std::io::Result<Range<usize>> {
    let mut wanted = 0..body.len();
    for line in BufReader::new(stream.try_clone()?).lines() {
        let line = line?.to_ascii_lowercase();
        if let Some((first, last)) =
            line.strip_prefix("range: bytes=").and_then(|range| range.split_once('-'))
        {
            let end = last.parse().map_or(body.len(), |last: usize| last + 1);
            wanted = first.parse().expect("our own client asks by numbers")..end;
        }
        if line.is_empty() {
            break;
        }
    }
    let (first, last, length) = (wanted.start, wanted.end - 1, wanted.len());
    write!(
        stream,
        "HTTP/1.1 206 Partial Content\r\nETag: \"1\"\r\nContent-Length: {length}\r\n\
         Content-Range: bytes {first}-{last}/{}\r\n\r\n",
        body.len()
    )?;
    let sent = first..first + length.min(CUT);
    stream.write_all(&body[sent.clone()])?;
    Ok(sent)
}

/// Downloads what a server offers; where it is then.
async fn downloaded(data: &Path, offer: Offer) -> PathBuf {
    let boot = [1; 16];
    let downloads = Downloads::new(data, boot);
    let place = downloads.place(&offer).expect("a URL");
    let backoff = Backoff { base: std::time::Duration::ZERO, ..Backoff::new(boot) };
    let (progress, _told) = tokio::sync::watch::channel(None);
    let port = FetchPort::new(Client::default(), LIMITS, backoff);
    let mut port = port.downloading(downloads, progress);
    let event = port.perform(Fetch { offer, attempt: 1 }).await;
    assert_eq!(event, Event::Fetched(Ok(())));
    place
}

#[tokio::test]
async fn a_bundle_that_came_over_a_link_that_breaks_is_installed_from_the_disk() {
    let host = RaucHost::start().await;
    let recipe = Recipe { image: image(3), ..Recipe::default() };
    let body = std::fs::read(host.bundle("good", &recipe)).expect("an own file");
    let (url, sent) = breaking(body.clone());
    let source = url.as_str().try_into().expect("a short URL");
    let offer = Offer { source, at: At::Now, content: Some(sha256(&body)), set: None };
    let place = downloaded(&host.path("node"), offer).await;
    let sent = sent.lock().expect("nobody panics with it").clone();
    assert!(sent.len() > body.len() / CUT, "{sent:?}");
    assert_eq!(sent.iter().map(ExactSizeIterator::len).sum::<usize>(), body.len(), "{sent:?}");

    let info = host.installer.inspect(text(&place), InspectArgs::default()).await;
    assert_eq!(info.expect("its signature holds").version.as_deref(), Some("1.2.3"));
    install(&host.installer, text(&place)).await.1.expect("RAUC takes it");
    assert_eq!(host.read("slots/B")[..recipe.image.len()], recipe.image);
}
