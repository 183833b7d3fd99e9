//! One attempt at a download, which goes on where the last one stopped.
//!
//! ```text
//! look: 4 bytes ─▶ how long, does it fit ─▶ go on: the rest ─▶ … ─▶ whole ─▶ SHA-256 ─▶ KEY.raucb
//!   ▲                                        │ ▲                                │
//!   ├─ another content, or none to join ─────┘ └── cut: pause, while Patience   │
//!   └─ not what was offered, and of several answers: once more ─────────────────┘
//! ```
//!
//! Always true: only bytes are joined that a server says are of one content, or that are to have one digest in
//! the end; a server is not blamed for what another one sent; a good beginning is given up only for the beginning
//! of another bundle, so that what a captive portal says costs nothing; no byte is asked for twice of a server that serves ranges and names its content.

use super::patience::{DRY, Patience};
use super::writer::{Writer, unwritten};
use super::{
    Backoff, FetchPort, Kept, MAGIC, Missed, bundle_begins, content, is_content, network, refused,
    unanswered,
};
use crate::downloads::Record;
use crate::http::{Head, Opened, Part};
use std::time::Duration;
use steadfast_core::{Cause, Offer};
use tokio::time::sleep;

/// The longest pause between two connections of one attempt.
const PAUSE: Duration = Duration::from_secs(60);

/// How long the local disk may take for a block.
const DISK: Duration = Duration::from_secs(60);

/// One attempt at one offer.
pub(super) struct Attempt<'a> {
    offer: &'a Offer,
    port: &'a FetchPort,
    kept: &'a Kept,
    writer: Writer,
    patience: Patience,
    /// Whether it began anew since the last pause: a server that changes its mind each time is waited for.
    renewed: bool,
    origin: Origin,
}

/// Of how many contents the bytes may be that are here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Origin {
    /// Of one: this attempt had them from their beginning, in one answer or under one validator.
    One,
    /// Of several: they were here before, or nothing tells that their answers are of one content.
    Joined,
}

/// An attempt that is over, or was left, tells no progress any more.
struct Quiet<'a>(&'a Kept);

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        self.0.progress.send_replace(None);
    }
}

/// What is asked for next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Next {
    /// Its first bytes, to begin.
    Look,
    /// What is not here yet.
    GoOn,
    /// All of it: nobody could say whether a part belongs to what is here.
    Whole,
}

impl<'a> Attempt<'a> {
    /// Makes the attempt.
    pub(super) async fn at(
        offer: &'a Offer,
        port: &'a FetchPort,
        kept: &'a Kept,
    ) -> Result<(), Missed> {
        let _quiet = Quiet(kept);
        Attempt::make(offer, port, kept).await
    }

    async fn make(offer: &'a Offer, port: &'a FetchPort, kept: &'a Kept) -> Result<(), Missed> {
        if is_here(offer, kept).await? {
            return Ok(());
        }
        let (downloads, wanted) = (kept.downloads.clone(), offer.clone());
        let partial = kept.disk.run(move || downloads.open(&wanted)).await;
        let partial = partial.map_err(|error| unwritten(&error))?;
        let length = partial.length();
        tracing::info!(source = %offer.source, length, "the download goes on from here");
        let (writer, patience) = (Writer::new(partial, kept.disk.clone()), Patience::new(length));
        let origin = if length > 0 { Origin::Joined } else { Origin::One };
        Attempt { offer, port, kept, writer, patience, renewed: false, origin }.run().await
    }

    async fn run(mut self) -> Result<(), Missed> {
        let mut again = false;
        loop {
            self.come().await?;
            let Some(missed) = self.wrong().await? else { break };
            if self.origin == Origin::One || again {
                forget(self.offer, self.kept).await?;
                return Err(missed);
            }
            self.given_up("what was joined is not what was offered");
            self.restart().await?;
            (self.patience, again) = (Patience::new(0), true);
        }
        tracing::info!(source = %self.offer.source, length = self.writer.length(), "downloaded");
        self.writer.finish().await
    }

