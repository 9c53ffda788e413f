//! What OCSP responders say of certificates, what nodes make of it and hand out, and what happens when nobody says it (wire 3.4, 8.5).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kontor_pki::certificate::Certificate;
use kontor_pki::crypto::sha1;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpSocket;
use tokio::task::JoinSet;
use tokio::time::sleep;

use super::trust::{ask_beta, call, small, until};
use super::{World, cases, fresh, is_refused, is_served};
use crate::address::Net;
use crate::authority::{Faults, Responder};
use crate::federation::Federation;
use crate::peer::consumer::Link;
use crate::plan::PeerPlan;
use crate::service::Service;
use crate::usage;
use crate::wire::http;

cases! {
    quick OCSP_HAND_OUT => hand_out;
    quick OCSP_HAND_OUT_UNKNOWN => hand_out_unknown;
    quick OCSP_FLOODED => flooded;
    slow OCSP_UNUSABLE => unusable;
    slow OCSP_OUTAGE => outage;
    slow TRUST_OCSP_RENEWED => renewed;
    slow TRUST_OWN_SIGNER_REVOKED => own_signer_revoked;
    slow TRUST_PEER_REVOKED => peer_revoked;
    slow TRUST_REVOKED_IN_TIME => revoked_in_time;
}

/// Two nodes that ask for OCSP each second and believe a response for four.
async fn short_lived(world: &World, net: &Net, service: &Service) -> Result<Federation> {
    small(net, service)
        .ocsp_freshness(4)
        .start(world.federation.subject())
        .await
}

async fn renewed(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let federation = short_lived(world, &net, &service).await?;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(12) {
        is_served(&call(&federation, &fresh("renewed")).await?)
            .with_context(|| format!("{} ms after the start", begin.elapsed().as_millis()))?;
        sleep(Duration::from_millis(100)).await;
    }
    Ok(())
}

