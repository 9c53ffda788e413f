//! One event on its way to a receiver: signed as the Standard Webhooks say, over a connection that is kept for the next one.
//!
//! Owns what an answer means and how long it is waited for. Redirects are answers like others: nothing goes where the configuration
//! does not send it.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{Method, Request, StatusCode};
use hyper::body::Incoming;
use kontor_pki::crypto::sha256;
use kontor_protocol::id::ServerId;
use rustls::pki_types::ServerName;
use serde::Serialize;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::body::OutBody;
use crate::casework::row::EventRow;
use crate::config::webhook::Webhook;
use crate::link::{Link, LinkError, Links, next_piece};
use crate::messagelog::hex;
use crate::roots;
use crate::shutdown::Shutdown;

/// Time to connect, TLS included.
const CONNECT: Duration = Duration::from_secs(10);
/// Time for the head of an answer.
const PATIENCE: Duration = Duration::from_secs(15);
/// What is read of an answer's body, and how long: only so that the connection can carry the next event.
const REST: (usize, Duration) = (64 * 1024, Duration::from_secs(2));

/// How a post ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Posted {
    /// The receiver has it.
    Taken,
    /// The receiver wants nothing more.
    Gone,
    /// It has to be tried again.
    Failed {
        /// Why, by code.
        code: String,
        /// How long the receiver wants to be left alone.
        after: Option<Duration>,
    },
}

impl Posted {
    fn failed(code: &str) -> Self {
        Self::Failed {
            code: code.to_owned(),
            after: None,
        }
    }
}

/// An event as it is posted: the same bytes under the same id at every try.
#[derive(Clone, Debug)]
pub(super) struct Letter {
    id: String,
    body: Bytes,
}

/// What stands in the body: what the feed tells, and whose event it is.
#[derive(Serialize)]
struct Told<'a> {
    /// As in the feed.
    id: &'a str,
    server: &'a ServerId,
    test: bool,
    #[serde(flatten)]
    event: &'a EventRow,
}

impl Letter {
    /// The event under this key.
    pub(super) fn new(
        key: &[u8],
        event: &EventRow,
        server: &ServerId,
        test: bool,
    ) -> serde_json::Result<Self> {
        let id = hex(key);
        let told = Told {
            id: &id,
            server,
            test,
            event,
        };
        let body = Bytes::from(serde_json::to_vec(&told)?);
        // Receivers know by it what they have: it must be nobody else's, not of another node, nor of this one restored from a backup.
        let id = format!("{id}-{}", hex(&sha256(&body)[..8]));
        Ok(Self { id, body })
    }
}

/// A connection of either kind.
trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// The way to one receiver.
pub(super) struct Way {
    webhook: Arc<Webhook>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
    links: Links<(), ()>,
}

impl Way {
    /// As the configuration says.
    pub(super) fn to(webhook: Arc<Webhook>) -> Result<Self, String> {
        let tls = match webhook.url.scheme_str() {
            Some("https") => {
                let config = roots::client(webhook.ca.as_ref().map(|ca| ca.path.as_path()))?;
                let name = ServerName::try_from(host(&webhook).to_owned())
                    .map_err(|_| "the host is neither a name nor an address")?;
                Some((TlsConnector::from(Arc::new(config)), name))
            }
            _ => None,
        };
        Ok(Self {
            webhook,
            tls,
            links: Links::default(),
        })
    }

