//! `v1/Pod`.

use super::container::{Around, Container, List, container};
use super::given::Context;
use super::names;
use super::object::Meta;
use super::port::{Claim, Net};
use super::probe::{MAX_GRACE, seconds};
use super::read::{At, Fields, Flag, NotTaken, Taken};
use super::security;
use super::volume::{Volume, volume};
use std::collections::BTreeSet;
use std::time::Duration;
use steadfast_core::pod::{self as core, MAX_CONTAINERS, RestartPolicy};
use steadfast_core::{Digest, Name};

/// A pod that can be run as it is: whatever it refers to is there, and is in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// `metadata.name`.
    pub name: Name,
    /// What it is made from: its document and each ConfigMap and Secret that it refers to. Comments, quotes and the
    /// order of fields change nothing.
    pub digest: Digest,
    /// In the order of their start: those of `initContainers`, then those of `containers`.
    pub containers: Vec<Container>,
    /// `volumes`.
    pub volumes: Vec<Volume>,
    /// `restartPolicy`.
    pub restart: RestartPolicy,
    /// How long it has to end (`terminationGracePeriodSeconds`).
    pub grace: Duration,
    /// `hostNetwork` and `hostname`.
    pub network: Network,
    /// The group of its volumes (`securityContext.fsGroup`).
    pub fs_group: Option<u32>,
    /// `securityContext.supplementalGroups`.
    pub groups: Vec<u32>,
    /// How many processes and threads it may have (the annotation `steadfast.dev/pids`).
    pub pids: Option<u32>,
}

/// Which network a pod is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Network {
    /// The node's. This is the default here, and not in Kubernetes.
    Host,
    /// A private one behind the node's address (`hostNetwork: false`).
    Own {
        /// The host's name in it: `hostname`, or the pod's.
        hostname: String,
    },
}

impl Pod {
    /// The core's part of it.
    pub fn wanted(&self) -> core::Pod {
        let containers = self.containers.iter().map(|container| container.role);
        core::Pod {
            manifest: self.digest,
            restart: self.restart,
            // The door lets no more of them in.
            containers: containers.take(MAX_CONTAINERS).collect(),
        }
    }
}

/// A pod with what has to be compared with other pods.
pub(super) struct Read<'a> {
    pub(super) pod: Pod,
    pub(super) claims: Vec<Claim<'a>>,
    pub(super) named: At<'a>,
}

/// A pod, from the fields of its document.
pub(super) fn pod<'a>(mut fields: Fields<'a>, context: &Context<'_>) -> Taken<Read<'a>> {
    let at = fields.at().clone();
    // Without a name the rest can still be looked at.
    let meta = at.door().taken(fields.needed("metadata", Meta::of_pod)).unwrap_or_default();
    let spec = fields.needed("spec", |at| {
        let mut fields = at.fields("a pod's spec")?;
        let pod = spec(&mut fields, &meta, context);
        without_effect(&mut fields);
        fields.close(NOT_TAKEN);
        pod
    });
    fields.maybe("status", |at| {
        let fields = at.fields("a status")?;
        match fields.holds_only(&[]) {
            true => Ok(()),
            false => Err(at.refuse("is written by a cluster: take it out")),
        }
    });
    fields.close(&[]);
    let (pod, claims) = spec?;
    let digest = digest(&at, context);
    Ok(Read { pod: Pod { digest, ..pod }, claims, named: at.name() })
}

fn digest(at: &At<'_>, context: &Context<'_>) -> Digest {
    let mut all = ring::digest::Context::new(&ring::digest::SHA256);
    all.update(&at.node().digest());
    for (name, digest) in context.digests() {
        all.update(name.as_bytes());
        all.update(&[0]);
        all.update(&digest);
    }
    Digest(all.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
}

type Spec<'a> = (Pod, Vec<Claim<'a>>);

fn spec<'a>(fields: &mut Fields<'a>, meta: &Meta, context: &Context<'_>) -> Taken<Spec<'a>> {
    let policies = [
        ("Always", RestartPolicy::Always),
        ("OnFailure", RestartPolicy::OnFailure),
        ("Never", RestartPolicy::Never),
    ];
    let restart = fields.maybe("restartPolicy", |at| at.choice(&policies));
    let grace = fields.maybe("terminationGracePeriodSeconds", |at| at.unsigned(0..=MAX_GRACE));
    let grace = seconds(grace.unwrap_or(30));
    let (net, network) = network(fields, meta);
    let security = fields.maybe("securityContext", security::of_pod).unwrap_or_default();
    let volumes = fields.list("volumes", |at| Ok((volume(at.clone(), meta, context)?, at)));
    no_name_twice(volumes.iter().map(|(volume, at)| (volume.name.as_str(), at)));
    let volumes: Vec<Volume> = volumes.into_iter().map(|(volume, _)| volume).collect();
    let around = Around { meta, context, net, volumes: &volumes, security: &security, grace };
    let (containers, claims) = containers(fields, &around)?;
    let pod = Pod {
        name: meta.name.clone(),
        digest: Digest::ZERO,
        containers,
        restart: restart.unwrap_or(RestartPolicy::Always),
        grace,
        network,
        fs_group: security.fs_group,
        groups: security.groups,
        pids: meta.pids,
        volumes,
    };
    Ok((pod, claims))
}

