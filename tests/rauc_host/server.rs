//! An HTTP server on loopback, as small as RAUC's streaming needs.

use std::{
    io::{BufRead, BufReader, Write},
    net::{TcpListener, TcpStream},
    thread,
};

/// What the server answers to everybody.
#[derive(Clone)]
pub(crate) enum Answer {
    /// This body, by ranges.
    Ranges(Vec<u8>),
    /// This body, always whole.
    Whole(Vec<u8>),
    /// Only a status.
    Status(u16),
    /// Nothing: the connection stays open.
    Silence,
}

/// Starts a server for the rest of the test process; gives the URL of its one bundle.
pub(crate) fn serve(answer: Answer) -> String {
    let listener = TcpListener::bind(("127.0.0.1", 0)).expect("loopback has a free port");
    let address = listener.local_addr().expect("a bound socket has an address");
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let answer = answer.clone();
            // A client that hangs up ends its own thread only.
            thread::spawn(move || connection(stream, &answer));
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

fn connection(mut stream: TcpStream, answer: &Answer) -> std::io::Result<()> {
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
        respond(&mut stream, answer, range)?;
    }
}

/// "3-7" as 3..8.
fn bounds(value: &str) -> Option<(usize, usize)> {
    let (first, last) = value.split_once('-')?;
    Some((first.parse().ok()?, last.parse::<usize>().ok()? + 1))
}

fn respond(
    stream: &mut TcpStream,
    answer: &Answer,
    range: Option<(usize, usize)>,
) -> std::io::Result<()> {
    match (answer, range) {
        (Answer::Ranges(body), Some((first, end))) => {
            let end = end.min(body.len());
            write!(
                stream,
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {first}-{}/{}\r\n\
                 Content-Length: {}\r\n\r\n",
                end - 1,
                body.len(),
                end - first
            )?;
            stream.write_all(&body[first..end])
        }
        (Answer::Ranges(body) | Answer::Whole(body), _) => {
            write!(stream, "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())?;
            stream.write_all(body)
        }
        (Answer::Status(code), _) => {
            write!(stream, "HTTP/1.1 {code} No\r\nContent-Length: 0\r\n\r\n")
        }
        (Answer::Silence, _) => Ok(()),
    }
}
