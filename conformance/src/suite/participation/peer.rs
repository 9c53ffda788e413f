//! A scripted peer in participation: it holds still what two nodes pass through at once, answers as it is told, and says what it is
//! told to say, on either side of a request.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use anyhow::{Context, Result, ensure};
use kontor_pki::crypto::sha256;
use serde_json::{Value, json};

use crate::authority::OcspSays;
use crate::clock;
use crate::federation::Federation;
use crate::peer::Peer;
use crate::peer::provider::{Listening, Reaction, Reply, Seen};
use crate::scripted::asked;

/// The member of the scripted peer.
pub(super) const GAMMA: &str = "TEST/GOV/1003";

/// How the scripted peer answers, and what it was told.
#[derive(Default)]
pub(super) struct Script {
    /// Messages are answered with "not now".
    pub(super) silent: bool,
    /// Messages are refused as something that cannot be read.
    pub(super) refuses: bool,
    /// What it hands out, by the path of the part.
    pub(super) bundles: BTreeMap<String, Vec<u8>>,
    /// Paths of parts that it will not hand out any more, and why, by code.
    pub(super) closed: BTreeMap<String, &'static str>,
    /// Parts that were asked for.
    pub(super) pulled: BTreeSet<String>,
    /// Messages that it took: path and body, in order.
    pub(super) said: Vec<(String, Value)>,
    /// How many messages of its own it has sent, by request.
    sent: BTreeMap<String, u32>,
}

impl Script {
    /// The last message of this kind about a request.
    pub(super) fn last(&self, request: &str, kind: &str) -> Option<(u32, Value)> {
        let of = |(path, _): &&(String, Value)| path.contains(request) && path.ends_with(&format!("/{kind}"));
        let (path, body) = self.said.iter().rfind(of)?;
        let seq = path.rsplit('/').nth(1)?.parse().ok()?;
        Some((seq, body.clone()))
    }

    /// How many messages about a request it took.
    fn heard(&self, request: &str) -> usize {
        self.said
            .iter()
            .filter(|(path, _)| path.contains(request))
            .count()
    }
}

/// The scripted peer, listening.
pub(super) struct Scripted<'a> {
    pub(super) federation: &'a Federation,
    pub(super) peer: &'a Peer,
    script: Arc<Mutex<Script>>,
    _listening: Listening,
}

impl<'a> Scripted<'a> {
    /// Has a peer of the federation listen.
    pub(super) async fn start(federation: &'a Federation, name: &str) -> Result<Self> {
        let peer = federation.peer(name);
        let listening = Listening::start(peer, federation.authority()).await?;
        let script = Arc::<Mutex<Script>>::default();
        let (signer, shared) = (peer.signer.clone(), Arc::clone(&script));
        let member = peer.client_id().split('/').nth(2).unwrap_or_default().to_owned();
        let ocsp = federation
            .authority()
            .ocsp_of(&signer.certificate, OcspSays::Good)?;
        listening.react(move |seen| {
            let reply = answer(seen, &shared, &member)?;
            Ok(Reaction::Parts(reply.sign(&signer, std::slice::from_ref(&ocsp))))
        });
        Ok(Self {
            federation,
            peer,
            script,
            _listening: listening,
        })
    }

    /// How it answers from now on, and what it was told.
    pub(super) fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts these octets on a path of the service `participation` of a node, or asks what is there.
    pub(super) async fn ask(&self, node: &str, verb: &str, path: &str, body: &str) -> Result<(u16, Vec<u8>)> {
        asked(
            self.federation,
            node,
            self.peer,
            verb,
            &format!("participation{path}"),
            body,
        )
        .await
    }

    /// The same where the answer is a document.
    pub(super) async fn tell(&self, node: &str, path: &str, body: &str) -> Result<(u16, Value)> {
        let (status, octets) = self.ask(node, "PUT", path, body).await?;
        let page = serde_json::from_slice(&octets)
            .with_context(|| format!("{path}: {status}: {}", String::from_utf8_lossy(&octets)))?;
        Ok((status, page))
    }

    /// Is heard of again, so that what waits for it comes.
    pub(super) async fn speak(&self, node: &str) -> Result<()> {
        let (status, _) = self.ask(node, "GET", "/v1/openapi.json", "").await?;
        ensure!(status == 200, "the contract: {status}");
        Ok(())
    }

    /// The whole bundle of a message, part by part until there is none.
    pub(super) async fn pull(&self, node: &str, request: &str, party: &str, seq: u32) -> Result<Vec<u8>> {
        let path = format!("/v1/bundles/{request}/{party}/{seq}/0");
        let (status, octets) = self.ask(node, "GET", &path, "").await?;
        ensure!(
            status == 200,
            "{path}: {status}: {}",
            String::from_utf8_lossy(&octets)
        );
        Ok(octets)
    }

