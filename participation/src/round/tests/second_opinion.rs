//! The replay and the oracle over what the simulation leaves in the logs of both nodes.

use std::collections::BTreeMap;

use kontor_oracle as oracle;
use serde_json::Value;

use super::super::replay::{Course, replay};
use super::super::state::State;
use super::evidence::{PROCEDURES, logs, procedures};
use super::*;
use crate::application::manifest::Digest;
use crate::transfer::replay::Exchange;

fn opinions(exchanges: &[Exchange]) -> Vec<oracle::participation::Opinion> {
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
    oracle::participation::opinions(&exchanges)
}

fn opinion(exchanges: &[Exchange]) -> oracle::participation::Opinion {
    let [opinion] = opinions(exchanges).try_into().unwrap();
    opinion
}

fn course(exchanges: &[Exchange]) -> Course {
    let [course] = replay(exchanges, HolidayTable::built_in()).try_into().unwrap();
    course
}

fn is_sound(course: &Course) -> bool {
    course.contradictions.is_empty() && course.missing.is_empty()
}

/// What the two say differently.
fn disagreement(course: &Course, opinion: &oracle::participation::Opinion) -> Option<String> {
    let both = || Some(format!("{course:#?}\n{opinion:#?}"));
    if is_sound(course) != opinion.is_sound() || course.missing.is_empty() != opinion.missing.is_empty() {
        return both();
    }
    if !is_sound(course) {
        return None;
    }
    let versions = course
        .versions
        .iter()
        .map(|version| oracle::participation::Version {
            entered_at: version.entered_at,
            in_time: version.judgement.in_time,
            kept_beside: version.judgement.kept_beside,
            withdrawn_at: version.withdrawn_at,
        });
    let silence = course.silence.map(|silence| oracle::participation::Silence {
        ended_at: silence.ended_at,
        effect: serde_json::to_value(silence.effect)
            .unwrap()
            .as_str()
            .unwrap()
            .to_owned(),
        answered: silence.answered,
    });
    let unconfirmed = course.steps.iter().filter(|step| !step.receipt).count();
    let agree = course.state.map(State::name) == opinion.state
        && course.ends_at == opinion.ends_at
        && versions.eq(opinion.versions.iter().copied())
        && silence == opinion.silence
        && unconfirmed == opinion.unconfirmed.len()
        && (&course.request, &course.requester, &course.participant)
            == (&opinion.request, &opinion.requester, &opinion.participant);
    if agree { None } else { both() }
}

#[test]
fn the_oracle_agrees_on_every_simulated_procedure_from_either_log_and_from_both() {
    let (mut states, mut judged, mut incomplete) = (BTreeMap::new(), 0, 0);
    for (place, (world, settled)) in procedures(PROCEDURES).enumerate() {
        let [here, there] = logs(&world);
        let both = [here.clone(), there.clone()].concat();
        for (view, exchanges) in [
            ("both", both),
            ("the requester", here),
            ("the participant", there),
        ] {
            if exchanges.is_empty() {
                continue;
            }
            let (course, opinion) = (course(&exchanges), opinion(&exchanges));
            assert_eq!(
                disagreement(&course, &opinion),
                None,
                "procedure {place}, evidence of {view}"
            );
            assert_eq!(
                course.contradictions,
                Vec::<String>::new(),
                "procedure {place}, evidence of {view}: {course:#?}"
            );
            // What is looked at under way may lack what is on its way, and nothing else.
            assert!(is_sound(&course) || !settled, "{course:#?}");
            judged += 1;
            incomplete += usize::from(!is_sound(&course));
            if view == "both" {
                *states.entry(opinion.state).or_insert(0) += 1;
            }
        }
    }
    println!("{PROCEDURES} procedures, {judged} sets of evidence, {incomplete} incomplete; {states:?}");
    assert!(incomplete * 10 < judged, "{incomplete} of {judged}");
    // Those that were sent, each often enough.
    let often = states
        .iter()
        .filter(|(state, count)| state.is_some() && **count >= 10);
    assert!(often.count() >= 12, "{states:?}");
}

