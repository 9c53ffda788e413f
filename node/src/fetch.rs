//! One bounded HTTP exchange with an authority: OCSP, time-stamps, global configuration; directly or through an egress proxy.
//!
//! One connection per call, closed afterwards; time and size are bounded before a byte is read. What is fetched carries its own
//! signature, which the caller checks; TLS is for addresses that ask for it.

#[cfg(test)]
mod tests;

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, HeaderValue, PROXY_AUTHORIZATION};
use http::uri::Authority;
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Empty, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::config::EgressSettings;
use crate::{roots, secret};

/// How long and how much one fetch may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Time to connect, TLS and proxy included.
    pub connect: Duration,
    /// Time for the exchange on the connection.
    pub total: Duration,
    /// Largest body accepted, in bytes.
    pub max_body: usize,
}

/// What came back, whatever its status.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// HTTP status.
    pub status: u16,
    /// `Content-Type`, empty if there was none.
    pub content_type: String,
    /// The whole body.
    pub body: Bytes,
}

/// Why nothing came back.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The address is not an HTTP address with a host.
    #[error("{url} is no http:// or https:// address; correct it in the configuration that names it")]
    Address {
        /// The address.
        url: String,
    },
    /// No connection within the bound.
    #[error("{url} cannot be reached: {reason}; check address, firewall and whether the service runs")]
    Connect {
        /// The address.
        url: String,
        /// What the system said.
        reason: String,
    },
    /// The exchange broke, took too long or was too large.
    #[error("{url} did not answer properly: {reason}")]
    Exchange {
        /// The address.
        url: String,
        /// What happened.
        reason: String,
    },
}

/// The way out: whom TLS believes, and which proxy stands between.
#[derive(Clone, Default)]
pub struct Fetcher(Arc<Way>);

#[derive(Default)]
struct Way {
    tls: Option<TlsConnector>,
    proxy: Option<Proxy>,
}

struct Proxy {
    authority: Authority,
    authorization: Option<HeaderValue>,
    /// Host names, or endings of them after a dot, that are reached directly.
    direct: Vec<String>,
}

impl std::fmt::Debug for Fetcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Fetcher")
    }
}

impl Fetcher {
    /// As the configuration says. The default fetches plain HTTP, directly.
    ///
    /// # Errors
    /// Certificates or credentials that cannot be used, in a sentence.
    pub fn new(settings: &EgressSettings) -> Result<Self, String> {
        let tls = roots::client(settings.ca.as_deref())?;
        let proxy = match &settings.proxy {
            None => None,
            Some(authority) => Some(Proxy {
                authority: authority.clone(),
                authorization: settings.credentials.as_deref().map(authorization).transpose()?,
                direct: settings.direct.clone(),
            }),
        };
        Ok(Self(Arc::new(Way {
            tls: Some(TlsConnector::from(Arc::new(tls))),
            proxy,
        })))
    }

    /// `GET url`.
    pub async fn get(&self, url: &str, bounds: &Bounds) -> Result<Fetched, FetchError> {
        self.exchange(Method::GET, url, None, Bytes::new(), bounds).await
    }

    /// `POST url` with a body of a content type.
    pub async fn post(
        &self,
        url: &str,
        content_type: &str,
        body: Bytes,
        bounds: &Bounds,
    ) -> Result<Fetched, FetchError> {
        self.exchange(Method::POST, url, Some(content_type), body, bounds)
            .await
    }

