mod parties;

use kontor_protocol::package::cover::Language;
use serde_json::{Value, json};

use super::*;
use crate::application::manifest::{Digest, File, Role};
use crate::round::contract::contract;
use crate::round::delivery::{CONTRACT, Receipt};
use crate::round::message::{Answer, Says};

const ID: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
const COUNTY: &str = "TEST/GOV/1057";
const TOWN: &str = "TEST/GOV/1057091";

fn table() -> &'static HolidayTable {
    HolidayTable::built_in()
}

/// The body of the document's example.
fn example(kind: &str) -> Value {
    let document: Value = serde_json::from_str(contract()).unwrap();
    let paths = document["paths"].as_object().unwrap();
    let (_, put) = paths
        .iter()
        .find(|(path, _)| path.ends_with(&format!("/{{seq}}/{kind}")))
        .unwrap();
    put["put"]["requestBody"]["content"]["application/json"]["example"].clone()
}

fn exchange(
    side: Side,
    seq: u32,
    heard: u32,
    at: &str,
    mut body: Value,
    after: u32,
    says: Option<Says>,
) -> Exchange {
    body["heard"] = heard.into();
    body["sent_at"] = at.into();
    let path = format!(
        "/v1/requests/{ID}/{}/{seq}/{}",
        side.name(),
        body["kind"].as_str().unwrap()
    );
    let body = body.to_string().into_bytes();
    let receipt = says.map(|says| Receipt {
        contract: CONTRACT.into(),
        message: path.clone(),
        sha256: Digest(kontor_pki::crypto::sha256(&body)),
        x_road_id: "q".into(),
        x_road_request_id: "r".into(),
        received_at: at.parse().unwrap(),
        proof_level: ProofLevel::Node,
        answer: Answer { after, says },
        detail: None,
        entry: None,
    });
    let (from, to) = match side {
        Side::Requester => (COUNTY, TOWN),
        Side::Participant => (TOWN, COUNTY),
    };
    Exchange {
        from: from.into(),
        to: to.into(),
        path,
        body,
        answer: receipt.map(|receipt| serde_json::to_vec(&receipt).unwrap()),
    }
}

fn delivered() -> Option<Says> {
    Some(Says::Delivered {
        delivered_at: "2025-12-31T09:04:00Z".parse().unwrap(),
    })
}

fn judged(in_time: bool) -> Option<Says> {
    Some(Says::Judged(Judgement {
        in_time,
        kept_beside: false,
    }))
}

/// The town of the sample case does not answer.
fn silence() -> Vec<Exchange> {
    // The first two were there before the participant said anything.
    let requester = |seq: u32, heard, at, body, says| {
        exchange(Side::Requester, seq, heard, at, body, u32::from(seq > 2), says)
    };
    let mut all = vec![
        requester(1, 0, "2025-12-31T09:03:58Z", example("request"), delivered()),
        requester(
            2,
            0,
            "2025-12-31T09:05:00Z",
            example("deadline"),
            Some(Says::Taken),
        ),
        exchange(
            Side::Participant,
            1,
            2,
            "2026-01-05T09:00:00Z",
            example("acknowledge"),
            2,
            Some(Says::Taken),
        ),
        requester(
            3,
            1,
            "2026-02-16T23:00:00Z",
            example("reminder"),
            Some(Says::Taken),
        ),
        requester(
            4,
            1,
            "2026-03-02T23:00:00Z",
            example("inquire"),
            Some(Says::Taken),
        ),
        requester(
            5,
            1,
            "2026-03-02T23:00:05Z",
            example("expired"),
            Some(Says::Taken),
        ),
    ];
    let mut part = all[0].clone();
    part.path = format!("/v1/bundles/{ID}/requester/1/0");
    (part.from, part.to) = (TOWN.into(), COUNTY.into());
    (part.body, part.answer) = (vec![], Some(vec![0; 10]));
    all.push(part);
    all
}