/// The exchanges with one message changed; its receipts are about it as it is now, as if both sides had signed it like that.
fn with(
    exchanges: &[Exchange],
    kind: &str,
    change: impl Fn(&mut Value, Option<&mut Value>),
) -> Vec<Exchange> {
    let mut exchanges = exchanges.to_vec();
    let Some(path) = first(&exchanges, kind).map(|exchange| exchange.path.clone()) else {
        return exchanges;
    };
    for exchange in exchanges.iter_mut().filter(|exchange| exchange.path == path) {
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

fn first<'a>(exchanges: &'a [Exchange], kind: &str) -> Option<&'a Exchange> {
    let end = format!("/{kind}");
    exchanges.iter().find(|exchange| exchange.path.ends_with(&end))
}

/// An instant of a body, moved.
fn moved(value: &Value, by: jiff::SignedDuration) -> Value {
    let at: Timestamp = value.as_str().unwrap().parse().unwrap();
    (at + by).to_string().into()
}

/// What somebody may do to evidence.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Fault {
    AnotherDeadline,
    AnotherEffect,
    AnotherEnd,
    AnotherMemberSpeaks,
    AnotherTookOver,
    AnotherRequest,
    AnotherRule,
    DeadlineBeforeDelivery,
    Doubled,
    EnteredBeforeItWasThere,
    ExpiryBeforeTheEnd,
    FirstMessageMissing,
    JudgedTheOtherWay,
    KeptBeside,
    NamedMore,
    NotAsked,
    OrderSwapped,
    ReceiptMissing,
    ReceiptOfAnother,
    RefusedWhereItFits,
    SilenceWithoutDelivery,
    StatementMissing,
    TakenBackTwice,
    TimeWentBack,
    TooEarlyWithoutAnswer,
}

const FAULTS: [Fault; 25] = [
    Fault::AnotherDeadline,
    Fault::AnotherEffect,
    Fault::AnotherEnd,
    Fault::AnotherMemberSpeaks,
    Fault::AnotherTookOver,
    Fault::AnotherRequest,
    Fault::AnotherRule,
    Fault::DeadlineBeforeDelivery,
    Fault::Doubled,
    Fault::EnteredBeforeItWasThere,
    Fault::ExpiryBeforeTheEnd,
    Fault::FirstMessageMissing,
    Fault::JudgedTheOtherWay,
    Fault::KeptBeside,
    Fault::NamedMore,
    Fault::NotAsked,
    Fault::OrderSwapped,
    Fault::ReceiptMissing,
    Fault::ReceiptOfAnother,
    Fault::RefusedWhereItFits,
    Fault::SilenceWithoutDelivery,
    Fault::StatementMissing,
    Fault::TakenBackTwice,
    Fault::TimeWentBack,
    Fault::TooEarlyWithoutAnswer,
];

