//! Calls the service behind this node (wire 2.5): same verb, path and headers, never a redirect followed.

use std::sync::Arc;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HOST, HeaderName, HeaderValue};
use http::{Method, Request, Response, StatusCode, Uri};
use hyper::body::Incoming;
use kontor_protocol::fault::{Fault, FaultCode};
use kontor_protocol::rest::{RestRequest, to_wire};
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;

use crate::body::OutBody;
use crate::casework::Casework;
use crate::casework::inbox::{ENTRY, Served, write_entry};
use crate::head::Head;
use crate::health::respond;
use crate::link::{Link, LinkError, Links};
use crate::listen;
use crate::messagelog::Receipt;
use crate::registry::Offered;
use crate::shutdown::Shutdown;
use crate::spool::Spooled;
use crate::witness::Witness;

const CONNECT: Duration = Duration::from_secs(30);
const HANDSHAKE: Duration = Duration::from_secs(10);

/// Links to services.
pub struct Services {
    links: Links<String, ()>,
    own: Own,
    shutdown: Shutdown,
}

/// What the node serves itself, in this process.
#[derive(Default)]
pub struct Own {
    /// The service `ledger`.
    pub ledger: Option<Arc<Witness>>,
    /// The services `transfer` and `participation`.
    pub casework: Option<Arc<Casework>>,
}

impl Services {
    /// `own` is what the node serves itself.
    pub fn new(own: Own, shutdown: Shutdown) -> Self {
        Self {
            links: Links::default(),
            own,
            shutdown,
        }
    }

    /// Sends a verified, permitted and recorded request to the service and waits for the head of its answer. `entry` is the receipt of
    /// its entry, which what the node serves itself rests on.
    pub(super) async fn call(
        &self,
        offered: &Offered,
        request: &RestRequest,
        body: Option<&Spooled>,
        entry: Receipt,
    ) -> Result<(Link<()>, Head, Response<Incoming>), Fault> {
        let place = place(offered);
        let asked = async {
            let mut link = match self.links.take(&place) {
                Some(link) => link,
                None => self.open(offered).await?,
            };
            let mut out = http_request(offered, request, body, entry, &self.shutdown)?;
            loop {
                match link.send(out).await {
                    Ok((head, answer)) => return Ok((link, head, answer)),
                    Err(LinkError::NotSent(back)) if link.is_reused() => {
                        out = *back;
                        link = self.open(offered).await?;
                    }
                    Err(error) => return Err(failed(FaultCode::IoError, offered, &error)),
                }
            }
        };
        tokio::time::timeout(offered.service.timeout, asked)
            .await
            .map_err(|_| {
                failed(
                    FaultCode::IoError,
                    offered,
                    &"it did not answer within its timeout",
                )
            })?
    }

    /// Keeps a link whose answer was read to its end.
    pub(super) fn keep(&self, offered: &Offered, link: Link<()>) {
        if offered.answer.is_some() {
            return;
        }
        self.links.keep(place(offered), link);
    }

    async fn open(&self, offered: &Offered) -> Result<Link<()>, Fault> {
        let url = &offered.service.url;
        if is_own(offered) {
            let stream = match (url.host(), &self.own) {
                (Some("methods"), _) => {
                    let answer = offered.answer.clone().unwrap_or_default();
                    listen::within(&self.shutdown, move |_, _| {
                        std::future::ready(respond(StatusCode::OK, "application/json", answer.to_vec()))
                    })
                }
                (
                    Some("ledger"),
                    Own {
                        ledger: Some(own), ..
                    },
                ) => {
                    let own = Arc::clone(own);
                    listen::within(&self.shutdown, move |_, request| Arc::clone(&own).answer(request))
                }
                (
                    Some(host @ ("transfer" | "participation")),
                    Own {
                        casework: Some(own), ..
                    },
                ) => {
                    let own = Arc::clone(own);
                    let service = match host {
                        "transfer" => Served::Transfers,
                        _ => Served::Participation,
                    };
                    listen::within(&self.shutdown, move |_, request| {
                        Arc::clone(&own).answer(service, request)
                    })
                }
                _ => return Err(failed(FaultCode::InternalError, offered, &"it is not served")),
            };
            let opened = Link::open(stream, (), &self.shutdown).await;
            return opened.map_err(|e| failed(FaultCode::IoError, offered, &e));
        }
        let host = url
            .host()
            .unwrap_or_default()
            .trim_start_matches('[')
            .trim_end_matches(']')
            .to_owned();
        let is_tls = url.scheme_str() == Some("https");
        let port = url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let stream = tokio::time::timeout(CONNECT, TcpStream::connect((host.as_str(), port)))
            .await
            .map_err(|_| failed(FaultCode::NetworkError, offered, &"no connection in time"))?
            .map_err(|e| failed(FaultCode::NetworkError, offered, &e))?;
        let _ = stream.set_nodelay(true);
        let opened = match &offered.tls {
            None => Link::open(stream, (), &self.shutdown).await,
            Some(tls) => {
                let name = ServerName::try_from(host)
                    .map_err(|_| failed(FaultCode::NetworkError, offered, &"its host is no name for TLS"))?;
                let stream = tokio::time::timeout(HANDSHAKE, tls.connect(name, stream))
                    .await
                    .map_err(|_| failed(FaultCode::IoError, offered, &"the TLS handshake took too long"))?
                    .map_err(|e| failed(FaultCode::SslAuthenticationFailed, offered, &e))?;
                Link::open(stream, (), &self.shutdown).await
            }
        };
        opened.map_err(|e| failed(FaultCode::IoError, offered, &e))
    }
}

