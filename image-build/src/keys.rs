//! Who signs: a key, a certificate and a keyring by path or PKCS#11 URI, or a throwaway authority for development.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use serde::Serialize;

use crate::host::Tool;
use crate::places;
use crate::revocation;
use crate::variant::Variant;

/// What RAUC needs to sign, and the keyring that goes into the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Signer {
    /// A file or a `pkcs11:` URI.
    pub(crate) key: String,
    /// A file or a `pkcs11:` URI.
    pub(crate) certificate: String,
    pub(crate) keyring: PathBuf,
    #[serde(skip)]
    pub(crate) kind: SignerKind,
}

/// Whose the keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SignerKind {
    /// Given on the command line.
    Given,
    /// Made on this machine for development; nobody else should trust it.
    Throwaway,
}

/// The three words of the command line.
#[derive(Debug, Clone, Default, clap::Args)]
pub(crate) struct KeyArgs {
    /// Signing key: a PEM file or a PKCS#11 URI, such as 'pkcs11:token=NAME;object=LABEL'
    #[arg(long, value_name = "FILE|URI")]
    pub(crate) key: Option<String>,
    /// Certificate of the signing key: a PEM file or a PKCS#11 URI
    #[arg(long, value_name = "FILE|URI")]
    pub(crate) cert: Option<String>,
    /// Certificates that the node shall trust, with or without revocation lists: a PEM file
    #[arg(long, value_name = "FILE")]
    pub(crate) keyring: Option<PathBuf>,
}

impl Signer {
    /// The signer that the command line asks for; only a development image may go without one.
    pub(crate) fn choose(args: &KeyArgs, variant: Variant) -> Result<Self> {
        match (&args.key, &args.cert, &args.keyring) {
            (Some(key), Some(certificate), Some(keyring)) => {
                for file in [key, certificate] {
                    present(file)?;
                }
                present(&keyring.to_string_lossy())?;
                revocation::listed(keyring)?;
                if variant == Variant::Production {
                    refuse_throwaway(keyring)?;
                }
                Ok(Self {
                    key: key.clone(),
                    certificate: certificate.clone(),
                    keyring: keyring.clone(),
                    kind: SignerKind::Given,
                })
            }
            (None, None, None) if variant == Variant::Development => Self::development(),
            (None, None, None) => bail!(
                "nothing was built: a production image needs --key, --cert and --keyring; \
                 with --dev a throwaway authority signs"
            ),
            _ => bail!("nothing was built: --key, --cert and --keyring belong together"),
        }
    }

    /// This machine's throwaway authority, made now when it is not there.
    pub(crate) fn development() -> Result<Self> {
        throwaway(&places::dev_authority())
    }
}

fn present(file: &str) -> Result<()> {
    if file.starts_with("pkcs11:") {
        ensure!(
            !file.contains("pin-value="),
            "nothing was built: a PIN in the URI is read by everybody on this machine and lands in logs; \
             RAUC_PKCS11_PIN is the place for it"
        );
        return Ok(());
    }
    if Path::new(file).is_file() {
        return Ok(());
    }
    bail!("nothing was built: there is no file {file}")
}

/// Fails when a certificate in `keyring` is a throwaway authority's, of this machine or of another.
fn refuse_throwaway(keyring: &Path) -> Result<()> {
    let packed = Tool::new("openssl")
        .args(["crl2pkcs7", "-nocrl", "-certfile"])
        .arg(keyring)
        .run()
        .with_context(|| format!("nothing was built: {} was not read", keyring.display()))?;
    let names =
        Tool::new("openssl").args(["pkcs7", "-print_certs", "-noout"]).input(packed).text()?;
    ensure!(
        names.contains("subject"),
        "nothing was built: {} holds no certificate",
        keyring.display()
    );
    ensure!(
        !names.contains(AUTHORITY),
        "nothing was built: {} trusts a throwaway development authority, \
         whose key lies unprotected on a developer's machine",
        keyring.display()
    );
    Ok(())
}

/// The name by which a throwaway authority is known, wherever it was made.
const AUTHORITY: &str = "Throwaway development authority";

/// The throwaway authority in `folder`, made now when it is not there.
fn throwaway(folder: &Path) -> Result<Signer> {
    let _held = places::hold(folder)?;
    let signer = Signer {
        key: folder.join("signer.key").display().to_string(),
        certificate: folder.join("signer.pem").display().to_string(),
        keyring: folder.join("authority.pem"),
        kind: SignerKind::Throwaway,
    };
    // The certificate is made last: when it is there, all is.
    if !Path::new(&signer.certificate).exists() {
        eprintln!("keys       a throwaway authority in {}", folder.display());
        make_authority(folder).context("the throwaway authority was not made")?;
    }
    Ok(signer)
}

const CURVE: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
/// Ten years: a node that was in a drawer shall still take the next development bundle.
const DAYS: [&str; 2] = ["-days", "3650"];

