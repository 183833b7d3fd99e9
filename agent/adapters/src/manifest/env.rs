//! `env` and `envFrom`: the variables of a container.
//!
//! Always true: what comes from the set is looked up here and not again; what only the node knows stays a question
//! until the container is started ([`Facts`]).

use super::config::{Content, Data, Kind};
use super::expand::{Left, TooLong, expanded};
use super::given::{Context, Need, Reference};
use super::names;
use super::object::Meta;
use super::read::{At, Fields, NotTaken, Taken};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};

/// Variables of a container, in the order in which they are set; a later one of the same name wins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variables {
    /// One entry of `env`.
    One {
        /// `name`.
        name: String,
        /// `value` or `valueFrom`.
        value: Value,
    },
    /// One entry of `envFrom`: all keys of a ConfigMap or Secret.
    All {
        /// What is put before each key (`prefix`).
        prefix: String,
        /// The keys and values.
        data: Data,
    },
}

/// Where the value of a variable comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// `value`, in which `$(NAME)` is a variable that is set before this one.
    Text(String),
    /// `valueFrom`, taken as it is.
    Content(Content),
    /// `valueFrom.fieldRef` of what is not known before the pod runs.
    Fact(Fact),
}

/// What only the node knows (`valueFrom.fieldRef.fieldPath`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fact {
    /// `spec.nodeName`.
    NodeName,
    /// `status.hostIP`.
    HostIp,
    /// `status.podIP`.
    PodIp,
}

/// The answers to [`Fact`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The node's name, at most 253 bytes.
    pub node_name: String,
    /// The node's address.
    pub host_ip: IpAddr,
    /// The pod's address; on the node's network it is the node's.
    pub pod_ip: IpAddr,
}

impl Facts {
    /// No node's facts are longer: what is short enough with them is short enough on every node.
    pub(super) fn longest() -> Facts {
        let ip = IpAddr::V6(Ipv6Addr::from([0xffff; 8]));
        Facts { node_name: "x".repeat(253), host_ip: ip, pod_ip: ip }
    }

    fn of(&self, fact: Fact) -> String {
        match fact {
            Fact::NodeName => self.node_name.clone(),
            Fact::HostIp => self.host_ip.to_string(),
            Fact::PodIp => self.pod_ip.to_string(),
        }
    }
}

/// The variables with their values.
pub(super) fn environment(
    variables: &[Variables],
    facts: &Facts,
    left: &mut Left,
) -> Result<BTreeMap<String, String>, TooLong> {
    let mut all = BTreeMap::<String, String>::new();
    for each in variables {
        match each {
            Variables::All { prefix, data } => {
                for (key, content) in data.iter() {
                    let (name, value) = (format!("{prefix}{key}"), content.text().unwrap_or(""));
                    left.take(with_name(&name, value), &format!("the variable {name}"))?;
                    all.insert(name, value.to_owned());
                }
            }
            Variables::One { name, value } => {
                let what = format!("the variable {name}");
                let value = match value {
                    Value::Text(text) => {
                        expanded(text, &what, |name| all.get(name).map(String::as_str))?
                    }
                    Value::Content(content) => content.text().unwrap_or("").to_owned(),
                    Value::Fact(fact) => facts.of(*fact),
                };
                left.take(with_name(name, &value), &what)?;
                all.insert(name.clone(), value);
            }
        }
    }
    Ok(all)
}

/// How long a variable is as a program is given it: `NAME=value`.
fn with_name(name: &str, value: &str) -> usize {
    name.len() + 1 + value.len()
}

/// One entry of `env`; none when it refers to something optional that is not there.
pub(super) fn one(at: At<'_>, meta: &Meta, context: &Context<'_>) -> Taken<Option<Variables>> {
    let mut fields = at.fields("a variable")?;
    let name = fields.needed("name", names::variable);
    let text = fields.maybe("value", |at| at.text().map(str::to_owned));
    let from = fields.find("valueFrom");
    fields.close(&[]);
    if let (Some(_), Some(from)) = (&text, &from) {
        return Err(from.refuse("stands beside value: one of them has to go"));
    }
    let value = match from {
        Some(from) => value_from(&from, meta, context)?,
        None => Some(Value::Text(text.unwrap_or_default())),
    };
    at.resolve(1)?;
    let name = name?;
    Ok(value.map(|value| Variables::One { name, value }))
}

const NO_VALUE: NotTaken = &[
    ("resourceFieldRef", "is not supported: write the value of the limit"),
    ("fileKeyRef", "is not supported: use a ConfigMap or a Secret"),
];

const NOT_TEXT: &str = "is not text, so no variable can have it";

