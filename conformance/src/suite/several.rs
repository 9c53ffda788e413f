//! Several security servers for one provider (wire 3.2): which is asked, and what becomes of the others.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::join_all;
use http_body_util::Full;
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::sleep;

use super::{World, cases, fresh, is_refused, is_served};
use crate::authority::OcspSays;
use crate::peer::provider::{Listening, Reaction, Reply};
use crate::plan::INSTANCE;
use crate::wire::http::Answer;

cases! {
    quick SEVERAL_FAIL_OVER => fail_over;
    quick SEVERAL_ONE_LEFT => one_left;
    quick SEVERAL_NAMED => named;
    quick SEVERAL_SENT_ONCE => sent_once;
}

/// The member whose subsystem stands behind three servers, of which delta never listens.
const TWIN: &str = "1007";
/// Their ports, as long as a case listens there.
static PORTS: Mutex<()> = Mutex::const_new(());

async fn one_case() -> MutexGuard<'static, ()> {
    PORTS.lock().await
}

/// Lets one of the servers answer every call in the name of the member, each on a connection of its own.
async fn listen(world: &World, name: &str) -> Result<Listening> {
    let (peer, authority) = (world.federation.peer(name), world.federation.authority());
    // One that stopped listening gives its ports back a moment later.
    let begun = Instant::now();
    let listening = loop {
        match Listening::start(peer, authority).await {
            Err(_) if begun.elapsed() < Duration::from_secs(5) => sleep(Duration::from_millis(5)).await,
            listening => break listening?,
        }
    };
    let signer = peer.guest(TWIN).clone();
    let ocsp = authority.ocsp_of(&signer.certificate, OcspSays::Good)?;
    listening.react(move |seen| {
        let reply = Reply::to(seen, b"an answer")?;
        Ok(Reaction::PartsThenClose(
            reply.sign(&signer, std::slice::from_ref(&ocsp)),
        ))
    });
    Ok(listening)
}

async fn call(world: &World, id: &str, server: Option<&str>) -> Result<Answer> {
    let path = format!("/r1/{INSTANCE}/GOV/{TWIN}/twin/auskunft/x");
    let mut request = world.alpha().request("GET", &path, "antrag", id);
    if let Some(server) = server {
        request = request.header("X-Road-Security-Server", server);
    }
    world.alpha().call(request.body(Full::default())?).await
}

async fn fail_over(world: &World) -> Result<()> {
    let _one = one_case().await;
    let (zeta, eta) = (listen(world, "zeta").await?, listen(world, "eta").await?);
    let (mut by_zeta, mut by_eta) = (0, 0);
    for _ in 0..5 {
        let ids: Vec<_> = (0..8).map(|_| fresh("several")).collect();
        for answer in join_all(ids.iter().map(|id| call(world, id, None))).await {
            is_served(&answer?)?;
        }
        by_zeta += ids.iter().map(|id| zeta.seen(id).len()).sum::<usize>();
        by_eta += ids.iter().map(|id| eta.seen(id).len()).sum::<usize>();
    }
    ensure!(by_zeta + by_eta == 40, "{by_zeta} and {by_eta} of 40 calls");
    ensure!(
        by_zeta > 0 && by_eta > 0,
        "they do not share: {by_zeta} and {by_eta}"
    );
    Ok(())
}

async fn one_left(world: &World) -> Result<()> {
    let _one = one_case().await;
    let (zeta, eta) = (listen(world, "zeta").await?, listen(world, "eta").await?);
    is_served(&call(world, &fresh("several"), None).await?)?;
    drop(eta);
    for _ in 0..10 {
        let id = fresh("several");
        is_served(&call(world, &id, None).await?)?;
        ensure!(zeta.seen(&id).len() == 1, "nobody else is there");
    }
    drop(zeta);
    let eta = listen(world, "eta").await?;
    let begun = Instant::now();
    let id = fresh("several");
    is_served(&call(world, &id, None).await?).context("one that came back is asked when no other is left")?;
    ensure!(eta.seen(&id).len() == 1, "nobody else is there");
    ensure!(
        begun.elapsed() < Duration::from_secs(5),
        "it was waited for: {:?}",
        begun.elapsed()
    );
    Ok(())
}

async fn named(world: &World) -> Result<()> {
    let _one = one_case().await;
    let (zeta, _eta) = (listen(world, "zeta").await?, listen(world, "eta").await?);
    for _ in 0..5 {
        let id = fresh("several");
        let server = format!("{INSTANCE}/GOV/1008/ss-zeta");
        is_served(&call(world, &id, Some(&server)).await?)?;
        ensure!(
            zeta.seen(&id).len() == 1,
            "another server was asked than the one that was named"
        );
    }
    let absent = format!("{INSTANCE}/GOV/1005/ss-delta");
    let answer = call(world, &fresh("several"), Some(&absent)).await?;
    is_refused(&answer, &["network_error"])?;
    let other = format!("{INSTANCE}/GOV/1003/ss-gamma");
    let answer = call(world, &fresh("several"), Some(&other)).await?;
    is_refused(&answer, &["invalid_security_server"]).map(drop)
}

async fn sent_once(world: &World) -> Result<()> {
    let _one = one_case().await;
    let (zeta, eta) = (listen(world, "zeta").await?, listen(world, "eta").await?);
    for listening in [&zeta, &eta] {
        listening.react(|_| Ok(Reaction::CloseAfter(Default::default(), 0)));
    }
    for _ in 0..4 {
        let id = fresh("several");
        is_refused(&call(world, &id, None).await?, &["io_error"])?;
        let sent = zeta.seen(&id).len() + eta.seen(&id).len();
        ensure!(sent == 1, "the request was sent {sent} times");
    }
    Ok(())
}
