//! The connection: made when it is needed, and made again after it broke.

use super::NAMESPACE;
use super::error::ContainerdError;
use containerd_client::services::v1::{CreateNamespaceRequest, Namespace};
use containerd_client::{Client, connect};
use std::cell::RefCell;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::timeout;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};

/// How long an ordinary call may take: a slow machine that does much else starts a container in less.
pub(super) const CALL: Duration = Duration::from_secs(60);
/// How long containerd may take to let somebody in.
const ENTRY: Duration = Duration::from_secs(10);

/// A connection to containerd.
#[derive(Debug)]
pub(super) struct Connection {
    socket: PathBuf,
    channel: RefCell<Option<Channel>>,
}

impl Connection {
    pub(super) fn new(socket: PathBuf) -> Connection {
        Connection { socket, channel: RefCell::default() }
    }

    /// Its services. The first time, the namespace is made.
    pub(super) async fn client(&self) -> Result<Client, ContainerdError> {
        let known = self.channel.borrow().clone();
        if let Some(channel) = known {
            return Ok(channel.into());
        }
        let what = "let the agent in";
        let channel = timeout(ENTRY, connect(&self.socket)).await;
        let channel = channel.map_err(|_| ContainerdError::Silent { what, limit: ENTRY })?;
        let channel = channel.map_err(|source| {
            let socket = self.socket.clone();
            ContainerdError::Connect { socket, source }
        })?;
        let client = Client::from(channel.clone());
        let namespace = Namespace { name: NAMESPACE.to_owned(), ..Namespace::default() };
        let request = CreateNamespaceRequest { namespace: Some(namespace) };
        let made = timeout(ENTRY, client.namespaces().create(request)).await;
        match made.map_err(|_| ContainerdError::Silent { what, limit: ENTRY })? {
            Err(status) if status.code() != Code::AlreadyExists => {
                return Err(refused("make the agent's namespace", &status));
            }
            _ => {}
        }
        self.channel.replace(Some(channel));
        Ok(client)
    }

    /// Waits for the answer to an ordinary call.
    pub(super) async fn call<T>(
        &self,
        what: &'static str,
        answer: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, ContainerdError> {
        self.long_call(what, CALL, answer).await
    }

    /// Waits so long for an answer. A connection that broke is made anew by the next call.
    pub(super) async fn long_call<T>(
        &self,
        what: &'static str,
        limit: Duration,
        answer: impl Future<Output = Result<tonic::Response<T>, Status>>,
    ) -> Result<T, ContainerdError> {
        match timeout(limit, answer).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => {
                if status.code() == Code::Unavailable {
                    self.channel.replace(None);
                }
                Err(refused(what, &status))
            }
            Err(_) => {
                self.channel.replace(None);
                Err(ContainerdError::Silent { what, limit })
            }
        }
    }
}

fn refused(what: &'static str, status: &Status) -> ContainerdError {
    let said = status.message().lines().next().unwrap_or_default().to_owned();
    ContainerdError::Refused { what, said, code: status.code() }
}

/// A request about our namespace.
pub(super) fn ours<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let namespace = MetadataValue::<Ascii>::from_static(NAMESPACE);
    request.metadata_mut().insert("containerd-namespace", namespace);
    request
}

/// The same, for things that nobody refers to yet.
pub(super) fn leased<T>(message: T, lease: &str) -> Request<T> {
    let mut request = ours(message);
    let lease = MetadataValue::<Ascii>::try_from(lease);
    let lease = lease.expect("leases are named in hexadecimal digits and letters");
    request.metadata_mut().insert("containerd-lease", lease);
    request
}
