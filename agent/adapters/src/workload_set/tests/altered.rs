//! Sets that somebody altered, each refused for what it is.

use super::*;
use std::fs::File;
use std::os::unix::fs::FileExt;

#[test]
fn no_byte_can_be_changed_unseen() {
    let world = World::new();
    let key = world.key(1);
    let keyring = world.keyring(&[&key]);
    let bytes = world.signed(&[&key]);
    let set = world.read(&bytes, Some(&keyring)).expect("trusted");
    let path = world.put("altered.tar", &bytes);
    let file = File::options().write(true).open(&path).expect("writable");
    let policy = Policy::whole_node();
    let demands = Demands { keyring: Some(&keyring), architecture: None, policy: &policy };
    let mut unseen = Vec::new();
    for (at, byte) in bytes.iter().enumerate() {
        file.write_all_at(&[byte ^ 1], at as u64).expect("writable");
        if let Ok(other) = read(&path, demands) {
            assert_eq!(other, set, "byte {at}");
            unseen.push(at);
        }
        file.write_all_at(&[*byte], at as u64).expect("writable");
    }
    // What index.json says beside digests is for people, and the last bytes of a header's checksum for nobody.
    let roots = bytes.windows(10).position(|it| it == b"index.json").expect("it is there") + 512;
    let more: Vec<_> = unseen.iter().filter(|at| !(roots..roots + 1024).contains(*at)).collect();
    assert!(more.iter().all(|at| (154..156).contains(&(**at % 512))), "{more:?}");
}

#[test]
fn an_archive_that_is_cut_off_is_refused() {
    let world = World::new();
    let bytes = world.bytes();
    for length in (0..bytes.len()).step_by(256).chain([bytes.len() - 1]) {
        let refused = world.refused(&bytes[..length]);
        assert!(refused.contains("cut off") || refused.contains("damaged"), "{length}: {refused}");
    }
}

#[test]
fn a_missing_blob_is_refused() {
    let world = World::new();
    let files = untar(&world.bytes());
    let blobs = files.keys().filter(|name| name.starts_with("blobs/"));
    for name in blobs {
        let mut fewer = files.clone();
        fewer.remove(name);
        let digest = name.replace("blobs/sha256/", "");
        assert!(world.refused(&tar(&fewer)).ends_with(&format!("sha256:{digest} is missing")));
    }
}

#[test]
fn a_blob_that_nothing_names_is_refused() {
    let world = World::new();
    let mut files = untar(&world.bytes());
    let stray = blob(&mut files, LAYER, b"smuggled".to_vec());
    let digest = stray["digest"].as_str().expect("a digest");
    let because = format!("it has the blob {digest}, which nothing in the set names");
    assert_eq!(world.refused(&tar(&files)), because);
}

#[test]
fn a_blob_of_another_length_or_content_is_refused() {
    let world = World::new();
    let files = untar(&world.bytes());
    let layer = files.iter().find(|(_, bytes)| *bytes == b"press/setup:3").expect("the layer").0;
    let with = |bytes: &[u8]| {
        let mut files = files.clone();
        files.insert(layer.clone(), bytes.to_vec());
        world.refused(&tar(&files))
    };
    assert!(with(b"press/setup:4").contains("it is damaged or was altered"));
    assert!(with(b"press/setup:33").contains("has 14 bytes, and 13 are named"));
}

#[test]
fn a_document_is_held_against_its_digest_before_it_is_read() {
    let world = World::new();
    let files = untar(&world.bytes());
    let documents = files.iter().filter(|(name, bytes)| {
        name.starts_with("blobs/") && bytes.starts_with(b"{") && bytes.len() > 2
    });
    for (name, bytes) in documents {
        let mut altered = files.clone();
        altered.insert(name.clone(), vec![b'x'; bytes.len()]);
        let refused = world.refused(&tar(&altered));
        assert!(refused.ends_with("it is damaged or was altered"), "{refused}");
    }
}

