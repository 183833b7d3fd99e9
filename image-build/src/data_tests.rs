//! Runs the node's `data` script on plain files: when it formats, and above all when it does not.
//!
//! Always true: the script is the shipped one with its paths moved into a folder; only the programs that need
//! root or a device are stood in for.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::board;
use crate::places;
use crate::template::fill;

const MIB: usize = 1 << 20;

/// A folder with the script, its stand-ins and the file that plays the partition.
struct Bench(PathBuf);

/// How the script ended.
struct Ended {
    code: Option<i32>,
    said: String,
    evidence: String,
    formatted: bool,
}

impl Bench {
    /// A kernel with ext4 and a partition with this content, which does not mount.
    fn new(name: &str, content: &[u8]) -> Self {
        let folder = std::env::temp_dir().join(format!("data-{name}-{}", std::process::id()));
        let bench = Self(folder);
        fs::create_dir_all(bench.0.join("bin")).expect("the temporary folder can be made");
        fs::create_dir_all(bench.0.join("data")).expect("the temporary folder can be made");
        fs::write(bench.0.join("part"), content).expect("the partition can be written");
        fs::write(bench.0.join("filesystems"), "\text4\n").expect("the list can be written");
        bench.program("mount", "[ -e mounts ]");
        bench.program("mountpoint", "false");
        bench.program("mke2fs", "touch formatted mounts");
        bench.program("blockdev", "stat -L -c %s \"$2\"");
        for name in ["modprobe", "sync", "sfdisk", "partx"] {
            bench.program(name, "true");
        }
        bench
    }

    fn program(&self, name: &str, body: &str) {
        let path = self.0.join("bin").join(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).expect("the stand-in can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("it is ours");
    }

    fn run(&self, e2fsck: &str) -> Ended {
        self.program("e2fsck", e2fsck);
        let script = places::own().join("rootfs/usr/lib/steadfast/data.in");
        let script = fs::read_to_string(script).expect("the script is there");
        let at = |name: &str| self.0.join(name).display().to_string();
        let script = fill(&script, &board::values(&board::tests::profile()))
            .expect("every name has a value")
            .replace("/dev/kmsg", &format!("\"{}\"; cat \"{}\" >>said", at("line"), at("line")))
            .replace("/proc/filesystems", &at("filesystems"))
            .replace("/run/", &at("run-"))
            .replace(" /data", &format!(" {}", at("data")))
            .replace(">/data", &format!(">{}", at("data")));
        fs::write(self.0.join("script"), script).expect("the script can be written");
        let path = format!("{}:/usr/sbin:/usr/bin:/sbin:/bin", at("bin"));
        let out = Command::new("sh")
            .args(["script", &at("part")])
            .current_dir(&self.0)
            .env("PATH", path)
            .output()
            .expect("there is a shell");
        let text = |path: &str| fs::read_to_string(self.0.join(path)).unwrap_or_default();
        Ended {
            code: out.status.code(),
            said: text("said") + &String::from_utf8_lossy(&out.stderr),
            evidence: text("data/steadfast/evidence/data"),
            formatted: self.0.join("formatted").exists(),
        }
    }
}

impl Drop for Bench {
    fn drop(&mut self) {
        drop(fs::remove_dir_all(&self.0));
    }
}

/// 2 MiB with something in it, and ext4's magic number when asked for.
fn content(magic: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 2 * MIB];
    bytes[4096..4100].copy_from_slice(b"some");
    bytes[1080..1080 + magic.len()].copy_from_slice(magic);
    bytes
}

fn untouched(ended: &Ended) {
    assert!(!ended.formatted, "it was formatted: {}", ended.said);
    assert_eq!(ended.code, Some(1), "{}", ended.said);
    assert!(ended.said.contains("steadfast: data missing"), "{}", ended.said);
    assert_eq!(ended.evidence, "");
}

#[test]
fn a_blank_partition_is_formatted_and_leaves_no_evidence() {
    let ended = Bench::new("blank", &vec![0; 2 * MIB]).run("exit 8");
    assert_eq!((ended.code, ended.formatted), (Some(0), true), "{}", ended.said);
    assert_eq!(ended.evidence, "");
}

