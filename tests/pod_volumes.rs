//! What a pod has on the node, and what is left of it.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, symlink},
        process::CommandExt,
    },
    path::Path,
    process::Command,
};

use crate::pod_host::{Host, groups::Own, run};
use steadfast_adapters::{
    manifest::Pod,
    pod_files::{PodFiles, PodFilesError},
};

const VOLUMES: &str = "volumes:\n\
    - {name: disk, emptyDir: {}}\n\
    - {name: memory, emptyDir: {medium: Memory, sizeLimit: 1Mi}}\n\
    - {name: conf, configMap: {name: conf, defaultMode: 0400, items: [{key: file, path: a}, {key: deep, path: b/c}]}}\n\
    securityContext: {fsGroup: 2000}";

const MOUNTS: &str = "volumeMounts:\n\
    - {name: disk, mountPath: /disk}\n\
    - {name: memory, mountPath: /memory}\n\
    - {name: conf, mountPath: /conf}\n\
    - {name: conf, mountPath: /one, subPath: b/c}";

/// A pod with two containers that both mount all of it.
fn pod(host: &Host, name: &str, scripts: [&str; 2]) -> Pod {
    let mut text = format!("{VOLUMES}\ncontainers:\n");
    for (number, script) in scripts.iter().enumerate() {
        let mounts = MOUNTS.replace('\n', "\n  ");
        text += &format!(
            "- name: c{number}\n  image: i\n  command: [/bin/sh, -c, {script:?}]\n  {mounts}\n"
        );
    }
    host.pod(name, &text)
}

fn only(host: &Host, name: &str) -> Pod {
    pod(host, name, ["true", "true"])
}

/// A pod's files without its control groups, which are the machine's.
fn without_groups(host: &Host) -> PodFiles {
    PodFiles { cgroups: host.path("none"), ..host.files.clone() }
}

/// Permissions, owner and group.
fn mode(path: &Path) -> (u32, u32, u32) {
    let found = fs::symlink_metadata(path).unwrap_or_else(|error| panic!("{path:?}: {error}"));
    (found.mode() & 0o7777, found.uid(), found.gid())
}

#[test]
fn the_containers_of_a_pod_share_its_volumes() {
    let host = Host::new();
    let write =
        "echo disk > /disk/x; echo memory > /memory/x; touch /conf/x 2>/dev/null || echo refused";
    let read = "cat /disk/x /memory/x /conf/a /one; stat -c %g /disk/x /memory/x; df -k /memory | tail -1 | awk '{print $2}'";
    let pod = pod(&host, "p", [write, read]);
    let said = |container| {
        let output = host.run(&pod, container);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{error}");
        String::from_utf8(output.stdout).expect("text")
    };
    assert_eq!(said(0), "refused\n");
    assert_eq!(said(1), "disk\nmemory\ncontentother2000\n2000\n1024\n");
}

#[test]
fn volumes_belong_to_the_pods_group() {
    let host = Host::new();
    let paths = host.prepare(&only(&host, "p"));
    let of = |volume: &str, file: &str| mode(&paths.volumes[volume].path.join(file));
    assert_eq!(of("disk", ""), (0o2777, 0, 2000));
    assert_eq!(of("memory", ""), (0o2777, 0, 2000));
    assert_eq!(of("conf", ""), (0o2755, 0, 2000));
    assert_eq!(of("conf", "a"), (0o440, 0, 2000), "the group can read what it is given");
    assert_eq!(of("conf", "b"), (0o2755, 0, 2000));
}

#[test]
fn what_is_there_is_kept_when_all_is_prepared_again() {
    let host = Host::new();
    let pod = only(&host, "p");
    let paths = host.prepare(&pod);
    for volume in ["disk", "memory"] {
        fs::write(paths.volumes[volume].path.join("work"), "done").expect("it is for everybody");
    }
    fs::write(&paths.messages["c0"], "a last word").expect("it is for everybody");
    assert_eq!(host.prepare(&pod), paths);
    for volume in ["disk", "memory"] {
        let path = paths.volumes[volume].path.join("work");
        assert_eq!(fs::read_to_string(path).expect("it is kept"), "done");
    }
    assert_eq!(fs::read_to_string(&paths.messages["c0"]).expect("it is kept"), "a last word");
    let mounted = run("cat", &["/proc/self/mountinfo"]);
    let memory = paths.volumes["memory"].path.display().to_string();
    assert_eq!(mounted.matches(&memory).count(), 1, "mounted once");
}

