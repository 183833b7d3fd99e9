//! A version and its order: numbers by value, and a pre-release before its release.

use core::cmp::Ordering;
use core::fmt;
use serde::{Deserialize, Serialize};

/// A version: 1 to 32 of the characters `A-Z a-z 0-9 . + - ~ _`.
///
/// The order is that of Semantic Versioning 2.0.0, section 11, for versions that follow it. Others
/// are compared part by part: numbers by value, all else by its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Version(heapless::String<32>);

impl Version {
    /// The version with this text, or `None` when it is empty, too long or of other characters.
    pub fn new(text: &str) -> Option<Version> {
        let fits = |c: char| c.is_ascii_alphanumeric() || ".+-~_".contains(c);
        if text.is_empty() || !text.chars().all(fits) {
            return None;
        }
        text.try_into().ok().map(Version)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Version {
    /// Which of two versions is the newer one. Build metadata (after `+`) decides nothing, so two
    /// versions that are written differently can be equally new.
    pub fn precedence(&self, other: &Version) -> Ordering {
        let (release, pre) = split(&self.0);
        let (other_release, other_pre) = split(&other.0);
        parts(release, other_release).then_with(|| match (pre, other_pre) {
            (None, None) => Ordering::Equal,
            (None, Some(_)) => Ordering::Greater,
            (Some(_), None) => Ordering::Less,
            (Some(pre), Some(other_pre)) => parts(pre, other_pre),
        })
    }
}

/// The release and the pre-release, without build metadata.
fn split(text: &str) -> (&str, Option<&str>) {
    let text = text.split_once('+').map_or(text, |(version, _)| version);
    text.split_once(['-', '~']).map_or((text, None), |(release, pre)| (release, Some(pre)))
}

/// Compares dot-separated parts; a missing part is the smaller one.
fn parts(left: &str, right: &str) -> Ordering {
    let (mut left, mut right) = (left.split('.'), right.split('.'));
    loop {
        let order = match (left.next(), right.next()) {
            (None, None) => return Ordering::Equal,
            (None, Some(_)) => Ordering::Less,
            (Some(_), None) => Ordering::Greater,
            (Some(left), Some(right)) => part(left, right),
        };
        if order != Ordering::Equal {
            return order;
        }
    }
}

/// Compares one part: numbers by value, and a number before a word.
fn part(left: &str, right: &str) -> Ordering {
    match (left.parse::<u64>(), right.parse::<u64>()) {
        (Ok(left), Ok(right)) => left.cmp(&right),
        (Ok(_), Err(_)) => Ordering::Less,
        (Err(_), Ok(_)) => Ordering::Greater,
        (Err(_), Err(_)) => left.cmp(right),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Version {
        Version::new(text).expect("a valid version")
    }

    #[test]
    fn versions_are_ordered_as_semver_orders_them() {
        let ascending = [
            "0.9.0",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-rc.1",
            "1.0.0",
            "1.0.1",
            "1.9.0",
            "1.10.0",
            "2.0.0",
        ];
        for (at, left) in ascending.iter().enumerate() {
            for (other, right) in ascending.iter().enumerate() {
                assert_eq!(
                    version(left).precedence(&version(right)),
                    at.cmp(&other),
                    "{left} {right}"
                );
            }
        }
    }

    #[test]
    fn build_metadata_makes_no_version_older() {
        let order = version("1.4.0+10").precedence(&version("1.4.0+9"));
        assert_eq!(order, Ordering::Equal);
    }

    #[test]
    fn what_is_not_a_version_is_refused() {
        for text in ["", "1 0", "1.0\n", "../etc", "123456789012345678901234567890123"] {
            assert_eq!(Version::new(text), None, "{text:?}");
        }
    }
}