    async fn connect(&self) -> Result<Box<dyn Stream>, String> {
        let port = if self.tls.is_some() { 443 } else { 80 };
        let port = self.webhook.url.port_u16().unwrap_or(port);
        let stream = TcpStream::connect((host(&self.webhook), port))
            .await
            .map_err(|_| "unreachable")?;
        let _ = stream.set_nodelay(true);
        match &self.tls {
            None => Ok(Box::new(stream)),
            Some((tls, name)) => match tls.connect(name.clone(), stream).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => {
                    tracing::debug!(webhook = self.webhook.name, %error, "TLS with a receiver fails");
                    Err("tls_failed".into())
                }
            },
        }
    }

    /// Posts an event, signed at this second.
    pub(super) async fn post(&self, letter: &Letter, second: i64, shutdown: &Shutdown) -> Posted {
        let mut request = match self.request(letter, second) {
            Ok(request) => request,
            Err(error) => {
                tracing::error!(webhook = self.webhook.name, %error, "an event cannot be written");
                return Posted::failed("unwritable");
            }
        };
        // A connection that lay idle may have been closed meanwhile, which is no failure of the receiver.
        while let Some(link) = self.links.take(&()) {
            match self.exchange(link, request, second).await {
                Ok(posted) => return posted,
                Err(back) => request = *back,
            }
        }
        let opened = async {
            Link::open(self.connect().await?, (), shutdown)
                .await
                .map_err(|_| "broken_off".to_owned())
        };
        let link = match timeout(CONNECT, opened).await {
            Ok(Ok(link)) => link,
            Ok(Err(code)) => return Posted::failed(&code),
            Err(_) => return Posted::failed("unreachable"),
        };
        match self.exchange(link, request, second).await {
            Ok(posted) => posted,
            Err(_) => Posted::failed("broken_off"),
        }
    }

    fn request(&self, letter: &Letter, second: i64) -> http::Result<Request<OutBody>> {
        let second = second.to_string();
        let signed: [&[u8]; 5] = [letter.id.as_bytes(), b".", second.as_bytes(), b".", &letter.body];
        let macs = self.webhook.secrets.sign(&signed);
        let macs: Vec<String> = macs
            .iter()
            .map(|mac| format!("v1,{}", BASE64_STANDARD.encode(mac)))
            .collect();
        let url = &self.webhook.url;
        Request::builder()
            .method(Method::POST)
            .uri(url.path_and_query().map_or("/", |target| target.as_str()))
            .header(HOST, url.authority().map_or("", |authority| authority.as_str()))
            .header(USER_AGENT, HeaderValue::from_static("kontor"))
            .header(CONTENT_TYPE, HeaderValue::from_static("application/json"))
            .header(CONTENT_LENGTH, letter.body.len())
            .header("webhook-id", &letter.id)
            .header("webhook-timestamp", second)
            .header("webhook-signature", macs.join(" "))
            .body(OutBody::from(letter.body.clone()))
    }

    /// One exchange; gives the request back if nothing of it was sent.
    async fn exchange(
        &self,
        mut link: Link<()>,
        request: Request<OutBody>,
        second: i64,
    ) -> Result<Posted, Box<Request<OutBody>>> {
        let answer = match timeout(PATIENCE, link.send(request)).await {
            Ok(Ok((_, answer))) => answer,
            Ok(Err(LinkError::NotSent(request))) => return Err(request),
            Ok(Err(LinkError::Broken(_))) => return Ok(Posted::failed("broken_off")),
            Err(_) => return Ok(Posted::failed("no_answer_in_time")),
        };
        let status = answer.status();
        let after = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| retry_after(value, second));
        // The head says it all; what follows decides only whether the connection is kept.
        if timeout(REST.1, is_read(answer.into_body())).await == Ok(true) {
            self.links.keep((), link);
        }
        Ok(match status {
            StatusCode::GONE => Posted::Gone,
            status if status.is_success() => Posted::Taken,
            status => Posted::Failed {
                code: format!("status_{}", status.as_u16()),
                after,
            },
        })
    }
}

/// How long a receiver wants to be left alone (RFC 9110, 10.2.3): seconds, or an instant.
fn retry_after(value: &HeaderValue, second: i64) -> Option<Duration> {
    let text = value.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => {
            let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp().as_second();
            u64::try_from(at.saturating_sub(second))
                .ok()
                .map(Duration::from_secs)
        }
    }
}

/// The host without the brackets of an IPv6 address.
fn host(webhook: &Webhook) -> &str {
    webhook.url.host().unwrap_or_default().trim_matches(['[', ']'])
}

