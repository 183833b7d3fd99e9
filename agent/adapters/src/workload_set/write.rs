//! An image layout into a tar archive: the same files make the same bytes.
//!
//! Always true: under its own name there is a whole archive or none; what was written is on the disk first.

use super::error::SetError;
use super::layout::{BLOCK, CopyError, Layout, path};
use super::oci::{Descriptor, Index, json};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use tar::{EntryType, Header};

const VERSION: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// What comes into an archive, by its name there.
#[derive(Default)]
pub(super) struct Contents<'l>(BTreeMap<String, Content<'l>>);

enum Content<'l> {
    Bytes(Vec<u8>),
    Blob(&'l Layout, Descriptor),
}

impl<'l> Contents<'l> {
    /// A document; the answer leads to it.
    pub(super) fn document(&mut self, media_type: &str, bytes: Vec<u8>) -> Descriptor {
        let descriptor = Descriptor::of(media_type, &bytes);
        self.0.insert(path(&descriptor.digest), Content::Bytes(bytes));
        descriptor
    }

    /// A blob of another archive. It is held against its digest as it is copied.
    pub(super) fn blob(&mut self, from: &'l Layout, blob: Descriptor) {
        self.0.insert(path(&blob.digest), Content::Blob(from, blob));
    }

    /// Writes the archive beside `out`, under the name of a part.
    pub(super) fn write(mut self, index: &Index, out: &Path) -> Result<Part, SetError> {
        self.0.insert("index.json".into(), Content::Bytes(json(index)));
        self.0.insert("oci-layout".into(), Content::Bytes(VERSION.to_vec()));
        let part = Part::beside(out);
        match self.write_to(&part.path) {
            Ok(()) => Ok(part),
            Err(CopyError::From(error)) => Err(error.into()),
            Err(CopyError::To(source)) => Err(part.failed(source)),
        }
    }

    fn write_to(&self, part: &Path) -> Result<(), CopyError> {
        let to = |error| CopyError::To(error);
        let _ = fs::remove_file(part);
        let mut out = BufWriter::new(File::create_new(part).map_err(to)?);
        for (name, content) in &self.0 {
            let size = content.size();
            out.write_all(header(name, size).map_err(to)?.as_bytes()).map_err(to)?;
            content.write(&mut out)?;
            zeros(&mut out, size.next_multiple_of(BLOCK) - size).map_err(to)?;
        }
        zeros(&mut out, 2 * BLOCK).map_err(to)?;
        let file = out.into_inner().map_err(|error| CopyError::To(error.into_error()))?;
        file.sync_all().map_err(to)
    }
}

impl Content<'_> {
    fn size(&self) -> u64 {
        match self {
            Content::Bytes(bytes) => bytes.len() as u64,
            Content::Blob(_, blob) => blob.size,
        }
    }

    fn write(&self, out: &mut dyn Write) -> Result<(), CopyError> {
        match self {
            Content::Bytes(bytes) => out.write_all(bytes).map_err(CopyError::To),
            Content::Blob(from, blob) => from.copy(blob, out),
        }
    }
}

/// Of nobody, from 1970: the archive says what is in it and nothing of who made it and when.
fn header(name: &str, size: u64) -> io::Result<Header> {
    let mut header = Header::new_gnu();
    header.set_path(name)?;
    header.set_size(size);
    header.set_entry_type(EntryType::Regular);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_cksum();
    Ok(header)
}

fn zeros(out: &mut dyn Write, count: u64) -> io::Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), count), out).map(drop)
}

/// An archive that does not have its name yet. When it is let go it is removed.
pub(super) struct Part {
    path: PathBuf,
    out: PathBuf,
}

impl Part {
    fn beside(out: &Path) -> Part {
        let mut path = out.as_os_str().to_owned();
        path.push(".part");
        Part { path: path.into(), out: out.to_owned() }
    }

    /// Where it lies now.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    fn failed(&self, source: io::Error) -> SetError {
        SetError::Write { path: self.out.clone(), source }
    }

    /// Gives it its name, over whatever had it.
    pub(super) fn keep(self) -> Result<(), SetError> {
        fs::rename(&self.path, &self.out).map_err(|error| self.failed(error))?;
        let folder = self.out.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = File::open(folder.unwrap_or(Path::new(".")));
        folder.and_then(|folder| folder.sync_all()).map_err(|error| self.failed(error))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        // Once it was renamed there is nothing.
        let _ = fs::remove_file(&self.path);
    }
}
