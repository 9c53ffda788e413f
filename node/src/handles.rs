//! What both sides of the node are built from, as one structure that `startup` fills.

use std::sync::Arc;

use arc_swap::ArcSwap;
use bytes::Bytes;
use kontor_pki::certificate::Certificate;
use kontor_pki::time::UnixTime;
use kontor_protocol::fault::{Fault, FaultCode, ForeignFault, Spelling};
use kontor_protocol::hash_chain::PartDigest;
use kontor_protocol::id::{ClientId, MemberId, ServerId, ServiceId};
use kontor_protocol::trust::TrustSet;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::registry::Registry;

use crate::admission::Admission;
use crate::clock::SharedClock;
use crate::config::{Tls12, Tls12Policy};
use crate::gate::Gate;
use crate::globalconf::GlobalConf;
use crate::keystore::Identity;
use crate::messagelog::{EntryKind, LogError, LoggedBody, MessageLog, NewEntry, Receipt};
use crate::ocsp::OwnOcsp;
use crate::partners::Partners;
use crate::peers::Peers;
use crate::quota::Quota;
use crate::registry::ClientRegistry;
use crate::shutdown::Shutdown;
use crate::signer::{InFlight, Signed, Signer};
use crate::spool::Spooled;
use crate::verdicts::Verdicts;

/// Handles that an exchange uses.
pub struct Handles {
    /// This security server.
    pub server: ServerId,
    /// The clock.
    pub clock: SharedClock,
    /// Global configuration.
    pub trust: Arc<GlobalConf>,
    /// Responses for the node's own certificates.
    pub ocsp: OwnOcsp,
    /// Clients and services; a new file takes the place of the old one between two looks.
    pub clients: ArcSwap<ClientRegistry>,
    /// Signing keys.
    pub signer: Signer,
    /// The message log.
    pub log: MessageLog,
    /// Bodies up to this size stay in memory.
    pub inline_body: usize,
    /// Places for exchanges that clients begin.
    pub clients_at_once: Admission<ClientId>,
    /// Places for exchanges that peers begin, by the SHA-256 of what they present.
    pub peers_at_once: Admission<[u8; 32]>,
    /// Verdicts about peers.
    pub peers: Peers,
    /// Verdicts about signature documents.
    pub verdicts: Verdicts,
    /// What of TLS 1.2 is spoken with whom.
    pub tls12: Tls12Policy,
    /// Key and certificates towards other nodes.
    pub authentication: Arc<Identity>,
    /// Exchanges in flight.
    pub in_flight: InFlight,
    /// With whom messages were exchanged.
    pub partners: Partners,
    /// Whether messages are taken yet.
    pub gate: Arc<Gate>,
    /// How often members may ask what the node itself serves.
    pub quota: Arc<Quota>,
    /// Tokens and tasks.
    pub shutdown: Shutdown,
    /// Counters of both sides.
    pub exchanges: ExchangeMetrics,
}

/// Why an exchange ended without its answer.
#[derive(Debug)]
pub enum Failure {
    /// Noticed here.
    Own(Fault),
    /// Told by the peer; handed on unchanged.
    Peer(ForeignFault),
    /// Noticed here: there is no place for it now, and soon there may be.
    Busy(Fault),
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Self::Own(fault)
    }
}

impl Failure {
    /// The code as a failure closure names it.
    pub fn code(&self) -> String {
        match self {
            Self::Own(fault) | Self::Busy(fault) => fault.code_string(Spelling::Snake),
            Self::Peer(fault) => fault.code.clone(),
        }
    }

    /// The fault as it goes out: our own in X-Road's newest spelling and with an id of its own, a peer's as it came.
    pub fn spelled(self) -> ForeignFault {
        match self {
            Self::Own(fault) | Self::Busy(fault) => fault
                .with_detail(uuid::Uuid::new_v4().to_string())
                .spelled(Spelling::Snake),
            Self::Peer(fault) => fault,
        }
    }
}

/// Which side of the node.
#[derive(Clone, Copy, Debug, EncodeLabelValue, Eq, Hash, PartialEq)]
pub enum Side {
    /// Brought by other nodes.
    Inbound,
    /// Sent by information systems.
    Outbound,
}

/// How an exchange ended.
#[derive(Clone, Copy, Debug, EncodeLabelValue, Eq, Hash, PartialEq)]
pub enum Outcome {
    /// Refused or failed here.
    Failed,
    /// Answered.
    Ok,
    /// The peer answered with a fault.
    PeerFault,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct Labels {
    side: Side,
    outcome: Outcome,
}

/// Counters and times of exchanges.
#[derive(Clone, Debug)]
pub struct ExchangeMetrics {
    ended: Family<Labels, Counter>,
    seconds: Family<SideLabel, Histogram>,
}

#[derive(Clone, Debug, EncodeLabelSet, Eq, Hash, PartialEq)]
struct SideLabel {
    side: Side,
}

impl ExchangeMetrics {
    /// Enters the metrics.
    pub fn register(registry: &mut Registry) -> Self {
        let ended = Family::<Labels, Counter>::default();
        let seconds = Family::<SideLabel, Histogram>::new_with_constructor(|| {
            Histogram::new(exponential_buckets(0.001, 2.0, 16))
        });
        registry.register(
            "kontor_exchanges",
            "Exchanges ended, whatever their outcome",
            ended.clone(),
        );
        registry.register(
            "kontor_exchange_seconds",
            "Time from request head to answer head",
            seconds.clone(),
        );
        Self { ended, seconds }
    }

