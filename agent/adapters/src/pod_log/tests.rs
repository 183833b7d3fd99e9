use super::*;
use std::collections::VecDeque;
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::thread;
use tempfile::TempDir;

/// Twenty blocks of most file systems.
const LIMIT: u64 = 80 << 10;

/// A log as its shim writes it: opened once, and appended to.
struct Log {
    folder: TempDir,
    file: File,
    /// All that was ever written.
    written: Vec<u8>,
    /// How many lines that was.
    lines: usize,
}

impl Log {
    fn new() -> Log {
        let folder = tempfile::tempdir().expect("the temporary folder can be written");
        let file = appended(&folder.path().join("c.log"));
        Log { folder, file, written: Vec::new(), lines: 0 }
    }

    /// One with these bytes in it.
    fn of(text: impl AsRef<[u8]>) -> Log {
        let mut log = Log::new();
        log.write(text.as_ref());
        log
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("c.log")
    }

    fn write(&mut self, bytes: &[u8]) {
        self.file.write_all(bytes).expect("the disk has room");
        self.written.extend(bytes);
    }

    /// So many further lines, of lengths that no block is a multiple of.
    fn grow(&mut self, lines: usize) {
        for _ in 0..lines {
            let line = line(self.lines);
            self.write(format!("{line}\n").as_bytes());
            self.lines += 1;
        }
    }

    fn bytes(&self) -> Vec<u8> {
        fs::read(self.path()).expect("it is there")
    }

    fn bound(&self) -> Bounded {
        bound(&self.path(), LIMIT).expect("it can be kept within its bounds")
    }

    fn read(&self, begin: Begin) -> Lines {
        Lines::open(&self.path(), begin).expect("it is there")
    }
}

fn appended(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).expect("the folder can be written")
}

fn line(number: usize) -> String {
    format!("{number} {}", "x".repeat(number * 7 % 150))
}

/// All lines that are there, and what stands behind them.
fn all(lines: &mut Lines) -> Vec<String> {
    let mut all = there(lines);
    all.extend(lines.rest().map(|rest| String::from_utf8(rest).expect("text")));
    all
}

/// All whole lines that are there.
fn there(lines: &mut Lines) -> Vec<String> {
    let mut all = Vec::new();
    while let Some(line) = lines.line().expect("it can be read") {
        all.push(String::from_utf8(line).expect("text"));
    }
    all
}

/// Whether blocks can be taken out of files in the temporary folder.
fn cuts() -> bool {
    use rustix::fs::{FallocateFlags, fallocate};
    let file = tempfile::tempfile().expect("the temporary folder can be written");
    file.set_len(1 << 21).expect("it is empty");
    fallocate(&file, FallocateFlags::COLLAPSE_RANGE, 0, 1 << 20).is_ok()
}

#[test]
fn a_log_within_its_bounds_or_not_there_stays_as_it_is() {
    let mut log = Log::new();
    assert_eq!(bound(&log.folder.path().join("none.log"), LIMIT).expect("fine"), Bounded::Fits);
    log.write(&vec![b'x'; LIMIT as usize]);
    assert_eq!(log.bound(), Bounded::Fits);
    assert_eq!(log.bytes(), log.written);
}

#[test]
fn a_log_that_is_too_long_keeps_its_second_half_and_begins_with_a_whole_line() {
    let mut log = Log::new();
    log.grow(2_000);
    let Bounded::Gave(gave) = log.bound() else { panic!("it was too long") };
    let (kept, gave) = (log.bytes(), gave as usize);
    assert_eq!(kept, log.written[gave..], "nothing but the front is gone");
    assert!((LIMIT / 2..LIMIT / 2 + 4096).contains(&(kept.len() as u64)), "{}", kept.len());
    log.grow(1);
    assert_eq!(log.bytes(), log.written[gave..], "the writer goes on behind it");
    let read = all(&mut log.read(Begin::First));
    let first = 2_001 - read.len();
    let whole: Vec<_> = (first..2_001).map(line).collect();
    assert_eq!(read, whole);
    let cut: usize = (0..first).map(|number| line(number).len() + 1).sum();
    assert!(cut >= gave && cut - gave < 160, "no whole line is passed over");
}

#[test]
fn a_cut_where_a_line_begins_leaves_that_line() {
    let mut log = Log::new();
    for number in 0..4096 {
        log.write(format!("{number:031}\n").as_bytes());
    }
    let Bounded::Gave(gave) = log.bound() else { panic!("it was too long") };
    let read = all(&mut log.read(Begin::First));
    assert_eq!(read.first(), Some(&format!("{:031}", gave / 32)));
}

