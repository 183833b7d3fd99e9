//! A real server on the loopback for tests: it reads one request a connection and answers by hand.

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

use super::Limits;

/// Long enough never to matter.
pub(crate) const PATIENT: Limits =
    Limits { connect: Duration::from_secs(30), answer: Duration::from_secs(30) };

/// What the server does with one request.
pub(crate) enum Reply {
    /// These bytes, then the end of the connection.
    Bytes(String),
    /// The same of a body that is no text.
    Raw(Vec<u8>),
    /// These bytes, and the connection stays open.
    Stalls(Vec<u8>),
    /// Nothing, and the connection stays open.
    Silence,
}

/// A server that runs until it is dropped.
pub(crate) struct Loopback {
    pub(crate) address: SocketAddr,
    requests: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Loopback {
    /// Answers each request as `reply` says.
    pub(crate) async fn plain(reply: impl FnMut(&str) -> Reply + Send + 'static) -> Loopback {
        Loopback::start(None, reply).await
    }

    /// Answers with this text and nothing else.
    pub(crate) async fn saying(text: &'static str) -> Loopback {
        Loopback::plain(move |_| Reply::Bytes(text.to_owned())).await
    }

    /// Speaks TLS with this certificate of the fixtures, and answers with this text.
    pub(crate) async fn tls(certificate: &str, text: &'static str) -> Loopback {
        let certificate = CertificateDer::from_pem_file(fixture(certificate)).expect("a fixture");
        let key = PrivateKeyDer::from_pem_file(fixture("server.key")).expect("a fixture");
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has what TLS needs")
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .expect("the key belongs to the certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        Loopback::start(Some(acceptor), move |_| Reply::Bytes(text.to_owned())).await
    }

    async fn start(
        acceptor: Option<TlsAcceptor>,
        mut reply: impl FnMut(&str) -> Reply + Send + 'static,
    ) -> Loopback {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let requests = Arc::new(Mutex::new(Vec::new()));
        let seen = Arc::clone(&requests);
        let task = tokio::spawn(async move {
            let mut silent = Vec::new();
            while let Ok((stream, _)) = listener.accept().await {
                let mut stream: Box<dyn Stream> = match &acceptor {
                    None => Box::new(stream),
                    // A client that does not trust us goes away here.
                    Some(acceptor) => match acceptor.accept(stream).await {
                        Ok(stream) => Box::new(stream),
                        Err(_) => continue,
                    },
                };
                let request = head(&mut stream).await;
                seen.lock().expect("no test panics while it reads").push(request.clone());
                match reply(&request) {
                    Reply::Silence => silent.push(stream),
                    Reply::Bytes(text) => send(&mut stream, text.as_bytes()).await,
                    Reply::Raw(bytes) => send(&mut stream, &bytes).await,
                    Reply::Stalls(bytes) => {
                        let _ = stream.write_all(&bytes).await;
                        let _ = stream.flush().await;
                        silent.push(stream);
                    }
                }
            }
        });
        Loopback { address, requests, task }
    }

    /// The URL of a path on this server.
    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    /// The same by https, under the name that the fixtures' certificates are for.
    pub(crate) fn https(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.address.port())
    }

    /// The heads of all requests so far.
    pub(crate) fn requests(&self) -> Vec<String> {
        self.requests.lock().expect("the server never panics while it writes").clone()
    }
}

/// A file made once with OpenSSL: a throwaway authority and certificates of it for `localhost`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "src/http/fixtures", name].iter().collect()
}

/// An address where nobody listens.
pub(crate) async fn nobody() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    listener.local_addr().expect("a bound socket has an address")
}

trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<T: AsyncRead + AsyncWrite + Unpin + Send> Stream for T {}

/// The client may go as soon as it has seen enough.
async fn send(stream: &mut Box<dyn Stream>, bytes: &[u8]) {
    let _ = stream.write_all(bytes).await;
    let _ = stream.shutdown().await;
}

async fn head(stream: &mut Box<dyn Stream>) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&head).into_owned()
}
