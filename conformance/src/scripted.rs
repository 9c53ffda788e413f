//! What a scripted peer says to a node: messages of the contracts between nodes (casework 1), signed by it.

use anyhow::Result;
use serde_json::{Value, json};

use crate::federation::Federation;
use crate::peer::Peer;
use crate::peer::consumer::Ask;

/// A message of a kind with its members.
#[expect(clippy::needless_pass_by_value, reason = "callers write it where they call")]
pub(crate) fn message(kind: &str, more: Value) -> String {
    let mut body = json!({
        "contract": "kontor-transfer/1", "kind": kind, "sent_at": "2026-01-05T08:00:00Z", "test": true,
    });
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body.to_string()
}

/// What a peer's message to a node's service `transfer` is answered: status and document.
pub(crate) async fn told(
    federation: &Federation,
    node: &str,
    peer: &Peer,
    verb: &str,
    path: &str,
    body: &str,
) -> Result<(u16, Value)> {
    let (status, octets) = asked(federation, node, peer, verb, &format!("transfer{path}"), body).await?;
    let page = match octets.is_empty() {
        true => Value::Null,
        false => serde_json::from_slice(&octets)?,
    };
    Ok((status, page))
}

/// What a peer's message to a service of a node is answered: status and octets.
pub(crate) async fn asked(
    federation: &Federation,
    node: &str,
    peer: &Peer,
    verb: &str,
    place: &str,
    body: &str,
) -> Result<(u16, Vec<u8>)> {
    let node = federation.node(node);
    let target = format!("/r1/{}/{place}", node.client_id("KONTOR"));
    let ask = Ask::new(peer, verb, &target, &format!("message-{}", uuid::Uuid::new_v4()));
    let ask = if body.is_empty() { ask } else { ask.body(body) };
    let answered = ask
        .sign(peer, &peer.signer, federation.authority())?
        .send(node.federation())
        .await?;
    let (head, body, _) = answered.message()?;
    Ok((head.first.parse()?, body.unwrap_or_default().to_vec()))
}

/// An offer of a scripted peer; `until` is the last instant for an answer and a take-over.
pub(crate) fn offer(transfer: &str, until: &str) -> String {
    let deadline = json!({
        "rule": { "kind": "until", "date": "2098-12-31" }, "trigger": "2026-01-05T08:00:00Z", "place": { "land": "SH" },
        "zone": "Europe/Berlin", "holidays": "2026-1", "raw_end": null, "effective_end": "2098-12-31", "ends_at": until, "steps": [],
    });
    let offer = json!({
        "transfer_id": transfer, "application_id": "5f2504e0-4f89-41d3-9a0c-0305e82c3301", "situation": "MISDIRECTED",
        "service": "99102013104000", "region": "010020000000", "first_received_at": "2026-01-05T07:00:00Z",
        "running_deadlines": [], "files": 1, "octets": 5, "flags": {}, "answer_wanted_by": deadline,
        "take_over_until": until, "manifest": "0".repeat(64), "test": true,
    });
    message("offer", json!({ "offer": offer }))
}
