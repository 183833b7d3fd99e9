//! Builds what the guests run: the agent, the first disk, and a bundle for each release.
//!
//! ```text
//! agent (cargo, arm64 musl) ─► cargo image … ─► out/lab/<release>/{disk.img, steadfast-V.raucb}
//! ```
//!
//! A release is built again only when one of its inputs has changed; the fingerprint of the inputs is written
//! last, so an interrupted build is never taken for a finished one.

use std::collections::BTreeSet;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use hw_profile::Profile;
use serde::Deserialize;

use crate::places;
use crate::setup;
use crate::steps::step;
use crate::variant::{Product, Signer, Variant};

/// Folders whose files decide what an image holds, besides the agent and the release's own files.
const SOURCES: [&str; 3] = ["image-build", "hw-profiles", "yocto-layer"];

/// What `cargo image tools` prints.
#[derive(Debug, Deserialize)]
struct Tools {
    uboot: PathBuf,
    busybox: PathBuf,
    signer: DevelopmentSigner,
}

/// What signs the bundles that development images trust.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct DevelopmentSigner {
    /// Its key.
    pub(crate) key: PathBuf,
    /// Its certificate.
    pub(crate) certificate: PathBuf,
    /// The certificate in the images.
    pub(crate) keyring: PathBuf,
}

/// Builds images of one board.
pub(crate) struct Builder {
    board: String,
    out: PathBuf,
    image_tool: PathBuf,
    /// The agent's binary.
    pub(crate) agent: PathBuf,
    /// Firmware for QEMU.
    pub(crate) firmware: PathBuf,
    /// The images' busybox.
    pub(crate) busybox: PathBuf,
    /// Whom the images trust.
    pub(crate) signer: DevelopmentSigner,
}

impl Builder {
    /// Builds the agent, unless there is one to use, and gets the firmware; what follows needs both.
    pub(crate) fn new(profile: &Profile, agent: Option<&Path>) -> Result<Self> {
        let agent = match agent {
            Some(agent) => agent.to_path_buf(),
            None => build_agent(profile.arch.rust_target())?,
        };
        step("build the image tool", cargo().args(["build", "--package", "steadfast-image"]))?;
        let image_tool = target_folder()?.join("debug/steadfast-image");
        let said = step(
            "get the firmware",
            Command::new(&image_tool).args(["tools", "--board", &profile.name]),
        )?;
        let Tools { uboot: firmware, busybox, signer } =
            serde_json::from_str(said.out.trim()).context("the image tool printed no JSON")?;
        let out = places::lab();
        fs::create_dir_all(&out).with_context(|| format!("no folder {}", out.display()))?;
        let board = profile.name.clone();
        Ok(Self { board, out, agent, image_tool, firmware, busybox, signer })
    }

    /// Folder of a release.
    pub(crate) fn folder(&self, variant: &Variant) -> PathBuf {
        self.out.join(variant.name)
    }