#[test]
fn the_messages_alone_say_who_was_asked_until_when_and_what_silence_meant() {
    let mut exchanges = silence();
    // However they lie in the package, and however often they were sent.
    exchanges.reverse();
    exchanges.push(exchanges[2].clone());
    let courses = replay(&exchanges, table());
    let [course] = &courses[..] else {
        panic!("{courses:?}")
    };
    assert_eq!(course.contradictions, Vec::<String>::new());
    assert_eq!(
        (course.requester.as_str(), course.participant.as_str()),
        (COUNTY, TOWN)
    );
    assert_eq!(
        (
            course.asked.as_ref().unwrap().profile.to_string().as_str(),
            course.asked.as_ref().unwrap().round_number,
            course.state
        ),
        ("BAUGB_36 (1)", 1, Some(State::Expired))
    );
    let silence = course.silence.unwrap();
    assert_eq!(silence.ended_at.to_string(), "2026-03-02T23:00:00Z");
    assert_eq!(
        (course.shown.len(), course.shown[0].pulled, course.shown[0].parts),
        (1, 1, 1)
    );
    let states: Vec<&str> = course
        .steps
        .iter()
        .filter_map(|step| step.state.map(State::name))
        .collect();
    assert_eq!(
        states,
        [
            "DELIVERED",
            "DELIVERED",
            "ACKNOWLEDGED",
            "ACKNOWLEDGED",
            "ACKNOWLEDGED",
            "EXPIRED"
        ]
    );
    let words = course.in_words(Language::German, table());
    for sentence in [
        "TEST/GOV/1057 fragt TEST/GOV/1057091",
        "Frist: 2 Monate, nicht verlängerbar. Bei Schweigen: Die Zustimmung gilt als erteilt.",
        "Zugegangen am 2025-12-31T09:04:00Z, am eigenen Knoten.",
        "Feiertage in SH nach Tabelle 2026-1; nachgerechnet.",
        "Stand: Frist abgelaufen (EXPIRED); Fristende 2026-03-02T23:00:00Z.",
        "Sonnabend, 28. Februar 2026 ist ein Sonnabend",
        "1 von 1 Teilen abgerufen",
        "Die Zustimmung gilt als erteilt. Der Knoten der beteiligten Stelle wurde am 2026-03-02T23:00:00Z gefragt und hatte nichts.",
    ] {
        assert!(words.contains(sentence), "{sentence}\n{words}");
    }
    assert!(
        course
            .in_words(Language::English, table())
            .contains("Consent is deemed given.")
    );
}

#[test]
fn what_was_entered_in_time_is_in_time_wherever_the_requester_was() {
    let mut exchanges = silence()[..3].to_vec();
    // Entered on 20 February, received in April.
    exchanges.push(exchange(
        Side::Participant,
        2,
        2,
        "2026-04-20T10:00:00Z",
        example("statement"),
        2,
        judged(true),
    ));
    let course = &replay(&exchanges, table())[0];
    assert_eq!(
        (&course.contradictions, course.state),
        (&vec![], Some(State::Submitted))
    );
    assert_eq!(course.versions.len(), 1);
    assert!(course.in_words(Language::German, table()).contains("rechtzeitig"));
    exchanges.pop();
    exchanges.push(exchange(
        Side::Participant,
        2,
        2,
        "2026-04-20T10:00:00Z",
        example("statement"),
        2,
        judged(false),
    ));
    let course = &replay(&exchanges, table())[0];
    assert!(course.contradictions[0].contains("judged as late"), "{course:?}");
}

