//! What a node as consumer accepts from a foreign provider (wire 3.3, 3.8 to 3.10), and what its own request looks like.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use bytes::Bytes;
use http_body_util::Full;

use super::{World, cases, fresh, is_refused, is_served};
use crate::authority::OcspSays;
use crate::peer::Cover;
use crate::peer::provider::{Reaction, Reply, Seen, fault};
use crate::wire::http::Answer;
use crate::wire::parts::{self, Parts};
use crate::wire::soap;

cases! {
    quick RESPONSE_GOOD => good;
    quick RESPONSE_CLOSE => close;
    quick RESPONSE_REQUEST_FORM => request_form;
    quick RESPONSE_FAULT => peer_fault;
    quick RESPONSE_FAULT_FOR_SIGNATURE => fault_for_signature;
    quick RESPONSE_HEAD => head;
    quick RESPONSE_BODY => body;
    quick RESPONSE_SIGNATURE => signature;
    quick RESPONSE_UNCOVERED => uncovered;
    quick RESPONSE_AFTER_SIGNATURE => after_signature;
    quick RESPONSE_WRONG_SIGNER => wrong_signer;
    quick RESPONSE_INCONSISTENT => inconsistent;
    quick RESPONSE_NO_SIGNATURE => no_signature;
    quick RESPONSE_CUT => cut;
    quick RESPONSE_STATUS => status;
    quick RESPONSE_CLOSES_EARLY => closes_early;
    slow RESPONSE_STALLS => stalls;
    quick RESPONSE_SIGNER_STALE => signer_stale;
    quick RESPONSE_PEER_REVOKED => peer_revoked;
}

const SECRET: &[u8] = b"bytes that nobody may see unless all of them are good";

/// Signs replies as gamma; made once per case because scripts outlive borrows of the world.
fn signed(world: &World) -> Result<impl Fn(&Reply) -> Parts + Clone + Send + Sync + 'static> {
    let signer = world.peer().signer.clone();
    let ocsp = world
        .federation
        .authority()
        .ocsp_of(&signer.certificate, OcspSays::Good)?;
    Ok(move |reply: &Reply| reply.sign(&signer, std::slice::from_ref(&ocsp)))
}

async fn call(world: &World, id: &str) -> Result<Answer> {
    let path = format!("/r1/{}/auskunft/x?y=1", world.peer().client_id());
    let request = world
        .alpha()
        .request("POST", &path, "antrag", id)
        .body(Full::from(Bytes::from_static(b"frage")))?;
    world.alpha().call(request).await
}

/// Lets gamma react with `script` to one call and asserts that the information system gets only a fault.
async fn refused(
    world: &World,
    causes: &[&str],
    script: impl Fn(&Seen) -> Result<Reaction> + Send + Sync + 'static,
) -> Result<()> {
    let id = fresh("response");
    world.gamma.react(script);
    let answer = call(world, &id).await?;
    ensure!(
        !answer
            .body
            .windows(16)
            .any(|window| SECRET.windows(16).any(|s| s == window)),
        "bytes of a bad response were handed out"
    );
    let fault = is_refused(&answer, causes)?;
    ensure!(fault.has("clientproxy"), "not prefixed clientproxy: {fault}");
    ensure!(
        world.gamma.seen(&id).len() == 1,
        "the peer got {} requests",
        world.gamma.seen(&id).len()
    );
    Ok(())
}

async fn good(world: &World) -> Result<()> {
    let sign = signed(world)?;
    for cover in [Cover::Usual, Cover::Batch] {
        let sign = sign.clone();
        world.gamma.react(move |seen| {
            let mut reply = Reply::to(seen, SECRET)?;
            reply.cover = cover;
            Ok(Reaction::Parts(sign(&reply)))
        });
        let answer = call(world, &fresh("good")).await?;
        is_served(&answer)?;
        ensure!(answer.body == SECRET, "the body came changed");
        ensure!(
            answer.header("content-type") == Some("text/plain"),
            "headers were lost"
        );
    }
    // Without a body part, and with an empty one (trap 14).
    for body in [None, Some(Vec::new())] {
        let sign = sign.clone();
        world.gamma.react(move |seen| {
            let mut reply = Reply::to(seen, b"")?;
            reply.body.clone_from(&body);
            Ok(Reaction::Parts(sign(&reply)))
        });
        let answer = call(world, &fresh("bodiless")).await?;
        is_served(&answer)?;
        ensure!(answer.body.is_empty(), "a body came from nowhere");
    }
    Ok(())
}

