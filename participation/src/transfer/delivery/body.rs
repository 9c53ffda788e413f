//! What messages say, their form and their bounds. Nothing in them is about the applicant.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{CONTRACT, MAX_NUMBER, MAX_WORDS, Party};
use crate::application::manifest::{Digest, PART};
use crate::envelope::{self, BodyError};
use crate::transfer::RefusalReason;
use crate::transfer::message::Message;
use crate::transfer::offer::{Id, Offer};

/// A set of files to be pulled: the manifest first, then every file of it, one after the other, cut into parts.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Bundle {
    /// SHA-256 of the manifest.
    pub manifest: Digest<32>,
    /// Octets of the manifest.
    pub manifest_octets: u64,
    /// Octets of manifest and files together.
    pub octets: u64,
}

impl Bundle {
    /// How many parts it has.
    pub const fn parts(&self) -> u64 {
        self.octets.div_ceil(PART)
    }
}

/// What became of a file at the import.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileResult {
    /// It is there, bit by bit.
    Complete,
    /// Its digest is another one.
    Mismatch,
    /// The scanner found something in it.
    Infected,
    /// It could not be looked into.
    Unscannable,
}

/// A file at the import.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ImportedFile {
    /// Which.
    pub file_id: String,
    /// What became of it.
    pub result: FileResult,
}

/// What a question asks before the decision.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum QuestionCode {
    /// Why is it thought that we are competent?
    WhyUs,
    /// Which place does it concern, exactly?
    WhichPlace,
    /// Which service does it concern?
    WhichService,
    /// What has been done already?
    WhatWasDone,
    /// Something else, in words.
    Other,
}

/// What an answer says.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AnswerCode {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Nothing is known of it.
    Unknown,
    /// It is in the words.
    InWords,
}

/// Why something is called back.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RecallReason {
    /// It went to the wrong authority (Art. 33 GDPR).
    WrongRecipient,
    /// The wrong application went.
    WrongApplication,
    /// Something in it must not leave.
    MustNotLeave,
}

/// Where content lay, and whether it is deleted there.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct PurgeStatement {
    /// The node's own copy.
    pub node: Deleted,
    /// Bodies in the message log.
    pub message_log: Deleted,
    /// A folder that files are dropped into.
    pub folder_drop: Deleted,
    /// The instance that it was written into.
    pub instance: Deleted,
    /// Archives.
    pub archives: Deleted,
}

/// Whether something is deleted at one place.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Deleted {
    /// It is.
    Done,
    /// It is not.
    NotDone,
    /// It never was there.
    NeverThere,
}

/// Words that a person wrote, who has confirmed that they tell nothing of the applicant.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Words {
    /// The words.
    pub text: String,
    /// That confirmation; words without it are refused.
    pub free_of_personal_data: bool,
}

/// The body of a message.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "kind")]
pub enum Body {
    /// An application without names or content.
    Offer {
        /// The offer.
        offer: Box<Offer>,
    },
    /// The offer is taken back.
    Withdraw,
    /// Nobody answered in time.
    Expire,
    /// A person confirms competence, or a standing rule does.
    Accept {
        /// Which rule, when no person did.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        standing_rule: Option<String>,
    },
    /// Not ours.
    Refuse {
        /// Why.
        reason: RefusalReason,
        /// The member that may be competent instead, `INSTANCE/CLASS/CODE`.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        suggestion: Option<String>,
        /// In words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        words: Option<Words>,
    },
    /// The authorities disagree (§ 3 Abs. 2 VwVfG).
    Dispute {
        /// In words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        words: Option<Words>,
    },
    /// The package is ready to be pulled.
    Package {
        /// Until when it can be taken over.
        take_over_until: Timestamp,
        /// The package; its manifest is the one of the offer.
        #[serde(flatten)]
        bundle: Bundle,
    },
    /// How the import went.
    ImportResult {
        /// Whether everything is there.
        complete: bool,
        /// File by file.
        files: Vec<ImportedFile>,
    },
    /// From this instant on the receiver is responsible.
    TakenOver {
        /// By the receiver's clock, not before its newest entry.
        at: Timestamp,
        /// The manifest that was taken over: everything in it.
        manifest: Digest<32>,
        /// The receiver's number of the case.
        case_number: String,
    },
    /// How does it stand?
    Reclaim,
    /// It is not to be taken over, and what lies there is to be deleted.
    Recall {
        /// Why.
        reason: RecallReason,
    },
    /// Whether what was called back is deleted.
    RecallResult {
        /// Whether nothing is left.
        purged: bool,
        /// Place by place.
        statement: PurgeStatement,
    },
    /// A question.
    Query {
        /// Which.
        question: QuestionCode,
        /// In words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        words: Option<Words>,
    },
    /// The answer to it.
    Answer {
        /// Which.
        answer: AnswerCode,
        /// In words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        words: Option<Words>,
    },
    /// Something came afterwards.
    LateItem {
        /// When it came.
        received_at: Timestamp,
        /// Whether that was before the take-over, while the copy was frozen.
        before_take_over: bool,
        /// The request of a round that goes over with the case: what is pulled is how it stands.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<Id>,
        /// Its files.
        #[serde(flatten)]
        bundle: Bundle,
    },
    /// The number that the application has in the receiver's instance.
    Number {
        /// The number.
        case_number: String,
    },
    /// The sender's content is deleted.
    Purged {
        /// Place by place.
        statement: PurgeStatement,
    },
    /// A message that cannot be settled is given up, signed: its number is used, and nothing follows from it.
    Void {
        /// The kind of the message that is given up.
        gives_up: String,
    },
}

