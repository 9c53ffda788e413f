//! Both sides with what lies between them, and what must hold at every instant.

use std::collections::{BTreeSet, VecDeque};

use super::super::message::{Answer, DeclineReason, Message, Says, Told};
use super::super::participant::{self, Participant};
use super::super::requester::{self, Requester};
use super::super::state::State;
use super::*;

#[derive(Clone, Copy, Debug)]
pub(super) enum BySide {
    Requester(requester::Act),
    Participant(participant::Act),
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Op {
    Does(BySide),
    /// The oldest message that is not settled arrives; its answer may be lost, so that it comes again.
    ToParticipant {
        answer_lost: bool,
    },
    ToRequester {
        answer_lost: bool,
    },
    /// A message that was settled long ago arrives once more.
    Repeat {
        to_participant: bool,
        which: usize,
    },
    /// The participant fetches what is disclosed.
    Fetch,
    /// Minutes pass, for each side as its clock goes; nothing arrives at a side that is down.
    Pass {
        requester: i64,
        participant: i64,
    },
    /// What is due at the requester happens.
    Clocks,
    /// A process dies and starts with what it had committed.
    Restart {
        requester: bool,
    },
    /// The requester closes its round.
    CloseRound,
    /// Who asks hands the case over, if nothing is on its way.
    Move,
}

/// What a builder might get wrong: the simulation has to find each.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Planted {
    /// The participant applies what comes as it comes.
    AppliesOutOfOrder,
    /// The requester takes silence for granted once it has decided to ask.
    ExpiresUnasked,
    /// It expires although the participant's node named something that is not here.
    ForgetsWhatWasNamed,
    /// The instant of arrival decides, not the one of entry.
    JudgesByArrival,
    /// The participant goes on entering with a clock that is behind, after it has answered.
    BreaksItsAnswer,
    /// A statement that comes after the end is refused.
    RefusesLate,
    /// The clock runs from the sending.
    RunsFromSending,
}

/// That it was attempted to deliver a message.
#[derive(Clone, Copy)]
pub(super) struct Attempt {
    pub(super) by: usize,
    pub(super) number: usize,
    /// When it arrived by the clock of the other side, if it did.
    pub(super) arrived: Option<Timestamp>,
    /// Whether its answer came back.
    pub(super) returned: bool,
    /// Whether who is asked knows that another one asks.
    pub(super) moved: bool,
}

pub(super) struct World {
    planted: Option<Planted>,
    pub(super) requester: Requester,
    pub(super) participant: Option<Participant>,
    pub(super) now: [Timestamp; 2],
    /// Messages that are not settled, with their numbers.
    out: [VecDeque<(usize, Told)>; 2],
    pub(super) all: [Vec<Told>; 2],
    /// When each was decided.
    pub(super) said_at: [Vec<Timestamp>; 2],
    /// When each was answered first.
    pub(super) answered_at: [Vec<Timestamp>; 2],
    pub(super) attempts: Vec<Attempt>,
    /// Answers by number: a repeat gets the one that was given.
    pub(super) answers: [Vec<Answer>; 2],
    /// Statements as they were entered, with the end in force at the requester's when they came.
    entered: Vec<Timestamp>,
    fetched: bool,
    asked: bool,
    proven: bool,
    pub(super) seen: [BTreeSet<State>; 2],
}

pub(super) const R: usize = 0;
pub(super) const P: usize = 1;

fn table() -> &'static HolidayTable {
    HolidayTable::built_in()
}

impl World {
    pub(super) fn new(planted: Option<Planted>, effect: SilenceEffect) -> Self {
        Self {
            planted,
            requester: Requester::created(terms(effect), ProofLevel::Node, vec![]),
            participant: None,
            now: [start(); 2],
            out: Default::default(),
            all: Default::default(),
            said_at: Default::default(),
            answered_at: Default::default(),
            attempts: Vec::new(),
            answers: Default::default(),
            entered: Vec::new(),
            fetched: false,
            asked: false,
            proven: false,
            seen: Default::default(),
        }
    }

    fn tell(&mut self, side: usize, tell: &[Told]) {
        for told in tell {
            self.out[side].push_back((self.all[side].len(), told.clone()));
            self.all[side].push(told.clone());
            self.said_at[side].push(self.now[side]);
        }
    }

    fn take(&mut self, decision: &requester::Decision) {
        self.requester.apply(decision);
        self.tell(R, &decision.tell);
    }

