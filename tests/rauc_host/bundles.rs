//! Bundles to try RAUC with, good and bad.

use std::{
    fs::{self, File},
    io::Write,
    os::unix::fs::{FileExt, PermissionsExt},
    path::{Path, PathBuf},
    process::Command,
};

use super::{
    COMPATIBLE, RaucHost,
    keys::{Signer, Validity},
    tools::{self, run},
};

/// What goes into a bundle.
pub(crate) struct Recipe<'a> {
    pub(crate) compatible: &'a str,
    pub(crate) version: &'a str,
    pub(crate) format: &'a str,
    pub(crate) slot_class: &'a str,
    pub(crate) image: Vec<u8>,
    /// The image of slot class `boot`, which each bundle of a node has.
    pub(crate) boot: Option<Vec<u8>>,
    /// A shell script that RAUC runs after it has written the slot.
    pub(crate) post_install: Option<String>,
}

impl Default for Recipe<'_> {
    fn default() -> Self {
        Self {
            compatible: COMPATIBLE,
            version: "1.2.3",
            format: "plain",
            slot_class: "rootfs",
            image: image(2),
            boot: None,
            post_install: None,
        }
    }
}

/// Bytes that do not compress, the same each time, `mib` MiB of them.
pub(crate) fn image(mib: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.take(mib << 17).flatten().collect()
}

impl Recipe<'_> {
    /// A release of a node: a boot image and a root image.
    pub(crate) fn release() -> Self {
        Self { boot: Some(image(1)), ..Self::default() }
    }
}

impl RaucHost {
    /// A bundle by a signer whom this host trusts.
    pub(crate) fn bundle(&self, name: &str, recipe: &Recipe<'_>) -> PathBuf {
        self.bundle_by(&self.authority.signer(Validity::Now), name, recipe)
    }

    pub(crate) fn bundle_by(&self, signer: &Signer, name: &str, recipe: &Recipe<'_>) -> PathBuf {
        let content = self.path(&format!("bundles/{name}.d"));
        recipe.write(&content);
        let bundle = self.path(&format!("bundles/{name}.raucb"));
        let mut command = self.rauc().command();
        command.arg("bundle").arg("--cert").arg(&signer.certificate).arg("--key").arg(&signer.key);
        if let Some(intermediate) = &signer.intermediate {
            command.arg("--intermediate").arg(intermediate);
        }
        if let Some(clock) = signer.clock {
            tools::at(&mut command, clock);
        }
        run(command.args([&content, &bundle]));
        bundle
    }

    /// The content of a bundle without anybody's signature.
    pub(crate) fn unsigned(&self, name: &str, recipe: &Recipe<'_>) -> PathBuf {
        let content = self.path(&format!("bundles/{name}.d"));
        recipe.write(&content);
        let bundle = self.path(&format!("bundles/{name}.raucb"));
        run(Command::new("mksquashfs").args([&content, &bundle]).args(["-quiet", "-no-progress"]));
        bundle
    }
}

impl Recipe<'_> {
    fn write(&self, content: &Path) {
        fs::create_dir(content).expect("a fresh name");
        let write = |name: &str, bytes: &[u8]| {
            fs::write(content.join(name), bytes).expect("an own directory is writable");
        };
        write("image.img", &self.image);
        let mut manifest = format!(
            "[update]\ncompatible={}\nversion={}\ndescription=contract test\nbuild=7\n\
             [bundle]\nformat={}\n",
            self.compatible, self.version, self.format
        );
        if let Some(script) = &self.post_install {
            write("hook.sh", format!("#!/bin/sh\n{script}\n").as_bytes());
            fs::set_permissions(content.join("hook.sh"), fs::Permissions::from_mode(0o755))
                .expect("an own file");
            manifest += "[hooks]\nfilename=hook.sh\n";
        }
        manifest += &format!("[image.{}]\nfilename=image.img\n", self.slot_class);
        if self.post_install.is_some() {
            manifest += "hooks=post-install\n";
        }
        if self.format == "verity" {
            manifest += "adaptive=block-hash-index\n";
        }
        if let Some(boot) = &self.boot {
            write("boot.img", boot);
            manifest += "[image.boot]\nfilename=boot.img\n";
        }
        write("manifest.raucm", manifest.as_bytes());
    }
}

/// Turns one byte over, `offset` bytes from the start, or from the end when negative.
pub(crate) fn damage(bundle: &Path, offset: i64) {
    let file = File::options().read(true).write(true).open(bundle).expect("an own file");
    let size = file.metadata().expect("an open file has a size").len();
    let at = if offset < 0 { size - offset.unsigned_abs() } else { offset.unsigned_abs() };
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).expect("the offset lies inside");
    file.write_all_at(&[!byte[0]], at).expect("an own file is writable");
}

/// Cuts the bundle off after `size` bytes.
pub(crate) fn truncate(bundle: &Path, size: u64) {
    let file = File::options().write(true).open(bundle).expect("an own file");
    file.set_len(size).expect("an own file is writable");
}

/// A point that an installation waits at until the test lets it go on.
pub(crate) struct Gate {
    pipe: PathBuf,
}

impl Gate {
    pub(crate) fn new(host: &RaucHost) -> Self {
        let pipe = host.path("gate");
        run(Command::new("mkfifo").arg(&pipe));
        Self { pipe }
    }

    /// The hook that waits: reading a pipe ends when somebody has opened and closed it.
    pub(crate) fn hook(&self) -> Option<String> {
        Some(format!("cat {}", self.pipe.display()))
    }

    /// Waits until the installation has come to the gate, then lets it go on.
    pub(crate) fn open(&self) {
        File::options()
            .write(true)
            .open(&self.pipe)
            .and_then(|mut pipe| pipe.write_all(b"\n"))
            .expect("an own pipe with a reader");
    }
}
