//! The way out: whom TLS believes, and which proxy stands between.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{HOST, HeaderValue, PROXY_AUTHORIZATION};
use http::uri::Authority;
use http::{Method, Request};
use http_body_util::Empty;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::config::EgressSettings;
use crate::{roots, secret};

/// See the module. The default reaches plain HTTP, directly.
#[derive(Clone, Default)]
pub struct Way {
    tls: Option<TlsConnector>,
    proxy: Option<Proxy>,
}

#[derive(Clone)]
pub(super) struct Proxy {
    authority: Authority,
    authorization: Option<HeaderValue>,
    /// Host names, or endings of them after a dot, that are reached directly.
    direct: Vec<String>,
}

/// A connection to a server.
pub enum Stream {
    /// In clear.
    Plain(TcpStream),
    /// Over TLS.
    Secure(Box<tokio_rustls::client::TlsStream<TcpStream>>),
}

impl Way {
    /// As the configuration says.
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
        Ok(Self {
            tls: Some(TlsConnector::from(Arc::new(tls))),
            proxy,
        })
    }

    pub(super) const fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// The proxy that stands before a server.
    pub(super) fn proxy(&self, target: &Authority) -> Option<&Proxy> {
        self.proxy.as_ref().filter(|proxy| proxy.is_for(target))
    }

    /// A connection over which a server is asked, or for plain HTTP the proxy before it; over TLS through a tunnel. Takes as long
    /// as the network does.
    ///
    /// # Errors
    /// What the system, the proxy or TLS said, in a sentence.
    pub async fn connect(&self, authority: &Authority, secure: bool) -> Result<Stream, String> {
        let port = authority.port_u16().unwrap_or(if secure { 443 } else { 80 });
        let stream = match self.proxy(authority) {
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
        let (true, Some(tls)) = (secure, &self.tls) else {
            return Ok(Stream::Plain(stream));
        };
        let name = ServerName::try_from(host(authority).to_owned())
            .map_err(|_| "the host is neither a name nor an address".to_owned())?;
        let stream = tls.connect(name, stream).await.map_err(|e| e.to_string())?;
        Ok(Stream::Secure(Box::new(stream)))
    }
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
    pub(super) const fn authorization(&self) -> Option<&HeaderValue> {
        self.authorization.as_ref()
    }

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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_reached_directly_by_name_and_by_the_ending_after_a_dot() {
        let proxy = Proxy {
            authority: "proxy:3128".parse().unwrap(),
            authorization: None,
            direct: vec!["cs.example".into(), ".lan".into()],
        };
        for (host, is_for) in [
            ("cs.example", false),
            ("CS.example:80", false),
            ("a.cs.example", true),
            ("tsa.lan", false),
            ("lan", false),
            ("plan", true),
        ] {
            assert_eq!(proxy.is_for(&host.parse().unwrap()), is_for, "{host}");
        }
    }
}
