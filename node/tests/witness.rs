//! Two nodes as each other's witness: what one signs of its log the other keeps and co-signs, and a node that was set back
//! to an older state takes nothing more once a peer has seen it.

#![expect(
    clippy::unwrap_used,
    reason = "a test that cannot go on should stop where it stands"
)]

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use kontor_conformance::address::Net;
use kontor_conformance::evidence;
use kontor_conformance::federation::Federation;
use kontor_conformance::plan::{INSTANCE, NodePlan, ServicePlan};
use kontor_conformance::service::Service;
use kontor_conformance::subject::Subject;
use kontor_conformance::wire::http;
use kontor_protocol::log::{binding::Binding, leaf_hash, proof::LogProof};

const PATIENCE: Duration = Duration::from_secs(30);

async fn federation() -> (Federation, Service) {
    let net = Net::claim().await.unwrap();
    let service = Service::start(net.address(20, 8090)).await.unwrap();
    let caller = format!("{INSTANCE}/GOV/1001/portal");
    let subject = Subject::at(env!("CARGO_BIN_EXE_kontor"));
    let federation = Federation::builder(&net)
        .node(NodePlan::new("alpha", "1001").client("portal").ledger(1))
        .node(
            NodePlan::new("beta", "1002")
                .client("office")
                .service(ServicePlan::new("echo", service.address(), "/").right(&caller))
                .ledger(1),
        )
        .start(&subject)
        .await
        .unwrap();
    (federation, service)
}

async fn exchange(federation: &Federation, id: &str) -> http::Answer {
    let (alpha, beta) = (federation.node("alpha"), federation.node("beta"));
    let path = format!("/r1/{}/echo/x", beta.client_id("office"));
    let request = alpha.request("GET", &path, "portal", id);
    alpha
        .call(request.body(Full::new(Bytes::new())).unwrap())
        .await
        .unwrap()
}

