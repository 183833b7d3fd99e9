//! The smallest HTTP/1.1 client that the node needs: one GET, its status, and the first bytes.
//!
//! ```text
//! name, TCP, TLS ──limits.connect──▶ GET ──limits.answer──▶ status, Location, first bytes
//! ```
//!
//! Always true: every request ends within its limits; the connection is closed after it; no
//! redirect is followed here; no byte of a body is kept beyond those asked for; TLS is done by ring.

#[cfg(test)]
pub(crate) mod loopback;
#[cfg(test)]
mod tests;
mod url;

pub use url::{Url, UrlError};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1;
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, RootCertStore};
use std::convert::Infallible;
use std::error::Error;
use std::future::pending;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Where Debian keeps the certificates of the authorities that it trusts, in PEM.
pub const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// The most that an answer's head may take, in bytes.
const HEAD: usize = 16 * 1024;

/// How long a server may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// To resolve the name, to connect and to agree on TLS.
    pub connect: Duration,
    /// From the request to the last byte that was asked for.
    pub answer: Duration,
}

/// Which part of a resource is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it, for the status alone: nothing of the body is read.
    Whole,
    /// This many bytes from its start, by a range request (RFC 9110, 14.2).
    First(usize),
}

/// What a server answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The value of `Location`.
    pub location: Option<String>,
    /// The bytes of [`Part::First`] when the server kept to the range (status 206), or fewer when
    /// the resource is shorter; empty otherwise.
    pub first: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum HttpError {
    /// The name cannot be resolved or nothing accepts a connection there.
    #[error("{host} cannot be reached")]
    Unreachable {
        /// The server's name and port.
        host: String,
        /// What the system says.
        source: io::Error,
    },
    /// The connection was not ready in time.
    #[error("no connection to {host} within {limit:?}")]
    ConnectTimeout {
        /// The server's name and port.
        host: String,
        /// [`Limits::connect`].
        limit: Duration,
    },
    /// TLS did not come about.
    #[error("{host} is not trusted: {because}")]
    Tls {
        /// The server's name and port.
        host: String,
        /// In the operator's words.
        because: String,
    },
    /// The trusted authorities cannot be read from this node's own file.
    #[error("no trusted certificates in {path}: {because}")]
    Roots {
        /// The file.
        path: PathBuf,
        /// In the operator's words.
        because: String,
    },
    /// The server accepted the request and said nothing, or stopped.
    #[error("{host} gave no answer within {limit:?}")]
    Stalled {
        /// The server's name and port.
        host: String,
        /// [`Limits::answer`].
        limit: Duration,
    },
    /// The connection ended before the answer was whole, or what came is not HTTP.
    #[error("{host} broke off")]
    Broken {
        /// The server's name and port.
        host: String,
        /// What hyper says.
        source: hyper::Error,
    },
}

/// The client. A clone shares the trusted authorities.
#[derive(Clone)]
pub struct Client(Arc<Shared>);

struct Shared {
    roots: PathBuf,
    /// Read at the first https request: a node that needs none pays nothing.
    tls: OnceCell<TlsConnector>,
}

impl Default for Client {
    fn default() -> Client {
        Client::new(ROOTS.into())
    }
}

impl Client {
    /// A client that trusts the authorities in this PEM file.
    pub fn new(roots: PathBuf) -> Client {
        Client(Arc::new(Shared { roots, tls: OnceCell::new() }))
    }

    /// Asks once.
    pub async fn get(&self, url: &Url, part: Part, limits: Limits) -> Result<Answer, HttpError> {
        let host = || url.authority().to_owned();
        let late = |_| HttpError::ConnectTimeout { host: host(), limit: limits.connect };
        let asked = match url.is_tls() {
            false => {
                let stream = timeout(limits.connect, connect(url)).await.map_err(late)??;
                timeout(limits.answer, exchange(stream, url, part)).await
            }
            true => {
                let stream = timeout(limits.connect, self.secure(url)).await.map_err(late)??;
                timeout(limits.answer, exchange(stream, url, part)).await
            }
        };
        let answer =
            asked.map_err(|_| HttpError::Stalled { host: host(), limit: limits.answer })?;
        answer.map_err(|source| HttpError::Broken { host: host(), source })
    }

    async fn secure(
        &self,
        url: &Url,
    ) -> Result<tokio_rustls::client::TlsStream<TcpStream>, HttpError> {
        let host = || url.authority().to_owned();
        let connector = self.0.tls.get_or_try_init(|| self.connector()).await?;
        let name = ServerName::try_from(url.host().to_owned())
            .map_err(|error| HttpError::Tls { host: host(), because: error.to_string() })?;
        let stream = connect(url).await?;
        connector
            .connect(name, stream)
            .await
            .map_err(|error| HttpError::Tls { host: host(), because: distrust(&error) })
    }

