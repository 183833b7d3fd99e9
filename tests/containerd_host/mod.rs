//! A real containerd of its own, with plain folders as its root and state.
//!
//! ```text
//! temp dir ── config.toml ──▶ containerd ──▶ shims ──▶ runc ──▶ busybox
//!    └── set.tar: a workload set whose image is this machine's static busybox
//! ```
//!
//! Always true: the machine's own containerd is not touched; what was started ends with the [`Host`], shims, processes
//! and mounts included.

pub(crate) mod image;

use std::cell::RefCell;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use steadfast_adapters::containerd::{
    Containerd, FoundContainer, Job, Mark, Places, PresentImage, Process, container_id,
};
use steadfast_adapters::workload_set::Archive;
use steadfast_core::Digest;
use steadfast_core::pod::Role;

/// No wait in these tests is longer than this.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// What the pods of these tests call their image.
pub(crate) const IMAGE: &str = "contract/busybox:1";

/// A containerd and what belongs to it.
pub(crate) struct Host {
    folder: tempfile::TempDir,
    service: RefCell<Option<Child>>,
    pub(crate) containerd: Containerd,
    /// A pod's name that no other test has: control groups are the machine's.
    pub(crate) pod: String,
}

impl Host {
    pub(crate) async fn start() -> Host {
        let folder = tempfile::tempdir().expect("the temporary folder can be written");
        let path = folder.path();
        fs::write(path.join("config.toml"), config(path)).expect("an own folder is writable");
        let places = Places {
            socket: path.join("containerd.sock"),
            root: path.join("root"),
            run: path.join("run"),
            cgroups: "/sys/fs/cgroup".into(),
        };
        let pod = path.file_name().expect("a name").to_string_lossy().to_ascii_lowercase();
        let pod = format!("contract{}", pod.replace('.', "-"));
        let containerd = Containerd::new(places);
        let host = Host { folder, service: RefCell::default(), containerd, pod };
        host.restart().await;
        host
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Starts it, or starts it anew as a crash would have it: nothing else is ended.
    pub(crate) async fn restart(&self) {
        self.crash();
        let log = fs::File::options().create(true).append(true).open(self.path("containerd.log"));
        let log = log.expect("an own folder is writable");
        let mut command = Command::new("containerd");
        command.arg("--config").arg(self.path("config.toml")).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        let child = command.spawn().expect("containerd is installed: cargo lab setup");
        self.service.replace(Some(child));
        until("containerd answers", async || self.containerd.find().await.is_ok()).await;
    }

    /// SIGKILL for containerd alone.
    pub(crate) fn crash(&self) {
        if let Some(mut child) = self.service.take() {
            child.kill().expect("it is ours");
            child.wait().expect("a child can be waited for");
        }
    }

    /// The image of the tests, brought in from a set.
    pub(crate) async fn image(&self) -> PresentImage {
        let archive = Archive::open(&image::set(self.folder.path())).expect("a set");
        let present = self.containerd.import(Arc::new(archive), IMAGE).await;
        present.unwrap_or_else(|error| panic!("{}", steadfast_adapters::chain(&error)))
    }

    /// A container of this name that runs this script.
    pub(crate) fn job(&self, image: &PresentImage, name: &str, script: &str) -> Job {
        let mark = Mark {
            pod: self.pod.as_str().try_into().expect("short"),
            container: name.to_owned(),
            position: 0,
            role: Role::Main,
            manifest: Digest([3; 32]),
            restarts: 2,
            boot: [9; 16],
        };
        let spec = spec(&self.pod, name, &["/bin/busybox", "sh", "-c", script]);
        Job { mark, image: image.clone(), spec, log: self.log(name) }
    }

    pub(crate) fn log(&self, name: &str) -> PathBuf {
        self.path("logs").join(&self.pod).join(format!("{name}.log"))
    }

    pub(crate) fn id(&self, name: &str) -> String {
        container_id(&self.pod, name)
    }

    pub(crate) async fn run(&self, image: &PresentImage, name: &str, script: &str) {
        let started = self.containerd.start(&self.job(image, name, script)).await;
        started.unwrap_or_else(|error| panic!("{}", steadfast_adapters::chain(&error)));
    }

    pub(crate) async fn found(&self, name: &str) -> Option<FoundContainer> {
        let found = self.containerd.find().await.expect("containerd answers");
        found.into_iter().find(|it| it.id == self.id(name))
    }

    pub(crate) async fn process(&self, name: &str) -> Option<Process> {
        self.found(name).await.map(|found| found.process)
    }

    /// The process of a container that runs.
    pub(crate) async fn pid(&self, name: &str) -> u32 {
        match self.process(name).await {
            Some(Process::Running { pid, .. }) => pid,
            other => panic!("{name}: {other:?}"),
        }
    }

    /// How it ended, once it has.
    pub(crate) async fn end(&self, name: &str) -> steadfast_adapters::containerd::End {
        let ended = async || matches!(self.process(name).await, Some(Process::Ended(_)));
        until("the process ends", ended).await;
        match self.process(name).await {
            Some(Process::Ended(end)) => end,
            other => panic!("{name}: {other:?}"),
        }
    }

    /// The shims of this containerd.
    pub(crate) fn shims(&self) -> Vec<u32> {
        let socket = self.path("containerd.sock").display().to_string();
        processes(|words| words[0].contains("containerd-shim") && words.contains(&socket))
    }

    /// Waits until it has said these lines and no others: the shim may still write when the process has ended, and each
    /// stream by itself.
    pub(crate) async fn says(&self, name: &str, wanted: &[&str]) {
        let all = || {
            let said = self.said(name);
            let mut lines: Vec<String> = said.lines().map(str::to_owned).collect();
            lines.sort_unstable();
            lines
        };
        until(&format!("{name} says {wanted:?}"), async || all() == wanted).await;
    }

    pub(crate) fn said(&self, name: &str) -> String {
        fs::read_to_string(self.log(name)).unwrap_or_default()
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.crash();
        for shim in self.shims() {
            signal(shim, "-KILL");
        }
        let groups = fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        for group in groups.map(|it| it.path().join("steadfast").join(&self.pod)) {
            end_all_in(&group);
        }
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let own = self.folder.path().display().to_string();
        let mounts = mounts.lines().filter_map(|line| line.split(' ').nth(1));
        for mount in mounts.filter(|mount| mount.starts_with(&own)) {
            let _ = Command::new("umount").args(["--lazy", mount]).status();
        }
    }
}

/// Ends the processes of a control group and of those below it, and removes them.
fn end_all_in(group: &Path) {
    for below in fs::read_dir(group).into_iter().flatten().flatten() {
        if below.path().is_dir() {
            end_all_in(&below.path());
        }
    }
    let begun = Instant::now();
    while fs::remove_dir(group).is_err() && group.exists() && begun.elapsed() < PATIENCE {
        let left = fs::read_to_string(group.join("cgroup.procs")).unwrap_or_default();
        left.lines().filter_map(|pid| pid.parse().ok()).for_each(|pid| signal(pid, "-KILL"));
        std::thread::yield_now();
    }
}

pub(crate) fn signal(pid: u32, signal: &str) {
    let _ = Command::new("kill").args([signal, &pid.to_string()]).stderr(Stdio::null()).status();
}

fn processes(wanted: impl Fn(&[String]) -> bool) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Ok(pid) = entry.file_name().to_string_lossy().parse() else { continue };
        let words = fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let words: Vec<String> =
            words.split(|byte| *byte == 0).map(|it| String::from_utf8_lossy(it).into()).collect();
        if wanted(&words) {
            found.push(pid);
        }
    }
    found
}

