use super::*;
use crate::tool::fake::told;
use crate::tool::output::Style;
use std::ffi::OsString;
use std::process;

/// A written manual.
fn manual() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    write(folder.path()).expect("the folder can be written");
    folder
}

/// Each command that is not hidden, with the words that lead to it.
fn commands() -> Vec<(String, Command)> {
    fn below(name: String, words: Command, all: &mut Vec<(String, Command)>) {
        for words in words.get_subcommands().filter(|words| !words.is_hide_set()) {
            below(format!("{name}-{}", words.get_name()), words.clone(), all);
        }
        all.push((name, words));
    }
    let mut words = Cli::command();
    words.build();
    let mut all = Vec::new();
    below("steadfast".to_owned(), words, &mut all);
    all
}

fn script(shell: Shell) -> String {
    let (script, error) =
        told(Style::PLAIN, |console| completion(&CompletionArgs { shell }, console));
    assert_eq!(error, "");
    script
}

fn is_there(program: &str) -> bool {
    process::Command::new(program).arg("--version").output().is_ok()
}

#[test]
fn every_command_has_a_page_and_nothing_else_has() {
    let folder = manual();
    let entries = fs::read_dir(folder.path()).expect("a folder");
    let mut pages: Vec<OsString> = entries.map(|page| page.expect("one").file_name()).collect();
    let mut names: Vec<OsString> =
        commands().into_iter().map(|(name, _)| format!("{name}.1").into()).collect();
    pages.sort();
    names.sort();
    assert_eq!(pages, names);
}

#[test]
fn every_page_names_every_option_of_its_command() {
    let folder = manual();
    for (name, words) in commands() {
        let page = fs::read_to_string(folder.path().join(format!("{name}.1"))).expect("a page");
        let page = page.replace('\\', "");
        for argument in words.get_arguments().filter(|argument| !argument.is_hide_set()) {
            let long = argument.get_long().map(|long| format!("--{long}"));
            let value = argument.get_value_names().map(|names| names[0].to_string());
            let word = long.or(value).expect("an argument has a name");
            assert!(page.contains(&word), "{name}.1 has no {word}");
        }
    }
}

#[test]
fn what_is_hidden_is_in_no_page() {
    let page = fs::read_to_string(manual().path().join("steadfast.1")).expect("a page");
    assert!(!page.contains("keep\\-journal") && !page.contains("keep-journal"));
    assert!(!page.contains("socket"));
}

#[test]
fn pages_are_what_man_reads_without_a_warning() {
    if !is_there("groff") {
        return;
    }
    let folder = manual();
    for (name, _) in commands() {
        let page = folder.path().join(format!("{name}.1"));
        let arguments = ["-man", "-Tutf8", "-ww", "-z"];
        let run = process::Command::new("groff").args(arguments).arg(page).output();
        let warnings = String::from_utf8(run.expect("it is there").stderr).expect("text");
        assert_eq!(warnings, "", "{name}.1");
    }
}

#[test]
fn who_writes_the_manual_is_told_where_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let args = ManArgs { folder: folder.path().join("new/man1") };
    let (out, error) = told(Style::PLAIN, |console| pages(&args, console));
    let out = out.replace(&folder.path().display().to_string(), "");
    let pages = commands().len();
    assert_eq!(error, "");
    assert_eq!(
        out,
        format!("written  {pages} pages to /new/man1\nread     man /new/man1/steadfast.1\n")
    );
    fs::write(folder.path().join("file"), "").expect("writable");
    let args = ManArgs { folder: folder.path().join("file") };
    let (_, error) = told(Style::PLAIN, |console| super::pages(&args, console));
    assert!(error.starts_with("error    the manual was not written to "), "{error}");
    assert!(error.contains("\nbecause  "), "{error}");
}

#[test]
fn every_shell_is_told_every_command() {
    for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
        let script = script(shell);
        for word in ["status", "logs", "follow", "inspect", "keyring"] {
            assert!(script.contains(word), "{shell:?} is not told {word}");
        }
        for word in ["keep-journal", "--socket"] {
            assert!(!script.contains(word), "{shell:?} is told {word}, which is hidden");
        }
    }
}

#[test]
fn bash_completes_commands_options_and_their_values() {
    if !is_there("bash") {
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("steadfast.bash");
    fs::write(&path, script(Shell::Bash)).expect("writable");
    let complete = |words: &[&str]| -> Vec<String> {
        let last = words.last().expect("a word");
        let ask = format!(
            "source {}; COMP_WORDS=({}); COMP_CWORD={}; _steadfast steadfast '{last}' '{}'; \
             printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            path.display(),
            words.join(" "),
            words.len() - 1,
            words[words.len() - 2],
        );
        let run = process::Command::new("bash").args(["--norc", "-c", &ask]).output();
        let run = run.expect("it is there");
        assert_eq!(String::from_utf8_lossy(&run.stderr), "");
        let found = String::from_utf8(run.stdout).expect("text");
        found.lines().map(str::to_owned).collect()
    };
    assert_eq!(complete(&["steadfast", "st"]), ["status"]);
    assert_eq!(complete(&["steadfast", "set", "in"]), ["inspect"]);
    assert_eq!(complete(&["steadfast", "logs", "--fo"]), ["--follow"]);
    assert_eq!(complete(&["steadfast", "update", "--at", "w"]), ["window"]);
    assert_eq!(complete(&["steadfast", "completion", "b"]), ["bash"]);
}
