use super::*;

/// The keys of RFC 8410, section 10.3, as openssl writes them.
const PRIVATE: &str = "MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC";
const PUBLIC: &str = "MCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=";
/// An RSA key's SubjectPublicKeyInfo begins so.
const RSA: &str = "MFwwDQYJKoZIhvcNAQEBBQADSwAwSAJB";

fn pem(label: &str, inner: &str) -> String {
    format!("-----BEGIN {label}-----\n{inner}\n-----END {label}-----\n")
}

fn file(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("writable");
    file
}

fn keyring(text: &str) -> Result<Keyring, String> {
    let file = file(text);
    let said = |error: KeyError| error.to_string().replace(&file.path().display().to_string(), "F");
    Keyring::read(file.path()).map_err(said)
}

fn signing(text: &str) -> Result<SigningKey, String> {
    let file = file(text);
    let said = |error: KeyError| error.to_string().replace(&file.path().display().to_string(), "F");
    SigningKey::read(file.path()).map_err(said)
}

#[test]
fn a_key_as_openssl_writes_it_is_trusted_by_its_public_half() {
    let key = signing(&pem("PRIVATE KEY", PRIVATE)).expect("a key");
    let text = format!("# the press line\n{}", pem("PUBLIC KEY", PUBLIC));
    let keyring = keyring(&text).expect("a keyring");
    assert_eq!(keyring.keys().collect::<Vec<_>>(), [key.id()]);
    let signature = key.sign(b"a");
    assert_eq!(keyring.vouches(key.id(), b"a", &signature), Some(true));
    assert_eq!(keyring.vouches(key.id(), b"b", &signature), Some(false));
    assert_eq!(keyring.vouches(KeyId::of(&[0; 32]), b"a", &signature), None);
}

#[test]
fn a_key_is_named_by_the_digest_of_its_public_half() {
    let key = signing(&pem("PRIVATE KEY", PRIVATE)).expect("a key");
    let spki = base64(PUBLIC).expect("base64");
    assert_eq!(key.id().to_string(), ledger_file::sha256(&spki).to_string());
    assert!(!format!("{key:?}").contains("7502"), "a key does not show itself");
}

#[test]
fn what_is_no_keyring_says_why() {
    let public = pem("PUBLIC KEY", PUBLIC);
    for (text, because) in [
        (String::new(), "has no BEGIN PUBLIC KEY in it"),
        ("a comment".to_owned(), "has no BEGIN PUBLIC KEY in it"),
        (
            public.clone() + &pem("PRIVATE KEY", PRIVATE),
            "has a private key in it: a keyring has public keys only",
        ),
        (public.clone() + &pem("PUBLIC KEY", RSA), "has a key that is no public Ed25519 key"),
        (pem("CERTIFICATE", PUBLIC), "has a key that is no public Ed25519 key"),
        (
            pem("PUBLIC KEY", &PUBLIC.replace("ZuE=", "ZuEA")),
            "has a key that is no public Ed25519 key",
        ),
        (public.replace("-----END", "----- END"), "is no whole PEM file"),
        (pem("PUBLIC KEY", "not base64"), "is no whole PEM file"),
        ("x".repeat(65 << 10), "has more than 64 KiB, so it is no file with keys"),
    ] {
        assert_eq!(keyring(&text).expect_err("refused"), format!("F {because}"));
    }
}

#[test]
fn what_is_no_signing_key_says_why() {
    let private = pem("PRIVATE KEY", PRIVATE);
    for (text, because) in [
        (private.repeat(2), "has to have exactly one key in it"),
        (String::new(), "has to have exactly one key in it"),
        (pem("ENCRYPTED PRIVATE KEY", PRIVATE), "is encrypted: decrypt the key first"),
        (pem("PUBLIC KEY", PUBLIC), "has no BEGIN PRIVATE KEY in it: a key in PKCS#8 is wanted"),
        (pem("PRIVATE KEY", PUBLIC), "has a key that is no private Ed25519 key"),
    ] {
        assert_eq!(signing(&text).expect_err("refused"), format!("F {because}"));
    }
    let none = SigningKey::read(Path::new("/none")).expect_err("refused");
    assert_eq!(none.to_string(), "/none cannot be read");
    assert!(std::error::Error::source(&none).is_some());
}
