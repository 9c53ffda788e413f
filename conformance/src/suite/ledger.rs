//! The service that nodes serve each other: what a witness refuses, what it keeps as evidence, and how often it may be
//! asked (evidence 5).
//!
//! Owns the federation of these cases: two nodes with ledgers, and scripted peers that write their own logs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use futures_util::future::join_all;
use http_body_util::Full;
use serde_json::{Value, json};
use tokio::time::sleep;

use super::{World, cases, fresh, is_served};
use crate::address::Net;
use crate::federation::{Federation, Node};
use crate::peer::Peer;
use crate::peer::consumer::{Ask, Said};
use crate::peer::ledger::Ledger;
use crate::plan::{INSTANCE, NodePlan, PeerPlan, ServicePlan};
use crate::service::Service;
use crate::subject::Subject;
use crate::wire::http;
use crate::wire::message::RestText;

cases! {
    quick LEDGER_REFUSALS => refusals;
    quick LEDGER_FORK => fork;
    quick LEDGER_NEW_LOG => new_log;
    quick LEDGER_QUOTA => quota;
}

/// Longest wait for what nodes do in their own time.
const PATIENCE: Duration = Duration::from_secs(30);

/// The federation of these cases.
#[derive(Debug)]
pub struct Ledgers {
    pub(super) federation: Federation,
    _service: Service,
}

impl Ledgers {
    async fn start(subject: &Subject) -> Result<Self> {
        let net = Net::claim().await?;
        let service = Service::start(net.address(20, 8090)).await?;
        let caller = format!("{INSTANCE}/GOV/1001/portal");
        let federation = Federation::builder(&net)
            .node(NodePlan::new("alpha", "1001").client("portal").ledger(1))
            .node(
                NodePlan::new("beta", "1002")
                    .client("office")
                    .service(ServicePlan::new("echo", service.address(), "/").right(&caller))
                    .ledger(1),
            )
            .peer(PeerPlan::new("gamma", "1003", "ledger"))
            .peer(PeerPlan::new("omega", "1004", "ledger"))
            .peer(PeerPlan::new("zeta", "1005", "ledger"))
            .peer(PeerPlan::new("kappa", "1006", "ledger"))
            .peer(PeerPlan::new("lambda", "1007", "ledger"))
            .start(subject)
            .await?;
        Ok(Self {
            federation,
            _service: service,
        })
    }

    pub(super) fn alpha(&self) -> &Node {
        self.federation.node("alpha")
    }

    pub(super) fn peer(&self, name: &str) -> &Peer {
        self.federation.peer(name)
    }

    /// What alpha's ledger answers a peer: status and body.
    pub(super) async fn ask(
        &self,
        peer: &str,
        verb: &str,
        path: &str,
        body: impl Into<Vec<u8>>,
    ) -> Result<(u16, Vec<u8>, RestText)> {
        let answered = self.asked(peer, verb, path, body.into()).await?;
        answered.map_err(|fault| anyhow!("{peer}: {verb} {path}: {fault}"))
    }

    async fn asked(
        &self,
        peer: &str,
        verb: &str,
        path: &str,
        body: Vec<u8>,
    ) -> Result<Result<(u16, Vec<u8>, RestText), crate::wire::soap::Fault>> {
        let peer = self.peer(peer);
        let target = format!("/r1/{}/ledger/{path}", self.alpha().client_id("ledger"));
        let mut ask = Ask::new(peer, verb, &target, &fresh("ledger"));
        if !body.is_empty() {
            ask = ask.body(body);
        }
        let outgoing = ask.sign(peer, &peer.signer, self.federation.authority())?;
        let answered = outgoing.send(self.alpha().federation()).await?;
        if let Said::Fault(fault) = &answered.said {
            return Ok(Err(fault.clone()));
        }
        let (text, body, _) = answered.message()?;
        Ok(Ok((text.first.parse()?, body.unwrap_or_default().to_vec(), text)))
    }

    /// Asserts status and code of a refusal.
    async fn refuses(
        &self,
        peer: &str,
        verb: &str,
        path: &str,
        body: impl Into<Vec<u8>>,
        (status, code): (u16, &str),
    ) -> Result<()> {
        let (got, body, _) = self.ask(peer, verb, path, body).await?;
        let said = String::from_utf8_lossy(&body).into_owned();
        ensure!(
            got == status && said.contains(&format!("\"code\":\"{code}\"")),
            "{verb} {path} of {peer}: {got} {said}, expected {status} {code}"
        );
        Ok(())
    }

