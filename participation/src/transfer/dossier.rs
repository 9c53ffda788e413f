//! What travels with an application besides its form and its files (domain 3.3): parties, messages with the applicant, open questions,
//! decisions, payment, deadlines with their origin, official history, references, proposals of follow-ups, and those comments that
//! their authors let travel.
//!
//! It is a JSON document of the package (role `dossier` of the manifest). Staff appear as role and unit. Members that are not known
//! here are kept at the top and passed over below.

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::deadline::Deadline;

#[cfg(test)]
mod tests;

/// Octets of a dossier.
pub const MAX_OCTETS: usize = 4 * 1024 * 1024;
/// Elements of each of its lists.
pub const MAX_ITEMS: usize = 1000;
/// Characters of a text.
const MAX_TEXT: usize = 64 * 1024;
/// Characters of a name, a reference or a code.
const MAX_NAME: usize = 1024;

/// See the module.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Dossier {
    /// Numbers under which other authorities have the case (Aktenzeichen, Vorgangsnummer): references, never reused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub references: Vec<Reference>,
    /// Who takes part besides the applicant of the form.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub parties: Vec<Party>,
    /// How the applicant is reached.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reply_channel: Option<ReplyChannel>,
    /// What was written to and by the applicant.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub messages: Vec<Message>,
    /// What the applicant was asked; an unanswered question is handed over as an open task.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub open_questions: Vec<Question>,
    /// Decisions and interim decisions.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub decisions: Vec<Decision>,
    /// What was paid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment: Option<Payment>,
    /// Deadlines with their rule, trigger and computation.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub deadlines: Vec<CaseDeadline>,
    /// Official acts, in their order.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub history: Vec<Done>,
    /// Follow-ups (Wiedervorlagen) that whoever takes over may adopt.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub follow_ups: Vec<Proposal>,
    /// Internal comments that their authors let travel.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub comments: Vec<Comment>,
    /// How long it is kept and why.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retention: Option<Retention>,
    /// Members that are not known here.
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

/// A number of another authority.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Reference {
    /// The member, or the authority's name.
    pub authority: String,
    /// Which kind of number.
    pub kind: ReferenceKind,
    /// The number.
    pub value: String,
}

/// See [`Reference`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ReferenceKind {
    /// Aktenzeichen.
    FileReference,
    /// Vorgangsnummer.
    CaseNumber,
}

/// Somebody who takes part.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Party {
    /// As what, such as `REPRESENTATIVE` or `PARTNER`.
    pub role: String,
    /// Family name, or the name of an organisation.
    pub family_name: String,
    /// Given names.
    #[serde(default)]
    pub given_names: Option<String>,
    /// What shows the power of attorney, if there is one.
    #[serde(default)]
    pub power_of_attorney: Option<String>,
}

/// A way back to the applicant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ReplyChannel {
    /// Such as `SERVICE_ACCOUNT`, `EMAIL` or `POST`.
    pub kind: String,
    /// Type of the account.
    #[serde(default, rename = "type")]
    pub account_type: Option<String>,
    /// The mailbox or address.
    pub mailbox: String,
    /// Whether the applicant agreed to decisions by this way.
    pub electronic_decision_consent: bool,
}

/// A message to or from the applicant (domain 2.4).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Message {
    /// Its id.
    pub message_id: String,
    /// Which way.
    pub direction: Direction,
    /// What it is about.
    pub subject: String,
    /// What it says.
    pub body: String,
    /// Whether the applicant could answer it.
    pub reply_allowed: bool,
    /// Ids of files of the case.
    #[serde(default)]
    pub attachments: Vec<String>,
    /// When it was written.
    pub created_at: Timestamp,
    /// When it was sent.
    #[serde(default)]
    pub sent_at: Option<Timestamp>,
    /// When it was read.
    #[serde(default)]
    pub read_at: Option<Timestamp>,
    /// Why it did not arrive.
    #[serde(default)]
    pub delivery_error: Option<String>,
    /// The mailbox.
    #[serde(default)]
    pub mailbox_address: Option<String>,
    /// Type of its account.
    #[serde(default)]
    pub service_account_type: Option<String>,
}

