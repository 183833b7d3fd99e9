//! What probes and hooks do: run a program in the container, or ask it over the network.

use super::port::{Port, named, number};
use super::read::{At, Taken};

/// A request that a container has to answer with a status from 200 to 399 (`httpGet`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpGet {
    /// `scheme`.
    pub scheme: Scheme,
    /// `host`; without it the pod's own address.
    pub host: Option<String>,
    /// `port`, by its number.
    pub port: u16,
    /// `path`, which begins with `/`.
    pub path: String,
    /// `httpHeaders`: names and values, in their order.
    pub headers: Vec<(String, String)>,
}

/// How it is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Without encryption.
    Http,
    /// With TLS; as in Kubernetes, nobody's certificate is checked.
    Https,
}

/// `exec`: the program and its arguments.
pub(super) fn exec(at: &At<'_>) -> Taken<Vec<String>> {
    let mut fields = at.fields("an exec")?;
    let command = fields.needed("command", |at| {
        let words = at.list(|at| Ok(at.text()?.to_owned()))?;
        match words.first() {
            Some(program) if !program.is_empty() => Ok(words),
            _ => Err(at.refuse("has to begin with a program")),
        }
    });
    fields.close(&[]);
    command
}

/// `httpGet`.
pub(super) fn http_get(at: &At<'_>, ports: &[Port]) -> Taken<HttpGet> {
    let mut fields = at.fields("an httpGet")?;
    let schemes = [("HTTP", Scheme::Http), ("HTTPS", Scheme::Https)];
    let scheme = fields.maybe("scheme", |at| at.choice(&schemes)).unwrap_or(Scheme::Http);
    let host = fields.maybe("host", host).flatten();
    let port = fields.needed("port", |at| named(&at, ports));
    let path = fields.maybe("path", |at| {
        let path = at.text()?;
        let plain = path.bytes().all(|c| matches!(c, b'!'..=b'~'));
        match plain {
            true if path.starts_with('/') => Ok(path.to_owned()),
            true => Ok(format!("/{path}")),
            false => Err(at.refuse("has to be a path of printable ASCII without spaces")),
        }
    });
    let headers = fields.list("httpHeaders", header);
    fields.close(&[]);
    let path = path.unwrap_or_else(|| "/".to_owned());
    Ok(HttpGet { scheme, host, port: port?, path, headers })
}

fn header(at: At<'_>) -> Taken<(String, String)> {
    let mut fields = at.fields("a header")?;
    let name = fields.needed("name", |at| {
        // RFC 9110, section 5.6.2.
        let letter = |c: u8| c.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&c);
        match at.text()? {
            name if !name.is_empty() && name.bytes().all(letter) => Ok(name.to_owned()),
            _ => Err(at.refuse("has to be a header's name")),
        }
    });
    let value = fields.needed("value", |at| match at.text()? {
        value if value.chars().any(char::is_control) => Err(at.refuse("has to be a line of text")),
        value => Ok(value.to_owned()),
    });
    fields.close(&[]);
    Ok((name?, value?))
}

/// A name or an address; empty is the pod's own, as in Kubernetes.
fn host(at: At<'_>) -> Taken<Option<String>> {
    let letter = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.' | b':' | b'_');
    match at.text()? {
        "" => Ok(None),
        host if host.bytes().all(letter) => Ok(Some(host.to_owned())),
        _ => Err(at.refuse("has to be a host's name or address")),
    }
}

/// `tcpSocket`: the host, if it is not the pod itself, and the port.
pub(super) fn tcp_socket(at: &At<'_>, ports: &[Port]) -> Taken<(Option<String>, u16)> {
    let mut fields = at.fields("a tcpSocket")?;
    let host = fields.maybe("host", host).flatten();
    let port = fields.needed("port", |at| named(&at, ports));
    fields.close(&[]);
    Ok((host, port?))
}

/// `grpc`: the port and the service.
pub(super) fn grpc(at: &At<'_>) -> Taken<(u16, String)> {
    let mut fields = at.fields("a grpc")?;
    let port = fields.needed("port", |at| number(&at));
    let service = fields.maybe("service", |at| Ok(at.text()?.to_owned()));
    fields.close(&[]);
    Ok((port?, service.unwrap_or_default()))
}
