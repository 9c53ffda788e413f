//! The client side of casework's interface, for `kontor case`, `kontor transfer`, `kontor participation`, `kontor up` and `kontor tour`:
//! one request, one answer, and what a refusal says in words.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, IF_MATCH};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::body::OutBody;
use crate::link::Link;
use crate::roots;
use crate::shutdown::Shutdown;

/// Octets of an answer.
const LIMIT: usize = 64 * 1024 * 1024;
/// Time for one request.
const PATIENCE: Duration = Duration::from_secs(120);
/// How often a command is decided again where something changed between the look and the command, and the pause before that.
const AGAIN: (usize, Duration) = (20, Duration::from_millis(50));

/// Where a node's casework is, and who asks.
#[derive(Args, Clone, Debug)]
pub(crate) struct Desk {
    /// Address of the node's administration listener, such as https://127.0.0.1:4000
    #[arg(long, value_name = "URL", env = "KONTOR_URL")]
    url: Uri,
    /// File that holds the key; `kontor case key` makes one
    #[arg(long, value_name = "FILE", env = "KONTOR_KEY_FILE")]
    key_file: PathBuf,
    /// Authority that the node's certificate is of; a node that made its own has it in data/administration/ca.pem
    #[arg(long, value_name = "FILE", env = "KONTOR_CA")]
    ca: Option<PathBuf>,
}

impl Desk {
    /// A desk with these, for commands that know them.
    pub(crate) fn new(url: Uri, key_file: PathBuf, ca: Option<PathBuf>) -> Self {
        Self { url, key_file, ca }
    }

    /// The same place with another key, such as the code of a guest.
    pub(crate) fn with_key(&self, key_file: PathBuf) -> Self {
        Self {
            key_file,
            ..self.clone()
        }
    }

    /// Where it is, as an address without a path.
    pub(crate) fn address(&self) -> String {
        self.url.to_string().trim_end_matches('/').to_owned()
    }

    /// One request.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        version: Option<u64>,
        kind: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<(u16, Bytes)> {
        let key = std::fs::read_to_string(&self.key_file)
            .with_context(|| format!("{} cannot be read", self.key_file.display()))?;
        let authority = self.url.authority().context("--url names no host")?;
        let is_tls = self.url.scheme_str() == Some("https");
        let host = self
            .url
            .host()
            .unwrap_or_default()
            .trim_matches(['[', ']'])
            .to_owned();
        let port = self.url.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, authority.as_str())
            .header(AUTHORIZATION, format!("Bearer {}", key.trim()))
            .header(CONTENT_TYPE, kind);
        if let Some(version) = version {
            request = request.header(IF_MATCH, format!("\"{version}\""));
        }
        let request = request.body(OutBody::from(Bytes::from(body)))?;
        let asked = async {
            let shutdown = Shutdown::default();
            let stream = TcpStream::connect((host.as_str(), port)).await.with_context(|| {
                format!(
                    "{} does not answer; is the node running, and has it [administration]?",
                    self.url
                )
            })?;
            let mut link = match is_tls {
                true => {
                    let config = roots::client(self.ca.as_deref()).map_err(anyhow::Error::msg)?;
                    let name = ServerName::try_from(host.clone()).context("--url names no host")?;
                    let stream = TlsConnector::from(Arc::new(config))
                        .connect(name, stream)
                        .await
                        .with_context(|| {
                            format!("{} is not believed; name its authority with --ca", self.url)
                        })?;
                    Link::open(stream, (), &shutdown).await
                }
                false => Link::open(stream, (), &shutdown).await,
            }
            .map_err(|error| anyhow::Error::msg(error.to_string()))?;
            let sent = link.send(request).await;
            let (_, answer) = sent.map_err(|error| anyhow::Error::msg(error.to_string()))?;
            let (parts, body) = answer.into_parts();
            anyhow::Ok((parts.status.as_u16(), whole(body, LIMIT).await?))
        };
        tokio::time::timeout(PATIENCE, asked)
            .await
            .with_context(|| format!("{} did not answer within {} s", self.url, PATIENCE.as_secs()))?
    }

    /// One request whose answer is JSON; a refusal is an error in words.
    pub(crate) async fn ask(
        &self,
        method: Method,
        path: &str,
        version: Option<u64>,
        body: &Value,
    ) -> anyhow::Result<Value> {
        let body = match body {
            Value::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        };
        let (status, said) = self.send(method, path, version, "application/json", body).await?;
        judged(status, &said)
    }

    /// Reads a page.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, path, None, &Value::Null).await
    }

    /// The first of these pages that there is for this key; what was said of the first, if there is none.
    pub(crate) async fn first_of(&self, paths: &[String]) -> anyhow::Result<(usize, Value)> {
        let mut refused = None;
        for (place, path) in paths.iter().enumerate() {
            let (status, said) = self
                .send(Method::GET, path, None, "application/json", Vec::new())
                .await?;
            let page: Value = serde_json::from_slice(&said).with_context(|| format!("status {status}"))?;
            match status {
                200..=299 => return Ok((place, page)),
                // Not there, or not for this key: it may be the next one.
                403 | 404 => _ = refused.get_or_insert(page),
                _ => bail!("{}", refusal(&page)),
            }
        }
        bail!("{}", refusal(&refused.unwrap_or_default()))
    }

    /// The octets of a file.
    pub(crate) async fn octets(&self, path: &str) -> anyhow::Result<Bytes> {
        let (status, said) = self
            .send(Method::GET, path, None, "application/json", Vec::new())
            .await?;
        if !(200..=299).contains(&status) {
            judged(status, &said)?;
        }
        Ok(said)
    }

    /// Carries out a command on what lies at `subject`, as it is now.
    pub(crate) async fn command(&self, subject: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let body = match body {
            Value::Null => Vec::new(),
            body => body.to_string().into_bytes(),
        };
        self.change(Method::POST, subject, path, "application/json", body)
            .await
    }

    /// Changes what lies at `subject`, as it is now. What the nodes change by themselves meanwhile is looked at again.
    pub(crate) async fn change(
        &self,
        method: Method,
        subject: &str,
        path: &str,
        kind: &str,
        body: Vec<u8>,
    ) -> anyhow::Result<Value> {
        let (mut left, pause) = AGAIN;
        loop {
            let now = self.get(subject).await?;
            let (status, said) = self
                .send(method.clone(), path, now["version"].as_u64(), kind, body.clone())
                .await?;
            match judged(status, &said) {
                Err(_) if status == 412 && left > 0 => {
                    left -= 1;
                    tokio::time::sleep(pause).await;
                }
                judged => return judged,
            }
        }
    }
}

