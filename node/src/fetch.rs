//! One bounded HTTP exchange with an authority: OCSP, time-stamps, global configuration.
//!
//! One connection per call, closed afterwards; time and size are bounded before a byte is read. Plain HTTP:
//! everything fetched this way carries its own signature, which the caller checks.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_TYPE, HOST};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// How long and how much one fetch may take.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Time to connect.
    pub connect: Duration,
    /// Time for the whole exchange.
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
    /// The address is not a plain HTTP address with a host.
    #[error("{url} is not an http:// address; correct it in the configuration that names it")]
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

/// `GET url`.
pub async fn get(url: &str, bounds: &Bounds) -> Result<Fetched, FetchError> {
    exchange(Method::GET, url, None, Bytes::new(), bounds).await
}

/// `POST url` with a body of a content type.
pub async fn post(
    url: &str,
    content_type: &str,
    body: Bytes,
    bounds: &Bounds,
) -> Result<Fetched, FetchError> {
    exchange(Method::POST, url, Some(content_type), body, bounds).await
}

async fn exchange(
    method: Method,
    url: &str,
    content_type: Option<&str>,
    body: Bytes,
    bounds: &Bounds,
) -> Result<Fetched, FetchError> {
    let address_error = || FetchError::Address { url: url.to_owned() };
    let uri: Uri = url.parse().map_err(|_| address_error())?;
    if uri.scheme_str() != Some("http") {
        return Err(address_error());
    }
    let authority = uri.authority().ok_or_else(address_error)?.clone();
    let target = uri.path_and_query().map_or("/", |p| p.as_str()).to_owned();
    let host = authority
        .host()
        .trim_start_matches('[')
        .trim_end_matches(']')
        .to_owned();
    let port = authority.port_u16().unwrap_or(80);

    let connect_error = |reason: &dyn std::fmt::Display| FetchError::Connect {
        url: url.to_owned(),
        reason: reason.to_string(),
    };
    let stream = tokio::time::timeout(bounds.connect, TcpStream::connect((host.as_str(), port)))
        .await
        .map_err(|_| connect_error(&"no connection in time"))?
        .map_err(|e| connect_error(&e))?;
    let _ = stream.set_nodelay(true);

    let exchange_error = |reason: &dyn std::fmt::Display| FetchError::Exchange {
        url: url.to_owned(),
        reason: reason.to_string(),
    };
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .header(HOST, authority.as_str())
        .header(CONNECTION, "close");
    if let Some(content_type) = content_type {
        request = request.header(CONTENT_TYPE, content_type);
    }
    let request = request.body(Full::new(body)).map_err(|e| exchange_error(&e))?;

    let whole = async {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|e| exchange_error(&e))?;
        let asked = async move {
            let answer = sender
                .send_request(request)
                .await
                .map_err(|e| exchange_error(&e))?;
            let (head, body) = answer.into_parts();
            let body = Limited::new(body, bounds.max_body)
                .collect()
                .await
                .map_err(|e| exchange_error(&e))?
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
    };
    tokio::time::timeout(bounds.total, whole)
        .await
        .map_err(|_| exchange_error(&"no whole answer in time"))?
}
