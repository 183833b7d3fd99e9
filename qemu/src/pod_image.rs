//! Container images for the guests, made on the spot: busybox in an OCI image layout, without any registry.
//!
//! ```text
//! busybox of the board's images ─► layer (tar) ─► configuration ─► manifest ─► index ─► one archive
//! ```
//!
//! Always true: the same busybox makes the same bytes, and nothing in them says when, where or by whom they were made.

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};
use ring::digest::{SHA256, digest};
use serde_json::{Value, json};
use tar::{EntryType, Header};

/// The programs that busybox stands in for in a container.
const APPLETS: [&str; 34] = [
    "cat", "chmod", "cp", "date", "dd", "df", "echo", "env", "false", "grep", "head", "httpd",
    "id", "kill", "ln", "ls", "mkdir", "nc", "ps", "rm", "seq", "sh", "sleep", "stat", "sync",
    "tail", "test", "touch", "tr", "true", "wc", "wget", "whoami", "yes",
];
/// The unit of a tar archive, in bytes; it ends with two of them in zeros.
const BLOCK: usize = 512;
const ACCOUNTS: &str = "root:x:0:0:root:/:/bin/sh\napp:x:1000:1000:app:/www:/bin/sh\n";
const GROUPS: &str = "root:x:0:\napp:x:1000:\n";
/// What the web server of the image answers.
pub(crate) const PAGE: &str = "steadfast\n";

/// How the layer of an image is kept in its archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layer {
    /// As it is.
    Plain,
    /// By gzip.
    Compressed,
}

/// One image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PodImage {
    /// As the manifests name it.
    pub(crate) reference: &'static str,
    /// How its layer is kept.
    pub(crate) layer: Layer,
    /// What it runs when a manifest says nothing else, and as whom.
    run: Run,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Run {
    /// A shell, as root.
    Shell,
    /// A web server of the folder /www on port 8080, as the user `app`.
    WebServer,
}

/// A shell and its tools.
pub(crate) const BUSYBOX: PodImage =
    PodImage { reference: "lab/busybox:1", layer: Layer::Plain, run: Run::Shell };
/// A web server with a user, an entrypoint and a folder of its own.
pub(crate) const WEB: PodImage =
    PodImage { reference: "lab/web:1", layer: Layer::Compressed, run: Run::WebServer };

impl PodImage {
    /// File name of its archive.
    pub(crate) fn file_name(&self) -> String {
        format!("{}.tar", self.reference.replace(['/', ':'], "-"))
    }

    /// The archive with the image in it, for an architecture as OCI calls it.
    pub(crate) fn archive(&self, busybox: &[u8], architecture: &str) -> Result<Vec<u8>> {
        let files = layer(busybox)?;
        let diff_id = named(&files);
        let (kind, blob) = match self.layer {
            Layer::Plain => ("application/vnd.oci.image.layer.v1.tar", files),
            Layer::Compressed => ("application/vnd.oci.image.layer.v1.tar+gzip", gzip(&files)?),
        };
        let mut blobs = Blobs::default();
        let layer = blobs.add(kind, blob);
        let platform = json!({"architecture": architecture, "os": "linux"});
        let mut configuration = platform.clone();
        configuration["config"] = self.run.configuration();
        configuration["rootfs"] = json!({"type": "layers", "diff_ids": [diff_id]});
        let configuration =
            blobs.document("application/vnd.oci.image.config.v1+json", &configuration);
        let kind = "application/vnd.oci.image.manifest.v1+json";
        let manifest = json!({"schemaVersion": 2, "mediaType": kind, "config": configuration, "layers": [layer]});
        let mut manifest = blobs.document(kind, &manifest);
        manifest["platform"] = platform;
        manifest["annotations"] = json!({"org.opencontainers.image.ref.name": self.reference});
        let kind = "application/vnd.oci.image.index.v1+json";
        blobs.layout(&json!({"schemaVersion": 2, "mediaType": kind, "manifests": [manifest]}))
    }
}

