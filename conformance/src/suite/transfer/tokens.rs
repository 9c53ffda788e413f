//! Tokens of an issuer: persons who come in with one, those who do not, keys that the issuer changes, and an issuer that is away.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hyper::Method;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use super::samples::found;
use crate::address::Net;
use crate::clock;
use crate::desk::{Desk, settings};
use crate::federation::{Federation, Node};
use crate::issuer::{Algorithm, Issuer};
use crate::plan::NodePlan;
use crate::suite::{World, cases};
use crate::wire::http;

cases! {
    quick TRANSFER_TOKENS => tokens;
    quick TRANSFER_TOKENS_REFUSED => refused;
}

/// How long a node may take to look for another key of an issuer.
const PATIENCE: Duration = Duration::from_secs(20);

struct Bed {
    federation: Federation,
    issuer: Issuer,
}

impl Bed {
    async fn start(world: &World) -> Result<Self> {
        let net = Net::claim().await?;
        let issuer = Issuer::start(net.address(30, 8094), Algorithm::Es256).await?;
        let federation = Federation::builder(&net)
            .node(NodePlan::new("alpha", "1001").casework(&settings("010585890008", &issuer.settings())))
            .group("KONTOR", &[("1001", "KONTOR")])
            .start(world.federation.subject())
            .await?;
        // Keys open once everything is there; so do tokens then.
        Desk::at(federation.node("alpha")).get("/api/v1/me").await?;
        Ok(Self { federation, issuer })
    }

    fn node(&self) -> &Node {
        self.federation.node("alpha")
    }

    /// What somebody with a token is answered.
    async fn asks(&self, token: &str, path: &str) -> Result<(u16, Value)> {
        let answer = http::once(self.node().administration(), None, self.request(token, path)?).await?;
        let challenged = answer.headers.contains_key("www-authenticate");
        ensure!(
            (answer.status == 401) == challenged,
            "{} with a challenge: {challenged}",
            answer.status
        );
        Ok((answer.status.as_u16(), serde_json::from_slice(&answer.body)?))
    }

    fn request(&self, token: &str, path: &str) -> Result<http::WholeRequest> {
        let mut request = Desk::at(self.node()).request(Method::GET, path)?;
        request
            .headers_mut()
            .insert("authorization", format!("Bearer {token}").parse()?);
        Ok(request)
    }

    /// Refused with this code, a sentence and what to do.
    async fn refuses(&self, token: &str, status: u16, code: &str) -> Result<()> {
        let (is, page) = self.asks(token, "/api/v1/me").await?;
        ensure!(
            is == status && page["code"] == code && page["hint"].is_string(),
            "{is} instead of {status} {code}: {page}"
        );
        Ok(())
    }
}

