//! The words of the command line. Each is one order to the tool, the daemon or the boot backend.

mod set;
mod work;

pub use set::{BuildArgs, InspectArgs, SetCommand, SignArgs};
pub use work::{ApplyArgs, ExecArgs, RemoveArgs, StopPodsArgs, WorkArgs, WorkCommand};

use crate::{agent, boot_state, keep_journal, protocol, tool};
use clap::{Args, Parser, Subcommand, ValueEnum};
use std::path::PathBuf;
use std::process::ExitCode;
use steadfast_core::{At, Digest};

/// Keeps this node on a system that works.
///
/// Exit status: 0 done, 1 not done, 2 misused.
#[derive(Debug, Parser)]
#[command(name = "steadfast", version, disable_help_subcommand = true)]
pub struct Cli {
    /// The agent's control socket.
    #[arg(long, global = true, hide = true, value_name = "PATH", default_value = protocol::SOCKET)]
    pub socket: PathBuf,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show where the node stands
    Status(StatusArgs),
    /// Install a bundle into the slot that does not run, and try it
    Update(UpdateArgs),
    /// Show what happened on this node
    History(HistoryArgs),
    /// Show what a pod's containers wrote
    Logs(LogsArgs),
    /// Keep the system that runs, without waiting for its checks
    Confirm,
    /// Go back to the previous system
    Rollback,
    /// Take back an update that is being fetched or waits for its window
    Cancel,
    /// Show the pods of this node, or run others on a development node
    Work(WorkArgs),
    /// Run a program in a container of a pod; for root, and without the agent
    Exec(ExecArgs),
    /// Make, sign or look at a workload set; needs no node
    #[command(subcommand)]
    Set(SetCommand),
    /// Print what completes this command line in a shell
    Completion(CompletionArgs),
    /// Write the manual: a page for each command
    Man(ManArgs),
    /// Run the agent; systemd does this
    Agent(AgentArgs),
    /// Read or write the boot environment; RAUC does this
    #[command(name = "boot-state")]
    BootState(BootStateArgs),
    /// Stop all pods because the machine goes down; systemd does this
    #[command(name = "stop-pods", hide = true)]
    StopPods(StopPodsArgs),
    /// Keep the last lines of the running boot's journal on the data partition; systemd does this
    #[command(name = "keep-journal", hide = true)]
    KeepJournal(KeepJournalArgs),
}

/// What `status` shows.
#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
    /// Show each change until the node rests
    #[arg(long)]
    pub watch: bool,
}

/// What `update` installs.
#[derive(Debug, Args)]
pub struct UpdateArgs {
    /// The bundle: a file on this node, or an http or https URL
    #[arg(value_name = "FILE|URL")]
    pub source: String,
    /// When the node may restart into it
    #[arg(long, value_name = "WHEN", default_value = "now")]
    pub at: When,
    /// The bundle's own SHA-256: what is downloaded or lies in a file is held against it, and another URL
    /// with it goes on with the same download
    #[arg(long, value_name = "HEX", value_parser = sha256)]
    pub sha256: Option<Digest>,
    /// The workload set that comes with it: a file on this node; without one the node keeps its own
    #[arg(long, value_name = "FILE")]
    pub set: Option<String>,
    /// Show each change until the update ends or the node restarts
    #[arg(long)]
    pub watch: bool,
    /// Print JSON, one object a line
    #[arg(long)]
    pub json: bool,
}

fn sha256(text: &str) -> Result<Digest, &'static str> {
    Digest::from_hex(text).ok_or("a SHA-256 has 64 hexadecimal digits")
}

/// When the node may restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum When {
    /// As soon as the bundle is installed
    Now,
    /// When the site's window opens
    Window,
}

impl From<When> for At {
    fn from(when: When) -> At {
        match when {
            When::Now => At::Now,
            When::Window => At::Window,
        }
    }
}

/// What `history` shows.
#[derive(Debug, Args)]
pub struct HistoryArgs {
    /// Only this version: its steps, how it ended, and what its failed boots left behind
    #[arg(value_name = "VERSION")]
    pub version: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Show all that was kept of a version, not only the end of it
    #[arg(long, requires = "version")]
    pub all: bool,
}

/// What `logs` shows.
#[derive(Debug, Args)]
pub struct LogsArgs {
    /// The pod
    #[arg(value_name = "POD")]
    pub pod: String,
    /// Only this container; without it all, each line with its container's name where there are several
    #[arg(short = 'c', long, value_name = "NAME")]
    pub container: Option<String>,
    /// Go on with what is written from now on
    #[arg(short = 'f', long)]
    pub follow: bool,
    /// Begin so many lines before the end
    #[arg(long, value_name = "N")]
    pub tail: Option<u64>,
    /// The agent's settings, which say where the logs are
    #[arg(long, value_name = "FILE", default_value = "/etc/steadfast/agent.toml")]
    pub config: PathBuf,
}

/// What is completed.
#[derive(Debug, Args)]
pub struct CompletionArgs {
    /// The shell
    #[arg(value_name = "SHELL")]
    pub shell: Shell,
}

/// A shell that completes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Shell {
    /// source <(steadfast completion bash)
    Bash,
    /// steadfast completion zsh > DIR/_steadfast, with DIR in $fpath
    Zsh,
    /// steadfast completion fish | source
    Fish,
}

