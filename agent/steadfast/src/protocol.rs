//! What the tool and the daemon say to each other over the control socket.
//!
//! ```text
//! frame: length u32 LE (at most 1 MiB) | postcard          (see `frame`)
//! tool ──Request──▶ daemon ──Response…──▶ tool
//! ```
//!
//! The answers are the JSON of `--json`, field by field, so there is one description of each.

mod frame;
pub mod work;

pub use frame::{FrameError, HEAD, decode, encode, length, read_frame, write_frame};

use serde::{Deserialize, Serialize};
use steadfast_core::{At, Digest};

/// Where the daemon listens.
pub const SOCKET: &str = "/run/steadfast/control.sock";

/// The longest frame in bytes. A longer one ends the connection.
pub const MAX_FRAME: u32 = 1 << 20;

/// What the tool asks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Where the node stands: one [`Response::Status`].
    Status,
    /// Where the node stands, now and after each change: [`Response::Status`] until the tool goes.
    Watch,
    /// The ledger: one [`Response::History`].
    History,
    /// Take this bundle: [`Response::Accepted`] or [`Response::Refused`]. Root only.
    Update {
        /// A URL or an absolute path on the node.
        source: String,
        /// When it may be activated.
        at: At,
        /// The SHA-256 of the bundle's bytes, where whoever asks knows it.
        content: Option<Digest>,
        /// The absolute path on the node of the workload set that comes with it.
        set: Option<String>,
    },
    /// Keep the running system: as for an update. Root only.
    Confirm,
    /// Go back to the previous system: as for an update. Root only.
    Rollback,
    /// Take back the update that is being fetched or waits for its window: as for an update. Root only.
    Cancel,
    /// The workloads: one [`Response::Work`].
    Work,
    /// Run the pods of this manifest or workload set, too: [`Response::Accepted`] or [`Response::Refused`]. Root only.
    Apply {
        /// An absolute path on the node.
        file: String,
    },
    /// Run the pods of this file no more: as for applying. Root only.
    Remove {
        /// The name that the file has, without its folder.
        name: String,
    },
    /// The machine goes down: stop what runs and start nothing any more, as for applying. Root only.
    StopWork,
    /// One version: one [`Response::HistoryOf`], or [`Response::Refused`] when the ledger does not know it.
    HistoryOf {
        /// The version.
        version: String,
    },
}

/// What the daemon answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Response {
    /// Where the node stands.
    Status(Box<Status>),
    /// The ledger.
    History(History),
    /// The order was taken and is in the ledger.
    Accepted,
    /// The order was not taken, and nothing changed.
    Refused {
        /// Why, in the operator's words.
        because: String,
    },
    /// One version.
    HistoryOf(VersionHistory),
    /// The workloads.
    Work(Box<work::Work>),
}

/// Where the node stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The node's name.
    pub node: String,
    /// What runs.
    pub system: System,
    /// What is under way, and how the last one ended.
    pub update: UpdateStatus,
    /// The boot environment, read back now.
    pub boot: BootStatus,
    /// The ledger.
    pub ledger: LedgerStatus,
    /// The health gate's checks, once they ran.
    pub checks: Vec<CheckStatus>,
    /// The workloads.
    pub work: work::Work,
    /// Nothing older is installed.
    pub floor: Option<String>,
    /// Digests that failed here, in hexadecimal.
    pub refused: Vec<String>,
    /// What an operator should know although the node goes on without it.
    pub warnings: Vec<String>,
    /// The agent itself.
    pub agent: AgentStatus,
}

/// What runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct System {
    /// What the image calls itself.
    pub version: String,
    /// Its slot.
    pub slot: String,
    /// `committed`, `probation`, `settling` or `uncommitted`.
    pub standing: String,
    /// Why it is not trusted, when it is not.
    pub doubt: Option<String>,
    /// The system that a rollback would bring back.
    pub previous: Option<String>,
    /// When it was committed, in seconds since 1970 by the node's clock.
    pub committed_unix_s: Option<u64>,
    /// The workload set that belongs to it.
    pub set: Option<SetStatus>,
}

/// A workload set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SetStatus {
    /// Of its set index, in hexadecimal.
    pub digest: String,
    /// Which one it is of those that a node gets.
    pub generation: u64,
}

/// What is under way, and how the last one ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpdateStatus {
    /// The state's name: see `docs/update-machine.mmd`.
    pub state: String,
    /// The version under way, once it is known.
    pub release: Option<String>,
    /// The workload set under way, once it is known.
    pub set: Option<SetStatus>,
    /// How far an install or a download is.
    pub progress: Option<Progress>,
    /// How the last update ended.
    pub last: Option<EndingStatus>,
}

/// How far an install or a download is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// 0 to 100, of an install as RAUC counts.
    pub percent: u8,
    /// What RAUC is doing, or how much is here.
    pub step: String,
}