#[test]
fn a_statement_that_was_taken_back_is_no_reason_to_keep_what_follows_beside() {
    let said = |seq, at: &str, mut body: Value, says| {
        body["entered_at"] = at.into();
        exchange(Side::Participant, seq, 2, at, body, 2, says)
    };
    let versions = |back: bool, kept_beside| {
        let mut exchanges = silence()[..3].to_vec();
        exchanges.push(said(
            2,
            "2026-02-20T10:00:00Z",
            example("statement"),
            judged(true),
        ));
        if back {
            let body = example("withdraw-statement");
            exchanges.push(said(3, "2026-02-21T10:00:00Z", body, Some(Says::Taken)));
        }
        let mut newer = example("statement");
        newer["version"] = 2.into();
        let judged = Says::Judged(Judgement {
            in_time: true,
            kept_beside,
        });
        let seq = if back { 4 } else { 3 };
        exchanges.push(said(seq, "2026-02-22T10:00:00Z", newer, Some(judged)));
        replay(&exchanges, table()).remove(0)
    };
    let beside = versions(true, true);
    assert!(
        beside.contradictions[0].contains("nothing was there before it"),
        "{beside:?}"
    );
    let counts = versions(true, false);
    assert_eq!(
        (counts.contradictions, counts.state),
        (vec![], Some(State::Submitted))
    );
    assert_eq!(versions(false, true).contradictions, Vec::<String>::new());
}

/// The node did not answer for a day, and a person recorded the expiry. Then everything came: that a statement had been entered, and
/// the statement.
fn crossing() -> Vec<Exchange> {
    let mut exchanges = silence();
    exchanges.truncate(4);
    let at = "2026-03-04T09:00:00Z";
    let mut expired = example("expired");
    expired["answered"] = false.into();
    expired["recorded_at"] = at.into();
    let inquire = exchange(
        Side::Requester,
        4,
        1,
        "2026-03-02T23:00:00Z",
        example("inquire"),
        2,
        Some(Says::Taken),
    );
    let expired = exchange(Side::Requester, 5, 1, at, expired, 2, Some(Says::Taken));
    let statement = exchange(
        Side::Participant,
        2,
        3,
        "2026-02-20T10:00:00Z",
        example("statement"),
        5,
        judged(true),
    );
    exchanges.extend([inquire, expired, statement]);
    exchanges
}

#[test]
fn an_expiry_that_crossed_a_timely_statement_does_not_hold_and_the_order_is_the_requesters() {
    let exchanges = crossing();
    let course = &replay(&exchanges, table())[0];
    assert_eq!(course.contradictions, Vec::<String>::new());
    assert_eq!((course.state, course.silence), (Some(State::Submitted), None));
    assert_eq!(
        course.steps.last().unwrap().kind,
        "statement",
        "by its clock it came first"
    );
}

/// The exchanges with one message changed; its receipt is about it as it is now, as if both sides had signed it like that.
fn changed(mut exchanges: Vec<Exchange>, at: usize, change: &dyn Fn(&mut Value)) -> Vec<Exchange> {
    let exchange = &mut exchanges[at];
    let mut body: Value = serde_json::from_slice(&exchange.body).unwrap();
    change(&mut body);
    exchange.body = body.to_string().into_bytes();
    if let Some(answer) = &exchange.answer {
        let mut receipt: Receipt = serde_json::from_slice(answer).unwrap();
        receipt.sha256 = Digest(kontor_pki::crypto::sha256(&exchange.body));
        exchange.answer = Some(serde_json::to_vec(&receipt).unwrap());
    }
    exchanges
}