    pub(super) async fn accepts(
        &self,
        peer: &str,
        verb: &str,
        path: &str,
        body: impl Into<Vec<u8>>,
    ) -> Result<()> {
        let (got, body, _) = self.ask(peer, verb, path, body).await?;
        ensure!(
            got == 200 || got == 204,
            "{verb} {path} of {peer}: {got} {}",
            String::from_utf8_lossy(&body)
        );
        Ok(())
    }

    pub(super) fn binding(&self, ledger: &Ledger, peer: &str) -> Result<Vec<u8>> {
        let peer = self.peer(peer);
        ledger.binding(peer.member(), &peer.signer, self.federation.authority())
    }

    /// `kontor log witness --json` of alpha, with its exit code.
    pub(super) async fn witness(&self, more: &[&str]) -> Result<(Option<i32>, Value)> {
        command(self.federation.subject(), self.alpha(), "witness", more).await
    }

    /// What alpha watches of a peer.
    async fn watched(&self, peer: &str) -> Result<Vec<Value>> {
        let server = format!("{INSTANCE}/GOV/{}/ss-{peer}", self.peer(peer).member());
        let (_, report) = self.witness(&[]).await?;
        let all = report["watched"].as_array().cloned().unwrap_or_default();
        Ok(all
            .into_iter()
            .filter(|log| log["server"] == server.as_str())
            .collect())
    }

    async fn page(&self, path: &str) -> Result<String> {
        let answer = http::get(self.alpha().health(), path).await?;
        Ok(String::from_utf8_lossy(&answer.body).into_owned())
    }

    /// One exchange of alpha's portal with a service of a scripted peer.
    pub(super) async fn exchange(&self, peer: &str, id: &str) -> Result<()> {
        let path = format!("/r1/{}/echo", self.peer(peer).client_id());
        let request = self.alpha().request("GET", &path, "portal", id);
        let answer = self.alpha().call(request.body(Full::new(Bytes::new()))?).await?;
        is_served(&answer)
    }
}

/// A command of `kontor log` on a node, with `--json`: exit code and what it printed, or its complaint.
pub(super) async fn command(
    subject: &Subject,
    node: &Node,
    command: &str,
    more: &[&str],
) -> Result<(Option<i32>, Value)> {
    let config = node
        .config()
        .to_str()
        .ok_or_else(|| anyhow!("a path that is not UTF-8"))?;
    let arguments = ["log", command, "--config", config, "--json"];
    let said = subject.run(arguments.iter().chain(more)).await?;
    ensure!(!said.err.contains("panicked"), "{}", said.err);
    let value = match serde_json::from_str(&said.out) {
        Ok(value) => value,
        Err(_) => json!({ "out": said.out, "err": said.err }),
    };
    Ok((said.code, value))
}