    pub(super) fn requester_command(&self, act: requester::Act) -> requester::Command {
        use requester::{Act, Command};
        match act {
            Act::Send => Command::Send(cleared(self.requester.terms())),
            Act::Drop => Command::Drop,
            Act::Fail => Command::Fail,
            Act::Retry => Command::Retry,
            Act::Supplement => Command::Supplement {
                restarts: self.now[R].as_second() % 2 == 0,
            },
            Act::Answer => Command::Answer,
            Act::DecideExtension => Command::DecideExtension {
                granted: (self.now[R].as_second() % 3 != 0).then_some(Rule::Hours { n: 3 }),
            },
            Act::Extend => Command::Extend(Rule::Hours { n: 1 }),
            Act::StopClock => Command::StopClock,
            Act::ContinueClock => Command::ContinueClock,
            Act::StateDeadline => Command::StateDeadline(date(2026, 1, 7)),
            Act::Remind => Command::Remind,
            Act::Inquire => Command::Inquire,
            Act::Expire => Command::Expire,
            Act::ExpireUnanswered => Command::ExpireUnanswered,
            Act::Suspend => Command::Suspend,
            Act::Resume => Command::Resume,
            Act::Cancel => Command::Cancel,
            Act::Revoke => Command::Revoke,
            Act::RevokeFiles => Command::RevokeFiles,
            Act::Assess => Command::Assess,
            Act::Notify => Command::Notify,
            Act::Escalate => Command::Escalate(requester::Escalation::NotDelivered),
        }
    }

    pub(super) fn participant_command(act: participant::Act) -> participant::Command {
        use participant::{Act, Command};
        match act {
            Act::Acknowledge => Command::Acknowledge,
            Act::Decline => Command::Decline(DeclineReason::NotCompetent),
            Act::Prepare => Command::Prepare,
            Act::Ask => Command::Ask,
            Act::AskForTime => Command::AskForTime {
                until: date(2026, 1, 9),
            },
            Act::Submit => Command::Submit(submission(Kind::Consent)),
            Act::Withdraw => Command::Withdraw,
            Act::StatePurge => Command::StatePurge {
                whole: true,
                complete: true,
            },
        }
    }

    fn requester_does(&mut self, act: requester::Act) -> bool {
        self.requester_commands(&self.requester_command(act))
    }

    fn requester_commands(&mut self, command: &requester::Command) -> bool {
        let Ok(mut decision) = self.requester.decide(command.clone(), self.now[R], table()) else {
            return false;
        };
        if self.planted == Some(Planted::RunsFromSending) && command.act() == requester::Act::Send {
            self.take(&decision);
            let delivery = requester::Delivery {
                delivered_at: self.now[R],
                proof: requester::Proof::Recorded,
            };
            let Some(arrived) = self.requester.arrived(delivery, table()) else {
                return true;
            };
            self.take(&arrived);
            let Some(fetched) = self.requester.fetched(self.now[R], table()) else {
                return true;
            };
            decision = fetched;
        }
        self.take(&decision);
        if self.planted == Some(Planted::ExpiresUnasked) && command.act() == requester::Act::Inquire {
            let said = self.requester.request().participant_said();
            self.named(said);
        }
        true
    }

    /// Has the requester believe that the participant's node answered.
    fn named(&mut self, after: u32) {
        let Some(inquiry) = self.requester.inquiry() else {
            return;
        };
        let message = Message::Inquire { until: inquiry.until };
        let answer = Answer {
            after,
            says: Says::Taken,
        };
        if let Some(decision) = self.requester.answered(&message, answer, table()) {
            self.take(&decision);
        }
    }

    fn participant_does(&mut self, act: participant::Act) -> bool {
        let Some(participant) = &mut self.participant else {
            return false;
        };
        let Ok(mut decision) = participant.decide(&Self::participant_command(act), self.now[P]) else {
            return false;
        };
        participant.apply(&decision);
        for told in &mut decision.tell {
            if self.planted == Some(Planted::BreaksItsAnswer)
                && let Message::Statement { entered_at, .. } = &mut told.message
            {
                *entered_at = self.now[P];
            }
            if let Message::Statement { entered_at, .. } = told.message {
                self.entered.push(entered_at);
            }
        }
        let tell = decision.tell;
        self.tell(P, &tell);
        true
    }

    fn arrives_at_participant(&mut self, answer_lost: bool) -> bool {
        let Some((number, told)) = self.out[R].front().cloned() else {
            return false;
        };
        if let Some(decision) = self.requester.attempted(&told.message, self.now[R]) {
            self.take(&decision);
        }
        self.asked |= matches!(told.message, Message::Inquire { .. });
        let answer = self.participant_answers(number, &told);
        self.attempted(R, number, !answer_lost);
        if !answer_lost {
            self.out[R].pop_front();
            self.proven |= matches!(answer.says, Says::Delivered { .. });
            if let Some(mut decision) = self.requester.answered(&told.message, answer, table()) {
                if self.planted == Some(Planted::ForgetsWhatWasNamed)
                    && matches!(told.message, Message::Inquire { .. })
                {
                    let forgotten = Answer { after: 0, ..answer };
                    decision = self
                        .requester
                        .answered(&told.message, forgotten, table())
                        .unwrap_or(decision);
                }
                self.take(&decision);
            }
        }
        true
    }

