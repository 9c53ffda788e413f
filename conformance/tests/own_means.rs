//! The suite's own means are right: what it sends when it means no harm is judged good by other tools, and what it breaks on
//! purpose is judged bad. Without this, a refusal would prove nothing.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use kontor_conformance::address::Net;
use kontor_conformance::authority::{Authority, OcspSays};
use kontor_conformance::clock;
use kontor_conformance::evidence::{judge_ocsp, judge_signature, judge_xml};
use kontor_conformance::peer::provider::{Listening, Reaction, Reply};
use kontor_conformance::peer::{Cover, Peer, consumer::Ask};
use kontor_conformance::plan::PeerPlan;
use kontor_conformance::wire::http;
use kontor_conformance::wire::message::RestText;
use kontor_conformance::wire::parts;
use kontor_conformance::wire::signature::Form;
use kontor_pki::crypto::sha512;
use kontor_protocol::trust::{anchor::ConfigurationAnchor, directory};

async fn world() -> anyhow::Result<(Net, Authority, Peer, Peer)> {
    let net = Net::claim().await?;
    let authority = Authority::start(&net, "TEST", Duration::from_secs(600)).await?;
    let gamma = Peer::register(PeerPlan::new("gamma", "1003", "portal"), net.host(31), &authority)?;
    let delta = Peer::register(PeerPlan::new("delta", "1005", "portal"), net.host(32), &authority)?;
    Ok((net, authority, gamma, delta))
}

#[tokio::test]
async fn the_configuration_is_read_and_verified_by_the_product() {
    let (net, authority, ..) = world().await.unwrap();
    let anchor = ConfigurationAnchor::read(authority.anchor().as_bytes()).unwrap();
    let probe = http::get(net.address(1, 4080), "/internalconf?version=6")
        .await
        .unwrap();
    assert_eq!(probe.status.as_u16(), 404);
    let signed = http::get(net.address(1, 4080), "/internalconf?version=3")
        .await
        .unwrap();
    let directory = directory::verify(
        &signed.body,
        &anchor.sources[0].verification_certificates,
        "TEST",
        directory::Relation::Own,
        clock::now(),
    )
    .unwrap();
    for part in directory.parts() {
        let file = http::get(net.address(1, 4080), part.location()).await.unwrap();
        assert!(
            directory.accept_part(part, &file.body).is_ok(),
            "{}",
            part.identifier()
        );
    }
}

#[tokio::test]
async fn a_message_of_the_suite_is_good_in_the_eyes_of_other_tools_and_a_changed_one_is_not() {
    let (_net, authority, gamma, _) = world().await.unwrap();
    for (body, cover) in [
        (None, Cover::Usual),
        (Some("x"), Cover::Usual),
        (None, Cover::Batch),
        (Some("x"), Cover::Batch),
        (Some("x"), Cover::Deep(5)),
    ] {
        let mut ask = Ask::new(&gamma, "POST", "/r1/TEST/GOV/1005/portal/x/y", "id").cover(cover);
        if let Some(body) = body {
            ask = ask.body(body);
        }
        let outgoing = ask.sign(&gamma, &gamma.signer, &authority).unwrap();
        judge_signature(&outgoing.parts, &authority).unwrap();
        let mut changed = outgoing.parts.clone();
        changed.bytes_mut(parts::REST_REQUEST)[10] ^= 1;
        assert!(judge_signature(&changed, &authority).is_err(), "{cover:?}");
        if Command::new("xmlsec1").arg("--version").output().is_ok() {
            let mut changed = outgoing.parts.clone();
            let document = String::from_utf8(changed.bytes_mut(parts::SIGNATURE).clone()).unwrap();
            *changed.bytes_mut(parts::SIGNATURE) =
                document.replace("(version 1.2)", "(version 1.3)").into_bytes();
            assert!(judge_signature(&changed, &authority).is_err(), "{cover:?}");
        }
    }
}