    /// Connects until all of it is here.
    async fn come(&mut self) -> Result<(), Missed> {
        let mut next = Next::GoOn;
        while !self.is_whole() {
            next = match self.connection(next).await {
                Ok(next) => next,
                Err(missed) if missed.cause == Cause::Network => {
                    self.writer.sync().await?;
                    self.pause(missed).await?;
                    self.renewed = false;
                    Next::GoOn
                }
                Err(missed) => return Err(missed),
            };
        }
        self.writer.sync().await
    }

    fn is_whole(&self) -> bool {
        self.record().is_some_and(|record| record.total == self.writer.length())
    }

    fn record(&self) -> Option<&Record> {
        self.writer.partial().record()
    }

    /// Whether what is here came from this very URL.
    fn same_source(&self) -> bool {
        self.record().is_some_and(|record| *record.source == *self.offer.source)
    }

    /// What tells the content at this URL that the bytes here are of.
    fn validator(&self) -> Option<&str> {
        self.record().filter(|_| self.same_source())?.validator.as_deref()
    }

    /// One connection: what is asked for after it.
    async fn connection(&mut self, next: Next) -> Result<Next, Missed> {
        let length = self.writer.length();
        let joins = self.offer.content.is_some() || self.validator().is_some();
        let part = match next {
            Next::Whole => Part::Whole,
            Next::GoOn if length > 0 && joins => {
                Part::From { first: length, unchanged: self.validator().map(str::to_owned) }
            }
            _ => Part::First(MAGIC.len()),
        };
        let (url, mut opened) = self.port.follow(&self.offer.source, &part).await?;
        let host = url.authority();
        match (opened.head.status, &part) {
            (206, Part::First(_)) => self.look(host, opened).await,
            (206, Part::From { first, .. }) => self.goes_on(host, &mut opened, *first).await,
            (200, Part::From { first, .. }) if self.is_same(&opened.head) => {
                // It serves no ranges. What is here is kept all the same: the connection may break again.
                let total = self.total(host, opened.head.length)?;
                self.joins(&opened.head);
                self.comes_from(opened.head.validator.clone(), total).await?;
                self.body(host, &mut opened, *first).await
            }
            (200, _) => self.whole(host, opened).await,
            (416, Part::From { .. }) => self.anew(host, "it has fewer bytes now"),
            (206, _) => {
                Err(network(format_args!("{host} answered 206 to a request for the whole")))
            }
            (status, _) => Err(refused(host, status)),
        }
    }

    /// The first bytes: what is offered, and whether it fits.
    async fn look(&mut self, host: &str, mut opened: Opened) -> Result<Next, Missed> {
        let range = opened.head.range.filter(|range| range.first == 0);
        let total = self.total(host, range.and_then(|range| range.total))?;
        let first = opened.first(MAGIC.len()).await.map_err(unanswered)?;
        let begins = bundle_begins(&self.offer.source, &first);
        // Where a good beginning is here already, what is none is somebody else's answer.
        begins.map_err(|damaged| match self.writer.length() {
            0 => damaged,
            _ => something_else(host),
        })?;
        if opened.head.validator.is_none() && self.offer.content.is_none() {
            return Ok(Next::Whole);
        }
        self.restart().await?;
        self.comes_from(opened.head.validator, total).await?;
        self.writer.append(&first).await?;
        self.patience.saw(first.len() as u64, self.writer.length());
        Ok(Next::GoOn)
    }