fn network(fields: &mut Fields<'_>, meta: &Meta) -> (Net, Network) {
    let on_the_nodes = fields.flag("hostNetwork", Flag::Set);
    let hostname = fields.find("hostname");
    if on_the_nodes {
        if let Some(at) = hostname {
            at.door()
                .refuse(at.refuse("is the node's own on its network: set hostNetwork to false"));
        }
        return (Net::Host, Network::Host);
    }
    let hostname = hostname.and_then(|at| at.door().taken(names::label(at.clone())));
    let hostname = hostname.unwrap_or_else(|| meta.name.as_str().to_owned());
    (Net::Own, Network::Own { hostname })
}

fn containers<'a>(
    fields: &mut Fields<'a>,
    around: &Around<'_>,
) -> Taken<(Vec<Container>, Vec<Claim<'a>>)> {
    let read = |list| move |at: At<'a>| Ok((container(&at, list, around)?, at));
    let first = fields.list("initContainers", read(List::Init));
    let main = fields.needed("containers", |at| match at.list(read(List::Main))? {
        none if none.is_empty() && !at.door().has_refused() => {
            Err(at.refuse("has to have at least one container"))
        }
        main => Ok(main),
    })?;
    let all: Vec<_> = first.into_iter().chain(main).collect();
    no_name_twice(all.iter().map(|((container, _), at)| (container.name.as_str(), at)));
    if all.len() > MAX_CONTAINERS {
        let number = all.len();
        return Err(fields.at().refuse(format!(
            "has {number} containers with those of initContainers, and {MAX_CONTAINERS} at most"
        )));
    }
    let by = |container: &Container| format!("{}, container {}", around.meta.name, container.name);
    let claims = all.iter().flat_map(|((container, places), _)| {
        let ports = container.ports.iter().filter_map(|it| Some((it.host?, it.protocol)));
        let claim = move |(port, at): ((u16, _), &At<'a>)| Claim {
            port,
            at: at.clone(),
            by: by(container),
        };
        ports.zip(places).map(claim)
    });
    let claims = claims.collect();
    Ok((all.into_iter().map(|((container, _), _)| container).collect(), claims))
}

fn no_name_twice<'n, 'a: 'n>(names: impl Iterator<Item = (&'n str, &'n At<'a>)>) {
    let mut known = BTreeSet::new();
    for (name, at) in names {
        if !known.insert(name) {
            let because = format!("{name} is the name of another one, too");
            at.door().refuse(at.part("name").refuse(because));
        }
    }
}

/// Fields that are taken with values that change nothing on a node of its own; docs/operate/pods.md lists them.
fn without_effect(fields: &mut Fields<'_>) {
    let dns = ["ClusterFirst", "ClusterFirstWithHostNet", "Default"];
    let because = "is not supported: a pod asks the name servers of its node";
    fields.only("dnsPolicy", &dns, because);
    fields.only("schedulerName", &["default-scheduler"], "there is no scheduler on a node");
    for name in ["serviceAccountName", "serviceAccount"] {
        fields.only(name, &["default", ""], "there is no API server that an account could be for");
    }
    let because = "there is no API server that a token could be for: set it to false";
    fields.only("automountServiceAccountToken", &["false"], because);
    fields.only("enableServiceLinks", &["true", "false"], "has to be true or false");
    for name in ["hostPID", "hostIPC", "shareProcessNamespace"] {
        fields.only(name, &["false"], "is not supported: containers are apart from each other");
    }
    fields.only("hostUsers", &["true"], "is not supported: users are those of the node");
    fields.only("setHostnameAsFQDN", &["false"], "is not supported: there is no cluster's domain");
    fields.maybe("os", |at| {
        let mut fields = at.fields("an os")?;
        fields.only("name", &["linux"], "the node runs Linux");
        fields.close(&[]);
        Ok(())
    });
    // What lets a pod onto more nodes lets it onto this one.
    fields.find("tolerations");
}

const SCHEDULER: &str = "there is no scheduler: what a node is given, it runs";
const NOT_TAKEN: NotTaken = &[
    ("nodeName", SCHEDULER),
    ("nodeSelector", SCHEDULER),
    ("affinity", SCHEDULER),
    ("topologySpreadConstraints", SCHEDULER),
    ("schedulingGates", SCHEDULER),
    ("priority", "is not supported: no pod gives way to another"),
    ("priorityClassName", "is not supported: no pod gives way to another"),
    ("preemptionPolicy", "is not supported: no pod gives way to another"),
    ("imagePullSecrets", "is not supported: a node has its own credentials for registries"),
    ("activeDeadlineSeconds", "is not supported"),
    ("hostAliases", "is not supported: /etc/hosts is the node's"),
    ("hostnameOverride", "is not supported: use hostname"),
    ("subdomain", "is not supported: there is no cluster's domain"),
    ("dnsConfig", "is not supported: a pod asks the name servers of its node"),
    ("readinessGates", "is not supported: nobody else says whether a pod is ready"),
    ("runtimeClassName", "is not supported: a node has one runtime"),
    ("overhead", "is not supported: a node has one runtime"),
    ("ephemeralContainers", "is not supported"),
    ("resourceClaims", "is not supported: a node allocates no devices"),
    ("resources", "is not supported: limits are those of each container"),
];
