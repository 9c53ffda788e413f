//! The sample provider of `kontor up`: takes applications as the OZG-Cloud's intake does and shows what came in.
//!
//! It owns the paths below `/{office}/antrag` and the stored applications. It is no part of a node: it stands for
//! the case-work system of the receiving office, knows nothing of X-Road but two headers, and serves loopback only.
//!
//! | Request | Answer |
//! |---|---|
//! | `POST /{office}/antrag` | takes a form (domain: `formData`, `representation`, `attachment`…), answers `transactionId` and `vorgang` |
//! | `GET /{office}/antrag[?transactionId=…]` | what is stored, newest first |
//! | `GET /{office}/antrag/{vorgangId}` | one application with digests of its files |
//! | `GET /{office}/antrag/{vorgangId}/{file}` | one file |
//! | `GET /health` | 200 |

pub mod form;
pub mod store;

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Body;
use serde::Serialize;
use serde_json::json;
use tokio::io::AsyncReadExt;

use self::form::{Event, FormError, FormReader};
use self::store::{Application, IntakeError, Store, Vorgang, holds};
use crate::body::OutBody;
use crate::clock::SharedClock;
use crate::listen::{self, ListenError};
use crate::pace::Pace;
use crate::shutdown::Shutdown;

/// Longest list that is answered.
const LIST: usize = 100;
/// Bytes that are read from a stored file at a time.
const PIECE: usize = 64 * 1024;
/// What is read and dropped of a refused form, so that the sender reads the answer and not a reset.
const DISCARD: usize = 1024 * 1024;

/// What to serve.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where to listen.
    pub listen: SocketAddr,
    /// Folder that holds one folder per office.
    pub dir: PathBuf,
    /// The offices, by the first piece of their paths.
    pub offices: Vec<String>,
}

/// Why the provider does not start.
#[derive(Debug, thiserror::Error)]
pub enum ProviderError {
    /// The port.
    #[error(transparent)]
    Listen(#[from] ListenError),
    /// The stored applications.
    #[error("stored applications cannot be read: {0}")]
    Store(io::Error),
}

/// The provider: one store per office.
#[derive(Debug)]
pub struct Provider {
    offices: BTreeMap<String, Store>,
}

impl Provider {
    /// Opens the stores.
    pub async fn open(settings: &Settings) -> io::Result<Self> {
        let mut offices = BTreeMap::new();
        for office in &settings.offices {
            offices.insert(office.clone(), Store::open(settings.dir.join(office)).await?);
        }
        Ok(Self { offices })
    }

