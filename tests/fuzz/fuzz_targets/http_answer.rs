//! What a server answers: no more of it is kept than was asked for, and a redirect leads to a URL that can be asked.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::sync::LazyLock;
use std::time::Duration;
use steadfast_adapters::http::{Answer, Limits, Part, Url, ask};
use steadfast_fuzz::{limited, parts};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::runtime::{Builder, Runtime};

/// The most that an answer's head may take (`http::HEAD`).
const HEAD: usize = 16 * 1024;

const LIMITS: Limits = Limits { connect: Duration::from_secs(20), answer: Duration::from_secs(20) };

fuzz_target!(|data: &[u8]| limited(data, judge));

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    let mut runtime = Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().expect("a runtime")
});

fn judge(data: &[u8]) {
    let Some((count, rest)) = data.split_first() else { return };
    let [text, answer] = parts(rest);
    let text = String::from_utf8_lossy(text);
    let url = Url::parse(&text).or_else(|_| Url::parse("http://server:8080/releases/1.raucb?x"));
    let url = url.expect("the second one is a URL");
    let part = match count {
        0 => Part::Whole,
        count => Part::First(usize::from(*count)),
    };
    let Some(answer) = RUNTIME.block_on(asked(&url, part.clone(), answer)) else { return };
    let wanted = if answer.status == 206 { usize::from(*count) } else { 0 };
    assert!((100..1000).contains(&answer.status) && answer.first.len() <= wanted);
    if let Some(location) = &answer.location {
        assert!(location.len() <= 3 * HEAD);
        if let Ok(next) = url.join(location) {
            RUNTIME.block_on(asked(&next, part, b""));
        }
    }
}

/// The answer of a server that says this and goes.
async fn asked(url: &Url, part: Part, says: &[u8]) -> Option<Answer> {
    let (node, server) = tokio::io::duplex(1 << 16);
    let (mut hears, mut speaks) = tokio::io::split(server);
    let serve = async {
        let mut request = Vec::new();
        // An answer before the question is none to hyper.
        while !request.ends_with(b"\r\n\r\n") {
            if hears.read_buf(&mut request).await.map_or(true, |count| count == 0) {
                break;
            }
        }
        // The node may have gone before all was said.
        let _ = speaks.write_all(says).await;
        let _ = speaks.shutdown().await;
        let _ = hears.read_to_end(&mut request).await;
        request
    };
    let (request, answer) = tokio::join!(serve, ask(Box::new(node), url, part, LIMITS));
    let request = String::from_utf8(request).expect("a request is text");
    if let Some(head) = request.split("\r\n").next().filter(|_| !request.is_empty()) {
        assert_eq!(head, format!("GET {} HTTP/1.1", url.target()));
        assert_eq!(request.matches("\r\n\r\n").count(), 1, "{request:?}");
    }
    answer.ok()
}