/// Where the manual goes.
#[derive(Debug, Args)]
pub struct ManArgs {
    /// The folder, which is made if it is not there
    #[arg(value_name = "DIR")]
    pub folder: PathBuf,
}

/// Where the journal's last lines are kept.
#[derive(Debug, Args)]
pub struct KeepJournalArgs {
    /// The agent's settings
    #[arg(long, value_name = "FILE", default_value = "/etc/steadfast/agent.toml")]
    pub config: PathBuf,
}

/// Where the agent finds its settings.
#[derive(Debug, Args)]
pub struct AgentArgs {
    /// The agent's settings
    #[arg(long, value_name = "FILE", default_value = "/etc/steadfast/agent.toml")]
    pub config: PathBuf,
    /// The board's profile
    #[arg(long, value_name = "FILE", default_value = "/etc/steadfast/board.toml")]
    pub board: PathBuf,
}

/// A call as RAUC's custom boot backend gets it.
#[derive(Debug, Args)]
pub struct BootStateArgs {
    /// get-primary, set-primary NAME, get-state NAME, set-state NAME good|bad, get-current or show
    #[arg(
        value_name = "CALL",
        required = true,
        trailing_var_arg = true,
        allow_hyphen_values = true
    )]
    pub call: Vec<String>,
}

/// Does what the command line says. A misused one ends the process here, with status 2.
pub fn main() -> ExitCode {
    let Cli { socket, command } = Cli::parse();
    match command {
        Command::Agent(AgentArgs { config, board }) => {
            agent::run(&agent::Paths { config, board, socket })
        }
        Command::BootState(args) => boot_state::run(&args.call),
        Command::KeepJournal(args) => keep_journal::run(&args.config),
        Command::Status(args) => tool::run(&socket, &tool::Order::Status(args)),
        Command::Update(args) => tool::run(&socket, &tool::Order::Update(args)),
        Command::History(args) => tool::run(&socket, &tool::Order::History(args)),
        Command::Logs(args) => tool::run(&socket, &tool::Order::Logs(args)),
        Command::Confirm => tool::run(&socket, &tool::Order::Confirm),
        Command::Rollback => tool::run(&socket, &tool::Order::Rollback),
        Command::Cancel => tool::run(&socket, &tool::Order::Cancel),
        Command::Work(args) => tool::run(&socket, &tool::Order::Work(args)),
        Command::Exec(args) => tool::exec(&args),
        Command::StopPods(args) => tool::run(&socket, &tool::Order::StopPods(args)),
        Command::Completion(args) => tool::run(&socket, &tool::Order::Completion(args)),
        Command::Man(args) => tool::run(&socket, &tool::Order::Man(args)),
        Command::Set(command) => tool::run(&socket, &tool::Order::Set(command)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn command(words: &str) -> Result<Command, i32> {
        let cli = Cli::try_parse_from(words.split(' '));
        cli.map(|cli| cli.command).map_err(|error| error.exit_code())
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn a_misused_command_line_exits_with_2() {
        for words in [
            "steadfast",
            "steadfast upgrade",
            "steadfast update",
            "steadfast update a --at never",
            "steadfast update a --sha256 12ab",
            "steadfast status now",
            "steadfast boot-state",
            "steadfast history --all",
            "steadfast history 1.0.0 1.1.0",
            "steadfast work a.yaml",
            "steadfast work apply",
            "steadfast work remove",
            "steadfast work --json apply a.yaml",
            "steadfast stop-pods --within soon",
            "steadfast exec web",
            "steadfast exec web ls",
            "steadfast exec -- ls",
            "steadfast logs",
            "steadfast logs a b",
            "steadfast logs a --tail -1",
            "steadfast completion",
            "steadfast completion tcsh",
            "steadfast man",
            "steadfast set",
            "steadfast set build pods -o a.tar",
            "steadfast set build pods --generation 1",
            "steadfast set build pods -o a.tar --generation 0",
            "steadfast set build pods -o a.tar --generation 1 --minimum-os ../1",
            "steadfast set build pods -o a.tar --generation 1 --image bridge.tar",
            "steadfast set build pods -o a.tar --generation 1 --image =bridge.tar",
            "steadfast set build pods -o a.tar --generation 1 --image bridge=",
            "steadfast set sign a.tar",
            "steadfast set inspect",
        ] {
            assert_eq!(command(words).expect_err("misused"), 2, "{words}");
        }
    }

    #[test]
    fn an_update_is_activated_now_unless_the_window_is_asked_for() {
        for (words, when) in [
            ("steadfast update a.raucb", When::Now),
            ("steadfast update a.raucb --at window", When::Window),
        ] {
            let Ok(Command::Update(args)) = command(words) else { panic!("{words}") };
            assert_eq!((args.source.as_str(), args.at), ("a.raucb", when));
        }
    }

    #[test]
    fn the_digest_of_a_bundle_is_read_as_sha256sum_writes_it() {
        let words = format!("steadfast update a.raucb --sha256 {}", "0f".repeat(32));
        let Ok(Command::Update(args)) = command(&words) else { panic!("{words}") };
        assert_eq!(args.sha256, Some(Digest([15; 32])));
    }

    #[test]
    fn the_boot_backend_gets_its_words_as_they_are() {
        let Ok(Command::BootState(args)) = command("steadfast boot-state set-state B --json good")
        else {
            panic!("a call")
        };
        assert_eq!(args.call, ["set-state", "B", "--json", "good"]);
    }
}
