//! RAUC's error texts: they are kept as they came, and the bundle's own name decides nothing.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rauc_bindings::{BundleFailure, FailureKind, NetworkFault, Sha256};
use steadfast_core::{Cause, Digest, Failure};
use steadfast_fuzz::{limited, parts};

/// Two places of a bundle on the node, in whose names no rule finds a word.
const PLACES: [&str; 2] = ["/data/1.raucb", "/run/media/zz/00.raucb"];

fuzz_target!(|data: &[u8]| limited(data, judge));

fn judge(data: &[u8]) {
    let [source, text] = parts(data).map(String::from_utf8_lossy);
    let read = BundleFailure::read(&source, text.to_string());
    assert_eq!(read.text, text);
    let remote = source.starts_with("http://") || source.starts_with("https://");
    if read.kind == FailureKind::Network(NetworkFault::Lost) && !remote {
        assert!(text.contains("remote server"), "a file is not lost in the network: {text:?}");
    }
    let kinds = PLACES.map(|place| BundleFailure::read(place, text.replace('\u{1}', place)).kind);
    assert_eq!(kinds[0], kinds[1]);
    let failure = Failure::new(Cause::Installer, format_args!("{read}"));
    assert!(failure.evidence.len() <= 160 && !failure.evidence.contains(char::is_control));
    digest(&source);
}

/// Both readers of a digest take the same texts for the same digest.
fn digest(text: &str) {
    let rauc = text.parse::<Sha256>().ok();
    let core = Digest::from_hex(text);
    assert_eq!(rauc.map(|it| *it.as_bytes()), core.map(|it| it.0));
    if let Some(digest) = core {
        assert_eq!(digest.to_string(), text.to_ascii_lowercase());
    }
}