/// Which way a message went.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Direction {
    /// To the applicant.
    ToApplicant,
    /// From the applicant.
    FromApplicant,
}

/// Something that the applicant was asked.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Question {
    /// Its id.
    pub question_id: String,
    /// What was asked.
    pub text: String,
    /// When.
    pub asked_at: Timestamp,
    /// Until when an answer is wanted.
    #[serde(default)]
    pub due: Option<Date>,
    /// By which deadline.
    #[serde(default)]
    pub deadline_id: Option<String>,
    /// In which message.
    #[serde(default)]
    pub message_id: Option<String>,
    /// Whether it was answered.
    pub state: QuestionState,
    /// When.
    #[serde(default)]
    pub answered_at: Option<Timestamp>,
}

/// See [`Question`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum QuestionState {
    /// It waits for an answer.
    Open,
    /// It has one.
    Answered,
}

/// A decision (Bescheid).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Decision {
    /// Its id.
    pub decision_id: String,
    /// Final, or for the time being.
    pub kind: DecisionKind,
    /// Its date.
    pub date: Date,
    /// Whether what was applied for is granted.
    #[serde(default)]
    pub granted: Option<bool>,
    /// Ids of files of the case.
    #[serde(default)]
    pub documents: Vec<String>,
    /// When it was sent; a draft does not travel.
    pub sent_at: Timestamp,
    /// By which way.
    #[serde(default)]
    pub delivery_channel: Option<String>,
}

/// See [`Decision`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DecisionKind {
    /// Final.
    Final,
    /// For the time being.
    Interim,
}

/// A payment, as FIT-Connect's `paymentInformation` has it; the amount is decimal text.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Payment {
    /// Reference of the payee.
    pub transaction_reference: String,
    /// Id of the payment service.
    pub transaction_id: String,
    /// When.
    #[serde(default)]
    pub transaction_timestamp: Option<Timestamp>,
    /// How, such as `CREDITCARD` or `INVOICE`.
    pub payment_method: String,
    /// How it stands.
    pub status: PaymentStatus,
    /// How much: decimal text, such as `26.50`.
    pub gross_amount: String,
    /// In which currency (ISO 4217).
    pub currency: String,
}

/// See [`Payment`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum PaymentStatus {
    /// Nothing was paid yet.
    Initial,
    /// It was paid.
    Booked,
    /// It failed.
    Failed,
    /// It was given up.
    Canceled,
}

/// A deadline of the case, with where it comes from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct CaseDeadline {
    /// Its id.
    pub deadline_id: String,
    /// What it is called.
    pub name: String,
    /// On what it rests.
    pub legal_basis: String,
    /// What silence means.
    pub silence_effect: super::offer::SilenceEffect,
    /// Whether it runs.
    pub running: bool,
    /// Rule, trigger, computation and extensions.
    pub deadline: Deadline,
}

/// An official act.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Done {
    /// When.
    pub at: Timestamp,
    /// What, such as `accept`.
    pub command: String,
    /// In which role.
    pub role: String,
    /// Of which unit.
    #[serde(default)]
    pub unit: Option<String>,
    /// The state after it.
    #[serde(default)]
    pub to: Option<String>,
}

/// A follow-up that whoever takes over may adopt.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Proposal {
    /// The day.
    pub due: Date,
    /// What for.
    pub text: String,
}

/// A comment that travels.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Comment {
    /// When it was written.
    pub at: Timestamp,
    /// In which role.
    pub role: String,
    /// What it says.
    pub text: String,
}

