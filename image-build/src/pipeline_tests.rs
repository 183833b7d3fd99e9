//! The parts of a release that can be made without its packages.

use super::*;
use crate::board::tests::profile;
use crate::disk;

#[test]
fn a_version_begins_with_a_digit_and_fits_a_file_name() {
    assert!(is_version("1.2.0-rc1+build~5"));
    for wrong in ["", "v1", "../1", "1/2", "1 2"] {
        assert!(!is_version(wrong), "{wrong:?} was accepted");
    }
}

#[test]
fn a_production_image_has_no_shell_and_sets_only_the_address_of_its_board() {
    let (mut board, address) = (profile(), ("rootfs-fixed-address", "fixed-address.service"));
    let shell = ("rootfs-dev", "steadfast-shell.service");
    assert_eq!(extras(&board, Variant::Production), [address]);
    assert_eq!(extras(&board, Variant::Development), [address, shell]);
    board.network = None;
    assert_eq!(extras(&board, Variant::Production), []);
}

/// A plain order for the only board.
pub(crate) fn order(out: PathBuf, variant: Variant) -> Order {
    Order {
        board: "qemu-arm64".into(),
        version: "1.2.3".into(),
        out,
        variant,
        agent: None,
        overlays: Vec::new(),
        boot_overlays: Vec::new(),
        compression: Compression::Zstd,
        level: 9,
        keys: KeyArgs::default(),
        compatible: None,
        products: Products::DiskAndBundle,
        refresh: Refresh::Never,
    }
}

/// A job in `name`'s own folder, whose signer is of this kind.
fn job<'a>(name: &str, order: &'a Order, kind: SignerKind) -> Job<'a> {
    let scratch = Scratch::of_test(name);
    let keyring = scratch.join("authority.pem");
    fs::write(&keyring, "whom to trust").expect("the folder is ours");
    let signer = Signer { key: String::new(), certificate: String::new(), keyring, kind };
    let appliance = Appliance::load().expect("the list is right");
    Job { order, profile: profile(), appliance, signer, scratch, epoch: 0 }
}

#[test]
fn an_image_trusts_the_keyring_it_was_made_with_and_says_when_that_is_a_throwaway() {
    let order = order(PathBuf::new(), Variant::Production);
    for (name, kind, noted) in [
        ("identity-given", SignerKind::Given, false),
        ("identity-throwaway", SignerKind::Throwaway, true),
    ] {
        let job = job(name, &order, kind);
        let root = Root::at(job.scratch.join("root"));
        job.identity(&root).expect("the folder is ours");
        let text = |path: &str| fs::read_to_string(root.path().join(path)).unwrap_or_default();
        assert_eq!(text("etc/rauc/keyring.pem"), "whom to trust");
        let release = text("etc/os-release");
        for line in ["IMAGE_VERSION=1.2.3", "VARIANT_ID=production"] {
            assert!(release.lines().any(|found| found == line), "{line} is not in\n{release}");
        }
        assert_eq!(text("etc/steadfast/keyring-note").contains("Do not ship it"), noted, "{name}");
        assert_eq!(text("etc/motd").is_empty(), !noted, "{name}");
    }
}

/// What `sfdisk` reads from the disk: name, first byte, attributes of each partition.
fn table(disk: &Path) -> Vec<(String, usize, String)> {
    let json = Tool::new("sfdisk").arg("--json").arg(disk).run().expect("it has a table");
    let json: serde_json::Value = serde_json::from_slice(&json).expect("sfdisk prints JSON");
    let rows = json["partitiontable"]["partitions"].as_array().expect("a list").iter();
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    rows.map(|row| {
        let start = row["start"].as_u64().expect("a number") * disk::SECTOR;
        (text(&row["name"]), start as usize, text(&row["attrs"]))
    })
    .collect()
}