async fn close(world: &World) -> Result<()> {
    let sign = signed(world)?;
    world
        .gamma
        .react(move |seen| Ok(Reaction::PartsThenClose(sign(&Reply::to(seen, SECRET)?))));
    for turn in 0..3 {
        is_served(&call(world, &fresh("close")).await?).with_context(|| format!("call {turn}"))?;
    }
    Ok(())
}

async fn request_form(world: &World) -> Result<()> {
    let id = fresh("form");
    let sign = signed(world)?;
    world
        .gamma
        .react(move |seen| Ok(Reaction::Parts(sign(&Reply::to(seen, SECRET)?))));
    is_served(&call(world, &id).await?)?;
    let seen = world
        .gamma
        .seen(&id)
        .pop()
        .ok_or_else(|| anyhow!("the peer got no request"))?;
    let header = |name: &str| {
        seen.headers
            .get(name)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
    };
    ensure!(seen.method == "POST", "method {}", seen.method);
    ensure!(
        header("content-type").starts_with("multipart/mixed; charset=UTF-8; boundary=xtop"),
        "content type {}",
        header("content-type")
    );
    ensure!(
        header("x-hash-algorithm") == "SHA-512",
        "x-hash-algorithm {}",
        header("x-hash-algorithm")
    );
    ensure!(
        header("x-road-message-type") == "REST",
        "x-road-message-type {}",
        header("x-road-message-type")
    );
    ensure!(
        header("x-proxy-version").split('.').count() == 3,
        "x-proxy-version {}",
        header("x-proxy-version")
    );
    ensure!(
        seen.text.header("x-road-request-id") == Some(header("x-road-request-id")),
        "request id of HTTP and message differ"
    );
    let types: Vec<_> = seen
        .parts
        .0
        .iter()
        .map(|part| part.content_type.as_str())
        .collect();
    let expected = [
        parts::OCSP,
        parts::REST_REQUEST,
        parts::REST_BODY,
        parts::CHAIN_RESULT,
        parts::CHAIN,
        parts::SIGNATURE,
    ];
    ensure!(types == expected, "parts {types:?}, expected {expected:?}");
    ensure!(
        seen.text
            .headers
            .iter()
            .any(|(name, _)| name == "x-road-request-id"),
        "x-road-request-id is not lower case (wire 2.4 rule 4)"
    );
    ensure!(seen.body() == Some(b"frage"), "another body");
    ensure!(
        seen.presented.len() == 1,
        "{} certificates presented, the root is not among them (trap 2)",
        seen.presented.len()
    );
    let certificate = kontor_pki::certificate::Certificate::parse(&seen.presented[0])?;
    crate::evidence::judge_ocsp(&seen.parts.0[0].bytes, &certificate, world.federation.authority())?;
    crate::evidence::judge_signature(&seen.parts, world.federation.authority())
}

async fn peer_fault(world: &World) -> Result<()> {
    for code in [
        "server.serverproxy.access_denied",
        "Server.ServerProxy.AccessDenied",
    ] {
        world.gamma.react(move |_| {
            Ok(fault(
                code,
                "kein Recht <&>"
                    .replace('&', "&amp;")
                    .replace('<', "&lt;")
                    .as_str(),
            ))
        });
        let answer = call(world, &fresh("fault")).await?;
        let fault = is_refused(&answer, &["access_denied"])?;
        ensure!(fault.code == code, "the code was changed to {}", fault.code);
        ensure!(
            fault.text.contains("kein Recht <&>"),
            "the text was changed to {}",
            fault.text
        );
    }
    Ok(())
}

async fn fault_for_signature(world: &World) -> Result<()> {
    let id = fresh("late-fault");
    let sign = signed(world)?;
    world.gamma.react(move |seen| {
        let mut all = sign(&Reply::to(seen, SECRET)?);
        for part in [parts::SIGNATURE, parts::CHAIN, parts::CHAIN_RESULT] {
            all.remove(part);
        }
        all.push(
            parts::FAULT,
            soap::write("server.serverproxy.service_failed.io_error", "broke off"),
        );
        Ok(Reaction::Parts(all))
    });
    let answer = call(world, &id).await?;
    let fault = is_refused(&answer, &["io_error"])?;
    ensure!(
        fault.code == "server.serverproxy.service_failed.io_error",
        "the code was changed to {}",
        fault.code
    );
    ensure!(
        !answer.body.windows(16).any(|window| window == &SECRET[..16]),
        "bytes of the body were handed out"
    );
    Ok(())
}

