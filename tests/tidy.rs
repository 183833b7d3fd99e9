//! The conventions of this repository, as tests.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Files past this many lines want a second idea; the figure is style's 400 and some patience.
const LONGEST: usize = 450;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the tests lie in a folder of the root")
}

fn output(program: &str, arguments: &[&str]) -> String {
    let run = Command::new(program).args(arguments).current_dir(root()).output();
    let run = run.unwrap_or_else(|error| panic!("{program} does not run: {error}"));
    assert!(
        run.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&run.stderr)
    );
    String::from_utf8(run.stdout).expect("text")
}

/// Files that git knows or would add.
fn files() -> Vec<PathBuf> {
    let listed = output("git", &["ls-files", "--cached", "--others", "--exclude-standard"]);
    listed.lines().map(PathBuf::from).filter(|path| root().join(path).is_file()).collect()
}

fn sources() -> Vec<(PathBuf, String)> {
    let rust = files().into_iter().filter(|path| path.extension().is_some_and(|end| end == "rs"));
    rust.map(|path| {
        let text = std::fs::read_to_string(root().join(&path)).expect("Rust is text");
        (path, text)
    })
    .collect()
}

/// The arrows that docs/architecture.md allows.
fn allowed() -> BTreeMap<String, BTreeSet<String>> {
    let text = std::fs::read_to_string(root().join("docs/architecture.md")).expect("it is there");
    let table = text.split("## Arrows").nth(1).expect("the section Arrows");
    let rows = table.lines().filter(|line| line.starts_with("| ")).skip(1);
    let rows = rows.take_while(|line| !line.contains("dependency"));
    let rows = rows.map(|row| {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let imports = cells[1..].iter().flat_map(|cell| cell.split(','));
        let imports = imports.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        (cells[0].to_owned(), imports.collect())
    });
    rows.collect()
}

/// Each crate of the workspace with what it imports, tests aside.
fn imports() -> BTreeMap<String, BTreeSet<String>> {
    let text = output("cargo", &["metadata", "--no-deps", "--format-version", "1", "--offline"]);
    let metadata: serde_json::Value = serde_json::from_str(&text).expect("cargo prints JSON");
    let name = |value: &serde_json::Value| value["name"].as_str().expect("a name").to_owned();
    let packages = metadata["packages"].as_array().expect("packages");
    let imports = packages.iter().map(|package| {
        let all = package["dependencies"].as_array().expect("dependencies");
        let used = all.iter().filter(|dependency| dependency["kind"] != "dev");
        (name(package), used.map(name).collect())
    });
    imports.collect()
}

#[test]
fn every_arrow_between_crates_is_written_in_the_architecture() {
    let allowed = allowed();
    for (name, imports) in imports() {
        let known = allowed.get(&name).unwrap_or_else(|| panic!("{name} is not in the table"));
        let new: Vec<_> = imports.difference(known).collect();
        assert!(
            new.is_empty(),
            "{name} imports {new:?}, which docs/architecture.md does not allow"
        );
        let gone: Vec<_> = known.difference(&imports).collect();
        assert!(gone.is_empty(), "{name} no longer imports {gone:?}: take it out of the table");
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let text = std::fs::read_to_string(root().join("docs/architecture.md")).expect("it is there");
    let section = text.split("## Why each dependency").nth(1).expect("the section");
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.split('|').next());
    let reasons: BTreeSet<&str> = rows.flat_map(|names| names.split(',')).map(str::trim).collect();
    let ours: BTreeSet<String> = imports().into_keys().collect();
    for (name, imports) in imports() {
        for import in imports.iter().filter(|import| !ours.contains(*import)) {
            assert!(reasons.contains(import.as_str()), "{name} imports {import} without a reason");
        }
    }
}

#[test]
fn no_file_is_too_long() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= LONGEST, "{} has {lines} lines: look for the second idea", path.display());
    }
}

#[test]
fn every_module_says_what_it_is() {
    for (path, text) in sources() {
        // A module of tests beside the code it tests speaks through its test names.
        let is_tests = path.iter().any(|part| part == "tests" || part == "tests.rs");
        assert!(is_tests || text.starts_with("//! "), "{} has no first sentence", path.display());
    }
}

