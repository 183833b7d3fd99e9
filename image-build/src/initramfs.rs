//! Packs the initramfs: busybox, dmsetup with its libraries, a few modules, and `boot/init`.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use hw_profile::Profile;

use crate::host::Tool;
use crate::modules::{Modules, plain};
use crate::{disk, places, root};

const FOLDERS: [&str; 10] =
    ["bin", "sbin", "dev", "etc", "lib/modules", "newroot", "proc", "run", "sys", "tmp"];

/// Writes the initramfs to `out`, from the unpacked boot packages in `files`.
pub(crate) fn pack(profile: &Profile, files: &Path, tree: &Path, out: &Path) -> Result<()> {
    for folder in FOLDERS {
        fs::create_dir_all(tree.join(folder))?;
    }
    program(&places::own().join("boot/init"), &tree.join("init"))?;
    program(&files.join("usr/bin/busybox"), &tree.join("bin/busybox"))?;
    program(&files.join("usr/sbin/dmsetup"), &tree.join("sbin/dmsetup"))?;
    libraries(profile, files, tree)?;
    let modules = Modules::below(&files.join("usr"))?;
    let mut list = String::new();
    for file in modules.with_needs(&profile.kernel.initramfs_modules)? {
        let name = plain(&file).rsplit('/').next().expect("a path has a last part").to_owned();
        modules.copy(&file, &tree.join("lib/modules").join(&name))?;
        let is_watchdog =
            name.replace('-', "_") == format!("{}.ko", profile.watchdog.module.replace('-', "_"));
        let options = if is_watchdog { profile.watchdog.module_options() } else { String::new() };
        list.push_str(&format!("{name} {options}\n"));
    }
    fs::write(tree.join("etc/modules"), list)?;
    fs::write(tree.join("etc/board"), board(profile))?;
    archive(tree, out)
}

/// What `boot/init` knows of the board, in the shell's words.
fn board(profile: &Profile) -> String {
    let partitions: Vec<String> =
        disk::layout(profile).into_iter().map(|partition| partition.name).collect();
    format!("watchdog={}\npartitions='{}'\n", profile.watchdog.device, partitions.join(" "))
}

