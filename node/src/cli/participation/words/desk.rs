//! What people wrote, in words: what a message says, and the draft of who is asked.

use serde_json::Value;

use super::Page;
use crate::cli::casework::said;
use crate::cli::tongue::Tongue;

/// What a message says to people; sheets are shown above.
pub(super) fn letter(page: &mut Page, letter: &Value) {
    let document = &letter["document"];
    page.line("", "", letter["words"].as_str().unwrap_or(""));
    page.line("", "", document["text"].as_str().unwrap_or(""));
    for point in document["points"].as_array().into_iter().flatten() {
        page.line("", "", &point_in_words(point, page.tongue));
    }
    for treated in document["treated"].as_array().into_iter().flatten() {
        let whole = page.tongue.pick("Ganzes", "whole");
        let point = treated["point"]
            .as_u64()
            .map_or_else(|| whole.to_owned(), |point| point.to_string());
        let line = format!("{point}: {} {}", treated["treatment"], said(treated, "text"));
        page.line("", "", &line);
    }
    page.line("", "", document["decision"].as_str().unwrap_or(""));
    for file in letter["files"].as_array().into_iter().flatten() {
        if !document["cover"].is_object() {
            let name = format!("{} ({})", said(file, "original_name"), said(file, "file_id"));
            page.line("", "", &name);
        }
    }
}

fn point_in_words(point: &Value, tongue: Tongue) -> String {
    let condition = match point["condition"].as_str() {
        Some(condition) => format!(" [{}: {condition}]", tongue.pick("Bedingung", "condition")),
        None => String::new(),
    };
    format!(
        "{} {}: {}{condition}",
        point["number"],
        said(point, "topic"),
        said(point, "text")
    )
}

/// The draft, at who is asked.
pub(super) fn work(page: &mut Page, request: &Value) {
    let tongue = page.tongue;
    let draft = &request["draft"];
    let submitted = request["statements"].as_array().map_or(0, Vec::len) as u64;
    // What was submitted stands above; the desk still has it, for the next version.
    if draft["version"]
        .as_u64()
        .is_some_and(|version| version > submitted)
    {
        let released = match request["released"] == true {
            true => tongue.pick("freigegeben", "released"),
            false => tongue.pick("nicht freigegeben", "not released"),
        };
        let line = format!("{} ({released}), {}", said(draft, "kind"), said(draft, "author"));
        page.line("Entwurf", "Draft", &line);
        page.line("", "", draft["text"].as_str().unwrap_or(""));
        for point in draft["points"].as_array().into_iter().flatten() {
            page.line("", "", &point_in_words(point, tongue));
        }
    }
    for file in request["attachments"].as_array().into_iter().flatten() {
        let name = format!("{} ({})", said(file, "original_name"), said(file, "file_id"));
        page.line("Anlage", "Attachment", &name);
    }
    page.line("Einheit", "Unit", request["unit"].as_str().unwrap_or(""));
    page.line("Bei", "Assignee", request["assignee"].as_str().unwrap_or(""));
}