fn value_from(at: &At<'_>, meta: &Meta, context: &Context<'_>) -> Taken<Option<Value>> {
    let mut fields = at.fields("a source of a value")?;
    let source = fields.one_of(&["configMapKeyRef", "secretKeyRef", "fieldRef"], NO_VALUE)?;
    let value = fields.needed(source, |at| match source {
        "configMapKeyRef" => key(&at, Kind::ConfigMap, context),
        "secretKeyRef" => key(&at, Kind::Secret, context),
        _ => field(&at, meta).map(Some),
    });
    fields.close(NO_VALUE);
    value
}

/// One key of a ConfigMap or a Secret.
fn key(at: &At<'_>, kind: Kind, context: &Context<'_>) -> Taken<Option<Value>> {
    let mut fields = at.fields("a reference to a key")?;
    let reference = Reference::read(&mut fields, kind, "name");
    let key = fields.needed("key", |at| Ok((at.text()?, at)));
    fields.close(&[]);
    let (reference, (key, key_at)) = (reference?, key?);
    let Some(object) = context.object(&reference)? else { return Ok(None) };
    match object.data.get(key) {
        Some(content) if content.text().is_some() => Ok(Some(Value::Content(content.clone()))),
        Some(_) => Err(key_at.refuse(NOT_TEXT)),
        None if reference.need == Need::Optional => Ok(None),
        None => Err(key_at.refuse(format!("there is no key {key} in {kind} {}", reference.name))),
    }
}

/// A field of the pod itself.
fn field(at: &At<'_>, meta: &Meta) -> Taken<Value> {
    let value = field_ref(at, |path| match path {
        "metadata.name" => Some(Value::Content(Content::of(&meta.name))),
        "metadata.namespace" => Some(Value::Content(Content::of("default"))),
        "spec.nodeName" => Some(Value::Fact(Fact::NodeName)),
        "status.hostIP" => Some(Value::Fact(Fact::HostIp)),
        "status.podIP" => Some(Value::Fact(Fact::PodIp)),
        _ => Some(Value::Content(of_map(path, meta)?)),
    })?;
    match &value {
        // An annotation can be what no program can be given.
        Value::Content(content) if content.text().is_none() => Err(at.refuse(NOT_TEXT)),
        _ => Ok(value),
    }
}

/// A `fieldRef`, with what its path stands for.
pub(super) fn field_ref<T>(at: &At<'_>, value: impl Fn(&str) -> Option<T>) -> Taken<T> {
    let mut fields = at.fields("a reference to a field")?;
    fields.only("apiVersion", &["v1"], "has to be v1");
    let value = fields.needed("fieldPath", |at| {
        value(at.text()?).ok_or_else(|| {
            at.refuse("is no field that a node can give here; docs/operate/pods.md has the list")
        })
    });
    fields.close(&[]);
    value
}

/// `metadata.labels['KEY']` or `metadata.annotations['KEY']`; empty when there is none, as in Kubernetes.
pub(super) fn of_map(path: &str, meta: &Meta) -> Option<Content> {
    let maps = [("metadata.labels", &meta.labels), ("metadata.annotations", &meta.annotations)];
    maps.into_iter().find_map(|(name, map)| {
        let key = path.strip_prefix(name)?.strip_prefix("['")?.strip_suffix("']")?;
        Some(map.one(key))
    })
}

/// One entry of `envFrom`; none when it refers to something optional that is not there.
pub(super) fn all(at: At<'_>, context: &Context<'_>) -> Taken<Option<Variables>> {
    let mut fields = at.fields("a source of variables")?;
    let prefix = fields.maybe("prefix", names::prefix).unwrap_or_default();
    let source = fields.one_of(&["configMapRef", "secretRef"], &[]);
    let from = source.and_then(|source| {
        let kind = if source == "secretRef" { Kind::Secret } else { Kind::ConfigMap };
        fields.needed(source, |at| {
            let mut fields = at.fields("a reference")?;
            let reference = Reference::read(&mut fields, kind, "name");
            fields.close(&[]);
            Ok((reference?, at))
        })
    });
    fields.close(&[]);
    let (reference, from_at) = from?;
    let Some(object) = context.object(&reference)? else { return Ok(None) };
    from_at.resolve(object.data.len())?;
    for (key, content) in object.data.iter() {
        if content.text().is_none() {
            let (kind, name) = (reference.kind, &reference.name);
            return Err(from_at.refuse(format!(
                "the key {key} of {kind} {name} cannot be a variable: its value is not text"
            )));
        }
    }
    Ok(Some(Variables::All { prefix, data: object.data.clone() }))
}

/// All variables of a container: `envFrom` first, as in Kubernetes, so that `env` wins.
pub(super) fn variables(
    fields: &mut Fields<'_>,
    meta: &Meta,
    context: &Context<'_>,
) -> Vec<Variables> {
    let all = fields.list("envFrom", |at| all(at, context));
    let each = fields.list("env", |at| one(at, meta, context));
    all.into_iter().chain(each).flatten().collect()
}