    /// Answers one request.
    pub async fn answer<B>(
        &self,
        request: Request<B>,
        clock: &SharedClock,
        shutdown: &Shutdown,
    ) -> Response<OutBody>
    where
        B: Body<Data = Bytes> + Unpin + Send,
        B::Error: std::fmt::Display,
    {
        let path = request.uri().path().trim_matches('/').to_owned();
        let pieces: Vec<_> = path.split('/').collect();
        let [office, rest @ ..] = pieces.as_slice() else {
            return not_found();
        };
        if *office == "health" {
            return answer(StatusCode::OK, &json!({"ready": true}));
        }
        let Some(store) = self.offices.get(*office) else {
            return not_found();
        };
        match (request.method(), rest) {
            (&Method::POST, ["antrag"]) => intake(store, request, clock).await,
            (&Method::GET, ["antrag"]) => {
                let wanted = request
                    .uri()
                    .query()
                    .and_then(|q| q.strip_prefix("transactionId="))
                    .map(str::to_owned);
                list(store, wanted.as_deref()).await
            }
            (&Method::GET, ["antrag", id]) => match find(store, id).await {
                Some(application) => answer(StatusCode::OK, &shown(store, &application)),
                None => not_found(),
            },
            (&Method::GET, ["antrag", id, file]) => match find(store, id).await {
                Some(application) => download(store, &application, file, shutdown).await,
                None => not_found(),
            },
            (_, ["antrag", ..]) => {
                problem(StatusCode::METHOD_NOT_ALLOWED, "use POST to hand in, GET to look")
            }
            _ => not_found(),
        }
    }
}

/// Serves until the stop.
pub async fn run(settings: Settings, clock: SharedClock, shutdown: Shutdown) -> Result<(), ProviderError> {
    let provider = Arc::new(Provider::open(&settings).await.map_err(ProviderError::Store)?);
    let listener = listen::bind("provider", settings.listen).await?;
    tracing::info!(address = %settings.listen, dir = %settings.dir.display(), "sample provider is ready");
    let stop = shutdown.clone();
    listen::serve("provider", listener, None, None, shutdown, move |_, request| {
        let (provider, clock, stop) = (Arc::clone(&provider), Arc::clone(&clock), stop.clone());
        async move { provider.answer(request, &clock, &stop).await }
    })
    .await;
    Ok(())
}

async fn intake<B>(store: &Store, request: Request<B>, clock: &SharedClock) -> Response<OutBody>
where
    B: Body<Data = Bytes> + Unpin + Send,
    B::Error: std::fmt::Display,
{
    let (head, mut body) = request.into_parts();
    let client = text(&head.headers, "x-road-client");
    let query_id = text(&head.headers, "x-road-id");
    let taken = match receive(store, &head.headers, &mut body).await {
        Ok(incoming) => store.accept(incoming, client, query_id, clock.now()).await,
        Err(error) => Err(error),
    };
    match taken {
        Ok(application) => {
            let bytes: u64 = application.parts.iter().map(|p| p.size).sum();
            let number = &application.vorgang.vorgang_nummer;
            tracing::info!(
                number,
                files = application.parts.len(),
                bytes,
                "application stored"
            );
            let Application {
                transaction_id,
                vorgang,
                ..
            } = application;
            answer(
                StatusCode::OK,
                &Told {
                    transaction_id,
                    vorgang,
                },
            )
        }
        Err(error) => {
            let status = match &error {
                IntakeError::Conflict(_) => StatusCode::CONFLICT,
                IntakeError::Content(_) => StatusCode::BAD_REQUEST,
                IntakeError::Disk(_) => StatusCode::INTERNAL_SERVER_ERROR,
            };
            // Content errors quote the sender's JSON parser, not its data.
            tracing::warn!(status = status.as_u16(), %error, "application refused");
            let mut dropped = 0;
            while let Ok(Some(Ok(frame))) = Pace::default().wait(Box::pin(body.frame())).await {
                dropped += frame.data_ref().map_or(0, Bytes::len);
                if dropped > DISCARD {
                    break;
                }
            }
            problem(status, &error.to_string())
        }
    }
}

async fn receive<B>(store: &Store, headers: &HeaderMap, body: &mut B) -> Result<store::Incoming, IntakeError>
where
    B: Body<Data = Bytes> + Unpin + Send,
    B::Error: std::fmt::Display,
{
    let form = |error: FormError| IntakeError::Content(error.to_string());
    let kind = headers
        .get(CONTENT_TYPE)
        .and_then(|v| std::str::from_utf8(v.as_bytes()).ok())
        .unwrap_or_default();
    let mut reader = FormReader::new(kind).map_err(form)?;
    let mut incoming = store.begin().await?;
    let mut pace = Pace::default();
    while let Some(frame) = pace
        .wait(Box::pin(body.frame()))
        .await
        .map_err(|slow| IntakeError::Content(slow.to_string()))?
    {
        let frame = frame.map_err(|e| IntakeError::Content(format!("the body broke off: {e}")))?;
        let Some(data) = frame.data_ref() else { continue };
        pace.moved(data.len())
            .map_err(|slow| IntakeError::Content(slow.to_string()))?;
        reader.feed(data);
        while let Some(event) = reader.next_event().map_err(form)? {
            match event {
                Event::Part(head) => incoming.part(head).await?,
                Event::Data(data) => incoming.data(&data).await?,
                Event::End => incoming.end().await?,
            }
        }
    }
    reader.finish().map_err(form)?;
    Ok(incoming)
}

/// The answer of the intake.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    transaction_id: String,
    vorgang: Vorgang,
}

