//! Peers that lie about their log, are silent, or have no ledger at all: what a node and `kontor log reconcile` make of them
//! (evidence 5). The peers are scripted; what they show is written by [`crate::peer::ledger`].

use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::{Value, json};
use tokio::time::sleep;

use super::ledger::{Ledgers, command, ledgers, until};
use super::{World, cases, fresh};
use crate::authority::OcspSays;
use crate::clock;
use crate::peer::Peer;
use crate::peer::ledger::{LeafText, Ledger, account_line, commitment};
use crate::peer::provider::{Listening, Reaction, Reply, Seen, fault};
use crate::wire::parts;

cases! {
    quick LEDGER_WITHOUT => without;
    quick RECONCILE_LIES => lies;
    quick RECONCILE_SILENT => silent;
}

/// Answers services as scripted by a case, and `ledger` as told.
fn script(
    at: &Ledgers,
    peer: &Peer,
    listening: &Listening,
    ledger: impl Fn(&str) -> Option<(u16, Vec<u8>)> + Send + Sync + 'static,
) -> Result<()> {
    let authority = at.federation.authority();
    let signer = peer.signer.clone();
    let ocsp = authority.ocsp_of(&signer.certificate, OcspSays::Good)?;
    listening.react(move |seen: &Seen| {
        let path: Vec<_> = seen.text.second.splitn(8, '/').collect();
        let (service, rest) = (
            path.get(6).copied().unwrap_or_default(),
            path.get(7).copied().unwrap_or_default(),
        );
        let (status, body) = match service {
            "ledger" => match ledger(rest) {
                Some(answer) => answer,
                None => return Ok(fault("Server.ServerProxy.UnknownService", "unknown service")),
            },
            _ => (200, b"echo".to_vec()),
        };
        let mut reply = Reply::to(seen, &body)?;
        reply.text.first = status.to_string();
        if status == 429 {
            reply.text = reply.text.with("Retry-After", "1");
        }
        Ok(Reaction::Parts(reply.sign(&signer, std::slice::from_ref(&ocsp))))
    });
    Ok(())
}

async fn without(world: &World) -> Result<()> {
    let at = ledgers(world).await?;
    let peer = at.peer("omega");
    let asks = Arc::new(Mutex::new(0));
    let listening = Listening::start(peer, at.federation.authority()).await?;
    let counted = Arc::clone(&asks);
    script(at, peer, &listening, move |_| {
        *counted.lock().expect("no holder panics") += 1;
        None
    })?;
    at.exchange("omega", &fresh("java")).await?;
    let stand = async || {
        let (_, report) = at.witness(&[]).await?;
        let all = report["cosigners"].as_array().cloned().unwrap_or_default();
        Ok::<_, anyhow::Error>(
            all.into_iter()
                .find(|peer| peer["server"] == "TEST/GOV/1004/ss-omega"),
        )
    };
    until("a peer without the service is not known as one", async || {
        Ok(stand().await?.is_some_and(|peer| peer["stand"] == "no-service"))
    })
    .await?;
    let size = async || Ok::<_, anyhow::Error>(at.witness(&[]).await?.1["size"].as_u64().unwrap_or(0));
    for _ in 0..2 {
        let before = size().await?;
        at.exchange("omega", &fresh("java")).await?;
        until("no checkpoint is signed", async || Ok(size().await? > before)).await?;
    }
    let asked = *asks.lock().expect("no holder panics");
    ensure!(asked == 1, "a peer without the service was asked {asked} times");
    let lines = at.alpha().log();
    let lines = lines
        .lines()
        .filter(|line| line.contains("did not co-sign") && line.contains("ss-omega"));
    let lines = lines.count();
    ensure!(lines == 1, "{lines} log lines about a peer without the service");
    let (code, said) = command(
        at.federation.subject(),
        at.alpha(),
        "reconcile",
        &["--member", "TEST/GOV/1004"],
    )
    .await?;
    ensure!(
        code == Some(1)
            && said.to_string().contains("unknown_service") | said.to_string().contains("UnknownService"),
        "reconcile with a peer without the service: {code:?} {said}"
    );
    Ok(())
}

