use super::*;

fn resources(fields: &str) -> Value {
    container(&format!("resources: {fields}"))["linux"]["resources"].clone()
}

#[test]
fn cpu_is_a_share_of_what_is_asked_for_and_a_part_of_the_time() {
    let cpu = |fields| resources(fields)["cpu"].clone();
    assert_eq!(cpu("{}"), json!({ "shares": 2 }));
    assert_eq!(cpu("{requests: {cpu: 500m}}"), json!({ "shares": 512 }));
    let limited = json!({ "shares": 1536, "quota": 150_000, "period": 100_000 });
    assert_eq!(cpu("{limits: {cpu: 1500m}}"), limited);
    let both = json!({ "shares": 102, "quota": 200_000, "period": 100_000 });
    assert_eq!(cpu("{requests: {cpu: 100m}, limits: {cpu: 2}}"), both);
    assert_eq!(cpu("{limits: {cpu: 1m}}")["quota"], 1_000, "the kernel takes no less");
    assert_eq!(cpu("{requests: {cpu: 9000}}")["shares"], 262_144, "and no more");
}

#[test]
fn memory_is_bounded_without_swap() {
    assert_eq!(
        resources("{limits: {memory: 64Mi}}")["memory"],
        json!({ "limit": 64 << 20, "swap": 64 << 20 })
    );
    assert_eq!(resources("{requests: {memory: 64Mi}}")["memory"], Value::Null);
    let pod = pod("", "resources: {limits: {memory: 64Mi}}");
    let mut node = Node::of(&pod);
    node.paths.cgroups.swap = Swap::NotCounted;
    let made = node.spec(&pod, 0, &image()).expect("a spec");
    assert_eq!(made["linux"]["resources"]["memory"], json!({ "limit": 64 << 20 }));
}

#[test]
fn a_container_without_memory_ends_as_a_whole_where_the_kernel_can() {
    let pod = pod("", "");
    let mut node = Node::of(&pod);
    let unified = |node: &Node| {
        node.spec(&pod, 0, &image()).expect("a spec")["linux"]["resources"]["unified"].clone()
    };
    assert_eq!(unified(&node), json!({ "memory.oom.group": "1" }));
    node.paths.cgroups.version = Version::V1;
    assert_eq!(unified(&node), Value::Null);
}

#[test]
fn processes_are_counted_for_the_pod_and_files_are_not_limited() {
    let made = container("");
    assert_eq!(made["linux"]["resources"]["pids"], Value::Null);
    assert_eq!(made["process"]["rlimits"], Value::Null);
    assert_eq!(made["linux"]["cgroupsPath"], "/steadfast/web/c");
}

#[test]
fn the_containers_of_a_pod_have_one_shim() {
    let made = container("");
    let group = made["annotations"]["io.containerd.runc.v2.group"].as_str().expect("text");
    // printf web | sha256sum
    assert_eq!(group, "4b5e57f6eb2f42b9039b3d1e13929295");
}

#[test]
fn who_asked_for_nothing_is_ended_first_and_who_is_sure_last() {
    let score = |fields: &str| container(fields)["process"]["oomScoreAdj"].clone();
    assert_eq!(score(""), 1_000);
    assert_eq!(score("resources: {limits: {cpu: 1, memory: 1Gi}}"), -997);
    assert_eq!(score("resources: {limits: {memory: 1Gi}}"), 750, "a quarter of the node's memory");
    assert_eq!(score("resources: {requests: {cpu: 1}}"), 999);
    assert_eq!(score("resources: {requests: {memory: 9Gi}}"), 3);
    assert_eq!(
        score("resources: {requests: {cpu: 1, memory: 1Gi}, limits: {cpu: 2, memory: 1Gi}}"),
        750
    );
    assert_eq!(score("resources: {requests: {cpu: 0}}"), 1_000, "nothing is asked for");
}

#[test]
fn a_sidecar_is_ended_no_earlier_than_what_it_is_there_for() {
    let sidecar =
        "initContainers:\n- {name: s, image: i, restartPolicy: Always}\n- {name: first, image: i}";
    let pod = pod(sidecar, "resources: {requests: {memory: 1Gi}}");
    let node = Node::of(&pod);
    let scores = [0, 1, 2].map(|number| {
        node.spec(&pod, number, &image()).expect("a spec")["process"]["oomScoreAdj"].clone()
    });
    assert_eq!(scores, [750, 999, 750]);
}

#[test]
fn what_a_node_cannot_do_yet_is_told_with_its_field() {
    let disk = "volumes:\n- {name: a, emptyDir: {}}\n- {name: b, emptyDir: {sizeLimit: 1Mi}}\n\
        - {name: m, emptyDir: {medium: Memory, sizeLimit: 1Mi}}\n\
        initContainers:\n- {name: i, image: i, resources: {limits: {ephemeral-storage: 1Mi}}}\n\
        hostNetwork: false";
    let told = not_yet(&pod(disk, "resources: {limits: {ephemeral-storage: 1Mi}}"));
    let told: Vec<_> = told.iter().map(NotYet::to_string).collect();
    assert_eq!(
        told,
        [
            "spec.hostNetwork: a pod cannot have a network of its own yet: leave it out for the node's",
            "spec.volumes[1].emptyDir.sizeLimit: is not held on the node's disk yet: use medium: Memory, or leave it out",
            "spec.initContainers[0].resources.limits.ephemeral-storage: is not held on the node's disk yet: leave it out",
            "spec.containers[0].resources.limits.ephemeral-storage: is not held on the node's disk yet: leave it out",
        ]
    );
    assert_eq!(not_yet(&pod("", "resources: {requests: {ephemeral-storage: 1Mi}}")), []);
}

#[test]
fn a_pod_with_a_network_of_its_own_is_not_started_on_the_nodes() {
    let pod = pod("hostNetwork: false", "");
    let error = Node::of(&pod).spec(&pod, 0, &image()).expect_err("not yet");
    assert!(matches!(error, SpecError::NotYet(_)), "{error}");
}