/// Applications with their number before the cut at [`LIST`].
#[derive(Serialize)]
struct Listed<'a> {
    count: usize,
    applications: Vec<Shown<'a>>,
}

/// An application and where its files lie.
#[derive(Serialize)]
struct Shown<'a> {
    folder: PathBuf,
    #[serde(flatten)]
    application: &'a Application,
}

async fn find(store: &Store, id: &str) -> Option<Application> {
    store
        .list()
        .await
        .into_iter()
        .find(|a| a.vorgang.vorgang_id == id || a.vorgang.vorgang_nummer == id)
}

async fn list(store: &Store, wanted: Option<&str>) -> Response<OutBody> {
    let all = store.list().await;
    let matching: Vec<_> = all
        .iter()
        .filter(|a| wanted.is_none_or(|w| a.transaction_id == w))
        .collect();
    let shown: Vec<_> = matching.iter().take(LIST).map(|a| shown(store, a)).collect();
    answer(
        StatusCode::OK,
        &Listed {
            count: matching.len(),
            applications: shown,
        },
    )
}

fn shown<'a>(store: &Store, application: &'a Application) -> Shown<'a> {
    Shown {
        folder: store.folder(application),
        application,
    }
}

async fn download(
    store: &Store,
    application: &Application,
    file: &str,
    shutdown: &Shutdown,
) -> Response<OutBody> {
    let Some(path) = holds(application, &store.folder(application), file) else {
        return not_found();
    };
    let opened = async {
        let file = tokio::fs::File::open(&path).await?;
        let length = file.metadata().await?.len();
        Ok::<_, io::Error>((file, length))
    };
    let Ok((mut opened, length)) = opened.await else {
        return problem(
            StatusCode::INTERNAL_SERVER_ERROR,
            "the file is no longer in its folder",
        );
    };
    let (mut writer, body) = OutBody::flow();
    shutdown.spawn(async move {
        loop {
            let mut piece = bytes::BytesMut::with_capacity(PIECE);
            match opened.read_buf(&mut piece).await {
                Ok(0) => break,
                Ok(_) => {
                    if writer.write(piece.freeze()).await.is_err() {
                        return;
                    }
                }
                // Dropping the writer cuts the connection: the reader sees that the file is not whole.
                Err(_) => return,
            }
        }
        let _ = writer.close().await;
    });
    let part = application.parts.iter().find(|p| p.file == file);
    let media_type = part
        .and_then(|p| p.media_type.as_deref())
        .unwrap_or("application/octet-stream");
    let mut response = Response::new(body);
    let value = http::HeaderValue::from_str(media_type);
    response.headers_mut().insert(
        CONTENT_TYPE,
        value.unwrap_or(http::HeaderValue::from_static("application/octet-stream")),
    );
    response.headers_mut().insert(CONTENT_LENGTH, length.into());
    response
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name).and_then(|v| v.to_str().ok()).map(str::to_owned)
}

fn not_found() -> Response<OutBody> {
    problem(
        StatusCode::NOT_FOUND,
        "nothing has this address; applications are at /{office}/antrag",
    )
}

fn problem(status: StatusCode, detail: &str) -> Response<OutBody> {
    answer(status, &json!({"status": status.as_u16(), "detail": detail}))
}

fn answer(status: StatusCode, value: &impl Serialize) -> Response<OutBody> {
    let text = serde_json::to_string_pretty(value).unwrap_or_default() + "\n";
    let mut response = Response::new(OutBody::from(Bytes::from(text)));
    *response.status_mut() = status;
    response
        .headers_mut()
        .insert(CONTENT_TYPE, http::HeaderValue::from_static("application/json"));
    response
}

#[cfg(test)]
mod tests;
