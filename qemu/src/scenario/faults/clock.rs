//! Clocks and certificates that are wrong.
//!
//! ```text
//! clock at 1970, clock in 2060 ─► a good bundle is installed all the same, and waits for its window
//! https server, clock at 1970  ─► refused: network, and the words name the clock
//! signer expired, not yet valid, made for servers ─► refused: signature, nothing is written
//! ```

use std::fs;

use anyhow::Result;

use super::certificates::{Issued, Wish, issue};
use super::{
    FOLDER, SHORT, Stage, Standing, bundles, make_small, names, refusal, settings, small, told,
};
use crate::places;
use crate::server::TlsServer;

/// What is installed waits for a window that is never open at the times below.
const SETTINGS: &str = "[window]\nreboot = \"03:00-03:01\"\n[limits]\nfetch_attempts = 2\n\
                        [streaming]\ntls_ca = \"/etc/rauc/keyring.pem\"\n";
const LONG_AGO: &str = "1970-01-01 12:00";
const THESE_DAYS: &str = "2030-01-01 12:00";
const FAR_AHEAD: &str = "2060-01-01 12:00";

/// From before any of these nodes to after them.
const ALWAYS: [&str; 2] = ["20200101000000Z", "20500101000000Z"];

/// Tries all of them on one node.
pub(in super::super) fn run(stage: &mut Stage) -> Result<()> {
    make_small(stage)?;
    settings(stage, SETTINGS)?;
    for (about, date) in [("clock at 1970", LONG_AGO), ("clock in 2060", FAR_AHEAD)] {
        stage.about(about);
        installs(stage, date)?;
    }
    servers(stage)?;
    signers(stage)
}

/// A bundle is judged by the time of its signature: it gets as far as its window.
fn installs(stage: &mut Stage, date: &str) -> Result<()> {
    stage.guest.must(&format!("date -s '{date}'"), SHORT)?;
    let source = small(stage);
    stage.guest.must(&format!("steadfast update {source} --at window"), SHORT)?;
    let status = stage.guest.rest(super::INSTALL)?;
    stage.claim("state", &status.update.state, "ready");
    let unset = status.warnings.iter().any(|warning| warning.contains("the clock is not set"));
    stage.claim("the node says that the clock is not set", unset, date == LONG_AGO);
    stage.guest.must("steadfast cancel", SHORT)?;
    let ended = stage.guest.status()?.update.last.map(|last| last.summary());
    stage.claim("end of the update", ended.unwrap_or_default(), "cancelled: operator");
    Ok(())
}

/// A server's certificate is judged by the node's clock, and what refuses it says so.
fn servers(stage: &mut Stage) -> Result<()> {
    let host = stage.lab.qemu().host_address.clone();
    let extensions = format!("subjectAltName=IP:{host}\nextendedKeyUsage=serverAuth\n");
    let wish = Wish { name: "server", holds: ALWAYS, extensions };
    let folder = places::lab().join(FOLDER).join("keys");
    let Issued { key, certificate } = issue(stage.lab, &folder, &wish)?;
    let server = TlsServer::start(&key, &certificate)?;
    let source = format!("https://{host}:{}/any.raucb", server.port());
    let mut standing = Standing::of(stage)?;
    for (about, date, word) in [
        ("https at 1970", LONG_AGO, "clock"),
        // Its certificate holds: what is wrong with this server comes after that.
        ("https these days", THESE_DAYS, "does not serve ranges"),
    ] {
        stage.about(about);
        stage.guest.must(&format!("date -s '{date}'"), SHORT)?;
        refusal::refused(stage, &mut standing, &source, "network")?;
        let told = told(stage)?;
        names(stage, "the evidence", &told, word);
    }
    Ok(())
}

/// The authority is trusted, and its signer's certificate is not one for this bundle.
fn signers(stage: &mut Stage) -> Result<()> {
    let folder = places::lab().join(FOLDER);
    let mut standing = Standing::of(stage)?;
    let signs = "keyUsage=critical,digitalSignature\n";
    for (about, name, holds, extension, word) in [
        ("expired signer", "expired", ["20100101000000Z", "20110101000000Z"], "", "expired"),
        ("early signer", "early", ["20700101000000Z", "20800101000000Z"], "", "not yet valid"),
        ("signer for servers", "server-only", ALWAYS, "extendedKeyUsage=serverAuth\n", "purpose"),
    ] {
        stage.about(about);
        let wish = Wish { name, holds, extensions: format!("{signs}{extension}") };
        let Issued { key, certificate } = issue(stage.lab, &folder.join("keys"), &wish)?;
        let bundle = format!("{name}.raucb");
        bundles::small_by(stage.lab, &folder.join(&bundle), &key, &certificate)?;
        let source = stage.url_of(&format!("{FOLDER}/{bundle}"));
        let because = refusal::refused(stage, &mut standing, &source, "signature")?;
        names(stage, "the reason", &because, word);
        fs::remove_file(folder.join(bundle))?;
    }
    Ok(())
}
