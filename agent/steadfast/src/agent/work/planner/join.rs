//! Several sources of pods in one plan.

use super::applied::Given;
use crate::agent::work::plan::{Images, Mode, Plan, Planned, SlotSet};
use std::collections::BTreeMap;
use std::rc::Rc;
use steadfast_adapters::manifest::Protocol;
use steadfast_core::gate::MAX_WORKLOADS;
use steadfast_core::pod::Role;

/// Two sources that are in each other's way.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Clash {
    /// A pod of one name in both.
    #[error("the pod {pod} is in {one} and in {other}")]
    Pod {
        /// The pod.
        pod: String,
        /// One source.
        one: String,
        /// The other.
        other: String,
    },
    /// A port of the node in both.
    #[error("the node's {protocol} port {port} is taken by a pod of {one} and by one of {other}")]
    Port {
        /// What is spoken at it.
        protocol: Protocol,
        /// The port.
        port: u16,
        /// One source.
        one: String,
        /// The other.
        other: String,
    },
    /// More pods than a node has.
    #[error("there are {0} pods, and a node has {MAX_WORKLOADS} at most")]
    Many(usize),
}

/// The plan of all these.
pub(super) fn joined(given: &[Given]) -> Result<Plan, Clash> {
    apart(given)?;
    let archives = given.iter().filter_map(|it| Some((it.archive.as_ref()?, &it.images)));
    let images: Images = archives
        .flat_map(|(file, images)| images.iter().map(move |name| (name.clone(), file.clone())))
        .collect();
    let images = Rc::new(images);
    let pods = given.iter().flat_map(|it| it.pods.iter().map(|pod| (pod, it.weight)));
    let pods = pods.map(|(pod, weight)| Planned {
        pod: Rc::new(pod.clone()),
        weight,
        images: Rc::clone(&images),
    });
    Ok(Plan { pods: pods.collect(), mode: Mode::Run, set: SlotSet::Read })
}

fn apart(given: &[Given]) -> Result<(), Clash> {
    let count = given.iter().map(|it| it.pods.len()).sum();
    if count > MAX_WORKLOADS {
        return Err(Clash::Many(count));
    }
    let mut names = BTreeMap::new();
    let mut ports = BTreeMap::new();
    for source in given {
        let name = &source.name;
        for pod in &source.pods {
            if let Some(one) = names.insert(pod.name.as_str(), name) {
                let (pod, one, other) = (pod.name.to_string(), one.clone(), name.clone());
                return Err(Clash::Pod { pod, one, other });
            }
        }
        let running = source.pods.iter().flat_map(|pod| &pod.containers);
        let running = running.filter(|container| container.role != Role::Init);
        for port in running.flat_map(|container| &container.ports) {
            let Some(host) = port.host else { continue };
            let before = ports.insert((host, port.protocol), name);
            if let Some(one) = before.filter(|one| *one != name) {
                let (one, other) = (one.clone(), name.clone());
                return Err(Clash::Port { protocol: port.protocol, port: host, one, other });
            }
        }
    }
    Ok(())
}
