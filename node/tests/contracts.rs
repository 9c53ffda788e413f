//! What was published of the contracts still holds: what a caller may send is taken, what a caller was promised comes back. A
//! change that breaks somebody needs another major version; one that adds something is published by copying what the command prints
//! into the file.

#![expect(
    clippy::unwrap_used,
    reason = "a document that is not as described must fail the test"
)]

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::{Value, json};

fn printed(arguments: &[&str]) -> Value {
    let out = Command::new(env!("CARGO_BIN_EXE_kontor"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).unwrap()
}

#[test]
fn the_interface_for_systems_of_the_house_keeps_what_was_published() {
    holds(include_str!("contracts/casework-1.json"), &["case", "openapi"]);
}

#[test]
fn the_contract_between_nodes_keeps_what_was_published() {
    holds(
        include_str!("contracts/transfer-1.json"),
        &["transfer", "contract"],
    );
}

#[test]
fn the_contract_of_participation_between_nodes_keeps_what_was_published() {
    holds(
        include_str!("contracts/participation-1.json"),
        &["participation", "contract"],
    );
}

fn holds(published: &str, command: &[&str]) {
    let published: Value = serde_json::from_str(published).unwrap();
    let now = printed(command);
    let broken = breaks(&published, &now);
    assert!(broken.is_empty(), "{}", broken.join("\n"));
    assert!(
        published == now,
        "something was added: publish it with `kontor {} > node/tests/contracts/…` and name it in the changelog",
        command.join(" ")
    );
}

/// What of the published document does not hold any more.
fn breaks(before: &Value, now: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    let mut say = |what: String| broken.push(what);
    if major(before) != major(now) {
        return broken;
    }
    for (path, item) in members(&before["paths"]) {
        for (verb, operation) in members(item) {
            let there = &now["paths"][path][verb];
            let place = format!("{verb} {path}");
            if there.is_null() {
                say(format!("{place} is gone"));
                continue;
            }
            parameters(&place, operation, there, &mut say);
            for (media, content) in members(&operation["requestBody"]["content"]) {
                match there["requestBody"]["content"].get(media) {
                    None => say(format!("{place} does not take {media} any more")),
                    Some(taken) => {
                        taken_still(
                            &place,
                            (before, &content["schema"]),
                            (now, &taken["schema"]),
                            0,
                            &mut say,
                        );
                    }
                }
            }
            for (status, response) in members(&operation["responses"]) {
                for (media, content) in members(&response["content"]) {
                    match there["responses"][status]["content"].get(media) {
                        None => say(format!("{place} does not answer {status} {media} any more")),
                        Some(given) => {
                            given_still(
                                &place,
                                (before, &content["schema"]),
                                (now, &given["schema"]),
                                0,
                                &mut say,
                            );
                        }
                    }
                }
            }
        }
    }
    broken
}

fn major(document: &Value) -> Option<&str> {
    document["info"]["version"].as_str()?.split('.').next()
}

fn members(value: &Value) -> impl Iterator<Item = (&String, &Value)> {
    value.as_object().into_iter().flatten()
}

fn parameters(place: &str, before: &Value, now: &Value, say: &mut impl FnMut(String)) {
    let list = |operation: &Value| operation["parameters"].as_array().cloned().unwrap_or_default();
    let key = |parameter: &Value| (parameter["in"].clone(), parameter["name"].clone());
    let (before, now) = (list(before), list(now));
    for parameter in &before {
        if !now.iter().any(|it| key(it) == key(parameter)) {
            say(format!("{place} lost the parameter {}", parameter["name"]));
        }
    }
    for parameter in now.iter().filter(|it| it["required"] == true) {
        if !before
            .iter()
            .any(|it| key(it) == key(parameter) && it["required"] == true)
        {
            say(format!("{place} needs the parameter {} now", parameter["name"]));
        }
    }
}

/// Follows one reference within its document.
fn resolved<'a>((document, schema): (&'a Value, &'a Value)) -> &'a Value {
    match schema["$ref"].as_str() {
        Some(reference) => document.pointer(reference.trim_start_matches('#')).unwrap(),
        None => schema,
    }
}

fn names(schema: &Value, what: &str) -> BTreeSet<String> {
    let list = schema[what].as_array().into_iter().flatten();
    list.map(ToString::to_string).collect()
}

/// Whether everything that could be sent can be sent.
fn taken_still(
    place: &str,
    before: (&Value, &Value),
    now: (&Value, &Value),
    depth: u8,
    say: &mut impl FnMut(String),
) {
    let (old, new) = (resolved(before), resolved(now));
    for required in names(new, "required").difference(&names(old, "required")) {
        say(format!("{place} needs {required} now"));
    }
    if !new["enum"].is_null() {
        for gone in names(old, "enum").difference(&names(new, "enum")) {
            say(format!("{place} does not take {gone} any more"));
        }
    }
    same_type(place, old, new, say);
    if depth < 8 {
        for (name, schema) in members(&old["properties"]) {
            match new["properties"].get(name) {
                None if new["additionalProperties"] == false => {
                    say(format!("{place} does not take {name} any more"))
                }
                None => {}
                Some(there) => {
                    let place = format!("{place}: {name}");
                    taken_still(&place, (before.0, schema), (now.0, there), depth + 1, say);
                }
            }
        }
    }
}

/// Whether everything that was promised is given.
fn given_still(
    place: &str,
    before: (&Value, &Value),
    now: (&Value, &Value),
    depth: u8,
    say: &mut impl FnMut(String),
) {
    let (old, new) = (resolved(before), resolved(now));
    for lost in names(old, "required").difference(&names(new, "required")) {
        say(format!("{place} does not promise {lost} any more"));
    }
    if !old["enum"].is_null() {
        for added in names(new, "enum").difference(&names(old, "enum")) {
            say(format!("{place} may say {added} now, which nobody expects"));
        }
    }
    same_type(place, old, new, say);
    if depth < 8 {
        for (name, schema) in members(&old["properties"]) {
            match new["properties"].get(name) {
                None => say(format!("{place} does not describe {name} any more")),
                Some(there) => {
                    let place = format!("{place}: {name}");
                    given_still(&place, (before.0, schema), (now.0, there), depth + 1, say);
                }
            }
        }
        if !old["items"].is_null() {
            let place = format!("{place}[]");
            given_still(
                &place,
                (before.0, &old["items"]),
                (now.0, &new["items"]),
                depth + 1,
                say,
            );
        }
    }
}

fn same_type(place: &str, old: &Value, new: &Value, say: &mut impl FnMut(String)) {
    if !old["type"].is_null() && old["type"] != new["type"] {
        say(format!("{place} was {} and is {}", old["type"], new["type"]));
    }
}

#[test]
fn a_change_that_breaks_somebody_is_found() {
    let before = json!({
        "info": { "version": "1.0.0" },
        "paths": { "/a": { "post": {
            "parameters": [{ "in": "query", "name": "q", "required": false }],
            "requestBody": { "content": { "application/json": { "schema": { "type": "object", "properties": { "x": { "enum": [1, 2] } } } } } },
            "responses": { "200": { "content": { "application/json": { "schema": { "$ref": "#/components/schemas/A" } } } } },
        } } },
        "components": { "schemas": { "A": { "type": "object", "required": ["b"], "properties": { "b": { "type": "string" } } } } },
    });
    assert!(breaks(&before, &before).is_empty());
    let mut more = before.clone();
    more["paths"]["/b"] = json!({});
    more["components"]["schemas"]["A"]["properties"]["c"] = json!({});
    more["components"]["schemas"]["A"]["required"] = json!(["b", "c"]);
    assert!(breaks(&before, &more).is_empty(), "what is added breaks nobody");
    let changed = |pointer: &str, to: Value| {
        let mut now = before.clone();
        *now.pointer_mut(pointer).unwrap() = to;
        breaks(&before, &now)
    };
    let schema = "/paths/~1a/post/requestBody/content/application~1json/schema";
    for (pointer, to) in [
        ("/paths/~1a".to_owned(), json!({})),
        ("/paths/~1a/post/parameters".to_owned(), json!([])),
        ("/paths/~1a/post/parameters/0/required".to_owned(), json!(true)),
        ("/paths/~1a/post/responses".to_owned(), json!({})),
        (format!("{schema}/properties/x/enum"), json!([1])),
        (
            schema.to_owned(),
            json!({ "type": "object", "required": ["x"], "properties": { "x": {} } }),
        ),
        (
            schema.to_owned(),
            json!({ "type": "object", "additionalProperties": false }),
        ),
        ("/components/schemas/A/required".to_owned(), json!([])),
        ("/components/schemas/A/properties".to_owned(), json!({})),
        (
            "/components/schemas/A/properties/b/type".to_owned(),
            json!("integer"),
        ),
    ] {
        assert_eq!(changed(&pointer, to).len(), 1, "{pointer}");
    }
    let mut major = before.clone();
    major["info"]["version"] = json!("2.0.0");
    major["paths"] = json!({});
    assert!(
        breaks(&before, &major).is_empty(),
        "another major version may be another contract"
    );
}
