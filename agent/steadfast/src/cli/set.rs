//! The words of `steadfast set`.

use clap::{Args, Subcommand};
use std::path::PathBuf;
use steadfast_adapters::workload_set::Given;
use steadfast_core::Version;

/// What to do with a workload set.
#[derive(Debug, Subcommand)]
pub enum SetCommand {
    /// Make a set from a folder of manifests and archives of images
    Build(BuildArgs),
    /// Sign a set; the signatures that it has stay
    Sign(SignArgs),
    /// Verify all of a set and show what is in it
    Inspect(InspectArgs),
}

/// What a set is made from.
#[derive(Debug, Args)]
pub struct BuildArgs {
    /// The folder with the manifests: .yaml, .yml and .json
    #[arg(value_name = "DIR")]
    pub manifests: PathBuf,
    /// The set: a tar file
    #[arg(short = 'o', long, value_name = "FILE")]
    pub output: PathBuf,
    /// Its number, from 1; a newer set has a higher one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub generation: u64,
    /// The oldest OS that it runs on
    #[arg(long, value_name = "VERSION", value_parser = version)]
    pub minimum_os: Option<Version>,
    /// An image as the manifests name it, and the OCI layout (a tar file) that it is in; once for each image
    #[arg(long = "image", value_name = "REF=ARCHIVE", value_parser = given)]
    pub images: Vec<Given>,
    /// What the images are for, as OCI calls it
    #[arg(long, value_name = "ARCH", default_value = "arm64")]
    pub arch: String,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What is signed, and by whom.
#[derive(Debug, Args)]
pub struct SignArgs {
    /// The set
    #[arg(value_name = "FILE")]
    pub set: PathBuf,
    /// An Ed25519 key in PEM, as `openssl genpkey -algorithm ed25519` makes it
    #[arg(long, value_name = "KEY.pem")]
    pub key: PathBuf,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

/// What is looked at, and what it has to be.
#[derive(Debug, Args)]
pub struct InspectArgs {
    /// The set
    #[arg(value_name = "FILE")]
    pub set: PathBuf,
    /// Public keys in PEM: one of them has to have signed it. Without this nobody vouches for the set
    #[arg(long, value_name = "FILE")]
    pub keyring: Option<PathBuf>,
    /// What its images have to be for, as OCI calls it
    #[arg(long, value_name = "ARCH")]
    pub arch: Option<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

fn version(text: &str) -> Result<Version, &'static str> {
    Version::new(text).ok_or("a version has 1 to 32 of the characters A-Z a-z 0-9 . + - ~ _")
}

fn given(text: &str) -> Result<Given, &'static str> {
    match text.split_once('=') {
        Some((reference, archive)) if !reference.is_empty() && !archive.is_empty() => {
            Ok(Given { reference: reference.to_owned(), archive: archive.into() })
        }
        _ => Err("an image is given as REF=ARCHIVE"),
    }
}