impl Fault {
    /// The message that it is done to.
    const fn needs(self) -> &'static str {
        match self {
            Self::AnotherDeadline | Self::AnotherRule | Self::DeadlineBeforeDelivery => "deadline",
            Self::AnotherEffect
            | Self::AnotherEnd
            | Self::ExpiryBeforeTheEnd
            | Self::NamedMore
            | Self::NotAsked
            | Self::SilenceWithoutDelivery
            | Self::TooEarlyWithoutAnswer => "expired",
            Self::AnotherMemberSpeaks | Self::OrderSwapped | Self::RefusedWhereItFits => "acknowledge",
            Self::AnotherTookOver => "moved",
            Self::AnotherRequest | Self::FirstMessageMissing | Self::ReceiptMissing | Self::TimeWentBack => {
                "request"
            }
            Self::Doubled
            | Self::EnteredBeforeItWasThere
            | Self::JudgedTheOtherWay
            | Self::KeptBeside
            | Self::ReceiptOfAnother
            | Self::StatementMissing => "statement",
            Self::TakenBackTwice => "revoke",
        }
    }

    fn done_to(self, sound: &[Exchange]) -> Vec<Exchange> {
        let hour = jiff::SignedDuration::from_hours(1);
        let second = jiff::SignedDuration::from_secs(1);
        let without = |kind: &str| -> Vec<Exchange> {
            let gone = first(sound, kind).map(|exchange| exchange.path.clone());
            let left = sound
                .iter()
                .filter(|exchange| Some(&exchange.path) != gone.as_ref());
            left.cloned().collect()
        };
        match self {
            Self::AnotherDeadline => with(sound, "deadline", |body, _| {
                body["deadline"]["ends_at"] = moved(&body["deadline"]["ends_at"], second);
            }),
            Self::AnotherEffect => with(sound, "expired", |body, _| {
                body["effect"] = "MAY_BE_DISREGARDED".into()
            }),
            Self::AnotherEnd => with(sound, "expired", |body, _| {
                body["ended_at"] = moved(&body["ended_at"], -second);
            }),
            Self::AnotherTookOver => with(sound, "moved", |body, _| body["to"] = "TEST/GOV/9".into()),
            Self::AnotherMemberSpeaks => {
                let path = first(sound, "acknowledge").unwrap().path.clone();
                let mut exchanges = sound.to_vec();
                for exchange in exchanges.iter_mut().filter(|exchange| exchange.path == path) {
                    exchange.from = "TEST/GOV/1003".into();
                }
                exchanges
            }
            Self::AnotherRequest => with(sound, "request", |body, _| {
                body["request"]["request_id"] = "4f2504e0-4f89-41d3-9a0c-0305e82c3301".into();
            }),
            Self::AnotherRule => with(sound, "deadline", |body, _| {
                body["deadline"]["rule"]["n"] = 1.into();
                let trigger = moved(&body["deadline"]["trigger"], hour);
                body["deadline"]["trigger"] = trigger;
            }),
            Self::DeadlineBeforeDelivery => with(sound, "deadline", |body, _| {
                for name in ["trigger", "ends_at"] {
                    body["deadline"][name] = moved(&body["deadline"][name], -hour * 24 * 40);
                }
            }),
            Self::Doubled => {
                let again = with(sound, "statement", |body, _| body["statement"] = "REFUSAL".into());
                [sound.to_vec(), again].concat()
            }
            Self::EnteredBeforeItWasThere => with(sound, "statement", |body, _| {
                body["entered_at"] = moved(&body["entered_at"], -hour * 24 * 400);
            }),
            Self::ExpiryBeforeTheEnd => with(sound, "expired", |body, _| {
                body["recorded_at"] = moved(&body["ended_at"], -second);
            }),
            Self::FirstMessageMissing => without("request"),
            Self::JudgedTheOtherWay => with(sound, "statement", |_, answer| {
                if let Some(answer) = answer {
                    answer["in_time"] = (!answer["in_time"].as_bool().unwrap()).into();
                }
            }),
            Self::KeptBeside => with(sound, "statement", |_, answer| {
                if let Some(answer) = answer {
                    answer["kept_beside"] = (!answer["kept_beside"].as_bool().unwrap()).into();
                }
            }),
            Self::NamedMore => with(sound, "inquire", |_, answer| {
                if let Some(answer) = answer {
                    answer["after"] = 60.into();
                }
            }),
            Self::NotAsked => with(sound, "inquire", |body, _| {
                body["until"] = moved(&body["until"], -second);
            }),
            Self::OrderSwapped => with(sound, "acknowledge", |_, answer| {
                if let Some(answer) = answer {
                    answer["after"] = 0.into();
                }
            }),
            Self::ReceiptMissing => {
                let mut exchanges = sound.to_vec();
                let path = first(sound, "request").unwrap().path.clone();
                for exchange in exchanges.iter_mut().filter(|exchange| exchange.path == path) {
                    exchange.answer = None;
                }
                exchanges
            }
            Self::ReceiptOfAnother => {
                let other = sound
                    .iter()
                    .find(|exchange| exchange.path.ends_with("/request") && exchange.answer.is_some());
                let (other, path) = (other.unwrap(), &first(sound, "statement").unwrap().path);
                let mut exchanges = sound.to_vec();
                for exchange in exchanges.iter_mut().filter(|exchange| exchange.path == *path) {
                    exchange.answer.clone_from(&other.answer);
                }
                exchanges
            }
            Self::RefusedWhereItFits => with(sound, "acknowledge", |_, answer| {
                if let Some(answer) = answer {
                    let refused = answer["answer"] == "refused";
                    answer["answer"] = if refused { "taken" } else { "refused" }.into();
                    answer["stands"] = "DELIVERED".into();
                }
            }),
            Self::SilenceWithoutDelivery => with(sound, "request", |_, answer| {
                if let Some(answer) = answer {
                    answer["answer"] = "taken".into();
                }
            }),
            Self::StatementMissing => without("statement"),
            Self::TakenBackTwice => {
                // The requester takes it back once more.
                let last = sound
                    .iter()
                    .filter(|exchange| by_requester(exchange))
                    .max_by_key(|exchange| number(exchange))
                    .unwrap();
                let revoke = first(sound, "revoke").unwrap();
                let mut body: Value = serde_json::from_slice(&revoke.body).unwrap();
                let before: Value = serde_json::from_slice(&last.body).unwrap();
                (body["heard"], body["sent_at"]) = (before["heard"].clone(), before["sent_at"].clone());
                let said = sound
                    .iter()
                    .filter(|exchange| !by_requester(exchange))
                    .map(number)
                    .max();
                body["heard"] = said.unwrap_or(0).into();
                let path = format!("{}/{}/revoke", prefix(&last.path), number(last) + 1);
                let body = body.to_string().into_bytes();
                let again = Exchange {
                    path,
                    body,
                    answer: None,
                    ..last.clone()
                };
                [sound.to_vec(), vec![again]].concat()
            }
            Self::TimeWentBack => with(sound, "request", |body, _| {
                body["sent_at"] = moved(&body["sent_at"], hour * 24 * 4000);
            }),
            Self::TooEarlyWithoutAnswer => with(sound, "expired", |body, _| {
                if body["answered"] == false {
                    body["asked_at"] = body["recorded_at"].clone();
                } else {
                    body["answered"] = false.into();
                    body["asked_at"] = moved(&body["recorded_at"], -hour * 23);
                }
            }),
        }
    }

    /// Whether it makes a difference to this: some things mean nothing where silence has no effect, and some are done to nobody.
    fn matters(self, sound: &[Exchange]) -> bool {
        let has = |kind| first(sound, kind).is_some();
        let said = |kind| -> Value { serde_json::from_slice(&first(sound, kind).unwrap().body).unwrap() };
        let effective = || said("expired")["effect"] != "NONE";
        has(self.needs())
            && match self {
                // Of several ends one is the one that passed.
                Self::NotAsked | Self::NamedMore => has("inquire") && effective(),
                Self::SilenceWithoutDelivery | Self::TooEarlyWithoutAnswer => effective(),
                Self::TakenBackTwice => said("revoke")["whole"] == true,
                // The last message of a side may be on its way, and nothing is held against its instant.
                Self::ReceiptMissing | Self::TimeWentBack => {
                    let more = |exchange: &Exchange| by_requester(exchange) && number(exchange) > 1;
                    sound.iter().any(more)
                }
                // Where nobody says anything later, nobody can see who did.
                Self::AnotherTookOver => {
                    let to: Value = said("moved")["to"].clone();
                    sound
                        .iter()
                        .any(|exchange| to == exchange.from || to == exchange.to)
                }
                // Where nobody says later that it was there, it may never have been.
                Self::StatementMissing => {
                    let gone = number(first(sound, "statement").unwrap());
                    sound.iter().any(|exchange| match by_requester(exchange) {
                        true => heard(exchange) >= gone,
                        false => number(exchange) > gone,
                    })
                }
                Self::AnotherDeadline
                | Self::AnotherEffect
                | Self::AnotherEnd
                | Self::AnotherMemberSpeaks
                | Self::AnotherRequest
                | Self::AnotherRule
                | Self::DeadlineBeforeDelivery
                | Self::Doubled
                | Self::EnteredBeforeItWasThere
                | Self::ExpiryBeforeTheEnd
                | Self::FirstMessageMissing
                | Self::JudgedTheOtherWay
                | Self::KeptBeside
                | Self::OrderSwapped
                | Self::ReceiptOfAnother
                | Self::RefusedWhereItFits => true,
            }
    }
}

