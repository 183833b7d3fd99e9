//! Serves bundles to the guest over HTTP/1.1 with ranges, on loopback only, and counts what was asked.
//!
//! ```text
//! guest 10.0.2.2:PORT ─► QEMU's user network ─► 127.0.0.1:PORT ─► one thread a connection
//! ```
//!
//! It can be told to refuse, to stall, to break off or to be slow, because a source that does so is part of a node's
//! life.

mod pace;
mod range;
mod tls;

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use pace::Pace;
use range::Wanted;

pub(crate) use pace::Mood;
pub(crate) use tls::TlsServer;

/// A client that says nothing for so long is gone.
const IDLE_LIMIT: Duration = Duration::from_secs(300);
/// Longest request line or header line.
const LINE_LIMIT: u64 = 8 * 1024;

/// What was asked so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Count {
    /// Requests answered or refused.
    pub(crate) requests: u64,
    /// Those of them that were answered with a part of a file.
    pub(crate) ranges: u64,
    /// Bytes of files sent.
    pub(crate) bytes: u64,
}

/// A running server; dropping it stops it.
pub(crate) struct Server {
    port: u16,
    inside: Arc<Inside>,
}

struct Inside {
    folder: Mutex<PathBuf>,
    pace: Pace,
    requests: AtomicU64,
    ranges: AtomicU64,
    bytes: AtomicU64,
}

impl Server {
    /// Serves the files of `folder` on a free port of the loopback address.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        let listener =
            TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no free port on loopback")?;
        let port = listener.local_addr()?.port();
        let inside = Arc::new(Inside {
            folder: Mutex::new(folder.to_path_buf()),
            pace: Pace::new(),
            requests: AtomicU64::new(0),
            ranges: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
        });
        let server = Arc::clone(&inside);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                if server.pace.is_stopped() {
                    break;
                }
                let server = Arc::clone(&server);
                thread::spawn(move || server.connection(&stream));
            }
        });
        Ok(Self { port, inside })
    }

    /// The port on loopback.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Changes the behaviour, also of answers under way.
    pub(crate) fn set_mood(&self, mood: Mood) {
        self.inside.pace.set(mood);
    }

    /// Waits until an answer is held back or somebody is turned away, as the mood has it.
    pub(crate) fn await_kept(&self, limit: Duration) -> Result<()> {
        let held = self.inside.pace.await_kept(limit);
        ensure!(held, "within {} s nobody asked for what is kept from him", limit.as_secs());
        Ok(())
    }

    /// What was asked so far.
    pub(crate) fn count(&self) -> Count {
        Count {
            requests: self.inside.requests.load(Ordering::SeqCst),
            ranges: self.inside.ranges.load(Ordering::SeqCst),
            bytes: self.inside.bytes.load(Ordering::SeqCst),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.inside.pace.stop();
        // Wakes the thread that waits for connections.
        let _ = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port));
    }
}

impl Inside {
    fn connection(&self, stream: &TcpStream) {
        // A connection that breaks is the client's affair; the counters tell what it got.
        let _ = self.requests(stream);
        let _ = stream.shutdown(Shutdown::Both);
    }

