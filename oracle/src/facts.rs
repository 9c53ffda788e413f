//! What was said: messages with their signed answers, read from raw exchanges by the published contract and nothing else.
//!
//! Owns which exchange is a message, which answer is its receipt, and what two events say of their order: both stand on the clock of
//! the same side, or nothing is said.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::Exchange;

/// What every body and every receipt names.
const CONTRACT: &str = "kontor-transfer/1";

/// Who sends a message.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Party {
    Sender,
    Receiver,
}

impl Party {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Receiver => "receiver",
        }
    }

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Sender => Self::Receiver,
            Self::Receiver => Self::Sender,
        }
    }
}

/// Where a message goes: `/v1/transfers/{id}/{party}/{number}/{kind}`.
pub(crate) struct Place {
    pub(crate) transfer: String,
    party: Party,
    number: u32,
    kind: String,
}

impl Place {
    pub(crate) fn read(path: &str) -> Option<Self> {
        let mut pieces = path.strip_prefix("/v1/transfers/")?.split('/');
        let place = Self {
            transfer: pieces.next()?.to_owned(),
            party: match pieces.next()? {
                "sender" => Party::Sender,
                "receiver" => Party::Receiver,
                _ => return None,
            },
            number: pieces.next()?.parse().ok().filter(|number| *number > 0)?,
            kind: pieces.next()?.to_owned(),
        };
        pieces.next().is_none().then_some(place)
    }
}

/// How the transfer stands with who refuses a message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Stands {
    Open,
    Ended,
    TakenOver(Timestamp),
}

/// A signed answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Receipt {
    /// On the clock of who answers.
    pub(crate) received_at: Timestamp,
    /// Nothing where it was taken.
    pub(crate) refused: Option<Stands>,
}

/// A message.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) by: Party,
    pub(crate) number: u32,
    pub(crate) kind: String,
    pub(crate) body: Value,
    octets: Vec<u8>,
    /// On the clock of who says it.
    pub(crate) sent_at: Timestamp,
    pub(crate) receipt: Option<Receipt>,
}

impl Said {
    /// An instant in the body.
    pub(crate) fn instant(&self, name: &str) -> Option<Timestamp> {
        instant(&self.body[name])
    }

    /// Whether it was surely heard before the other side said this.
    pub(crate) fn heard_before(&self, said: &Self) -> bool {
        self.receipt
            .is_some_and(|receipt| receipt.received_at < said.sent_at)
    }

    /// Whether it was surely heard only after the other side had said this.
    pub(crate) fn heard_after(&self, said: &Self) -> bool {
        self.receipt
            .is_some_and(|receipt| receipt.received_at > said.sent_at)
    }

    pub(crate) fn was_taken(&self) -> bool {
        self.receipt.is_some_and(|receipt| receipt.refused.is_none())
    }

    pub(crate) fn was_refused(&self) -> bool {
        self.refusal().is_some()
    }

    pub(crate) fn refusal(&self) -> Option<Stands> {
        self.receipt.and_then(|receipt| receipt.refused)
    }

    /// Since when the receiver is responsible, if it says so in its answer.
    pub(crate) fn answered_as_taken_over(&self) -> Option<Timestamp> {
        match self.refusal() {
            Some(Stands::TakenOver(at)) => Some(at),
            Some(Stands::Open | Stands::Ended) | None => None,
        }
    }

    pub(crate) fn name(&self) -> String {
        format!(
            "message {} of the {} ({})",
            self.number,
            self.by.name(),
            self.kind
        )
    }
}

pub(crate) fn instant(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}

/// All that is known of one transfer.
#[derive(Default)]
pub(crate) struct Facts {
    members: BTreeMap<Party, String>,
    said: BTreeMap<(Party, u32), Said>,
    pub(crate) contradictions: Vec<String>,
    pub(crate) missing: Vec<String>,
}

impl Facts {
    pub(crate) fn member(&self, party: Party) -> String {
        self.members.get(&party).cloned().unwrap_or_default()
    }

    /// What a party said, in the order of its numbers.
    pub(crate) fn of(&self, party: Party) -> impl DoubleEndedIterator<Item = &Said> {
        self.said
            .range((party, 0)..=(party, u32::MAX))
            .map(|(_, said)| said)
    }

    /// What was said of some kinds.
    pub(crate) fn all<'a>(&'a self, kinds: &'a [&str]) -> impl Iterator<Item = &'a Said> {
        self.said
            .values()
            .filter(|said| kinds.contains(&said.kind.as_str()))
    }

    /// The first of a kind.
    pub(crate) fn one(&self, kind: &str) -> Option<&Said> {
        self.said.values().find(|said| said.kind == kind)
    }