    fn attempted(&mut self, by: usize, number: usize, returned: bool) {
        let other = 1 - by;
        if self.answered_at[other].len() == number {
            self.answered_at[other].push(self.now[other]);
        }
        let moved = self.is_moved();
        self.attempts.push(Attempt {
            moved,
            by,
            number,
            arrived: Some(self.answered_at[other][number]),
            returned,
        });
    }

    /// Whether who is asked knows that another one asks.
    fn is_moved(&self) -> bool {
        let taken = self.all[R].iter().take(self.answers[P].len());
        taken.into_iter().any(|told| told.message == Message::Moved)
    }

    /// What each side has next is sent and does not arrive.
    pub(super) fn send_in_vain(&mut self) {
        let moved = self.is_moved();
        for by in [R, P] {
            let number = self.out[by].front().map(|(number, _)| *number);
            self.attempts.extend(number.map(|number| Attempt {
                moved,
                by,
                number,
                arrived: None,
                returned: false,
            }));
        }
    }

    fn participant_answers(&mut self, number: usize, told: &Told) -> Answer {
        if let Some(answer) = self.answers[P].get(number) {
            return *answer;
        }
        let answer = match &mut self.participant {
            None => {
                assert!(
                    matches!(told.message, Message::Request(_)),
                    "messages come in order"
                );
                let (participant, answer) =
                    Participant::delivered(self.requester.terms().clone(), None, self.now[P]);
                self.participant = Some(participant);
                answer
            }
            Some(participant) => {
                let mut told = told.clone();
                if self.planted == Some(Planted::AppliesOutOfOrder) {
                    told.heard = 0;
                }
                let (decision, answer) = participant.receive(&told);
                participant.apply(&decision);
                answer
            }
        };
        self.answers[P].push(answer);
        answer
    }

    fn arrives_at_requester(&mut self, answer_lost: bool) -> bool {
        let Some((number, told)) = self.out[P].front().cloned() else {
            return false;
        };
        let answer = self.requester_answers(number, &told);
        self.attempted(P, number, !answer_lost);
        if !answer_lost {
            self.out[P].pop_front();
            if let Some(participant) = &mut self.participant {
                participant.apply(&participant.answered(answer));
            }
        }
        true
    }

    fn requester_answers(&mut self, number: usize, told: &Told) -> Answer {
        if let Some(answer) = self.answers[R].get(number) {
            return *answer;
        }
        let mut heard = told.clone();
        if self.planted == Some(Planted::JudgesByArrival)
            && let Message::Statement { entered_at, .. } = &mut heard.message
        {
            *entered_at = self.now[R];
        }
        let late = matches!(&told.message, Message::Statement { entered_at, .. }
            if !self.requester.request().is_in_time(*entered_at));
        let answer = match self.planted == Some(Planted::RefusesLate) && late {
            true => {
                let void = Told {
                    message: Message::Void,
                    ..heard
                };
                let (decision, answer) = self.requester.receive(&void, self.now[R]);
                self.take(&decision);
                let stands = self.requester.state();
                Answer {
                    says: Says::Refused { stands },
                    ..answer
                }
            }
            false => {
                let (decision, answer) = self.requester.receive(&heard, self.now[R]);
                self.take(&decision);
                answer
            }
        };
        self.answers[R].push(answer);
        answer
    }

    fn moves(&mut self) {
        let told = self.all[R].iter().map(|told| &told.message);
        let is_quiet = self.out.iter().all(VecDeque::is_empty) && self.requester.fetched_at().is_some();
        let moved = self.requester.moved_away();
        if let Some(decision) =
            moved.filter(|_| is_quiet && told.into_iter().all(|one| *one != Message::Moved))
        {
            self.take(&decision);
        }
    }

    fn fetch(&mut self) -> bool {
        if self.participant.is_none() || self.fetched && self.requester.fetched_at().is_some() {
            return false;
        }
        self.fetched = true;
        let Some(decision) = self.requester.fetched(self.now[R], table()) else {
            return false;
        };
        self.take(&decision);
        true
    }

    fn clocks(&mut self) -> bool {
        match self.requester.due(self.now[R]) {
            Some(command) => self.requester_commands(&command),
            None => false,
        }
    }

    fn repeat(&mut self, to_participant: bool, which: usize) {
        let side = match to_participant {
            true => R,
            false => P,
        };
        let given = self.answers[1 - side].len();
        if given == 0 {
            return;
        }
        let number = which % given;
        let told = self.all[side][number].clone();
        let before = (self.requester.clone(), self.participant.clone());
        let answer = match to_participant {
            true => self.participant_answers(number, &told),
            false => self.requester_answers(number, &told),
        };
        assert_eq!(answer, self.answers[1 - side][number]);
        assert_eq!(before, (self.requester.clone(), self.participant.clone()));
    }