    fn requests(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(IDLE_LIMIT))?;
        stream.set_nodelay(true)?;
        let mut lines = BufReader::new(stream.try_clone()?);
        while let Some(request) = Request::read(&mut lines)? {
            if self.pace.mood() == Mood::Away {
                self.pace.turned_away();
                break;
            }
            self.requests.fetch_add(1, Ordering::SeqCst);
            self.answer(stream, &request)?;
            if request.close || self.pace.is_stopped() {
                break;
            }
        }
        Ok(())
    }

    fn answer(&self, stream: &TcpStream, request: &Request) -> io::Result<()> {
        if self.pace.mood() == Mood::Refuse {
            return head(stream, "503 Service Unavailable", 0, "Retry-After: 1\r\n");
        }
        let body = match request.method.as_str() {
            "GET" => true,
            "HEAD" => false,
            _ => return head(stream, "405 Method Not Allowed", 0, "Allow: GET, HEAD\r\n"),
        };
        let Some((mut file, size)) = self.open(&request.path) else {
            return head(stream, "404 Not Found", 0, "");
        };
        let bytes = match range::wanted(request.range.as_deref(), size) {
            Wanted::Outside => {
                let extra = format!("Content-Range: bytes */{size}\r\n");
                return head(stream, "416 Range Not Satisfiable", 0, &extra);
            }
            Wanted::Whole => {
                head(stream, "200 OK", size, "Accept-Ranges: bytes\r\n")?;
                0..size
            }
            Wanted::Part(part) => {
                self.ranges.fetch_add(1, Ordering::SeqCst);
                let last = part.end - 1;
                let extra = format!("Content-Range: bytes {}-{last}/{size}\r\n", part.start);
                head(stream, "206 Partial Content", part.end - part.start, &extra)?;
                part
            }
        };
        if body {
            file.seek(SeekFrom::Start(bytes.start))?;
            self.send(stream, &mut file, bytes.end - bytes.start)?;
        }
        Ok(())
    }

    /// The file for a request path; only plain names below the folder exist.
    fn open(&self, path: &str) -> Option<(File, u64)> {
        let name = path.strip_prefix('/')?.split('?').next()?;
        if name.split('/').any(|part| part.is_empty() || part.starts_with('.')) {
            return None;
        }
        let folder = self.folder.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let file = File::open(folder.join(name)).ok()?;
        let facts = file.metadata().ok()?;
        facts.is_file().then_some((file, facts.len()))
    }

    fn send(&self, mut stream: &TcpStream, file: &mut File, length: u64) -> io::Result<()> {
        let mut chunk = vec![0_u8; 64 * 1024];
        let mut sent = 0;
        while sent < length {
            let wished = (length - sent).min(chunk.len() as u64);
            let may = self.pace.turn(sent, wished).ok_or(io::ErrorKind::ConnectionAborted)?;
            let part = &mut chunk[..usize::try_from(may).expect("a chunk's length fits")];
            file.read_exact(part)?;
            // Counted first: who has the bytes can rely on the count.
            self.bytes.fetch_add(may, Ordering::SeqCst);
            stream.write_all(part)?;
            sent += may;
        }
        Ok(())
    }
}

/// What the server needs to know of a request.
#[derive(Debug)]
struct Request {
    method: String,
    path: String,
    range: Option<String>,
    close: bool,
}

impl Request {
    /// The next request; `None` when the client has ended.
    fn read(lines: &mut impl BufRead) -> io::Result<Option<Self>> {
        let first = line(lines)?;
        let mut words = first.split_whitespace();
        let (Some(method), Some(path)) = (words.next(), words.next()) else { return Ok(None) };
        let old = words.next() == Some("HTTP/1.0");
        let mut request =
            Self { method: method.into(), path: path.into(), range: None, close: old };
        loop {
            let header = line(lines)?;
            if header.is_empty() {
                return Ok(Some(request));
            }
            let Some((name, value)) = header.split_once(':') else { continue };
            match name.to_ascii_lowercase().as_str() {
                "range" => request.range = Some(value.trim().to_owned()),
                "connection" => request.close = value.trim().eq_ignore_ascii_case("close"),
                _ => {}
            }
        }
    }
}

fn line(lines: &mut impl BufRead) -> io::Result<String> {
    let mut text = String::new();
    lines.by_ref().take(LINE_LIMIT).read_line(&mut text)?;
    Ok(text.trim_end().to_owned())
}

