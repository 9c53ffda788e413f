//! Entries and evidence as an auditor gets them.

use kontor_protocol::container::Verdict;
use kontor_protocol::statement::{Left, Statement, judge};

use super::bed::Bed;
use crate::messagelog::{AuditScope, Given, LogError, Part, PurgeOrder, Restriction, Written};

#[tokio::test]
async fn an_auditor_finds_entries_and_each_look_is_recorded() {
    let bed = Bed::new().await;
    for id in ["q-1", "q-2", "q-1"] {
        bed.log.append(bed.world.request(id)).await.unwrap();
    }
    let token = bed.token(AuditScope::Entries).await;
    let found = bed.get("/entries?query_id=q-1&kind=request", &token).await.json();
    let numbers = |value: &serde_json::Value| -> Vec<u64> {
        let entries = value["entries"].as_array().unwrap();
        entries
            .iter()
            .map(|entry| entry["number"].as_u64().unwrap())
            .collect()
    };
    assert_eq!((numbers(&found), found["next"].as_u64()), (vec![0, 2], None));
    let (look, concerned) = bed.last_look().await;
    assert_eq!(
        (look.what.as_str(), concerned.as_str()),
        ("a search, 2 entries found", "0,2")
    );
    let found = bed
        .get("/entries?limit=2&member=TEST/GOV/1001", &token)
        .await
        .json();
    assert_eq!((numbers(&found), found["next"].as_u64()), (vec![0, 1], Some(2)));
    let found = bed
        .get("/entries?first=2&limit=2&member=TEST/GOV/1001", &token)
        .await
        .json();
    assert_eq!((numbers(&found), found["next"].as_u64()), (vec![2], None));

    let shown = bed.get("/entries/1", &token).await;
    assert_eq!(shown.header("cache-control"), Some("no-store"));
    assert_eq!(shown.json()["query_id"], "q-2");
    assert_eq!(bed.last_look().await.1, "1");
    let proof = bed.get("/entries/1/proof?since=1", &token).await.json();
    assert_eq!(
        (proof["number"].as_u64(), proof["consistency"].is_array()),
        (Some(1), true)
    );
    assert!(proof["proof"].as_str().unwrap().contains("index 1"));
    for query in [
        "limit=0",
        "limit=1001",
        "kind=x",
        "from=x",
        "client=x",
        "more=1",
        "first=-1",
    ] {
        let answer = bed.get(&format!("/entries?{query}"), &token).await;
        assert_eq!(answer.refusal(), (400, "malformed".into()), "{query}");
    }
    for path in [
        "/entries/x",
        "/entries/-1",
        "/entries/99999999999999999999",
        "/entries/1%2F2",
    ] {
        assert_eq!(
            bed.get(path, &token).await.refusal(),
            (404, "not_found".into()),
            "{path}"
        );
    }
    let answer = bed.get("/entries/4711", &token).await;
    assert_eq!(answer.refusal(), (404, "log_entry_not_found".into()));
    for path in ["container", "companion", "statement"] {
        let answer = bed.get(&format!("/entries/1/{path}"), &token).await;
        assert_eq!(answer.refusal(), (403, "token_scope".into()));
    }
    bed.end().await;
}

#[tokio::test]
async fn a_token_for_a_matter_shows_that_matter_only() {
    let bed = Bed::new().await;
    for id in ["q-1", "q-2", "q-1"] {
        bed.log.append(bed.world.request(id)).await.unwrap();
    }
    let only = |text: &str| Restriction {
        numbers: Some(text.parse().unwrap()),
        ..Restriction::default()
    };
    let (_, token) = bed.token_for(AuditScope::Content, only("0,2")).await;
    let found = bed.get("/entries", &token).await.json();
    assert_eq!(found["entries"].as_array().unwrap().len(), 2);
    assert_eq!(
        bed.get("/entries?query_id=q-2", &token).await.json()["entries"],
        serde_json::json!([])
    );
    assert_eq!(bed.get("/entries/2", &token).await.status, 200);
    for path in ["", "/proof", "/container", "/companion", "/statement"] {
        let answer = bed.get(&format!("/entries/1{path}"), &token).await;
        assert_eq!(answer.refusal(), (403, "entry_not_granted".into()), "{path}");
    }
    let other = Restriction {
        member: Some("TEST/GOV/1003".parse().unwrap()),
        ..Restriction::default()
    };
    let (_, stranger) = bed.token_for(AuditScope::Entries, other).await;
    assert_eq!(
        bed.get("/entries", &stranger).await.json()["entries"],
        serde_json::json!([])
    );
    assert_eq!(bed.get("/entries/0", &stranger).await.refusal().0, 403);
    // Entries that name no party, as this one of the grant itself, belong to no party's view.
    assert_eq!(bed.get("/entries/3", &stranger).await.refusal().0, 403);
    bed.end().await;
}