    /// The offer, where it has its number.
    pub(crate) fn offer(&self) -> Option<&Said> {
        self.said
            .get(&(Party::Sender, 1))
            .filter(|said| said.kind == "offer")
    }

    pub(crate) fn situation(&self) -> &str {
        let offer = self.offer().map(|said| &said.body["offer"]);
        offer
            .and_then(|offer| offer["situation"].as_str())
            .unwrap_or_default()
    }

    /// Whether a message may have followed that is not in this evidence: nothing that is there was surely said after this was
    /// heard, or something was given up on the way.
    pub(crate) fn may_have_said_more(&self, party: Party, after: &Said) -> bool {
        self.of(party).all(|said| !after.heard_before(said)) || self.of(party).any(|said| said.kind == "void")
    }

    pub(crate) fn unconfirmed(&self) -> Vec<String> {
        let without = self.said.values().filter(|said| said.receipt.is_none());
        without
            .map(|said| format!("{}/{}/{}", said.by.name(), said.number, said.kind))
            .collect()
    }

    /// Takes an exchange.
    pub(crate) fn take(&mut self, exchange: &Exchange, place: &Place) {
        for (party, member) in [(place.party, &exchange.from), (place.party.other(), &exchange.to)] {
            let known = self.members.entry(party).or_insert_with(|| member.clone());
            if known != member {
                let text = format!("{known} and {member} are both its {}", party.name());
                self.contradictions.push(text);
            }
        }
        let said = match read(exchange, place) {
            Ok(said) => said,
            Err(text) => return self.contradictions.push(text),
        };
        if exchange.answer.as_deref().is_some_and(is_of_another(exchange)) {
            self.contradictions
                .push(format!("the receipt of {} is of another one", said.name()));
        }
        match self.said.get_mut(&(place.party, place.number)) {
            None => _ = self.said.insert((place.party, place.number), said),
            // It was sent again, and was answered at one time or another.
            Some(known) if known.octets == said.octets && known.kind == said.kind => {
                if let (Some(one), Some(other)) = (known.receipt, said.receipt)
                    && one != other
                {
                    self.contradictions
                        .push(format!("{} has two different receipts", said.name()));
                }
                known.receipt = known.receipt.or(said.receipt);
            }
            // One of the two was given up, and its number used for saying so.
            Some(known) if known.kind == "void" && said.receipt.is_none() => {}
            Some(known) if said.kind == "void" && known.receipt.is_none() => *known = said,
            Some(known) => {
                let text = format!("{} and {} have one number", known.name(), said.name());
                self.contradictions.push(text);
            }
        }
    }
}

fn read(exchange: &Exchange, place: &Place) -> Result<Said, String> {
    let name = format!(
        "message {} of the {} ({})",
        place.number,
        place.party.name(),
        place.kind
    );
    let body: Value =
        serde_json::from_slice(&exchange.body).map_err(|error| format!("{name} is no JSON: {error}"))?;
    if body["contract"] != CONTRACT || body["kind"] != place.kind.as_str() {
        return Err(format!("{name} says that it is something else"));
    }
    let sent_at = instant(&body["sent_at"]).ok_or_else(|| format!("{name} has no instant"))?;
    Ok(Said {
        by: place.party,
        number: place.number,
        kind: place.kind.clone(),
        body,
        octets: exchange.body.clone(),
        sent_at,
        receipt: exchange
            .answer
            .as_deref()
            .filter(|answer| !is_of_another(exchange)(answer))
            .and_then(receipt),
    })
}

/// A signed answer, if this is one; problems are none.
fn receipt(answer: &[u8]) -> Option<Receipt> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    if answer["contract"] != CONTRACT {
        return None;
    }
    let stands = &answer["stands"];
    let refused = match (answer["answer"].as_str()?, stands["stands"].as_str()) {
        ("taken", _) => None,
        ("refused", Some("open")) => Some(Stands::Open),
        ("refused", Some("ended")) => Some(Stands::Ended),
        ("refused", Some("taken-over")) => Some(Stands::TakenOver(instant(&stands["at"])?)),
        _ => return None,
    };
    Some(Receipt {
        received_at: instant(&answer["received_at"])?,
        refused,
    })
}

/// Whether a receipt names another message or other octets.
fn is_of_another(exchange: &Exchange) -> impl Fn(&[u8]) -> bool {
    let digest: String = Sha256::digest(&exchange.body)
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    move |answer| {
        let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
        answer["contract"] == CONTRACT
            && (answer["message"] != exchange.path.as_str() || answer["sha256"] != digest.as_str())
    }
}
