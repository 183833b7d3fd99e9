//! `startupProbe`, `livenessProbe`, `readinessProbe` and `lifecycle`.

use super::ask::{HttpGet, exec, grpc, http_get, tcp_socket};
use super::port::Port;
use super::read::{At, Fields, NotTaken, Taken};
use std::time::Duration;
use steadfast_core::probe::{Kind, Timing};

/// A probe.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probe {
    /// What is asked.
    pub ask: Ask,
    /// When, and how many answers count: the core's part.
    pub timing: Timing,
    /// How long an answer may take (`timeoutSeconds`).
    pub timeout: Duration,
    /// How long the container has to end after it failed, where that is not the pod's own time
    /// (`terminationGracePeriodSeconds`).
    pub grace: Option<Duration>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ask {
    /// A program in the container ends with exit code 0. In it `$(NAME)` is expanded as
    /// [`super::Container::probe_command`] does it.
    Exec(Vec<String>),
    /// A request is answered well.
    Http(HttpGet),
    /// Something accepts a connection.
    Tcp {
        /// Without it the pod's own address.
        host: Option<String>,
        /// Where.
        port: u16,
    },
    /// The gRPC health protocol says `SERVING`.
    Grpc {
        /// At the pod's own address.
        port: u16,
        /// Of which service; empty for the whole server.
        service: String,
    },
}

/// The probes of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Probes {
    /// `startupProbe`.
    pub startup: Option<Probe>,
    /// `livenessProbe`.
    pub liveness: Option<Probe>,
    /// `readinessProbe`.
    pub readiness: Option<Probe>,
}

impl Probes {
    /// The one of this kind.
    pub fn of(&self, kind: Kind) -> Option<&Probe> {
        match kind {
            Kind::Startup => self.startup.as_ref(),
            Kind::Liveness => self.liveness.as_ref(),
            Kind::Readiness => self.readiness.as_ref(),
        }
    }

    /// What the core asks by: an argument of [`steadfast_core::probe::Probes::new`].
    pub fn timing(&self, kind: Kind) -> Option<Timing> {
        self.of(kind).map(|probe| probe.timing)
    }
}

/// The probes in a container's fields.
pub(super) fn probes(fields: &mut Fields<'_>, ports: &[Port]) -> Probes {
    let mut probe = |name, kind| fields.maybe(name, |at: At<'_>| self::probe(&at, kind, ports));
    Probes {
        startup: probe("startupProbe", Kind::Startup),
        liveness: probe("livenessProbe", Kind::Liveness),
        readiness: probe("readinessProbe", Kind::Readiness),
    }
}

fn probe(at: &At<'_>, kind: Kind, ports: &[Port]) -> Taken<Probe> {
    let mut fields = at.fields("a probe")?;
    let ask = fields.one_of(&["exec", "httpGet", "tcpSocket", "grpc"], &[]);
    let ask = ask.and_then(|ask| {
        fields.needed(ask, |at| match ask {
            "exec" => exec(&at).map(Ask::Exec),
            "httpGet" => http_get(&at, ports).map(Ask::Http),
            "tcpSocket" => tcp_socket(&at, ports).map(|(host, port)| Ask::Tcp { host, port }),
            _ => grpc(&at).map(|(port, service)| Ask::Grpc { port, service }),
        })
    });
    let mut number = |name, least, default| {
        let read = |at: At<'_>| at.unsigned(least..=u32::from(u16::MAX));
        fields.maybe(name, read).unwrap_or(default)
    };
    let delay = millis(number("initialDelaySeconds", 0, 0));
    let period = millis(number("periodSeconds", 1, 10));
    let timeout = seconds(number("timeoutSeconds", 1, 1));
    let failures = count(number("failureThreshold", 1, 3));
    let passes = passes(&mut fields, kind);
    let grace = grace(&mut fields, kind);
    fields.close(&[]);
    Ok(Probe { ask: ask?, timing: Timing { delay, period, passes, failures }, timeout, grace })
}

fn passes(fields: &mut Fields<'_>, kind: Kind) -> u16 {
    let passes = fields.maybe("successThreshold", |at| {
        let passes = at.unsigned(1..=u32::from(u16::MAX))?;
        match kind == Kind::Readiness || passes == 1 {
            true => Ok(passes),
            false => Err(at.refuse("has to be 1 for a startup or liveness probe")),
        }
    });
    passes.map_or(1, count)
}

fn grace(fields: &mut Fields<'_>, kind: Kind) -> Option<Duration> {
    fields.maybe("terminationGracePeriodSeconds", |at| match kind {
        Kind::Readiness => Err(at.refuse("a readiness probe ends no container")),
        Kind::Startup | Kind::Liveness => Ok(seconds(at.unsigned(1..=MAX_GRACE)?)),
    })
}

/// The longest time that a pod may take to end, in seconds: an hour. A node that shuts down waits less anyway.
pub(super) const MAX_GRACE: u32 = 3_600;

pub(super) fn seconds(seconds: u32) -> Duration {
    Duration::from_secs(u64::from(seconds))
}

fn millis(seconds: u32) -> u64 {
    u64::from(seconds) * 1_000
}

fn count(number: u32) -> u16 {
    u16::try_from(number).expect("the bounds are those of 16 bits")
}

/// What is done beside a container's start or before its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hook {
    /// A program is run in it.
    Exec(Vec<String>),
    /// It is asked.
    Http(HttpGet),
    /// Time passes.
    Sleep(Duration),
}

/// A container's `lifecycle`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lifecycle {
    /// `postStart`: at once after the start of its process; when it fails, the container is ended.
    pub post_start: Option<Hook>,
    /// `preStop`: before its process is asked to end, within the pod's grace period.
    pub pre_stop: Option<Hook>,
}

const NO_HOOK: NotTaken =
    &[("tcpSocket", "does nothing in Kubernetes either: use exec, httpGet or sleep")];

/// `lifecycle`. A `preStop` may not sleep for longer than `grace`.
pub(super) fn lifecycle(at: &At<'_>, ports: &[Port], grace: Duration) -> Taken<Lifecycle> {
    let mut fields = at.fields("a lifecycle")?;
    let post_start = fields.maybe("postStart", |at| hook(&at, ports, seconds(MAX_GRACE)));
    let pre_stop = fields.maybe("preStop", |at| hook(&at, ports, grace));
    fields.close(&[("stopSignal", "is not supported: the image's own one is used")]);
    Ok(Lifecycle { post_start, pre_stop })
}

fn hook(at: &At<'_>, ports: &[Port], longest: Duration) -> Taken<Hook> {
    let mut fields = at.fields("a hook")?;
    let hook = fields.one_of(&["exec", "httpGet", "sleep"], NO_HOOK)?;
    let hook = fields.needed(hook, |at| match hook {
        "exec" => exec(&at).map(Hook::Exec),
        "httpGet" => http_get(&at, ports).map(Hook::Http),
        _ => sleep(&at, longest).map(Hook::Sleep),
    });
    fields.close(NO_HOOK);
    hook
}

fn sleep(at: &At<'_>, longest: Duration) -> Taken<Duration> {
    let mut fields = at.fields("a sleep")?;
    let time = fields.needed("seconds", |at| {
        let time = seconds(at.unsigned(0..=u32::MAX)?);
        let because = || format!("is longer than the {} s there are for it", longest.as_secs());
        if time > longest { Err(at.refuse(because())) } else { Ok(time) }
    });
    fields.close(&[]);
    time
}
