//! Who comes in: keys that are added and taken away while the node runs, and whom a pseudonym stands for.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hyper::Method;
use hyper::header::HeaderValue;
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::sleep;

use super::samples::found;
use crate::address::Net;
use crate::desk::{Desk, settings};
use crate::federation::{Federation, Node};
use crate::plan::NodePlan;
use crate::suite::{World, cases};
use crate::wire::http;

cases! {
    quick TRANSFER_KEYS => keys;
    quick TRANSFER_PERSONS => persons;
}

/// The status that a desk gets.
async fn status(desk: &Desk) -> Result<u16> {
    let answer = desk.send(Method::GET, "/api/v1/me", None, "", Vec::new()).await?;
    Ok(answer.status.as_u16())
}

/// Waits for a status; gives until when it was asked for and another one was given.
async fn becomes(desk: &Desk, wanted: u16) -> Result<Duration> {
    let (begun, mut other) = (Instant::now(), Duration::ZERO);
    loop {
        let asked = begun.elapsed();
        let status = status(desk).await?;
        if status == wanted {
            return Ok(other);
        }
        ensure!(
            asked.as_secs() < 10,
            "a key is answered with {status} and not {wanted}"
        );
        other = asked;
        sleep(Duration::from_millis(5)).await;
    }
}

async fn keys(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let federation = Federation::builder(&net)
        .node(NodePlan::new("alpha", "1001").casework(&settings("010585890008", "")))
        .group("KONTOR", &[("1001", "KONTOR")])
        .start(world.federation.subject())
        .await?;
    let node = federation.node("alpha");
    let (worker, officer) = (Desk::at(node), Desk::at(node).of("officer"));
    ensure!(
        status(&officer).await? == 200 && status(&worker).await? == 200,
        "a key does not open"
    );
    // What follows events with the key ends with it.
    let follows = {
        let (at, request) = (
            node.administration(),
            officer.request(Method::GET, "/api/v1/events")?,
        );
        tokio::spawn(async move { http::once(at, None, request).await })
    };
    let original = std::fs::read_to_string(node.config())?;
    let change = |text: &str| -> Result<()> {
        std::fs::write(node.config(), text)?;
        let pid = Pid::from_raw(i32::try_from(node.pid())?).context("no process")?;
        kill_process(pid, Signal::HUP).context("telling the node to read its file")
    };
    let begins = original
        .find("[[casework.key]]\nname = \"officer\"")
        .context("the key stands in the file")?;
    let ends = original[begins + 1..]
        .find("\n[[")
        .or_else(|| original[begins + 1..].find("\n["))
        .map_or(original.len(), |at| begins + 2 + at);
    let without = format!("{}{}", &original[..begins], &original[ends..]);
    change(&without)?;
    let gone = becomes(&officer, 401).await?;
    ensure!(
        gone < Duration::from_secs(1),
        "a key that was taken away opened for {gone:?}"
    );
    ensure!(status(&worker).await? == 200, "another key is gone too");
    let ended = tokio::time::timeout(Duration::from_secs(5), follows).await;
    ended
        .context("a feed goes on with a key that was taken away")??
        .context("the feed broke off")?;
    change(&original)?;
    becomes(&officer, 200).await?;
    let health = http::get(node.health(), "/health").await?;
    let health = String::from_utf8_lossy(&health.body).into_owned();
    ensure!(!health.contains("[casework]"), "keys wait for a start: {health}");
    Ok(())
}

/// Who a desk is, by its own words; a system says on whose behalf it acts.
async fn me(node: &Node, desk: &Desk, on_behalf_of: Option<&str>) -> Result<(u16, Value)> {
    let mut request = desk.request(Method::GET, "/api/v1/me")?;
    if let Some(subject) = on_behalf_of {
        request
            .headers_mut()
            .insert("on-behalf-of", HeaderValue::from_bytes(subject.as_bytes())?);
    }
    let answer = http::once(node.administration(), None, request).await?;
    Ok((answer.status.as_u16(), serde_json::from_slice(&answer.body)?))
}

async fn persons(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let federation = Federation::builder(&net)
        .node(NodePlan::new("alpha", "1001").casework(&settings("010585890008", "")))
        .group("KONTOR", &[("1001", "KONTOR")])
        .start(world.federation.subject())
        .await?;
    let node = federation.node("alpha");
    let (worker, system) = (Desk::at(node), Desk::at(node).of("form service"));
    let officer = worker.of("officer");
    let subject = "anna.beispiel@fiktiv.example";
    let (_, own) = me(node, &worker, None).await?;
    let (_, asserted) = me(node, &system, Some(subject)).await?;
    let (_, again) = me(node, &system, Some(subject)).await?;
    ensure!(
        asserted["on_behalf_of"] == again["on_behalf_of"] && asserted["on_behalf_of"].is_string(),
        "one person has two pseudonyms: {asserted} {again}"
    );
    // What a person asserts about somebody else is nothing.
    let (_, person) = me(node, &worker, Some(subject)).await?;
    ensure!(person["on_behalf_of"].is_null(), "{person}");
    for (pseudonym, issuer, named) in [
        (&own["pseudonym"], "key", "worker"),
        (&asserted["pseudonym"], "key", "form service"),
        (&asserted["on_behalf_of"], "form service", subject),
    ] {
        let path = format!("/api/v1/persons/{}", pseudonym.as_str().unwrap_or_default());
        let page = officer.get(&path).await?;
        ensure!(
            page["issuer"] == issuer && page["subject"] == named && page["pseudonym"] == *pseudonym,
            "{page} instead of {issuer}, {named}"
        );
        let answer = worker.send(Method::GET, &path, None, "", Vec::new()).await?;
        ensure!(
            answer.status.as_u16() == 403,
            "a worker is told: {}",
            answer.status
        );
    }
    let unknown = officer
        .send(
            Method::GET,
            "/api/v1/persons/p-0123456789abcdef",
            None,
            "",
            Vec::new(),
        )
        .await?;
    ensure!(unknown.status.as_u16() == 404, "{}", unknown.status);
    let (status, page) = me(node, &system, Some(&"x".repeat(300))).await?;
    ensure!(status == 400 && page["code"] == "malformed", "{status}: {page}");
    let told = found(node, &[subject.to_owned(), "anna.beispiel".to_owned()])?;
    ensure!(told.is_empty(), "it lies unsealed: {told:?}");
    Ok(())
}
