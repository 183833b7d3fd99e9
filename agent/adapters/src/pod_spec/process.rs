//! What is run: the program with its arguments, variables and folder.

use super::{ImageConfig, SpecError};
use crate::manifest::{Container, Facts, Launch};

/// Where programs are looked for when neither the image nor the manifest says it (`oci.WithDefaultPathEnv`).
const PATH: &str = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Kubernetes, "Define a Command and Arguments for a Container": a command of the manifest is instead of the entrypoint
/// and the arguments of the image, arguments of the manifest only instead of its arguments.
pub(super) fn args(launch: &Launch, image: &ImageConfig) -> Result<Vec<String>, SpecError> {
    let entrypoint = image.entrypoint.as_deref().unwrap_or_default();
    // How a Dockerfile takes an entrypoint back.
    let entrypoint = if entrypoint == [""] { &[] } else { entrypoint };
    let cmd = image.cmd.as_deref().unwrap_or_default();
    let (program, arguments) = match (launch.command.is_empty(), launch.args.is_empty()) {
        (false, _) => (launch.command.as_slice(), launch.args.as_slice()),
        (true, false) => (entrypoint, launch.args.as_slice()),
        (true, true) => (entrypoint, cmd),
    };
    match [program, arguments].concat() {
        none if none.first().is_none_or(String::is_empty) => Err(SpecError::NoCommand),
        args => Ok(args),
    }
}

/// The image's variables under those of the container. `HOSTNAME` is the node's, whose network and name the pod has.
pub(super) fn env(launch: &Launch, image: &ImageConfig, facts: &Facts) -> Vec<String> {
    let mut all = vec![PATH.to_owned(), format!("HOSTNAME={}", facts.node_name)];
    for variable in image.env.iter().flatten() {
        set(&mut all, variable);
    }
    for (name, value) in &launch.environment {
        set(&mut all, &format!("{name}={value}"));
    }
    all
}

/// Without `=`, what was set before is taken away (`oci.WithEnv`).
fn set(all: &mut Vec<String>, variable: &str) {
    let name = |it: &str| it.split_once('=').map_or(it.len(), |(name, _)| name.len());
    let same = all.iter().position(|it| it[..name(it)] == variable[..name(variable)]);
    match (same, variable.contains('=')) {
        (Some(at), true) => variable.clone_into(&mut all[at]),
        (None, true) => all.push(variable.to_owned()),
        (Some(at), false) => drop(all.remove(at)),
        (None, false) => {}
    }
}

/// The folder in which it starts.
pub(super) fn cwd(container: &Container, image: &ImageConfig) -> Result<String, SpecError> {
    let image = image.working_dir.as_ref().filter(|folder| !folder.is_empty());
    match container.working_dir.as_ref().or(image) {
        None => Ok("/".to_owned()),
        Some(folder) if folder.starts_with('/') => Ok(folder.clone()),
        Some(folder) => Err(SpecError::WorkingDir(folder.clone())),
    }
}
