//! Whom a node believes: authentication certificates, their OCSP, and the global configuration (wire 3.3, 3.7, 7, 8.5).

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use http_body_util::Full;
use kontor_pki::certificate::Certificate;
use kontor_pki::crypto::sha1;
use rustls::HandshakeKind;
use rustls::pki_types::ServerName;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use super::{World, cases, fresh, is_refused, is_served};
use crate::address::Net;
use crate::authority::{Faults, OcspSays, Registration, Responder, Validity};
use crate::federation::Federation;
use crate::peer::Peer;
use crate::peer::consumer::{Answered, Ask, Link, connect};
use crate::plan::{INSTANCE, NodePlan, PeerPlan, ServicePlan};
use crate::service::Service;
use crate::usage;
use crate::wire::{http, tls};

cases! {
    quick TRUST_INTERMEDIATE => intermediate;
    quick TRUST_AUTH_UNREGISTERED => auth_unregistered;
    quick TRUST_AUTH_NOT_OF_CLIENT => auth_not_of_client;
    quick TRUST_AUTH_OCSP_MISSING => auth_ocsp_missing;
    quick TRUST_AUTH_REVOKED => auth_revoked;
    quick TRUST_AUTH_OCSP_STALE => auth_ocsp_stale;
    quick TRUST_AUTH_EXPIRED => auth_expired;
    slow TRUST_OCSP_RENEWED => ocsp_renewed;
    slow TRUST_OWN_SIGNER_REVOKED => own_signer_revoked;
    slow TRUST_PEER_REVOKED => peer_revoked;
    slow TRUST_RESUMED => resumed;
    slow TRUST_REVOKED_IN_TIME => revoked_in_time;
    quick TRUST_CONFIGURATION_EXPIRED => configuration_expired;
    slow TRUST_CONFIGURATION_FORGED => configuration_forged;
    slow TRUST_REGISTRATION_REMOVED => registration_removed;
    quick OCSP_HAND_OUT => hand_out;
    quick OCSP_HAND_OUT_UNKNOWN => hand_out_unknown;
    quick OCSP_FLOODED => flooded;
    slow OCSP_UNUSABLE => ocsp_unusable;
    slow OCSP_OUTAGE => ocsp_outage;
    slow ROUTE_COMES_BACK => comes_back;
}

async fn intermediate(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let (alpha, beta) = (
        format!("{INSTANCE}/GOV/1001/antrag"),
        format!("{INSTANCE}/GOV/1002/antrag"),
    );
    let federation = Federation::builder(&net)
        .node(
            NodePlan::new("alpha", "1001")
                .below_intermediate()
                .client("antrag")
                .service(ServicePlan::new("intake", service.address(), "/").right(&beta)),
        )
        .node(
            NodePlan::new("beta", "1002")
                .client("antrag")
                .service(ServicePlan::new("intake", service.address(), "/").right(&alpha)),
        )
        .peer(PeerPlan::new("gamma", "1003", "portal"))
        .start(world.federation.subject())
        .await?;
    for (from, to) in [("alpha", "beta"), ("beta", "alpha")] {
        let path = format!("/r1/{}/intake/x", federation.node(to).client_id("antrag"));
        let from = federation.node(from);
        let request = from.request("GET", &path, "antrag", &fresh("intermediate"));
        let answer = from.call(request.body(Full::default())?).await?;
        is_served(&answer).with_context(|| format!("to {to}"))?;
    }
    let stream = connect(
        federation.node("alpha").federation(),
        Some(&federation.peer("gamma").identity),
        &[&rustls::version::TLS13],
    )
    .await?;
    let shown = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let authority = federation.authority();
    let wanted = [
        authority.registered("ss-alpha")?.der().to_vec(),
        authority.below()?.certificate().der().to_vec(),
    ];
    ensure!(
        shown
            .iter()
            .map(|der| der.as_ref())
            .eq(wanted.iter().map(Vec::as_slice)),
        "{} certificates are shown, wanted leaf and intermediate",
        shown.len()
    );
    Ok(())
}

