//! Revocation lists in a keyring: where there is one, the node refuses whom the lists name.
//!
//! Always true of a keyring with a list: each of its authorities has one, and it ends no earlier than the authority.
//! Why: RAUC refuses all that an authority without a list vouches for, and every bundle that is signed after the
//! end of a list, the one that would bring a newer list, too. Such a node could never be updated again.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use crate::host::Tool;
use crate::places::Scratch;

/// An authority, or the list of an authority.
struct Entry {
    name: String,
    /// When it ends, such as `2036-11-21 03:20:00Z`: of two of them the later one is the greater text.
    end: String,
    pem: String,
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
    let (authorities, mut names) = (entries(&pem, "CERTIFICATE", &AUTHORITY)?, BTreeSet::new());
    for authority in &authorities {
        held(authority, &lists).with_context(|| locked_out(keyring))?;
        // RAUC finds the list of an authority by the name, and may take the other one's.
        ensure!(
            names.insert(&authority.name),
            "{}: it has two authorities of the name {}",
            locked_out(keyring),
            authority.name
        );
    }
    Ok(true)
}

fn locked_out(keyring: &Path) -> String {
    format!(
        "nothing was built: {} has a revocation list, and a node with this keyring could not be updated again",
        keyring.display()
    )
}

/// Fails unless one of the lists is signed by `authority` and holds as long.
fn held(authority: &Entry, lists: &[Entry]) -> Result<()> {
    let Entry { name, end, .. } = authority;
    let mut longest = None;
    for list in lists {
        if signed(list, authority)? {
            longest = longest.max(Some(&list.end));
        }
    }
    let Some(longest) = longest else { bail!("there is no list by {name}, which ends {end}") };
    ensure!(longest >= end, "the list by {name} ends {longest}, before the authority ({end})");
    Ok(())
}

fn signed(list: &Entry, authority: &Entry) -> Result<bool> {
    let scratch = Scratch::named("revocation")?;
    let file = scratch.join("authority.pem");
    fs::write(&file, &authority.pem)?;
    let verify = Tool::new("openssl").args(["crl", "-noout", "-CAfile"]).arg(file);
    let said = verify.input(list.pem.as_bytes()).output()?;
    // Its exit status is 0 for a wrong signature, too.
    let words = [said.stdout, said.stderr].concat();
    Ok(said.status.success() && String::from_utf8_lossy(&words).contains("verify OK"))
}

/// What stands in `pem` under this label.
fn entries(pem: &str, label: &str, question: &Question) -> Result<Vec<Entry>> {
    let (begin, end) = (format!("-----BEGIN {label}-----"), format!("-----END {label}-----"));
    let bodies = pem.split(&begin).skip(1).map(|rest| rest.split(&end).next().unwrap_or(rest));
    bodies.map(|body| entry(format!("{begin}{body}{end}\n"), question)).collect()
}

fn entry(pem: String, (program, questions, names): &Question) -> Result<Entry> {
    let said = Tool::new("openssl")
        .args([program, "-noout", "-dateopt", "iso_8601"])
        .args(questions)
        .input(pem.as_bytes())
        .text()
        .context("nothing was built: the keyring holds something that OpenSSL cannot read")?;
    let answer = |name: &str| said.lines().find_map(|line| line.strip_prefix(name));
    match names.map(answer) {
        [Some(name), Some(end)] => Ok(Entry { name: name.into(), end: end.into(), pem }),
        _ => bail!("nothing was built: OpenSSL said of the keyring only {said:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        assert!(error.contains("before the authority"), "{error}");
        assert_eq!(judged(&scratch, &[&old, &short, &long]), Ok(true), "the longer one counts");
        let error = judged(&scratch, &[&old, &long, &new]).expect_err("one has none");
        assert!(error.contains("no list by CN"), "{error}");
        let both = [&old, &long, &new, &list(&scratch, "new", 11)];
        assert_eq!(judged(&scratch, &both), Ok(true));
        // The same authority with a new key: the list of the old key says nothing of it.
        let renewed = authority(&scratch, "old");
        let error = judged(&scratch, &[&renewed, &long]).expect_err("it is another key's");
        assert!(error.contains("no list by CN"), "{error}");
        let both = [&old, &long, &renewed, &list(&scratch, "old", 11)];
        let error = judged(&scratch, &both).expect_err("RAUC takes either list");
        assert!(error.contains("two authorities of the name"), "{error}");
        let garbage = "-----BEGIN X509 CRL-----\nnone\n-----END X509 CRL-----\n".to_owned();
        let error = judged(&scratch, &[&old, &garbage]).expect_err("it is no list");
        assert!(error.contains("cannot read"), "{error}");
    }
}
