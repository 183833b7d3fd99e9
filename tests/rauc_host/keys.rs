//! Throwaway keys: authorities, the signers that they vouch for, and whom they no longer vouch for.
//!
//! ```text
//! Authority ──signer(Wish)──▶ Signer ──signs at its own clock──▶ bundle
//!     │  └─intermediate()──▶ Authority, whose signers bring its certificate along
//!     └─revoke(Signer)──▶ the list that goes behind the certificate in a keyring
//! ```

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use super::tools::run;

/// From when to when a signer's certificate holds.
#[derive(Clone, Copy)]
pub(crate) enum Validity {
    Now,
    LongAgo,
    LongAhead,
}

/// What a signer's certificate says.
#[derive(Clone, Copy)]
pub(crate) struct Wish<'a> {
    /// Names the files, too.
    pub(crate) name: &'a str,
    pub(crate) validity: Validity,
    /// A line of OpenSSL's extensions, or nothing.
    pub(crate) extensions: &'a str,
}

impl Default for Wish<'_> {
    fn default() -> Self {
        Self { name: "now", validity: Validity::Now, extensions: "" }
    }
}

/// A certificate authority of its own directory.
pub(crate) struct Authority {
    dir: PathBuf,
    /// Whether a signer has to bring this authority's certificate along.
    rank: Rank,
}

#[derive(Clone, Copy)]
enum Rank {
    Root,
    Intermediate,
}

/// A key, and a certificate for it.
pub(crate) struct Signer {
    pub(crate) key: PathBuf,
    pub(crate) certificate: PathBuf,
    /// The authority between the signer and the root.
    pub(crate) intermediate: Option<PathBuf>,
    /// The clock that the signer signs by, as libfaketime reads it; this machine's when there is none.
    pub(crate) clock: Option<&'static str>,
}

impl Signer {
    /// The same signer at another time.
    pub(crate) fn at(self, clock: &'static str) -> Self {
        Self { clock: Some(clock), ..self }
    }
}

const NEW_KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

const CA: &str = "\
[ca]
default_ca = default
[default]
new_certs_dir = .
database = index
serial = serial
policy = policy
default_md = sha256
unique_subject = no
[policy]
commonName = supplied
";

const MAY_SIGN_CERTIFICATES: &str =
    "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign";

impl Authority {
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        let authority = Self::empty(dir, Rank::Root);
        authority.request(("ca", name));
        let ends = ("20000101000000Z", "20990101000000Z");
        authority.vouch(&["-selfsign", "-keyfile", "ca.key", "-in", "ca.csr", "-out", "ca.pem"], {
            (ends, MAY_SIGN_CERTIFICATES)
        });
        authority
    }

    /// An authority that this one vouches for.
    pub(crate) fn intermediate(&self, dir: &Path) -> Self {
        let below = Self::empty(dir, Rank::Intermediate);
        below.request(("ca", "intermediate"));
        let file = |name: &str| below.dir.join(name).display().to_string();
        let ends = ("20000101000000Z", "20990101000000Z");
        let (request, certificate) = (file("ca.csr"), file("ca.pem"));
        self.vouch(&[&OWN[..], &["-in", &request, "-out", &certificate]].concat(), {
            (ends, MAY_SIGN_CERTIFICATES)
        });
        below
    }

    fn empty(dir: &Path, rank: Rank) -> Self {
        fs::create_dir(dir).expect("a fresh directory");
        for (file, text) in [("ca.cnf", CA), ("index", ""), ("serial", "01\n")] {
            fs::write(dir.join(file), text).expect("an own directory is writable");
        }
        Self { dir: dir.to_owned(), rank }
    }

    /// The authority's own certificate, for a keyring.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    pub(crate) fn signer(&self, validity: Validity) -> Signer {
        let name = match validity {
            Validity::Now => "now",
            Validity::LongAgo => "past",
            Validity::LongAhead => "future",
        };
        self.signer_with(Wish { name, validity, ..Wish::default() })
    }

    pub(crate) fn signer_with(&self, wish: Wish<'_>) -> Signer {
        let ends = match wish.validity {
            Validity::Now => ("20200101000000Z", "20800101000000Z"),
            Validity::LongAgo => ("20100101000000Z", "20110101000000Z"),
            Validity::LongAhead => ("20700101000000Z", "20800101000000Z"),
        };
        self.request((wish.name, "signer"));
        let file = |suffix: &str| format!("{}.{suffix}", wish.name);
        let (request, certificate) = (file("csr"), file("pem"));
        self.vouch(&[&OWN[..], &["-in", &request, "-out", &certificate]].concat(), {
            (ends, wish.extensions)
        });
        Signer {
            key: self.dir.join(file("key")),
            certificate: self.dir.join(certificate),
            intermediate: match self.rank {
                Rank::Root => None,
                Rank::Intermediate => Some(self.certificate()),
            },
            clock: None,
        }
    }

    /// The list of those that this authority no longer vouches for, with `signer` on it.
    pub(crate) fn revoke(&self, signer: &Signer) -> PathBuf {
        let mut revoke = self.authority();
        run(revoke.args(OWN).arg("-revoke").arg(&signer.certificate));
        let list = ["-gencrl", "-crldays", "30", "-out", "ca.crl"];
        run(self.authority().args(OWN).args(list));
        self.dir.join("ca.crl")
    }

    /// A new key and the request for its certificate: the name of their files, and whose they are.
    fn request(&self, (name, subject): (&str, &str)) {
        let (key, request) = (format!("{name}.key"), format!("{name}.csr"));
        let files = ["-keyout", &key, "-out", &request, "-subj"];
        run(self.openssl().arg("req").args(NEW_KEY).args(files).arg(format!("/CN={subject}")));
    }

    /// A certificate from then to then, with these extensions.
    fn vouch(&self, files: &[&str], ((from, to), extensions): ((&str, &str), &str)) {
        fs::write(self.dir.join("extensions"), extensions).expect("an own directory is writable");
        let dates = ["-startdate", from, "-enddate", to];
        let mut command = self.authority();
        command.args(["-extfile", "extensions"]).args(dates).args(files);
        run(&mut command);
    }

    fn authority(&self) -> Command {
        let mut command = self.openssl();
        command.args(["ca", "-batch", "-notext", "-config", "ca.cnf"]);
        command
    }

    fn openssl(&self) -> Command {
        let mut command = Command::new("openssl");
        command.current_dir(&self.dir);
        command
    }
}

/// The authority signs with its own key.
const OWN: [&str; 4] = ["-cert", "ca.pem", "-keyfile", "ca.key"];
