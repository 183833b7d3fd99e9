use super::*;

/// uid, gid and all groups.
fn user(spec: &str, fields: &str, user: &str) -> Result<(u64, u64, Vec<u64>), SpecError> {
    let pod = pod(spec, fields);
    let image = ImageConfig { user: Some(user.to_owned()), ..image() };
    let made = Node::of(&pod).spec(&pod, 0, &image)?;
    let user = &made["process"]["user"];
    let number = |value: &Value| value.as_u64().expect("a number");
    let groups = user["additionalGids"].as_array().expect("groups");
    Ok((number(&user["uid"]), number(&user["gid"]), groups.iter().map(number).collect()))
}

fn of_image(said: &str) -> (u64, u64, Vec<u64>) {
    user("", "", said).unwrap_or_else(|error| panic!("{said}: {error}"))
}

#[test]
fn without_a_word_of_the_manifest_it_is_the_images_user() {
    assert_eq!(of_image(""), (0, 0, vec![0, 46]));
    assert_eq!(of_image("web"), (33, 34, vec![34, 44, 46]), "the group web is the user's own");
    assert_eq!(of_image("33"), (33, 34, vec![34, 44, 46]));
    assert_eq!(of_image("33:7"), (33, 7, vec![7, 44, 46]));
    assert_eq!(of_image("web:video"), (33, 44, vec![44, 46]));
    assert_eq!(of_image("1000"), (1000, 0, vec![0]), "nobody knows this one");
    assert_eq!(of_image("1000:1001"), (1000, 1001, vec![1001]));
}

#[test]
fn the_manifests_user_and_group_stand_over_the_images() {
    let with = |context: &str, said| {
        user("", &format!("securityContext: {{{context}}}"), said).expect("a user")
    };
    assert_eq!(with("runAsUser: 33", "1000:1001"), (33, 34, vec![34, 44, 46]));
    assert_eq!(with("runAsUser: 900", "web:www"), (900, 0, vec![0]));
    assert_eq!(with("runAsUser: 900, runAsGroup: 901", "web"), (900, 901, vec![901]));
    assert_eq!(with("runAsGroup: 901", "web:www"), (33, 901, vec![44, 46, 901]));
}

#[test]
fn a_user_of_the_manifest_needs_nothing_of_the_image() {
    let with = "securityContext: {runAsUser: 900}";
    assert_eq!(user("", with, "nobody:knows:this").expect("a user").0, 900);
}

#[test]
fn the_pods_groups_are_added() {
    let groups = "securityContext: {supplementalGroups: [5, 44], fsGroup: 2000}";
    assert_eq!(user(groups, "", "web").expect("a user"), (33, 34, vec![5, 34, 44, 46, 2000]));
}

#[test]
fn who_is_not_in_the_images_lists_is_an_error() {
    let error = |said| user("", "", said).expect_err("nobody").to_string();
    assert_eq!(
        error("mqtt"),
        "the image is to run as the user mqtt, who is not in its /etc/passwd"
    );
    assert_eq!(
        error("web:nine"),
        "the image is to run as the group nine, which is not in its /etc/group"
    );
    for wrong in ["web:", "a:b:c"] {
        let told = format!("the image is to run as {wrong}, which is no USER or USER:GROUP");
        assert_eq!(error(wrong), told);
    }
}

#[test]
fn root_is_no_one_who_is_not_root() {
    let not_root = "securityContext: {runAsNonRoot: true}";
    for root in ["", "0", "root", "0:34", "root:www"] {
        let error = user("", not_root, root).expect_err("it is root");
        assert!(matches!(error, SpecError::Root), "{root}: {error}");
    }
    assert_eq!(user("", not_root, "web").expect("no root").0, 33);
    assert!(user("", not_root, "mqtt").is_err(), "who that is cannot be known");
    let in_pod = "securityContext: {runAsNonRoot: true, runAsUser: 900}";
    assert_eq!(user(in_pod, "", "root").expect("the manifest says who").0, 900);
}

#[test]
fn the_lists_of_an_image_are_read_in_it_and_nowhere_else() {
    use std::os::unix::fs::symlink;
    let root = tempfile::tempdir().expect("a folder");
    assert_eq!(Accounts::below(root.path()).expect("it may have none"), Accounts::default());
    let etc = root.path().join("etc");
    std::fs::create_dir(&etc).expect("a fresh folder");
    std::fs::write(root.path().join("users"), "a:x:1:2::/:\n").expect("a fresh folder");
    symlink("/users", etc.join("passwd")).expect("a fresh folder");
    symlink("../../../../../../users", etc.join("group")).expect("a fresh folder");
    let read = Accounts::below(root.path()).expect("the links stay in the image");
    assert_eq!((read.passwd.as_str(), read.group.as_str()), ("a:x:1:2::/:\n", "a:x:1:2::/:\n"));
}

#[test]
fn a_list_that_is_none_is_an_error_and_is_not_waited_for() {
    let root = tempfile::tempdir().expect("a folder");
    let etc = root.path().join("etc");
    std::fs::create_dir(&etc).expect("a fresh folder");
    let pipe = etc.join("passwd");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, 0o600.into(), 0)
        .expect("a fresh folder");
    assert!(Accounts::below(root.path()).is_err());
    std::fs::remove_file(&pipe).expect("it is there");
    let long = "x".repeat((1 << 20) + 1);
    std::fs::write(&pipe, long).expect("a fresh folder");
    assert!(Accounts::below(root.path()).is_err());
}
