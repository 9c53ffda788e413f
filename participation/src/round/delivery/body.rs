//! What messages say, their form and their bounds. Nothing in them is about the applicant.

use jiff::Timestamp;
use jiff::civil::Date;
use kontor_protocol::id::MemberId;
use serde::{Deserialize, Serialize};

use super::coded::{CancelReason, ExtensionReason, RevokeReason, WithdrawReason};
use super::{MAX_FILES, Side};
use crate::competence::ServiceKey;
use crate::deadline::Deadline;
use crate::envelope::BodyError;
use crate::round::disclosure::access::Downloaded;
use crate::round::message::{DeclineReason, Expiry, Kind, Message};
use crate::round::profile::{Class, Versioned};
use crate::round::requester::ProofLevel;
use crate::round::terms::Terms;
use crate::transfer::delivery::{Bundle, MAX_NUMBER, MAX_WORDS, PurgeStatement, Words};
use crate::transfer::offer::{Flags, Id, SilenceEffect, key};

/// A request, as far as it is told outside of its bundle.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RequestBody {
    /// This request.
    pub request_id: Id,
    /// Its round.
    pub round_id: Id,
    /// The number of the round, for the case and profile.
    pub round_number: u32,
    /// The round that it renews.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub renews: Option<Id>,
    /// The application, for life.
    pub application_id: Id,
    /// The service.
    #[serde(with = "key")]
    pub service: ServiceKey,
    /// By which profile.
    pub profile: Versioned,
    /// What the participant is to it.
    pub class: Class,
    /// Rule, holidays, effect of silence and whether more time can be had.
    pub terms: Terms,
    /// What the content is like.
    pub flags: Flags,
    /// The last day on which what is disclosed may be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disclosure_ends: Option<Date>,
    /// How strong a proof of delivery can be.
    pub proof_level: ProofLevel,
    /// Who is asked where that is nobody with a node: `guest/UUID` or `unit/ID`, hosted by the requester, which then speaks to itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosted: Option<String>,
    /// What is disclosed, the sheet first.
    pub bundle: Bundle,
}

/// Whether this names somebody who can be hosted. What people wrote stands in no body, and so an id of a unit has its bounds.
fn is_hosted(name: &str) -> bool {
    match name.split_once('/') {
        Some(("guest", guest)) => Id::try_from(guest.to_owned()).is_ok(),
        Some(("unit", unit)) => {
            (1..=64).contains(&unit.len())
                && unit
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte))
        }
        Some(_) | None => false,
    }
}

/// Whose message of that kind can be given up. What the participant says counts with the requester's answer only, and so nothing is left
/// of it. What the requester says has counted there since it was decided: of that only what changes nothing can be given up, or the
/// two would differ for ever; the rest is tried again until it is taken. A request that cannot be delivered has failed.
fn given_up_by(kind: &str) -> Option<Side> {
    match kind {
        "inquire" | "reminder" => Some(Side::Requester),
        "acknowledge" | "decline" | "preparing" | "question" | "extension-request" | "statement"
        | "withdraw-statement" | "purged" => Some(Side::Participant),
        _ => None,
    }
}