#[test]
fn what_is_not_here_is_missing_and_contradicts_nothing() {
    let without = |exchanges: Vec<Exchange>, missing: &[&str]| {
        let course = &replay(&exchanges, table())[0];
        assert_eq!(course.contradictions, Vec::<String>::new());
        assert_eq!(course.missing, missing);
        assert_eq!(
            (course.state, course.silence),
            (None, None),
            "nothing is concluded from the rest"
        );
        assert_eq!(
            course.steps.len(),
            exchanges
                .iter()
                .filter(|one| !one.path.contains("bundles"))
                .count()
        );
    };
    for (place, receipt) in [
        (0, "the receipt of message 1 of the requester (request)"),
        (4, "the receipt of message 4 of the requester (inquire)"),
    ] {
        let mut exchanges = silence();
        exchanges[place].answer = None;
        without(exchanges, &[receipt]);
    }
    for (place, message) in [
        (0, "message 1 of the requester"),
        (2, "message 1 of the participant"),
        (3, "message 3 of the requester"),
    ] {
        let mut exchanges = silence();
        exchanges.remove(place);
        without(exchanges, &[message]);
    }
    // The requester has signed that it had decided one more; it is on its way.
    let mut exchanges = silence()[..3].to_vec();
    exchanges[2] = exchange(
        Side::Participant,
        1,
        2,
        "2026-01-05T09:00:00Z",
        example("acknowledge"),
        3,
        Some(Says::Taken),
    );
    without(exchanges, &["message 3 of the requester"]);
    // The last message of each side may be on its way: that is how it stands.
    let mut exchanges = silence();
    (exchanges[2].answer, exchanges[5].answer) = (None, None);
    let course = &replay(&exchanges, table())[0];
    assert_eq!(
        (&course.contradictions, &course.missing),
        (&vec![], &Vec::<String>::new())
    );
    assert_eq!(course.state, Some(State::Expired));
    assert!(
        course
            .in_words(Language::German, table())
            .contains("OHNE Empfangsbestätigung")
    );
    // A delivery that was proven otherwise than by the receipt is not in this evidence.
    let mut exchanges = silence();
    exchanges[0] = exchange(
        Side::Requester,
        1,
        0,
        "2025-12-31T09:03:58Z",
        example("request"),
        0,
        Some(Says::Taken),
    );
    let course = &replay(&exchanges, table())[0];
    assert!(
        course.missing[0].contains("the proof of the delivery"),
        "{course:?}"
    );
}

#[test]
fn two_sides_that_put_their_messages_into_two_orders_contradict_each_other() {
    let receipt = |exchange: &mut Exchange, change: &dyn Fn(&mut Receipt)| {
        let mut receipt: Receipt = serde_json::from_slice(exchange.answer.as_deref().unwrap()).unwrap();
        change(&mut receipt);
        exchange.answer = Some(serde_json::to_vec(&receipt).unwrap());
    };
    // The requester has taken the acknowledgement before it told the deadline, and says of the reminder that it had not.
    let mut earlier = silence();
    receipt(&mut earlier[2], &|receipt| receipt.answer.after = 1);
    // The participant answers the reminder as if it had said nothing before.
    let mut unsaid = silence();
    receipt(&mut unsaid[3], &|receipt| receipt.answer.after = 0);
    let heard_less = changed(silence(), 5, &|body| body["heard"] = 0.into());
    for exchanges in [earlier, unsaid, heard_less] {
        let course = &replay(&exchanges, table())[0];
        assert!(
            course
                .contradictions
                .iter()
                .any(|text| text.contains("by the receipts")),
            "{course:?}"
        );
    }
    // Time went back.
    let back = changed(silence(), 4, &|body| {
        body["sent_at"] = "2026-02-16T22:58:00Z".into()
    });
    let course = &replay(&back, table())[0];
    assert!(
        course.contradictions[0].contains("before that of what came before it"),
        "{course:?}"
    );
}

#[test]
fn nothing_is_entered_before_an_end_for_which_the_node_has_answered() {
    let mut exchanges = silence();
    exchanges.push(exchange(
        Side::Participant,
        2,
        5,
        "2026-03-03T10:00:00Z",
        example("statement"),
        5,
        judged(true),
    ));
    let course = &replay(&exchanges, table())[0];
    assert!(
        course
            .contradictions
            .iter()
            .any(|text| text.contains("the node had answered")),
        "{course:?}"
    );
}

