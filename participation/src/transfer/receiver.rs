//! The side that takes over.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::message::{Answer, Clocks, Message, Stands};
use super::{Moves, Refusal, RefusalReason, Responsibility};

/// A transfer as its receiver has it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Receiver {
    state: State,
    moves: Moves,
    clocks: Clocks,
}

/// How it stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Somebody has to decide whether it is ours.
    Offered,
    /// It is, we say; the sender has to record that the offer stood until then.
    Accepting,
    /// The package is to come.
    Accepted,
    /// It can be pulled.
    PackageReady,
    /// Everything is there.
    Imported,
    /// Ours since that instant.
    TakenOver(Timestamp),
    /// And the sender has recorded it, its signed answer says.
    Closed(Timestamp),
    /// Not ours.
    Refused(RefusalReason),
    /// A supervisory authority has to decide.
    Disputed,
    /// The sender took it back: withdrawn, expired or reclaimed.
    EndedBySender,
    /// Nobody took it over in time.
    Lapsed,
    /// The sender called it back: locked, until a person has decided about deleting it.
    Recalled {
        /// What was decided.
        purged: Option<bool>,
    },
    /// A copy that is here; nothing moved.
    Copied,
}

/// What a person or a clock wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Command {
    /// It is ours.
    Accept,
    /// It is not.
    Refuse(RefusalReason),
    /// The sender is wrong about that.
    Dispute,
    /// The package was pulled and checked.
    ReportImport {
        /// Whether everything is there.
        complete: bool,
    },
    /// From now on we are responsible.
    TakeOver,
    /// Its time is over.
    Lapse,
    /// Ask one question before deciding.
    Query,
    /// Decide about deleting what was called back.
    AnswerRecall {
        /// Whether it is deleted.
        purged: bool,
    },
    /// Tell which number it has here.
    TellNumber,
}

impl Command {
    const fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Refuse(_) => "refuse",
            Self::Dispute => "dispute",
            Self::ReportImport { .. } => "report-import",
            Self::TakeOver => "take-over",
            Self::Lapse => "lapse",
            Self::Query => "query",
            Self::AnswerRecall { .. } => "answer-recall",
            Self::TellNumber => "tell-number",
        }
    }
}

/// What was decided: the new state, and what the sender is to be told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Decision {
    state: State,
    clocks: Clocks,
    /// To be sent after the commit.
    pub tell: Option<Message>,
}

impl State {
    /// Its name in the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Offered => "OFFERED",
            Self::Accepting => "ACCEPTING",
            Self::Accepted => "ACCEPTED",
            Self::PackageReady => "PACKAGE_READY",
            Self::Imported => "IMPORTED",
            Self::TakenOver(_) => "TAKEN_OVER",
            Self::Closed(_) => "CLOSED",
            Self::Refused(_) => "REFUSED",
            Self::Disputed => "DISPUTED",
            Self::EndedBySender => "ENDED_BY_SENDER",
            Self::Lapsed => "LAPSED",
            Self::Recalled { .. } => "RECALLED",
            Self::Copied => "CLOSED",
        }
    }

    /// Whether who is responsible is settled for good.
    pub const fn has_ended(self) -> bool {
        match self {
            Self::Closed(_)
            | Self::Refused(_)
            | Self::Disputed
            | Self::EndedBySender
            | Self::Lapsed
            | Self::Recalled { .. }
            | Self::Copied => true,
            Self::Offered
            | Self::Accepting
            | Self::Accepted
            | Self::PackageReady
            | Self::Imported
            | Self::TakenOver(_) => false,
        }
    }

    /// Names of the commands that are possible.
    pub const fn legal(self) -> &'static [&'static str] {
        match self {
            Self::Offered => &["accept", "refuse", "dispute", "lapse", "query"],
            Self::Accepting | Self::Accepted => &["refuse", "lapse"],
            Self::PackageReady => &["report-import", "refuse", "lapse"],
            Self::Imported => &["take-over", "refuse", "lapse"],
            Self::TakenOver(_) | Self::Closed(_) => &["tell-number"],
            Self::Recalled { purged: None } => &["answer-recall"],
            Self::Refused(_)
            | Self::Disputed
            | Self::EndedBySender
            | Self::Lapsed
            | Self::Recalled { purged: Some(_) }
            | Self::Copied => &[],
        }
    }
}

impl Receiver {
    /// A transfer that was offered.
    pub const fn offered(moves: Moves, clocks: Clocks) -> Self {
        Self {
            state: State::Offered,
            moves,
            clocks,
        }
    }

