use super::*;

/// The same behind the documents of [`CONF`].
fn beside_conf(cases: &[(&str, &str)]) {
    all(|fields| format!("{CONF}{}", with_spec(fields)), "line 23, spec.", cases);
}

#[test]
fn a_field_that_nobody_knows_is_refused_with_its_whole_path() {
    of_a_container(&[
        ("imagePullPolice: Never", "imagePullPolice: a container has no such field"),
        ("unknown: null", "unknown: a container has no such field"),
        (
            "livenessProbe: {grpc: {port: 1}, period: 1}",
            "livenessProbe.period: a probe has no such field",
        ),
        (
            "resources: {limits: {nvidia.com/gpu: 1}}",
            "resources.limits[nvidia.com/gpu]: resources has no such field",
        ),
        ("ports: [{containerPort: 1, hostport: 1}]", "ports[0].hostport: a port has no such field"),
    ]);
    all(
        with_container,
        "line 8, spec.containers[0]",
        &[
            ("a b: 1", "[a b]: a container has no such field"),
            ("<<: {image: x}", "[<<]: a container has no such field"),
        ],
    );
    all(
        |field| format!("{}{field}\n", with_spec("")),
        "line 8, ",
        &[
            ("Spec: 1", "Spec: a Pod has no such field"),
            ("status: {phase: Running}", "status: is written by a cluster: take it out"),
        ],
    );
}

#[test]
fn a_refusal_has_the_line_of_the_field_and_not_of_its_neighbours() {
    let text = with_spec(
        "  volumeMounts:\n  - name: v\n    mountPath: /a\n  - mountPath: /b\n    name: v\n    \
         mountPropagation: Bidirectional\nvolumes:\n- name: v\n  emptyDir:\n    limit: 1",
    );
    assert_eq!(
        refused(&text),
        [
            "line 13, spec.containers[0].volumeMounts[1].mountPropagation: \
         no mount is handed on between the node and a container",
            "line 17, spec.volumes[0].emptyDir.limit: an emptyDir has no such field",
        ]
    );
}

#[test]
fn one_look_shows_every_refusal() {
    let text = with_spec(
        "  tty: true\n  livenessProbe: {}\n  env: [{name: '='}, {name: A, value: 1}]\nhostPID: true\n\
         volumes: [{name: V}]",
    );
    let text = text.replace("image: i:1", "image: I");
    let paths = refused(&text);
    let paths: Vec<_> = paths.iter().filter_map(|line| line.split(": ").next()).collect();
    assert_eq!(
        paths,
        [
            "line 7, spec.containers[0].image",
            "line 8, spec.containers[0].tty",
            "line 9, spec.containers[0].livenessProbe",
            "line 10, spec.containers[0].env[0].name",
            "line 10, spec.containers[0].env[1].value",
            "line 11, spec.hostPID",
            "line 12, spec.volumes[0].name",
        ]
    );
}

