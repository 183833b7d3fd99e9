//! Certificates by the throwaway authority that development images trust, good and wrong.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};

use crate::lab::Lab;
use crate::steps::step;

/// What a certificate says.
pub(super) struct Wish {
    /// File name and subject.
    pub(super) name: &'static str,
    /// From when to when it holds, as OpenSSL writes times.
    pub(super) holds: [&'static str; 2],
    /// Its extensions, as OpenSSL's configuration has them.
    pub(super) extensions: String,
}

/// A key and its certificate.
#[derive(Debug, Clone)]
pub(super) struct Issued {
    pub(super) key: PathBuf,
    pub(super) certificate: PathBuf,
}

/// What `openssl ca` has to know; the dates come from its command line.
const SETTINGS: &str = "[ca]\ndefault_ca = lab\n[lab]\nnew_certs_dir = .\ndatabase = index\nserial = serial\n\
                        unique_subject = no\ndefault_md = sha256\npolicy = any\n[any]\ncommonName = supplied\n";

/// Has the authority of the images issue a certificate into `folder`.
pub(super) fn issue(lab: &Lab, folder: &Path, wish: &Wish) -> Result<Issued> {
    let (authority, name) = (&lab.signer().keyring, wish.name);
    let file = |ending: &str| folder.join(format!("{name}.{ending}"));
    fs::create_dir_all(folder).with_context(|| format!("no folder {}", folder.display()))?;
    fs::write(folder.join("ca.cnf"), SETTINGS)?;
    fs::write(folder.join("index"), "")?;
    fs::write(folder.join("serial"), "1000\n")?;
    fs::write(file("ext"), &wish.extensions)?;
    let openssl = || {
        let mut openssl = Command::new("openssl");
        openssl.current_dir(folder);
        openssl
    };
    let mut request = openssl();
    request.args(["req", "-new", "-nodes", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]);
    request.args(["-subj", &format!("/CN=lab {name}"), "-keyout"]).arg(file("key"));
    step(&format!("make a key for {name}"), request.arg("-out").arg(file("csr")))?;
    let [from, to] = wish.holds;
    let mut sign = openssl();
    sign.args(["ca", "-batch", "-notext", "-config", "ca.cnf", "-startdate", from, "-enddate", to]);
    // The throwaway authority keeps its key beside its certificate.
    sign.arg("-cert").arg(authority).arg("-keyfile").arg(authority.with_file_name("authority.key"));
    sign.arg("-extfile").arg(file("ext")).arg("-in").arg(file("csr"));
    step(&format!("certify {name}"), sign.arg("-out").arg(file("pem")))?;
    Ok(Issued { key: file("key"), certificate: file("pem") })
}
