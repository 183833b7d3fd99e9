use super::*;

#[test]
fn what_has_the_wrong_type_is_refused() {
    of_a_container(&[
        (
            "env: [{name: A, value: 1}]",
            "env[0].value: has to be text and is a number to YAML: put it in quotes",
        ),
        (
            "env: [{name: A, value: 0x1F}]",
            "env[0].value: has to be text and is a number to YAML: put it in quotes",
        ),
        (
            "env: [{name: A, value: yes}]",
            "env[0].value: has to be text and is true or false to YAML: put it in quotes",
        ),
        ("args: [True]", "args[0]: has to be text and is true or false to YAML: put it in quotes"),
        ("command: [null]", "command[0]: has no value; an empty text is \"\""),
        ("command: /bin/x", "command: has to be a list"),
        ("env: {A: b}", "env: has to be a list"),
        ("resources: [1]", "resources: has to be resources, as a map of its fields"),
        (
            "securityContext: {privileged: \"false\"}",
            "securityContext.privileged: has to be true or false, without quotes",
        ),
        (
            "securityContext: {runAsNonRoot: yes}",
            "securityContext.runAsNonRoot: has to be true or false",
        ),
        (
            "securityContext: {runAsUser: -1}",
            "securityContext.runAsUser: has to be a whole number from 0 to 2147483647, without quotes",
        ),
        (
            "securityContext: {runAsUser: \"1\"}",
            "securityContext.runAsUser: has to be a whole number from 0 to 2147483647, without quotes",
        ),
        (
            "ports: [{containerPort: 65536}]",
            "ports[0].containerPort: has to be a whole number from 1 to 65535, without quotes",
        ),
        (
            "ports: [{containerPort: 09}]",
            "ports[0].containerPort: has to be a whole number from 1 to 65535, without quotes",
        ),
        ("args: [\"a\\0b\"]", "args[0]: has a zero byte in it"),
    ]);
}

#[test]
fn what_has_to_be_there_and_is_not_is_refused() {
    let text = with_spec("").replace("    image: i:1\n", "");
    assert_eq!(refused(&text), ["line 6, spec.containers[0].image: is missing"]);
    let text = with_spec("").replace("- name: c\n    image", "- image");
    assert_eq!(refused(&text), ["line 6, spec.containers[0].name: is missing"]);
    let head = "apiVersion: v1\nkind: Pod\nmetadata: {name: a}\n";
    assert_eq!(refused(head), ["line 1, spec: is missing"]);
    assert_eq!(refused(&format!("{head}spec: {{}}")), ["line 4, spec.containers: is missing"]);
    assert_eq!(
        refused(&format!("{head}spec: {{containers: []}}")),
        ["line 4, spec.containers: has to have at least one container"]
    );
    of_a_container(&[
        ("env: [{value: a}]", "env[0].name: is missing"),
        ("livenessProbe: {httpGet: {path: /}}", "livenessProbe.httpGet.port: is missing"),
        (
            "livenessProbe: {periodSeconds: 1}",
            "livenessProbe: has to have one of exec, httpGet, tcpSocket, grpc",
        ),
        (
            "livenessProbe: {exec: {command: []}}",
            "livenessProbe.exec.command: has to begin with a program",
        ),
        ("lifecycle: {preStop: {}}", "lifecycle.preStop: has to have one of exec, httpGet, sleep"),
        ("volumeMounts: [{mountPath: /a}]", "volumeMounts[0].name: is missing"),
    ]);
}

#[test]
fn what_excludes_each_other_is_refused() {
    of_a_container(&[
        (
            "env: [{name: A, value: a, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]",
            "env[0].valueFrom: stands beside value: one of them has to go",
        ),
        (
            "livenessProbe: {tcpSocket: {port: 1}, grpc: {port: 1}}",
            "livenessProbe: has tcpSocket and grpc and may have one of them",
        ),
        (
            "securityContext: {runAsUser: 0, runAsNonRoot: true}",
            "securityContext: runAsNonRoot and runAsUser 0 contradict each other",
        ),
        (
            "securityContext: {allowPrivilegeEscalation: false, capabilities: {add: [ALL]}}",
            "securityContext.capabilities.add[0]: the node's policy does not allow ALL",
        ),
        (
            "resources: {requests: {memory: 2Mi}, limits: {memory: 1Mi}}",
            "resources.requests.memory: is more than the limit",
        ),
    ]);
    let pod = "securityContext: {runAsUser: 0, runAsNonRoot: true}";
    assert_eq!(
        refused(&with_spec(pod)),
        ["line 6, spec.containers[0]: runAsNonRoot and runAsUser 0 contradict each other"]
    );
}

#[test]
fn who_may_not_get_more_privileges_cannot_have_them_from_the_start() {
    let lenient = Policy { privileged: Privileged::Allowed, ..policy() };
    for (context, because) in [
        ("privileged: true", "privileged needs allowPrivilegeEscalation"),
        (
            "capabilities: {add: [SYS_ADMIN]}",
            "the capability SYS_ADMIN needs allowPrivilegeEscalation",
        ),
    ] {
        let fields = format!("securityContext: {{allowPrivilegeEscalation: false, {context}}}");
        let text = with_container(&fields);
        let read = Set::read(&[Source { name: "a", text: text.as_bytes() }], &lenient);
        let told = read.map_err(|refused| refused.to_string());
        let place = "a, line 8, spec.containers[0].securityContext";
        assert_eq!(told, Err(format!("{place}: {because}")));
    }
}

