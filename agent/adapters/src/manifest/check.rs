//! A whole set: its documents one by one, then against each other.
//!
//! ```text
//! files ─▶ documents ─▶ ConfigMaps and Secrets ─▶ Pods, with what they refer to ─▶ names and ports of all ─▶ Set
//! ```

use super::config::{Kind, Object, config_map, secret};
use super::given::{Context, Given};
use super::object::{ObjectKind, kind};
use super::pod::{Read, pod};
use super::read::{At, Door, Fields, Taken};
use super::refusal::{Refusal, Refused};
use super::yaml::{Node, Room, documents};
use super::{Policy, Set, Source};
use std::collections::BTreeMap;
use steadfast_core::gate::MAX_WORKLOADS;

/// How many bytes the files of a set may have together.
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// A set, if nothing in it is refused.
pub(super) fn set(files: &[Source<'_>], policy: &Policy) -> Result<Set, Refused> {
    let door = Door::default();
    let texts = trees(files, &door);
    let mut given = Given::default();
    let mut pods = Vec::new();
    let trees = texts.iter().flat_map(|(file, trees)| trees.iter().map(move |it| (*file, it)));
    for (file, tree) in trees {
        match door.taken(kind(At::document(&door, file, tree))) {
            Some((ObjectKind::Pod, fields)) => pods.push(fields),
            Some((ObjectKind::ConfigMap, fields)) => {
                given.take(Kind::ConfigMap, fields, config_map);
            }
            Some((ObjectKind::Secret, fields)) => given.take(Kind::Secret, fields, secret),
            None => given.incomplete = true,
        }
    }
    given.incomplete |= door.has_refused();
    let pods = pods
        .into_iter()
        .filter_map(|fields| door.taken(pod(fields, &Context::new(&given, policy))));
    let pods: Vec<Read<'_>> = pods.collect();
    apart(&pods, &door);
    if let Some(Read { named, .. }) = pods.get(MAX_WORKLOADS) {
        let because = format!("is one more than a node's {MAX_WORKLOADS} pods");
        door.refuse(named.refuse(because));
    }
    let pods = pods.into_iter().map(|read| read.pod).collect();
    door.verdict(Set { pods })
}

type Trees<'s> = Vec<(&'s str, Vec<Node>)>;

/// The documents of each file that is YAML.
fn trees<'s>(files: &[Source<'s>], door: &Door) -> Trees<'s> {
    let mut room = Room::new();
    let mut bytes = 0_usize;
    let mut trees = Vec::new();
    for Source { name, text } in files {
        let refuse = |line, because: String| {
            door.refuse(Refusal::new(name, line, String::new(), &because));
        };
        bytes = bytes.saturating_add(text.len());
        if bytes > MAX_BYTES {
            refuse(1, format!("the files of the set have more than {MAX_BYTES} bytes"));
            break;
        }
        match std::str::from_utf8(text).map(|text| documents(text, &mut room)) {
            Ok(Ok(documents)) => trees.push((*name, documents)),
            Ok(Err(broken)) => refuse(broken.line, broken.because),
            Err(error) => {
                let before = &text[..error.valid_up_to()];
                let line = 1 + before.iter().filter(|byte| **byte == b'\n').count();
                refuse(line, "is not UTF-8".to_owned());
            }
        }
    }
    trees
}

impl Given {
    fn take<'a>(
        &mut self,
        kind: Kind,
        fields: Fields<'a>,
        read: fn(Fields<'a>) -> Taken<(String, Object)>,
    ) {
        let at = fields.at().name();
        let Some((name, object)) = at.door().taken(read(fields)) else { return };
        if self.objects.contains_key(&(kind, name.clone())) {
            at.door().refuse(at.refuse(format!("{name} is the name of another {kind}, too")));
        }
        self.objects.insert((kind, name), object);
    }
}

/// Refuses pods that share a name, and containers that share a port of the node.
fn apart(pods: &[Read<'_>], door: &Door) {
    let mut names = BTreeMap::new();
    let mut ports = BTreeMap::new();
    for Read { pod, claims, named } in pods {
        let name = pod.name.as_str();
        if let Some(first) = names.insert(name, named).filter(|_| !name.is_empty()) {
            let because = format!("{name} is the name of another pod, {}", first.place());
            door.refuse(named.refuse(because));
        }
        for claim in claims {
            let (port, protocol) = claim.port;
            if let Some((by, place)) = ports.insert(claim.port, (&claim.by, claim.at.place())) {
                door.refuse(claim.at.refuse(format!(
                    "the node's {protocol} port {port} is taken by pod {by}, {place}"
                )));
            }
        }
    }
}