fn make_authority(folder: &Path) -> Result<()> {
    let openssl = || Tool::new("openssl").within(folder);
    openssl()
        .args(["req", "-x509"])
        .args(CURVE)
        .args(DAYS)
        .args(["-subj", &format!("/O=Steadfast/CN={AUTHORITY}")])
        .args(["-addext", "basicConstraints=critical,CA:TRUE"])
        .args(["-addext", "keyUsage=critical,keyCertSign,cRLSign"])
        .args(["-keyout", "authority.key", "-out", "authority.pem"])
        .run()?;
    openssl()
        .arg("req")
        .args(["-new"])
        .args(CURVE)
        .args(["-subj", "/O=Steadfast/CN=Throwaway development signer"])
        .args(["-keyout", "signer.key", "-out", "signer.csr"])
        .run()?;
    fs::write(
        folder.join("signer.ext"),
        "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n",
    )?;
    openssl()
        .args([
            "x509",
            "-req",
            "-in",
            "signer.csr",
            "-CA",
            "authority.pem",
            "-CAkey",
            "authority.key",
        ])
        .args(["-CAcreateserial", "-extfile", "signer.ext"])
        .args(DAYS)
        .args(["-out", "signer.making"])
        .run()?;
    fs::rename(folder.join("signer.making"), folder.join("signer.pem"))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::Scratch;

    fn args(key: &str, cert: &str, keyring: &str) -> KeyArgs {
        KeyArgs { key: Some(key.into()), cert: Some(cert.into()), keyring: Some(keyring.into()) }
    }

    #[test]
    fn a_production_image_is_not_built_without_keys() {
        let error = Signer::choose(&KeyArgs::default(), Variant::Production)
            .expect_err("there are no keys");
        assert!(error.to_string().contains("--key, --cert and --keyring"), "{error}");
    }

    #[test]
    fn half_a_set_of_keys_is_refused_for_development_too() {
        let half = KeyArgs { key: Some("/dev/null".into()), ..KeyArgs::default() };
        assert!(Signer::choose(&half, Variant::Development).is_err());
    }

    #[test]
    fn a_key_that_is_not_there_is_named() {
        let own = file!();
        let there = places::workspace().join(own).display().to_string();
        let error = Signer::choose(&args("/nonexistent/key", &there, &there), Variant::Production)
            .expect_err("the key is not there");
        assert!(error.to_string().contains("/nonexistent/key"), "{error}");
    }

    /// A keyring with one authority of this name.
    fn keyring(scratch: &Scratch, name: &str) -> PathBuf {
        Tool::new("openssl")
            .within(&scratch.join(""))
            .args(["req", "-x509"])
            .args(CURVE)
            .args(["-subj", &format!("/O=Maker/CN={name}")])
            .args(["-keyout", "key", "-out", name])
            .run()
            .expect("the authority can be made");
        scratch.join(name)
    }

    #[test]
    fn a_pkcs11_uri_passes_through() {
        let scratch = Scratch::of_test("pkcs11");
        let own = keyring(&scratch, "Product").display().to_string();
        let signer = Signer::choose(
            &args("pkcs11:token=a;object=k", "pkcs11:object=c", &own),
            Variant::Production,
        )
        .expect("the keyring is there");
        assert_eq!(signer.key, "pkcs11:token=a;object=k");
        assert_eq!(signer.kind, SignerKind::Given);
    }

    #[test]
    fn a_production_image_never_trusts_a_throwaway_authority() {
        let scratch = Scratch::of_test("keyring");
        let product = keyring(&scratch, "Product");
        let throwaway = keyring(&scratch, AUTHORITY);
        let both = scratch.join("both");
        let text = [&product, &throwaway].map(|file| fs::read_to_string(file).expect("made"));
        fs::write(&both, text.concat()).expect("written");
        for wrong in [&throwaway, &both] {
            let wrong = args("pkcs11:k", "pkcs11:c", &wrong.display().to_string());
            let error = Signer::choose(&wrong, Variant::Production).expect_err("it is throwaway");
            assert!(error.to_string().contains("throwaway"), "{error}");
            assert!(Signer::choose(&wrong, Variant::Development).is_ok());
        }
        let none = args("pkcs11:k", "pkcs11:c", &scratch.join("key").display().to_string());
        assert!(Signer::choose(&none, Variant::Production).is_err());
    }

    #[test]
    fn the_throwaway_authority_is_made_once_and_vouches_for_a_signer_that_vouches_for_nobody() {
        let scratch = Scratch::of_test("authority");
        let signer = throwaway(&scratch.join("ca")).expect("openssl makes it");
        let read = |file: &str| fs::read(file).expect("it was made");
        let made = read(&signer.certificate);
        assert_eq!(throwaway(&scratch.join("ca")).expect("it is there"), signer);
        assert_eq!(read(&signer.certificate), made, "it was made anew");
        let openssl =
            |args: &[&str]| Tool::new("openssl").args(args).arg(&signer.certificate).text();
        let keyring = signer.keyring.display().to_string();
        openssl(&["verify", "-CAfile", &keyring]).expect("the authority vouches for it");
        let text = openssl(&["x509", "-noout", "-text", "-in"]).expect("it is a certificate");
        assert!(text.contains("CA:FALSE") && !text.contains("CA:TRUE"), "{text}");
        let nine_years = (9 * 365 * 86_400).to_string();
        openssl(&["x509", "-checkend", &nine_years, "-noout", "-in"]).expect("it holds that long");
    }
}
