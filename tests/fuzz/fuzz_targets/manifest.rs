//! A set of Pod manifests: one that is refused says where, and one that is taken can be started as it is, within the
//! limits that it has on every node.

#![no_main]

use libfuzzer_sys::fuzz_target;
use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::LazyLock;
use steadfast_adapters::manifest::{
    Ask, Container, Facts, File, Pod, Policy, Privileged, Refused, Set, Source, Value, Variables,
    VolumeSource,
};
use steadfast_core::pod::{MAX_CONTAINERS, Role};
use steadfast_core::probe::Kind;
use steadfast_fuzz::{limited, line_is_in, parts};

/// The longest input, in bytes: what a set may come to of it is far from this crate's limit on memory.
const LONGEST: usize = 64 << 10;

/// What Linux takes as one argument or variable, less its zero byte (`MAX_ARG_STRLEN`).
const MAX_TEXT: usize = 128 * 1024 - 1;

/// What all arguments and variables of a container come to at most, in bytes.
const MAX_TEXTS: usize = 1 << 20;

/// How many files and variables a set comes to at most.
const MAX_RESOLVED: usize = 20_000;

/// A node that lets pods have everything.
static OPEN: LazyLock<Policy> = LazyLock::new(|| Policy {
    host_paths: vec!["/".into()],
    privileged: Privileged::Allowed,
    capabilities: ["ALL", "NET_ADMIN", "SYS_NICE"].map(str::to_owned).to_vec(),
    ..Policy::default()
});

/// A node that lets them have nothing.
static STRICT: LazyLock<Policy> = LazyLock::new(Policy::default);

fuzz_target!(|data: &[u8]| limited(data, judge));

fn judge(data: &[u8]) {
    if data.len() > LONGEST {
        return;
    }
    let texts: [&[u8]; 2] = parts(data);
    let strict = judged(texts, &STRICT);
    let open = judged(texts, &OPEN);
    if let Some(strict) = strict {
        strict.pods.iter().for_each(has_nothing_of_the_node);
        assert_eq!(open, Some(strict), "a policy that allows more changes nothing else");
    }
}

/// The set, if it is taken; if not, each refusal has a place in one of the texts.
fn judged(texts: [&[u8]; 2], policy: &Policy) -> Option<Set> {
    let files = [("a.yaml", texts[0]), ("b.yaml", texts[1])];
    match Set::read(&files.map(|(name, text)| Source { name, text }), policy) {
        Ok(set) => {
            holds(&set);
            Some(set)
        }
        Err(Refused { refusals, .. }) => {
            assert!((1..=Refused::MOST).contains(&refusals.len()));
            for refusal in refusals {
                let named = files.iter().find(|(name, _)| *name == refusal.file);
                let (_, text) = named.expect("the file is one of the set");
                assert!(line_is_in(text, refusal.line), "{refusal}");
                assert!(!refusal.because.is_empty());
                assert!(!refusal.to_string().contains(char::is_control), "{refusal:?}");
            }
            None
        }
    }
}

/// What whoever runs these pods relies on.
fn holds(set: &Set) {
    let mut resolved = 0;
    let (mut names, mut ports) = (BTreeSet::new(), BTreeSet::new());
    for pod in &set.pods {
        assert!(names.insert(pod.name.as_str()) && !pod.name.is_empty());
        assert_eq!(pod.wanted().containers.len(), pod.containers.len(), "the core knows them all");
        assert!((1..=MAX_CONTAINERS).contains(&pod.containers.len()));
        assert!(apart(pod.containers.iter().map(|it| &it.name)), "{}", pod.name);
        assert!(apart(pod.volumes.iter().map(|it| &it.name)), "{}", pod.name);
        for volume in &pod.volumes {
            if let VolumeSource::Files(files) = &volume.source {
                stay_below(files);
                resolved += files.len();
            }
        }
        for container in &pod.containers {
            can_be_started(container);
            resolved += container.variables.iter().map(are_text).sum::<usize>();
            for mount in &container.mounts {
                assert!(pod.volumes.iter().any(|volume| volume.name == mount.volume));
            }
            // An init container's are free again when it ended.
            if container.role != Role::Init {
                let own = container.ports.iter().filter_map(|it| Some((it.host?, it.protocol)));
                own.for_each(|port| assert!(ports.insert(port), "{port:?} is there twice"));
            }
        }
    }
    assert!(resolved <= MAX_RESOLVED);
}

fn apart<'n>(mut names: impl Iterator<Item = &'n String>) -> bool {
    let mut known = BTreeSet::new();
    names.all(|name| known.insert(name))
}

/// Each file can be made in an empty folder, and lies in it.
fn stay_below(files: &[File]) {
    for file in files {
        assert!(file.path.split('/').all(|part| !matches!(part, "" | "." | "..")), "{}", file.path);
        assert!(file.mode <= 0o777 && !file.path.contains('\0'));
    }
    let paths: BTreeSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(paths.len(), files.len(), "two files have one path");
    for path in &paths {
        let mut folders = path.match_indices('/').map(|(end, _)| &path[..end]);
        assert!(!folders.any(|folder| paths.contains(folder)), "{path} lies in a file");
    }
}

/// How many variables these are, each of which a program can be given.
fn are_text(variables: &Variables) -> usize {
    match variables {
        Variables::One { value: Value::Content(content), .. } => assert!(content.text().is_some()),
        Variables::One { .. } => {}
        Variables::All { data, .. } => {
            assert!(data.values().all(|content| content.text().is_some()));
            return data.len();
        }
    }
    1
}

/// A program can be given all that a container has, on a node with little to say of itself and on one with much.
fn can_be_started(container: &Container) {
    let ip = |ip: IpAddr, name: &str| Facts { node_name: name.into(), host_ip: ip, pod_ip: ip };
    let short = ip(Ipv4Addr::LOCALHOST.into(), "a");
    let long = ip(Ipv6Addr::from([0xffff; 8]).into(), &"x".repeat(253));
    for facts in [short, long] {
        let launch = container.launch(&facts).expect("it was looked at before it was taken");
        let variables = launch.environment.iter().map(|(name, value)| format!("{name}={value}"));
        let words = launch.command.iter().chain(&launch.args).cloned();
        fit(variables.chain(words));
    }
    for kind in [Kind::Startup, Kind::Liveness, Kind::Readiness] {
        if let Some(Ask::Exec(command)) = container.probes.of(kind).map(|probe| &probe.ask) {
            let command = container.probe_command(command);
            fit(command.expect("it was looked at before it was taken").into_iter());
        }
    }
}

fn fit(texts: impl Iterator<Item = String>) {
    let mut all = 0;
    for text in texts {
        assert!(text.len() <= MAX_TEXT && !text.contains('\0'));
        all += text.len();
    }
    assert!(all <= MAX_TEXTS);
}

/// With a policy that allows nothing, nothing is had.
fn has_nothing_of_the_node(pod: &Pod) {
    let volumes = pod.volumes.iter().map(|volume| &volume.source);
    volumes.for_each(|source| assert!(!matches!(source, VolumeSource::Host { .. })));
    for Container { security, .. } in &pod.containers {
        assert!(!security.privileged && !security.add.contains(&"ALL"));
        assert!(!security.add.contains(&"SYS_ADMIN"));
    }
}
