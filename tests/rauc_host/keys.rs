//! Throwaway keys: an authority and the signers that it vouches for.

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

/// A certificate authority of its own directory.
pub(crate) struct Authority {
    dir: PathBuf,
}

/// A key, and a certificate for it.
pub(crate) struct Signer {
    pub(crate) key: PathBuf,
    pub(crate) certificate: PathBuf,
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
[policy]
commonName = supplied
";

impl Authority {
    pub(crate) fn new(dir: &Path, name: &str) -> Self {
        fs::create_dir(dir).expect("a fresh directory");
        let authority = Self { dir: dir.to_owned() };
        run(authority
            .openssl()
            .arg("req")
            .args(NEW_KEY)
            .args(["-x509", "-days", "30", "-keyout", "ca.key", "-out", "ca.pem", "-subj"])
            .arg(format!("/CN={name}")));
        authority
    }

    /// The authority's own certificate, for a keyring.
    pub(crate) fn certificate(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    pub(crate) fn signer(&self, validity: Validity) -> Signer {
        let (name, from, to) = match validity {
            Validity::Now => ("now", "20200101000000Z", "20800101000000Z"),
            Validity::LongAgo => ("past", "20100101000000Z", "20110101000000Z"),
            Validity::LongAhead => ("future", "20700101000000Z", "20800101000000Z"),
        };
        let file = |suffix: &str| format!("{name}.{suffix}");
        let (key, request, certificate) = (file("key"), file("csr"), file("pem"));
        run(self.openssl().arg("req").args(NEW_KEY).args([
            "-keyout",
            &key,
            "-out",
            &request,
            "-subj",
            "/CN=signer",
        ]));
        let state = [("ca.cnf", CA), ("index", ""), ("serial", "01\n")];
        for (file, text) in state {
            fs::write(self.dir.join(file), text).expect("an own directory is writable");
        }
        run(self.openssl().args([
            "ca",
            "-batch",
            "-notext",
            "-config",
            "ca.cnf",
            "-cert",
            "ca.pem",
            "-keyfile",
            "ca.key",
            "-in",
            &request,
            "-out",
            &certificate,
            "-startdate",
            from,
            "-enddate",
            to,
        ]));
        Signer { key: self.dir.join(key), certificate: self.dir.join(certificate) }
    }

    fn openssl(&self) -> Command {
        let mut command = Command::new("openssl");
        command.current_dir(&self.dir);
        command
    }
}
