//! The witness: keeps the newest checkpoint of each peer's log, checks that the next one goes on from it, and co-signs
//! (evidence 5, C2SP tlog-witness). Owns the service `ledger` that nodes serve each other in the name of their subsystems;
//! `watched` keeps what peers show, `show` shows the own checkpoints to them, `reconcile` compares two logs.
//!
//! | Request below `…/ledger` | Answer |
//! |---|---|
//! | `POST /add-checkpoint` (old size, proof, checkpoint) | 200 co-signature; 404 the log's key is not known, show it first; 409 another size is kept; 422 it does not go on from what is kept |
//! | `PUT /key` (binding of the log's key) | 204; 403 the member does not answer for it |
//! | `GET /key` | the bindings of this node's own keys, a JSON array |
//! | `GET /checkpoint` | the newest checkpoint of this node |
//! | `GET /kept/LOGID` | the checkpoint that is kept of the caller's log with this id (64 hexadecimal digits) |
//! | `GET /exchanges?first=N` | the messages exchanged with the caller's member from entry N on: ids, digests, proofs |
//! | `GET /consistency?old=N&new=M` | that the tree of N entries is the beginning of that of M: a hash in base64 a line |
//!
//! Whoever asks too often gets 429, and 503 when too much is asked at once, both with `Retry-After`; what is far beyond is
//! refused before it is recorded.
//!
//! A caller can only be a witness's customer for the log of a server at which its subsystem is registered. What
//! contradicts what is kept is kept too, as evidence with both signatures, and told to the operator.

pub mod ask;
pub mod reconcile;
pub mod show;
mod watched;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::header::{HeaderValue, RETRY_AFTER};
use http::{Method, Request, Response, StatusCode, Uri};
use http_body_util::{BodyExt, Limited};
use hyper::body::Incoming;
use kontor_protocol::id::{ClientId, ServerId};
use kontor_protocol::limits;
use kontor_protocol::log::binding::Binding;
use kontor_protocol::log::checkpoint::SignedCheckpoint;
use kontor_protocol::log::origin::LogOrigin;
use kontor_protocol::log::witness::{AddCheckpoint, SIZE_MEDIA_TYPE, size_body};
use kontor_protocol::trust::TrustSet;
use tokio::sync::Semaphore;

use self::watched::{Shown, Watched};
use crate::body::OutBody;
use crate::clock::SharedClock;
use crate::disk::Disk;
use crate::globalconf::GlobalConf;
use crate::health::respond;
use crate::messagelog::{MessageLog, Overseer, write_bindings};
use crate::quota::{Question, Quota};
use crate::sight::{Report, Sight};

/// Requests that may wait for the disk at a time.
const WRITES: usize = 32;
/// Pages and proofs that are made at a time.
const PAGES: usize = 4;
/// When too much is asked at once, somebody may try again after this.
const SOON: Duration = Duration::from_secs(2);
const TEXT: &str = "text/plain; charset=utf-8";

/// See the module.
pub struct Witness {
    log: MessageLog,
    trust: Arc<GlobalConf>,
    clock: SharedClock,
    quota: Arc<Quota>,
    sight: Sight,
    /// One lock for all: deciding, writing and co-signing of one log must not be interleaved. Taken on threads that may block.
    watched: Arc<Mutex<Watched>>,
    writes: Arc<Semaphore>,
    pages: Semaphore,
}

impl std::fmt::Debug for Witness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Witness").finish_non_exhaustive()
    }
}

/// What a witness is built from.
pub struct Setup {
    /// The own log, whose key co-signs.
    pub log: MessageLog,
    /// Global configuration.
    pub trust: Arc<GlobalConf>,
    /// The clock.
    pub clock: SharedClock,
    /// How often members may ask.
    pub quota: Arc<Quota>,
    /// Where the operator sees what is found.
    pub sight: Sight,
}

/// An answer that refuses.
struct Refused {
    status: StatusCode,
    code: &'static str,
    text: String,
    retry: Option<Duration>,
}

impl Refused {
    fn new(status: StatusCode, code: &'static str, text: impl ToString) -> Self {
        Self {
            status,
            code,
            text: text.to_string(),
            retry: None,
        }
    }