#[tokio::test]
async fn a_document_in_javas_form_is_good_in_the_eyes_of_other_tools() {
    let (_net, authority, gamma, _) = world().await.unwrap();
    let ask = Ask::new(&gamma, "GET", "/r1/TEST/GOV/1005/portal/x/y", "id");
    let mut outgoing = ask.sign(&gamma, &gamma.signer, &authority).unwrap();
    let digest = sha512(&ask.text.bytes());
    let ocsp = authority
        .ocsp_of(&gamma.signer.certificate, OcspSays::Good)
        .unwrap();
    let mut draft = gamma.signer.draft(None, digest, &[ocsp]);
    draft.form = Form::Java;
    *outgoing.parts.bytes_mut(parts::SIGNATURE) = gamma.signer.sign(&draft);
    let document = String::from_utf8(outgoing.parts.bytes_mut(parts::SIGNATURE).clone()).unwrap();
    assert!(document.contains("&#13;\n"));
    judge_xml(
        document.as_bytes(),
        "/message.xml",
        &ask.text.bytes(),
        &gamma.signer.certificate,
    )
    .unwrap();
}

#[tokio::test]
async fn good_and_revoked_ocsp_responses_are_told_apart_by_openssl() {
    let (_net, authority, gamma, _) = world().await.unwrap();
    let good = authority
        .ocsp_of(&gamma.auth_certificate, OcspSays::Good)
        .unwrap();
    judge_ocsp(&good, &gamma.auth_certificate, &authority).unwrap();
    if Command::new("openssl").arg("version").output().is_ok() {
        let revoked = authority
            .ocsp_of(&gamma.auth_certificate, OcspSays::Revoked)
            .unwrap();
        assert!(judge_ocsp(&revoked, &gamma.auth_certificate, &authority).is_err());
    }
}

#[tokio::test]
async fn the_peer_as_consumer_understands_the_peer_as_provider() {
    let (_net, authority, gamma, delta) = world().await.unwrap();
    let listening = Listening::start(&delta, &authority).await.unwrap();
    let (signer, ocsp) = (
        delta.signer.clone(),
        authority
            .ocsp_of(&delta.signer.certificate, OcspSays::Good)
            .unwrap(),
    );
    listening.react(move |seen| {
        Ok(Reaction::Parts(
            Reply::to(seen, b"answer")?.sign(&signer, std::slice::from_ref(&ocsp)),
        ))
    });
    let outgoing = Ask::new(&gamma, "POST", "/r1/TEST/GOV/1005/portal/x/y?z=1", "id-1")
        .body("question")
        .sign(&gamma, &gamma.signer, &authority)
        .unwrap();
    let answered = outgoing.send(delta.address(5500)).await.unwrap();
    let (text, body, all) = answered.message().unwrap();
    assert_eq!(body, Some(&b"answer"[..]));
    assert_eq!(text.header("x-road-request-hash"), Some(outgoing.hash.as_str()));
    assert_eq!(text.header("x-road-service"), Some("TEST/GOV/1005/portal/x"));
    judge_signature(all, &authority).unwrap();
    assert_eq!(listening.seen("id-1").len(), 1);
    assert_eq!(listening.seen("id-1")[0].presented, gamma.identity.chain);
    assert_eq!(
        RestText::read(&outgoing.parts.find(parts::REST_REQUEST).unwrap().bytes)
            .unwrap()
            .header("x-road-id"),
        Some("id-1")
    );
}

#[test]
fn the_bare_pair_is_measured_without_errors() {
    let out = tempfile::tempdir().unwrap();
    let json = out.path().join("bench.json");
    let binary = Path::new(env!("CARGO_BIN_EXE_kontor-conformance"));
    let status = Command::new(binary)
        .args([
            "bench",
            "--bare",
            "--rounds",
            "1",
            "--seconds",
            "0.3",
            "--warm-up",
            "0.1",
            "--only",
            "c=",
            "--json",
        ])
        .arg(&json)
        .status()
        .unwrap();
    assert!(status.success());
    let report: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(json).unwrap()).unwrap();
    let scenarios = report["scenarios"].as_array().unwrap();
    assert_eq!(scenarios.len(), 4);
    for scenario in scenarios {
        let window = &scenario["bare"][0];
        assert!(window["load"]["exchanges"].as_u64().unwrap() > 0);
        assert_eq!(window["load"]["errors"], 0);
        assert_eq!(window["processes"].as_array().unwrap().len(), 2);
    }
}
