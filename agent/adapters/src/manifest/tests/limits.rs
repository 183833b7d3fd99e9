use super::*;

#[test]
fn what_is_no_yaml_is_refused_with_its_line() {
    for (text, because) in [
        ("a: [b", "line 1: is no YAML: "),
        ("a: b\nc: [d\n", "line 2: is no YAML: "),
        ("a: \"b", "line 1: is no YAML: "),
        ("a: b\na: c", "line 2: a is there twice in one map"),
        ("a: b\nc: d\na: e", "line 3: a is there twice in one map"),
        ("a: &x b\nc: *x", "line 1: anchors and aliases (& and *) are not taken: write it out"),
        ("a: &x [b]", "line 1: anchors and aliases (& and *) are not taken: write it out"),
        ("a: *x", "line 1: is no YAML: "),
        ("a: !!binary Zg==", "line 1: tags (!) are not taken"),
        ("a: !x {}", "line 1: tags (!) are not taken"),
        ("? [a]\n: b", "line 1: a key has to be one word"),
        ("? {a: b}\n: c", "line 1: a key has to be one word"),
        ("a: b\r\n# c\rd: e", "line 2: has a carriage return without a line feed behind it"),
        ("a: b\r", "line 1: has a carriage return without a line feed behind it"),
        ("a: b\n? ", "line 2: a key has to have 1 to 512 bytes"),
        ("'': b", "line 1: a key has to have 1 to 512 bytes"),
    ] {
        let found = refused(text);
        assert_eq!(found.len(), 1, "{text:?}: {found:?}");
        assert!(found[0].starts_with(because), "{text:?}: {found:?}");
    }
    let text = b"a: b\nc: \xff\n";
    let found =
        Set::read(&[Source { name: "set.yaml", text }], &policy()).map_err(|it| it.to_string());
    assert_eq!(found, Err("set.yaml, line 2: is not UTF-8".to_owned()));
}

#[test]
fn a_file_that_is_no_yaml_does_not_hide_what_is_wrong_in_the_others() {
    let wrong = with_container("tty: true\nenvFrom: [{secretRef: {name: there}}]");
    let sources =
        [Source { name: "a.yaml", text: b"{" }, Source { name: "b.yaml", text: wrong.as_bytes() }];
    let refused = Set::read(&sources, &policy()).expect_err("both are wrong");
    let files: Vec<_> = refused.refusals.iter().map(|it| (it.file.as_str(), it.line)).collect();
    assert_eq!(
        files,
        [("a.yaml", 1), ("b.yaml", 8)],
        "the Secret may be in the file that is broken"
    );
}

#[test]
fn a_document_is_nested_within_limits() {
    let deep = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(refused(&deep(32)), ["line 1: has to be a document, as a map of its fields"]);
    assert_eq!(refused(&deep(33)), ["line 1: is nested deeper than 32 levels"]);
    assert_eq!(refused(&"- ".repeat(5_000)), ["line 1: is nested deeper than 32 levels"]);
    assert_eq!(refused(&"{a: ".repeat(200)), ["line 1: is nested deeper than 32 levels"]);
    assert_eq!(refused(&"[".repeat(100_000)).len(), 1);
}

#[test]
fn a_set_is_within_limits() {
    let found = refused(&format!("a:\n{}", "- b\n".repeat(50_000)));
    assert_eq!(found, ["line 50000: the set has more than 50000 values"]);
    let long = "#".repeat(4 * 1024 * 1024 + 1);
    assert_eq!(refused(&long), ["line 1: the files of the set have more than 4194304 bytes"]);
    let half = "#".repeat(3 * 1024 * 1024);
    let sources = ["a", "b"].map(|name| Source { name, text: half.as_bytes() });
    let refused = Set::read(&sources, &policy()).expect_err("together they are too long");
    assert_eq!(refused.refusals.len(), 1);
    assert_eq!((refused.refusals[0].file.as_str(), refused.more), ("b", 0));
}

#[test]
fn an_object_is_within_limits() {
    let object = |bytes: usize| {
        let text = "x".repeat(bytes - 1);
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{a: {text}}}")
    };
    assert!(refused(&object(1024 * 1024)).is_empty());
    assert_eq!(refused(&object(1024 * 1024 + 1)), ["line 1: holds more than 1048576 bytes"]);
}

#[test]
fn what_a_set_comes_to_is_within_limits() {
    let keys: String = (0..1_000).map(|number| format!("k{number}: a, ")).collect();
    let conf =
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\ndata: {{{keys}}}\n---\n");
    let from = |times: usize| {
        let from = "{configMapRef: {name: a}}, ".repeat(times);
        refused(&format!("{conf}{}", with_container(&format!("envFrom: [{from}]"))))
    };
    assert!(from(20).is_empty());
    let because = "the set comes to more than 20000 files and variables here";
    assert_eq!(
        from(21),
        [format!("line 13, spec.containers[0].envFrom[20].configMapRef: {because}")]
    );
}

#[test]
fn variables_that_double_each_other_end_at_the_door() {
    let mut env = "env:\n- {name: A0, value: xxxxxxxx}\n".to_owned();
    for number in 1..64 {
        let before = number - 1;
        env.push_str(&format!("- {{name: A{number}, value: $(A{before})$(A{before})}}\n"));
    }
    let because =
        "the variable A14 comes to more than 131071 bytes, or with all others to more than 1048576";
    assert_eq!(refused(&with_container(&env)), [format!("line 6, spec.containers[0]: {because}")]);
    let args = format!(
        "env: [{{name: A, value: {}}}]\nargs: [{}]",
        "x".repeat(100_000),
        "$(A), ".repeat(11)
    );
    let because =
        "an argument comes to more than 131071 bytes, or with all others to more than 1048576";
    assert_eq!(refused(&with_container(&args)), [format!("line 6, spec.containers[0]: {because}")]);
}