#[test]
fn nothing_is_left_for_later_or_switched_off() {
    let never = [
        "todo!(",
        "unimplemented!(",
        "#[ignore",
        ", ignore)]",
        "#[should_panic",
        "FIXME",
        "TODO",
        "assert!(true",
    ];
    for (path, text) in sources().iter().filter(|(path, _)| !path.ends_with("tidy.rs")) {
        for word in never {
            assert!(!text.contains(word), "{} has {word}", path.display());
        }
    }
}

#[test]
fn no_test_waits_for_time_to_pass() {
    for (path, text) in sources().iter().filter(|(path, _)| !path.ends_with("tidy.rs")) {
        let is_tests = path.iter().any(|part| part == "tests" || part == "tests.rs");
        let tests = match is_tests {
            true => text,
            false => text.split_once("mod tests {").map_or("", |(_, tests)| tests),
        };
        let sleeps = ["thread::sleep(", "time::sleep(", " sleep(Duration"];
        let sleeps = sleeps.iter().any(|word| tests.contains(word));
        assert!(!sleeps, "a test in {} sleeps", path.display());
    }
}

#[test]
fn every_unsafe_module_says_why() {
    let uses = ["unsafe {", "unsafe impl", "unsafe fn", "unsafe extern", "unsafe trait"];
    for (path, text) in sources().iter().filter(|(path, _)| !path.ends_with("tidy.rs")) {
        let uses: usize = uses.iter().map(|word| text.matches(word).count()).sum();
        let says = text.contains("unsafe_code, reason = ");
        let safe = text.matches("SAFETY:").count() >= uses;
        assert!(uses == 0 || (says && safe), "{}", path.display());
    }
}

#[test]
fn the_agents_dependencies_have_one_provider_of_cryptography() {
    let lock = std::fs::read_to_string(root().join("Cargo.lock")).expect("it is kept");
    for name in ["aws-lc-rs", "aws-lc-sys", "openssl", "openssl-sys", "native-tls"] {
        assert!(!lock.contains(&format!("name = \"{name}\"")), "{name} is in Cargo.lock");
    }
}

/// What the lock file of `tests/fuzz` has and the agent's has not.
const FUZZING_ALONE: [&str; 4] = ["arbitrary", "jobserver", "libfuzzer-sys", "steadfast-fuzz"];

#[test]
fn what_is_fuzzed_is_what_the_agent_is_made_of() {
    let packages = |path: &str| -> BTreeSet<(String, String)> {
        let text = std::fs::read_to_string(root().join(path)).expect("it is kept");
        let value = |block: &str, key: &str| {
            let start = format!("{key} = \"");
            let line = block.lines().find_map(|line| line.strip_prefix(&start))?;
            Some(line.trim_end_matches('"').to_owned())
        };
        let blocks = text.split("[[package]]").skip(1);
        blocks.filter_map(|block| Some((value(block, "name")?, value(block, "version")?))).collect()
    };
    let (ours, fuzzed) = (packages("Cargo.lock"), packages("tests/fuzz/Cargo.lock"));
    assert!(fuzzed.len() > FUZZING_ALONE.len());
    let alone = |name: &str| FUZZING_ALONE.contains(&name);
    let other: Vec<_> = fuzzed.difference(&ours).filter(|(name, _)| !alone(name)).collect();
    assert!(
        other.is_empty(),
        "tests/fuzz/Cargo.lock has {other:?}: copy Cargo.lock over it and build the targets once"
    );
}

#[test]
fn links_between_the_documents_lead_somewhere() {
    let documents = files().into_iter().filter(|path| path.extension().is_some_and(|e| e == "md"));
    for path in documents {
        let text = std::fs::read_to_string(root().join(&path)).expect("text");
        let links = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for link in links.filter(|link| !link.contains("://") && !link.starts_with('#')) {
            let file = link.split('#').next().unwrap_or(link);
            let target = root().join(&path).parent().expect("a folder").join(file);
            assert!(target.exists(), "{} links to {link}, which is not there", path.display());
        }
    }
}
