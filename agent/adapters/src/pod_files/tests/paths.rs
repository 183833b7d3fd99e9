use super::*;
use crate::manifest::There;
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

/// What comes of mounting a path in the folder, of which the policy allows `allowed`.
fn mounted(folder: &TempDir, path: &str, there: There) -> Result<VolumePath, String> {
    let policy = Policy { host_paths: vec![folder.path().join("allowed")], ..Policy::default() };
    let path = folder.path().join(path);
    host_path::host_path(&path, there, &policy).map_err(|wrong| {
        crate::chain(&wrong.of("v", &path)).replace(&folder.path().display().to_string(), "")
    })
}

fn with_something() -> TempDir {
    let folder = folder_of_test();
    let path = |name: &str| folder.path().join(name);
    fs::create_dir_all(path("allowed/folder")).expect("a fresh folder");
    fs::create_dir_all(path("other/folder")).expect("a fresh folder");
    fs::write(path("allowed/file"), "").expect("a fresh folder");
    // It stays when nobody listens any more.
    drop(UnixListener::bind(path("allowed/socket")).expect("a short path"));
    folder
}

#[test]
fn each_type_takes_what_it_names_and_nothing_else() {
    let folder = with_something();
    let cases = [
        (There::Folder, "folder", "folder"),
        (There::FolderOrNew, "folder", "folder"),
        (There::File, "file", "file"),
        (There::FileOrNew, "file", "file"),
        (There::Socket, "socket", "socket"),
    ];
    for (there, right, kind) in cases {
        for name in ["folder", "file", "socket"] {
            let found = mounted(&folder, &format!("allowed/{name}"), there);
            match name == right {
                true => assert_eq!(
                    found.expect("it is right").path,
                    folder.path().join("allowed").join(name)
                ),
                false => assert_eq!(
                    found.expect_err("it is wrong"),
                    format!("the volume v cannot be mounted: /allowed/{name} is no {kind}")
                ),
            }
        }
        if !matches!(there, There::FolderOrNew | There::FileOrNew) {
            let told = mounted(&folder, "allowed/none", there).expect_err("nothing is there");
            assert_eq!(told, "the volume v cannot be mounted: /allowed/none is not there");
        }
    }
}

#[test]
fn what_may_be_new_is_made_with_its_folders() {
    let folder = with_something();
    let path = |name: &str| folder.path().join("allowed").join(name);
    mounted(&folder, "allowed/a/b", There::FolderOrNew).expect("it is made");
    mounted(&folder, "allowed/f", There::FileOrNew).expect("it is made");
    mounted(&folder, "allowed/any", There::Anything).expect("it is made, as containerd does");
    assert!(path("a/b").is_dir() && path("f").is_file() && path("any").is_dir());
    assert_eq!(permissions(&path("a/b")) | permissions(&path("f")), 0o755);
    let told = mounted(&folder, "allowed/no/f", There::FileOrNew).expect_err("no folder for it");
    assert_eq!(
        told,
        "the volume v could not be made at /allowed/no/f: No such file or directory (os error 2)"
    );
}

#[test]
fn where_links_lead_has_to_be_allowed_too() {
    let folder = with_something();
    let path = |name: &str| folder.path().join(name);
    symlink(path("allowed/folder"), path("allowed/in")).expect("a fresh folder");
    symlink("../other", path("allowed/out")).expect("a fresh folder");
    symlink(path("allowed/folder"), path("other/back")).expect("a fresh folder");
    let found = mounted(&folder, "allowed/in", There::Folder).expect("it stays inside");
    assert_eq!(found.path, path("allowed/folder"), "what is mounted has no link in it");
    let told = mounted(&folder, "allowed/out/folder", There::Folder).expect_err("it leads out");
    assert_eq!(
        told,
        "the volume v cannot be mounted: /allowed/out/folder leads to /other/folder, which the node's policy does not allow"
    );
    let told = mounted(&folder, "other/back", There::Folder).expect_err("it is outside itself");
    assert!(told.ends_with("/other/back is outside what the node's policy allows"), "{told}");
}

#[test]
fn nothing_is_made_where_a_link_leads_out() {
    let folder = with_something();
    let path = |name: &str| folder.path().join(name);
    symlink("../other", path("allowed/out")).expect("a fresh folder");
    symlink("../other/dangling", path("allowed/dangling")).expect("a fresh folder");
    for (name, there) in [
        ("allowed/out/new", There::FolderOrNew),
        ("allowed/out/new/deep", There::Anything),
        ("allowed/out/new", There::FileOrNew),
        ("allowed/dangling", There::FolderOrNew),
        ("allowed/dangling", There::FileOrNew),
        ("allowed/dangling/deep", There::FolderOrNew),
    ] {
        mounted(&folder, name, there).expect_err("it leads out");
    }
    let left = tree::names(&path("other")).expect("a folder");
    assert_eq!(left, ["folder"]);
}

#[test]
fn a_device_is_known_by_its_numbers_when_it_is_called_one() {
    let policy = Policy { host_paths: vec!["/dev".into()], ..Policy::default() };
    let null = Path::new("/dev/null");
    let found = host_path::host_path(null, There::CharDevice, &policy).expect("each node has it");
    let device = found.device.expect("it is a device");
    assert_eq!((device.kind, device.major, device.minor), (DeviceKind::Character, 1, 3));
    let untold = host_path::host_path(null, There::Anything, &policy).expect("each node has it");
    assert_eq!(untold.device, None, "only who says that it is a device may open it");
    host_path::host_path(null, There::BlockDevice, &policy).expect_err("it is none");
}

#[test]
fn the_nodes_devices_are_all_but_those_that_a_container_has_of_its_own() {
    let devices = device::all(Path::new("/dev")).expect("it can be listed");
    let has = |path: &str| devices.iter().any(|device| device.path == Path::new(path));
    assert!(has("/dev/null") && has("/dev/zero"));
    assert!(!devices.iter().any(|it| it.path.starts_with("/dev/pts")) && !has("/dev/console"));
}
