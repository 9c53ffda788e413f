//! What was said: messages with their signed answers, read from raw exchanges by the published contract and nothing else.
//!
//! Owns which exchange is a message, which answer is its receipt, and what has to be there and is not.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::Exchange;

/// What every body and every receipt names.
const CONTRACT: &str = "kontor-participation/1";
/// Missing numbers that are named one by one.
const NAMED: u32 = 8;

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Side {
    Requester,
    Participant,
}

impl Side {
    pub(crate) const BOTH: [Self; 2] = [Self::Requester, Self::Participant];

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Requester => "requester",
            Self::Participant => "participant",
        }
    }

    pub(crate) const fn other(self) -> Self {
        match self {
            Self::Requester => Self::Participant,
            Self::Participant => Self::Requester,
        }
    }
}

/// Where a message goes: `/v1/requests/{id}/{side}/{number}/{kind}`.
pub(crate) struct Place {
    pub(crate) request: String,
    side: Side,
    number: u32,
    kind: String,
}

impl Place {
    pub(crate) fn read(path: &str) -> Option<Self> {
        let mut pieces = path.strip_prefix("/v1/requests/")?.split('/');
        let place = Self {
            request: pieces.next()?.to_owned(),
            side: match pieces.next()? {
                "requester" => Side::Requester,
                "participant" => Side::Participant,
                _ => return None,
            },
            number: pieces.next()?.parse().ok().filter(|number| *number > 0)?,
            kind: pieces.next()?.to_owned(),
        };
        pieces.next().is_none().then_some(place)
    }
}

/// What a signed answer says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Says {
    Taken,
    Delivered(Timestamp),
    Judged { in_time: bool, kept_beside: bool },
    Refused,
}

/// A signed answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Receipt {
    /// On the clock of who answers.
    pub(crate) received_at: Timestamp,
    /// How many messages of its own it had decided before.
    pub(crate) after: u32,
    pub(crate) says: Says,
}

/// A message.
#[derive(Clone, Debug)]
pub(crate) struct Said {
    pub(crate) by: Side,
    pub(crate) number: u32,
    pub(crate) kind: String,
    pub(crate) body: Value,
    octets: Vec<u8>,
    /// On the clock of who says it.
    pub(crate) sent_at: Timestamp,
    /// How many messages of the other side had been taken before.
    pub(crate) heard: u32,
    pub(crate) receipt: Option<Receipt>,
    /// What was sent with this number and given up.
    pub(crate) given_up: Option<Value>,
}

impl Said {
    pub(crate) fn is(&self, kind: &str) -> bool {
        self.kind == kind
    }

    pub(crate) fn instant(&self, name: &str) -> Option<Timestamp> {
        instant(&self.body[name])
    }

    pub(crate) fn text(&self, name: &str) -> &str {
        self.body[name].as_str().unwrap_or_default()
    }

