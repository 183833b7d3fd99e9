//! `steadfast completion` and `steadfast man`: the command line told to a shell and to a reader, by its own definition.
//!
//! Always true: what is told is what the parser takes, because both are made from it; hidden commands stay hidden.

use super::output::{Console, Line};
use super::{NotMade, ToolError, chain};
use crate::cli::{Cli, CompletionArgs, ManArgs, Shell};
use clap::{Command, CommandFactory};
use std::fs;
use std::io;
use std::path::Path;

/// The words as a shell is told them. Those that are hidden have to be taken out: its scripts would tell them.
fn shown() -> Command {
    let all = Cli::command();
    let commands = all.get_subcommands().filter(|words| !words.is_hide_set());
    let options = all.get_arguments().filter(|option| !option.is_hide_set());
    Command::new("steadfast")
        .version(env!("CARGO_PKG_VERSION"))
        .disable_help_subcommand(true)
        .args(options.cloned())
        .subcommands(commands.cloned())
}

/// Prints the script that a shell sources.
pub(super) fn completion(
    args: &CompletionArgs,
    console: &mut Console<'_>,
) -> Result<(), ToolError> {
    let shell = match args.shell {
        Shell::Bash => clap_complete::Shell::Bash,
        Shell::Zsh => clap_complete::Shell::Zsh,
        Shell::Fish => clap_complete::Shell::Fish,
    };
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut shown(), "steadfast", &mut script);
    console.out.write_all(&script)?;
    Ok(())
}

/// Writes a page for each command that is not hidden.
pub(super) fn pages(args: &ManArgs, console: &mut Console<'_>) -> Result<(), ToolError> {
    let folder = args.folder.as_path();
    let written = write(folder).map_err(|error| NotMade {
        what: format!("the manual was not written to {}", folder.display()),
        because: chain(&error),
    })?;
    let page = folder.join("steadfast.1");
    console.print(&[
        Line::new("written", format!("{written} pages to {}", folder.display())),
        Line::new("read", format!("man {}", page.display())),
    ])?;
    Ok(())
}

fn write(folder: &Path) -> io::Result<usize> {
    fs::create_dir_all(folder)?;
    let words = Cli::command();
    let pages = count(&words);
    clap_mangen::generate_to(words, folder)?;
    Ok(pages)
}

fn count(words: &Command) -> usize {
    let shown = words.get_subcommands().filter(|words| !words.is_hide_set());
    1 + shown.map(count).sum::<usize>()
}

#[cfg(test)]
mod tests;
