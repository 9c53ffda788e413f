//! What the state store holds of cases and transfers; [`message`] has what it holds of messages. The fields of [`CaseRow`] and [`TransferRow`] in clear are a closed
//! list: keys, codes, counts, instants and pseudonyms. Whatever names a person or was written by one is in `record` (lives as long
//! as the receipts) or `content` (dies with the purge), sealed under the case's own keys.

mod message;

pub(crate) use self::message::{EventRow, InRow, OutRow, OutState, Process};

use jiff::Timestamp;
use jiff::civil::Date;
use kontor_participation::application::Form;
use kontor_participation::application::manifest::{Digest, File};
use kontor_participation::case::Status;
use kontor_participation::transfer::delivery::{
    AnswerCode, Bundle, Party, PurgeStatement, QuestionCode, RecallReason, Words,
};
use kontor_participation::transfer::dossier::{Done, Dossier};
use kontor_participation::transfer::offer::{Flags, Hop, Id, Offer, RunningDeadline};
use kontor_participation::transfer::receiver::Receiver;
use kontor_participation::transfer::sender::Sender;
use kontor_participation::transfer::{Responsibility, receiver, sender};
use serde::{Deserialize, Serialize};

use super::transfers::COMMANDS;
use crate::messagelog::Kept;

/// An entry of the message log that a row rests on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Cited {
    /// Its number.
    pub(crate) number: u64,
    /// Hash of its leaf.
    pub(crate) leaf: Digest<32>,
}

/// What holds a case's release back until a person has decided.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct FindingRow {
    /// A stable code: what `kontor_participation::findings` finds, and what scanning and reading a form find.
    pub(crate) code: String,
    /// Where in the form, by indices, or the file.
    pub(crate) at: String,
    /// Who released it, when.
    pub(crate) released: Option<Decided>,
}

/// Who decided something.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Decided {
    /// By pseudonym.
    pub(crate) by: String,
    /// When.
    pub(crate) at: Timestamp,
    /// On which ground, a code or a few words without content.
    pub(crate) ground: String,
}

/// A follow-up (Wiedervorlage); its words are sealed.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct FollowUp {
    /// Its id.
    pub(crate) id: String,
    /// The day.
    pub(crate) date: Date,
    /// Whether it is done.
    pub(crate) done: bool,
}

/// Where a case came from.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "from")]
pub(crate) enum Origin {
    /// A form service handed it in.
    Intake,
    /// Another authority handed it over.
    Transfer {
        /// In this transfer.
        transfer: Id,
    },
}

/// A case.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct CaseRow {
    /// Its id at this node.
    pub(crate) id: Id,
    /// Number under which its keys are derived, and the month in which it was opened.
    pub(crate) subject: (u32, u64),
    /// The application, for life.
    pub(crate) application_id: Id,
    /// Grows with every change.
    pub(crate) version: u64,
    /// How it stands with its people.
    pub(crate) status: Status,
    /// Since when.
    pub(crate) status_since: Timestamp,
    /// When the applicant filed it: never changes.
    pub(crate) first_received_at: Timestamp,
    /// When it came here.
    pub(crate) received_here_at: Timestamp,
    /// Key of the service.
    pub(crate) service: Option<String>,
    /// Key of the region.
    pub(crate) region: Option<String>,
    /// The unit that works on it.
    pub(crate) unit: Option<String>,
    /// Who works on it, by pseudonym.
    pub(crate) assignee: Option<String>,
    /// Whose it is.
    pub(crate) responsibility: Responsibility,
    /// The transfer that it is in, or was in last.
    pub(crate) transfer: Option<Id>,
    /// Where it came from.
    pub(crate) origin: Origin,
    /// Where it has been.
    pub(crate) hops: Vec<Hop>,
    /// Files.
    pub(crate) files: u32,
    /// Their octets.
    pub(crate) octets: u64,
    /// How far the applicant's identity is proven, 1 to 4.
    pub(crate) trust_level: Option<u8>,
    /// What the content is like.
    pub(crate) flags: Flags,
    /// Deadlines that run.
    pub(crate) deadlines: Vec<RunningDeadline>,
    /// What holds the release back.
    pub(crate) findings: Vec<FindingRow>,
    /// Follow-ups.
    pub(crate) follow_ups: Vec<FollowUp>,
    /// Whether a round of participation is open.
    pub(crate) open_round: bool,
    /// All of its rounds.
    #[serde(default)]
    pub(crate) rounds: Vec<Id>,
    /// Who held it against deletion.
    pub(crate) hold: Option<Decided>,
    /// When its content is to be deleted.
    pub(crate) delete_at: Option<Timestamp>,
    /// When its content was deleted.
    pub(crate) purged_at: Option<Timestamp>,
    /// Official acts on it: commands, roles and units, no names.
    #[serde(default)]
    pub(crate) history: Vec<Done>,
    /// How writing it into the instance stands.
    pub(crate) export: Option<Export>,
    /// The entry that its last change rests on.
    pub(crate) cites: Cited,
    /// Sealed [`CaseRecord`], base64. The sealed [`CaseContent`] is a row of its own.
    pub(crate) record: String,
}

