//! A node whose /data is full.

use super::*;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

/// A disk of 512 KiB where the node has its /data; gone with its owner.
struct Small(PathBuf);

impl Small {
    fn data_of(folder: &TempDir) -> Small {
        let root = rustix::process::geteuid().is_root();
        assert!(root, "this test mounts a small file system: it must run as root");
        let data = folder.path().join("data");
        fs::create_dir(&data).expect("writable");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=512k", "small"]).arg(&data);
        assert!(mount.status().expect("mount is there").success(), "it is not mounted");
        Small(data)
    }

    /// Somebody else takes what is left.
    fn fill(&self) {
        let full = fs::write(self.0.join("others"), vec![1; 1 << 20]).expect_err("it is small");
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
    }

    fn clear(&self) {
        fs::remove_file(self.0.join("others")).expect("it is there");
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Best effort: a test that failed must not fail a second time here.
        let _ = Command::new("umount").arg("--lazy").arg(&self.0).status();
    }
}

fn warned(node: &Node) -> bool {
    node.life.warnings().iter().any(|warning| warning.contains("/data is full"))
}

/// Orders a bundle that is not there until an order is refused; how many were taken, and why no more.
fn order_until_refused(node: &mut Node) -> (u32, String) {
    for taken in 0..1000 {
        if let Response::Refused { because } = answer(&mut node.life, update("/usb/2.raucb")) {
            return (taken, because);
        }
        let gone = Failure::new(Cause::Source, format_args!("it is not there"));
        node.life.turn(Event::Fetched(Err(gone))).expect("it is saved");
    }
    panic!("every order is taken");
}

#[tokio::test]
async fn a_full_disk_takes_no_update_that_it_could_not_remember_to_its_end() {
    within(async {
        let folder = tempfile::tempdir().expect("a folder");
        let disk = Small::data_of(&folder);
        let mut node = node(&folder, &config(&folder));
        settled(&mut node);
        disk.fill();
        let (taken, because) = order_until_refused(&mut node);
        assert!(taken > 0, "the reserve was whole");
        assert_eq!(because, "/data is full, so the node could not remember what became of it");
        assert!(warned(&node));
        let entries = node.life.ledger.entries();
        assert_eq!(order_until_refused(&mut node), (0, because));
        assert_eq!(node.life.ledger.entries(), entries, "what is refused takes no room");
        assert_eq!(node.life.ledger.kept(), Kept::Data);
        disk.clear();
        assert_eq!(answer(&mut node.life, update("/usb/2.raucb")), Response::Accepted);
        assert!(!warned(&node));
    })
    .await;
}
