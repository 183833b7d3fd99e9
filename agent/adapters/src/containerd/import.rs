//! Bringing an image of a set into the store.
//!
//! ```text
//! each layer: blob ─▶ content ─ apply ─▶ snapshot     held against its digest, then against its diff id
//! configuration, manifest ─▶ content ─ syncfs ─▶ image record
//! ```
//!
//! Always true: the record is the last thing that is made; the layers as they came are not kept, for the archive on the
//! node has them.

use super::connection::{leased, ours};
use super::error::{ContainerdError, or_absent};
use super::image::{CONFIG, Configuration, PRESENT};
use super::{Containerd, PresentImage, SNAPSHOTTER};
use crate::ledger_file::sha256;
use crate::workload_set::{Archive, ArchiveError, ArchivedImage, Blob};
use containerd_client::services::v1::snapshots::{
    CommitSnapshotRequest, PrepareSnapshotRequest, RemoveSnapshotRequest,
};
use containerd_client::services::v1::{
    AbortRequest, AddResourceRequest, ApplyRequest, CreateImageRequest, Image, InfoRequest,
    ListRequest, Resource, UpdateImageRequest, WriteAction, WriteContentRequest,
};
use containerd_client::types::Descriptor;
use futures_util::Stream;
use futures_util::stream::poll_fn;
use std::collections::HashMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::task::spawn_blocking;

/// How long a layer may take to be written or unpacked, on a slow disk.
const LAYER: Duration = Duration::from_secs(1800);
/// How much of a blob is in one message, and how many messages may wait, so that no blob is ever in memory.
const CHUNK: usize = 256 << 10;
const WAITING: usize = 2;

/// What the leases of images on their way begin with.
const LEASE: &str = "import-";

type Labels = HashMap<String, String>;

impl Containerd {
    /// Lets go of what an agent that ended had begun to bring in. Nothing may be on its way.
    pub(super) async fn release_left(&self) -> Result<(), ContainerdError> {
        let mut leases = self.connection.client().await?.leases();
        let listed = leases.list(ours(ListRequest::default()));
        let listed = self.connection.call("list what it keeps", listed).await?.leases;
        for lease in listed.iter().filter(|lease| lease.id.starts_with(LEASE)) {
            self.release(&lease.id).await?;
        }
        Ok(())
    }

    /// Brings an image of a set into the store, if it is not there already. One that was cut off is gone on with.
    pub async fn import(
        &self,
        archive: Arc<Archive>,
        reference: &str,
    ) -> Result<PresentImage, ContainerdError> {
        let _alone = self.importing.lock().await;
        if let Some(present) = self.image(reference).await? {
            return Ok(present);
        }
        let image = archive.image(reference)?;
        let image = image.ok_or_else(|| ContainerdError::NoImage(reference.to_owned()))?;
        // Nothing refers to what is brought in before the record is made.
        let lease = format!("{LEASE}{}", image.manifest.digest());
        self.lease(&lease).await?;
        let bring = Bring { containerd: self, archive, image, reference, lease: &lease };
        let brought = bring.all().await;
        let released = self.release(&lease).await;
        let brought = brought?;
        released.map(|()| brought)
    }
}

/// One image on its way.
struct Bring<'b> {
    containerd: &'b Containerd,
    archive: Arc<Archive>,
    image: ArchivedImage,
    reference: &'b str,
    lease: &'b str,
}