    fn later(status: StatusCode, code: &'static str, wait: Duration) -> Self {
        // Whole seconds, and never none: who asks again at once asks too early.
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        let text = format!("too much is asked; ask again in {seconds} seconds");
        Self {
            retry: Some(wait),
            ..Self::new(status, code, text)
        }
    }

    fn answer(self) -> Response<OutBody> {
        let page = serde_json::json!({ "code": self.code, "text": self.text });
        let mut answer = respond(self.status, "application/json", page.to_string().into_bytes());
        if let Some(wait) = self.retry {
            let seconds = u64::try_from(wait.as_millis().div_ceil(1000).max(1)).unwrap_or(u64::MAX);
            answer
                .headers_mut()
                .insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        answer
    }
}

impl Witness {
    /// Reads what was kept.
    pub fn open(dir: &Path, disk: Arc<dyn Disk>, setup: Setup) -> std::io::Result<Arc<Self>> {
        let [_, own] = setup.log.ledger_keys();
        let watched = Watched::open(dir, disk, own, setup.sight.clone())?;
        Ok(Arc::new(Self {
            log: setup.log,
            trust: setup.trust,
            clock: setup.clock,
            quota: setup.quota,
            sight: setup.sight,
            watched: Arc::new(Mutex::new(watched)),
            writes: Arc::new(Semaphore::new(WRITES)),
            pages: Semaphore::new(PAGES),
        }))
    }

    /// What the operator is told.
    pub fn report(&self) -> Report {
        let (cosigners, watched) = self.sight.told();
        let [key, _] = self.log.ledger_keys();
        Report {
            log: key
                .name()
                .as_str()
                .rsplit('/')
                .next()
                .unwrap_or_default()
                .to_owned(),
            size: self.log.checkpoint().map(|signed| signed.claimed().size()),
            refused: self.log.checkpoint_refusal().map(|refusal| refusal.to_string()),
            cosigners,
            watched,
        }
    }

    /// Notes what the operator says about everything that is open of a server; gives how many logs that are. Blocks.
    pub fn settle(&self, server: &str, ground: &str, who: &str) -> Result<u64, String> {
        let second = u64::try_from(self.clock.now().secs()).unwrap_or(0);
        let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
        watched.settle(server, ground, who, second)
    }

    /// What is kept of a server's logs: keys and newest checkpoints.
    pub async fn kept_of(&self, server: ServerId) -> Vec<(Binding, Option<SignedCheckpoint>)> {
        let kept = self.watching(move |watched| Ok(watched.logs_of(&server))).await;
        kept.unwrap_or_default()
    }

    /// Servers whose logs are watched.
    pub async fn servers(&self) -> Vec<ServerId> {
        self.watching(|watched| Ok(watched.servers()))
            .await
            .unwrap_or_default()
    }

