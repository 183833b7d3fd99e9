//! `ports`: what a container listens on, and what of it is the node's.

use super::names;
use super::read::{At, Fields, NotTaken, Taken};
use std::collections::BTreeSet;
use std::fmt;

/// A port of a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// `name`, by which probes and hooks can refer to it.
    pub name: Option<String>,
    /// `containerPort`.
    pub port: u16,
    /// `hostPort`: the node's port that leads to it. On the node's network it is the same one.
    pub host: Option<u16>,
    /// `protocol`.
    pub protocol: Protocol,
}

/// What is spoken at a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Protocol::Tcp => "TCP",
            Protocol::Udp => "UDP",
        })
    }
}

/// A port of the node, and who has it.
pub(super) struct Claim<'a> {
    pub(super) port: (u16, Protocol),
    pub(super) at: At<'a>,
    /// The pod.
    pub(super) by: String,
}

/// Which network a pod is in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Net {
    Host,
    Own,
}

const NOT_TAKEN: NotTaken = &[("hostIP", "is not supported: a hostPort is one of all addresses")];

/// The ports of a container, with the places of those that are the node's.
pub(super) fn ports<'a>(fields: &mut Fields<'a>, net: Net) -> Vec<(Port, At<'a>)> {
    let ports = fields.list("ports", |at| Ok((port(&at, net)?, at)));
    let mut names = BTreeSet::new();
    for (port, at) in &ports {
        if let Some(name) = port.name.as_ref().filter(|name| !names.insert(*name)) {
            let because = format!("{name} is the name of another port, too");
            at.door().refuse(at.part("name").refuse(because));
        }
    }
    ports
}

fn port(at: &At<'_>, net: Net) -> Taken<Port> {
    let mut fields = at.fields("a port")?;
    let name = fields.maybe("name", names::port);
    let port = fields.needed("containerPort", |at| number(&at));
    let host = fields.find("hostPort");
    let protocols = [("TCP", Protocol::Tcp), ("UDP", Protocol::Udp)];
    let protocol = fields.maybe("protocol", |at| at.choice(&protocols)).unwrap_or(Protocol::Tcp);
    fields.close(NOT_TAKEN);
    let port = port?;
    let own = host.as_ref().map(number).transpose()?;
    let host = match (net, own, host) {
        (Net::Host, Some(other), Some(at)) if other != port => {
            return Err(at.refuse("has to be the containerPort unless hostNetwork is false"));
        }
        (Net::Host, ..) => Some(port),
        (Net::Own, own, _) => own,
    };
    Ok(Port { name, port, host, protocol })
}

/// A port's number.
pub(super) fn number(at: &At<'_>) -> Taken<u16> {
    let number = at.unsigned(1..=65_535)?;
    Ok(u16::try_from(number).expect("the bounds are a port's"))
}

/// A port by its number, or by the name that one of `ports` has.
pub(super) fn named(at: &At<'_>, ports: &[Port]) -> Taken<u16> {
    if at.is_number() {
        return number(at);
    }
    let name = at.text()?;
    let port = ports.iter().find(|port| port.name.as_deref() == Some(name));
    port.map(|port| port.port)
        .ok_or_else(|| at.refuse(format!("there is no port {} in this container", name)))
}
