//! One bounded HTTP exchange with an authority: OCSP, time-stamps, global configuration; directly or through an egress proxy.
//!
//! One connection per call, closed afterwards; time and size are bounded before a byte is read. What is fetched carries its own
//! signature, which the caller checks; TLS is for addresses that ask for it.

#[cfg(test)]
mod tests;
mod way;

use std::fmt::Display;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST, PROXY_AUTHORIZATION};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use self::way::Proxy;
pub use self::way::{Stream, Way};
use crate::config::EgressSettings;

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

/// Fetches over one way out.
#[derive(Clone, Default)]
pub struct Fetcher(Arc<Way>);

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
        Ok(Self(Arc::new(Way::new(settings)?)))
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
            Some("https") if self.0.is_secure() => true,
            _ => return Err(address_error()),
        };
        let proxy = self.0.proxy(&authority);
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
        if let (Some(value), false) = (proxy.and_then(Proxy::authorization), secure) {
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
        let stream = timeout(bounds.connect, self.0.connect(&authority, secure))
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
