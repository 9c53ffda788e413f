//! A desk at a node with casework: what a person or a system does there, over the interface of the node. Owns the keys that the
//! suite's nodes know, a fictional application, two authorities, and the waiting for what two nodes do by themselves.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Method, Request, StatusCode};
use kontor_pki::crypto::sha256;
use serde_json::{Value, json};

use crate::address::Net;
use crate::document::Document;
use crate::federation::{Federation, Node};
use crate::plan::NodePlan;
use crate::subject::Subject;
use crate::wire::http::{self, Answer};

/// How long two nodes may take for what they do by themselves.
const PATIENCE: Duration = Duration::from_secs(60);

/// A desk.
#[derive(Clone, Debug)]
pub struct Desk {
    at: SocketAddr,
    key: &'static str,
}

/// Names, keys and roles of the principals that the suite's nodes know.
const KEYS: [(&str, &str, &str, &str); 7] = [
    ("form service", "system", "key-of-the-form-service", "\"intake\""),
    (
        "worker",
        "person",
        "key-of-a-worker",
        "\"worker\", \"supervisor\"",
    ),
    (
        "releaser",
        "person",
        "key-of-a-releaser",
        "\"worker\", \"releaser\"",
    ),
    ("officer", "person", "key-of-the-officer", "\"data_protection\""),
    (
        "coordinator",
        "person",
        "key-of-the-coordinator",
        "\"coordinator\"",
    ),
    ("specialist", "person", "key-of-a-specialist", "\"specialist\""),
    ("adviser", "person", "key-of-an-adviser", "\"adviser\""),
];

/// Lines of `[casework]`: the region, the keys, and what else is wanted.
pub fn settings(region: &str, more: &str) -> String {
    let mut text = format!("region = \"{region}\"\n{more}\n");
    for (name, holder, key, roles) in KEYS {
        let digest: String = sha256(key.as_bytes())
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        text.push_str(&format!(
            "[[casework.key]]\nname = \"{name}\"\nholder = \"{holder}\"\nsha256 = \"{digest}\"\nroles = [{roles}]\nexpires = \"2099-12-31\"\n"
        ));
    }
    text
}

/// Lines of one more key, for cases with persons of their own; a desk bears it by [`Desk::bearing`].
pub fn one_more_key(key: &str, roles: &[&str], units: &[&str]) -> String {
    let digest: String = sha256(key.as_bytes())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!(
        "[[casework.key]]\nname = {key:?}\nholder = \"person\"\nsha256 = \"{digest}\"\nroles = {roles:?}\nunits = {units:?}\nexpires = \"2099-12-31\"\n"
    )
}

/// The keys of all principals, by their names.
pub fn keys() -> Value {
    KEYS.iter()
        .map(|(name, _, key, _)| ((*name).to_owned(), Value::from(*key)))
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Whether everything that was said on a transfer or a request, as this page shows it, has its answer.
pub fn all_answered(page: &Value) -> bool {
    let sent = page["sent"].as_array();
    sent.is_some_and(|all| all.iter().all(|message| message["state"]["state"] == "answered"))
}

/// The member that takes over.
pub const BETA: &str = "TEST/GOV/1002";

/// Two authorities with casework.
pub async fn authorities(subject: &Subject, net: &Net, more: &str) -> Result<Federation> {
    Federation::builder(net)
        .node(NodePlan::new("alpha", "1001").casework(&settings("010585890008", more)))
        .node(NodePlan::new("beta", "1002").casework(&settings("010020000000", more)))
        .group("KONTOR", &[("1001", "KONTOR"), ("1002", "KONTOR")])
        .start(subject)
        .await
        .context("two nodes with casework")
}

/// An application of a fictional person, with letters that get lost easily, as the intake takes it.
pub fn application(transaction: &str) -> Value {
    json!({
        "control": {
            "transactionId": transaction,
            "zustaendigeStelle": "u-42",
            "leikaIds": ["99102013104000"],
            "formId": "f-1",
            "name": "Hundesteuer (fiktiv)",
            "serviceKonto": { "type": "OSI", "trustLevel": "STORK-QAA-LEVEL-3",
                "postfachAddress": { "identifier": "postfach-geheim-1", "type": "Citizen" } },
            "unknown": 12.50,
        },
        "formData": [
            { "name": "person", "label": "Person (fiktiv)", "formItems": [
                { "name": "vorname", "label": "Vorname", "stringValue": "Kr\u{325}\u{1e63}\u{1e47}akum\u{101}r" },
                { "name": "nachname", "label": "Nachname", "stringValue": "C\u{306}ermákovy" },
                { "name": "telefon", "label": "Telefon", "stringValue": "" },
                { "name": "telefon", "label": "Telefon", "stringValue": "0000 <&\"'>\n1" },
            ] },
            { "name": "hunde", "label": "Hunde", "formItems": [] },
            { "name": "zahl", "label": "Zahl", "numberValue": 0.10 },
            { "name": "ja", "label": "Ja", "booleanValue": false },
        ],
    })
}

/// Files of the application: part, name and octets.
pub fn files() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    vec![
        ("representation", "Antrag.pdf", b"%PDF-1.7 fiktiv".to_vec()),
        (
            "attachment",
            "..\\Pläne\\Größe & Maß.txt",
            "nicht echt äöü\0".repeat(500).into_bytes(),
        ),
        ("attachment", "leer.bin", Vec::new()),
    ]
}