fn by_requester(exchange: &Exchange) -> bool {
    exchange.path.split('/').nth(4) == Some("requester")
}

fn number(exchange: &Exchange) -> u32 {
    exchange.path.split('/').nth(5).unwrap().parse().unwrap()
}

fn heard(exchange: &Exchange) -> u32 {
    let body: Value = serde_json::from_slice(&exchange.body).unwrap();
    body["heard"].as_u64().unwrap().try_into().unwrap()
}

fn prefix(path: &str) -> String {
    path.split('/').take(5).collect::<Vec<_>>().join("/")
}

#[test]
fn what_is_done_to_evidence_is_seen_by_the_replay_and_by_the_oracle() {
    let mut seen: BTreeMap<Fault, usize> = BTreeMap::new();
    for (world, _) in procedures(PROCEDURES / 4).filter(|(_, settled)| *settled) {
        let sound = logs(&world).concat();
        if sound.is_empty() {
            continue;
        }
        for fault in FAULTS.into_iter().filter(|fault| fault.matters(&sound)) {
            let exchanges = fault.done_to(&sound);
            let (course, opinion) = (course(&exchanges), opinion(&exchanges));
            assert_eq!(disagreement(&course, &opinion), None, "{fault:?}");
            assert!(!is_sound(&course), "{fault:?} is not seen: {course:#?}");
            *seen.entry(fault).or_default() += 1;
        }
    }
    println!("{seen:?}");
    assert_eq!(seen.len(), FAULTS.len(), "{seen:?}");
    assert!(seen.values().all(|count| *count >= 25), "{seen:?}");
}

