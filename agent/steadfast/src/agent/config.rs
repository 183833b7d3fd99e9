//! The agent's settings: `/etc/steadfast/agent.toml`. Without that file, the defaults hold.

use serde::Deserialize;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use steadfast_core::window::Window;

/// Where the settings are on a node; only there may they be missing.
pub const PLACE: &str = "/etc/steadfast/agent.toml";

/// All settings.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Who the node is.
    pub node: Node,
    /// When a system is healthy.
    pub gate: Gate,
    /// When the node may restart.
    pub window: WindowConfig,
    /// How bundles are fetched.
    pub fetch: Fetch,
    /// How servers of bundles are trusted.
    pub streaming: Streaming,
    /// Which workload sets are taken, and what their pods may have.
    pub work: Work,
    /// How often things are tried, and how long they may take.
    pub limits: Limits,
    /// Where things are.
    pub paths: Folders,
}

/// Who the node is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Node {
    /// The node's name; the host name without it.
    pub name: Option<String>,
}

/// When a system is healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Gate {
    /// How long all required checks must hold without a break, in seconds.
    pub soak_s: u32,
    /// When the verdict must have been reached, in seconds since the agent started.
    pub deadline_s: u32,
}

impl Default for Gate {
    fn default() -> Gate {
        Gate { soak_s: 60, deadline_s: 600 }
    }
}

/// When the node may restart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WindowConfig {
    /// A daily span of UTC, `HH:MM-HH:MM`; always without it.
    pub reboot: Option<String>,
}

/// How bundles are fetched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Fetch {
    /// The way of what a server offers.
    pub way: Way,
}

/// How what a server offers comes into the slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Way {
    /// RAUC reads it from the server while it writes the slot; nothing is stored.
    #[default]
    Stream,
    /// The node downloads it first, and goes on after each cut.
    Download,
}

/// How servers of bundles are trusted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Streaming {
    /// A PEM file of the authorities that https servers are checked against; the system's without it.
    pub tls_ca: Option<PathBuf>,
}

/// Where the keyring is unless the settings say otherwise; only there may it be missing.
const KEYRING: &str = "/etc/steadfast/keyring.pem";

/// Which workload sets are taken, and what their pods may have.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Work {
    /// A PEM file of the keys whose sets are taken; without it no set is.
    pub keyring: PathBuf,
    /// The folders and files of the node that pods may mount, each with all below it.
    pub host_paths: Vec<PathBuf>,
    /// Whether containers may be privileged.
    pub privileged: bool,
    /// The capabilities that containers may have besides the usual ones.
    pub capabilities: Vec<String>,
    /// Whether `steadfast work apply` is taken: on development nodes.
    pub apply: bool,
}

impl Default for Work {
    fn default() -> Work {
        let (host_paths, capabilities) = (Vec::new(), Vec::new());
        Work { keyring: KEYRING.into(), host_paths, privileged: false, capabilities, apply: false }
    }
}

/// How often things are tried, and how long they may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// How often a bundle is asked for before the update ends.
    pub fetch_attempts: u8,
    /// How many restarts a new system bears that nobody asked for.
    pub restarts: u8,
    /// How often a commit is tried.
    pub commit_attempts: u8,
    /// How long an install may report nothing, in seconds.
    pub stall_s: u32,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits { fetch_attempts: 5, restarts: 3, commit_attempts: 3, stall_s: 600 }
    }
}

/// Where things are.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Folders {
    /// The agent's part of the data file system.
    pub data: PathBuf,
    /// What lives as long as the boot.
    pub run: PathBuf,
    /// The health checks.
    pub checks: PathBuf,
    /// containerd's socket.
    pub containerd: PathBuf,
    /// containerd's store.
    pub containerd_root: PathBuf,
}

impl Default for Folders {
    fn default() -> Folders {
        Folders {
            data: "/data/steadfast".into(),
            run: "/run/steadfast".into(),
            checks: "/etc/steadfast/checks.d".into(),
            containerd: "/run/containerd/containerd.sock".into(),
            containerd_root: "/data/containerd".into(),
        }
    }
}

/// Why the settings cannot be used. The message names the file, the key and the line.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file could not be read.
    #[error("{path} could not be read")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not TOML, or a key is unknown or of the wrong type.
    #[error("{path}, line {line}: {why}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// The line, counted from one.
        line: usize,
        /// Which key, and what is wrong with it.
        why: String,
    },
    /// A value makes no sense.
    #[error("{path}, line {line}: {key} {why}")]
    Value {
        /// The file.
        path: PathBuf,
        /// The line of the key or, when its default is what makes no sense, of its section.
        line: usize,
        /// The key.
        key: &'static str,
        /// Why.
        why: &'static str,
    },
}

