//! The workloads in the words of the protocol, and what the gate hears of them.

use super::cared::{Cared, role_name};
use super::clock::Now;
use super::plan::{Planned, SlotSet};
use super::runtime::NotDone;
use crate::protocol::work::{ContainerStatus, PodStatus, RuntimeStatus, Work};
use std::collections::BTreeMap;
use steadfast_adapters::checks::Workload;
use steadfast_adapters::containerd::{End, FoundContainer, Process};
use steadfast_adapters::manifest::Pod;
use steadfast_core::gate::{Heard, Weight};
use steadfast_core::pod::{self as core, Found, Health, Phase, Role, Seen};
use steadfast_core::{Name, text};

/// The last words of a container, by its pod's name and its own.
pub(super) type Words<'w> = &'w dyn Fn(&str, &str) -> String;

/// What the pods are told by.
pub(super) struct Told<'t> {
    pub(super) boot: [u8; 16],
    pub(super) now: Now,
    /// Why the runtime could not be asked.
    pub(super) trouble: Option<&'t NotDone>,
    pub(super) words: Words<'t>,
}

/// What is told to fail when the set of the slot cannot be read. No pod is called so: a pod's name is a DNS label.
const THE_SET: &str = "the workload set";

/// All workloads.
pub(super) fn work(pods: &BTreeMap<Name, Cared>, told: &Told<'_>) -> Work {
    let trouble = told.trouble;
    let (state, because) = match trouble {
        None => ("up", None),
        Some(why) => ("down", Some(why.0.clone())),
    };
    let runtime = RuntimeStatus { state: state.to_owned(), because };
    let shown = pods.iter().map(|(name, cared)| match &cared.wanted {
        Some(planned) => wanted(cared, planned, told),
        None => ending(name, cared),
    });
    Work { runtime, pods: shown.collect() }
}

/// What the gate hears of the pods that are wanted; nothing until it is known which these are.
pub(super) fn workloads(
    shown: &Work,
    pods: &BTreeMap<Name, Cared>,
    set: &SlotSet,
) -> Option<Vec<Workload>> {
    let lost = match set {
        SlotSet::Unread => return None,
        SlotSet::Read => None,
        SlotSet::Lost(why) => Some(Workload {
            name: Name::try_from(THE_SET).unwrap_or_default(),
            weight: Weight::Required,
            heard: Heard::Failed(text(format_args!("{why}"))),
        }),
    };
    let wanted = |pod: &PodStatus| {
        let planned = pods.get(pod.name.as_str()).and_then(|cared| cared.wanted.as_ref())?;
        Some(Workload {
            name: planned.pod.name.clone(),
            weight: planned.weight,
            heard: heard(shown, pod),
        })
    };
    Some(lost.into_iter().chain(shown.pods.iter().filter_map(wanted)).collect())
}

fn heard(shown: &Work, pod: &PodStatus) -> Heard {
    match (&shown.runtime.because, pod.ready) {
        (Some(why), _) => Heard::Failed(text(format_args!("{why}"))),
        (None, true) => Heard::Passed,
        (None, false) => {
            let because = pod.because.as_deref().unwrap_or("it is not ready");
            Heard::Failed(text(format_args!("{because}")))
        }
    }
}

/// A pod that is wanted.
fn wanted(cared: &Cared, planned: &Planned, told: &Told<'_>) -> PodStatus {
    let Told { boot, now, words, .. } = *told;
    let pod = &planned.pod;
    let seen = cared.seen(boot, now);
    let found: Vec<Seen> = seen.iter().map(|(_, seen)| *seen).collect();
    let core = pod.wanted();
    let own = found.iter().all(|it| it.found == Found::Absent || it.manifest == pod.digest);
    let ready = own && found.len() == pod.containers.len() && core.is_ready(&found);
    let phase = match core.phase(&found) {
        _ if !own => "pending",
        Phase::Pending => "pending",
        Phase::Running => "running",
        Phase::Succeeded => "succeeded",
        Phase::Failed => "failed",
    };
    let again = core::order(Some(&core), &found, now.boot_ms).look;
    let again = again.map(|look| now.unix_s_of(look));
    let containers: Vec<ContainerStatus> = seen
        .iter()
        .take(pod.containers.len())
        .enumerate()
        .map(|(position, (id, seen))| {
            let about = About { cared, pod, position, again };
            about.status(id, *seen)
        })
        .collect();
    PodStatus {
        name: pod.name.to_string(),
        phase: phase.to_owned(),
        ready,
        required: planned.weight == Weight::Required,
        manifest: Some(pod.digest.to_string()),
        because: (!ready).then(|| lacks(&pod.name, &containers, words)),
        containers,
    }
}

