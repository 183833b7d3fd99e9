//! Asks one probe of a container, or runs one of its hooks, once.
//!
//! ```text
//! Ask ─┬─ exec ──────▶ Exec, the runtime ─────────── exit code ─┐
//!      ├─ httpGet ───▶ the pod, after its redirects ─── status ─┼─▶ Heard: passed, or failed and what shows it
//!      ├─ tcpSocket ─▶ the pod ───────────────────── connection ┤
//!      └─ grpc ──────▶ grpc.health.v1.Health/Check ──── SERVING ┘
//! ```
//!
//! Always true: an answer comes within its limit, or the question has failed; evidence names what was asked and what
//! was found, on one line; nothing here counts answers or decides what they mean, which is the core's.
//!
//! The rules are those of Kubernetes 1.34, and so is what a hook's `httpGet` passes with: any answer. What differs is
//! in docs/operate/pods.md.

mod grpc;
mod http;
#[cfg(test)]
mod tests;

use crate::http::in_words;
use crate::manifest::{Ask, Container, Hook, HttpGet, Scheme};
use std::error::Error;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use steadfast_core::probe::Answer;
use steadfast_core::{Text, text};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

/// Where a pod on the node's network is asked. Kubernetes asks at the node's address; a node may have none, several,
/// or another one tomorrow, and its pods are to be judged all the same.
pub const ON_THE_NODES_NETWORK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// How long the runtime may take beyond a program's limit to end it and say so.
const KILL: Duration = Duration::from_secs(5);

/// How much of a place is named in evidence, in characters: enough is left to say what was found there.
const PLACE: usize = 80;

/// Who runs programs in a container.
pub trait Exec {
    /// Why a program could not be run.
    type Error: Error;

    /// Runs a program in the container, as its own are run; at `limit` it is ended by SIGKILL.
    #[allow(async_fn_in_trait, reason = "all ports run on one thread")]
    async fn exec(&self, command: &[String], limit: Duration) -> Result<Executed, Self::Error>;
}

/// How a program ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executed {
    /// Its exit code.
    pub code: u32,
    /// The end of what it wrote to both of its streams.
    pub output: String,
}

/// Who is asked.
#[derive(Debug)]
pub struct Asked<'a, E> {
    /// Runs programs in the container.
    pub exec: &'a E,
    /// The container.
    pub container: &'a Container,
    /// The pod's own address, where no other host is named.
    pub address: IpAddr,
}

/// What a probe said, with what shows a failure: what was asked and what was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// It passed.
    Passed,
    /// It failed.
    Failed(Text),
}

impl Heard {
    /// What the core hears of it.
    pub fn answer(&self) -> Answer {
        match self {
            Heard::Passed => Answer::Passed,
            Heard::Failed(_) => Answer::Failed,
        }
    }
}

/// A hook was not done.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HookError(pub Text);

/// What was found instead of what was asked for, in the operator's words.
type Found = Result<(), String>;

/// Asks once.
pub async fn ask<E: Exec>(ask: &Ask, at: &Asked<'_, E>, limit: Duration) -> Heard {
    let found = match ask {
        Ask::Exec(command) => match at.container.probe_command(command) {
            Ok(command) => exec(&command, at.exec, limit).await,
            Err(too_long) => Err(format!("was not run: {too_long}")),
        },
        Ask::Http(get) => within(limit, http::probe(get, at.address)).await,
        Ask::Tcp { host, port } => within(limit, connect(host.as_deref(), *port, at.address)).await,
        Ask::Grpc { port, service } => within(limit, grpc::check(at.address, *port, service)).await,
    };
    match found {
        Ok(()) => Heard::Passed,
        Err(found) => Heard::Failed(text(format_args!("{} {found}", name(ask)))),
    }
}

/// Does once what a hook says. Its command is run as it is written: as in Kubernetes, no `$(NAME)` is expanded in it.
pub async fn hook<E: Exec>(
    hook: &Hook,
    at: &Asked<'_, E>,
    limit: Duration,
) -> Result<(), HookError> {
    let (name, found) = match hook {
        Hook::Exec(command) => ("exec".to_owned(), exec(command, at.exec, limit).await),
        Hook::Http(get) => (of_http(get), within(limit, http::hook(get, at.address)).await),
        Hook::Sleep(time) => {
            let slept = async {
                sleep(*time).await;
                Ok(())
            };
            ("sleep".to_owned(), within(limit, slept).await)
        }
    };
    found.map_err(|found| HookError(text(format_args!("{name} {found}"))))
}

fn name(ask: &Ask) -> String {
    match ask {
        Ask::Exec(_) => "exec".to_owned(),
        Ask::Http(get) => of_http(get),
        Ask::Tcp { host, port } => {
            let host = host.as_deref().unwrap_or_default();
            format!("tcpSocket {}", short(&format!("{host}:{port}")))
        }
        Ask::Grpc { port, service } if service.is_empty() => format!("grpc :{port}"),
        Ask::Grpc { port, service } => format!("grpc {}", short(&format!(":{port} {service}"))),
    }
}

fn of_http(HttpGet { scheme, host, port, path, .. }: &HttpGet) -> String {
    let scheme = match scheme {
        Scheme::Http => "",
        Scheme::Https => "https://",
    };
    let host = host.as_deref().unwrap_or_default();
    format!("httpGet {}", short(&format!("{scheme}{host}:{port}{path}")))
}

fn short(place: &str) -> String {
    match place.char_indices().nth(PLACE) {
        Some((end, _)) => format!("{}…", &place[..end]),
        None => place.to_owned(),
    }
}

async fn within(limit: Duration, asked: impl Future<Output = Found>) -> Found {
    timeout(limit, asked).await.unwrap_or_else(|_| Err(late(limit)))
}

fn late(limit: Duration) -> String {
    format!("not done within {limit:?}")
}

async fn exec<E: Exec>(command: &[String], runtime: &E, limit: Duration) -> Found {
    let start = Instant::now();
    let ran = timeout(limit + KILL, runtime.exec(command, limit)).await;
    // Whatever it ended with then: it was ended.
    let Some(ran) = ran.ok().filter(|_| start.elapsed() < limit) else { return Err(late(limit)) };
    match ran {
        Ok(Executed { code: 0, .. }) => Ok(()),
        Ok(Executed { code, output }) => {
            match output.lines().rfind(|line| !line.trim().is_empty()) {
                Some(last) => Err(format!("exited {code}: {}", last.trim())),
                None => Err(format!("exited {code}")),
            }
        }
        Err(error) => Err(format!("could not be run: {}", in_words(&error))),
    }
}

async fn connect(host: Option<&str>, port: u16, own: IpAddr) -> Found {
    let connected = match host {
        Some(host) => TcpStream::connect((host, port)).await,
        None => TcpStream::connect((own, port)).await,
    };
    connected.map(drop).map_err(|error| unreachable(&error))
}

/// Why there is no connection.
fn unreachable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "refused the connection".to_owned(),
        _ => format!("cannot be reached: {}", in_words(error)),
    }
}
