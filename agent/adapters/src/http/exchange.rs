//! One request on one connection: the head of its answer, and the body chunk by chunk.
//!
//! Always true: the connection is driven only while somebody waits for it and is closed when its answer
//! is dropped; a body that is shorter than its head says is an error and never an end.

use super::{Connection, HttpError, Limits, Part, Url};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use std::convert::Infallible;
use std::future::pending;
use std::pin::Pin;
use tokio::time::timeout;

/// The most that an answer's head may take, in bytes.
pub(super) const HEAD: usize = 16 * 1024;

/// A validator is an opaque text of the server's; a longer one is taken for none.
const VALIDATOR: usize = 1024;

/// What a server says before the body.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Head {
    /// The HTTP status.
    pub status: u16,
    /// The value of `Location`.
    pub location: Option<String>,
    /// How many bytes the body has, where that is said.
    pub length: Option<u64>,
    /// Which bytes of the resource the body is, where that is said.
    pub range: Option<ContentRange>,
    /// What tells this content from any other at this URL: a strong `ETag`, or a `Last-Modified` of
    /// another second than the answer's own (RFC 9110, 8.8 and 13.1.5).
    pub validator: Option<String>,
}

/// `Content-Range` (RFC 9110, 14.4), as far as a download needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContentRange {
    /// The first byte that comes, counted from zero.
    pub first: u64,
    /// How many bytes the whole resource has, where the server knows.
    pub total: Option<u64>,
}

/// An answer whose body is still to be read.
pub struct Opened {
    /// What came before the body.
    pub head: Head,
    body: Incoming,
    driver: Driver,
    /// The connection ends with the last sender.
    _sender: SendRequest<Empty<Bytes>>,
    host: String,
    limits: Limits,
}

/// What moves the connection's bytes; it never comes back.
type Driver = Pin<Box<dyn Future<Output = Infallible> + Send>>;

impl Opened {
    /// Asks for this part and waits for the head of the answer.
    pub(super) async fn ask(
        connection: Connection,
        url: &Url,
        part: &Part,
        limits: Limits,
    ) -> Result<Opened, HttpError> {
        Opened::send(connection, url, headers(url, part), limits).await
    }

    /// Sends a GET with these headers and no others, and waits for the head of the answer.
    pub(super) async fn send(
        connection: Connection,
        url: &Url,
        headers: HeaderMap,
        limits: Limits,
    ) -> Result<Opened, HttpError> {
        let host = || url.authority().to_owned();
        let limit = limits.answer;
        let exchanged = timeout(limit, exchange(connection, request(url, headers))).await;
        let exchanged = exchanged.map_err(|_| HttpError::Stalled { host: host(), limit })?;
        let (response, driver, sender) =
            exchanged.map_err(|source| HttpError::Broken { host: host(), source })?;
        let head = Head::read(response.status().as_u16(), response.headers());
        let body = response.into_body();
        Ok(Opened { head, body, driver, _sender: sender, host: host(), limits })
    }

    /// The next bytes of the body, at most 16 KiB; nothing at its end. A server that sends nothing for
    /// [`Limits::answer`] is given up.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, HttpError> {
        let (body, driver) = (&mut self.body, &mut self.driver);
        let next = async {
            loop {
                let frame = tokio::select! {
                    frame = body.frame() => frame,
                    never = driver.as_mut() => match never {},
                };
                // What is not data is a trailer, which says nothing here.
                match frame.transpose()?.map(|frame| frame.into_data()) {
                    None => return Ok(None),
                    Some(Ok(data)) => return Ok(Some(data)),
                    Some(Err(_)) => {}
                }
            }
        };
        let limit = self.limits.answer;
        let came = timeout(limit, next).await;
        let came = came.map_err(|_| HttpError::Silent { host: self.host.clone(), limit })?;
        came.map_err(|source| HttpError::Broken { host: self.host.clone(), source })
    }

    /// The first `count` bytes of the body, or fewer when it is shorter.
    pub async fn first(&mut self, count: usize) -> Result<Vec<u8>, HttpError> {
        let mut first = Vec::new();
        while first.len() < count {
            let Some(data) = self.chunk().await? else { break };
            first.extend(data.iter().take(count - first.len()));
        }
        Ok(first)
    }
}

impl Head {
    fn read(status: u16, headers: &HeaderMap) -> Head {
        let text = |name: HeaderName| headers.get(name)?.to_str().ok();
        let location = headers.get(header::LOCATION);
        Head {
            status,
            location: location.map(|it| String::from_utf8_lossy(it.as_bytes()).into_owned()),
            length: text(header::CONTENT_LENGTH).and_then(|text| text.parse().ok()),
            range: text(header::CONTENT_RANGE).and_then(ContentRange::read),
            validator: validator(headers).filter(|it| it.len() <= VALIDATOR).map(str::to_owned),
        }
    }
}

