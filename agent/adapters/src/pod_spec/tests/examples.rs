use super::*;
use expect_test::{ExpectFile, expect_file};

/// The pod of this example, as the manifests' tests let it in.
fn example(name: &str) -> Pod {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/pods").join(name);
    let text = std::fs::read(path).expect("the example is kept");
    let policy = Policy {
        host_paths: vec![PathBuf::from("/dev/video0")],
        capabilities: vec!["SYS_NICE".to_owned()],
        ..Policy::default()
    };
    let set = Set::read(&[Source { name, text: &text }], &policy);
    set.unwrap_or_else(|refused| panic!("{refused}")).pods.remove(0)
}

/// The list of system calls is held by its own tests.
fn holds(pod: &Pod, container: usize, image: &ImageConfig, golden: &ExpectFile) {
    let mut made = Node::of(pod).spec(pod, container, image).expect("it can be started");
    let calls = made["linux"]["seccomp"].take();
    assert_eq!(calls["defaultAction"], "SCMP_ACT_ERRNO");
    golden.assert_eq(&format!("{made:#}\n"));
}

#[test]
fn the_broker_is_started_like_this() {
    let image = ImageConfig {
        env: words(&["PATH=/usr/local/bin:/usr/bin:/bin", "VERSION=2.0.20"]),
        entrypoint: words(&["/docker-entrypoint.sh"]),
        cmd: words(&["/usr/sbin/mosquitto"]),
        ..ImageConfig::default()
    };
    let golden = expect_file!["../../../tests/specs/mqtt-bridge.broker.json"];
    holds(&example("mqtt-bridge.yaml"), 0, &image, &golden);
}

#[test]
fn the_camera_is_started_like_this() {
    let image = ImageConfig { user: Some("web".to_owned()), ..ImageConfig::default() };
    let golden = expect_file!["../../../tests/specs/vision.detect.json"];
    holds(&example("vision.yaml"), 1, &image, &golden);
}
