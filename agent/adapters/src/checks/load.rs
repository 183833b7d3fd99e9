//! `checks.d/*.toml`, read and validated before anything is run.
//!
//! ```toml
//! [[check]]
//! name = "kiosk"              # its name in every verdict
//! kind = "systemd"            # systemd | command | http | tcp
//! unit = "kiosk.service"      # systemd: the unit is active
//! # command = ["/bin/x", "-q"]   command: exit code 0
//! # url = "http://…"             http: answers with `status` (200), redirects not followed
//! # address = "host:port"        tcp: accepts a connection
//! required = true             # whether it decides
//! interval_s = 5              # from one start to the next
//! timeout_s = 5
//! ```

use super::{Check, Checks, Kind};
use crate::http::Url;
use serde::Deserialize;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;
use steadfast_core::Name;
use steadfast_core::gate::{MAX_CHECKS, Weight};
use toml::Spanned;

/// Why the checks cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ChecksError {
    /// A file or the folder cannot be read.
    #[error("{path} cannot be read")]
    Unreadable {
        /// The file or the folder.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// A file does not say what a check is.
    #[error("{path}, line {line}, {key}: {because}")]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// The key.
        key: String,
        /// In the operator's words.
        because: String,
    },
}

/// A file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    check: Vec<Spanned<Written>>,
}

/// A check as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    name: Spanned<String>,
    kind: Spanned<KindName>,
    unit: Option<Spanned<String>>,
    command: Option<Spanned<Vec<String>>>,
    url: Option<Spanned<String>>,
    status: Option<Spanned<u16>>,
    address: Option<Spanned<String>>,
    required: Option<bool>,
    interval_s: Option<Spanned<u32>>,
    timeout_s: Option<Spanned<u32>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum KindName {
    Systemd,
    Command,
    Http,
    Tcp,
}

/// What is wrong, and where in the file's text.
struct Wrong {
    at: usize,
    key: String,
    because: String,
}

impl Checks {
    /// Reads all `*.toml` of a folder in the order of their names. A folder that is not there holds
    /// no checks.
    pub fn load(folder: &Path) -> Result<Checks, ChecksError> {
        let mut checks = Checks::default();
        for path in files(folder)? {
            let text = std::fs::read_to_string(&path)
                .map_err(|source| ChecksError::Unreadable { path: path.clone(), source })?;
            checks.add(&text).map_err(|Wrong { at, key, because }| {
                let line = 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
                ChecksError::Invalid { path: path.clone(), line, key, because }
            })?;
        }
        Ok(checks)
    }

    fn add(&mut self, text: &str) -> Result<(), Wrong> {
        let file: File = toml::from_str(text).map_err(|error| syntax(text, &error))?;
        for written in file.check {
            let at = written.span().start;
            let written = written.into_inner();
            let name_at = written.name.span().start;
            let check = written.check(at)?;
            if self.0.iter().any(|other| other.name == check.name) {
                return Err(wrong(name_at, "name", format_args!("{} is there twice", check.name)));
            }
            if self.0.len() == MAX_CHECKS {
                let because = format_args!("this is one more than a node's {MAX_CHECKS} checks");
                return Err(wrong(name_at, "name", because));
            }
            self.0.push(check);
        }
        Ok(())
    }
}

impl Written {
    /// `at` is where the check begins: where a key is missing.
    fn check(self, at: usize) -> Result<Check, Wrong> {
        let name = name(&self.name)?;
        let weight = match self.required {
            Some(false) => Weight::Wanted,
            Some(true) | None => Weight::Required,
        };
        let interval = seconds("interval_s", self.interval_s.as_ref())?;
        let timeout = seconds("timeout_s", self.timeout_s.as_ref())?;
        Ok(Check { name, weight, kind: self.kind(at)?, interval, timeout })
    }

    fn kind(self, at: usize) -> Result<Kind, Wrong> {
        let kind = *self.kind.get_ref();
        self.only_keys_of(kind)?;
        match kind {
            KindName::Systemd => unit(&needed(at, "unit", self.unit)?),
            KindName::Command => command(&needed(at, "command", self.command)?),
            KindName::Tcp => address(&needed(at, "address", self.address)?),
            KindName::Http => url(&needed(at, "url", self.url)?, self.status.as_ref()),
        }
    }

