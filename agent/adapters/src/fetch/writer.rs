//! What writes a download, beside the agent's one thread: a slow disk must not hold up the watchdog.

use super::Missed;
use crate::downloads::{DownloadError, Partial};
use crate::http::in_words;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use steadfast_core::{Cause, Failure};
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

/// How much is handed to the kernel at once, in bytes; so much is in memory.
const BLOCK: usize = 64 << 10;

/// After how many bytes they are synced: what a power cut costs again, at most. A sync costs some ten
/// milliseconds on an eMMC, which writes 4 MiB in a hundred or more.
pub(super) const STRIDE: u64 = 4 << 20;

/// After how long bytes are synced although they are few: on a slow link 4 MiB are hours of work.
pub(super) const REST: Duration = Duration::from_secs(30);

/// One writer of one partial download.
pub(super) struct Writer {
    /// Away only while a write is under way.
    partial: Option<Partial>,
    buffer: Vec<u8>,
    unsynced: u64,
    synced_at: Instant,
    disk: Disk,
}

impl Writer {
    pub(super) fn new(partial: Partial, disk: Disk) -> Writer {
        let (buffer, unsynced, synced_at) = (Vec::new(), 0, Instant::now());
        Writer { partial: Some(partial), buffer, unsynced, synced_at, disk }
    }

    /// What was written.
    pub(super) fn partial(&self) -> &Partial {
        self.partial.as_ref().expect("it is put back after each write")
    }

    /// How many bytes came, those in memory too.
    pub(super) fn length(&self) -> u64 {
        self.partial().length() + self.buffer.len() as u64
    }

    /// Takes bytes, and syncs those before them in good time.
    pub(super) async fn append(&mut self, bytes: &[u8]) -> Result<(), Missed> {
        self.buffer.extend_from_slice(bytes);
        let late = self.synced_at.elapsed() >= REST;
        if self.buffer.len() >= BLOCK || late {
            self.write().await?;
        }
        if self.unsynced >= STRIDE || late { self.sync().await } else { Ok(()) }
    }

    /// Makes sure that no power cut takes away what came.
    pub(super) async fn sync(&mut self) -> Result<(), Missed> {
        self.write().await?;
        if self.unsynced > 0 {
            self.with(Partial::sync).await?;
        }
        (self.unsynced, self.synced_at) = (0, Instant::now());
        Ok(())
    }

    /// Forgets all that came, to begin with the first byte again.
    pub(super) async fn restart(&mut self) -> Result<(), Missed> {
        self.buffer.clear();
        self.unsynced = 0;
        self.with(Partial::restart).await
    }

    async fn write(&mut self) -> Result<(), Missed> {
        let bytes = std::mem::take(&mut self.buffer);
        self.unsynced += bytes.len() as u64;
        self.with(move |partial| partial.append(&bytes)).await
    }

    /// Gives the bundle its name.
    pub(super) async fn finish(mut self) -> Result<(), Missed> {
        let partial = self.partial.take().expect("it is put back after each write");
        let finished = self.disk.run(move || partial.finish()).await;
        finished.map_err(|error| unwritten(&error))
    }

    /// Does something with the file where it may take its time.
    pub(super) async fn with(
        &mut self,
        work: impl FnOnce(&mut Partial) -> Result<(), DownloadError> + Send + 'static,
    ) -> Result<(), Missed> {
        let mut partial = self.partial.take().expect("it is put back after each write");
        let work = move || {
            let done = work(&mut partial);
            (partial, done)
        };
        let (partial, done) = self.disk.run(work).await;
        self.partial = Some(partial);
        done.map_err(|error| unwritten(&error))
    }
}

/// The disk that the downloads are on. What is done there is done one after the other, and to its end even where
/// nobody waits for that any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Disk(Arc<Mutex<()>>);

impl Disk {
    /// Does something that may take its time on a thread of its own.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> T + Send + 'static,
    ) -> T {
        let alone = Arc::clone(&self.0).lock_owned().await;
        let work = move || {
            let _alone = alone;
            work()
        };
        spawn_blocking(work).await.expect("what is done there does not panic and is waited for")
    }
}

/// What a file system that does not take a bundle means.
pub(super) fn unwritten(error: &DownloadError) -> Missed {
    use ErrorKind::{FileTooLarge, QuotaExceeded, StorageFull};
    let cause = match error {
        DownloadError::Full { .. } => Cause::Space,
        DownloadError::Write { source, .. } => match source.kind() {
            StorageFull | QuotaExceeded | FileTooLarge => Cause::Space,
            _ => Cause::Write,
        },
    };
    Box::new(Failure::new(cause, format_args!("{}", in_words(error))))
}