/// A message as it is sent.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sent {
    /// [`CONTRACT`].
    pub contract: String,
    /// The sender's clock.
    pub sent_at: Timestamp,
    /// Whether it belongs to a test instance.
    pub test: bool,
    /// What it says.
    #[serde(flatten)]
    pub body: Body,
}

impl Body {
    /// Its kind, as it stands in paths.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Void { .. } => "void",
            Self::Offer { .. } => "offer",
            Self::Withdraw => "withdraw",
            Self::Expire => "expire",
            Self::Accept { .. } => "accept",
            Self::Refuse { .. } => "refuse",
            Self::Dispute { .. } => "dispute",
            Self::Package { .. } => "package",
            Self::ImportResult { .. } => "import-result",
            Self::TakenOver { .. } => "taken-over",
            Self::Reclaim => "reclaim",
            Self::Recall { .. } => "recall",
            Self::RecallResult { .. } => "recall-result",
            Self::Query { .. } => "query",
            Self::Answer { .. } => "answer",
            Self::LateItem { .. } => "late-item",
            Self::Number { .. } => "number",
            Self::Purged { .. } => "purged",
        }
    }

    /// What it is to the machines; nothing follows from a `void`.
    pub fn message(&self) -> Option<Message> {
        Some(match self {
            Self::Offer { offer } => Message::Offer(offer.clocks()),
            Self::Withdraw => Message::Withdraw,
            Self::Expire => Message::Expire,
            Self::Accept { .. } => Message::Accept,
            Self::Refuse { reason, .. } => Message::Refuse { reason: *reason },
            Self::Dispute { .. } => Message::Dispute,
            Self::Package { take_over_until, .. } => Message::Package {
                take_over_until: *take_over_until,
            },
            Self::ImportResult { complete, .. } => Message::ImportResult { complete: *complete },
            Self::TakenOver { at, .. } => Message::TakenOver { at: *at },
            Self::Reclaim => Message::Reclaim,
            Self::Recall { .. } => Message::Recall,
            Self::RecallResult { purged, .. } => Message::RecallResult { purged: *purged },
            Self::Query { .. } => Message::Query,
            Self::Answer { .. } => Message::Answer,
            Self::LateItem { .. } => Message::LateItem,
            Self::Number { .. } => Message::Number,
            Self::Purged { .. } => Message::Purged,
            Self::Void { .. } => return None,
        })
    }

    /// Who may send it; a `void` either.
    pub const fn party(&self) -> Option<Party> {
        match self {
            Self::Offer { .. }
            | Self::Withdraw
            | Self::Expire
            | Self::Package { .. }
            | Self::Reclaim
            | Self::Recall { .. }
            | Self::Answer { .. }
            | Self::LateItem { .. }
            | Self::Purged { .. } => Some(Party::Sender),
            Self::Accept { .. }
            | Self::Refuse { .. }
            | Self::Dispute { .. }
            | Self::ImportResult { .. }
            | Self::TakenOver { .. }
            | Self::RecallResult { .. }
            | Self::Query { .. }
            | Self::Number { .. } => Some(Party::Receiver),
            Self::Void { .. } => None,
        }
    }

    const fn words(&self) -> Option<&Words> {
        match self {
            Self::Refuse { words, .. }
            | Self::Dispute { words }
            | Self::Query { words, .. }
            | Self::Answer { words, .. } => words.as_ref(),
            Self::Offer { .. }
            | Self::Withdraw
            | Self::Expire
            | Self::Accept { .. }
            | Self::Package { .. }
            | Self::ImportResult { .. }
            | Self::TakenOver { .. }
            | Self::Reclaim
            | Self::Recall { .. }
            | Self::RecallResult { .. }
            | Self::LateItem { .. }
            | Self::Number { .. }
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
                    "words before the acceptance need the confirmation that they tell nothing of the applicant: free_of_personal_data",
                );
            }
            if words.text.chars().count() > MAX_WORDS {
                return Err(BodyError::Wrong(format!(
                    "words have at most {MAX_WORDS} characters"
                )));
            }
        }
        match self {
            Self::Offer { offer } => offer.check().map_err(|error| BodyError::Wrong(error.to_string())),
            Self::Package { bundle, .. } | Self::LateItem { bundle, .. } => {
                match bundle.manifest_octets > 0 && bundle.octets > bundle.manifest_octets {
                    true => Ok(()),
                    false => wrong("a bundle has a manifest and at least one octet of a file"),
                }
            }
            Self::TakenOver { case_number, .. } | Self::Number { case_number } => {
                let good = |c: char| c.is_ascii_alphanumeric() || "-_/. ".contains(c);
                match !case_number.is_empty()
                    && case_number.len() <= MAX_NUMBER
                    && case_number.chars().all(good)
                {
                    true => Ok(()),
                    false => wrong(
                        "a case number has 1 to 64 letters and digits of ASCII, blanks and the characters - _ / .",
                    ),
                }
            }
            Self::Withdraw
            | Self::Expire
            | Self::Accept { .. }
            | Self::Refuse { .. }
            | Self::Dispute { .. }
            | Self::ImportResult { .. }
            | Self::Reclaim
            | Self::Recall { .. }
            | Self::RecallResult { .. }
            | Self::Query { .. }
            | Self::Answer { .. }
            | Self::Purged { .. }
            | Self::Void { .. } => Ok(()),
        }
    }
}

impl Sent {
    /// A message.
    pub fn new(body: Body, sent_at: Timestamp, test: bool) -> Self {
        Self {
            contract: CONTRACT.to_owned(),
            sent_at,
            test,
            body,
        }
    }

    /// Reads one that came on a path of this kind.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(bytes: &[u8], kind: &str) -> Result<Self, BodyError> {
        let sent: Self = envelope::read(CONTRACT, kind, bytes, |sent: &Self| sent.body.kind())?;
        sent.body.check()?;
        Ok(sent)
    }
}