#[test]
fn a_new_disk_holds_the_script_one_environment_and_slot_a_and_nothing_else() {
    let out = Scratch::of_test("disk-out");
    let order = order(out.join(""), Variant::Production);
    let mut job = job("disk", &order, SignerKind::Given);
    (job.profile.disk.root_mib, job.profile.disk.size_mib) = (8, 256);
    job.profile.boot.copy_offsets = [8192, 65_536];
    let boot: Vec<u8> = (0..3 * disk::MIB).map(|at| (at / disk::MIB + 1) as u8).collect();
    fs::write(job.scratch.join("boot.img"), &boot).expect("the folder is ours");
    fs::write(job.scratch.join("rootfs.img"), [7; 8192]).expect("the folder is ours");
    job.disk(&job.scratch.join("")).expect("it is made");
    let disk = fs::read(out.join("disk.img")).expect("it was made");
    let table = table(&out.join("disk.img"));
    let bootable: Vec<_> = table.iter().filter(|row| !row.2.is_empty()).collect();
    assert_eq!(bootable.len(), 1, "{bootable:?}");
    assert_eq!((&*bootable[0].0, &*bootable[0].2), ("bootscript", "LegacyBIOSBootable"));
    let at = |name: &str| {
        let row = table.iter().find(|row| row.0 == name);
        &disk[row.unwrap_or_else(|| panic!("there is no {name}")).1..]
    };
    let [first, second] =
        job.profile.boot.copy_offsets.map(|offset| &at("ubootenv")[offset as usize..]);
    assert!(first[4..].starts_with(b"SEQ=1\0BOOT_ORDER=A\0") && second[..4096] == [0; 4096]);
    assert!(at("bootscript").windows(14).take(1 << 20).any(|text| text == b"steadfast-boot"));
    assert!(at("boot_a").starts_with(&boot) && at("rootfs_a").starts_with(&[7; 8192]));
    for empty in ["boot_b", "rootfs_b", "data"] {
        assert!(at(empty)[..1 << 20].iter().all(|byte| *byte == 0), "{empty} holds something");
    }
}

#[test]
fn release_json_comes_last_and_names_every_product_with_its_digest() {
    let out = Scratch::of_test("release-out");
    let mut order = order(out.join(""), Variant::Development);
    order.compatible = Some("another".into());
    for (kind, throwaway) in [(SignerKind::Given, false), (SignerKind::Throwaway, true)] {
        let job = job("release", &order, kind);
        let agent = job.scratch.join("steadfast");
        for name in ["rootfs.img", "boot.img", "steadfast"] {
            fs::write(job.scratch.join(name), "abc").expect("the folder is ours");
        }
        fs::write(order.product("raucb"), "abc").expect("the folder is ours");
        let verity = Verity { data_blocks: 7, root_hash: "ab".into(), salt: "cd".into() };
        let images = job.scratch.join("");
        let packages = vec![crate::spdx::tests::package("dash", "1")];
        let made = |packages| Made { verity: &verity, images: &images, agent: &agent, packages };
        assert!(job.describe(made(Vec::new())).is_err(), "there is no disk");
        assert!(!order.release().exists(), "a release that is not whole has none");
        fs::write(out.join("disk.img"), "abc").expect("the folder is ours");
        job.describe(made(packages)).expect("everything is there");
        let text = fs::read(order.release()).expect("it was made");
        let json: serde_json::Value = serde_json::from_slice(&text).expect("it is JSON");
        let abc = digest::of_text("abc");
        for product in ["root", "boot", "agent", "bundle", "disk"] {
            assert_eq!(json[product]["sha256"], abc, "{product}");
        }
        let (name, hash) = (&json["bundle"]["file"], &json["root_hash"]);
        assert_eq!((name, hash), (&"steadfast-1.2.3.raucb".into(), &"ab".into()));
        assert_eq!((&json["compatible"], &json["variant"]), (&"another".into(), &"dev".into()));
        assert_eq!(json["throwaway_keys"], throwaway);
        assert_eq!(json["keyring_sha256"], digest::of_text("whom to trust"));
        assert_eq!(json["packages"][0]["name"], "dash");
        for product in [order.release(), out.join("disk.img")] {
            fs::remove_file(product).expect("it was made");
        }
    }
}
