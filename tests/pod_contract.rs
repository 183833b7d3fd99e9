//! What `pod_spec` and `pod_files` promise, held against a real runc and a real kernel.
//!
//! Here: what a container is and sees. `pod_limits`: what it can get and do. `pod_volumes`: what a pod has on the node,
//! and what is left of it.
//!
//! They need root, for they mount. A machine with control groups of either version will do.

mod pod_host;
mod pod_limits;
mod pod_volumes;

use pod_host::Host;

#[test]
fn a_container_is_whom_its_manifest_and_its_image_say() {
    let host = Host::new();
    assert_eq!(host.says("id -u\nid -g\nid -G", "", ""), "33\n34\n34 46\n");
    let said = host.says(
        "id -u\nid -g\nid -G",
        "securityContext: {runAsUser: 900, runAsGroup: 901}",
        "securityContext: {fsGroup: 2000, supplementalGroups: [44]}",
    );
    assert_eq!(said, "900\n901\n901 44 2000\n");
}

#[test]
fn a_container_starts_where_and_with_what_its_manifest_says() {
    let host = Host::new();
    let fields = "workingDir: /srv\nenv:\n- {name: A, value: $(B)}\n- {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}";
    let said = host.says("pwd\nenv | sort", fields, "");
    // What runc and the shell add.
    let own = ["HOME=", "SHLVL="];
    let said = said.lines().filter(|line| !own.iter().any(|own| line.starts_with(own)));
    let said: Vec<_> = said.collect();
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(said, ["/srv", "A=$(B)", "HOSTNAME=press-07", "NODE=press-07", path, "PWD=/srv"]);
}

#[test]
fn a_container_has_the_nodes_network_and_name_and_processes_of_its_own() {
    let host = Host::new();
    let said = host.says(
        "echo $$$$\nhostname\nreadlink /proc/self/ns/net\nreadlink /proc/self/ns/ipc",
        "",
        "",
    );
    let said: Vec<_> = said.lines().collect();
    assert_eq!(said[0], "1");
    assert_eq!(said[1], pod_host::run("hostname", &[]).trim());
    assert_eq!(said[2], pod_host::run("readlink", &["/proc/self/ns/net"]).trim());
    assert_ne!(said[3], pod_host::run("readlink", &["/proc/self/ns/ipc"]).trim());
}

/// Lines of `/proc/self/status`.
fn status(said: &str, name: &str) -> String {
    let line = said.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
    line.unwrap_or_else(|| panic!("no {name} in {said}")).to_owned()
}

#[test]
fn a_container_may_do_what_its_manifest_says_and_no_more() {
    let host = Host::new();
    let rights = |context: &str| {
        let said =
            host.says("cat /proc/self/status", &format!("securityContext: {{{context}}}"), "");
        ["CapEff", "CapBnd", "NoNewPrivs", "Seccomp"].map(|name| status(&said, name))
    };
    // capabilities(7): the bits of the fourteen that every container has.
    let (given, none) = ("00000000a80425fb", "0000000000000000");
    assert_eq!(rights("runAsUser: 0"), [given, given, "0", "2"]);
    assert_eq!(rights(""), [none, given, "0", "2"], "a user who is not root has none");
    let least = "allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}";
    assert_eq!(rights(least), [none, none, "1", "2"]);
    let one = "runAsUser: 0, capabilities: {drop: [ALL], add: [CHOWN]}";
    assert_eq!(rights(one)[0], "0000000000000001");
    assert_eq!(rights("seccompProfile: {type: Unconfined}")[3], "0");
}

#[test]
fn a_system_call_that_is_not_on_the_list_fails() {
    let host = Host::new();
    let tried = |context: &str| {
        let script = "mount -t tmpfs none /tmp 2>/dev/null && echo mounted || echo refused";
        host.says(script, &format!("securityContext: {{{context}}}"), "")
    };
    let root = "runAsUser: 0, capabilities: {add: [SYS_ADMIN]}";
    assert_eq!(tried(root), "mounted\n", "the list has it for this capability");
    assert_eq!(tried("runAsUser: 0"), "refused\n");
    // What every user may do on this machine, and no container.
    let script = "unshare -U true 2>&1 && echo made";
    let free = "securityContext: {seccompProfile: {type: Unconfined}}";
    assert_eq!(host.says(script, free, ""), "made\n");
    let said = host.says(&format!("{script} || true"), "", "");
    assert!(said.contains("Operation not permitted"), "{said}");
}

#[test]
fn a_root_that_is_only_to_read_is_that() {
    let host = Host::new();
    let script = "touch /srv/x 2>/dev/null && echo written || echo refused";
    let context = |read_only| {
        format!("securityContext: {{runAsUser: 0, readOnlyRootFilesystem: {read_only}}}")
    };
    assert_eq!(host.says(script, &context("true"), ""), "refused\n");
    assert_eq!(host.says(script, &context("false"), ""), "written\n");
}

#[test]
fn a_container_sees_of_the_node_what_it_may() {
    let host = Host::new();
    let said = host.says(
        "cat /etc/hostname /etc/hosts\nls /sys/firmware | wc -l\ncat /proc/interrupts /proc/timer_list 2>/dev/null | wc -c\n\
         echo x 2>/dev/null > /proc/sys/kernel/domainname || echo refused\n\
         touch /etc/hosts 2>/dev/null || echo refused\nls /dev | grep -v core | sort | tr '\\n' ' '",
        "securityContext: {runAsUser: 0}",
        "",
    );
    let devices = "fd full mqueue null ptmx pts random shm stderr stdin stdout termination-log tty urandom zero ";
    let seen = format!("press-07\n127.0.0.1 localhost\n0\n0\nrefused\nrefused\n{devices}");
    assert_eq!(said, seen);
}
