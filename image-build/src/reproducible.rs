//! Builds a release a second time and compares: the same inputs must give the same bytes.
//!
//! The bundle is left out: its signature carries the time of signing, and RAUC salts its hash tree. The two images
//! inside it are compared.

use std::fs;

use anyhow::{Result, ensure};

use crate::digest;
use crate::pipeline::{self, Order};
use crate::places::Scratch;
use crate::release::Release;

/// Fails when a second build differs from `first`, and names what differs.
pub(crate) fn check(order: &Order, first: &Release) -> Result<()> {
    let scratch = Scratch::named("again")?;
    let again = Order { out: scratch.join("out"), ..order.clone() };
    let second = pipeline::run(&again)?;
    let mut differing = differences(first, &second);
    let bill = |order: &Order| digest::of_file(&order.product("spdx.json"));
    if bill(order)? != bill(&again)? {
        differing.push("the bill of materials");
    }
    if !differing.is_empty() {
        // A release that cannot be made again must not pass for one that can.
        fs::remove_file(order.release())?;
    }
    ensure!(
        differing.is_empty(),
        "the release was not accepted: a second build differs in {}",
        differing.join(", ")
    );
    eprintln!("reproduced the same bytes");
    Ok(())
}

fn differences(first: &Release, second: &Release) -> Vec<&'static str> {
    let disk = |release: &Release| release.disk.as_ref().map(|disk| disk.sha256.clone());
    let pairs = [
        ("the root image", first.root.sha256 == second.root.sha256),
        ("the root hash", first.root_hash == second.root_hash),
        ("the boot image", first.boot.sha256 == second.boot.sha256),
        ("the disk", disk(first) == disk(second)),
        ("the package list", first.packages == second.packages),
    ];
    pairs.into_iter().filter(|(_, same)| !same).map(|(what, _)| what).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::release::Described;

    fn release() -> Release {
        let described = Described { file: "f".into(), size: 1, sha256: "00".into() };
        Release {
            format: 1,
            board: "b".into(),
            version: "1".into(),
            compatible: "c".into(),
            variant: "dev",
            suite: "s".into(),
            source_date_epoch: 0,
            throwaway_keys: true,
            keyring_sha256: "00".into(),
            root_hash: "00".into(),
            salt: "00".into(),
            data_blocks: 1,
            root: described.clone(),
            boot: described.clone(),
            agent: described.clone(),
            bundle: described.clone(),
            disk: Some(described),
            packages: Vec::new(),
        }
    }

    #[test]
    fn only_the_bundle_may_differ() {
        let mut second = release();
        second.bundle.sha256 = "11".into();
        assert!(differences(&release(), &second).is_empty());
        second.boot.sha256 = "11".into();
        second.disk = None;
        assert_eq!(differences(&release(), &second), ["the boot image", "the disk"]);
    }
}
