use super::*;
use crate::manifest::{Content, File};
use std::os::unix::fs::symlink;

fn file(path: &str, mode: u32, text: &str) -> File {
    File { path: path.to_owned(), mode, content: Content(text.as_bytes().into()) }
}

#[test]
fn a_tree_is_removed_and_no_link_in_it_is_followed() {
    let folder = folder_of_test();
    let (tree, other) = (folder.path().join("tree"), folder.path().join("other"));
    fs::create_dir_all(tree.join("a/b/c")).expect("a fresh folder");
    fs::create_dir_all(&other).expect("a fresh folder");
    fs::write(other.join("kept"), "").expect("a fresh folder");
    for name in ["file", "a/file", "a/b/c/file"] {
        fs::write(tree.join(name), "").expect("a fresh folder");
    }
    symlink(&other, tree.join("a/link")).expect("a fresh folder");
    symlink("/nowhere", tree.join("dangling")).expect("a fresh folder");
    tree::remove(&tree).expect("it can be removed");
    assert!(!tree.exists() && other.join("kept").exists());
    tree::remove(&tree).expect("nothing there is fine");
}

#[test]
fn a_link_instead_of_a_tree_is_removed_itself() {
    let folder = folder_of_test();
    let link = folder.path().join("link");
    fs::create_dir(folder.path().join("other")).expect("a fresh folder");
    symlink("other", &link).expect("a fresh folder");
    tree::remove(&link).expect("it can be removed");
    assert!(!link.is_symlink() && folder.path().join("other").exists());
}

#[test]
fn a_tree_deeper_than_any_path_and_any_stack_is_removed() {
    let folder = folder_of_test();
    let top = folder.path().join("tree");
    fs::create_dir(&top).expect("a fresh folder");
    let flags = rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC;
    let mut here =
        rustix::fs::open(&top, flags, rustix::fs::Mode::empty()).expect("it was just made");
    for _ in 0..3_000 {
        rustix::fs::mkdirat(&here, "d", 0o700.into()).expect("the disk has room");
        here =
            rustix::fs::openat(&here, "d", flags, rustix::fs::Mode::empty()).expect("it is there");
    }
    drop(here);
    tree::remove(&top).expect("it can be removed");
    assert!(!top.exists());
}

#[test]
fn a_mount_is_known_as_one() {
    assert!(tree::is_mount(Path::new("/proc")).expect("Linux 5.8"));
    assert!(!tree::is_mount(folder_of_test().path()).expect("Linux 5.8"));
    assert!(!tree::is_mount(&folder_of_test().path().join("none")).expect("nothing is no mount"));
}

#[test]
fn the_files_of_a_volume_have_their_modes_and_contents() {
    let folder = folder_of_test();
    let place = folder.path().join("v");
    let files =
        [file("a", 0o400, "one"), file("deep/b", 0o644, ""), file("deep/down/c", 0o777, "3")];
    making::files(&place, &files, &BTreeSet::new(), None).expect("they can be made");
    assert_eq!(fs::read_to_string(place.join("a")).expect("it is there"), "one");
    let modes = ["", "a", "deep", "deep/b", "deep/down", "deep/down/c"];
    let modes = modes.map(|name| permissions(&place.join(name)));
    assert_eq!(modes, [0o755, 0o400, 0o755, 0o644, 0o755, 0o777]);
}

#[test]
fn a_volume_without_files_is_an_empty_folder() {
    let folder = folder_of_test();
    making::files(&folder.path().join("v"), &[], &BTreeSet::new(), None).expect("it can be made");
    assert_eq!(fs::read_dir(folder.path().join("v")).expect("a folder").count(), 0);
}

#[test]
fn what_a_cut_left_half_made_is_made_anew_and_what_is_whole_is_kept() {
    let folder = folder_of_test();
    let (place, half) = (folder.path().join("v"), folder.path().join(".making-v"));
    fs::create_dir(&half).expect("a fresh folder");
    fs::write(half.join("half"), "").expect("a fresh folder");
    making::files(&place, &[file("a", 0o644, "one")], &BTreeSet::new(), None)
        .expect("it can be made");
    assert!(!half.exists() && !place.join("half").exists());
    making::files(&place, &[file("a", 0o644, "two")], &BTreeSet::new(), None).expect("it is there");
    assert_eq!(fs::read_to_string(place.join("a")).expect("it is there"), "one");
}