/// The body of a message.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Body {
    /// What do you say to this?
    Request {
        /// The request.
        request: Box<RequestBody>,
    },
    /// Further or replaced parts.
    Supplement {
        /// Whether the period begins anew when they are there.
        restarts: bool,
        /// The parts, a sheet first.
        bundle: Bundle,
    },
    /// The answer to the question.
    Answer {
        /// Its text and files.
        bundle: Bundle,
    },
    /// Whether there is more time.
    ExtensionDecision {
        /// Whether there is; until when is in the deadline that follows.
        granted: bool,
        /// In words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        words: Option<Words>,
    },
    /// The clock stops, or goes on.
    Clock {
        /// Whether it stops.
        stops: bool,
        /// Since when.
        at: Timestamp,
    },
    /// The deadline that is in force now.
    Deadline {
        /// With its computation, its extensions and the version of the table of holidays.
        deadline: Box<Deadline>,
    },
    /// How much time is left.
    Reminder {
        /// The end.
        ends_at: Timestamp,
        /// What silence means then.
        effect: SilenceEffect,
    },
    /// What was entered before that end?
    Inquire {
        /// The end.
        until: Timestamp,
    },
    /// The deadline is over.
    Expired {
        /// What that means, and how it was made sure.
        #[serde(flatten)]
        expiry: Expiry,
        /// The deadline with its computation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        deadline: Option<Box<Deadline>>,
    },
    /// The round is suspended.
    Suspended {
        /// Since when.
        at: Timestamp,
    },
    /// It goes on.
    Resumed {
        /// Since when.
        at: Timestamp,
    },
    /// The round is cancelled.
    Cancelled {
        /// Why.
        reason: CancelReason,
    },
    /// The request or some of its files are taken back.
    Revoke {
        /// Whether everything is.
        whole: bool,
        /// Which files, if not everything.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        files: Vec<String>,
        /// Why.
        reason: RevokeReason,
    },
    /// How the statement is treated is recorded.
    Assessed,
    /// How it is treated.
    Outcome {
        /// The assessment, and what goes with it.
        bundle: Bundle,
    },
    /// The case was handed over, and with it the role of who asks: the next message comes from the new one.
    Moved {
        /// The member that asks from now on, `INSTANCE/CLASS/CODE`.
        to: String,
        /// The transfer in which it took the case over.
        transfer: Id,
        /// Since when it is responsible: the instant of the take-over.
        at: Timestamp,
    },
    /// It is ours.
    Acknowledge {
        /// The participant's own reference.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reference: Option<String>,
        /// Role and unit to write to.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        contact: Option<Words>,
    },
    /// It is not, or we must not answer.
    Decline {
        /// Why.
        reason: DeclineReason,
        /// When that was entered.
        entered_at: Timestamp,
        /// The member that may be competent instead, `INSTANCE/CLASS/CODE`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        suggestion: Option<String>,
        /// In words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        words: Option<Words>,
    },
    /// Somebody works on it.
    Preparing,
    /// A question.
    Question {
        /// Its text and files.
        bundle: Bundle,
    },
    /// More time is needed.
    ExtensionRequest {
        /// Until when.
        until: Date,
        /// When that was entered.
        entered_at: Timestamp,
        /// Why.
        reason: ExtensionReason,
        /// In words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        words: Option<Words>,
    },
    /// A statement.
    Statement {
        /// Its number.
        version: u32,
        /// What it says as a whole.
        statement: Kind,
        /// When it was entered at the participant's node.
        entered_at: Timestamp,
        /// The statement and its attachments.
        bundle: Bundle,
    },
    /// It is taken back.
    WithdrawStatement {
        /// When that was entered.
        entered_at: Timestamp,
        /// Why.
        reason: WithdrawReason,
    },
    /// What was disclosed is deleted, or some of it.
    Purged {
        /// Whether this is about everything.
        whole: bool,
        /// Whether nothing of it is left.
        complete: bool,
        /// Place by place.
        statement: PurgeStatement,
        /// What had been downloaded before: it may lie elsewhere.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        downloaded: Vec<Downloaded>,
    },
    /// A message that cannot be settled is given up, signed: its number is used, and nothing follows from it.
    Void {
        /// The kind of the message that is given up.
        gives_up: String,
    },
}