/// A body of multipart/form-data.
pub fn multipart(form: Option<&Value>, files: &[(&str, &str, Vec<u8>)]) -> (String, Vec<u8>) {
    let boundary = "kontor-conformance-7d1f";
    let mut body = Vec::new();
    if let Some(form) = form {
        body.extend_from_slice(
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"formData\"\r\nContent-Type: application/json\r\n\r\n{form}\r\n")
                .as_bytes(),
        );
    }
    for (part, name, octets) in files {
        body.extend_from_slice(
            format!("--{boundary}\r\nContent-Disposition: form-data; name=\"{part}\"; filename=\"{name}\"\r\nContent-Type: application/octet-stream\r\n\r\n")
                .as_bytes(),
        );
        body.extend_from_slice(octets);
        body.extend_from_slice(b"\r\n");
    }
    body.extend_from_slice(format!("--{boundary}--\r\n").as_bytes());
    (format!("multipart/form-data; boundary={boundary}"), body)
}

impl Desk {
    /// The worker's desk at a node.
    pub fn at(node: &Node) -> Self {
        Self {
            at: node.administration(),
            key: KEYS[1].2,
        }
    }

    /// The same desk with another one's key: form service, worker, releaser or officer.
    #[must_use]
    pub fn of(&self, name: &str) -> Self {
        let key = KEYS.iter().find(|(known, ..)| *known == name);
        Self {
            key: key.expect("a case names only principals of the suite").2,
            ..self.clone()
        }
    }

    /// The same desk for a guest with this code.
    #[must_use]
    pub fn guest(&self, code: &str) -> Self {
        self.bearing(code)
    }

    /// The same desk with a key that a case has of its own.
    #[must_use]
    pub fn bearing(&self, key: &str) -> Self {
        Self {
            at: self.at,
            key: key.to_owned().leak(),
        }
    }

