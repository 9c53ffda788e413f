//! Who may call what (wire 2.10), and where a message goes (wire 3.2).

use anyhow::{Context, Result, ensure};
use http_body_util::Full;

use super::trust::{call, small};
use super::{World, cases, fresh, is_refused, is_served};
use crate::address::Net;
use crate::service::Service;

cases! {
    quick ACCESS_NO_RIGHT => no_right;
    quick ACCESS_UNKNOWN_SERVICE => unknown_service;
    quick ACCESS_DISABLED => disabled;
    quick ACCESS_NARROW => narrow;
    quick ACCESS_ENCODED => encoded;
    quick ACCESS_GROUP => group;
    quick ACCESS_MEMBER_NOT_SUBSYSTEM => member_not_subsystem;
    quick ROUTE_UNKNOWN_PROVIDER => unknown_provider;
    quick ROUTE_UNREACHABLE => unreachable;
    slow ROUTE_COMES_BACK => comes_back;
}

async fn refused(world: &World, method: &str, service: &str, rest: &str, causes: &[&str]) -> Result<String> {
    let id = fresh(service);
    let answer = world
        .send_with(
            method,
            &world.at_beta(service, rest),
            &id,
            "a body that nobody may see",
        )
        .await?;
    let fault = is_refused(&answer, causes)?;
    ensure!(
        fault.has("serverproxy"),
        "rights are judged by the provider's node: {fault}"
    );
    world.never_called(&id)?;
    Ok(fault.text)
}

async fn no_right(world: &World) -> Result<()> {
    refused(world, "POST", "closed", "/x", &["access_denied"]).await?;
    // Another subsystem of the same member has no part in the right.
    let id = fresh("other");
    let request = world
        .alpha()
        .request("GET", &world.at_beta("intake", "/x"), "other", &id)
        .body(Full::default())?;
    is_refused(&world.alpha().call(request).await?, &["access_denied"])?;
    world.never_called(&id)
}

async fn unknown_service(world: &World) -> Result<()> {
    refused(world, "POST", "nirgends", "/x", &["unknown_service"])
        .await
        .map(drop)
}

async fn disabled(world: &World) -> Result<()> {
    let text = refused(world, "POST", "off", "/x", &["service_disabled"]).await?;
    ensure!(
        text.contains("closed for the holidays"),
        "the notice is missing: {text}"
    );
    Ok(())
}

async fn narrow(world: &World) -> Result<()> {
    let id = fresh("narrow");
    is_served(
        &world
            .send("GET", &world.at_beta("narrow", "/akten/7"), &id)
            .await?,
    )?;
    ensure!(
        world.service.calls(&id).len() == 1,
        "the permitted call did not arrive"
    );
    for (method, rest) in [
        ("POST", "/akten/7"),
        ("GET", "/akten/7/anlage"),
        ("GET", "/akten"),
        ("GET", "/"),
        ("GET", ""),
    ] {
        refused(world, method, "narrow", rest, &["access_denied"]).await?;
    }
    Ok(())
}

async fn encoded(world: &World) -> Result<()> {
    for rest in [
        "/akten/7%2Fanlage",
        "/akten/..%2f..",
        "/akten/%2e%2e",
        "//x/akten/7",
        "/akten/7%3Fx",
        "/akten/7%23x",
        "/akten/../geheim",
    ] {
        // `..` and malformed paths may already be refused as such by the consumer's node.
        let id = fresh("encoded");
        let answer = world.send("GET", &world.at_beta("narrow", rest), &id).await?;
        is_refused(
            &answer,
            &[
                "access_denied",
                "internal_error",
                "invalid_request",
                "bad_request",
            ],
        )
        .map_err(|error| error.context(format!("path {rest}")))?;
        world.never_called(&id)?;
        // The same from a foreign consumer, whose node let it through.
        let id = fresh("encoded-raw");
        let outgoing = world.signed(&world.ask("GET", "narrow", rest, &id))?;
        world
            .beta_refuses(&outgoing, &id, &["access_denied", "internal_error"])
            .await
            .map_err(|error| error.context(format!("path {rest} from a foreign consumer")))?;
    }
    Ok(())
}

async fn group(world: &World) -> Result<()> {
    let id = fresh("group");
    is_served(&world.send("GET", &world.at_beta("grouped", "/x"), &id).await?)?;
    let id = fresh("not-in-group");
    let request = world
        .alpha()
        .request("GET", &world.at_beta("grouped", "/x"), "other", &id)
        .body(Full::default())?;
    is_refused(&world.alpha().call(request).await?, &["access_denied"])?;
    world.never_called(&id)
}

async fn member_not_subsystem(world: &World) -> Result<()> {
    refused(world, "GET", "member", "/x", &["access_denied"])
        .await
        .map(drop)
}

async fn unknown_provider(world: &World) -> Result<()> {
    for path in [
        "/r1/TEST/GOV/9999/antrag/intake/x",
        "/r1/TEST/GOV/1002/nirgends/intake/x",
        "/r1/ELSEWHERE/GOV/1002/antrag/intake/x",
    ] {
        let id = fresh("provider");
        let fault = is_refused(&world.send("GET", path, &id).await?, &["unknown_member"])?;
        ensure!(
            fault.has("clientproxy"),
            "refused by another node than the own: {fault}"
        );
        world.never_called(&id)?;
    }
    Ok(())
}

async fn unreachable(world: &World) -> Result<()> {
    let path = format!("/r1/{}/x/y", world.federation.peer("delta").client_id());
    let answer = world.send("GET", &path, &fresh("unreachable")).await?;
    is_refused(&answer, &["network_error", "io_error"]).map(drop)
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
