//! What happened to a request, from its messages and their receipts alone: who was asked, with which deadline and why, what was
//! shown, who answered when, and what silence meant. It is what an auditor has in an evidence package.
//!
//! The messages are put in the requester's order, which they carry, and the request is made again from them. Deadlines are computed
//! again where the table of holidays is at hand. What could not have been said then, what was judged otherwise than its instants
//! say, what silence could not have meant: each is a contradiction, and told. What is not here is no contradiction: a message or a
//! receipt that must have been there is named as missing, and then nothing is concluded from the order of the others.

mod again;
mod collected;
mod rounds;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::Serialize;

use self::again::Replaying;
use self::collected::{Collected, Pulled, Said};
pub use self::rounds::{Outcome, Summary, rounds};
use super::delivery::{Body, Place, RequestBody, Side};
use super::message::{Expiry, Judgement};
use super::profile::{Class, Versioned};
use super::request::Version;
use super::requester::ProofLevel;
use super::state::State;
use super::terms::Terms;
use crate::application::manifest::Manifest;
use crate::calendar::HolidayTable;
use crate::competence::ServiceKey;
use crate::deadline::Deadline;
use crate::transfer::delivery::Bundle;
use crate::transfer::offer::{Id, key};
use crate::transfer::replay::Exchange;

/// What was asked.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Asked {
    /// The round.
    pub round: Id,
    /// Its number, for the case and profile.
    pub round_number: u32,
    /// The round that it renews.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub renews: Option<Id>,
    /// The application, for life.
    pub application: Id,
    /// The service.
    #[serde(with = "key")]
    pub service: ServiceKey,
    /// By which profile, in which version.
    pub profile: Versioned,
    /// What the participant is to it.
    pub class: Class,
    /// How long it has, what silence means, and whether more time can be had.
    pub terms: Terms,
    /// How strong the proof of delivery is at most.
    pub proof_level: ProofLevel,
    /// The last day on which what is disclosed may be seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disclosure_ends: Option<Date>,
}

impl Asked {
    fn of(body: &RequestBody) -> Self {
        Self {
            round: body.round_id.clone(),
            round_number: body.round_number,
            renews: body.renews.clone(),
            application: body.application_id.clone(),
            service: body.service.clone(),
            profile: body.profile.clone(),
            class: body.class,
            terms: body.terms.clone(),
            proof_level: body.proof_level,
            disclosure_ends: body.disclosure_ends,
        }
    }
}

/// A step of a request.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Step {
    /// When it was said, by the clock of who said it.
    pub at: Timestamp,
    /// Who said it: a member, or a guest or a unit that the requester hosts.
    pub by: String,
    /// What was said.
    pub kind: String,
    /// When it was entered at the participant's node, where that decides whether it is in time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entered_at: Option<Timestamp>,
    /// The state after it; nothing where messages are missing.
    pub state: Option<State>,
    /// Whether its receipt is there.
    pub receipt: bool,
    /// Whether it was refused.
    pub refused: bool,
    /// How it was judged, if it was.
    pub judgement: Option<Judgement>,
}

/// What a message let the other side see.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Shown {
    /// Who let it be seen.
    pub by: String,
    /// By whom.
    pub to: String,
    /// By which message.
    pub kind: String,
    /// SHA-256 of its manifest, in hexadecimal.
    pub manifest: String,
    /// How many parts it has.
    pub parts: u64,
    /// How many of them were pulled, as far as this evidence goes.
    pub pulled: u64,
    /// Ids and names of its files, if the manifest is there still.
    pub files: Vec<(String, String)>,
}

/// That the role of who asks went over with the case.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Moved {
    /// The member that asked until then.
    pub from: String,
    /// The one that asks since.
    pub to: String,
    /// The transfer in which it took the case over.
    pub transfer: Id,
    /// The instant of the take-over.
    pub at: Timestamp,
}

/// A deadline as it was told.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Told {
    /// When, by the requester's clock.
    pub told_at: Timestamp,
    /// Whether it was computed again here, which needs the table of holidays that it names.
    pub computed_again: bool,
    /// With its computation.
    #[serde(flatten)]
    pub deadline: Deadline,
}

