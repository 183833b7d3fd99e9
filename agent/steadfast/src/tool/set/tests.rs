use super::*;
use crate::tool::fake::told;
use crate::tool::output::Style;
use expect_test::expect;
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use steadfast_adapters::ledger_file::sha256;
use steadfast_adapters::workload_set::Given;
use steadfast_core::Version;

/// A tar archive (POSIX ustar) of these files.
fn tar(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut tar = Vec::new();
    for (name, bytes) in files {
        let mut header = [0; 512];
        header[..name.len()].copy_from_slice(name.as_bytes());
        header[124..135].copy_from_slice(format!("{:011o}", bytes.len()).as_bytes());
        header[148..156].fill(b' ');
        header[156] = b'0';
        header[257..265].copy_from_slice(b"ustar\x0000");
        let sum: u32 = header.iter().map(|byte| u32::from(*byte)).sum();
        header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        tar.extend(header);
        tar.extend(bytes);
        tar.resize(tar.len().next_multiple_of(512), 0);
    }
    tar.resize(tar.len() + 1024, 0);
    tar
}

fn part(files: &mut Vec<(String, Vec<u8>)>, kind: &str, bytes: Vec<u8>) -> Value {
    let digest = sha256(&bytes);
    let kind = format!("application/vnd.oci.image.{kind}");
    let part =
        json!({ "mediaType": kind, "digest": format!("sha256:{digest}"), "size": bytes.len() });
    files.push((format!("blobs/sha256/{digest}"), bytes));
    part
}