impl Config {
    /// Reads the file; only at [`PLACE`] may it be missing.
    pub fn load(path: &Path) -> Result<Config, ConfigError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Config::parse(&text, path),
            Err(error) if error.kind() == ErrorKind::NotFound && path == Path::new(PLACE) => {
                Ok(Config::default())
            }
            Err(source) => Err(ConfigError::Read { path: path.to_owned(), source }),
        }
    }

    fn parse(text: &str, path: &Path) -> Result<Config, ConfigError> {
        let config: Config = toml::from_str(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            let why = error.message().to_owned();
            ConfigError::Syntax { path: path.to_owned(), line: line_at(text, at), why }
        })?;
        let Some((key, why)) = config.fault() else { return Ok(config) };
        Err(ConfigError::Value { path: path.to_owned(), line: line_of(text, key), key, why })
    }

    /// The first value that makes no sense, and why.
    fn fault(&self) -> Option<(&'static str, &'static str)> {
        let Config { gate, window, limits, streaming, work, paths, .. } = self;
        let whole = "must be a whole path";
        let whole_all = "must be whole paths";
        let no_file = |path: &PathBuf| !path.is_file();
        let rules = [
            (gate.deadline_s <= gate.soak_s, "gate.deadline_s", "must be longer than gate.soak_s"),
            (
                window.reboot.is_some() && self.window().is_none(),
                "window.reboot",
                "must be a span like \"22:30-04:00\"",
            ),
            (limits.fetch_attempts == 0, "limits.fetch_attempts", "must be at least 1"),
            (limits.commit_attempts == 0, "limits.commit_attempts", "must be at least 1"),
            (limits.stall_s == 0, "limits.stall_s", "must be at least 1"),
            (streaming.tls_ca.as_ref().is_some_and(no_file), "streaming.tls_ca", "is no file"),
            // A provisioned key may come later than the agent; without it no set is taken.
            (work.keyring.is_relative(), "work.keyring", whole),
            (work.host_paths.iter().any(|path| path.is_relative()), "work.host_paths", whole_all),
            (paths.data.is_relative(), "paths.data", whole),
            (paths.run.is_relative(), "paths.run", whole),
            (paths.checks.is_relative(), "paths.checks", whole),
            (paths.containerd.is_relative(), "paths.containerd", whole),
            (paths.containerd_root.is_relative(), "paths.containerd_root", whole),
        ];
        rules.into_iter().find(|(wrong, ..)| *wrong).map(|(_, key, why)| (key, why))
    }

    /// The site's window, when there is one.
    pub fn window(&self) -> Option<Window> {
        self.window.reboot.as_deref().and_then(Window::parse)
    }
}

/// The line of this byte, counted from one.
fn line_at(text: &str, byte: usize) -> usize {
    text.bytes().take(byte).filter(|byte| *byte == b'\n').count() + 1
}