    fn restart(&mut self, requester: bool) {
        match requester {
            true => {
                let kept = serde_json::to_string(&self.requester).unwrap();
                self.requester = serde_json::from_str(&kept).unwrap();
            }
            false => {
                let kept = serde_json::to_string(&self.participant).unwrap();
                self.participant = serde_json::from_str(&kept).unwrap();
            }
        }
    }

    pub(super) fn does(&mut self, op: Op) {
        match op {
            Op::Does(BySide::Requester(act)) => _ = self.requester_does(act),
            Op::Does(BySide::Participant(act)) => _ = self.participant_does(act),
            Op::ToParticipant { answer_lost } => _ = self.arrives_at_participant(answer_lost),
            Op::ToRequester { answer_lost } => _ = self.arrives_at_requester(answer_lost),
            Op::Repeat {
                to_participant,
                which,
            } => self.repeat(to_participant, which),
            Op::Fetch => _ = self.fetch(),
            Op::Pass {
                requester,
                participant,
            } => {
                self.now[R] += requester.minutes();
                self.now[P] += participant.minutes();
            }
            Op::Clocks => _ = self.clocks(),
            Op::Restart { requester } => self.restart(requester),
            Op::CloseRound => {
                let decision = self.requester.round_closed(self.now[R]);
                self.take(&decision);
            }
            Op::Move => self.moves(),
        }
        self.seen[R].insert(self.requester.state());
        if let Some(participant) = &self.participant {
            self.seen[P].insert(participant.agreed().state());
        }
    }

    /// What must hold at every instant.
    pub(super) fn check(&self) -> Result<(), String> {
        let request = self.requester.request();
        let what = || format!("{:?} and {:?}", self.requester, self.participant);
        if let Some(expiry) = request.expiry() {
            if expiry.effect != SilenceEffect::None {
                if !(self.proven && self.fetched) {
                    return Err(format!(
                        "silence means something without a proven delivery: {}",
                        what()
                    ));
                }
                if !self.asked {
                    return Err(format!(
                        "silence means something although nobody was asked: {}",
                        what()
                    ));
                }
                // Whatever the node had entered in time before it answered is here, and counts.
                let before = |at: &&Timestamp| **at < expiry.ended_at;
                let withdrawn = request
                    .versions()
                    .iter()
                    .filter(|version| version.withdrawn_at.is_some());
                if expiry.answered && self.entered.iter().filter(before).count() > withdrawn.count() {
                    return Err(format!(
                        "silence means something although something was entered in time: {}",
                        what()
                    ));
                }
            }
            if request.extension_wanted().is_some_and(|wanted| wanted.in_time) {
                return Err(format!(
                    "silence is recorded over an undecided request: {}",
                    what()
                ));
            }
        }
        // Every statement that arrived is kept, in order, and judged by its own instant.
        let arrived: Vec<Timestamp> = self.all[P]
            .iter()
            .zip(&self.answers[R])
            .filter(|(told, _)| matches!(told.message, Message::Statement { .. }))
            .filter_map(|(told, _)| told.message.entered_at())
            .collect();
        let kept: Vec<Timestamp> = request
            .versions()
            .iter()
            .map(|version| version.entered_at)
            .collect();
        if arrived.len() != kept.len() {
            return Err(format!("a statement was lost: {}", what()));
        }
        for (entered, version) in arrived.iter().zip(request.versions()) {
            let end = request.deadline().map(|deadline| deadline.ends_at);
            if end.is_none_or(|end| *entered < end) && !version.judgement.in_time {
                return Err(format!("what was entered in time is not in time: {}", what()));
            }
        }
        Ok(())
    }

    pub(super) fn run(&mut self, ops: &[Op]) -> Result<(), String> {
        for op in ops {
            self.does(*op);
            self.check()?;
        }
        Ok(())
    }

    /// Both are up and the links work: everything arrives, and what is due happens.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        for _ in 0..400 {
            let moved = self.arrives_at_participant(false)
                | self.arrives_at_requester(false)
                | self.fetch()
                | self.clocks();
            self.check()?;
            if !moved {
                return self.agree();
            }
        }
        Err(format!("it never comes to rest: {:?}", self.requester))
    }

    fn agree(&self) -> Result<(), String> {
        let Some(participant) = &self.participant else {
            return Ok(());
        };
        if !participant.is_settled() || participant.agreed() != self.requester.request() {
            return Err(format!("they differ: {:?} and {:?}", self.requester, participant));
        }
        Ok(())
    }
}
