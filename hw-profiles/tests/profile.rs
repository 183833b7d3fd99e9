//! What a board file promises to its readers, and what it says when it cannot keep it.

use std::path::Path;

use hw_profile::{Chooser, Profile, ProfileError, boards};

const BOARD: &str = include_str!("../boards/qemu-arm64.toml");

/// The board file with the first `from` replaced; panics when there is none, so a test cannot go stale.
fn with(from: &str, to: &str) -> String {
    assert!(BOARD.contains(from), "the board file has no {from:?}");
    BOARD.replacen(from, to, 1)
}

fn refusal(text: &str) -> String {
    Profile::parse(text).expect_err("the profile is wrong on purpose").to_string()
}

fn line_of(text: &str, needle: &str) -> usize {
    1 + text.lines().position(|line| line.starts_with(needle)).expect("the line is there")
}

#[test]
fn the_board_in_the_tree_is_accepted() {
    let profile = Profile::parse(BOARD).expect("the board file is right");
    assert_eq!(profile.name, "qemu-arm64");
    assert_eq!(profile.boot.chooser, Chooser::Steadfast);
    assert_eq!(profile.boot.copy_offsets, [0, 0x80000]);
    assert_eq!(
        profile.slots.named().map(|(name, slot)| (name, slot.root.as_str())),
        [("A", "rootfs_a"), ("B", "rootfs_b")]
    );
    assert_eq!(profile.watchdog.module_options(), "nowayout=1 heartbeat=300");
}

#[test]
fn every_board_file_is_accepted_and_named_after_its_board() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/boards"));
    let names = boards(folder).expect("the folder is there");
    assert!(names.contains(&"qemu-arm64".to_owned()), "{names:?}");
    for name in names {
        Profile::named(folder, &name).unwrap_or_else(|error| panic!("{error}"));
    }
}

#[test]
fn a_board_that_is_not_there_is_refused_with_those_that_are() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/boards"));
    for name in ["qemu-arm", "../boards/qemu-arm64", ""] {
        let error = Profile::named(folder, name).expect_err("no such board").to_string();
        assert!(error.starts_with(&format!("there is no board {name};")), "{error}");
        assert!(error.contains("qemu-arm64"), "{error}");
    }
}

#[test]
fn a_board_file_that_is_called_otherwise_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("other.toml"), BOARD).expect("writable");
    let error = Profile::named(folder.path(), "other").expect_err("it is another board's");
    assert!(error.to_string().ends_with("so it must be called qemu-arm64.toml"), "{error}");
}

#[test]
fn an_unknown_key_is_named_with_its_line() {
    let text = with("copy_size = 4096", "copy_siez = 4096\ncopy_size = 4096");
    let error = refusal(&text);
    let line = line_of(&text, "copy_siez");
    assert!(error.starts_with(&format!("<profile>:{line}: ")), "{error}");
    assert!(error.contains("copy_siez"), "{error}");
}

#[test]
fn a_missing_key_is_named() {
    let error = refusal(&with("compatible = \"steadfast-qemu-arm64\"", ""));
    assert!(error.contains("compatible"), "{error}");
}

#[test]
fn a_value_of_the_wrong_type_is_named_with_its_line() {
    let text = with("baud = 115200", "baud = \"fast\"");
    let error = refusal(&text);
    assert!(error.contains(&format!(":{}: ", line_of(&text, "baud"))), "{error}");
}

#[test]
fn a_missing_file_is_named() {
    let error = Profile::load("/nonexistent/board.toml").expect_err("there is no such file");
    assert!(matches!(error, ProfileError::Read { .. }));
    assert!(error.to_string().contains("/nonexistent/board.toml"));
}

#[test]
fn every_contradiction_is_refused_with_key_and_line() {
    let cases = [
        ("name = \"qemu-arm64\"", "name = \"a b\"", "name"),
        ("device = \"ttyAMA0\"", "device = \"/dev/ttyAMA0\"", "console.device"),
        ("attempts_trial = 3", "attempts_trial = 0", "boot.attempts_trial"),
        ("attempts_committed = 8", "attempts_committed = 16", "boot.attempts_committed"),
        ("rearms = 3", "rearms = 0", "boot.rearms"),
        ("copy_size = 4096", "copy_size = 4095", "boot.copy_size"),
        ("copy_size = 4096", "copy_size = 8192", "boot.copy_size"),
        ("copy_offsets = [0, 524288]", "copy_offsets = [0, 2048]", "boot.copy_offsets"),
        ("copy_offsets = [0, 524288]", "copy_offsets = [0, 1048576]", "boot.copy_offsets"),
        ("copy_offsets = [0, 524288]", "copy_offsets = [0, 524289]", "boot.copy_offsets"),
        ("root = \"rootfs_b\"", "root = \"rootfs_a\"", "slots.B.root"),
        ("size_mib = 1024", "size_mib = 650", "disk.size_mib"),
        ("boot_mib = 64", "boot_mib = 0", "disk.boot_mib"),
        ("root_image_mib = 64", "root_image_mib = 256", "limits.root_image_mib"),
        ("module = \"i6300esb\"", "module = \"softdog\"", "watchdog.module"),
        ("load = [\"virtio_net\"", "load = [\"nosuch\"", "kernel.load"),
        ("size = 0x100000\nrecord", "size = 0x100001\nrecord", "ramoops.size"),
        ("scratch_address = 0x7e000000", "scratch_address = 0x70000000", "uboot.scratch_address"),
        ("scratch_address = 0x7e000000", "scratch_address = 0x6ffffe00", "uboot.scratch_address"),
        ("fdt_address = 0x48000000", "fdt_address = 0x6ff80000", "uboot.fdt_address"),
        ("\ndeadline_s = 40", "\ndeadline_s = 4", "watchdog.deadline_s"),
        ("boot_deadline_s = 300", "boot_deadline_s = 39", "watchdog.boot_deadline_s"),
        ("boot_deadline_s = 300", "boot_deadline_s = 299", "watchdog.boot_deadline_s"),
        ("device = \"/dev/watchdog\"", "device = \"watchdog\"", "watchdog.device"),
    ];
    for (from, to, key) in cases {
        let text = with(from, to);
        match Profile::parse(&text).expect_err("the profile is wrong on purpose") {
            ProfileError::Fault { key: named, line, why, .. } => {
                assert_eq!(named, key, "{to:?}: {why}");
                let last = key.rsplit('.').next().expect("a key has a last part");
                let text = text.lines().nth(line - 1).expect("the line is in the file");
                assert!(text.starts_with(last), "{key} was said to be in line {line}: {text}");
            }
            other => panic!("{to:?} gave {other}"),
        }
    }
}