/// Whether a body came to its end within bounds.
async fn is_read(mut body: Incoming) -> bool {
    let mut length = 0;
    while let Some(piece) = next_piece(&mut body).await {
        match piece {
            Ok(piece) if length + piece.len() <= REST.0 => length += piece.len(),
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use kontor_pki::authority::{CaParams, CertificateAuthority, Leaf, Usage, Validity};
    use kontor_pki::profile::Subject;
    use kontor_pki::signing::{KeyAlgorithm, SigningKey as _, SoftwareKey};
    use rustls::ServerConfig;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    use tokio::net::TcpListener;
    use tokio_rustls::TlsAcceptor;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::time::Instant;

    use super::*;
    use crate::clock::{Clock as _, SystemClock};
    use crate::config::webhook::{Authorities, Secrets};
    use crate::suites;

    fn way() -> Way {
        let webhook = Webhook {
            name: "w".into(),
            url: http::Uri::from_static("http://h.example/in?a=b"),
            ca: None,
            secrets: Secrets::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap(),
            kinds: BTreeSet::new(),
            units: BTreeSet::new(),
            give_up: Duration::from_secs(86_400),
        };
        Way::to(Arc::new(webhook)).unwrap()
    }

    /// The published example of the specification's own libraries.
    #[test]
    fn the_signature_is_that_of_the_published_example() {
        let letter = Letter {
            id: "msg_p5jXN8AQM9LWM0D4loKWxJek".into(),
            body: Bytes::from_static(br#"{"test": 2432232314}"#),
        };
        let request = way().request(&letter, 1_614_265_330).unwrap();
        let head = request.headers();
        assert_eq!(head["webhook-id"], "msg_p5jXN8AQM9LWM0D4loKWxJek");
        assert_eq!(head["webhook-timestamp"], "1614265330");
        assert_eq!(
            head["webhook-signature"],
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        assert_eq!(request.uri(), "/in?a=b");
    }

    /// What a receiver answers that writes these bytes after it got something.
    async fn answered(answer: &'static [u8]) -> (Posted, Duration, bool) {
        let way = way();
        let (ours, mut theirs) = tokio::io::duplex(64 * 1024);
        let link = Link::open(ours, (), &Shutdown::default()).await.unwrap();
        let letter = Letter {
            id: "i".into(),
            body: Bytes::from_static(b"{}"),
        };
        let begun = Instant::now();
        let receiver = async {
            let _ = theirs.read(&mut [0; 4096]).await;
            let _ = theirs.write_all(answer).await;
            std::future::pending::<()>().await;
        };
        let request = way.request(&letter, 1).unwrap();
        let posted = tokio::select! {
            posted = way.exchange(link, request, 1) => posted.unwrap(),
            () = receiver => unreachable!(),
        };
        (posted, begun.elapsed(), way.links.take(&()).is_some())
    }

    #[tokio::test(start_paused = true)]
    async fn a_receiver_that_is_silent_or_trickles_is_waited_for_so_long_only() {
        let (posted, took, _) = answered(b"").await;
        assert_eq!(posted, Posted::failed("no_answer_in_time"));
        assert!((PATIENCE..2 * PATIENCE).contains(&took), "{took:?}");
        // The head is there: the event is settled, whatever becomes of the rest.
        let (posted, took, kept) = answered(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nabc").await;
        assert_eq!(posted, Posted::Taken);
        assert!(!kept && (REST.1..2 * REST.1).contains(&took), "{took:?}");
        let (posted, took, kept) = answered(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc").await;
        assert_eq!((posted, took, kept), (Posted::Taken, Duration::ZERO, true));
    }

    #[tokio::test(start_paused = true)]
    async fn redirects_are_not_followed_and_gone_is_gone() {
        let moved = b"HTTP/1.1 307 x\r\nlocation: http://elsewhere.example/\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(answered(moved).await.0, Posted::failed("status_307"));
        let gone = b"HTTP/1.1 410 Gone\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(answered(gone).await.0, Posted::Gone);
        let none = b"HTTP/1.1 204 No Content\r\n\r\n";
        assert_eq!(answered(none).await.0, Posted::Taken);
    }

    /// A receiver that speaks TLS as 127.0.0.1 and takes everything; gives its port and its authority.
    async fn secure() -> (u16, String) {
        let validity = Validity::days(SystemClock.now(), 2);
        let authority = CertificateAuthority::generate(&CaParams {
            name: "Receivers".into(),
            organization: "Test".into(),
            test: true,
            key: KeyAlgorithm::EcdsaP256,
            validity,
        })
        .unwrap();
        let key = SoftwareKey::generate(KeyAlgorithm::EcdsaP256).unwrap();
        let leaf = authority.issue(&Leaf {
            public_key: key.public_key(),
            subject: Subject::common_name("receiver"),
            usage: Usage::Authentication,
            validity,
            dns_names: &["127.0.0.1".into()],
        });
        let chain = vec![CertificateDer::from(leaf.unwrap().der().to_vec())];
        let key = PrivateKeyDer::Pkcs8(key.to_pkcs8().to_vec().into());
        let config = ServerConfig::builder_with_provider(suites::provider())
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(chain, key)
            .unwrap();
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                // Who believes somebody else ends the handshake.
                if let Ok(mut stream) = acceptor.accept(stream).await {
                    let _ = stream.read(&mut [0; 4096]).await;
                    let _ = stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await;
                    let _ = stream.shutdown().await;
                }
            }
        });
        (port, authority.certificate().to_pem())
    }

    #[test]
    fn a_receiver_says_in_seconds_or_by_an_instant_when_to_come_again() {
        for (text, after) in [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("Sun, 06 Nov 1994 08:49:37 GMT", Some(37)),
            // Over already.
            ("Sun, 06 Nov 1994 08:48:59 GMT", None),
            ("-1", None),
            ("1.5", None),
            ("soon", None),
            ("", None),
            ("99999999999999999999999", None),
        ] {
            let value = HeaderValue::from_static(text);
            let wanted = after.map(Duration::from_secs);
            assert_eq!(retry_after(&value, 784_111_740), wanted, "{text}");
        }
    }

    #[tokio::test]
    async fn a_secure_receiver_is_one_whom_the_named_authorities_vouch_for() {
        let dir = tempfile::tempdir().unwrap();
        let (port, authority) = secure().await;
        let (_, stranger) = secure().await;
        let letter = Letter {
            id: "i".into(),
            body: Bytes::from_static(b"{}"),
        };
        let failed = Posted::failed("tls_failed");
        for (host, authority, wanted) in [
            ("127.0.0.1", &authority, &Posted::Taken),
            ("127.0.0.1", &stranger, &failed),
            // It is somebody else's certificate.
            ("localhost", &authority, &failed),
        ] {
            let path = dir.path().join("ca.pem");
            std::fs::write(&path, authority).unwrap();
            let mut webhook = (*way().webhook).clone();
            webhook.url = format!("https://{host}:{port}/in").parse().unwrap();
            webhook.ca = Some(Authorities::read(path).unwrap());
            let way = Way::to(Arc::new(webhook)).unwrap();
            let posted = way.post(&letter, 1, &Shutdown::default()).await;
            assert_eq!(posted, *wanted, "{host}");
        }
    }
}