    /// Does something with what is kept, where it may block; refuses what would wait behind too many others.
    async fn watching<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Watched) -> Result<T, Refused> + Send + 'static,
    ) -> Result<T, Refused> {
        let busy = || Refused::later(StatusCode::SERVICE_UNAVAILABLE, "busy", SOON);
        let place = Arc::clone(&self.writes).try_acquire_owned().map_err(|_| busy())?;
        let watched = Arc::clone(&self.watched);
        let done = tokio::task::spawn_blocking(move || {
            let _place = place;
            work(&mut watched.lock().unwrap_or_else(PoisonError::into_inner))
        });
        done.await.map_err(|_| busy())?
    }

    /// Answers a request that came signed from a peer and is on disk.
    pub async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Response<OutBody> {
        let (parts, body) = request.into_parts();
        let client = parts
            .headers
            .get("x-road-client")
            .and_then(|value| value.to_str().ok());
        let client = client.and_then(|text| ClientId::parse_path(text).ok());
        let answered = match (client, self.trust.current(self.clock.now())) {
            (Some(client), Ok(trust)) => {
                self.answered(&parts.method, &parts.uri, &client, &trust, body)
                    .await
            }
            (None, _) => Err(Refused::new(
                StatusCode::BAD_REQUEST,
                "no_client",
                "the request names no client",
            )),
            (_, Err(fault)) => Err(Refused::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "no_trust",
                fault.text(),
            )),
        };
        answered.unwrap_or_else(Refused::answer)
    }

    async fn answered(
        &self,
        method: &Method,
        uri: &Uri,
        client: &ClientId,
        trust: &Arc<TrustSet>,
        body: Incoming,
    ) -> Result<Response<OutBody>, Refused> {
        let is_page = matches!(uri.path(), "/exchanges" | "/consistency");
        let question = if is_page { Question::Page } else { Question::Small };
        self.quota
            .take(client.member(), question, self.clock.now())
            .map_err(|wait| Refused::later(StatusCode::TOO_MANY_REQUESTS, "too_often", wait))?;
        match (method, uri.path()) {
            (&Method::GET, "/key") => {
                let keys = write_bindings(&self.log.ledger_bindings());
                Ok(respond(StatusCode::OK, "application/json", keys))
            }
            (&Method::GET, "/checkpoint") => match self.log.checkpoint() {
                Some(checkpoint) => Ok(respond(StatusCode::OK, TEXT, checkpoint.to_bytes())),
                None => Err(Refused::new(
                    StatusCode::NOT_FOUND,
                    "no_checkpoint",
                    "nothing was signed yet; ask again in a minute",
                )),
            },
            (&Method::GET, path) if path.starts_with("/kept/") => {
                self.kept(client, trust, path["/kept/".len()..].to_owned()).await
            }
            (&Method::GET, "/exchanges") => {
                let first = number(uri, "first").ok_or_else(|| {
                    let text = "ask for /exchanges?first=N, with the number of an entry";
                    Refused::new(StatusCode::BAD_REQUEST, "no_first", text)
                })?;
                let _place = self.page()?;
                match reconcile::page(&self.log, client.member().clone(), first).await {
                    Ok(page) => Ok(respond(StatusCode::OK, "application/json", page)),
                    Err(error) => {
                        tracing::warn!(%error, %client, "the account of exchanges could not be given");
                        let text = "the log could not be read; its operator is told";
                        Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, error.code(), text))
                    }
                }
            }
            (&Method::GET, "/consistency") => {
                let sizes = number(uri, "old").zip(number(uri, "new"));
                let signed = self.log.checkpoint().map_or(0, |signed| signed.claimed().size());
                // Only what was signed is shown.
                let sizes = sizes.filter(|(old, new)| 0 < *old && old <= new && *new <= signed);
                let (old, new) = sizes.ok_or_else(|| {
                    let text = format!("ask for /consistency?old=N&new=M, 0 < N <= M <= {signed}");
                    Refused::new(StatusCode::BAD_REQUEST, "no_sizes", text)
                })?;
                let _place = self.page()?;
                match self.log.prove_consistency(old, new).await {
                    Ok(hashes) => Ok(respond(StatusCode::OK, TEXT, reconcile::lines(&hashes))),
                    Err(error) => {
                        tracing::warn!(%error, %client, "a proof over the log could not be made");
                        let text = "the log could not be read; its operator is told";
                        Err(Refused::new(StatusCode::SERVICE_UNAVAILABLE, error.code(), text))
                    }
                }
            }
            (&Method::PUT, "/key") => {
                let body = whole(body, limits::NOTE).await?;
                self.take_key(client, trust, body).await
            }
            (&Method::POST, "/add-checkpoint") => {
                let body = whole(body, limits::CHECKPOINT_REQUEST).await?;
                self.add_checkpoint(client, trust, &body).await
            }
            _ => Err(Refused::new(
                StatusCode::NOT_FOUND,
                "unknown_path",
                "there are GET and PUT /key, GET /checkpoint, GET /kept/LOGID, POST /add-checkpoint, GET /exchanges and GET /consistency",
            )),
        }
    }

    fn page(&self) -> Result<tokio::sync::SemaphorePermit<'_>, Refused> {
        let busy = |_| Refused::later(StatusCode::SERVICE_UNAVAILABLE, "busy", SOON);
        self.pages.try_acquire().map_err(busy)
    }

    async fn kept(
        &self,
        client: &ClientId,
        trust: &Arc<TrustSet>,
        id: String,
    ) -> Result<Response<OutBody>, Refused> {
        let (client, trust) = (client.clone(), Arc::clone(trust));
        let find = move |watched: &mut Watched| {
            Ok(watched.newest(&id, |server| is_of(&client, server, &trust).is_ok()))
        };
        match self.watching(find).await? {
            Some(checkpoint) => Ok(respond(StatusCode::OK, TEXT, checkpoint.to_bytes())),
            None => Err(Refused::new(
                StatusCode::NOT_FOUND,
                "nothing_kept",
                "no checkpoint of that log is kept here",
            )),
        }
    }

    async fn take_key(
        &self,
        client: &ClientId,
        trust: &Arc<TrustSet>,
        body: Bytes,
    ) -> Result<Response<OutBody>, Refused> {
        let binding = Binding::from_json(&body)
            .map_err(|error| Refused::new(StatusCode::BAD_REQUEST, error.code(), error))?;
        let origin = LogOrigin::parse(binding.statement.key().name().as_str())
            .ok_or_else(|| Refused::new(StatusCode::BAD_REQUEST, "no_log", "the key is not that of a log"))?;
        is_of(client, &origin.server, trust)?;
        binding
            .verify(trust, None)
            .map_err(|error| Refused::new(StatusCode::FORBIDDEN, error.code(), error))?;
        self.watching(move |watched| watched.take_key(origin, binding))
            .await?;
        Ok(respond(StatusCode::NO_CONTENT, TEXT, Vec::new()))
    }

    async fn add_checkpoint(
        &self,
        client: &ClientId,
        trust: &TrustSet,
        body: &[u8],
    ) -> Result<Response<OutBody>, Refused> {
        let request = AddCheckpoint::parse(body)
            .map_err(|error| Refused::new(StatusCode::BAD_REQUEST, error.code(), error))?;
        if let Some(origin) = LogOrigin::parse(request.checkpoint.claimed().origin()) {
            is_of(client, &origin.server, trust)?;
        }
        let second = u64::try_from(self.clock.now().secs()).unwrap_or(0);
        let log = self.log.clone();
        let shown = self
            .watching(move |watched| {
                watched.add_checkpoint(&request, |accepted| log.cosign(accepted, second))
            })
            .await?;
        Ok(match shown {
            Shown::CoSigned(line) => respond(StatusCode::OK, TEXT, line.to_string().into_bytes()),
            Shown::Other(size) => respond(
                StatusCode::CONFLICT,
                SIZE_MEDIA_TYPE,
                size_body(size).into_bytes(),
            ),
        })
    }
}

