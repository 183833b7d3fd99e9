//! The contract with a token: a key behind PKCS#11 signs a bundle, and whoever names it wrongly reads why.
//!
//! ```text
//! cargo image ─► rauc ─► OpenSSL ─► its PKCS#11 engine ─► p11-kit ─► SoftHSM, a token in a folder
//! ```
//!
//! Always true: the token, its PIN and its keys belong to one test and go with it.

use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const PIN: &str = "271828";
const PIN_SET: (&str, &str) = ("RAUC_PKCS11_PIN", PIN);
const KEY: &str = "pkcs11:token=maker;object=release";
const NEW_KEY: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];

/// A folder with a token, the maker's authority, and a key that only the token holds.
struct Maker(PathBuf);

impl Maker {
    fn new(test: &str) -> Self {
        let folder = std::env::temp_dir().join(format!("token-{test}-{}", std::process::id()));
        fs::create_dir_all(folder.join("tokens")).expect("the temporary folder can be made");
        let maker = Self(folder);
        let at = |name: &str| maker.0.join(name);
        let conf = format!("directories.tokendir = {}\n", at("tokens").display());
        fs::write(at("softhsm2.conf"), conf).expect("the folder is ours");
        maker.authority("keyring");
        let request =
            ["req", "-new", "-subj", "/O=Maker/CN=Release", "-keyout", "key", "-out", "request"];
        maker.tool("openssl", &request, &NEW_KEY);
        let sign = ["x509", "-req", "-in", "request", "-out", "certificate", "-days", "365"];
        maker.tool(
            "openssl",
            &sign,
            &["-CA", "keyring", "-CAkey", "keyring.key", "-set_serial", "1"],
        );
        let pins = ["--so-pin", PIN, "--pin", PIN];
        maker.tool("softhsm2-util", &["--init-token", "--free", "--label", "maker"], &pins);
        let object = ["--label", "release", "--id", "01"];
        maker.tool(
            "softhsm2-util",
            &["--import", "key", "--token", "maker", "--pin", PIN],
            &object,
        );
        let write = ["--batch", "--login", "--write", "--load-certificate", "certificate"];
        maker.tool("p11tool", &[&write, &object[..]].concat(), &["pkcs11:token=maker"]);
        fs::remove_file(at("key")).expect("the token has it now");
        maker
    }

    /// A self-signed certificate in the file `name`.
    fn authority(&self, name: &str) {
        let key = format!("{name}.key");
        let subject = format!("/O=Maker/CN={name}");
        let files =
            ["req", "-x509", "-days", "365", "-subj", &subject, "-keyout", &key, "-out", name];
        self.tool("openssl", &files, &NEW_KEY);
    }

    fn tool(&self, name: &str, args: &[&str], more: &[&str]) {
        let ended = self.run(Command::new(name).args(args).args(more));
        assert!(ended.status.success(), "{name}: {}", said(&ended));
    }

    /// Runs with this token alone.
    fn run(&self, command: &mut Command) -> Output {
        let program = command.get_program().to_string_lossy().into_owned();
        command
            .current_dir(&self.0)
            .env("SOFTHSM2_CONF", self.0.join("softhsm2.conf"))
            .env("XDG_CACHE_HOME", self.0.join("cache"))
            .env("GNUTLS_PIN", PIN)
            .output()
            .unwrap_or_else(|error| missing(&program, &error))
    }

    /// `cargo image ARGS` with these keys and no other settings, without a terminal to ask on.
    fn image(&self, args: &[&str], keys: [&str; 3], settings: &[(&str, &str)]) -> Output {
        let [key, certificate, keyring] = keys;
        let mut command = Command::new("setsid");
        command.args(["--wait", env!("CARGO_BIN_EXE_steadfast-image")]).args(args);
        command.args(["--key", key, "--cert", certificate, "--keyring", keyring]);
        command.env_remove("RAUC_PKCS11_PIN").env_remove("RAUC_PKCS11_MODULE");
        self.run(command.envs(settings.iter().copied()))
    }
}

