use super::*;
use crate::downloads::Partial;
use crate::fetch::writer::Disk;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// A small file system, gone with its owner.
struct Mount(tempfile::TempDir);

impl Mount {
    /// Runs `mount` with these words and a fresh folder.
    fn new(words: &[&str]) -> Mount {
        let root = rustix::process::geteuid().is_root();
        assert!(root, "this test mounts a small file system: it must run as root");
        let folder = tempfile::tempdir().expect("a folder");
        run(Command::new("mount").args(words).arg(folder.path()));
        Mount(folder)
    }

    fn memory(size: &str) -> Mount {
        Mount::new(&["-t", "tmpfs", "-o", &format!("size={size}"), "none"])
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Best effort: a test that failed must not fail a second time here.
        let _ = Command::new("umount").arg("--lazy").arg(self.0.path()).status();
    }
}

fn run(command: &mut Command) {
    let done = command.output();
    let done = done.unwrap_or_else(|error| panic!("{command:?} cannot be run here: {error}"));
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success(), "{command:?} cannot be done here: {said}");
}

/// The attempt of a node whose data is at `data` and which leaves so much of it free.
async fn fetched_to(data: &Path, reserve: u64, offer: &Offer) -> Result<(), Failure> {
    let node = Node::new();
    let downloads = Downloads::new(data, BOOT).leaving(reserve);
    let mut port = node.port(BOOT).downloading(downloads, node.progress.clone());
    let event = port.perform(Fetch { offer: offer.clone(), attempt: 1 }).await;
    let Event::Fetched(fetched) = event else { panic!("{event:?}") };
    fetched
}

#[tokio::test]
async fn a_bundle_that_does_not_fit_is_refused_before_it_is_fetched() {
    let data = Mount::memory("4m");
    let server = Server::of(bundle(3 << 20)).await;
    let offer = offer(&server.url());
    let failure = fetched_to(data.path(), 2 << 20, &offer).await.expect_err("there is no room");
    assert_eq!(failure.cause, Cause::Space);
    let wanted = format!("it takes {} bytes more, and of 4", 3 << 20);
    let reserve = format!("bytes that are free {} are the node's own", 2 << 20);
    assert!(failure.evidence.starts_with(&wanted), "{failure}");
    assert!(failure.evidence.ends_with(&reserve), "{failure}");
    assert_eq!(server.only_sent(), 0..4, "only how it begins was asked for");
    assert_eq!(fetched_to(data.path(), 512 << 10, &offer).await, Ok(()));
}

#[tokio::test]
async fn a_disk_that_fills_up_in_the_middle_is_the_space_and_the_reserve_is_kept() {
    let data = Mount::memory("32m");
    let server = Server::of(bundle(12 << 20)).await;
    let offer = offer(&server.url());
    let other = data.path().join("other");
    let node = Node::new();
    let downloads = Downloads::new(data.path(), BOOT).leaving(6 << 20);
    let mut port = node.port(BOOT).downloading(downloads, node.progress.clone());
    let mut told = node.told.clone();
    // Somebody else takes the room in the middle of the one connection.
    let taken = async {
        told.wait_for(|told| told.as_ref().is_some_and(|(_, step)| step == "1 of 12 MiB"))
            .await
            .expect("the port lives");
        std::fs::write(&other, vec![1; 22 << 20]).expect("there is room for it");
    };
    let fetch = Fetch { offer: offer.clone(), attempt: 1 };
    let (event, ()) = tokio::join!(port.perform(fetch), taken);
    let Event::Fetched(Err(failure)) = event else { panic!("{event:?}") };
    assert_eq!(server.sent().len(), 2, "the look, and the one connection");
    assert_eq!(failure.cause, Cause::Space, "{failure}");
    assert!(failure.evidence.ends_with(" are the node's own"), "{failure}");
    // It is looked at after every 4 MiB.
    let free = rustix::fs::statvfs(data.path()).expect("it is mounted");
    assert!(free.f_bavail * free.f_frsize >= 1 << 20, "the ledger has room");
    Downloads::new(data.path(), BOOT).keep(Needed::Never).expect("its own folder");
    let free = rustix::fs::statvfs(data.path()).expect("it is mounted");
    assert!(free.f_bavail * free.f_frsize >= 9 << 20, "what came was removed");
}

#[tokio::test]
async fn a_disk_that_is_full_is_the_space_with_the_systems_words() {
    let data = Mount::memory("4m");
    let mut file = std::fs::File::create(data.path().join("other")).expect("there is room");
    file.write_all(&vec![1; (4 << 20) - (256 << 10)]).expect("there is room");
    let offer = offer("http://nobody/");
    let downloads = Downloads::new(data.path(), BOOT).leaving(0);
    let partial = downloads.open(&offer).expect("there is room for nothing");
    let mut writer = super::super::Writer::new(partial, Disk::default());
    let failure = writer.append(&bundle(1 << 20)).await.expect_err("there is no room");
    assert_eq!(failure.cause, Cause::Space, "{failure}");
    assert!(
        failure.evidence.ends_with("could not be written: No space left on device"),
        "{failure}"
    );
}

