use super::*;

/// Where, what and how, of each bind mount.
fn bound(made: &Value) -> Vec<(&str, &str, String)> {
    let mounts = made["mounts"].as_array().expect("mounts").iter();
    let bound = mounts.filter(|mount| mount["type"] == "bind");
    bound
        .map(|mount| {
            let text = |name: &str| mount[name].as_str().expect("text");
            (text("destination"), text("source"), strings(&mount["options"]).join(","))
        })
        .collect()
}

fn places(made: &Value) -> Vec<&str> {
    let mounts = made["mounts"].as_array().expect("mounts").iter();
    mounts.map(|mount| mount["destination"].as_str().expect("text")).collect()
}

const VOLUMES: &str = "volumes:\n- {name: a, emptyDir: {}}\n- {name: b, emptyDir: {}}";

fn with(mounts: &str) -> Value {
    made(&pod(VOLUMES, mounts), &image())
}

#[test]
fn the_kernels_file_systems_are_there_as_containerd_mounts_them() {
    let made = container("");
    let kernels =
        ["/proc", "/dev", "/dev/pts", "/dev/shm", "/dev/mqueue", "/sys", "/sys/fs/cgroup"];
    assert_eq!(places(&made)[..7], kernels);
    let option = |place: &str, option: &str| {
        let mounts = made["mounts"].as_array().expect("mounts");
        let mount = mounts.iter().find(|mount| mount["destination"] == place).expect("it is there");
        strings(&mount["options"]).contains(&option)
    };
    assert!(option("/sys", "ro") && option("/sys/fs/cgroup", "ro"));
    assert!(option("/proc", "nosuid") && option("/proc", "nodev") && option("/proc", "noexec"));
    assert!(option("/dev/shm", "size=65536k") && option("/dev/pts", "newinstance"));
}

#[test]
fn volumes_are_where_the_manifest_says() {
    let made = with(
        "volumeMounts:\n- {name: a, mountPath: /deep/down}\n- {name: b, mountPath: /deep//, readOnly: true}",
    );
    let found = bound(&made);
    assert_eq!(found[0], ("/deep", "/volumes/b", "rbind,rprivate,ro".to_owned()));
    assert!(found.contains(&("/deep/down", "/volumes/a", "rbind,rprivate,rw".to_owned())));
}

#[test]
fn one_file_of_a_volume_can_be_mounted_alone() {
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {k: v}\n---\n\
        apiVersion: v1\nkind: Pod\nmetadata: {name: web}\nspec:\n  volumes:\n  - {name: f, configMap: {name: m}}\n  \
        containers:\n  - {name: c, image: i, volumeMounts: [{name: f, mountPath: /etc/k, subPath: k}]}\n";
    let set = Set::read(&[Source { name: "a", text: text.as_bytes() }], &policy()).expect("a set");
    let made = made(&set.pods[0], &image());
    assert!(bound(&made).contains(&("/etc/k", "/volumes/f/k", "rbind,rprivate,ro".to_owned())));
}

#[test]
fn a_volume_stands_instead_of_what_the_kernel_has_there() {
    let made = with("volumeMounts:\n- {name: a, mountPath: /dev/shm}");
    assert_eq!(places(&made).iter().filter(|place| **place == "/dev/shm").count(), 1);
    let whole = with("volumeMounts:\n- {name: a, mountPath: /dev}");
    let places = places(&whole);
    assert!(!places.contains(&"/dev/pts") && !places.contains(&"/dev/mqueue"), "{places:?}");
}

#[test]
fn names_and_hosts_are_the_nodes_unless_a_volume_is_there() {
    let plain = with("");
    for name in ["hostname", "hosts", "resolv.conf"] {
        let (place, source) = (format!("/etc/{name}"), format!("/node/etc/{name}"));
        let found = (place.as_str(), source.as_str(), "rbind,rprivate,ro".to_owned());
        assert!(bound(&plain).contains(&found), "{name}");
    }
    let one = with("volumeMounts:\n- {name: a, mountPath: /etc/hosts}");
    let found: Vec<_> =
        bound(&one).into_iter().filter(|(place, ..)| *place == "/etc/hosts").collect();
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].1, "/volumes/a");
    let all = with("volumeMounts:\n- {name: a, mountPath: /etc}");
    assert!(!places(&all).iter().any(|place| place.starts_with("/etc/")), "{all}");
}

#[test]
fn a_container_can_say_why_it_ended() {
    let found = ("/dev/termination-log", "/messages/c", "rbind,rprivate,rw".to_owned());
    assert!(bound(&with("")).contains(&found));
    let other = with("terminationMessagePath: /tmp/last");
    assert!(
        bound(&other)
            .iter()
            .any(|(place, source, _)| (*place, *source) == ("/tmp/last", "/messages/c"))
    );
    let taken = with("terminationMessagePath: /last\nvolumeMounts:\n- {name: a, mountPath: /last}");
    let found: Vec<_> = bound(&taken).into_iter().filter(|(place, ..)| *place == "/last").collect();
    assert_eq!(found.len(), 1, "a volume stands instead of it");
}

#[test]
fn the_root_is_only_to_read_where_the_manifest_says_so() {
    let root = |fields| container(fields)["root"].clone();
    assert_eq!(root(""), json!({ "path": "rootfs", "readonly": false }));
    assert_eq!(root("securityContext: {readOnlyRootFilesystem: true}")["readonly"], true);
}

#[test]
fn a_device_that_a_volume_names_can_be_opened_and_no_more() {
    let volume = "volumes:\n- {name: camera, hostPath: {path: /dev/video0, type: CharDevice}}";
    let rules = |fields: &str| {
        let pod = pod(volume, fields);
        let mut node = Node::of(&pod);
        node.paths.volumes.get_mut("camera").expect("it is there").device = Some(Device {
            path: PathBuf::from("/dev/video0"),
            kind: DeviceKind::Character,
            major: 81,
            minor: 0,
            mode: 0o660,
            uid: 0,
            gid: 44,
        });
        node.spec(&pod, 0, &image()).expect("a spec")["linux"]["resources"]["devices"].clone()
    };
    let none = json!({ "allow": false, "access": "rwm" });
    let camera = |access: &str| json!({ "allow": true, "type": "c", "major": 81, "minor": 0, "access": access });
    let mounted = "volumeMounts:\n- {name: camera, mountPath: /dev/video0}";
    assert_eq!(rules(mounted), json!([none, camera("rw")]));
    let read = "volumeMounts:\n- {name: camera, mountPath: /dev/video0, readOnly: true}";
    assert_eq!(rules(read), json!([none, camera("r")]));
    assert_eq!(rules(""), json!([none]), "another container of the pod does not have it");
}

#[test]
fn paths_of_another_pod_are_an_error() {
    let pod = pod(VOLUMES, "volumeMounts:\n- {name: a, mountPath: /a}");
    let mut node = Node::of(&pod);
    node.paths.volumes.clear();
    let error = node.spec(&pod, 0, &image()).expect_err("there is no path");
    assert_eq!(error.to_string(), "nothing was prepared for the volume a");
}