/// How writing a case into the instance stands.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "state")]
pub(crate) enum Export {
    /// It is to be posted.
    Wanted,
    /// The post is under way, or was when the process died.
    Posting,
    /// It came in.
    Done,
    /// Whether it came in is not known; it is not repeated by itself.
    Uncertain,
    /// The instance refused it.
    Refused,
}

/// What is known of a case as long as its receipts are kept.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct CaseRecord {
    /// The case's number for people.
    pub(crate) number: String,
    /// The number in the instance.
    pub(crate) instance_number: Option<String>,
    /// Number that the other authority gave it.
    pub(crate) foreign_number: Option<String>,
    /// What it is about, as the form is called.
    pub(crate) title: String,
    /// Made by the form service.
    pub(crate) transaction_id: String,
    /// The applicant's name.
    pub(crate) applicant: Option<String>,
    /// The applicant's date of birth.
    pub(crate) born: Option<String>,
    /// The applicant's mailbox.
    pub(crate) mailbox: Option<String>,
    /// File reference (Aktenzeichen).
    pub(crate) file_reference: Option<String>,
}

/// A file of a case.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct CaseFile {
    /// As it stands in manifests.
    pub(crate) file: File,
    /// Where it lies.
    pub(crate) kept: Kept,
    /// What the scanner said.
    pub(crate) scan: ScanRow,
    /// The late item that it came with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) late: Option<u32>,
    /// The file that it is a redacted copy of: that one is not disclosed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) redacts: Option<String>,
}

/// What a scanner said of a file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct ScanRow {
    /// In a word.
    pub(crate) verdict: Verdict,
    /// The reason or the name of what was found.
    pub(crate) detail: String,
    /// When.
    pub(crate) at: Timestamp,
}

/// See [`ScanRow`].
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Verdict {
    /// Nothing was found.
    Clean,
    /// Something was.
    Infected,
    /// It cannot be looked into.
    Unscannable,
    /// The scanner failed.
    Error,
}

/// The content of a case.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct CaseContent {
    /// The form.
    pub(crate) form: Form,
    /// The files, those of the form first.
    pub(crate) files: Vec<CaseFile>,
    /// What travels besides form and files: what came with it, and what its line-of-business system adds.
    #[serde(default)]
    pub(crate) dossier: Dossier,
    /// Internal comments; they stay at home unless their author lets them travel.
    #[serde(default)]
    pub(crate) comments: Vec<Comment>,
    /// Words of follow-ups, by their ids.
    #[serde(default)]
    pub(crate) follow_ups: Vec<(String, String)>,
}

