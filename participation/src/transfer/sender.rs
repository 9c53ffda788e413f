//! The side that hands over.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::message::{Answer, Clocks, Message, Stands};
use super::{Moves, Refusal, RefusalReason, Responsibility};

/// A transfer as its sender has it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sender {
    state: State,
    moves: Moves,
    clocks: Option<Clocks>,
}

/// How it stands.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// Being prepared.
    Draft,
    /// The receiver has to answer.
    Offered,
    /// The receiver is competent, it says.
    Accepted,
    /// The receiver pulls the package.
    PackageSent,
    /// Everything is there; nobody has taken it over yet.
    Imported,
    /// The receiver is responsible since that instant.
    TakenOver(Timestamp),
    /// And that is recorded.
    Closed(Timestamp),
    /// The receiver did not take it.
    Refused(RefusalReason),
    /// Taken back.
    Withdrawn,
    /// Nobody answered.
    Expired,
    /// A supervisory authority has to decide.
    Disputed,
    /// Not taken over in time; the receiver is asked how it stands.
    Reclaiming,
    /// The receiver does not answer that.
    Unconfirmed(Timestamp),
    /// The receiver confirmed that it did not take it over and will not.
    Reclaimed,
    /// Called back before it was taken over; the receiver has not answered yet.
    Recalling,
    /// The receiver will not take it over, and says whether what lies there is deleted, once a person has decided.
    Recalled {
        /// Whether nothing of it is left there; absent until that is said.
        purged: Option<bool>,
    },
    /// The receiver has its copy; nothing moved.
    Copied,
}

/// What a person or a clock wants.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Command {
    /// Send the offer.
    Offer(Clocks),
    /// Take the offer back.
    Withdraw,
    /// End the offer that nobody answered.
    Expire,
    /// Make the package ready.
    SendPackage {
        /// Until when it can be taken over.
        take_over_until: Timestamp,
    },
    /// Ask how it stands, after the time to take over.
    Reclaim,
    /// Record that nobody answers.
    GiveUpWaiting,
    /// Record the take-over.
    Close,
    /// Call it back: it went to the wrong place.
    Recall,
    /// Answer the receiver's question.
    Answer,
    /// Hand on what came after the copy was frozen.
    SendLateItem,
    /// Say that the content is deleted here.
    Purge,
}

impl Command {
    const fn name(self) -> &'static str {
        match self {
            Self::Offer(_) => "offer",
            Self::Withdraw => "withdraw",
            Self::Expire => "expire",
            Self::SendPackage { .. } => "send-package",
            Self::Reclaim => "reclaim",
            Self::GiveUpWaiting => "give-up-waiting",
            Self::Close => "close",
            Self::Recall => "recall",
            Self::Answer => "answer",
            Self::SendLateItem => "send-late-item",
            Self::Purge => "purge",
        }
    }
}

/// What was decided: the new state, and what the receiver is to be told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Decision {
    state: State,
    clocks: Option<Clocks>,
    /// To be sent after the commit.
    pub tell: Option<Message>,
}

