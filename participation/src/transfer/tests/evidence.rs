//! The replay and the oracle over what the simulation leaves in the logs of both nodes.

use std::collections::BTreeMap;

use kontor_oracle as oracle;
use serde_json::{Value, json};

use super::*;
use crate::application::manifest::Digest;
use crate::transfer::delivery::{CONTRACT, Party, Place, Receipt};
use crate::transfer::offer::Id;
use crate::transfer::replay::{Course, Exchange, replay};

/// Procedures that are simulated.
const PROCEDURES: usize = 2_000;

const ID: &str = "3f2504e0-4f89-41d3-9a0c-0305e82c3301";
const A: &str = "TEST/GOV/1001";
const B: &str = "TEST/GOV/1002";
const FILES: u64 = 5;

/// What a transfer is about, and what the sides of the simulation say of it.
struct Wire {
    situation: &'static str,
    clocks: Clocks,
}

impl Wire {
    fn offer(&self) -> Value {
        let ends_at = self.clocks.answer_wanted_by;
        json!({
            "transfer_id": ID, "application_id": "4f2504e0-4f89-41d3-9a0c-0305e82c3301", "situation": self.situation,
            "service": "99102013104000", "region": "010585890008", "first_received_at": start() - 20.hours(),
            "running_deadlines": [
                { "effective_end": "2026-01-12", "ends_at": "2026-01-12T23:00:00Z", "silence_effect": "NONE" },
            ],
            "files": 1, "octets": FILES, "flags": {}, "take_over_until": self.clocks.take_over_until,
            "manifest": "0".repeat(64), "test": true,
            "answer_wanted_by": {
                "rule": { "kind": "until", "date": "2026-01-05" }, "trigger": "2026-01-05T08:00:00Z",
                "place": { "land": "SH" }, "zone": "Europe/Berlin", "holidays": "2026-1", "raw_end": null,
                "effective_end": "2026-01-05", "ends_at": ends_at, "steps": [],
            },
        })
    }

    fn body(&self, message: Message) -> Value {
        let zeros = "0".repeat(64);
        let nowhere = json!({
            "node": "done", "message_log": "never_there", "folder_drop": "never_there", "instance": "never_there",
            "archives": "never_there",
        });
        let more = match message {
            Message::Offer(_) => json!({ "offer": self.offer() }),
            Message::Refuse { reason } => json!({ "reason": reason }),
            Message::Package { take_over_until } => json!({
                "take_over_until": take_over_until, "manifest": zeros, "manifest_octets": 7, "octets": 7 + FILES,
            }),
            Message::ImportResult { complete } => json!({ "complete": complete, "files": [] }),
            Message::TakenOver { at } => json!({ "at": at, "manifest": zeros, "case_number": "N-1" }),
            Message::Recall => json!({ "reason": "WRONG_RECIPIENT" }),
            Message::RecallResult { purged } => json!({ "purged": purged, "statement": nowhere }),
            Message::Query => json!({ "question": "WHY_US" }),
            Message::Answer => json!({ "answer": "YES" }),
            Message::LateItem => json!({
                "received_at": start(), "before_take_over": false, "manifest": zeros, "manifest_octets": 7, "octets": 12,
            }),
            Message::Number => json!({ "case_number": "N-2" }),
            Message::Purged => json!({ "statement": nowhere }),
            Message::Withdraw | Message::Expire | Message::Accept | Message::Dispute | Message::Reclaim => {
                json!({})
            }
        };
        let mut body = more;
        body["kind"] = message.kind().into();
        body
    }

    /// A message as its sender has it in its log, without an answer.
    fn exchange(&self, side: usize, number: usize, (at, message): (Timestamp, Message)) -> Exchange {
        let mut body = self.body(message);
        body["contract"] = CONTRACT.into();
        body["sent_at"] = at.to_string().into();
        body["test"] = true.into();
        let (party, from, to) = match side {
            S => (Party::Sender, A, B),
            _ => (Party::Receiver, B, A),
        };
        let place = Place::Message {
            transfer: Id::try_from(ID.to_owned()).unwrap(),
            party,
            seq: u32::try_from(number + 1).unwrap(),
            kind: message.kind().to_owned(),
        };
        Exchange {
            from: from.to_owned(),
            to: to.to_owned(),
            path: place.to_string(),
            body: body.to_string().into_bytes(),
            answer: None,
        }
    }
}

