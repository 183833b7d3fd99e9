//! What a caller may ask for with a call, and how long it may take.

use std::{collections::HashMap, time::Duration};

use zbus::zvariant::Value;

use crate::Sha256;

/// How long RAUC may take, per kind of call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// For calls that RAUC answers from memory or by asking the boot backend. RAUC answers nothing
    /// else while it inspects a bundle, so this is not shorter than a slow connection's set-up.
    pub answer: Duration,
    /// For `InspectBundle`: RAUC reads the signature, over the network when the source is a URL;
    /// a plain bundle is hashed as a whole. RAUC 1.13 tries a server six times, a second apart and
    /// 20 s each when nothing comes back, before it says so; a server that accepts and then says
    /// nothing it waits on for ever.
    pub inspect: Duration,
    /// The longest silence during an installation. RAUC 1.13 reports once per percent while it
    /// copies a whole image, but nothing at all while it copies one with `adaptive=block-hash-index`:
    /// the limit must be longer than the slowest such image takes.
    pub stall: Duration,
}

impl Default for Limits {
    /// 30 s for an answer, 150 s for an inspection, 10 min of silence.
    fn default() -> Self {
        Self {
            answer: Duration::from_secs(30),
            inspect: Duration::from_secs(150),
            stall: Duration::from_secs(600),
        }
    }
}

/// How RAUC gets at a bundle that is not a local file: the keys `tls-cert`, `tls-key`, `tls-ca`
/// and `http-headers` of `InstallBundle` and `InspectBundle`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// Client certificate: a path or a PKCS#11 URI.
    pub tls_cert: Option<String>,
    /// Private key of the client certificate: a path or a PKCS#11 URI.
    pub tls_key: Option<String>,
    /// Path of the certificate authority for the server, instead of the system's.
    pub tls_ca: Option<String>,
    /// Further HTTP request headers, each as `Name: value`.
    pub http_headers: Vec<String>,
}

/// Arguments of `InstallBundle`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstallArgs {
    /// Install although the bundle is for another `compatible`.
    pub ignore_compatible: bool,
    /// Install although the bundle is older than `min-bundle-version` in system.conf (RAUC 1.12).
    pub ignore_version_limit: bool,
    /// Identifier for RAUC's event log and slot status; RAUC makes a random one when there is none.
    pub transaction_id: Option<String>,
    /// Refuse a bundle whose manifest has another hash than this one, which [`Installer::inspect`]
    /// gave (RAUC 1.14; an older one answers with [`Error::Refused`]).
    ///
    /// [`Installer::inspect`]: crate::Installer::inspect
    /// [`Error::Refused`]: crate::Error::Refused
    pub require_manifest_hash: Option<Sha256>,
    /// How to get at a remote bundle.
    pub access: Access,
}

/// Arguments of `InspectBundle`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InspectArgs {
    /// How to get at a remote bundle.
    pub access: Access,
}

/// A call's `a{sv}`.
pub(crate) type Dict<'a> = HashMap<&'static str, Value<'a>>;

impl Access {
    fn fill<'a>(&'a self, dict: &mut Dict<'a>) {
        let texts =
            [("tls-cert", &self.tls_cert), ("tls-key", &self.tls_key), ("tls-ca", &self.tls_ca)];
        for (key, text) in texts {
            if let Some(text) = text {
                dict.insert(key, Value::from(text.as_str()));
            }
        }
        if !self.http_headers.is_empty() {
            dict.insert("http-headers", Value::from(self.http_headers.clone()));
        }
    }
}

impl InstallArgs {
    /// Only what differs from RAUC's default is sent, because RAUC refuses a key it does not know.
    pub(crate) fn dict(&self) -> Dict<'_> {
        let mut dict = Dict::new();
        if self.ignore_compatible {
            dict.insert("ignore-compatible", Value::from(true));
        }
        if self.ignore_version_limit {
            dict.insert("ignore-version-limit", Value::from(true));
        }
        if let Some(id) = &self.transaction_id {
            dict.insert("transaction-id", Value::from(id.as_str()));
        }
        if let Some(hash) = &self.require_manifest_hash {
            dict.insert("require-manifest-hash", Value::from(hash.to_string()));
        }
        self.access.fill(&mut dict);
        dict
    }
}

impl InspectArgs {
    pub(crate) fn dict(&self) -> Dict<'_> {
        let mut dict = Dict::new();
        self.access.fill(&mut dict);
        dict
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_send_no_key_at_all() {
        assert!(InstallArgs::default().dict().is_empty());
        assert!(InspectArgs::default().dict().is_empty());
    }

    #[test]
    fn every_argument_has_the_key_and_type_of_the_documentation() {
        let args = InstallArgs {
            ignore_compatible: true,
            ignore_version_limit: true,
            transaction_id: Some("id".into()),
            require_manifest_hash: Some(Sha256::from([0xab; 32])),
            access: Access {
                tls_cert: Some("cert".into()),
                tls_key: Some("key".into()),
                tls_ca: Some("ca".into()),
                http_headers: vec!["X-Node: 7".into()],
            },
        };
        let mut sent: Vec<(&str, String)> = args
            .dict()
            .iter()
            .map(|(key, value)| (*key, value.value_signature().to_string()))
            .collect();
        sent.sort();
        let documented = [
            ("http-headers", "as"),
            ("ignore-compatible", "b"),
            ("ignore-version-limit", "b"),
            ("require-manifest-hash", "s"),
            ("tls-ca", "s"),
            ("tls-cert", "s"),
            ("tls-key", "s"),
            ("transaction-id", "s"),
        ];
        assert_eq!(sent, documented.map(|(key, signature)| (key, signature.to_owned())));
    }
}
