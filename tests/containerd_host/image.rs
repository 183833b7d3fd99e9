//! A workload set whose image is this machine's static busybox.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use steadfast_adapters::ledger_file::sha256;
use steadfast_adapters::workload_set::{Given, Recipe, build};

use super::IMAGE;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// This machine's architecture, as OCI calls it.
pub(crate) fn architecture() -> &'static str {
    if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" }
}

/// The archive of a set with one pod, made in this folder.
pub(crate) fn set(folder: &Path) -> PathBuf {
    let set = folder.join("set.tar");
    if set.exists() {
        return set;
    }
    let manifests = folder.join("manifests");
    fs::create_dir_all(&manifests).expect("an own folder is writable");
    let pod = format!(
        "apiVersion: v1\nkind: Pod\nmetadata: {{name: contract}}\nspec:\n  containers:\n  - {{name: core, image: '{IMAGE}'}}\n"
    );
    fs::write(manifests.join("pod.yaml"), pod).expect("an own folder is writable");
    let archive = folder.join("image.tar");
    fs::write(&archive, layout()).expect("an own folder is writable");
    let images = [Given { reference: IMAGE.to_owned(), archive }];
    let recipe = Recipe {
        manifests: &manifests,
        generation: 1,
        minimum_os: None,
        images: &images,
        architecture: architecture(),
    };
    build(&recipe, &set).unwrap_or_else(|error| panic!("{}", steadfast_adapters::chain(&error)));
    set
}

/// An image of two layers as an OCI image layout in a tar file: the program, and a file on top of it.
fn layout() -> Vec<u8> {
    let busybox = fs::read("/bin/busybox").expect("busybox-static is installed: cargo lab setup");
    let lower = tar(&[("bin/busybox", 0o755, &busybox), ("etc/release", 0o644, b"lower\n")]);
    let upper = tar(&[("etc/release", 0o644, b"upper\n")]);
    let mut files = vec![("oci-layout".to_owned(), br#"{"imageLayoutVersion":"1.0.0"}"#.to_vec())];
    let mut blob = |media_type: &str, bytes: Vec<u8>| {
        let (digest, size) = (sha256(&bytes), bytes.len());
        files.push((format!("blobs/sha256/{digest}"), bytes));
        json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": size })
    };
    let layers: Vec<Value> =
        [lower, upper].map(|layer| blob("application/vnd.oci.image.layer.v1.tar", layer)).to_vec();
    let diffs: Vec<&Value> = layers.iter().map(|layer| &layer["digest"]).collect();
    let config = json!({
        "architecture": architecture(), "os": "linux", "config": { "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": diffs },
    });
    let config = blob("application/vnd.oci.image.config.v1+json", config.to_string().into());
    let manifest =
        json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
    let manifest = blob(MANIFEST, manifest.to_string().into());
    let index = json!({ "schemaVersion": 2, "manifests": [manifest] });
    files.push(("index.json".to_owned(), index.to_string().into()));
    let files: Vec<_> =
        files.iter().map(|(name, it)| (name.as_str(), 0o644, it.as_slice())).collect();
    tar(&files)
}

fn tar(files: &[(&str, u32, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, mode, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(*mode);
        archive.append_data(&mut header, name, *bytes).expect("a vector takes everything");
    }
    archive.into_inner().expect("a vector takes everything")
}