/// The receipt of a message.
fn receipt(exchange: &Exchange, received_at: Timestamp, answer: Answer) -> Vec<u8> {
    let receipt = Receipt {
        contract: CONTRACT.to_owned(),
        message: exchange.path.clone(),
        sha256: Digest(kontor_pki::crypto::sha256(&exchange.body)),
        x_road_id: "q".to_owned(),
        x_road_request_id: "r".to_owned(),
        received_at,
        answer,
        detail: None,
        entry: None,
    };
    serde_json::to_vec(&receipt).unwrap()
}

/// What lies in the logs of the two nodes.
fn logs(world: &World, situation: &'static str) -> [Vec<Exchange>; 2] {
    let wire = Wire {
        situation,
        clocks: clocks(),
    };
    let mut logs = [Vec::new(), Vec::new()];
    for attempt in &world.attempts {
        let said = world.said[attempt.by][attempt.number];
        let exchange = wire.exchange(attempt.by, attempt.number, said);
        let answered = attempt.answer.map(|(at, answer)| Exchange {
            answer: Some(receipt(&exchange, at, answer)),
            ..exchange.clone()
        });
        let here = answered.clone().filter(|_| attempt.returned);
        logs[attempt.by].push(here.unwrap_or_else(|| exchange.clone()));
        if attempt.arrived {
            logs[1 - attempt.by].push(answered.unwrap_or(exchange));
        }
    }
    logs
}

fn opinion(exchanges: &[Exchange]) -> oracle::Opinion {
    let exchanges: Vec<oracle::Exchange> = exchanges
        .iter()
        .map(|exchange| oracle::Exchange {
            from: exchange.from.clone(),
            to: exchange.to.clone(),
            path: exchange.path.clone(),
            body: exchange.body.clone(),
            answer: exchange.answer.clone(),
        })
        .collect();
    let [opinion] = oracle::opinions(&exchanges).try_into().unwrap();
    opinion
}

fn course(exchanges: &[Exchange]) -> Course {
    let [course] = replay(exchanges).try_into().unwrap();
    course
}

/// What the two say differently.
fn disagreement(course: &Course, opinion: &oracle::Opinion) -> Option<String> {
    let is_sound = course.contradictions.is_empty() && course.missing.is_empty();
    if is_sound != opinion.is_sound() || course.missing.is_empty() != opinion.missing.is_empty() {
        return Some(format!("{course:#?}\n{opinion:#?}"));
    }
    if !is_sound {
        return None;
    }
    let terms = course
        .responsible
        .iter()
        .map(|term| (term.from, term.until, term.member.as_str()));
    let theirs = opinion
        .responsible
        .iter()
        .map(|term| (term.from, term.until, term.member.as_str()));
    let ending = serde_json::to_value(course.ending).unwrap();
    let unconfirmed = course.steps.iter().filter(|step| !step.receipt).count();
    let agree = terms.eq(theirs)
        && ending == opinion.ending.name()
        && unconfirmed == opinion.unconfirmed.len()
        && course.transfer == opinion.transfer;
    (!agree).then(|| format!("{course:#?}\n{opinion:#?}"))
}

fn situation(moves: Moves, place: usize) -> &'static str {
    match moves {
        Moves::Responsibility => ["MISDIRECTED", "COMPETENCE_CHANGED", "MIGRATION"][place % 3],
        Moves::Work => "DELEGATION",
        Moves::Nothing => "COPY",
    }
}

