//! A simulator of an OZG-Cloud instance: the intake as its form services see it, with two kinds of memory and three kinds of bad days.
//!
//! Owns reading the multipart body with means of its own, so that what the node wrote is judged by something else.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// How it answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mood {
    /// An application whose transaction id is known is the same one.
    RepeatsSafe,
    /// Whatever comes is another one.
    RepeatsUnsafe,
    /// It takes the application and closes without an answer.
    TakesAndBreaks,
    /// It refuses.
    Refuses,
}

/// An application that came in.
#[derive(Clone, Debug)]
pub struct Taken {
    pub number: String,
    pub form: Value,
    /// Part, file name and octets, in order.
    pub files: Vec<(String, String, Vec<u8>)>,
}

/// A running simulator.
#[derive(Debug)]
pub struct Instance {
    address: SocketAddr,
    mood: Arc<Mutex<Mood>>,
    taken: Arc<Mutex<Vec<Taken>>>,
    task: JoinHandle<()>,
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Instance {
    /// Listens on `address`.
    pub async fn start(address: SocketAddr, mood: Mood) -> Result<Self> {
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("binding {address}"))?;
        let (mood, taken) = (Arc::new(Mutex::new(mood)), Arc::<Mutex<Vec<Taken>>>::default());
        let (moods, all) = (Arc::clone(&mood), Arc::clone(&taken));
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (moods, all) = (Arc::clone(&moods), Arc::clone(&all));
                tokio::spawn(async move {
                    let service =
                        service_fn(move |request| answer(request, Arc::clone(&moods), Arc::clone(&all)));
                    // A connection that is broken on purpose ends with an error.
                    let _ = hyper::server::conn::http1::Builder::new()
                        .serve_connection(TokioIo::new(stream), service)
                        .await;
                });
            }
        });
        Ok(Self {
            address,
            mood,
            taken,
            task,
        })
    }

    /// The address of its intake.
    pub fn url(&self) -> String {
        format!("http://{}/antrag", self.address)
    }

    /// Changes how it answers.
    pub fn set_mood(&self, mood: Mood) {
        *self.mood.lock().unwrap_or_else(PoisonError::into_inner) = mood;
    }

    /// What came in.
    pub fn taken(&self) -> Vec<Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn answer(
    request: Request<Incoming>,
    mood: Arc<Mutex<Mood>>,
    all: Arc<Mutex<Vec<Taken>>>,
) -> Result<Response<Full<Bytes>>, Broken> {
    let mood = *mood.lock().unwrap_or_else(PoisonError::into_inner);
    let kind = request
        .headers()
        .get("content-type")
        .and_then(|value| value.to_str().ok());
    let kind = kind.unwrap_or_default().to_owned();
    let body = request
        .into_body()
        .collect()
        .await
        .map_err(|_| Broken)?
        .to_bytes();
    if mood == Mood::Refuses {
        return Ok(said(StatusCode::BAD_REQUEST, &json!({ "message": "no" })));
    }
    let Ok((form, files)) = read(&kind, &body) else {
        return Ok(said(StatusCode::BAD_REQUEST, &json!({ "message": "unreadable" })));
    };
    let id = form["control"]["transactionId"].clone();
    let number = {
        let mut all = all.lock().unwrap_or_else(PoisonError::into_inner);
        let known = all
            .iter()
            .find(|taken| taken.form["control"]["transactionId"] == id);
        match known.filter(|_| mood != Mood::RepeatsUnsafe) {
            Some(known) => known.number.clone(),
            None => {
                let number = format!("{}-FIKTIV", 31000 + all.len());
                all.push(Taken {
                    number: number.clone(),
                    form,
                    files,
                });
                number
            }
        }
    };
    if mood == Mood::TakesAndBreaks {
        return Err(Broken);
    }
    let page = json!({
        "transactionId": id,
        "vorgang": { "vorgangId": number, "vorgangNummer": number, "status": "NEU", "statusSince": "2026-01-01T00:00:00Z" },
    });
    Ok(said(StatusCode::OK, &page))
}

/// Ends a connection without an answer.
#[derive(Debug)]
struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken on purpose")
    }
}

impl std::error::Error for Broken {}

impl From<Infallible> for Broken {
    fn from(never: Infallible) -> Self {
        match never {}
    }
}

fn said(status: StatusCode, page: &Value) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(page.to_string())));
    *response.status_mut() = status;
    response
}

type Read = (Value, Vec<(String, String, Vec<u8>)>);

/// Reads a body of multipart/form-data.
fn read(kind: &str, body: &[u8]) -> Result<Read> {
    let boundary = kind.split("boundary=").nth(1).context("no boundary")?;
    let line = format!("--{boundary}");
    ensure!(
        body.starts_with(line.as_bytes()),
        "the body begins with something else"
    );
    ensure!(
        body.ends_with(format!("\r\n{line}--\r\n").as_bytes()),
        "the body ends with something else"
    );
    let (mut form, mut files) = (None, Vec::new());
    for piece in split(body, line.as_bytes()).into_iter().skip(1) {
        let Some(piece) = piece.strip_prefix(b"\r\n") else {
            continue;
        };
        let at = piece
            .windows(4)
            .position(|window| window == b"\r\n\r\n")
            .context("a part without a head")?;
        let head = std::str::from_utf8(&piece[..at])?;
        let content = piece[at + 4..]
            .strip_suffix(b"\r\n")
            .context("a part without an end")?;
        let value = |name: &str| -> Option<String> {
            let begin = head.find(&format!("{name}=\""))? + name.len() + 2;
            Some(head[begin..].split('"').next()?.to_owned())
        };
        let part = head
            .find("; name=\"")
            .and_then(|at| head[at + 8..].split('"').next())
            .context("a part without a name")?
            .to_owned();
        match part.as_str() {
            "formData" => form = Some(serde_json::from_slice(content)?),
            _ => files.push((part, value("filename").unwrap_or_default(), content.to_vec())),
        }
    }
    Ok((form.context("no formData")?, files))
}

fn split<'a>(body: &'a [u8], by: &[u8]) -> Vec<&'a [u8]> {
    let (mut pieces, mut begin, mut at) = (Vec::new(), 0, 0);
    while at + by.len() <= body.len() {
        if &body[at..at + by.len()] == by {
            pieces.push(&body[begin..at]);
            at += by.len();
            begin = at;
        } else {
            at += 1;
        }
    }
    pieces.push(&body[begin..]);
    pieces
}
