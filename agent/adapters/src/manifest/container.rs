//! `containers` and `initContainers`.

use super::env::{self, Facts, Value, Variables};
use super::expand::{Left, TooLong, all_expanded};
use super::given::Context;
use super::image::{Image, Pull, image};
use super::names;
use super::object::Meta;
use super::port::{self, Net, Port};
use super::probe::{Ask, Lifecycle, Probe, Probes, lifecycle, probes};
use super::read::{At, Fields, NotTaken, Taken};
use super::resources::{Resources, resources};
use super::security::{OfPod, Security, security};
use super::volume::{self, Mount, Volume, mounts};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;
use steadfast_core::pod::Role;
use steadfast_core::probe::Kind;

/// A container of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// `name`.
    pub name: String,
    /// Which of the two lists it is in, and whether it is a sidecar.
    pub role: Role,
    /// `image`.
    pub image: Image,
    /// `imagePullPolicy`.
    pub pull: Pull,
    /// `command`: instead of the image's entrypoint. As it is written; see [`Container::launch`].
    pub command: Vec<String>,
    /// `args`: instead of the image's arguments; with a `command` those of the image are left out anyway.
    pub args: Vec<String>,
    /// `workingDir`; without it the image's.
    pub working_dir: Option<String>,
    /// `envFrom` and `env`; over the image's own.
    pub variables: Vec<Variables>,
    /// `ports`.
    pub ports: Vec<Port>,
    /// `resources`.
    pub resources: Resources,
    /// `volumeMounts`.
    pub mounts: Vec<Mount>,
    /// `startupProbe`, `livenessProbe` and `readinessProbe`.
    pub probes: Probes,
    /// `lifecycle`.
    pub lifecycle: Lifecycle,
    /// `securityContext`, with the pod's.
    pub security: Security,
    /// `terminationMessagePath`, from the container's root.
    pub message_path: String,
    /// `terminationMessagePolicy`.
    pub message: Message,
}

/// What a container that ended has to say for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Message {
    /// What it wrote to its file.
    File,
    /// The end of its log, when it failed and wrote nothing.
    FallbackToLogsOnError,
}

/// What a container is started with, beside what its image says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Launch {
    /// The command, or nothing for the image's.
    pub command: Vec<String>,
    /// The arguments, or nothing for the image's.
    pub args: Vec<String>,
    /// The variables.
    pub environment: BTreeMap<String, String>,
}

impl Container {
    /// What it is started with on a node.
    ///
    /// It is too long only for a node whose name is longer than the longest that was thought of at the door.
    pub fn launch(&self, facts: &Facts) -> Result<Launch, TooLong> {
        let mut left = Left::all();
        let environment = env::environment(&self.variables, facts, &mut left)?;
        let value = |name: &str| environment.get(name).map(String::as_str);
        let command = all_expanded(&self.command, "the command", &mut left, value)?;
        let args = all_expanded(&self.args, "an argument", &mut left, value)?;
        Ok(Launch { command, args, environment })
    }

    /// Where its last words are, as [`Mount::place`] has it.
    pub fn message_place(&self) -> PathBuf {
        volume::place(&self.message_path)
    }

    /// The command of a probe. In it only `env` is known, and only by what is written there: what has a `valueFrom` is
    /// empty, as in Kubernetes.
    pub fn probe_command(&self, command: &[String]) -> Result<Vec<String>, TooLong> {
        let mut left = Left::all();
        let mut known = BTreeMap::new();
        for variables in &self.variables {
            if let Variables::One { name, value } = variables {
                known.insert(name.as_str(), if let Value::Text(text) = value { text } else { "" });
            }
        }
        let value = |name: &str| known.get(name).copied();
        all_expanded(command, "a probe's command", &mut left, value)
    }
}

/// What all containers of a pod share.
pub(super) struct Around<'p> {
    pub(super) meta: &'p Meta,
    pub(super) context: &'p Context<'p>,
    pub(super) net: Net,
    pub(super) volumes: &'p [Volume],
    pub(super) security: &'p OfPod,
    pub(super) grace: Duration,
}

/// Which list a container is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Init,
    Main,
}

const NOT_TAKEN: NotTaken = &[
    ("restartPolicy", "belongs to an init container; a container has the pod's"),
    ("restartPolicyRules", "is not supported"),
    ("resizePolicy", "is not supported: what changes is started anew"),
    ("volumeDevices", "is not supported: a block device can be a hostPath of that type"),
];