#[test]
fn a_field_that_is_not_supported_is_refused_with_the_reason() {
    of_a_container(&[
        ("tty: true", "tty: is not supported: nobody attaches to a container here"),
        (
            "restartPolicy: Always",
            "restartPolicy: belongs to an init container; a container has the pod's",
        ),
        (
            "lifecycle: {stopSignal: SIGUSR1}",
            "lifecycle.stopSignal: is not supported: the image's own one is used",
        ),
        (
            "ports: [{containerPort: 1, hostIP: 127.0.0.1}]",
            "ports[0].hostIP: is not supported: a hostPort is one of all addresses",
        ),
        (
            "resources: {limits: {pids: 5}}",
            "resources.limits.pids: is no field of Kubernetes: use the annotation steadfast.dev/pids",
        ),
        (
            "env: [{name: A, valueFrom: {resourceFieldRef: {resource: limits.cpu}}}]",
            "env[0].valueFrom.resourceFieldRef: is not supported: write the value of the limit",
        ),
        (
            "env: [{name: A, valueFrom: {fieldRef: {fieldPath: metadata.uid}}}]",
            "env[0].valueFrom.fieldRef.fieldPath: is no field that a node can give here; docs/operate/pods.md has the list",
        ),
        (
            "securityContext: {appArmorProfile: {type: Unconfined}}",
            "securityContext.appArmorProfile: the node has no AppArmor profiles",
        ),
        (
            "securityContext: {procMount: Unmasked}",
            "securityContext.procMount: is not supported: /proc is masked as usual",
        ),
        (
            "securityContext: {seccompProfile: {type: Localhost}}",
            "securityContext.seccompProfile.type: has to be one of RuntimeDefault, Unconfined",
        ),
    ]);
    of_a_spec(&[
        ("hostPID: true", "hostPID: is not supported: containers are apart from each other"),
        ("hostname: b", "hostname: is the node's own on its network: set hostNetwork to false"),
        (
            "nodeSelector: {a: b}",
            "nodeSelector: there is no scheduler: what a node is given, it runs",
        ),
        ("dnsPolicy: None", "dnsPolicy: is not supported: a pod asks the name servers of its node"),
        (
            "serviceAccountName: robot",
            "serviceAccountName: there is no API server that an account could be for",
        ),
        (
            "automountServiceAccountToken: true",
            "automountServiceAccountToken: there is no API server that a token could be for: set it to false",
        ),
        ("os: {name: windows}", "os.name: the node runs Linux"),
        (
            "volumes: [{name: v, nfs: {server: a}}]",
            "volumes[0].nfs: is storage of a cluster: use emptyDir or a hostPath that the policy allows",
        ),
        (
            "volumes: [{name: v, projected: {sources: [{serviceAccountToken: {path: t}}]}}]",
            "volumes[0].projected.sources[0].serviceAccountToken: there is no API server that a token could be for",
        ),
        (
            "securityContext: {sysctls: []}",
            "securityContext.sysctls: is not supported: they are the node's, in its image",
        ),
    ]);
    let found = refused(&with_spec("volumes: [{name: v, unknown: {}}]"));
    assert_eq!(
        found,
        [
            "line 8, spec.volumes[0]: has to have one of emptyDir, hostPath, configMap, secret, downwardAPI, projected",
            "line 8, spec.volumes[0].unknown: a volume has no such field",
        ]
    );
}

#[test]
fn no_field_of_kubernetes_is_unknown() {
    // core/v1 of Kubernetes 1.34: every field of PodSpec and Container.
    let of_specs = "activeDeadlineSeconds affinity automountServiceAccountToken containers dnsConfig dnsPolicy \
        enableServiceLinks ephemeralContainers hostAliases hostIPC hostNetwork hostPID hostUsers hostname \
        hostnameOverride imagePullSecrets initContainers nodeName nodeSelector os overhead preemptionPolicy priority \
        priorityClassName readinessGates resourceClaims resources restartPolicy runtimeClassName schedulerName \
        schedulingGates securityContext serviceAccount serviceAccountName setHostnameAsFQDN shareProcessNamespace \
        subdomain terminationGracePeriodSeconds tolerations topologySpreadConstraints volumes";
    let of_containers = "args command env envFrom image imagePullPolicy lifecycle livenessProbe name ports \
        readinessProbe resizePolicy resources restartPolicy restartPolicyRules securityContext startupProbe stdin \
        stdinOnce terminationMessagePath terminationMessagePolicy tty volumeDevices volumeMounts workingDir";
    let of_volumes = "awsElasticBlockStore azureDisk azureFile cephfs cinder configMap csi downwardAPI emptyDir \
        ephemeral fc flexVolume flocker gcePersistentDisk gitRepo glusterfs hostPath image iscsi nfs \
        persistentVolumeClaim photonPersistentDisk portworxVolume projected quobyte rbd scaleIO secret storageos \
        vsphereVolume";
    let spec = |field: &str| {
        format!("apiVersion: v1\nkind: Pod\nmetadata: {{name: a}}\nspec: {{{field}: {{odd: 1}}}}")
    };
    let container = |field: &str| {
        with_spec("").replace("- name: c\n    image: i:1", &format!("- {field}: {{odd: 1}}"))
    };
    let volume = |field: &str| with_spec(&format!("volumes: [{{name: v, {field}: {{odd: 1}}}}]"));
    let strange = |text: String, field: &str| {
        let path = format!("{field}: ");
        refused(&text)
            .iter()
            .any(|line| line.contains(&path) && line.ends_with(" has no such field"))
    };
    let known = |fields: &'static str, text: &dyn Fn(&str) -> String| {
        let strangers = fields.split_whitespace().filter(|field| strange(text(field), field));
        assert_eq!(strangers.collect::<Vec<_>>(), Vec::<&str>::new());
    };
    known(of_specs, &spec);
    known(of_containers, &container);
    known(of_volumes, &volume);
}

