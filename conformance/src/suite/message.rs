//! Good paths of a REST message: what passes, and how (wire 2.3 to 2.6).

use anyhow::{Context, Result, anyhow, ensure};
use base64::prelude::{BASE64_STANDARD, Engine};
use bytes::Bytes;
use http_body_util::Full;
use kontor_pki::certificate::Certificate;

use super::{World, cases, fresh, is_served};
use crate::peer::consumer::Ask;
use crate::service::Call;
use crate::wire::parts;

cases! {
    quick MESSAGE_GET => get;
    quick MESSAGE_POST => post;
    quick MESSAGE_EMPTY_BODY => empty_body;
    quick MESSAGE_HEAD => head;
    slow MESSAGE_LARGE => large;
    quick MESSAGE_SERVICE_STATUS => service_status;
    quick MESSAGE_RAW_TARGET => raw_target;
    quick MESSAGE_HEADERS => headers;
    quick MESSAGE_REQUEST_ID => request_id;
    quick MESSAGE_ID_GENERATED => id_generated;
    quick MESSAGE_RESPONSE_HEADERS => response_headers;
    quick MESSAGE_BOTH_DIRECTIONS => both_directions;
    quick MESSAGE_SECOND_MEMBER => second_member;
    quick MESSAGE_REDIRECT => redirect;
    quick MESSAGE_BODY_ON_GET => body_on_get;
}

fn only_call(world: &World, id: &str) -> Result<Call> {
    let mut calls = world.service.calls(id);
    ensure!(calls.len() == 1, "the service was called {} times", calls.len());
    calls.pop().ok_or_else(|| anyhow!("counted above"))
}

async fn get(world: &World) -> Result<()> {
    let id = fresh("get");
    let answer = world
        .send("GET", &world.at_beta("intake", "/bytes/11"), &id)
        .await?;
    is_served(&answer)?;
    ensure!(
        answer.body.len() == 11,
        "{} bytes instead of 11",
        answer.body.len()
    );
    let call = only_call(world, &id)?;
    ensure!(
        call.method == "GET" && call.target == "/base/bytes/11",
        "the service saw {} {}",
        call.method,
        call.target
    );
    ensure!(
        call.body_bytes == 0,
        "a GET without body reached the service with {} bytes",
        call.body_bytes
    );
    Ok(())
}

async fn post(world: &World) -> Result<()> {
    let id = fresh("post");
    let body = Bytes::from_static("{\"antrag\":\"Gewerbeanmeldung – ä\"}".as_bytes());
    let request = world
        .alpha()
        .request("POST", &world.at_beta("intake", "/echo"), "antrag", &id)
        .header("Content-Type", "application/json")
        .body(Full::new(body.clone()))?;
    let answer = world.alpha().call(request).await?;
    is_served(&answer)?;
    ensure!(answer.body == body, "the body came back changed");
    ensure!(
        answer.header("content-type") == Some("application/json"),
        "content type {:?}",
        answer.header("content-type")
    );
    let call = only_call(world, &id)?;
    ensure!(call.body.as_ref() == Some(&body), "the service got another body");
    ensure!(
        call.headers
            .get("content-type")
            .is_some_and(|value| value == "application/json"),
        "content type was lost"
    );
    Ok(())
}

async fn empty_body(world: &World) -> Result<()> {
    let id = fresh("empty");
    let answer = world.send("POST", &world.at_beta("intake", "/echo"), &id).await?;
    is_served(&answer)?;
    ensure!(answer.body.is_empty(), "{} bytes came back", answer.body.len());
    ensure!(only_call(world, &id)?.body_bytes == 0, "the service got a body");
    Ok(())
}

async fn head(world: &World) -> Result<()> {
    let id = fresh("head");
    let answer = world
        .send("HEAD", &world.at_beta("intake", "/nothing"), &id)
        .await?;
    is_served(&answer)?;
    ensure!(answer.body.is_empty(), "HEAD was answered with a body");
    ensure!(only_call(world, &id)?.method == "HEAD", "the verb was changed");
    Ok(())
}