impl Bring<'_> {
    async fn all(&self) -> Result<PresentImage, ContainerdError> {
        let bytes = self.archive.document(&self.image.config)?;
        let configuration: Configuration = serde_json::from_slice(&bytes)
            .map_err(|source| ContainerdError::Configuration(self.reference.to_owned(), source))?;
        let diff_ids = &configuration.rootfs.diff_ids;
        let chains = chains(diff_ids);
        let there = self.forget_what_lost_its_files(&chains).await?;
        let layers = self.image.layers.iter().zip(diff_ids).zip(&chains);
        for (at, ((layer, diff_id), chain)) in layers.enumerate().skip(there) {
            let parent = at.checked_sub(1).map_or("", |below| chains[below].as_str());
            self.write(layer, Labels::new()).await?;
            self.unpack(layer, diff_id, (parent, chain)).await?;
        }
        let chain = chains.last().cloned().unwrap_or_default();
        let refers = |to: &str, it: String| (format!("containerd.io/gc.ref.{to}"), it);
        let snapshot = refers(&format!("snapshot.{SNAPSHOTTER}"), chain.clone());
        self.write(&self.image.config, Labels::from([snapshot])).await?;
        let config = format!("sha256:{}", self.image.config.digest());
        let config_label = refers("content.config", config.clone());
        self.write(&self.image.manifest, Labels::from([config_label])).await?;
        sync(&self.containerd.places.root).await?;
        self.record(&chain, config).await?;
        let (reference, digest) = (self.reference.to_owned(), self.image.manifest.digest());
        Ok(PresentImage { reference, digest, config: configuration.config, chain })
    }

    /// How many of the layers are there, from the lowest on. A name whose files are lost would be in the way of the same
    /// layer: it is forgotten, with those on top of it.
    async fn forget_what_lost_its_files(
        &self,
        chains: &[String],
    ) -> Result<usize, ContainerdError> {
        let mut there = 0;
        for chain in chains {
            self.hold(&format!("snapshots/{SNAPSHOTTER}"), chain).await?;
            if !self.containerd.has_layers(chain).await? {
                break;
            }
            there += 1;
        }
        let connection = &self.containerd.connection;
        let mut snapshots = connection.client().await?.snapshots();
        for chain in chains[there..].iter().rev() {
            let (snapshotter, key) = (SNAPSHOTTER.to_owned(), chain.clone());
            let removed = snapshots.remove(ours(RemoveSnapshotRequest { snapshotter, key }));
            or_absent(connection.call("forget a layer", removed).await)?;
        }
        Ok(there)
    }

    /// Keeps it from being collected from now on, if it is there: nothing else may refer to it any more.
    async fn hold(&self, kind: &str, id: &str) -> Result<(), ContainerdError> {
        let connection = &self.containerd.connection;
        let mut leases = connection.client().await?.leases();
        let resource = Resource { id: id.to_owned(), r#type: kind.to_owned() };
        let request = AddResourceRequest { id: self.lease.to_owned(), resource: Some(resource) };
        let held = leases.add_resource(ours(request));
        connection.call("keep what is there of an image", held).await.map(drop)
    }

    /// Writes a blob, unless it is there.
    async fn write(&self, blob: &Blob, labels: Labels) -> Result<(), ContainerdError> {
        let mut content = self.containerd.connection.client().await?.content();
        let connection = &self.containerd.connection;
        let digest = format!("sha256:{}", blob.digest());
        self.hold("content", &digest).await?;
        let there = content.info(leased(InfoRequest { digest: digest.clone() }, self.lease));
        if or_absent(connection.call("show a part of an image", there).await)?.info.is_some() {
            return Ok(());
        }
        // What a cut left of it is begun anew: it is not known how much of that is on the disk.
        let reference = format!("import-{}", blob.digest());
        let aborted = content.abort(ours(AbortRequest { r#ref: reference.clone() }));
        or_absent(connection.call("begin a part of an image anew", aborted).await)?;
        let (sender, messages) = channel(WAITING);
        let (archive, copied) = (Arc::clone(&self.archive), blob.clone());
        let parts = Parts { sender, reference, digest, total: blob.size(), at: 0 };
        let copying = spawn_blocking(move || parts.copy(&archive, &copied, labels));
        let written = content.write(leased(stream(messages), self.lease));
        let written = connection.long_call("take a part of an image", LAYER, written).await;
        let ended = match written {
            Ok(mut answers) => loop {
                let answer = async { answers.message().await.map(tonic::Response::new) };
                match connection.long_call("take a part of an image", LAYER, answer).await {
                    Ok(Some(_)) => {}
                    Ok(None) => break Ok(()),
                    Err(error) => break Err(error),
                }
            },
            Err(error) => Err(error),
        };
        let copied =
            copying.await.unwrap_or_else(|_| Err(ArchiveError::To(io::Error::other("ended"))));
        match (copied, ended) {
            (_, Err(error)) if error.is_there() => Ok(()),
            // The archive's own fault is the reason; that the other end then misses something is not.
            (Err(source @ ArchiveError::From(_)), _) => {
                Err(ContainerdError::Blob { digest: blob.digest(), source })
            }
            (_, ended) => ended,
        }
    }

    /// Unpacks a layer on top of the ones below it.
    async fn unpack(
        &self,
        layer: &Blob,
        diff_id: &str,
        (parent, chain): (&str, &str),
    ) -> Result<(), ContainerdError> {
        let connection = &self.containerd.connection;
        let client = connection.client().await?;
        let (mut snapshots, mut diff) = (client.snapshots(), client.diff());
        let snapshotter = || SNAPSHOTTER.to_owned();
        let key = format!("unpack-{chain}");
        let request = RemoveSnapshotRequest { snapshotter: snapshotter(), key: key.clone() };
        let removed = snapshots.remove(ours(request.clone()));
        or_absent(connection.call("forget half a layer", removed).await)?;
        let prepare = PrepareSnapshotRequest {
            snapshotter: snapshotter(),
            key: key.clone(),
            parent: parent.to_owned(),
            ..PrepareSnapshotRequest::default()
        };
        let made = snapshots.prepare(leased(prepare, self.lease));
        let mounts = connection.call("make room for a layer", made).await?.mounts;
        let apply = ApplyRequest {
            diff: Some(descriptor(layer)),
            mounts,
            sync_fs: true,
            ..ApplyRequest::default()
        };
        let applied = diff.apply(leased(apply, self.lease));
        let applied = connection.long_call("unpack a layer", LAYER, applied).await?.applied;
        let found = applied.map(|applied| applied.digest).unwrap_or_default();
        if found != diff_id {
            let removed = snapshots.remove(ours(request));
            or_absent(connection.call("forget a layer", removed).await)?;
            let (reference, wanted) = (self.reference.to_owned(), diff_id.to_owned());
            return Err(ContainerdError::Layer { reference, wanted, found });
        }
        // containerd writes a name at once and files when it likes: no name may outlive a cut that its files do not.
        sync(&self.containerd.places.root).await?;
        let commit = CommitSnapshotRequest {
            snapshotter: snapshotter(),
            name: chain.to_owned(),
            key,
            ..CommitSnapshotRequest::default()
        };
        let committed = snapshots.commit(leased(commit, self.lease));
        match connection.call("keep a layer", committed).await {
            Err(error) if error.is_there() => Ok(()),
            committed => committed,
        }
    }

    /// Says that the image is here.
    async fn record(&self, chain: &str, config: String) -> Result<(), ContainerdError> {
        let connection = &self.containerd.connection;
        let mut images = connection.client().await?.images();
        let labels = [(PRESENT, chain.to_owned()), (CONFIG, config)];
        let image = Image {
            name: self.reference.to_owned(),
            labels: labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
            target: Some(descriptor(&self.image.manifest)),
            ..Image::default()
        };
        let request = CreateImageRequest { image: Some(image.clone()), source_date_epoch: None };
        let created = images.create(leased(request, self.lease));
        match connection.call("record an image", created).await {
            Err(error) if error.is_there() => {
                let request = UpdateImageRequest { image: Some(image), ..Default::default() };
                let updated = images.update(leased(request, self.lease));
                connection.call("record an image", updated).await.map(drop)
            }
            created => created.map(drop),
        }
    }
}

/// The names of the layers, each with all that are below it (image-spec, "Layer ChainID").
fn chains(diff_ids: &[String]) -> Vec<String> {
    let mut chains = Vec::<String>::new();
    for diff_id in diff_ids {
        chains.push(match chains.last() {
            None => diff_id.clone(),
            Some(below) => format!("sha256:{}", sha256(format!("{below} {diff_id}").as_bytes())),
        });
    }
    chains
}

fn descriptor(blob: &Blob) -> Descriptor {
    Descriptor {
        media_type: blob.media_type().to_owned(),
        digest: format!("sha256:{}", blob.digest()),
        size: i64::try_from(blob.size()).unwrap_or(i64::MAX),
        ..Descriptor::default()
    }
}

/// Everything that was written to the file system of this folder is on the disk when this ends well (syncfs(2)).
async fn sync(path: &Path) -> Result<(), ContainerdError> {
    let folder = path.to_owned();
    let synced = spawn_blocking(move || {
        let folder = std::fs::File::open(folder)?;
        rustix::fs::syncfs(&folder).map_err(io::Error::from)
    });
    let synced = synced.await.unwrap_or_else(|_| Err(io::Error::other("the agent ends")));
    synced.map_err(|source| ContainerdError::Sync { path: path.to_owned(), source })
}

fn stream(mut messages: Receiver<WriteContentRequest>) -> impl Stream<Item = WriteContentRequest> {
    poll_fn(move |context| messages.poll_recv(context))
}

/// A blob as messages.
struct Parts {
    sender: Sender<WriteContentRequest>,
    reference: String,
    digest: String,
    total: u64,
    at: u64,
}

impl Parts {
    /// The last message makes it count, and is sent only when the whole blob is what it should be.
    fn copy(mut self, archive: &Archive, blob: &Blob, labels: Labels) -> Result<(), ArchiveError> {
        archive.copy(blob, &mut self)?;
        let commit = self.message(WriteAction::Commit, Vec::new());
        let commit = WriteContentRequest { labels, ..commit };
        let sent = self.sender.blocking_send(commit);
        sent.map_err(|_| ArchiveError::To(io::ErrorKind::BrokenPipe.into()))
    }

    fn message(&self, action: WriteAction, data: Vec<u8>) -> WriteContentRequest {
        let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
        WriteContentRequest {
            action: action.into(),
            r#ref: self.reference.clone(),
            total: number(self.total),
            expected: self.digest.clone(),
            offset: number(self.at),
            data,
            labels: Labels::new(),
        }
    }
}

impl Write for Parts {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(CHUNK);
        let message = self.message(WriteAction::Write, bytes[..count].to_vec());
        let sent = self.sender.blocking_send(message);
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        self.at += count as u64;
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