#[test]
fn what_belongs_to_the_node_is_refused_where_the_policy_does_not_allow_it() {
    of_a_spec(&[
        (
            "volumes: [{name: v, hostPath: {path: /etc}}]",
            "volumes[0].hostPath.path: is outside what the node's policy allows: /data, /dev/video0, /run/display",
        ),
        (
            "volumes: [{name: v, hostPath: {path: /database}}]",
            "volumes[0].hostPath.path: is outside what the node's policy allows: /data, /dev/video0, /run/display",
        ),
        (
            "volumes: [{name: v, hostPath: {path: /data/../etc}}]",
            "volumes[0].hostPath.path: has to be a path from / without .. in it",
        ),
        (
            "volumes: [{name: v, hostPath: {path: data}}]",
            "volumes[0].hostPath.path: has to be a path from / without .. in it",
        ),
    ]);
    of_a_container(&[
        (
            "securityContext: {privileged: true}",
            "securityContext.privileged: the node's policy allows no privileged containers",
        ),
        (
            "securityContext: {capabilities: {add: [CHOWN, SYS_ADMIN]}}",
            "securityContext.capabilities.add[1]: the node's policy does not allow SYS_ADMIN",
        ),
    ]);
    let text = with_spec("volumes: [{name: v, hostPath: {path: /data}}]");
    let strict =
        Set::read(&[Source { name: "set.yaml", text: text.as_bytes() }], &Policy::default());
    let because = strict.map_err(|refused| refused.refusals[0].because.clone());
    assert_eq!(because, Err("the node's policy allows no path of the node".to_owned()));
}

#[test]
fn what_refers_to_something_that_is_not_there_is_refused() {
    beside_conf(&[
        (
            "  env: [{name: A, valueFrom: {configMapKeyRef: {name: none, key: a}}}]",
            "containers[0].env[0].valueFrom.configMapKeyRef.name: there is no ConfigMap none in the set",
        ),
        (
            "  env: [{name: A, valueFrom: {secretKeyRef: {name: conf, key: none}}}]",
            "containers[0].env[0].valueFrom.secretKeyRef.key: there is no key none in Secret conf",
        ),
        (
            "  env: [{name: A, valueFrom: {secretKeyRef: {name: conf, key: key}}}]",
            "containers[0].env[0].valueFrom.secretKeyRef.key: is not text, so no variable can have it",
        ),
        (
            "  env: [{name: A, valueFrom: {configMapKeyRef: {name: conf, key: raw}}}]",
            "containers[0].env[0].valueFrom.configMapKeyRef.key: there is no key raw in ConfigMap conf",
        ),
        (
            "  envFrom: [{secretRef: {name: none}}]",
            "containers[0].envFrom[0].secretRef.name: there is no Secret none in the set",
        ),
        (
            "  envFrom: [{secretRef: {name: conf}}]",
            "containers[0].envFrom[0].secretRef: the key key of Secret conf cannot be a variable: its value is not text",
        ),
        (
            "  volumeMounts: [{name: none, mountPath: /a}]",
            "containers[0].volumeMounts[0].name: there is no volume none here",
        ),
        (
            "volumes: [{name: v, configMap: {name: none}}]",
            "volumes[0].configMap.name: there is no ConfigMap none in the set",
        ),
        (
            "volumes: [{name: v, secret: {secretName: conf, items: [{key: none, path: a}]}}]",
            "volumes[0].secret.items[0].key: there is no key none in Secret conf",
        ),
        (
            "volumes: [{name: v, projected: {sources: [{secret: {name: none}}]}}]",
            "volumes[0].projected.sources[0].secret.name: there is no Secret none in the set",
        ),
    ]);
}

