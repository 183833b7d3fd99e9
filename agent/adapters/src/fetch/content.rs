//! The SHA-256 of a file, as it lies on its disk.

use ring::digest::{Context, SHA256};
use std::io::{Error, ErrorKind};
use std::path::Path;
use std::time::Duration;
use steadfast_core::Digest;
use tokio::io::AsyncReadExt;
use tokio::time::timeout;

/// How much is read at once, in bytes.
const BLOCK: usize = 64 << 10;

/// Reads the file to its end. A medium that gives nothing for `limit` is given up.
pub async fn sha256(path: &Path, limit: Duration) -> Result<Digest, Error> {
    let late = |_| Error::new(ErrorKind::TimedOut, format!("nothing came for {limit:?}"));
    let mut file = timeout(limit, tokio::fs::File::open(path)).await.map_err(late)??;
    let mut context = Context::new(&SHA256);
    let mut block = vec![0; BLOCK];
    loop {
        let count = timeout(limit, file.read(&mut block)).await.map_err(late)??;
        if count == 0 {
            break;
        }
        context.update(&block[..count]);
    }
    let mut digest = Digest::ZERO;
    digest.0.copy_from_slice(context.finish().as_ref());
    Ok(digest)
}