/// A container of a pod that is wanted.
struct About<'a> {
    cared: &'a Cared,
    pod: &'a Pod,
    position: usize,
    again: Option<u64>,
}

impl About<'_> {
    fn status(&self, id: &str, seen: Seen) -> ContainerStatus {
        let container = &self.pod.containers[self.position];
        let there = self.cared.container(id);
        let (state, ready) = match seen.found {
            Found::Running(Health { ready, .. }) => {
                ("running", ready && container.role != Role::Init)
            }
            Found::Exited { code, .. } => ("ended", container.role == Role::Init && code == 0),
            Found::Absent | Found::Created | Found::Held { .. } => ("waiting", false),
        };
        let waits = state != "running" && !ready;
        ContainerStatus {
            name: container.name.clone(),
            role: role_name(container.role).to_owned(),
            image: container.image.as_str().to_owned(),
            state: state.to_owned(),
            ready,
            restarts: seen.restarts,
            pid: there.and_then(pid),
            exit: there.and_then(end).map(|end| end.code),
            reason: (!ready).then(|| self.reason(id, there)).flatten(),
            again_unix_s: self.again.filter(|_| waits),
        }
    }

    fn reason(&self, id: &str, there: Option<&FoundContainer>) -> Option<String> {
        let note = self.cared.note(self.position, id);
        let memory = there.and_then(end).filter(|end| end.out_of_memory);
        note.or(memory.map(|_| "out of memory".to_owned()))
    }
}

fn pid(found: &FoundContainer) -> Option<u32> {
    match found.process {
        Process::Running { pid, .. } => Some(pid),
        _ => None,
    }
}

fn end(found: &FoundContainer) -> Option<&End> {
    match &found.process {
        Process::Ended(end) => Some(end),
        _ => None,
    }
}

/// What a pod lacks: the first of its containers that is not as it should be.
fn lacks(pod: &str, containers: &[ContainerStatus], words: Words<'_>) -> String {
    let Some(first) = containers.iter().find(|it| !it.ready) else {
        return "what ran for it before is still being ended".to_owned();
    };
    let name = &first.name;
    let what = match (first.state.as_str(), first.exit) {
        ("ended", Some(code)) => format!("{name} exited with code {code}"),
        ("running", _) if first.role == "init" => format!("{name} is not done yet"),
        ("running", _) => format!("{name} is not ready"),
        _ => format!("{name} is not started yet"),
    };
    let said = match first.state.as_str() {
        "waiting" => String::new(),
        _ => words(pod, name),
    };
    let said = Some(said).filter(|said| !said.is_empty()).map(|said| format!("it said: {said}"));
    let more: Vec<String> = first.reason.clone().into_iter().chain(said).collect();
    match more.is_empty() {
        true => what,
        false => format!("{what}: {}", more.join("; ")),
    }
}

/// A pod that is wanted no more.
fn ending(name: &Name, cared: &Cared) -> PodStatus {
    let containers = cared.all().iter().map(|found| {
        let state = match found.process {
            Process::Running { .. } => "running",
            Process::None | Process::Ended(_) => "ended",
        };
        ContainerStatus {
            name: found.mark.container.clone(),
            role: role_name(found.mark.role).to_owned(),
            image: String::new(),
            state: state.to_owned(),
            ready: false,
            restarts: found.mark.restarts,
            pid: pid(found),
            exit: end(found).map(|end| end.code),
            reason: None,
            again_unix_s: None,
        }
    });
    PodStatus {
        name: name.to_string(),
        phase: "ending".to_owned(),
        ready: false,
        required: false,
        manifest: None,
        because: Some("it is not wanted any more".to_owned()),
        containers: containers.collect(),
    }
}
