//! What a container was made for and how it ended, as labels.

use super::{End, container_id};
use std::collections::HashMap;
use std::time::{Duration, SystemTime};
use steadfast_core::pod::Role;
use steadfast_core::{Digest, Name};

const POD: &str = "dev.steadfast.pod";
const CONTAINER: &str = "dev.steadfast.container";
const POSITION: &str = "dev.steadfast.position";
const ROLE: &str = "dev.steadfast.role";
const MANIFEST: &str = "dev.steadfast.manifest";
const RESTARTS: &str = "dev.steadfast.restarts";
const BOOT: &str = "dev.steadfast.boot";
/// How its process ended.
pub(super) const END: &str = "dev.steadfast.end";
/// The signal that asks its process to end.
pub(super) const SIGNAL: &str = "dev.steadfast.signal";

const ROLES: [(&str, Role); 3] =
    [("init", Role::Init), ("sidecar", Role::Sidecar), ("main", Role::Main)];

pub(super) type Labels = HashMap<String, String>;

/// What a container was made for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mark {
    /// The pod's name.
    pub pod: Name,
    /// The container's name in it.
    pub container: String,
    /// Its position in the pod.
    pub position: usize,
    /// What it is in the pod.
    pub role: Role,
    /// The digest of the pod's manifest; zero for what bears no mark that makes sense, so that it is none's.
    pub manifest: Digest,
    /// How often in a row it was started again.
    pub restarts: u8,
    /// The kernel's id of the boot in which it was made.
    pub boot: [u8; 16],
}

impl Mark {
    pub(super) fn labels(&self) -> Labels {
        let role = ROLES.iter().find(|(_, role)| *role == self.role);
        let role = role.map_or("", |(name, _)| name);
        let boot: String = self.boot.iter().map(|byte| format!("{byte:02x}")).collect();
        let labels = [
            (POD, self.pod.to_string()),
            (CONTAINER, self.container.clone()),
            (POSITION, self.position.to_string()),
            (ROLE, role.to_owned()),
            (MANIFEST, self.manifest.to_string()),
            (RESTARTS, self.restarts.to_string()),
            (BOOT, boot),
        ];
        labels.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()
    }

    /// The mark of a container; what was made by somebody else has none, and is nobody's.
    pub(super) fn read(id: &str, labels: &Labels) -> Mark {
        Mark::whole(labels)
            .filter(|mark| container_id(&mark.pod, &mark.container) == id)
            .unwrap_or_else(|| {
                let pod = labels.get(POD).and_then(|pod| Name::try_from(pod.as_str()).ok());
                let short = id.char_indices().nth(32).map_or(id, |(end, _)| &id[..end]);
                let own = || Name::try_from(short).unwrap_or_default();
                let (container, boot) = (id.to_owned(), [0; 16]);
                let (manifest, role) = (Digest::ZERO, Role::Main);
                let pod = pod.unwrap_or_else(own);
                Mark { pod, container, position: 0, role, manifest, restarts: 0, boot }
            })
    }

    fn whole(labels: &Labels) -> Option<Mark> {
        let text = |key: &str| labels.get(key).map(String::as_str);
        let boot = u128::from_str_radix(text(BOOT)?, 16).ok()?;
        Some(Mark {
            pod: Name::try_from(text(POD)?).ok()?,
            container: text(CONTAINER)?.to_owned(),
            position: text(POSITION)?.parse().ok()?,
            role: ROLES.iter().find(|(name, _)| Some(*name) == text(ROLE))?.1,
            manifest: Digest::from_hex(text(MANIFEST)?)?,
            restarts: text(RESTARTS)?.parse().ok()?,
            boot: boot.to_be_bytes(),
        })
    }
}

/// An end as a label: code, when and how long in milliseconds, and whether its memory was used up.
pub(super) fn end_label(end: &End) -> String {
    let at = end.at.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_millis();
    let memory = if end.out_of_memory { "oom" } else { "-" };
    format!("{} {at} {} {memory}", end.code, end.ran.as_millis())
}

pub(super) fn read_end(labels: &Labels) -> Option<End> {
    let mut words = labels.get(END)?.split(' ');
    let code = words.next()?.parse().ok()?;
    let mut millis = || Some(Duration::from_millis(words.next()?.parse().ok()?));
    let (at, ran) = (SystemTime::UNIX_EPOCH.checked_add(millis()?)?, millis()?);
    Some(End { code, at, ran, out_of_memory: words.next()? == "oom" })
}