/// Whether the node serves this itself.
fn is_own(offered: &Offered) -> bool {
    offered.service.url.scheme_str() == Some("kontor")
}

/// Where the links of a service belong: services that check different certificates share none.
fn place(offered: &Offered) -> String {
    let url = &offered.service.url;
    let authority = url.authority().map(|a| a.as_str()).unwrap_or_default();
    let mut place = format!("{}://{authority}", url.scheme_str().unwrap_or_default());
    if let Some(allowed) = offered
        .allowed
        .as_ref()
        .filter(|_| url.scheme_str() == Some("https"))
    {
        for certificate in allowed {
            place.extend(certificate.sha256().iter().map(|b| format!("{b:02x}")));
        }
    }
    place
}

fn http_request(
    offered: &Offered,
    request: &RestRequest,
    body: Option<&Spooled>,
    entry: Receipt,
    shutdown: &Shutdown,
) -> Result<Request<OutBody>, Fault> {
    let refused = |what: &str| failed(FaultCode::InternalError, offered, &what);
    let delivered = body.filter(|_| request.verb().delivers_body());
    let mut out = Request::new(delivered.map_or(OutBody::Empty, |body| body.release(shutdown)));
    *out.method_mut() = Method::from_bytes(request.verb().as_str().as_bytes())
        .map_err(|_| refused("HTTP does not know the verb"))?;
    *out.uri_mut() =
        target(&offered.service.url, request).ok_or_else(|| refused("HTTP cannot carry the path"))?;
    let headers = out.headers_mut();
    let authority = offered
        .service
        .url
        .authority()
        .map(|a| a.as_str())
        .unwrap_or_default();
    headers.insert(
        HOST,
        HeaderValue::from_str(authority).map_err(|_| refused("its address is no host"))?,
    );
    for (name, value) in request.headers() {
        let name =
            HeaderName::from_bytes(name.as_bytes()).map_err(|_| refused("HTTP cannot carry a header"))?;
        let value =
            HeaderValue::from_bytes(&to_wire(value)).map_err(|_| refused("HTTP cannot carry a header"))?;
        headers.append(name, value);
    }
    if is_own(offered) {
        // Whatever the peer called so is replaced.
        let said = HeaderValue::from_str(&write_entry(&entry));
        headers.insert(ENTRY, said.map_err(|_| refused("HTTP cannot carry a receipt"))?);
    }
    if let Some(body) = delivered {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(body.length));
    }
    Ok(out)
}

/// URL of the service, its joint with the service path free of a double slash, and the query (wire 2.5).
fn target(url: &Uri, request: &RestRequest) -> Option<Uri> {
    let base = url.path();
    let path = request.service_path();
    let base = if path.starts_with('/') {
        base.trim_end_matches('/')
    } else {
        base
    };
    let mut target = format!("{base}{path}");
    if target.is_empty() {
        target.push('/');
    }
    if let Some(query) = request.query() {
        target.push('?');
        target.push_str(query);
    }
    target.parse().ok()
}

fn failed(code: FaultCode, offered: &Offered, reason: &dyn std::fmt::Display) -> Fault {
    tracing::warn!(service.url = %offered.service.url, "the service failed: {reason}");
    Fault::new(
        code,
        format!("the service {} failed: {reason}", offered.service.code),
    )
    .within(FaultCode::ServiceFailed)
}
