//! What is made, and what is not.

use super::*;

#[test]
fn a_set_is_read_as_it_was_made() {
    let world = World::new();
    let made = world.build().expect("a set");
    assert_eq!(world.read(&world.bytes(), None).expect("a set"), made);
    assert_eq!((made.generation, made.architecture.as_str()), (7, "arm64"));
    assert_eq!(made.minimum_os, Version::new("2.4.0"));
    assert_eq!((made.files, made.signatures), (vec!["bridge.yaml".to_owned()], vec![]));
    let images: Vec<_> = made.images.iter().map(|it| (it.reference.as_str(), it.used)).collect();
    assert_eq!(images, [("press/bridge:1.8.2", 1), ("press/setup:3", 1)]);
    assert_eq!(made.pods[0].name.as_str(), "bridge");
}

#[test]
fn the_same_input_makes_the_same_bytes() {
    let (one, mut other) = (World::new(), World::new());
    other.images.reverse();
    other.put("manifests/.hidden", "is no manifest");
    assert_eq!(one.bytes(), other.bytes());
}

#[test]
fn nobody_and_no_time_is_in_an_archive() {
    let bytes = World::new().bytes();
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut names = Vec::new();
    for entry in archive.entries().expect("a tar archive") {
        let entry = entry.expect("an entry");
        let header = entry.header();
        let owner = (header.uid().ok(), header.gid().ok(), header.mtime().ok());
        assert_eq!(owner, (Some(0), Some(0), Some(0)));
        names.push(entry.path_bytes().into_owned());
    }
    assert!(names.is_sorted());
    assert_eq!(bytes.len() % 512, 0);
}

#[test]
fn an_index_names_each_image_with_its_platform_and_the_pods_name_for_it() {
    let files = untar(&World::new().bytes());
    let roots: Value = serde_json::from_slice(&files["index.json"]).expect("JSON");
    let root = &roots["manifests"][0];
    assert_eq!(root["artifactType"], "application/vnd.steadfast.workload-set.v1");
    let set = at(&files, root);
    assert_eq!(set["artifactType"], root["artifactType"]);
    let image = &set["manifests"][1];
    let name = &image["annotations"]["org.opencontainers.image.ref.name"];
    assert_eq!(name, "press/bridge:1.8.2");
    assert_eq!(image["platform"], json!({ "architecture": "arm64", "os": "linux" }));
    let pods = at(&files, &set["manifests"][0]);
    assert_eq!(pods["config"]["mediaType"], "application/vnd.oci.empty.v1+json");
    assert_eq!(pods["annotations"]["dev.steadfast.generation"], "7");
    assert_eq!(pods["annotations"]["dev.steadfast.minimum-os"], "2.4.0");
    let layer = &pods["layers"][0];
    assert_eq!(layer["annotations"]["org.opencontainers.image.title"], "bridge.yaml");
}

#[test]
fn an_image_that_nobody_gave_is_refused_with_the_pod_that_names_it() {
    let mut world = World::new();
    world.images.clear();
    assert_eq!(
        said(world.build()),
        "pod bridge, spec.initContainers[0].image: the image press/setup:3 is not in the set\n\
         pod bridge, spec.containers[0].image: the image press/bridge:1.8.2 is not in the set"
    );
}

#[test]
fn an_image_that_no_pod_names_is_told() {
    let mut world = World::new();
    let mut files = Files::new();
    let image = image(&mut files, "arm64", "other");
    world.give("other:1", &tar(&layout(files, &[image])));
    let set = world.build().expect("a set");
    let unused = set.images.iter().filter(|image| image.used == 0);
    assert_eq!(unused.map(|image| image.reference.as_str()).collect::<Vec<_>>(), ["other:1"]);
}

#[test]
fn a_folder_that_is_not_all_manifests_makes_no_set() {
    let world = World::new();
    world.put("manifests/README.md", "hello");
    assert!(said(world.build()).contains("README.md is no manifest"));
    let world = World::new();
    std::fs::create_dir(world.path("manifests/more.yaml")).expect("writable");
    assert!(said(world.build()).contains("more.yaml is no manifest"));
    let world = World::new();
    std::fs::remove_file(world.path("manifests/bridge.yaml")).expect("there");
    assert_eq!(said(world.build()), "there is no pod in it");
}

#[test]
fn a_manifest_that_is_refused_makes_no_set() {
    let world = World::new();
    world.put("manifests/bridge.yaml", POD.replace("spec:", "spec:\n  hostPID: true"));
    let said = said(world.build());
    assert!(said.starts_with("bridge.yaml, line 5, spec.hostPID: "), "{said}");
}

#[test]
fn a_reference_with_a_digest_means_the_very_image() {
    let mut world = World::new();
    let mut files = Files::new();
    let image = image(&mut files, "arm64", "pinned");
    let digest = image["digest"].as_str().expect("a digest").to_owned();
    let archive = tar(&layout(files, &[image]));
    let reference = format!("press/bridge@{digest}");
    world
        .put("manifests/bridge.yaml", POD.replace("press/bridge:1.8.2", &format!("'{reference}'")));
    world.give(&reference, &archive);
    let set = world.build().expect("a set");
    assert!(set.images.iter().any(|image| image.reference == reference && image.used == 1));
    let other = format!("press/bridge@sha256:{}", "0f".repeat(32));
    world.put("manifests/bridge.yaml", POD.replace("press/bridge:1.8.2", &format!("'{other}'")));
    world.give(&other, &archive);
    assert!(said(world.build()).contains(&format!("image {other} is {digest} in the set")));
}

#[test]
fn a_set_that_is_not_made_leaves_the_one_before_and_nothing_else() {
    let mut world = World::new();
    let before = world.bytes();
    let (_, bridge) = world.images.split_at(1);
    let path = bridge[0].archive.clone();
    let mut damaged = std::fs::read(&path).expect("there");
    // Only as it is copied the layer is found to be another one.
    let at = damaged.windows(18).position(|it| it == b"press/bridge:1.8.2").expect("the layer");
    damaged[at] = b'P';
    world.give("press/bridge:1.8.2", &damaged);
    assert!(said(world.build()).contains("it is damaged or was altered"));
    assert_eq!(world.bytes(), before);
    assert!(!world.path("press.tar.part").exists());
}

#[test]
fn two_archives_for_one_image_make_no_set() {
    let mut world = World::new();
    world.images.push(world.images[0].clone());
    assert_eq!(said(world.build()), "two images are called press/setup:3");
}