#[test]
fn a_wrong_opinion_of_the_replay_is_a_disagreement() {
    let mut wrongs = 0;
    for (world, _) in procedures(300).filter(|(_, settled)| *settled) {
        let sound = logs(&world).concat();
        if sound.is_empty() {
            continue;
        }
        let (right, opinion) = (course(&sound), opinion(&sound));
        assert_eq!(disagreement(&right, &opinion), None);
        let mut wrong = |change: &dyn Fn(&mut Course)| {
            let mut course = right.clone();
            change(&mut course);
            if course != right {
                assert!(disagreement(&course, &opinion).is_some(), "{course:#?}");
                wrongs += 1;
            }
        };
        for state in State::ALL {
            wrong(&|course| course.state = Some(state));
        }
        wrong(&|course| course.state = None);
        wrong(&|course| course.ends_at = course.ends_at.map(|at| at + 1.nanoseconds()));
        wrong(&|course| course.silence = None);
        wrong(&|course| {
            if let Some(silence) = &mut course.silence {
                silence.answered = !silence.answered;
            }
        });
        wrong(&|course| {
            if let Some(version) = course.versions.last_mut() {
                version.judgement.in_time = !version.judgement.in_time;
            }
        });
        wrong(&|course| {
            if let Some(version) = course.versions.last_mut() {
                version.judgement.kept_beside = !version.judgement.kept_beside;
            }
        });
        wrong(&|course| {
            if let Some(version) = course.versions.last_mut() {
                version.withdrawn_at = match version.withdrawn_at {
                    Some(_) => None,
                    None => Some(version.entered_at),
                };
            }
        });
        wrong(&|course| _ = course.versions.pop());
        wrong(&|course| course.steps[0].receipt = !course.steps[0].receipt);
        wrong(&|course| course.contradictions.push("nothing of it is true".to_owned()));
        wrong(&|course| course.missing.push("message 9 of the requester".to_owned()));
        wrong(&|course| std::mem::swap(&mut course.requester, &mut course.participant));
    }
    assert!(wrongs > 3_000, "{wrongs}");
}
