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
    use super::*;
    use crate::board::tests::profile;

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
        let folder = std::env::temp_dir().join(format!("init-{name}-{}", std::process::id()));
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
            .replace("/dev/", &format!("{}/dev/", folder.display()));
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
        fs::remove_dir_all(&folder).expect("removed");
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
}
