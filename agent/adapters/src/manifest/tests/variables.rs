use super::*;

fn environment(fields: &str) -> Vec<(String, String)> {
    let pod = pods(&format!("{CONF}{}", with_container(fields))).remove(0);
    let launch = pod.containers[0].launch(&facts()).expect("it is short");
    launch.environment.into_iter().collect()
}

fn is(fields: &str, expected: &[(&str, &str)]) {
    let found = environment(fields);
    let found: Vec<_> = found.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(found, expected, "{fields}");
}

#[test]
fn variables_come_from_every_source() {
    is("env: [{name: A, value: b}, {name: EMPTY}]", &[("A", "b"), ("EMPTY", "")]);
    let from = |source: &str| format!("env: [{{name: A, valueFrom: {{{source}}}}}]");
    is(&from("configMapKeyRef: {name: conf, key: level}"), &[("A", "debug")]);
    is(&from("secretKeyRef: {name: conf, key: password}"), &[("A", "geheim")]);
    is(&from("secretKeyRef: {name: conf, key: user}"), &[("A", "press")]);
    for (path, value) in [
        ("metadata.name", "a"),
        ("metadata.namespace", "default"),
        ("metadata.labels['app']", "web"),
        ("metadata.labels['none']", ""),
        ("metadata.annotations['none']", ""),
        ("spec.nodeName", "press-07"),
        ("status.hostIP", "10.0.0.1"),
        ("status.podIP", "10.0.0.2"),
    ] {
        is(&from(&format!("fieldRef: {{fieldPath: \"{path}\"}}")), &[("A", value)]);
    }
}

#[test]
fn what_is_optional_and_not_there_is_left_out() {
    for source in [
        "configMapKeyRef: {name: none, key: level, optional: true}",
        "configMapKeyRef: {name: conf, key: none, optional: true}",
        "secretKeyRef: {name: none, key: level, optional: true}",
    ] {
        is(&format!("env: [{{name: A, valueFrom: {{{source}}}}}, {{name: B}}]"), &[("B", "")]);
    }
    is("envFrom: [{secretRef: {name: none, optional: true}}]", &[]);
}

#[test]
fn all_keys_of_an_object_become_variables_with_a_prefix() {
    let expected = [("X_EMPTY", ""), ("X_file", "one\n"), ("X_level", "debug")];
    is("envFrom: [{prefix: X_, configMapRef: {name: conf}}]", &expected);
}

#[test]
fn a_later_variable_wins_and_env_wins_over_env_from() {
    let from = "envFrom: [{configMapRef: {name: conf}}]\n";
    let found = environment(&format!(
        "env: [{{name: level, value: a}}, {{name: level, value: b}}]\n{from}"
    ));
    assert!(found.contains(&("level".to_owned(), "b".to_owned())), "{found:?}");
}

#[test]
fn a_variable_knows_those_before_it() {
    is(
        "env:\n- {name: A, value: $(C)-$(level)}\n- {name: B, value: $(A)!}\n- {name: C, value: $$(A)}\n\
         envFrom: [{configMapRef: {name: conf}}]",
        &[
            ("A", "$(C)-debug"),
            ("B", "$(C)-debug!"),
            ("C", "$(A)"),
            ("EMPTY", ""),
            ("file", "one\n"),
            ("level", "debug"),
        ],
    );
}

#[test]
fn what_an_object_holds_is_not_expanded() {
    let conf = CONF.replace("level: debug", "level: $(A)");
    let env = "env:\n- {name: A, value: x}\n\
               - {name: B, valueFrom: {configMapKeyRef: {name: conf, key: level}}}";
    let pod = pods(&format!("{conf}{}", with_container(env))).remove(0);
    let launch = pod.containers[0].launch(&facts()).expect("it is short");
    assert_eq!(launch.environment["B"], "$(A)");
}

#[test]
fn commands_and_arguments_are_expanded_with_all_variables() {
    let own = container(
        "command: [/bin/$(A)]\nargs: ['$(NODE):$(NONE)', $$(A)]\n\
         env:\n- {name: A, value: x}\n- {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}",
    );
    let launch = own.launch(&facts()).expect("it is short");
    assert_eq!(launch.command, ["/bin/x"]);
    assert_eq!(launch.args, ["press-07:$(NONE)", "$(A)"]);
}

#[test]
fn no_secret_shows_itself_in_what_is_printed_of_a_pod() {
    let text = format!(
        "{CONF}{}",
        with_spec(
            "  envFrom: [{secretRef: {name: own}}]\n  env:\n  \
             - {name: A, valueFrom: {secretKeyRef: {name: conf, key: password}}}\n\
             volumes: [{name: v, secret: {secretName: conf}}]"
        )
    );
    let own = "apiVersion: v1\nkind: Secret\nmetadata: {name: own}\nstringData: {B: geheim}\n---\n";
    let pods = pods(&format!("{own}{text}"));
    let printed = format!("{pods:?}");
    assert!(!printed.contains("geheim") && printed.contains("6 bytes"), "{printed}");
    assert_eq!(
        pods[0].containers[0].launch(&facts()).map(|it| it.environment["A"].clone()),
        Ok("geheim".to_owned())
    );
}
