//! What the interface answers, as JSON Schema (2020-12): the components of the OpenAPI document. Members that a later version adds are
//! passed over by whoever reads them, so nothing here forbids more.

mod participation;

use serde_json::{Map, Value, json};

/// All of them, by name.
pub(super) fn all() -> Value {
    json!({
        "Problem": problem(),
        "Me": me(),
        "Status": status(),
        "Case": case(),
        "CaseList": case_list(),
        "Form": { "type": "object", "required": ["control", "formData"], "properties": {
            "control": { "type": "object" }, "formData": { "type": "array", "items": { "type": "object" } },
        } },
        "Dossier": strict(&[
            ("dossier", super::dossier::schema()),
            ("comments", array(&strict(&[
                ("by", text()), ("at", instant()), ("role", text()), ("text", text()), ("travels", flag()),
            ]))),
            ("follow_ups", array(&strict(&[("id", text()), ("text", text())]))),
        ]),
        "FileList": of_array("files", file()),
        "Recipients": recipients(),
        "Profiles": participation::profiles(),
        "Round": participation::round(),
        "RoundList": participation::round_list(),
        "Request": participation::request(),
        "RequestList": participation::request_list(),
        "Invitation": participation::invitation(),
        "Advice": participation::advice(),
        "Asked": strict(&[("text", text()), ("asked", array(&text()))]),

        "Transfer": transfer(),
        "TransferList": transfer_list(),
        "Notice": strict(&[("text", text()), ("taken_over_at", instant()), ("from", text()), ("to", text())]),
        "LateItem": strict(&[("transfer", uuid()), ("late_items", number())]),
        "Disclosures": strict(&[
            ("disclosures", array(&disclosure())),
            ("requests", array(&participation::disclosed())),
        ]),
        "Person": strict(&[
            ("pseudonym", text()), ("issuer", text()), ("subject", text()), ("since", instant()),
        ]),
        "HandedIn": handed_in(),
        "Document": strict(&[("openapi", text()), ("paths", json!({ "type": "object" }))]),
    })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn number() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn flag() -> Value {
    json!({ "type": "boolean" })
}

fn uuid() -> Value {
    json!({ "type": "string", "format": "uuid" })
}

fn instant() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn day() -> Value {
    json!({ "type": "string", "format": "date" })
}

fn hex(octets: u32) -> Value {
    json!({ "type": "string", "pattern": format!("^[0-9a-f]{{{}}}$", octets * 2) })
}

fn any() -> Value {
    json!({})
}

fn words(known: &[&str]) -> Value {
    json!({ "type": "string", "enum": known })
}

fn array(items: &Value) -> Value {
    json!({ "type": "array", "items": items })
}

/// The same, or null.
fn maybe(schema: &Value) -> Value {
    json!({ "anyOf": [schema, { "type": "null" }] })
}

/// An object that has all of these.
fn strict(members: &[(&str, Value)]) -> Value {
    let required: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
    let properties: Map<String, Value> = members
        .iter()
        .map(|(name, schema)| ((*name).to_owned(), schema.clone()))
        .collect();
    json!({ "type": "object", "required": required, "properties": properties })
}

/// An object that has the first ones, and maybe the others.
fn partly(members: &[(&str, Value)], more: &[(&str, Value)]) -> Value {
    let mut schema = strict(members);
    for (name, member) in more {
        schema["properties"][*name] = member.clone();
    }
    schema
}

fn of_array(name: &str, items: Value) -> Value {
    strict(&[(name, array(&items))])
}

fn problem() -> Value {
    partly(
        &[
            ("type", text()),
            ("title", text()),
            (
                "status",
                json!({ "type": "integer", "minimum": 400, "maximum": 599 }),
            ),
            ("code", json!({ "type": "string", "pattern": "^[a-z0-9_]+$" })),
            ("detail", text()),
        ],
        &[("hint", text()), ("pointer", text()), ("legal", array(&text()))],
    )
}

fn roles() -> Value {
    words(&[
        "intake",
        "worker",
        "releaser",
        "supervisor",
        "data_protection",
        "coordinator",
        "specialist",
        "adviser",
    ])
}

fn me() -> Value {
    strict(&[
        ("pseudonym", text()),
        ("holder", words(&["person", "system"])),
        ("roles", array(&roles())),
        ("units", array(&text())),
        ("on_behalf_of", maybe(&text())),
    ])
}

fn status() -> Value {
    strict(&[
        ("cases", number()),
        ("transfers_under_way", number()),
        ("requests", number()),
        ("contributions", number()),
        (
            "waiting",
            array(&strict(&[
                ("peer", text()),
                ("waiting", number()),
                ("silent_in_a_row", number()),
            ])),
        ),
        (
            "webhooks",
            array(&strict(&[
                ("name", text()),
                ("waiting", number()),
                ("failures_in_a_row", number()),
                ("failing_since", maybe(&instant())),
                ("problem", maybe(&text())),
                ("next_at", maybe(&instant())),
                ("skipped", number()),
                ("disabled_at", maybe(&instant())),
            ])),
        ),
        ("free_octets", number()),
        ("server", text()),
        ("test", flag()),
    ])
}

fn cites() -> Value {
    strict(&[("number", number()), ("leaf", hex(32))])
}

fn responsibility() -> Value {
    words(&[
        "mine",
        "mine_frozen",
        "unconfirmed",
        "mine_delegated",
        "theirs",
        "theirs_delegated",
    ])
}

fn decided() -> Value {
    strict(&[("by", text()), ("at", instant()), ("ground", text())])
}

fn flags() -> Value {
    json!({ "type": "object", "additionalProperties": flag() })
}

fn case() -> Value {
    strict(&[
        ("id", uuid()),
        ("version", number()),
        ("number", maybe(&text())),
        ("title", maybe(&text())),
        ("applicant", maybe(&text())),
        ("file_reference", maybe(&text())),
        ("instance_number", maybe(&text())),
        ("transaction_id", maybe(&text())),
        ("application_id", uuid()),
        ("status", text()),
        ("status_german", text()),
        ("status_since", instant()),
        ("commands", array(&text())),
        ("first_received_at", instant()),
        ("received_here_at", instant()),
        ("service", maybe(&text())),
        ("region", maybe(&text())),
        ("unit", maybe(&text())),
        ("assignee", maybe(&text())),
        ("responsibility", responsibility()),
        ("transfer", maybe(&uuid())),
        (
            "origin",
            partly(
                &[("from", words(&["intake", "transfer"]))],
                &[("transfer", uuid())],
            ),
        ),
        ("hops", array(&json!({ "type": "object" }))),
        ("files", number()),
        ("octets", number()),
        (
            "trust_level",
            maybe(&json!({ "type": "integer", "minimum": 1, "maximum": 4 })),
        ),
        ("flags", flags()),
        ("open_round", flag()),
        ("rounds", array(&uuid())),
        ("deadlines", array(&json!({ "type": "object" }))),
        (
            "findings",
            array(&strict(&[
                ("code", text()),
                ("at", text()),
                ("released", maybe(&decided())),
            ])),
        ),
        (
            "follow_ups",
            array(&strict(&[("id", text()), ("date", day()), ("done", flag())])),
        ),
        ("hold", maybe(&decided())),
        ("delete_at", maybe(&instant())),
        ("purged_at", maybe(&instant())),
        (
            "history",
            array(&partly(
                &[("at", instant()), ("command", text()), ("role", text())],
                &[("unit", maybe(&text())), ("to", maybe(&text()))],
            )),
        ),
        (
            "export",
            maybe(&strict(&[(
                "state",
                words(&["wanted", "posting", "done", "uncertain", "refused"]),
            )])),
        ),
        ("cites", cites()),
    ])
}

fn case_list() -> Value {
    strict(&[
        ("cases", array(&json!({ "$ref": "#/components/schemas/Case" }))),
        ("next", maybe(&uuid())),
        (
            "counts",
            json!({ "type": "object", "additionalProperties": number() }),
        ),
        ("follow_ups_due", number()),
        ("partial", flag()),
    ])
}

fn file() -> Value {
    partly(
        &[
            ("file_id", text()),
            ("role", text()),
            ("original_name", text()),
            ("declared_media_type", text()),
            ("size", number()),
            ("sha256", hex(32)),
            ("sha512", hex(64)),
            (
                "scan",
                strict(&[
                    ("verdict", words(&["clean", "infected", "unscannable", "error"])),
                    ("detail", text()),
                    ("at", instant()),
                ]),
            ),
            ("late_item", maybe(&number())),
        ],
        &[
            ("group", text()),
            ("detected_media_type", text()),
            ("redacts", maybe(&text())),
        ],
    )
}

fn recipients() -> Value {
    strict(&[
        ("directory", any()),
        (
            "suggestions",
            array(&strict(&[
                ("member", text()),
                ("name", text()),
                ("with_node", maybe(&flag())),
                ("reason_german", text()),
                ("reason", text()),
            ])),
        ),
    ])
}

const STATES: [&str; 20] = [
    "DRAFT",
    "OFFERED",
    "ACCEPTING",
    "ACCEPTED",
    "PACKAGE_SENT",
    "PACKAGE_READY",
    "IMPORTED",
    "TAKEN_OVER",
    "CLOSED",
    "REFUSED",
    "WITHDRAWN",
    "EXPIRED",
    "DISPUTED",
    "RECLAIMING",
    "UNCONFIRMED",
    "RECLAIMED",
    "RECALLING",
    "RECALLED",
    "ENDED_BY_SENDER",
    "LAPSED",
];

fn transfer() -> Value {
    let package = strict(&[
        ("octets", number()),
        ("parts", number()),
        ("pulled", number()),
        ("here", number()),
    ]);
    let late = strict(&[
        ("item", number()),
        ("received_at", instant()),
        ("before_take_over", flag()),
        ("octets", number()),
        ("imported", flag()),
    ]);
    let message = |more: &[(&str, Value)]| {
        let first = [("seq", number()), ("kind", text()), ("at", instant())];
        strict(&[&first, more].concat())
    };
    partly(
        &[
            ("id", uuid()),
            ("short", text()),
            ("version", number()),
            ("party", words(&["sender", "receiver"])),
            ("peer", text()),
            ("state", words(&STATES)),
            ("responsibility", responsibility()),
            ("ended", flag()),
            ("case", maybe(&uuid())),
            ("unit", maybe(&text())),
            ("offer", json!({ "type": "object" })),
            ("offered_at", instant()),
            ("taken_over_at", maybe(&instant())),
            ("take_over_known_at", maybe(&instant())),
            ("clocks_apart", flag()),
            ("number", maybe(&text())),
            ("instance_number", maybe(&text())),
            ("package", maybe(&package)),
            ("import_problem", maybe(&text())),
            ("questions", array(&json!({ "type": "object" }))),
            ("late_items", array(&late)),
            ("suggestion", maybe(&text())),
            ("standing_rule", maybe(&text())),
            ("recalled", maybe(&text())),
            ("their_purge", maybe(&json!({ "type": "object" }))),
            ("our_purge", maybe(&json!({ "type": "object" }))),
            ("flags", array(&text())),
            ("cites", cites()),
        ],
        &[
            ("take_over_proof", maybe(&words(&["pending", "stamped"]))),
            ("overdue", array(&words(&["receipt_missing", "import_overdue"]))),
            (
                "sent",
                array(&message(&[(
                    "state",
                    strict(&[("state", words(&["waiting", "answered", "parked", "void"]))]),
                )])),
            ),
            (
                "received",
                array(&message(&[
                    ("receipt", json!({ "type": "object" })),
                    ("again", maybe(&text())),
                    ("elsewhere", flag()),
                ])),
            ),
        ],
    )
}

fn transfer_list() -> Value {
    strict(&[
        (
            "transfers",
            array(&json!({ "$ref": "#/components/schemas/Transfer" })),
        ),
        ("next", maybe(&uuid())),
    ])
}

fn disclosure() -> Value {
    strict(&[
        ("transfer", uuid()),
        ("case", maybe(&uuid())),
        ("number", maybe(&text())),
        ("applicant", maybe(&text())),
        ("to", text()),
        ("situation", text()),
        ("service", text()),
        ("offered_at", instant()),
        ("state", words(&STATES)),
        ("taken_over_at", maybe(&instant())),
        ("files", number()),
        ("octets", number()),
        ("flags", flags()),
        ("late_items", number()),
        ("manifest", hex(32)),
        ("their_purge", maybe(&json!({ "type": "object" }))),
        ("deleted_here_at", maybe(&instant())),
        ("cites", cites()),
    ])
}

fn handed_in() -> Value {
    strict(&[
        ("transactionId", text()),
        (
            "vorgang",
            strict(&[
                ("vorgangId", uuid()),
                ("vorgangNummer", text()),
                ("status", text()),
                ("statusSince", instant()),
            ]),
        ),
        ("known", flag()),
    ])
}