    pub(crate) fn says(&self) -> Option<Says> {
        self.receipt.map(|receipt| receipt.says)
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

/// All that is known of one request.
#[derive(Default)]
pub(crate) struct Facts {
    /// Who took part in each exchange: whose message it was, its number, who sent it and who got it.
    parties: Vec<(Side, u32, String, String)>,
    said: BTreeMap<(Side, u32), Said>,
    pub(crate) contradictions: Vec<String>,
    pub(crate) missing: Vec<String>,
}

impl Facts {
    pub(crate) fn member(&self, side: Side) -> String {
        let first = self
            .parties
            .iter()
            .min_by_key(|(by, number, ..)| (*by != Side::Requester, *number));
        first.map_or_else(String::new, |(by, _, from, to)| match *by == side {
            true => from.clone(),
            false => to.clone(),
        })
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Said> {
        self.said.values()
    }

    /// What a side said, in the order of its numbers.
    pub(crate) fn of(&self, side: Side) -> impl DoubleEndedIterator<Item = &Said> {
        self.said
            .range((side, 0)..=(side, u32::MAX))
            .map(|(_, said)| said)
    }

    /// The request, where it has its number.
    pub(crate) fn request(&self) -> Option<&Said> {
        self.said
            .get(&(Side::Requester, 1))
            .filter(|said| said.is("request"))
    }

    pub(crate) fn unconfirmed(&self) -> Vec<String> {
        let without = self.said.values().filter(|said| said.receipt.is_none());
        without
            .map(|said| format!("{}/{}/{}", said.by.name(), said.number, said.kind))
            .collect()
    }

    /// Takes an exchange.
    pub(crate) fn take(&mut self, exchange: &Exchange, place: &Place) {
        let (from, to) = (exchange.from.clone(), exchange.to.clone());
        self.parties.push((place.side, place.number, from, to));
        let said = match read(exchange, place) {
            Ok(said) => said,
            Err(text) => return self.contradictions.push(text),
        };
        if exchange.answer.as_deref().is_some_and(is_of_another(exchange)) {
            self.contradictions
                .push(format!("the receipt of {} is of another one", said.name()));
        }
        let Some(known) = self.said.get_mut(&(place.side, place.number)) else {
            self.said.insert((place.side, place.number), said);
            return;
        };
        let (void, was_void) = (said.is("void"), known.is("void"));
        if known.octets == said.octets && known.kind == said.kind {
            if known.receipt.is_some() && said.receipt.is_some() && known.receipt != said.receipt {
                self.contradictions
                    .push(format!("{} has two different receipts", said.name()));
            }
            known.receipt = known.receipt.or(said.receipt);
        } else if void == was_void || (known.receipt.is_some() && said.receipt.is_some()) {
            let text = format!("{} and {} have one number", known.name(), said.name());
            self.contradictions.push(text);
        } else if known.receipt.is_some() || (said.receipt.is_none() && was_void) {
            // One of the two was given up, and its number used for saying so; what was answered counts.
            known.given_up = Some(said.body);
        } else {
            let given_up = std::mem::replace(known, said);
            known.given_up = Some(given_up.body);
        }
    }

    /// One is asked, and one asks until a `moved` says who does from the next number on. A message of who is asked is sent again to
    /// whoever asks then, so that it may go to any of them.
    pub(crate) fn look_at_parties(&mut self) {
        let (asking, asked) = (self.member(Side::Requester), self.member(Side::Participant));
        let mut handed = vec![(0, asking)];
        let moved = self.of(Side::Requester).filter(|said| said.is("moved"));
        handed.extend(moved.map(|said| (said.number, said.text("to").to_owned())));
        let mut parties = std::mem::take(&mut self.parties);
        parties.sort_by_key(|(by, number, ..)| (*by != Side::Requester, *number));
        for (by, number, from, to) in &parties {
            let (asks, answers) = match by {
                Side::Requester => (from, to),
                Side::Participant => (to, from),
            };
            if *answers != asked {
                self.contradictions
                    .push(format!("{asked} and {answers} are both its participant"));
            }
            let mut since = handed.iter().rev();
            let is_known = match by {
                Side::Requester => since
                    .find(|(since, _)| since < number)
                    .is_some_and(|(_, member)| member == asks),
                Side::Participant => since.any(|(_, member)| member == asks),
            };
            // What is not here may have said so.
            let left_out = *number > 1 && !self.said.contains_key(&(Side::Requester, number - 1));
            if !is_known && *by == Side::Requester && left_out {
                handed.push((number - 1, asks.clone()));
                handed.sort();
            } else if !is_known {
                let text = format!("{} and {asks} are both its requester", handed[0].1);
                self.contradictions.push(text);
            }
        }
        self.parties = parties;
    }

    /// Numbers that were left out, messages of which the other side or the requester itself has signed that they were there, and
    /// receipts: nobody sends another message before the one before it was answered.
    pub(crate) fn look_for_gaps(&mut self) {
        let mut missing = Vec::new();
        for side in Side::BOTH {
            let heard = self.of(side.other()).map(|said| said.heard);
            let mut there = heard.max().unwrap_or(0);
            if side == Side::Requester {
                let signed = self
                    .of(Side::Participant)
                    .filter_map(|said| Some(said.receipt?.after));
                there = there.max(signed.max().unwrap_or(0)).max(1);
            }
            let numbers: Vec<u32> = self.of(side).map(|said| said.number).collect();
            let last = numbers.last().copied().unwrap_or(0);
            let left_out = (1..=there.max(last)).filter(|number| numbers.binary_search(number).is_err());
            for number in left_out.take(NAMED as usize) {
                missing.push(format!("message {number} of the {}", side.name()));
            }
            for said in self
                .of(side)
                .filter(|said| said.number < last && said.receipt.is_none())
            {
                missing.push(format!("the receipt of {}", said.name()));
            }
        }
        self.missing.append(&mut missing);
    }
}

fn read(exchange: &Exchange, place: &Place) -> Result<Said, String> {
    let name = format!(
        "message {} of the {} ({})",
        place.number,
        place.side.name(),
        place.kind
    );
    let body: Value =
        serde_json::from_slice(&exchange.body).map_err(|error| format!("{name} is no JSON: {error}"))?;
    if body["contract"] != CONTRACT || body["kind"] != place.kind.as_str() {
        return Err(format!("{name} says that it is something else"));
    }
    let sent_at = instant(&body["sent_at"]).ok_or_else(|| format!("{name} has no instant"))?;
    let heard = count(&body["heard"]).ok_or_else(|| format!("{name} has no place in an order"))?;
    Ok(Said {
        by: place.side,
        number: place.number,
        kind: place.kind.clone(),
        body,
        octets: exchange.body.clone(),
        sent_at,
        heard,
        receipt: exchange
            .answer
            .as_deref()
            .filter(|answer| !is_of_another(exchange)(answer))
            .and_then(receipt),
        given_up: None,
    })
}

fn count(value: &Value) -> Option<u32> {
    value.as_u64()?.try_into().ok()
}

/// A signed answer, if this is one; problems are none.
fn receipt(answer: &[u8]) -> Option<Receipt> {
    let answer: Value = serde_json::from_slice(answer).ok()?;
    if answer["contract"] != CONTRACT {
        return None;
    }
    let says = match answer["answer"].as_str()? {
        "taken" => Says::Taken,
        "delivered" => Says::Delivered(instant(&answer["delivered_at"])?),
        "judged" => Says::Judged {
            in_time: answer["in_time"].as_bool()?,
            kept_beside: answer["kept_beside"].as_bool()?,
        },
        "refused" => Says::Refused,
        _ => return None,
    };
    Some(Receipt {
        received_at: instant(&answer["received_at"])?,
        after: count(&answer["after"])?,
        says,
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
