//! What a container can get at most, which devices it may open, and how late it is ended when memory is full.

use super::{Given, SpecError};
use crate::manifest::{Access, Amounts, Container, Pod, Resources};
use crate::pod_files::{Device, DeviceKind, Swap, Version};
use serde_json::{Value, json};
use steadfast_core::pod::Role;

/// The time of which a quota is a part, in microseconds, and the least part that the kernel takes (kubelet's
/// `QuotaPeriod` and `minQuotaPeriod`).
const PERIOD: u64 = 100_000;
const LEAST_QUOTA: u64 = 1_000;

/// How the kernel counts weights of cgroup v1; runc converts them for v2 (kubelet's `MilliCPUToShares`).
const SHARES_OF_A_CORE: u64 = 1_024;
const LEAST_SHARES: u64 = 2;
const MOST_SHARES: u64 = 262_144;

/// `linux.resources`: by the names of cgroup v1, as the OCI specification has them.
pub(super) fn resources(container: &Container, given: &Given<'_>) -> Result<Value, SpecError> {
    let Resources { requests, limits } = container.resources;
    let mut cpu = json!({ "shares": shares(requests.cpu.unwrap_or(0)) });
    if let Some(limit) = limits.cpu {
        let quota = limit.saturating_mul(PERIOD / 1_000).clamp(LEAST_QUOTA, i64::MAX as u64);
        cpu["quota"] = json!(quota);
        cpu["period"] = json!(PERIOD);
    }
    let mut resources = json!({ "cpu": cpu, "devices": devices(container, given)? });
    if let Some(limit) = limits.memory {
        let limit = limit.min(i64::MAX as u64);
        resources["memory"] = json!({ "limit": limit });
        // Memory and swap together: none of it can go to swap.
        if given.paths.cgroups.swap == Swap::Counted {
            resources["memory"]["swap"] = json!(limit);
        }
    }
    if given.paths.cgroups.version == Version::V2 {
        // A container whose memory is full ends as a whole, as with kubelet: half of one is worse.
        resources["unified"] = json!({ "memory.oom.group": "1" });
    }
    Ok(resources)
}

fn shares(thousandths: u64) -> u64 {
    let shares = thousandths.saturating_mul(SHARES_OF_A_CORE) / 1_000;
    shares.clamp(LEAST_SHARES, MOST_SHARES)
}

/// All are closed, then opened one by one; runc adds those that every container has (`/dev/null` and the like). A
/// device that a volume names can be opened, which in Kubernetes takes a plug-in or a privileged container.
fn devices(container: &Container, given: &Given<'_>) -> Result<Vec<Value>, SpecError> {
    if container.security.privileged {
        return Ok(vec![json!({ "allow": true, "access": "rwm" })]);
    }
    let mut rules = vec![json!({ "allow": false, "access": "rwm" })];
    for mount in &container.mounts {
        let volume = given.volume(&mount.volume)?;
        rules.extend(volume.device.as_ref().map(|device| {
            let access = if mount.access == Access::Read { "r" } else { "rw" };
            let Device { major, minor, .. } = device;
            let kind = kind(device);
            json!({ "allow": true, "type": kind, "major": major, "minor": minor, "access": access })
        }));
    }
    Ok(rules)
}

fn kind(device: &Device) -> &'static str {
    match device.kind {
        DeviceKind::Character => "c",
        DeviceKind::Block => "b",
    }
}

/// A device of the node as a privileged container has it.
pub(super) fn node(device: &Device) -> Value {
    json!({
        "path": device.path, "type": kind(device), "major": device.major, "minor": device.minor,
        "fileMode": device.mode, "uid": device.uid, "gid": device.gid,
    })
}

/// How sure a pod is of what it gets (Kubernetes, "Pod Quality of Service Classes").
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Quality {
    Guaranteed,
    Burstable,
    BestEffort,
}

fn quality(pod: &Pod) -> Quality {
    let asks = |amounts: Amounts| amounts.cpu.unwrap_or(0) > 0 || amounts.memory.unwrap_or(0) > 0;
    let mut all = pod.containers.iter().map(|container| container.resources);
    let sure = |Resources { requests, limits }: Resources| {
        let both = limits.cpu.is_some() && limits.memory.is_some();
        both && requests.cpu == limits.cpu && requests.memory == limits.memory
    };
    if all.clone().all(sure) {
        Quality::Guaranteed
    } else if all.any(|it| asks(it.requests) || asks(it.limits)) {
        Quality::Burstable
    } else {
        Quality::BestEffort
    }
}

/// kubelet's `qos.GetContainerOOMScoreAdjust`: from -997, ended last, to 1000, ended first. The more of the node's
/// memory a container asked for, the later; a sidecar no earlier than what it is there for.
pub(super) fn oom_score_adj(pod: &Pod, container: &Container, memory: u64) -> i32 {
    const GUARANTEED: i32 = -997;
    const BEST_EFFORT: i32 = 1_000;
    match quality(pod) {
        Quality::Guaranteed => GUARANTEED,
        Quality::BestEffort => BEST_EFFORT,
        Quality::Burstable => {
            let asked = |it: &Container| it.resources.requests.memory.unwrap_or(0);
            let main = pod.containers.iter().filter(|it| it.role == Role::Main).map(asked).min();
            let least = match container.role {
                Role::Sidecar => asked(container).max(main.unwrap_or(0)),
                Role::Init | Role::Main => asked(container),
            };
            let thousandths = u128::from(least) * 1_000 / u128::from(memory.max(1));
            let score = 1_000 - i32::try_from(thousandths).unwrap_or(i32::MAX);
            // Between the two others, whatever was asked for.
            score.clamp(1_000 + GUARANTEED, BEST_EFFORT - 1)
        }
    }
}
