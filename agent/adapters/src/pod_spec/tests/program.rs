use super::*;

fn args(command: &str, image: &ImageConfig) -> Vec<String> {
    let made = made(&pod("", command), image);
    strings(&made["process"]["args"]).into_iter().map(str::to_owned).collect()
}

#[test]
fn command_and_args_stand_over_the_images_as_in_kubernetes() {
    let image = ImageConfig {
        entrypoint: words(&["/ep", "-e"]),
        cmd: words(&["cmd"]),
        ..ImageConfig::default()
    };
    assert_eq!(args("", &image), ["/ep", "-e", "cmd"]);
    assert_eq!(args("args: [a]", &image), ["/ep", "-e", "a"]);
    assert_eq!(
        args("command: [/c]", &image),
        ["/c"],
        "the image's arguments belong to its entrypoint"
    );
    assert_eq!(args("command: [/c]\nargs: [a, b]", &image), ["/c", "a", "b"]);
    assert_eq!(args("command: []\nargs: []", &image), ["/ep", "-e", "cmd"]);
}

#[test]
fn an_image_without_an_entrypoint_runs_its_arguments() {
    let image = ImageConfig { cmd: words(&["/cmd"]), ..ImageConfig::default() };
    assert_eq!(args("", &image), ["/cmd"]);
    let taken_back = ImageConfig { entrypoint: words(&[""]), ..image };
    assert_eq!(args("args: [/a]", &taken_back), ["/a"]);
}

#[test]
fn nothing_to_run_is_an_error() {
    let pod = pod("", "");
    for image in
        [ImageConfig::default(), ImageConfig { cmd: words(&[""]), ..ImageConfig::default() }]
    {
        let error = Node::of(&pod).spec(&pod, 0, &image).expect_err("nothing can be run");
        assert!(matches!(error, SpecError::NoCommand), "{error}");
    }
}

#[test]
fn variables_are_the_images_under_the_containers() {
    let image =
        ImageConfig { env: words(&["PATH=/opt/bin", "A=image", "B=image", "C=x=y"]), ..image() };
    let pod = pod("", "env:\n- {name: B, value: pod}\n- {name: D, value: $(B)}");
    let made = made(&pod, &image);
    let env = strings(&made["process"]["env"]);
    assert_eq!(env, ["PATH=/opt/bin", "HOSTNAME=press-07", "A=image", "B=pod", "C=x=y", "D=pod"]);
}

#[test]
fn a_container_without_variables_has_a_path_and_the_nodes_name() {
    let made = container("");
    let env = strings(&made["process"]["env"]);
    let path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(env, [path, "HOSTNAME=press-07"]);
}

#[test]
fn what_an_image_sets_without_a_value_is_taken_away() {
    let image = ImageConfig { env: words(&["A=1", "HOSTNAME", "A"]), ..image() };
    let made = made(&pod("", ""), &image);
    assert_eq!(strings(&made["process"]["env"]).len(), 1, "{made}");
}

#[test]
fn it_starts_in_the_manifests_folder_or_the_images() {
    let image = ImageConfig { working_dir: Some("/srv".to_owned()), ..image() };
    assert_eq!(made(&pod("", ""), &image)["process"]["cwd"], "/srv");
    assert_eq!(made(&pod("", "workingDir: /work"), &image)["process"]["cwd"], "/work");
    let none = ImageConfig { working_dir: Some(String::new()), ..image.clone() };
    assert_eq!(made(&pod("", ""), &none)["process"]["cwd"], "/");
    let relative = ImageConfig { working_dir: Some("srv".to_owned()), ..image };
    let pod = pod("", "");
    let error = Node::of(&pod).spec(&pod, 0, &relative).expect_err("runc takes only a path from /");
    assert_eq!(error.to_string(), "the image's working directory srv is no path from /");
}

#[test]
fn an_images_configuration_is_read_as_the_oci_writes_it() {
    let text = r#"{"User":"web:www","Env":["A=1"],"Entrypoint":null,"Cmd":["/x"],"WorkingDir":"/",
        "StopSignal":"SIGQUIT","Volumes":{"/v":{}},"Labels":null}"#;
    let read: ImageConfig = serde_json::from_str(text).expect("unknown fields are none of ours");
    assert_eq!(read.user.as_deref(), Some("web:www"));
    assert_eq!((read.entrypoint, read.cmd), (None, words(&["/x"])));
    assert_eq!(read.stop_signal.as_deref(), Some("SIGQUIT"));
    let none: ImageConfig = serde_json::from_str("{}").expect("all of it may be missing");
    assert_eq!(none, ImageConfig::default());
}