#[test]
fn files_and_mounts_that_are_in_each_others_way_are_refused() {
    beside_conf(&[
        (
            "volumes: [{name: v, configMap: {name: conf, items: [{key: level, path: a}, {key: file, path: a}]}}]",
            "volumes[0].configMap: two of its files are in each other's way: a",
        ),
        (
            "volumes: [{name: v, configMap: {name: conf, items: [{key: level, path: a/b/c}, {key: file, path: a}]}}]",
            "volumes[0].configMap: two of its files are in each other's way: a/b/c",
        ),
        (
            "volumes: [{name: v, configMap: {name: conf, items: [{key: level, path: ../a}]}}]",
            "volumes[0].configMap.items[0].path: has to be a path that does not begin with / and has no .. in it",
        ),
        (
            "volumes: [{name: v, configMap: {name: conf, defaultMode: 01000}}]",
            "volumes[0].configMap.defaultMode: has to be permissions: from 0000 to 0777, or the same as a decimal number",
        ),
    ]);
    let mounts = |mounts: &str| {
        let volumes = "volumes: [{name: e, emptyDir: {}}, {name: f, configMap: {name: conf}}]";
        refused(&format!("{CONF}{}", with_spec(&format!("  volumeMounts: [{mounts}]\n{volumes}"))))
    };
    let at = "line 23, spec.containers[0].volumeMounts";
    for (written, because) in [
        (
            "{name: e, mountPath: /a}, {name: f, mountPath: /a/}",
            "[1].mountPath: /a/ is mounted twice",
        ),
        ("{name: e, mountPath: /}", "[0].mountPath: has to be a path below / without : in it"),
        ("{name: e, mountPath: a}", "[0].mountPath: has to be a path from / without .. in it"),
        (
            "{name: e, mountPath: /a, subPath: b}",
            "[0].subPath: is taken for volumes of files only: a link in this one could lead out of it",
        ),
        (
            "{name: f, mountPath: /a, subPath: none}",
            "[0].subPath: there is no none in the volume f",
        ),
        ("{name: f, mountPath: /a, subPath: lev}", "[0].subPath: there is no lev in the volume f"),
        (
            "{name: f, mountPath: /a, subPathExpr: $(A)}",
            "[0].subPathExpr: is not supported: a pod has one name here, so write subPath",
        ),
    ] {
        assert_eq!(mounts(written), [format!("{at}{because}")], "{written}");
    }
}

#[test]
fn an_init_container_has_nothing_that_is_for_what_goes_on_running() {
    let init = |fields: &str| {
        refused(&with_spec(&format!("initContainers: [{{name: i, image: i, {fields}}}]")))
    };
    let because = "belongs to what goes on running: a container or a sidecar";
    for field in ["startupProbe", "livenessProbe", "readinessProbe", "lifecycle"] {
        let found = init(&format!("{field}: {{grpc: {{port: 1}}}}"));
        assert_eq!(found, [format!("line 8, spec.initContainers[0].{field}: {because}")]);
    }
    let found = init("restartPolicy: Never");
    assert_eq!(found, ["line 8, spec.initContainers[0].restartPolicy: has to be Always"]);
}

#[test]
fn what_no_program_can_be_given_is_refused_where_it_is_asked_for() {
    let source = "valueFrom: {fieldRef: {fieldPath: \"metadata.annotations['b']\"}}";
    let text = with_container(&format!("env: [{{name: A, {source}}}]"));
    let text = text.replace("name: a,", "name: a, annotations: {b: \"\\0\"},");
    let because = "is not text, so no variable can have it";
    assert_eq!(refused(&text), [format!("{C}env[0].valueFrom.fieldRef: {because}")]);
    let from =
        |prefix: &str| format!("envFrom: [{{prefix: \"{prefix}\", configMapRef: {{name: conf}}}}]");
    let text = |prefix: &str| format!("{CONF}{}", with_container(&from(prefix)));
    for prefix in ["=", "a=b", "\\n", "ü"] {
        let because = "has to be a variable's name: printable ASCII without =";
        let place = "line 23, spec.containers[0].envFrom[0].prefix";
        assert_eq!(refused(&text(prefix)), [format!("{place}: {because}")], "{prefix}");
    }
    assert!(refused(&text("")).is_empty() && refused(&text("a b")).is_empty());
}
