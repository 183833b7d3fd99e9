use super::*;

fn named(name: &str) -> String {
    with_spec("").replace("name: a,", &format!("name: {name},"))
}

#[test]
fn a_set_has_the_pods_of_all_its_files_in_their_order() {
    let first = format!("{}---\n{}", named("x"), named("w"));
    let second = format!("---\n# nothing\n---\n{}", named("v"));
    let sources = [("b.yaml", &first), ("a.yaml", &second)];
    let sources = sources.map(|(name, text)| Source { name, text: text.as_bytes() });
    let set = Set::read(&sources, &policy()).expect("three pods");
    let names: Vec<_> = set.pods.iter().map(|pod| pod.name.as_str()).collect();
    assert_eq!(names, ["x", "w", "v"]);
    assert_eq!(Set::read(&[], &policy()), Ok(Set::default()));
}

#[test]
fn a_pod_is_refused_in_the_file_it_stands_in() {
    let wrong = with_spec("hostPID: true");
    let sources = [("b.yaml", &wrong), ("a.yaml", &wrong)];
    let sources = sources.map(|(name, text)| Source { name, text: text.as_bytes() });
    let refused = Set::read(&sources, &policy()).expect_err("two pods are wrong");
    let told = refused.to_string();
    let lines: Vec<_> = told.lines().collect();
    assert_eq!(lines.len(), 3, "{told}");
    assert_eq!(
        lines[0],
        "a.yaml, line 3, metadata.name: a is the name of another pod, metadata.name in line 3 of b.yaml"
    );
    assert!(lines[1].starts_with("a.yaml, line 8, spec.hostPID: "), "{told}");
    assert!(lines[2].starts_with("b.yaml, line 8, spec.hostPID: "), "{told}");
}

#[test]
fn two_of_one_name_are_refused() {
    let conf = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";
    let secret = conf.replace("ConfigMap", "Secret");
    assert_eq!(refused(&format!("{conf}---\n{secret}---\n{}", named("a"))), Vec::<String>::new());
    let twice = refused(&format!("{conf}---\n{conf}"));
    assert_eq!(twice, ["line 7, metadata.name: a is the name of another ConfigMap, too"]);
    let twice = refused(&format!("{secret}---\n{secret}"));
    assert_eq!(twice, ["line 7, metadata.name: a is the name of another Secret, too"]);
    let twice = refused(&format!("{}---\n{}", named("a"), named("a")));
    assert_eq!(
        twice,
        [
            "line 11, metadata.name: a is the name of another pod, metadata.name in line 3 of set.yaml"
        ]
    );
}

#[test]
fn no_port_of_the_node_is_given_twice() {
    let pod = |name: &str, ports: &str, spec: &str| {
        named(name).replace("image: i:1", &format!("image: i:1\n    ports: [{ports}]")) + spec
    };
    let both = |one: &str, other: &str| {
        let lines = refused(&format!("{one}---\n{other}"));
        lines.into_iter().map(|line| line.replace(" of set.yaml", "")).collect::<Vec<_>>()
    };
    let (own, host) = ("  hostNetwork: false\n", "");
    let web = "{containerPort: 80}";
    let taken = "line 17, spec.containers[0].ports[0]: the node's TCP port 80 is taken by pod a, container c, \
                 spec.containers[0].ports[0] in line 8";
    assert_eq!(both(&pod("a", web, host), &pod("b", web, host)), [taken]);
    let led = "{containerPort: 8080, hostPort: 80}";
    assert_eq!(both(&pod("a", web, host), &pod("b", led, own)), [taken]);
    assert!(
        both(&pod("a", web, host), &pod("b", web, own)).is_empty(),
        "it has a network of its own"
    );
    assert!(
        both(&pod("a", web, host), &pod("b", "{containerPort: 80, protocol: UDP}", host))
            .is_empty()
    );
    let within = refused(&pod(
        "a",
        "{containerPort: 1, hostPort: 80}, {containerPort: 2, hostPort: 80}",
        own,
    ));
    assert_eq!(within.len(), 1, "{within:?}");
    let init = "  initContainers: [{name: i, image: i, ports: [{containerPort: 80}]}]\n";
    assert!(
        both(&pod("a", web, host), &pod("b", "", init)).is_empty(),
        "it is over before anybody asks"
    );
    let sidecar = init.replace("name: i,", "name: i, restartPolicy: Always,");
    assert_eq!(both(&pod("a", web, host), &pod("b", "", &sidecar)).len(), 1);
}

#[test]
fn a_node_has_at_most_sixty_four_pods() {
    let pods = |count| -> String {
        (0..count).map(|number| format!("{}---\n", named(&format!("p{number}")))).collect()
    };
    assert_eq!(refused(&pods(64)), Vec::<String>::new());
    let told = refused(&pods(65));
    assert!(told[0].ends_with("metadata.name: is one more than a node's 64 pods"), "{told:?}");
}