async fn flooded(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let mut federation = small(&net, &service).start(world.federation.subject()).await?;
    let certificate = federation.authority().registered("ss-beta")?;
    let hash: String = sha1(certificate.der())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let question = format!("GET /?cert={hash} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(20);
    let at = federation.node("beta").ocsp();
    let mut silent = Vec::new();
    let mut asking = JoinSet::new();
    for index in 0..400 {
        let socket = TcpSocket::new_v4()?;
        socket.bind((net.host(30), 0).into())?;
        // It may be hung up on.
        let Ok(mut stream) = socket.connect(at).await else {
            continue;
        };
        if index % 4 > 0 {
            silent.push(stream);
            continue;
        }
        let question = question.clone();
        asking.spawn(async move {
            // Nothing is read: the answers pile up in whatever the node gives them.
            while stream.write_all(question.as_bytes()).await.is_ok() {}
        });
    }
    // A node that starts asks there before its first exchange.
    federation.node_mut("alpha").stop().await?;
    federation.restart("alpha").await?;
    for _ in 0..20 {
        let begun = Instant::now();
        is_served(&call(&federation, &fresh("flooded")).await?)?;
        let answer = http::get(at, &format!("/?cert={hash}")).await?;
        ensure!(answer.status.is_success(), "status {}", answer.status);
        ensure!(
            begun.elapsed() < Duration::from_secs(10),
            "an exchange and a question took {:?}",
            begun.elapsed()
        );
    }
    asking.shutdown().await;
    Ok(())
}

/// What health says of a node, with its status.
async fn health(federation: &Federation, node: &str) -> Result<(u16, String)> {
    let answer = http::get(federation.node(node).health(), "/health").await?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    Ok((answer.status.as_u16(), text))
}

fn answers(federation: &Federation, ocsp: Responder) {
    federation.authority().set_faults(Faults {
        ocsp,
        ..Faults::default()
    });
}

/// Waits until the node's alarm says that responses cannot be renewed, or no longer says so.
async fn alarmed(federation: &Federation, alarm: bool) -> Result<()> {
    until(Duration::from_secs(10), async || {
        let (status, said) = health(federation, "alpha").await?;
        let rises = said.contains("it could not be renewed since") && said.contains("\"degraded\":true");
        ensure!(status == 200 && rises == alarm, "{status}: {said}");
        Ok(())
    })
    .await
}

async fn unusable(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let federation = small(&net, &service).start(world.federation.subject()).await?;
    let alpha = federation.node("alpha").pid();
    let before = usage::of(alpha)?.peak_kib;
    for how in [
        Responder::Slow,
        Responder::Huge,
        Responder::AboutAnother,
        Responder::Changed,
    ] {
        answers(&federation, how);
        alarmed(&federation, true)
            .await
            .with_context(|| format!("{how:?}: no alarm"))?;
        is_served(&call(&federation, &fresh("unusable")).await?).with_context(|| format!("{how:?}"))?;
        answers(&federation, Responder::Answers);
        alarmed(&federation, false)
            .await
            .with_context(|| format!("after {how:?}: the alarm stays"))?;
    }
    let grown = usage::of(alpha)?.peak_kib.saturating_sub(before) >> 10;
    ensure!(grown < 16, "the node grew by {grown} MiB");
    Ok(())
}

async fn outage(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let federation = small(&net, &service)
        .ocsp_freshness(6)
        .start(world.federation.subject())
        .await?;
    is_served(&call(&federation, &fresh("before")).await?)?;
    answers(&federation, Responder::Down);
    let down = Instant::now();
    while is_served(&call(&federation, &fresh("outage")).await?).is_ok() {
        ensure!(down.elapsed() < Duration::from_secs(15), "never refused");
        sleep(Duration::from_millis(50)).await;
    }
    ensure!(
        down.elapsed() > Duration::from_secs(3),
        "refused {:?} after the responder went down",
        down.elapsed()
    );
    // The first one that is refused may have been under way when the response grew too old; the next one was not.
    let id = fresh("outage");
    is_refused(&call(&federation, &id).await?, &["cannot_create_signature"])?;
    ensure!(service.calls(&id).is_empty(), "the service was called");
    let (status, said) = health(&federation, "alpha").await?;
    ensure!(
        status == 500 && said.contains("OCSP responder"),
        "{status}: {said}"
    );
    answers(&federation, Responder::Answers);
    until(Duration::from_secs(15), async || {
        is_served(&call(&federation, &fresh("after")).await?)
    })
    .await
    .context("after the responder is back")
}

async fn own_signer_revoked(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let federation = short_lived(world, &net, &service).await?;
    is_served(&call(&federation, &fresh("before")).await?)?;
    let pem = std::fs::read_to_string(federation.node("alpha").dir().join("keys/sign.pem"))?;
    federation.authority().revoke(&Certificate::parse_pem(&pem)?);
    let causes = ["cannot_create_signature"];
    until(Duration::from_secs(10), async || {
        is_refused(&call(&federation, &fresh("revoking")).await?, &causes)
    })
    .await?;
    let id = fresh("revoked");
    is_refused(&call(&federation, &id).await?, &causes)?;
    ensure!(service.calls(&id).is_empty(), "the service was called");
    Ok(())
}

async fn peer_revoked(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let federation = short_lived(world, &net, &service).await?;
    is_served(&call(&federation, &fresh("before")).await?)?;
    federation
        .authority()
        .revoke(&federation.authority().registered("ss-beta")?);
    let refused = async |id: &str| -> Result<()> {
        let answer = call(&federation, id).await?;
        let code = answer.header("x-road-error").unwrap_or_default();
        ensure!(
            code.contains("ssl_authentication_failed"),
            "status {}, error {code:?}",
            answer.status
        );
        Ok(())
    };
    until(Duration::from_secs(12), async || {
        refused(&fresh("revoking")).await
    })
    .await?;
    let id = fresh("revoked");
    refused(&id).await?;
    ensure!(service.calls(&id).is_empty(), "the service was called");
    Ok(())
}

async fn revoked_in_time(world: &World) -> Result<()> {
    const FRESHNESS: u32 = 5;
    // Responses name whole seconds.
    let limit = Duration::from_secs(u64::from(FRESHNESS) + 1);
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let federation = small(&net, &service)
        .ocsp_freshness(FRESHNESS)
        .peer(PeerPlan::new("gamma", "1003", "portal"))
        .start(world.federation.subject())
        .await?;
    let (authority, peer) = (federation.authority(), federation.peer("gamma"));
    let mut link = Link::open(
        federation.node("beta").federation(),
        Some(&peer.identity),
        &[&rustls::version::TLS13],
    )
    .await?;
    // Who hides that it was revoked goes on showing its last good responses, so the same message is sent again and again.
    let id = fresh("revoked-in-time");
    let outgoing = ask_beta(&federation, peer, &id).sign(peer, &peer.signer, authority)?;
    link.send(&outgoing).await?.message()?;
    is_served(&call(&federation, &fresh("before")).await?)?;

    authority.revoke(&peer.auth_certificate);
    authority.revoke(&peer.signer.certificate);
    authority.revoke(&authority.registered("ss-beta")?);
    let revoked = Instant::now();
    let as_consumer = async {
        loop {
            let sent = revoked.elapsed();
            let answered = link.send(&outgoing).await?;
            let Ok(fault) = answered.fault() else {
                ensure!(sent < limit, "a message sent {sent:?} after is taken");
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            ensure!(fault.has("ssl_authentication_failed"), "fault {fault}");
            let calls = service.calls(&id).len();
            ensure!(
                calls > 1,
                "refused at once: the last good response was not believed"
            );
            // The refusal came before the message was read, so it ended the connection.
            outgoing
                .send(federation.node("beta").federation())
                .await?
                .fault()?;
            ensure!(service.calls(&id).len() == calls, "the service was called");
            return anyhow::Ok(());
        }
    };
    let as_provider = async {
        loop {
            let (sent, id) = (revoked.elapsed(), fresh("to-revoked"));
            let answer = call(&federation, &id).await?;
            if is_served(&answer).is_ok() {
                ensure!(sent < limit, "a request made {sent:?} after reached its provider");
                sleep(Duration::from_millis(50)).await;
                continue;
            }
            let code = answer.header("x-road-error").unwrap_or_default();
            ensure!(code.contains("ssl_authentication_failed"), "error {code:?}");
            ensure!(service.calls(&id).is_empty(), "the service was called");
            return anyhow::Ok(());
        }
    };
    let (consumer, provider) = tokio::join!(as_consumer, as_provider);
    consumer.context("a consumer on a kept connection")?;
    provider.context("a provider")
}

async fn hand_out(world: &World) -> Result<()> {
    let authority = world.federation.authority();
    let certificate = authority.registered("ss-beta")?;
    let hash: String = sha1(certificate.der())
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    let answer = http::get(world.beta().ocsp(), &format!("/?cert={hash}")).await?;
    ensure!(answer.status.is_success(), "status {}", answer.status);
    let content_type = answer.header("content-type").unwrap_or_default().to_owned();
    ensure!(
        content_type.starts_with("multipart/related"),
        "content type {content_type}"
    );
    let response = crate::evidence::first_part(&content_type, &answer.body)?;
    crate::evidence::judge_ocsp(&response, &certificate, authority)
}

async fn hand_out_unknown(world: &World) -> Result<()> {
    for path in [
        "/?cert=0000000000000000000000000000000000000000",
        "/",
        "/?cert=zz",
    ] {
        let answer = http::get(world.beta().ocsp(), path).await?;
        ensure!(answer.status.as_u16() == 500, "{path}: status {}", answer.status);
    }
    Ok(())
}
