//! A listener with its log, and a client that trusts nothing but the `ca.pem` of the listener.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{AUTHORIZATION, HOST};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use kontor_pki::sealed::MasterKey;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::Value;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::administration::{Administration, Opening, identity};
use crate::clock::{Clock, ManualClock};
use crate::config::{AdministrationSettings, AdministrationTls};
use crate::messagelog::{AuditScope, LogSettings, MessageLog, NewGrant, Restriction, World, world_now};
use crate::shutdown::Shutdown;
use crate::{keystore, listen, suites, tls};

pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// See the module.
pub(super) struct Bed {
    pub(super) world: World,
    pub(super) clock: Arc<ManualClock>,
    pub(super) log: MessageLog,
    pub(super) address: SocketAddr,
    connector: TlsConnector,
    shutdown: Shutdown,
}

/// What came back.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Status and code of a refusal.
    pub(super) fn refusal(&self) -> (u16, String) {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status.as_u16());
        let code = problem["code"].as_str().unwrap().to_owned();
        assert_eq!(problem["type"], format!("urn:kontor:problem:{code}"));
        assert!(!problem["detail"].as_str().unwrap().is_empty());
        (self.status.as_u16(), code)
    }
}

impl Bed {
    pub(super) async fn new() -> Self {
        let world = World::new().await;
        let clock = ManualClock::at(world_now());
        let log = world.log_with(clock.clone(), LogSettings::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let settings = AdministrationSettings {
            listen: address,
            tls: AdministrationTls::Own(vec![]),
        };
        let dir = world.dir.path().join("administration");
        let (master, server) = (
            MasterKey::from_bytes([7; 32]),
            "TEST/GOV/1001/ss1".parse().unwrap(),
        );
        // Certificates are judged by the machine's clock here, as any client does.
        let today = crate::clock::SystemClock.now();
        let identity = identity(&settings, &dir, (&master, &server, true), today)
            .unwrap()
            .unwrap();
        let provider = suites::provider();
        let server_tls = tls::administration_server(&provider, &identity).unwrap();
        let mut roots = RootCertStore::empty();
        for ca in keystore::certificates(&dir.join("ca.pem")).unwrap() {
            roots.add(CertificateDer::from(ca.der().to_vec())).unwrap();
        }
        let client = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let shutdown = Shutdown::default();
        let opening = Opening {
            delay: Duration::ZERO,
            ..Opening::of(log.clone(), world.timestamper(), shutdown.clone())
        };
        let administration = Administration::open(opening, None, &mut Default::default());
        let answer = move |connection, request| administration.clone().answer(connection, request);
        shutdown.spawn(listen::serve(
            "administration",
            listener,
            Some(Arc::new(server_tls)),
            None,
            shutdown.clone(),
            answer,
        ));
        Self {
            world,
            clock,
            log,
            address,
            connector: TlsConnector::from(Arc::new(client)),
            shutdown,
        }
    }

    /// A token for everything of this scope.
    pub(super) async fn token(&self, scope: AuditScope) -> String {
        self.token_for(scope, Restriction::default()).await.1
    }

    /// A token and its id.
    pub(super) async fn token_for(&self, scope: AuditScope, only: Restriction) -> (String, String) {
        let new = NewGrant {
            name: "Prüfer (fiktiv)".into(),
            ground: "audit 7".into(),
            scope,
            only,
            until: self.clock.now() + DAY,
            by: "uid:1000".into(),
        };
        let (grant, token) = self.log.grant(new).await.unwrap();
        (grant.id, token)
    }

    pub(super) async fn connect(&self) -> TlsStream<TcpStream> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let name = ServerName::try_from("127.0.0.1").unwrap();
        self.connector.connect(name, stream).await.unwrap()
    }

    /// Asks with a token.
    pub(super) async fn get(&self, target: &str, token: &str) -> Answer {
        let authorization = format!("Bearer {token}");
        self.ask(
            Method::GET,
            target,
            &[(AUTHORIZATION.as_str(), &authorization)],
            "",
        )
        .await
    }

    pub(super) async fn ask(
        &self,
        method: Method,
        target: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(self.connect().await))
                .await
                .unwrap();
        let running = tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(target)
            .header(HOST, self.address.to_string());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::from(body.to_owned()))).unwrap();
        let (head, body) = sender.send_request(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        drop(sender);
        let _ = running.await;
        Answer {
            status: head.status,
            headers: head.headers,
            body,
        }
    }

    /// Asks with bytes that no client of ours would send, and gives all that comes back.
    pub(super) async fn raw(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes).await.unwrap();
        let mut answer = Vec::new();
        let _ = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    /// What the newest entry says, of a look.
    pub(super) async fn last_look(&self) -> (crate::messagelog::Looked, String) {
        let fact = self.log.fact(self.log.stats().entries - 1).await.unwrap();
        assert_eq!(fact.kind, kontor_protocol::log::EntryKind::Look);
        (fact.said().unwrap(), fact.numbers.to_string())
    }

    pub(super) async fn end(self) {
        self.shutdown.finish(Duration::from_secs(5)).await;
        self.log.shutdown().await;
    }
}