/// Simulated procedures, each with its situation. Some come to their end, some are looked at under way.
fn procedures(count: usize) -> impl Iterator<Item = (World, &'static str)> {
    let mut runner = TestRunner::deterministic();
    (0..count).map(move |place| {
        let moves = moves().new_tree(&mut runner).unwrap().current();
        let ops = ops().new_tree(&mut runner).unwrap().current();
        let mut world = World::new(None, moves);
        world.tick = [[0, 0], [1, 1], [1, 3], [0, 7]][place / 4 % 4];
        // Clocks that never were the same.
        world.now[R] += [0, -50, 35, 0][place / 16 % 4].minutes();
        assert_eq!(world.run(&ops), Ok(()));
        match place % 4 {
            0 | 1 => assert_eq!(world.settle(true), Ok(())),
            2 => assert_eq!(world.settle(false), Ok(())),
            _ => {}
        }
        (world, situation(moves, place))
    })
}

#[test]
fn the_oracle_agrees_on_every_simulated_procedure_from_either_log_and_from_both() {
    let (mut endings, mut situations, mut judged) = (BTreeMap::new(), BTreeMap::new(), 0);
    for (place, (world, situation)) in procedures(PROCEDURES).enumerate() {
        let [here, there] = logs(&world, situation);
        let both = [here.clone(), there.clone()].concat();
        for (view, exchanges) in [("both", both), ("the sender", here), ("the receiver", there)] {
            if exchanges.is_empty() {
                continue;
            }
            let (course, opinion) = (course(&exchanges), opinion(&exchanges));
            assert!(
                course.contradictions.is_empty() && course.missing.is_empty() && opinion.is_sound(),
                "procedure {place}, evidence of {view}: {course:#?}\n{opinion:#?}"
            );
            assert_eq!(
                disagreement(&course, &opinion),
                None,
                "procedure {place}, evidence of {view}"
            );
            judged += 1;
            if view == "both" {
                *endings.entry(opinion.ending).or_insert(0) += 1;
                *situations.entry(situation).or_insert(0) += 1;
            }
        }
    }
    println!("{PROCEDURES} procedures, {judged} sets of evidence; {endings:?}; {situations:?}");
    assert_eq!(endings.len(), 10, "{endings:?}");
    assert!(endings.values().all(|count| *count >= 10), "{endings:?}");
    assert_eq!(situations.len(), 5, "{situations:?}");
}

/// The exchanges with one message changed; its receipts are about it as it is now, as if both sides had signed it like that.
fn with(
    exchanges: &[Exchange],
    kind: &str,
    change: impl Fn(&mut Value, Option<&mut Value>),
) -> Vec<Exchange> {
    let mut exchanges = exchanges.to_vec();
    for exchange in of(&mut exchanges, kind) {
        let mut body: Value = serde_json::from_slice(&exchange.body).unwrap();
        let mut answer: Option<Value> = exchange
            .answer
            .as_ref()
            .map(|answer| serde_json::from_slice(answer).unwrap());
        change(&mut body, answer.as_mut());
        exchange.body = body.to_string().into_bytes();
        if let Some(answer) = &mut answer {
            let digest = Digest(kontor_pki::crypto::sha256(&exchange.body));
            answer["sha256"] = serde_json::to_value(digest).unwrap();
        }
        exchange.answer = answer.map(|answer| answer.to_string().into_bytes());
    }
    exchanges
}

fn of<'a>(exchanges: &'a mut [Exchange], kind: &str) -> impl Iterator<Item = &'a mut Exchange> {
    let end = format!("/{kind}");
    exchanges
        .iter_mut()
        .filter(move |exchange| exchange.path.ends_with(&end))
}

/// What somebody may do to evidence.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Fault {
    InstantMoved,
    InstantMovedBySigner,
    TakenOverTooLate,
    OtherManifestTakenOver,
    OtherManifestSent,
    MorePackageThanOffered,
    TimeBeyondADeadline,
    PartiesSwapped,
    AcceptanceMissing,
    OfferMissing,
    AcceptanceRefused,
    TakeOverRefused,
    ReceiptOfAnother,
    TwoWithOneNumber,
    OfferOfAnother,
    RefusedAfterTakeOver,
    ImportFailed,
    ACopyTakenOver,
}

