//! Evidence for information systems over the listener they use anyway: `GET /asic` and `GET /verificationconf` (wire 6.7).
//!
//! Owns who may ask (the information system of the client that is named, proven as wire 2.2 asks), the answers in plain text,
//! and the entry that every look at evidence leaves in the log before its first byte goes out. Memory is bounded: containers
//! flow as they are read, a few downloads at a time.
//!
//! `/verificationconf` hands out what every member of the federation may know, names no client and so asks for no proof, as in
//! X-Road; it is no look at the log.

mod asked;
mod outlet;

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use kontor_protocol::archive::{container_name, encoded_query_id};
use kontor_protocol::container::{self, Bundle, MEDIA_TYPE, MessageRole, WriteError};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use self::asked::Asked;
use self::outlet::Outlet;
use crate::body::OutBody;
use crate::handles::Handles;
use crate::listen::Connection;
use crate::messagelog::{ExportError, Exported, Fact, FactKind, LogError, Looked, NumberSet, hex};
use crate::shutdown::Shutdown;
use crate::timestamper::Timestamper;

/// Downloads at the same time; more wait. Each holds one message and what a connection buffers.
const DOWNLOADS: usize = 4;
/// Messages of one answer: far more than one exchange leaves, and a bound for clients that use one query id for everything.
const MESSAGES: usize = 1000;
const ZIP: &str = "application/zip";

/// Answers information systems that ask for evidence.
pub struct Evidence {
    handles: Arc<Handles>,
    timestamper: Timestamper,
    globalconf: PathBuf,
    places: Arc<Semaphore>,
}

/// Why there is no evidence: status and sentence, which the information system gets as plain text.
#[derive(Debug, PartialEq, Eq)]
struct Refusal {
    status: StatusCode,
    text: String,
}

impl Refusal {
    fn new(status: StatusCode, text: impl Into<String>) -> Self {
        Self {
            status,
            text: text.into(),
        }
    }

    /// What went wrong here: the operator's log says more than the information system is told.
    fn internal(error: &(dyn std::error::Error + 'static), code: &str, text: &str) -> Self {
        tracing::error!(code, %error, "evidence could not be handed out");
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, text)
    }

    fn of_log(error: &LogError) -> Self {
        Self::internal(
            error,
            error.code(),
            "the message log could not be read or did not record the look; the log of the security server says why",
        )
    }

    fn of_export(error: &ExportError) -> Self {
        match error {
            ExportError::Log(
                gone @ (LogError::Deleted { .. } | LogError::Forgotten { .. } | LogError::Shortened { .. }),
            ) => Self::new(StatusCode::NOT_FOUND, gone.to_string()),
            ExportError::Timestamp { .. } => Self::internal(
                error,
                error.code(),
                "a missing time-stamp could not be had; ask again when the time-stamp authority answers",
            ),
            ExportError::Archive { .. } => Self::internal(
                error,
                error.code(),
                "the message lies in an archive that cannot be read now; the log of the security server says why",
            ),
            ExportError::Log(_) | ExportError::Signature { .. } | ExportError::Output { .. } => {
                Self::internal(
                    error,
                    error.code(),
                    "the evidence could not be read; the log of the security server says why",
                )
            }
        }
    }

    fn answer(self) -> Response<OutBody> {
        let mut response = Response::new(OutBody::from(bytes::Bytes::from(self.text + "\n")));
        *response.status_mut() = self.status;
        let plain = HeaderValue::from_static("text/plain;charset=utf-8");
        response.headers_mut().insert(CONTENT_TYPE, plain);
        response
    }
}

impl Evidence {
    /// Wires it up. `globalconf` is the directory of the verified global configuration, in the layout of wire 7.8.
    pub fn new(handles: Arc<Handles>, timestamper: Timestamper, globalconf: PathBuf) -> Self {
        Self {
            handles,
            timestamper,
            globalconf,
            places: Arc::new(Semaphore::new(DOWNLOADS)),
        }
    }

    /// Whether a request is for evidence.
    pub fn takes(method: &Method, path: &str) -> bool {
        method == Method::GET && matches!(path, "/asic" | "/verificationconf")
    }

    /// Answers one request that [`takes`](Self::takes) is true of.
    pub async fn answer(&self, connection: &Connection, request: &Request<Incoming>) -> Response<OutBody> {
        let answered = match request.uri().path() {
            "/asic" => {
                self.asic(connection, request.uri().query().unwrap_or_default())
                    .await
            }
            _ => self.verificationconf().await,
        };
        answered.unwrap_or_else(|refusal| {
            tracing::info!(
                status = refusal.status.as_u16(),
                "evidence was refused: {}",
                refusal.text
            );
            refusal.answer()
        })
    }

