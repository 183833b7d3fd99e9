//! The promises of the specification, by the texts of manifests.

mod examples;
mod limits;
mod program;
mod rights;
mod users;
mod view;

use super::*;
use crate::manifest::{Policy, Privileged, Set, Source};
use crate::pod_files::{Cgroups, Device, DeviceKind, Swap};
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

const GIB: u64 = 1 << 30;

/// What a node gives, changed by a test where it matters.
struct Node {
    facts: Facts,
    paths: PodPaths,
    accounts: Accounts,
}

impl Node {
    /// A node on which each volume of the pod lies in a folder of its name.
    fn of(pod: &Pod) -> Node {
        let ip = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
        let path = |folder: &str, name: &str| PathBuf::from(folder).join(name);
        let volumes = pod.volumes.iter().map(|it| {
            (it.name.clone(), VolumePath { path: path("/volumes", &it.name), device: None })
        });
        let names = || pod.containers.iter().map(|it| it.name.clone());
        let paths = PodPaths {
            volumes: volumes.collect(),
            messages: names().map(|name| (name.clone(), path("/messages", &name))).collect(),
            logs: names().map(|name| (name.clone(), path("/logs", &name))).collect(),
            etc: ["hostname", "hosts", "resolv.conf"]
                .map(|name| (path("/node/etc", name), path("/etc", name)))
                .to_vec(),
            devices: Vec::new(),
            cgroups: Cgroups { version: Version::V2, swap: Swap::Counted },
        };
        let facts = Facts { node_name: "press-07".to_owned(), host_ip: ip, pod_ip: ip };
        let accounts = Accounts {
            passwd: "root:x:0:0:root:/root:/bin/sh\n\n# no line\nweb:x:33:34::/srv:/bin/false\n"
                .to_owned(),
            group: "root:x:0:\nwww:x:34:\nplug:x:46:root,web\nweb:x:99:web\nvideo:x:44:web"
                .to_owned(),
        };
        Node { facts, paths, accounts }
    }

    fn spec(&self, pod: &Pod, container: usize, image: &ImageConfig) -> Result<Value, SpecError> {
        let Node { facts, paths, accounts } = self;
        spec(
            pod,
            &pod.containers[container],
            image,
            &Given { facts, paths, accounts, memory: 4 * GIB },
        )
    }
}

fn policy() -> Policy {
    Policy {
        host_paths: vec![PathBuf::from("/data"), PathBuf::from("/dev")],
        privileged: Privileged::Allowed,
        ..Policy::default()
    }
}

/// A pod with one container, with these further fields of its spec and of the container.
fn pod(spec: &str, container: &str) -> Pod {
    let indented = |text: &str, by: usize| -> String {
        text.lines().map(|line| format!("{}{line}\n", " ".repeat(by))).collect()
    };
    let text = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: web}}\nspec:\n{}  containers:\n  - name: c\n    image: i:1\n{}",
        indented(spec, 2),
        indented(container, 4)
    );
    let set = Set::read(&[Source { name: "a", text: text.as_bytes() }], &policy());
    set.unwrap_or_else(|refused| panic!("{refused}\n{text}")).pods.remove(0)
}

/// An image that runs something.
fn image() -> ImageConfig {
    ImageConfig { entrypoint: words(&["/run"]), ..ImageConfig::default() }
}

fn words(words: &[&str]) -> Option<Vec<String>> {
    Some(words.iter().map(|word| (*word).to_owned()).collect())
}

fn made(pod: &Pod, image: &ImageConfig) -> Value {
    Node::of(pod).spec(pod, 0, image).expect("it can be started")
}

/// The specification of a container with these fields.
fn container(fields: &str) -> Value {
    made(&pod("", fields), &image())
}

fn strings(value: &Value) -> Vec<&str> {
    let all = value.as_array().unwrap_or_else(|| panic!("{value} is no list"));
    all.iter().map(|it| it.as_str().expect("text")).collect()
}
