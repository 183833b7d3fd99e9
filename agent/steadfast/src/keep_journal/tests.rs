use super::*;
use steadfast_adapters::evidence::journal::{Kept, ROOM};
use steadfast_core::{Slot, Version};
use tempfile::TempDir;
use tokio::io::{AsyncWriteExt, DuplexStream, duplex};
use tokio::sync::oneshot::{Sender, channel};
use tokio::task::JoinHandle;
use tokio::time::advance;

/// A keeper in a folder, the end of it that logs, and the word that ends it.
struct Keeping {
    folder: TempDir,
    journal: DuplexStream,
    end: Sender<()>,
    kept: JoinHandle<io::Result<bool>>,
}

/// With a journal that cannot be read at the end.
fn keeping(file: impl FnOnce(&Path) -> std::path::PathBuf) -> Keeping {
    keeping_with(file, || Err(io::ErrorKind::TimedOut.into()))
}

fn keeping_with(
    file: impl FnOnce(&Path) -> std::path::PathBuf,
    now: impl FnOnce() -> io::Result<Vec<u8>> + Send + 'static,
) -> Keeping {
    let folder = tempfile::tempdir().expect("a folder");
    let version = Version::new("1.2.0").expect("a version").to_string();
    let heading = Heading { boot: [1; 16], slot: Slot::B, version };
    let file = JournalFile::new(&file(folder.path()), heading);
    let ((journal, lines), (end, asked)) = (duplex(1 << 20), channel());
    let kept = tokio::spawn(follow(lines, file, async { asked.await.ok() }, async { now() }));
    Keeping { folder, journal, end, kept }
}

impl Keeping {
    async fn log(&mut self, text: &str) {
        self.journal.write_all(text.as_bytes()).await.expect("the keeper reads");
        settle().await;
    }

    fn lines(&self) -> Option<Vec<String>> {
        Kept::of_boot_before([2; 16], self.folder.path()).map(|kept| kept.lines)
    }
}

/// Lets the keeper do all that it can do now.
async fn settle() {
    for _ in 0..20 {
        tokio::task::yield_now().await;
    }
}

async fn seconds(seconds: u64) {
    advance(Duration::from_secs(seconds)).await;
    settle().await;
}

#[tokio::test(start_paused = true)]
async fn lines_are_on_the_disk_when_their_time_is_up_and_not_each_by_itself() {
    let mut keeping = keeping(Path::to_owned);
    let pace = pace(up()).as_secs();
    settle().await;
    keeping.log("one\n").await;
    seconds(pace - 1).await;
    keeping.log("two\n").await;
    assert_eq!(keeping.lines(), None, "it is not time yet");
    seconds(1).await;
    assert_eq!(keeping.lines().expect("written"), ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn nothing_is_written_while_nothing_is_logged() {
    let mut keeping = keeping(Path::to_owned);
    keeping.log("one\n").await;
    seconds(60).await;
    let path = keeping.folder.path().join("journal");
    std::fs::remove_file(&path).expect("it was written");
    seconds(3600).await;
    assert!(!path.exists());
    keeping.log("two\n").await;
    seconds(60).await;
    assert_eq!(keeping.lines().expect("written"), ["one", "two"]);
}

#[tokio::test(start_paused = true)]
async fn an_ordered_end_keeps_what_the_journal_holds_and_not_only_what_its_reader_was_told() {
    let mut keeping = keeping_with(Path::to_owned, || Ok(b"one\nthe agent's last word\n".to_vec()));
    keeping.log("one\n").await;
    keeping.end.send(()).expect("it listens");
    assert!(keeping.kept.await.expect("it ends").expect("it wrote"));
    let kept = Kept::of_boot_before([2; 16], keeping.folder.path()).expect("written");
    assert_eq!(
        (kept.heading.slot, &kept.lines[..2]),
        (Slot::B, &["one".to_owned(), "the agent's last word".to_owned()][..])
    );
}

#[tokio::test(start_paused = true)]
async fn an_ordered_end_whose_journal_cannot_be_read_keeps_what_came_until_then() {
    for now in [|| Err(io::ErrorKind::TimedOut.into()), || Ok(Vec::new())] {
        let mut keeping = keeping_with(Path::to_owned, now);
        keeping.log("one\n").await;
        keeping.end.send(()).expect("it listens");
        assert!(keeping.kept.await.expect("it ends").expect("it wrote"));
        let kept = Kept::of_boot_before([2; 16], keeping.folder.path()).expect("written");
        assert_eq!(kept.lines[..1], ["one"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_boot_that_ended_in_order_is_not_taken_for_one_after_it_that_failed_and_said_nothing() {
    let mut keeping = keeping(Path::to_owned);
    keeping.log("all is well\n").await;
    keeping.end.send(()).expect("it listens");
    assert!(keeping.kept.await.expect("it ends").expect("it wrote"));
    // The boot after it kept nothing; this is the one that tells of it.
    let shown = Kept::of_boot_before([3; 16], keeping.folder.path()).expect("written").lines;
    let [said, end] = &shown[..] else { panic!("{shown:?}") };
    assert_eq!(said, "all is well");
    assert!(end.contains("asked to end here") && end.contains("in a boot after it"), "{end}");
}

#[tokio::test(start_paused = true)]
async fn a_journal_that_ends_by_itself_is_no_ordered_end_and_what_it_said_is_kept() {
    let mut keeping = keeping(Path::to_owned);
    keeping.log("the last word\n").await;
    drop(keeping.journal);
    assert!(!keeping.kept.await.expect("it ends").expect("it read"));
    let kept = Kept::of_boot_before([2; 16], keeping.folder.path()).expect("written");
    assert_eq!(kept.lines, ["the last word"]);
}

#[tokio::test(start_paused = true)]
async fn a_disk_that_is_not_there_stops_nobody_who_logs_and_is_used_once_it_is() {
    let mut keeping = keeping(|folder| {
        std::fs::write(folder.join("data"), "no folder").expect("writable");
        folder.join("data/evidence")
    });
    let long = format!("{}\n", "x".repeat(99)).repeat(ROOM / 10);
    for part in long.as_bytes().chunks(1 << 16) {
        keeping.journal.write_all(part).await.expect("it still reads");
        seconds(60).await;
    }
    assert!(!keeping.kept.is_finished());
    std::fs::remove_file(keeping.folder.path().join("data")).expect("ours");
    keeping.log("it is back\n").await;
    seconds(60).await;
    let folder = keeping.folder.path().join("data/evidence");
    let kept = Kept::of_boot_before([2; 16], &folder).expect("written");
    assert_eq!(kept.lines.last().map(String::as_str), Some("it is back"));
}
