use super::*;

fn source(volume: &str) -> VolumeSource {
    let text = with_spec(&format!("volumes:\n- name: v\n{}", indented(volume, 2)));
    pods(&format!("{CONF}{text}")).remove(0).volumes.remove(0).source
}

/// Each file as `PATH MODE CONTENT`.
fn files(volume: &str) -> Vec<String> {
    let VolumeSource::Files(files) = source(volume) else { panic!("{volume} is made of files") };
    let line = |it: &File| {
        format!("{} {:03o} {}", it.path, it.mode, String::from_utf8_lossy(&it.content.0))
    };
    files.iter().map(line).collect()
}

#[test]
fn an_empty_dir_is_honoured() {
    let empty = |medium, limit| VolumeSource::Empty { medium, limit };
    assert_eq!(source("emptyDir: {}"), empty(Medium::Disk, None));
    assert_eq!(source(""), empty(Medium::Disk, None), "as in Kubernetes");
    assert_eq!(source("emptyDir: {sizeLimit: 1Mi}"), empty(Medium::Disk, Some(1 << 20)));
    assert_eq!(source("emptyDir: {medium: Memory}"), empty(Medium::Memory, None));
}

#[test]
fn a_host_path_is_honoured_where_the_policy_allows_it() {
    let host = |path: &str, there| VolumeSource::Host { path: path.to_owned(), there };
    assert_eq!(source("hostPath: {path: /data}"), host("/data", There::Anything));
    for (word, there) in [
        ("DirectoryOrCreate", There::FolderOrNew),
        ("Directory", There::Folder),
        ("FileOrCreate", There::FileOrNew),
        ("File", There::File),
        ("Socket", There::Socket),
        ("CharDevice", There::CharDevice),
        ("BlockDevice", There::BlockDevice),
    ] {
        let found = source(&format!("hostPath: {{path: /data/a, type: {word}}}"));
        assert_eq!(found, host("/data/a", there));
    }
}

#[test]
fn all_keys_of_an_object_become_files() {
    assert_eq!(
        files("configMap: {name: conf}"),
        ["EMPTY 644 ", "file 644 one\n", "level 644 debug", "raw 644 \u{fffd}"]
    );
    assert_eq!(
        files("secret: {secretName: conf, defaultMode: 0400}"),
        ["key 400 \u{fffd}", "password 400 geheim", "user 400 press"]
    );
}

#[test]
fn items_choose_keys_paths_and_modes() {
    assert_eq!(
        files(
            "configMap:\n  name: conf\n  defaultMode: 0440\n  items:\n  \
             - {key: level, path: sub/level}\n  - {key: raw, path: raw, mode: 256}"
        ),
        ["raw 400 \u{fffd}", "sub/level 440 debug"]
    );
}

#[test]
fn what_is_optional_and_not_there_leaves_no_file() {
    assert!(files("configMap: {name: none, optional: true}").is_empty());
    assert!(
        files("secret: {secretName: none, optional: true, items: [{key: a, path: a}]}").is_empty()
    );
    let items = "items: [{key: none, path: a}, {key: level, path: b}]";
    let found = files(&format!("configMap: {{name: conf, optional: true, {items}}}"));
    assert_eq!(found, ["b 644 debug"]);
}

#[test]
fn several_sources_are_projected_into_one_volume() {
    let found = files(
        "projected:\n  defaultMode: 0400\n  sources:\n  \
         - configMap: {name: conf, items: [{key: level, path: level}]}\n  \
         - secret: {name: conf, items: [{key: user, path: user, mode: 0444}]}\n  \
         - downwardAPI: {items: [{path: app, fieldRef: {fieldPath: \"metadata.labels['app']\"}}]}",
    );
    assert_eq!(found, ["app 400 web", "level 400 debug", "user 444 press"]);
}

#[test]
fn a_pod_is_told_of_itself_in_files() {
    let item = |path: &str| format!("{{path: f, fieldRef: {{fieldPath: \"{path}\"}}}}");
    for (path, content) in [
        ("metadata.name", "a"),
        ("metadata.namespace", "default"),
        ("metadata.labels", "app=\"web\""),
        ("metadata.annotations", ""),
    ] {
        let found = files(&format!("downwardAPI: {{items: [{}]}}", item(path)));
        assert_eq!(found, [format!("f 644 {content}")]);
    }
    let text = with_spec("volumes: [{name: v, downwardAPI: {items: [{path: f, fieldRef: {fieldPath: metadata.annotations}}]}}]")
        .replace("labels: {app: web}", "annotations: {b: \"1\\n\\\"\\\\\\t\\a\", a/c: ü}");
    let VolumeSource::Files(files) = &pods(&text)[0].volumes[0].source else { panic!("files") };
    assert_eq!(files[0].content.text(), Some("a/c=\"ü\"\nb=\"1\\n\\\"\\\\\\t\\a\""));
}

#[test]
fn mounts_are_honoured() {
    let text = with_spec(
        "  volumeMounts:\n  - {name: data, mountPath: /data}\n  \
         - {name: data, mountPath: /ro, readOnly: true, mountPropagation: None}\n  \
         - {name: conf, mountPath: /etc/level, subPath: sub/level}\n  \
         - {name: conf, mountPath: /etc/sub, subPath: sub}\n\
         volumes:\n- {name: data, emptyDir: {}}\n\
         - {name: conf, configMap: {name: conf, items: [{key: level, path: sub/level}]}}",
    );
    let mount = |volume: &str, path: &str, part: Option<&str>, access| Mount {
        volume: volume.to_owned(),
        path: path.to_owned(),
        part: part.map(str::to_owned),
        access,
    };
    let found = pods(&format!("{CONF}{text}")).remove(0).containers.remove(0).mounts;
    assert_eq!(
        found,
        [
            mount("data", "/data", None, Access::Write),
            mount("data", "/ro", None, Access::Read),
            mount("conf", "/etc/level", Some("sub/level"), Access::Read),
            mount("conf", "/etc/sub", Some("sub"), Access::Read),
        ]
    );
}