impl Drop for Maker {
    fn drop(&mut self) {
        // What stays behind is in the temporary folder.
        drop(fs::remove_dir_all(&self.0));
    }
}

fn missing(program: &str, error: &dyn Display) -> ! {
    panic!("{program} cannot be run ({error}): `cargo lab setup --yes` installs it");
}

fn said(ended: &Output) -> String {
    String::from_utf8_lossy(&[&ended.stdout[..], &ended.stderr[..]].concat()).into_owned()
}

fn info(maker: &Maker, bundle: &Path, keyring: &str) -> Output {
    maker.run(Command::new("rauc").arg("info").arg(format!("--keyring={keyring}")).arg(bundle))
}

#[test]
fn a_key_and_its_certificate_on_a_token_sign_what_the_keyring_trusts() {
    let maker = Maker::new("signs");
    maker.authority("stranger");
    for certificate in [KEY, "certificate"] {
        let keys = [KEY, certificate, "keyring"];
        let ended = maker.image(&["keys", "--out", "trial.raucb"], keys, &[PIN_SET]);
        assert!(ended.status.success(), "{}", said(&ended));
        let bundle = maker.0.join("trial.raucb");
        let known = info(&maker, &bundle, "keyring");
        assert!(known.status.success(), "{}", said(&known));
        assert!(said(&known).contains("CN = Release"), "{}", said(&known));
        assert!(!info(&maker, &bundle, "stranger").status.success(), "anybody is trusted");
        fs::remove_file(bundle).expect("it was there");
    }
}

#[test]
fn what_is_wrong_with_a_token_is_said_before_anything_is_built() {
    let maker = Maker::new("wrong");
    maker.authority("stranger");
    let (key, nobody) = ("pkcs11:token=maker;object=nobody", "pkcs11:token=nobody;object=release");
    let build = ["--board", "qemu-arm64", "--version", "1.0.0", "--out", "out", "--agent", "none"];
    let trusted = [KEY, KEY, "keyring"];
    let wrong_pin = ("RAUC_PKCS11_PIN", "314159");
    let no_module = ("RAUC_PKCS11_MODULE", "/nonexistent.so");
    let no_engine = ("OPENSSL_ENGINES", "/nonexistent");
    for (keys, settings, sentence) in [
        (trusted, &[wrong_pin][..], "the token does not take the PIN"),
        (trusted, &[], "the token wants a PIN, and RAUC_PKCS11_PIN does not hold one"),
        (trusted, &[PIN_SET, no_module], "the module that RAUC_PKCS11_MODULE names was not loaded"),
        (trusted, &[PIN_SET, no_engine], "OpenSSL has no engine for tokens"),
        ([nobody, "certificate", "keyring"], &[PIN_SET], "no token fits the URI"),
        ([key, "certificate", "keyring"], &[PIN_SET], "the token has no key that fits"),
        ([KEY, key, "keyring"], &[PIN_SET], "the token has no certificate that fits"),
        ([KEY, "stranger", "stranger"], &[PIN_SET], "the certificate is not the one of the key"),
        ([KEY, KEY, "stranger"], &[PIN_SET], "the keyring does not trust the certificate"),
    ] {
        let ended = maker.image(&build, keys, settings);
        let said = said(&ended);
        assert_eq!(ended.status.code(), Some(1), "{sentence}: {said}");
        assert!(said.starts_with("error    nothing was built: "), "{sentence}: {said}");
        assert!(said.contains(&format!("because  {sentence}")), "{sentence}: {said}");
        assert!(!maker.0.join("out").exists(), "{sentence}: something was built");
    }
}

#[test]
fn a_pin_on_the_command_line_is_refused_and_not_repeated() {
    let maker = Maker::new("pin");
    let open = format!("{KEY}?pin-value={PIN}");
    for keys in [[open.as_str(), KEY, "keyring"], [KEY, open.as_str(), "keyring"]] {
        let ended = maker.image(&["keys"], keys, &[]);
        let said = said(&ended);
        assert_eq!(ended.status.code(), Some(1), "{said}");
        assert!(said.contains("RAUC_PKCS11_PIN") && !said.contains(PIN), "{said}");
    }
}