    /// Notes the end of an exchange.
    pub fn ended(&self, side: Side, outcome: Outcome, took: std::time::Duration) {
        self.ended.get_or_create(&Labels { side, outcome }).inc();
        self.seconds
            .get_or_create(&SideLabel { side })
            .observe(took.as_secs_f64());
    }
}

/// A message of ours that is signed and on disk: only its holder may release the signature.
#[derive(Debug)]
pub struct Recorded {
    /// Its signature.
    pub signed: Signed,
    /// Receipt of its entry.
    pub receipt: Receipt,
}

/// What an entry says of its message, before it is signed.
#[derive(Debug)]
pub struct EntryDraft<'a> {
    /// Which message of the exchange.
    pub kind: EntryKind,
    /// Number of the request that a response answers.
    pub answers: Option<u64>,
    /// Who asked.
    pub client: &'a ClientId,
    /// What was asked.
    pub service: &'a ServiceId,
    /// The server on the client's side.
    pub client_server: Option<ServerId>,
    /// The server on the provider's side.
    pub provider_server: Option<ServerId>,
    /// `x-road-id`.
    pub query_id: &'a str,
    /// `x-road-request-id`.
    pub request_id: &'a str,
    /// The request, whose path decides how long what is kept.
    pub request: Bytes,
    /// The message part.
    pub message: Bytes,
    /// SHA-512 of it.
    pub message_digest: [u8; 64],
}

impl EntryDraft<'_> {
    /// The parts that are signed: the message and the body, if there is one.
    pub fn parts(&self, body: Option<&Spooled>) -> Vec<PartDigest> {
        let message = PartDigest::message(self.message_digest);
        match body {
            None => vec![message],
            Some(body) => vec![message, PartDigest::attachment(1, body.digest)],
        }
    }

    /// Who signs it: the member of the client for requests, that of the service for responses (wire 4.2).
    pub fn signer(&self) -> &MemberId {
        if self.kind.is_request() {
            self.client.member()
        } else {
            self.service.provider().member()
        }
    }
}

/// What a failure of the message log is to the other side; the operator's log says more.
pub fn log_fault(error: &LogError) -> Fault {
    tracing::error!(%error, "the message log refused an entry");
    let code = match error {
        LogError::NotStamped { .. } => FaultCode::TimestampingFailed,
        LogError::NoAuthority => FaultCode::NoTimestampingProviderFound,
        _ => FaultCode::LoggingFailed,
    };
    let text = match error {
        // Peers may know that, and should: it is they who noticed, or who are asked to compare.
        LogError::Behind { .. } | LogError::Contradiction { .. } | LogError::LeafLost { .. } => {
            "the message could not be recorded, so it was not handed on: the log of this security server is read-only, because it does not go on from what was signed of it"
        }
        _ => "the message could not be recorded, so it was not handed on",
    };
    Fault::new(code, text)
}

impl Handles {
    /// The current instant.
    pub fn now(&self) -> UnixTime {
        self.clock.now()
    }

    /// Clients and services as they are now.
    pub fn registry(&self) -> Arc<ClientRegistry> {
        self.clients.load_full()
    }

    /// Refuses a peer with which less is spoken than what was negotiated needs.
    pub fn may_speak(
        &self,
        trust: &TrustSet,
        leaf: Option<&Certificate>,
        needed: Tls12,
    ) -> Result<(), Fault> {
        let server = leaf.and_then(|leaf| trust.server_by_auth_cert(leaf));
        let spoken = server
            .as_ref()
            .map_or(self.tls12.others, |server| self.tls12.with(server));
        if needed <= spoken {
            return Ok(());
        }
        let who = server.map_or_else(|| "this server".to_owned(), |server| server.to_string());
        Err(Fault::new(
            FaultCode::SslAuthenticationFailed,
            format!(
                "{who} has to speak TLS 1.3 or TLS 1.2 with AES-GCM as this security server does; or this one's operator has to \
                 name it under [[federation.peer]]"
            ),
        ))
    }

    /// Signs a message of ours and records it.
    pub async fn sign_and_record(
        &self,
        entry: EntryDraft<'_>,
        body: Option<&Spooled>,
    ) -> Result<Recorded, Fault> {
        let signed = self.signer.sign(entry.signer(), entry.parts(body)).await?;
        let receipt = self.record(entry, &signed, body).await?;
        Ok(Recorded { signed, receipt })
    }

    /// Records a message with its signature; it is on disk when this returns.
    pub async fn record(
        &self,
        entry: EntryDraft<'_>,
        signed: &Signed,
        body: Option<&Spooled>,
    ) -> Result<Receipt, Fault> {
        let entry = NewEntry {
            kind: entry.kind,
            answers: entry.answers,
            client: entry.client.clone(),
            service: entry.service.clone(),
            client_server: entry.client_server,
            provider_server: entry.provider_server,
            query_id: entry.query_id.to_owned(),
            request_id: entry.request_id.to_owned(),
            request: entry.request,
            message: entry.message,
            message_digest: entry.message_digest,
            body: body.map_or(LoggedBody::None, Spooled::logged),
            signature: signed.batch.clone(),
            chain: signed.chain.clone(),
        };
        self.log.append(entry).await.map_err(|e| log_fault(&e))
    }
}