/// Lets gamma sign a correct reply and `change` its parts.
async fn changed(
    world: &World,
    causes: &[&str],
    change: impl Fn(&mut Parts) + Send + Sync + 'static,
) -> Result<()> {
    let sign = signed(world)?;
    refused(world, causes, move |seen| {
        let mut all = sign(&Reply::to(seen, SECRET)?);
        change(&mut all);
        Ok(Reaction::Parts(all))
    })
    .await
}

const BROKEN: [&str; 4] = [
    "invalid_signature_value",
    "invalid_hash_chain",
    "invalid_hash_chain_ref",
    "invalid_reference",
];

async fn head(world: &World) -> Result<()> {
    changed(world, &BROKEN, |all| {
        all.bytes_mut(parts::REST_RESPONSE)[2] = b'1'
    })
    .await
}

async fn body(world: &World) -> Result<()> {
    for at in [0, SECRET.len() / 2, SECRET.len() - 1] {
        changed(world, &BROKEN, move |all| {
            all.bytes_mut(parts::REST_BODY)[at] ^= 1
        })
        .await?;
    }
    Ok(())
}

async fn signature(world: &World) -> Result<()> {
    changed(
        world,
        &["invalid_signature_value", "malformed_signature"],
        |all| {
            let document = all.bytes_mut(parts::SIGNATURE);
            let marker = b"signature-value\">";
            let at = document
                .windows(marker.len())
                .position(|window| window == marker)
                .expect("the suite wrote it")
                + 40;
            document[at] = if document[at] == b'A' { b'B' } else { b'A' };
        },
    )
    .await
}

async fn uncovered(world: &World) -> Result<()> {
    let sign = signed(world)?;
    for cover in [Cover::MessageOnly, Cover::ChainOverMessageOnly] {
        let sign = sign.clone();
        let causes = [
            "hashchain_unused_inputs",
            "malformed_signature",
            "invalid_reference",
            "invalid_signature_value",
        ];
        refused(world, &causes, move |seen| {
            let mut reply = Reply::to(seen, SECRET)?;
            reply.cover = cover;
            Ok(Reaction::Parts(sign(&reply)))
        })
        .await?;
    }
    Ok(())
}

async fn after_signature(world: &World) -> Result<()> {
    changed(world, &["invalid_message"], |all| {
        all.push(parts::REST_BODY, SECRET.to_vec())
    })
    .await
}

async fn wrong_signer(world: &World) -> Result<()> {
    let guest = world.peer().guest("1004").clone();
    let ocsp = world
        .federation
        .authority()
        .ocsp_of(&guest.certificate, OcspSays::Good)?;
    refused(world, &["incorrect_certificate"], move |seen| {
        Ok(Reaction::Parts(
            Reply::to(seen, SECRET)?.sign(&guest, std::slice::from_ref(&ocsp)),
        ))
    })
    .await
}

async fn inconsistent(world: &World) -> Result<()> {
    let sign = signed(world)?;
    let others = [
        ("x-road-id", "another"),
        ("x-road-client", "TEST/GOV/1002/antrag"),
        ("x-road-service", "TEST/GOV/1003/portal/other"),
        ("x-road-request-id", "3fe2d0f4-0f4f-4d5c-8b42-7f1f3e5d0001"),
        (
            "x-road-request-hash",
            "iPDhRkS0xv5+lBJ1DdrGOWNn/ExQItkgIqtlYFXUAjI+CIlT90sqNzWqEmsUxpxve7D9xeS00e7AwI+AmXkCYQ==",
        ),
    ];
    for (name, other) in others {
        let sign = sign.clone();
        refused(world, &["inconsistent_response"], move |seen| {
            Ok(Reaction::Parts(sign(
                &Reply::to(seen, SECRET)?.header(name, other),
            )))
        })
        .await
        .with_context(|| format!("with another {name}"))?;
    }
    Ok(())
}

