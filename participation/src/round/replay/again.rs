//! A request, made again from its messages in the requester's order: what each could not have said then, and what it came to.

use std::collections::BTreeMap;

use jiff::{Timestamp, ToSpan};

use super::collected::{Collected, Said};
use super::{Course, Told};
use crate::calendar::HolidayTable;
use crate::deadline::{Deadline, DeadlineError, Rule, day_of};
use crate::round::delivery::{Body, RequestBody, Side};
use crate::round::message::{Expiry, Judgement, Message, Says};
use crate::round::request::{Request, Version};
use crate::round::requester::HOURS_TO_ANSWER;
use crate::round::state::State;

/// A request while it is made again.
pub(super) struct Replaying<'a> {
    request: Request,
    body: &'a RequestBody,
    table: &'a HolidayTable,
    /// Ends for which the participant's node was asked, with how many messages it named, if it answered.
    asked: BTreeMap<Timestamp, Option<u32>>,
    /// The same ends by the numbers of the messages that asked: nothing is entered before them from then on.
    promised: BTreeMap<u32, Timestamp>,
    /// The newest instant at which something was entered.
    entered_at: Option<Timestamp>,
    /// Whether a supplement waits with which the period begins anew.
    begins_anew: bool,
    /// When the round had been closed at the latest, by what was kept beside for it.
    closed_by: Option<Timestamp>,
    course: Course,
}

impl<'a> Replaying<'a> {
    pub(super) const fn new(body: &'a RequestBody, table: &'a HolidayTable, course: Course) -> Self {
        Self {
            request: Request::new(State::Sent),
            body,
            table,
            asked: BTreeMap::new(),
            promised: BTreeMap::new(),
            entered_at: None,
            begins_anew: false,
            closed_by: None,
            course,
        }
    }

    /// All messages, in the requester's order.
    pub(super) fn run(mut self, collected: &Collected) -> Course {
        for (side, seq) in collected.order() {
            let Some(said) = collected.said.get(&(side, seq)) else {
                continue;
            };
            match side {
                Side::Requester => self.requester_said(seq, said),
                Side::Participant => self.participant_said(seq, said),
            }
        }
        self.course.versions = self.request.versions().to_vec();
        self.course.silence = self.request.expiry();
        self.course.ends_at = self.request.end();
        self.course.state = Some(self.request.state());
        self.course
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
        let mut wrong = Vec::new();
        match &message {
            Message::Expired(expiry) => wrong.extend(self.silence(*expiry, said)),
            Message::Deadline { deadline } => {
                let computed = self.recompute(deadline);
                self.course.deadlines.push(Told {
                    told_at: said.sent.sent_at,
                    computed_again: computed == Ok(true),
                    deadline: (**deadline).clone(),
                });
                wrong.extend(computed.err());
                self.begins_anew = false;
            }
            Message::Inquire { until } => self.asks(seq, *until, said),
            Message::Supplement { restarts } => self.begins_anew |= *restarts,
            Message::Void => {
                // That it was given up takes nothing away from that it was asked.
                let given_up = said.given_up.as_ref().map(|sent| &sent.body);
                if let Some(Body::Inquire { until }) = given_up {
                    self.asked.entry(*until).or_insert(None);
                }
            }
            Message::Request(_)
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
            | Message::Moved
            | Message::Acknowledge
            | Message::Decline { .. }
            | Message::Preparing
            | Message::Question
            | Message::ExtensionRequest { .. }
            | Message::Statement { .. }
            | Message::WithdrawStatement { .. }
            | Message::Purged { .. } => {}
        }
        match said.receipt.as_ref().map(|receipt| receipt.answer.says) {
            Some(Says::Delivered { delivered_at }) if seq == 1 => {
                self.course.delivered_at = Some(delivered_at);
            }
            Some(Says::Taken) | None => {}
            Some(Says::Delivered { .. } | Says::Judged(_) | Says::Refused { .. }) => {
                wrong.push("nobody answers it like that".to_owned());
            }
        }
        let state = self.request.state().name();
        if !self.request.requester_says(&message) {
            wrong.push(format!("it does not fit a request that is {state}"));
        }
        if seq == 1 && self.course.delivered_at.is_some() {
            self.request.arrived();
        }
        for text in wrong {
            self.wrong(side, seq, said, &text);
        }
        let step = said.step(Some(self.request.state()), None);
        self.course.steps.push(step);
    }

    fn asks(&mut self, seq: u32, until: Timestamp, said: &Said) {
        let named = said.receipt.as_ref().map(|receipt| receipt.answer.after);
        self.asked.insert(until, named);
        self.promised.insert(seq, until);
    }

