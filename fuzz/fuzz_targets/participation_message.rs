//! Messages of participation between nodes: a path in the first line, the body in the second, and its receipt after it, if there is
//! one. What is read is written and read again as the same, an auditor who has it alone can say what it is about, either side of a
//! request that was sent takes it, and takes it again, and whoever sent it takes its receipt.
#![no_main]

use kontor_participation::application::manifest::Digest;
use kontor_participation::calendar::HolidayTable;
use kontor_participation::round::delivery::{Place, Receipt, Sent, Side};
use kontor_participation::round::message::{Answer, Message, Told};
use kontor_participation::round::participant::{self, Participant};
use kontor_participation::round::release::{Actor, Draft};
use kontor_participation::round::replay::{replay, rounds};
use kontor_participation::round::requester::{Command, ProofLevel, Requester};
use kontor_participation::round::terms::Terms;
use kontor_participation::transfer::offer::Flags;
use kontor_participation::transfer::replay::Exchange;
use kontor_pki::crypto::sha256;
use kontor_protocol::package::cover::Language;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let (path, rest) = first_line(data);
    let (body, answer) = first_line(rest);
    let Ok(path) = std::str::from_utf8(path) else {
        return;
    };
    let place = Place::read(path);
    if let Some(place) = &place {
        assert_eq!(place.to_string(), path, "a place is written as it was read");
    }
    let Some(Place::Message { kind, side, .. }) = place else {
        return;
    };
    let receipt = receipt(path, body, answer);
    // An auditor gets it as it is.
    let exchange = Exchange {
        from: "TEST/GOV/1".to_owned(),
        to: "TEST/GOV/2".to_owned(),
        path: path.to_owned(),
        body: body.to_vec(),
        answer: Some(match &receipt {
            Some(receipt) => signed(receipt),
            None => answer.to_vec(),
        }),
    };
    let table = HolidayTable::built_in();
    let courses = replay(&[exchange], table);
    assert_eq!(courses.len(), 1, "a message is of one request");
    for language in [Language::German, Language::English] {
        let told = courses.iter().map(|course| course.in_words(language, table));
        assert!(told.into_iter().all(|words| words.ends_with('\n')));
        let rounds = rounds(&courses);
        assert!(rounds.len() <= 1, "and of one round");
        assert!(rounds.iter().all(|round| !round.in_words(language).is_empty()));
    }
    let Ok(sent) = Sent::read(body, &kind) else { return };
    let bytes = written(&sent);
    let again = Sent::read(&bytes, &kind).expect("what was written is read");
    assert_eq!(written(&again), bytes);
    let told = sent.told();
    let answer = receipt.map(|receipt| receipt.answer);
    if let Message::Request(terms) = &told.message {
        let (mut requester, mut participant) = asked(terms, &sent, answer);
        // Each hears of a second one, the participant rightly.
        let (decision, answer) = participant.receive(&told);
        assert!(!answer.says.is_taken(), "there is one already");
        participant.apply(&decision);
        let _ = participant.expected();
        let (_, answer) = requester.receive(&told, sent.sent_at);
        assert!(!answer.says.is_taken(), "the requester does not ask itself");
        fall_due(&mut requester, &mut participant, &sent);
        return;
    }
    let (mut requester, mut participant) = asked(&terms(), &sent, None);
    match side {
        Side::Requester => {
            if let Some(decision) = answer.and_then(|answer| requester.answered(&told.message, answer, table))
            {
                requester.apply(&decision);
            }
            for _ in 0..2 {
                let (decision, _) = participant.receive(&told);
                participant.apply(&decision);
            }
            let _ = (participant.expected(), participant.may_open(sent.sent_at));
        }
        Side::Participant => {
            if let Ok(said) = participant.decide(&participant::Command::Acknowledge, sent.sent_at) {
                participant.apply(&said);
                let given_up = participant.gave_up().expect("nobody has answered it");
                let mut silent = participant.clone();
                silent.apply(&given_up);
                assert_eq!(silent.agreed(), participant.agreed(), "nothing follows from it");
                if let Some(answer) = answer {
                    participant.apply(&participant.answered(answer));
                }
            }
            for _ in 0..2 {
                let (decision, answer) = requester.receive(&told, sent.sent_at);
                requester.apply(&decision);
                assert!(answer.says.is_taken() || answer.says.judgement().is_none());
            }
        }
    }
    fall_due(&mut requester, &mut participant, &sent);
});

