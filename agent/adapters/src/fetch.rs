//! Making a bundle available: a file that can be read, a server that it can be streamed from, or a copy of its own.
//!
//! ```text
//! Fetch(attempt) ─pause─┬─ a path ─── a regular file ───────────────────┬─ "hsqs" ─▶ Fetched(Ok)
//!                       └─ a URL ─── up to 5 redirects, 206, 4 bytes ─┬─┘
//!                                                                     └─ downloading: all of it
//! ```
//!
//! Always true: every attempt ends within its limits; a cause that cannot pass by itself is never called
//! `network`; a path is never copied, and nothing is stored while RAUC streams.
//!
//! RAUC streams with range requests (RAUC integration, "HTTP(S) Streaming"), so of a streamed bundle four
//! bytes are read here, and whether it is whole and signed is RAUC's to say. Over a link on which streaming
//! fails, the node downloads first ([`FetchPort::downloading`]).

mod content;
mod download;
mod patience;
mod pause;
#[cfg(test)]
mod tests;
mod writer;

pub use pause::Backoff;

use crate::downloads::Downloads;
use crate::http::{Client, HttpError, Limits, Opened, Part, Url, UrlError, in_words};
use crate::rauc::Progress;
use download::Attempt;
use std::io;
use std::path::Path;
use std::time::Duration;
use steadfast_core::{Cause, Digest, Event, Failure, Offer, Port};
use tokio::io::AsyncReadExt;
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use writer::Disk;

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

/// Looks at where a bundle is offered, and downloads it where the node is set to.
pub struct FetchPort {
    http: Client,
    limits: Limits,
    backoff: Backoff,
    kept: Option<Kept>,
}

/// Where a download goes, and who is told how far it is.
struct Kept {
    downloads: Downloads,
    progress: watch::Sender<Progress>,
    /// One write at a time: that of an attempt that was left ends before the next one looks at what is there.
    disk: Disk,
}

impl FetchPort {
    /// A port that waits as `backoff` says and gives each server and each file these limits. It downloads
    /// nothing: RAUC streams.
    pub fn new(http: Client, limits: Limits, backoff: Backoff) -> FetchPort {
        FetchPort { http, limits, backoff, kept: None }
    }

    /// The same port, downloading what a server offers before RAUC reads it.
    pub fn downloading(self, downloads: Downloads, progress: watch::Sender<Progress>) -> FetchPort {
        FetchPort { kept: Some(Kept { downloads, progress, disk: Disk::default() }), ..self }
    }

    async fn look(&self, offer: &Offer) -> Result<(), Missed> {
        let source = offer.source.as_str();
        let first = match source.split_once("://") {
            _ if source.starts_with('/') => {
                let first = self.file(source).await?;
                return self.file_is_right(source, &first, offer.content).await;
            }
            Some((scheme, _)) if is_http(scheme) => match &self.kept {
                Some(kept) => return Attempt::at(offer, self, kept).await,
                None => self.server(source).await?,
            },
            Some((scheme, _)) => {
                return Err(none(format_args!("{scheme} is no known way to a bundle")));
            }
            None => return Err(none(format_args!("{source} is neither a URL nor a whole path"))),
        };
        bundle_begins(source, &first)
    }

    /// Whether a file is a bundle, and the one that was offered where that is known.
    async fn file_is_right(
        &self,
        path: &str,
        first: &[u8],
        content: Option<Digest>,
    ) -> Result<(), Missed> {
        bundle_begins(path, first)?;
        let Some(content) = content else { return Ok(()) };
        let found = content::sha256(Path::new(path), self.limits.answer).await;
        let unreadable = |error| none(format_args!("{path} cannot be read: {}", in_words(&error)));
        is_content(found.map_err(unreadable)?, content)
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

    /// The first bytes of what a server has.
    async fn server(&self, source: &str) -> Result<Vec<u8>, Missed> {
        let (url, mut opened) = self.follow(source, &Part::First(MAGIC.len())).await?;
        let host = url.authority();
        match opened.head.status {
            206 => opened.first(MAGIC.len()).await.map_err(unanswered),
            200 => Err(network(format_args!(
                "{host} does not serve ranges, which streaming a bundle needs"
            ))),
            status => Err(refused(host, status)),
        }
    }

    /// The answer for this part of what a server has, wherever it sends us.
    async fn follow(&self, source: &str, part: &Part) -> Result<(Url, Opened), Missed> {
        let unusable = |error: UrlError| none(format_args!("{source}: {error}"));
        let mut url = Url::parse(source).map_err(unusable)?;
        for _ in 0..=REDIRECTS {
            let opened = self.http.open(&url, part, self.limits).await.map_err(unanswered)?;
            let (from, status) = (url.authority(), opened.head.status);
            if !matches!(status, 301 | 302 | 303 | 307 | 308) {
                return Ok((url, opened));
            }
            let location = opened.head.location.ok_or_else(|| {
                network(format_args!("{from} answered {status} without a Location"))
            })?;
            url = url.join(&location).map_err(|error| {
                network(format_args!("{from} redirects to {location}: {error}"))
            })?;
        }
        Err(network(format_args!(
            "more than {REDIRECTS} redirects, the last to {}",
            url.authority()
        )))
    }
}

/// Why there is no bundle; boxed, because it is large and rare.
type Missed = Box<Failure>;

impl Port for FetchPort {
    type Action = Fetch;

    async fn perform(&mut self, Fetch { offer, attempt }: Fetch) -> Event {
        sleep(self.backoff.before(attempt)).await;
        let looked = self.look(&offer).await;
        if let Err(failure) = &looked {
            tracing::info!(source = %offer.source, attempt, %failure, "no bundle");
        }
        Event::Fetched(looked.map_err(|missed| *missed))
    }
}

fn is_http(scheme: &str) -> bool {
    ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known))
}

/// What a status means that is no answer to what was asked for.
fn refused(host: &str, status: u16) -> Missed {
    match status {
        416 => none(format_args!("{host} has an empty file there")),
        408 | 425 | 429 => network(format_args!("{host} answered {status}")),
        400..500 => none(format_args!("{host} answered {status}")),
        _ => network(format_args!("{host} answered {status}")),
    }
}

fn bundle_begins(source: &str, first: &[u8]) -> Result<(), Missed> {
    match first == MAGIC {
        true => Ok(()),
        false => Err(damaged(format_args!("{source} is not a bundle"))),
    }
}

/// Whether these are the bytes that were offered.
fn is_content(found: Digest, content: Digest) -> Result<(), Missed> {
    match found == content {
        true => Ok(()),
        false => Err(damaged(format_args!("SHA-256 {found}, not {content}"))),
    }
}

fn unanswered(error: HttpError) -> Missed {
    network(format_args!("{}", in_words(&error)))
}

fn damaged(evidence: std::fmt::Arguments<'_>) -> Missed {
    Box::new(Failure::new(Cause::Damaged, evidence))
}

fn none(evidence: std::fmt::Arguments<'_>) -> Missed {
    Box::new(Failure::new(Cause::Source, evidence))
}

fn network(evidence: std::fmt::Arguments<'_>) -> Missed {
    Box::new(Failure::new(Cause::Network, evidence))
}