async fn no_signature(world: &World) -> Result<()> {
    changed(world, &["missing_signature", "invalid_content_type"], |all| {
        all.remove(parts::SIGNATURE)
    })
    .await
}

async fn cut(world: &World) -> Result<()> {
    let sign = signed(world)?;
    let causes = [
        "mime_parsing_failed",
        "io_error",
        "invalid_message",
        "missing_signature",
    ];
    refused(world, &causes, move |seen| {
        Ok(Reaction::Cut(sign(&Reply::to(seen, SECRET)?)))
    })
    .await
}

async fn status(world: &World) -> Result<()> {
    for status in [302, 404, 503] {
        refused(world, &["http_error"], move |_| {
            Ok(Reaction::Raw {
                status,
                content_type: "text/html".into(),
                bytes: SECRET.to_vec(),
            })
        })
        .await
        .with_context(|| format!("status {status}"))?;
    }
    refused(world, &["invalid_content_type"], |_| {
        Ok(Reaction::Raw {
            status: 200,
            content_type: "text/html".into(),
            bytes: SECRET.to_vec(),
        })
    })
    .await
    .context("status 200 with text/html")
}

async fn closes_early(world: &World) -> Result<()> {
    let sign = signed(world)?;
    for bytes in [0, 10, 400, 1500] {
        let sign = sign.clone();
        let causes = ["io_error", "network_error", "mime_parsing_failed"];
        refused(world, &causes, move |seen| {
            Ok(Reaction::CloseAfter(sign(&Reply::to(seen, SECRET)?), bytes))
        })
        .await
        .with_context(|| format!("after {bytes} bytes"))?;
    }
    Ok(())
}

async fn stalls(world: &World) -> Result<()> {
    let sign = signed(world)?;
    let causes = [
        "io_error",
        "network_error",
        "internal_error",
        "mime_parsing_failed",
    ];
    let trickling = sign.clone();
    refused(world, &causes, move |seen| {
        Ok(Reaction::StallAfter(sign(&Reply::to(seen, SECRET)?), 1500))
    })
    .await
    .context("stalling")?;
    refused(world, &causes, move |seen| {
        Ok(Reaction::Trickle(
            trickling(&Reply::to(seen, SECRET)?),
            Duration::from_millis(100),
        ))
    })
    .await
    .context("trickling")
}

async fn signer_stale(world: &World) -> Result<()> {
    let signer = world.peer().signer.clone();
    let says = [
        (
            OcspSays::Stale(Duration::from_secs(24 * 3600)),
            "incorrect_validation_info",
        ),
        (
            OcspSays::Future(Duration::from_secs(3600)),
            "incorrect_validation_info",
        ),
        (OcspSays::Revoked, "cert_validation"),
    ];
    for (says, cause) in says {
        let ocsp = world.federation.authority().ocsp_of(&signer.certificate, says)?;
        let signer = signer.clone();
        refused(world, &[cause], move |seen| {
            Ok(Reaction::Parts(
                Reply::to(seen, SECRET)?.sign(&signer, std::slice::from_ref(&ocsp)),
            ))
        })
        .await
        .with_context(|| format!("{says:?}"))?;
    }
    Ok(())
}

async fn peer_revoked(world: &World) -> Result<()> {
    // A peer that the node has not talked to yet, so that it must ask port 5577 now.
    let authority = world.federation.authority();
    let epsilon = world.federation.peer("epsilon");
    let listening = crate::peer::provider::Listening::start(epsilon, authority).await?;
    for says in [OcspSays::Revoked, OcspSays::Stale(Duration::from_secs(24 * 3600))] {
        listening.hand_out(authority.ocsp_of(&epsilon.auth_certificate, says)?);
        let id = fresh("revoked-peer");
        let path = format!("/r1/{}/auskunft/x", epsilon.client_id());
        let answer = world.send("GET", &path, &id).await?;
        let code = answer.header("x-road-error").unwrap_or_default().to_owned();
        let said = String::from_utf8_lossy(&answer.body).into_owned();
        ensure!(
            code.contains("ssl_authentication_failed"),
            "{says:?}: error {code:?}: {said}"
        );
        ensure!(
            listening.seen(&id).is_empty(),
            "{says:?}: the peer got the request"
        );
    }
    Ok(())
}
