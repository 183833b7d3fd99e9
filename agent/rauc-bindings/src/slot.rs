//! What `GetSlotStatus` says about each slot.

use crate::{
    Sha256,
    map::{Lenient, Map},
};

/// A closed set of RAUC's words, and room for one that came later.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)+
            /// A word that this crate does not know.
            Unknown(String),
        }

        impl From<String> for $name {
            fn from(word: String) -> Self {
                match word.as_str() {
                    $($word => Self::$variant,)+
                    _ => Self::Unknown(word),
                }
            }
        }
    };
}
pub(crate) use words;

words! {
    /// Whether the running system uses a slot (key `state`).
    SlotState {
        /// The system was booted from this slot.
        Booted = "booted",
        /// The slot belongs to the group that the system was booted from.
        Active = "active",
        /// The slot is free to be written.
        Inactive = "inactive",
    }
}

words! {
    /// What the boot chooser thinks of a slot (key `boot-status`).
    BootStatus {
        /// May be booted.
        Good = "good",
        /// May not be booted; RAUC marks a target bad before it writes to it.
        Bad = "bad",
    }
}

words! {
    /// How the last write to a slot ended (key `status`).
    WriteStatus {
        /// Written whole.
        Ok = "ok",
        /// A write was begun and its end was not recorded: the content is not to be trusted.
        Pending = "pending",
        /// The slot is being written.
        Update = "update",
        /// The write failed.
        Failed = "failed",
    }
}

/// One slot's status (D-Bus method `GetSlotStatus`; "Slot Status File" in `docs/reference.rst`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotStatus {
    /// Full name, for example `rootfs.0`.
    pub name: String,
    /// Class, for example `rootfs`.
    pub class: Option<String>,
    /// Device or file.
    pub device: Option<String>,
    /// Type, for example `raw` or `vfat` (key `type`).
    pub kind: Option<String>,
    /// The boot chooser's name for the slot; only slots that can be booted have one.
    pub bootname: Option<String>,
    /// The slot that this one belongs to.
    pub parent: Option<String>,
    /// Where the slot is mounted now.
    pub mountpoint: Option<String>,
    /// The description from system.conf.
    pub description: Option<String>,
    /// Whether the running system uses the slot.
    pub state: Option<SlotState>,
    /// What the boot chooser thinks of the slot; only slots with a bootname have it.
    pub boot_status: Option<BootStatus>,
    /// The bundle that was last written to the slot.
    pub bundle: SlotBundle,
    /// How the last write ended; none when RAUC never wrote to the slot.
    pub status: Option<WriteStatus>,
    /// Digest of the image in the slot; none while and after a write did not end well.
    pub sha256: Option<Sha256>,
    /// Size in bytes of the image in the slot.
    pub size: Option<u64>,
    /// The transaction of the last write.
    pub transaction: Option<String>,
    /// The last write.
    pub installed: Option<SlotChange>,
    /// The last activation by RAUC.
    pub activated: Option<SlotChange>,
}

/// What a slot's status remembers of the bundle (keys `bundle.*`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SlotBundle {
    /// Compatible.
    pub compatible: Option<String>,
    /// Version.
    pub version: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// Build.
    pub build: Option<String>,
    /// Hash of the manifest.
    pub hash: Option<Sha256>,
}

/// When something last happened to a slot, and how often (keys `installed.*`, `activated.*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotChange {
    /// By the node's own clock, for example `2026-11-22T10:00:00Z`.
    pub timestamp: String,
    /// How often so far.
    pub count: u64,
}

impl SlotStatus {
    pub(crate) fn read(name: String, map: &Map) -> Self {
        Self {
            name,
            class: map.text("class"),
            device: map.text("device"),
            kind: map.text("type"),
            bootname: map.text("bootname"),
            parent: map.text("parent"),
            mountpoint: map.text("mountpoint"),
            description: map.text("description"),
            state: map.text("state").map(SlotState::from),
            boot_status: map.text("boot-status").map(BootStatus::from),
            bundle: SlotBundle::read(map),
            status: map.text("status").map(WriteStatus::from),
            sha256: map.text("sha256").and_then(|text| text.parse().ok()),
            size: map.number("size"),
            transaction: map.text("installed.transaction"),
            installed: change(map, "installed"),
            activated: change(map, "activated"),
        }
    }
}