impl State {
    /// Its name in the protocol.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Draft => "DRAFT",
            Self::Offered => "OFFERED",
            Self::Accepted => "ACCEPTED",
            Self::PackageSent => "PACKAGE_SENT",
            Self::Imported => "IMPORTED",
            Self::TakenOver(_) => "TAKEN_OVER",
            Self::Closed(_) => "CLOSED",
            Self::Refused(_) => "REFUSED",
            Self::Withdrawn => "WITHDRAWN",
            Self::Expired => "EXPIRED",
            Self::Disputed => "DISPUTED",
            Self::Reclaiming => "RECLAIMING",
            Self::Unconfirmed(_) => "UNCONFIRMED",
            Self::Reclaimed => "RECLAIMED",
            Self::Recalling => "RECALLING",
            Self::Recalled { .. } => "RECALLED",
            Self::Copied => "CLOSED",
        }
    }

    /// Whether who is responsible is settled for good.
    pub const fn has_ended(self) -> bool {
        match self {
            Self::Closed(_)
            | Self::Refused(_)
            | Self::Withdrawn
            | Self::Expired
            | Self::Disputed
            | Self::Reclaimed
            | Self::Recalled { .. }
            | Self::Copied => true,
            Self::Draft
            | Self::Offered
            | Self::Accepted
            | Self::PackageSent
            | Self::Imported
            | Self::TakenOver(_)
            | Self::Reclaiming
            | Self::Recalling
            | Self::Unconfirmed(_) => false,
        }
    }

    /// Names of the commands that are possible.
    pub const fn legal(self) -> &'static [&'static str] {
        match self {
            Self::Draft => &["offer"],
            Self::Offered => &["withdraw", "expire", "answer"],
            Self::Accepted => &["send-package", "reclaim", "recall"],
            Self::PackageSent | Self::Imported => &["reclaim", "recall"],
            Self::Reclaiming | Self::Recalling => &["give-up-waiting"],
            Self::TakenOver(_) => &["close", "send-late-item"],
            Self::Closed(_) => &["send-late-item", "purge"],
            Self::Refused(_)
            | Self::Withdrawn
            | Self::Expired
            | Self::Disputed
            | Self::Unconfirmed(_)
            | Self::Reclaimed
            | Self::Recalled { .. }
            | Self::Copied => &[],
        }
    }
}

impl Sender {
    /// A transfer that is being prepared.
    pub const fn draft(moves: Moves) -> Self {
        Self {
            state: State::Draft,
            moves,
            clocks: None,
        }
    }