/// How an update ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndingStatus {
    /// The version, where it became known.
    pub release: Option<String>,
    /// `committed`, `refused`, `failed`, `returned` or `cancelled`.
    pub outcome: String,
    /// Why, unless it was committed.
    pub cause: Option<CauseStatus>,
    /// What was seen.
    pub evidence: String,
    /// The slot that it was for.
    pub slot: String,
    /// The workload set that came with it, once it was known.
    pub set: Option<SetStatus>,
}

/// A cause, for machines and for people.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CauseStatus {
    /// The cause's stable name (`steadfast_core::Cause::kind`).
    pub kind: String,
    /// The check or workload that it names.
    pub name: Option<String>,
    /// In the operator's words.
    pub text: String,
}

/// The boot environment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BootStatus {
    /// The slot that boots next.
    pub primary: Option<String>,
    /// The slots that may boot, the primary first.
    pub order: Vec<String>,
    /// The attempts left.
    pub left: Left,
    /// How often the boot script gave the slots one more attempt.
    pub rearms: u8,
    /// Counts the writes.
    pub sequence: u32,
    /// `valid`, or why not, of each copy.
    pub copies: Vec<String>,
}

/// The attempts left in each slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[allow(non_snake_case, reason = "the bootnames are the keys")]
pub struct Left {
    /// In slot A.
    pub A: u8,
    /// In slot B.
    pub B: u8,
}

/// The ledger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerStatus {
    /// How many entries the newest segment holds.
    pub entries: u64,
    /// `data`, or `memory` when /data cannot be written.
    pub kept: String,
    /// What is wrong with it.
    pub damage: Option<String>,
    /// `whole` or `broken`.
    pub chain: String,
}

/// One check of the health gate.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckStatus {
    /// Its name.
    pub name: String,
    /// Whether it decides.
    pub required: bool,
    /// `unheard`, `passed` or `failed`.
    pub state: String,
    /// What it showed.
    pub evidence: String,
}

/// The agent itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStatus {
    /// Its version.
    pub version: String,
    /// Its process.
    pub pid: u32,
    /// Its resident memory in KiB.
    pub rss_kib: u64,
}

/// The ledger, entry by entry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct History {
    /// Every step, the oldest first.
    pub entries: Vec<HistoryEntry>,
    /// How each update ended, the oldest first.
    pub endings: Vec<HistoryEnding>,
}

/// One step.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryEntry {
    /// Counts the steps.
    pub seq: u64,
    /// When, by the node's clock, in seconds since 1970.
    pub unix_s: u64,
    /// When, in seconds since the kernel started.
    pub boot_s: f64,
    /// What happened.
    pub event: String,
    /// More of it.
    pub detail: String,
    /// The state that it led to.
    pub state: String,
    /// The slot that ran.
    pub slot: String,
}

/// How one update ended.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HistoryEnding {
    /// The step.
    pub seq: u64,
    /// When, by the node's clock, in seconds since 1970.
    pub unix_s: u64,
    /// The version, where it became known.
    pub release: Option<String>,
    /// `committed`, `refused`, `failed`, `returned` or `cancelled`.
    pub outcome: String,
    /// Why, unless it was committed.
    pub cause: Option<CauseStatus>,
    /// What was seen.
    pub evidence: String,
    /// The slot that it was for.
    pub slot: String,
    /// The workload set that came with it, once it was known.
    pub set: Option<SetStatus>,
}

/// What happened with one version, and what its failed boots left behind.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VersionHistory {
    /// The version.
    pub version: String,
    /// The steps of its updates, the oldest first.
    pub entries: Vec<HistoryEntry>,
    /// How each of its updates ended, the oldest first.
    pub endings: Vec<HistoryEnding>,
    /// Its failed boots, the oldest first.
    pub failed: Vec<FailedBoot>,
    /// Whether the kernel's words and the journal were left out: they are for root.
    pub withheld: bool,
}

/// What one failed boot left behind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FailedBoot {
    /// The step that tells of it.
    pub seq: u64,
    /// The slot that ran.
    pub slot: String,
    /// Whether the hardware watchdog made the reset.
    pub watchdog: bool,
    /// The kernel's last words, if a record was found.
    pub kernel: Option<Vec<String>>,
    /// The journal's last lines, if any were kept.
    pub journal: Option<Vec<String>>,
}

impl Response {
    /// What the group may read of it: the kernel's log and the journal hold what workloads and people said, and
    /// elsewhere on the node, too, only root reads them.
    pub fn for_group(mut self) -> Response {
        if let Response::HistoryOf(history) = &mut self {
            let texts = history.failed.iter_mut();
            for text in texts.flat_map(|failed| [&mut failed.kernel, &mut failed.journal]) {
                history.withheld |= text.take().is_some();
            }
        }
        self
    }
}