const FAULTS: [Fault; 18] = [
    Fault::InstantMoved,
    Fault::InstantMovedBySigner,
    Fault::TakenOverTooLate,
    Fault::OtherManifestTakenOver,
    Fault::OtherManifestSent,
    Fault::MorePackageThanOffered,
    Fault::TimeBeyondADeadline,
    Fault::PartiesSwapped,
    Fault::AcceptanceMissing,
    Fault::OfferMissing,
    Fault::AcceptanceRefused,
    Fault::TakeOverRefused,
    Fault::ReceiptOfAnother,
    Fault::TwoWithOneNumber,
    Fault::OfferOfAnother,
    Fault::RefusedAfterTakeOver,
    Fault::ImportFailed,
    Fault::ACopyTakenOver,
];

impl Fault {
    fn done_to(self, sound: &[Exchange]) -> Vec<Exchange> {
        let ones = "1".repeat(64);
        let mut exchanges = sound.to_vec();
        let refused = |_: &mut Value, answer: Option<&mut Value>| {
            if let Some(answer) = answer {
                answer["answer"] = "refused".into();
                answer["stands"] = json!({ "stands": "ended" });
            }
        };
        match self {
            Self::InstantMoved => {
                for exchange in of(&mut exchanges, "taken-over") {
                    let mut body: Value = serde_json::from_slice(&exchange.body).unwrap();
                    body["at"] = (start() - 1.second()).to_string().into();
                    exchange.body = body.to_string().into_bytes();
                }
                exchanges
            }
            Self::InstantMovedBySigner => with(sound, "taken-over", |body, _| {
                body["at"] = (start() - 3.hours()).to_string().into();
            }),
            Self::TakenOverTooLate => with(sound, "taken-over", |body, _| {
                let late = (package() + 1.second()).to_string();
                body["at"] = late.clone().into();
                body["sent_at"] = late.into();
            }),
            Self::OtherManifestTakenOver => with(sound, "taken-over", |body, _| {
                body["manifest"] = ones.clone().into();
            }),
            Self::OtherManifestSent => {
                with(sound, "package", |body, _| body["manifest"] = ones.clone().into())
            }
            Self::MorePackageThanOffered => with(sound, "package", |body, _| body["octets"] = 99.into()),
            Self::TimeBeyondADeadline => with(sound, "package", |body, _| {
                body["take_over_until"] = "2026-01-13T00:00:00Z".into();
            }),
            Self::PartiesSwapped => {
                for exchange in of(&mut exchanges, "taken-over").take(1) {
                    std::mem::swap(&mut exchange.from, &mut exchange.to);
                }
                exchanges
            }
            Self::AcceptanceMissing => {
                exchanges.retain(|exchange| !exchange.path.ends_with("/accept"));
                exchanges
            }
            Self::OfferMissing => {
                exchanges.retain(|exchange| !exchange.path.ends_with("/offer"));
                exchanges
            }
            Self::AcceptanceRefused => with(sound, "accept", refused),
            Self::TakeOverRefused => with(sound, "taken-over", refused),
            Self::ReceiptOfAnother => {
                let other = of(&mut exchanges, "offer").find_map(|exchange| exchange.answer.clone());
                for exchange in of(&mut exchanges, "taken-over") {
                    exchange.answer.clone_from(&other);
                }
                exchanges
            }
            Self::TwoWithOneNumber => {
                let changed = with(sound, "taken-over", |body, _| body["case_number"] = "N-9".into());
                [exchanges, changed].concat()
            }
            Self::OfferOfAnother => with(sound, "offer", |body, _| {
                body["offer"]["transfer_id"] = "4f2504e0-4f89-41d3-9a0c-0305e82c3301".into();
            }),
            Self::RefusedAfterTakeOver => {
                let number = |exchange: &Exchange| -> u32 {
                    let mut pieces = exchange.path.split('/').skip(5);
                    pieces.next().unwrap().parse().unwrap()
                };
                let receivers = exchanges.iter().filter(|exchange| exchange.from == B);
                let next = receivers.clone().map(number).max().unwrap() as usize;
                let last = receivers.filter_map(|exchange| {
                    let body: Value = serde_json::from_slice(&exchange.body).unwrap();
                    body["sent_at"].as_str()?.parse::<Timestamp>().ok()
                });
                let refusal = Message::Refuse {
                    reason: RefusalReason::Other,
                };
                let wire = Wire {
                    situation: "MISDIRECTED",
                    clocks: clocks(),
                };
                let refusal = wire.exchange(R, next, (last.max().unwrap(), refusal));
                exchanges.push(refusal);
                exchanges
            }
            Self::ImportFailed => with(sound, "import-result", |body, _| body["complete"] = false.into()),
            Self::ACopyTakenOver => with(sound, "offer", |body, _| {
                body["offer"]["situation"] = "COPY".into()
            }),
        }
    }
}

