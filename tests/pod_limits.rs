//! What a container can get at most.

use crate::pod_host::{Host, groups};

/// Reads a file of the container's own control group, which is mounted in it to read.
fn of_its_group(v1: &str, v2: &str) -> String {
    match groups::are_v2() {
        true => format!("cat /sys/fs/cgroup/{v2}"),
        false => format!("cat /sys/fs/cgroup/{v1}"),
    }
}

#[test]
fn memory_and_cpu_are_bounded_and_the_bound_is_seen_in_the_container() {
    let host = Host::new();
    let memory = of_its_group("memory/memory.limit_in_bytes", "memory.max");
    let quota = of_its_group("cpu/cpu.cfs_quota_us", "cpu.max");
    let limits = "resources: {limits: {memory: 32Mi, cpu: 500m}}\nsecurityContext: {runAsUser: 0}";
    let score = "resources: {requests: {memory: 1Gi}}";
    let said = host.says(&format!("{memory}\n{quota}"), limits_but_not_sure(limits).as_str(), "");
    let said: Vec<_> = said.split_whitespace().collect();
    assert_eq!(said[..2], ["33554432", "50000"]);
    assert_eq!(host.says("cat /proc/self/oom_score_adj", score, ""), "750\n");
}

/// A pod that is sure of all it gets is ended after the tests' own machine, which only a node may ask for.
fn limits_but_not_sure(fields: &str) -> String {
    fields.replace("limits:", "requests: {memory: 1Mi}, limits:")
}

#[test]
fn a_container_that_takes_more_memory_than_it_may_is_ended() {
    let host = Host::new();
    let pod = host.pod(
        "p",
        "containers:\n- name: c\n  image: i\n  command: [/bin/dd, if=/dev/zero, of=/dev/null, bs=64M, count=1]\n  \
         resources: {requests: {memory: 1Mi}, limits: {memory: 16Mi}}",
    );
    let output = host.run(&pod, 0);
    assert_eq!(output.status.code(), Some(137), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn processes_are_bounded_for_the_pod() {
    let host = Host::new();
    // Each waits for a line that never comes, until the first process of the container ends.
    let script = "for i in $(seq 100); do tail -f /dev/null & done; echo all were made";
    let pod = host.pod(
        "p",
        &format!("containers:\n- {{name: c, image: i, command: [/bin/sh, -c, {script:?}]}}"),
    );
    assert_eq!(pod.pids, Some(64));
    let output = host.run(&pod, 0);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("fork"), "{said}");
}

#[test]
fn only_a_device_that_a_volume_names_can_be_opened() {
    let host = Host::new();
    let volume = "volumes:\n- {name: loops, hostPath: {path: /dev/loop-control, type: CharDevice}}";
    let opened = "head -c 0 < /dev/loop-control && echo opened || echo refused";
    let fields = "securityContext: {runAsUser: 0}\nvolumeMounts: [{name: loops, mountPath: /dev/loop-control, readOnly: true}]";
    assert_eq!(host.says(opened, fields, volume), "opened\n");
    let written = "true 2>/dev/null > /dev/loop-control && echo opened || echo refused";
    assert_eq!(host.says(written, fields, volume), "refused\n", "it is only to read");
    let made = format!("mknod /dev/loop-control c 10 237 || echo none; {opened} 2>/dev/null");
    assert_eq!(host.says(&made, "securityContext: {runAsUser: 0}", ""), "refused\n");
}
