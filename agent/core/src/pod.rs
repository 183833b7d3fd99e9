//! One pod, from what is wanted and what is found to the next order.
//!
//! ```text
//! wanted ─┐                 nothing wanted, or made from another manifest ─► Stop, then Remove, until nothing is left
//!         ├─► order ─► one
//! found ──┘                 init containers one after the other, sidecars beside them, then the main ones side by side;
//!                           what ended is started again as the pod's restart policy says, after its back-off
//! ```
//!
//! Always true: nothing is remembered between two calls, so whatever happened meanwhile, the next order follows from
//! the facts; a container is started only when nothing of another manifest is left; from any mess the pod settles
//! within a bounded number of orders (`agent/core/tests/pods.rs`, over all small ones).
//!
//! The rules are those of Kubernetes (Pod Lifecycle; Sidecar Containers).

use crate::gate::Millis;
use crate::names::Digest;

/// How many containers a pod can have, init containers included.
pub const MAX_CONTAINERS: usize = 16;

/// The first pause before a container is started again, in milliseconds; each further one is twice as long.
const BACK_OFF: Millis = 10_000;
/// The longest one.
const LONGEST_BACK_OFF: Millis = 300_000;
/// A container that ran for so long has no failures behind it any more.
const FORGIVEN: Millis = 600_000;

/// When a container that ended is started again (`spec.restartPolicy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RestartPolicy {
    /// However it ended.
    Always,
    /// When its exit code is not 0.
    OnFailure,
    /// Never.
    Never,
}

/// What a container is in its pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// Ends with exit code 0 before the next one is started.
    Init,
    /// An init container with `restartPolicy: Always`: started before the next one, and kept running until the main
    /// ones have ended.
    Sidecar,
    /// What the pod is for.
    Main,
}

/// A pod as it should be: its containers in the order of their start, the main ones last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// What it is made from.
    pub manifest: Digest,
    /// When its main and init containers are started again.
    pub restart: RestartPolicy,
    /// Its containers.
    pub containers: heapless::Vec<Role, MAX_CONTAINERS>,
}

/// What a running container's probes say. Without a probe it is what a probe that passes would say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Health {
    /// Its startup probe passed.
    pub started: bool,
    /// Its liveness or startup probe has not failed as often as it may.
    pub live: bool,
    /// Its readiness probe passes.
    pub ready: bool,
}

/// What is found of one container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Found {
    /// Nothing.
    Absent,
    /// A container without a process.
    Created,
    /// It could not be made or started.
    Held {
        /// When it is tried again, in milliseconds of the clock of [`order`].
        until: Millis,
    },
    /// Its process runs.
    Running(Health),
    /// Its process ended.
    Exited {
        /// With this code.
        code: u32,
        /// When, in milliseconds of the clock of [`order`].
        at: Millis,
        /// How long it ran, in milliseconds.
        ran: Millis,
    },
}

/// When a container was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Made {
    /// Since the node was started.
    ThisBoot,
    /// Before: whatever it was, it has no process, and what lay in memory for its pod is gone.
    Before,
}

/// One container as the runtime shows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Seen {
    /// What it was made from.
    pub manifest: Digest,
    /// What is found of it.
    pub found: Found,
    /// When it was made.
    pub made: Made,
    /// What it is in the pod that it was made for.
    pub role: Role,
    /// How often in a row it was started again before it had run for ten minutes.
    pub restarts: u8,
}

impl Seen {
    /// Nothing is found.
    pub const NOTHING: Seen = Seen {
        manifest: Digest::ZERO,
        found: Found::Absent,
        made: Made::ThisBoot,
        role: Role::Main,
        restarts: 0,
    };

    fn is_there(&self) -> bool {
        self.found != Found::Absent
    }

    fn runs(&self) -> bool {
        matches!(self.found, Found::Running(_))
    }

    /// The same after a restart of the node: an end that it had before is none of this boot's.
    fn in_this_boot(self) -> Seen {
        match (self.made, self.found) {
            (Made::Before, Found::Exited { .. }) => Seen { found: Found::Created, ..self },
            _ => self,
        }
    }
}

