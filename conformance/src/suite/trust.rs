//! Whom a node believes: authentication certificates and the global configuration (wire 3.3, 3.7, 7). What OCSP says of them is
//! in `ocsp.rs`.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use http_body_util::Full;
use rustls::HandshakeKind;
use rustls::pki_types::ServerName;
use tokio::net::TcpStream;
use tokio::time::sleep;
use tokio_rustls::TlsConnector;

use super::{World, cases, fresh, is_refused, is_served};
use crate::address::Net;
use crate::authority::{Faults, OcspSays, Registration, Validity};
use crate::federation::Federation;
use crate::peer::Peer;
use crate::peer::consumer::{Answered, Ask, Link, connect};
use crate::plan::{INSTANCE, NodePlan, PeerPlan, ServicePlan};
use crate::service::Service;
use crate::wire::{http, tls};

cases! {
    quick TRUST_INTERMEDIATE => intermediate;
    quick TRUST_AUTH_UNREGISTERED => auth_unregistered;
    quick TRUST_AUTH_NOT_OF_CLIENT => auth_not_of_client;
    quick TRUST_AUTH_OCSP_MISSING => auth_ocsp_missing;
    quick TRUST_AUTH_REVOKED => auth_revoked;
    quick TRUST_AUTH_OCSP_STALE => auth_ocsp_stale;
    quick TRUST_AUTH_EXPIRED => auth_expired;
    slow TRUST_RESUMED => resumed;
    quick TRUST_CONFIGURATION_EXPIRED => configuration_expired;
    slow TRUST_CONFIGURATION_FORGED => configuration_forged;
    slow TRUST_REGISTRATION_REMOVED => registration_removed;
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
pub(super) fn small(net: &Net, service: &Service) -> crate::federation::Builder {
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

pub(super) fn ask_beta(federation: &Federation, peer: &Peer, id: &str) -> Ask {
    let target = format!("/r1/{}/intake/x", federation.node("beta").client_id("antrag"));
    Ask::new(peer, "GET", &target, id)
}

pub(super) async fn call(federation: &Federation, id: &str) -> Result<http::Answer> {
    let alpha = federation.node("alpha");
    let path = format!("/r1/{}/intake/x", federation.node("beta").client_id("antrag"));
    alpha
        .call(alpha.request("GET", &path, "antrag", id).body(Full::default())?)
        .await
}

/// Repeats `attempt` each 100 ms until it succeeds, or gives up after `limit`.
pub(super) async fn until<T>(limit: Duration, mut attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let begin = Instant::now();
    loop {
        match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) if begin.elapsed() > limit => bail!("not within {} s: {error:#}", limit.as_secs()),
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
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

async fn configuration_expired(world: &World) -> Result<()> {
    let net = Net::claim().await?;
    let service = Service::start(net.address(20, 8090)).await?;
    let federation = small(&net, &service)
        .configuration_lifetime(Duration::from_secs(10))
        .peer(PeerPlan::new("gamma", "1003", "portal"))
        .start(world.federation.subject())
        .await?;
    is_served(&call(&federation, &fresh("before")).await?).context("before the configuration expires")?;
    federation.authority().set_faults(Faults {
        configuration_down: true,
        ..Faults::default()
    });

    let id = fresh("expired");
    let beta = federation.node("beta");
    let peer = federation.peer("gamma");
    let ask = async |id: &str| {
        let outgoing = ask_beta(&federation, peer, id).sign(peer, &peer.signer, federation.authority())?;
        let answered = outgoing.send(beta.federation()).await?;
        answered.fault().cloned()
    };
    // Each of them has a clock of its own, and the configuration of a moment of its own.
    until(Duration::from_secs(40), async || {
        let answer = call(&federation, &fresh("expiring")).await?;
        let fault = is_refused(&answer, &["global_conf_outdated"])?;
        ensure!(
            fault.has("clientproxy"),
            "refused by another node than the own: {fault}"
        );
        ask(&fresh("expiring")).await
    })
    .await?;
    let fault = is_refused(&call(&federation, &id).await?, &["global_conf_outdated"])?;
    ensure!(
        fault.has("clientproxy"),
        "refused by another node than the own: {fault}"
    );

    let fault = ask(&id).await?;
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
