//! The names that Kubernetes knows, each with its own letters and length.

use super::read::{At, Taken};
use steadfast_core::Name;

/// A DNS label (RFC 1123): containers and volumes.
pub(super) fn label(at: At<'_>) -> Taken<String> {
    let text = at.text()?;
    match is_label(text) {
        true => Ok(text.to_owned()),
        false => Err(at.refuse(
            "has to be a DNS label: 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends",
        )),
    }
}

/// A pod's name: a DNS label that fits into the ledger.
pub(super) fn pod(at: At<'_>) -> Taken<Name> {
    let text = label(at.clone())?;
    let most = Name::new().capacity();
    Name::try_from(text.as_str()).map_err(|_| {
        at.refuse(format!("is longer than {most} bytes, which is what a cause can name"))
    })
}

/// A DNS subdomain (RFC 1123): ConfigMaps and Secrets.
pub(super) fn subdomain(at: At<'_>) -> Taken<String> {
    let text = at.text()?;
    match text.len() <= 253 && text.split('.').all(is_label) {
        true => Ok(text.to_owned()),
        false => Err(at.refuse("has to be DNS labels with dots between them, at most 253 bytes")),
    }
}

/// The name of a port (RFC 6335).
pub(super) fn port(at: At<'_>) -> Taken<String> {
    let text = at.text()?;
    let letter = text.bytes().any(|c| c.is_ascii_lowercase());
    match text.len() <= 15 && is_label(text) && letter && !text.contains("--") {
        true => Ok(text.to_owned()),
        false => Err(at.refuse(
            "has to be a port's name: at most 15 of a-z, 0-9 and single -, one of them a letter",
        )),
    }
}

/// The name of a variable: what a shell could not set can be set here, as in Kubernetes.
pub(super) fn variable(at: At<'_>) -> Taken<String> {
    let text = at.text()?;
    match is_variable(text) {
        true => Ok(text.to_owned()),
        false => Err(at.refuse("has to be a variable's name: printable ASCII without =")),
    }
}

/// What is put before a variable's name: with any key behind it, it is one.
pub(super) fn prefix(at: At<'_>) -> Taken<String> {
    match at.text()? {
        "" => Ok(String::new()),
        _ => variable(at),
    }
}

fn is_variable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|c| matches!(c, b' '..=b'~') && c != b'=')
}

/// Whether ConfigMaps and Secrets can have this key.
pub(super) fn is_key(text: &str) -> bool {
    let letter = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    let length = (1..=253).contains(&text.len());
    length && text.bytes().all(letter) && text != "." && !text.starts_with("..")
}

/// Whether labels and annotations can have this key: `prefix/name`, the prefix can be left out.
pub(super) fn is_qualified(text: &str) -> bool {
    let (prefix, name) = text.split_once('/').unwrap_or(("a", text));
    prefix.len() <= 253 && prefix.split('.').all(is_label) && is_word(name)
}

/// Whether a label can have this value.
pub(super) fn is_label_value(text: &str) -> bool {
    text.is_empty() || is_word(text)
}

fn is_word(text: &str) -> bool {
    let letter = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'_' | b'.');
    let ends = |c: char| c.is_ascii_alphanumeric();
    let length = (1..=63).contains(&text.len());
    length && text.bytes().all(letter) && text.starts_with(ends) && text.ends_with(ends)
}

fn is_label(text: &str) -> bool {
    let letter = |c: u8| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-';
    let length = (1..=63).contains(&text.len());
    length && text.bytes().all(letter) && !text.starts_with('-') && !text.ends_with('-')
}

/// How long a path may be: what Linux takes, less its zero byte (`PATH_MAX`).
const MAX_PATH: usize = 4_095;

/// Text that is short enough for a path.
fn path<'a>(at: &At<'a>) -> Taken<&'a str> {
    match at.text()? {
        text if text.len() > MAX_PATH => {
            Err(at.refuse(format!("is longer than {MAX_PATH} bytes, which no path can be")))
        }
        text => Ok(text),
    }
}

/// A path from the root, with nothing in it that leads back.
pub(super) fn absolute(at: At<'_>) -> Taken<String> {
    let text = path(&at)?;
    match text.starts_with('/') && !text.split('/').any(|part| part == "..") {
        true => Ok(text.to_owned()),
        false => Err(at.refuse("has to be a path from / without .. in it")),
    }
}

/// A path that stays below where it begins.
pub(super) fn relative(at: At<'_>) -> Taken<String> {
    let text = path(&at)?;
    let part = |part: &str| !part.is_empty() && part != "." && part != "..";
    match text.split('/').all(part) && !text.starts_with("..") {
        true => Ok(text.to_owned()),
        false => Err(at.refuse("has to be a path that does not begin with / and has no .. in it")),
    }
}
