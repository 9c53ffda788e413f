//! Asks the service `ledger` of a peer: one exchange like any other, signed, recorded and verified, in the name of the own
//! subsystem.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body_util::{BodyExt, Limited};
use kontor_protocol::fault::FaultCode;
use kontor_protocol::id::{ClientId, MemberId, ServerId};
use kontor_protocol::log::binding::Binding;
use kontor_protocol::log::note::SignatureKind;
use kontor_protocol::trust::TrustSet;

use crate::body::OutBody;
use crate::handles::Handles;
use crate::link::Link;
use crate::listen;
use crate::messagelog::parse_bindings;
use crate::outbound::Outbound;
use crate::registry::OWN_SERVICE;

/// A peer answers in this time or is asked another time.
const PATIENCE: Duration = Duration::from_secs(60);
/// No answer is larger: bodies between nodes have at most 8 MiB.
const LIMIT: usize = 8 * 1024 * 1024;

/// The peer's node, and the subsystem in whose name it serves.
#[derive(Clone, Debug)]
pub struct Place {
    /// The subsystem.
    pub ledger: ClientId,
    /// The security server.
    pub server: ServerId,
}

/// What a peer answered.
#[derive(Debug)]
pub struct Answer {
    /// Status of the service.
    pub status: StatusCode,
    /// Its body.
    pub body: Bytes,
    /// When it may be asked again, if it said so.
    pub retry: Option<Duration>,
}

/// Why a peer could not be asked, or is not believed.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The exchange ended with a fault, of the own node or the peer's.
    #[error("{code}: {text}")]
    Fault {
        /// X-Road's code.
        code: String,
        /// The sentence with it.
        text: String,
    },
    /// Another status than the one that was hoped for.
    #[error("it answers with status {0}: {1}")]
    Status(StatusCode, String),
    /// The exchange failed.
    #[error("it cannot be asked: {0}")]
    Exchange(String),
    /// What it says does not hold.
    #[error("its answer is not believed: {0}")]
    Answer(String),
}

impl AskError {
    /// Whether the peer has the subsystem and not the service, as the nodes of others do.
    pub fn is_no_service(&self) -> bool {
        let none = ["unknown_service", "unknown_member", "access_denied"];
        match self {
            Self::Fault { code, .. } => {
                let cause = code.rsplit('.').next().unwrap_or_default();
                let cause = FaultCode::from_element(cause).map_or(cause, |code| code.snake());
                code.starts_with("server.serverproxy") | code.starts_with("Server.ServerProxy")
                    && none.contains(&cause)
            }
            _ => false,
        }
    }

    /// An answer with a status that helps nobody.
    pub fn refused(answer: &Answer) -> Self {
        let text = &answer.body[..answer.body.len().min(300)];
        Self::Status(answer.status, String::from_utf8_lossy(text).into_owned())
    }
}

/// Asks peers.
pub struct Asker {
    /// The node's handles.
    pub handles: Arc<Handles>,
    outbound: Arc<Outbound>,
    own: ClientId,
}

impl Asker {
    /// Speaks through the own outbound side.
    pub fn new(handles: Arc<Handles>, outbound: Arc<Outbound>, own: ClientId) -> Self {
        Self {
            handles,
            outbound,
            own,
        }
    }

    /// Whether the own member can sign now.
    pub fn can_ask(&self) -> bool {
        self.handles.signer.check(self.own.member()).is_ok()
    }

    /// The code of the subsystem that serves ledgers, the same at every member.
    pub fn code(&self) -> &str {
        self.own.subsystem().unwrap_or_default()
    }

    /// Where the nodes of a member can be asked.
    pub fn places(&self, member: &MemberId, trust: &TrustSet) -> Vec<Place> {
        let Ok(ledger) = ClientId::subsystem_of(member.clone(), self.code()) else {
            return Vec::new();
        };
        let servers = trust.servers_of(&ledger);
        let servers = servers.iter().filter(|server| server.id != self.handles.server);
        servers
            .map(|server| Place {
                ledger: ledger.clone(),
                server: server.id.clone(),
            })
            .collect()
    }

    /// One exchange.
    pub async fn ask(
        &self,
        place: &Place,
        method: Method,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Answer, AskError> {
        let exchange = |error: &dyn std::fmt::Display| AskError::Exchange(error.to_string());
        let outbound = Arc::clone(&self.outbound);
        let shutdown = &self.handles.shutdown;
        let stream = listen::within(shutdown, move |connection, request| {
            Arc::clone(&outbound).answer(connection, request)
        });
        let asked = async {
            let mut link = Link::open(stream, (), shutdown).await.map_err(|e| exchange(&e))?;
            let request = Request::builder()
                .method(method)
                .uri(format!("/r1/{}/{OWN_SERVICE}/{path}", place.ledger.to_path()))
                .header("host", "localhost")
                .header("x-road-client", self.own.to_path())
                .header("x-road-security-server", place.server.to_path())
                .body(OutBody::from(Bytes::from(body)))
                .map_err(|e| exchange(&e))?;
            let (_, answer) = link.send(request).await.map_err(|e| exchange(&e))?;
            let (parts, body) = answer.into_parts();
            let body = Limited::new(body, LIMIT)
                .collect()
                .await
                .map_err(|e| exchange(&e))?;
            match parts
                .headers
                .get("x-road-error")
                .and_then(|code| code.to_str().ok())
            {
                Some(code) => Err(AskError::Fault {
                    code: code.to_owned(),
                    text: sentence(&body.to_bytes()),
                }),
                None => Ok(Answer {
                    status: parts.status,
                    body: body.to_bytes(),
                    retry: parts
                        .headers
                        .get(http::header::RETRY_AFTER)
                        .and_then(|seconds| seconds.to_str().ok()?.parse().ok())
                        .map(Duration::from_secs),
                }),
            }
        };
        tokio::time::timeout(PATIENCE, asked)
            .await
            .map_err(|_| exchange(&"no answer in time"))?
    }

    /// The binding of the peer's key of this kind, if its member answers for it.
    pub async fn key_of(
        &self,
        place: &Place,
        kind: SignatureKind,
        trust: &TrustSet,
    ) -> Result<Binding, AskError> {
        let answer = self.ask(place, Method::GET, "key", Vec::new()).await?;
        key_in(&answer, place, kind, trust)
    }
}

/// The binding of the peer's key of this kind in its answer to `GET /key`, if its member answers for it.
pub fn key_in(
    answer: &Answer,
    place: &Place,
    kind: SignatureKind,
    trust: &TrustSet,
) -> Result<Binding, AskError> {
    // A peer that was asked too often has not said that it has no key.
    if answer.status != StatusCode::OK {
        return Err(AskError::refused(answer));
    }
    let key = parse_bindings(&answer.body).into_iter().find(|binding| {
        binding.statement.key().kind() == kind && *binding.statement.server() == place.server
    });
    let key = key.ok_or_else(|| AskError::Answer("it shows no such key".into()))?;
    match key.verify(trust, None) {
        Ok(_) => Ok(key),
        Err(error) => Err(AskError::Answer(error.to_string())),
    }
}

/// The sentence of an X-Road error, shortened.
fn sentence(body: &[u8]) -> String {
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = value.get("message").and_then(|text| text.as_str());
    text.unwrap_or("no reason is given").chars().take(300).collect()
}
