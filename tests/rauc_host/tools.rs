//! The programs that the contract tests need, and what to do when one is missing.

use std::{
    env::consts::ARCH,
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    process::{Command, Output},
    sync::OnceLock,
};

/// Fails the test with the command that sets the machine up.
pub(crate) fn missing(program: &str, error: &dyn std::fmt::Display) -> ! {
    panic!("{program} cannot be run ({error}): `cargo lab setup --yes` installs it");
}

/// Runs a program to its end; fails the test when it fails.
pub(crate) fn run(command: &mut Command) -> Output {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().unwrap_or_else(|error| missing(&program, &error));
    assert!(
        output.status.success(),
        "{command:?} ended with {}:\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

/// Lets a program believe another time: absolute, or relative to now, as libfaketime reads it.
pub(crate) fn at(command: &mut Command, clock: &str) {
    let library = format!("/usr/lib/{ARCH}-linux-gnu/faketime/libfaketime.so.1");
    if !Path::new(&library).exists() {
        missing("libfaketime", &format!("{library} is not there"));
    }
    // Waiting goes by the true clock.
    command
        .env("LD_PRELOAD", library)
        .env("FAKETIME", clock)
        .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
}

/// RAUC 1.13 out of an unpacked Debian, run with that Debian's libraries and no other part of it.
#[derive(Clone)]
pub(crate) struct Rauc {
    root: PathBuf,
}

impl Rauc {
    pub(crate) fn find() -> Self {
        static ROOT: OnceLock<PathBuf> = OnceLock::new();
        let uid = run(Command::new("id").arg("-u")).stdout;
        assert_eq!(uid, b"0\n", "RAUC mounts bundles: these tests must run as root");
        Self { root: ROOT.get_or_init(unpacked_root).clone() }
    }

    /// RAUC on this machine, in the mounts of this process.
    pub(crate) fn command(&self) -> Command {
        self.with_libraries(Command::new(self.loader()))
    }

    /// RAUC in mounts of its own: what it mounts is seen by nobody else and goes when it ends.
    pub(crate) fn in_own_mounts(&self) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--"]).arg(self.loader());
        self.with_libraries(command)
    }

    fn libraries(&self) -> PathBuf {
        self.root.join(format!("usr/lib/{ARCH}-linux-gnu"))
    }

    fn loader(&self) -> PathBuf {
        self.libraries().join(match ARCH {
            "x86_64" => "ld-linux-x86-64.so.2",
            _ => "ld-linux-aarch64.so.1",
        })
    }

    fn with_libraries(&self, mut command: Command) -> Command {
        command
            .arg("--library-path")
            .arg(self.libraries())
            .arg(self.root.join("usr/bin/rauc"))
            // Nothing of this machine's own GLib and OpenSSL set-up.
            .env("GIO_MODULE_DIR", "/nonexistent")
            .env("GIO_USE_VFS", "local")
            .env("OPENSSL_CONF", "/dev/null");
        command
    }

    /// A script that runs RAUC: RAUC starts itself again for streaming, which it cannot do by its
    /// own name when it was started through the loader.
    pub(crate) fn script(&self, path: &Path) {
        let text = format!(
            "#!/bin/sh\nexec {} --library-path {} {} \"$@\"\n",
            self.loader().display(),
            self.libraries().display(),
            self.root.join("usr/bin/rauc").display()
        );
        fs::write(path, text).expect("an own directory is writable");
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).expect("an own file");
    }
}

/// Where `cargo image tools` keeps the unpacked Debian with RAUC 1.13.
///
/// nextest runs every test in a process of its own, so they tell each other within one run.
fn unpacked_root() -> PathBuf {
    let Ok(run_id) = std::env::var("NEXTEST_RUN_ID") else { return asked_root() };
    let note = Path::new(env!("CARGO_TARGET_TMPDIR")).join("rauc-root");
    let noted = fs::read_to_string(&note).unwrap_or_default();
    if let Some((of, root)) = noted.split_once('\n')
        && of == run_id
    {
        return root.into();
    }
    let root = asked_root();
    let fresh = note.with_extension(std::process::id().to_string());
    fs::write(&fresh, format!("{run_id}\n{}", root.display()))
        .and_then(|()| fs::rename(&fresh, &note))
        .expect("cargo's own directory for tests is writable");
    root
}

fn asked_root() -> PathBuf {
    let output = Command::new(env!("CARGO"))
        .args(["image", "tools"])
        .output()
        .unwrap_or_else(|error| missing("cargo", &error));
    assert!(
        output.status.success(),
        "`cargo image tools` gave no RAUC 1.13; `cargo lab setup --yes` installs what it needs:\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tools: serde_json::Value =
        serde_json::from_slice(&output.stdout).expect("`cargo image tools` prints JSON");
    let root = Path::new(tools["rauc_root"].as_str().expect("`cargo image tools` names rauc_root"));
    let rauc = root.join("usr/bin/rauc");
    assert!(rauc.exists(), "{} is missing: run `cargo image tools` again", rauc.display());
    root.to_owned()
}

/// Frees the loop devices over `dir`, or over files in it, as far as that can be done.
pub(crate) fn detach_loops(dir: &Path) {
    let list = ["--list", "--noheadings", "--output", "NAME,BACK-FILE"];
    let Ok(output) = Command::new("losetup").args(list).output() else { return };
    for line in String::from_utf8_lossy(&output.stdout).lines() {
        if let Some((device, file)) = line.trim().split_once(' ')
            && Path::new(file.trim()).starts_with(dir)
        {
            let _ = Command::new("losetup").args(["--detach", device]).status();
        }
    }
}

/// A block device of a given size, gone with its owner.
pub(crate) struct Loop {
    device: PathBuf,
    file: PathBuf,
}

/// What may be done with a block device.
#[derive(Clone, Copy)]
pub(crate) enum Mode {
    ReadWrite,
    ReadOnly,
}

impl Loop {
    pub(crate) fn new(size: u64) -> Self {
        let name = format!("steadfast-loop-{}", std::process::id());
        Self::over(std::env::temp_dir().join(name), size, Mode::ReadWrite)
    }

    /// Over a file that does not exist yet and takes no room before it is written.
    pub(crate) fn over(file: PathBuf, size: u64, mode: Mode) -> Self {
        fs::File::create(&file)
            .and_then(|file| file.set_len(size))
            .expect("the temporary directory is writable");
        let mut command = Command::new("losetup");
        if matches!(mode, Mode::ReadOnly) {
            command.arg("--read-only");
        }
        let output = run(command.args(["--find", "--show"]).arg(&file));
        let device = String::from_utf8_lossy(&output.stdout).trim().into();
        Self { device, file }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.device
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        // By its file: the host may have freed the device already, and then it is somebody else's by now. Best effort:
        // a test that failed half-way must not fail a second time here.
        detach_loops(&self.file);
        let _ = fs::remove_file(&self.file);
    }
}