#[test]
fn a_partition_that_cannot_be_read_is_not_formatted() {
    untouched(&Bench::new("short", &vec![0; MIB / 2]).run("exit 8"));
    let bench = Bench::new("unreadable", &[]);
    fs::remove_file(bench.0.join("part")).expect("it is there");
    fs::create_dir(bench.0.join("part")).expect("a folder: every read of it fails");
    untouched(&bench.run("exit 8"));
}

#[test]
fn a_partition_that_is_not_there_is_not_formatted() {
    let bench = Bench::new("absent", &[]);
    fs::remove_file(bench.0.join("part")).expect("it is there");
    untouched(&bench.run("exit 8"));
}

#[test]
fn a_clean_file_system_that_does_not_mount_is_not_formatted() {
    for code in [0, 1, 2, 3] {
        let bench = Bench::new(&format!("clean-{code}"), &content(&[0x53, 0xef]));
        untouched(&bench.run(&format!("exit {code}")));
    }
}

#[test]
fn a_kernel_without_ext4_formats_nothing() {
    let bench = Bench::new("no-ext4", &vec![0; 2 * MIB]);
    fs::write(bench.0.join("filesystems"), "\tvfat\n").expect("the list can be written");
    untouched(&bench.run("exit 0"));
}

#[test]
fn a_check_that_was_not_made_formats_nothing() {
    for code in [8, 12, 16, 32, 127, 128, 134, 137, 143] {
        let bench = Bench::new(&format!("unchecked-{code}"), &content(&[0x53, 0xef]));
        untouched(&bench.run(&format!("exit {code}")));
    }
}

#[test]
fn a_backup_superblock_holds_the_format_off() {
    let bench = Bench::new("backup", &content(&[]));
    let file = fs::OpenOptions::new().write(true).open(bench.0.join("part")).expect("it is there");
    std::os::unix::fs::FileExt::write_all_at(&file, &[0x53, 0xef], 32768 * 4096 + 56)
        .expect("the file can be longer");
    file.set_len(32768 * 4096 + 8192).expect("the file can be longer");
    untouched(&bench.run("exit 8"));
}

/// With the real e2fsck: the first MiB of a flash may be lost by itself.
#[test]
fn a_file_system_whose_start_was_erased_is_repaired_and_not_formatted() {
    let bench = Bench::new("erased", &[]);
    let part = bench.0.join("part");
    let file = fs::OpenOptions::new().write(true).open(&part).expect("it is there");
    file.set_len(160 * MIB as u64).expect("the file can be longer");
    let mut make = Command::new("/sbin/mke2fs");
    make.args(["-q", "-F", "-t", "ext4", "-b", "4096"]).arg(&part);
    assert!(make.status().expect("mke2fs is there").success());
    std::os::unix::fs::FileExt::write_all_at(&file, &vec![0; MIB], 0).expect("it is ours");
    let ended = bench.run("/sbin/e2fsck \"$@\"; code=$?; touch mounts; exit $code");
    assert_eq!((ended.code, ended.formatted), (Some(0), false), "{}", ended.said);
    assert_eq!(ended.evidence, "repaired 1\n");
}

#[test]
fn a_repaired_file_system_is_kept_and_says_so() {
    let ended = Bench::new("repaired", &content(&[0x53, 0xef])).run("touch mounts; exit 1");
    assert_eq!((ended.code, ended.formatted), (Some(0), false), "{}", ended.said);
    assert_eq!(ended.evidence, "repaired 1\n");
}

#[test]
fn damage_beyond_repair_is_formatted_and_says_so() {
    let ended = Bench::new("lost", &content(&[0x53, 0xef])).run("exit 4");
    assert_eq!((ended.code, ended.formatted), (Some(0), true), "{}", ended.said);
    assert_eq!(ended.evidence, "lost 4\n");
}

#[test]
fn an_unfinished_first_format_is_done_again() {
    let ended = Bench::new("unfinished", &content(&[])).run("exit 8");
    assert_eq!((ended.code, ended.formatted), (Some(0), true), "{}", ended.said);
    assert_eq!(ended.evidence, "lost 8\n");
}

#[test]
fn a_healthy_file_system_is_mounted_and_not_even_read() {
    let bench = Bench::new("healthy", &content(&[0x53, 0xef]));
    fs::write(bench.0.join("mounts"), "").expect("it can be written");
    let ended = bench.run("touch formatted");
    assert_eq!((ended.code, ended.formatted), (Some(0), false), "{}", ended.said);
    assert!(!Path::new(&bench.0.join("run-data-head")).exists());
}