/// How long something is kept.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Retention {
    /// Years.
    pub period_years: u16,
    /// On what that rests.
    pub basis: String,
    /// What it runs from, such as `CASE_CLOSED`.
    pub starts: String,
    /// Whether it is offered to the archive then.
    pub offer_to_archive: bool,
}

/// Why a document is no dossier.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DossierError {
    /// Not its form.
    #[error("the dossier cannot be read: {0}")]
    Malformed(String),
    /// Too much of something.
    #[error("{at} is too long: {most} is the limit")]
    TooLong {
        /// JSON pointer.
        at: String,
        /// How much there may be.
        most: usize,
    },
    /// No amount.
    #[error("{0:?} is no amount; write decimal text such as \"26.50\"")]
    Amount(String),
    /// A file that the case does not have.
    #[error("{at} names the file {file}, which the case does not have; add the file first")]
    UnknownFile {
        /// JSON pointer.
        at: String,
        /// The id.
        file: String,
    },
    /// A message that is not in it, or is in it twice.
    #[error("{at} names the message {message}, which is not in the dossier once")]
    Message {
        /// JSON pointer.
        at: String,
        /// The id.
        message: String,
    },
}

impl DossierError {
    /// The machine code.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "dossier_malformed",
            Self::TooLong { .. } => "dossier_too_long",
            Self::Amount(_) => "dossier_amount",
            Self::UnknownFile { .. } => "dossier_file_unknown",
            Self::Message { .. } => "dossier_message_unknown",
        }
    }

    /// Where, as a JSON pointer.
    #[must_use]
    pub fn pointer(&self) -> &str {
        match self {
            Self::Malformed(_) => "",
            Self::Amount(_) => "/payment/grossAmount",
            Self::TooLong { at, .. } | Self::UnknownFile { at, .. } | Self::Message { at, .. } => at,
        }
    }
}

impl Dossier {
    /// Reads the document of a package or of a line-of-business system.
    ///
    /// # Errors
    /// What it is not.
    pub fn read(bytes: &[u8]) -> Result<Self, DossierError> {
        if bytes.len() > MAX_OCTETS {
            let at = String::new();
            return Err(DossierError::TooLong { at, most: MAX_OCTETS });
        }
        let read: Self =
            serde_json::from_slice(bytes).map_err(|error| DossierError::Malformed(error.to_string()))?;
        read.check()?;
        Ok(read)
    }

    /// Its bytes.
    ///
    /// # Errors
    /// None that a dossier has; serialisation says so.
    pub fn bytes(&self) -> Result<Vec<u8>, DossierError> {
        serde_json::to_vec(self).map_err(|error| DossierError::Malformed(error.to_string()))
    }

    fn check(&self) -> Result<(), DossierError> {
        let long = |at: String, most| Err(DossierError::TooLong { at, most });
        let lists = [
            ("references", self.references.len()),
            ("parties", self.parties.len()),
            ("messages", self.messages.len()),
            ("open_questions", self.open_questions.len()),
            ("decisions", self.decisions.len()),
            ("deadlines", self.deadlines.len()),
            ("history", self.history.len()),
            ("follow_ups", self.follow_ups.len()),
            ("comments", self.comments.len()),
        ];
        if let Some((name, _)) = lists.iter().find(|(_, length)| *length > MAX_ITEMS) {
            return long(format!("/{name}"), MAX_ITEMS);
        }
        for (at, text) in self.texts() {
            if text.chars().count() > MAX_TEXT {
                return long(at, MAX_TEXT);
            }
        }
        for (at, name) in self.names() {
            if name.chars().count() > MAX_NAME {
                return long(at, MAX_NAME);
            }
        }
        if let Some(payment) = &self.payment
            && !is_amount(&payment.gross_amount)
        {
            return Err(DossierError::Amount(payment.gross_amount.clone()));
        }
        let mut ids = BTreeSet::new();
        for (place, message) in self.messages.iter().enumerate() {
            if !ids.insert(message.message_id.as_str()) {
                return Err(DossierError::Message {
                    at: format!("/messages/{place}/message_id"),
                    message: message.message_id.clone(),
                });
            }
        }
        for (place, question) in self.open_questions.iter().enumerate() {
            if let Some(message) = &question.message_id
                && !ids.contains(message.as_str())
            {
                return Err(DossierError::Message {
                    at: format!("/open_questions/{place}/message_id"),
                    message: message.clone(),
                });
            }
        }
        Ok(())
    }

