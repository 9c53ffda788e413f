//! What happened to a request, from its messages and their receipts alone: who was asked, with which deadline and why, what was
//! shown, who answered when, and what silence meant. It is what an auditor has in an evidence package.
//!
//! The messages are put in the requester's order, which they carry, and the request is made again from them. Deadlines are computed
//! again where the table of holidays is at hand. What could not have been said then, what was judged otherwise than its instants
//! say, what silence could not have meant: each is a contradiction, and told.

mod collected;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use self::collected::{Collected, Pulled, Said};
use super::delivery::{Body, Place, RequestBody, Side};
use super::message::{Expiry, Judgement, Message, Says};
use super::request::{Request, Version};
use super::requester::ProofLevel;
use super::state::State;
use crate::application::manifest::Manifest;
use crate::calendar::HolidayTable;
use crate::deadline::Deadline;
use crate::transfer::delivery::Bundle;
use crate::transfer::replay::Exchange;

/// A step of a request.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Step {
    /// When it was said, by the clock of who said it.
    pub at: Timestamp,
    /// Who said it: a member, or `guest/<uuid>`.
    pub by: String,
    /// What was said.
    pub kind: String,
    /// The state after it.
    pub state: &'static str,
    /// Whether its receipt is there.
    pub receipt: bool,
    /// How it was judged, if it was.
    pub judgement: Option<Judgement>,
}

/// What a message let the other side see.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Shown {
    /// Who let it be seen.
    pub by: String,
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

/// The course of one request.
#[derive(Clone, Debug, Eq, PartialEq, Serialize)]
pub struct Course {
    /// Which.
    pub request: String,
    /// Who asked.
    pub requester: String,
    /// Who was asked: a member, or a guest or a unit that the requester hosts.
    pub participant: String,
    /// By which profile, in which version.
    pub profile: String,
    /// Number of the round.
    pub round: u32,
    /// How strong the proof of delivery is at most.
    pub proof_level: ProofLevel,
    /// When it was delivered; nothing if that is not in the evidence.
    pub delivered_at: Option<Timestamp>,
    /// The deadlines that were told, one after the other.
    pub deadlines: Vec<Deadline>,
    /// What was shown, on either side.
    pub shown: Vec<Shown>,
    /// What was said.
    pub steps: Vec<Step>,
    /// The statement in its versions.
    pub versions: Vec<Version>,
    /// What silence meant, if that holds.
    pub silence: Option<Expiry>,
    /// How it stands at the end of this evidence.
    pub state: State,
    /// What does not fit together.
    pub contradictions: Vec<String>,
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
        .filter_map(|(id, collected)| collected.run(id, table))
        .collect()
}

impl Collected {
    fn run(mut self, id: String, table: &HolidayTable) -> Option<Course> {
        let first = self.said.remove(&(Side::Requester, 1))?;
        let Body::Request { request } = &first.sent.body else {
            return None;
        };
        if let Some(hosted) = &request.hosted {
            let theirs = self
                .said
                .range_mut((Side::Participant, 0)..=(Side::Participant, u32::MAX));
            theirs.for_each(|(_, said)| said.by.clone_from(hosted));
        }
        let name = |side| self.members.get(&side).cloned().unwrap_or_default();
        let course = Course {
            request: id,
            requester: name(Side::Requester),
            participant: request.hosted.clone().unwrap_or_else(|| name(Side::Participant)),
            profile: request.profile.to_string(),
            round: request.round_number,
            proof_level: request.proof_level,
            delivered_at: None,
            deadlines: Vec::new(),
            shown: Vec::new(),
            steps: Vec::new(),
            versions: Vec::new(),
            silence: None,
            state: State::Sent,
            contradictions: std::mem::take(&mut self.contradictions),
        };
        let mut replaying = Replaying {
            request: Request::new(State::Sent),
            body: request,
            table,
            asked: BTreeMap::new(),
            course,
        };
        replaying.begin(&first);
        let pulled = std::mem::take(&mut self.pulled);
        replaying.show(&first, pulled.get(&(Side::Requester, 1)));
        replaying.all(&mut self.said, &pulled);
        Some(replaying.end())
    }
}

/// A request while it is made again.
struct Replaying<'a> {
    request: Request,
    body: &'a RequestBody,
    table: &'a HolidayTable,
    /// Ends for which the participant's node was asked, with how many messages it named, if it answered.
    asked: BTreeMap<Timestamp, Option<u32>>,
    course: Course,
}

