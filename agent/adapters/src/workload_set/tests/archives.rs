//! Archives that images come from.

use super::*;

/// What becomes of a set whose bridge is in this archive.
fn given(bytes: &[u8]) -> Result<WorkloadSet, SetError> {
    let mut world = World::new();
    world.give("press/bridge:1.8.2", bytes);
    world.build()
}

fn refused(bytes: &[u8]) -> String {
    let said = said(given(bytes));
    let (archive, because) = said.split_once(": ").expect("the archive, and why");
    assert!(archive.ends_with("press-bridge-1.8.2.tar"), "{archive}");
    because.to_owned()
}

/// The digest of the bridge in a set.
fn chosen(bytes: &[u8]) -> String {
    let set = given(bytes).unwrap_or_else(|error| panic!("{}", crate::chain(&error)));
    format!("sha256:{}", set.images[0].digest)
}

fn with_platform(mut image: Value, architecture: &str) -> Value {
    image["platform"] = json!({ "architecture": architecture, "os": "linux" });
    image
}

#[test]
fn of_an_index_with_platforms_the_right_one_is_taken_and_the_others_need_not_be_there() {
    let mut files = Files::new();
    let arm64 = with_platform(image(&mut files, "arm64", "arm"), "arm64");
    let amd64 = with_platform(image(&mut Files::new(), "amd64", "amd"), "amd64");
    let mut proof = with_platform(image(&mut files, "arm64", "proof"), "unknown");
    proof["platform"]["os"] = json!("unknown");
    let inner = document(&mut files, INDEX, &index(&[amd64, arm64.clone(), proof]));
    files.insert("manifest.json".into(), b"[]".to_vec());
    files.insert("repositories".into(), b"{}".to_vec());
    assert_eq!(chosen(&tar(&layout(files, &[inner]))), arm64["digest"].as_str().expect("one"));
}

#[test]
fn of_several_images_the_one_with_the_name_is_taken() {
    let mut files = Files::new();
    let mut named = image(&mut files, "arm64", "one");
    let other = image(&mut files, "arm64", "other");
    let two = [other.clone(), named.clone()];
    assert!(refused(&tar(&layout(files.clone(), &two))).starts_with("it has 2 images"));
    for key in ["io.containerd.image.name", "org.opencontainers.image.ref.name"] {
        named["annotations"] = json!({ key: "press/bridge:1.8.2" });
        let two = [other.clone(), named.clone()];
        let digest = named["digest"].as_str().expect("a digest");
        assert_eq!(chosen(&tar(&layout(files.clone(), &two))), digest);
    }
}

#[test]
fn an_archive_for_other_machines_says_which() {
    let mut files = Files::new();
    let amd64 = image(&mut files, "amd64", "amd");
    assert_eq!(
        refused(&tar(&layout(files, &[amd64]))),
        "it has no image for linux on arm64, and it has images for linux on amd64"
    );
    let nothing = refused(&tar(&layout(Files::new(), &[])));
    assert_eq!(nothing, "it has no image for linux on arm64, and it has images for nothing");
}

#[test]
fn a_platform_that_is_not_the_images_own_is_refused() {
    let mut files = Files::new();
    let lie = with_platform(image(&mut files, "amd64", "amd"), "arm64");
    assert_eq!(
        refused(&tar(&layout(files, &[lie]))),
        "it is called an image for linux on arm64, and its configuration says linux on amd64"
    );
}

#[test]
fn a_docker_archive_is_refused_with_what_to_do() {
    let files = Files::from([("manifest.json".to_owned(), b"[]".to_vec())]);
    assert_eq!(
        refused(&tar(&files)),
        "it is a docker-archive, whose layers are not named by their digests: save the image as an OCI layout"
    );
}