/// Evidence of procedures that ended with a take-over, from both logs.
fn taken_over() -> impl Iterator<Item = Vec<Exchange>> {
    procedures(PROCEDURES / 2)
        .map(|(world, situation)| logs(&world, situation).concat())
        .filter(|exchanges| {
            exchanges
                .iter()
                .any(|exchange| exchange.path.ends_with("/taken-over") && exchange.answer.is_some())
        })
}

#[test]
fn what_is_done_to_evidence_is_seen_by_the_replay_and_by_the_oracle() {
    let mut seen: BTreeMap<Fault, usize> = BTreeMap::new();
    for sound in taken_over() {
        for fault in FAULTS {
            let exchanges = fault.done_to(&sound);
            let (course, opinion) = (course(&exchanges), opinion(&exchanges));
            assert!(
                !(course.contradictions.is_empty() && course.missing.is_empty()),
                "{fault:?} is not seen by the replay: {course:#?}"
            );
            assert!(
                !opinion.is_sound(),
                "{fault:?} is not seen by the oracle: {opinion:#?}"
            );
            assert_eq!(disagreement(&course, &opinion), None, "{fault:?}");
            *seen.entry(fault).or_default() += 1;
        }
        // Without its receipt a take-over holds from its instant on, and both say that it is unconfirmed.
        let mut unconfirmed = sound.clone();
        for exchange in of(&mut unconfirmed, "taken-over") {
            exchange.answer = None;
        }
        let (course, opinion) = (course(&unconfirmed), opinion(&unconfirmed));
        assert!(
            opinion
                .unconfirmed
                .iter()
                .any(|message| message.ends_with("/taken-over"))
        );
        assert!(
            course
                .steps
                .iter()
                .any(|step| step.kind == "taken-over" && !step.receipt)
        );
        assert_eq!(disagreement(&course, &opinion), None);
    }
    assert_eq!(seen.len(), FAULTS.len());
    assert!(seen.values().all(|count| *count >= 50), "{seen:?}");
}

#[test]
fn a_wrong_opinion_of_the_replay_is_a_disagreement() {
    for sound in taken_over().take(50) {
        let (right, opinion) = (course(&sound), opinion(&sound));
        assert_eq!(disagreement(&right, &opinion), None);
        let wrong = |change: &dyn Fn(&mut Course)| {
            let mut course = right.clone();
            change(&mut course);
            assert!(disagreement(&course, &opinion).is_some(), "{course:#?}");
        };
        // The instant is another one, by the least that an instant can differ.
        wrong(&|course| course.responsible[0].from += 1.nanoseconds());
        if right.responsible.len() == 2 {
            wrong(&|course| course.responsible[1].from += 1.nanoseconds());
            // It never moved.
            wrong(&|course| {
                course.responsible.pop();
                course.responsible[0].until = None;
            });
            // The other one had it.
            wrong(&|course| course.responsible.reverse());
        }
        wrong(&|course| course.responsible[0].member = B.to_owned());
        wrong(&|course| course.ending = replay::Ending::Refused);
        wrong(&|course| course.contradictions.push("nothing of it is true".to_owned()));
        wrong(&|course| course.missing.push("message 9 of the sender".to_owned()));
        wrong(&|course| course.steps[0].receipt = !course.steps[0].receipt);
        // Contradictions that the replay overlooks.
        let faulty = Fault::TakenOverTooLate.done_to(&sound);
        let mut overlooked = course(&faulty);
        overlooked.contradictions.clear();
        assert!(disagreement(&overlooked, &self::opinion(&faulty)).is_some());
    }
}