#[test]
fn what_no_value_can_be_is_refused() {
    of_a_container(&[
        (
            "imagePullPolicy: Sometimes",
            "imagePullPolicy: has to be one of Always, IfNotPresent, Never",
        ),
        ("workingDir: srv", "workingDir: has to be a path from / without .. in it"),
        (
            "terminationMessagePath: /a/../b",
            "terminationMessagePath: has to be a path from / without .. in it",
        ),
        (
            "ports: [{containerPort: 1, protocol: SCTP}]",
            "ports[0].protocol: has to be one of TCP, UDP",
        ),
        (
            "ports: [{containerPort: 1, name: Web}]",
            "ports[0].name: has to be a port's name: at most 15 of a-z, 0-9 and single -, one of them a letter",
        ),
        (
            "ports: [{containerPort: 1, hostPort: 2}]",
            "ports[0].hostPort: has to be the containerPort unless hostNetwork is false",
        ),
        (
            "ports: [{containerPort: 1, name: a}, {containerPort: 2, name: a}]",
            "ports[1].name: a is the name of another port, too",
        ),
        (
            "resources: {limits: {cpu: -1}}",
            "resources.limits.cpu: has to be a quantity that is not negative, such as 500m, 1.5, 64Mi or 1e3",
        ),
        (
            "resources: {limits: {memory: 128m}}",
            "resources.limits.memory: is in parts of a byte: M is megabytes and Mi is mebibytes",
        ),
        (
            "resources: {limits: {memory: 0}}",
            "resources.limits.memory: has to be more than 0: without a limit, leave it out",
        ),
        (
            "livenessProbe: {grpc: {port: 1}, successThreshold: 2}",
            "livenessProbe.successThreshold: has to be 1 for a startup or liveness probe",
        ),
        (
            "livenessProbe: {grpc: {port: 1}, periodSeconds: 0}",
            "livenessProbe.periodSeconds: has to be a whole number from 1 to 65535, without quotes",
        ),
        (
            "readinessProbe: {grpc: {port: 1}, terminationGracePeriodSeconds: 1}",
            "readinessProbe.terminationGracePeriodSeconds: a readiness probe ends no container",
        ),
        (
            "livenessProbe: {grpc: {port: web}}",
            "livenessProbe.grpc.port: has to be a whole number from 1 to 65535, without quotes",
        ),
        (
            "livenessProbe: {tcpSocket: {port: web}}",
            "livenessProbe.tcpSocket.port: there is no port web in this container",
        ),
        (
            "livenessProbe: {httpGet: {port: 1, httpHeaders: [{name: 'a b', value: c}]}}",
            "livenessProbe.httpGet.httpHeaders[0].name: has to be a header's name",
        ),
        (
            "livenessProbe: {httpGet: {port: 1, httpHeaders: [{name: a, value: \"b\\r\\nc: d\"}]}}",
            "livenessProbe.httpGet.httpHeaders[0].value: has to be a line of text",
        ),
        (
            "livenessProbe: {httpGet: {port: 1, path: 'a b'}}",
            "livenessProbe.httpGet.path: has to be a path of printable ASCII without spaces",
        ),
        (
            "lifecycle: {preStop: {sleep: {seconds: 31}}}",
            "lifecycle.preStop.sleep.seconds: is longer than the 30 s there are for it",
        ),
        (
            "securityContext: {capabilities: {drop: [CAP_CHOWN]}}",
            "securityContext.capabilities.drop[0]: has to be a capability of capabilities(7), in capitals and without CAP_, or ALL",
        ),
    ]);
    of_a_spec(&[
        ("restartPolicy: Sometimes", "restartPolicy: has to be one of Always, OnFailure, Never"),
        (
            "terminationGracePeriodSeconds: 3601",
            "terminationGracePeriodSeconds: has to be a whole number from 0 to 3600, without quotes",
        ),
        (
            "volumes: [{name: v, emptyDir: {medium: HugePages}}]",
            "volumes[0].emptyDir.medium: has to be one of \"\", Memory",
        ),
        (
            "volumes: [{name: v, hostPath: {path: /data, type: Folder}}]",
            "volumes[0].hostPath.type: has to be one of \"\", DirectoryOrCreate, Directory, FileOrCreate, File, Socket, \
          CharDevice, BlockDevice",
        ),
        (
            "volumes: [{name: v, emptyDir: {sizeLimit: 0}}]",
            "volumes[0].emptyDir.sizeLimit: has to be more than 0: without a limit, leave it out",
        ),
        ("volumes: [{name: v}, {name: v}]", "volumes[1].name: v is the name of another one, too"),
        (
            "volumes: [{name: a.b}]",
            "volumes[0].name: has to be a DNS label: 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends",
        ),
    ]);
    let twice = refused(&with_spec("initContainers: [{name: c, image: i}]"));
    assert_eq!(twice, ["line 6, spec.containers[0].name: c is the name of another one, too"]);
}
