//! `image` and `imagePullPolicy`.

use super::read::{At, Fields, Taken};
use std::fmt;

/// Where a container's files come from, as it is written: `[HOST[:PORT]/]NAME[:TAG][@sha256:DIGEST]`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Image(String);

impl Image {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether another image can come under this name: it has no digest, and no tag or `latest`.
    fn moves(&self) -> bool {
        let last = self.0.rsplit('/').next().unwrap_or_default();
        !self.0.contains('@') && (!last.contains(':') || last.ends_with(":latest"))
    }
}

impl fmt::Display for Image {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// When the image is looked for outside the node (`imagePullPolicy`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pull {
    /// Before every start.
    Always,
    /// When the node does not have it.
    IfNotPresent,
    /// Never.
    Never,
}

/// The image in a container's fields. Without a policy it is `Always` for what moves, else `IfNotPresent`.
pub(super) fn image(fields: &mut Fields<'_>) -> Taken<(Image, Pull)> {
    let policies =
        [("Always", Pull::Always), ("IfNotPresent", Pull::IfNotPresent), ("Never", Pull::Never)];
    let pull = fields.maybe("imagePullPolicy", |at| at.choice(&policies));
    let image = fields.needed("image", reference)?;
    let unsaid = if image.moves() { Pull::Always } else { Pull::IfNotPresent };
    Ok((image, pull.unwrap_or(unsaid)))
}

fn reference(at: At<'_>) -> Taken<Image> {
    let text = at.text()?;
    match is_reference(text) {
        true => Ok(Image(text.to_owned())),
        false => Err(at.refuse(
            "has to be an image: [HOST[:PORT]/]NAME[:TAG][@sha256:DIGEST], the name in small letters",
        )),
    }
}

/// The grammar of github.com/distribution/reference, with SHA-256 as the only digest.
fn is_reference(text: &str) -> bool {
    let (text, digest) = text.split_once('@').map_or((text, None), |(it, of)| (it, Some(of)));
    let hex = |c: u8| matches!(c, b'0'..=b'9' | b'a'..=b'f');
    let sha256 = |digest: &str| {
        digest.strip_prefix("sha256:").is_some_and(|it| it.len() == 64 && it.bytes().all(hex))
    };
    let end = text.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tag) = match text[end..].split_once(':') {
        Some((last, tag)) => (&text[..end + last.len()], Some(tag)),
        None => (text, None),
    };
    let mut parts: Vec<&str> = name.split('/').collect();
    if parts.len() > 1 && is_host(parts[0]) {
        parts.remove(0);
    }
    name.len() <= 255
        && parts.into_iter().all(is_part)
        && tag.is_none_or(is_tag)
        && digest.is_none_or(sha256)
}

/// What begins with a host: something with a dot or a port, or the word itself.
fn is_host(part: &str) -> bool {
    let (host, port) = part.split_once(':').map_or((part, None), |(it, of)| (it, Some(of)));
    let letter = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'-' | b'.');
    let looks = host.contains('.') || port.is_some() || host == "localhost";
    let port = port.is_none_or(|port| port.parse::<u16>().is_ok());
    looks && !host.is_empty() && host.bytes().all(letter) && port
}

/// Letters and digits with single `.`, one or two `_`, or any number of `-` between them.
fn is_part(part: &str) -> bool {
    let word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let between = part.split(word).filter(|it| !it.is_empty());
    let separator =
        |it: &str| matches!(it, "." | "_" | "__") || it.bytes().all(|letter| letter == b'-');
    part.starts_with(word) && part.ends_with(word) && between.into_iter().all(separator)
}

fn is_tag(tag: &str) -> bool {
    let word = |c: u8| c.is_ascii_alphanumeric() || c == b'_';
    let letter = |c: u8| word(c) || matches!(c, b'.' | b'-');
    tag.len() <= 128 && tag.bytes().next().is_some_and(word) && tag.bytes().all(letter)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn what_names_an_image_is_taken() {
        for text in [
            "nginx",
            "nginx:1.27",
            "library/nginx:1.27-alpine_x.Y",
            "registry.example:5000/plant/vision-core:4.0.0",
            "localhost/a",
            "HOST.example/a__b/c--d.e",
        ] {
            assert!(is_reference(text), "{text}");
            assert!(is_reference(&format!("{text}@{DIGEST}")), "{text} with its digest");
        }
    }

    #[test]
    fn what_names_none_is_not() {
        for text in [
            "",
            "Nginx",
            "nginx:",
            "nginx:-a",
            "nginx@",
            "nginx@sha256:12",
            "a//b",
            "/a",
            "a/",
            "a b",
            "a..b",
            "a___b",
            "-a",
            "a-",
            "http://a/b",
            "a.example:99999/b",
            "a:b:c",
            "ü",
        ] {
            assert!(!is_reference(text), "{text}");
        }
        assert!(!is_reference(&"a".repeat(256)));
        assert!(!is_reference(&format!("a:{}", "b".repeat(129))));
    }

    #[test]
    fn only_what_can_move_is_looked_for_before_every_start() {
        let moves = |text: &str| Image(text.to_owned()).moves();
        assert!(moves("nginx") && moves("a.example:5000/nginx") && moves("nginx:latest"));
        assert!(!moves("nginx:1.27") && !moves(&format!("nginx@{DIGEST}")));
    }
}
