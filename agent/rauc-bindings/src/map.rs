//! Lenient reading of RAUC's `a{sv}` maps.
//!
//! A missing key, and one whose value has another type than expected, both read as absent: a newer
//! RAUC may add keys and change what it puts in them, and one strange slot must not hide the others.

use std::collections::HashMap;

use zbus::zvariant::{OwnedValue, Value};

/// RAUC's `a{sv}` as it comes off the bus.
pub(crate) type Map = HashMap<String, OwnedValue>;

/// The value without the variants around it; RAUC wraps its groups twice.
pub(crate) fn bare<'a>(mut value: &'a Value<'a>) -> &'a Value<'a> {
    while let Value::Value(inner) = value {
        value = inner;
    }
    value
}

pub(crate) fn text(value: &Value<'_>) -> Option<String> {
    match bare(value) {
        Value::Str(text) => Some(text.to_string()),
        _ => None,
    }
}

/// An unsigned number of whatever width, since RAUC uses `u` and `t`.
pub(crate) fn number(value: &Value<'_>) -> Option<u64> {
    match bare(value) {
        Value::U64(number) => Some(*number),
        Value::U32(number) => Some(u64::from(*number)),
        Value::U16(number) => Some(u64::from(*number)),
        Value::U8(number) => Some(u64::from(*number)),
        Value::I64(number) => u64::try_from(*number).ok(),
        Value::I32(number) => u64::try_from(*number).ok(),
        _ => None,
    }
}

pub(crate) fn texts(value: &Value<'_>) -> Vec<String> {
    match bare(value) {
        Value::Array(array) => array.inner().iter().filter_map(text).collect(),
        _ => Vec::new(),
    }
}

/// A group: one map inside another.
pub(crate) fn group(value: &Value<'_>) -> Map {
    let Value::Dict(dict) = bare(value) else { return Map::new() };
    dict.iter()
        .filter_map(|(key, value)| {
            Some((text(key)?, OwnedValue::try_from(bare(value).try_clone().ok()?).ok()?))
        })
        .collect()
}

/// The groups of an array; a member that is no map reads as an empty one, so that the count stays.
pub(crate) fn groups(value: &Value<'_>) -> Vec<Map> {
    match bare(value) {
        Value::Array(array) => array.inner().iter().map(group).collect(),
        _ => Vec::new(),
    }
}

/// Reading by key.
pub(crate) trait Lenient {
    fn text(&self, key: &str) -> Option<String>;
    fn number(&self, key: &str) -> Option<u64>;
    fn texts(&self, key: &str) -> Vec<String>;
    fn group(&self, key: &str) -> Map;
    fn groups(&self, key: &str) -> Vec<Map>;
}

impl Lenient for Map {
    fn text(&self, key: &str) -> Option<String> {
        self.get(key).and_then(|value| text(value))
    }

    fn number(&self, key: &str) -> Option<u64> {
        self.get(key).and_then(|value| number(value))
    }

    fn texts(&self, key: &str) -> Vec<String> {
        self.get(key).map(|value| texts(value)).unwrap_or_default()
    }

    fn group(&self, key: &str) -> Map {
        self.get(key).map(|value| group(value)).unwrap_or_default()
    }

    fn groups(&self, key: &str) -> Vec<Map> {
        self.get(key).map(|value| groups(value)).unwrap_or_default()
    }
}
