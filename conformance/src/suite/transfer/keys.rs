//! Who comes in: keys that are added and taken away while the node runs.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use hyper::Method;
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::sleep;

use crate::address::Net;
use crate::desk::{Desk, settings};
use crate::federation::Federation;
use crate::plan::NodePlan;
use crate::suite::{World, cases};
use crate::wire::http;

cases! {
    quick TRANSFER_KEYS => keys;
}

/// The status that a desk gets.
async fn status(desk: &Desk) -> Result<u16> {
    let answer = desk.send(Method::GET, "/api/v1/me", None, "", Vec::new()).await?;
    Ok(answer.status.as_u16())
}

async fn becomes(desk: &Desk, wanted: u16) -> Result<Duration> {
    let begun = Instant::now();
    while status(desk).await? != wanted {
        ensure!(
            begun.elapsed().as_secs() < 10,
            "a key is answered with {} and not {wanted}",
            status(desk).await?
        );
        sleep(Duration::from_millis(5)).await;
    }
    Ok(begun.elapsed())
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