#[test]
fn what_could_not_have_been_is_a_contradiction() {
    let found = |exchanges: &[Exchange], says: &str| {
        let course = &replay(exchanges, table())[0];
        let told = course.contradictions.iter().any(|text| text.contains(says));
        assert!(told, "{says}: {:?}", course.contradictions);
    };
    let changed = |at: usize, change: &dyn Fn(&mut Value)| changed(silence(), at, change);
    // Nobody was asked; it was not delivered; another effect; another end.
    let mut unasked = silence();
    unasked.remove(4);
    unasked[4].path = unasked[4].path.replace("/5/", "/4/");
    unasked[4].answer = None;
    found(&unasked, "was not asked");
    let mut early = crossing();
    early = self::changed(early, 5, &|body| {
        body["recorded_at"] = "2026-03-03T22:59:59Z".into()
    });
    found(&early, "the 24 hours");
    found(
        &changed(5, &|body| body["effect"] = "ASSUME_NO_OBJECTION".into()),
        "another effect",
    );
    found(
        &changed(5, &|body| body["ended_at"] = "2026-03-01T23:00:00Z".into()),
        "no deadline that was told",
    );
    // A deadline that is not what its rule gives, or begins too early.
    found(
        &changed(1, &|body| {
            body["deadline"]["ends_at"] = "2026-02-28T23:00:00Z".into()
        }),
        "by its rule it ends at 2026-03-02T23:00:00Z",
    );
    found(
        &changed(1, &|body| {
            body["deadline"]["trigger"] = "2025-12-30T09:04:00Z".into()
        }),
        "before the delivery",
    );
    found(
        &changed(1, &|body| body["deadline"]["rule"]["n"] = 3.into()),
        "its rule is not that of the request",
    );
    // A message is of the wrong side, or its receipt is about another one.
    let mut turned = silence();
    turned[3].path = turned[3].path.replace("requester/3", "participant/2");
    (turned[3].from, turned[3].to) = (TOWN.into(), COUNTY.into());
    turned[3].answer = None;
    found(&turned, "not for the participant to say");
    let mut other = silence();
    other[1].answer.clone_from(&silence()[3].answer);
    found(&other, "about another message");
    // It named something that is not here.
    let mut named = silence();
    named[4] = exchange(
        Side::Requester,
        4,
        1,
        "2026-03-02T23:00:00Z",
        example("inquire"),
        2,
        Some(Says::Taken),
    );
    found(&named, "named messages that were not there");
    // Refused although it fits.
    let mut refused = silence();
    refused[2] = exchange(
        Side::Participant,
        1,
        2,
        "2026-01-05T09:00:00Z",
        example("acknowledge"),
        2,
        Some(Says::Refused {
            stands: State::Delivered,
        }),
    );
    found(&refused, "it was refused, and fits");
}

#[test]
fn the_files_that_were_shown_are_named_while_the_manifest_is_there() {
    let file = File::of(
        "f-1".into(),
        Role::Attachment,
        "Lageplan.pdf".into(),
        "application/pdf".into(),
        b"x",
    );
    let manifest = Manifest::new(vec![file], [1; 32]).unwrap();
    let (bytes, digest) = manifest.bytes().unwrap();
    let mut exchanges = silence();
    let mut request: Value = serde_json::from_slice(&exchanges[0].body).unwrap();
    request["request"]["bundle"] =
        json!({ "manifest": digest, "manifest_octets": bytes.len(), "octets": bytes.len() + 1 });
    exchanges[0] = exchange(
        Side::Requester,
        1,
        0,
        "2025-12-31T09:03:58Z",
        request,
        0,
        delivered(),
    );
    exchanges[6].answer = Some([&bytes[..], b"x"].concat());
    let course = &replay(&exchanges, table())[0];
    assert_eq!(
        course.shown[0].files,
        [("f-1".to_owned(), "Lageplan.pdf".to_owned())]
    );
    assert!(
        course
            .in_words(Language::English, table())
            .contains("f-1  Lageplan.pdf")
    );
}