#[test]
fn what_a_tar_archive_can_hide_is_refused() {
    use EntryType as T;
    let world = World::new();
    let bytes = world.bytes();
    let with = |name: &str, kind, content: &[u8]| {
        world.refused(&[entry(name, kind, content), bytes.clone()].concat())
    };
    for name in [
        "../escape",
        "/etc/passwd",
        "blobs/../index.json",
        "blobs/sha256/../../oci-layout",
        "blobs/sha512/00",
        "blobs/sha256/short",
        "blobs//sha256/x",
        "manifest.json",
        "INDEX.JSON",
        "././index.json",
    ] {
        let refused = with(name, T::Regular, b"x");
        assert!(refused.contains("no part of an OCI image layout"), "{name}: {refused}");
    }
    let upper = format!("blobs/sha256/{}", "0F".repeat(32));
    assert!(with(&upper, T::Regular, b"x").contains("no part of an OCI image layout"));
    for (kind, what) in [
        (T::Symlink, "a symbolic link"),
        (T::Link, "a hard link"),
        (T::Char, "a device"),
        (T::Block, "a device"),
        (T::Fifo, "a pipe"),
        (T::GNUSparse, "a file with holes"),
        (T::GNULongName, "a name of more than 100 bytes"),
        (T::Continuous, "something else"),
    ] {
        let refused = with("index.json", kind, b"");
        assert_eq!(
            refused,
            format!(
                "it has index.json, which is {what}; an image layout has files and folders only"
            )
        );
    }
    assert!(with("blobs/../..", T::Directory, b"").contains("no part"));
    assert!(with("blobs", T::Directory, b"full").contains("no part"));
    for twice in ["index.json", "./index.json", "oci-layout"] {
        let name = twice.trim_start_matches("./");
        assert_eq!(with(twice, T::Regular, b"{}"), format!("it has the file {name} twice"));
    }
}

#[test]
fn a_header_that_renames_what_follows_is_refused() {
    let world = World::new();
    let bytes = world.bytes();
    let with = |records: &[u8]| {
        let header = entry("pax", EntryType::XHeader, records);
        world.read(&[header, bytes.clone()].concat(), None)
    };
    assert!(with(b"20 mtime=1700000000\n").is_ok());
    for records in [
        &b"16 path=../etc/\n"[..],
        b"11 size=12\n",
        b"20 mtime=1700000000\n11 size=12\n",
        b"13 comment=a\n\n11 size=12\n",
        b"17 linkpath=/etc\n",
        b"21 GNU.sparse.major=1\n",
        b"99 mtime=1\n",
        b"rubbish",
    ] {
        assert!(said(with(records)).contains("another name, size or kind"), "{records:?}");
    }
}

#[test]
fn bytes_behind_the_end_or_between_files_are_refused() {
    let world = World::new();
    let bytes = world.bytes();
    let refused = world.refused(&[&bytes[..], b"behind"].concat());
    assert_eq!(refused, "it has bytes that belong to no file after oci-layout");
    // A second archive behind the first.
    let refused = world.refused(&[&bytes[..], &bytes[..]].concat());
    assert!(refused.contains("belong to no file"), "{refused}");
    assert!(world.read(&[&bytes[..], &[0; 9000]].concat(), None).is_ok());
}