    /// How it stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether the receiver may act on the application.
    pub const fn responsibility(&self) -> Responsibility {
        match (self.state, self.moves) {
            (State::TakenOver(_) | State::Closed(_), Moves::Responsibility) => Responsibility::Mine,
            (State::TakenOver(_) | State::Closed(_), Moves::Work) => Responsibility::TheirsDelegated,
            (
                State::TakenOver(_)
                | State::Closed(_)
                | State::Offered
                | State::Accepting
                | State::Accepted
                | State::PackageReady
                | State::Imported
                | State::Refused(_)
                | State::Disputed
                | State::EndedBySender
                | State::Lapsed
                | State::Recalled { .. }
                | State::Copied,
                Moves::Responsibility | Moves::Work | Moves::Nothing,
            ) => Responsibility::Theirs,
        }
    }

    /// Applies what was decided and recorded.
    pub const fn apply(&mut self, decision: &Decision) {
        self.state = decision.state;
        self.clocks = decision.clocks;
    }

    const fn to(&self, state: State, tell: Option<Message>) -> Decision {
        Decision {
            state,
            clocks: self.clocks,
            tell,
        }
    }

    /// Decides a command.
    ///
    /// # Errors
    /// What is not possible in this state or at this instant, with what is.
    pub fn decide(&self, command: Command, now: Timestamp) -> Result<Decision, Refusal> {
        let until = self.clocks.take_over_until;
        match (self.state, command) {
            (State::Offered, Command::Accept) => Ok(self.to(State::Accepting, Some(Message::Accept))),
            (State::Offered, Command::Dispute) => Ok(self.to(State::Disputed, Some(Message::Dispute))),
            (
                State::Offered | State::Accepting | State::Accepted | State::PackageReady | State::Imported,
                Command::Refuse(reason),
            ) => Ok(self.to(State::Refused(reason), Some(Message::Refuse { reason }))),
            (State::PackageReady, Command::ReportImport { complete }) => {
                let state = match (complete, self.moves) {
                    (true, Moves::Responsibility | Moves::Work) => State::Imported,
                    (true, Moves::Nothing) => State::Copied,
                    (false, _) => State::Accepted,
                };
                Ok(self.to(state, Some(Message::ImportResult { complete })))
            }
            (State::Imported, Command::TakeOver) => match now <= until {
                true => Ok(self.to(State::TakenOver(now), Some(Message::TakenOver { at: now }))),
                false => Err(Refusal::TooLate {
                    command: command.name(),
                    until,
                    then: "the sender takes the application back; a new offer is needed",
                }),
            },
            (
                State::Offered | State::Accepting | State::Accepted | State::PackageReady | State::Imported,
                Command::Lapse,
            ) => match now > until {
                true => Ok(self.to(State::Lapsed, None)),
                false => Err(Refusal::TooEarly {
                    command: command.name(),
                    from: until,
                }),
            },
            (State::Offered, Command::Query) => Ok(self.to(self.state, Some(Message::Query))),
            (State::Recalled { purged: None }, Command::AnswerRecall { purged }) => Ok(self.to(
                State::Recalled { purged: Some(purged) },
                Some(Message::RecallResult { purged }),
            )),
            (State::TakenOver(_) | State::Closed(_), Command::TellNumber) => {
                Ok(self.to(self.state, Some(Message::Number)))
            }
            (
                State::Offered
                | State::Accepting
                | State::Accepted
                | State::PackageReady
                | State::Imported
                | State::TakenOver(_)
                | State::Closed(_)
                | State::Refused(_)
                | State::Disputed
                | State::EndedBySender
                | State::Lapsed
                | State::Recalled { .. }
                | State::Copied,
                Command::Accept
                | Command::Refuse(_)
                | Command::Dispute
                | Command::ReportImport { .. }
                | Command::TakeOver
                | Command::Lapse
                | Command::Query
                | Command::AnswerRecall { .. }
                | Command::TellNumber,
            ) => Err(Refusal::Illegal {
                command: command.name(),
                state: self.state.name(),
                legal: self.state.legal().to_vec(),
            }),
        }
    }