#[test]
fn an_archive_of_several_kinds_of_files_is_read_and_its_links_are_not() {
    let mut files = Files::new();
    let one = image(&mut files, "arm64", "one");
    let bytes = tar(&layout(files, &[one]));
    let folders = ["./", "blobs/", "blobs/sha256/", "more/"];
    let folders = folders.into_iter().flat_map(|it| entry(it, EntryType::Directory, b""));
    let more: Vec<u8> = folders.chain(bytes.clone()).collect();
    assert_eq!(chosen(&more), chosen(&bytes));
    let link = [entry("more/link", EntryType::Symlink, b""), bytes.clone()].concat();
    assert!(refused(&link).contains("a symbolic link"));
    let climbs = [entry("more/../../x", EntryType::Regular, b""), bytes].concat();
    assert!(refused(&climbs).contains("no part of an OCI image layout"));
}

/// An archive with this manifest made from that of an image.
fn altered(change: impl FnOnce(&mut Value, &mut Files)) -> Vec<u8> {
    let mut files = Files::new();
    let one = image(&mut files, "arm64", "one");
    let mut manifest = at(&files, &one);
    change(&mut manifest, &mut files);
    let one = document(&mut files, MANIFEST, &manifest);
    tar(&layout(files, &[one]))
}

#[test]
fn what_is_no_whole_image_is_refused() {
    let chart = altered(|manifest, _| {
        manifest["config"]["mediaType"] = json!("application/vnd.cncf.helm.config.v1+json");
    });
    assert!(refused(&chart).starts_with("it is no image of a container"));
    let foreign = altered(|manifest, _| {
        let kind = "application/vnd.oci.image.layer.nondistributable.v1.tar";
        manifest["layers"][0]["mediaType"] = json!(kind);
    });
    assert!(refused(&foreign).starts_with("it has a layer of the kind"));
    let missing = altered(|manifest, files| {
        let digest = manifest["layers"][0]["digest"].as_str().expect("a digest").replace(':', "/");
        files.remove(&format!("blobs/{digest}"));
    });
    assert!(refused(&missing).ends_with("is missing"));
    let longer = altered(|manifest, _| manifest["layers"][0]["size"] = json!(4));
    assert!(refused(&longer).ends_with("has 3 bytes, and 4 are named"));
    let more = altered(|manifest, _| {
        let layer = manifest["layers"][0].clone();
        manifest["layers"].as_array_mut().expect("a list").push(layer);
    });
    assert_eq!(refused(&more), "it has 2 layers, and its configuration knows 1");
    let version = altered(|manifest, _| manifest["schemaVersion"] = json!(1));
    assert!(refused(&version).ends_with("says of itself that it is of schema version 1"));
    let both = altered(|manifest, _| manifest["mediaType"] = json!(INDEX));
    assert!(refused(&both).contains("says of itself that it is"));
}

#[test]
fn indexes_that_lead_to_each_other_without_end_are_refused() {
    let mut files = Files::new();
    let mut deeper = image(&mut files, "arm64", "one");
    for _ in 0..6 {
        deeper = document(&mut files, INDEX, &index(&[deeper]));
    }
    assert_eq!(
        refused(&tar(&layout(files, &[deeper]))),
        "it has more images than can be looked through"
    );
}

#[test]
fn a_document_is_not_read_when_it_is_too_long() {
    let long = altered(|manifest, _| {
        manifest["annotations"] = json!({ "long": "x".repeat(5 << 20) });
    });
    assert!(refused(&long).ends_with("and a document has 4194304 at most"));
}

#[test]
fn an_archive_of_too_many_files_is_refused() {
    let files = (0..10_001).flat_map(|n| entry(&format!("f{n}"), EntryType::Regular, b""));
    let files: Vec<u8> = files.collect();
    assert_eq!(refused(&files), "it has more than 10000 files");
}

#[test]
fn parts_that_images_share_are_in_a_set_once() {
    let mut world = World::new();
    let mut files = Files::new();
    let one = image(&mut files, "arm64", "shared");
    let bytes = tar(&layout(files, &[one]));
    world.give("press/setup:3", &bytes);
    world.give("press/bridge:1.8.2", &bytes);
    let set = world.build().expect("a set");
    assert_eq!(set.images[0].digest, set.images[1].digest);
    // An image's three, the set's four, and the two of every layout.
    assert_eq!(untar(&world.bytes()).len(), 3 + 4 + 2);
}