impl Run {
    fn configuration(self) -> Value {
        match self {
            Self::Shell => json!({"Env": ["PATH=/bin"], "Cmd": ["sh"]}),
            Self::WebServer => json!({
                "User": "app", "Env": ["PATH=/bin"], "Entrypoint": ["httpd", "-f", "-v", "-p", "8080"],
                "Cmd": ["-h", "/www"], "WorkingDir": "/www", "StopSignal": "SIGKILL",
            }),
        }
    }
}

/// The blobs of an archive by their digests.
#[derive(Default)]
struct Blobs(BTreeMap<String, Vec<u8>>);

impl Blobs {
    /// Takes a blob in; the answer is what points to it.
    fn add(&mut self, kind: &str, bytes: Vec<u8>) -> Value {
        let (digest, size) = (named(&bytes), bytes.len());
        self.0.insert(digest.clone(), bytes);
        json!({"mediaType": kind, "digest": digest, "size": size})
    }

    fn document(&mut self, kind: &str, document: &Value) -> Value {
        self.add(kind, document.to_string().into_bytes())
    }

    /// The whole layout, whose index this is.
    fn layout(self, index: &Value) -> Result<Vec<u8>> {
        let mut files: BTreeMap<String, Vec<u8>> = self
            .0
            .into_iter()
            .map(|(digest, bytes)| (format!("blobs/{}", digest.replace(':', "/")), bytes))
            .collect();
        files.insert("index.json".into(), index.to_string().into_bytes());
        files.insert("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
        let mut archive = Archive::default();
        for (name, bytes) in &files {
            archive.file(name, 0o644, bytes)?;
        }
        Ok(archive.end())
    }
}

/// The root file system of every image.
fn layer(busybox: &[u8]) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    archive.folder("bin/", 0o755)?;
    archive.file("bin/busybox", 0o755, busybox)?;
    for applet in APPLETS {
        archive.link(&format!("bin/{applet}"), "busybox")?;
    }
    archive.folder("etc/", 0o755)?;
    archive.file("etc/group", 0o644, GROUPS.as_bytes())?;
    archive.file("etc/passwd", 0o644, ACCOUNTS.as_bytes())?;
    archive.folder("tmp/", 0o1777)?;
    archive.folder("www/", 0o755)?;
    archive.file("www/index.html", 0o644, PAGE.as_bytes())?;
    Ok(archive.end())
}

/// A tar archive in the making; its files are of root and from 1970.
#[derive(Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn file(&mut self, name: &str, mode: u32, bytes: &[u8]) -> Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Regular);
        header.set_size(bytes.len().try_into()?);
        self.entry(header, name, mode)?;
        self.0.extend_from_slice(bytes);
        self.0.resize(self.0.len().next_multiple_of(BLOCK), 0);
        Ok(())
    }

    fn folder(&mut self, name: &str, mode: u32) -> Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Directory);
        header.set_size(0);
        self.entry(header, name, mode)
    }

    fn link(&mut self, name: &str, to: &str) -> Result<()> {
        let mut header = Header::new_ustar();
        header.set_entry_type(EntryType::Symlink);
        header.set_size(0);
        header.set_link_name(to)?;
        self.entry(header, name, 0o777)
    }

    fn entry(&mut self, mut header: Header, name: &str, mode: u32) -> Result<()> {
        header.set_path(name).with_context(|| format!("{name} is no name for a tar archive"))?;
        header.set_mode(mode);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(0);
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        Ok(())
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 2 * BLOCK, 0);
        self.0
    }
}

/// The digest of `bytes` as OCI writes it.
fn named(bytes: &[u8]) -> String {
    let hex: String =
        digest(&SHA256, bytes).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    format!("sha256:{hex}")
}