/// Asks until it is so.
pub(crate) async fn until(what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "not within {} s: {what}", PATIENCE.as_secs());
        // Others have the processor meanwhile, and what else this task waits for goes on.
        let _ = Command::new("true").status();
        tokio::task::yield_now().await;
    }
}

fn config(folder: &Path) -> String {
    let at = |name: &str| folder.join(name).display().to_string();
    format!(
        "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
         [grpc]\naddress = {:?}\n[ttrpc]\naddress = {:?}\n[debug]\nlevel = \"warn\"\n",
        at("root"),
        at("state"),
        at("containerd.sock"),
        at("containerd.sock.ttrpc"),
    )
}

/// A small specification: what these contracts are about is not what a pod's fields become.
fn spec(pod: &str, container: &str, args: &[&str]) -> Value {
    let namespaces = ["pid", "ipc", "uts", "mount"].map(|kind| json!({ "type": kind }));
    json!({
        "ociVersion": "1.0.2",
        "process": {
            "user": { "uid": 0, "gid": 0 },
            "args": args,
            "env": ["PATH=/bin"],
            "cwd": "/",
            "capabilities": { "bounding": [], "effective": [], "permitted": [] },
        },
        "root": { "path": "rootfs", "readonly": false },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc" },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["mode=755"] },
        ],
        "annotations": { "io.containerd.runc.v2.group": pod },
        "linux": {
            "cgroupsPath": format!("/steadfast/{pod}/{container}"),
            "namespaces": namespaces,
        },
    })
}
