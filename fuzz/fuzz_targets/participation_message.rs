//! Messages of participation between nodes: a path in the first line, the body after it. What is read is written and read again as the
//! same, an auditor who has it alone can say what it is about, and either side of a request takes it, and takes it again.
#![no_main]

use kontor_participation::calendar::HolidayTable;
use kontor_participation::round::delivery::{Place, Sent, Side};
use kontor_participation::round::message::Message;
use kontor_participation::round::participant::Participant;
use kontor_participation::round::replay::{replay, rounds};
use kontor_participation::round::requester::{ProofLevel, Requester};
use kontor_participation::transfer::replay::Exchange;
use kontor_protocol::package::cover::Language;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let end = data
        .iter()
        .position(|octet| *octet == b'\n')
        .unwrap_or(data.len());
    let (path, body) = (&data[..end], data.get(end + 1..).unwrap_or_default());
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
    // An auditor gets it as it is.
    let exchange = Exchange {
        from: "TEST/GOV/1".to_owned(),
        to: "TEST/GOV/2".to_owned(),
        path: path.to_owned(),
        body: body.to_vec(),
        answer: Some(body.to_vec()),
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
    let written = serde_json::to_vec(&sent).expect("messages have string keys only");
    let again = Sent::read(&written, &kind).expect("what was written is read");
    assert_eq!(
        serde_json::to_vec(&again).expect("messages have string keys only"),
        written
    );
    let told = sent.told();
    if let Message::Request(terms) = &told.message {
        let (participant, _) = Participant::delivered(terms.clone(), None, sent.sent_at);
        let requester = Requester::created(terms.clone(), ProofLevel::Node, Vec::new());
        // Each hears of a second one, the participant rightly.
        let (decision, answer) = participant.receive(&told);
        assert!(!answer.says.is_taken(), "there is one already");
        let mut participant = participant;
        participant.apply(&decision);
        let _ = participant.expected();
        let (_, answer) = requester.receive(&told, sent.sent_at);
        assert!(!answer.says.is_taken(), "the requester does not ask itself");
        return;
    }
    match side {
        Side::Requester => {
            let (participant, _) = Participant::delivered(terms(), None, sent.sent_at);
            let mut participant = participant;
            for _ in 0..2 {
                let (decision, _) = participant.receive(&told);
                participant.apply(&decision);
            }
            let _ = (participant.expected(), participant.may_open(sent.sent_at));
        }
        Side::Participant => {
            let mut requester = Requester::created(terms(), ProofLevel::Node, Vec::new());
            for _ in 0..2 {
                let (decision, _) = requester.receive(&told, sent.sent_at);
                requester.apply(&decision);
            }
            let _ = (requester.due(sent.sent_at), requester.next_due(sent.sent_at));
        }
    }
});

fn terms() -> kontor_participation::round::terms::Terms {
    let text = r#"{"rule":{"kind":"months","n":1},"place":{"land":"SH"},"effect":"CONSENT_DEEMED_GIVEN","extension":"free"}"#;
    serde_json::from_str(text).expect("these are terms")
}