impl SlotBundle {
    fn read(map: &Map) -> Self {
        Self {
            compatible: map.text("bundle.compatible"),
            version: map.text("bundle.version"),
            description: map.text("bundle.description"),
            build: map.text("bundle.build"),
            hash: map.text("bundle.hash").and_then(|text| text.parse().ok()),
        }
    }
}

fn change(map: &Map, what: &str) -> Option<SlotChange> {
    let timestamp = map.text(&format!("{what}.timestamp"))?;
    Some(SlotChange { timestamp, count: map.number(&format!("{what}.count")).unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use zbus::zvariant::{OwnedValue, Value};

    use super::*;

    fn owned<'a>(value: impl Into<Value<'a>>) -> OwnedValue {
        OwnedValue::try_from(value.into()).expect("no file descriptor inside")
    }

    fn slot(entries: impl IntoIterator<Item = (&'static str, OwnedValue)>) -> SlotStatus {
        let map = entries.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
        SlotStatus::read("rootfs.1".into(), &map)
    }

    #[test]
    fn a_written_slot_is_read_whole() {
        let digest = "ab".repeat(32);
        let status = slot([
            ("class", owned("rootfs")),
            ("type", owned("raw")),
            ("bootname", owned("B")),
            ("state", owned("inactive")),
            ("boot-status", owned("bad")),
            ("bundle.version", owned("2.0.0")),
            ("bundle.hash", owned(digest.as_str())),
            ("status", owned("ok")),
            ("sha256", owned(digest.as_str())),
            ("size", owned(8192_u64)),
            ("installed.timestamp", owned("2026-11-22T10:00:00Z")),
            ("installed.count", owned(3_u32)),
        ]);
        assert_eq!(status.name, "rootfs.1");
        assert_eq!(status.kind.as_deref(), Some("raw"));
        assert_eq!(status.state, Some(SlotState::Inactive));
        assert_eq!(status.boot_status, Some(BootStatus::Bad));
        assert_eq!(status.status, Some(WriteStatus::Ok));
        assert_eq!(status.bundle.version.as_deref(), Some("2.0.0"));
        assert_eq!(status.bundle.hash, Some(Sha256::from([0xab; 32])));
        assert_eq!((status.sha256, status.size), (Some(Sha256::from([0xab; 32])), Some(8192)));
        let installed = SlotChange { timestamp: "2026-11-22T10:00:00Z".into(), count: 3 };
        assert_eq!((status.installed, status.activated), (Some(installed), None));
    }

    #[test]
    fn a_state_that_came_later_is_kept_as_its_word() {
        let status = slot([
            ("state", owned("hibernating")),
            ("boot-status", owned("undecided")),
            ("status", owned("frozen")),
        ]);
        assert_eq!(status.state, Some(SlotState::Unknown("hibernating".into())));
        assert_eq!(status.boot_status, Some(BootStatus::Unknown("undecided".into())));
        assert_eq!(status.status, Some(WriteStatus::Unknown("frozen".into())));
    }

    #[test]
    fn an_unknown_key_and_a_value_of_another_type_hide_nothing_else() {
        let status = slot([
            ("class", owned("rootfs")),
            ("size", owned("many")),
            ("sha256", owned("not a digest")),
            ("state", owned(4_u32)),
            ("weather", owned(Value::Value(Box::new(Value::from(1_u8))))),
        ]);
        assert_eq!(status.class.as_deref(), Some("rootfs"));
        assert_eq!((status.size, status.sha256, status.state), (None, None, None));
    }

    #[test]
    fn a_slot_that_rauc_never_wrote_has_no_write_status() {
        let status = slot([("class", owned("rootfs"))]);
        assert_eq!((status.status, status.installed, status.activated), (None, None, None));
    }
}
