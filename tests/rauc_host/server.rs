//! An HTTP server on loopback, as small as RAUC's streaming needs.

use std::{
    io::{BufRead, BufReader, Lines, Write},
    net::{Shutdown, TcpListener, TcpStream},
    ops::Range,
    os::unix::process::CommandExt,
    process::{ChildStdout, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use tokio::sync::Notify;

use super::{bus::Group, keys::Signer, tools::missing};

/// What the server answers to everybody.
#[derive(Clone)]
pub(crate) enum Answer {
    /// This body, by ranges.
    Ranges(Vec<u8>),
    /// This body, always whole.
    Whole(Vec<u8>),
    /// This body, by ranges; of the answers with these numbers, from zero, only the first half comes, and then the
    /// connection is gone.
    Breaking(Vec<u8>, Range<usize>),
    /// This body, by ranges; of the answer with this number, from zero, only the first half comes, and then nothing
    /// more. Says so when it has come to this.
    Stalling(Vec<u8>, usize, Arc<Notify>),
    /// Only a status.
    Status(u16),
    /// Nothing: the connection stays open.
    Silence,
}

/// Starts a server for the rest of the test process; gives the URL of its one bundle.
pub(crate) fn serve(answer: Answer) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    let answers = Arc::new(AtomicUsize::new(0));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (answer, answers) = (answer.clone(), answers.clone());
            // A client that hangs up ends its own thread only.
            thread::spawn(move || connection(stream, &answer, &answers));
        }
    });
    format!("http://{address}/release.raucb")
}

/// A URL that nobody serves.
pub(crate) fn nobody() -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    drop(listener);
    format!("http://{address}/release.raucb")
}

fn connection(
    mut stream: TcpStream,
    answer: &Answer,
    answers: &AtomicUsize,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut range = None;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("range: bytes=") {
                range = bounds(value.trim());
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let number = answers.fetch_add(1, Ordering::Relaxed);
        match answer {
            Answer::Breaking(body, broken) if broken.contains(&number) => {
                stream.write_all(&half(body, range))?;
                return stream.shutdown(Shutdown::Both);
            }
            Answer::Stalling(body, stalls, stalled) if number == *stalls => {
                stream.write_all(&half(body, range))?;
                stalled.notify_one();
            }
            answer => respond(&mut stream, answer, range)?,
        }
    }
}

/// "3-7" as 3..8.
fn bounds(value: &str) -> Option<(usize, usize)> {
    let (first, last) = value.split_once('-')?;
    Some((first.parse().ok()?, last.parse::<usize>().ok()? + 1))
}

/// The answer to a range, its head and its bytes.
fn partial(body: &[u8], (first, end): (usize, usize)) -> Vec<u8> {
    let end = end.min(body.len());
    let head = format!(
        "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {first}-{}/{}\r\n\
         Content-Length: {}\r\n\r\n",
        end - 1,
        body.len(),
        end - first
    );
    [head.as_bytes(), &body[first..end]].concat()
}

/// An answer of which the second half of its bytes is missing.
fn half(body: &[u8], range: Option<(usize, usize)>) -> Vec<u8> {
    let (first, end) = range.unwrap_or((0, body.len()));
    let whole = partial(body, (first, end));
    let kept = whole.len() - (end - first).div_ceil(2);
    whole[..kept].to_vec()
}

fn respond(
    stream: &mut TcpStream,
    answer: &Answer,
    range: Option<(usize, usize)>,
) -> std::io::Result<()> {
    match (answer, range) {
        (
            Answer::Ranges(body) | Answer::Breaking(body, _) | Answer::Stalling(body, ..),
            Some(range),
        ) => stream.write_all(&partial(body, range)),
        (
            Answer::Whole(body)
            | Answer::Ranges(body)
            | Answer::Breaking(body, _)
            | Answer::Stalling(body, ..),
            _,
        ) => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())?;
            stream.write_all(body)
        }
        (Answer::Status(code), _) => {
            write!(stream, "HTTP/1.1 {code} No\r\nContent-Length: 0\r\n\r\n")
        }
        (Answer::Silence, _) => Ok(()),
    }
}

/// A server that speaks TLS with this key and certificate, and serves no ranges; gone with its owner.
pub(crate) struct TlsServer {
    _server: Group,
    /// Kept open, because the server goes on writing.
    _said: Lines<BufReader<ChildStdout>>,
    pub(crate) url: String,
}

impl TlsServer {
    pub(crate) fn start(signer: &Signer) -> Self {
        let mut server = Command::new("openssl")
            .args(["s_server", "-www", "-accept", "127.0.0.1:0"])
            .arg("-key")
            .arg(&signer.key)
            .arg("-cert")
            .arg(&signer.certificate)
            .stdout(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap_or_else(|error| missing("openssl", &error));
        let mut said = BufReader::new(server.stdout.take().expect("piped above")).lines();
        let server = Group(server);
        let mut lines = said.by_ref().map_while(Result::ok);
        let address = lines.find_map(|line| line.strip_prefix("ACCEPT ").map(str::to_owned));
        let address = address.expect("a server that started says where");
        Self { _server: server, _said: said, url: format!("https://{address}/release.raucb") }
    }
}
