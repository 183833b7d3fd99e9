//! Runs the boot script in a shell, with U-Boot's words stood in for: which slot starts, and what is saved first.
//!
//! Always true: the script is the rendered one. U-Boot's own shell has the last word on it: the lab runs the same
//! script in a guest, over many more contents of the boot environment.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::process::Command;

use crate::board::tests::profile;
use crate::bootscript::render;
use crate::host::Tool;
use crate::places::Scratch;

/// Where the stand-in for `part start` says that the partition begins.
const START: u64 = 0x800 * 512;

/// A disk with two copies of the environment and two slots that can start.
struct Bench(Scratch);

impl Bench {
    fn new(name: &str, copies: [&[u8]; 2]) -> Self {
        let bench = Self(Scratch::of_test(&format!("script-{name}")));
        let disk = OpenOptions::new().write(true).create_new(true).open(bench.0.join("disk"));
        let disk = disk.expect("the folder is new");
        disk.set_len(2 * START).expect("the folder is ours");
        for (offset, copy) in profile().boot.copy_offsets.iter().zip(copies) {
            disk.write_all_at(copy, START + offset).expect("the disk is long enough");
        }
        for slot in ["boot_a", "boot_b"] {
            fs::create_dir_all(bench.0.join(&format!("parts/{slot}"))).expect("the folder is ours");
            bench.put(slot, "Image", "kernel");
            bench.put(slot, "initrd.zst", "initramfs");
            bench.put(slot, "slot.env", "image_size=6\ninitrd_size=9\nslot_args=quiet\n");
        }
        bench
    }

    fn put(&self, slot: &str, file: &str, text: &str) {
        fs::write(self.0.join(&format!("parts/{slot}/{file}")), text).expect("the folder is ours");
    }

    /// What the console shows, in the order of the lines, and both copies afterwards.
    fn run(&self) -> (Vec<String>, [String; 2]) {
        let mut board = profile();
        // A shell would take its `<...>` for redirections.
        board.ramoops = None;
        let script = render(&board).expect("every name has a value").replace("mw.l", "mw_l");
        let words = include_str!("uboot_words.sh");
        fs::write(self.0.join("script"), format!("{words}\n{script}")).expect("it is ours");
        let mut shell = Command::new("sh");
        let out = shell.arg("script").current_dir(self.0.join("")).output().expect("there is one");
        let said = String::from_utf8_lossy(&[out.stdout, out.stderr].concat()).into_owned();
        let disk = fs::read(self.0.join("disk")).expect("it is there");
        let copies = profile().boot.copy_offsets.map(|offset| {
            let start = (START + offset + 4) as usize;
            let strings =
                disk[start..].split(|byte| *byte == 0).take_while(|text| !text.is_empty());
            let strings: Vec<_> = strings.map(String::from_utf8_lossy).collect();
            let values = strings.iter().map(|text| text.split_once('=').map_or("?", |(_, v)| v));
            values.collect::<Vec<_>>().join(",")
        });
        (said.lines().map(str::to_owned).collect(), copies)
    }

    /// Holds that `slot` starts, or that the node rests, and that the copies are these afterwards.
    fn ends(&self, slot: &str, after: [&str; 2]) -> Vec<String> {
        let (said, copies) = self.run();
        let end = match slot {
            "" => "rests".to_owned(),
            slot => {
                let root = slot.to_lowercase();
                format!("starts root=PARTLABEL=rootfs_{root} rauc.slot={slot} quiet")
            }
        };
        assert_eq!(said.last(), Some(&end), "{said:#?}");
        assert_eq!(copies, after, "{said:#?}");
        said
    }
}

/// A whole copy: sequence number, order, attempts of A and of B, rounds.
fn copy(values: [&str; 5]) -> Vec<u8> {
    let names = ["SEQ", "BOOT_ORDER", "BOOT_A_LEFT", "BOOT_B_LEFT", "REARMS"];
    let lines = names.iter().zip(values).map(|(name, value)| format!("{name}={value}\n"));
    Tool::new("mkenvimage")
        .args(["-p", "0x00", "-s", "0x1000", "-o", "-", "-"])
        .input(lines.collect::<String>())
        .run()
        .expect("mkenvimage makes a copy")
}

