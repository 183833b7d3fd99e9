//! `resources`: what a container is sure to get, and what it can get at most.

use super::quantity;
use super::read::{At, NotTaken, Taken};

/// `resources` of a container.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Resources {
    /// What it is sure to get. Where only the limit is written it is the limit, as in Kubernetes.
    pub requests: Amounts,
    /// What it can get at most.
    pub limits: Amounts,
}

/// How much of what.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// Thousandths of a core.
    pub cpu: Option<u64>,
    /// Bytes.
    pub memory: Option<u64>,
    /// Bytes of the node's disk that it writes outside its volumes.
    pub ephemeral_storage: Option<u64>,
}

const NOT_TAKEN: NotTaken = &[("claims", "is not supported: a node allocates no devices")];

/// `resources`.
pub(super) fn resources(at: At<'_>) -> Taken<Resources> {
    let mut fields = at.fields("resources")?;
    let limits = fields.maybe("limits", |at| amounts(&at, Least::One)).unwrap_or_default();
    let requests = fields.maybe("requests", |at| {
        let requests = amounts(&at, Least::Zero)?;
        let pairs = [
            ("cpu", requests.cpu, limits.cpu),
            ("memory", requests.memory, limits.memory),
            ("ephemeral-storage", requests.ephemeral_storage, limits.ephemeral_storage),
        ];
        let larger = |request: Option<u64>, limit: Option<u64>| limit.is_some() && request > limit;
        match pairs.into_iter().find(|(_, request, limit)| larger(*request, *limit)) {
            Some((name, ..)) => Err(at.part(name).refuse("is more than the limit")),
            None => Ok(requests),
        }
    });
    fields.close(NOT_TAKEN);
    let requests = requests.unwrap_or_default();
    let requests = Amounts {
        cpu: requests.cpu.or(limits.cpu),
        memory: requests.memory.or(limits.memory),
        ephemeral_storage: requests.ephemeral_storage.or(limits.ephemeral_storage),
    };
    Ok(Resources { requests, limits })
}

/// The least that can be written: a limit of nothing is none in Kubernetes, and nobody means it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Least {
    Zero,
    One,
}

fn amounts(at: &At<'_>, least: Least) -> Taken<Amounts> {
    let at_least = |at: At<'_>, amount: u64| match amount == 0 && least == Least::One {
        true => Err(at.refuse("has to be more than 0: without a limit, leave it out")),
        false => Ok(amount),
    };
    let mut fields = at.fields("resources")?;
    let cpu = fields.maybe("cpu", |at| at_least(at.clone(), quantity::cores(at)?));
    let mut bytes =
        |name| fields.maybe(name, |at: At<'_>| at_least(at.clone(), quantity::bytes(at)?));
    let memory = bytes("memory");
    let ephemeral_storage = bytes("ephemeral-storage");
    fields.close(&[("pids", "is no field of Kubernetes: use the annotation steadfast.dev/pids")]);
    Ok(Amounts { cpu, memory, ephemeral_storage })
}