    /// A key of another kind is a mistake: the check would not do what its author believes.
    fn only_keys_of(&self, kind: KindName) -> Result<(), Wrong> {
        use KindName as K;
        let start = |at: std::ops::Range<usize>| at.start;
        let keys = [
            ("unit", self.unit.as_ref().map(Spanned::span), matches!(kind, K::Systemd)),
            ("command", self.command.as_ref().map(Spanned::span), matches!(kind, K::Command)),
            ("url", self.url.as_ref().map(Spanned::span), matches!(kind, K::Http)),
            ("status", self.status.as_ref().map(Spanned::span), matches!(kind, K::Http)),
            ("address", self.address.as_ref().map(Spanned::span), matches!(kind, K::Tcp)),
        ];
        match keys.into_iter().find(|(_, at, fits)| at.is_some() && !fits) {
            Some((key, at, _)) => {
                let because = format_args!("does not belong to a check of this kind");
                Err(wrong(at.map_or(0, start), key, because))
            }
            None => Ok(()),
        }
    }
}

fn needed<T>(at: usize, key: &str, value: Option<Spanned<T>>) -> Result<Spanned<T>, Wrong> {
    value.ok_or_else(|| wrong(at, key, format_args!("missing in a check of this kind")))
}

fn name(written: &Spanned<String>) -> Result<Name, Wrong> {
    let text = written.get_ref().as_str();
    let at = written.span().start;
    if text.is_empty() || text.chars().any(char::is_control) {
        return Err(wrong(at, "name", format_args!("a name has to be one line of text")));
    }
    Name::try_from(text).map_err(|_| {
        wrong(at, "name", format_args!("longer than {} bytes", Name::new().capacity()))
    })
}

fn seconds(key: &str, written: Option<&Spanned<u32>>) -> Result<Duration, Wrong> {
    match written {
        None => Ok(Duration::from_secs(5)),
        Some(zero) if *zero.get_ref() == 0 => {
            Err(wrong(zero.span().start, key, format_args!("has to be at least 1")))
        }
        Some(seconds) => Ok(Duration::from_secs(u64::from(*seconds.get_ref()))),
    }
}

fn unit(written: &Spanned<String>) -> Result<Kind, Wrong> {
    let unit = written.get_ref();
    match unit.rsplit_once('.') {
        Some((name, kind)) if !name.is_empty() && !kind.is_empty() => {
            Ok(Kind::Systemd(unit.clone()))
        }
        _ => {
            let because = format_args!("has to be a unit's whole name, such as x.service");
            Err(wrong(written.span().start, "unit", because))
        }
    }
}

fn command(written: &Spanned<Vec<String>>) -> Result<Kind, Wrong> {
    match written.get_ref().split_first() {
        Some((program, arguments)) if program.starts_with('/') => {
            Ok(Kind::Command { program: program.clone(), arguments: arguments.to_vec() })
        }
        _ => {
            let because = format_args!("has to begin with a program's whole path");
            Err(wrong(written.span().start, "command", because))
        }
    }
}

fn address(written: &Spanned<String>) -> Result<Kind, Wrong> {
    let address = written.get_ref();
    match address.rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>())) {
        Some((host, Ok(port))) if !host.is_empty() && port != 0 => Ok(Kind::Tcp(address.clone())),
        _ => Err(wrong(written.span().start, "address", format_args!("has to be host:port"))),
    }
}

fn url(written: &Spanned<String>, status: Option<&Spanned<u16>>) -> Result<Kind, Wrong> {
    let url = Url::parse(written.get_ref())
        .map_err(|error| wrong(written.span().start, "url", format_args!("{error}")))?;
    match status {
        Some(status) if !(200..600).contains(status.get_ref()) => {
            Err(wrong(status.span().start, "status", format_args!("no HTTP answer has it")))
        }
        status => Ok(Kind::Http { url, status: status.map_or(200, |status| *status.get_ref()) }),
    }
}

fn wrong(at: usize, key: &str, because: fmt::Arguments<'_>) -> Wrong {
    Wrong { at, key: key.to_owned(), because: because.to_string() }
}

/// What the TOML reader found, with the key that stands where it found it.
fn syntax(text: &str, error: &toml::de::Error) -> Wrong {
    let at = error.span().map_or(0, |span| span.start);
    let before = text.get(..at).unwrap_or_default();
    let line = &text[before.rfind('\n').map_or(0, |newline| newline + 1)..];
    let line = line.lines().next().unwrap_or_default();
    let key = line.split('=').next().unwrap_or_default().trim();
    Wrong { at, key: key.to_owned(), because: error.message().replace('\n', ", ") }
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, ChecksError> {
    let unreadable = |source| ChecksError::Unreadable { path: folder.to_owned(), source };
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries.map_err(unreadable)?,
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(unreadable)?.path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}