fn head(mut stream: &TcpStream, status: &str, length: u64, extra: &str) -> io::Result<()> {
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\n\
         Content-Type: application/octet-stream\r\n{extra}\r\n"
    );
    stream.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use std::{env, fs, process};

    use super::*;

    /// One answer of the server: status line, headers, body.
    fn ask(stream: &mut TcpStream, request: &str) -> (String, Vec<u8>) {
        stream.write_all(request.as_bytes()).expect("the server listens");
        let mut lines = BufReader::new(stream);
        let (mut head, mut length) = (String::new(), 0);
        loop {
            let text = line(&mut lines).expect("a line");
            if text.is_empty() {
                break;
            }
            if let Some(value) = text.strip_prefix("Content-Length: ") {
                length = value.parse().expect("a number");
            }
            head.push_str(&text);
            head.push('\n');
        }
        let mut body = vec![0; if request.starts_with("HEAD") { 0 } else { length }];
        lines.read_exact(&mut body).expect("the whole body");
        (head, body)
    }

    fn serving(name: &str) -> (Server, TcpStream, PathBuf) {
        let folder = env::temp_dir().join(format!("steadfast-lab-http-{name}-{}", process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        fs::write(folder.join("a.raucb"), bytes).expect("a file");
        let server = Server::start(&folder).expect("a server");
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, server.port())).expect("it listens");
        client.set_read_timeout(Some(Duration::from_secs(20))).expect("a limit");
        (server, client, folder)
    }

    #[test]
    fn ranges_are_served_over_one_connection_and_counted() {
        let (server, mut client, folder) = serving("ranges");
        let (head, body) =
            ask(&mut client, "GET /a.raucb HTTP/1.1\r\nrange: bytes=250-252\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 206"), "{head}");
        assert!(head.contains("Content-Range: bytes 250-252/200000"), "{head}");
        assert_eq!(body, [250, 0, 1]);
        let (head, _) = ask(&mut client, "HEAD /a.raucb HTTP/1.1\r\n\r\n");
        assert!(
            head.contains("Content-Length: 200000") && head.contains("Accept-Ranges"),
            "{head}"
        );
        let (head, body) = ask(&mut client, "GET /a.raucb HTTP/1.1\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert_eq!(body.len(), 200_000);
        let (head, _) = ask(&mut client, "GET /a.raucb HTTP/1.1\r\nRange: bytes=200000-\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 416"), "{head}");
        assert_eq!(server.count(), Count { requests: 4, ranges: 1, bytes: 200_003 });
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn nothing_outside_the_folder_exists() {
        let (_server, mut client, folder) = serving("outside");
        fs::write(folder.join(".hidden"), "a secret").expect("a file");
        for path in ["/../a.raucb", "/", "/.hidden", "/x/../a.raucb", "a.raucb", "/b", "//a.raucb"]
        {
            let (head, _) = ask(&mut client, &format!("GET {path} HTTP/1.1\r\n\r\n"));
            assert!(head.starts_with("HTTP/1.1 404"), "{path}: {head}");
        }
        fs::remove_dir_all(folder).expect("removed");
    }

    #[test]
    fn a_stalled_answer_goes_on_when_the_mood_changes() {
        let (server, mut client, folder) = serving("stall");
        server.set_mood(Mood::StallAfter(1000));
        client.write_all(b"GET /a.raucb HTTP/1.1\r\n\r\n").expect("written");
        let mut lines = BufReader::new(&client);
        while !line(&mut lines).expect("a header").is_empty() {}
        let mut body = vec![0; 1000];
        lines.read_exact(&mut body).expect("the first bytes");
        assert_eq!(server.count().bytes, 1000);
        server.set_mood(Mood::Serve);
        let mut rest = vec![0; 199_000];
        lines.read_exact(&mut rest).expect("the rest");
        server.set_mood(Mood::Refuse);
        let (head, _) = ask(&mut client, "GET /a.raucb HTTP/1.1\r\n\r\n");
        assert!(head.starts_with("HTTP/1.1 503"), "{head}");
        fs::remove_dir_all(folder).expect("removed");
    }
}