#[test]
fn nothing_that_is_written_meanwhile_is_lost_or_moved() {
    assert!(cuts(), "set TMPDIR to a folder on ext4: this is its promise");
    let log = Log::new();
    let written: Vec<u8> =
        (0..60_000).flat_map(|number| format!("{}\n", line(number)).into_bytes()).collect();
    let (path, bytes) = (log.path(), written.clone());
    let writer = thread::spawn(move || {
        let mut file = appended(&path);
        for line in bytes.split_inclusive(|byte| *byte == b'\n') {
            file.write_all(line).expect("the disk has room");
        }
    });
    let (mut gave, mut cuts) = (0, 0);
    loop {
        let last = writer.is_finished();
        if let Bounded::Gave(bytes) = log.bound() {
            (gave, cuts) = (gave + bytes as usize, cuts + 1);
        }
        if last {
            break;
        }
    }
    writer.join().expect("it wrote all");
    assert!(cuts > 1, "the bound was kept while it wrote");
    assert!(
        log.bytes() == written[gave..],
        "every byte is there, in its order, but from the front"
    );
    let read = all(&mut log.read(Begin::First));
    let whole: Vec<_> = (60_000 - read.len()..60_000).map(line).collect();
    assert!(read == whole);
}

#[test]
fn where_blocks_cannot_be_taken_out_the_rest_is_moved_to_the_front() {
    let mut log = Log::new();
    log.grow(3_000);
    let file = OpenOptions::new().read(true).write(true).open(log.path()).expect("there");
    cut::move_down(&file, 10_000).expect("it can be written");
    assert_eq!(log.bytes(), log.written[10_000..]);
    log.grow(1);
    assert_eq!(log.bytes(), log.written[10_000..], "the writer goes on behind it");
}

#[test]
fn a_log_in_memory_is_kept_within_its_bounds_too() {
    let Ok(folder) = tempfile::tempdir_in("/dev/shm") else { return };
    let path = folder.path().join("c.log");
    let written: Vec<u8> =
        (0..2_000).flat_map(|number| format!("{}\n", line(number)).into_bytes()).collect();
    appended(&path).write_all(&written).expect("memory has room");
    let Bounded::Gave(gave) = bound(&path, LIMIT).expect("it can be") else { panic!("too long") };
    assert_eq!(fs::read(&path).expect("there"), written[gave as usize..]);
    let mut lines = Lines::open(&path, Begin::Last(1)).expect("there");
    assert_eq!(all(&mut lines), [line(1_999)]);
}

#[test]
fn a_reader_at_work_is_waited_for_but_not_for_ever() {
    let mut log = Log::new();
    log.write(&vec![b'x'; 100 << 10]);
    let reader = File::open(log.path()).expect("there");
    reader.lock_shared().expect("nobody writes");
    assert_eq!(log.bound(), Bounded::Busy);
    log.write(&vec![b'x'; 100 << 10]);
    assert!(matches!(log.bound(), Bounded::Gave(_)), "it is twice as long as it may be");
    drop(reader);
    log.write(&vec![b'x'; 100 << 10]);
    assert!(matches!(log.bound(), Bounded::Gave(_)));
}

#[test]
fn who_keeps_pace_sees_every_line_once_whatever_is_cut() {
    let mut log = Log::new();
    let (mut lines, mut seen) = (log.read(Begin::First), VecDeque::new());
    // Each round more is written than was given back in the round before, so the length alone tells nothing.
    for round in 0..40 {
        log.grow(300 + 40 * round);
        seen.extend(there(&mut lines));
        log.bound();
    }
    log.grow(1);
    seen.extend(there(&mut lines));
    assert_eq!(seen.len(), log.lines);
    assert!(seen.iter().enumerate().all(|(number, seen)| *seen == line(number)));
}

#[test]
fn who_falls_behind_goes_on_with_a_whole_line() {
    let mut log = Log::new();
    log.grow(10);
    let mut lines = log.read(Begin::First);
    assert_eq!(lines.line().expect("readable"), Some(line(0).into_bytes()));
    log.grow(3_000);
    assert!(matches!(log.bound(), Bounded::Gave(_)));
    let seen = there(&mut lines);
    let behind = seen.iter().position(|seen| *seen == line(10)).map_or(9, |at| at + 1);
    assert!(seen[behind..].len() > 100, "{}", seen.len());
    let first = log.lines - seen[behind..].len();
    assert!(seen[behind..].iter().enumerate().all(|(at, seen)| *seen == line(first + at)));
}

#[test]
fn a_line_is_told_when_it_is_whole() {
    let mut log = Log::of("one\ntw");
    let mut lines = log.read(Begin::First);
    assert_eq!(there(&mut lines), ["one"]);
    log.write(b"o\n\nthr");
    assert_eq!(there(&mut lines), ["two", ""]);
    assert_eq!(lines.rest(), Some(b"thr".to_vec()));
    assert_eq!(lines.rest(), None);
}