    fn participant_said(&mut self, seq: u32, said: &Said) {
        let message = said.sent.body.message();
        let side = Side::Participant;
        let says = said.receipt.as_ref().map(|receipt| receipt.answer.says);
        let in_time = message.entered_at().map(|at| self.request.is_in_time(at));
        let expected = in_time.and_then(|in_time| self.judge(&message, in_time));
        let mut wrong = self.entered(&message, said.sent.heard);
        let judgement = match says {
            Some(says) => says.judgement(),
            None => expected,
        };
        match (judgement, expected) {
            (Some(given), Some(right)) => wrong.extend(self.judged(&message, given, right)),
            (Some(_), None) => wrong.push("it was judged, and there is nothing to judge".to_owned()),
            (None, _) => {}
        }
        if matches!(says, Some(Says::Delivered { .. })) || says == Some(Says::Taken) && expected.is_some() {
            wrong.push("nobody answers it like that".to_owned());
        }
        let state = self.request.state().name();
        let mut next = self.request.clone();
        let fits = next.participant_says(&message, judgement.or(expected));
        let taken = says.map_or(fits, Says::is_taken);
        match taken {
            true => self.request = next,
            false => _ = self.request.participant_says(&Message::Void, None),
        }
        if fits != taken {
            wrong.push(match taken {
                true => format!("it was taken, and does not fit a request that is {state}"),
                false => format!("it was refused, and fits a request that is {state}"),
            });
        }
        for text in wrong {
            self.wrong(side, seq, said, &text);
        }
        let mut step = said.step(Some(self.request.state()), judgement);
        step.refused = !taken;
        self.course.steps.push(step);
    }

    /// Whether what was entered can have been entered then, after what its node had answered.
    fn entered(&mut self, message: &Message, heard: u32) -> Vec<String> {
        let Some(at) = message.entered_at() else {
            return Vec::new();
        };
        let mut wrong = Vec::new();
        let newest = self.entered_at.max(self.course.delivered_at);
        if newest.is_some_and(|newest| at < newest) {
            wrong.push("it was entered before what was there before it".to_owned());
        }
        let promised = self.promised.range(..=heard).map(|(_, until)| *until).max();
        if let Some(until) = promised.filter(|until| at < *until) {
            wrong.push(format!(
                "its instant is before {until}, and the node had answered what was entered before then"
            ));
        }
        self.entered_at = newest.max(Some(at));
        wrong
    }

    /// How it has to be judged, as far as messages say; nothing where nothing is.
    fn judge(&self, message: &Message, in_time: bool) -> Option<Judgement> {
        let kept_beside = match message {
            Message::Statement { entered_at, .. } => {
                let closed = self.closed_by.is_some_and(|closed| *entered_at >= closed);
                self.request.is_past_statements(in_time) || (closed && self.something_counts())
            }
            Message::Decline { .. } | Message::ExtensionRequest { .. } => false,
            Message::Request(_)
            | Message::Supplement { .. }
            | Message::Answer
            | Message::ExtensionDecision { .. }
            | Message::Clock { .. }
            | Message::Deadline { .. }
            | Message::Reminder
            | Message::Inquire { .. }
            | Message::Expired(_)
            | Message::Suspended { .. }
            | Message::Resumed { .. }
            | Message::Cancelled
            | Message::Revoke { .. }
            | Message::Assessed
            | Message::Outcome
            | Message::Moved
            | Message::Acknowledge
            | Message::Preparing
            | Message::Question
            | Message::WithdrawStatement { .. }
            | Message::Purged { .. }
            | Message::Void => return None,
        };
        Some(Judgement { in_time, kept_beside })
    }

    fn something_counts(&self) -> bool {
        self.request.versions().iter().any(Version::counts)
    }

    /// What of a judgement cannot be. That the round was closed is told to nobody, and shows by what was kept beside for it.
    fn judged(&mut self, message: &Message, given: Judgement, right: Judgement) -> Option<String> {
        if given.in_time != right.in_time {
            let words = |in_time| match in_time {
                true => "in time",
                false => "late",
            };
            return Some(format!(
                "it was judged as {}, and by its instant it is {}",
                words(given.in_time),
                words(right.in_time)
            ));
        }
        match (given.kept_beside, right.kept_beside) {
            (true, true) | (false, false) => None,
            (false, true) => Some("it was not kept beside, and could not change anything".to_owned()),
            (true, false) => {
                let closable = matches!(message, Message::Statement { .. }) && self.something_counts();
                self.closed_by = match (self.closed_by, message.entered_at()) {
                    (Some(closed), Some(at)) => Some(closed.min(at)),
                    (closed, at) => closed.or(at),
                };
                (!closable).then(|| "it was kept beside, and nothing was there before it".to_owned())
            }
        }
    }

