//! Fetches sets of Debian packages and keeps their files, unpacked by nobody's scripts, in the cache.
//!
//! ```text
//! (suite, arch, names, archives) -> key -> cache/packages/<key>/{files.tar, packages} -> unpack what is wanted
//! ```
//!
//! Always true: a folder named by its key is whole (it gets its name last); the same key gives the same files
//! until somebody asks for a refresh.
//!
//! Why extract only: running maintainer scripts of a foreign processor took 1,165 s where this takes 25.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, ensure};
use serde::Serialize;

use crate::host::Tool;
use crate::{digest, places};

/// One package whose files are in the image.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) arch: String,
    pub(crate) source: String,
    pub(crate) sha256: String,
}

/// What to fetch.
#[derive(Debug, Clone)]
pub(crate) struct Wanted {
    pub(crate) suite: String,
    pub(crate) arch: String,
    pub(crate) packages: Vec<String>,
}

/// A fetched set.
#[derive(Debug, Clone)]
pub(crate) struct PackageSet {
    folder: PathBuf,
    pub(crate) packages: Vec<Package>,
}

/// Writes each package's control fields and digest into the new root, from where the tar takes them along.
const RECORD: &str = r#"for deb in "$1"/var/cache/apt/archives/*.deb; do
dpkg-deb --field "$deb" Package Version Architecture Source; echo "SHA256: $(sha256sum <"$deb" | cut -d' ' -f1)"; echo
done > "$1/.packages""#;

impl Wanted {
    /// The set from the cache, fetched now when it is not there.
    pub(crate) fn fetch(&self, refresh: Refresh) -> Result<PackageSet> {
        let mut names = self.packages.clone();
        names.sort_unstable();
        names.dedup();
        let sources = sources(&self.suite);
        let recipe = format!("1 {} {} {names:?} {sources:?}", self.suite, self.arch);
        let folder = places::cache().join("packages").join(&digest::of_text(&recipe)[..16]);
        let _held = places::hold(&places::cache().join("packages"))?;
        if refresh == Refresh::Now {
            places::gone(fs::remove_dir_all(&folder))?;
        }
        if !folder.exists() {
            self.fill(&folder, &names.join(","), &sources)?;
        }
        let text = fs::read_to_string(folder.join("packages"))?;
        Ok(PackageSet { packages: parse(&text)?, folder })
    }

    fn fill(&self, folder: &Path, names: &str, sources: &[String]) -> Result<()> {
        eprintln!("fetching   Debian {} {}: {names}", self.suite, self.arch);
        let making = folder.with_extension("making");
        places::gone(fs::remove_dir_all(&making))?;
        fs::create_dir_all(&making)?;
        let tar = making.join("files.tar");
        Tool::new("mmdebstrap")
            .args(["--quiet", "--variant=extract", "--skip=check/qemu", "--format=tar"])
            .arg(format!("--architectures={}", self.arch))
            .args([
                "--aptopt=Apt::Install-Recommends \"false\"",
                "--aptopt=Acquire::Languages \"none\"",
            ])
            .arg(format!("--extract-hook={RECORD}"))
            .arg(format!("--include={names}"))
            .arg(&self.suite)
            .arg(&tar)
            .args(sources)
            .run()
            .context("the Debian packages were not fetched")?;
        let list = Tool::new("tar").args(["--extract", "--to-stdout", "--file"]).arg(&tar);
        fs::write(making.join("packages"), list.arg("./.packages").run()?)?;
        fs::rename(&making, folder)?;
        Ok(())
    }
}

/// Whether a set that is in the cache is fetched again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refresh {
    /// Keep what is there.
    Never,
    /// The archive may have newer versions.
    Now,
}

impl PackageSet {
    /// Unpacks all files except `leave_out` (patterns for tar) into `target`.
    pub(crate) fn unpack(&self, target: &Path, leave_out: &[String]) -> Result<()> {
        fs::create_dir_all(target)?;
        Tool::new("tar")
            .args([
                "--extract",
                "--no-same-owner",
                "--same-permissions",
                "--wildcards",
                "--anchored",
            ])
            .args(leave_out.iter().map(|pattern| format!("--exclude={pattern}")))
            // Device nodes need root, and nobody needs them: the kernel makes its own.
            .args(["--exclude=./.packages", "--exclude=./dev/*", "--file"])
            .arg(self.folder.join("files.tar"))
            .arg("--directory")
            .arg(target)
            .run()
            .map(drop)
    }