    async fn connector(&self) -> Result<TlsConnector, HttpError> {
        let path = &self.0.roots;
        let unusable = |because| HttpError::Roots { path: path.clone(), because };
        let pem = tokio::fs::read(path).await.map_err(|error| unusable(in_words(&error)))?;
        let roots = roots(&pem).map_err(|error| unusable(error.to_string()))?;
        if roots.is_empty() {
            return Err(unusable("there is none".to_owned()));
        }
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring has what TLS 1.2 and 1.3 need")
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// An authority that rustls cannot use does not spoil the others.
fn roots(pem: &[u8]) -> Result<RootCertStore, PemError> {
    let mut roots = RootCertStore::empty();
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>()?;
    roots.add_parsable_certificates(certificates);
    Ok(roots)
}

async fn connect(url: &Url) -> Result<TcpStream, HttpError> {
    TcpStream::connect((url.host(), url.port()))
        .await
        .map_err(|source| HttpError::Unreachable { host: url.authority().to_owned(), source })
}

fn request(url: &Url, part: Part) -> Request<Empty<Bytes>> {
    let mut request = Request::get(url.target())
        .header(header::HOST, url.authority())
        .header(header::USER_AGENT, concat!("steadfast/", env!("CARGO_PKG_VERSION")))
        .header(header::CONNECTION, "close");
    if let Part::First(count) = part {
        request = request.header(header::RANGE, format!("bytes=0-{}", count.saturating_sub(1)));
    }
    request.body(Empty::new()).expect("a parsed URL holds only what a request may hold")
}

/// One request on one connection that is there already; whoever stops waiting closes it.
pub async fn exchange<S>(stream: S, url: &Url, part: Part) -> Result<Answer, hyper::Error>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut builder = http1::Builder::new();
    let (mut sender, connection) =
        builder.max_buf_size(HEAD).handshake(TokioIo::new(stream)).await?;
    // The connection's own error reaches the request; its end is not the end of what it read.
    let driven = async {
        let _ = connection.await;
        pending::<Infallible>().await
    };
    let asked = async { read(sender.send_request(request(url, part)).await?, part).await };
    tokio::select! {
        answer = asked => answer,
        never = driven => match never {},
    }
}

async fn read(response: Response<Incoming>, part: Part) -> Result<Answer, hyper::Error> {
    let status = response.status().as_u16();
    let location = response.headers().get(header::LOCATION);
    let location = location.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
    let wanted = match part {
        Part::First(count) if status == 206 => count,
        _ => 0,
    };
    let mut body = response.into_body();
    let mut first = Vec::new();
    while first.len() < wanted {
        let Some(frame) = body.frame().await else { break };
        if let Ok(data) = frame?.into_data() {
            first.extend(data.iter().take(wanted - first.len()));
        }
    }
    Ok(Answer { status, location, first })
}

/// Why TLS failed. Certificates are judged by this node's clock, so a wrong clock has to show.
fn distrust(error: &io::Error) -> String {
    use CertificateError as C;
    let inner = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
    match inner {
        Some(rustls::Error::InvalidCertificate(certificate)) => match certificate {
            C::UnknownIssuer => "its certificate is from no trusted authority".to_owned(),
            C::Expired | C::ExpiredContext { .. } => {
                "its certificate has expired by this node's clock".to_owned()
            }
            C::NotValidYet | C::NotValidYetContext { .. } => {
                "its certificate is not valid yet by this node's clock".to_owned()
            }
            C::NotValidForName | C::NotValidForNameContext { .. } => {
                "its certificate is for another name".to_owned()
            }
            other => format!("its certificate: {other}"),
        },
        Some(rustls::Error::InvalidMessage(_)) => "it does not speak TLS".to_owned(),
        _ => in_words(error),
    }
}

/// An error and its causes on one line, without the numbers that the system gives them.
pub(crate) fn in_words(error: &dyn Error) -> String {
    let mut line = String::new();
    let mut next = Some(error);
    while let Some(error) = next {
        let text = error.to_string();
        let words = text.split(" (os error").next().unwrap_or(&text);
        // Many errors already end with their cause's words.
        if !line.ends_with(words) {
            let between = if line.is_empty() { "" } else { ": " };
            line = format!("{line}{between}{words}");
        }
        next = error.source();
    }
    line
}