/// An internal comment.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Comment {
    /// By pseudonym.
    pub(crate) by: String,
    /// When.
    pub(crate) at: Timestamp,
    /// In which role, which is what others see of the author.
    #[serde(default)]
    pub(crate) role: String,
    /// What it says.
    pub(crate) text: String,
    /// Whether it goes with the application.
    #[serde(default)]
    pub(crate) travels: bool,
}

/// Which side of a transfer this node is, and how it stands.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "role", content = "machine")]
pub(crate) enum Machine {
    /// It hands over.
    Sender(Sender),
    /// It takes over.
    Receiver(Receiver),
}

impl Machine {
    pub(crate) const fn party(&self) -> Party {
        match self {
            Self::Sender(_) => Party::Sender,
            Self::Receiver(_) => Party::Receiver,
        }
    }

    pub(crate) const fn state(&self) -> &'static str {
        match self {
            Self::Sender(sender) => sender.state().name(),
            Self::Receiver(receiver) => receiver.state().name(),
        }
    }

    pub(crate) const fn responsibility(&self) -> Responsibility {
        match self {
            Self::Sender(sender) => sender.responsibility(),
            Self::Receiver(receiver) => receiver.responsibility(),
        }
    }

    pub(crate) const fn has_ended(&self) -> bool {
        match self {
            Self::Sender(sender) => sender.state().has_ended(),
            Self::Receiver(receiver) => receiver.state().has_ended(),
        }
    }

    /// Names of the commands of people that are possible.
    pub(crate) fn legal(&self) -> impl Iterator<Item = &'static str> {
        let legal = match self {
            Self::Sender(machine) => machine.state().legal(),
            Self::Receiver(machine) => machine.state().legal(),
        };
        legal.iter().copied().filter(|name| COMMANDS.contains(name))
    }

    pub(crate) const fn taken_over_at(&self) -> Option<Timestamp> {
        match self {
            Self::Sender(machine) => match machine.state() {
                sender::State::TakenOver(at) | sender::State::Closed(at) => Some(at),
                _ => None,
            },
            Self::Receiver(machine) => match machine.state() {
                receiver::State::TakenOver(at) | receiver::State::Closed(at) => Some(at),
                _ => None,
            },
        }
    }
}

/// A question before the decision, and its answer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(crate) struct Asked {
    /// Which question.
    pub(crate) question: QuestionCode,
    /// In words that are confirmed to be free of personal data.
    pub(crate) words: Option<Words>,
    /// When it was asked.
    pub(crate) at: Timestamp,
    /// The answer.
    pub(crate) answer: Option<(AnswerCode, Option<Words>, Timestamp)>,
}

