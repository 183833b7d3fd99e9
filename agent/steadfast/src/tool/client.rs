//! Asks the agent over its socket: one connection a question, blocking, no runtime.

use crate::protocol::work::Work;
use crate::protocol::{
    FrameError, History, Request, Response, Status, VersionHistory, read_frame, write_frame,
};
use std::io::{self, ErrorKind};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How long the agent may think. It answers from memory, and saves one entry for an order.
const PATIENCE: Duration = Duration::from_secs(10);

/// How long it may read a file, which may have gigabytes.
const READING: Duration = Duration::from_secs(900);

/// Why the agent gave no answer.
#[derive(Debug, thiserror::Error)]
pub(super) enum ClientError {
    /// The agent does not run.
    #[error("nothing listens on {}: the agent does not run", .0.display())]
    NotListening(PathBuf),
    /// The caller may not use the socket.
    #[error("only root and the group steadfast may use {}", .0.display())]
    NotAllowed(PathBuf),
    /// The socket could not be used.
    #[error("{} could not be used", .0.display())]
    Connect(PathBuf, #[source] io::Error),
    /// The agent took the question and did not answer.
    #[error("the agent did not answer within {} s", PATIENCE.as_secs())]
    Silent,
    /// The answer did not arrive whole.
    #[error(transparent)]
    Frame(FrameError),
    /// The agent turned the question away.
    #[error("{0}")]
    Refused(String),
    /// The answer is to another question.
    #[error("the agent answered another question")]
    Unexpected,
}

impl ClientError {
    /// Whether the agent may have heard the question all the same.
    pub(super) fn may_have_been_heard(&self) -> bool {
        use ClientError as E;
        !matches!(self, E::NotListening(_) | E::NotAllowed(_) | E::Connect(..) | E::Refused(_))
    }

    fn connecting(socket: &Path, error: io::Error) -> ClientError {
        let socket = socket.to_path_buf();
        match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => ClientError::NotListening(socket),
            ErrorKind::PermissionDenied => ClientError::NotAllowed(socket),
            _ => ClientError::Connect(socket, error),
        }
    }
}

impl From<FrameError> for ClientError {
    fn from(error: FrameError) -> ClientError {
        match error {
            FrameError::Io(error) if error.kind() == ErrorKind::WouldBlock => ClientError::Silent,
            error => ClientError::Frame(error),
        }
    }
}

/// One connection, on which one question was asked.
#[derive(Debug)]
struct Connection(UnixStream);

impl Connection {
    fn asking(socket: &Path, request: &Request) -> Result<Connection, ClientError> {
        let connect = || {
            let stream = UnixStream::connect(socket)?;
            stream.set_read_timeout(Some(PATIENCE))?;
            stream.set_write_timeout(Some(PATIENCE))?;
            Ok(stream)
        };
        let mut stream = connect().map_err(|error| ClientError::connecting(socket, error))?;
        write_frame(&mut stream, request)?;
        Ok(Connection(stream))
    }

    fn answer(&mut self) -> Result<Response, ClientError> {
        match read_frame(&mut self.0)? {
            Response::Refused { because } => Err(ClientError::Refused(because)),
            response => Ok(response),
        }
    }
}

/// Where the node stands.
pub(super) fn status(socket: &Path) -> Result<Box<Status>, ClientError> {
    match Connection::asking(socket, &Request::Status)?.answer()? {
        Response::Status(status) => Ok(status),
        _ => Err(ClientError::Unexpected),
    }
}

/// What happened on the node.
pub(super) fn history(socket: &Path) -> Result<History, ClientError> {
    match Connection::asking(socket, &Request::History)?.answer()? {
        Response::History(history) => Ok(history),
        _ => Err(ClientError::Unexpected),
    }
}

/// What happened with one version. One that the ledger does not know is [`ClientError::Refused`].
pub(super) fn history_of(socket: &Path, version: &str) -> Result<VersionHistory, ClientError> {
    let request = Request::HistoryOf { version: version.to_owned() };
    match Connection::asking(socket, &request)?.answer()? {
        Response::HistoryOf(history) => Ok(history),
        _ => Err(ClientError::Unexpected),
    }
}

/// Gives an order. What is not accepted is [`ClientError::Refused`].
pub(super) fn order(socket: &Path, request: &Request) -> Result<(), ClientError> {
    match Connection::asking(socket, request)?.answer()? {
        Response::Accepted => Ok(()),
        _ => Err(ClientError::Unexpected),
    }
}

/// The pods of the node.
pub(super) fn work(socket: &Path) -> Result<Box<Work>, ClientError> {
    match Connection::asking(socket, &Request::Work)?.answer()? {
        Response::Work(work) => Ok(work),
        _ => Err(ClientError::Unexpected),
    }
}

/// Gives an order about a file that the agent has to read first.
pub(super) fn patiently(socket: &Path, request: &Request) -> Result<(), ClientError> {
    let mut connection = Connection::asking(socket, request)?;
    let patient = connection.0.set_read_timeout(Some(READING));
    patient.map_err(|error| ClientError::Frame(FrameError::Io(error)))?;
    match connection.answer()? {
        Response::Accepted => Ok(()),
        _ => Err(ClientError::Unexpected),
    }
}

/// Where the node stands, now and after each change. The first comes soon or not at all.
pub(super) fn watch(
    socket: &Path,
) -> Result<impl Iterator<Item = Result<Box<Status>, ClientError>>, ClientError> {
    let mut connection = Connection::asking(socket, &Request::Watch)?;
    Ok(std::iter::from_fn(move || {
        Some(connection.answer().and_then(|response| match response {
            Response::Status(status) => {
                // From here on nothing may happen for a long time.
                let patient = connection.0.set_read_timeout(None);
                patient.map_err(|error| ClientError::Frame(FrameError::Io(error)))?;
                Ok(status)
            }
            _ => Err(ClientError::Unexpected),
        }))
    }))
}
