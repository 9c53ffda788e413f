//! What people, the clock and rounds want of a request of this house: names, what each carries, and in which state it is possible.

use jiff::Timestamp;
use jiff::civil::Date;
use kontor_participation::deadline::Rule;
use kontor_participation::round::delivery::{CancelReason, RevokeReason};
use kontor_participation::round::release::ReleaseError;
use kontor_participation::round::requester::{self, ProofLevel, Requester};
use kontor_participation::round::statement::assessment::Assessment;
use kontor_participation::round::{Obstacle, Refusal};
use kontor_participation::transfer::delivery::Words;
use serde::Deserialize;

use super::super::super::Refused;
use super::super::plan::ShowWish;
use super::super::row::RequestRow;
use super::machine_of;

/// Names of the commands that people have, as they stand in the interface.
pub(in crate::casework) const COMMANDS: [&str; 17] = [
    "approve",
    "send",
    "drop",
    "supplement",
    "answer",
    "decide-extension",
    "extend",
    "stop-clock",
    "continue-clock",
    "state-deadline",
    "record-delivery",
    "expire",
    "expire-unanswered",
    "revoke",
    "revoke-files",
    "assess",
    "notify",
];

/// What is wanted of a request: what people and the clock say, and what its round does to it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::casework) enum Command {
    Approve,
    Send,
    Drop,
    Supplement,
    Answer,
    DecideExtension,
    Extend,
    StopClock,
    ContinueClock,
    StateDeadline,
    RecordDelivery,
    Remind,
    Inquire,
    Expire,
    ExpireUnanswered,
    Suspend,
    Resume,
    Cancel,
    Revoke,
    RevokeFiles,
    Assess,
    Notify,
    Escalate(requester::Escalation),
}

/// What a command says besides its name.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Details {
    /// In words: an answer.
    pub(crate) text: Option<String>,
    /// How much more time.
    pub(crate) rule: Option<Rule>,
    /// Whether more time is granted.
    pub(crate) granted: Option<bool>,
    /// The last day, where none can be computed.
    pub(crate) end: Option<Date>,
    /// When it was delivered, by another proof.
    pub(crate) delivered_at: Option<Timestamp>,
    /// Words outside of a bundle.
    pub(crate) words: Option<Words>,
    /// What is shown besides.
    pub(crate) disclosure: Option<ShowWish>,
    /// Whether the period begins anew with it.
    #[serde(default)]
    pub(crate) restarts: bool,
    /// Files that are taken back.
    #[serde(default)]
    pub(crate) files: Vec<String>,
    /// Why something is taken back.
    pub(crate) reason: Option<RevokeReason>,
    /// Why the round is cancelled; its command says it.
    #[serde(skip)]
    pub(crate) cancel_reason: Option<CancelReason>,
    /// How the statement is treated.
    pub(crate) assessment: Option<Assessment>,
}

