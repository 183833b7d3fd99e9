use super::*;

fn capabilities(context: &str) -> Vec<String> {
    let made = container(&format!("securityContext: {{{context}}}"));
    let sets = &made["process"]["capabilities"];
    assert_eq!(sets["bounding"], sets["effective"]);
    assert_eq!(sets["bounding"], sets["permitted"]);
    assert!(sets.get("ambient").is_none() && sets.get("inheritable").is_none(), "{sets}");
    strings(&sets["bounding"]).into_iter().map(str::to_owned).collect()
}

#[test]
fn a_container_has_what_containerd_gives_to_all() {
    let given = capabilities("");
    assert_eq!(given.len(), 14);
    assert!(given.contains(&"CAP_NET_BIND_SERVICE".to_owned()));
    assert!(!given.contains(&"CAP_SYS_ADMIN".to_owned()));
}

#[test]
fn add_and_drop_change_it_and_all_counts_first() {
    let with = |text: &str| capabilities(&format!("capabilities: {{{text}}}"));
    assert_eq!(with("drop: [ALL]"), [""; 0]);
    assert_eq!(with("drop: [ALL], add: [CHOWN]"), ["CAP_CHOWN"]);
    assert_eq!(with("add: [SYS_TIME], drop: [MKNOD]").len(), 14);
    assert_eq!(with("add: [ALL]").len(), 41);
    let but_one = with("add: [ALL], drop: [SYS_ADMIN]");
    assert_eq!(but_one.len(), 40);
    assert!(!but_one.contains(&"CAP_SYS_ADMIN".to_owned()));
    assert_eq!(with("add: [KILL], drop: [KILL]").len(), 13, "what is dropped is not there");
}

#[test]
fn privileges_cannot_grow_where_the_manifest_says_so() {
    let no_new = |context: &str| {
        container(&format!("securityContext: {{{context}}}"))["process"]["noNewPrivileges"].clone()
    };
    assert_eq!(no_new("allowPrivilegeEscalation: false"), true);
    assert_eq!(no_new("allowPrivilegeEscalation: true"), false);
    assert_eq!(no_new(""), false);
}

#[test]
fn system_calls_are_filtered_unless_the_manifest_says_otherwise() {
    let seccomp =
        |text: &str| container(&format!("securityContext: {{{text}}}"))["linux"]["seccomp"].clone();
    assert_eq!(seccomp("")["defaultAction"], "SCMP_ACT_ERRNO");
    assert_eq!(seccomp("seccompProfile: {type: RuntimeDefault}"), seccomp(""));
    assert_eq!(seccomp("seccompProfile: {type: Unconfined}"), Value::Null);
    let names = seccomp("capabilities: {add: [SYS_TIME]}").to_string();
    assert!(names.contains("clock_settime"), "the filter is that of its capabilities");
}

#[test]
fn a_privileged_container_is_root_of_the_node() {
    let pod = pod("", "securityContext: {privileged: true}");
    let mut node = Node::of(&pod);
    node.paths.devices.push(Device {
        path: PathBuf::from("/dev/sda"),
        kind: DeviceKind::Block,
        major: 8,
        minor: 0,
        mode: 0o660,
        uid: 0,
        gid: 6,
    });
    let made = node.spec(&pod, 0, &image()).expect("a spec");
    assert_eq!(strings(&made["process"]["capabilities"]["effective"]).len(), 41);
    let linux = &made["linux"];
    for none in ["seccomp", "maskedPaths", "readonlyPaths"] {
        assert_eq!(linux[none], Value::Null, "{none}");
    }
    assert_eq!(linux["resources"]["devices"], json!([{ "allow": true, "access": "rwm" }]));
    let device = json!({
        "path": "/dev/sda", "type": "b", "major": 8, "minor": 0, "fileMode": 0o660, "uid": 0, "gid": 6,
    });
    assert_eq!(linux["devices"], json!([device]));
    let kinds: Vec<_> = linux["namespaces"].as_array().expect("some").iter().collect();
    assert_eq!(kinds.len(), 3, "it sees all control groups");
    for place in ["/sys", "/sys/fs/cgroup"] {
        let mounts = made["mounts"].as_array().expect("mounts");
        let mount = mounts.iter().find(|mount| mount["destination"] == place).expect("it is there");
        let options = strings(&mount["options"]);
        assert!(options.contains(&"rw") && !options.contains(&"ro"), "{place}");
    }
}

#[test]
fn any_other_container_sees_less_of_the_node() {
    let made = container("");
    let linux = &made["linux"];
    let masked = strings(&linux["maskedPaths"]);
    for path in
        ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/proc/interrupts", "/sys/firmware"]
    {
        assert!(masked.contains(&path), "{path}");
    }
    let read_only = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
    assert_eq!(strings(&linux["readonlyPaths"]), read_only);
    assert_eq!(linux["devices"], Value::Null);
    assert_eq!(linux["resources"]["devices"], json!([{ "allow": false, "access": "rwm" }]));
}

#[test]
fn containers_are_apart_but_for_the_nodes_network() {
    let pod = pod("", "");
    let mut node = Node::of(&pod);
    let kinds = |node: &Node| -> Vec<String> {
        let made = node.spec(&pod, 0, &image()).expect("a spec");
        assert_eq!(made["hostname"], Value::Null, "the name belongs to the network");
        let all = made["linux"]["namespaces"].as_array().expect("some").clone();
        assert!(all.iter().all(|it| it.get("path").is_none()), "each has its own");
        all.iter().map(|it| it["type"].as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(kinds(&node), ["pid", "ipc", "mount", "cgroup"]);
    node.paths.cgroups.version = Version::V1;
    assert_eq!(kinds(&node), ["pid", "ipc", "mount"]);
}