    /// Builds `variant` unless it is there already; returns the fingerprint of its inputs.
    pub(crate) fn build(&self, variant: &Variant) -> Result<u64> {
        let folder = self.folder(variant);
        let mut command = self.command(variant, &folder)?;
        let inputs = self.fingerprint(variant, &command)?;
        let marker = folder.join("inputs");
        let text = format!("{inputs:016x}\n");
        if fs::read_to_string(&marker).is_ok_and(|old| old == text) {
            return Ok(inputs);
        }
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("{}", folder.display()))?;
        }
        fs::create_dir_all(&folder)?;
        let what = match variant.product {
            Product::Disk => "disk",
            Product::Bundle => "bundle",
        };
        step(&format!("build {what} {} {}", variant.name, variant.version), &mut command)?;
        let bundle = folder.join(variant.bundle_name());
        ensure!(bundle.exists(), "the image tool made no {}", bundle.display());
        fs::write(marker, text)?;
        Ok(inputs)
    }

    fn command(&self, variant: &Variant, folder: &Path) -> Result<Command> {
        let mut command = Command::new(&self.image_tool);
        command.args(["--board", &self.board, "--version", variant.version, "--dev"]);
        command.arg("--out").arg(folder).arg("--agent").arg(&self.agent);
        if variant.product == Product::Bundle {
            command.arg("--bundle-only");
        }
        for overlay in variant.overlays("root") {
            command.arg("--overlay").arg(overlay);
        }
        for overlay in variant.overlays("boot") {
            command.arg("--boot-overlay").arg(overlay);
        }
        if let Some(name) = variant.compatible {
            command.args(["--compatible", name]);
        }
        if variant.signer == Signer::Stranger {
            let (key, certificate) = self.stranger()?;
            command.arg("--key").arg(key).arg("--cert").arg(&certificate);
            command.arg("--keyring").arg(certificate);
        }
        Ok(command)
    }

    /// Key and certificate that no node trusts.
    fn stranger(&self) -> Result<(PathBuf, PathBuf)> {
        let folder = self.out.join("stranger");
        let (key, certificate) = (folder.join("key.pem"), folder.join("cert.pem"));
        if !certificate.exists() {
            fs::create_dir_all(&folder)?;
            step(
                "make a stranger's key",
                Command::new("openssl")
                    .args(["req", "-x509", "-newkey", "rsa:3072", "-noenc", "-days", "3650"])
                    .args(["-subj", "/CN=a stranger", "-keyout"])
                    .arg(&key)
                    .arg("-out")
                    .arg(&certificate),
            )?;
        }
        Ok((key, certificate))
    }

    /// Files and folders whose content decides what a release holds.
    fn inputs(&self, variant: &Variant) -> Vec<PathBuf> {
        let mut inputs: Vec<PathBuf> =
            SOURCES.iter().map(|folder| places::workspace().join(folder)).collect();
        inputs.extend(variant.overlays("root"));
        inputs.extend(variant.overlays("boot"));
        inputs.push(self.agent.clone());
        // Its certificate is in every image; with another one, no bundle of before is trusted.
        inputs.push(self.signer.keyring.clone());
        inputs
    }

    fn fingerprint(&self, variant: &Variant, command: &Command) -> Result<u64> {
        let mut hasher = DefaultHasher::new();
        for argument in command.get_args() {
            argument.hash(&mut hasher);
        }
        let mut files = BTreeSet::new();
        for root in self.inputs(variant) {
            collect(&root, &mut files)?;
        }
        for file in files {
            file.hash(&mut hasher);
            match fs::read(&file) {
                Ok(bytes) => bytes.hash(&mut hasher),
                // A dangling link is content too: its name was hashed.
                Err(_) => 0_u8.hash(&mut hasher),
            }
        }
        Ok(hasher.finish())
    }
}

/// Builds the agent for `target`; returns the binary.
pub(crate) fn build_agent(target: &str) -> Result<PathBuf> {
    step(
        &format!("build the agent for {target}"),
        cargo().args(["build", "--release", "--package", "steadfast", "--target", target]),
    )?;
    Ok(target_folder()?.join(target).join("release/steadfast"))
}

fn collect(path: &Path, files: &mut BTreeSet<PathBuf>) -> Result<()> {
    if !path.is_dir() {
        files.insert(path.to_path_buf());
        return Ok(());
    }
    for entry in fs::read_dir(path).with_context(|| format!("{}", path.display()))? {
        collect(&entry?.path(), files)?;
    }
    Ok(())
}

/// `cargo` in the source tree, with the ready tools on its path.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new("cargo");
    command.current_dir(places::workspace()).env("PATH", setup::path_with_tools());
    command
}

/// Where cargo puts what it builds, in its own words.
pub(crate) fn target_folder() -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Metadata {
        target_directory: PathBuf,
    }
    let said = cargo()
        .args(["metadata", "--format-version", "1", "--no-deps"])
        .output()
        .context("cargo does not start")?;
    let metadata: Metadata = serde_json::from_slice(&said.stdout).with_context(|| {
        format!("cargo metadata: {}", String::from_utf8_lossy(&said.stderr).trim())
    })?;
    Ok(metadata.target_directory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::variant::{GOOD, NO_BOOT, UNHEALTHY};

    #[test]
    fn whatever_an_image_is_made_from_decides_whether_it_is_made_again() {
        let keyring = PathBuf::from("authority.pem");
        let builder = Builder {
            board: "board".into(),
            out: "out".into(),
            image_tool: "tool".into(),
            agent: "agent".into(),
            firmware: "firmware".into(),
            busybox: "busybox".into(),
            signer: DevelopmentSigner {
                key: "key".into(),
                certificate: "certificate".into(),
                keyring: keyring.clone(),
            },
        };
        let inputs = |variant| builder.inputs(variant);
        for wanted in [keyring, "agent".into(), places::workspace().join("image-build")] {
            assert!(inputs(&GOOD).contains(&wanted), "{}", wanted.display());
        }
        let own = |variant: &Variant, part| variant.overlays(part).pop().expect("it has one");
        assert!(inputs(&NO_BOOT).contains(&own(&NO_BOOT, "boot")));
        assert!(inputs(&UNHEALTHY).contains(&own(&UNHEALTHY, "root")));
    }
}