/// How a command asks what is seen of logs, and settles what is open.
pub fn overseer(witness: Arc<Witness>) -> Overseer {
    Arc::new(move |settle| {
        if let Some((settle, who)) = settle
            && witness.settle(&settle.server, &settle.ground, &who)? == 0
        {
            return Err(format!(
                "nothing is open of {}; `kontor log witness` lists what is",
                settle.server
            ));
        }
        serde_json::to_vec(&witness.report()).map_err(|error| error.to_string())
    })
}

/// A number in the query of a request.
fn number(uri: &Uri, name: &str) -> Option<u64> {
    let mut pairs = uri.query()?.split('&');
    let value = pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    value.parse().ok()
}

/// Whether the subsystem is registered at the server whose log it speaks for.
fn is_of(client: &ClientId, server: &ServerId, trust: &TrustSet) -> Result<(), Refused> {
    if trust.servers_of(client).iter().any(|known| known.id == *server) {
        Ok(())
    } else {
        Err(Refused::new(
            StatusCode::FORBIDDEN,
            "other_server",
            format!("{client} is not registered at the security server {server}"),
        ))
    }
}

async fn whole(body: Incoming, limit: usize) -> Result<Bytes, Refused> {
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(_) => Err(Refused::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "too_large",
            format!("more than {limit} bytes, or the body broke off"),
        )),
    }
}