#[test]
fn a_last_word_is_read_on_the_node_and_is_bounded() {
    let host = Host::new();
    let script = "echo because > /dev/termination-log; dd if=/dev/zero of=/dev/termination-log bs=1M count=1 seek=1 2>/dev/null || echo full";
    let text = format!("containers:\n- {{name: c, image: i, command: [/bin/sh, -c, {script:?}]}}");
    let pod = host.pod("p", &text);
    let output = host.run(&pod, 0);
    assert_eq!(String::from_utf8_lossy(&output.stdout), "full\n");
    let path = host.files.message(&pod, "c");
    assert!(fs::read(&path).expect("it is there").starts_with(b"because\n"));
    host.files.empty_message(&pod, "c").expect("it is there");
    assert_eq!(fs::read(&path).expect("it is there"), b"");
    host.prepare(&pod);
    assert_eq!(mode(&path), (0o666, 0, 0));
}

#[test]
fn what_belongs_to_no_kept_pod_is_removed_and_what_does_is_not() {
    let host = Host::new();
    let (kept, gone) = (only(&host, "kept"), only(&host, "gone"));
    let (of_kept, of_gone) = (host.prepare(&kept), host.prepare(&gone));
    // The pod before its manifest changed.
    let before = pod(&host, "kept", ["true", "false"]);
    assert_ne!(before.digest, kept.digest);
    let of_before = host.prepare(&before);
    fs::write(of_kept.volumes["memory"].path.join("work"), "done").expect("it is for everybody");
    let files = without_groups(&host);
    files.clean(&[(kept.name.clone(), kept.digest)]).expect("nothing is in use");
    for paths in [&of_gone, &of_before] {
        for volume in paths.volumes.values() {
            assert!(!volume.path.exists(), "{:?}", volume.path);
        }
        assert!(!paths.messages["c0"].exists());
    }
    for volume in of_kept.volumes.values() {
        assert!(volume.path.exists(), "{:?}", volume.path);
    }
    let path = of_kept.volumes["memory"].path.join("work");
    assert_eq!(fs::read_to_string(path).expect("it is kept"), "done");
    let mounted = run("cat", &["/proc/self/mountinfo"]);
    assert!(!mounted.contains(&of_gone.volumes["memory"].path.display().to_string()));
    assert!(!host.path("run/pods").join(gone.name.as_str()).exists());
    files.clean(&[]).expect("nothing is in use");
    assert!(host.path("run/pods").read_dir().expect("a folder").next().is_none());
}

#[test]
fn logs_stay_until_somebody_says_otherwise() {
    let host = Host::new();
    let (kept, gone) = (only(&host, "kept"), only(&host, "gone"));
    for pod in [&kept, &gone] {
        let paths = host.prepare(pod);
        assert_eq!(paths.logs["c0"], host.files.log(&pod.name, "c0"));
        fs::write(&paths.logs["c0"], "a line").expect("its folder is there");
    }
    without_groups(&host).clean(&[]).expect("nothing is in use");
    assert!(host.files.log(&gone.name, "c0").exists());
    host.files.forget_logs(std::slice::from_ref(&kept.name)).expect("they can be removed");
    assert!(host.files.log(&kept.name, "c0").exists());
    assert!(!host.files.log(&gone.name, "c0").exists());
}

#[test]
fn a_folder_of_the_node_is_mounted_and_never_removed() {
    let host = Host::new();
    fs::create_dir(host.path("shared")).expect("a fresh folder");
    fs::create_dir(host.path("other")).expect("a fresh folder");
    let volume = "volumes:\n- {name: h, hostPath: {path: @SHARED@/new, type: DirectoryOrCreate}}";
    let fields = "securityContext: {runAsUser: 0}\nvolumeMounts: [{name: h, mountPath: /h}]";
    assert_eq!(host.says("echo x > /h/x\nln -s /other /h/link", fields, volume), "");
    without_groups(&host).clean(&[]).expect("nothing is in use");
    assert_eq!(fs::read_to_string(host.path("shared/new/x")).expect("it stays"), "x\n");
    fs::remove_dir_all(host.path("shared/new")).expect("it is there");
    symlink(host.path("other"), host.path("shared/new")).expect("nothing is there");
    let text = format!("{volume}\ncontainers: [{{name: c, image: i, command: [/bin/true]}}]");
    let refused =
        host.files.prepare(&host.pod("p", &text), &host.policy).expect_err("it leads out");
    assert!(matches!(refused, PodFilesError::HostPath { .. }), "{refused}");
    assert!(refused.to_string().contains("which the node's policy does not allow"), "{refused}");
}