    /// How it stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether the sender may act on the application. Its copy is frozen from the offer to the outcome, unless only a copy goes.
    pub const fn responsibility(&self) -> Responsibility {
        match (self.moves, self.state) {
            (Moves::Nothing, _)
            | (
                Moves::Responsibility | Moves::Work,
                State::Draft
                | State::Refused(_)
                | State::Withdrawn
                | State::Expired
                | State::Disputed
                | State::Reclaimed
                | State::Recalled { .. }
                | State::Copied,
            ) => Responsibility::Mine,
            (
                Moves::Responsibility | Moves::Work,
                State::Offered
                | State::Accepted
                | State::PackageSent
                | State::Imported
                | State::Reclaiming
                | State::Recalling,
            ) => Responsibility::MineFrozen,
            (Moves::Responsibility | Moves::Work, State::Unconfirmed(_)) => Responsibility::Unconfirmed,
            (Moves::Responsibility, State::TakenOver(_) | State::Closed(_)) => Responsibility::Theirs,
            (Moves::Work, State::TakenOver(_) | State::Closed(_)) => Responsibility::MineDelegated,
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
        let illegal = || Refusal::Illegal {
            command: command.name(),
            state: self.state.name(),
            legal: self.state.legal().to_vec(),
        };
        let clocks = self.clocks.ok_or_else(illegal);
        match (self.state, command) {
            (State::Draft, Command::Offer(clocks)) => Ok(Decision {
                state: State::Offered,
                clocks: Some(clocks),
                tell: Some(Message::Offer(clocks)),
            }),
            (State::Offered, Command::Withdraw) => Ok(self.to(State::Withdrawn, Some(Message::Withdraw))),
            (State::Offered, Command::Expire) => {
                let from = clocks?.answer_wanted_by;
                match now >= from {
                    true => Ok(self.to(State::Expired, Some(Message::Expire))),
                    false => Err(Refusal::TooEarly {
                        command: command.name(),
                        from,
                    }),
                }
            }
            (State::Accepted, Command::SendPackage { take_over_until }) => {
                if take_over_until <= now {
                    return Err(Refusal::TooLate {
                        command: command.name(),
                        until: take_over_until,
                        then: "state a later instant, before the earliest running deadline",
                    });
                }
                Ok(Decision {
                    state: State::PackageSent,
                    clocks: Some(Clocks {
                        take_over_until,
                        ..clocks?
                    }),
                    tell: Some(Message::Package { take_over_until }),
                })
            }
            (State::Accepted | State::PackageSent | State::Imported, Command::Reclaim) => {
                let from = clocks?.take_over_until;
                match now > from {
                    true => Ok(self.to(State::Reclaiming, Some(Message::Reclaim))),
                    false => Err(Refusal::TooEarly {
                        command: command.name(),
                        from,
                    }),
                }
            }
            (State::Accepted | State::PackageSent | State::Imported, Command::Recall) => {
                Ok(self.to(State::Recalling, Some(Message::Recall)))
            }
            (State::Reclaiming | State::Recalling, Command::GiveUpWaiting) => {
                Ok(self.to(State::Unconfirmed(now), None))
            }
            (State::TakenOver(at), Command::Close) => Ok(self.to(State::Closed(at), None)),
            (State::Offered, Command::Answer) => Ok(self.to(self.state, Some(Message::Answer))),
            (State::TakenOver(_) | State::Closed(_), Command::SendLateItem) => {
                Ok(self.to(self.state, Some(Message::LateItem)))
            }
            (State::Closed(_), Command::Purge) => Ok(self.to(self.state, Some(Message::Purged))),
            (
                State::Draft
                | State::Offered
                | State::Accepted
                | State::PackageSent
                | State::Imported
                | State::TakenOver(_)
                | State::Closed(_)
                | State::Refused(_)
                | State::Withdrawn
                | State::Expired
                | State::Disputed
                | State::Reclaiming
                | State::Unconfirmed(_)
                | State::Reclaimed
                | State::Recalling
                | State::Recalled { .. }
                | State::Copied,
                Command::Offer(_)
                | Command::Withdraw
                | Command::Expire
                | Command::SendPackage { .. }
                | Command::Reclaim
                | Command::GiveUpWaiting
                | Command::Close
                | Command::Recall
                | Command::Answer
                | Command::SendLateItem
                | Command::Purge,
            ) => Err(illegal()),
        }
    }

    /// Takes a message of the receiver: the decision to record, if it changes something, and the answer.
    pub fn receive(&self, message: Message) -> (Option<Decision>, Answer) {
        let taken = |state| (Some(self.to(state, None)), Answer::Taken);
        let refused = || {
            (
                None,
                Answer::Refused {
                    stands: self.stands(),
                },
            )
        };
        match (message, self.state) {
            (Message::Accept, State::Offered) => taken(State::Accepted),
            (
                Message::Refuse { reason },
                State::Offered
                | State::Accepted
                | State::PackageSent
                | State::Imported
                | State::Reclaiming
                | State::Unconfirmed(_),
            ) => taken(State::Refused(reason)),
            // It is back already, in whatever way; that the receiver does not want it changes nothing.
            (
                Message::Refuse { .. } | Message::Dispute,
                State::Withdrawn
                | State::Expired
                | State::Reclaimed
                | State::Refused(_)
                | State::Disputed
                | State::Recalling
                | State::Recalled { .. },
            ) => (None, Answer::Taken),
            (Message::Dispute, State::Offered) => taken(State::Disputed),
            (Message::ImportResult { complete: true }, State::PackageSent) => match self.moves {
                Moves::Nothing => taken(State::Copied),
                Moves::Responsibility | Moves::Work => taken(State::Imported),
            },
            (Message::ImportResult { complete: false }, State::PackageSent) => taken(State::Accepted),
            // What it says is older than the question how it stands, which is on its way.
            (
                Message::ImportResult { .. },
                State::Reclaiming | State::Unconfirmed(_) | State::Recalling | State::Recalled { .. },
            ) => (None, Answer::Taken),
            (
                Message::TakenOver { at },
                State::Imported | State::Reclaiming | State::Unconfirmed(_) | State::Recalling,
            ) if self.moves.takes_over() => taken(State::TakenOver(at)),
            (
                Message::RecallResult { purged },
                // A refusal may have come between the recall and its answer.
                State::Recalled { .. } | State::Recalling | State::Unconfirmed(_) | State::Refused(_),
            ) => taken(State::Recalled { purged: Some(purged) }),
            (Message::Query, State::Offered) | (Message::Number, State::TakenOver(_) | State::Closed(_)) => {
                (None, Answer::Taken)
            }
            // The answer to a question of ours said it before.
            (Message::TakenOver { at }, State::TakenOver(known) | State::Closed(known)) if at == known => {
                (None, Answer::Taken)
            }
            (
                Message::Accept
                | Message::Refuse { .. }
                | Message::Dispute
                | Message::ImportResult { .. }
                | Message::TakenOver { .. }
                | Message::Offer(_)
                | Message::Withdraw
                | Message::Expire
                | Message::Package { .. }
                | Message::Reclaim
                | Message::Recall
                | Message::RecallResult { .. }
                | Message::Query
                | Message::Answer
                | Message::LateItem
                | Message::Number
                | Message::Purged,
                State::Draft
                | State::Offered
                | State::Accepted
                | State::PackageSent
                | State::Imported
                | State::TakenOver(_)
                | State::Closed(_)
                | State::Refused(_)
                | State::Withdrawn
                | State::Expired
                | State::Disputed
                | State::Reclaiming
                | State::Unconfirmed(_)
                | State::Reclaimed
                | State::Recalling
                | State::Recalled { .. }
                | State::Copied,
            ) => refused(),
        }
    }

    /// Takes the receiver's answer to a message of ours. Only the question how it stands and the recall wait for one: the others
    /// were decided when they were sent.
    pub fn answered(&self, message: Message, answer: Answer) -> Option<Decision> {
        match (message, self.state, answer) {
            (Message::Reclaim, State::Reclaiming | State::Unconfirmed(_), Answer::Taken) => {
                Some(self.to(State::Reclaimed, None))
            }
            (
                Message::Recall,
                State::Recalling | State::Unconfirmed(_) | State::Refused(_),
                Answer::Taken,
            ) => Some(self.to(State::Recalled { purged: None }, None)),
            (
                Message::Reclaim | Message::Recall,
                State::Reclaiming | State::Recalling | State::Unconfirmed(_),
                Answer::Refused { stands },
            ) => match stands {
                Stands::TakenOver { at } => Some(self.to(State::TakenOver(at), None)),
                Stands::Ended => Some(self.to(State::Reclaimed, None)),
                Stands::Open => None,
            },
            (
                Message::Reclaim
                | Message::Offer(_)
                | Message::Withdraw
                | Message::Expire
                | Message::Package { .. }
                | Message::Accept
                | Message::Refuse { .. }
                | Message::Dispute
                | Message::ImportResult { .. }
                | Message::TakenOver { .. }
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
        let clocks = self.clocks?;
        match self.state {
            State::Offered => (now >= clocks.answer_wanted_by).then_some(Command::Expire),
            State::Accepted | State::PackageSent | State::Imported => {
                (now > clocks.take_over_until).then_some(Command::Reclaim)
            }
            State::TakenOver(_) => Some(Command::Close),
            State::Draft
            | State::Closed(_)
            | State::Refused(_)
            | State::Withdrawn
            | State::Expired
            | State::Disputed
            | State::Reclaiming
            | State::Unconfirmed(_)
            | State::Reclaimed
            | State::Recalling
            | State::Recalled { .. }
            | State::Copied => None,
        }
    }

    const fn stands(&self) -> Stands {
        match self.state {
            State::TakenOver(at) | State::Closed(at) => Stands::TakenOver { at },
            State::Refused(_)
            | State::Withdrawn
            | State::Expired
            | State::Disputed
            | State::Reclaimed
            | State::Recalled { .. }
            | State::Copied => Stands::Ended,
            State::Draft
            | State::Offered
            | State::Accepted
            | State::PackageSent
            | State::Imported
            | State::Reclaiming
            | State::Recalling
            | State::Unconfirmed(_) => Stands::Open,
        }
    }
}
