//! The control socket: the tool's requests, and who may make them.
//!
//! Always true: only root and the group `steadfast` can connect (the socket's mode); only root
//! changes anything (the peer's credentials, from the kernel); a client that sends garbage, too
//! much, or nothing for ten seconds is let go and disturbs nobody.

use super::AgentError;
use crate::protocol::{MAX_FRAME, Request, Response, decode};
use serde::de::DeserializeOwned;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc::UnboundedSender, oneshot, watch};
use tokio::task::spawn_local;
use tokio::time::{sleep, timeout};

/// The group that may read.
const GROUP: &str = "steadfast";

/// How many clients are served at once.
const CLIENTS: usize = 16;

/// How many of these places are kept for root, so that readers cannot keep an operator out.
const FOR_ROOT: usize = 4;

/// The pause after a client could not be let in (out of file descriptors, say).
const ACCEPT_AGAIN: Duration = Duration::from_secs(1);

/// A request is short; an answer may be long ([`MAX_FRAME`]).
const MAX_REQUEST: u32 = 4096;

/// How long a client may take to say what it wants, or to take an answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// A request on its way to the loop, and where the answer goes.
#[derive(Debug)]
pub struct Ask {
    /// What the tool wants.
    pub request: Request,
    /// Where the answer goes.
    pub answer: oneshot::Sender<Response>,
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// Root, who may change the node.
    Root,
    /// Anybody else, who may only look.
    Other,
}

impl Peer {
    /// What the kernel says; whom it does not know is not root.
    fn of(stream: &UnixStream) -> Peer {
        match stream.peer_cred() {
            Ok(peer) if peer.uid() == 0 => Peer::Root,
            _ => Peer::Other,
        }
    }
}

/// Listens at `path` and passes requests on; `changed` moves whenever the status does.
pub fn listen(
    path: &Path,
    asks: UnboundedSender<Ask>,
    changed: watch::Receiver<u64>,
) -> Result<(), AgentError> {
    let error = |source| AgentError::Socket { path: path.to_owned(), source };
    let listener = bind(path).map_err(error)?;
    let room = Arc::new(Semaphore::new(CLIENTS));
    spawn_local(async move {
        loop {
            let stream = match listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "a client of the control socket was not let in");
                    sleep(ACCEPT_AGAIN).await;
                    continue;
                }
            };
            let peer = Peer::of(&stream);
            let enough = peer == Peer::Root || room.available_permits() > FOR_ROOT;
            let place = Arc::clone(&room).try_acquire_owned().ok().filter(|_| enough);
            let Some(place) = place else {
                spawn_local(turn_away(stream));
                continue;
            };
            let (asks, changed) = (asks.clone(), changed.clone());
            spawn_local(async move {
                if let Err(error) = serve(stream, peer, asks, changed).await {
                    tracing::info!(%error, "a client of the control socket was let go");
                }
                drop(place);
            });
        }
    });
    Ok(())
}

fn bind(path: &Path) -> io::Result<UnixListener> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let listener = UnixListener::bind(path)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660))?;
    if let Some(group) = group_id(&std::fs::read_to_string("/etc/group").unwrap_or_default()) {
        std::os::unix::fs::chown(path, None, Some(group))?;
    }
    Ok(listener)
}

/// The number of the group in the text of `/etc/group` (group(5)).
fn group_id(groups: &str) -> Option<u32> {
    let mut fields = groups.lines().map(|line| line.split(':'));
    fields.find_map(|mut field| (field.next()? == GROUP).then(|| field.nth(1)?.parse().ok())?)
}

/// Tells one client too many that it is one.
async fn turn_away(mut stream: UnixStream) {
    let because = "too many clients ask the agent at once".to_owned();
    // Whether it still listens is its own affair.
    let _ = timeout(PATIENCE, write_frame(&mut stream, &Response::Refused { because })).await;
}

/// Answers one client until it goes, is too slow or says what is no request.
pub async fn serve<S>(
    mut stream: S,
    peer: Peer,
    asks: UnboundedSender<Ask>,
    mut changed: watch::Receiver<u64>,
) -> io::Result<()>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    loop {
        let request = timeout(PATIENCE, read_frame::<Request>(&mut stream)).await??;
        let Some(request) = request else { return Ok(()) };
        if request == Request::Watch {
            return watch_status(&mut stream, &asks, &mut changed).await;
        }
        let response = match peer == Peer::Root {
            true => ask(&asks, request).await?,
            false if changes(&request) => {
                Response::Refused { because: "only root may change the node".to_owned() }
            }
            false => ask(&asks, request).await?.for_group(),
        };
        timeout(PATIENCE, write_frame(&mut stream, &response)).await??;
    }
}

fn changes(request: &Request) -> bool {
    use Request as R;
    !matches!(request, R::Status | R::Watch | R::History | R::HistoryOf { .. } | R::Work)
}

async fn watch_status(
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    asks: &UnboundedSender<Ask>,
    changed: &mut watch::Receiver<u64>,
) -> io::Result<()> {
    loop {
        changed.mark_unchanged();
        let response = ask(asks, Request::Status).await?;
        timeout(PATIENCE, write_frame(stream, &response)).await??;
        let mut closed = [0];
        tokio::select! {
            moved = changed.changed() => moved.map_err(|_| ended())?,
            _ = stream.read(&mut closed) => return Ok(()),
        }
    }
}

async fn ask(asks: &UnboundedSender<Ask>, request: Request) -> io::Result<Response> {
    let (answer, answered) = oneshot::channel();
    asks.send(Ask { request, answer }).map_err(|_| ended())?;
    answered.await.map_err(|_| ended())
}

fn ended() -> io::Error {
    io::Error::new(io::ErrorKind::BrokenPipe, "the agent is ending")
}

/// Reads one request; `None` when the client closed the connection between two.
async fn read_frame<T: DeserializeOwned>(
    stream: &mut (impl AsyncRead + Unpin),
) -> io::Result<Option<T>> {
    let mut length = [0; 4];
    if stream.read(&mut length[..1]).await? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut length[1..]).await?;
    let length = u32::from_le_bytes(length);
    let bad = |why: String| io::Error::new(io::ErrorKind::InvalidData, why);
    if length > MAX_REQUEST {
        return Err(bad(format!("a request of {length} bytes; {MAX_REQUEST} are allowed")));
    }
    let mut bytes = vec![0; length as usize];
    stream.read_exact(&mut bytes).await?;
    let request = decode(&bytes);
    request.map(Some).map_err(|error| bad(format!("not a request: {error}")))
}

async fn write_frame(
    stream: &mut (impl AsyncWrite + Unpin),
    response: &Response,
) -> io::Result<()> {
    let bad = |why| io::Error::new(io::ErrorKind::InvalidData, why);
    let bytes = postcard::to_allocvec(response).map_err(|_| bad("an answer has no frame"))?;
    let length = u32::try_from(bytes.len()).ok().filter(|length| *length <= MAX_FRAME);
    let length = length.ok_or_else(|| bad("the answer is too long"))?;
    stream.write_all(&length.to_le_bytes()).await?;
    stream.write_all(&bytes).await?;
    stream.flush().await
}

#[cfg(test)]
mod tests;
