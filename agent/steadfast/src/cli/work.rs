//! The words about the pods of a node.

use clap::{Args, Subcommand};
use std::path::PathBuf;

/// What `work` shows, or what is to be done.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct WorkArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// What is to be done; without it the pods are shown
    #[command(subcommand)]
    pub command: Option<WorkCommand>,
}

/// What is to be done about the pods of a development node.
#[derive(Debug, Subcommand)]
pub enum WorkCommand {
    /// Run the pods of a file, too; on development nodes only
    Apply(ApplyArgs),
    /// Run the pods of a file that was applied no more
    Remove(RemoveArgs),
}

/// What `work apply` runs.
#[derive(Debug, Args)]
pub struct ApplyArgs {
    /// Manifests (.yaml, .yml, .json), or the archive of a workload set with its images (.tar)
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// What `work remove` takes down.
#[derive(Debug, Args)]
pub struct RemoveArgs {
    /// The file as it was applied; only its name counts
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
}

/// How `stop-pods` stops.
#[derive(Debug, Args)]
pub struct StopPodsArgs {
    /// How many seconds are waited for
    #[arg(long, value_name = "SECONDS", default_value = "30")]
    pub within: u32,
}

/// What `exec` runs.
#[derive(Debug, Args)]
pub struct ExecArgs {
    /// The pod
    #[arg(value_name = "POD")]
    pub pod: String,
    /// The container; without it the only one, or the first of the main ones
    #[arg(short, long, value_name = "NAME")]
    pub container: Option<String>,
    /// The program and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    pub command: Vec<String>,
    /// The agent's settings
    #[arg(long, value_name = "FILE", hide = true, default_value = "/etc/steadfast/agent.toml")]
    pub config: PathBuf,
}