    /// The rest, if it is still of the same content.
    async fn goes_on(
        &mut self,
        host: &str,
        opened: &mut Opened,
        first: u64,
    ) -> Result<Next, Missed> {
        let Some(range) = opened.head.range.filter(|range| range.first == first) else {
            let evidence = format_args!("{host} sent other bytes than those from {first} on");
            return Err(network(evidence));
        };
        let known = self.record().map(|record| record.total);
        let total = self.total(host, range.total.or(known))?;
        if known.is_some_and(|known| known != total) {
            return self.anew(host, "it has another length now");
        }
        let (ours, theirs) = (self.validator(), opened.head.validator.as_deref());
        if ours.is_some() && theirs.is_some() && ours != theirs {
            return self.anew(host, "its content was exchanged");
        }
        let validator = theirs.or(ours).map(str::to_owned);
        self.joins(&opened.head);
        self.comes_from(validator, total).await?;
        self.body(host, opened, 0).await
    }

    /// All of it, whatever is here. What is no bundle is the word of somebody in between: of a portal before the
    /// login, say, who answers 200 to whatever is asked.
    async fn whole(&mut self, host: &str, mut opened: Opened) -> Result<Next, Missed> {
        let total = self.total(host, opened.head.length)?;
        let mut first = Vec::new();
        while first.len() < MAGIC.len() {
            let Some(data) = opened.chunk().await.map_err(unanswered)? else { break };
            first.extend_from_slice(&data);
        }
        if !first.starts_with(&MAGIC) {
            return Err(something_else(host));
        }
        self.given_up("it can be had only as a whole, or was exchanged");
        self.restart().await?;
        self.comes_from(opened.head.validator.clone(), total).await?;
        self.take(host, &first).await?;
        self.body(host, &mut opened, 0).await
    }

    /// The body of an answer, without so many bytes of it that are here already.
    async fn body(&mut self, host: &str, opened: &mut Opened, skip: u64) -> Result<Next, Missed> {
        let (before, mut skip) = (self.writer.length(), skip);
        while !self.is_whole() {
            let Some(data) = opened.chunk().await.map_err(unanswered)? else { break };
            let known = usize::try_from(skip).unwrap_or(usize::MAX).min(data.len());
            skip -= known as u64;
            self.patience.saw(known as u64, before);
            self.take(host, &data[known..]).await?;
        }
        match self.writer.length() > before || self.is_whole() {
            true => Ok(Next::GoOn),
            false => Err(network(format_args!("{host} ended its answer before its end"))),
        }
    }

    /// Bytes that belong behind those that are here.
    async fn take(&mut self, host: &str, bytes: &[u8]) -> Result<(), Missed> {
        let total = self.record().map_or(0, |record| record.total);
        if bytes.len() as u64 > total.saturating_sub(self.writer.length()) {
            return Err(network(format_args!("{host} sends more than the {total} bytes it named")));
        }
        self.writer.append(bytes).await?;
        let length = self.writer.length();
        self.patience.saw(bytes.len() as u64, length);
        self.tell(length, total);
        match self.patience.too_little() {
            None => Ok(()),
            Some(came) => Err(network(format_args!("{host} sent {came} bytes in five minutes"))),
        }
    }

    /// How long the whole is: what nobody knows cannot be said to fit, nor to be whole.
    fn total(&self, host: &str, said: Option<u64>) -> Result<u64, Missed> {
        match said {
            Some(0) => Err(refused(host, 416)),
            Some(total) => Ok(total),
            None => Err(network(format_args!("{host} does not say how long the bundle is"))),
        }
    }

    /// Whether an answer with the whole has the content that is here.
    fn is_same(&self, head: &Head) -> bool {
        let total = self.record().map(|record| record.total);
        let (ours, theirs) = (self.validator(), head.validator.as_deref());
        let exchanged = ours.is_some() && ours != theirs;
        total == head.length && !exchanged && (ours.is_some() || self.offer.content.is_some())
    }

    /// Notes what an answer says of the bytes that it goes on from.
    fn joins(&mut self, head: &Head) {
        if self.validator().is_none_or(|ours| head.validator.as_deref() != Some(ours)) {
            self.origin = Origin::Joined;
        }
    }

