//! The smallest HTTP/1.1 client that the node needs: one GET, its head, and its body chunk by chunk.
//!
//! ```text
//! name, TCP, TLS ──limits.connect──▶ GET ──limits.answer──▶ head ──limits.answer──▶ chunk ──▶ chunk …
//! ```
//!
//! Always true: every wait ends within its limit; the connection is closed after its request; no
//! redirect is followed here; no byte of a body is kept beyond those asked for; TLS is done by ring, and
//! whoever is not known by an authority is refused, but for the client of [`unverified`].

mod exchange;
#[cfg(test)]
pub(crate) mod loopback;
#[cfg(test)]
mod tests;
mod unverified;
mod url;

pub use exchange::{ContentRange, Head, Opened};
pub use url::{Url, UrlError};

use hyper::header::HeaderMap;
use rustls::pki_types::pem::{Error as PemError, PemObject};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{CertificateError, ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};
use std::error::Error;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::OnceCell;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Where Debian keeps the certificates of the authorities that it trusts, in PEM.
pub const ROOTS: &str = "/etc/ssl/certs/ca-certificates.crt";

/// How long a server may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// To resolve the name, to connect and to agree on TLS.
    pub connect: Duration,
    /// From the request to the head of the answer, and from each chunk of the body to the next; of
    /// [`Client::get`] also all of it.
    pub answer: Duration,
}

/// Which part of a resource is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// This many bytes from its start, by a range request (RFC 9110, 14.2).
    First(usize),
    /// All from this byte on, or all of it when it is no longer the content of this validator
    /// (`If-Range`, RFC 9110, 13.1.5).
    From {
        /// The first byte that is wanted, counted from zero.
        first: u64,
        /// [`Head::validator`] of the bytes before it, where there is one.
        unchanged: Option<String>,
    },
}

/// What carries a request: TCP, or TLS on it.
pub trait Transport: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Transport for T {}

/// A connection that is there.
pub type Connection = Box<dyn Transport>;

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
    /// The server stopped in the middle of the body.
    #[error("{host} sent nothing for {limit:?}")]
    Silent {
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
    trust: Trust,
    /// Read at the first https request: a node that needs none pays nothing.
    tls: OnceCell<TlsConnector>,
}

/// Whom https servers have to be known by.
enum Trust {
    /// The authorities in this PEM file.
    Authorities(PathBuf),
    /// Nobody.
    Anybody,
}

impl Default for Client {
    fn default() -> Client {
        Client::new(ROOTS.into())
    }
}

impl Client {
    /// A client that trusts the authorities in this PEM file.
    pub fn new(roots: PathBuf) -> Client {
        Client::trusting(Trust::Authorities(roots))
    }

    /// A client that takes whoever answers for the server: for probes, and nothing else.
    pub(crate) fn unverified() -> Client {
        Client::trusting(Trust::Anybody)
    }

    fn trusting(trust: Trust) -> Client {
        Client(Arc::new(Shared { trust, tls: OnceCell::new() }))
    }

    /// Asks once, for the status and, of [`Part::First`], the bytes.
    pub async fn get(&self, url: &Url, part: Part, limits: Limits) -> Result<Answer, HttpError> {
        ask(self.connect(url, limits).await?, url, part, limits).await
    }

    /// Asks once, and leaves the body to be read.
    pub async fn open(&self, url: &Url, part: &Part, limits: Limits) -> Result<Opened, HttpError> {
        let connection = self.connect(url, limits).await?;
        Opened::ask(connection, url, part, limits).await
    }

    /// Sends a GET with these headers and no others, and leaves the body to be read.
    pub(crate) async fn send(
        &self,
        url: &Url,
        headers: HeaderMap,
        limits: Limits,
    ) -> Result<Opened, HttpError> {
        Opened::send(self.connect(url, limits).await?, url, headers, limits).await
    }

    async fn connect(&self, url: &Url, limits: Limits) -> Result<Connection, HttpError> {
        let limit = limits.connect;
        let late = |_| HttpError::ConnectTimeout { host: url.authority().to_owned(), limit };
        Ok(match url.is_tls() {
            false => Box::new(timeout(limit, connect(url)).await.map_err(late)??),
            true => Box::new(timeout(limit, self.secure(url)).await.map_err(late)??),
        })
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
        let config = match &self.0.trust {
            Trust::Authorities(path) => verifying(path).await?,
            Trust::Anybody => unverified::config(),
        };
        Ok(TlsConnector::from(Arc::new(config)))
    }
}

/// TLS with servers that an authority of this file knows.
async fn verifying(path: &Path) -> Result<ClientConfig, HttpError> {
    let unusable = |because| HttpError::Roots { path: path.to_owned(), because };
    let pem = tokio::fs::read(path).await.map_err(|error| unusable(in_words(&error)))?;
    let roots = roots(&pem).map_err(|error| unusable(error.to_string()))?;
    if roots.is_empty() {
        return Err(unusable("there is none".to_owned()));
    }
    Ok(with_ring().with_root_certificates(roots).with_no_client_auth())
}

fn with_ring() -> ConfigBuilder<ClientConfig, WantsVerifier> {
    ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring has what TLS 1.2 and 1.3 need")
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

/// Asks once on a connection that is there, for the status and, of [`Part::First`], the bytes.
pub async fn ask(
    connection: Connection,
    url: &Url,
    part: Part,
    limits: Limits,
) -> Result<Answer, HttpError> {
    let asked = async {
        let mut opened = Opened::ask(connection, url, &part, limits).await?;
        let Head { status, location, .. } = opened.head.clone();
        let first = match part {
            Part::First(count) if status == 206 => opened.first(count).await?,
            _ => Vec::new(),
        };
        Ok(Answer { status, location, first })
    };
    let limit = limits.answer;
    let late = |_| HttpError::Stalled { host: url.authority().to_owned(), limit };
    timeout(limit, asked).await.map_err(late)?
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