#[tokio::test]
async fn an_entry_says_what_can_be_shown_with_what_is_left_of_it() {
    let bed = Bed::new().await;
    bed.world.bind(&bed.log).await;
    let number = bed.log.append(bed.world.request("q-1")).await.unwrap().number;
    let token = bed.token(AuditScope::Content).await;
    let statement = async || bed.get(&format!("/entries/{number}/statement"), &token).await;
    let judged = |body: &[u8]| {
        let report = judge(&Statement::from_json(body).unwrap(), &bed.world.trust);
        (report.verdict, report.left)
    };
    assert_eq!(statement().await.refusal(), (409, "log_entry_unsuited".into()));
    let provable = async || {
        let shown = bed.get(&format!("/entries/{number}"), &token).await.json();
        (
            shown["provable"].as_str().unwrap().to_owned(),
            shown["gone"].clone(),
        )
    };
    assert_eq!(
        provable().await.0,
        "everything: who signed what, when, unchanged, at which place of a complete log"
    );
    let order = |parts: &[Part]| PurgeOrder {
        ground: "Art. 17 GDPR".into(),
        dry_run: false,
        given: Some(Given {
            numbers: number.to_string().parse().unwrap(),
            parts: parts.into(),
            by: Some("request 3".into()),
            who: "uid:7".into(),
        }),
    };
    bed.log.purge(order(&[Part::Head])).await.unwrap();
    let (words, gone) = provable().await;
    assert_eq!(
        words,
        "that a message with given bytes, shown by anyone who still has it, is this entry"
    );
    assert_eq!(
        (&gone[0]["part"], &gone[0]["code"]),
        (&"head".into(), &"log_content_deleted".into())
    );
    let answer = bed.get(&format!("/entries/{number}/container"), &token).await;
    assert_eq!(answer.refusal(), (410, "log_content_deleted".into()));
    let answer = statement().await;
    let name = format!("attachment; filename=\"entry-{number}.statement.json\"");
    assert_eq!(answer.header("content-disposition"), Some(name.as_str()));
    assert_eq!(judged(&answer.body), (Verdict::Valid, Left::Digests));
    bed.log.purge(order(&[Part::Evidence])).await.unwrap();
    let (words, gone) = provable().await;
    let last = gone.as_array().unwrap().last().unwrap();
    let (rule, entry) = (last["rule"].as_str().unwrap(), last["entry"].as_u64().unwrap());
    let expected = format!(
        "that an exchange of this kind between these parties existed in that second and was deleted under rule `{rule}` by entry {entry}; not what it was, nor that a counterparty's copy belongs to it"
    );
    assert_eq!(words, expected);
    assert_eq!(judged(&statement().await.body), (Verdict::Valid, Left::Leaf));
    let what = "the statement about a message without content";
    assert_eq!(bed.last_look().await.0.what, what);
    // That entry is a deletion and can be looked at itself.
    assert_eq!(
        bed.get(&format!("/entries/{entry}"), &token).await.json()["kind"],
        "deletion"
    );
    assert_eq!(
        bed.get(&format!("/entries/{number}/proof"), &token).await.status,
        200
    );
    bed.end().await;
}

#[tokio::test]
async fn a_container_from_the_listener_is_valid_and_tied_to_its_entry() {
    let bed = Bed::new().await;
    bed.world.bind(&bed.log).await;
    let number = bed.log.append(bed.world.request("q-1")).await.unwrap().number;
    let token = bed.token(AuditScope::Content).await;
    let container = bed.get(&format!("/entries/{number}/container"), &token).await;
    assert_eq!(
        container.header("content-type"),
        Some("application/vnd.etsi.asic-e+zip")
    );
    let name = format!("attachment; filename=\"q-1-request-{number}.asice\"");
    assert_eq!(container.header("content-disposition"), Some(name.as_str()));
    assert_eq!(bed.last_look().await.0.what, "the container of a message");
    let companion = bed.get(&format!("/entries/{number}/companion"), &token).await;
    let written = Written {
        number,
        container: bed.world.out().join("a.asice"),
        companion: bed.world.out().join("a.leaf.json"),
        record: None,
        notes: vec![],
    };
    std::fs::write(&written.container, &container.body).unwrap();
    std::fs::write(&written.companion, &companion.body).unwrap();
    assert_eq!(bed.world.verdict(&written), (Verdict::Valid, vec![]));
    // What is no message has no container.
    let answer = bed.get("/entries/0/container", &token).await;
    assert_eq!(answer.refusal(), (409, "log_entry_unsuited".into()));
    bed.end().await;
}

#[tokio::test]
async fn a_log_that_takes_nothing_shows_no_entry_because_the_look_cannot_be_recorded() {
    let bed = Bed::new().await;
    bed.log.append(bed.world.request("q-1")).await.unwrap();
    let token = bed.token(AuditScope::Content).await;
    let entries = bed.log.stats().entries;
    bed.log.refuse_for_test(LogError::Behind { entries, signed: 99 });
    for path in ["/entries", "/entries/0", "/entries/0/container?unstamped=true"] {
        let answer = bed.get(path, &token).await;
        assert_eq!(answer.refusal(), (503, "look_not_recorded".into()), "{path}");
        let detail = answer.json()["detail"].to_string();
        assert!(detail.contains("tiles and proofs are refused"), "{detail}");
    }
    assert_eq!(bed.log.stats().entries, entries);
    bed.end().await;
}