#[test]
fn what_is_no_set_says_what_it_is() {
    let world = World::new();
    let bytes = std::fs::read(&world.images[0].archive).expect("there");
    assert!(world.refused(&bytes).contains("is neither a workload set nor a signature of one"));
    assert_eq!(world.refused(&tar(&layout(Files::new(), &[]))), "there is no workload set in it");
    let gzip = world.refused(b"\x1f\x8b\x08\0\0\0\0\0");
    assert!(gzip.starts_with("it is compressed with gzip"), "{gzip}");
    assert!(world.refused(&[b'x'; 2048]).contains("it is no tar archive"));
    let mut none = untar(&world.bytes());
    none.remove("oci-layout");
    assert!(world.refused(&tar(&none)).contains("it has no oci-layout"));
    none.insert("oci-layout".into(), br#"{"imageLayoutVersion":"2.0.0"}"#.to_vec());
    assert!(world.refused(&tar(&none)).contains("of version 2.0.0"));
}

#[test]
fn what_a_set_says_of_itself_has_to_make_sense() {
    let world = World::new();
    let bytes = world.bytes();
    let annotated =
        |key: &str, value: Value| crafted(&bytes, |_, pods| pods["annotations"][key] = value);
    for wrong in ["0", "-1", "07", "+7", "seven", "", "99999999999999999999"] {
        let refused = world.refused(&annotated("dev.steadfast.generation", json!(wrong)));
        assert!(refused.contains("generation has to be a number from 1"), "{wrong}: {refused}");
    }
    let none = crafted(&bytes, |_, pods| pods["annotations"] = json!({}));
    assert!(world.refused(&none).ends_with("and is not there"));
    let refused = world.refused(&annotated("dev.steadfast.minimum-os", json!("../2")));
    assert!(refused.contains("which is no version"), "{refused}");
    let unsaid = crafted(&bytes, |_, pods| {
        pods["annotations"] = json!({ "dev.steadfast.generation": "8" });
    });
    let set = world.read(&unsaid, None).expect("a set");
    assert_eq!((set.generation, set.minimum_os), (8, None));
}

#[test]
fn an_image_has_one_name_and_the_platform_that_is_said() {
    let world = World::new();
    let bytes = world.bytes();
    let images = |change: fn(&mut Vec<Value>)| {
        let change = |set: &mut Value, _: &mut Value| {
            change(set["manifests"].as_array_mut().expect("a list"));
        };
        world.refused(&crafted(&bytes, change))
    };
    assert_eq!(images(|all| all.push(all[1].clone())), "two images are called press/bridge:1.8.2");
    let amd64 = images(|all| all[1]["platform"]["architecture"] = json!("amd64"));
    assert!(amd64.contains("is called an image for linux on amd64"), "{amd64}");
    let unsaid = images(|all| drop(all[1]["platform"].take()));
    assert!(unsaid.contains("an image has no platform"), "{unsaid}");
    let unnamed = images(|all| all[1]["annotations"] = json!({}));
    assert!(unnamed.contains("an image has no name"), "{unnamed}");
    let renamed = images(|all| {
        all[1]["annotations"]["org.opencontainers.image.ref.name"] = json!("press/bridge:1.9");
    });
    assert!(renamed.starts_with("pod bridge, spec.containers[0].image: "), "{renamed}");
    let twice = images(|all| all.push(all[0].clone()));
    assert!(twice.contains("a set has one manifest of pods"), "{twice}");
}

#[test]
fn an_image_for_another_architecture_is_refused() {
    let world = World::new();
    let bytes = world.bytes();
    world.put("other.tar", &bytes);
    let policy = Policy::whole_node();
    let demands = Demands { keyring: None, architecture: Some("amd64"), policy: &policy };
    assert_eq!(
        said(read(&world.path("other.tar"), demands)),
        "image press/bridge:1.8.2 is for linux on arm64, and the set is for amd64"
    );
}

#[test]
fn a_set_is_for_one_architecture_whether_it_is_said_or_not() {
    let world = World::new();
    let mut files = untar(&world.bytes());
    let mut amd64 = image(&mut files, "amd64", "amd");
    amd64["platform"] = json!({ "architecture": "amd64", "os": "linux" });
    amd64["annotations"] = json!({ "org.opencontainers.image.ref.name": "press/other:1" });
    let mixed = crafted(&tar(&files), |set, _| {
        set["manifests"].as_array_mut().expect("a list").push(amd64);
    });
    let policy = Policy::whole_node();
    let demands = Demands { keyring: None, architecture: None, policy: &policy };
    assert_eq!(
        said(read(&world.put("mixed.tar", mixed), demands)),
        "image press/other:1 is for linux on amd64, and the set is for arm64"
    );
}

#[test]
fn the_policy_of_a_node_is_that_of_its_sets() {
    let world = World::new();
    let privileged = POD.replace("1.8.2}", "1.8.2, securityContext: {privileged: true}}");
    world.put("manifests/bridge.yaml", privileged);
    world.bytes();
    let demands = Demands { keyring: None, architecture: None, policy: &Policy::default() };
    let refused = said(read(&world.set(), demands));
    assert!(refused.contains("the node's policy allows no privileged containers"), "{refused}");
}
