//! An OCI image layout in a tar archive: first where its files lie, then each of them under its digest.
//!
//! Always true: what is no part of a file is zero; no path leads anywhere, as nothing is unpacked; a blob that was
//! handed out whole has its digest and its size.

mod scan;

use super::oci::{Descriptor, Document};
use ring::digest::{Context, SHA256};
use scan::Scan;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use steadfast_core::Digest;

/// How long a document may be, in bytes. Documents are the only files that are read as a whole.
pub(super) const MAX_DOCUMENT: u64 = 4 << 20;
/// How many files an archive may have.
pub(super) const MAX_FILES: usize = 10_000;
/// The unit of a tar archive, in bytes; it ends with two of them in zeros.
pub(super) const BLOCK: u64 = 512;
/// How much is copied at once, in bytes.
const CHUNK: usize = 64 << 10;

/// Why an archive is no image layout, or not a whole one.
#[derive(Debug, thiserror::Error)]
pub enum LayoutError {
    /// The file system does not give it.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// It is a compressed file.
    #[error("it is compressed with {0}: unpack it first, an archive is taken as a plain tar file")]
    Compressed(&'static str),
    /// A header makes no sense.
    #[error("it is no tar archive, or damaged after {after}")]
    NotTar {
        /// The last file before.
        after: String,
        /// Why.
        source: io::Error,
    },
    /// It ends within a file, or without the two blocks of zeros.
    #[error("it is cut off in or after {0}")]
    CutOff(String),
    /// There is something between or behind the files.
    #[error("it has bytes that belong to no file after {0}")]
    Between(String),
    /// A name that no image layout has.
    #[error("it has the file {0}, which is no part of an OCI image layout")]
    Path(String),
    /// A link, a device or the like.
    #[error("it has {name}, which is {kind}; an image layout has files and folders only")]
    Kind {
        /// Its name.
        name: String,
        /// What it is.
        kind: &'static str,
    },
    /// Two files of one name.
    #[error("it has the file {0} twice")]
    Twice(String),
    /// More than [`MAX_FILES`].
    #[error("it has more than {MAX_FILES} files")]
    Many,
    /// What `docker save` wrote before it knew OCI.
    #[error(
        "it is a docker-archive, whose layers are not named by their digests: save the image as an OCI layout"
    )]
    DockerArchive,
    /// A file that every layout has.
    #[error("it has no {0}, so it is no OCI image layout")]
    NoLayout(&'static str),
    /// A layout of another version.
    #[error("it is an image layout of version {0}, and 1.0.0 is known")]
    Version(String),
    /// A blob that a document names.
    #[error("the blob sha256:{0} is missing")]
    Missing(Digest),
    /// A blob of another length.
    #[error("the blob sha256:{digest} has {found} bytes, and {wanted} are named")]
    Size {
        /// Its digest.
        digest: Digest,
        /// What the document says, in bytes.
        wanted: u64,
        /// What is there, in bytes.
        found: u64,
    },
    /// A blob with other content.
    #[error("the blob sha256:{0} has another digest: it is damaged or was altered")]
    Digest(Digest),
    /// A document of more than [`MAX_DOCUMENT`] bytes.
    #[error("{name} has {size} bytes, and a document has {MAX_DOCUMENT} at most")]
    Long {
        /// Its name.
        name: String,
        /// Its length, in bytes.
        size: u64,
    },
    /// A document that cannot be read.
    #[error("{name} is not what it should be")]
    Document {
        /// Its name.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A document that says of itself that it is something else.
    #[error("{name} is called {wanted}, and says of itself that it is {found}")]
    Other {
        /// Its name.
        name: String,
        /// Its media type in what leads to it.
        wanted: String,
        /// Its own words.
        found: String,
    },
}

/// Why a blob was not copied: it could not be read, or not be written.
#[derive(Debug)]
pub(super) enum CopyError {
    From(LayoutError),
    To(io::Error),
}

/// What becomes of files that an image layout may have beside its own.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Extra {
    /// The archive is refused: each byte of a set is vouched for.
    Refused,
    /// They are passed over: `docker save` writes some.
    PassedOver,
}

/// An archive, open, and where its files lie.
#[derive(Debug)]
pub(super) struct Layout {
    file: File,
    files: BTreeMap<String, Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    at: u64,
    size: u64,
}

impl Layout {
    /// Looks for the files of the archive. Of their contents nothing is read but the layout's version.
    pub(super) fn open(path: &Path, extra: Extra) -> Result<Layout, LayoutError> {
        let file = File::open(path).map_err(LayoutError::Read)?;
        let length = file.metadata().map_err(LayoutError::Read)?.len();
        plain(&file)?;
        let mut scan =
            Scan { file: &file, length, extra, files: BTreeMap::new(), last: "its start".into() };
        let end = scan.files()?;
        scan.zeros(end, length)?;
        if length < end + 2 * BLOCK {
            return Err(LayoutError::CutOff(scan.last));
        }
        let files = scan.files;
        let layout = Layout { file, files };
        layout.version()?;
        Ok(layout)
    }

