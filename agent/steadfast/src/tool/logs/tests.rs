use super::*;
use crate::tool::fake::told;
use std::fs::{self, OpenOptions};
use tempfile::TempDir;

/// A node's settings and its logs.
struct Node(TempDir);

impl Node {
    /// Each log by its path below `logs`, and what is in it.
    fn with(logs: &[(&str, &str)]) -> Node {
        let node = Node(tempfile::tempdir().expect("a folder"));
        let data = node.0.path().join("data");
        fs::write(node.settings(), format!("[paths]\ndata = {data:?}\n")).expect("writable");
        for (path, text) in logs {
            node.append(path, text);
        }
        node
    }

    fn settings(&self) -> PathBuf {
        self.0.path().join("agent.toml")
    }

    fn append(&self, path: &str, text: &str) {
        let path = self.0.path().join("data/logs").join(path);
        fs::create_dir_all(path.parent().expect("below logs")).expect("writable");
        let mut file = OpenOptions::new().create(true).append(true).open(path).expect("writable");
        file.write_all(text.as_bytes()).expect("writable");
    }

    fn args(&self, pod: &str) -> LogsArgs {
        let (pod, config) = (pod.to_owned(), self.settings());
        LogsArgs { pod, container: None, follow: false, tail: None, config }
    }

    /// What is said on both streams, without the folder that it happened in.
    fn run(&self, args: &LogsArgs) -> (String, String) {
        let (out, error) = told(Style::PLAIN, |console| run(args, console));
        (out, error.replace(&self.0.path().display().to_string(), ""))
    }

    fn said(&self, args: &LogsArgs) -> String {
        let (out, error) = self.run(args);
        assert_eq!(error, "");
        out
    }

    fn error(&self, args: &LogsArgs) -> String {
        let (out, error) = self.run(args);
        assert_eq!(out, "");
        error
    }
}

fn press() -> Node {
    Node::with(&[
        ("press/bridge.log", "one\ntwo\nthr"),
        ("press/ui.log", "up\n"),
        ("alone/main.log", "one\ntwo\nthree\n"),
    ])
}

#[test]
fn the_log_of_the_only_container_is_shown_as_it_is() {
    let node = press();
    assert_eq!(node.said(&node.args("alone")), "one\ntwo\nthree\n");
}

#[test]
fn each_line_of_several_containers_begins_with_its_name_in_a_column() {
    let node = press();
    let said = "bridge  one\nbridge  two\nbridge  thr\nui      up\n";
    assert_eq!(node.said(&node.args("press")), said);
}

#[test]
fn one_container_is_shown_without_its_name() {
    let node = press();
    let args = LogsArgs { container: Some("bridge".into()), ..node.args("press") };
    assert_eq!(node.said(&args), "one\ntwo\nthr\n");
}

#[test]
fn the_last_lines_are_those_of_each_container() {
    let node = press();
    let args = |pod, lines| LogsArgs { tail: Some(lines), ..node.args(pod) };
    assert_eq!(node.said(&args("alone", 2)), "two\nthree\n");
    assert_eq!(node.said(&args("alone", 0)), "");
    assert_eq!(node.said(&args("press", 1)), "bridge  thr\nui      up\n");
}

#[test]
fn a_pod_or_container_that_is_not_there_is_told_with_what_is() {
    let node = press();
    let said = "\
error    the logs of pres are not shown
because  there is no log of a pod pres
node     has logs of pods alone, press
";
    assert_eq!(node.error(&node.args("pres")), said);
    let args = LogsArgs { container: Some("main".into()), ..node.args("press") };
    let said = "\
error    the log of main in press is not shown
because  press has no log of a container main
node     has logs of its containers bridge, ui
";
    assert_eq!(node.error(&args), said);
    let none = Node::with(&[]);
    assert!(none.error(&none.args("a")).ends_with("\nnode     has no logs of pods\n"));
}