/// A transfer.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct TransferRow {
    /// Its id, the same at both nodes.
    pub(crate) id: Id,
    /// Grows with every change.
    pub(crate) version: u64,
    /// The other side's subsystem.
    pub(crate) peer: String,
    /// The own case; the receiver has one from the import on.
    pub(crate) case: Option<Id>,
    /// Number under which what was pulled is sealed until it is a case.
    pub(crate) subject: Option<(u32, u64)>,
    /// How it stands.
    pub(crate) machine: Machine,
    /// The offer.
    pub(crate) offer: Offer,
    /// When it was offered, by the own clock.
    pub(crate) offered_at: Timestamp,
    /// The unit that decides about it.
    pub(crate) unit: Option<String>,
    /// Who has it in hand, by pseudonym.
    pub(crate) assignee: Option<String>,
    /// Messages sent.
    pub(crate) sent: u32,
    /// Messages received.
    pub(crate) received: u32,
    /// The package.
    pub(crate) bundle: Option<Bundle>,
    /// Whether a [`Pack`] is there: the sender's from the offer on, the receiver's while it pulls.
    pub(crate) packed: bool,
    /// Parts that were pulled, sealed one by one.
    pub(crate) pulled: u64,
    /// How many of them were made of what was here, in a return.
    #[serde(default)]
    pub(crate) parts_here: u64,
    /// Why the import failed, by code.
    pub(crate) import_problem: Option<String>,
    /// Since when the package is there and not imported.
    pub(crate) package_at: Option<Timestamp>,
    /// Questions.
    pub(crate) questions: Vec<Asked>,
    /// Late items: number of their messages, and how they stand.
    pub(crate) late: Vec<Late>,
    /// Number that the receiver gave the case.
    pub(crate) number: Option<String>,
    /// Number that the receiver's instance gave it.
    pub(crate) instance_number: Option<String>,
    /// When the take-over was known here, by the own clock.
    pub(crate) take_over_known_at: Option<Timestamp>,
    /// More than 60 s between the two clocks.
    pub(crate) clocks_apart: bool,
    /// Whether a person is to be shown something.
    pub(crate) flags: Vec<String>,
    /// Whether it was recalled, and why.
    pub(crate) recalled: Option<RecallReason>,
    /// The other side's statement about deletion.
    pub(crate) their_purge: Option<PurgeStatement>,
    /// The own one.
    pub(crate) our_purge: Option<PurgeStatement>,
    /// The member that the receiver suggested instead.
    pub(crate) suggestion: Option<String>,
    /// A standing rule that accepted it.
    pub(crate) standing_rule: Option<String>,
    /// Since when the other side is asked in vain.
    pub(crate) reclaimed_at: Option<Timestamp>,
    /// Whether open rounds have to go along and are not on their way.
    #[serde(default)]
    pub(crate) rounds_wait: bool,
    /// Number of the log below which every message has a time-stamp when the take-over is proven by one.
    #[serde(default)]
    pub(crate) proven_below: Option<u64>,
    /// The entry that the last change rests on.
    pub(crate) cites: Cited,
}

impl TransferRow {
    /// One that was offered just now.
    pub(crate) fn new(machine: Machine, offer: Offer, peer: String, now: Timestamp) -> Self {
        Self {
            id: offer.transfer_id.clone(),
            version: 0,
            peer,
            case: None,
            subject: None,
            machine,
            offer,
            offered_at: now,
            unit: None,
            assignee: None,
            sent: 0,
            received: 0,
            bundle: None,
            packed: false,
            pulled: 0,
            parts_here: 0,
            import_problem: None,
            package_at: None,
            questions: Vec::new(),
            late: Vec::new(),
            number: None,
            instance_number: None,
            take_over_known_at: None,
            clocks_apart: false,
            flags: Vec::new(),
            recalled: None,
            their_purge: None,
            our_purge: None,
            suggestion: None,
            standing_rule: None,
            reclaimed_at: None,
            rounds_wait: false,
            proven_below: None,
            // Set by the commit.
            cites: Cited {
                number: 0,
                leaf: Digest([0; 32]),
            },
        }
    }
}

/// A late item.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub(crate) struct Late {
    /// Number of its message.
    pub(crate) item: u32,
    /// When it came to the sender.
    pub(crate) received_at: Timestamp,
    /// Whether that was before the take-over.
    pub(crate) before_take_over: bool,
    /// Its files.
    pub(crate) bundle: Bundle,
    /// The request whose asking goes over with it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) request: Option<Id>,
    /// Whether a [`Pack`] is there: what is to be pulled, or what was.
    pub(crate) packed: bool,
    /// Parts that were pulled.
    pub(crate) pulled: u64,
    /// Whether it lies in the case.
    pub(crate) imported: bool,
}

/// What a sender packed, or what a receiver has pulled so far: sealed, in a row of its own.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(crate) struct Pack {
    /// The bytes of the manifest.
    pub(crate) manifest: String,
    /// Its files, in order.
    pub(crate) files: Vec<Kept>,
    /// How many of them, from the first on, were written for it; the others belong to the case.
    pub(crate) anew: usize,
    /// Parts that were pulled.
    pub(crate) parts: Vec<Kept>,
}