#[test]
fn what_somebody_mounted_in_a_volume_is_not_removed() {
    let host = Host::new();
    let paths = host.prepare(&only(&host, "p"));
    let place = paths.volumes["disk"].path.join("a/b");
    fs::create_dir_all(&place).expect("it is for everybody");
    fs::create_dir(host.path("other")).expect("a fresh folder");
    fs::write(host.path("other/x"), "x").expect("a fresh folder");
    let place = place.display().to_string();
    run("mount", &["--bind", &host.path("other").display().to_string(), &place]);
    let told = without_groups(&host).clean(&[]).expect_err("something is mounted in it");
    run("umount", &[&place]);
    assert!(steadfast_adapters::chain(&told).ends_with("something is mounted in it"), "{told}");
    assert_eq!(fs::read_to_string(host.path("other/x")).expect("it stays"), "x");
    without_groups(&host).clean(&[]).expect("nothing is in use");
}

#[test]
fn a_volume_can_be_mounted_in_one_that_is_only_to_read() {
    let host = Host::new();
    let mounts = "volumeMounts:\n\
        - {name: conf, mountPath: /conf}\n\
        - {name: disk, mountPath: /conf/deep/disk, readOnly: true}\n\
        - {name: memory, mountPath: /conf/deep/disk/memory}\n\
        terminationMessagePath: /conf/last";
    let script =
        "echo x > /conf/deep/disk/memory/x\necho y > /conf/last\ncat /conf/a\nls /conf/deep/disk";
    assert_eq!(host.says(script, mounts, VOLUMES), "contentmemory\n");
}

/// A disk of 64 KiB in the place of `data`.
fn small_disk(host: &Host) -> String {
    let data = host.path("data");
    fs::create_dir(&data).expect("a fresh folder");
    let data = data.display().to_string();
    run("mount", &["-t", "tmpfs", "-o", "size=64k,nr_inodes=24", "tmpfs", &data]);
    data
}

#[test]
fn a_full_disk_is_told_and_other_pods_stay_as_they_are() {
    let host = Host::new();
    let disk = small_disk(&host);
    let whole = host.prepare(&only(&host, "whole"));
    let mut number = 0;
    while fs::write(host.path("data").join(format!("f{number}")), "").is_ok() {
        number += 1;
    }
    let late = host.files.prepare(&only(&host, "late"), &host.policy).expect_err("no room");
    let told = steadfast_adapters::chain(&late);
    assert!(told.contains("No space left on device"), "{told}");
    assert!(whole.volumes.values().all(|volume| volume.path.exists()));
    fs::remove_file(host.path("data/f0")).expect("it is there");
    without_groups(&host).clean(&[]).expect("removing needs no room");
    run("umount", &[&disk]);
}

#[test]
fn a_disk_that_is_only_to_read_is_told_and_memory_is_given_back_all_the_same() {
    let host = Host::new();
    let disk = small_disk(&host);
    let paths = host.prepare(&only(&host, "p"));
    run("mount", &["-o", "remount,ro", &disk]);
    let told = without_groups(&host).clean(&[]).expect_err("nothing can be removed there");
    let told = steadfast_adapters::chain(&told);
    assert!(
        told.contains("Read-only file system") && told.contains("could not be removed"),
        "{told}"
    );
    assert!(paths.volumes["disk"].path.exists() && !paths.volumes["memory"].path.exists());
    run("umount", &[&disk]);
}

#[test]
fn the_kernel_holds_a_pods_bound_and_its_group_goes_with_it() {
    let host = Host::new();
    let own = Own::new();
    let files = PodFiles { cgroups: own.root.clone(), ..host.files.clone() };
    let pod = only(&host, "p");
    files.prepare(&pod, &host.policy).expect("the group can be made");
    let group = own.of(pod.name.as_str());
    let bound = fs::read_to_string(group.join("pids.max")).expect("the kernel's file");
    assert_eq!(bound, "64\n");
    let inside = group.join("c");
    fs::create_dir(&inside).expect("as runc makes it");
    // It waits for a line from this test.
    let mut process = Command::new("cat");
    process.stdin(std::process::Stdio::piped()).process_group(0);
    let mut process = process.spawn().expect("each machine has it");
    fs::write(inside.join("cgroup.procs"), process.id().to_string()).expect("the kernel's file");
    let told = files.clean(&[]).expect_err("a process is in it");
    assert!(
        steadfast_adapters::chain(&told).contains("busy"),
        "{}",
        steadfast_adapters::chain(&told)
    );
    drop(process.stdin.take());
    process.wait().expect("it ends with its input");
    files.clean(&[]).expect("nothing is in use");
    assert!(!group.exists());
}
