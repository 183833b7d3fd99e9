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
    compare(order, first, &again, &second)?;
    eprintln!("reproduced the same bytes");
    Ok(())
}

/// Holds `second`, made by `again`, against `first`.
fn compare(order: &Order, first: &Release, again: &Order, second: &Release) -> Result<()> {
    let mut differing = differences(first, second);
    let bill = |order: &Order| digest::of_file(&order.product("spdx.json"));
    if bill(order)? != bill(again)? {
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
    use crate::pipeline::tests::order;
    use crate::release::Described;
    use crate::spdx::tests::package;
    use crate::variant::Variant;

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

    type Change = fn(&mut Release);

    #[test]
    fn only_the_bundle_may_differ() {
        let mut second = release();
        second.bundle.sha256 = "11".into();
        assert!(differences(&release(), &second).is_empty());
        let changes: [(&str, Change); 5] = [
            ("the root image", |release| release.root.sha256 = "11".into()),
            ("the root hash", |release| release.root_hash = "11".into()),
            ("the boot image", |release| release.boot.sha256 = "11".into()),
            ("the disk", |release| release.disk = None),
            ("the package list", |release| release.packages.push(package("dash", "1"))),
        ];
        for (what, change) in changes {
            let mut second = release();
            change(&mut second);
            assert_eq!(differences(&release(), &second), [what]);
        }
    }

    /// An order whose folder holds a release and this bill.
    fn made(scratch: &Scratch, name: &str, bill: &str) -> Order {
        let order = order(scratch.join(name), Variant::Production);
        fs::create_dir(&order.out).expect("the folder is new");
        fs::write(order.release(), "{}").expect("the folder is ours");
        fs::write(order.product("spdx.json"), bill).expect("the folder is ours");
        order
    }

    #[test]
    fn a_release_that_cannot_be_made_again_does_not_pass_for_one_that_can() {
        let scratch = Scratch::of_test("reproducible");
        let orders = [("first", "a"), ("same", "a"), ("other", "b")];
        let [first, same, other] = orders.map(|(name, bill)| made(&scratch, name, bill));
        compare(&first, &release(), &same, &release()).expect("they are the same");
        assert!(first.release().exists());
        let error = compare(&first, &release(), &other, &release()).expect_err("the bills differ");
        assert!(error.to_string().ends_with("differs in the bill of materials"), "{error}");
        assert!(!first.release().exists(), "release.json says that the release is whole");
    }
}
