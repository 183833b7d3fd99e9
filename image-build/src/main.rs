//! `cargo image`: turns a hardware profile into a disk image, a signed bundle and a bill of materials.

mod agent;
mod appliance;
mod board;
mod boot_partition;
mod bootscript;
#[cfg(test)]
mod bootscript_tests;
mod bundle;
#[cfg(test)]
mod data_tests;
mod debian;
mod digest;
mod disk;
mod fat;
mod host;
mod initramfs;
mod keys;
mod modules;
mod pipeline;
mod places;
mod release;
mod reproducible;
mod revocation;
mod root;
mod spdx;
mod template;
mod tools;
mod variant;
mod verity;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap::{Parser, Subcommand};

use crate::debian::Refresh;
use crate::keys::{KeyArgs, Signer};
use crate::pipeline::{Order, Products};
use crate::places::Scratch;
use crate::release::Release;
use crate::variant::Variant;
use crate::verity::Compression;

/// Turns a hardware profile into a disk image, a signed bundle and a bill of materials.
#[derive(Debug, Parser)]
#[command(
    name = "cargo image",
    after_help = KEYS_ON_A_TOKEN,
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true
)]
struct Cli {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    build: BuildArgs,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Fetch the board's firmware and a RAUC for this machine; print where they are, as JSON
    Tools {
        /// Board of hw-profiles/boards
        #[arg(long, default_value = "qemu-arm64", value_parser = board::named)]
        board: String,
    },
    /// Sign a trial bundle and check it against the keyring; build nothing
    #[command(after_help = KEYS_ON_A_TOKEN)]
    Keys {
        #[command(flatten)]
        keys: KeyArgs,
        /// Keep the trial bundle; a node that trusts it refuses it as made for another board
        #[arg(long, value_name = "FILE")]
        out: Option<PathBuf>,
    },
}

const KEYS_ON_A_TOKEN: &str = "\
Keys on a token (PKCS#11):
  RAUC_PKCS11_PIN     its PIN; when it is not set, it is asked for on the terminal
  RAUC_PKCS11_MODULE  its module, when p11-kit does not know it (`p11tool --list-tokens`)
A small bundle is signed before anything is built, so the token is used twice.";

#[derive(Debug, clap::Args)]
struct BuildArgs {
    /// Board of hw-profiles/boards
    #[arg(long, required = true, value_parser = board::named)]
    board: Option<String>,
    /// Version of the release, such as 1.4.0
    #[arg(long, required = true)]
    version: Option<String>,
    /// Folder of the results [default: out/BOARD/VERSION]
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// A development image: root shell on the serial console, throwaway keys when none are given
    #[arg(long)]
    dev: bool,
    /// The agent's program [default: built from this tree]
    #[arg(long, value_name = "FILE")]
    agent: Option<PathBuf>,
    /// Files to copy over the root file system
    #[arg(long = "overlay", value_name = "DIR")]
    overlays: Vec<PathBuf>,
    /// Files to copy over the boot partition's
    #[arg(long = "boot-overlay", value_name = "DIR")]
    boot_overlays: Vec<PathBuf>,
    /// Compression of the root file system
    #[arg(long, value_enum, default_value = "zstd")]
    compression: Compression,
    /// Level of zstd: 9 takes seconds, 15 half a minute and saves a tenth
    #[arg(long, default_value_t = 9, value_parser = clap::value_parser!(u32).range(1..=22))]
    level: u32,
    #[command(flatten)]
    keys: KeyArgs,
    /// Another `compatible` in the bundle's manifest alone
    #[arg(long, value_name = "NAME")]
    compatible: Option<String>,
    /// Make no disk image
    #[arg(long)]
    bundle_only: bool,
    /// Fetch the Debian packages again
    #[arg(long)]
    refresh: bool,
    /// Build everything a second time and fail when a byte of the images or lists differs
    #[arg(long)]
    check_reproducible: bool,
    /// Print release.json on standard output
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    // What is made here goes into images: its modes must not follow the builder's habits.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    match run(Cli::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error    {error}");
            for cause in error.chain().skip(1) {
                eprintln!("because  {cause}");
            }
            ExitCode::from(1)
        }
    }
}

fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Some(Command::Tools { board }) => {
            let tools = tools::run(&board::load(&board)?)?;
            println!("{}", serde_json::to_string(&tools)?);
            Ok(())
        }
        Some(Command::Keys { keys, out }) => try_keys(&keys, out.as_deref()),
        None => build(cli.build),
    }
}

fn try_keys(keys: &KeyArgs, out: Option<&Path>) -> Result<()> {
    let signer = Signer::choose(keys, Variant::Production)?;
    let scratch = Scratch::named("keys")?;
    let bundle = bundle::trial(&signer, &scratch)?;
    println!("keys     sign what the keyring trusts");
    if let Some(out) = out {
        std::fs::copy(bundle, out).with_context(|| format!("{} was not made", out.display()))?;
        println!("in       {}", out.display());
    }
    Ok(())
}

fn build(args: BuildArgs) -> Result<()> {
    let (json, twice) = (args.json, args.check_reproducible);
    let order = order(args)?;
    let release = pipeline::run(&order)?;
    if twice {
        reproducible::check(&order, &release)?;
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&release)?);
    } else {
        print_summary(&release, &order);
    }
    Ok(())
}

fn order(args: BuildArgs) -> Result<Order> {
    let board = args.board.context("--board is missing")?;
    let version = args.version.context("--version is missing")?;
    let out =
        args.out.unwrap_or_else(|| places::workspace().join("out").join(&board).join(&version));
    Ok(Order {
        out,
        board,
        version,
        variant: Variant::from_flag(args.dev),
        agent: args.agent,
        overlays: args.overlays,
        boot_overlays: args.boot_overlays,
        compression: args.compression,
        level: args.level,
        keys: args.keys,
        compatible: args.compatible,
        products: if args.bundle_only { Products::BundleOnly } else { Products::DiskAndBundle },
        refresh: if args.refresh { Refresh::Now } else { Refresh::Never },
    })
}

fn print_summary(release: &Release, order: &Order) {
    let mib = |size: u64| size as f64 / f64::from(1 << 20);
    println!("release  {} for {}, {}", release.version, release.compatible, release.variant);
    println!("root     {:.1} MiB, root hash {}", mib(release.root.size), release.root_hash);
    println!("boot     {:.1} MiB", mib(release.boot.size));
    println!("bundle   {:.1} MiB, {}", mib(release.bundle.size), release.bundle.file);
    println!("packages {}", release.packages.len());
    println!("in       {}", order.out.display());
    if release.throwaway_keys {
        println!("keys     throwaway authority: for development only");
    }
}
