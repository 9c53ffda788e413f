//! A second opinion on the requests in evidence of participation: who answered in time, what silence meant and whether it could, and
//! how a request stands.
//!
//! *In scope:* messages and their signed answers, judged by the published contract between nodes. *Out of scope:* what was disclosed,
//! and the holidays: of a period that is not one of hours only its bounds are known here. Nothing of it runs a state machine: the
//! messages are put into the requester's order, and whatever is asked of a place in that order is looked up in what stands before it.

mod facts;
mod rules;
mod story;
#[cfg(test)]
mod tests;
mod time;

use std::collections::BTreeMap;

use jiff::Timestamp;

use self::facts::{Facts, Place};
use self::story::Story;
use crate::Exchange;

/// A version of a statement.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Version {
    /// When it was entered at the participant's node.
    pub entered_at: Timestamp,
    /// Whether that was before an end that was told.
    pub in_time: bool,
    /// Whether it changes nothing.
    pub kept_beside: bool,
    /// When it was taken back.
    pub withdrawn_at: Option<Timestamp>,
}

/// That silence is recorded, and nothing that came later undoes it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Silence {
    /// The end that had passed.
    pub ended_at: Timestamp,
    /// What silence means, by its name in the contract.
    pub effect: String,
    /// Whether the participant's node had answered what it had.
    pub answered: bool,
}

/// What the evidence of one request says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Opinion {
    /// Which request.
    pub request: String,
    /// The member that asks.
    pub requester: String,
    /// The member that is asked, or that speaks for whom it hosts.
    pub participant: String,
    /// How it stands, by its name in the contract; nothing where something is missing.
    pub state: Option<&'static str>,
    /// When its time is over; nothing where there is no end, or its clock stands still.
    pub ends_at: Option<Timestamp>,
    /// The versions of the statement.
    pub versions: Vec<Version>,
    /// What silence meant.
    pub silence: Option<Silence>,
    /// What cannot be true together.
    pub contradictions: Vec<String>,
    /// Messages and receipts that there must have been and that are not there.
    pub missing: Vec<String>,
    /// Messages whose signed answer is not there, as `SIDE/NUMBER/KIND`.
    pub unconfirmed: Vec<String>,
}

impl Opinion {
    /// Whether nothing contradicts anything, and nothing is missing.
    pub fn is_sound(&self) -> bool {
        self.contradictions.is_empty() && self.missing.is_empty()
    }
}

/// An opinion on every request of which there is a message. Exchanges that are about something else are passed over.
pub fn opinions(exchanges: &[Exchange]) -> Vec<Opinion> {
    let mut requests: BTreeMap<String, Facts> = BTreeMap::new();
    for exchange in exchanges {
        if let Some(place) = Place::read(&exchange.path) {
            requests
                .entry(place.request.clone())
                .or_default()
                .take(exchange, &place);
        }
    }
    requests
        .into_iter()
        .map(|(request, facts)| opinion(request, facts))
        .collect()
}

fn opinion(request: String, mut facts: Facts) -> Opinion {
    facts.look_at_parties();
    facts.look_for_gaps();
    let mut opinion = Opinion {
        requester: facts.member(facts::Side::Requester),
        participant: facts.member(facts::Side::Participant),
        state: None,
        ends_at: None,
        versions: Vec::new(),
        silence: None,
        contradictions: std::mem::take(&mut facts.contradictions),
        missing: std::mem::take(&mut facts.missing),
        unconfirmed: facts.unconfirmed(),
        request,
    };
    rules::form(&facts, &mut opinion);
    // Who could have said what then hangs on what is not there.
    let Some(asked) = facts.request().filter(|_| opinion.missing.is_empty()) else {
        return opinion;
    };
    rules::order(&facts, &mut opinion.contradictions);
    let story = Story::of(&facts, asked);
    rules::judge(&story, &mut opinion);
    let end = story.len();
    opinion.state = Some(story.state(end));
    opinion.ends_at = story.end(end);
    opinion.versions = story.versions();
    opinion.silence = story.silence(end).map(|expired| Silence {
        ended_at: expired.instant("ended_at").unwrap_or_default(),
        effect: expired.text("effect").to_owned(),
        answered: expired.body["answered"] == true,
    });
    opinion
}