/// A container, with the places of its ports that are the node's for as long as the pod runs.
pub(super) fn container<'a>(
    at: &At<'a>,
    list: List,
    around: &Around<'_>,
) -> Taken<(Container, Vec<At<'a>>)> {
    let mut fields = at.fields("a container")?;
    let role = role(&mut fields, list);
    let (name, image) = (fields.needed("name", names::label), image(&mut fields));
    let ports = port::ports(&mut fields, around.net);
    let places = places(&ports, role, around.net);
    let ports: Vec<Port> = ports.into_iter().map(|(port, _)| port).collect();
    let (probes, lifecycle) = care(&mut fields, role, &ports, around.grace);
    let (message_path, message) = message(&mut fields);
    let (command, args) = (words(&mut fields, "command"), words(&mut fields, "args"));
    let working_dir = fields.maybe("workingDir", names::absolute);
    let variables = env::variables(&mut fields, around.meta, around.context);
    let resources = fields.maybe("resources", resources).unwrap_or_default();
    let mounts = mounts(&mut fields, around.volumes);
    let security = security(&mut fields, around.security, around.context);
    nobody_attends(&mut fields);
    fields.close(NOT_TAKEN);
    let (name, (image, pull)) = (name?, image?);
    let container = Container {
        name,
        role,
        image,
        pull,
        command,
        args,
        working_dir,
        variables,
        ports,
        resources,
        mounts,
        probes,
        lifecycle,
        security,
        message_path,
        message,
    };
    container.fits().map_err(|too_long| at.refuse(too_long.to_string()))?;
    Ok((container, places))
}

impl Container {
    /// Whether a program can be given all of it on every node.
    fn fits(&self) -> Result<(), TooLong> {
        self.launch(&Facts::longest())?;
        for kind in [Kind::Startup, Kind::Liveness, Kind::Readiness] {
            if let Some(Probe { ask: Ask::Exec(command), .. }) = self.probes.of(kind) {
                self.probe_command(command)?;
            }
        }
        Ok(())
    }
}

fn role(fields: &mut Fields<'_>, list: List) -> Role {
    if list == List::Main {
        return Role::Main;
    }
    match fields.maybe("restartPolicy", |at| at.choice(&[("Always", Role::Sidecar)])) {
        Some(role) => role,
        None => Role::Init,
    }
}

/// The places of the ports that no other container of the node can have.
fn places<'a>(ports: &[(Port, At<'a>)], role: Role, net: Net) -> Vec<At<'a>> {
    let of_the_node = ports.iter().filter(|(port, _)| port.host.is_some());
    match (role, net) {
        (Role::Init, Net::Host) => Vec::new(),
        (Role::Init, Net::Own) => {
            let because = "an init container ends before anybody asks, so it has no hostPort";
            of_the_node.for_each(|(_, at)| at.door().refuse(at.refuse(because)));
            Vec::new()
        }
        _ => of_the_node.map(|(_, at)| at.clone()).collect(),
    }
}

/// The probes and hooks; an init container that ends has none, as in Kubernetes.
fn care(
    fields: &mut Fields<'_>,
    role: Role,
    ports: &[Port],
    grace: Duration,
) -> (Probes, Lifecycle) {
    if role != Role::Init {
        let lifecycle = fields.maybe("lifecycle", |at| lifecycle(&at, ports, grace));
        return (probes(fields, ports), lifecycle.unwrap_or_default());
    }
    for name in ["startupProbe", "livenessProbe", "readinessProbe", "lifecycle"] {
        let because = "belongs to what goes on running: a container or a sidecar";
        fields.maybe(name, |at| -> Taken<()> { Err(at.refuse(because)) });
    }
    (Probes::default(), Lifecycle::default())
}

fn message(fields: &mut Fields<'_>) -> (String, Message) {
    let policies =
        [("File", Message::File), ("FallbackToLogsOnError", Message::FallbackToLogsOnError)];
    let path = fields.maybe("terminationMessagePath", names::absolute);
    let policy = fields.maybe("terminationMessagePolicy", |at| at.choice(&policies));
    let path = path.unwrap_or_else(|| "/dev/termination-log".to_owned());
    (path, policy.unwrap_or(Message::File))
}

fn words(fields: &mut Fields<'_>, name: &'static str) -> Vec<String> {
    fields.list(name, |at| Ok(at.text()?.to_owned()))
}

/// A terminal and an input are for somebody who attaches to the container.
fn nobody_attends(fields: &mut Fields<'_>) {
    for name in ["stdin", "stdinOnce", "tty"] {
        fields.only(name, &["false"], "is not supported: nobody attaches to a container here");
    }
}
