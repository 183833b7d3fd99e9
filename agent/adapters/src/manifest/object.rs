//! What every object has: its kind and its `metadata`.

use super::names;
use super::read::{At, Fields, NotTaken, Taken};
use super::texts::Texts;
use steadfast_core::Name;

/// What a document is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ObjectKind {
    Pod,
    ConfigMap,
    Secret,
}

/// The kind of a document, and its other fields.
pub(super) fn kind(at: At<'_>) -> Taken<(ObjectKind, Fields<'_>)> {
    let mut fields = at.fields("a document")?;
    let kind = fields.needed("kind", |at| match at.written()? {
        "Pod" => Ok(ObjectKind::Pod),
        "ConfigMap" => Ok(ObjectKind::ConfigMap),
        "Secret" => Ok(ObjectKind::Secret),
        "List" => Err(at.refuse("write its items one by one, with --- between them")),
        "Deployment" | "DaemonSet" | "StatefulSet" | "ReplicaSet" | "Job" => Err(at.refuse(
            "a node runs Pods: make one of spec.template, with apiVersion, kind and a name",
        )),
        _ => Err(at.refuse("a node knows Pod, ConfigMap and Secret")),
    })?;
    fields.needed("apiVersion", |at| match at.written()? {
        "v1" => Ok(()),
        _ => Err(at.refuse("has to be v1")),
    })?;
    let fields = fields.of(match kind {
        ObjectKind::Pod => "a Pod",
        ObjectKind::ConfigMap => "a ConfigMap",
        ObjectKind::Secret => "a Secret",
    });
    Ok((kind, fields))
}

/// A pod's `metadata`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Meta {
    pub(super) name: Name,
    pub(super) labels: Texts,
    pub(super) annotations: Texts,
    pub(super) pids: Option<u32>,
}

const OF_A_CLUSTER: &str = "is written by a cluster: take it out";
const NOT_TAKEN: NotTaken = &[
    ("generateName", "a node makes up no names: give it a name"),
    ("uid", OF_A_CLUSTER),
    ("resourceVersion", OF_A_CLUSTER),
    ("generation", OF_A_CLUSTER),
    ("creationTimestamp", OF_A_CLUSTER),
    ("deletionTimestamp", OF_A_CLUSTER),
    ("deletionGracePeriodSeconds", OF_A_CLUSTER),
    ("managedFields", OF_A_CLUSTER),
    ("ownerReferences", OF_A_CLUSTER),
    ("finalizers", OF_A_CLUSTER),
    ("selfLink", OF_A_CLUSTER),
];

/// How many processes and threads a pod may have, in all its containers together.
const PIDS: &str = "steadfast.dev/pids";

/// What Kubernetes took in annotations before it was a field, and would be passed over here.
const OLD_FIELDS: [&str; 6] = [
    "container.apparmor.security.beta.kubernetes.io/",
    "container.seccomp.security.alpha.kubernetes.io/",
    "pod.alpha.kubernetes.io/",
    "pod.beta.kubernetes.io/",
    "seccomp.security.alpha.kubernetes.io/",
    "security.alpha.kubernetes.io/",
];

/// How many bytes an object's annotations may have together, as in Kubernetes.
const MAX_ANNOTATIONS: usize = 256 * 1024;

impl Meta {
    /// A pod's.
    pub(super) fn of_pod(at: At<'_>) -> Taken<Meta> {
        let mut fields = at.fields("metadata")?;
        let name = fields.needed("name", names::pod);
        let common = common(&mut fields, &[PIDS]);
        let pids = fields.maybe("annotations", pids).flatten();
        fields.close(NOT_TAKEN);
        let (labels, annotations) = common;
        let (labels, annotations) = (Texts::new(labels), Texts::new(annotations));
        Ok(Meta { name: name?, labels, annotations, pids })
    }

    /// The name of a ConfigMap or a Secret; the rest of its metadata changes nothing here.
    pub(super) fn of_config(at: At<'_>) -> Taken<String> {
        let mut fields = at.fields("metadata")?;
        let name = fields.needed("name", names::subdomain);
        common(&mut fields, &[]);
        fields.close(NOT_TAKEN);
        name
    }
}

type Pairs = Vec<(String, String)>;

/// The labels and annotations; `own` are those of a node that mean something in this object.
fn common(fields: &mut Fields<'_>, own: &[&str]) -> (Pairs, Pairs) {
    let because = "a node has no namespaces: leave it out, or write default";
    fields.only("namespace", &["default"], because);
    let labels = fields.maybe("labels", |at| at.entries(label)).unwrap_or_default();
    let annotations = fields.maybe("annotations", |at| {
        let all = at.entries(|key, at| annotation(key, at, own))?;
        match all.iter().map(|(key, text)| key.len() + text.len()).sum::<usize>() {
            0..=MAX_ANNOTATIONS => Ok(all),
            _ => Err(at.refuse(format!("have more than {MAX_ANNOTATIONS} bytes together"))),
        }
    });
    (labels, annotations.unwrap_or_default())
}

fn label(key: &str, at: At<'_>) -> Taken<(String, String)> {
    let value = at.text()?;
    match names::is_qualified(key) && names::is_label_value(value) {
        true => Ok((key.to_owned(), value.to_owned())),
        false => Err(at.refuse("has to be a label: at most 63 letters, digits, -, _ and .")),
    }
}

fn annotation(key: &str, at: At<'_>, own: &[&str]) -> Taken<(String, String)> {
    if !names::is_qualified(key) {
        return Err(at.refuse("has no key that an annotation can have"));
    }
    if key.starts_with("steadfast.dev/") && !own.contains(&key) {
        return Err(at.refuse(format!("a node knows {PIDS} of a Pod and no other annotation")));
    }
    if OLD_FIELDS.iter().any(|old| key.starts_with(old)) {
        return Err(at.refuse("is an old form: use the field that it became"));
    }
    Ok((key.to_owned(), at.content()?.to_owned()))
}

fn pids(at: At<'_>) -> Taken<Option<u32>> {
    let found = at.entries(|key, at| match key == PIDS {
        true => Ok(Some(at)),
        false => Ok(None),
    })?;
    // Linux counts no further than 2 to the power of 22 (`PID_MAX_LIMIT`).
    let number = |at: At<'_>| {
        let number = at.text()?.parse().ok().filter(|number| (1..=4_194_304).contains(number));
        number.ok_or_else(|| at.refuse("has to be a whole number from 1 to 4194304, in quotes"))
    };
    found.into_iter().flatten().next().map(number).transpose()
}