/// Waits for what the nodes do in their own time.
async fn until(what: &str, federation: &Federation, mut holds: impl AsyncFnMut() -> bool) {
    let waited = tokio::time::timeout(PATIENCE, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    let logs = || {
        format!(
            "{}\n{}",
            federation.node("alpha").log_tail(),
            federation.node("beta").log_tail()
        )
    };
    assert!(waited.await.is_ok(), "{what}\n{}", logs());
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else if entry.file_type().unwrap().is_file() {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_co_sign_what_they_see_and_their_signatures_travel_with_the_evidence() {
    let (federation, _service) = federation().await;
    assert_eq!(exchange(&federation, "first").await.status, 200);
    for name in ["alpha", "beta"] {
        let cosigned = federation.node(name).dir().join("data/log/checkpoint.cosigned");
        until(&format!("{name} has no co-signature"), &federation, async || {
            cosigned.exists()
        })
        .await;
    }
    let alpha = federation.node("alpha");
    let out = tempfile::tempdir().unwrap();
    let subject = federation.subject();
    let containers = evidence::export(subject, alpha, "first", out.path())
        .await
        .unwrap();
    assert_eq!(containers.len(), 2);
    for container in &containers {
        let said = subject
            .run([
                "verify".as_ref(),
                container.as_os_str(),
                "--trust".as_ref(),
                alpha.trust().as_os_str(),
            ])
            .await
            .unwrap();
        let text = said.out;
        assert!(text.contains(": VALID"), "{text}");
        assert!(text.contains("co-signed"), "{text}");
        assert!(text.contains("TEST/GOV/1002/"), "beta co-signed: {text}");
        assert!(!text.contains("co-signed by nobody"), "{text}");
    }
    // The same as files, for tools of others.
    let said = subject
        .run([
            "log".as_ref(),
            "prove".as_ref(),
            "--config".as_ref(),
            alpha.config().as_os_str(),
            "--since".as_ref(),
            "1".as_ref(),
            "--json".as_ref(),
            "--out".as_ref(),
            out.path().as_os_str(),
            "2".as_ref(),
        ])
        .await
        .unwrap();
    assert_eq!(said.code, Some(0), "{}", said.err);
    let told: serde_json::Value = serde_json::from_str(&said.out).unwrap();
    assert_eq!(told["number"], 2);
    assert!(told["size"].as_u64().unwrap() > 2);
    assert!(!told["consistency"].as_array().unwrap().is_empty());
    let (leaf, proof) = (out.path().join("2.leaf"), out.path().join("2.proof"));
    let proof = LogProof::parse(&std::fs::read(proof).unwrap()).unwrap();
    let keys: Vec<serde_json::Value> =
        serde_json::from_slice(&std::fs::read(out.path().join("2.keys.json")).unwrap()).unwrap();
    let key = Binding::from_json(keys[0].to_string().as_bytes()).unwrap();
    let leaf = leaf_hash(&std::fs::read(leaf).unwrap());
    proof.verify(&leaf, key.statement.key(), &[]).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_was_set_back_starts_read_only_when_a_peer_has_seen_later_entries() {
    let (mut federation, service) = federation().await;
    assert_eq!(exchange(&federation, "before").await.status, 200);
    let dir = federation.node("alpha").dir().to_owned();
    let (data, older) = (dir.join("data"), dir.join("older"));
    let cosigned = data.join("log/checkpoint.cosigned");
    until("alpha has no co-signature", &federation, async || {
        cosigned.exists()
    })
    .await;
    federation.node_mut("alpha").stop().await.unwrap();
    copy(&data, &older);
    federation.restart("alpha").await.unwrap();
    for id in ["later-1", "later-2", "later-3"] {
        assert_eq!(exchange(&federation, id).await.status, 200);
    }
    // Beta has seen all of it: the newest checkpoint that it co-signed covers what came later.
    let signed_over = |path: &Path| {
        let text = std::fs::read_to_string(path).unwrap_or_default();
        text.lines()
            .nth(1)
            .and_then(|size| size.parse::<u64>().ok())
            .unwrap_or(0)
    };
    let before = signed_over(&older.join("log/checkpoint"));
    until("beta never saw the later entries", &federation, async || {
        signed_over(&cosigned) >= before + 6
    })
    .await;

    // The operator puts the whole older directory back, checkpoint and all.
    federation.node_mut("alpha").stop().await.unwrap();
    std::fs::remove_dir_all(&data).unwrap();
    std::fs::rename(&older, &data).unwrap();
    let subject = federation.subject().clone();
    federation.node_mut("alpha").begin(&subject).unwrap();
    let health = federation.node("alpha").health();
    let is_read_only = async || {
        let answer = http::get(health, "/health").await;
        answer.is_ok_and(|answer| {
            answer.status == 500 && String::from_utf8_lossy(&answer.body).contains("read-only")
        })
    };
    until(
        "alpha did not start read-only though beta has seen more",
        &federation,
        is_read_only,
    )
    .await;
    let answer = exchange(&federation, "refused").await;
    assert_eq!(answer.status, 500);
    assert!(
        answer.header("x-road-error").unwrap().contains("logging_failed"),
        "{answer:?}"
    );
    assert!(
        String::from_utf8_lossy(&answer.body).contains("read-only"),
        "{answer:?}"
    );
    // No message was taken before alpha knew.
    let calls = service.calls("refused").len();
    assert_eq!(calls, 0);
    let told = "a peer has seen another log of this node than there is";
    assert!(federation.node("alpha").log().contains(told));
    // What is there can still be exported.
    let out = tempfile::tempdir().unwrap();
    let alpha = federation.node("alpha");
    let exported = evidence::export(federation.subject(), alpha, "before", out.path())
        .await
        .unwrap();
    assert_eq!(exported.len(), 2);
}

async fn reconcile(federation: &Federation, member: &str) -> (Option<i32>, String, String) {
    let alpha = federation.node("alpha");
    let said = federation
        .subject()
        .run([
            "log".as_ref(),
            "reconcile".as_ref(),
            "--config".as_ref(),
            alpha.config().as_os_str(),
            "--member".as_ref(),
            member.as_ref(),
            "--json".as_ref(),
        ])
        .await
        .unwrap();
    (said.code, said.out, said.err)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_logs_are_compared_and_what_one_lost_is_named() {
    let (mut federation, _service) = federation().await;
    for id in ["one", "two", "three"] {
        assert_eq!(exchange(&federation, id).await.status, 200);
    }
    // The peer's key is bound a moment after its start.
    until("the logs are not compared", &federation, async || {
        reconcile(&federation, "TEST/GOV/1002").await.0 == Some(0)
    })
    .await;
    let (_, out, _) = reconcile(&federation, "TEST/GOV/1002").await;
    let report: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(report["alike"], 6, "{report}");
    assert_eq!(report["discrepancies"].as_array().unwrap().len(), 0);
    let (code, _, err) = reconcile(&federation, "TEST/GOV/9999").await;
    assert_eq!(code, Some(1));
    assert!(err.contains("no node of TEST/GOV/9999"), "{err}");

    // Beta loses its log.
    federation.node_mut("beta").stop().await.unwrap();
    std::fs::remove_dir_all(federation.node("beta").dir().join("data")).unwrap();
    federation.restart("beta").await.unwrap();
    let mut told = String::new();
    until("nobody missed what beta lost", &federation, async || {
        let (code, out, _) = reconcile(&federation, "TEST/GOV/1002").await;
        told = out;
        // What is younger than some seconds is not missed yet.
        code == Some(1) && told.matches("missing_there").count() == 6
    })
    .await;
    let report: serde_json::Value = serde_json::from_str(&told).unwrap();
    let found = report["discrepancies"].as_array().unwrap();
    let (missing, other): (Vec<_>, Vec<_>) = found.iter().partition(|found| found["code"] == "missing_there");
    assert_eq!(missing.len(), 6, "{report}");
    assert!(other.iter().all(|found| found["code"] == "new_log"), "{report}");
}
