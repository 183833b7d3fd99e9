//! URLs and redirects: one that is read holds only what a request may hold, and is read the same again.

#![no_main]

use libfuzzer_sys::fuzz_target;
use steadfast_adapters::http::Url;
use steadfast_fuzz::{limited, parts};

fuzz_target!(|data: &[u8]| limited(data, judge));

fn judge(data: &[u8]) {
    let [text, location] = parts(data).map(String::from_utf8_lossy);
    let Ok(url) = Url::parse(&text) else { return };
    whole(&url);
    if let Ok(next) = url.join(&location) {
        whole(&next);
        let other_place = location.contains("//");
        assert!(other_place || next.authority() == url.authority(), "{location:?} leads away");
        assert!(
            location.contains("://") || next.is_tls() == url.is_tls(),
            "{location:?} leaves TLS"
        );
    }
}

fn whole(url: &Url) {
    assert!(!url.host().is_empty() && url.port() != 0);
    assert!(url.target().starts_with('/'));
    let plain = |text: &str| !text.contains(|c: char| c == ' ' || c.is_ascii_control());
    assert!(plain(url.authority()) && plain(url.target()) && plain(url.host()), "{url:?}");
    assert!(!url.authority().contains(['@', '/', '?', '#']), "{url:?}");
    let scheme = if url.is_tls() { "https" } else { "http" };
    let written = format!("{scheme}://{}{}", url.authority(), url.target());
    assert_eq!(Url::parse(&written).as_ref(), Ok(url), "{written}");
}