    /// The number of its next message about a request, and how many of the other side's it took.
    pub(super) fn next(&self, request: &str) -> (u32, usize) {
        let script = self.script();
        let sent = script.sent.get(request).copied().unwrap_or_default();
        (sent + 1, script.heard(request))
    }

    /// Says the next message about a request on one side of it; gives its path and bytes with the answer.
    pub(super) async fn say(
        &self,
        node: &str,
        request: &str,
        party: &str,
        kind: &str,
        more: &Value,
    ) -> Result<Message> {
        let (seq, heard) = self.next(request);
        let path = format!("/v1/requests/{request}/{party}/{seq}/{kind}");
        let body = message(kind, heard, more).to_string();
        let (status, page) = self.tell(node, &path, &body).await?;
        // Whatever is answered with a receipt has used its number.
        if matches!(status, 202 | 409) && page["answer"].is_string() {
            self.script().sent.insert(request.to_owned(), seq);
        }
        Ok(Message {
            path,
            body,
            status,
            page,
        })
    }

    /// Says something that is taken.
    pub(super) async fn said(
        &self,
        node: &str,
        request: &str,
        party: &str,
        kind: &str,
        more: &Value,
    ) -> Result<Message> {
        let message = self.say(node, request, party, kind, more).await?;
        ensure!(
            message.status == 202,
            "{kind}: {}: {}",
            message.status,
            message.page
        );
        Ok(message)
    }
}

/// A message that was sent, and what it was answered.
pub(super) struct Message {
    pub(super) path: String,
    pub(super) body: String,
    pub(super) status: u16,
    pub(super) page: Value,
}

/// A message of a kind with its members.
pub(super) fn message(kind: &str, heard: usize, more: &Value) -> Value {
    let mut body = json!({
        "contract": "kontor-participation/1", "kind": kind, "heard": heard, "sent_at": clock::now().to_rfc3339(), "test": true,
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

fn reply(seen: &Seen, status: u16, kind: &str, body: &[u8]) -> Result<Reply> {
    let mut reply = Reply::to(seen, body)?.header("Content-Type", kind);
    reply.text.first = status.to_string();
    Ok(reply)
}

fn problem(seen: &Seen, status: u16, code: &str) -> Result<Reply> {
    let page = json!({ "code": code, "detail": "so wants the script (fiktiv)" }).to_string();
    reply(seen, status, "application/problem+json", page.as_bytes())
}

fn answer(seen: &Seen, shared: &Arc<Mutex<Script>>, member: &str) -> Result<Reply> {
    let target = &seen.text.second;
    if target.ends_with("/listMethods") {
        let listing = json!({ "service": [{
            "member_class": "GOV", "member_code": member, "object_type": "SERVICE", "service_code": "participation",
            "service_type": "REST", "subsystem_code": "KONTOR", "xroad_instance": "TEST", "endpoint_list": [],
        }] });
        return reply(seen, 200, "application/json", listing.to_string().as_bytes());
    }
    let path = target.split_once("/participation/").map_or("", |(_, path)| path);
    let path = format!("/{path}");
    let mut script = shared.lock().unwrap_or_else(PoisonError::into_inner);
    if script.silent {
        return problem(seen, 503, "busy");
    }
    if seen.text.first == "GET" {
        script.pulled.insert(path.clone());
        if let Some(code) = script.closed.get(&path) {
            return problem(seen, 410, code);
        }
        return match script.bundles.get(&path) {
            Some(octets) => reply(seen, 200, "application/octet-stream", octets),
            None => problem(seen, 503, "busy"),
        };
    }
    if script.refuses {
        return problem(seen, 422, "message_malformed");
    }
    let body = seen.body().context("a message without a body")?;
    let mut pieces = path.rsplit('/');
    let kind = pieces.next().unwrap_or_default();
    let request = pieces.nth(2).unwrap_or_default().to_owned();
    let says = match kind {
        "request" => json!({ "answer": "delivered", "delivered_at": clock::now().to_rfc3339() }),
        "statement" | "decline" | "extension-request" => {
            json!({ "answer": "judged", "in_time": true, "kept_beside": false })
        }
        _ => json!({ "answer": "taken" }),
    };
    let digest: String = sha256(body).iter().map(|byte| format!("{byte:02x}")).collect();
    let mut receipt = json!({
        "contract": "kontor-participation/1", "message": path, "sha256": digest, "proof_level": "node",
        "x_road_id": seen.text.header("x-road-id"), "x_road_request_id": seen.text.header("x-road-request-id").unwrap_or("none"),
        "received_at": clock::now().to_rfc3339(), "after": script.sent.get(&request).copied().unwrap_or_default(),
    });
    for (name, value) in says.as_object().into_iter().flatten() {
        receipt[name] = value.clone();
    }
    let told = (path, serde_json::from_slice(body)?);
    // A message that comes again is the one that came.
    if !script.said.contains(&told) {
        script.said.push(told);
    }
    reply(seen, 202, "application/json", receipt.to_string().as_bytes())
}
