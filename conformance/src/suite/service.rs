//! Services that fail: the consumer's information system gets a fault and nothing else (wire 3.7 step 11, 3.9).

use anyhow::{Context, Result, ensure};

use super::{World, cases, fresh, is_refused};

cases! {
    quick SERVICE_UNREACHABLE => unreachable;
    quick SERVICE_SLOW => slow;
    quick SERVICE_CLOSES => closes;
    quick SERVICE_HALF => half;
}

async fn failed(world: &World, service: &str, rest: &str, causes: &[&str]) -> Result<()> {
    let answer = world
        .send("GET", &world.at_beta(service, rest), &fresh("failed"))
        .await?;
    let fault = is_refused(&answer, causes)?;
    ensure!(
        fault.has("service_failed"),
        "not prefixed service_failed: {fault}"
    );
    ensure!(
        fault.has("serverproxy"),
        "not a fault of the provider's node: {fault}"
    );
    Ok(())
}

async fn unreachable(world: &World) -> Result<()> {
    failed(
        world,
        "gone",
        "/x",
        &["network_error", "io_error", "service_failed"],
    )
    .await
}

async fn slow(world: &World) -> Result<()> {
    failed(
        world,
        "slow",
        "/slow/5000",
        &["internal_error", "io_error", "network_error", "service_failed"],
    )
    .await
}

async fn closes(world: &World) -> Result<()> {
    failed(
        world,
        "intake",
        "/close",
        &["io_error", "network_error", "service_failed"],
    )
    .await
}

async fn half(world: &World) -> Result<()> {
    failed(
        world,
        "intake",
        "/half",
        &["io_error", "network_error", "service_failed"],
    )
    .await?;
    let answer = world
        .send("GET", &world.at_beta("intake", "/half"), &fresh("half"))
        .await?;
    let said = String::from_utf8_lossy(&answer.body).into_owned();
    ensure!(
        !said.contains("only these"),
        "part of a broken answer reached the information system"
    );
    is_refused(&answer, &["io_error", "network_error", "service_failed"])
        .context("the second time")
        .map(drop)
}