    /// Takes a message of the sender: the decision to record, if it changes something, and the answer.
    pub fn receive(&self, message: Message) -> (Option<Decision>, Answer) {
        let taken = |state| (Some(self.to(state, None)), Answer::Taken);
        match (message, self.state) {
            (Message::Withdraw | Message::Expire, State::Offered | State::Accepting) => {
                taken(State::EndedBySender)
            }
            // It ended here before, or was given back.
            (
                Message::Withdraw | Message::Expire | Message::Reclaim,
                State::Refused(_) | State::Disputed | State::EndedBySender | State::Lapsed,
            ) => (None, Answer::Taken),
            // That the sender has recorded our acceptance is what its package says, if its answer was lost.
            (Message::Package { take_over_until }, State::Accepting | State::Accepted) => {
                let clocks = Clocks {
                    take_over_until,
                    ..self.clocks
                };
                let ready = Decision {
                    clocks,
                    ..self.to(State::PackageReady, None)
                };
                (Some(ready), Answer::Taken)
            }
            // The promise that goes with this answer: it will not be taken over any more.
            (
                Message::Reclaim,
                State::Offered | State::Accepting | State::Accepted | State::PackageReady | State::Imported,
            ) => taken(State::EndedBySender),
            // It is locked from here on; whether it is deleted is for a person to say.
            (
                Message::Recall,
                State::Offered | State::Accepting | State::Accepted | State::PackageReady | State::Imported,
            ) => taken(State::Recalled { purged: None }),
            // Nothing of it is here, or it ended before: what is left is locked alike.
            (Message::Recall, State::Refused(_) | State::Disputed | State::EndedBySender | State::Lapsed) => {
                taken(State::Recalled { purged: None })
            }
            (Message::Answer, State::Offered)
            | (Message::LateItem, State::TakenOver(_) | State::Closed(_))
            | (Message::Purged, State::TakenOver(_) | State::Closed(_)) => (None, Answer::Taken),
            (
                Message::Offer(_)
                | Message::Withdraw
                | Message::Expire
                | Message::Accept
                | Message::Refuse { .. }
                | Message::Dispute
                | Message::Package { .. }
                | Message::ImportResult { .. }
                | Message::TakenOver { .. }
                | Message::Reclaim
                | Message::Recall
                | Message::RecallResult { .. }
                | Message::Query
                | Message::Answer
                | Message::LateItem
                | Message::Number
                | Message::Purged,
                State::Offered
                | State::Accepting
                | State::Accepted
                | State::PackageReady
                | State::Imported
                | State::TakenOver(_)
                | State::Closed(_)
                | State::Refused(_)
                | State::Disputed
                | State::EndedBySender
                | State::Lapsed
                | State::Recalled { .. }
                | State::Copied,
            ) => (
                None,
                Answer::Refused {
                    stands: self.stands(),
                },
            ),
        }
    }

    /// Takes the sender's answer to a message of ours.
    pub fn answered(&self, message: Message, answer: Answer) -> Option<Decision> {
        match (message, self.state, answer) {
            (Message::Accept, State::Accepting, Answer::Taken) => Some(self.to(State::Accepted, None)),
            // The offer had ended before our acceptance came.
            (Message::Accept, State::Accepting, Answer::Refused { .. }) => {
                Some(self.to(State::EndedBySender, None))
            }
            (Message::TakenOver { .. }, State::TakenOver(at), Answer::Taken) => {
                Some(self.to(State::Closed(at), None))
            }
            (
                Message::Offer(_)
                | Message::Withdraw
                | Message::Expire
                | Message::Accept
                | Message::Refuse { .. }
                | Message::Dispute
                | Message::Package { .. }
                | Message::ImportResult { .. }
                | Message::TakenOver { .. }
                | Message::Reclaim
                | Message::Recall
                | Message::RecallResult { .. }
                | Message::Query
                | Message::Answer
                | Message::LateItem
                | Message::Number
                | Message::Purged,
                _,
                Answer::Taken | Answer::Refused { .. },
            ) => None,
        }
    }

    /// What has fallen due.
    pub fn due(&self, now: Timestamp) -> Option<Command> {
        match self.state {
            State::Offered | State::Accepting | State::Accepted | State::PackageReady | State::Imported => {
                (now > self.clocks.take_over_until).then_some(Command::Lapse)
            }
            State::TakenOver(_)
            | State::Closed(_)
            | State::Refused(_)
            | State::Disputed
            | State::EndedBySender
            | State::Recalled { .. }
            | State::Copied
            | State::Lapsed => None,
        }
    }

    const fn stands(&self) -> Stands {
        match self.state {
            State::TakenOver(at) | State::Closed(at) => Stands::TakenOver { at },
            State::Refused(_)
            | State::Disputed
            | State::EndedBySender
            | State::Lapsed
            | State::Recalled { .. }
            | State::Copied => Stands::Ended,
            State::Offered | State::Accepting | State::Accepted | State::PackageReady | State::Imported => {
                Stands::Open
            }
        }
    }
}
