use super::*;

/// A folder with the files of a hierarchy.
fn hierarchy(version: Version) -> TempDir {
    let folder = folder_of_test();
    match version {
        Version::V2 => {
            fs::write(folder.path().join("cgroup.controllers"), "cpu memory pids").expect("fresh")
        }
        Version::V1 => ["pids", "memory"].iter().for_each(|name| {
            fs::create_dir(folder.path().join(name)).expect("a fresh folder");
        }),
    }
    folder
}

fn read(folder: &TempDir, path: &str) -> String {
    fs::read_to_string(folder.path().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn a_bound_on_processes_is_the_pods() {
    let v2 = hierarchy(Version::V2);
    let made = cgroup::make(v2.path(), "web", Some(64)).expect("it can be made");
    assert_eq!(made, Cgroups { version: Version::V2, swap: Swap::NotCounted });
    assert_eq!(read(&v2, "steadfast/web/pids.max"), "64");
    cgroup::make(v2.path(), "web", None).expect("it can be made again");
    assert_eq!(read(&v2, "steadfast/web/pids.max"), "max");
    let v1 = hierarchy(Version::V1);
    let made = cgroup::make(v1.path(), "web", Some(64)).expect("it can be made");
    assert_eq!(made.version, Version::V1);
    assert_eq!(read(&v1, "pids/steadfast/web/pids.max"), "64");
}

#[test]
fn the_one_hierarchy_hands_its_controllers_down() {
    let v2 = hierarchy(Version::V2);
    cgroup::make(v2.path(), "web", None).expect("it can be made");
    for group in ["", "steadfast/", "steadfast/web/"] {
        let down = read(&v2, &format!("{group}cgroup.subtree_control"));
        assert_eq!(down, "+cpu +memory +pids", "{group}");
    }
}

#[test]
fn whether_swap_is_counted_is_seen() {
    let v1 = hierarchy(Version::V1);
    fs::write(v1.path().join("memory/memory.memsw.limit_in_bytes"), "").expect("a fresh folder");
    assert_eq!(cgroup::make(v1.path(), "web", None).expect("made").swap, Swap::Counted);
    let v2 = hierarchy(Version::V2);
    fs::create_dir_all(v2.path().join("steadfast/web")).expect("a fresh folder");
    fs::write(v2.path().join("steadfast/web/memory.swap.max"), "").expect("a fresh folder");
    assert_eq!(cgroup::make(v2.path(), "web", None).expect("made").swap, Swap::Counted);
}

#[test]
fn a_hierarchy_that_is_not_there_is_not_made_up() {
    let folder = folder_of_test();
    let error = cgroup::make(folder.path(), "web", None).expect_err("there is none");
    let place = folder.path().join("pids/steadfast");
    let told = format!("the control group of the pod could not be set up: {}", place.display());
    assert_eq!(error.to_string(), told);
}

#[test]
fn control_groups_of_other_pods_go_with_those_below_in_each_hierarchy() {
    let v1 = hierarchy(Version::V1);
    let path = |name: &str| v1.path().join(name);
    for group in [
        "memory/steadfast/gone/c/deep",
        "pids/steadfast/gone/c",
        "pids/steadfast/kept/c",
        "memory/other/x",
    ] {
        fs::create_dir_all(path(group)).expect("a fresh folder");
    }
    std::os::unix::fs::symlink("pids", path("link")).expect("a fresh folder");
    cgroup::clean(v1.path(), &BTreeSet::from(["kept"])).expect("they can be removed");
    assert!(!path("memory/steadfast/gone").exists() && !path("pids/steadfast/gone").exists());
    assert!(path("pids/steadfast/kept/c").exists() && path("memory/other/x").exists());
}

#[test]
fn a_control_group_in_use_is_told_and_the_others_go() {
    let v2 = hierarchy(Version::V2);
    let path = |name: &str| v2.path().join("steadfast").join(name);
    for pod in ["a", "b", "c"] {
        fs::create_dir_all(path(pod)).expect("a fresh folder");
    }
    // What a folder is in use by, here.
    fs::write(path("b").join("process"), "").expect("a fresh folder");
    let error = cgroup::clean(v2.path(), &BTreeSet::new()).expect_err("one is in use");
    assert_eq!(error.to_string(), format!("{} could not be removed", path("b").display()));
    assert!(!path("a").exists() && path("b").exists() && !path("c").exists());
}