impl ContentRange {
    fn read(text: &str) -> Option<ContentRange> {
        let (range, total) = text.strip_prefix("bytes ")?.split_once('/')?;
        let first = range.split_once('-')?.0.parse().ok()?;
        Some(ContentRange { first, total: total.parse().ok() })
    }
}

/// A weak `ETag` says that two contents mean the same, not that they have the same bytes; and beside any
/// `ETag` a date is not to be used.
fn validator(headers: &HeaderMap) -> Option<&str> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    match text(header::ETAG) {
        Some(tag) => Some(tag).filter(|tag| tag.starts_with('"')),
        None => text(header::LAST_MODIFIED)
            .filter(|at| text(header::DATE).is_some_and(|now| now != *at)),
    }
}

fn headers(url: &Url, part: &Part) -> HeaderMap {
    let value = |text: &str| {
        HeaderValue::from_str(text).expect("a parsed URL and a server's own validator are values")
    };
    let mut headers = HeaderMap::new();
    headers.insert(header::HOST, value(url.authority()));
    headers.insert(header::USER_AGENT, value(concat!("steadfast/", env!("CARGO_PKG_VERSION"))));
    headers.insert(header::CONNECTION, value("close"));
    match part {
        Part::Whole => {}
        Part::First(count) => {
            let last = count.saturating_sub(1);
            headers.insert(header::RANGE, value(&format!("bytes=0-{last}")));
        }
        Part::From { first, unchanged } => {
            headers.insert(header::RANGE, value(&format!("bytes={first}-")));
            if let Some(validator) = unchanged {
                headers.insert(header::IF_RANGE, value(validator));
            }
        }
    }
    headers
}

fn request(url: &Url, headers: HeaderMap) -> Request<Empty<Bytes>> {
    let mut request = Request::get(url.target()).body(Empty::new()).expect("a parsed URL has one");
    *request.headers_mut() = headers;
    request
}

/// One request on one connection; whoever stops waiting closes it.
async fn exchange(
    connection: Connection,
    request: Request<Empty<Bytes>>,
) -> Result<(Response<Incoming>, Driver, SendRequest<Empty<Bytes>>), hyper::Error> {
    let mut builder = Builder::new();
    let (mut sender, connection) =
        builder.max_buf_size(HEAD).handshake(TokioIo::new(connection)).await?;
    // The connection's own error reaches the request; its end is not the end of what it read.
    let mut driver: Driver = Box::pin(async {
        let _ = connection.await;
        pending().await
    });
    let response = tokio::select! {
        response = sender.send_request(request) => response?,
        never = driver.as_mut() => match never {},
    };
    Ok((response, driver, sender))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(fields: &[(HeaderName, &str)]) -> Head {
        let fields = fields.iter().map(|(name, value)| {
            (name.clone(), value.parse().expect("a value that a header may have"))
        });
        Head::read(200, &fields.collect())
    }

    #[test]
    fn only_what_tells_every_byte_from_another_is_a_validator() {
        let (now, then) = ("Mon, 23 Nov 2026 10:00:00 GMT", "Mon, 23 Nov 2026 09:00:00 GMT");
        let (tag, modified, date) = (header::ETAG, header::LAST_MODIFIED, header::DATE);
        let found = |fields: &[(HeaderName, &str)]| head(fields).validator;
        assert_eq!(found(&[(tag.clone(), "\"a\"")]), Some("\"a\"".to_owned()));
        assert_eq!(found(&[(tag.clone(), "W/\"a\"")]), None);
        let dated = [(modified.clone(), then), (date.clone(), now)];
        assert_eq!(found(&dated), Some(then.to_owned()));
        assert_eq!(found(&[(tag, "W/\"a\""), (modified.clone(), then), (date.clone(), now)]), None);
        // It may have changed again within the same second.
        assert_eq!(found(&[(modified.clone(), now), (date, now)]), None);
        assert_eq!(found(&[(modified, then)]), None);
    }

    #[test]
    fn a_content_range_says_where_it_begins_and_how_long_the_whole_is() {
        let range = |text: &str| head(&[(header::CONTENT_RANGE, text)]).range;
        let found = ContentRange { first: 5, total: Some(100) };
        assert_eq!(range("bytes 5-9/100"), Some(found));
        assert_eq!(range("bytes 5-9/*"), Some(ContentRange { total: None, ..found }));
        for odd in ["bytes */100", "lines 5-9/100", "bytes 5", "bytes x-9/100"] {
            assert_eq!(range(odd), None, "{odd}");
        }
    }
}