async fn large(world: &World) -> Result<()> {
    let id = fresh("large");
    let body = Bytes::from(vec![0x5a; 16 << 20]);
    let answer = world
        .send_with("POST", &world.at_beta("intake", "/bytes/16777216"), &id, body)
        .await?;
    is_served(&answer)?;
    ensure!(
        answer.body.len() == 16 << 20,
        "{} bytes came back",
        answer.body.len()
    );
    ensure!(
        only_call(world, &id)?.body_bytes == 16 << 20,
        "the service got another length"
    );
    Ok(())
}

async fn service_status(world: &World) -> Result<()> {
    for status in [404_u16, 500, 204] {
        let id = fresh("status");
        let answer = world
            .send("GET", &world.at_beta("intake", &format!("/status/{status}")), &id)
            .await?;
        ensure!(
            answer.status.as_u16() == status,
            "status {} instead of {status}",
            answer.status
        );
        ensure!(
            answer.header("x-road-error").is_none(),
            "an error of the service became an X-Road error"
        );
        ensure!(
            answer.header("x-road-request-hash").is_some(),
            "the answer is no X-Road response"
        );
        if status != 204 {
            ensure!(
                answer.body == format!("said {status}"),
                "the body of the service was lost"
            );
        }
    }
    Ok(())
}

async fn raw_target(world: &World) -> Result<()> {
    let id = fresh("target");
    let rest = "/a%20b/%C3%A4+c;d=1/e,f?q=%2F%26&r=x%20y";
    is_served(&world.send("GET", &world.at_beta("intake", rest), &id).await?)?;
    let call = only_call(world, &id)?;
    ensure!(
        call.target == format!("/base{rest}"),
        "the service saw {}",
        call.target
    );
    Ok(())
}

async fn headers(world: &World) -> Result<()> {
    let id = fresh("headers");
    let request = world
        .alpha()
        .request("GET", &world.at_beta("intake", "/x"), "antrag", &id)
        .header("Authorization", "Bearer abc")
        .header("Cookie", "a=b")
        .header("X-Road-UserId", "EE123")
        .header("User-Agent", "portal/1")
        .header("TE", "trailers")
        .header("X-Own", "one")
        .header("X-Own", "two")
        .body(Full::default())?;
    is_served(&world.alpha().call(request).await?)?;
    let call = only_call(world, &id)?;
    let value = |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok());
    ensure!(
        value("authorization") == Some("Bearer abc"),
        "Authorization was lost"
    );
    ensure!(value("cookie") == Some("a=b"), "Cookie was lost");
    ensure!(value("x-road-userid") == Some("EE123"), "X-Road-UserId was lost");
    ensure!(
        value("user-agent") != Some("portal/1"),
        "User-Agent was passed on"
    );
    ensure!(value("te").is_none(), "TE was passed on");
    ensure!(
        value("accept-encoding").is_none(),
        "Accept-Encoding was added (annex C)"
    );
    let own: Vec<_> = call.headers.get_all("x-own").iter().collect();
    ensure!(own == ["one", "two"], "repeated headers came as {own:?}");
    ensure!(
        value("x-road-client") == Some(&world.alpha().client_id("antrag")),
        "X-Road-Client was changed"
    );
    Ok(())
}

async fn request_id(world: &World) -> Result<()> {
    let id = fresh("request-id");
    let own = "11111111-1111-4111-8111-111111111111";
    let request = world
        .alpha()
        .request("GET", &world.at_beta("intake", "/x"), "antrag", &id)
        .header("X-Road-Request-Id", own)
        .header("X-Road-Request-Hash", "abc")
        .body(Full::default())?;
    let answer = world.alpha().call(request).await?;
    is_served(&answer)?;
    let call = only_call(world, &id)?;
    let seen: Vec<_> = call.headers.get_all("x-road-request-id").iter().collect();
    ensure!(
        seen.len() == 1 && seen[0] != own,
        "the service saw request ids {seen:?}"
    );
    ensure!(
        call.headers.get("x-road-request-hash").is_none(),
        "a request hash of the information system was passed on"
    );
    ensure!(
        answer.header("x-road-request-id") == seen[0].to_str().ok(),
        "request and answer have different request ids"
    );
    Ok(())
}

