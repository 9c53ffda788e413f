//! What a provider tells of its services to whoever asks (wire 9.3).

use anyhow::{Context, Result, ensure};
use futures_util::future::join_all;
use http_body_util::Full;
use serde_json::{Value, json};

use super::{World, cases, fresh, is_refused, is_served};
use crate::peer::consumer::Ask;
use crate::plan::INSTANCE;
use crate::wire::parts;

cases! {
    quick METHODS_LISTED => listed;
    quick METHODS_ALLOWED => allowed;
    quick METHODS_DESCRIBED => described;
    quick METHODS_REFUSED => refused;
    slow METHODS_FLOODED => flooded;
}

/// What beta answers to a subsystem of alpha.
async fn asked(world: &World, client: &str, question: &str) -> Result<Value> {
    let id = fresh("methods");
    let request = world
        .alpha()
        .request("GET", &world.at_beta(question, ""), client, &id)
        .body(Full::default())?;
    let answer = world.alpha().call(request).await?;
    is_served(&answer)?;
    ensure!(
        answer.header("content-type") == Some("application/json"),
        "content type {:?}",
        answer.header("content-type")
    );
    ensure!(
        answer.header("x-road-request-hash").is_some(),
        "the answer is no X-Road response"
    );
    world.never_called(&id)?;
    serde_json::from_slice(&answer.body).context("the answer is no JSON")
}

fn codes(listing: &Value) -> Vec<&str> {
    let services = listing["service"].as_array().into_iter().flatten();
    let mut codes: Vec<_> = services.filter_map(|it| it["service_code"].as_str()).collect();
    codes.sort_unstable();
    codes
}

fn service<'a>(listing: &'a Value, code: &str) -> Result<&'a Value> {
    let mut services = listing["service"].as_array().into_iter().flatten();
    services
        .find(|it| it["service_code"] == code)
        .with_context(|| format!("{code} is missing"))
}

async fn listed(world: &World) -> Result<()> {
    let listing = asked(world, "antrag", "listMethods").await?;
    let all = [
        "closed", "gone", "grouped", "intake", "lent", "member", "narrow", "off", "slow",
    ];
    ensure!(codes(&listing) == all, "listed: {:?}", codes(&listing));
    let expected = json!({
        "xroad_instance": INSTANCE,
        "member_class": "GOV",
        "member_code": "1002",
        "subsystem_code": "antrag",
        "object_type": "SERVICE",
        "service_code": "narrow",
        "service_type": "REST",
        "endpoint_list": [{ "method": "GET", "path": "/akten/*" }],
    });
    ensure!(*service(&listing, "narrow")? == expected, "{listing}");
    ensure!(
        service(&listing, "intake")?["service_type"] == "OPENAPI",
        "{listing}"
    );
    // Who may use nothing hears the same; no right is needed.
    ensure!(
        asked(world, "other", "listMethods").await? == listing,
        "another client hears something else"
    );
    // The same by a foreign consumer's node, as bytes of the wire.
    let outgoing = world.signed(&world.ask("GET", "listMethods", "", &fresh("foreign")))?;
    let answered = outgoing.send(world.beta().federation()).await?;
    let (_, body, _) = answered.message()?;
    ensure!(
        serde_json::from_slice::<Value>(body.context("no body came")?)? == listing,
        "a foreign consumer hears something else"
    );
    Ok(())
}

async fn allowed(world: &World) -> Result<()> {
    let listing = asked(world, "antrag", "allowedMethods").await?;
    let mine = ["gone", "grouped", "intake", "narrow", "off", "slow"];
    ensure!(codes(&listing) == mine, "allowed: {:?}", codes(&listing));
    ensure!(
        service(&listing, "narrow")?["endpoint_list"] == json!([{ "method": "GET", "path": "/akten/*" }]),
        "more than the right is told: {listing}"
    );
    let none = asked(world, "other", "allowedMethods").await?;
    ensure!(none == json!({ "service": [] }), "{none}");
    Ok(())
}

async fn described(world: &World) -> Result<()> {
    let document = asked(world, "other", "getOpenAPI?servicecode=intake").await?;
    ensure!(document["openapi"] == "3.0.3", "{document}");
    ensure!(
        document["servers"] == json!([{ "url": "/intake/v1" }]),
        "the address within the house is told: {document}"
    );
    let listing = asked(world, "other", "listMethods").await?;
    ensure!(
        service(&listing, "closed")?["endpoint_list"] == json!([]),
        "{listing}"
    );
    let endpoints = service(&listing, "intake")?["endpoint_list"].clone();
    let expected = json!([{ "method": "GET", "path": "/akten/*" }]);
    ensure!(endpoints == expected, "{endpoints}");
    Ok(())
}

/// A member that asks without end is refused before it leaves entries; others are answered.
async fn flooded(world: &World) -> Result<()> {
    let begun = std::time::Instant::now();
    let ask = async || {
        let outgoing = world.signed(&world.ask("GET", "listMethods", "", &fresh("flood")))?;
        outgoing.send(world.beta().federation()).await
    };
    let fault = 'refused: loop {
        for answered in join_all((0..12).map(|_| ask())).await {
            if let Ok(fault) = answered?.fault() {
                break 'refused fault.clone();
            }
        }
        ensure!(
            begun.elapsed().as_secs() < 60,
            "a member asks for a minute and is always answered"
        );
    };
    ensure!(
        fault.is_one_of(&["access_denied"]) && fault.text.contains("asks too often"),
        "{fault}"
    );
    asked(world, "antrag", "listMethods").await.map(drop)
}

async fn refused(world: &World) -> Result<()> {
    for (question, causes) in [
        ("getOpenAPI", "invalid_request"),
        ("getOpenAPI?serviceCode=", "invalid_request"),
        ("getOpenAPI?serviceCode=nirgends", "internal_error"),
        ("getOpenAPI?serviceCode=narrow", "internal_error"),
    ] {
        let answer = world
            .send("GET", &world.at_beta(question, ""), &fresh("described"))
            .await?;
        let fault = is_refused(&answer, &[causes]).with_context(|| question.to_owned())?;
        ensure!(fault.has("serverproxy"), "{fault}");
    }
    // With another verb it is a service like any other, and there is none that is called so.
    let id = fresh("posted");
    let answer = world
        .send_with("POST", &world.at_beta("listMethods", ""), &id, "x")
        .await?;
    is_refused(&answer, &["unknown_service"])?;
    // A provider that is registered elsewhere is not answered for, and nobody is answered unverified.
    let path = format!("/r1/{INSTANCE}/GOV/1003/portal/listMethods");
    let ask = Ask::new(world.peer(), "GET", &path, &fresh("elsewhere"));
    let id = fresh("elsewhere");
    world
        .beta_refuses(&world.signed(&ask)?, &id, &["unknown_member"])
        .await?;
    let mut changed = world.signed(&world.ask("GET", "listMethods", "", &fresh("changed")))?;
    let text = changed.parts.bytes_mut(parts::REST_REQUEST);
    *text = String::from_utf8(text.clone())?
        .replace("listMethods", "allowedMethods")
        .into_bytes();
    world
        .beta_refuses(
            &changed,
            &id,
            &[
                "invalid_signature_value",
                "invalid_hash_chain",
                "invalid_reference",
            ],
        )
        .await?;
    Ok(())
}
