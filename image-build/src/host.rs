//! Calls the host's tools: one place for the environment they see and for what is said when one fails.

use std::ffi::OsStr;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use anyhow::{Context, Result, bail};

/// One call of a host tool.
pub(crate) struct Tool {
    name: String,
    command: Command,
    input: Option<Vec<u8>>,
}

impl Tool {
    /// A call of `name`, found on `PATH` or in the system folders, with a fixed locale and time zone.
    pub(crate) fn new(name: &str) -> Self {
        let mut command = Command::new(name);
        let path = std::env::var("PATH").unwrap_or_default();
        command.env("PATH", format!("{path}:/usr/local/sbin:/usr/sbin:/sbin"));
        command.env("LC_ALL", "C.UTF-8").env("TZ", "UTC").env("MTOOLS_SKIP_CHECK", "1");
        Self { name: name.to_owned(), command, input: None }
    }

    /// Adds one argument.
    pub(crate) fn arg(mut self, arg: impl AsRef<OsStr>) -> Self {
        self.command.arg(arg);
        self
    }

    /// Adds arguments.
    pub(crate) fn args<S: AsRef<OsStr>>(mut self, args: impl IntoIterator<Item = S>) -> Self {
        self.command.args(args);
        self
    }

    /// Sets a variable of the environment.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.command.env(name, value);
        self
    }

    /// Runs in `folder`.
    pub(crate) fn within(mut self, folder: &Path) -> Self {
        self.command.current_dir(folder);
        self
    }

    /// Gives `bytes` on standard input.
    pub(crate) fn input(mut self, bytes: impl Into<Vec<u8>>) -> Self {
        self.input = Some(bytes.into());
        self
    }

    /// Runs to the end; fails with the tool's last lines when it does not succeed.
    pub(crate) fn run(self) -> Result<Vec<u8>> {
        let name = self.name.clone();
        let out = self.output()?;
        if out.status.success() {
            return Ok(out.stdout);
        }
        bail!("{name} did not succeed ({}): {}", out.status, last_lines(&out))
    }

    /// Runs to the end and gives the text it printed.
    pub(crate) fn text(self) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.run()?).into_owned())
    }

    /// Runs with the terminal's output and error, for tools that show progress.
    pub(crate) fn run_visibly(mut self) -> Result<()> {
        self.command.stdin(Stdio::null()).stdout(std::io::stderr());
        let status = self.command.status().with_context(|| absent(&self.name))?;
        if status.success() { Ok(()) } else { bail!("{} did not succeed ({status})", self.name) }
    }

    /// Runs to the end and gives status and output, whatever they are.
    pub(crate) fn output(mut self) -> Result<Output> {
        self.command.stdout(Stdio::piped()).stderr(Stdio::piped());
        self.command.stdin(if self.input.is_some() { Stdio::piped() } else { Stdio::null() });
        let mut child = self.command.spawn().with_context(|| absent(&self.name))?;
        let feeding = self.input.take().zip(child.stdin.take()).map(|(bytes, mut pipe)| {
            // A tool that ends early closes its input; its own status says what happened.
            std::thread::spawn(move || drop(pipe.write_all(&bytes)))
        });
        let out = child.wait_with_output().with_context(|| format!("{} was lost", self.name))?;
        if let Some(thread) = feeding {
            thread.join().expect("writing to a pipe does not panic");
        }
        Ok(out)
    }
}

fn absent(name: &str) -> String {
    format!("{name} does not start; `cargo lab setup` installs what is missing")
}

fn last_lines(out: &Output) -> String {
    let both = [out.stderr.as_slice(), out.stdout.as_slice()].concat();
    let text = String::from_utf8_lossy(&both);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    lines[lines.len().saturating_sub(8)..].join("\n  ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tools_speak_one_language_and_a_failure_keeps_their_last_words() {
        let shell = |text: &str| Tool::new("sh").args(["-c", text]);
        assert_eq!(shell("echo $LC_ALL $TZ").text().expect("it ends well"), "C.UTF-8 UTC\n");
        let error = shell("seq 20; echo why >&2; exit 3").run().expect_err("it fails");
        let said = error.to_string();
        assert!(said.starts_with("sh did not succeed (exit status: 3): ") && said.contains("20"));
        let error = Tool::new("no-such-tool").run().expect_err("it is not there");
        assert!(error.to_string().contains("`cargo lab setup`"), "{error}");
    }
}
