//! What `InspectBundle` says about a bundle whose signature RAUC has verified.

use std::{fmt, str::FromStr};

use crate::{
    Error,
    map::{Lenient, Map},
};

/// A SHA-256 digest; displayed as 64 lower-case hexadecimal digits, as RAUC writes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha256([u8; 32]);

impl Sha256 {
    /// The digest's bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl From<[u8; 32]> for Sha256 {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl FromStr for Sha256 {
    type Err = NotSha256;

    fn from_str(text: &str) -> Result<Self, NotSha256> {
        if text.len() != 64 || !text.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(NotSha256);
        }
        let mut bytes = [0; 32];
        for (index, byte) in bytes.iter_mut().enumerate() {
            *byte =
                u8::from_str_radix(&text[2 * index..2 * index + 2], 16).map_err(|_| NotSha256)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Sha256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha256 {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
    }
}

/// A text that is not 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a SHA-256 digest of 64 hexadecimal digits")]
pub struct NotSha256;

/// A verified bundle's manifest (D-Bus method `InspectBundle`; "Manifest" in `docs/reference.rst`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleInfo {
    /// `[update] compatible`: the system that the bundle is for.
    pub compatible: String,
    /// `[update] version`.
    pub version: Option<String>,
    /// `[update] description`.
    pub description: Option<String>,
    /// `[update] build`.
    pub build: Option<String>,
    /// Hash over the manifest, and so over everything that the manifest names: a bundle's identity.
    pub manifest_hash: Sha256,
    /// `[bundle] format`: `plain`, `verity` or `crypt`.
    pub format: String,
    /// The images in the manifest's order.
    pub images: Vec<Image>,
}

/// One `[image.<class>]` of a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    /// The slot class that the image is for.
    pub slot_class: String,
    /// The file's name inside the bundle; none when an install hook does the work.
    pub filename: Option<String>,
    /// Size in bytes.
    pub size: Option<u64>,
    /// Digest of the file.
    pub checksum: Option<Sha256>,
    /// Adaptive methods that the bundle offers for the image, for example `block-hash-index`.
    pub adaptive: Vec<String>,
}

impl BundleInfo {
    pub(crate) fn read(map: &Map) -> Result<Self, Error> {
        let update = map.group("update");
        let missing =
            |what: &str| Error::Shape { member: "InspectBundle", what: format!("no {what}") };
        Ok(Self {
            compatible: update.text("compatible").ok_or_else(|| missing("compatible"))?,
            version: update.text("version"),
            description: update.text("description"),
            build: update.text("build"),
            manifest_hash: map
                .text("manifest-hash")
                .and_then(|text| text.parse().ok())
                .ok_or_else(|| missing("manifest-hash of 64 hexadecimal digits"))?,
            format: map.group("bundle").text("format").ok_or_else(|| missing("bundle format"))?,
            images: map.groups("images").iter().map(Image::read).collect(),
        })
    }
}

impl Image {
    fn read(map: &Map) -> Self {
        Self {
            slot_class: map.text("slot-class").unwrap_or_default(),
            filename: map.text("filename"),
            size: map.number("size"),
            checksum: map.text("checksum").and_then(|text| text.parse().ok()),
            adaptive: map.texts("adaptive"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use zbus::zvariant::{OwnedValue, Value};

    use super::*;

    const DIGEST: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn owned<'a>(value: impl Into<Value<'a>>) -> OwnedValue {
        OwnedValue::try_from(value.into()).expect("no file descriptor inside")
    }

    /// As RAUC sends it: the groups are variants inside variants.
    fn manifest() -> Map {
        let update = HashMap::from([
            ("compatible", Value::from("board")),
            ("version", Value::from("1.2.3")),
            ("mood", Value::from(7_u32)),
        ]);
        let image = HashMap::from([
            ("slot-class", Value::from("rootfs")),
            ("filename", Value::from("root.img")),
            ("checksum", Value::from(DIGEST)),
            ("size", Value::from(4096_u64)),
            ("hooks", Value::from(Vec::<String>::new())),
            ("adaptive", Value::from(vec!["block-hash-index", "later"])),
        ]);
        Map::from([
            ("manifest-hash".into(), owned(DIGEST)),
            ("update".into(), owned(Value::Value(Box::new(Value::from(update))))),
            (
                "bundle".into(),
                owned(Value::Value(Box::new(Value::from(HashMap::from([("format", "verity")]))))),
            ),
            ("images".into(), owned(Value::Value(Box::new(Value::from(vec![image]))))),
            ("future".into(), owned(true)),
        ])
    }

    #[test]
    fn a_manifest_is_read_whole_and_unknown_keys_are_passed_over() {
        let info = BundleInfo::read(&manifest()).expect("the map is complete");
        let image = Image {
            slot_class: "rootfs".into(),
            filename: Some("root.img".into()),
            size: Some(4096),
            checksum: DIGEST.parse().ok(),
            adaptive: vec!["block-hash-index".into(), "later".into()],
        };
        let expected = BundleInfo {
            compatible: "board".into(),
            version: Some("1.2.3".into()),
            description: None,
            build: None,
            manifest_hash: DIGEST.parse().expect("64 digits"),
            format: "verity".into(),
            images: vec![image],
        };
        assert_eq!(info, expected);
    }

    #[test]
    fn a_bundle_without_identity_is_not_believed() {
        let mut map = manifest();
        map.insert("manifest-hash".into(), owned("short"));
        assert!(matches!(BundleInfo::read(&map), Err(Error::Shape { .. })));
    }

    #[test]
    fn a_digest_displays_as_it_was_written() {
        assert_eq!(DIGEST.parse::<Sha256>().map(|digest| digest.to_string()), Ok(DIGEST.into()));
        assert_eq!("é".repeat(32).parse::<Sha256>(), Err(NotSha256));
        assert_eq!(format!("+{}", &DIGEST[1..]).parse::<Sha256>(), Err(NotSha256));
    }
}