/// The line of `section.key`, or of the section when the key is not there.
fn line_of(text: &str, key: &str) -> usize {
    let (section, key) = key.split_once('.').unwrap_or(("", key));
    let heading = format!("[{section}]");
    let mut lines = text.lines().map(str::trim).enumerate();
    let Some((at, _)) = lines.find(|(_, line)| *line == heading) else { return 1 };
    let mut of_section = lines.take_while(|(_, line)| !line.starts_with('['));
    let names = |line: &str| line.split('=').next().is_some_and(|name| name.trim() == key);
    of_section.find(|(_, line)| names(line)).map_or(at, |(at, _)| at) + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        let parsed = Config::parse(text, Path::new("agent.toml"));
        steadfast_adapters::chain(&parsed.expect_err("it is wrong"))
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let text = error("[gate]\nsoak_s = 5\nsoke_s = 5\n");
        assert!(text.contains("soke_s") && text.contains("line 3"), "{text}");
    }

    #[test]
    fn a_deadline_before_the_end_of_the_soak_time_is_refused() {
        let text = error("[gate]\nsoak_s = 5\ndeadline_s = 5\n");
        assert_eq!(text, "agent.toml, line 3: gate.deadline_s must be longer than gate.soak_s");
    }

    #[test]
    fn a_window_that_is_none_is_refused() {
        assert!(error("[window]\nreboot = \"night\"\n").contains("window.reboot"));
    }

    #[test]
    fn only_the_file_of_the_node_may_be_missing() {
        if !Path::new(PLACE).exists() {
            assert_eq!(Config::load(Path::new(PLACE)).expect("defaults"), Config::default());
        }
        let error = Config::load(Path::new("/nonexistent/agent.toml")).expect_err("somebody's");
        assert_eq!(error.to_string(), "/nonexistent/agent.toml could not be read");
    }

    #[test]
    fn authorities_that_are_not_there_are_refused_with_their_line() {
        let text = error("[node]\nname = \"a\"\n[streaming]\ntls_ca = \"/nonexistent/ca\"\n");
        assert_eq!(text, "agent.toml, line 4: streaming.tls_ca is no file");
    }

    #[test]
    fn a_keyring_may_come_later_than_the_agent_and_has_a_whole_path() {
        let path = Path::new("agent.toml");
        assert!(Config::parse("[work]\nkeyring = \"/nonexistent/keys\"\n", path).is_ok());
        let text = error("[work]\nprivileged = true\nkeyring = \"keys\"\n");
        assert_eq!(text, "agent.toml, line 3: work.keyring must be a whole path");
        let text = error("[work]\nhost_paths = [\"/dev\", \"dev\"]\n");
        assert_eq!(text, "agent.toml, line 2: work.host_paths must be whole paths");
    }

    #[test]
    fn a_soak_time_that_the_default_deadline_is_too_short_for_is_told_with_its_section() {
        let text = error("[gate]\nsoak_s = 600\n");
        assert_eq!(text, "agent.toml, line 1: gate.deadline_s must be longer than gate.soak_s");
    }

    #[test]
    fn a_word_that_no_section_knows_is_refused_wherever_it_stands() {
        let sections =
            ["nodes", "node", "gate", "window", "fetch", "streaming", "work", "limits", "paths"];
        for section in sections {
            let text = error(&format!("[{section}]\nxyz = 1\n"));
            assert!(text.contains("unknown field"), "{section}: {text}");
        }
    }

    #[test]
    fn a_bundle_and_a_commit_are_tried_at_least_once() {
        for key in ["fetch_attempts", "commit_attempts"] {
            let text = error(&format!("[limits]\n{key} = 0\n"));
            assert_eq!(text, format!("agent.toml, line 2: limits.{key} must be at least 1"));
        }
    }

    #[test]
    fn a_path_that_depends_on_where_the_agent_was_started_is_refused() {
        for key in ["data", "run", "checks"] {
            for path in ["", "x", "../x"] {
                let text = error(&format!("[paths]\n{key} = \"{path}\"\n"));
                assert_eq!(text, format!("agent.toml, line 2: paths.{key} must be a whole path"));
            }
        }
    }

    #[test]
    fn settings_that_are_there_and_cannot_be_read_are_not_passed_over() {
        let folder = tempfile::tempdir().expect("a folder");
        let loaded = Config::load(folder.path());
        assert!(matches!(loaded, Err(ConfigError::Read { .. })), "{loaded:?}");
    }

    #[test]
    fn a_window_that_is_set_holds() {
        let path = Path::new("agent.toml");
        let config = Config::parse("[window]\nreboot = \"22:30-04:00\"\n", path).expect("valid");
        assert_eq!(config.window(), Window::parse("22:30-04:00"));
        assert_eq!(Config::default().window(), None);
    }

    #[test]
    fn a_way_that_is_none_is_refused_with_its_line() {
        let text = error("[fetch]\nway = \"carry\"\n");
        assert!(text.contains("line 2") && text.contains("`stream` or `download`"), "{text}");
        let config = Config::parse("[fetch]\nway = \"download\"\n", Path::new("agent.toml"));
        assert_eq!(config.expect("valid").fetch.way, Way::Download);
    }

    #[test]
    fn the_defaults_are_those_of_the_documents() {
        let table = include_str!("../../../../docs/operate/agent.md");
        let Config { gate, fetch, work, limits, paths, .. } = Config::default();
        let way = format!("| `fetch.way` | `{}` |", format!("{:?}", fetch.way).to_lowercase());
        assert!(table.contains(&way), "docs/operate/agent.md has no row {way}");
        let documented = |key: &str, value: u32| {
            let row = format!("| `{key}` | {value} |");
            assert!(table.contains(&row), "docs/operate/agent.md has no row {row}");
        };
        documented("gate.soak_s", gate.soak_s);
        documented("gate.deadline_s", gate.deadline_s);
        documented("limits.fetch_attempts", limits.fetch_attempts.into());
        documented("limits.restarts", limits.restarts.into());
        documented("limits.commit_attempts", limits.commit_attempts.into());
        documented("limits.stall_s", limits.stall_s);
        for row in [
            format!("| `work.keyring` | `{}` |", work.keyring.display()),
            format!("| `work.privileged` | `{}` |", work.privileged),
            format!("| `work.host_paths` | `{:?}` |", work.host_paths),
            format!("| `work.capabilities` | `{:?}` |", work.capabilities),
        ] {
            assert!(table.contains(&row), "docs/operate/agent.md has no row {row}");
        }
        let Folders { data, run, checks, containerd, containerd_root } = paths;
        let containerd = [("containerd", containerd), ("containerd_root", containerd_root)];
        let paths = [("data", data), ("run", run), ("checks", checks)];
        for (key, path) in paths.into_iter().chain(containerd) {
            let row = format!("| `paths.{key}` | `{}` |", path.display());
            assert!(table.contains(&row), "docs/operate/agent.md has no row {row}");
        }
    }
}