#[test]
fn a_pod_has_at_most_sixteen_containers() {
    let more = |number: usize| {
        let init = (0..number).map(|at| format!("{{name: i{at}, image: i}}")).collect::<Vec<_>>();
        with_spec(&format!("initContainers: [{}]", init.join(", ")))
    };
    assert_eq!(pods(&more(15))[0].wanted().containers.len(), 16);
    let because = "line 4, spec: has 17 containers with those of initContainers, and 16 at most";
    assert_eq!(refused(&more(16)), [because]);
}

#[test]
fn a_pods_name_fits_into_the_ledger() {
    assert_eq!(pods(&named(&"a".repeat(48)))[0].name.len(), 48);
    let long = refused(&named(&"a".repeat(49)));
    assert_eq!(
        long,
        ["line 3, metadata.name: is longer than 48 bytes, which is what a cause can name"]
    );
    let because =
        "has to be a DNS label: 1 to 63 of a-z, 0-9 and -, with a letter or digit at both ends";
    for name in ["A", "a.b", "-a", "a-", "a_b", "ä"] {
        assert_eq!(refused(&named(name)), [format!("line 3, metadata.name: {because}")], "{name}");
    }
}

#[test]
fn the_metadata_of_a_cluster_is_refused() {
    let with = |field: &str| named("a").replace("labels: {app: web}", field);
    for (field, because) in [
        ("namespace: plant", "namespace: a node has no namespaces: leave it out, or write default"),
        ("uid: 1a", "uid: is written by a cluster: take it out"),
        (
            "labels: {a b: c}",
            "labels[a b]: has to be a label: at most 63 letters, digits, -, _ and .",
        ),
        ("labels: {a: c d}", "labels.a: has to be a label: at most 63 letters, digits, -, _ and ."),
        ("annotations: {a/b/c: d}", "annotations[a/b/c]: has no key that an annotation can have"),
        (
            "annotations: {a: 1}",
            "annotations.a: has to be text and is a number to YAML: put it in quotes",
        ),
        (
            "annotations: {steadfast.dev/pid: '1'}",
            "annotations[steadfast.dev/pid]: a node knows steadfast.dev/pids of a Pod and no other annotation",
        ),
        (
            "annotations: {steadfast.dev/pids: '0'}",
            "annotations[steadfast.dev/pids]: has to be a whole number from 1 to 4194304, in quotes",
        ),
        (
            "annotations: {container.apparmor.security.beta.kubernetes.io/c: unconfined}",
            "annotations[container.apparmor.security.beta.kubernetes.io/c]: is an old form: use the field that it became",
        ),
    ] {
        assert_eq!(refused(&with(field)), [format!("line 3, metadata.{because}")], "{field}");
    }
}

#[test]
fn only_pods_and_what_they_refer_to_are_taken() {
    let pods = "a node runs Pods: make one of spec.template, with apiVersion, kind and a name";
    for (head, because) in [
        ("kind: Deployment\napiVersion: apps/v1", format!("line 1, kind: {pods}")),
        (
            "kind: Service\napiVersion: v1",
            "line 1, kind: a node knows Pod, ConfigMap and Secret".to_owned(),
        ),
        (
            "kind: List\napiVersion: v1",
            "line 1, kind: write its items one by one, with --- between them".to_owned(),
        ),
        ("kind: Pod\napiVersion: v2", "line 2, apiVersion: has to be v1".to_owned()),
        ("kind: Pod", "line 1, apiVersion: is missing".to_owned()),
        ("a: b", "line 1, kind: is missing".to_owned()),
        ("[a]", "line 1: has to be a document, as a map of its fields".to_owned()),
    ] {
        assert_eq!(refused(head), [because], "{head}");
    }
}

#[test]
fn config_maps_and_secrets_are_refused_as_kubernetes_does() {
    let conf =
        |fields: &str| format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\n{fields}");
    let secret = |fields: &str| conf(fields).replace("ConfigMap", "Secret");
    let key = "a key has to be 1 to 253 letters, digits, -, _ and .";
    for (text, because) in [
        (conf("data: {a/b: c}"), format!("data[a/b]: {key}")),
        (conf("data: {..: c}"), format!("data[..]: {key}")),
        (
            conf("data: {a: 1}"),
            "data.a: has to be text and is a number to YAML: put it in quotes".to_owned(),
        ),
        (conf("data: {a: {b: c}}"), "data.a: has to be text".to_owned()),
        (conf("stringData: {a: b}"), "stringData: belongs to a Secret; use data".to_owned()),
        (conf("immutable: maybe"), "immutable: has to be true or false".to_owned()),
        (conf("binaryData: {a: Zg}"), "binaryData.a: has to be base64".to_owned()),
        (
            conf("data: {a: b}\nbinaryData: {a: Zg==}"),
            "binaryData: has the key a, which is in data, too".to_owned(),
        ),
        (secret("data: {a: geheim!}"), "data.a: has to be base64".to_owned()),
        (
            secret("type: kubernetes.io/dockerconfigjson"),
            "type: a node makes no use of Secrets of this type".to_owned(),
        ),
        (secret("data: 1"), "data: has to be a map".to_owned()),
    ] {
        let found = refused(&text);
        assert_eq!(found.len(), 1, "{text}: {found:?}");
        assert!(found[0].ends_with(&format!(", {because}")), "{text}: {found:?}");
    }
}

