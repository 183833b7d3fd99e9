//! `httpGet`: one question by HTTP/1.1, and where its redirects lead on the same host.
//!
//! Always true: at most ten requests are sent; a redirect to another host is not followed and counts as an answer, as
//! in Kubernetes, which only warns of it; of a body no more than 10 KiB is read, and one that breaks off before is no
//! answer.

use super::{Found, unreachable};
use crate::http::{Client, Head, HttpError, Limits, Url, in_words};
use crate::manifest::{HttpGet, Scheme};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use std::net::IpAddr;
use std::time::Duration;

/// How many requests one question may take.
const REQUESTS: usize = 10;

/// How much of a body has to come whole.
const BODY: usize = 10 * 1024;

/// The limit that counts is the one around the whole question.
const LONGER: Limits =
    Limits { connect: Duration::from_secs(86_400), answer: Duration::from_secs(86_400) };

/// What servers keep out of their statistics begins like Kubernetes' own; the rest says who it is.
const PROBE: &str =
    concat!("kube-probe/1.34 (compatible; steadfast/", env!("CARGO_PKG_VERSION"), ")");
const LIFECYCLE: &str =
    concat!("kube-lifecycle/1.34 (compatible; steadfast/", env!("CARGO_PKG_VERSION"), ")");

/// Passes with a status from 200 to 399.
pub(super) async fn probe(get: &HttpGet, own: IpAddr) -> Found {
    match answer(get, own, PROBE).await? {
        200..400 => Ok(()),
        status => Err(format!("answered {status}")),
    }
}

/// Passes with any status.
pub(super) async fn hook(get: &HttpGet, own: IpAddr) -> Found {
    answer(get, own, LIFECYCLE).await.map(drop)
}

/// The status of the last answer.
async fn answer(get: &HttpGet, own: IpAddr, agent: &'static str) -> Result<u16, String> {
    let client = Client::unverified();
    let mut url = url(get, own)?;
    let host = url.host().to_owned();
    let mut headers = headers(get, &url, agent);
    for _ in 0..REQUESTS {
        let asked = client.send(&url, headers.clone(), LONGER).await;
        let mut opened = asked.map_err(|error| words(&error))?;
        match redirect(&opened.head) {
            Some(location) => {
                let next = url.join(location);
                let next = next.map_err(|error| format!("redirects to {location}: {error}"))?;
                if next.host() == host {
                    // A name that was asked for by hand goes along as long as the server names no other.
                    if location.contains("://") {
                        headers.insert(header::HOST, of(&next));
                    }
                    url = next;
                    continue;
                }
            }
            None => {
                opened.first(BODY).await.map_err(|error| words(&error))?;
            }
        }
        return Ok(opened.head.status);
    }
    Err(format!("redirects more than {} times", REQUESTS - 1))
}

fn redirect(head: &Head) -> Option<&str> {
    matches!(head.status, 301 | 302 | 303 | 307 | 308).then_some(head.location.as_deref()).flatten()
}

fn url(get: &HttpGet, own: IpAddr) -> Result<Url, String> {
    let HttpGet { scheme, host, port, path, .. } = get;
    let scheme = match scheme {
        Scheme::Http => "http",
        Scheme::Https => "https",
    };
    let host = host.clone().unwrap_or_else(|| own.to_string());
    let host = if host.contains(':') { format!("[{host}]") } else { host };
    let url = format!("{scheme}://{host}:{port}{}", escaped(path));
    Url::parse(&url).map_err(|error| format!("cannot be asked: {error}"))
}

/// What may not stand in a request as it is (RFC 3986, 2) is sent by its number.
fn escaped(path: &str) -> String {
    let mut escaped = String::new();
    for letter in path.chars() {
        match letter {
            '"' | '<' | '>' | '\\' | '^' | '`' | '{' | '|' | '}' => {
                escaped.push_str(&format!("%{:02X}", u32::from(letter)));
            }
            _ => escaped.push(letter),
        }
    }
    escaped
}

/// The manifest's headers, and those that Kubernetes adds where they are not there; what frames the message is ours.
fn headers(get: &HttpGet, url: &Url, agent: &'static str) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in &get.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("the door takes nothing else");
        let value = HeaderValue::from_bytes(value.as_bytes()).expect("nor here");
        headers.append(name, value);
    }
    for name in [header::CONTENT_LENGTH, header::TRANSFER_ENCODING, header::TRAILER] {
        headers.remove(name);
    }
    for (name, value) in [(header::USER_AGENT, agent), (header::ACCEPT, "*/*")] {
        match headers.get(&name).map(|value| value.is_empty()) {
            None => {
                headers.insert(name, HeaderValue::from_static(value));
            }
            // Given and empty: it is to be left out.
            Some(true) => {
                headers.remove(name);
            }
            Some(false) => {}
        }
    }
    let host = headers.get(header::HOST).filter(|value| !value.is_empty()).cloned();
    headers.insert(header::HOST, host.unwrap_or_else(|| of(url)));
    headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    headers
}

fn of(url: &Url) -> HeaderValue {
    HeaderValue::from_str(url.authority()).expect("a parsed URL holds nothing else")
}

fn words(error: &HttpError) -> String {
    match error {
        HttpError::Unreachable { source, .. } => unreachable(source),
        HttpError::Tls { because, .. } => format!("agreed on no TLS: {because}"),
        HttpError::Broken { source, .. } => format!("broke off: {}", in_words(source)),
        other => in_words(other),
    }
}
