//! Messages of the contract between nodes: a path in the first line, the body after it. What is read is written and read again as the
//! same, and either side of a transfer answers it in whatever state it is.
#![no_main]

use kontor_participation::application::manifest::{Digest, Manifest};
use kontor_participation::transfer::delivery::{Body, Place, Sent};
use kontor_participation::transfer::receiver::Receiver;
use kontor_participation::transfer::sender::Sender;
use kontor_pki::crypto::sha256;
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
    // What a package says of its files is read before anything of them is.
    let _ = Manifest::read(body, &Digest(sha256(body)));
    let Some(Place::Message { kind, .. }) = place else {
        return;
    };
    let Ok(sent) = Sent::read(body, &kind) else { return };
    let written = serde_json::to_vec(&sent).expect("messages have string keys only");
    let again = Sent::read(&written, &kind).expect("what was written is read");
    assert_eq!(
        serde_json::to_vec(&again).expect("messages have string keys only"),
        written
    );
    if let Body::Offer { offer } = &sent.body {
        let mut machine = Receiver::offered(offer.situation.moves(), offer.clocks());
        for message in offer_answers() {
            let (decision, _) = machine.receive(message);
            if let Some(decision) = decision {
                machine.apply(&decision);
            }
        }
    }
    if let Some(message) = sent.body.message() {
        let sender = Sender::draft(kontor_participation::transfer::Moves::Responsibility);
        let (decision, _) = sender.receive(message);
        assert!(
            decision.is_none(),
            "nothing follows from a message before an offer"
        );
    }
});

/// What a sender may say after its offer.
fn offer_answers() -> [kontor_participation::transfer::message::Message; 3] {
    use kontor_participation::transfer::message::Message;
    [Message::Recall, Message::Withdraw, Message::Purged]
}
