use super::*;
use steadfast_core::gate::MAX_CHECKS;

const TCP: &str = "kind = \"tcp\"\naddress = \"localhost:22\"\n";

/// The error of one file with this text, without the folder's name.
fn refused(toml: &str) -> String {
    let folder = Folder::new().file("10.toml", toml);
    let error = Checks::load(folder.path()).expect_err("these checks are wrong");
    error.to_string().replace(&format!("{}/", folder.path().display()), "")
}

#[test]
fn every_kind_of_check_is_read_with_its_defaults() {
    let checks = checks(
        r#"
        [[check]]
        name = "unit"
        kind = "systemd"
        unit = "kiosk.service"

        [[check]]
        name = "program"
        kind = "command"
        command = ["/bin/x", "-q"]
        required = false
        interval_s = 60
        timeout_s = 2

        [[check]]
        name = "page"
        kind = "http"
        url = "https://localhost/x"

        [[check]]
        name = "port"
        kind = "tcp"
        address = "[::1]:80"
        "#,
    );
    let [unit, program, page, port] = &checks.0[..] else { panic!("{checks:?}") };
    let seconds = Duration::from_secs;
    assert_eq!(unit.kind, Kind::Systemd("kiosk.service".into()));
    assert_eq!(
        (unit.weight, unit.interval, unit.timeout),
        (Weight::Required, seconds(5), seconds(5))
    );
    assert_eq!(
        program.kind,
        Kind::Command { program: "/bin/x".into(), arguments: vec!["-q".into()] }
    );
    assert_eq!(
        (program.weight, program.interval, program.timeout),
        (Weight::Wanted, seconds(60), seconds(2))
    );
    let url = Url::parse("https://localhost/x").expect("a URL");
    assert_eq!(page.kind, Kind::Http { url, status: 200 });
    assert_eq!(port.kind, Kind::Tcp("[::1]:80".into()));
}

#[test]
fn a_node_without_the_folder_has_no_checks() {
    assert_eq!(
        Checks::load(&Folder::new().path().join("none")).expect("no checks"),
        Checks::default()
    );
}

#[test]
fn files_are_read_in_the_order_of_their_names_and_only_toml() {
    let check = |name: &str| format!("[[check]]\nname = \"{name}\"\n{TCP}");
    let folder = Folder::new()
        .file("20-b.toml", &check("b"))
        .file("10-a.toml", &check("a"))
        .file("30-c.toml.off", &check("c"));
    let checks = Checks::load(folder.path()).expect("these checks are right");
    let names: Vec<&str> = checks.0.iter().map(|check| check.name.as_str()).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn an_error_names_file_line_and_key() {
    let name = "[[check]]\nname = \"x\"\n";
    for (toml, said) in [
        (format!("{name}{TCP}intervall_s = 5\n"), "5, intervall_s: unknown field `intervall_s`"),
        (format!("{name}{TCP}interval_s = \"5\"\n"), "5, interval_s: invalid type: string \"5\""),
        (format!("{name}{TCP}interval_s = 0\n"), "5, interval_s: has to be at least 1"),
        (format!("{name}{TCP}timeout_s = 0\n"), "5, timeout_s: has to be at least 1"),
        (
            format!("{name}{TCP}unit = \"x.service\"\n"),
            "5, unit: does not belong to a check of this kind",
        ),
        (format!("{name}kind = \"ping\"\n"), "3, kind: unknown variant `ping`"),
        (format!("\n{name}kind = \"http\"\n"), "2, url: missing in a check of this kind"),
        (format!("{name}kind = \"http\"\nurl = \"localhost\"\n"), "4, url: it is not a URL"),
        (
            format!("{name}kind = \"http\"\nurl = \"http://x\"\nstatus = 99\n"),
            "5, status: no HTTP answer has it",
        ),
        (
            format!("{name}kind = \"tcp\"\naddress = \"localhost\"\n"),
            "4, address: has to be host:port",
        ),
        (
            format!("{name}kind = \"command\"\ncommand = []\n"),
            "4, command: has to begin with a program's whole path",
        ),
        (
            format!("{name}kind = \"command\"\ncommand = [\"x\"]\n"),
            "4, command: has to begin with a program's whole path",
        ),
        (
            format!("{name}kind = \"systemd\"\nunit = \"kiosk\"\n"),
            "4, unit: has to be a unit's whole name, such as x.service",
        ),
        (format!("[[check]]\nname = \"\"\n{TCP}"), "2, name: a name has to be one line of text"),
        (
            format!("[[check]]\nname = \"{}\"\n{TCP}", "x".repeat(49)),
            "2, name: longer than 48 bytes",
        ),
        (format!("[[checks]]\nname = \"x\"\n{TCP}"), "1, [[checks]]: unknown field `checks`"),
        (format!("[[check]]\n{TCP}"), "1, [[check]]: missing field `name`"),
    ] {
        let error = refused(&toml);
        assert!(error.starts_with(&format!("10.toml, line {said}")), "{error}\nwanted: {said}");
        assert!(!error.contains('\n'), "{error}");
    }
}

#[test]
fn two_checks_never_share_a_name() {
    let check = format!("[[check]]\nname = \"x\"\n{TCP}");
    let folder = Folder::new().file("10.toml", &check).file("20.toml", &format!("\n{check}"));
    let error = Checks::load(folder.path()).expect_err("x is there twice").to_string();
    assert!(error.ends_with("20.toml, line 3, name: x is there twice"), "{error}");
}

#[test]
fn a_node_has_at_most_as_many_checks_as_its_gate_holds() {
    let many = |count: usize| -> String {
        (0..count).map(|at| format!("[[check]]\nname = \"{at}\"\n{TCP}")).collect()
    };
    assert_eq!(checks(&many(MAX_CHECKS)).0.len(), MAX_CHECKS);
    let error = refused(&many(MAX_CHECKS + 1));
    assert_eq!(error, "10.toml, line 130, name: this is one more than a node's 32 checks");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path().join("10.toml")).expect("the folder can be written");
    let error = Checks::load(folder.path()).expect_err("a folder is no file");
    assert!(error.to_string().ends_with("10.toml cannot be read"), "{error}");
}
