use super::*;

#[test]
fn what_a_pod_does_not_say_is_kubernetes_default() {
    let pod = pod("");
    assert_eq!(pod.name, "a");
    assert_eq!(pod.restart, RestartPolicy::Always);
    assert_eq!(pod.grace, seconds(30));
    assert_eq!((pod.fs_group, pod.pids), (None, None));
    assert!(pod.groups.is_empty() && pod.volumes.is_empty());
    let [own] = pod.containers.as_slice() else { panic!("one container") };
    assert_eq!((own.name.as_str(), own.image.as_str(), own.role), ("c", "i:1", Role::Main));
    assert_eq!((own.pull, own.message), (Pull::IfNotPresent, Message::File));
    assert_eq!(own.message_path, "/dev/termination-log");
    assert_eq!(own.working_dir, None);
    assert_eq!(own.resources, Resources::default());
    assert_eq!((&own.probes, &own.lifecycle), (&Probes::default(), &Lifecycle::default()));
    assert!(own.command.is_empty() && own.args.is_empty() && own.variables.is_empty());
    let security = Security {
        user: None,
        group: None,
        non_root: false,
        add: Vec::new(),
        drop: Vec::new(),
        read_only_root: false,
        privileged: false,
        escalation: true,
        seccomp: Seccomp::RuntimeDefault,
    };
    assert_eq!(own.security, security);
}

#[test]
fn a_pod_that_does_not_say_it_is_on_the_nodes_network() {
    assert_eq!(pod("").network, Network::Host);
    assert_eq!(pod("hostNetwork: true").network, Network::Host);
    let own = |hostname: &str| Network::Own { hostname: hostname.to_owned() };
    assert_eq!(pod("hostNetwork: false").network, own("a"));
    assert_eq!(pod("hostNetwork: false\nhostname: gateway").network, own("gateway"));
}

#[test]
fn the_fields_of_a_pod_are_honoured() {
    let pod = pod("restartPolicy: Never\nterminationGracePeriodSeconds: 0");
    assert_eq!((pod.restart, pod.grace), (RestartPolicy::Never, Duration::ZERO));
    let pod = super::pod(
        "restartPolicy: OnFailure\nsecurityContext: {fsGroup: 7, supplementalGroups: [8, 9]}",
    );
    assert_eq!(pod.restart, RestartPolicy::OnFailure);
    assert_eq!((pod.fs_group, pod.groups), (Some(7), vec![8, 9]));
    let text =
        with_spec("").replace("labels: {app: web}", "annotations: {steadfast.dev/pids: '64'}");
    assert_eq!(pods(&text)[0].pids, Some(64));
}

#[test]
fn the_fields_of_a_container_are_honoured() {
    let own = container(
        "command: [/bin/x]\nargs: [-q, '2']\nworkingDir: /srv\nimagePullPolicy: Always\n\
         terminationMessagePath: /tmp/why\nterminationMessagePolicy: FallbackToLogsOnError",
    );
    assert_eq!(own.command, ["/bin/x"]);
    assert_eq!(own.args, ["-q", "2"]);
    assert_eq!(own.working_dir.as_deref(), Some("/srv"));
    assert_eq!((own.pull, own.message), (Pull::Always, Message::FallbackToLogsOnError));
    assert_eq!(own.message_path, "/tmp/why");
}

#[test]
fn containers_come_in_the_order_of_their_start() {
    let pod = pod(
        "initContainers:\n- {name: first, image: i}\n- {name: beside, image: i, restartPolicy: Always}\n\
         - {name: last, image: i}",
    );
    let found: Vec<_> = pod.containers.iter().map(|it| (it.name.as_str(), it.role)).collect();
    let (init, sidecar, main) = (Role::Init, Role::Sidecar, Role::Main);
    assert_eq!(found, [("first", init), ("beside", sidecar), ("last", init), ("c", main)]);
    let wanted = pod.wanted();
    assert_eq!((wanted.manifest, wanted.restart), (pod.digest, RestartPolicy::Always));
    assert_eq!(wanted.containers.as_slice(), [init, sidecar, init, main]);
}

#[test]
fn an_image_that_can_move_is_looked_for_each_time_unless_the_manifest_says_otherwise() {
    let pull = |image: &str| pods(&with_spec("").replace("i:1", image))[0].containers[0].pull;
    assert_eq!(pull("i:1"), Pull::IfNotPresent);
    assert_eq!((pull("i"), pull("i:latest")), (Pull::Always, Pull::Always));
    assert_eq!(container("imagePullPolicy: Never").pull, Pull::Never);
}

