//! The promises of workload sets, by archives that are made here.

mod altered;
mod archives;
mod made;
mod signed;

use super::*;
use crate::manifest::Policy;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use steadfast_core::Version;
use tar::{EntryType, Header};

/// The files of an archive by their names.
type Files = BTreeMap<String, Vec<u8>>;

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";

fn blob(files: &mut Files, media_type: &str, bytes: Vec<u8>) -> Value {
    let digest = crate::ledger_file::sha256(&bytes);
    let size = bytes.len();
    files.insert(format!("blobs/sha256/{digest}"), bytes);
    json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size })
}

fn document(files: &mut Files, media_type: &str, value: &Value) -> Value {
    blob(files, media_type, value.to_string().into_bytes())
}

/// The document that this descriptor leads to.
fn at(files: &Files, descriptor: &Value) -> Value {
    let digest = descriptor["digest"].as_str().expect("a digest").replace(':', "/");
    serde_json::from_slice(&files[&format!("blobs/{digest}")]).expect("JSON")
}

/// An image of one layer: its manifest's descriptor.
fn image(files: &mut Files, architecture: &str, text: &str) -> Value {
    let layer = blob(files, LAYER, text.as_bytes().to_vec());
    let diff = layer["digest"].clone();
    let config = json!({
        "architecture": architecture, "os": "linux", "rootfs": { "type": "layers", "diff_ids": [diff] }
    });
    let config = document(files, CONFIG, &config);
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer] });
    document(files, MANIFEST, &manifest)
}

fn index(manifests: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests })
}

/// The files with `index.json` and `oci-layout`.
fn layout(mut files: Files, manifests: &[Value]) -> Files {
    files.insert("index.json".into(), index(manifests).to_string().into());
    files.insert("oci-layout".into(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec());
    files
}

/// One entry of a tar archive, with whatever name.
fn entry(name: &str, kind: EntryType, bytes: &[u8]) -> Vec<u8> {
    let mut header = Header::new_gnu();
    header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
    header.set_entry_type(kind);
    header.set_size(bytes.len() as u64);
    header.set_mode(0o600);
    header.set_mtime(1_700_000_000);
    header.set_uid(1000);
    header.set_gid(1000);
    header.set_cksum();
    let mut entry = header.as_bytes().to_vec();
    entry.extend(bytes);
    entry.resize(entry.len().next_multiple_of(512), 0);
    entry
}

/// A tar archive of these files, as another program would write it.
fn tar(files: &Files) -> Vec<u8> {
    let entries = files.iter().flat_map(|(name, it)| entry(name, EntryType::Regular, it));
    let mut tar: Vec<u8> = entries.collect();
    tar.resize((tar.len() + 1024).next_multiple_of(10240), 0);
    tar
}

/// The files of an archive that this program wrote.
fn untar(bytes: &[u8]) -> Files {
    let mut archive = tar::Archive::new(bytes);
    let entries = archive.entries().expect("a tar archive").map(|entry| {
        let mut entry = entry.expect("an entry");
        let name = entry.path().expect("a name").display().to_string();
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut entry, &mut bytes).expect("its bytes");
        (name, bytes)
    });
    entries.collect()
}

const POD: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: bridge}
spec:
  initContainers:
  - {name: first, image: press/setup:3}
  containers:
  - {name: main, image: press/bridge:1.8.2}
";

/// A folder with manifests and archives of images.
pub(crate) struct World {
    folder: tempfile::TempDir,
    images: Vec<Given>,
}