async fn id_generated(world: &World) -> Result<()> {
    let mut request = world
        .alpha()
        .request("GET", &world.at_beta("intake", "/x"), "antrag", "x")
        .body(Full::default())?;
    request.headers_mut().remove("x-road-id");
    let answer = world.alpha().call(request).await?;
    is_served(&answer)?;
    let id = answer.header("x-road-id").unwrap_or_default();
    ensure!(
        id.starts_with("TEST-") && id.len() > 30,
        "generated message id {id:?} (wire 2.3: INSTANCE-UUID)"
    );
    only_call(world, id)?;
    Ok(())
}

async fn response_headers(world: &World) -> Result<()> {
    let id = fresh("response");
    let answer = world.send("GET", &world.at_beta("intake", "/x"), &id).await?;
    is_served(&answer)?;
    ensure!(
        answer.header("x-road-id") == Some(&id),
        "x-road-id {:?}",
        answer.header("x-road-id")
    );
    ensure!(
        answer.header("x-road-client") == Some(&world.alpha().client_id("antrag")),
        "x-road-client {:?}",
        answer.header("x-road-client")
    );
    let service = format!("{}/intake", world.beta().client_id("antrag"));
    ensure!(
        answer.header("x-road-service") == Some(&service),
        "x-road-service {:?}",
        answer.header("x-road-service")
    );
    ensure!(
        answer
            .header("x-road-request-id")
            .is_some_and(|id| id.len() == 36),
        "no request id"
    );
    ensure!(
        answer
            .header("x-road-request-hash")
            .is_some_and(|hash| hash.len() == 88),
        "no SHA-512 request hash"
    );
    Ok(())
}

async fn both_directions(world: &World) -> Result<()> {
    let id = fresh("back");
    let path = format!("/r1/{}/intake/echo", world.alpha().client_id("antrag"));
    let request = world
        .beta()
        .request("POST", &path, "antrag", &id)
        .body(Full::from("zurück"))?;
    let answer = world.beta().call(request).await?;
    is_served(&answer)?;
    ensure!(answer.body == "zurück", "the body came back changed");
    ensure!(
        only_call(world, &id)?.target == "/alpha/echo",
        "another service was called"
    );
    Ok(())
}

async fn second_member(world: &World) -> Result<()> {
    let id = fresh("branch-sends");
    let path = world.at_beta("intake", "/x");
    let request = world.alpha().request("GET", &path, "zweig", &id);
    is_served(&world.alpha().call(request.body(Full::default())?).await?)?;
    only_call(world, &id)?;

    let id = fresh("branch-serves");
    let target = format!("/r1/{}/branch/x", world.alpha().client_id("zweig"));
    let peer = world.peer();
    let ask = Ask::new(peer, "GET", &target, &id);
    let outgoing = ask.sign(peer, &peer.signer, world.federation.authority())?;
    let answered = outgoing.send(world.alpha().federation()).await?;
    let (_, _, all) = answered.message()?;
    let document = all
        .find(parts::SIGNATURE)
        .context("the answer has no signature")?;
    let document = String::from_utf8(document.bytes.clone())?;
    let (_, rest) = document
        .split_once("X509Certificate>")
        .context("no certificate in the signature")?;
    let der = rest
        .split('<')
        .next()
        .unwrap_or_default()
        .replace(['\r', '\n'], "");
    let signer = Certificate::parse(&BASE64_STANDARD.decode(der)?)?;
    let subject = signer.subject().to_string();
    ensure!(subject.contains("1010"), "the answer is signed by {subject}");
    only_call(world, &id)?;
    Ok(())
}

async fn redirect(world: &World) -> Result<()> {
    let id = fresh("redirect");
    let answer = world
        .send("GET", &world.at_beta("intake", "/status/302"), &id)
        .await?;
    ensure!(answer.status.as_u16() == 302, "status {}", answer.status);
    only_call(world, &id)?;
    Ok(())
}

async fn body_on_get(world: &World) -> Result<()> {
    let id = fresh("get-body");
    is_served(
        &world
            .send_with("GET", &world.at_beta("intake", "/x"), &id, "not for the service")
            .await?,
    )?;
    ensure!(
        only_call(world, &id)?.body_bytes == 0,
        "the body of a GET was delivered"
    );
    Ok(())
}