    async fn asic(&self, connection: &Connection, query: &str) -> Result<Response<OutBody>, Refusal> {
        let asked = Asked::parse(query).map_err(|text| Refusal::new(StatusCode::BAD_REQUEST, text))?;
        self.handles
            .registry()
            .authenticate(&asked.client, connection)
            .map_err(|fault| Refusal::new(StatusCode::UNAUTHORIZED, fault.text()))?;
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the node stops"))?;
        let log = &self.handles.log;
        let messages = log
            .messages_of(
                asked.client.clone(),
                asked.query_id.clone(),
                asked.kind(),
                MESSAGES,
            )
            .await
            .map_err(|error| Refusal::of_log(&error))?;
        match messages.len() {
            0 => {
                let text = "no message of this client has this query id, or what proves it was deleted";
                return Err(Refusal::new(StatusCode::NOT_FOUND, text));
            }
            1 => {}
            count if asked.unique => {
                let text = format!("{count} messages have this query id; leave out `unique` to get them all");
                return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, text));
            }
            count if count > MESSAGES => {
                let text = format!(
                    "more than {MESSAGES} messages have this query id; the operator of the security server can export them"
                );
                return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, text));
            }
            _ => {}
        }
        // Everything that can be refused is, before the status is sent. What a message holds is dropped again.
        let timestamper = asked.force.then_some(&self.timestamper);
        for (number, _) in &messages {
            let exported = log.export(*number, timestamper).await;
            if !exported.map_err(|error| Refusal::of_export(&error))?.is_stamped() {
                return Err(Refusal::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "a message with this query id has no time-stamp yet; ask again later, or add `force` to get one now",
                ));
            }
        }
        self.record_look(&asked, connection, &messages).await?;

        let (writer, body) = OutBody::flow();
        let (first, role) = messages[0];
        let name = match asked.unique {
            true => container_name(&asked.query_id, role, first),
            false => format!("{}{}.zip", encoded_query_id(&asked.query_id), asked.suffix()),
        };
        let content_type = if asked.unique { MEDIA_TYPE } else { ZIP };
        let log = log.clone();
        let outlet = Outlet::new(writer, Handle::current());
        pour(&self.handles.shutdown, place, move || {
            let export = |number| Handle::current().block_on(log.export(number, None));
            if asked.unique {
                return pour_one(export(first)?, outlet);
            }
            let mut bundle = Bundle::new(outlet);
            for (number, role) in messages {
                let name = container_name(&asked.query_id, role, number);
                add(&mut bundle, &name, export(number)?)?;
            }
            Ok(bundle.finish()?.close()?)
        });
        Ok(attachment(content_type, &name, body))
    }

    /// Who asked, what and on which ground. Names and numbers only: the query id stands nowhere but in the head of a message.
    async fn record_look(
        &self,
        asked: &Asked,
        connection: &Connection,
        messages: &[(u64, MessageRole)],
    ) -> Result<(), Refusal> {
        let proof = match (connection.certificates.first(), connection.is_tls) {
            (Some(certificate), _) => format!("certificate {}", hex(&certificate.sha256())),
            (None, true) => "HTTPS without certificate".into(),
            (None, false) => "plain HTTP".into(),
        };
        let looked = Looked {
            who: format!("information system of {} ({proof})", asked.client),
            what: format!("containers of {} messages by query id", messages.len()),
            ground: "GET /asic".into(),
        };
        let mut concerned = NumberSet::default();
        messages.iter().for_each(|(number, _)| concerned.insert(*number));
        let fact = Fact::new(FactKind::Look, &looked).about(concerned);
        let recorded = self.handles.log.append_fact(fact).await;
        recorded.map(drop).map_err(|error| Refusal::of_log(&error))
    }

    async fn verificationconf(&self) -> Result<Response<OutBody>, Refusal> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place.map_err(|_| Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "the node stops"))?;
        let dir = self.globalconf.clone();
        let files = tokio::task::spawn_blocking(move || configuration_files(&dir)).await;
        let files = match files.unwrap_or_else(|_| Err(io::ErrorKind::Interrupted.into())) {
            Ok(files) if !files.is_empty() => files,
            Ok(_) => {
                let text = "this security server has no global configuration yet";
                return Err(Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, text));
            }
            Err(error) => {
                let text = "global configuration could not be read; the log of the security server says why";
                return Err(Refusal::internal(&error, "io_error", text));
            }
        };
        let (writer, body) = OutBody::flow();
        let (outlet, at) = (Outlet::new(writer, Handle::current()), self.handles.now());
        pour(&self.handles.shutdown, place, move || {
            let mut bundle = Bundle::new(outlet);
            for (name, path) in files {
                bundle.file(&format!("verificationconf/{name}"), at, &mut File::open(path)?)?;
            }
            Ok(bundle.finish()?.close()?)
        });
        Ok(attachment(ZIP, "verificationconf.zip", body))
    }
}

