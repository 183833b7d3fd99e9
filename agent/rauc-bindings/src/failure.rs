//! What RAUC's error texts mean.
//!
//! RAUC has error codes inside, but its D-Bus interface gives text only, in `LastError` and as the
//! message of a refused `InspectBundle`. The texts are read here, once, so that nobody after this
//! point has to. They are those of RAUC 1.13 (`src/bundle.c`, `signature.c`, `install.c`,
//! `update_handler.c`, `nbd.c`), OpenSSL 3 and curl; none is translated.
//!
//! Always true: the text is kept as it came; the bundle's own name, which is part of many texts,
//! decides nothing; the first rule that fits wins, so the order of the rules is the meaning.

use std::fmt;

/// Why RAUC did not accept or did not install a bundle: what it is, and RAUC's own words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BundleFailure {
    /// What the text means.
    pub kind: FailureKind,
    /// RAUC's own words.
    pub text: String,
}

/// What a failure means to somebody who has to decide what to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The bundle is not signed by somebody this node trusts.
    Signature(SignatureFault),
    /// The bundle is damaged, cut off, or no bundle at all.
    Damaged,
    /// The bundle's format is not in `bundle-formats` of system.conf.
    Format,
    /// The bundle is for another system: another compatible, or no image that fits these slots.
    Compatible,
    /// The bundle is older than `min-bundle-version` of system.conf.
    VersionLimit,
    /// The bundle could not be fetched; this can pass by itself.
    Network(NetworkFault),
    /// There is no such file, or the server has none.
    NotFound,
    /// Somebody other than root could change the bundle's file while RAUC reads it.
    Unsafe,
    /// The image is larger than the slot, or a file system is full.
    TooLarge,
    /// The slot could not be written.
    Write,
    /// The boot chooser's state could not be read or written.
    BootChooser,
    /// A hook of the bundle or a handler of this node refused or failed.
    Hook,
    /// This node lacks something that RAUC needs: a kernel feature, a mount point, a known boot slot.
    Node,
    /// A text that this crate does not know.
    Unknown,
}

/// What is wrong with a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SignatureFault {
    /// There is none.
    Missing,
    /// The signer's certificate leads to no authority in the keyring.
    UnknownSigner,
    /// A certificate is past its end, by this node's clock.
    Expired,
    /// A certificate is before its beginning, by this node's clock: that clock may be wrong.
    NotYetValid,
    /// A certificate was revoked.
    Revoked,
    /// Any other: wrong purpose, weak algorithm, no usable keyring.
    Other,
}

/// What is wrong with the way to a bundle.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NetworkFault {
    /// No answer: refused, unreachable, name not found or timed out. RAUC 1.13 says the same
    /// ("server not responding") for all of them.
    NoAnswer,
    /// The server answered with this HTTP status. 404 and 410 are [`FailureKind::NotFound`].
    Status(u16),
    /// The server does not serve ranges, which streaming needs.
    NoRanges,
    /// The connection was lost, or the server changed its mind, in the middle.
    Lost,
    /// Any other.
    Other,
}

impl fmt::Display for BundleFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

impl BundleFailure {
    /// Reads RAUC's text about the bundle at `source`.
    pub fn read(source: &str, text: String) -> Self {
        let words = match source {
            "" => text.clone(),
            source => text.replace(source, "BUNDLE"),
        };
        let remote = ["http://", "https://"].iter().any(|scheme| source.starts_with(scheme));
        let kind = fetching(&words).unwrap_or_else(|| match installing(&words) {
            // A streamed bundle is read through the network: the kernel says only that reading failed.
            FailureKind::Damaged if remote && words.contains("Input/output error") => {
                FailureKind::Network(NetworkFault::Lost)
            }
            kind => kind,
        });
        Self { kind, text }
    }
}