/// `bytes` as gzip writes them, without a name or a time.
fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut gzip = Command::new("gzip")
        .args(["--no-name", "--stdout"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("gzip does not start")?;
    let mut input = gzip.stdin.take().expect("it was asked for");
    let out = std::thread::scope(|scope| {
        // Beside the reading: a full pipe would stop both.
        let writing = scope.spawn(move || input.write_all(bytes));
        let out = gzip.wait_with_output();
        writing.join().expect("a write does not panic")?;
        out
    })?;
    ensure!(out.status.success(), "gzip ended with {}", out.status);
    Ok(out.stdout)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    /// The files of a tar archive with their kinds and modes.
    fn entries(archive: &[u8]) -> Vec<(String, EntryType, u32, Vec<u8>)> {
        let mut archive = tar::Archive::new(archive);
        let entries = archive.entries().expect("it is one");
        let read = entries.map(|entry| {
            let mut entry = entry.expect("it is whole");
            let header = entry.header().clone();
            let mut bytes = Vec::new();
            std::io::copy(&mut entry, &mut bytes).expect("it is whole");
            let name = header.path().expect("a name").display().to_string();
            (name, header.entry_type(), header.mode().expect("a mode"), bytes)
        });
        read.collect()
    }

    fn blobs(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        entries(archive).into_iter().map(|(name, _, _, bytes)| (name, bytes)).collect()
    }

    fn read(blobs: &BTreeMap<String, Vec<u8>>, descriptor: &Value) -> Vec<u8> {
        let digest = descriptor["digest"].as_str().expect("a digest");
        let bytes = &blobs[&format!("blobs/{}", digest.replace(':', "/"))];
        assert_eq!(descriptor["size"], bytes.len());
        bytes.clone()
    }

    fn json_of(bytes: &[u8]) -> Value {
        serde_json::from_slice(bytes).expect("a document")
    }

    #[test]
    fn the_same_busybox_makes_the_same_bytes() {
        for image in [BUSYBOX, WEB] {
            let made = || image.archive(b"a program", "arm64").expect("it is made");
            assert_eq!(made(), made());
            assert_ne!(made(), image.archive(b"another", "arm64").expect("it is made"));
        }
        let image = BUSYBOX.archive(b"a program", "arm64").expect("it is made");
        let known = "sha256:f7063392fe6b445b2107ca9a4059ef1b6a99be834489810dbda390a27144f3f8";
        assert_eq!(named(&image), known);
    }

    #[test]
    fn everything_in_an_archive_is_named_by_its_digest_and_led_to() {
        for image in [BUSYBOX, WEB] {
            let archive = image.archive(b"a program", "arm64").expect("it is made");
            let blobs = blobs(&archive);
            for (name, bytes) in blobs.iter().filter(|(name, _)| name.starts_with("blobs/")) {
                assert_eq!(format!("blobs/{}", named(bytes).replace(':', "/")), *name);
            }
            let index = json_of(&blobs["index.json"]);
            let to_manifest = &index["manifests"][0];
            assert_eq!(to_manifest["platform"], json!({"architecture": "arm64", "os": "linux"}));
            let manifest = json_of(&read(&blobs, to_manifest));
            let configuration = json_of(&read(&blobs, &manifest["config"]));
            assert_eq!(configuration["architecture"], "arm64");
            let layer = read(&blobs, &manifest["layers"][0]);
            let plain = self::layer(b"a program").expect("it is made");
            assert_eq!(configuration["rootfs"]["diff_ids"], json!([named(&plain)]));
            assert_eq!(layer == plain, image.layer == Layer::Plain);
            assert_eq!(layer.starts_with(&[0x1f, 0x8b]), image.layer == Layer::Compressed);
            // Three documents or layers, the index and the version: nothing else.
            assert_eq!(blobs.len(), 5);
        }
    }

    #[test]
    fn a_container_has_busybox_its_applets_its_accounts_and_a_page() {
        let layer = layer(b"a program").expect("it is made");
        let entries = entries(&layer);
        let of = |name: &str| {
            let found = entries.iter().find(|(found, ..)| found == name).expect("it is there");
            (found.1, found.2)
        };
        assert_eq!(of("bin/busybox"), (EntryType::Regular, 0o755));
        assert_eq!(of("tmp/"), (EntryType::Directory, 0o1777));
        assert_eq!(of("www/index.html"), (EntryType::Regular, 0o644));
        for applet in APPLETS {
            assert_eq!(of(&format!("bin/{applet}")).0, EntryType::Symlink);
        }
        let names: BTreeSet<_> = entries.iter().map(|(name, ..)| name).collect();
        assert_eq!(names.len(), entries.len());
    }
}
