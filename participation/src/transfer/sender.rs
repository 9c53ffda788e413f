//! The side that hands over.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::message::{Answer, Clocks, Message, Stands};
use super::{Refusal, RefusalReason, Responsibility};

/// A transfer as its sender has it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sender {
    state: State,
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

impl Default for Sender {
    fn default() -> Self {
        Self {
            state: State::Draft,
            clocks: None,
        }
    }
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
        }
    }

    /// Whether nothing more can come.
    pub const fn has_ended(self) -> bool {
        match self {
            Self::Closed(_)
            | Self::Refused(_)
            | Self::Withdrawn
            | Self::Expired
            | Self::Disputed
            | Self::Reclaimed => true,
            Self::Draft
            | Self::Offered
            | Self::Accepted
            | Self::PackageSent
            | Self::Imported
            | Self::TakenOver(_)
            | Self::Reclaiming
            | Self::Unconfirmed(_) => false,
        }
    }

    const fn legal(self) -> &'static [&'static str] {
        match self {
            Self::Draft => &["offer"],
            Self::Offered => &["withdraw", "expire"],
            Self::Accepted => &["send-package", "reclaim"],
            Self::PackageSent | Self::Imported => &["reclaim"],
            Self::Reclaiming => &["give-up-waiting"],
            Self::TakenOver(_) => &["close"],
            Self::Closed(_)
            | Self::Refused(_)
            | Self::Withdrawn
            | Self::Expired
            | Self::Disputed
            | Self::Unconfirmed(_)
            | Self::Reclaimed => &[],
        }
    }
}

impl Sender {
    /// How it stands.
    pub const fn state(&self) -> State {
        self.state
    }

    /// Whether the sender may act on the application. Its copy is frozen from the offer to the outcome.
    pub const fn responsibility(&self) -> Responsibility {
        match self.state {
            State::Draft
            | State::Refused(_)
            | State::Withdrawn
            | State::Expired
            | State::Disputed
            | State::Reclaimed => Responsibility::Mine,
            State::Offered | State::Accepted | State::PackageSent | State::Imported | State::Reclaiming => {
                Responsibility::MineFrozen
            }
            State::Unconfirmed(_) => Responsibility::Unconfirmed,
            State::TakenOver(_) | State::Closed(_) => Responsibility::Theirs,
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
            (State::Reclaiming, Command::GiveUpWaiting) => Ok(self.to(State::Unconfirmed(now), None)),
            (State::TakenOver(at), Command::Close) => Ok(self.to(State::Closed(at), Some(Message::Closed))),
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
                | State::Reclaimed,
                Command::Offer(_)
                | Command::Withdraw
                | Command::Expire
                | Command::SendPackage { .. }
                | Command::Reclaim
                | Command::GiveUpWaiting
                | Command::Close,
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
                State::Withdrawn | State::Expired | State::Reclaimed | State::Refused(_) | State::Disputed,
            ) => (None, Answer::Taken),
            (Message::Dispute, State::Offered) => taken(State::Disputed),
            (Message::ImportResult { complete: true }, State::PackageSent) => taken(State::Imported),
            (Message::ImportResult { complete: false }, State::PackageSent) => taken(State::Accepted),
            // What it says is older than the question how it stands, which is on its way.
            (Message::ImportResult { .. }, State::Reclaiming | State::Unconfirmed(_)) => {
                (None, Answer::Taken)
            }
            (Message::TakenOver { at }, State::Imported | State::Reclaiming | State::Unconfirmed(_)) => {
                taken(State::TakenOver(at))
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
                | Message::Closed
                | Message::Reclaim,
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
                | State::Reclaimed,
            ) => refused(),
        }
    }

    /// Takes the receiver's answer to a message of ours. Only the question how it stands waits for one: the others were decided
    /// when they were sent.
    pub fn answered(&self, message: Message, answer: Answer) -> Option<Decision> {
        match (message, self.state, answer) {
            (Message::Reclaim, State::Reclaiming | State::Unconfirmed(_), Answer::Taken) => {
                Some(self.to(State::Reclaimed, None))
            }
            (Message::Reclaim, State::Reclaiming | State::Unconfirmed(_), Answer::Refused { stands }) => {
                match stands {
                    Stands::TakenOver { at } => Some(self.to(State::TakenOver(at), None)),
                    Stands::Ended => Some(self.to(State::Reclaimed, None)),
                    Stands::Open => None,
                }
            }
            (
                Message::Reclaim
                | Message::Offer(_)
                | Message::Withdraw
                | Message::Expire
                | Message::Package { .. }
                | Message::Closed
                | Message::Accept
                | Message::Refuse { .. }
                | Message::Dispute
                | Message::ImportResult { .. }
                | Message::TakenOver { .. },
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
            | State::Reclaimed => None,
        }
    }

    const fn stands(&self) -> Stands {
        match self.state {
            State::TakenOver(at) | State::Closed(at) => Stands::TakenOver { at },
            State::Refused(_) | State::Withdrawn | State::Expired | State::Disputed | State::Reclaimed => {
                Stands::Ended
            }
            State::Draft
            | State::Offered
            | State::Accepted
            | State::PackageSent
            | State::Imported
            | State::Reclaiming
            | State::Unconfirmed(_) => Stands::Open,
        }
    }
}