fn program(from: &Path, to: &Path) -> Result<()> {
    fs::copy(from, to).with_context(|| format!("{} was not copied", from.display()))?;
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

/// Copies the shared libraries that dmsetup needs, and those that they need.
fn libraries(profile: &Profile, files: &Path, tree: &Path) -> Result<()> {
    let folder = profile.arch.library_folder();
    let target = tree.join("lib").join(folder);
    fs::create_dir_all(&target)?;
    let mut wanted = vec![tree.join("sbin/dmsetup")];
    let mut seen = BTreeSet::new();
    while let Some(file) = wanted.pop() {
        let dynamic = Tool::new("readelf").args(["--dynamic", "--wide"]).arg(&file).text()?;
        for name in needed(&dynamic) {
            if !seen.insert(name.clone()) {
                continue;
            }
            // The loader's path is fixed in every program; it stands beside the folder.
            let is_loader = name.starts_with("ld-linux");
            let to = if is_loader { tree.join("lib").join(&name) } else { target.join(&name) };
            program(&files.join("usr/lib").join(folder).join(&name), &to)?;
            wanted.push(to);
        }
    }
    ensure!(seen.iter().any(|name| name.starts_with("ld-linux")), "dmsetup names no loader");
    Ok(())
}

/// The libraries that a file needs, out of what readelf printed.
fn needed(dynamic: &str) -> Vec<String> {
    let lines = dynamic.lines().filter(|line| line.contains("(NEEDED)"));
    lines.filter_map(|line| Some(line.split_once('[')?.1.split_once(']')?.0.to_owned())).collect()
}

fn archive(tree: &Path, out: &Path) -> Result<()> {
    let mut names = String::from(".\n");
    let mut folders: BTreeSet<String> = BTreeSet::new();
    let mut files = Vec::new();
    for file in root::files_below(tree)? {
        let inside = file.strip_prefix(tree)?.to_string_lossy().into_owned();
        files.push(inside);
    }
    folders.extend(FOLDERS.iter().map(|folder| (*folder).to_owned()));
    for file in &files {
        let mut parent = Path::new(file).parent();
        while let Some(folder) = parent.filter(|folder| !folder.as_os_str().is_empty()) {
            folders.insert(folder.to_string_lossy().into_owned());
            parent = folder.parent();
        }
    }
    for name in folders.iter().chain(&files) {
        names.push_str(name);
        names.push('\n');
    }
    Tool::new("find")
        .arg(tree)
        .args(["-exec", "touch", "--no-dereference", "--date=@0", "{}", "+"])
        .run()?;
    let cpio = Tool::new("cpio")
        .args(["--create", "--format=newc", "--owner=0:0", "--reproducible", "--quiet"])
        .within(tree)
        .input(names)
        .run()?;
    let packed = Tool::new("zstd").args(["-12", "--quiet", "--stdout"]).input(cpio).run()?;
    fs::write(out, packed).with_context(|| format!("{} was not written", out.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::chown;

    use super::*;
    use crate::board::tests::profile;
    use crate::places::Scratch;
    use crate::verity::Verity;

    #[test]
    fn the_needed_libraries_are_read_from_the_dynamic_section() {
        let dynamic = " 0x01 (NEEDED)   Shared library: [libc.so.6]\n 0x0c (INIT) 0x10\n\
                        0x01 (NEEDED)   Shared library: [ld-linux-aarch64.so.1]\n";
        assert_eq!(needed(dynamic), ["libc.so.6", "ld-linux-aarch64.so.1"]);
    }

    #[test]
    fn the_watchdog_is_armed_before_anything_slow() {
        let init = fs::read_to_string(places::own().join("boot/init")).expect("init is there");
        let arm = init.find("\n    arm\n").expect("init arms the watchdog after each module");
        let root = init.find("root=$(word root)").expect("init looks for the root");
        assert!(arm < root, "the root is looked for before the watchdog is armed");
        let profile = profile();
        assert_eq!(profile.kernel.initramfs_modules.first(), Some(&profile.watchdog.module));
    }

    /// Runs the part of `boot/init` that chooses the disk over `disks` (name and partitions); gives the links it
    /// made and what it said.
    fn chosen(name: &str, disks: &[(&str, &str)]) -> (Vec<String>, String) {
        let scratch = Scratch::of_test(&format!("init-{name}"));
        let folder = scratch.join("");
        for (disk, partitions) in disks {
            for (number, partition) in partitions.split(' ').enumerate() {
                let at = folder.join(format!("block/{disk}/{disk}{}", number + 1));
                fs::create_dir_all(&at).expect("the temporary folder can be made");
                let uevent =
                    format!("DEVNAME={disk}{}\nPARTN=1\nPARTNAME={partition}\n", number + 1);
                fs::write(at.join("uevent"), uevent).expect("written");
                fs::write(at.join("partition"), "1").expect("written");
            }
        }
        let init = fs::read_to_string(places::own().join("boot/init")).expect("init is there");
        let start = init.find("\ndevice=\n").expect("the choice begins with an empty device");
        let end = init.find("\nroot=/dev/steadfast/").expect("the root is taken from the links");
        let choice = init[start..end]
            .replace("/sys/block", &folder.join("block").display().to_string())
            .replace("/dev/", &format!("{}/", folder.join("dev").display()));
        let script = format!(
            "say() {{ echo \"$*\"; }}; fail() {{ echo \"failed: $*\"; exit 1; }}\n\
             word() {{ echo PARTLABEL=rootfs_a; }}; sleep() {{ :; }}\n\
             partitions='env rootfs_a data'\n{choice}\n"
        );
        let out = Tool::new("sh").args(["-c", &script]).output().expect("there is a shell");
        let mut links: Vec<String> = root::files_below(&folder.join("dev/steadfast"))
            .unwrap_or_default()
            .iter()
            .map(|link| {
                let to = fs::read_link(link).expect("it is a link");
                let name = link.file_name().expect("it has a name").to_string_lossy().into_owned();
                format!("{name} {}", to.display())
            })
            .collect();
        links.sort();
        let said = [out.stdout, out.stderr].concat();
        (links, String::from_utf8_lossy(&said).trim().to_owned())
    }

    #[test]
    fn partitions_of_another_disk_with_the_same_names_are_never_used() {
        let (links, said) =
            chosen("foreign", &[("sda", "data rootfs_a"), ("vda", "env rootfs_a data")]);
        assert_eq!(links, ["data ../vda3", "env ../vda1", "rootfs_a ../vda2"]);
        assert_eq!(said, "");
    }

    #[test]
    fn of_two_equal_disks_the_first_is_used_and_the_console_says_so() {
        let whole = "env rootfs_a data";
        let (links, said) = chosen("equal", &[("vdb", whole), ("vda", whole)]);
        assert_eq!(links, ["data ../vda3", "env ../vda1", "rootfs_a ../vda2"]);
        assert_eq!(said, "more than one disk has our partitions: vda vdb; using vda");
    }

    #[test]
    fn a_disk_that_lost_its_data_still_starts_the_slot() {
        let (links, said) = chosen("lost", &[("sda", "data"), ("vda", "env rootfs_a")]);
        assert_eq!(links, ["env ../vda1", "rootfs_a ../vda2"]);
        assert_eq!(said, "no disk has all of: env rootfs_a data");
    }

    #[test]
    fn without_a_root_the_start_fails_by_name() {
        let (links, said) = chosen("none", &[("sda", "data")]);
        assert!(links.is_empty());
        assert_eq!(said, "failed: there is no partition rootfs_a");
    }

    #[test]
    fn the_root_is_opened_read_only_under_its_root_hash_and_a_changed_block_is_a_panic() {
        let init = fs::read_to_string(places::own().join("boot/init")).expect("init is there");
        let start = init.find("\nverity=$(word").expect("the argument is read");
        let end = init.find("\n[ -b /dev/dm-0 ]").expect("the device is looked for");
        let (root_hash, salt) = ("a".repeat(64), "b".repeat(64));
        let verity = Verity { data_blocks: 7, root_hash: root_hash.clone(), salt: salt.clone() };
        let argument = verity.argument();
        let value =
            argument.strip_prefix("steadfast.verity=").expect("it is a word of the kernel's");
        let script = format!(
            "word() {{ echo {value}; }}; fail() {{ echo \"failed: $*\"; exit 1; }}\n\
             dmsetup() {{ cat; echo \"$*\"; }}; root=/dev/steadfast/rootfs_a\n{}\n",
            &init[start..end]
        );
        let said = Tool::new("sh").args(["-c", &script]).text().expect("there is a shell");
        let part = "/dev/steadfast/rootfs_a";
        let table = format!("verity 1 {part} {part} 4096 4096 7 7 sha256 {root_hash} {salt}");
        let wanted = format!("0 56 {table} 1 panic_on_corruption\ncreate --noudevsync -r root\n");
        assert_eq!(said, wanted);
    }

    /// Packages as far as an initramfs needs them, with this machine's `ls` for dmsetup: a program whose libraries
    /// need libraries.
    fn packages(scratch: &Scratch) -> std::path::PathBuf {
        let files = scratch.join("files");
        let modules = files.join("usr/lib/modules/6");
        let libraries = files.join("usr/lib").join(profile().arch.library_folder());
        for folder in [&files.join("usr/bin"), &files.join("usr/sbin"), &modules, &libraries] {
            fs::create_dir_all(folder).expect("the folder is ours");
        }
        fs::write(files.join("usr/bin/busybox"), "busybox").expect("the folder is ours");
        fs::copy("/bin/ls", files.join("usr/sbin/dmsetup")).expect("every machine has it");
        let needs = Tool::new("ldd").arg("/bin/ls").text().expect("it names its libraries");
        for path in needs.split_whitespace().filter(|word| word.starts_with('/')) {
            let name = path.rsplit('/').next().expect("a path has a last part");
            fs::copy(path, libraries.join(name)).expect("it is there");
        }
        let names = profile().kernel.initramfs_modules;
        let list: String = names.iter().map(|name| format!("{name}.ko:\n")).collect();
        fs::write(modules.join("modules.dep"), list).expect("the folder is ours");
        fs::write(modules.join("modules.builtin"), "").expect("the folder is ours");
        for name in names {
            fs::write(modules.join(format!("{name}.ko")), name).expect("the folder is ours");
        }
        files
    }

    #[test]
    fn the_initramfs_is_whole_and_the_same_each_time() {
        let packed = ["initramfs-1", "initramfs-2"].map(|name| {
            let scratch = Scratch::of_test(name);
            let (files, tree, out) =
                (packages(&scratch), scratch.join("tree"), scratch.join("out"));
            fs::create_dir_all(tree.join("bin")).expect("the folder is ours");
            // Whoever is not root owns it already.
            drop(chown(tree.join("bin"), Some(1000), Some(1000)));
            pack(&profile(), &files, &tree, &out).expect("cpio and zstd pack it");
            fs::read(&out).expect("it was made")
        });
        assert!(packed[0] == packed[1], "two of the same differ");
        let [cpio, _] = packed.map(|bytes| {
            Tool::new("zstd").args(["--decompress", "--stdout"]).input(bytes).run().expect("zstd")
        });
        let read = |args: &[&str]| {
            Tool::new("cpio").args(args).arg("--quiet").input(cpio.clone()).text().expect("cpio")
        };
        let list = read(&["--list", "--verbose", "--numeric-uid-gid"]);
        assert_eq!(list.lines().count(), list.matches(" 0        0 ").count(), "{list}");
        // What `ls` itself does not name, but one of its libraries.
        assert!(list.contains("libpcre2-8.so.0") && list.contains(" lib/ld-linux"), "{list}");
        let modules = read(&["--extract", "--to-stdout", "etc/modules"]);
        assert!(modules.starts_with("i6300esb.ko nowayout=1 heartbeat=300\n"), "{modules}");
        assert_eq!(modules.matches("heartbeat").count(), 1, "{modules}");
        let board = read(&["--extract", "--to-stdout", "etc/board"]);
        let names = "ubootenv bootscript boot_a boot_b rootfs_a rootfs_b data";
        assert_eq!(board, format!("watchdog=/dev/watchdog\npartitions='{names}'\n"));
    }
}
