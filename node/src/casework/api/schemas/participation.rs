//! What the interface answers of participation.

use serde_json::{Value, json};

use super::{
    any, array, cites, day, flag, flags, instant, maybe, number, of_array, partly, strict, text, uuid, words,
};

const STATES: [&str; 17] = [
    "CREATED",
    "DROPPED",
    "SENT",
    "FAILED",
    "DELIVERED",
    "ACKNOWLEDGED",
    "DECLINED",
    "IN_PREPARATION",
    "SUBMITTED",
    "AMENDED",
    "WITHDRAWN",
    "EXPIRED",
    "LATE",
    "REVOKED",
    "PURGED",
    "ASSESSED",
    "NOTIFIED",
];

fn versioned() -> Value {
    strict(&[("code", text()), ("version", text())])
}

fn both() -> Value {
    strict(&[("de", text()), ("en", text())])
}

fn party() -> Value {
    words(&["requester", "participant"])
}

fn object() -> Value {
    json!({ "type": "object" })
}

/// A request, on either side.
pub(super) fn request() -> Value {
    let message = strict(&[
        ("seq", number()),
        ("kind", text()),
        ("at", instant()),
        ("letter", maybe(&object())),
    ]);
    let moved = [
        ("from", text()),
        ("to", text()),
        ("transfer", uuid()),
        ("at", instant()),
    ];
    let stage = ("stage", words(&["waiting", "said", "heard", "handed_over"]));
    let moving = strict(&moved.iter().cloned().chain([stage]).collect::<Vec<_>>());
    let moved = strict(&moved);
    partly(
        &[
            ("id", uuid()),
            ("short", text()),
            ("version", number()),
            ("side", party()),
            ("state", words(&STATES)),
            ("state_german", text()),
            ("settled", flag()),
            ("legal", array(&text())),
            ("peer", text()),
            ("participant", text()),
            ("class", text()),
            ("proof_level", words(&["guest", "internal", "node"])),
            ("round", uuid()),
            ("round_number", number()),
            ("renews", maybe(&uuid())),
            ("profile", versioned()),
            ("case", maybe(&uuid())),
            ("application_id", uuid()),
            ("service", text()),
            ("unit", maybe(&text())),
            ("assignee", maybe(&text())),
            ("since", instant()),
            ("terms", object()),
            ("silence", maybe(&both())),
            ("flags", flags()),
            ("disclosure_ends", maybe(&day())),
            ("deadline", maybe(&object())),
            ("ends_at", maybe(&instant())),
            ("standing_still", maybe(&object())),
            ("question_open", flag()),
            ("extension_wanted", maybe(&object())),
            ("extension_reason", maybe(&text())),
            ("statements", array(&object())),
            ("expiry", maybe(&object())),
            ("delivery", maybe(&object())),
            ("fetched_at", maybe(&instant())),
            ("inquiry", maybe(&object())),
            ("undetermined", maybe(&text())),
            ("approved", flag()),
            ("invitation", maybe(&object())),
            ("replaces", maybe(&uuid())),
            ("reference", maybe(&text())),
            ("declined", maybe(&object())),
            ("moves", array(&moved)),
            ("moving", maybe(&moving)),
            ("purge", maybe(&object())),
            ("downloaded", array(&object())),
            ("advisers", array(&object())),
            ("notices", array(&text())),
            ("bundles", array(&object())),
            ("cites", cites()),
        ],
        &[
            ("missing", array(&text())),
            ("sent", array(&message)),
            ("received", array(&message)),
            ("parked", flag()),
            ("disclosure", maybe(&object())),
            ("guest", maybe(&object())),
            ("draft", maybe(&object())),
            ("attachments", array(&object())),
            ("released", flag()),
            ("opened", object()),
        ],
    )
}

pub(super) fn request_list() -> Value {
    strict(&[
        (
            "requests",
            array(&json!({ "$ref": "#/components/schemas/Request" })),
        ),
        ("next", maybe(&uuid())),
        ("counts", object()),
        ("attention", number()),
    ])
}

pub(super) fn round() -> Value {
    strict(&[
        ("id", uuid()),
        ("version", number()),
        ("case", uuid()),
        ("profile", versioned()),
        ("number", number()),
        ("renews", maybe(&uuid())),
        (
            "state",
            words(&[
                "PREPARING",
                "OPEN",
                "CLOSED",
                "EVALUATING",
                "CONCLUDED",
                "SUSPENDED",
                "CANCELLED",
            ]),
        ),
        ("legal", array(&text())),
        ("takes_requests", flag()),
        ("unit", maybe(&text())),
        ("created_at", instant()),
        ("closed_at", maybe(&instant())),
        ("question", maybe(&text())),
        ("contact", maybe(&text())),
        ("topics", maybe(&array(&text()))),
        (
            "requests",
            array(&json!({ "$ref": "#/components/schemas/Request" })),
        ),
        ("coming", array(&uuid())),
        ("cites", cites()),
    ])
}

/// What an adviser may look at.
pub(super) fn advice() -> Value {
    let file = strict(&[
        ("file_id", text()),
        ("original_name", text()),
        ("size", number()),
        ("media_type", maybe(&text())),
    ]);
    of_array(
        "advice",
        strict(&[
            ("request", uuid()),
            ("question", maybe(&text())),
            ("until", instant()),
            ("files", array(&file)),
        ]),
    )
}

pub(super) fn round_list() -> Value {
    of_array("rounds", json!({ "$ref": "#/components/schemas/Round" }))
}

pub(super) fn invitation() -> Value {
    strict(&[
        ("request", uuid()),
        ("link", text()),
        ("code", text()),
        ("ends", instant()),
    ])
}

/// What was shown to somebody, for the data-protection officer.
pub(super) fn disclosed() -> Value {
    strict(&[
        ("request", uuid()),
        ("case", maybe(&uuid())),
        ("number", maybe(&text())),
        ("applicant", maybe(&text())),
        ("to", text()),
        ("profile", versioned()),
        ("service", text()),
        ("purpose", maybe(&text())),
        ("legal_basis", maybe(&text())),
        ("parts", maybe(&array(&object()))),
        ("files", maybe(&array(&object()))),
        ("selection", maybe(&object())),
        ("onward", flag()),
        ("ends", maybe(&day())),
        ("since", instant()),
        ("fetched_at", maybe(&instant())),
        ("state", words(&STATES)),
        ("flags", flags()),
        ("manifests", array(&text())),
        ("octets", number()),
        ("purge", maybe(&object())),
        ("downloaded", array(&object())),
        ("cites", cites()),
    ])
}

pub(super) fn profiles() -> Value {
    let silence = strict(&[("effect", text()), ("de", text()), ("en", text())]);
    let profile = strict(&[
        ("code", text()),
        ("version", text()),
        ("name", both()),
        ("basis", text()),
        ("who", array(&text())),
        ("length", object()),
        ("silence", array(&silence)),
        ("extension", array(&text())),
        ("reminders", array(&number())),
        ("to_check", flag()),
        ("note", any()),
    ]);
    let class = strict(&[
        ("code", text()),
        ("version", text()),
        ("name", both()),
        ("basis", text()),
        ("services", array(&text())),
        ("example", flag()),
        ("to_check", flag()),
    ]);
    strict(&[
        ("profiles", array(&profile)),
        ("recipient_classes", array(&class)),
    ])
}
