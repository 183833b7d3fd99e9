//! Makes a root file system out of unpacked packages: what their scripts would have done, and what makes it ours.
//!
//! ```text
//! packages' files -> accounts, name services, certificates -> our files -> units -> modules -> agent -> overlays
//! ```
//!
//! Always true: nothing of the foreign processor runs; what is written depends on the inputs alone.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use anyhow::{Context, Result, ensure};

use crate::appliance::Units;
use crate::host::Tool;
use crate::places;
use crate::template::{Values, fill};

/// A root file system in the making.
pub(crate) struct Root(PathBuf);

const NAME_SERVICES: &str = "usr/share/libc-bin/nsswitch.conf";
const EMPTY_FOLDERS: [&str; 10] =
    ["boot", "data", "dev", "mnt", "proc", "root", "run", "sys", "tmp", "var"];

impl Root {
    pub(crate) fn at(folder: PathBuf) -> Self {
        Self(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Writes a file, with its folders.
    pub(crate) fn write(&self, path: &str, bytes: impl AsRef<[u8]>) -> Result<()> {
        let target = self.0.join(path);
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        // A link of the packages must not lead the write elsewhere.
        if target.is_symlink() {
            fs::remove_file(&target)?;
        }
        fs::write(&target, bytes).with_context(|| format!("{path} was not written"))
    }

    fn link(&self, to: &str, path: &str) -> Result<()> {
        let at = self.0.join(path);
        if let Some(parent) = at.parent() {
            fs::create_dir_all(parent)?;
        }
        places::gone(fs::remove_file(&at))?;
        symlink(to, &at).with_context(|| format!("{path} was not made"))
    }

    fn read(&self, path: &str) -> Result<String> {
        fs::read_to_string(self.0.join(path)).with_context(|| format!("{path} was not read"))
    }

    /// The newest file of the packages, as seconds since 1970: the date of everything we make.
    pub(crate) fn newest(&self) -> Result<u64> {
        newest(&self.0.join("usr"))
    }

    /// What the packages' scripts would have set up.
    pub(crate) fn settle(&self, epoch: u64) -> Result<()> {
        for folder in EMPTY_FOLDERS {
            fs::create_dir_all(self.0.join(folder))?;
        }
        self.accounts(epoch)?;
        self.write("etc/nsswitch.conf", self.read(NAME_SERVICES)?)?;
        self.login_rules()?;
        self.certificates()?;
        // Empty and not absent: a read-only root gets a passing identity, and this is no first boot.
        self.write("etc/machine-id", "")?;
        self.write("etc/hostname", "steadfast\n")?;
        self.write("etc/hosts", "127.0.0.1 localhost steadfast\n::1 localhost\n")?;
        self.link("/proc/self/mounts", "etc/mtab")?;
        self.link("/run", "var/run")
    }

    fn accounts(&self, epoch: u64) -> Result<()> {
        self.write("etc/passwd", self.read("usr/share/base-passwd/passwd.master")?)?;
        self.write("etc/group", self.read("usr/share/base-passwd/group.master")?)?;
        let folder = self.0.join("usr/lib/sysusers.d");
        for entry in fs::read_dir(&folder)? {
            let path = entry?.path();
            // An older systemd on the host does not know the letter for a locked account.
            let text = fs::read_to_string(&path)?;
            let known: String = text
                .lines()
                .map(|line| match line.strip_prefix("u!") {
                    Some(rest) => format!("u {rest}\n"),
                    None => format!("{line}\n"),
                })
                .collect();
            fs::write(&path, known)?;
        }
        Tool::new("systemd-sysusers")
            .arg(format!("--root={}", self.0.display()))
            .env("SOURCE_DATE_EPOCH", epoch.to_string())
            .run()?;
        let shadow: String = self
            .read("etc/passwd")?
            .lines()
            .filter_map(|line| line.split(':').next())
            .map(|name| format!("{name}:!*:::::::\n"))
            .collect();
        self.write("etc/shadow", shadow)?;
        fs::set_permissions(self.0.join("etc/shadow"), fs::Permissions::from_mode(0o600))?;
        for leftover in ["etc/gshadow", "etc/passwd-", "etc/group-", "etc/shadow-", "etc/.pwd.lock"]
        {
            places::gone(fs::remove_file(self.0.join(leftover)))?;
        }
        Ok(())
    }

    fn login_rules(&self) -> Result<()> {
        for kind in ["auth", "account", "password", "session"] {
            self.write(
                &format!("etc/pam.d/common-{kind}"),
                format!("{kind} required pam_unix.so\n"),
            )?;
        }
        self.write("etc/pam.d/common-session-noninteractive", "session required pam_unix.so\n")
    }

    fn certificates(&self) -> Result<()> {
        let folder = self.0.join("usr/share/ca-certificates/mozilla");
        let mut files: Vec<PathBuf> =
            fs::read_dir(&folder)?.flatten().map(|entry| entry.path()).collect();
        files.sort();
        let mut bundle = String::new();
        for file in files {
            bundle.push_str(&fs::read_to_string(&file)?);
        }
        self.write("etc/ssl/certs/ca-certificates.crt", bundle)
    }

    /// Copies the files of `source`, filling those that end in `.in`.
    pub(crate) fn overlay(&self, source: &Path, values: &Values) -> Result<()> {
        self.copy(source, |file, inside| {
            let Some(target) = inside.strip_suffix(".in") else {
                return Ok((inside.to_owned(), fs::read(file)?));
            };
            let text = fill(&fs::read_to_string(file)?, values);
            Ok((target.to_owned(), text.with_context(|| format!("in {inside}"))?.into_bytes()))
        })
    }

    /// Copies the files of `source` as they are.
    pub(crate) fn copy_over(&self, source: &Path) -> Result<()> {
        self.copy(source, |file, inside| Ok((inside.to_owned(), fs::read(file)?)))
    }

    /// Copies the files of `source`, with [normal](Self::normalise) modes; `made` gives the name and the bytes.
    fn copy<M>(&self, source: &Path, made: M) -> Result<()>
    where
        M: Fn(&Path, &str) -> Result<(String, Vec<u8>)>,
    {
        ensure!(source.is_dir(), "nothing was built: there is no folder {}", source.display());
        for file in files_below(source)? {
            let inside = file.strip_prefix(source).expect("it was found below the folder");
            let inside =
                inside.to_str().context("a file of an overlay has a name that is not text")?;
            if file.is_symlink() {
                let to = fs::read_link(&file)?;
                self.link(to.to_str().context("a link's aim is not text")?, inside)?;
            } else {
                let (target, bytes) = made(&file, inside)?;
                self.write(&target, bytes)?;
                self.normalise(&file, &target)?;
            }
        }
        Ok(())
    }

    /// Gives `path` the same bits whoever checked the tree out: all may read, and run what its owner could.
    fn normalise(&self, source: &Path, path: &str) -> Result<()> {
        let mode = fs::metadata(source)?.permissions().mode();
        let bits = if mode & 0o100 == 0 { 0o644 } else { 0o755 };
        fs::set_permissions(self.0.join(path), fs::Permissions::from_mode(bits))?;
        Ok(())
    }

    pub(crate) fn make_executable(&self, path: &str) -> Result<()> {
        fs::set_permissions(self.0.join(path), fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// Enables and masks units, and leaves out generators and udev rules that nobody asked for.
    pub(crate) fn units(&self, units: &Units, more: &[&str]) -> Result<()> {
        for unit in &units.mask {
            self.link("/dev/null", &format!("etc/systemd/system/{unit}"))?;
        }
        self.mask_others(
            "usr/lib/systemd/system-generators",
            "etc/systemd/system-generators",
            &units.generators,
        )?;
        self.mask_others("usr/lib/tmpfiles.d", "etc/tmpfiles.d", &units.tmpfiles)?;
        self.mask_others("usr/lib/udev/rules.d", "etc/udev/rules.d", &units.udev_rules)?;
        self.link(
            "/usr/lib/systemd/system/multi-user.target",
            "etc/systemd/system/default.target",
        )?;
        for unit in more {
            self.link(
                &format!("../{unit}"),
                &format!("etc/systemd/system/multi-user.target.wants/{unit}"),
            )?;
        }
        Tool::new("systemctl")
            .arg(format!("--root={}", self.0.display()))
            .arg("enable")
            .args(&units.enable)
            .run()
            .map(drop)
    }

    /// Makes busybox stand in for tools that are not there.
    pub(crate) fn busybox_links(&self, names: &[String]) -> Result<()> {
        for name in names {
            if !self.0.join("usr/bin").join(name).exists() {
                self.link("busybox", &format!("usr/bin/{name}"))?;
            }
        }
        Ok(())
    }

    fn mask_others(&self, from: &str, at: &str, kept: &[String]) -> Result<()> {
        for entry in fs::read_dir(self.0.join(from))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if !kept.contains(&name) {
                self.link("/dev/null", &format!("{at}/{name}"))?;
            }
        }
        Ok(())
    }
}

/// Every file and link below `folder`, sorted.
pub(crate) fn files_below(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let mut folders = vec![folder.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let entries =
            fs::read_dir(&folder).with_context(|| format!("{} was not read", folder.display()))?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() && !path.is_symlink() {
                folders.push(path);
            } else {
                files.push(path);
            }
        }
    }
    files.sort();
    Ok(files)
}

fn newest(folder: &Path) -> Result<u64> {
    let mut newest = 0;
    for file in files_below(folder)? {
        let modified = fs::symlink_metadata(&file)?.modified()?;
        let seconds = modified.duration_since(UNIX_EPOCH).map_or(0, |age| age.as_secs());
        newest = newest.max(seconds);
    }
    Ok(newest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::places::Scratch;

    #[test]
    fn the_modes_of_an_overlay_do_not_depend_on_the_builder() {
        let scratch = Scratch::of_test("modes");
        let (from, to) = (scratch.join("from"), scratch.join("to"));
        fs::create_dir_all(&from).expect("the temporary folder can be made");
        for (name, bits) in [("private", 0o600), ("open", 0o666), ("program", 0o700)] {
            fs::write(from.join(name), name).expect("written");
            fs::set_permissions(from.join(name), fs::Permissions::from_mode(bits)).expect("ours");
        }
        Root::at(to.clone()).copy_over(&from).expect("the files are there");
        let bits = |name: &str| {
            fs::metadata(to.join(name)).expect("it was copied").permissions().mode() & 0o7777
        };
        assert_eq!([bits("private"), bits("open"), bits("program")], [0o644, 0o644, 0o755]);
    }

    /// A root with what the packages bring that the tests look at.
    fn unpacked(scratch: &Scratch) -> Root {
        let root = Root::at(scratch.join("root"));
        let mozilla = "usr/share/ca-certificates/mozilla";
        for (path, text) in [
            ("usr/share/base-passwd/passwd.master", "root:*:0:0:root:/root:/bin/bash\n"),
            ("usr/share/base-passwd/group.master", "root:*:0:\n"),
            ("usr/lib/sysusers.d/some.conf", "u! locked 300 \"A locked one\"\n"),
            (NAME_SERVICES, "passwd: files\n"),
            (&format!("{mozilla}/b.crt"), "second\n"),
            (&format!("{mozilla}/a.crt"), "first\n"),
            (&format!("{mozilla}/c.crt"), "third\n"),
        ] {
            root.write(path, text).expect("the folder is ours");
        }
        root
    }

    #[test]
    fn nobody_has_a_password_and_only_root_reads_where_one_would_stand() {
        let scratch = Scratch::of_test("settle");
        let root = unpacked(&scratch);
        root.settle(86_400).expect("systemd-sysusers is there");
        let shadow = root.read("etc/shadow").expect("it was made");
        assert_eq!(shadow, "root:!*:::::::\nlocked:!*:::::::\n");
        let mode = fs::metadata(root.path().join("etc/shadow")).expect("it was made").permissions();
        assert_eq!(mode.mode() & 0o777, 0o600);
        // Empty and not absent, or the first boot would be one that asks.
        assert_eq!(root.read("etc/machine-id").expect("it was made"), "");
        let certificates = root.read("etc/ssl/certs/ca-certificates.crt").expect("it was made");
        assert_eq!(certificates, "first\nsecond\nthird\n");
    }

    #[test]
    fn a_write_never_follows_a_link_of_the_packages() {
        let scratch = Scratch::of_test("links");
        let (root, outside) = (Root::at(scratch.join("root")), scratch.join("outside"));
        fs::write(&outside, "the builder's own").expect("the folder is ours");
        let aim = outside.to_str().expect("a temporary folder's name is text");
        root.link(aim, "etc/os-release").expect("the folder is ours");
        root.write("etc/os-release", "the image's").expect("the folder is ours");
        assert_eq!(fs::read_to_string(&outside).expect("it is there"), "the builder's own");
        assert_eq!(root.read("etc/os-release").expect("it was made"), "the image's");
    }

    #[test]
    fn our_templates_are_filled_and_files_of_others_are_copied_as_they_are() {
        let scratch = Scratch::of_test("overlay");
        let (from, root) = (Root::at(scratch.join("from")), Root::at(scratch.join("root")));
        from.write("etc/board.in", "{{slot}}").expect("the folder is ours");
        from.link("../run", "var/run").expect("the folder is ours");
        root.overlay(from.path(), &Values::default().with("slot", "A")).expect("it is filled");
        assert_eq!(root.read("etc/board").expect("without its ending"), "A");
        root.copy_over(from.path()).expect("it is copied");
        assert_eq!(root.read("etc/board.in").expect("with its ending"), "{{slot}}");
        let link = fs::read_link(root.path().join("var/run")).expect("a link stays one");
        assert_eq!(link, Path::new("../run"));
        let error = root.overlay(from.path(), &Values::default()).expect_err("it has no value");
        assert_eq!(error.to_string(), "in etc/board.in");
        let error = root.copy_over(&scratch.join("nosuch")).expect_err("it is not there");
        assert!(error.to_string().contains("nosuch"), "{error}");
    }

    #[test]
    fn only_the_generators_and_tools_that_were_asked_for_run() {
        let scratch = Scratch::of_test("units");
        let root = Root::at(scratch.join("root"));
        let generators = "usr/lib/systemd/system-generators";
        for path in ["kept", "other"].map(|name| format!("{generators}/{name}")) {
            root.write(&path, "").expect("the folder is ours");
        }
        root.write("usr/bin/ip", "the real one").expect("the folder is ours");
        let aim = |path: &str| fs::read_link(root.path().join(path)).ok();
        root.mask_others(generators, "etc/generators", &["kept".to_owned()]).expect("it is ours");
        assert_eq!(aim("etc/generators/other").as_deref(), Some(Path::new("/dev/null")));
        assert_eq!(aim("etc/generators/kept"), None);
        root.busybox_links(&["ip".into(), "vi".into()]).expect("the folder is ours");
        assert_eq!(aim("usr/bin/vi").as_deref(), Some(Path::new("busybox")));
        assert_eq!(root.read("usr/bin/ip").expect("it is there"), "the real one");
    }

    #[test]
    fn everything_is_dated_by_the_newest_file_of_the_packages() {
        let scratch = Scratch::of_test("newest");
        let root = Root::at(scratch.join("root"));
        for (name, date) in [("a", 1000), ("b", 3000), ("c", 2000)] {
            root.write(&format!("usr/{name}"), "").expect("the folder is ours");
            let at = root.path().join("usr").join(name);
            let date = format!("--date=@{date}");
            Tool::new("touch").arg(date).arg(at).run().expect("it is ours");
        }
        assert_eq!(root.newest().expect("there are files"), 3000);
        let files = files_below(root.path()).expect("there are files");
        assert!(files.is_sorted() && files.len() == 3, "{files:?}");
    }
}
