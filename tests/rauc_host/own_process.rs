//! A test in a process of its own, whose system bus is a private one.
//!
//! The agent's port asks for the system bus, whose address a process has in its environment. No test may change that
//! beside others, so the test runs itself again, alone, with another environment. What it mounts is seen by nobody else
//! and goes when it ends.

use std::{
    env, fs,
    path::PathBuf,
    process::{self, Command},
    sync::atomic::{AtomicU32, Ordering},
};

use super::tools::missing;

const FOLDER: &str = "STEADFAST_TEST_FOLDER";

/// The folder of the private bus, in the process that has one.
pub(crate) fn folder() -> Option<PathBuf> {
    env::var_os(FOLDER).map(PathBuf::from)
}

/// Carries `promise` out in a process of its own. The caller is a `#[test]` with nothing else in it.
pub(crate) fn alone<P: AsyncFnOnce()>(promise: P) {
    if folder().is_some() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        return runtime.expect("a runtime like the agent's").block_on(promise());
    }
    let name = test_of::<P>();
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Short, because a socket's path may be no longer than 107 bytes.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = env::temp_dir().join(format!("steadfast-own-{}-{number}", process::id()));
    fs::create_dir(&folder).expect("a fresh name in the temporary directory");
    let output = Command::new("unshare")
        .args(["--mount", "--propagation", "private", "--"])
        .arg(env::current_exe().expect("a running program has a file"))
        .args(["--exact", &name, "--nocapture"])
        .env(FOLDER, &folder)
        .env("DBUS_SYSTEM_BUS_ADDRESS", format!("unix:path={}/bus", folder.display()))
        .output()
        .unwrap_or_else(|error| missing("unshare", &error));
    // The child removes it, unless it was killed.
    let _ = fs::remove_dir_all(&folder);
    let said = String::from_utf8_lossy(&output.stdout);
    println!("{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} failed in its own process: {}", output.status);
    assert!(said.contains("1 passed"), "no test is called {name}");
}

/// The name of the test that wrote this closure: `contract::faults::promise::{{closure}}` without its ends.
fn test_of<P>() -> String {
    let path = std::any::type_name::<P>();
    let path = path.split_once("::").map_or(path, |(_, inner)| inner);
    path.split("::{{closure}}").next().unwrap_or(path).to_owned()
}
