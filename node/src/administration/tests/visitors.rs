//! Who comes in, and who does not.

use http::Method;

use super::bed::{Bed, DAY};
use crate::messagelog::{AuditScope, Restriction};

#[tokio::test]
async fn nobody_comes_in_without_a_token_of_this_node() {
    let bed = Bed::new().await;
    let entries = bed.log.stats().entries;
    for path in [
        "/checkpoint",
        "/tile/0/000.p/1",
        "/tile/entries/000.p/1",
        "/keys",
        "/consistency?old=1",
    ] {
        let answer = bed.ask(Method::GET, path, &[], "").await;
        assert_eq!(answer.refusal(), (401, "token_missing".into()), "{path}");
        assert!(answer.header("www-authenticate").unwrap().starts_with("Bearer"));
        for wrong in ["Bearer x", "Basic eDp5", "kontor_audit_x", "Bearer"] {
            let answer = bed.ask(Method::GET, path, &[("authorization", wrong)], "").await;
            assert!([401, 429].contains(&answer.status.as_u16()), "{path} {wrong}");
        }
    }
    assert_eq!(bed.log.stats().entries, entries, "a refusal is no look");
    bed.end().await;
}

#[tokio::test]
async fn a_token_that_ended_or_was_revoked_opens_nothing() {
    let bed = Bed::new().await;
    bed.log.sign_checkpoint().await.unwrap();
    let (id, token) = bed.token_for(AuditScope::Tree, Restriction::default()).await;
    let other = bed.token(AuditScope::Tree).await;
    bed.log.sign_checkpoint().await.unwrap();
    assert_eq!(bed.get("/checkpoint", &token).await.status, 200);
    bed.log.revoke(&id, "closed", "uid:0").await.unwrap();
    assert_eq!(
        bed.get("/checkpoint", &token).await.refusal(),
        (401, "token_revoked".into())
    );
    bed.clock.advance(DAY);
    assert_eq!(
        bed.get("/checkpoint", &other).await.refusal(),
        (401, "token_expired".into())
    );
    bed.end().await;
}

#[tokio::test]
async fn a_token_reaches_as_far_as_it_was_granted_and_no_further() {
    let bed = Bed::new().await;
    bed.log.append(bed.world.request("q-1")).await.unwrap();
    let tree = bed.token(AuditScope::Tree).await;
    let entries = bed.token(AuditScope::Entries).await;
    let only = Restriction {
        numbers: Some("0".parse().unwrap()),
        ..Restriction::default()
    };
    let (_, single) = bed.token_for(AuditScope::Entries, only).await;
    bed.log.sign_checkpoint().await.unwrap();
    let bundle = "/tile/entries/000.p/4";
    assert_eq!(bed.get("/tile/0/000.p/4", &tree).await.status, 200);
    assert_eq!(
        bed.get(bundle, &tree).await.refusal(),
        (403, "token_scope".into())
    );
    assert_eq!(bed.get(bundle, &entries).await.status, 200);
    assert_eq!(
        bed.get(bundle, &single).await.refusal(),
        (403, "token_restricted".into())
    );
    bed.end().await;
}

#[tokio::test]
async fn a_flood_of_guesses_is_turned_away_and_holds_up_nobody_who_is_let_in() {
    let bed = Bed::new().await;
    let token = bed.token(AuditScope::Tree).await;
    bed.log.sign_checkpoint().await.unwrap();
    for guess in 0..10 {
        let answer = bed
            .get("/checkpoint", &format!("kontor_audit_00000000_{guess:064x}"))
            .await;
        assert_eq!(answer.refusal(), (401, "token_unknown".into()));
    }
    let answer = bed.get("/checkpoint", "kontor_audit_00000000_0").await;
    assert_eq!(answer.refusal(), (429, "too_many_failures".into()));
    assert_eq!(answer.header("retry-after"), Some("60"));
    assert_eq!(bed.get("/checkpoint", &token).await.status, 200);
    bed.clock.advance(std::time::Duration::from_secs(61));
    let answer = bed.get("/checkpoint", "kontor_audit_00000000_0").await;
    assert_eq!(answer.refusal().0, 401);
    bed.end().await;
}

#[tokio::test]
async fn what_is_no_address_of_the_listener_is_refused_and_so_is_changing_anything() {
    let bed = Bed::new().await;
    let token = bed.token(AuditScope::Content).await;
    bed.log.sign_checkpoint().await.unwrap();
    for path in [
        "/nothing",
        "/tile/0/000",
        "/tile/0/000.p/0",
        "/tile/0/000.p/256",
        "/tile/00/000.p/1",
        "/tile/0/x000/000.p/1",
        "/tile/0/%30%30%30.p/1",
        "/tile/0/000.p/1/",
        "/tile/8/000.p/1",
        "/tile/0/../../checkpoint",
        "/tile/../auditors.json",
        "/%2e%2e/data/unseal.key",
        "//checkpoint",
    ] {
        let answer = bed.get(path, &token).await;
        assert_eq!(answer.refusal().0, 404, "{path}");
    }
    let authorization = format!("Bearer {token}");
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        let answer = bed
            .ask(method, "/checkpoint", &[("authorization", &authorization)], "x")
            .await;
        assert_eq!(answer.refusal(), (405, "method_not_allowed".into()));
    }
    let long = format!("/consistency?old={}", "1".repeat(5000));
    assert_eq!(
        bed.get(&long, &token).await.refusal(),
        (414, "uri_too_long".into())
    );
    for query in [
        "",
        "old=x",
        "old=0",
        "old=2&new=1",
        "old=1&new=99",
        "old=1&more=1",
        "old=-1",
    ] {
        let answer = bed.get(&format!("/consistency?{query}"), &token).await;
        assert_eq!(answer.refusal(), (400, "malformed".into()), "{query}");
    }
    let answer = bed
        .raw(
            b"GET /checkpoint HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer \xff\r\nConnection: close\r\n\r\n",
        )
        .await;
    assert!(answer.starts_with("HTTP/1.1 401"), "{answer}");
    bed.end().await;
}