#[test]
fn an_annotation_that_means_something_in_a_pod_means_nothing_elsewhere() {
    let with = "metadata: {name: a, annotations: {steadfast.dev/pids: '1'}}";
    let conf = format!("apiVersion: v1\nkind: ConfigMap\n{with}");
    let because = "a node knows steadfast.dev/pids of a Pod and no other annotation";
    let path = "metadata.annotations[steadfast.dev/pids]";
    assert_eq!(refused(&conf), [format!("line 3, {path}: {because}")]);
}

#[test]
fn what_refers_to_a_refused_object_is_not_refused_for_it() {
    let conf = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: conf}\ndata: {level: 1}\n---\n";
    let pod = with_container("envFrom: [{configMapRef: {name: conf}}]\nlivenessProbe: {}");
    let found = refused(&format!("{conf}{pod}"));
    let starts: Vec<_> = found.iter().map(|line| &line[..7]).collect();
    assert_eq!(starts, ["line 4,", "line 14"], "{found:?}");
}

#[test]
fn a_string_of_a_secret_wins_over_its_data() {
    let secret = "apiVersion: v1\nkind: Secret\nmetadata: {name: s}\ndata: {a: Zm9v}\nstringData: {a: bar}\n---\n";
    let text = format!("{secret}{}", with_container("envFrom: [{secretRef: {name: s}}]"));
    let launch = pods(&text)[0].containers[0].launch(&facts()).expect("it is short");
    assert_eq!(launch.environment["a"], "bar");
}

#[test]
fn a_digest_is_that_of_what_is_said_and_not_of_how() {
    let digest = |text: &str| pods(&format!("{CONF}{text}"))[0].digest;
    let own = "args: ['a', 2b]\nenvFrom: [{configMapRef: {name: conf}}]";
    let first = digest(&with_container(own));
    let same = "envFrom:\n# where from\n- configMapRef:\n    name: \"conf\"\nargs:\n- a\n- '2b'\nenv: null";
    assert_eq!(digest(&with_container(same)), first);
    for other in [
        own.replace("2b", "2c"),
        own.replace("'a', 2b", "2b, 'a'"),
        own.replace("'a', 2b", "a2b"),
        format!("{own}\nstdin: false"),
    ] {
        assert_ne!(digest(&with_container(&other)), first, "{other}");
    }
    let text = format!("{}{}", CONF.replace("debug", "info"), with_container(own));
    assert_ne!(pods(&text)[0].digest, first, "what it refers to counts");
    let text = format!("{}{}", CONF.replace("press", "other"), with_container(own));
    assert_eq!(pods(&text)[0].digest, first, "what it does not refer to does not");
}

#[test]
fn a_reason_is_told_once() {
    // Labels and annotations are looked at twice.
    let text = named("a").replace("labels: {app: web}", "annotations: 1");
    assert_eq!(refused(&text), ["line 3, metadata.annotations: has to be a map"]);
}

#[test]
fn json_and_lines_of_other_systems_are_read_too() {
    let json = "{\n\t\"apiVersion\": \"v1\",\n\t\"kind\": \"Pod\",\n\t\"metadata\": {\"name\": \"a\"},\n\
                \t\"spec\": {\n\t\t\"containers\": [\n\t\t\t{\"name\": \"c\", \"image\": \"i:1\", \
                \"args\": [\"a\\/b\\u00fc\"]}\n\t\t]\n\t}\n}\n";
    assert_eq!(pods(json)[0].containers[0].args, ["a/bü"]);
    let text = with_container("args: [a]\ntty: false");
    assert_eq!(pods(&text.replace('\n', "\r\n")), pods(&text));
    assert_eq!(pods(&format!("\u{feff}{text}")), pods(&text));
    let wrong = with_container("args: [a]\ntty: true").replace('\n', "\r\n");
    assert!(refused(&wrong)[0].starts_with("line 9, "), "{:?}", refused(&wrong));
}
