//! The contract between two nodes: one path for each kind of message, a number without gaps for each sender, and signed answers that
//! are the receipts.
//!
//! ```text
//! PUT /v1/transfers/{transfer id}/{party}/{number}/{kind}      a message of that party; numbers begin with 1
//! GET /v1/packages/{transfer id}/{part}                        a part of the package, parts begin with 0
//! GET /v1/late-items/{transfer id}/{item}/{part}               a part of a late item; the item is its message's number
//! ```
//!
//! Content travels below paths of its own, so that a log can choose what it keeps before it has read a body.
//!
//! The same number with the same bytes gets the same answer again; with other bytes, or a number too far on, a conflict that says
//! which number is expected. Every signed answer settles its message. What the bodies say is here; they hold codes, numbers,
//! instants and digests, and words only where a person has confirmed that they tell nothing of the applicant.

use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::RefusalReason;
use super::message::{Answer, Message, Stands};
use super::offer::{Id, Offer};
use crate::application::manifest::Digest;

#[cfg(test)]
mod tests;

/// What every body says of the contract that it follows.
pub const CONTRACT: &str = "kontor-transfer/1";
/// Major version of the contract, as it stands in paths.
pub const VERSION: &str = "v1";
/// Octets of a message.
pub const MAX_OCTETS: usize = 1024 * 1024;
/// Characters of words that a person wrote.
pub const MAX_WORDS: usize = 2000;
/// Characters of a case number.
pub const MAX_NUMBER: usize = 64;

/// Who sends a message.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Party {
    /// Who hands over.
    Sender,
    /// Who takes over.
    Receiver,
}

impl Party {
    /// Its name in paths.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sender => "sender",
            Self::Receiver => "receiver",
        }
    }

    /// The other one.
    pub const fn other(self) -> Self {
        match self {
            Self::Sender => Self::Receiver,
            Self::Receiver => Self::Sender,
        }
    }
}

/// Where a request goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Place {
    /// A message.
    Message {
        /// Of which transfer.
        transfer: Id,
        /// Whose.
        party: Party,
        /// Its number.
        seq: u32,
        /// Its kind, as it is named; what is not known here is refused by name.
        kind: String,
    },
    /// A part of the package.
    Package {
        /// Of which transfer.
        transfer: Id,
        /// Which.
        part: u64,
    },
    /// A part of a late item.
    Late {
        /// Of which transfer.
        transfer: Id,
        /// Number of the message that announced it.
        item: u32,
        /// Which.
        part: u64,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Message {
                transfer,
                party,
                seq,
                kind,
            } => write!(f, "/{VERSION}/transfers/{transfer}/{}/{seq}/{kind}", party.name()),
            Self::Package { transfer, part } => write!(f, "/{VERSION}/packages/{transfer}/{part}"),
            Self::Late { transfer, item, part } => {
                write!(f, "/{VERSION}/late-items/{transfer}/{item}/{part}")
            }
        }
    }
}

/// A number as it stands in a path: one way to write each.
fn number<N: std::str::FromStr + ToString>(text: &str) -> Option<N> {
    text.parse::<N>().ok().filter(|number| number.to_string() == text)
}

impl Place {
    /// Reads a path.
    pub fn read(path: &str) -> Option<Self> {
        let rest = path.strip_prefix('/')?.strip_prefix(VERSION)?.strip_prefix('/')?;
        let pieces: Vec<&str> = rest.split('/').collect();
        let id = |text: &str| Id::try_from(text.to_owned()).ok();
        match pieces[..] {
            ["packages", transfer, part] => Some(Self::Package {
                transfer: id(transfer)?,
                part: number(part)?,
            }),
            ["late-items", transfer, item, part] => Some(Self::Late {
                transfer: id(transfer)?,
                item: number(item)?,
                part: number(part)?,
            }),
            ["transfers", transfer, party, seq, kind] => Some(Self::Message {
                transfer: id(transfer)?,
                party: match party {
                    "sender" => Party::Sender,
                    "receiver" => Party::Receiver,
                    _ => return None,
                },
                seq: number(seq).filter(|seq| *seq > 0)?,
                kind: kind.to_owned(),
            }),
            _ => None,
        }
    }
}

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
        self.octets.div_ceil(crate::application::manifest::PART)
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

/// Why a body is not taken. Nothing is settled: the sender has to mend it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum BodyError {
    /// Not of this form.
    #[error("the body is no message of {CONTRACT}: {0}")]
    Malformed(String),
    /// Of another contract.
    #[error("the body follows {0}; this node speaks {CONTRACT}")]
    OtherContract(String),
    /// Another kind than the path says.
    #[error("the path says {path}, the body {body}")]
    OtherKind {
        /// By the path.
        path: String,
        /// By the body.
        body: &'static str,
    },
    /// Something in it is not as it has to be.
    #[error("{0}")]
    Wrong(String),
}

impl BodyError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "message_malformed",
            Self::OtherContract(_) => "contract_unknown",
            Self::OtherKind { .. } => "kind_mismatch",
            Self::Wrong(_) => "message_invalid",
        }
    }
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
        #[derive(Deserialize)]
        struct Named {
            contract: String,
        }
        let malformed = |error: serde_json::Error| BodyError::Malformed(error.to_string());
        let named: Named = serde_json::from_slice(bytes).map_err(malformed)?;
        if named.contract != CONTRACT {
            return Err(BodyError::OtherContract(
                named.contract.chars().take(64).collect(),
            ));
        }
        let sent: Self = serde_json::from_slice(bytes).map_err(malformed)?;
        if sent.body.kind() != kind {
            return Err(BodyError::OtherKind {
                path: kind.chars().take(64).collect(),
                body: sent.body.kind(),
            });
        }
        sent.body.check()?;
        Ok(sent)
    }
}

/// Where an entry stands in the log of the node that answers, if it is one of ours.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct LogPlace {
    /// The log, by its server.
    pub log: String,
    /// Number of the entry.
    pub number: u64,
    /// Its leaf hash.
    pub leaf: Digest<32>,
}

/// The signed answer to a message: its receipt.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Receipt {
    /// [`CONTRACT`].
    pub contract: String,
    /// The path of the message.
    pub message: String,
    /// SHA-256 of its body.
    pub sha256: Digest<32>,
    /// `x-road-id` of the exchange that brought it first.
    pub x_road_id: String,
    /// `x-road-request-id` of it.
    pub x_road_request_id: String,
    /// The clock of who answers.
    pub received_at: Timestamp,
    /// What follows.
    #[serde(flatten)]
    pub answer: Answer,
    /// For people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// Its entry.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<LogPlace>,
}

impl Receipt {
    /// How the transfer stands with who answers, if that was said.
    pub const fn stands(&self) -> Option<Stands> {
        match self.answer {
            Answer::Taken => None,
            Answer::Refused { stands } => Some(stands),
        }
    }
}