/// The course of one request.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Course {
    /// Which.
    pub request: String,
    /// Who asked first.
    pub requester: String,
    /// Who asked after that, one after the other.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub moved: Vec<Moved>,
    /// Who was asked: a member, or a guest or a unit that the requester hosts.
    pub participant: String,
    /// What was asked; nothing if the request is not in the evidence.
    pub asked: Option<Asked>,
    /// When it was delivered; nothing if that is not in the evidence.
    pub delivered_at: Option<Timestamp>,
    /// The deadlines that were told, one after the other.
    pub deadlines: Vec<Told>,
    /// The instant at which the time is over; nothing where there is no deadline or its clock stands still.
    pub ends_at: Option<Timestamp>,
    /// What was shown, on either side.
    pub shown: Vec<Shown>,
    /// What was said.
    pub steps: Vec<Step>,
    /// The statement in its versions.
    pub versions: Vec<Version>,
    /// What silence meant, if that holds.
    pub silence: Option<Expiry>,
    /// How it stands at the end of this evidence; nothing where messages are missing.
    pub state: Option<State>,
    /// What does not fit together.
    pub contradictions: Vec<String>,
    /// Messages and receipts that there must have been and that are not here.
    pub missing: Vec<String>,
}

/// Replays every request of which there are messages. Exchanges that are none of this contract are passed over.
pub fn replay(exchanges: &[Exchange], table: &HolidayTable) -> Vec<Course> {
    let mut requests: BTreeMap<String, Collected> = BTreeMap::new();
    for exchange in exchanges {
        match Place::read(&exchange.path) {
            Some(Place::Message {
                request,
                side,
                seq,
                kind,
            }) => requests
                .entry(request.to_string())
                .or_default()
                .take(exchange, side, seq, &kind),
            Some(Place::Part {
                request,
                side,
                seq,
                part,
            }) => {
                let collected = requests.entry(request.to_string()).or_default();
                let pulled = collected.pulled.entry((side, seq)).or_default();
                if let Some(octets) = &exchange.answer {
                    pulled.parts.insert(part);
                    pulled.by.insert(exchange.from.clone());
                    if part == 0 {
                        pulled.first = Some(octets.clone());
                    }
                }
            }
            None => {}
        }
    }
    requests
        .into_iter()
        .map(|(id, collected)| collected.run(id, table))
        .collect()
}

impl Collected {
    fn run(mut self, id: String, table: &HolidayTable) -> Course {
        let request = match self.said.get(&(Side::Requester, 1)).map(|first| &first.sent.body) {
            Some(Body::Request { request }) => Some(request.clone()),
            Some(_) | None => None,
        };
        let (requesters, participant) = self.parties();
        let requester = requesters.first().cloned().unwrap_or_default();
        if let Some(request) = &request {
            self.contradictions
                .extend(unlike(request, &id, &requester, &participant));
        }
        let hosted = request.as_ref().and_then(|request| request.hosted.clone());
        if let Some(hosted) = &hosted {
            let theirs = self
                .said
                .range_mut((Side::Participant, 0)..=(Side::Participant, u32::MAX));
            theirs.for_each(|(_, said)| said.by.clone_from(hosted));
        }
        let course = Course {
            request: id,
            requester,
            moved: self.moved(),
            participant: hosted.unwrap_or_else(|| participant.clone()),
            asked: request.as_ref().map(|request| Asked::of(request)),
            delivered_at: None,
            deadlines: Vec::new(),
            ends_at: None,
            shown: Vec::new(),
            steps: Vec::new(),
            versions: Vec::new(),
            silence: None,
            state: None,
            missing: self.missing(),
            contradictions: std::mem::take(&mut self.contradictions),
        };
        let mut course = Course {
            shown: self.shown(&course),
            ..course
        };
        course
            .contradictions
            .extend(self.pulled_by_others(&requesters, &participant));
        match request {
            // Who could have said what then hangs on what is not here.
            _ if !course.missing.is_empty() => self.only_told(course, table),
            None => {
                course
                    .contradictions
                    .push("the first message is no request".to_owned());
                self.only_told(course, table)
            }
            Some(request) => {
                course.contradictions.extend(self.two_orders());
                course.contradictions.extend(self.out_of_time());
                Replaying::new(&request, table, course).run(&self)
            }
        }
    }

    /// What each message says for itself, side by side.
    fn only_told(&self, mut course: Course, table: &HolidayTable) -> Course {
        for said in self.said.values() {
            if let Some(delivered_at) = said.delivered_at() {
                course.delivered_at = Some(delivered_at);
            }
            if let Body::Deadline { deadline } = &said.sent.body {
                course.deadlines.push(Told {
                    told_at: said.sent.sent_at,
                    computed_again: deadline.holidays == table.version(),
                    deadline: (**deadline).clone(),
                });
            }
            course.steps.push(said.step(None, said.judgement()));
        }
        // Each on a clock of its own: it is the best order there is.
        course.steps.sort_by_key(|step| step.at);
        course
    }

