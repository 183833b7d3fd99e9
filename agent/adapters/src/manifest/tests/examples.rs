use super::*;
use std::path::PathBuf;

/// The manifests of `tests/pods`.
fn examples() -> Vec<(String, String)> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/pods");
    let entries = std::fs::read_dir(folder).expect("the folder is kept");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    let mut files: Vec<_> = paths
        .map(|path| {
            let text = std::fs::read_to_string(&path).expect("it is text");
            (path.file_name().expect("a file").to_string_lossy().into_owned(), text)
        })
        .collect();
    files.sort();
    files
}

#[test]
fn the_examples_are_taken_together() {
    let examples = examples();
    let source = |(name, text): &'static (String, String)| Source { name, text: text.as_bytes() };
    let examples: &'static [_] = examples.leak();
    let sources: Vec<_> = examples.iter().map(source).collect();
    let set = Set::read(&sources, &policy()).unwrap_or_else(|refused| panic!("{refused}"));
    let names: Vec<_> = set.pods.iter().map(|pod| pod.name.as_str()).collect();
    assert_eq!(names, ["kiosk", "mqtt-bridge", "opc-ua-gateway", "vision"]);
    let launch =
        |pod: usize, at: usize| set.pods[pod].containers[at].launch(&facts()).expect("it is short");
    assert_eq!(launch(0, 0).args, ["--kiosk", "http://127.0.0.1:8080/", "--price=5$"]);
    assert_eq!(launch(1, 0).environment["CLIENT_ID"], "bridge-press-07");
    assert_eq!(launch(2, 1).environment["OPC_SERVERS"], "opc.tcp://10.1.0.20:4840");
    assert_eq!(launch(3, 1).args[2], "--node=10.0.0.1");
}

/// Whatever this is, it is taken, or refused in a line of it.
fn judged(text: &[u8]) {
    let Err(Refused { refusals, .. }) = Set::read(&[Source { name: "a", text }], &policy()) else {
        return;
    };
    assert!(!refusals.is_empty());
    let lines = 1 + text.iter().filter(|byte| **byte == b'\n').count();
    for refusal in refusals {
        assert!((1..=lines).contains(&refusal.line), "{refusal}");
        assert!(!refusal.to_string().contains(char::is_control), "{refusal:?}");
    }
}

#[test]
fn every_beginning_of_an_example_is_taken_or_refused() {
    for (_, text) in examples() {
        (0..text.len()).step_by(3).for_each(|end| judged(&text.as_bytes()[..end]));
    }
}

#[test]
fn an_example_with_one_wrong_byte_is_taken_or_refused() {
    let wrong = *b"[]{}:,-?&*!|>'\"%@`#\n\t \0\x80~0";
    for (number, (_, text)) in examples().iter().enumerate() {
        for at in (number..text.len()).step_by(2) {
            let mut bytes = text.clone().into_bytes();
            bytes[at] = wrong[(at / 2) % wrong.len()];
            judged(&bytes);
        }
    }
}