/// Waits for what nodes do in their own time.
pub(super) async fn until(what: &str, mut holds: impl AsyncFnMut() -> Result<bool>) -> Result<()> {
    let begin = Instant::now();
    while !holds().await.with_context(|| what.to_owned())? {
        ensure!(begin.elapsed() < PATIENCE, "{what}");
        sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

pub(super) async fn ledgers(world: &World) -> Result<&Ledgers> {
    let start = || Ledgers::start(world.federation.subject());
    world.ledgers.get_or_try_init(start).await
}

async fn refusals(world: &World) -> Result<()> {
    let at = ledgers(world).await?;
    let authority = at.federation.authority();
    let mut log = Ledger::of("1003", "ss-gamma");
    log.grow(10);
    let unknown = (404, "unknown_log");
    at.refuses("gamma", "POST", "add-checkpoint", log.shows(0, 5), unknown)
        .await?;
    // A key that no member signed for, one of a server that is another's, one of nobody.
    let forged = log.binding("1003", &at.peer("omega").signer, authority)?;
    let (status, body, _) = at.ask("gamma", "PUT", "key", forged).await?;
    ensure!(
        status == 403,
        "an unbound key: {status} {}",
        String::from_utf8_lossy(&body)
    );
    let others = Ledger::of("1004", "ss-omega");
    let others = others.binding("1003", &at.peer("gamma").signer, authority)?;
    at.refuses("gamma", "PUT", "key", others, (403, "other_server"))
        .await?;
    at.refuses("gamma", "PUT", "key", "{}", (400, "malformed_binding"))
        .await?;
    let oversize = vec![b'x'; 300 << 10];
    at.refuses("gamma", "PUT", "key", oversize.clone(), (413, "too_large"))
        .await?;

    at.accepts("gamma", "PUT", "key", at.binding(&log, "gamma")?)
        .await?;
    let other_key = at.binding(&log.with_other_key(), "gamma")?;
    at.refuses("gamma", "PUT", "key", other_key, (403, "other_key"))
        .await?;
    at.accepts("gamma", "POST", "add-checkpoint", log.shows(0, 10))
        .await?;
    log.grow(5);

    // Logs of others are nobody's business: neither asked for nor shown.
    let kept = format!("kept/{}", log.id());
    at.refuses("omega", "GET", &kept, "", (404, "nothing_kept"))
        .await?;
    at.refuses(
        "omega",
        "POST",
        "add-checkpoint",
        log.shows(10, 15),
        (403, "other_server"),
    )
    .await?;
    let (status, body, _) = at.ask("gamma", "GET", &kept, "").await?;
    let told = String::from_utf8_lossy(&body).into_owned();
    ensure!(
        status == 200 && told.contains("\n10\n"),
        "the caller's own log: {status} {told}"
    );

    let other_signature = log.with_other_key().shows(10, 15);
    let (status, body, _) = at.ask("gamma", "POST", "add-checkpoint", other_signature).await?;
    ensure!(
        status == 403,
        "a checkpoint that the log did not sign: {status} {}",
        String::from_utf8_lossy(&body)
    );
    let wrong = [[7; 32]; 3];
    let (status, ..) = at
        .ask("gamma", "POST", "add-checkpoint", log.shows_with(10, &wrong, 15))
        .await?;
    ensure!(status == 422, "a proof that does not hold: {status}");
    let (status, body, _) = at.ask("gamma", "POST", "add-checkpoint", log.shows(0, 5)).await?;
    ensure!(
        status == 409 && body == b"10\n",
        "an old checkpoint: {status} {}",
        String::from_utf8_lossy(&body)
    );
    for (verb, path, body, refusal) in [
        (
            "POST",
            "add-checkpoint",
            &b"x"[..],
            (400, "malformed_witness_request"),
        ),
        ("POST", "add-checkpoint", &oversize, (413, "too_large")),
        ("GET", "exchanges", b"", (400, "no_first")),
        ("GET", "exchanges?first=-1", b"", (400, "no_first")),
        ("GET", "consistency?old=9&new=3", b"", (400, "no_sizes")),
        (
            "GET",
            "consistency?old=1&new=9223372036854775807",
            b"",
            (400, "no_sizes"),
        ),
        ("GET", "nothing", b"", (404, "unknown_path")),
        ("DELETE", "key", b"", (404, "unknown_path")),
    ] {
        at.refuses("gamma", verb, path, body, refusal).await?;
    }
    // None of it kept the log from going on.
    at.accepts("gamma", "POST", "add-checkpoint", log.shows(10, 15))
        .await
}

async fn fork(world: &World) -> Result<()> {
    let at = ledgers(world).await?;
    let mut log = Ledger::of("1006", "ss-kappa");
    log.grow(8);
    at.accepts("kappa", "PUT", "key", at.binding(&log, "kappa")?)
        .await?;
    at.accepts("kappa", "POST", "add-checkpoint", log.shows(0, 8))
        .await?;
    let watched = at.watched("kappa").await?;
    ensure!(
        watched.len() == 1
            && watched[0]["size"] == 8
            && watched[0]["seen"].is_string()
            && watched[0]["contradictions"] == json!([]),
        "before the fork: {watched:?}"
    );
    let forked = log.forked_at(4);
    at.refuses(
        "kappa",
        "POST",
        "add-checkpoint",
        forked.shows_with(8, &[], 8),
        (422, "log_forked"),
    )
    .await?;
    let watched = at.watched("kappa").await?;
    let found = &watched[0]["contradictions"][0];
    ensure!(found["kind"] == "other-root", "{watched:?}");
    // The proof is on disk, with both notes as the log signed them.
    let file = found["file"].as_str().unwrap_or_default();
    let kept: Value = serde_json::from_slice(&std::fs::read(file).with_context(|| file.to_owned())?)?;
    let has = |member: &str, note: String| {
        kept[member]
            .as_str()
            .is_some_and(|text| text.starts_with(note.trim_end()))
    };
    ensure!(
        has("known", log.checkpoint(8)) && has("shown", forked.checkpoint(8)),
        "{file} does not hold both checkpoints: {kept}"
    );
    // Loud: health, metrics, log, exit code.
    let health = at.page("/health").await?;
    ensure!(
        health.contains("\"ready\":true")
            && health.contains("\"degraded\":true")
            && health.contains("contradicts"),
        "health: {health}"
    );
    let metrics = at.page("/metrics").await?;
    let counted = metrics.lines().any(|line| {
        line.strip_prefix("kontor_witness_contradictions ")
            .is_some_and(|count| count != "0")
    });
    ensure!(counted, "metrics: {metrics}");
    ensure!(
        at.alpha()
            .log()
            .contains("a peer's log does not go on from what it showed before"),
        "the log says nothing"
    );
    let (code, _) = at.witness(&[]).await?;
    ensure!(code == Some(1), "kontor log witness ends with {code:?}");
    // Until the operator says what it was.
    let server = format!("{INSTANCE}/GOV/1006/ss-kappa");
    let settle = [
        "--settle",
        &server,
        "--ground",
        "restored by mistake, says its operator",
    ];
    at.witness(&settle).await?;
    let watched = at.watched("kappa").await?;
    ensure!(
        watched[0]["settled"]
            .as_str()
            .is_some_and(|said| said.contains("restored by mistake")),
        "{watched:?}"
    );
    let (code, said) = at.witness(&settle).await?;
    ensure!(
        code == Some(1) && said.to_string().contains("nothing is open"),
        "settled twice: {code:?} {said}"
    );
    Ok(())
}

async fn new_log(world: &World) -> Result<()> {
    let at = ledgers(world).await?;
    let mut before = Ledger::of("1005", "ss-zeta");
    before.grow(3);
    at.accepts("zeta", "PUT", "key", at.binding(&before, "zeta")?)
        .await?;
    at.accepts("zeta", "POST", "add-checkpoint", before.shows(0, 3))
        .await?;
    ensure!(
        at.page("/metrics").await?.contains("kontor_witness_new_logs 0"),
        "one log is called new"
    );
    // Which is the newer is told by the second of the bindings.
    sleep(Duration::from_millis(1100)).await;
    let after = Ledger::of("1005", "ss-zeta");
    at.accepts("zeta", "PUT", "key", at.binding(&after, "zeta")?)
        .await?;
    let watched = at.watched("zeta").await?;
    let new = watched.iter().find(|log| log["log"] == after.id().as_str());
    ensure!(
        new.is_some_and(|log| log["replaces"] == before.id().as_str()),
        "{watched:?}"
    );
    let health = at.page("/health").await?;
    ensure!(health.contains("\"degraded\":true"), "health: {health}");
    ensure!(
        at.page("/metrics").await?.contains("kontor_witness_new_logs 1"),
        "metrics"
    );
    let log = at.alpha().log();
    ensure!(log.contains("a peer has begun a new log"), "the log says nothing");
    let settle = [
        "--settle",
        "TEST/GOV/1005/ss-zeta",
        "--ground",
        "its disk was lost",
    ];
    at.witness(&settle).await?;
    ensure!(
        at.page("/metrics").await?.contains("kontor_witness_new_logs 0"),
        "a settled new log counts"
    );
    Ok(())
}

async fn quota(world: &World) -> Result<()> {
    let at = ledgers(world).await?;
    // In the name of zeta: friendly refusals first, then faults that leave no entry.
    let (mut served, mut told, mut refused) = (0, 0, None);
    let begun = Instant::now();
    for _ in 0..75 {
        let asks = (0..12).map(|_| at.asked("zeta", "GET", "key", Vec::new()));
        for answer in join_all(asks).await {
            match answer? {
                Ok((200, ..)) => served += 1,
                Ok((429, _, text)) => {
                    told += 1;
                    let seconds: Option<u64> = text.header("retry-after").and_then(|s| s.parse().ok());
                    ensure!(
                        seconds.is_some_and(|seconds| (1..=60).contains(&seconds)),
                        "Retry-After {seconds:?}"
                    );
                }
                Ok((status, ..)) => anyhow::bail!("status {status}"),
                Err(fault) => refused = Some(fault),
            }
        }
        if refused.is_some() {
            break;
        }
    }
    // One more each second.
    ensure!(
        served <= 62 + begun.elapsed().as_secs() && told > 0,
        "{served} were served and {told} told to wait"
    );
    let fault = refused.ok_or_else(|| anyhow!("900 questions in a row are all taken in"))?;
    ensure!(fault.is_one_of(&["access_denied"]), "{fault}");
    // Others are served meanwhile, and the same peer after a while.
    at.accepts("omega", "GET", "key", "").await?;
    until("a peer that waited is not served", async || {
        Ok(matches!(
            at.asked("zeta", "GET", "key", Vec::new()).await?,
            Ok((200, ..))
        ))
    })
    .await
}
