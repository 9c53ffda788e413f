//! The client side of casework's interface, for `kontor case`, `kontor transfer`, `kontor up` and `kontor tour`: one request, one
//! answer, and what a refusal says in words.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, IF_MATCH};
use http::{Method, Request, Uri};
use http_body_util::{BodyExt, Limited};
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
            let body = Limited::new(body, LIMIT)
                .collect()
                .await
                .map_err(|error| anyhow::Error::msg(error.to_string()))?;
            anyhow::Ok((parts.status.as_u16(), body.to_bytes()))
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
        let page: Value = serde_json::from_slice(&said).with_context(|| {
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

    /// Reads a page.
    pub(crate) async fn get(&self, path: &str) -> anyhow::Result<Value> {
        self.ask(Method::GET, path, None, &Value::Null).await
    }

    /// Carries out a command on what lies at `subject`, as it is now.
    pub(crate) async fn command(&self, subject: &str, path: &str, body: &Value) -> anyhow::Result<Value> {
        let now = self.get(subject).await?;
        self.ask(Method::POST, path, now["version"].as_u64(), body).await
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
    said
}