#[test]
fn a_reason_stays_one_line_of_bounded_length() {
    let port = |name: &str| format!("livenessProbe: {{tcpSocket: {{port: \"{name}\"}}}}");
    let found = refused(&with_container(&port("a\\nb\\e[0m")));
    assert_eq!(found.len(), 1);
    assert!(found[0].ends_with("there is no port a\\nb\\u{1b}[0m in this container"), "{found:?}");
    let found = refused(&with_container(&port(&"ü".repeat(10_000))));
    assert!(found[0].ends_with("üü…") && found[0].chars().count() < 500, "{found:?}");
}

#[test]
fn of_very_many_refusals_the_first_are_told_and_the_others_counted() {
    let text = with_container(&format!("args: [{}]", "1, ".repeat(250)));
    let refused = read(&text).expect_err("no argument is text");
    assert_eq!((refused.refusals.len(), refused.more), (Refused::MOST, 150));
    assert_eq!(refused.to_string().lines().last(), Some("and 150 more"));
}

#[test]
fn a_variable_is_as_long_as_its_name_and_its_value() {
    let because = |name: &str| {
        format!(
            "line 6, spec.containers[0]: the variable {name} comes to more than 131071 bytes, or \
             with all others to more than 1048576"
        )
    };
    let env = |name: &str, length: usize| {
        refused(&with_container(&format!("env: [{{name: {name}, value: {}}}]", "x".repeat(length))))
    };
    assert!(env("A", 131_069).is_empty());
    assert_eq!(env("A", 131_070), [because("A")], "Linux counts A= and the zero byte, too");
    assert_eq!(env("AB", 131_069), [because("AB")]);
}

#[test]
fn what_only_the_node_knows_counts_as_long_as_it_can_be() {
    let full = "x".repeat(131_000);
    let env: String =
        (0..8).map(|number| format!("- {{name: A{number}, value: {full}}}\n")).collect();
    let facts = |count: usize| -> String {
        let fact = "valueFrom: {fieldRef: {fieldPath: spec.nodeName}}";
        (0..count).map(|number| format!("- {{name: F{number}, {fact}}}\n")).collect()
    };
    assert!(refused(&with_container(&format!("env:\n{env}{}", facts(2)))).is_empty());
    let found = refused(&with_container(&format!("env:\n{env}{}", facts(3))));
    assert_eq!(found.len(), 1);
    assert!(found[0].contains("the variable F2 comes to more than"), "{found:?}");
}

#[test]
fn what_many_files_and_variables_are_given_of_the_pod_is_there_once() {
    let text = with_spec(
        "  env:\n  - {name: A, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}\n  \
         - {name: B, valueFrom: {fieldRef: {fieldPath: \"metadata.labels['app']\"}}}\n\
         volumes: [{name: v, downwardAPI: {items: [\
         {path: a, fieldRef: {fieldPath: metadata.labels}}, \
         {path: b, fieldRef: {fieldPath: metadata.labels}}]}}]",
    );
    let pod = pods(&text).remove(0);
    let VolumeSource::Files(files) = &pod.volumes[0].source else { panic!("it has files") };
    assert!(std::sync::Arc::ptr_eq(&files[0].content.0, &files[1].content.0));
    let contents: Vec<_> = pod.containers[0]
        .variables
        .iter()
        .map(|variables| match variables {
            Variables::One { value: Value::Content(content), .. } => &content.0,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(std::sync::Arc::ptr_eq(contents[0], contents[1]));
}

#[test]
fn annotations_are_within_limits() {
    let with = |bytes: usize| {
        let text = with_spec("").replace(
            "name: a,",
            &format!("name: a, annotations: {{b: {}}},", "x".repeat(bytes - 1)),
        );
        refused(&text)
    };
    assert!(with(256 * 1024).is_empty());
    let because = "line 3, metadata.annotations: have more than 262144 bytes together";
    assert_eq!(with(256 * 1024 + 1), [because]);
}

#[test]
fn a_path_is_within_limits() {
    let mount = |path: &str| {
        let mounts = format!("volumeMounts: [{{name: v, mountPath: {path}}}]");
        refused(&with_spec(&format!("  {mounts}\nvolumes: [{{name: v}}]")))
    };
    assert!(mount(&"/a".repeat(2_047)).is_empty());
    let because = "is longer than 4095 bytes, which no path can be";
    assert_eq!(mount(&"/a".repeat(2_048)), [format!("{C}volumeMounts[0].mountPath: {because}")]);
    let item =
        format!("{{path: {}a, fieldRef: {{fieldPath: metadata.name}}}}", "a/".repeat(1_000_000));
    let volume = format!("volumes: [{{name: v, downwardAPI: {{items: [{item}]}}}}]");
    assert_eq!(
        refused(&with_spec(&volume)),
        [format!("{S}volumes[0].downwardAPI.items[0].path: {because}")]
    );
}

#[test]
fn names_without_an_end_are_looked_at_once() {
    let args = |text: &str| refused(&with_container(&format!("args: ['{text}']")));
    assert!(args(&"$(".repeat(65_535)).is_empty());
    assert_eq!(args(&"$(".repeat(2_000_000)).len(), 1);
}