/// The octets of an answer, which this program keeps in memory.
async fn whole<B>(body: B, limit: usize) -> anyhow::Result<Bytes>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    match Limited::new(body, limit).collect().await {
        Ok(body) => Ok(body.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => bail!(
            "the answer has more than {limit} octets, which is all that this command takes; \
             ask for it with another client, such as curl, with the same address and key"
        ),
        Err(error) => Err(anyhow::Error::msg(error.to_string())),
    }
}

/// An answer as JSON; a refusal is an error in words.
fn judged(status: u16, said: &[u8]) -> anyhow::Result<Value> {
    let page: Value = serde_json::from_slice(said).with_context(|| {
        format!(
            "status {status}: {}",
            String::from_utf8_lossy(&said[..said.len().min(300)])
        )
    })?;
    match status {
        200..=299 => Ok(page),
        _ => bail!("{}", refusal(&page)),
    }
}

/// A part of an application that is handed in: name of the part, file name, media type, octets.
pub(crate) type Part = (String, String, String, Vec<u8>);

/// A body of multipart/form-data with these parts, and its media type. Names of files go as browsers send them.
pub(crate) fn multipart(parts: &[Part]) -> (String, Vec<u8>) {
    let boundary = format!("kontor-{}", uuid::Uuid::new_v4());
    let mut body = Vec::new();
    for (part, name, media_type, octets) in parts {
        let name = name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A");
        let file = match part.as_str() {
            "formData" => String::new(),
            _ => format!("; filename=\"{name}\""),
        };
        let head = format!(
            "--{boundary}\r\nContent-Disposition: form-data; name=\"{part}\"{file}\r\nContent-Type: {media_type}\r\n\r\n"
        );
        body.extend_from_slice(head.as_bytes());
        body.extend_from_slice(octets);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

/// A problem in words.
fn refusal(page: &Value) -> String {
    let text = |name: &str| page[name].as_str().unwrap_or_default();
    let mut said = format!("{} ({})", text("detail"), text("code"));
    if !text("pointer").is_empty() {
        said += &format!(" at {}", text("pointer"));
    }
    if !text("hint").is_empty() {
        said += &format!("; {}", text("hint"));
    }
    let legal = page["legal"].as_array().into_iter().flatten();
    let legal: Vec<&str> = legal.filter_map(Value::as_str).collect();
    // The sentence may name them already.
    if !legal.is_empty() && !said.contains(&legal.join(", ")) {
        said += &format!("; possible: {}", legal.join(", "));
    }
    said
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use http_body_util::Full;

    use super::{Bytes, judged, refusal, whole};

    #[test]
    fn a_refusal_that_is_no_problem_says_its_status_and_begins_with_what_came() {
        let refused = judged(502, b"<h1>Bad Gateway</h1>").unwrap_err();
        assert!(
            refused.to_string().starts_with("status 502: <h1>Bad Gateway"),
            "{refused}"
        );
    }

    #[tokio::test]
    async fn an_answer_that_is_too_large_says_the_limit_and_what_to_do() {
        let body = || Full::new(Bytes::from_static(b"abcd"));
        assert_eq!(whole(body(), 4).await.unwrap(), "abcd");
        let refused = whole(body(), 3).await.unwrap_err().to_string();
        assert!(
            refused.contains("more than 3 octets") && refused.contains("curl"),
            "{refused}"
        );
    }

    #[test]
    fn a_refusal_says_what_why_where_and_what_is_possible() {
        let page = json!({
            "detail": "no", "code": "illegal_for_state", "pointer": "/reason", "hint": "wait", "legal": ["send", "drop"],
        });
        assert_eq!(
            refusal(&page),
            "no (illegal_for_state) at /reason; wait; possible: send, drop"
        );
        let named = json!({ "detail": "only send, drop are", "code": "c", "legal": ["send", "drop"] });
        assert_eq!(refusal(&named), "only send, drop are (c)");
    }
}
