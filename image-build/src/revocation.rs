//! Revocation lists in a keyring: where there is one, the node refuses whom the lists name.
//!
//! Always true of a keyring with a list: each of its authorities has one, and it ends no earlier than the authority.
//! Why: RAUC refuses all that an authority without a list vouches for, and every bundle that is signed after the
//! end of a list, the one that would bring a newer list, too. Such a node could never be updated again.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::host::Tool;

/// An authority, or the list of an authority.
struct Entry {
    name: String,
    /// When it ends, such as `2036-11-21 03:20:00Z`: of two of them the later one is the greater text.
    end: String,
}

/// What OpenSSL is asked for: the program, the two questions and the names of their answers.
type Question = (&'static str, [&'static str; 2], [&'static str; 2]);

const AUTHORITY: Question = ("x509", ["-subject", "-enddate"], ["subject=", "notAfter="]);
const LIST: Question = ("crl", ["-issuer", "-nextupdate"], ["issuer=", "nextUpdate="]);

/// Whether the PEM file `keyring` says whom not to trust; fails when a node that has it could not be updated again.
pub(crate) fn listed(keyring: &Path) -> Result<bool> {
    let pem = fs::read_to_string(keyring)
        .with_context(|| format!("nothing was built: {} was not read", keyring.display()))?;
    let lists = entries(&pem, "X509 CRL", &LIST)?;
    if lists.is_empty() {
        return Ok(false);
    }
    for Entry { name, end } in entries(&pem, "CERTIFICATE", &AUTHORITY)? {
        let Some(list) = lists.iter().filter(|list| list.name == name).map(|list| &list.end).max()
        else {
            bail!(
                "nothing was built: {} has a revocation list, but none of {name}: \
                 a node would trust nothing that this authority vouches for",
                keyring.display()
            );
        };
        ensure!(
            *list >= end,
            "nothing was built: the revocation list of {name} in {} ends {list}, before the authority \
             ({end}): a node would refuse every bundle that is signed later, one with a newer list, too",
            keyring.display()
        );
    }
    Ok(true)
}

/// What stands in `pem` under this label.
fn entries(pem: &str, label: &str, question: &Question) -> Result<Vec<Entry>> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let bodies = pem.split(&begin).skip(1).map(|rest| rest.split(&end).next().unwrap_or(rest));
    bodies.map(|body| entry(&format!("{begin}{body}{end}\n"), question)).collect()
}

fn entry(block: &str, (program, questions, names): &Question) -> Result<Entry> {
    let said = Tool::new("openssl")
        .args([program, "-noout", "-dateopt", "iso_8601"])
        .args(questions)
        .input(block.as_bytes().to_vec())
        .text()
        .context("nothing was built: the keyring holds something that OpenSSL cannot read")?;
    let answer = |name: &str| said.lines().find_map(|line| line.strip_prefix(name));
    match names.map(answer) {
        [Some(name), Some(end)] => Ok(Entry { name: name.to_owned(), end: end.to_owned() }),
        _ => bail!("nothing was built: OpenSSL said of the keyring only {said:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::Scratch;

    const SETTINGS: &str = "[ca]\ndefault_ca = own\n[own]\ndatabase = index\ndefault_md = sha256\n";

    /// An authority of ten days in `scratch`, and the PEM text of its certificate.
    fn authority(scratch: &Scratch, name: &str) -> String {
        openssl(
            scratch,
            &format!(
                "req -x509 -nodes -newkey ed25519 -days 10 -subj /CN={name} -keyout {name}.key -out {name}.pem"
            ),
        );
        fs::read_to_string(scratch.join(&format!("{name}.pem"))).expect("made")
    }

    /// A list of this authority that holds for so many days.
    fn list(scratch: &Scratch, name: &str, days: u32) -> String {
        fs::write(scratch.join("ca.cnf"), SETTINGS).expect("writable");
        fs::write(scratch.join("index"), "").expect("writable");
        openssl(
            scratch,
            &format!(
                "ca -config ca.cnf -gencrl -cert {name}.pem -keyfile {name}.key -crldays {days} -out crl"
            ),
        );
        fs::read_to_string(scratch.join("crl")).expect("made")
    }

    fn openssl(scratch: &Scratch, arguments: &str) {
        let openssl = Tool::new("openssl").within(&scratch.join("")).args(arguments.split(' '));
        openssl.run().expect("openssl makes it");
    }

    fn judged(scratch: &Scratch, parts: &[&String]) -> Result<bool, String> {
        let keyring = scratch.join("keyring.pem");
        let text: String = parts.iter().map(|part| part.as_str()).collect();
        fs::write(&keyring, text).expect("writable");
        listed(&keyring).map_err(|error| format!("{error:#}"))
    }

    #[test]
    fn a_keyring_whose_lists_would_lock_a_node_out_is_in_no_image() {
        let scratch = Scratch::of_test("revocation");
        let (old, new) = (authority(&scratch, "old"), authority(&scratch, "new"));
        assert_eq!(judged(&scratch, &[&old, &new]), Ok(false), "no list");
        let long = list(&scratch, "old", 11);
        assert_eq!(judged(&scratch, &[&old, &long]), Ok(true));
        let short = list(&scratch, "old", 9);
        let error = judged(&scratch, &[&old, &short]).expect_err("it ends too early");
        assert!(error.contains("CN = old") || error.contains("CN=old"), "{error}");
        assert!(error.contains("before the authority"), "{error}");
        assert_eq!(judged(&scratch, &[&old, &short, &long]), Ok(true), "the longer one counts");
        let error = judged(&scratch, &[&old, &long, &new]).expect_err("one has none");
        assert!(error.contains("none of CN"), "{error}");
        let both = [&old, &long, &new, &list(&scratch, "new", 11)];
        assert_eq!(judged(&scratch, &both), Ok(true));
        let garbage = "-----BEGIN X509 CRL-----\nnone\n-----END X509 CRL-----\n".to_owned();
        let error = judged(&scratch, &[&old, &garbage]).expect_err("it is no list");
        assert!(error.contains("cannot read"), "{error}");
    }
}
