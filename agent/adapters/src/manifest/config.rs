//! `v1/ConfigMap` and `v1/Secret`: what pods are given as files and variables.

use super::names;
use super::object::Meta;
use super::read::{At, Fields, Flag, NotTaken, Taken};
use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// How much a ConfigMap or a Secret may hold, as in Kubernetes.
const MAX_DATA: usize = 1024 * 1024;

/// What a key stands for. Its `Debug` shows only the length: it may be a Secret's.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Content(pub Arc<[u8]>);

impl Content {
    pub(super) fn of(text: &str) -> Content {
        Content(text.as_bytes().into())
    }

    /// As the value of a variable, if it can be one: UTF-8 without a zero byte.
    pub fn text(&self) -> Option<&str> {
        std::str::from_utf8(&self.0).ok().filter(|text| !text.contains('\0'))
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// Keys with their contents.
pub type Data = Arc<BTreeMap<String, Content>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    ConfigMap,
    Secret,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

/// A ConfigMap or a Secret.
pub(super) struct Object {
    /// Of the whole document.
    pub(super) digest: [u8; 32],
    /// What can be files and variables.
    pub(super) data: Data,
    /// What can be files only (`binaryData`).
    pub(super) binary: BTreeMap<String, Content>,
}

impl Object {
    pub(super) fn file(&self, key: &str) -> Option<&Content> {
        self.data.get(key).or_else(|| self.binary.get(key))
    }

    pub(super) fn files(&self) -> impl Iterator<Item = (&String, &Content)> {
        self.data.iter().chain(&self.binary)
    }
}

const OF_A_SECRET: NotTaken =
    &[("binaryData", "belongs to a ConfigMap; the data of a Secret is base64 anyway")];
const OF_A_CONFIG_MAP: NotTaken = &[("stringData", "belongs to a Secret; use data")];

/// A ConfigMap, with its name.
pub(super) fn config_map(mut fields: Fields<'_>) -> Taken<(String, Object)> {
    let name = fields.needed("metadata", Meta::of_config);
    let data = fields.maybe("data", |at| data(&at, text)).unwrap_or_default();
    let binary = fields.maybe("binaryData", |at| data_of(&at, &data)).unwrap_or_default();
    object(fields, OF_A_CONFIG_MAP, (name, data, binary))
}

/// A Secret, with its name. `stringData` wins over `data`, as in Kubernetes.
pub(super) fn secret(mut fields: Fields<'_>) -> Taken<(String, Object)> {
    let name = fields.needed("metadata", Meta::of_config);
    let mut all = fields.maybe("data", |at| data(&at, base64)).unwrap_or_default();
    all.extend(fields.maybe("stringData", |at| data(&at, text)).unwrap_or_default());
    let because = "a node makes no use of Secrets of this type";
    let types =
        ["Opaque", "kubernetes.io/tls", "kubernetes.io/basic-auth", "kubernetes.io/ssh-auth"];
    fields.only("type", &types, because);
    object(fields, OF_A_SECRET, (name, all, BTreeMap::new()))
}

type Contents = BTreeMap<String, Content>;

fn object(
    mut fields: Fields<'_>,
    not_taken: NotTaken,
    (name, data, binary): (Taken<String>, Contents, Contents),
) -> Taken<(String, Object)> {
    fields.flag("immutable", Flag::Unset);
    let at = fields.at().clone();
    fields.close(not_taken);
    let all = data.iter().chain(&binary);
    if all.map(|(key, content)| key.len() + content.0.len()).sum::<usize>() > MAX_DATA {
        return Err(at.refuse(format!("holds more than {MAX_DATA} bytes")));
    }
    let digest = at.node().digest();
    Ok((name?, Object { digest, data: Arc::new(data), binary }))
}

fn data_of(at: &At<'_>, others: &Contents) -> Taken<Contents> {
    let binary = data(at, base64)?;
    match binary.keys().find(|key| others.contains_key(*key)) {
        Some(key) => Err(at.refuse(format!("has the key {key}, which is in data, too"))),
        None => Ok(binary),
    }
}

fn data(at: &At<'_>, content: fn(&At<'_>) -> Taken<Content>) -> Taken<Contents> {
    let entries = at.entries(|key, at| match names::is_key(key) {
        true => Ok((key.to_owned(), content(&at)?)),
        false => Err(at.refuse("a key has to be 1 to 253 letters, digits, -, _ and .")),
    })?;
    Ok(entries.into_iter().collect())
}

fn text(at: &At<'_>) -> Taken<Content> {
    Ok(Content::of(at.content()?))
}

fn base64(at: &At<'_>) -> Taken<Content> {
    let decoded = decode(at.content()?);
    decoded.map(|bytes| Content(bytes.into())).ok_or_else(|| at.refuse("has to be base64"))
}

/// Base64 with its padding (RFC 4648, section 4). Line breaks are passed over, as in Kubernetes.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let symbols: Vec<u8> = text.bytes().filter(|c| !matches!(c, b'\n' | b'\r')).collect();
    let mut bytes = Vec::with_capacity(symbols.len() / 4 * 3);
    let groups = symbols.len().div_ceil(4);
    for (number, group) in symbols.chunks(4).enumerate() {
        let padding = group.iter().rev().take_while(|c| **c == b'=').count();
        if group.len() != 4 || padding > 2 || (padding > 0 && number + 1 != groups) {
            return None;
        }
        let mut bits = 0u32;
        for symbol in &group[..4 - padding] {
            bits = bits << 6 | u32::from(value(*symbol)?);
        }
        let [_, whole @ ..] = (bits << (6 * padding)).to_be_bytes();
        bytes.extend(&whole[..3 - padding]);
    }
    Some(bytes)
}

fn value(symbol: u8) -> Option<u8> {
    match symbol {
        b'A'..=b'Z' => Some(symbol - b'A'),
        b'a'..=b'z' => Some(symbol - b'a' + 26),
        b'0'..=b'9' => Some(symbol - b'0' + 52),
        b'+' => Some(62),
        b'/' => Some(63),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_what_the_standard_says() {
        // RFC 4648, section 10.
        for (text, bytes) in [
            ("", ""),
            ("Zg==", "f"),
            ("Zm8=", "fo"),
            ("Zm9v", "foo"),
            ("Zm9vYg==", "foob"),
            ("Zm9vYmE=", "fooba"),
            ("Zm9v\nYmFy\n", "foobar"),
        ] {
            assert_eq!(decode(text).as_deref(), Some(bytes.as_bytes()), "{text}");
        }
        assert_eq!(decode("+/+/"), Some(vec![0xfb, 0xff, 0xbf]));
    }

    #[test]
    fn what_is_not_base64_is_nothing() {
        for text in ["Z", "Zg", "Zg=", "Z===", "====", "Zg==Zg==", "Zm 9", "Zm9_", "Zm=v", "Zöö"]
        {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn a_content_does_not_show_itself() {
        assert_eq!(format!("{:?}", Content::of("geheim")), "6 bytes");
    }
}