#[tokio::test]
async fn a_disk_that_breaks_in_the_middle_is_the_write() {
    let below = tempfile::tempdir().expect("a folder");
    let disk = below.path().join("disk");
    let file = std::fs::File::create(&disk).expect("writable");
    file.set_len(64 << 20).expect("it takes no room");
    run(Command::new("mkfs.ext4").args(["-q", "-F"]).arg(&disk));
    let data = Mount::new(&["-o", "loop", disk.to_str().expect("its name is text")]);
    let server = Server::of(bundle(20 << 20)).await;
    let offer = offer(&server.url());
    let place = data.path().to_owned();
    // What ext4 does when its disk fails.
    server.offered().watched = Box::new(move |answered| {
        if answered == 1 {
            run(Command::new("mount").args(["-o", "remount,abort"]).arg(&place));
        }
    });
    let failure = fetched_to(data.path(), 0, &offer).await.expect_err("the disk is broken");
    assert_eq!(failure.cause, Cause::Write, "{failure}");
    assert!(failure.evidence.ends_with("could not be written: Read-only file system"), "{failure}");
}

/// A part of which so many bytes are synced, and so many more only written.
fn half_synced(node: &Node, offer: &Offer, body: &[u8], synced: usize, written: usize) -> Partial {
    let mut partial = node.downloads(BOOT).open(offer).expect("writable");
    let total = body.len() as u64;
    partial.comes_from(&offer.source, Some("\"one\""), total).expect("writable");
    partial.append(&body[..synced]).expect("writable");
    partial.sync().expect("writable");
    partial.append(&body[synced..written]).expect("writable");
    partial
}

#[tokio::test]
async fn what_a_power_cut_leaves_behind_the_record_is_not_believed() {
    let body = bundle(90_000);
    // Zeros instead of what was written, more than was written, or nothing of it.
    for left in [50_000, 80_000, 90_000, 120_000, 30_000] {
        let (node, server) = (Node::new(), Server::of(body.clone()).await);
        let offer = offer(&server.url());
        drop(half_synced(&node, &offer, &body, 30_000, 50_000));
        let path = node.place(&offer).with_extension("part");
        let file = std::fs::File::options().write(true).open(path).expect("it has begun");
        file.set_len(30_000).and_then(|()| file.set_len(left)).expect("writable");
        assert_eq!(node.fetched_in(NEXT_BOOT, &offer).await, Ok(()));
        assert!(node.bundle(&offer) == body, "{left}");
        assert_eq!(server.only_sent(), 30_000..90_000, "{left}");
    }
}

#[tokio::test]
async fn a_part_that_is_shorter_than_its_record_is_not_believed_at_all() {
    let (node, body) = (Node::new(), bundle(90_000));
    let server = Server::of(body.clone()).await;
    let offer = offer(&server.url());
    drop(half_synced(&node, &offer, &body, 30_000, 30_000));
    let path = node.place(&offer).with_extension("part");
    let file = std::fs::File::options().write(true).open(path).expect("it has begun");
    file.set_len(29_999).expect("writable");
    assert_eq!(node.fetched_in(NEXT_BOOT, &offer).await, Ok(()));
    assert!(node.bundle(&offer) == body);
    none_twice(&server);
}

#[tokio::test]
async fn no_second_agent_writes_the_same_part() {
    let (node, body) = (Node::new(), bundle(90_000));
    let server = Server::of(body.clone()).await;
    let offer = offer(&server.url());
    let held = half_synced(&node, &offer, &body, 30_000, 30_000);
    let failure = node.fetched(&offer).await.expect_err("it is held");
    assert_eq!(failure.cause, Cause::Write);
    assert!(failure.evidence.ends_with("another agent downloads it"), "{failure}");
    drop(held);
    assert_eq!(node.fetched(&offer).await, Ok(()));
}

#[tokio::test]
async fn only_root_can_read_or_write_what_was_downloaded() {
    let (node, server) = (Node::new(), Server::of(bundle(9_000)).await);
    let offer = offer(&server.url());
    assert_eq!(node.fetched(&offer).await, Ok(()));
    let place = node.place(&offer);
    let mode = |path: &Path| path.metadata().expect("it is there").permissions().mode() & 0o777;
    assert_eq!(mode(&place), 0o600);
    assert_eq!(mode(place.parent().expect("a folder")), 0o700);
}
