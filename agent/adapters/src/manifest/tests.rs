//! The promises of the manifests, by their texts.

mod ask;
mod examples;
mod fields;
mod limits;
mod refused;
mod set;
mod values;
mod variables;
mod volumes;

use super::*;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use steadfast_core::pod::{RestartPolicy, Role};

/// A policy that lets pods have something of everything.
pub(super) fn policy() -> Policy {
    Policy {
        host_paths: ["/data", "/dev/video0", "/run/display"].map(Into::into).to_vec(),
        capabilities: vec!["SYS_NICE".to_owned()],
        ..Policy::default()
    }
}

fn read(text: &str) -> Result<Set, Refused> {
    Set::read(&[Source { name: "set.yaml", text: text.as_bytes() }], &policy())
}

/// The pods of this text.
fn pods(text: &str) -> Vec<Pod> {
    read(text).unwrap_or_else(|refused| panic!("{refused}\n{text}")).pods
}

/// Why this text is not taken, a line for each refusal, without the name of the file.
fn refused(text: &str) -> Vec<String> {
    match read(text) {
        Ok(_) => Vec::new(),
        Err(Refused { refusals, more }) => {
            assert_eq!(more, 0);
            let lines = refusals.iter().map(|refusal| refusal.to_string());
            lines.map(|line| line.trim_start_matches("set.yaml, ").to_owned()).collect()
        }
    }
}

fn indented(text: &str, by: usize) -> String {
    let indent = " ".repeat(by);
    text.lines().map(|line| format!("{indent}{line}\n")).collect()
}

/// A pod with these further fields in its spec, which begin in line 8.
fn with_spec(fields: &str) -> String {
    let fields = indented(fields, 2);
    format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: a, labels: {{app: web}}}}\n\
         spec:\n  containers:\n  - name: c\n    image: i:1\n{fields}"
    )
}

/// A pod whose container has these further fields, which begin in line 8.
fn with_container(fields: &str) -> String {
    with_spec(&indented(fields, 2))
}

/// The pod with these further fields in its spec.
fn pod(spec: &str) -> Pod {
    pods(&with_spec(spec)).remove(0)
}

/// The container with these further fields.
fn container(fields: &str) -> Container {
    pods(&with_container(fields)).remove(0).containers.remove(0)
}

/// A ConfigMap and a Secret, both with the name `conf`, as documents to put before a pod: fifteen lines.
const CONF: &str = "\
apiVersion: v1
kind: ConfigMap
metadata: {name: conf}
data: {level: debug, file: \"one\\n\", EMPTY: ''}
binaryData: {raw: /w==}
---
apiVersion: v1
kind: Secret
metadata: {name: conf}
data:
  password: Z2VoZWlt
  key: /w==
stringData:
  user: press
---
";

fn facts() -> Facts {
    let ip = |last| IpAddr::V4(Ipv4Addr::new(10, 0, 0, last));
    Facts { node_name: "press-07".to_owned(), host_ip: ip(1), pod_ip: ip(2) }
}

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const C: &str = "line 8, spec.containers[0].";
const S: &str = "line 8, spec.";

/// Each of these fields is refused with exactly this and nothing else; `text` makes a whole set of them.
fn all(text: impl Fn(&str) -> String, place: &str, cases: &[(&str, &str)]) {
    for (fields, because) in cases {
        assert_eq!(refused(&text(fields)), [format!("{place}{because}")], "{fields}");
    }
}

/// The fields of a container.
fn of_a_container(cases: &[(&str, &str)]) {
    all(with_container, C, cases);
}

/// The fields of a pod's spec.
fn of_a_spec(cases: &[(&str, &str)]) {
    all(with_spec, S, cases);
}