/// Writes an answer on a thread of its own. One that fails in the middle is cut, so that nobody takes it for whole.
fn pour(
    shutdown: &Shutdown,
    place: OwnedSemaphorePermit,
    write: impl FnOnce() -> Result<(), PourError> + Send + 'static,
) {
    shutdown.spawn(async move {
        let poured = tokio::task::spawn_blocking(write).await;
        drop(place);
        match poured {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::warn!(%error, "evidence was not handed out to its end"),
            Err(error) => tracing::error!(%error, "evidence was not handed out to its end"),
        }
    });
}

/// The container of a message, as it flows; `place` is held until it ends.
pub(crate) fn container_body(
    exported: Exported,
    place: OwnedSemaphorePermit,
    shutdown: &Shutdown,
) -> OutBody {
    let (writer, body) = OutBody::flow();
    let outlet = Outlet::new(writer, Handle::current());
    pour(shutdown, place, move || pour_one(exported, outlet));
    body
}

/// Why an answer broke off.
#[derive(Debug, thiserror::Error)]
enum PourError {
    #[error(transparent)]
    Export(#[from] ExportError),
    #[error(transparent)]
    Write(#[from] WriteError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

fn pour_one(mut exported: Exported, out: Outlet) -> Result<(), PourError> {
    let mut body = exported.body.take();
    let (at, attachments) = (exported.at, usize::from(body.is_some()));
    let body = body.as_mut().map(|(length, next)| container::Body {
        length: *length,
        next,
    });
    let out = container::stream(out, &exported.evidence(attachments), at, body)?;
    Ok(out.close()?)
}

fn add(bundle: &mut Bundle<Outlet>, name: &str, mut exported: Exported) -> Result<(), PourError> {
    let mut body = exported.body.take();
    let (at, attachments) = (exported.at, usize::from(body.is_some()));
    let body = body.as_mut().map(|(length, next)| container::Body {
        length: *length,
        next,
    });
    Ok(bundle.container(name, &exported.evidence(attachments), at, body)?)
}

fn attachment(content_type: &'static str, name: &str, body: OutBody) -> Response<OutBody> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    if let Ok(value) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, value);
    }
    response
}

/// What `/verificationconf` shows of a directory in the layout of wire 7.8, by names in the ZIP file: the instance, and the
/// shared parameters of each instance with what is known of them. Private parameters stay here.
pub(crate) fn configuration_files(dir: &Path) -> io::Result<Vec<(String, PathBuf)>> {
    let mut files = Vec::new();
    let instances = match std::fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(files),
        instances => instances?,
    };
    for instance in instances {
        let instance = instance?;
        let Ok(name) = instance.file_name().into_string() else {
            continue;
        };
        for file in ["shared-params.xml", "shared-params.xml.metadata"] {
            let path = instance.path().join(file);
            if path.is_file() {
                files.push((format!("{name}/{file}"), path));
            }
        }
    }
    files.sort();
    let own = dir.join("instance-identifier");
    if own.is_file() && !files.is_empty() {
        files.push(("instance-identifier".into(), own));
    }
    Ok(files)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn private_parameters_are_not_handed_out() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path();
        assert_eq!(configuration_files(&root.join("missing")).unwrap(), []);
        assert_eq!(configuration_files(root).unwrap(), []);
        std::fs::create_dir(root.join("TEST")).unwrap();
        for name in [
            "instance-identifier",
            "TEST/private-params.xml",
            "TEST/shared-params.xml",
            "TEST/shared-params.xml.metadata",
        ] {
            std::fs::write(root.join(name), "x").unwrap();
        }
        let files = configuration_files(root).unwrap();
        let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(
            names,
            [
                "TEST/shared-params.xml",
                "TEST/shared-params.xml.metadata",
                "instance-identifier"
            ]
        );
    }

    #[test]
    fn only_get_of_the_two_paths_is_for_evidence() {
        assert!(Evidence::takes(&Method::GET, "/asic"));
        assert!(Evidence::takes(&Method::GET, "/verificationconf"));
        assert!(!Evidence::takes(&Method::POST, "/asic"));
        assert!(!Evidence::takes(&Method::GET, "/asic/"));
    }
}