#[test]
fn a_log_that_is_cut_off_begins_anew() {
    let mut log = Log::of("one\ntwo\nhal");
    let mut lines = log.read(Begin::First);
    assert_eq!(there(&mut lines), ["one", "two"]);
    log.file.set_len(0).expect("ours");
    log.write(b"new\n");
    assert_eq!(there(&mut lines), ["hal", "new"]);
}

#[test]
fn a_log_that_is_removed_and_made_anew_is_read_to_its_end_and_then_the_new_one() {
    let mut log = Log::of("one\n");
    let mut lines = log.read(Begin::First);
    assert_eq!(there(&mut lines), ["one"]);
    log.write(b"two\nhal");
    fs::remove_file(log.path()).expect("ours");
    assert_eq!(there(&mut lines), ["two"], "what was written before is still told");
    let mut new = appended(&log.path());
    new.write_all(b"new\n").expect("the disk has room");
    assert_eq!(there(&mut lines), ["hal", "new"]);
}

#[test]
fn a_long_line_comes_in_pieces_and_takes_no_more_memory_than_they_do() {
    let mut log = Log::of(vec![b'x'; LONGEST]);
    log.write(b"\n");
    log.write(&vec![b'y'; 5 * LONGEST]);
    log.write(b"z\nend\n");
    let mut lines = log.read(Begin::First);
    let mut lengths = Vec::new();
    while let Some(line) = lines.line().expect("readable") {
        assert!(lines.held.capacity() <= 8 * LONGEST + LONGEST, "{}", lines.held.capacity());
        lengths.push(line.len());
    }
    let pieces = [LONGEST; 6].into_iter().chain([1, 3]);
    assert_eq!(lengths, pieces.collect::<Vec<_>>());
}

#[test]
fn the_last_lines_are_found_from_the_end_however_far_that_is() {
    let last = |log: &Log, count| all(&mut log.read(Begin::Last(count)));
    let mut log = Log::of("one\ntwo\n\nfour\n");
    for (count, lines) in [(0, vec![]), (1, vec!["four"]), (2, vec!["", "four"])] {
        assert_eq!(last(&log, count), lines, "{count}");
    }
    for count in [4, 5, u64::MAX] {
        assert_eq!(last(&log, count), ["one", "two", "", "four"], "{count}");
    }
    log.write(b"fi");
    assert_eq!(last(&log, 2), ["four", "fi"], "a line that is begun is one");
    log.write(b"ve\n");
    log.grow(5_000);
    assert_eq!(last(&log, 4_001), (999..5_000).map(line).collect::<Vec<_>>());
    assert_eq!(last(&Log::new(), 3), [""; 0]);
}

#[test]
fn the_last_lines_of_a_log_that_was_cut_are_whole() {
    let mut log = Log::new();
    log.grow(2_000);
    log.bound();
    let read = all(&mut log.read(Begin::Last(u64::MAX)));
    assert_eq!(read, (2_000 - read.len()..2_000).map(line).collect::<Vec<_>>());
    let end = tail(&log.path(), u64::MAX, usize::MAX >> 8).expect("readable");
    assert_eq!(end.lines().collect::<Vec<_>>(), read);
}

#[test]
fn the_end_of_a_log_has_at_most_so_many_lines_and_so_many_bytes() {
    let log = Log::of("one\ntwo\nthree\n");
    let end = |lines, bytes| tail(&log.path(), lines, bytes).expect("readable");
    assert_eq!(end(2, 100), "two\nthree\n");
    assert_eq!(end(2, 8), "o\nthree\n");
    assert_eq!(end(9, 100), "one\ntwo\nthree\n");
    assert_eq!(tail(&log.folder.path().join("none.log"), 1, 1).expect("no end"), "");
}

#[test]
fn the_last_words_are_the_last_line_with_something_in_it() {
    let words = |text: &[u8]| last_words(&Log::of(text).path()).as_str().to_owned();
    assert_eq!(words(b"one\n  panic: no\x1b disk \n\n \n"), "panic: no  disk");
    assert_eq!(words(b"one\ntw"), "tw");
    assert_eq!(words(b""), "");
    assert_eq!(words(&[b'x'; 10_000]).len(), 160);
    assert_eq!(last_words(Path::new("/nowhere/c.log")), "");
}

#[test]
fn a_log_that_cannot_be_read_says_which_and_why() {
    let folder = tempfile::tempdir().expect("writable");
    let path = folder.path().join("none.log");
    let error = Lines::open(&path, Begin::First).expect_err("there is none");
    let said = crate::chain(&error);
    assert!(
        said.starts_with(&format!("{} cannot be read: No such file", path.display())),
        "{said}"
    );
    let error = bound(folder.path(), 1).expect_err("it is a folder");
    assert!(crate::chain(&error).contains("cannot be kept within its bounds: "));
}