async fn auth_unregistered(world: &World) -> Result<()> {
    let id = fresh("unregistered");
    let mut outgoing = world.signed(&world.ask("GET", "intake", "/x", &id))?;
    outgoing.identity = None;
    ensure!(
        outgoing.send(world.beta().federation()).await.is_err(),
        "a peer without certificate got an answer"
    );
    outgoing.identity = Some(world.foreign_is.clone());
    ensure!(
        outgoing.send(world.beta().federation()).await.is_err(),
        "a self-signed certificate got an answer"
    );
    // A certificate of the right CA that no server is registered with.
    let (_, identity) = world
        .federation
        .authority()
        .authentication("ss-nobody", Validity::Now)?;
    outgoing.identity = Some(identity);
    ensure!(
        outgoing.send(world.beta().federation()).await.is_err(),
        "an unregistered certificate got an answer"
    );
    world.never_called(&id)
}

async fn auth_not_of_client(world: &World) -> Result<()> {
    // Delta is registered, but not for gamma's subsystem.
    let id = fresh("not-of-client");
    let delta = world.federation.peer("delta");
    let mut outgoing = world.signed(&world.ask("GET", "intake", "/x", &id))?;
    outgoing.identity = Some(delta.identity.clone());
    *outgoing.parts.bytes_mut(crate::wire::parts::OCSP) = world
        .federation
        .authority()
        .ocsp_of(&delta.auth_certificate, OcspSays::Good)?;
    world
        .beta_refuses(&outgoing, &id, &["ssl_authentication_failed"])
        .await
        .map(drop)
}

async fn auth_ocsp_missing(world: &World) -> Result<()> {
    let id = fresh("no-ocsp");
    let mut outgoing = world.signed(&world.ask("GET", "intake", "/x", &id))?;
    outgoing.parts.remove(crate::wire::parts::OCSP);
    world
        .beta_refuses(&outgoing, &id, &["ssl_authentication_failed"])
        .await
        .map(drop)
}

async fn auth_says(world: &World, says: OcspSays) -> Result<()> {
    let id = fresh("auth-ocsp");
    let mut ask = world.ask("POST", "intake", "/x", &id).body("x");
    ask.auth_ocsp = says;
    let answered = world.signed(&ask)?.send(world.beta().federation()).await?;
    let fault = answered.fault()?;
    ensure!(fault.has("ssl_authentication_failed"), "fault {fault}");
    world.never_called(&id)
}

async fn auth_revoked(world: &World) -> Result<()> {
    auth_says(world, OcspSays::Revoked).await?;
    auth_says(world, OcspSays::Unknown).await
}

async fn auth_ocsp_stale(world: &World) -> Result<()> {
    auth_says(world, OcspSays::Stale(Duration::from_secs(24 * 3600))).await
}

async fn auth_expired(world: &World) -> Result<()> {
    // Registered by its hash before the nodes of this federation start, so that only its dates are wrong.
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let federation = small(&net, &service)
        .peer(PeerPlan::new("gamma", "1003", "portal").expired())
        .start(world.federation.subject())
        .await?;
    let peer = federation.peer("gamma");
    let id = fresh("auth-expired");
    let ask = ask_beta(&federation, peer, &id);
    let outgoing = ask.sign(peer, &peer.signer, federation.authority())?;
    match outgoing.send(federation.node("beta").federation()).await {
        Err(_) => {}
        Ok(answered) => ensure!(
            answered.fault()?.has("ssl_authentication_failed"),
            "fault {}",
            answered.fault()?
        ),
    }
    ensure!(service.calls(&id).is_empty(), "the service was called");
    Ok(())
}

/// Two nodes of their own with one service, for cases that change what everybody believes.
fn small(net: &Net, service: &Service) -> crate::federation::Builder {
    let id = |member: &str, subsystem: &str| format!("{INSTANCE}/GOV/{member}/{subsystem}");
    Federation::builder(net)
        .node(
            NodePlan::new("alpha", "1001")
                .client("antrag")
                .trust_refresh(1)
                .ocsp_refresh(1),
        )
        .node(
            NodePlan::new("beta", "1002")
                .trust_refresh(1)
                .ocsp_refresh(1)
                .client("antrag")
                .service(
                    ServicePlan::new("intake", service.address(), "/base")
                        .right(&id("1001", "antrag"))
                        .right(&id("1003", "portal")),
                ),
        )
}

