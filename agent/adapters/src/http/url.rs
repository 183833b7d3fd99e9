//! `http` and `https` URLs, read once.

use hyper::Uri;
use hyper::http::uri::Scheme;

/// Where a resource is, by `http` or `https`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Url {
    tls: bool,
    /// Without the brackets of an IPv6 address.
    host: String,
    port: u16,
    /// As the `Host` header has it.
    authority: String,
    /// Path and query.
    target: String,
}

/// Why a text is not a [`Url`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlError {
    /// It does not parse.
    #[error("it is not a URL")]
    Syntax,
    /// Neither `http` nor `https`.
    #[error("only http and https are understood")]
    Scheme,
    /// A user name or a password stands before the host.
    #[error("a URL with a user name or a password is not understood")]
    UserInfo,
}

impl Url {
    /// Reads an absolute URL. A fragment is dropped.
    pub fn parse(text: &str) -> Result<Url, UrlError> {
        let uri: Uri = text.parse().map_err(|_| UrlError::Syntax)?;
        let tls = match uri.scheme() {
            Some(scheme) if *scheme == Scheme::HTTP => false,
            Some(scheme) if *scheme == Scheme::HTTPS => true,
            Some(_) => return Err(UrlError::Scheme),
            None => return Err(UrlError::Syntax),
        };
        let authority = uri.authority().ok_or(UrlError::Syntax)?;
        if authority.as_str().contains('@') {
            return Err(UrlError::UserInfo);
        }
        let written = authority.as_str();
        let port = match written.strip_prefix(authority.host()).unwrap_or(written) {
            "" if tls => 443,
            "" => 80,
            // Uri itself takes a port that is no port for none.
            port => port.strip_prefix(':').and_then(|port| port.parse().ok()).unwrap_or(0),
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || port == 0 {
            return Err(UrlError::Syntax);
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Url {
            tls,
            host: host.to_owned(),
            port,
            authority: written.to_owned(),
            // `http://host?query` has no path; a request's target needs one.
            target: if path.starts_with('/') { path.to_owned() } else { format!("/{path}") },
        })
    }

    /// Where `location`, a `Location` header of the answer from here, leads (RFC 3986, 5.2, without
    /// dot segments: servers resolve those).
    pub fn join(&self, location: &str) -> Result<Url, UrlError> {
        let scheme = if self.tls { "https" } else { "http" };
        let here = format!("{scheme}://{}", self.authority);
        let path = self.target.split('?').next().unwrap_or("/");
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        match location {
            absolute if absolute.contains("://") && !absolute.starts_with('/') => {
                Url::parse(absolute)
            }
            "" => Err(UrlError::Syntax),
            other if other.starts_with("//") => Url::parse(&format!("{scheme}:{other}")),
            other if other.starts_with('/') => Url::parse(&format!("{here}{other}")),
            query if query.starts_with('?') => Url::parse(&format!("{here}{path}{query}")),
            relative => Url::parse(&format!("{here}{folder}/{relative}")),
        }
    }

    /// Whether TLS protects it.
    pub fn is_tls(&self) -> bool {
        self.tls
    }

    /// The host's name or address.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as they were written.
    pub fn authority(&self) -> &str {
        &self.authority
    }

    /// Path and query.
    pub fn target(&self) -> &str {
        &self.target
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).expect("a URL")
    }

    #[test]
    fn a_url_is_taken_apart_as_it_was_written() {
        let url = url("https://[::1]:8443/a/b.raucb?x=1#part");
        assert!(url.is_tls());
        assert_eq!((url.host(), url.port()), ("::1", 8443));
        assert_eq!((url.authority(), url.target()), ("[::1]:8443", "/a/b.raucb?x=1"));
    }

    #[test]
    fn ports_and_paths_have_their_usual_defaults() {
        assert_eq!((url("http://host").port(), url("http://host").target()), (80, "/"));
        assert_eq!(url("https://host").port(), 443);
        assert_eq!(url("http://host?x").target(), "/?x");
    }

    #[test]
    fn what_is_no_http_url_says_why() {
        for (text, why) in [
            ("host", UrlError::Syntax),
            ("http://", UrlError::Syntax),
            ("http://host/a b", UrlError::Syntax),
            ("http://host:99999/", UrlError::Syntax),
            ("http://host:/", UrlError::Syntax),
            ("http://:80/", UrlError::Syntax),
            ("ftp://host/x", UrlError::Scheme),
            ("http://me:secret@host/", UrlError::UserInfo),
        ] {
            assert_eq!(Url::parse(text), Err(why), "{text}");
        }
    }

    #[test]
    fn a_redirect_is_resolved_against_where_it_came_from() {
        let from = url("https://one:8443/a/b?c");
        for (location, to) in [
            ("http://two/x", "http://two/x"),
            ("//two/x", "https://two/x"),
            ("/x?y", "https://one:8443/x?y"),
            ("x", "https://one:8443/a/x"),
            ("?y", "https://one:8443/a/b?y"),
            ("/x?to=http://two/", "https://one:8443/x?to=http://two/"),
        ] {
            assert_eq!(from.join(location), Ok(url(to)), "{location}");
        }
        assert_eq!(from.join("ftp://two/x"), Err(UrlError::Scheme));
    }
}
