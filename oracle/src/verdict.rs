//! Who was responsible when, and how it ended.
//!
//! Owns the one rule that matters: the sender is responsible from the first receipt on, and the receiver from the instant that it has
//! signed, if responsibility was to move at all, what it took is what was offered, and the time to take it over had not ended.

use jiff::Timestamp;
use serde_json::Value;

use crate::facts::{Facts, Party, Stands};
use crate::{Ending, Term};

/// Situations in which responsibility moves; in the others the work does, or nothing.
const MOVES: [&str; 3] = ["MISDIRECTED", "COMPETENCE_CHANGED", "MIGRATION"];

/// The instant that the receiver has signed, in a message of its own or in an answer to who asked for it back.
fn taken_over_at(facts: &Facts) -> Option<Timestamp> {
    if facts.situation() == "COPY" {
        return None;
    }
    let said = facts.one("taken-over").and_then(|said| {
        let offered = facts.offer().map(|offer| &offer.body["offer"]["manifest"]);
        said.instant("at")
            .filter(|_| Some(&said.body["manifest"]) == offered)
    });
    let answered = facts
        .all(&["reclaim", "recall"])
        .filter_map(|asked| asked.answered_as_taken_over());
    let until = until(facts, u32::MAX)?;
    said.into_iter().chain(answered).filter(|at| *at <= until).min()
}

/// Until when it can be taken over: as the last package before that number of the sender says, or else as the offer does.
pub(crate) fn until(facts: &Facts, before: u32) -> Option<Timestamp> {
    let package = facts
        .of(Party::Sender)
        .rfind(|said| said.kind == "package" && said.number < before);
    match package {
        Some(package) => package.instant("take_over_until"),
        None => crate::facts::instant(&facts.offer()?.body["offer"]["take_over_until"]),
    }
}

/// Whether the sender had it from another authority, so that it was not the first to be responsible.
fn came_from_elsewhere(offer: &Value, sender: &str) -> bool {
    let hops = offer["hops"].as_array();
    offer["returns"].is_string()
        || hops.is_some_and(|hops| {
            hops.iter()
                .any(|hop| hop["outcome"] == "TAKEN_OVER" && hop["member"] == sender)
        })
}

pub(crate) fn terms(facts: &Facts) -> Vec<Term> {
    let Some(said) = facts.offer() else {
        return Vec::new();
    };
    let offer = &said.body["offer"];
    let sender = facts.member(Party::Sender);
    let filed = crate::facts::instant(&offer["first_received_at"]).unwrap_or(said.sent_at);
    let from = match came_from_elsewhere(offer, &sender) {
        true => said.sent_at,
        false => filed.min(said.sent_at),
    };
    let moved = taken_over_at(facts).filter(|_| MOVES.contains(&facts.situation()));
    let mut terms = vec![Term {
        from,
        until: moved,
        member: sender,
    }];
    terms.extend(moved.map(|from| Term {
        from,
        until: None,
        member: facts.member(Party::Receiver),
    }));
    terms
}

/// The first of these that there is: an end that the sender made, one that the receiver made, and what was asked for back.
pub(crate) fn ending(facts: &Facts) -> Ending {
    let said = |kind: &str| facts.one(kind).is_some();
    let whole = || {
        facts
            .all(&["import-result"])
            .any(|result| result.body["complete"] == true)
    };
    let asked = || facts.all(&["reclaim", "recall"]);
    // Only who has it back refuses to hear how the import went.
    let has_it_back = || {
        let ended = |said: &crate::facts::Said| said.refusal() == Some(Stands::Ended);
        asked().any(|asked| asked.was_taken() || ended(asked)) || facts.all(&["import-result"]).any(ended)
    };
    if facts.offer().is_none() {
        Ending::Open
    } else if said("withdraw") {
        Ending::Withdrawn
    } else if said("expire") {
        Ending::Expired
    } else if taken_over_at(facts).is_some() {
        Ending::TakenOver
    } else if facts.situation() == "COPY" && whole() {
        Ending::Copied
    } else if said("recall-result") || facts.one("recall").is_some_and(|recall| recall.was_taken()) {
        Ending::Recalled
    } else if said("refuse") {
        Ending::Refused
    } else if said("dispute") {
        Ending::Disputed
    } else if has_it_back() {
        Ending::Reclaimed
    } else if asked().next().is_some() {
        Ending::Unconfirmed
    } else {
        Ending::Open
    }
}