    /// One request; a node that is being opened is waited for.
    pub async fn send(
        &self,
        method: Method,
        path: &str,
        version: Option<u64>,
        kind: &str,
        body: Vec<u8>,
    ) -> Result<Answer> {
        let begun = Instant::now();
        loop {
            let mut request = Request::builder()
                .method(method.clone())
                .uri(path)
                .header("host", self.at.to_string())
                .header("authorization", format!("Bearer {}", self.key))
                .header("content-type", kind);
            if let Some(version) = version {
                request = request.header("if-match", format!("\"{version}\""));
            }
            let request = request.body(Full::new(Bytes::from(body.clone())))?;
            let answer = http::once(self.at, None, request).await?;
            let starting = answer.status == StatusCode::SERVICE_UNAVAILABLE
                && String::from_utf8_lossy(&answer.body).contains("\"starting\"");
            if !starting || begun.elapsed() > PATIENCE {
                Document::of(self.at)
                    .await?
                    .judge(method.as_str(), path, &answer)?;
                return Ok(answer);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A request of this desk without a body, for who sends it otherwise.
    pub fn request(&self, method: Method, path: &str) -> Result<http::WholeRequest> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", self.at.to_string())
            .header("authorization", format!("Bearer {}", self.key));
        Ok(request.body(Full::default())?)
    }

    /// A page that is there.
    pub async fn get(&self, path: &str) -> Result<Value> {
        let answer = self
            .send(Method::GET, path, None, "application/json", Vec::new())
            .await?;
        let text = String::from_utf8_lossy(&answer.body);
        ensure!(
            answer.status == StatusCode::OK,
            "GET {path}: {}: {text}",
            answer.status
        );
        serde_json::from_slice(&answer.body).with_context(|| format!("GET {path}: {text}"))
    }

    /// A command, decided on this version.
    pub async fn post(&self, path: &str, version: u64, body: &Value) -> Result<(StatusCode, Value)> {
        let answer = self
            .send(
                Method::POST,
                path,
                Some(version),
                "application/json",
                body.to_string().into_bytes(),
            )
            .await?;
        let page = serde_json::from_slice(&answer.body)
            .with_context(|| format!("POST {path}: {}", String::from_utf8_lossy(&answer.body)))?;
        Ok((answer.status, page))
    }

    /// A command that succeeds.
    pub async fn done(&self, path: &str, version: u64, body: &Value) -> Result<Value> {
        let (status, page) = self.post(path, version, body).await?;
        ensure!(status.is_success(), "POST {path}: {status}: {page}");
        Ok(page)
    }

    /// Invites the guest of a request, as this page shows it; gives its desk and its link.
    pub async fn invited(&self, request: &str, now: &Value) -> Result<(Self, String)> {
        let path = format!("{request}/invitation");
        let handed = self.done(&path, number(now, "version")?, &json!({})).await?;
        Ok((
            self.guest(text(&handed, "code")?),
            text(&handed, "link")?.to_owned(),
        ))
    }

    /// A command that is refused with this code.
    pub async fn refused(&self, path: &str, version: u64, body: &Value, code: &str) -> Result<Value> {
        let (status, page) = self.post(path, version, body).await?;
        ensure!(
            status.is_client_error() && page["code"] == code,
            "POST {path}: {status} instead of {code}: {page}"
        );
        ensure!(
            page["detail"].as_str().is_some_and(|detail| !detail.is_empty()),
            "no sentence: {page}"
        );
        Ok(page)
    }

    /// Hands in an application; gives its case.
    pub async fn hand_in(&self, form: &Value, files: &[(&str, &str, Vec<u8>)]) -> Result<Value> {
        let (kind, body) = multipart(Some(form), files);
        let service = self.of("form service");
        let answer = service.send(Method::POST, "/antrag", None, &kind, body).await?;
        let page: Value = serde_json::from_slice(&answer.body)?;
        ensure!(
            answer.status == StatusCode::OK,
            "intake: {}: {page}",
            answer.status
        );
        self.get(&format!(
            "/api/v1/cases/{}",
            page["vorgang"]["vorgangId"].as_str().unwrap_or_default()
        ))
        .await
    }

    /// Offers a case to a member.
    pub async fn offer(&self, case: &Value, to: &str, situation: &str) -> Result<Value> {
        let wish = json!({ "to": to, "situation": situation });
        self.done(
            &format!("/api/v1/cases/{}/transfers", text(case, "id")?),
            number(case, "version")?,
            &wish,
        )
        .await
    }

    /// Waits until a transfer is in a state here.
    pub async fn until(&self, transfer: &str, state: &str) -> Result<Value> {
        let begun = Instant::now();
        loop {
            let seen = self.get(&format!("/api/v1/transfers/{transfer}")).await;
            match seen {
                Ok(page) if page["state"] == state => return Ok(page),
                seen if begun.elapsed() > PATIENCE => bail!("not {state} in time: {seen:?}"),
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// A command on a transfer as it is now.
    pub async fn command(&self, transfer: &str, command: &str, body: &Value) -> Result<Value> {
        let path = format!("/api/v1/transfers/{transfer}/commands/{command}");
        loop {
            let now = self.get(&format!("/api/v1/transfers/{transfer}")).await?;
            let (status, page) = self.post(&path, number(&now, "version")?, body).await?;
            // Two nodes do things by themselves meanwhile.
            if status == StatusCode::PRECONDITION_FAILED {
                continue;
            }
            ensure!(status.is_success(), "POST {path}: {status}: {page}");
            return Ok(page);
        }
    }
}

/// A member that is text.
pub fn text<'a>(page: &'a Value, name: &str) -> Result<&'a str> {
    page[name].as_str().with_context(|| format!("no {name}: {page}"))
}

/// A member that is a number.
pub fn number(page: &Value, name: &str) -> Result<u64> {
    page[name].as_u64().with_context(|| format!("no {name}: {page}"))
}