async fn tokens(world: &World) -> Result<()> {
    let mut bed = Bed::start(world).await?;
    let subject = "anna.beispiel-fiktiv";
    let worker = bed
        .issuer
        .claims(subject, &["sachbearbeitung", "kantine"], &["u-42"]);
    let first = bed.issuer.token(&worker)?;
    let (status, me) = bed.asks(&first, "/api/v1/me").await?;
    ensure!(
        status == 200
            && me["holder"] == "person"
            && me["roles"] == json!(["worker"])
            && me["units"] == json!(["u-42"]),
        "{status}: {me}"
    );
    // Who it is stays sealed; whom a pseudonym stands for is told to the officer, who may come with a token as well.
    let officer = bed
        .issuer
        .token(&bed.issuer.claims("d-1", &["datenschutz"], &[]))?;
    let path = format!("/api/v1/persons/{}", me["pseudonym"].as_str().unwrap_or_default());
    let (status, person) = bed.asks(&officer, &path).await?;
    ensure!(
        status == 200 && person["issuer"] == bed.issuer.url() && person["subject"] == subject,
        "{status}: {person}"
    );
    let (status, page) = bed.asks(&first, &path).await?;
    ensure!(
        status == 403 && page["code"] == "role_missing",
        "{status}: {page}"
    );
    // Keys of the issuer are fetched once for all of that.
    ensure!(
        bed.issuer.fetched() == 1,
        "keys were fetched {} times",
        bed.issuer.fetched()
    );
    // It is not needed for whom it has given a token.
    bed.issuer.stop();
    ensure!(
        bed.asks(&first, "/api/v1/cases").await?.0 == 200,
        "a token needs its issuer"
    );
    bed.issuer.serve().await?;
    // Another key of the issuer is found, of another kind too.
    bed.issuer.rotate(Algorithm::Rs256)?;
    let second = bed.issuer.token(&worker)?;
    let begun = Instant::now();
    let again = loop {
        let (status, page) = bed.asks(&second, "/api/v1/me").await?;
        if status == 200 {
            break page;
        }
        ensure!(
            page["code"] == "token_key_unknown" && begun.elapsed() < PATIENCE,
            "{status}: {page}"
        );
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    ensure!(
        again["pseudonym"] == me["pseudonym"],
        "another pseudonym: {again}"
    );
    bed.refuses(&first, 401, "token_key_unknown").await?;
    // A feed ends with its token.
    let mut short = worker.clone();
    short["exp"] = (clock::now().secs() + 10).into();
    let request = bed.request(&bed.issuer.token(&short)?, "/api/v1/events")?;
    let feed = tokio::time::timeout(
        Duration::from_secs(25),
        http::once(bed.node().administration(), None, request),
    );
    let answer = feed
        .await
        .context("a feed goes on after the end of its token")??;
    ensure!(answer.status == 200, "a feed with a token: {}", answer.status);
    // And with an issuer that is taken out of the file, whose tokens open nothing any more.
    let request = bed.request(&second, "/api/v1/events")?;
    let at = bed.node().administration();
    let follows = tokio::spawn(async move { http::once(at, None, request).await });
    let file = std::fs::read_to_string(bed.node().config())?;
    std::fs::write(bed.node().config(), file.replace(&bed.issuer.settings(), ""))?;
    let pid = Pid::from_raw(i32::try_from(bed.node().pid())?).context("no process")?;
    kill_process(pid, Signal::HUP).context("telling the node to read its file")?;
    let begun = Instant::now();
    while bed.asks(&second, "/api/v1/me").await?.0 != 401 {
        ensure!(begun.elapsed() < PATIENCE, "an issuer that is gone lets in");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let ended = tokio::time::timeout(Duration::from_secs(5), follows).await;
    ended.context("a feed goes on without its issuer")???;
    let health = http::get(bed.node().health(), "/health").await?;
    let health = String::from_utf8_lossy(&health.body).into_owned();
    ensure!(
        !health.contains("[casework]"),
        "issuers wait for a start: {health}"
    );
    for token in [&first, &second] {
        ensure!(
            !bed.node().log().contains(token.as_str()),
            "the log tells a token"
        );
        let signature = token.rsplit('.').next().unwrap_or_default().to_owned();
        let lies = found(bed.node(), &[signature, subject.to_owned()])?;
        ensure!(lies.is_empty(), "it lies unsealed: {lies:?}");
    }
    Ok(())
}

async fn refused(world: &World) -> Result<()> {
    let mut bed = Bed::start(world).await?;
    let claims = bed.issuer.claims("anna", &["sachbearbeitung"], &["u-1"]);
    // Nobody can say what a token is worth while its issuer cannot be asked.
    bed.issuer.stop();
    let good = bed.issuer.token(&claims)?;
    bed.refuses(&good, 503, "issuer_unreachable").await?;
    bed.issuer.serve().await?;
    let begun = Instant::now();
    while bed.asks(&good, "/api/v1/me").await?.0 != 200 {
        ensure!(begun.elapsed() < PATIENCE, "an issuer that is back is not asked");
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let with = |name: &str, value: Value| {
        let mut changed = claims.clone();
        changed[name] = value;
        bed.issuer.token(&changed)
    };
    let without = |name: &str| {
        let mut changed = claims.clone();
        changed.as_object_mut().map(|claims| claims.remove(name));
        bed.issuer.token(&changed)
    };
    let now = clock::now().secs();
    let (unsigned, signature) = good.rsplit_once('.').context("a token has three pieces")?;
    let (header, _) = unsigned.split_once('.').context("a token has three pieces")?;
    let swapped = without("nbf")?;
    let other = bed
        .issuer
        .token(&bed.issuer.claims("anna", &["leitung"], &["u-1"]))?;
    let other = other.split('.').nth(1).context("a token has three pieces")?;
    ensure!(
        bed.asks(&swapped, "/api/v1/me").await?.0 == 200,
        "nbf is not needed"
    );
    for (token, status, code) in [
        (with("exp", json!(now - 1))?, 401, "token_expired"),
        (with("exp", json!("2099"))?, 401, "token_claim_missing"),
        (without("exp")?, 401, "token_claim_missing"),
        (with("nbf", json!(now + 60))?, 401, "token_not_yet"),
        (with("aud", json!("another"))?, 401, "token_audience"),
        (without("aud")?, 401, "token_claim_missing"),
        (
            with("iss", json!("http://127.0.0.1/another"))?,
            401,
            "token_issuer",
        ),
        (without("iss")?, 401, "token_issuer"),
        (without("sub")?, 401, "token_claim_missing"),
        (with("sub", json!("x".repeat(300)))?, 401, "token_claim_missing"),
        (with("cnf", json!({ "jkt": "x" }))?, 401, "token_bound"),
        (with("client_id", json!("anna"))?, 401, "token_of_program"),
        (with("groups", json!(["kantine"]))?, 403, "role_missing"),
        (without("groups")?, 403, "role_missing"),
        (with("org", json!({}))?, 403, "unit_missing"),
        (format!("{header}.{other}.{signature}"), 401, "token_signature"),
        (format!("{unsigned}."), 401, "token_signature"),
        (
            bed.issuer.token_with(&claims, |it| it["alg"] = "none".into())?,
            401,
            "token_algorithm",
        ),
        (
            bed.issuer.token_with(&claims, |it| it["alg"] = "HS256".into())?,
            401,
            "token_algorithm",
        ),
        (
            bed.issuer
                .token_with(&claims, |it| it["typ"] = "logout+jwt".into())?,
            401,
            "token_type",
        ),
        (
            bed.issuer.token_with(&claims, |it| it["crit"] = json!(["exp"]))?,
            401,
            "token_malformed",
        ),
        (
            bed.issuer
                .token_with(&claims, |it| it["kid"] = "another".into())?,
            401,
            "token_key_unknown",
        ),
        ("e30.e30.e30".into(), 401, "token_malformed"),
        ("neither-key-nor-token".into(), 401, "key_unknown"),
    ] {
        bed.refuses(&token, status, code)
            .await
            .with_context(|| format!("wanted: {code}"))?;
    }
    // A supervisor sees all units and needs none.
    let supervisor = bed.issuer.token(&bed.issuer.claims("berta", &["leitung"], &[]))?;
    let (status, me) = bed.asks(&supervisor, "/api/v1/me").await?;
    ensure!(status == 200 && me["units"] == json!([]), "{status}: {me}");
    // However many tokens name a key that nobody has, the issuer is not asked for each.
    let (before, begun) = (bed.issuer.fetched() as u64, Instant::now());
    for number in 0..50 {
        let token = bed
            .issuer
            .token_with(&claims, |it| it["kid"] = format!("guess-{number}").into())?;
        bed.refuses(&token, 401, "token_key_unknown").await?;
    }
    // Once more in five seconds.
    let asked = bed.issuer.fetched() as u64 - before;
    ensure!(
        asked <= 2 + begun.elapsed().as_secs() / 5,
        "the issuer was asked {asked} times in a moment"
    );
    Ok(())
}