    fn texts(&self) -> impl Iterator<Item = (String, &str)> {
        let messages = self.messages.iter().enumerate();
        let questions = self.open_questions.iter().enumerate();
        let comments = self.comments.iter().enumerate();
        let follow_ups = self.follow_ups.iter().enumerate();
        messages
            .map(|(place, it)| (format!("/messages/{place}/body"), it.body.as_str()))
            .chain(questions.map(|(place, it)| (format!("/open_questions/{place}/text"), it.text.as_str())))
            .chain(comments.map(|(place, it)| (format!("/comments/{place}/text"), it.text.as_str())))
            .chain(follow_ups.map(|(place, it)| (format!("/follow_ups/{place}/text"), it.text.as_str())))
    }

    fn names(&self) -> impl Iterator<Item = (String, &str)> {
        let references = self.references.iter().enumerate();
        let parties = self.parties.iter().enumerate();
        let messages = self.messages.iter().enumerate();
        let history = self.history.iter().enumerate();
        references
            .map(|(place, it)| (format!("/references/{place}/value"), it.value.as_str()))
            .chain(
                parties.map(|(place, it)| (format!("/parties/{place}/family_name"), it.family_name.as_str())),
            )
            .chain(messages.map(|(place, it)| (format!("/messages/{place}/subject"), it.subject.as_str())))
            .chain(history.map(|(place, it)| (format!("/history/{place}/command"), it.command.as_str())))
    }

    /// Checks that every file that it names is one of these.
    ///
    /// # Errors
    /// The first that is not.
    pub fn check_files(&self, has: impl Fn(&str) -> bool) -> Result<(), DossierError> {
        let messages = self.messages.iter().enumerate().flat_map(|(place, message)| {
            let files = message.attachments.iter().enumerate();
            files.map(move |(at, file)| (format!("/messages/{place}/attachments/{at}"), file))
        });
        let decisions = self.decisions.iter().enumerate().flat_map(|(place, decision)| {
            let files = decision.documents.iter().enumerate();
            files.map(move |(at, file)| (format!("/decisions/{place}/documents/{at}"), file))
        });
        match messages.chain(decisions).find(|(_, file)| !has(file)) {
            None => Ok(()),
            Some((at, file)) => Err(DossierError::UnknownFile {
                at,
                file: file.clone(),
            }),
        }
    }

    /// Whether a fee was paid, a decision was sent, and a question waits: what an offer says of it.
    #[must_use]
    pub fn flags(&self) -> (bool, bool, bool) {
        let paid = self
            .payment
            .as_ref()
            .is_some_and(|payment| payment.status == PaymentStatus::Booked);
        let open = self
            .open_questions
            .iter()
            .any(|question| question.state == QuestionState::Open);
        (paid, !self.decisions.is_empty(), open)
    }

    /// Whether it says more than numbers, history and how long it is kept: what people of another system have to read.
    #[must_use]
    pub fn tells_people(&self) -> bool {
        let silent = Self {
            references: self.references.clone(),
            history: self.history.clone(),
            retention: self.retention.clone(),
            reply_channel: self.reply_channel.clone(),
            ..Self::default()
        };
        silent != *self
    }
}

/// Digits, and maybe a point and one to four more.
fn is_amount(text: &str) -> bool {
    let digits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit())
    };
    match text.split_once('.') {
        Some((whole, part)) => digits(whole, 12) && digits(part, 4),
        None => digits(text, 12),
    }
}