#[test]
fn resources_are_counted_and_a_limit_alone_is_the_request_too() {
    let own = container(
        "resources: {requests: {cpu: 50m, memory: 16Mi}, \
         limits: {cpu: 1.5, memory: 64Mi, ephemeral-storage: 1e6}}",
    );
    let amounts = |cpu, memory| Amounts {
        cpu: Some(cpu),
        memory: Some(memory),
        ephemeral_storage: Some(1_000_000),
    };
    assert_eq!(own.resources.limits, amounts(1_500, 64 << 20));
    assert_eq!(own.resources.requests, amounts(50, 16 << 20));
    let own = container("resources: {limits: {cpu: 2, memory: 1Ki, ephemeral-storage: 1}}");
    assert_eq!(own.resources.requests, own.resources.limits);
    assert_eq!(own.resources.requests.cpu, Some(2_000));
    let own = container("resources: {requests: {memory: 0}}");
    assert_eq!(own.resources.requests, Amounts { memory: Some(0), ..Amounts::default() });
    assert_eq!(own.resources.limits, Amounts::default());
}

#[test]
fn a_containers_security_goes_before_the_pods() {
    let both = "securityContext: {runAsUser: 1, runAsGroup: 2, runAsNonRoot: true, \
                seccompProfile: {type: Unconfined}}\n";
    let own = pod(both).containers.remove(0).security;
    assert_eq!((own.user, own.group, own.non_root), (Some(1), Some(2), true));
    assert_eq!(own.seccomp, Seccomp::Unconfined);
    let container = "  securityContext:\n    runAsUser: 0\n    runAsNonRoot: false\n    \
                     readOnlyRootFilesystem: true\n    allowPrivilegeEscalation: false\n    \
                     seccompProfile: {type: RuntimeDefault}\n    \
                     capabilities: {add: [SYS_NICE, CHOWN], drop: [ALL]}\n";
    let own = pod(&format!("{container}{both}")).containers.remove(0).security;
    assert_eq!((own.user, own.group, own.non_root), (Some(0), Some(2), false));
    assert_eq!(own.seccomp, Seccomp::RuntimeDefault);
    assert_eq!((own.add, own.drop), (vec!["SYS_NICE", "CHOWN"], vec!["ALL"]));
    assert!(own.read_only_root && !own.escalation && !own.privileged);
}

#[test]
fn the_policy_decides_what_is_privileged_and_what_is_unsaid() {
    let text =
        with_container("securityContext: {privileged: true, capabilities: {add: [SYS_BOOT]}}");
    let read =
        |policy: &Policy| Set::read(&[Source { name: "set.yaml", text: text.as_bytes() }], policy);
    let lenient = Policy {
        privileged: Privileged::Allowed,
        seccomp: Seccomp::Unconfined,
        ..Policy::default()
    };
    let own = read(&lenient).expect("the policy allows it").pods.remove(0).containers.remove(0);
    assert!(own.security.privileged);
    assert_eq!(own.security.seccomp, Seccomp::Unconfined);
    assert_eq!(read(&Policy::default()).map_err(|refused| refused.refusals.len()), Err(2));
}

#[test]
fn ports_of_the_nodes_network_are_the_nodes_ports() {
    let ports = "ports:\n- {name: web, containerPort: 80}\n- {containerPort: 53, protocol: UDP}";
    let port = |name: Option<&str>, port, host, protocol| Port {
        name: name.map(str::to_owned),
        port,
        host,
        protocol,
    };
    let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
    let found = container(ports).ports;
    assert_eq!(found, [port(Some("web"), 80, Some(80), tcp), port(None, 53, Some(53), udp)]);
    let own = format!("{}hostNetwork: false", indented(ports, 2));
    let found = pod(&own).containers.remove(0).ports;
    assert_eq!(found, [port(Some("web"), 80, None, tcp), port(None, 53, None, udp)]);
    let other = own.replace("containerPort: 80", "containerPort: 80, hostPort: 8080");
    assert_eq!(pod(&other).containers[0].ports[0].host, Some(8080));
}

#[test]
fn what_changes_nothing_here_is_taken() {
    let plain = Pod { digest: steadfast_core::Digest::ZERO, ..pod("") };
    for fields in [
        "dnsPolicy: ClusterFirst",
        "dnsPolicy: ClusterFirstWithHostNet",
        "dnsPolicy: Default",
        "schedulerName: default-scheduler",
        "serviceAccountName: default",
        "serviceAccount: default",
        "automountServiceAccountToken: false",
        "enableServiceLinks: true",
        "hostPID: false",
        "hostIPC: false",
        "shareProcessNamespace: false",
        "hostUsers: true",
        "setHostnameAsFQDN: false",
        "os: {name: linux}",
        "tolerations: [{key: a, operator: Exists}]",
        "affinity: null",
        "nodeSelector:",
        "  stdin: false",
        "  tty: false",
        "  securityContext: {procMount: Default}",
        "securityContext: {fsGroupChangePolicy: Always, supplementalGroupsPolicy: Merge}",
    ] {
        let found = Pod { digest: steadfast_core::Digest::ZERO, ..pod(fields) };
        assert_eq!(found, plain, "{fields}");
    }
    let made =
        with_spec("").replace("labels:", "creationTimestamp: null, namespace: default, labels:");
    let made = format!("{made}status: {{}}\n");
    assert_eq!(pods(&made)[0].containers, plain.containers);
}