impl Replaying<'_> {
    fn begin(&mut self, first: &Said) {
        self.request
            .requester_says(&Message::Request(self.body.terms.clone()));
        if let Some(receipt) = &first.receipt
            && let Says::Delivered { delivered_at } = receipt.answer.says
        {
            self.course.delivered_at = Some(delivered_at);
            self.request.arrived();
        }
        self.step(first, None);
    }

    /// The other messages, in the requester's order.
    fn all(&mut self, said: &mut BTreeMap<(Side, u32), Said>, pulled: &BTreeMap<(Side, u32), Pulled>) {
        loop {
            let (requester, participant) = (self.request.requester_said(), self.request.participant_said());
            let (ours, theirs) = (
                (Side::Requester, requester + 1),
                (Side::Participant, participant + 1),
            );
            let ours_next = said.get(&ours).is_some_and(|next| next.sent.heard <= participant);
            let theirs_next = said.get(&theirs).is_some_and(|next| match &next.receipt {
                Some(receipt) => receipt.answer.after <= requester,
                // What has no receipt has its place where the requester says that it had taken it.
                None => !ours_next,
            });
            let next = match (ours_next, theirs_next) {
                (true, _) => ours,
                (false, true) => theirs,
                (false, false) => break,
            };
            let Some(one) = said.remove(&next) else { break };
            match next.0 {
                Side::Requester => self.requester_said(next.1, &one),
                Side::Participant => self.participant_said(next.1, &one),
            }
            self.show(&one, pulled.get(&next));
        }
        for ((side, seq), one) in said {
            let kind = one.sent.body.kind();
            self.course.contradictions.push(format!(
                "message {seq} of the {} ({kind}) has no place: one before it is missing",
                side.name()
            ));
        }
    }

    fn wrong(&mut self, side: Side, seq: u32, said: &Said, text: &str) {
        let kind = said.sent.body.kind();
        self.course
            .contradictions
            .push(format!("message {seq} of the {} ({kind}): {text}", side.name()));
    }

    fn requester_said(&mut self, seq: u32, said: &Said) {
        let message = said.sent.body.message();
        let side = Side::Requester;
        match &message {
            Message::Expired(expiry) => {
                for text in self.silence(*expiry) {
                    self.wrong(side, seq, said, &text);
                }
            }
            Message::Deadline { deadline } => {
                if let Err(text) = self.recompute(deadline) {
                    self.wrong(side, seq, said, &text);
                }
                self.course.deadlines.push((**deadline).clone());
            }
            Message::Inquire { until } => {
                let named = said.receipt.as_ref().map(|receipt| receipt.answer.after);
                self.asked.insert(*until, named);
            }
            Message::Request(_)
            | Message::Supplement { .. }
            | Message::Answer
            | Message::ExtensionDecision { .. }
            | Message::Clock { .. }
            | Message::Reminder
            | Message::Suspended { .. }
            | Message::Resumed { .. }
            | Message::Cancelled
            | Message::Revoke { .. }
            | Message::Assessed
            | Message::Outcome
            | Message::Acknowledge
            | Message::Decline { .. }
            | Message::Preparing
            | Message::Question
            | Message::ExtensionRequest { .. }
            | Message::Statement { .. }
            | Message::WithdrawStatement { .. }
            | Message::Purged { .. }
            | Message::Void => {}
        }
        let state = self.request.state().name();
        if !self.request.requester_says(&message) {
            self.wrong(
                side,
                seq,
                said,
                &format!("it does not fit a request that is {state}"),
            );
        }
        self.step(said, None);
    }

    fn participant_said(&mut self, seq: u32, said: &Said) {
        let message = said.sent.body.message();
        let side = Side::Participant;
        let says = said.receipt.as_ref().map(|receipt| receipt.answer.says);
        let in_time = message.entered_at().map(|at| self.request.is_in_time(at));
        // Without a receipt it is judged here.
        let judged = matches!(
            message,
            Message::Statement { .. } | Message::Decline { .. } | Message::ExtensionRequest { .. }
        );
        let judgement = match says {
            Some(says) => says.judgement(),
            None => in_time.filter(|_| judged).map(|in_time| Judgement {
                in_time,
                kept_beside: self.request.is_past_statements(in_time),
            }),
        };
        if let (Some(judgement), Some(in_time)) = (judgement, in_time)
            && judgement.in_time != in_time
        {
            let words = |in_time| match in_time {
                true => "in time",
                false => "late",
            };
            let text = format!(
                "it was judged as {}, and by its instant it is {}",
                words(judgement.in_time),
                words(in_time)
            );
            self.wrong(side, seq, said, &text);
        }
        let taken = says.is_none_or(Says::is_taken);
        let state = self.request.state().name();
        let mut next = self.request.clone();
        let fits = next.participant_says(&message, judgement);
        if taken {
            self.request = next;
        } else {
            self.request.participant_says(&Message::Void, None);
        }
        if fits != taken {
            let text = match taken {
                true => format!("it was taken, and does not fit a request that is {state}"),
                false => format!("it was refused, and fits a request that is {state}"),
            };
            self.wrong(side, seq, said, &text);
        }
        self.step(said, judgement);
    }

    /// What silence could not have meant.
    fn silence(&self, expiry: Expiry) -> Vec<String> {
        let mut wrong = Vec::new();
        if expiry.effect != self.body.terms.effect {
            wrong.push("it says another effect of silence than the request".to_owned());
        }
        if !self.body.terms.has_effect() {
            return wrong;
        }
        if self.request.end() != Some(expiry.ended_at) || expiry.recorded_at < expiry.ended_at {
            wrong.push("no deadline that was told had ended then".to_owned());
        }
        if self.course.delivered_at.is_none() {
            wrong.push(
                "silence has no effect without a proven delivery, which is not in this evidence".to_owned(),
            );
        }
        if self
            .request
            .extension_wanted()
            .is_some_and(|wanted| wanted.in_time)
        {
            wrong.push("a timely request for more time was undecided".to_owned());
        }
        match (self.asked.get(&expiry.ended_at), expiry.answered) {
            (None, _) => {
                wrong.push("the participant's node was not asked for what it had entered in time".to_owned())
            }
            (Some(None), true) => {
                wrong.push("that the participant's node answered is not in this evidence".to_owned())
            }
            (Some(Some(named)), _) if *named > self.request.participant_said() => {
                wrong.push("the participant's node named messages that were not there yet".to_owned());
            }
            (Some(_), _) => {}
        }
        wrong
    }

    /// Computes a deadline again, with the table that it names if that is at hand.
    fn recompute(&self, told: &Deadline) -> Result<(), String> {
        if self.course.delivered_at.is_some_and(|at| told.trigger < at) {
            return Err("the deadline runs from before the delivery".to_owned());
        }
        if told.holidays != self.table.version() {
            return Ok(());
        }
        let error = |error: crate::deadline::DeadlineError| error.to_string();
        let mut again = Deadline::compute(told.rule, told.trigger, &told.place, self.table).map_err(error)?;
        for extension in &told.extensions {
            again = again.extended(*extension, self.table).map_err(error)?;
        }
        match again.ends_at == told.ends_at && again.place == self.body.terms.place {
            true => Ok(()),
            false => Err(format!(
                "the deadline ends at {}, and by its rule it ends at {}",
                told.ends_at, again.ends_at
            )),
        }
    }

    fn show(&mut self, said: &Said, pulled: Option<&Pulled>) {
        let Some(bundle) = said.sent.body.bundle() else {
            return;
        };
        self.course.shown.push(Shown {
            by: said.by.clone(),
            kind: said.sent.body.kind().to_owned(),
            manifest: bundle.manifest.to_string(),
            parts: bundle.parts(),
            pulled: pulled.map_or(0, |pulled| pulled.parts.len() as u64),
            files: pulled
                .and_then(|pulled| pulled.first.as_deref())
                .map(|first| files_of(bundle, first))
                .unwrap_or_default(),
        });
    }

    fn step(&mut self, said: &Said, judgement: Option<Judgement>) {
        self.course.steps.push(Step {
            at: said.sent.sent_at,
            by: said.by.clone(),
            kind: said.sent.body.kind().to_owned(),
            state: self.request.state().name(),
            receipt: said.receipt.is_some(),
            judgement,
        });
    }

    fn end(mut self) -> Course {
        self.course.versions = self.request.versions().to_vec();
        self.course.silence = self.request.expiry();
        self.course.state = self.request.state();
        self.course
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
