//! containerd, by its own gRPC API: images from archives into its store, and containers out of it.
//!
//! ```text
//! Archive ─ import ─▶ content ─▶ snapshots ─ syncfs ─▶ image        find ─▶ what is there, and how it ended
//! Job ───── start ──▶ snapshot ─▶ container ─▶ task                 changed ─▶ ask again
//! ```
//!
//! Always true: everything of ours is in one namespace and bears labels, so that nothing has to be remembered here; an
//! image counts as present only after its layers are on the disk; what ended is written down before its task is
//! deleted, and no shim is kept for it; each call ends, one way or the other, within its limit.
//!
//! Sources: containerd's API (`api/services/*/v1`), which 1.6, 1.7 and 2 share; runc's shim (`runtime/v2`).

mod connection;
mod error;
mod events;
mod exec;
mod find;
mod image;
mod import;
mod mark;
mod start;
mod stop;
#[cfg(test)]
mod tests;

pub use error::ContainerdError;
pub use exec::{Executed, Stream};
pub use image::PresentImage;
pub use mark::Mark;

use connection::Connection;
use ring::digest::{SHA256, digest};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;

/// The namespace of all that is ours.
pub const NAMESPACE: &str = "steadfast";
/// What keeps the layers.
const SNAPSHOTTER: &str = "overlayfs";
/// What runs containers.
const RUNTIME: &str = "io.containerd.runc.v2";

/// A containerd.
#[derive(Clone, Debug)]
pub struct Containerd {
    connection: Rc<Connection>,
    places: Rc<Places>,
    /// Held while an image is brought in: two that share layers would be in each other's way.
    importing: Rc<Mutex<()>>,
    events: Rc<Mutex<Option<events::Events>>>,
}

/// Where containerd and what belongs to it are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Places {
    /// Its socket.
    pub socket: PathBuf,
    /// Its store: what has to be on the disk before an image counts.
    pub root: PathBuf,
    /// A folder of the agent that does not outlive the boot: pipes of programs in containers.
    pub run: PathBuf,
    /// Where control groups are mounted: `/sys/fs/cgroup`.
    pub cgroups: PathBuf,
}

/// A container of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FoundContainer {
    /// Its id.
    pub id: String,
    /// What it was made for.
    pub mark: Mark,
    /// What runs in it.
    pub process: Process,
}

/// What runs in a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Process {
    /// Nothing, and nothing is known to have run.
    None,
    /// A process.
    Running {
        /// Its number.
        pid: u32,
        /// When it was started.
        started: SystemTime,
    },
    /// Nothing any more.
    Ended(End),
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct End {
    /// Its exit code; 128 and the signal's number when a signal ended it.
    pub code: u32,
    /// When, to the millisecond.
    pub at: SystemTime,
    /// How long it ran.
    pub ran: Duration,
    /// Whether the kernel ended a process of it because its memory was used up.
    pub out_of_memory: bool,
}

/// A container to be made and started.
#[derive(Clone, Debug)]
pub struct Job {
    /// What it is made for.
    pub mark: Mark,
    /// What it is made from.
    pub image: PresentImage,
    /// The OCI runtime specification; its `cgroupsPath` is `/steadfast/<pod>/<container>`.
    pub spec: serde_json::Value,
    /// Where its output goes. The folder is made.
    pub log: PathBuf,
}

impl Containerd {
    /// A containerd that is connected to when it is asked something, and again after it broke.
    pub fn new(places: Places) -> Containerd {
        Containerd {
            connection: Rc::new(Connection::new(places.socket.clone())),
            places: Rc::new(places),
            importing: Rc::default(),
            events: Rc::default(),
        }
    }
}

/// The id of a container: the same for the same names, and one that containerd takes whatever they are.
pub fn container_id(pod: &str, container: &str) -> String {
    id_of(&[pod.as_bytes(), &[0], container.as_bytes()].concat())
}

/// The first 32 hexadecimal digits of the SHA-256.
fn id_of(bytes: &[u8]) -> String {
    let hash = digest(&SHA256, bytes);
    hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A name that nothing else has.
fn unique(what: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    format!("{what}-{}", id_of(format!("{} {now} {count}", std::process::id()).as_bytes()))
}

/// The control group of a container, below where control groups are mounted.
fn cgroup(mark: &Mark) -> PathBuf {
    Path::new(NAMESPACE).join(mark.pod.as_str()).join(&mark.container)
}