    fn shown(&self, course: &Course) -> Vec<Shown> {
        let shown = self.said.iter().filter_map(|((side, seq), said)| {
            let bundle = said.sent.body.bundle()?;
            let pulled = self.pulled.get(&(*side, *seq));
            Some(Shown {
                by: said.by.clone(),
                to: match side {
                    Side::Requester => course.participant.clone(),
                    Side::Participant => said.to.clone(),
                },
                kind: said.sent.body.kind().to_owned(),
                manifest: bundle.manifest.to_string(),
                parts: bundle.parts(),
                pulled: pulled.map_or(0, |pulled| pulled.parts.len() as u64),
                files: pulled
                    .and_then(|pulled| pulled.first.as_deref())
                    .map(|first| files_of(bundle, first))
                    .unwrap_or_default(),
            })
        });
        shown.collect()
    }

    fn moved(&self) -> Vec<Moved> {
        let mut moved = Vec::new();
        for said in self.said.values() {
            if let Body::Moved { to, transfer, at } = &said.sent.body {
                moved.push(Moved {
                    from: said.by.clone(),
                    to: to.clone(),
                    transfer: transfer.clone(),
                    at: *at,
                });
            }
        }
        moved
    }

    /// Parts that were handed to somebody who is no party, or that nobody announced.
    fn pulled_by_others(&self, requesters: &[String], participant: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        for ((side, seq), Pulled { parts, by, .. }) in &self.pulled {
            let what = format!("message {seq} of the {}", side.name());
            let is_entitled = |member: &&String| match side {
                Side::Requester => participant.is_empty() || *member == participant,
                Side::Participant => requesters.is_empty() || requesters.contains(member),
            };
            for member in by.iter().filter(|member| !is_entitled(member)) {
                wrong.push(format!("what {what} announces was handed to {member}"));
            }
            if let Some(said) = self.said.get(&(*side, *seq)) {
                let announced = said.sent.body.bundle().map_or(0, Bundle::parts);
                if parts.last().is_some_and(|last| *last >= announced) {
                    wrong.push(format!("more was pulled than {what} announces"));
                }
            }
        }
        wrong
    }
}

/// What a request says otherwise than its path and its members.
fn unlike(request: &RequestBody, id: &str, requester: &str, participant: &str) -> Vec<String> {
    let mut unlike = Vec::new();
    if request.request_id.to_string() != id {
        unlike.push("the request names another one than its path".to_owned());
    }
    match &request.hosted {
        Some(hosted) if requester != participant => unlike.push(format!(
            "{hosted} is hosted by {requester}, and {participant} speaks for it"
        )),
        None if requester == participant => unlike.push(format!("{requester} asks itself")),
        Some(_) | None => {}
    }
    unlike
}

impl Said {
    fn delivered_at(&self) -> Option<Timestamp> {
        self.receipt.as_ref()?.answer.says.delivered_at()
    }

    fn judgement(&self) -> Option<Judgement> {
        self.receipt.as_ref()?.answer.says.judgement()
    }

    fn step(&self, state: Option<State>, judgement: Option<Judgement>) -> Step {
        let taken = self
            .receipt
            .as_ref()
            .map(|receipt| receipt.answer.says.is_taken());
        Step {
            at: self.sent.sent_at,
            by: self.by.clone(),
            kind: self.sent.body.kind().to_owned(),
            entered_at: self.sent.body.message().entered_at(),
            state,
            receipt: taken.is_some(),
            refused: taken == Some(false),
            judgement,
        }
    }
}

/// The files of a bundle whose first part is still there; its manifest has to be the one that was announced.
fn files_of(bundle: &Bundle, first: &[u8]) -> Vec<(String, String)> {
    let manifest = usize::try_from(bundle.manifest_octets)
        .ok()
        .and_then(|octets| first.get(..octets))
        .and_then(|bytes| Manifest::read(bytes, &bundle.manifest).ok());
    manifest.map_or_else(Vec::new, |manifest| {
        manifest
            .files()
            .iter()
            .map(|file| (file.file_id.clone(), file.original_name.clone()))
            .collect()
    })
}
