//! A bus that nobody else is on, in a temporary directory of its own.

use std::{
    cell::RefCell,
    fs,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use zbus::Connection;

use super::{own_process, tools};

/// A directory that is removed with its owner.
struct TempDir(PathBuf);

impl TempDir {
    fn new() -> Self {
        // The system bus of a test in a process of its own lies where its parent said.
        if let Some(path) = own_process::folder() {
            return Self(path);
        }
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("steadfast-rauc-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a fresh name in the temporary directory");
        Self(path)
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // Best effort: a test that failed half-way must not fail a second time here.
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A process group that dies with its owner, hooks and handlers included.
pub(crate) struct Group(pub(crate) Child);

impl Drop for Group {
    fn drop(&mut self) {
        let target = format!("-{}", self.0.id());
        // Best effort: the group may be gone already.
        let _ = Command::new("kill").args(["-KILL", "--", &target]).stderr(Stdio::null()).status();
        let _ = self.0.wait();
    }
}

/// A running `dbus-daemon`.
pub(crate) struct PrivateBus {
    // Dropped in this order.
    daemon: RefCell<Option<Group>>,
    dir: TempDir,
    address: String,
}

impl PrivateBus {
    pub(crate) fn start() -> Self {
        let dir = TempDir::new();
        let socket = dir.0.join("bus").display().to_string();
        let conf = include_str!("bus.conf").replace("@SOCKET@", &socket);
        fs::write(dir.0.join("bus.conf"), conf).expect("a fresh directory is writable");
        let bus = Self { daemon: RefCell::default(), dir, address: format!("unix:path={socket}") };
        bus.restart();
        bus
    }

    /// Ends the bus, with every connection to it, and starts another one at its address.
    pub(crate) fn restart(&self) {
        drop(self.daemon.take());
        let file = |name: &str| self.dir.0.join(name);
        let log = fs::File::create(file("bus.log")).expect("an own directory is writable");
        let mut daemon = Command::new("dbus-daemon")
            .arg(format!("--config-file={}", file("bus.conf").display()))
            .args(["--nofork", "--nopidfile", "--print-address=1"])
            .stdout(Stdio::piped())
            .stderr(log)
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| tools::missing("dbus-daemon", &error));
        let mut address = String::new();
        BufReader::new(daemon.stdout.take().expect("piped above"))
            .read_line(&mut address)
            .expect("the bus prints one line or ends");
        self.daemon.replace(Some(Group(daemon)));
        assert!(address.starts_with(&self.address), "the private bus did not start");
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir.0
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    pub(crate) async fn connect(&self) -> Connection {
        zbus::connection::Builder::address(self.address())
            .expect("an address that the bus printed")
            .build()
            .await
            .expect("a bus that printed its address accepts connections")
    }
}