type Served = Arc<Mutex<Vec<(String, u16, Vec<u8>)>>>;

async fn lies(world: &World) -> Result<()> {
    let at = ledgers(world).await?;
    let peer = at.peer("lambda");
    let listening = Listening::start(peer, at.federation.authority()).await?;
    let served: Served = Served::default();
    let serving = Arc::clone(&served);
    script(at, peer, &listening, move |path| {
        let mut served = serving.lock().expect("no holder panics");
        let at = served
            .iter()
            .position(|(prefix, ..)| path.starts_with(prefix.as_str()))?;
        let (prefix, status, body) = served[at].clone();
        // What is served once makes room for what stands behind it.
        if status == 429 {
            served.remove(at);
        }
        let _ = prefix;
        Some((status, body))
    })?;
    let id = fresh("told");
    at.exchange("lambda", &id).await?;
    let seen = listening.seen(&id);
    let seen = seen.first().ok_or_else(|| anyhow!("the peer saw nothing"))?;
    let request_id = seen
        .text
        .header("x-road-request-id")
        .ok_or_else(|| anyhow!("no request id"))?
        .to_owned();
    let request = seen
        .parts
        .find(parts::REST_REQUEST)
        .ok_or_else(|| anyhow!("no request part"))?;
    let request = vec![("message.xml", request.bytes.clone())];
    let response = Reply::to(seen, b"echo")?;
    let response = vec![
        ("message.xml", response.text.bytes()),
        ("attachment1", b"echo".to_vec()),
    ];
    // Old enough not to be taken for an exchange that is still being written.
    let second = u64::try_from(clock::now().secs())? - 3600;
    let mut log = Ledger::of("1007", "ss-lambda");
    let mut account = Vec::new();
    let mut add = |log: &mut Ledger, is_request, id: &str, parts: &[(&'static str, Vec<u8>)]| {
        let salt = [3; 32];
        let leaf = log.push(&LeafText {
            is_request,
            second,
            client: ("1001", "portal"),
            service: ("1007", "ledger", "echo"),
            commitment: commitment(&salt, parts),
        });
        account.push((log.size() - 1, leaf, id.to_owned(), salt, parts.to_vec()));
    };
    add(&mut log, true, &request_id, &request);
    add(&mut log, false, &request_id, &response);
    add(&mut log, true, "forged", &request);
    let changed = vec![("message.xml", b"another message".to_vec())];
    add(&mut log, true, &request_id, &changed);
    let key = [&b"["[..], &at.binding(&log, "lambda")?, b"]"].concat();
    let line = |index: usize| {
        let (number, leaf, id, salt, parts) = &account[index];
        account_line(&log, *number, leaf, id, salt, parts)
    };
    let page = |entries: Vec<Value>, next: Value| {
        json!({ "entries": entries, "next": next })
            .to_string()
            .into_bytes()
    };
    let checkpoint = log.checkpoint(log.size()).into_bytes();
    let honest = page(vec![line(0), line(1)], Value::Null);
    let reconcile = async |key: &[u8], exchanges: Vec<(u16, Vec<u8>)>| {
        let mut all = vec![
            ("key".to_owned(), 200, key.to_vec()),
            ("checkpoint".to_owned(), 200, checkpoint.clone()),
        ];
        all.extend(
            exchanges
                .into_iter()
                .map(|(status, body)| ("exchanges".to_owned(), status, body)),
        );
        *served.lock().expect("no holder panics") = all;
        let member = ["--member", "TEST/GOV/1007"];
        command(at.federation.subject(), at.alpha(), "reconcile", &member).await
    };
    let codes = |report: &Value| -> Vec<String> {
        let found = report["discrepancies"].as_array().cloned().unwrap_or_default();
        found
            .iter()
            .map(|found| found["code"].as_str().unwrap_or_default().to_owned())
            .collect()
    };

    // The control: an honest account, told to wait once, is alike.
    let (code, report) = reconcile(&key, vec![(429, b"{}".to_vec()), (200, honest.clone())]).await?;
    ensure!(
        code == Some(0) && report["alike"] == 2 && codes(&report).is_empty(),
        "an honest account: {code:?} {report}"
    );
    for (what, lines, expected) in [
        (
            "a forged extra entry",
            vec![line(0), line(1), line(2)],
            "missing_here",
        ),
        (
            "the same id with other content",
            vec![line(1), line(3)],
            "differs",
        ),
    ] {
        let (code, report) = reconcile(&key, vec![(200, page(lines, Value::Null))]).await?;
        ensure!(
            code == Some(1) && codes(&report) == [expected],
            "{what}: {code:?} {report}"
        );
    }
    let mut moved = line(0);
    moved["proof"] = json!(log.proof(1, log.size()));
    let (code, report) = reconcile(&key, vec![(200, page(vec![moved, line(1)], Value::Null))]).await?;
    ensure!(
        code == Some(1) && codes(&report).contains(&"unproven".to_owned()),
        "an entry at another place: {code:?} {report}"
    );
    let mut denied = line(1);
    denied["parts"][0]["length"] = json!(1);
    let (code, report) = reconcile(&key, vec![(200, page(vec![line(0), denied], Value::Null))]).await?;
    ensure!(
        code == Some(1) && codes(&report).contains(&"unproven".to_owned()),
        "digests that the leaf does not commit to: {code:?} {report}"
    );
    let stranger = log.binding("1007", &at.peer("omega").signer, at.federation.authority())?;
    let stranger = [&b"["[..], &stranger, b"]"].concat();
    for (what, key, pages, expected) in [
        (
            "an unbound key",
            &stranger,
            vec![(200, honest.clone())],
            "not believed",
        ),
        ("no JSON", &key, vec![(200, b"<html>".to_vec())], "not believed"),
        (
            "a page that leads back",
            &key,
            vec![(200, page(Vec::new(), json!(0)))],
            "does not go on",
        ),
        ("an error", &key, vec![(500, b"{}".to_vec())], "status 500"),
        (
            "more than a body may have",
            &key,
            vec![(200, vec![b' '; 9 << 20])],
            "asked",
        ),
    ] {
        let (code, said) = reconcile(key, pages).await?;
        ensure!(
            code == Some(1) && said["err"].as_str().is_some_and(|err| err.contains(expected)),
            "{what}: {code:?} {said}"
        );
    }
    // What was exchanged a moment ago is not missed yet, because the other side may be writing it: this one comes last.
    let mut left_out = (None, Value::Null);
    until("an entry left out is not missed", async || {
        if left_out.0.is_some() {
            sleep(Duration::from_secs(1)).await;
        }
        left_out = reconcile(&key, vec![(200, page(vec![line(0)], Value::Null))]).await?;
        Ok(left_out.0 == Some(1) && codes(&left_out.1) == ["missing_there"])
    })
    .await
    .with_context(|| format!("{left_out:?}"))
}

async fn silent(world: &World) -> Result<()> {
    let at = ledgers(world).await?;
    let reconcile = async |member: &str| {
        let member = ["--member", member];
        command(at.federation.subject(), at.alpha(), "reconcile", &member).await
    };
    // Registered and not there.
    let (code, said) = reconcile("TEST/GOV/1003").await?;
    ensure!(
        code == Some(1)
            && said["err"]
                .as_str()
                .is_some_and(|err| err.contains("network_error")),
        "a peer that is down: {code:?} {said}"
    );
    let (code, said) = reconcile("TEST/GOV/9999").await?;
    ensure!(
        code == Some(1) && said["err"].as_str().is_some_and(|err| err.contains("no node of")),
        "a member without a node: {code:?} {said}"
    );
    Ok(())
}
