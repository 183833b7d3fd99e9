//! The promises of the checks, by real files, real programs, real sockets and a played systemd.

mod command;
mod load;
mod net;
mod run;
mod systemd;

use super::*;
use crate::http::Client;
use crate::http::loopback::fixture;
use std::path::Path;
use steadfast_core::gate::{Heard, Rule, Watched};
use steadfast_core::text;
use tokio::sync::watch;

/// A folder of one test, with checks in it.
pub(super) struct Folder(tempfile::TempDir);

impl Folder {
    pub(super) fn new() -> Folder {
        Folder(tempfile::tempdir().expect("the temporary folder can be written"))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(super) fn file(self, name: &str, content: &str) -> Folder {
        std::fs::write(self.path().join(name), content)
            .expect("the temporary folder can be written");
        self
    }
}

/// The checks that this text describes.
fn checks(toml: &str) -> Checks {
    Checks::load(Folder::new().file("10.toml", toml).path()).expect("these checks are right")
}

/// Half a minute of soak time, a deadline after five minutes.
const RULE: Rule = Rule { soak: 30_000, deadline: 300_000 };

fn port(checks: Checks, rule: Rule) -> (ChecksPort, watch::Receiver<Vec<Watched>>) {
    let (watched, seen) = watch::channel(Vec::new());
    (ChecksPort::new(checks, rule, Client::new(fixture("ca.pem")), watched), seen)
}

/// What the one check of this text says when it is run once.
async fn heard(toml: &str) -> Heard {
    let checks = checks(toml);
    let (port, _seen) = port(checks.clone(), RULE);
    port.ask(&checks.0[0]).await
}

fn failed(evidence: &str) -> Heard {
    Heard::Failed(text(format_args!("{evidence}")))
}