impl Body {
    /// Its kind, as it stands in paths.
    pub fn kind(&self) -> &'static str {
        self.message().kind()
    }

    /// What it is to the machines.
    pub fn message(&self) -> Message {
        match self {
            Self::Request { request } => Message::Request(request.terms.clone()),
            Self::Supplement { restarts, .. } => Message::Supplement { restarts: *restarts },
            Self::Answer { .. } => Message::Answer,
            Self::ExtensionDecision { granted, .. } => Message::ExtensionDecision { granted: *granted },
            Self::Clock { stops, at } => Message::Clock {
                stops: *stops,
                at: *at,
            },
            Self::Deadline { deadline } => Message::Deadline {
                deadline: deadline.clone(),
            },
            Self::Reminder { .. } => Message::Reminder,
            Self::Inquire { until } => Message::Inquire { until: *until },
            Self::Expired { expiry, .. } => Message::Expired(*expiry),
            Self::Suspended { at } => Message::Suspended { at: *at },
            Self::Resumed { at } => Message::Resumed { at: *at },
            Self::Cancelled { .. } => Message::Cancelled,
            Self::Revoke { whole, .. } => Message::Revoke { whole: *whole },
            Self::Assessed => Message::Assessed,
            Self::Outcome { .. } => Message::Outcome,
            Self::Moved { .. } => Message::Moved,
            Self::Acknowledge { .. } => Message::Acknowledge,
            Self::Decline {
                reason, entered_at, ..
            } => Message::Decline {
                reason: *reason,
                entered_at: *entered_at,
            },
            Self::Preparing => Message::Preparing,
            Self::Question { .. } => Message::Question,
            Self::ExtensionRequest {
                until, entered_at, ..
            } => Message::ExtensionRequest {
                until: *until,
                entered_at: *entered_at,
            },
            Self::Statement {
                version,
                statement,
                entered_at,
                ..
            } => Message::Statement {
                version: *version,
                statement: *statement,
                entered_at: *entered_at,
            },
            Self::WithdrawStatement { entered_at, .. } => Message::WithdrawStatement {
                entered_at: *entered_at,
            },
            Self::Purged { whole, complete, .. } => Message::Purged {
                whole: *whole,
                complete: *complete,
            },
            Self::Void { .. } => Message::Void,
        }
    }

    /// Who may send it: a `void` whoever may give up what it names; nothing if nobody may.
    pub fn side(&self) -> Option<Side> {
        match self {
            Self::Request { .. }
            | Self::Supplement { .. }
            | Self::Answer { .. }
            | Self::ExtensionDecision { .. }
            | Self::Clock { .. }
            | Self::Deadline { .. }
            | Self::Reminder { .. }
            | Self::Inquire { .. }
            | Self::Expired { .. }
            | Self::Suspended { .. }
            | Self::Resumed { .. }
            | Self::Cancelled { .. }
            | Self::Revoke { .. }
            | Self::Assessed
            | Self::Outcome { .. }
            | Self::Moved { .. } => Some(Side::Requester),
            Self::Acknowledge { .. }
            | Self::Decline { .. }
            | Self::Preparing
            | Self::Question { .. }
            | Self::ExtensionRequest { .. }
            | Self::Statement { .. }
            | Self::WithdrawStatement { .. }
            | Self::Purged { .. } => Some(Side::Participant),
            Self::Void { gives_up } => given_up_by(gives_up),
        }
    }

    /// What it announces, to be pulled.
    pub const fn bundle(&self) -> Option<&Bundle> {
        match self {
            Self::Request { request } => Some(&request.bundle),
            Self::Supplement { bundle, .. }
            | Self::Answer { bundle }
            | Self::Outcome { bundle }
            | Self::Question { bundle }
            | Self::Statement { bundle, .. } => Some(bundle),
            Self::ExtensionDecision { .. }
            | Self::Clock { .. }
            | Self::Deadline { .. }
            | Self::Reminder { .. }
            | Self::Inquire { .. }
            | Self::Expired { .. }
            | Self::Suspended { .. }
            | Self::Resumed { .. }
            | Self::Cancelled { .. }
            | Self::Revoke { .. }
            | Self::Assessed
            | Self::Moved { .. }
            | Self::Acknowledge { .. }
            | Self::Decline { .. }
            | Self::Preparing
            | Self::ExtensionRequest { .. }
            | Self::WithdrawStatement { .. }
            | Self::Purged { .. }
            | Self::Void { .. } => None,
        }
    }

    const fn words(&self) -> Option<&Words> {
        match self {
            Self::Decline { words, .. }
            | Self::ExtensionRequest { words, .. }
            | Self::ExtensionDecision { words, .. }
            | Self::Acknowledge { contact: words, .. } => words.as_ref(),
            Self::Request { .. }
            | Self::Supplement { .. }
            | Self::Answer { .. }
            | Self::Clock { .. }
            | Self::Deadline { .. }
            | Self::Reminder { .. }
            | Self::Inquire { .. }
            | Self::Expired { .. }
            | Self::Suspended { .. }
            | Self::Resumed { .. }
            | Self::Cancelled { .. }
            | Self::Revoke { .. }
            | Self::Assessed
            | Self::Outcome { .. }
            | Self::Moved { .. }
            | Self::Preparing
            | Self::Question { .. }
            | Self::Statement { .. }
            | Self::WithdrawStatement { .. }
            | Self::Purged { .. }
            | Self::Void { .. } => None,
        }
    }

    /// Whether it can be sent, and believed when it comes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), BodyError> {
        let wrong = |text: &str| Err(BodyError::Wrong(text.to_owned()));
        if let Some(words) = self.words() {
            if !words.free_of_personal_data {
                return wrong(
                    "words outside of a bundle need the confirmation that they tell nothing of the applicant: free_of_personal_data",
                );
            }
            if words.text.chars().count() > MAX_WORDS {
                return Err(BodyError::Wrong(format!(
                    "words have at most {MAX_WORDS} characters"
                )));
            }
        }
        if self
            .bundle()
            .is_some_and(|bundle| bundle.manifest_octets == 0 || bundle.octets <= bundle.manifest_octets)
        {
            return wrong("a bundle has a manifest and at least one octet of a file");
        }
        let good = |c: char| c.is_ascii_alphanumeric() || "-_/. ".contains(c);
        if let Self::Acknowledge {
            reference: Some(reference),
            ..
        } = self
            && (reference.is_empty() || reference.len() > MAX_NUMBER || !reference.chars().all(good))
        {
            return wrong(
                "a reference has 1 to 64 letters and digits of ASCII, blanks and the characters - _ / .",
            );
        }
        if let Self::Revoke { whole, files, .. } = self
            && (*whole != files.is_empty() || files.len() > MAX_FILES)
        {
            return wrong("either everything is taken back, or the files are named");
        }
        if let Self::Purged { downloaded, .. } = self
            && downloaded.len() > MAX_FILES
        {
            return Err(BodyError::Wrong(format!("at most {MAX_FILES} files are named")));
        }
        if let Self::Decline {
            suggestion: Some(member),
            ..
        } = self
            && member.parse::<MemberId>().is_err()
        {
            return wrong("a suggestion is a member, INSTANCE/CLASS/CODE");
        }
        if let Self::Moved { to, .. } = self
            && to.parse::<MemberId>().is_err()
        {
            return wrong("who asks from now on is a member, INSTANCE/CLASS/CODE");
        }
        let is_id = |id: &str| {
            (1..=64).contains(&id.len())
                && id
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        let named: Vec<&str> = match self {
            Self::Revoke { files, .. } => files.iter().map(String::as_str).collect(),
            Self::Purged { downloaded, .. } => downloaded.iter().map(|one| one.file_id.as_str()).collect(),
            Self::Void { gives_up } => vec![gives_up.as_str()],
            Self::Request { .. }
            | Self::Supplement { .. }
            | Self::Answer { .. }
            | Self::ExtensionDecision { .. }
            | Self::Clock { .. }
            | Self::Deadline { .. }
            | Self::Reminder { .. }
            | Self::Inquire { .. }
            | Self::Expired { .. }
            | Self::Suspended { .. }
            | Self::Resumed { .. }
            | Self::Cancelled { .. }
            | Self::Assessed
            | Self::Outcome { .. }
            | Self::Moved { .. }
            | Self::Acknowledge { .. }
            | Self::Decline { .. }
            | Self::Preparing
            | Self::Question { .. }
            | Self::ExtensionRequest { .. }
            | Self::Statement { .. }
            | Self::WithdrawStatement { .. } => Vec::new(),
        };
        if !named.into_iter().all(is_id) {
            return wrong("ids of files and kinds of messages have 1 to 64 letters, digits and hyphens");
        }
        if let Self::Void { gives_up } = self
            && given_up_by(gives_up).is_none()
        {
            return wrong(
                "of the requester's messages an inquire or a reminder can be given up, and every one of the participant's; retry the others",
            );
        }
        if let Self::Request { request } = self
            && request.hosted.is_some() != (request.proof_level != ProofLevel::Node)
        {
            return wrong("a guest or a unit is named, and nobody else");
        }
        if let Self::Request { request } = self
            && request.hosted.as_deref().is_some_and(|hosted| !is_hosted(hosted))
        {
            return wrong(
                "who is hosted is guest/ with a UUID, or unit/ with letters and digits of ASCII, hyphens, dots and underscores",
            );
        }
        if let Self::Request { request } = self
            && (request.terms.has_effect() && request.terms.rule.is_none() || request.round_number == 0)
        {
            return wrong(
                "silence has an effect at the end of a period only, and rounds are numbered from 1",
            );
        }
        Ok(())
    }
}