impl World {
    /// One pod of two images, all that it needs.
    pub(crate) fn new() -> World {
        let folder = tempfile::tempdir().expect("a folder");
        let mut world = World { folder, images: Vec::new() };
        std::fs::create_dir(world.manifests()).expect("writable");
        world.put("manifests/bridge.yaml", POD);
        for reference in ["press/setup:3", "press/bridge:1.8.2"] {
            let mut files = Files::new();
            let image = image(&mut files, "arm64", reference);
            world.give(reference, &tar(&layout(files, &[image])));
        }
        world
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn manifests(&self) -> PathBuf {
        self.path("manifests")
    }

    pub(crate) fn put(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        std::fs::write(self.path(name), bytes).expect("writable");
        self.path(name)
    }

    /// An archive with the image of this name, instead of the one before.
    fn give(&mut self, reference: &str, bytes: &[u8]) {
        let archive = self.put(&format!("{}.tar", reference.replace(['/', ':', '@'], "-")), bytes);
        self.images.retain(|given| given.reference != reference);
        self.images.push(Given { reference: reference.into(), archive });
    }

    fn build(&self) -> Result<WorkloadSet, SetError> {
        let recipe = Recipe {
            manifests: &self.manifests(),
            generation: 7,
            minimum_os: Version::new("2.4.0"),
            images: &self.images,
            architecture: "arm64",
        };
        build(&recipe, &self.set())
    }

    pub(crate) fn set(&self) -> PathBuf {
        self.path("press.tar")
    }

    /// The bytes of the set, which is made if it is not there.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        if !self.set().exists() {
            self.build().unwrap_or_else(|error| panic!("{}", crate::chain(&error)));
        }
        std::fs::read(self.set()).expect("a set")
    }

    /// A key: 32 times this byte.
    pub(crate) fn key(&self, seed: u8) -> SigningKey {
        let der = [&hex("302e020100300506032b657004220420")[..], &[seed; 32]].concat();
        let path = self.put("key.pem", pem("PRIVATE KEY", &der));
        SigningKey::read(&path).expect("a key")
    }

    pub(crate) fn keyring(&self, keys: &[&SigningKey]) -> Keyring {
        let blocks = keys.iter().map(|key| {
            let der = [&hex("302a300506032b6570032100")[..], key.public()].concat();
            pem("PUBLIC KEY", &der)
        });
        let path = self.put("keyring.pem", blocks.collect::<String>());
        Keyring::read(&path).expect("a keyring")
    }

    /// The set, signed with these keys.
    fn signed(&self, keys: &[&SigningKey]) -> Vec<u8> {
        self.bytes();
        for key in keys {
            sign(&self.set(), key).unwrap_or_else(|error| panic!("{}", crate::chain(&error)));
        }
        self.bytes()
    }

    /// What is read from these bytes.
    fn read(&self, bytes: &[u8], keyring: Option<&Keyring>) -> Result<WorkloadSet, SetError> {
        let policy = Policy::whole_node();
        let demands = Demands { keyring, architecture: Some("arm64"), policy: &policy };
        read(&self.put("read.tar", bytes), demands)
    }

    /// Why these bytes are refused.
    fn refused(&self, bytes: &[u8]) -> String {
        said(self.read(bytes, None))
    }
}

/// Why there is no set, from the first sentence to the last.
fn said(result: Result<WorkloadSet, SetError>) -> String {
    match result {
        Ok(set) => panic!("{set:?}"),
        Err(error) => crate::chain(&error),
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u32> = text.chars().filter_map(|digit| digit.to_digit(16)).collect();
    digits.chunks(2).map(|pair| (pair[0] * 16 + pair[1]) as u8).collect()
}

fn pem(label: &str, der: &[u8]) -> String {
    let symbols = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut inner = String::new();
    for group in der.chunks(3) {
        let bits = group.iter().fold(0, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - group.len()));
        for place in 0..4 {
            let symbol = symbols[(bits >> (18 - 6 * place) & 63) as usize];
            inner.push(if place > group.len() { '=' } else { symbol.into() });
        }
    }
    format!("-----BEGIN {label}-----\n{inner}\n-----END {label}-----\n")
}

/// Another set from a set: its documents are given to `change`, and what leads to them follows.
fn crafted(bytes: &[u8], change: impl FnOnce(&mut Value, &mut Value)) -> Vec<u8> {
    let mut files = untar(bytes);
    let roots: Value = serde_json::from_slice(&files["index.json"]).expect("JSON");
    let set_at = &roots["manifests"][0];
    let mut set = at(&files, set_at);
    let pods_at = set["manifests"][0].clone();
    let mut pods = at(&files, &pods_at);
    for old in [set_at, &pods_at] {
        let digest = old["digest"].as_str().expect("a digest").replace(':', "/");
        files.remove(&format!("blobs/{digest}"));
    }
    change(&mut set, &mut pods);
    let mut new = document(&mut files, MANIFEST, &pods);
    new["artifactType"] = pods_at["artifactType"].clone();
    if set["manifests"][0]["artifactType"] == new["artifactType"] {
        set["manifests"][0] = new;
    }
    let mut root = document(&mut files, INDEX, &set);
    root["artifactType"] = set_at["artifactType"].clone();
    tar(&layout(files, &[root]))
}