fn ask_beta(federation: &Federation, peer: &Peer, id: &str) -> Ask {
    let target = format!("/r1/{}/intake/x", federation.node("beta").client_id("antrag"));
    Ask::new(peer, "GET", &target, id)
}

async fn call(federation: &Federation, id: &str) -> Result<http::Answer> {
    let alpha = federation.node("alpha");
    let path = format!("/r1/{}/intake/x", federation.node("beta").client_id("antrag"));
    alpha
        .call(alpha.request("GET", &path, "antrag", id).body(Full::default())?)
        .await
}

/// Repeats `attempt` each 100 ms until it succeeds, or gives up after `limit`.
async fn until<T>(limit: Duration, mut attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let begin = Instant::now();
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if begin.elapsed() > limit => bail!("not within {} s: {error:#}", limit.as_secs()),
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Two nodes that ask for OCSP each second and believe a response for four.
async fn short_lived(world: &World, net: &Net, service: &Service) -> Result<Federation> {
    small(net, service)
        .ocsp_freshness(4)
        .start(world.federation.subject())
        .await
}

async fn ocsp_renewed(world: &World) -> Result<()> {
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

async fn ocsp_unusable(world: &World) -> Result<()> {
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

async fn ocsp_outage(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let federation = small(&net, &service)
        .ocsp_freshness(6)
        .start(world.federation.subject())
        .await?;
    is_served(&call(&federation, &fresh("before")).await?)?;
    answers(&federation, Responder::Down);
    let down = Instant::now();
    let refused = loop {
        let id = fresh("outage");
        let answer = call(&federation, &id).await?;
        if is_served(&answer).is_err() {
            ensure!(service.calls(&id).is_empty(), "the service was called");
            break answer;
        }
        ensure!(down.elapsed() < Duration::from_secs(15), "never refused");
        sleep(Duration::from_millis(50)).await;
    };
    ensure!(
        down.elapsed() > Duration::from_secs(3),
        "refused {:?} after the responder went down",
        down.elapsed()
    );
    is_refused(&refused, &["cannot_create_signature"])?;
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

async fn comes_back(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let mut federation = small(&net, &service).start(world.federation.subject()).await?;
    is_served(&call(&federation, &fresh("before")).await?)?;
    for killed in [false, true] {
        let beta = federation.node_mut("beta");
        if killed {
            beta.kill().await?;
        } else {
            beta.stop().await?;
        }
        // The connection that was kept is among what is refused.
        for _ in 0..3 {
            let id = fresh("away");
            is_refused(&call(&federation, &id).await?, &["network_error", "io_error"])?;
            ensure!(service.calls(&id).is_empty(), "the service was called");
        }
        federation.restart("beta").await?;
        is_served(&call(&federation, &fresh("back")).await?).context("at once after it is ready")?;
    }
    Ok(())
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

async fn resumed(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let federation = small(&net, &service)
        .peer(PeerPlan::new("gamma", "1003", "portal"))
        .start(world.federation.subject())
        .await?;
    let (authority, peer) = (federation.authority(), federation.peer("gamma"));
    let beta = federation.node("beta").federation();
    let config = tls::client(Some(&peer.identity), &[&rustls::version::TLS12])?;
    let ask = async |id: &str| -> Result<(Option<HandshakeKind>, Answered)> {
        let connector = TlsConnector::from(config.clone());
        let name = ServerName::IpAddress(beta.ip().into());
        let stream = connector
            .connect(name, TcpStream::connect(beta).await?)
            .await
            .context("the handshake")?;
        let kind = stream.get_ref().1.handshake_kind();
        let outgoing = ask_beta(&federation, peer, id).sign(peer, &peer.signer, authority)?;
        Ok((kind, Link::over(stream).await?.send(&outgoing).await?))
    };
    let (first, answered) = ask(&fresh("session")).await?;
    answered.message()?;
    let (second, answered) = ask(&fresh("session")).await?;
    answered.message()?;
    ensure!(
        (first, second) == (Some(HandshakeKind::Full), Some(HandshakeKind::Resumed)),
        "handshakes were {first:?} and {second:?}"
    );
    authority.change(|directory| {
        for server in directory
            .servers
            .iter_mut()
            .filter(|server| server.code == "ss-gamma")
        {
            server.certificates.clear();
        }
    });
    until(Duration::from_secs(10), async || {
        let id = fresh("removed");
        let (kind, answered) = ask(&id).await?;
        let fault = answered.fault()?;
        ensure!(kind == Some(HandshakeKind::Resumed), "it was {kind:?}");
        ensure!(fault.has("ssl_authentication_failed"), "fault {fault}");
        ensure!(service.calls(&id).is_empty(), "the service was called");
        Ok(())
    })
    .await
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

async fn configuration_expired(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let federation = small(&net, &service)
        .configuration_lifetime(Duration::from_secs(4))
        .peer(PeerPlan::new("gamma", "1003", "portal"))
        .start(world.federation.subject())
        .await?;
    is_served(&call(&federation, &fresh("before")).await?).context("before the configuration expires")?;
    federation.authority().set_faults(Faults {
        configuration_down: true,
        ..Faults::default()
    });

    let id = fresh("expired");
    until(Duration::from_secs(15), async || {
        is_refused(
            &call(&federation, &fresh("expiring")).await?,
            &["global_conf_outdated"],
        )
    })
    .await?;
    let fault = is_refused(&call(&federation, &id).await?, &["global_conf_outdated"])?;
    ensure!(
        fault.has("clientproxy"),
        "refused by another node than the own: {fault}"
    );

    let peer = federation.peer("gamma");
    let outgoing = ask_beta(&federation, peer, &id).sign(peer, &peer.signer, federation.authority())?;
    let beta = federation.node("beta");
    let fault = outgoing.send(beta.federation()).await?.fault()?.clone();
    ensure!(
        fault.is_one_of(&["global_conf_outdated"]),
        "the provider says {fault}"
    );
    ensure!(service.calls(&id).is_empty(), "the service was called");
    let health = http::get(beta.health(), "/health").await?;
    ensure!(
        !health.status.is_success(),
        "the health check passes with an expired configuration (wire 7.9)"
    );

    federation.authority().set_faults(Faults::default());
    until(Duration::from_secs(15), async || {
        is_served(&call(&federation, &fresh("after")).await?)
    })
    .await
    .context("after the configuration is back")
}

async fn configuration_forged(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let federation = small(&net, &service).start(world.federation.subject()).await?;
    is_served(&call(&federation, &fresh("before")).await?)?;
    // The forged one would take alpha's client away.
    federation.authority().set_faults(Faults {
        configuration_forged: true,
        ..Faults::default()
    });
    federation
        .authority()
        .change(|directory| directory.servers.retain(|server| server.code != "ss-alpha"));
    sleep(Duration::from_secs(4)).await;
    is_served(&call(&federation, &fresh("forged")).await?).context("with a forged configuration on offer")
}

async fn registration_removed(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let federation = small(&net, &service).start(world.federation.subject()).await?;
    is_served(&call(&federation, &fresh("before")).await?)?;
    federation.authority().change(|directory| {
        for server in directory
            .servers
            .iter_mut()
            .filter(|server| server.code == "ss-alpha")
        {
            server.clients.clear();
        }
    });
    let id = fresh("removed");
    until(Duration::from_secs(10), async || {
        is_refused(
            &call(&federation, &fresh("removing")).await?,
            &["unknown_member", "ssl_authentication_failed"],
        )
    })
    .await?;
    is_refused(
        &call(&federation, &id).await?,
        &["unknown_member", "ssl_authentication_failed"],
    )?;
    ensure!(service.calls(&id).is_empty(), "the service was called");
    // And back again.
    federation.authority().register(Registration {
        member: "1001".into(),
        server: "ss-alpha".into(),
        address: net.host(11).to_string(),
        certificates: Vec::new(),
        clients: vec![("1001".into(), "antrag".into())],
    });
    until(Duration::from_secs(10), async || {
        is_served(&call(&federation, &fresh("back")).await?)
    })
    .await
    .context("after it was registered again")
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
