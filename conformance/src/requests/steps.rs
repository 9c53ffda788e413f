//! Steps of people that go on after a node comes back: what is looked at until it is as it is wanted, and what is done until a page
//! shows that it was.

use std::time::{Duration, Instant};

use anyhow::{Result, bail, ensure};
use hyper::{Method, StatusCode};
use serde_json::Value;
use tokio::time::sleep;

use crate::desk::{Desk, number};

/// How long one step may take, kills included.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);

/// Asks until it is answered: a node that was killed comes back.
pub(super) async fn seen(desk: &Desk, path: &str) -> Result<Value> {
    let begun = Instant::now();
    loop {
        match desk.get(path).await {
            Ok(page) => return Ok(page),
            Err(error) if begun.elapsed() > PATIENCE => return Err(error),
            Err(_) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// The same for the octets of a file.
pub(super) async fn octets(desk: &Desk, path: &str) -> Result<Vec<u8>> {
    let begun = Instant::now();
    loop {
        match desk.send(Method::GET, path, None, "", Vec::new()).await {
            Ok(answer) if answer.status == StatusCode::OK => return Ok(answer.body.to_vec()),
            other if begun.elapsed() > PATIENCE => bail!("{path} is not given: {other:?}"),
            _ => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Waits until a page is as it is wanted.
pub(super) async fn until(
    desk: &Desk,
    path: &str,
    what: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Result<Value> {
    let begun = Instant::now();
    loop {
        let page = seen(desk, path).await?;
        if wanted(&page) {
            return Ok(page);
        }
        if begun.elapsed() > PATIENCE {
            bail!(
                "{path} is not {what} in time but {}, sent {}, bundles {}",
                page["state"],
                page["sent"],
                page["bundles"]
            );
        }
        sleep(Duration::from_millis(20)).await;
    }
}

/// Has something done, whatever breaks off meanwhile: nothing once a page shows that it was. Gives the page, and how often it was
/// acknowledged.
pub(super) async fn done(
    desk: &Desk,
    subject: &str,
    (method, path): (Method, &str),
    body: &Value,
    was: impl Fn(&Value) -> bool,
) -> Result<(Value, usize)> {
    let begun = Instant::now();
    loop {
        let now = seen(desk, subject).await?;
        if was(&now) {
            return Ok((now, 0));
        }
        let sent = desk
            .send(
                method.clone(),
                path,
                Some(number(&now, "version")?),
                "application/json",
                body.to_string().into_bytes(),
            )
            .await;
        let last = match sent {
            Ok(answer) if answer.status.is_success() => {
                return Ok((serde_json::from_slice(&answer.body)?, 1));
            }
            Ok(answer) => String::from_utf8_lossy(&answer.body).into_owned(),
            Err(error) => format!("{error:#}"),
        };
        ensure!(
            begun.elapsed() < PATIENCE,
            "{path} does not come to an end: {last}"
        );
        sleep(Duration::from_millis(20)).await;
    }
}

pub(super) async fn command(
    desk: &Desk,
    subject: &str,
    name: &str,
    body: &Value,
    was: impl Fn(&Value) -> bool,
) -> Result<usize> {
    let path = format!("{subject}/commands/{name}");
    Ok(done(desk, subject, (Method::POST, &path), body, was).await?.1)
}