    /// What silence could not have meant.
    fn silence(&mut self, expiry: Expiry, said: &Said) -> Vec<String> {
        let mut wrong = Vec::new();
        let terms = &self.body.terms;
        if expiry.effect != terms.effect {
            wrong.push("it says another effect of silence than the request".to_owned());
        }
        let end = self.request.end();
        let without_end = terms.rule.is_none() && end.is_none() && self.request.standing_still().is_none();
        let ended = end == Some(expiry.ended_at) || (without_end && expiry.ended_at == expiry.recorded_at);
        if !ended || expiry.recorded_at < expiry.ended_at {
            wrong.push("no deadline that was told had ended then".to_owned());
        }
        if let Body::Expired {
            deadline: Some(deadline),
            ..
        } = &said.sent.body
            && self.request.deadline() != Some(&**deadline)
        {
            wrong.push("the deadline in it is not the one that was told".to_owned());
        }
        let undecided = self.request.extension_wanted();
        if !without_end && undecided.is_some_and(|wanted| wanted.in_time) {
            wrong.push("a timely request for more time was undecided".to_owned());
        }
        if !terms.has_effect() {
            return wrong;
        }
        if self.course.delivered_at.is_none() {
            // Its receipt is here, and says less: it was proven in another way, or not at all.
            let text = "the proof of the delivery, without which silence has no effect";
            self.course.missing.push(text.to_owned());
        }
        let at_least = expiry
            .asked_at
            .and_then(|at| at.checked_add(HOURS_TO_ANSWER.hours()).ok());
        match (self.asked.get(&expiry.ended_at), expiry.answered) {
            (None, _) => {
                wrong.push("the participant's node was not asked for what it had entered in time".to_owned());
            }
            (Some(None), true) => wrong.push("the participant's node did not answer".to_owned()),
            (Some(Some(named)), true) if *named > self.request.participant_said() => {
                wrong.push("the participant's node named messages that were not there yet".to_owned());
            }
            (Some(_), false) if at_least.is_none_or(|at| expiry.recorded_at < at) => wrong.push(format!(
                "the participant's node did not have the {HOURS_TO_ANSWER} hours that it has to answer"
            )),
            (Some(_), _) => {}
        }
        wrong
    }

    /// Computes a deadline again, with the table that it names if that is at hand; says whether it is.
    fn recompute(&self, told: &Deadline) -> Result<bool, String> {
        let wrong = |text: &str| Err(text.to_owned());
        let terms = &self.body.terms;
        if self.course.delivered_at.is_some_and(|at| told.trigger < at) {
            return wrong("the deadline runs from before the delivery");
        }
        if terms.runs_from.is_some_and(|day| day_of(told.trigger) < day) {
            return wrong("the deadline runs from before the day that the request names");
        }
        if told.place != terms.place {
            return wrong("the deadline is computed for another place than the request names");
        }
        if let Some(before) = self.request.deadline() {
            if told.ends_at < before.ends_at {
                return wrong("it ends before the deadline that was told before it");
            }
            if told.trigger != before.trigger && !self.begins_anew {
                return wrong("it runs from another event, and nothing began anew");
            }
        }
        let fixed: Vec<Rule> = [terms.rule, terms.at_most].into_iter().flatten().collect();
        let stated = matches!(told.rule, Rule::Until { stands: true, .. }) && !fixed.is_empty();
        if !stated && !fixed.contains(&told.rule) {
            return wrong("its rule is not that of the request");
        }
        if told.holidays != self.table.version() {
            return Ok(false);
        }
        let error = |error: DeadlineError| error.to_string();
        let compute = |rule| Deadline::compute(rule, told.trigger, &told.place, self.table).map_err(error);
        let mut again = compute(told.rule)?;
        for rule in fixed.into_iter().filter(|_| !stated) {
            if compute(rule)?.ends_at < again.ends_at {
                return wrong("another rule of the request ends earlier");
            }
        }
        for extension in &told.extensions {
            again = again.extended(*extension, self.table).map_err(error)?;
        }
        match again.ends_at == told.ends_at && again.effective_end == told.effective_end {
            true => Ok(true),
            false => Err(format!(
                "the deadline ends at {}, and by its rule it ends at {}",
                told.ends_at, again.ends_at
            )),
        }
    }
}
