//! Whether a bundle is at hand: a file that can be read, or a server that it can be streamed from.
//!
//! ```text
//! Fetch(attempt) ─pause─┬─ a path ── a regular file ─────────────────┬─ "hsqs" ─▶ Fetched(Ok)
//!                       └─ a URL ─── up to 5 redirects, 206, 4 bytes ┘
//! ```
//!
//! Always true: nothing is stored, because RAUC streams; every attempt ends within its limits; a
//! cause that cannot pass by itself is never called `network`.
//!
//! Only the first four bytes are read. Whether the bundle is whole and signed is RAUC's to say, and
//! it reads the bundle with range requests (RAUC integration, "HTTP(S) Streaming").

mod pause;
#[cfg(test)]
mod tests;

pub use pause::Backoff;

use crate::http::{Answer, Client, HttpError, Limits, Part, Url, UrlError, in_words};
use std::io;
use std::time::Duration;
use steadfast_core::{Cause, Event, Failure, Offer, Port};
use tokio::io::AsyncReadExt;
use tokio::time::{sleep, timeout};

/// How a squashfs begins (kernel, `fs/squashfs/squashfs_fs.h`, `SQUASHFS_MAGIC` little-endian): a
/// bundle of the formats `plain` and `verity` is one.
const MAGIC: [u8; 4] = *b"hsqs";

/// How many redirects are followed.
const REDIRECTS: usize = 5;

/// The limits of a node that nobody configured: 20 s for each.
pub const LIMITS: Limits =
    Limits { connect: Duration::from_secs(20), answer: Duration::from_secs(20) };

/// The order to make a bundle available.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fetch {
    /// What was offered.
    pub offer: Offer,
    /// Which attempt this is; the first is 1.
    pub attempt: u8,
}

/// Looks at where a bundle is offered.
pub struct FetchPort {
    http: Client,
    limits: Limits,
    backoff: Backoff,
}

impl FetchPort {
    /// A port that waits as `backoff` says and gives each server and each file these limits.
    pub fn new(http: Client, limits: Limits, backoff: Backoff) -> FetchPort {
        FetchPort { http, limits, backoff }
    }

    async fn look(&self, source: &str) -> Result<(), Missed> {
        let first = match source.split_once("://") {
            _ if source.starts_with('/') => self.file(source).await?,
            Some((scheme, _)) if is_http(scheme) => self.server(source).await?,
            Some((scheme, _)) => {
                return Err(none(format_args!("{scheme} is no known way to a bundle")));
            }
            None => return Err(none(format_args!("{source} is neither a URL nor a whole path"))),
        };
        match first == MAGIC {
            true => Ok(()),
            false => Err(Box::new(Failure::new(
                Cause::Damaged,
                format_args!("{source} is not a bundle"),
            ))),
        }
    }

    /// The first bytes of a file. A medium that stopped answering is given up.
    async fn file(&self, path: &str) -> Result<Vec<u8>, Missed> {
        let unreadable =
            |error: io::Error| none(format_args!("{path} cannot be read: {}", in_words(&error)));
        let read = async {
            let found = tokio::fs::metadata(path).await.map_err(unreadable)?;
            if !found.is_file() {
                return Err(none(format_args!("{path} is not a file")));
            }
            if found.len() == 0 {
                return Err(none(format_args!("{path} is empty")));
            }
            let file = tokio::fs::File::open(path).await.map_err(unreadable)?;
            let mut first = Vec::new();
            file.take(MAGIC.len() as u64).read_to_end(&mut first).await.map_err(unreadable)?;
            Ok(first)
        };
        let limit = self.limits.answer;
        timeout(limit, read).await.unwrap_or_else(|_| {
            Err(none(format_args!("{path} could not be read within {limit:?}")))
        })
    }

    /// The first bytes of what a server has, wherever it sends us.
    async fn server(&self, source: &str) -> Result<Vec<u8>, Missed> {
        let unusable = |error: UrlError| none(format_args!("{source}: {error}"));
        let mut url = Url::parse(source).map_err(unusable)?;
        for _ in 0..=REDIRECTS {
            let asked = self.http.get(&url, Part::First(MAGIC.len()), self.limits).await;
            match self.answer(&url, asked)? {
                Found::First(first) => return Ok(first),
                Found::Elsewhere(location) => {
                    url = url.join(&location).map_err(|error| {
                        let from = url.authority();
                        network(format_args!("{from} redirects to {location}: {error}"))
                    })?;
                }
            }
        }
        Err(network(format_args!(
            "more than {REDIRECTS} redirects, the last to {}",
            url.authority()
        )))
    }

    /// What an answer means.
    fn answer(&self, url: &Url, asked: Result<Answer, HttpError>) -> Result<Found, Missed> {
        let host = url.authority();
        let answer = asked.map_err(|error| network(format_args!("{}", in_words(&error))))?;
        match answer.status {
            206 => Ok(Found::First(answer.first)),
            200 => Err(network(format_args!(
                "{host} does not serve ranges, which streaming a bundle needs"
            ))),
            301 | 302 | 303 | 307 | 308 => answer.location.map(Found::Elsewhere).ok_or_else(|| {
                network(format_args!("{host} answered {} without a Location", answer.status))
            }),
            416 => Err(none(format_args!("{host} has an empty file there"))),
            status @ (408 | 425 | 429) => Err(network(format_args!("{host} answered {status}"))),
            status @ 400..500 => Err(none(format_args!("{host} answered {status}"))),
            status => Err(network(format_args!("{host} answered {status}"))),
        }
    }
}

/// Why there is no bundle; boxed, because it is large and rare.
type Missed = Box<Failure>;

/// What a server gave.
enum Found {
    First(Vec<u8>),
    Elsewhere(String),
}

impl Port for FetchPort {
    type Action = Fetch;

    async fn perform(&mut self, Fetch { offer, attempt }: Fetch) -> Event {
        sleep(self.backoff.before(attempt)).await;
        let looked = self.look(&offer.source).await;
        if let Err(failure) = &looked {
            tracing::info!(source = %offer.source, attempt, %failure, "no bundle");
        }
        Event::Fetched(looked.map_err(|missed| *missed))
    }
}

fn is_http(scheme: &str) -> bool {
    ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

fn none(evidence: std::fmt::Arguments<'_>) -> Missed {
    Box::new(Failure::new(Cause::Source, evidence))
}

fn network(evidence: std::fmt::Arguments<'_>) -> Missed {
    Box::new(Failure::new(Cause::Network, evidence))
}