/// Failures on the way to a remote bundle; they come first, because curl speaks of certificates too.
fn fetching(words: &str) -> Option<FailureKind> {
    let fault = match words {
        w if w.contains("failed to read data from remote server") => NetworkFault::Lost,
        w if !w.contains("Failed to stream bundle") && !w.contains("Failed to download bundle") => {
            return None;
        }
        w if w.contains("streaming subprocess") || w.contains("user database") => {
            return Some(FailureKind::Node);
        }
        w if w.contains("range requests not supported") => NetworkFault::NoRanges,
        w if w.contains("server not responding") => NetworkFault::NoAnswer,
        w => match status(w) {
            Some(404 | 410) => return Some(FailureKind::NotFound),
            Some(code) => NetworkFault::Status(code),
            None => NetworkFault::Other,
        },
    };
    Some(FailureKind::Network(fault))
}

/// The number in "unexpected HTTP error code 503".
fn status(words: &str) -> Option<u16> {
    let (_, rest) = words.split_once("HTTP error code ")?;
    rest.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn installing(words: &str) -> FailureKind {
    RULES
        .iter()
        .find(|(_, texts)| texts.iter().any(|text| words.contains(text)))
        .map_or(FailureKind::Unknown, |(kind, _)| *kind)
}

/// Kind by text; the first that fits wins.
const RULES: &[(FailureKind, &[&str])] = {
    use FailureKind as K;
    use SignatureFault as S;
    &[
        (K::Signature(S::Missing), &["Signature size is 0"]),
        (K::Signature(S::Expired), &["certificate has expired", "CRL has expired"]),
        (K::Signature(S::NotYetValid), &["is not yet valid"]),
        (K::Signature(S::Revoked), &["certificate revoked"]),
        (
            K::Signature(S::UnknownSigner),
            &[
                "unable to get local issuer certificate",
                "unable to get issuer certificate",
                "unable to verify the first certificate",
                "self-signed certificate",
                "self signed certificate",
                "certificate not trusted",
                "signer certificate not found",
            ],
        ),
        // The signer is trusted, but signed something else than what is there.
        (
            K::Damaged,
            &["content verify error", "verification failure", "digest failure", "CMS_verify"],
        ),
        (
            K::Signature(S::Other),
            &[
                "signature verification failed",
                "Failed to verify X509 cert",
                "keyring",
                "failed to load CA file",
                "Unsupported number of signers",
                "no decryption key given",
            ],
        ),
        (K::Format, &["Bundle format '"]),
        (K::Compatible, &["Compatible mismatch", "No target slot for class"]),
        (K::Compatible, &["No installable image found", "Failed to find matching variant"]),
        (K::VersionLimit, &["Version mismatch", "Failed to parse semantic version"]),
        (K::BootChooser, &["non-bootable: ", " bootable: ", "Failed marking slot"]),
        (K::Hook, &["Bundle rejected: ", "hook", "handler error", "Handler "]),
        (K::TooLarge, &["No space left on device", "is too small for image"]),
        (K::TooLarge, &["does not fit to slot size"]),
        (K::Damaged, &["Error reading from file", "not found in bundle", "no chunk with required"]),
        (K::Write, &["Failed updating slot", "Destination device '", "still mounted"]),
        (K::Write, &["is readonly", "may only be updated by", "Error while writing status file"]),
        (K::Unsafe, &["exclusive bundle access", "unsafe ", "take ownership of bundle"]),
        (K::Node, &["loop device", "/dev/loop", "Failed to create dm device", "/dev/mapper"]),
        (K::Node, &["nbd", "netlink", "mount point", "Failed to load dm table", "target group"]),
        (
            K::Damaged,
            &[
                "Bundle is not a regular file",
                "Failed to seek to end of bundle",
                "Failed to read signature",
                "Signature size (",
                "Bundle size (",
                "Payload size (",
                "no valid CMS",
                "parse signature",
                "inline signature",
                "Is a directory",
                "failed to mount bundle",
                "manifest",
                "payload is corrupted",
                "device failed",
                "Unexpected dm-",
            ],
        ),
        (K::NotFound, &["No such file or directory"]),
        (K::Node, &["Permission denied"]),
    ]
};

#[cfg(test)]
mod tests {
    use super::{FailureKind as K, *};

    /// Texts that RAUC 1.13 has in its sources but that are hard to provoke; the others are
    /// provoked against a running RAUC in this workspace's contract tests.
    const TEXTS: &[(FailureKind, &str)] = &[
        (
            K::Signature(SignatureFault::Revoked),
            "signature verification failed: Verify error: certificate revoked",
        ),
        (
            K::Signature(SignatureFault::Other),
            "signature verification failed: Verify error: unsuitable certificate purpose",
        ),
        (K::Signature(SignatureFault::Other), "No keyring file or directory provided"),
        (
            K::Damaged,
            "Failed mounting bundle: Check dm-verity device failed between 0 and 65536 bytes with \
             error: Input/output error",
        ),
        (K::Damaged, "Failed mounting bundle: failed to mount bundle: Invalid argument"),
        (
            K::Damaged,
            "Installation error: Failed updating slot rootfs.1: Failed to copy data: Error reading \
             from file: Input/output error",
        ),
        (K::Damaged, "Installation error: Source image '/mnt/bundle/root.img' not found in bundle"),
        (
            K::TooLarge,
            "Installation error: Failed updating slot rootfs.1: Failed to copy data: Error writing \
             to file descriptor: No space left on device",
        ),
        (
            K::Write,
            "Installation error: Failed updating slot rootfs.1: Syncing content to disk failed: \
             Input/output error",
        ),
        (K::Write, "Installation error: Destination device '/dev/mmcblk0p3' already mounted"),
        (
            K::BootChooser,
            "Installation error: Failed marking slot rootfs.1 bootable: custom backend: exit 1",
        ),
        (K::Hook, "Bundle rejected: Hook returned: 'not today'"),
        (K::Node, "Failed mounting bundle: Failed to create dm device: Device or resource busy"),
        (
            K::Node,
            "Failed mounting bundle: failed to resolve 'nbd' netlink family - BLK_DEV_NBD not \
             enabled in kernel?",
        ),
        (K::Node, "Could not determine target group"),
        (K::Unknown, "the moon is in the wrong house"),
    ];

    #[test]
    fn the_texts_of_raucs_sources_have_their_kinds() {
        for (kind, text) in TEXTS {
            let failure = BundleFailure::read("/data/release.raucb", (*text).into());
            assert_eq!((failure.kind, failure.text.as_str()), (*kind, *text));
        }
    }

    #[test]
    fn a_read_error_of_a_streamed_bundle_is_the_networks() {
        let text = "Failed mounting bundle: Check dm-verity device failed between 0 and 65536 \
                    bytes with error: Input/output error";
        let failure = BundleFailure::read("https://server/release.raucb", text.into());
        assert_eq!(failure.kind, K::Network(NetworkFault::Lost));
    }

    #[test]
    fn a_streaming_failure_is_read_before_anything_it_quotes() {
        let source = "https://server/release.raucb";
        let failed = |why| format!("Failed to stream bundle {source}: {why}");
        for (why, kind) in [
            (
                "failed to configure streaming: SSL: unable to get local issuer certificate",
                K::Network(NetworkFault::Other),
            ),
            ("unauthorized: unexpected HTTP error code 401", K::Network(NetworkFault::Status(401))),
            (
                "failed to prepare streaming subprocess: user nobody not found in user database",
                K::Node,
            ),
        ] {
            assert_eq!(BundleFailure::read(source, failed(why)).kind, kind, "{why}");
        }
    }

    #[test]
    fn a_bundles_name_decides_nothing() {
        let source = "/data/certificate has expired.raucb";
        let text = format!(
            "Invalid bundle format: Failed to open bundle for reading: Error opening file \
             {source}: No such file or directory"
        );
        let failure = BundleFailure::read(source, text.clone());
        assert_eq!((failure.kind, failure.text), (K::NotFound, text));
    }
}
