//! Pods on this machine: their files in a folder of the test, their containers by a real runc, without containerd.
//!
//! A container's root has one program in it, busybox. What it prints is what it sees.

pub(crate) mod groups;

use std::{
    fmt::Write as _,
    fs,
    os::unix::fs::symlink,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::atomic::{AtomicU32, Ordering},
};

use steadfast_adapters::{
    manifest::{Facts, Pod, Policy, Set, Source},
    pod_files::{PodFiles, PodPaths},
    pod_spec::{Accounts, Given, ImageConfig, spec},
};

/// Fails the test with the command that sets the machine up.
fn missing(program: &str, error: &dyn std::fmt::Display) -> ! {
    panic!("{program} cannot be run ({error}): `cargo lab setup --yes` installs it");
}

/// Runs a program to its end; fails the test when it fails.
pub(crate) fn run(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output();
    let output = output.unwrap_or_else(|error| missing(program, &error));
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// A machine with pods.
pub(crate) struct Host {
    folder: tempfile::TempDir,
    /// A word that no other test has in the names of its pods: control groups are the machine's.
    word: String,
    pub(crate) files: PodFiles,
    pub(crate) policy: Policy,
}

/// The users of the image.
const PASSWD: &str = "root:x:0:0:root:/:/bin/sh\nweb:x:33:34::/:/bin/sh\n";
const GROUP: &str = "root:x:0:\nwww:x:34:\nplug:x:46:web\n";

impl Host {
    pub(crate) fn new() -> Host {
        assert_eq!(run("id", &["-u"]), "0\n", "these tests mount: they must run as root");
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let folder = tempfile::tempdir().expect("the temporary directory is writable");
        let path = |name: &str| folder.path().join(name);
        fs::create_dir_all(path("node/etc")).expect("a fresh folder");
        fs::create_dir_all(path("node/dev")).expect("a fresh folder");
        fs::write(path("node/etc/hosts"), "127.0.0.1 localhost\n").expect("a fresh folder");
        fs::write(path("node/etc/hostname"), "press-07\n").expect("a fresh folder");
        let files = PodFiles {
            data: path("data"),
            run: path("run"),
            cgroups: PathBuf::from("/sys/fs/cgroup"),
            node: path("node"),
        };
        let policy = Policy {
            host_paths: vec![path("shared"), PathBuf::from("/dev/loop-control")],
            capabilities: vec!["SYS_ADMIN".to_owned()],
            ..Policy::default()
        };
        Host { folder, word: format!("t{}-{number}", std::process::id()), files, policy }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A pod of this name: the fields of its spec, which name its containers, too.
    pub(crate) fn pod(&self, name: &str, fields: &str) -> Pod {
        let name = format!("{name}-{}", self.word);
        let mut text = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: conf}}\ndata: {{file: content, deep: other}}\n---\n\
             apiVersion: v1\nkind: Pod\nmetadata: {{name: {name}, annotations: {{steadfast.dev/pids: \"64\"}}}}\nspec:\n"
        );
        let fields = fields.replace("@SHARED@", &self.path("shared").display().to_string());
        fields.lines().for_each(|line| writeln!(text, "  {line}").expect("text grows"));
        let set = Set::read(&[Source { name: "pod", text: text.as_bytes() }], &self.policy);
        set.unwrap_or_else(|refused| panic!("{refused}\n{text}")).pods.remove(0)
    }

    pub(crate) fn prepare(&self, pod: &Pod) -> PodPaths {
        let prepared = self.files.prepare(pod, &self.policy);
        prepared.unwrap_or_else(|error| panic!("{}", steadfast_adapters::chain(&error)))
    }

    /// Runs a container of the pod to its end.
    pub(crate) fn run(&self, pod: &Pod, container: usize) -> Output {
        let paths = self.prepare(pod);
        let bundle = self.path(&format!("bundle-{container}"));
        image(&bundle.join("rootfs"));
        let accounts = Accounts::below(&bundle.join("rootfs")).expect("the image was just made");
        let ip = "10.0.0.1".parse().expect("an address");
        let facts = Facts { node_name: "press-07".to_owned(), host_ip: ip, pod_ip: ip };
        let given = Given { facts: &facts, paths: &paths, accounts: &accounts, memory: 1 << 32 };
        let config = ImageConfig { user: Some("web".to_owned()), ..ImageConfig::default() };
        let spec = spec(pod, &pod.containers[container], &config, &given).expect("it can be run");
        fs::write(bundle.join("config.json"), spec.to_string()).expect("a fresh folder");
        let id = format!("{}-{container}", pod.name);
        let (state, bundle) = (self.path("runc"), bundle.to_owned());
        let mut runc = Command::new("runc");
        runc.arg("--root").arg(state).arg("run").arg("--bundle").arg(bundle).arg(id);
        runc.output().unwrap_or_else(|error| missing("runc", &error))
    }

    /// What a shell in the only container of a pod prints: its script, its other fields and those of the pod.
    pub(crate) fn says(&self, script: &str, fields: &str, of_pod: &str) -> String {
        let script = script.replace('\n', "; ");
        let mut text = format!("{of_pod}\ncontainers:\n- name: c\n  image: i\n");
        writeln!(text, "  command: [/bin/sh, -c, {script:?}]").expect("text grows");
        fields.lines().for_each(|line| writeln!(text, "  {line}").expect("text grows"));
        let output = self.run(&self.pod("p", &text), 0);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {said}\n{error}", output.status);
        said
    }
}

impl Drop for Host {
    /// What is mounted goes first; what cannot go is left to whoever looks at the failed test.
    fn drop(&mut self) {
        let nothing = PodFiles { cgroups: self.path("none"), ..self.files.clone() };
        let _ = nothing.clean(&[]);
        groups::forget(&format!("-{}", self.word));
        // A disk that a failed test left.
        let _ = Command::new("umount").arg("--quiet").arg(&self.files.data).status();
    }
}

/// A root with busybox under all of its names.
fn image(root: &Path) {
    if root.exists() {
        return;
    }
    for folder in ["bin", "etc", "tmp", "srv"] {
        fs::create_dir_all(root.join(folder)).expect("a fresh folder");
    }
    fs::write(root.join("etc/passwd"), PASSWD).expect("a fresh folder");
    fs::write(root.join("etc/group"), GROUP).expect("a fresh folder");
    let busybox =
        ["/bin/busybox", "/usr/bin/busybox"].into_iter().find(|it| Path::new(it).exists());
    let busybox = busybox.unwrap_or_else(|| missing("busybox", &"it is not there"));
    fs::copy(busybox, root.join("bin/busybox")).expect("a fresh folder");
    for name in run(busybox, &["--list"]).lines().filter(|name| *name != "busybox") {
        symlink("busybox", root.join("bin").join(name)).expect("a fresh folder");
    }
}