    /// The set's files as a folder in the cache, unpacked once; `finish` runs once after that.
    pub(crate) fn unpacked(&self, finish: fn(&Path) -> Result<()>) -> Result<PathBuf> {
        let _held = places::hold(&self.folder)?;
        let files = self.folder.join("files");
        if !files.exists() {
            let making = self.folder.join("files.making");
            places::gone(fs::remove_dir_all(&making))?;
            self.unpack(&making, &[])?;
            finish(&making)?;
            fs::rename(&making, &files)?;
        }
        Ok(files)
    }
}

/// The paragraphs that [`RECORD`] wrote, sorted by name.
fn parse(text: &str) -> Result<Vec<Package>> {
    let field = |paragraph: &str, name: &str| {
        let start = format!("{name}: ");
        paragraph.lines().find_map(|line| line.strip_prefix(&start)).map(str::to_owned)
    };
    let mut packages = Vec::new();
    for paragraph in text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty()) {
        let needed = |name: &str| {
            field(paragraph, name).with_context(|| format!("a package has no {name}: {paragraph}"))
        };
        let name = needed("Package")?;
        packages.push(Package {
            // "Source: glibc (2.41-12)" names a version of its own when it differs.
            source: field(paragraph, "Source")
                .and_then(|source| source.split(' ').next().map(str::to_owned))
                .unwrap_or_else(|| name.clone()),
            version: needed("Version")?,
            arch: needed("Architecture")?,
            sha256: needed("SHA256")?,
            name,
        });
    }
    ensure!(!packages.is_empty(), "the package list is empty");
    packages.sort();
    Ok(packages)
}

/// The archives to use: as told, else those this Debian uses itself, else (none) the tool's own default.
fn sources(suite: &str) -> Vec<String> {
    if let Ok(told) = std::env::var("STEADFAST_DEBIAN_MIRROR") {
        return vec![told];
    }
    let targets = Tool::new("apt-get")
        .args(["indextargets", "--format", "$(ORIGIN) $(LABEL) $(REPO_URI)"])
        .text();
    targets.map(|targets| host_sources(&targets, suite)).unwrap_or_default()
}

fn host_sources(targets: &str, suite: &str) -> Vec<String> {
    let uri = |label: &str| {
        let uri = targets.lines().find_map(|line| line.strip_prefix(label))?;
        Some(uri.trim_end_matches('/').to_owned())
    };
    let Some(main) = uri("Debian Debian ") else { return Vec::new() };
    let mut sources =
        vec![format!("deb {main} {suite} main"), format!("deb {main} {suite}-updates main")];
    if let Some(security) = uri("Debian Debian-Security ") {
        sources.push(format!("deb {security} {suite}-security main"));
    }
    sources
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_recorded_package_keeps_its_source_and_digest() {
        let text = "Package: libc6\nVersion: 2.41-12\nArchitecture: arm64\nSource: glibc (2.41)\n\
                    SHA256: 00ff\n\nPackage: dash\nVersion: 0.5\nArchitecture: arm64\nSHA256: 11\n\n";
        let packages = parse(text).expect("both are whole");
        let seen: Vec<_> = packages.iter().map(|p| (p.name.as_str(), p.source.as_str())).collect();
        assert_eq!(seen, [("dash", "dash"), ("libc6", "glibc")]);
        assert_eq!(packages[1].sha256, "00ff");
    }

    #[test]
    fn a_package_without_a_digest_is_refused() {
        assert!(parse("Package: dash\nVersion: 0.5\nArchitecture: arm64\n\n").is_err());
        assert!(parse("").is_err());
    }

    #[test]
    fn the_sources_are_the_hosts_own_for_the_images_suite() {
        let targets = "Debian Debian-Security http://s.invalid/debian-security/\n\
                       Other Other http://o.invalid/\nDebian Debian http://m.invalid/debian/\n";
        assert_eq!(
            host_sources(targets, "trixie"),
            [
                "deb http://m.invalid/debian trixie main",
                "deb http://m.invalid/debian trixie-updates main",
                "deb http://s.invalid/debian-security trixie-security main",
            ]
        );
        assert!(host_sources("Ubuntu Ubuntu http://u.invalid/ubuntu/\n", "trixie").is_empty());
    }
}