impl Command {
    /// The command of this name that people have.
    pub(in crate::casework) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "approve" => Self::Approve,
            "send" => Self::Send,
            "drop" => Self::Drop,
            "supplement" => Self::Supplement,
            "answer" => Self::Answer,
            "decide-extension" => Self::DecideExtension,
            "extend" => Self::Extend,
            "stop-clock" => Self::StopClock,
            "continue-clock" => Self::ContinueClock,
            "state-deadline" => Self::StateDeadline,
            "record-delivery" => Self::RecordDelivery,
            "expire" => Self::Expire,
            "expire-unanswered" => Self::ExpireUnanswered,
            "revoke" => Self::Revoke,
            "revoke-files" => Self::RevokeFiles,
            "assess" => Self::Assess,
            "notify" => Self::Notify,
            _ => return None,
        })
    }

    /// What it is to the machine; nothing where it is for people alone.
    const fn act(self) -> Option<requester::Act> {
        use requester::Act;
        Some(match self {
            Self::Approve | Self::RecordDelivery => return None,
            Self::Send => Act::Send,
            Self::Drop => Act::Drop,
            Self::Supplement => Act::Supplement,
            Self::Answer => Act::Answer,
            Self::DecideExtension => Act::DecideExtension,
            Self::Extend => Act::Extend,
            Self::StopClock => Act::StopClock,
            Self::ContinueClock => Act::ContinueClock,
            Self::StateDeadline => Act::StateDeadline,
            Self::Remind => Act::Remind,
            Self::Inquire => Act::Inquire,
            Self::Expire => Act::Expire,
            Self::ExpireUnanswered => Act::ExpireUnanswered,
            Self::Suspend => Act::Suspend,
            Self::Resume => Act::Resume,
            Self::Cancel => Act::Cancel,
            Self::Revoke => Act::Revoke,
            Self::RevokeFiles => Act::RevokeFiles,
            Self::Assess => Act::Assess,
            Self::Notify => Act::Notify,
            Self::Escalate(_) => Act::Escalate,
        })
    }

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Approve => "approve",
            Self::Send => "send",
            Self::Drop => "drop",
            Self::Supplement => "supplement",
            Self::Answer => "answer",
            Self::DecideExtension => "decide-extension",
            Self::Extend => "extend",
            Self::StopClock => "stop-clock",
            Self::ContinueClock => "continue-clock",
            Self::StateDeadline => "state-deadline",
            Self::RecordDelivery => "record-delivery",
            Self::Remind => "remind",
            Self::Inquire => "inquire",
            Self::Expire => "expire",
            Self::ExpireUnanswered => "expire-unanswered",
            Self::Suspend => "suspend",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Revoke => "revoke",
            Self::RevokeFiles => "revoke-files",
            Self::Assess => "assess",
            Self::Notify => "notify",
            Self::Escalate(_) => "escalate",
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let refused = Self::conflict(refusal.code(), refusal.to_string());
        match refusal {
            Refusal::Illegal { legal, .. } => refused.legal(legal),
            Refusal::Blocked {
                obstacle: Obstacle::NotAnswered,
                ..
            } => refused
                .hint("expire-unanswered records it without an answer, a day after the node was asked first"),
            Refusal::Blocked { .. } | Refusal::TooEarly { .. } => refused,
            Refusal::Deadline(_) => refused.hint("state-deadline states an end where none can be computed"),
        }
    }
}

impl From<ReleaseError> for Refused {
    fn from(error: ReleaseError) -> Self {
        let refused = Self::conflict(error.code(), error.to_string());
        match error {
            ReleaseError::SecondPair(_) => {
                refused.hint("another person releases it first: approve, with the role releaser")
            }
            ReleaseError::NoBasis
            | ReleaseError::NotForGuests
            | ReleaseError::NotReleased
            | ReleaseError::Changed => refused,
        }
    }
}

pub(super) fn missing(command: Command, member: &str) -> Refused {
    Refused::invalid("member_missing", format!("{} needs {member}", command.name())).at(format!("/{member}"))
}

/// Names of what people can do with a request of this house as it stands.
pub(in crate::casework) fn legal(row: &RequestRow) -> Vec<&'static str> {
    let Some(machine) = row.requester() else {
        return Vec::new();
    };
    let mut legal: Vec<&'static str> = machine
        .legal()
        .into_iter()
        .filter(|name| COMMANDS.contains(name))
        .collect();
    if row.state() == kontor_participation::round::state::State::Created {
        legal.insert(0, "approve");
    }
    if may_be_recorded(machine) && machine.level() != ProofLevel::Node {
        legal.push("record-delivery");
    }
    legal
}

/// Whether another proof of delivery would say something new.
pub(super) fn may_be_recorded(machine: &Requester) -> bool {
    machine.delivery().is_none() && machine.state().is_sent()
}

/// That something does not fit how the request stands, with what people can do instead.
pub(super) fn illegal(row: &RequestRow, command: &'static str) -> Refused {
    let refusal = Refusal::Illegal {
        command,
        state: row.state().name(),
        legal: legal(row),
    };
    refusal.into()
}

/// Refuses what does not fit how the request stands before anything else is looked at.
pub(super) fn fits(row: &RequestRow, command: Command) -> Result<(), Refused> {
    let machine = machine_of(row)?;
    match command.act().map(|act| machine.fits(act)) {
        None | Some(Ok(())) => Ok(()),
        Some(Err(Refusal::Illegal { command, .. })) => Err(illegal(row, command)),
        Some(Err(refusal)) => Err(refusal.into()),
    }
}