    async fn exchange(
        &self,
        method: Method,
        url: &str,
        content_type: Option<&str>,
        body: Bytes,
        bounds: &Bounds,
    ) -> Result<Fetched, FetchError> {
        let address_error = || FetchError::Address { url: url.to_owned() };
        let uri: Uri = url.parse().map_err(|_| address_error())?;
        let authority = uri.authority().ok_or_else(address_error)?.clone();
        let secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") if self.0.tls.is_some() => true,
            _ => return Err(address_error()),
        };
        let proxy = self.0.proxy.as_ref().filter(|proxy| proxy.is_for(&authority));
        // A proxy is asked for the whole address, unless a tunnel goes through it.
        let target = match proxy.is_some() && !secure {
            true => url.to_owned(),
            false => uri.path_and_query().map_or("/", |p| p.as_str()).to_owned(),
        };
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, authority.as_str())
            .header(CONNECTION, "close");
        if let Some(content_type) = content_type {
            request = request.header(CONTENT_TYPE, content_type);
        }
        if let (Some(value), false) = (proxy.and_then(|proxy| proxy.authorization.as_ref()), secure) {
            request = request.header(PROXY_AUTHORIZATION, value);
        }
        let exchange_error = |reason: &dyn Display| FetchError::Exchange {
            url: url.to_owned(),
            reason: reason.to_string(),
        };
        let request = request.body(Full::new(body)).map_err(|e| exchange_error(&e))?;
        let connect_error = |reason: &dyn Display| FetchError::Connect {
            url: url.to_owned(),
            reason: reason.to_string(),
        };
        let stream = timeout(bounds.connect, self.connect(&authority, secure, proxy))
            .await
            .map_err(|_| connect_error(&"no connection in time"))?
            .map_err(|reason| connect_error(&reason))?;
        let answered = async {
            match stream {
                Stream::Plain(stream) => ask(TokioIo::new(stream), request, bounds.max_body).await,
                Stream::Secure(stream) => ask(TokioIo::new(*stream), request, bounds.max_body).await,
            }
        };
        timeout(bounds.total, answered)
            .await
            .map_err(|_| exchange_error(&"no whole answer in time"))?
            .map_err(|reason| exchange_error(&reason))
    }

    async fn connect(
        &self,
        authority: &Authority,
        secure: bool,
        proxy: Option<&Proxy>,
    ) -> Result<Stream, String> {
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = match proxy {
            None => open(host(authority), port).await?,
            Some(proxy) => {
                let through = format!("the proxy {}", proxy.authority);
                let stream = open(host(&proxy.authority), proxy.authority.port_u16().unwrap_or(3128));
                let stream = stream.await.map_err(|reason| format!("{through}: {reason}"))?;
                match secure {
                    false => stream,
                    true => {
                        let target = format!("{}:{port}", authority.host());
                        proxy
                            .tunnel(stream, &target)
                            .await
                            .map_err(|reason| format!("{through}: {reason}"))?
                    }
                }
            }
        };
        let (true, Some(tls)) = (secure, &self.0.tls) else {
            return Ok(Stream::Plain(stream));
        };
        let name = ServerName::try_from(host(authority).to_owned())
            .map_err(|_| "the host is neither a name nor an address".to_owned())?;
        let stream = tls.connect(name, stream).await.map_err(|e| e.to_string())?;
        Ok(Stream::Secure(Box::new(stream)))
    }
}

enum Stream {
    Plain(TcpStream),
    Secure(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

fn host(authority: &Authority) -> &str {
    authority.host().trim_start_matches('[').trim_end_matches(']')
}

async fn open(host: &str, port: u16) -> Result<TcpStream, String> {
    let stream = TcpStream::connect((host, port))
        .await
        .map_err(|e| e.to_string())?;
    let _ = stream.set_nodelay(true);
    Ok(stream)
}

impl Proxy {
    fn is_for(&self, target: &Authority) -> bool {
        let host = host(target).to_ascii_lowercase();
        !self.direct.iter().any(|known| {
            let known = known.to_ascii_lowercase();
            host == known.trim_start_matches('.') || (known.starts_with('.') && host.ends_with(&known))
        })
    }

    /// A tunnel to `target` (RFC 9110, 9.3.6).
    async fn tunnel(&self, stream: TcpStream, target: &str) -> Result<TcpStream, String> {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| e.to_string())?;
        let mut request = Request::builder()
            .method(Method::CONNECT)
            .uri(target)
            .header(HOST, target);
        if let Some(value) = &self.authorization {
            request = request.header(PROXY_AUTHORIZATION, value);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(|e| e.to_string())?;
        let driven = async { connection.without_shutdown().await };
        let asked = async move {
            let answer = sender.send_request(request).await.map_err(|e| e.to_string())?;
            match answer.status().is_success() {
                true => Ok(()),
                false => Err(format!("it refuses the tunnel with status {}", answer.status())),
            }
        };
        let (asked, parts) = tokio::join!(asked, driven);
        asked?;
        let parts = parts.map_err(|e| e.to_string())?;
        match parts.read_buf.is_empty() {
            true => Ok(parts.io.into_inner()),
            // The server of a TLS connection never speaks first.
            false => Err("it sent something before the tunnel was used".into()),
        }
    }
}

/// `USER:PASSWORD` of a file as the value of a header (RFC 7617).
fn authorization(path: &std::path::Path) -> Result<HeaderValue, String> {
    let read = secret::read(path).map_err(|e| e.to_string())?;
    let text = std::str::from_utf8(&read).unwrap_or_default().trim();
    if !text.contains(':') {
        return Err(format!("{} does not hold USER:PASSWORD", path.display()));
    }
    let mut value = HeaderValue::from_str(&format!("Basic {}", STANDARD.encode(text)))
        .map_err(|_| format!("{} does not hold USER:PASSWORD", path.display()))?;
    value.set_sensitive(true);
    Ok(value)
}

async fn ask<S>(stream: S, request: Request<Full<Bytes>>, max_body: usize) -> Result<Fetched, String>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin,
{
    let (mut sender, connection) = http1::handshake(stream).await.map_err(|e| e.to_string())?;
    let asked = async move {
        let answer = sender.send_request(request).await.map_err(|e| e.to_string())?;
        let (head, body) = answer.into_parts();
        let body = Limited::new(body, max_body)
            .collect()
            .await
            .map_err(|e| e.to_string())?
            .to_bytes();
        let content_type = head
            .headers
            .get(CONTENT_TYPE)
            .and_then(|v| v.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        Ok(Fetched {
            status: head.status.as_u16(),
            content_type,
            body,
        })
    };
    tokio::join!(asked, connection).0
}