#[test]
fn no_name_leads_out_of_the_folder_of_logs() {
    let node = press();
    fs::write(node.0.path().join("data/secret.log"), "secret").expect("writable");
    for pod in ["..", ".", "", "press/..", "../logs/press"] {
        assert!(node.error(&node.args(pod)).contains("there is no log of a pod"), "{pod}");
    }
    let args = LogsArgs { container: Some("../../secret".into()), ..node.args("press") };
    assert!(node.error(&args).contains("press has no log of a container ../../secret"));
}

#[test]
fn settings_that_are_wrong_are_named() {
    let node = press();
    fs::write(node.settings(), "[paths]\ndta = 1\n").expect("writable");
    let error = node.error(&node.args("press"));
    assert!(error.contains("agent.toml, line 2: unknown field"), "{error}");
}

#[test]
fn who_may_not_read_is_told_who_may() {
    let node = press();
    let denied = io::Error::from(io::ErrorKind::PermissionDenied);
    let told = unreadable(&node.args("press"), Path::new("/data/steadfast/logs"), &denied);
    assert_eq!(told.because, ["/data/steadfast/logs cannot be read", "permission denied"]);
    assert_eq!(told.node, "logs are for root only; try again as root");
    let error = LogError::Read { path: "/x.log".into(), source: denied };
    assert_eq!(not_opened(&node.args("press"), &error).node, told.node);
}

#[test]
fn followed_logs_go_on_with_what_is_written_until_nobody_reads() {
    let node = press();
    let args = LogsArgs { follow: true, tail: Some(1), ..node.args("press") };
    let mut writes = vec![
        ("press/later.log", "begins\n"),
        ("press/ui.log", "down\n"),
        ("press/bridge.log", "ee\nfour\n"),
    ];
    let (out, error) = told(Style::PLAIN, |console| {
        show(&args, console, || match writes.pop() {
            None => Waited::Gone,
            Some((path, text)) => {
                node.append(path, text);
                Waited::More
            }
        })
    });
    assert_eq!(error, "");
    let said = "ui      up\nbridge  three\nbridge  four\nui      down\nlater   begins\n";
    assert_eq!(out, said);
}

#[test]
fn who_follows_one_container_sees_no_other() {
    let node = press();
    let container = Some("bridge".into());
    let args = LogsArgs { follow: true, tail: Some(0), container, ..node.args("press") };
    let mut looks = 0;
    let (out, error) = told(Style::PLAIN, |console| {
        show(&args, console, || {
            node.append("press/new.log", "other\n");
            node.append("press/bridge.log", "own\n");
            looks += 1;
            if looks == 3 { Waited::Gone } else { Waited::More }
        })
    });
    assert_eq!((out.as_str(), error.as_str()), ("own\nown\n", ""));
}

/// A pipe that nobody reads.
struct Closed;

impl Write for Closed {
    fn write(&mut self, _: &[u8]) -> io::Result<usize> {
        Err(io::ErrorKind::BrokenPipe.into())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_pipe_that_nobody_reads_is_no_error() {
    let node = press();
    let mut console = Console { out: &mut Closed, style: Style::PLAIN, now: 0 };
    assert!(run(&node.args("press"), &mut console).is_ok());
}

#[test]
fn a_pipe_that_is_closed_is_noticed_although_nothing_is_written() {
    let (reader, writer) = io::pipe().expect("a pipe");
    drop(reader);
    assert_eq!(wait(&writer), Waited::Gone);
}

#[test]
fn a_container_cannot_steer_the_terminal_and_a_pipe_gets_every_byte() {
    let steering = "\x1b[31mred\x1b[0m\ta\x1b]0;title\x07b\x1b[2J\u{9b}c\r";
    assert_eq!(harmless(steering.as_bytes()), "red\ta ]0;title b c");
    assert_eq!(harmless(b"\x1b["), "");
    let node = Node::with(&[("a/c.log", &format!("{steering}\n"))]);
    assert_eq!(node.said(&node.args("a")), format!("{steering}\n"));
    let style = Style { width: Some(80), colour: true, live: true };
    let (out, _) = told(style, |console| run(&node.args("a"), console));
    assert_eq!(out, "red\ta ]0;title b c\n");
}
