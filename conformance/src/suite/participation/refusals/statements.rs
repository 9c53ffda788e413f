//! Statements: what one person alone may not let out, what is none, and assessments that leave something out.

use anyhow::{Result, ensure};
use hyper::Method;
use serde_json::{Value, json};

use super::{Stage, no};
use crate::desk::{BETA, number};
use crate::suite::participation::{act, is_here, put, refused, until};

/// Statements that one person alone may not let out.
pub(super) async fn of_eyes(stage: &Stage<'_>) -> Result<()> {
    let nothing = json!({});
    let draft = |text: &str| json!({ "kind": "STATEMENT", "text": text, "author": "Referat 1" });
    // Four eyes at alpha, where the own unit is asked; six at beta.
    let (_, inside) = stage
        .asked(&json!({ "unit": "u-7", "class": "AUTHORITY" }))
        .await?;
    let first = stage.here.of("coordinator");
    let (second, specialist) = (
        first.bearing("second-coordinator"),
        first.bearing("specialist-of-u-7"),
    );
    until(&first, &inside, is_here).await?;
    refused(&first, &inside, "release", &nothing, "statement_missing").await?;
    put(&first, &inside, &draft("Keine. (fiktiv)")).await?;
    refused(&first, &inside, "submit", &nothing, "release_missing").await?;
    refused(&first, &inside, "release", &nothing, "release_second_pair").await?;
    act(&second, &inside, "release", &nothing).await?;
    // Other words are not what was released, and whoever wrote some of them is no second pair.
    put(&specialist, &inside, &draft("Doch eine. (fiktiv)")).await?;
    refused(&first, &inside, "submit", &nothing, "release_missing").await?;
    refused(&specialist, &inside, "release", &nothing, "release_second_pair").await?;
    refused(&specialist, &inside, "submit", &nothing, "role_missing").await?;
    act(&second, &inside, "release", &nothing).await?;
    act(&first, &inside, "submit", &nothing).await?;

    let (ours, theirs) = stage.asked(&json!({ "to": BETA })).await?;
    let first = &stage.there;
    let (second, third) = (
        first.bearing("second-coordinator"),
        first.bearing("third-coordinator"),
    );
    until(first, &theirs, is_here).await?;
    put(first, &theirs, &draft("Keine. (fiktiv)")).await?;
    act(&second, &theirs, "release", &nothing).await?;
    refused(first, &theirs, "submit", &nothing, "release_second_pair").await?;
    refused(&second, &theirs, "submit", &nothing, "release_second_pair").await?;
    act(&third, &theirs, "submit", &nothing).await?;
    until(&stage.here, &ours, |page| page["state"] == "SUBMITTED").await?;
    Ok(())
}

/// Drafts that are no statements, files that were not shown, and assessments that leave something out.
pub(super) async fn of_statements(stage: &Stage<'_>) -> Result<()> {
    let (here, there) = (&stage.here, &stage.there);
    let (ours, theirs) = stage.asked(&json!({ "to": BETA })).await?;
    let seen = until(there, &theirs, is_here).await?;
    let version = Some(number(&seen, "version")?);
    let point = |number: u32, file: Option<&str>| json!({ "number": number, "topic": "Lärm", "text": "Zu laut. (fiktiv)", "refers_to": file.map(|file| json!({ "file": file })) });
    let path = format!("{theirs}/statement");
    for (draft, code) in [
        (json!({ "kind": "REFUSAL", "author": "R" }), "statement_empty"),
        (
            json!({ "kind": "CONSENT_WITH_CONDITIONS", "author": "R", "points": [point(1, None)] }),
            "statement_empty",
        ),
        (
            json!({ "kind": "STATEMENT", "author": "R", "points": [point(2, None)] }),
            "statement_numbers",
        ),
        (
            json!({ "kind": "STATEMENT", "author": "R", "points": [point(1, Some(&stage.hidden))] }),
            "statement_reference",
        ),
        (
            json!({ "kind": "STATEMENT", "author": "R", "text": "x", "attachments": ["keine"] }),
            "statement_reference",
        ),
        (
            json!({ "kind": "STATEMENT", "author": "x".repeat(301), "text": "x" }),
            "statement_too_large",
        ),
    ] {
        no(
            there,
            Method::PUT,
            &path,
            version,
            &draft.to_string(),
            (422, code),
        )
        .await?;
    }
    no(
        there,
        Method::PUT,
        &path,
        version,
        r#"{"kind":"JA","author":"R"}"#,
        (400, "malformed"),
    )
    .await?;
    for (file, status, code) in [
        (stage.hidden.as_str(), 404, "file_not_disclosed"),
        ("keine", 404, "file_not_disclosed"),
    ] {
        no(
            there,
            Method::GET,
            &format!("{theirs}/files/{file}"),
            None,
            "",
            (status, code),
        )
        .await?;
    }
    let draft = json!({
        "kind": "STATEMENT", "author": "Referat 1", "points": [point(1, None), point(2, Some(&stage.shown))],
    });
    put(there, &theirs, &draft).await?;
    act(
        &there.bearing("second-coordinator"),
        &theirs,
        "release",
        &json!({}),
    )
    .await?;
    act(&there.bearing("third-coordinator"), &theirs, "submit", &json!({})).await?;
    until(here, &ours, |page| {
        page["state"] == "SUBMITTED"
            && page["bundles"]
                .as_array()
                .is_some_and(|all| all.iter().all(|one| one["complete"] == true))
    })
    .await?;
    let treated = |points: &[u32]| -> Vec<Value> {
        points
            .iter()
            .map(|point| json!({ "point": point, "treatment": 1000 }))
            .collect()
    };
    for (version, points, code) in [
        (1, &[1_u32][..], "assessment_point_missing"),
        (1, &[1, 2, 3], "assessment_point_unknown"),
        (1, &[1, 2, 2], "assessment_point_unknown"),
        (2, &[1, 2], "assessment_version"),
    ] {
        let wish = json!({ "assessment": { "version": version, "treated": treated(points) } });
        let page = refused(here, &ours, "assess", &wish, code).await?;
        ensure!(page["pointer"] == "/assessment", "{page}");
    }
    let page = refused(here, &ours, "assess", &json!({}), "member_missing").await?;
    ensure!(page["pointer"] == "/assessment", "{page}");
    let wish = json!({ "assessment": { "version": 1, "treated": [{ "point": 1, "treatment": 4711 }] } });
    let page = until(here, &ours, |_| true).await?;
    let version = number(&page, "version")?;
    let (status, page) = here
        .post(&format!("{ours}/commands/assess"), version, &wish)
        .await?;
    ensure!(
        status.as_u16() == 400 && page["code"] == "malformed",
        "{status}: {page}"
    );
    let whole = json!({ "assessment": { "version": 1, "treated": treated(&[1, 2]) } });
    act(here, &ours, "assess", &whole).await?;
    Ok(())
}