/// An OCI layout with one image.
fn archive() -> Vec<u8> {
    let mut files = Vec::new();
    let layer = part(&mut files, "layer.v1.tar", vec![7; 1500]);
    let config = json!({
        "architecture": "arm64", "os": "linux", "rootfs": { "diff_ids": [layer["digest"]] }
    });
    let config = part(&mut files, "config.v1+json", config.to_string().into());
    let manifest = json!({ "schemaVersion": 2, "config": config, "layers": [layer] });
    let manifest = part(&mut files, "manifest.v1+json", manifest.to_string().into());
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    files.push(("index.json".into(), index.to_string().into()));
    files.push(("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec()));
    tar(&files)
}

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: bridge}
spec:
  containers:
  - {name: main, image: press/bridge:1.8.2}
  - {name: log, image: press/bridge:1.8.2}
";

/// The key of RFC 8410, section 10.3.
const PRIVATE: &str = "\
-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC
-----END PRIVATE KEY-----
";
const PUBLIC: &str = "\
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=
-----END PUBLIC KEY-----
";
const STRANGER: &str = "\
-----BEGIN PUBLIC KEY-----
MCowBQYDK2VwAyEA11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=
-----END PUBLIC KEY-----
";

struct Desk(tempfile::TempDir);

impl Desk {
    fn new() -> Desk {
        let desk = Desk(tempfile::tempdir().expect("a folder"));
        fs::create_dir(desk.path("pods")).expect("writable");
        for (name, text) in [
            ("pods/bridge.yaml", POD),
            ("key.pem", PRIVATE),
            ("keyring.pem", PUBLIC),
            ("stranger.pem", STRANGER),
        ] {
            fs::write(desk.path(name), text).expect("writable");
        }
        fs::write(desk.path("bridge.tar"), archive()).expect("writable");
        desk
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// What is said on both streams, without the folder that it happened in.
    fn run(&self, command: SetCommand) -> (String, String) {
        let (out, error) = told(Style::PLAIN, |console| run(&command, console));
        let folder = format!("{}/", self.0.path().display());
        (out.replace(&folder, ""), error.replace(&folder, ""))
    }

    fn build(&self, references: &[&str]) -> (String, String) {
        let given = |reference: &&str| Given {
            reference: (*reference).to_owned(),
            archive: self.path("bridge.tar"),
        };
        self.run(SetCommand::Build(BuildArgs {
            manifests: self.path("pods"),
            output: self.path("press.tar"),
            generation: 7,
            minimum_os: Version::new("2.4.0"),
            images: references.iter().map(given).collect(),
            arch: "arm64".into(),
            json: false,
        }))
    }

    fn sign(&self) -> (String, String) {
        let (set, key) = (self.path("press.tar"), self.path("key.pem"));
        self.run(SetCommand::Sign(SignArgs { set, key, json: false }))
    }

    fn inspect(&self, keyring: Option<&str>, form: &str) -> (String, String) {
        let keyring = keyring.map(|name| self.path(name));
        let (set, json) = (self.path("press.tar"), form == "json");
        self.run(SetCommand::Inspect(InspectArgs { set, keyring, arch: None, json }))
    }
}

#[test]
fn a_set_that_was_made_is_shown_with_what_comes_next() {
    let (out, error) = Desk::new().build(&["press/bridge:1.8.2", "other:1"]);
    assert_eq!(error, "");
    expect![[r#"
        set      press.tar, generation 7
        digest   sha256:29c22d2c95e7ad53c235c7d6ce3c05572c44e57af4daea00135b5690f67ab521
        system   needs 2.4.0 or newer
        signed   by nobody
        images   other:1             d1cbdda25ed7  arm64  1.9 KiB
                 press/bridge:1.8.2  d1cbdda25ed7  arm64  1.9 KiB
        pods     bridge  main, log
        warning  no pod names the image other:1
        warning  nobody vouches for it: it is not signed
        next     steadfast set sign press.tar --key KEY.pem
    "#]]
    .assert_eq(&out);
}

#[test]
fn a_set_that_cannot_be_made_says_which_pod_wants_what() {
    let (out, error) = Desk::new().build(&[]);
    assert_eq!(out, "");
    expect![[r#"
        error    press.tar was not made
        because  pod bridge, spec.containers[0].image: the image press/bridge:1.8.2 is not in the set
        because  pod bridge, spec.containers[1].image: the image press/bridge:1.8.2 is not in the set
    "#]].assert_eq(&error);
}

#[test]
fn a_trusted_set_is_shown_on_one_screen() {
    let desk = Desk::new();
    desk.build(&["press/bridge:1.8.2"]);
    let (out, error) = desk.sign();
    assert_eq!(error, "");
    expect![[r#"
        set      press.tar, generation 7
        digest   sha256:61001f779e7a6b3b4c8c4ea3feebb40156f1208638d3cab34fc69703d81b574e
        system   needs 2.4.0 or newer
        signed   by key a1e9156054e0
        images   press/bridge:1.8.2  d1cbdda25ed7  arm64  1.9 KiB
        pods     bridge  main, log
        done     signed by key a1e9156054e0
    "#]]
    .assert_eq(&out);
    assert!(desk.sign().0.contains("nothing written: it was signed before by key"));
    let (out, error) = desk.inspect(Some("keyring.pem"), "lines");
    assert_eq!(error, "");
    expect![[r#"
        set      press.tar, generation 7
        digest   sha256:61001f779e7a6b3b4c8c4ea3feebb40156f1208638d3cab34fc69703d81b574e
        system   needs 2.4.0 or newer
        signed   by key a1e9156054e0, which is trusted
        images   press/bridge:1.8.2  d1cbdda25ed7  arm64  1.9 KiB
        pods     bridge  main, log
    "#]]
    .assert_eq(&out);
}

#[test]
fn without_a_keyring_it_is_said_that_nobody_vouches() {
    let desk = Desk::new();
    desk.build(&["press/bridge:1.8.2"]);
    let (out, _) = desk.inspect(None, "lines");
    assert!(out.contains("signed   by nobody\n"), "{out}");
    assert!(out.ends_with("warning  nobody vouches for it: it is not signed\n"), "{out}");
    desk.sign();
    let (out, _) = desk.inspect(None, "lines");
    assert!(out.contains(", not verified\n"), "{out}");
    assert!(out.ends_with("warning  nobody vouches for it: no keyring was given\n"), "{out}");
}

#[test]
fn a_set_of_a_stranger_is_refused() {
    let desk = Desk::new();
    desk.build(&["press/bridge:1.8.2"]);
    let (out, error) = desk.inspect(Some("stranger.pem"), "lines");
    assert_eq!(out, "");
    assert_eq!(error, "error    press.tar is refused\nbecause  nobody signed it\n");
    desk.sign();
    let (out, error) = desk.inspect(Some("stranger.pem"), "json");
    expect![[r#"
        {"because":["it is signed by key a1e9156054e04fac899ae9f275132cdc07a5dbc4ea2c2ad3a1ffc6e0d253681f and by no key that is trusted"],"taken":false}
        error    press.tar is refused
        because  it is signed by key a1e9156054e04fac899ae9f275132cdc07a5dbc4ea2c2ad3a1ffc6e0d253681f and by no key that is trusted
    "#]].assert_eq(&(out + &error));
}

#[test]
fn a_keyring_that_cannot_be_read_is_no_keyring_at_all() {
    let desk = Desk::new();
    desk.build(&["press/bridge:1.8.2"]);
    let (out, error) = desk.inspect(Some("key.pem"), "lines");
    assert_eq!(out, "");
    expect![[r#"
        error    press.tar was not looked at
        because  key.pem has a private key in it: a keyring has public keys only
    "#]]
    .assert_eq(&error);
}

#[test]
fn a_machine_is_told_the_same() {
    let desk = Desk::new();
    desk.build(&["press/bridge:1.8.2"]);
    desk.sign();
    let (out, _) = desk.inspect(Some("keyring.pem"), "json");
    let shown: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(shown["taken"], true);
    assert_eq!(shown["generation"], 7);
    assert_eq!(shown["minimum_os"], "2.4.0");
    assert_eq!(shown["signatures"][0]["standing"], "holds");
    assert_eq!(shown["images"][0]["reference"], "press/bridge:1.8.2");
    assert_eq!(shown["images"][0]["used"], 2);
    assert_eq!(shown["pods"], json!([{ "name": "bridge", "containers": ["main", "log"] }]));
    let (out, _) = desk.inspect(None, "json");
    let shown: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(shown["signatures"][0]["standing"], "not-verified");
}

#[test]
fn a_size_has_one_unit() {
    let sizes = [0, 1023, 1024, 1_048_575, 3_250_586, 5 << 30];
    let told = ["0 B", "1023 B", "1.0 KiB", "1023.9 KiB", "3.1 MiB", "5.0 GiB"];
    assert_eq!(sizes.map(size), told);
}