    async fn comes_from(&mut self, validator: Option<String>, total: u64) -> Result<(), Missed> {
        let source = self.offer.source.clone();
        let noted = move |partial: &mut crate::downloads::Partial| {
            partial.comes_from(&source, validator.as_deref(), total)
        };
        self.writer.with(noted).await
    }

    /// What is here is of no use: begins with another look.
    fn anew(&mut self, host: &str, because: &str) -> Result<Next, Missed> {
        self.given_up(because);
        match std::mem::replace(&mut self.renewed, true) {
            false => Ok(Next::Look),
            true => Err(network(format_args!("{host} keeps changing it: {because}"))),
        }
    }

    fn given_up(&self, because: &str) {
        let (source, length) = (&self.offer.source, self.writer.length());
        if length > 0 {
            tracing::warn!(%source, length, because, "the download begins anew");
        }
    }

    /// Waits before the next connection, unless the attempt is over.
    async fn pause(&mut self, missed: Missed) -> Result<(), Missed> {
        let Some((dry, left)) = self.patience.again() else { return Err(missed) };
        let length = self.writer.length();
        tracing::info!(source = %self.offer.source, length, %missed, dry, most = DRY, "cut off");
        let backoff = Backoff { cap: PAUSE, ..self.port.backoff };
        sleep(backoff.before(dry.saturating_add(1)).min(left)).await;
        Ok(())
    }

    /// Tells each percent and each MiB.
    fn tell(&self, length: u64, total: u64) {
        let percent = u8::try_from(length.saturating_mul(100) / total.max(1)).unwrap_or(100);
        let told = Some((percent, format!("{} of {} MiB", length >> 20, total.div_ceil(1 << 20))));
        self.kept.progress.send_if_modified(|last| {
            let news = *last != told;
            *last = told;
            news
        });
    }

    /// Why what is here is not what was offered, if it is not. The error is the disk's.
    async fn wrong(&self) -> Result<Option<Missed>, Missed> {
        let Some(content) = self.offer.content else { return Ok(None) };
        self.kept.progress.send_replace(Some((100, "checking its SHA-256".to_owned())));
        match content::sha256(self.writer.partial().path(), DISK).await {
            Ok(found) => Ok(is_content(found, content).err()),
            Err(error) => {
                forget(self.offer, self.kept).await?;
                Err(unreadable(self.kept, error))
            }
        }
    }

    /// Forgets all that came.
    async fn restart(&mut self) -> Result<(), Missed> {
        self.origin = Origin::One;
        self.writer.restart().await
    }
}

fn something_else(host: &str) -> Missed {
    network(format_args!("{host} sent something else"))
}

/// Whether the whole bundle is here, and is what was offered. What lay on a disk is read again before it is
/// believed.
async fn is_here(offer: &Offer, kept: &Kept) -> Result<bool, Missed> {
    let place = kept.downloads.place(offer).filter(|place| place.is_file());
    let Some((place, content)) = place.map(|place| (place, offer.content)) else {
        return Ok(false);
    };
    let Some(content) = content else { return Ok(true) };
    match content::sha256(&place, DISK).await {
        Ok(found) if found == content => return Ok(true),
        Ok(found) => tracing::warn!(%found, %content, "the downloaded bundle is damaged"),
        Err(error) => tracing::warn!(%error, "the downloaded bundle cannot be read"),
    }
    forget(offer, kept).await?;
    Ok(false)
}

/// Removes what is of no use.
async fn forget(offer: &Offer, kept: &Kept) -> Result<(), Missed> {
    let (downloads, offer) = (kept.downloads.clone(), offer.clone());
    let forgotten = kept.disk.run(move || downloads.forget(&offer)).await;
    forgotten.map_err(|error| unreadable(kept, error))
}

/// The node's own disk fails.
fn unreadable(kept: &Kept, source: std::io::Error) -> Missed {
    unwritten(&kept.downloads.unwritten(source))
}

#[cfg(test)]
mod tests;
