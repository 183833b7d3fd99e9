//! The control groups of this machine.

use std::{
    fs,
    path::{Path, PathBuf},
};

const ROOT: &str = "/sys/fs/cgroup";

/// Whether this machine has one hierarchy.
pub(crate) fn are_v2() -> bool {
    Path::new(ROOT).join("cgroup.controllers").exists()
}

/// Every hierarchy of this machine.
fn hierarchies() -> Vec<PathBuf> {
    if are_v2() {
        return vec![PathBuf::from(ROOT)];
    }
    let entries = fs::read_dir(ROOT).expect("it is mounted").flatten();
    entries.map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}

/// Removes those of pods with this word in their names. Other tests' pods are beside them, so [`PodFiles::clean`] is not
/// for this.
///
/// [`PodFiles::clean`]: steadfast_adapters::pod_files::PodFiles::clean
pub(crate) fn forget(word: &str) {
    for ours in hierarchies().iter().map(|hierarchy| hierarchy.join("steadfast")) {
        let Ok(pods) = fs::read_dir(ours) else { continue };
        for pod in pods.flatten().filter(|pod| pod.file_name().to_string_lossy().ends_with(word)) {
            let below = fs::read_dir(pod.path()).into_iter().flatten().flatten();
            for container in below.filter(|it| it.path().is_dir()) {
                let _ = fs::remove_dir(container.path());
            }
            let _ = fs::remove_dir(pod.path());
        }
    }
}

/// A group of this machine that a test has for itself and takes for the root of all.
pub(crate) struct Own {
    pub(crate) root: PathBuf,
}

impl Own {
    pub(crate) fn new() -> Own {
        let name = format!("steadfast-test-{}", std::process::id());
        if are_v2() {
            let down = Path::new(ROOT).join("cgroup.subtree_control");
            fs::write(down, "+cpu +memory +pids").expect("the machine's own groups are writable");
            let root = Path::new(ROOT).join(name);
            fs::create_dir(&root).expect("a fresh name");
            return Own { root };
        }
        let root = Path::new(ROOT).join("pids").join(name);
        // As if it were the folder in which the hierarchy of pids is mounted.
        fs::create_dir_all(root.join("pids")).expect("a fresh name");
        Own { root }
    }

    /// The group of a pod.
    pub(crate) fn of(&self, pod: &str) -> PathBuf {
        let hierarchy = if are_v2() { self.root.clone() } else { self.root.join("pids") };
        hierarchy.join("steadfast").join(pod)
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        for below in ["pids/steadfast", "pids", "steadfast", ""] {
            let _ = fs::remove_dir(self.root.join(below));
        }
    }
}