fn first_line(data: &[u8]) -> (&[u8], &[u8]) {
    let end = data
        .iter()
        .position(|octet| *octet == b'\n')
        .unwrap_or(data.len());
    (&data[..end], data.get(end + 1..).unwrap_or_default())
}

fn written(sent: &Sent) -> Vec<u8> {
    serde_json::to_vec(sent).expect("messages have string keys only")
}

fn signed(receipt: &Receipt) -> Vec<u8> {
    serde_json::to_vec(receipt).expect("receipts have string keys only")
}

/// The receipt of this message, if there is one; it is about it, as its reader sees to.
fn receipt(path: &str, body: &[u8], answer: &[u8]) -> Option<Receipt> {
    let mut receipt: Receipt = serde_json::from_slice(answer).ok()?;
    let again: Receipt = serde_json::from_slice(&signed(&receipt)).expect("what was written is read");
    assert_eq!(again, receipt);
    receipt.message = path.to_owned();
    receipt.sha256 = Digest(sha256(body));
    Some(receipt)
}

/// A request that was released, sent and delivered, with everything that is disclosed; the participant answers it, or somebody else.
fn asked(terms: &Terms, sent: &Sent, answer: Option<Answer>) -> (Requester, Participant) {
    let (now, table) = (sent.sent_at, HolidayTable::built_in());
    let mut requester = Requester::created(terms.clone(), ProofLevel::Node, vec![7, 1]);
    let draft = Draft {
        terms,
        flags: Flags::default(),
        level: ProofLevel::Node,
        purpose: "fuzz",
        legal_basis: "fuzz",
    };
    let cleared = draft
        .clear(Actor::person("p-1"), Some(Actor::person("p-2")))
        .expect("another person has released it");
    let decided = requester
        .decide(Command::Send(cleared), now, table)
        .expect("it was cleared");
    requester.apply(&decided);
    let (mut participant, delivered) = Participant::delivered(terms.clone(), None, now);
    let message = &decided.tell[0].message;
    let arrived = requester.answered(message, answer.unwrap_or(delivered), table);
    if let Some(decision) = arrived {
        requester.apply(&decision);
        tell(&mut requester, &mut participant, &decision.tell);
    }
    if let Some(decision) = requester.fetched(now, table) {
        requester.apply(&decision);
        tell(&mut requester, &mut participant, &decision.tell);
    }
    (requester, participant)
}

fn tell(requester: &mut Requester, participant: &mut Participant, tell: &[Told]) {
    for told in tell {
        let (decision, answer) = participant.receive(told);
        participant.apply(&decision);
        let answered = requester.answered(&told.message, answer, HolidayTable::built_in());
        if let Some(decision) = answered {
            requester.apply(&decision);
        }
    }
}

/// What the clock does then, a few times.
fn fall_due(requester: &mut Requester, participant: &mut Participant, sent: &Sent) {
    let _ = requester.next_due(sent.sent_at);
    for _ in 0..8 {
        let Some(command) = requester.due(sent.sent_at) else {
            return;
        };
        let Ok(decision) = requester.decide(command, sent.sent_at, HolidayTable::built_in()) else {
            return;
        };
        requester.apply(&decision);
        tell(requester, participant, &decision.tell);
    }
}

fn terms() -> Terms {
    let text = r#"{"rule":{"kind":"months","n":1},"place":{"land":"SH"},"effect":"CONSENT_DEEMED_GIVEN","extension":"free"}"#;
    serde_json::from_str(text).expect("these are terms")
}