/// Some containers of a pod, by their positions.
pub type Positions = heapless::Vec<usize, MAX_CONTAINERS>;

/// What to do about a pod. At most one order of a pod is under way; its end is seen by asking again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// Make this container anew from the wanted manifest and start its process.
    Start {
        /// Which.
        container: usize,
        /// What is written down as its [`Seen::restarts`].
        restarts: u8,
    },
    /// End these processes side by side, within the pod's grace period.
    Stop(Positions),
    /// Remove this container, which has no process.
    Remove(usize),
}

/// What follows from a look at a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Next {
    /// The order, if there is one.
    pub order: Option<Order>,
    /// When to look again although nothing changed: the end of a back-off.
    pub look: Option<Millis>,
}

impl Next {
    fn nothing() -> Next {
        Next::default()
    }

    fn order(order: Order) -> Next {
        Next { order: Some(order), look: None }
    }
}

/// Where a pod is in its life (`status.phase`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Not all of its main containers were started.
    Pending,
    /// At least one of its containers runs or is started again.
    Running,
    /// All of its main containers ended with exit code 0, for good.
    Succeeded,
    /// All of its main containers ended, one of them with another code; or an init container did.
    Failed,
}

/// The next order for one pod.
///
/// `found` has one entry for each container of `wanted`, in its order, and behind them whatever else bears the pod's
/// name. `now` is a clock that only goes forward.
pub fn order(wanted: Option<&Pod>, found: &[Seen], now: Millis) -> Next {
    let Some(pod) = wanted else { return taken_down(found) };
    let own =
        |(at, seen): (usize, &Seen)| at < pod.containers.len() && seen.manifest == pod.manifest;
    if found.iter().enumerate().any(|it| it.1.is_there() && !own(it)) {
        return taken_down(found);
    }
    pod.brought_up(found, now)
}

/// Nothing is to be left of it.
fn taken_down(found: &[Seen]) -> Next {
    let left = found.iter().rposition(Seen::is_there);
    let removed = left.map_or_else(Next::nothing, |at| Next::order(Order::Remove(at)));
    stopped(found).map_or(removed, Next::order)
}

/// Ends what runs: the init and main containers side by side, then the sidecars, the last one first.
fn stopped(found: &[Seen]) -> Option<Order> {
    let running = || found.iter().enumerate().filter(|(_, seen)| seen.runs());
    let sidecar = |seen: &Seen| seen.role == Role::Sidecar;
    let others = running().filter(|(_, seen)| !sidecar(seen)).map(|(at, _)| at);
    let others: Positions = others.take(MAX_CONTAINERS).collect();
    match others.is_empty() {
        false => Some(Order::Stop(others)),
        true => running().next_back().map(|(at, _)| Order::Stop([at].into_iter().collect())),
    }
}

impl Pod {
    fn brought_up(&self, found: &[Seen], now: Millis) -> Next {
        if matches!(self.phase(found), Phase::Succeeded | Phase::Failed) {
            return stopped(found).map_or_else(Next::nothing, Next::order);
        }
        // A pod that has not done its work begins anew with the node, its init containers first.
        let found: heapless::Vec<Seen, MAX_CONTAINERS> =
            found.iter().take(MAX_CONTAINERS).map(|seen| seen.in_this_boot()).collect();
        let found = &found;
        let begun = self.begun(found);
        let mut look = None;
        for (at, role) in self.containers.iter().enumerate() {
            let seen = found.get(at).copied().unwrap_or(Seen::NOTHING);
            // Once a main container was started the init containers have done their work.
            if *role == Role::Init && begun {
                continue;
            }
            let Next { order, look: later } = self.cared_for(at, *role, seen, now);
            if order.is_some() {
                return Next { order, look: None };
            }
            look = [look, later].into_iter().flatten().min();
            if !begun && !done_with(*role, seen) {
                break;
            }
        }
        Next { order: None, look }
    }

