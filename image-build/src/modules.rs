//! Picks kernel modules with everything they depend on, in an order in which they load.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::host::Tool;

/// The modules of one kernel, as `depmod` described them.
#[derive(Debug)]
pub(crate) struct Modules {
    /// `usr/lib/modules/<version>`.
    folder: PathBuf,
    /// The kernel's version.
    pub(crate) version: String,
    /// Module name (with `_`) to its file and the files it needs.
    by_name: BTreeMap<String, (String, Vec<String>)>,
    built_in: Vec<String>,
}

impl Modules {
    /// The only kernel below `usr`.
    pub(crate) fn below(usr: &Path) -> Result<Self> {
        let modules = usr.join("lib/modules");
        let entries = fs::read_dir(&modules)
            .with_context(|| format!("{} was not read", modules.display()))?;
        let mut versions: Vec<String> = entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .collect();
        let (Some(version), None) = (versions.pop(), versions.pop()) else {
            bail!("{} does not hold exactly one kernel", modules.display())
        };
        let folder = modules.join(&version);
        let dependencies = fs::read_to_string(folder.join("modules.dep"))?;
        let built_in = fs::read_to_string(folder.join("modules.builtin"))?;
        let built_in = built_in.lines().map(name_of).collect();
        Ok(Self { by_name: parse(&dependencies), folder, version, built_in })
    }

    /// The files of `names` and of all they need, relative to the kernel's folder, each after its needs.
    pub(crate) fn with_needs(&self, names: &[String]) -> Result<Vec<String>> {
        let mut files: Vec<String> = Vec::new();
        for name in names {
            let name = name.replace('-', "_");
            let Some((file, needs)) = self.by_name.get(&name) else {
                if self.built_in.contains(&name) {
                    continue;
                }
                bail!("kernel {} has no module {name}", self.version)
            };
            // depmod lists the nearest need first.
            for file in needs.iter().rev().chain([file]) {
                if !files.contains(file) {
                    files.push(file.clone());
                }
            }
        }
        Ok(files)
    }

    /// Copies `file` to `target` without its compression.
    pub(crate) fn copy(&self, file: &str, target: &Path) -> Result<()> {
        if let Some(parent) = target.parent() {
            fs::create_dir_all(parent)?;
        }
        let source = self.folder.join(file);
        if file.ends_with(".xz") {
            let bytes = Tool::new("xz").args(["--decompress", "--stdout"]).arg(&source).run()?;
            fs::write(target, bytes)?;
        } else {
            fs::copy(&source, target)?;
        }
        Ok(())
    }

    /// Copies `names` with their needs into a root file system and describes them there.
    pub(crate) fn install(&self, names: &[String], root: &Path) -> Result<()> {
        let target = root.join("usr/lib/modules").join(&self.version);
        for file in self.with_needs(names)? {
            self.copy(&file, &target.join(plain(&file)))?;
        }
        for list in ["modules.order", "modules.builtin", "modules.builtin.modinfo"] {
            fs::copy(self.folder.join(list), target.join(list))?;
        }
        Tool::new("depmod").arg("--basedir").arg(root).arg(&self.version).run().map(drop)
    }
}

/// A module file's name without its compression.
pub(crate) fn plain(file: &str) -> &str {
    file.strip_suffix(".xz").unwrap_or(file)
}

fn name_of(file: &str) -> String {
    let base = plain(file).rsplit('/').next().unwrap_or(file);
    base.strip_suffix(".ko").unwrap_or(base).replace('-', "_")
}

fn parse(dependencies: &str) -> BTreeMap<String, (String, Vec<String>)> {
    let lines = dependencies.lines().filter_map(|line| line.split_once(':'));
    lines
        .map(|(file, needs)| {
            let needs = needs.split_whitespace().map(str::to_owned).collect();
            (name_of(file), (file.to_owned(), needs))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn modules() -> Modules {
        let dependencies = "kernel/md/dm-verity.ko.xz: kernel/md/dm-bufio.ko.xz kernel/md/dm-mod.ko.xz\n\
                            kernel/md/dm-bufio.ko.xz: kernel/md/dm-mod.ko.xz\nkernel/md/dm-mod.ko.xz:\n";
        Modules {
            folder: PathBuf::new(),
            version: "6".into(),
            by_name: parse(dependencies),
            built_in: vec!["fuse".into()],
        }
    }

    #[test]
    fn a_module_comes_after_what_it_needs_and_once() {
        let files = modules().with_needs(&["dm-mod".into(), "dm_verity".into()]).expect("known");
        let expected =
            ["kernel/md/dm-mod.ko.xz", "kernel/md/dm-bufio.ko.xz", "kernel/md/dm-verity.ko.xz"];
        assert_eq!(files, expected);
    }

    #[test]
    fn a_module_built_into_the_kernel_needs_no_file() {
        assert!(modules().with_needs(&["fuse".into()]).expect("built in").is_empty());
    }

    #[test]
    fn a_module_that_does_not_exist_is_named() {
        let error = modules().with_needs(&["nosuch".into()]).expect_err("there is none");
        assert!(error.to_string().contains("nosuch"), "{error}");
    }
}