#[test]
fn a_volume_that_cannot_be_made_leaves_nothing() {
    let folder = folder_of_test();
    let in_the_way = [file("a", 0o644, ""), file("a", 0o644, "")];
    making::files(&folder.path().join("v"), &in_the_way, &BTreeSet::new(), None)
        .expect_err("there is one already");
    assert_eq!(fs::read_dir(folder.path()).expect("a folder").count(), 0);
}

#[test]
fn an_empty_folder_is_for_everybody_and_what_is_in_it_is_kept() {
    let folder = folder_of_test();
    let place = folder.path().join("v");
    making::empty(&place, None).expect("it can be made");
    assert_eq!(permissions(&place), 0o777);
    fs::write(place.join("work"), "done").expect("it is for everybody");
    making::empty(&place, None).expect("it is there");
    assert_eq!(fs::read_to_string(place.join("work")).expect("it is kept"), "done");
}

fn place(path: &str, kind: nested::Kind) -> nested::Place {
    nested::Place { path: path.into(), kind }
}

#[test]
fn places_for_mounts_are_made_and_no_link_in_the_volume_is_followed() {
    use nested::Kind::{File, Folder};
    let folder = folder_of_test();
    let (volume, other) = (folder.path().join("v"), folder.path().join("other"));
    fs::create_dir(&volume).expect("a fresh folder");
    fs::create_dir(&other).expect("a fresh folder");
    symlink(&other, volume.join("out")).expect("a fresh folder");
    fs::write(volume.join("there"), "kept").expect("a fresh folder");
    let places = [
        place("a/b", Folder),
        place("a/c", File),
        place("out/x", Folder),
        place("out/y", File),
        place("there", File),
        place("there/below", Folder),
    ];
    let places = BTreeSet::from(places);
    for _ in 0..2 {
        nested::make(&volume, &places).expect("what is in the way is the runtime's to tell");
    }
    assert!(volume.join("a/b").is_dir() && volume.join("a/c").is_file());
    assert_eq!(fs::read_dir(&other).expect("a folder").count(), 0);
    assert_eq!(fs::read_to_string(volume.join("there")).expect("it is there"), "kept");
}

#[test]
fn a_volume_has_places_for_what_its_containers_mount_in_it() {
    use nested::Kind::{File, Folder};
    let text = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {k: v}\n---\n\
        apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  volumes:\n  - {name: conf, configMap: {name: m}}\n  \
        - {name: one, emptyDir: {}}\n  - {name: two, emptyDir: {}}\n  - {name: s, hostPath: {path: /run/s, type: Socket}}\n  \
        containers:\n  - name: c\n    image: i\n    terminationMessagePath: /conf/last\n    volumeMounts:\n    \
        - {name: conf, mountPath: /conf/}\n    - {name: one, mountPath: /conf//deep/one}\n    \
        - {name: two, mountPath: /conf/deep/one/two}\n    - {name: conf, mountPath: /conf/file, subPath: k}\n    \
        - {name: s, mountPath: /conf/socket}\n    - {name: two, mountPath: /config}\n";
    let policy = Policy { host_paths: vec!["/run".into()], ..Policy::default() };
    let source = crate::manifest::Source { name: "a", text: text.as_bytes() };
    let pod = crate::manifest::Set::read(&[source], &policy).expect("a set").pods.remove(0);
    let of = |volume: &str| nested::places(&pod, volume).into_iter().collect::<Vec<_>>();
    let conf = [
        place("deep/one", Folder),
        place("file", File),
        place("last", File),
        place("socket", File),
    ];
    assert_eq!(of("conf"), conf);
    assert_eq!(of("one"), [place("two", Folder)]);
    assert_eq!(of("two"), []);
}