    /// What one container needs.
    fn cared_for(&self, at: usize, role: Role, seen: Seen, now: Millis) -> Next {
        let start = |restarts| Next::order(Order::Start { container: at, restarts });
        match seen.found {
            Found::Held { until } if until > now => Next { order: None, look: Some(until) },
            Found::Absent | Found::Created | Found::Held { .. } => start(seen.restarts),
            Found::Running(Health { live: true, .. }) => Next::nothing(),
            Found::Running(_) => Next::order(Order::Stop([at].into_iter().collect())),
            Found::Exited { code, .. } if !self.starts_again(role, code) => Next::nothing(),
            Found::Exited { at: ended, ran, .. } => {
                let restarts = if ran >= FORGIVEN { 0 } else { seen.restarts };
                match ended + back_off(restarts) {
                    until if until > now => Next { order: None, look: Some(until) },
                    _ => start(restarts.saturating_add(1)),
                }
            }
        }
    }

    fn starts_again(&self, role: Role, code: u32) -> bool {
        match (role, self.restart) {
            (Role::Sidecar, _) | (Role::Main, RestartPolicy::Always) => true,
            (Role::Init, RestartPolicy::Always | RestartPolicy::OnFailure)
            | (Role::Main, RestartPolicy::OnFailure) => code != 0,
            (_, RestartPolicy::Never) => false,
        }
    }

    /// Whether some main container was started.
    fn begun(&self, found: &[Seen]) -> bool {
        let started = |seen: &Seen| matches!(seen.found, Found::Running(_) | Found::Exited { .. });
        self.of(Role::Main, found).any(|seen| started(&seen))
    }

    fn of<'f>(&'f self, role: Role, found: &'f [Seen]) -> impl Iterator<Item = Seen> + 'f {
        let own = self.containers.iter().enumerate().filter(move |(_, own)| **own == role);
        own.map(|(at, _)| found.get(at).copied().unwrap_or(Seen::NOTHING))
    }

    /// Where the pod is in its life.
    pub fn phase(&self, found: &[Seen]) -> Phase {
        let ended = |role: Role, seen: &Seen| match seen.found {
            Found::Exited { code, .. } => !self.starts_again(role, code),
            _ => false,
        };
        let failed = |seen: &Seen| matches!(seen.found, Found::Exited { code, .. } if code != 0);
        if !self.begun(found) {
            let gave_up =
                self.of(Role::Init, found).any(|it| ended(Role::Init, &it) && failed(&it));
            return if gave_up { Phase::Failed } else { Phase::Pending };
        }
        if !self.of(Role::Main, found).all(|seen| ended(Role::Main, &seen)) {
            return Phase::Running;
        }
        match self.of(Role::Main, found).any(|seen| failed(&seen)) {
            true => Phase::Failed,
            false => Phase::Succeeded,
        }
    }

    /// Whether all that should run runs and says that it is ready, or has done its work.
    pub fn is_ready(&self, found: &[Seen]) -> bool {
        let ready = |seen: Seen| matches!(seen.found, Found::Running(Health { ready: true, .. }));
        match self.phase(found) {
            Phase::Succeeded => true,
            Phase::Pending | Phase::Failed => false,
            Phase::Running => {
                let main = |seen: Seen| match seen.found {
                    Found::Exited { code: 0, .. } => !self.starts_again(Role::Main, 0),
                    _ => ready(seen),
                };
                self.of(Role::Main, found).all(main) && self.of(Role::Sidecar, found).all(ready)
            }
        }
    }
}

/// Whether the next container may be started beside or after this one.
fn done_with(role: Role, seen: Seen) -> bool {
    match role {
        Role::Init => matches!(seen.found, Found::Exited { code: 0, .. }),
        Role::Sidecar => matches!(seen.found, Found::Running(Health { started: true, .. })),
        Role::Main => true,
    }
}

/// The pause before a container is started again that was started again so often already: none, 10 s, 20 s, … 5 min.
fn back_off(restarts: u8) -> Millis {
    match restarts {
        0 => 0,
        restarts => (BACK_OFF << (restarts - 1).min(16)).min(LONGEST_BACK_OFF),
    }
}