    fn version(&self) -> Result<(), LayoutError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Version {
            image_layout_version: String,
        }
        if !self.files.contains_key("oci-layout") && self.files.contains_key("manifest.json") {
            return Err(LayoutError::DockerArchive);
        }
        let bytes = self.named("oci-layout")?;
        let version: Version = read("oci-layout", &bytes)?;
        match version.image_layout_version.as_str() {
            "1.0.0" => Ok(()),
            other => Err(LayoutError::Version(other.to_owned())),
        }
    }

    /// `index.json`.
    pub(super) fn index<T: Document>(&self) -> Result<T, LayoutError> {
        document("index.json", super::oci::INDEX, &self.named("index.json")?)
    }

    fn named(&self, name: &'static str) -> Result<Vec<u8>, LayoutError> {
        let place = self.files.get(name).ok_or(LayoutError::NoLayout(name))?;
        self.whole(name, *place)
    }

    /// All bytes of a file, which is a document.
    fn whole(&self, name: &str, Place { at, size }: Place) -> Result<Vec<u8>, LayoutError> {
        let length = usize::try_from(size).ok().filter(|_| size <= MAX_DOCUMENT);
        let name = name.to_owned();
        let mut bytes = vec![0; length.ok_or(LayoutError::Long { name, size })?];
        self.file.read_exact_at(&mut bytes, at).map_err(LayoutError::Read)?;
        Ok(bytes)
    }

    /// Where a blob lies that is there with this size.
    fn place(&self, blob: &Descriptor) -> Result<Place, LayoutError> {
        let Descriptor { digest, size: wanted, .. } = *blob;
        let place = self.files.get(&path(&digest)).ok_or(LayoutError::Missing(digest))?;
        match place.size == wanted {
            true => Ok(*place),
            false => Err(LayoutError::Size { digest, wanted, found: place.size }),
        }
    }

    /// Whether a blob is there with this size; its content is not looked at.
    pub(super) fn holds(&self, blob: &Descriptor) -> Result<(), LayoutError> {
        self.place(blob).map(drop)
    }

    /// The bytes of a document, under its digest.
    pub(super) fn bytes(&self, blob: &Descriptor) -> Result<Vec<u8>, LayoutError> {
        let bytes = self.whole(&path(&blob.digest), self.place(blob)?)?;
        match crate::ledger_file::sha256(&bytes) == blob.digest {
            true => Ok(bytes),
            false => Err(LayoutError::Digest(blob.digest)),
        }
    }

    /// A document, under its digest.
    pub(super) fn document<T: Document>(&self, blob: &Descriptor) -> Result<T, LayoutError> {
        document(&path(&blob.digest), &blob.media_type, &self.bytes(blob)?)
    }

    /// A document of another kind, under its digest.
    pub(super) fn json<T: for<'d> Deserialize<'d>>(
        &self,
        blob: &Descriptor,
    ) -> Result<T, LayoutError> {
        read(&path(&blob.digest), &self.bytes(blob)?)
    }

    /// Copies a blob. What was written is whole and right only when this ends well.
    pub(super) fn copy(&self, blob: &Descriptor, to: &mut dyn Write) -> Result<(), CopyError> {
        let Place { at, size } = self.place(blob).map_err(CopyError::From)?;
        let mut context = Context::new(&SHA256);
        let mut chunk = vec![0; CHUNK];
        let mut done = 0;
        while done < size {
            let count = usize::try_from(size - done).map_or(CHUNK, |left| left.min(CHUNK));
            let read = self.file.read_exact_at(&mut chunk[..count], at + done);
            read.map_err(|error| CopyError::From(LayoutError::Read(error)))?;
            context.update(&chunk[..count]);
            to.write_all(&chunk[..count]).map_err(CopyError::To)?;
            done += count as u64;
        }
        match context.finish().as_ref() == blob.digest.0 {
            true => Ok(()),
            false => Err(CopyError::From(LayoutError::Digest(blob.digest))),
        }
    }

    /// Reads a blob to its end.
    pub(super) fn verify(&self, blob: &Descriptor) -> Result<(), LayoutError> {
        match self.copy(blob, &mut io::sink()) {
            Ok(()) => Ok(()),
            Err(CopyError::From(error)) => Err(error),
            Err(CopyError::To(error)) => Err(LayoutError::Read(error)),
        }
    }

    /// The digests of all blobs that are there.
    pub(super) fn blobs(&self) -> impl Iterator<Item = Digest> {
        self.files.keys().filter_map(|name| Digest::from_hex(name.strip_prefix(BLOBS)?))
    }
}

const BLOBS: &str = "blobs/sha256/";

/// The name of a blob in the archive.
pub(super) fn path(digest: &Digest) -> String {
    format!("{BLOBS}{digest}")
}

fn read<T: for<'d> Deserialize<'d>>(name: &str, bytes: &[u8]) -> Result<T, LayoutError> {
    let name = || name.to_owned();
    serde_json::from_slice(bytes).map_err(|source| LayoutError::Document { name: name(), source })
}

fn document<T: Document>(name: &str, media_type: &str, bytes: &[u8]) -> Result<T, LayoutError> {
    let document: T = read(name, bytes)?;
    let (version, own) = document.says();
    let found = match own {
        _ if version != 2 => format!("of schema version {version}"),
        Some(own) if own != media_type => own.to_owned(),
        _ => return Ok(document),
    };
    Err(LayoutError::Other { name: name.to_owned(), wanted: media_type.to_owned(), found })
}

/// Refuses what is compressed, by its first bytes.
fn plain(file: &File) -> Result<(), LayoutError> {
    let mut start = [0; 6];
    let read = file.read_at(&mut start, 0).map_err(LayoutError::Read)?;
    let known: [(&[u8], &str); 4] = [
        (b"\x1f\x8b", "gzip"),
        (b"\x28\xb5\x2f\xfd", "zstd"),
        (b"\xfd7zXZ\0", "xz"),
        (b"BZh", "bzip2"),
    ];
    let found = known.iter().find(|(magic, _)| start[..read].starts_with(magic));
    found.map_or(Ok(()), |(_, name)| Err(LayoutError::Compressed(name)))
}