#[test]
fn the_newest_whole_copy_counts_and_the_other_one_is_written() {
    let (older, newer) = (copy(["f", "B A", "3", "3", "0"]), copy(["10", "A B", "2", "3", "0"]));
    let saved = "11,A B,1,3,0";
    Bench::new("newer-1", [&older, &newer]).ends("A", [saved, "10,A B,2,3,0"]);
    Bench::new("newer-0", [&newer, &older]).ends("A", ["10,A B,2,3,0", saved]);
    let mut broken = newer.clone();
    broken[20] ^= 1;
    let broken = Bench::new("broken", [&older, &broken]);
    let (said, copies) = broken.run();
    assert!(
        said.iter().any(|line| line.contains("slot B order=\"B A\" left=2 seq=10")),
        "{said:?}"
    );
    assert_eq!(copies[1], "10,B A,3,2,0");
}

#[test]
fn without_a_whole_copy_both_slots_are_tried_from_a() {
    Bench::new("blank", [&[], &[]]).ends("A", ["1,A B,2,3,0", ""]);
}

#[test]
fn a_slot_without_attempts_is_passed_over() {
    let none = copy(["4", "A B", "0", "2", "0"]);
    Bench::new("passed-over", [&none, &[]]).ends("B", ["4,A B,0,2,0", "5,A B,0,1,0"]);
}

#[test]
fn a_count_that_is_too_big_or_no_number_is_no_endless_row_of_attempts() {
    let big = copy(["4", "A B", "ff", "ff", "ff"]);
    Bench::new("big", [&big, &[]]).ends("A", ["4,A B,ff,ff,ff", "5,A B,7,8,3"]);
    let words = copy(["4", "A B", "zz", "2", "0"]);
    Bench::new("words", [&words, &[]]).ends("B", ["4,A B,zz,2,0", "5,A B,0,1,0"]);
}

#[test]
fn a_slot_that_cannot_be_loaded_costs_its_attempt_and_the_other_one_starts() {
    let usual = copy(["4", "A B", "2", "3", "0"]);
    let after = ["6,A B,1,2,0", "5,A B,1,3,0"];
    for (file, text) in [("Image", ""), ("Image", "kern"), ("initrd.zst", "init"), ("slot.env", "")]
    {
        let bench = Bench::new(&format!("load-{file}-{}", text.len()), [&usual, &[]]);
        bench.put("boot_a", file, text);
        let said = bench.ends("B", after);
        assert!(
            said.iter().any(|line| line == "steadfast-boot: slot A cannot be loaded"),
            "{said:?}"
        );
    }
    let bench = Bench::new("load-nothing", [&usual, &[]]);
    fs::remove_dir_all(bench.0.join("parts/boot_a")).expect("it is there");
    bench.ends("B", after);
}

#[test]
fn fresh_attempts_are_saved_before_they_are_used_and_end_in_a_rest() {
    let spent = copy(["4", "B A", "0", "0", "2"]);
    let said = Bench::new("rearm", [&spent, &[]]).ends("B", ["6,B A,1,0,3", "5,B A,1,1,3"]);
    assert!(said.iter().any(|line| line == "steadfast-boot: rearm 3"), "{said:?}");
    let over = copy(["4", "B A", "0", "0", "3"]);
    Bench::new("rest", [&over, &[]]).ends("", ["4,B A,0,0,3", "5,B A,0,0,0"]);
}

#[test]
fn a_disk_that_cannot_be_written_still_starts_the_node_and_the_console_says_so() {
    let usual = copy(["4", "A B", "2", "3", "0"]);
    let bench = Bench::new("read-only", [&usual, &[]]);
    fs::write(bench.0.join("read-only"), "").expect("the folder is ours");
    let said = bench.ends("A", ["4,A B,2,3,0", ""]);
    assert!(said.iter().any(|line| line == "steadfast-boot: count not saved"), "{said:?}");
}
