//! The offer of a transfer: what the other side needs to decide whether it is competent, and nothing of the applicant.
//!
//! That holds by its shape: keys, counts, instants, codes and digests, and no text that anybody wrote. Who is asked wrongly has
//! learned nothing; the digest of the manifest is salted, so it cannot be guessed at either. The hops of the application travel
//! with it, so that nobody sends it in a circle before having seen its content.

use std::fmt;

use jiff::Timestamp;
use jiff::civil::Date;
use kontor_protocol::id::MemberId;
use serde::{Deserialize, Serialize};

use super::message::Clocks;
use super::{Moves, RefusalReason};
use crate::application::manifest::{Digest, Manifest};
use crate::competence::{Region, ServiceKey};
use crate::deadline::Deadline;

/// Why responsibility shall move.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Situation {
    /// Filed with an authority that was never competent.
    Misdirected,
    /// Facts changed during the procedure (§ 3 Abs. 3 VwVfG, § 2 Abs. 2 SGB X).
    CompetenceChanged,
    /// Holdings move as a whole: municipalities merge, systems change.
    Migration,
    /// Somebody else works on it; who hands it over stays responsible.
    Delegation,
    /// Another authority needs to know.
    Copy,
}

impl Situation {
    /// What a transfer in this situation moves.
    pub const fn moves(self) -> Moves {
        match self {
            Self::Misdirected | Self::CompetenceChanged | Self::Migration => Moves::Responsibility,
            Self::Delegation => Moves::Work,
            Self::Copy => Moves::Nothing,
        }
    }
}

/// What silence means when a deadline ends.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SilenceEffect {
    /// Nothing.
    None,
    /// A late statement may be disregarded.
    MayBeDisregarded,
    /// It may be assumed that there is no objection.
    AssumeNoObjection,
    /// Consent is deemed given.
    ConsentDeemedGiven,
}

/// A UUID, in lower case with hyphens.
#[derive(Clone, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(try_from = "String")]
pub struct Id(String);

/// What is no UUID.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("a UUID in lower case with hyphens is wanted")]
pub struct NoId;

impl TryFrom<String> for Id {
    type Error = NoId;

    fn try_from(text: String) -> Result<Self, NoId> {
        let good = text.len() == 36
            && text.bytes().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => byte == b'-',
                _ => matches!(byte, b'0'..=b'9' | b'a'..=b'f'),
            });
        match good {
            true => Ok(Self(text)),
            false => Err(NoId),
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Id {
    /// A number that people can say on the telephone: eight characters that are not taken for each other, from the last ten
    /// digits, which are random in every id that a node makes.
    pub fn short(&self) -> String {
        const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
        let digits = self.0.get(self.0.len().saturating_sub(10)..).unwrap_or_default();
        let bits = u64::from_str_radix(digits, 16).unwrap_or_default();
        let letters: String = (0..8)
            .rev()
            .map(|place| char::from(LETTERS[usize::try_from(bits >> (5 * place) & 31).unwrap_or_default()]))
            .collect();
        format!("{}-{}", &letters[..4], &letters[4..])
    }
}

/// A deadline that runs while the application moves.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct RunningDeadline {
    /// Its last day.
    pub effective_end: Date,
    /// The instant at which it has ended.
    pub ends_at: Timestamp,
    /// What silence means.
    pub silence_effect: SilenceEffect,
}

/// What the receiver has to know of the content before seeing it.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default)]
pub struct Flags {
    /// Data of Art. 9 GDPR.
    pub special_categories: bool,
    /// Under tax secrecy (§ 30 AO).
    pub tax_secrecy: bool,
    /// Social data (§ 35 SGB I).
    pub social_data: bool,
    /// Business secrets (§ 30 VwVfG).
    pub business_secrets: bool,
    /// A fee was paid.
    pub payment_done: bool,
    /// A decision was issued.
    pub decision_exists: bool,
    /// The applicant has been asked something.
    pub open_question: bool,
    /// Something follows by post.
    pub paper_remainder: bool,
}

/// How an earlier transfer of the same application ended.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE", tag = "outcome")]
pub enum Outcome {
    /// The member took it over.
    TakenOver,
    /// The member did not take it.
    Refused {
        /// Why.
        reason: RefusalReason,
    },
    /// The member did not answer.
    Expired,
    /// The authorities disagreed.
    Disputed,
}

/// A station of the application.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Hop {
    /// To whom it was offered, `INSTANCE/CLASS/CODE`.
    pub member: String,
    /// In which transfer.
    pub transfer_id: Id,
    /// With which outcome.
    #[serde(flatten)]
    pub outcome: Outcome,
}

/// An offer.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Offer {
    /// This transfer.
    pub transfer_id: Id,
    /// The application, for life: the same in every transfer of it.
    pub application_id: Id,
    /// Why.
    pub situation: Situation,
    /// The service.
    #[serde(with = "key")]
    pub service: ServiceKey,
    /// The place that decides who is competent.
    #[serde(with = "key")]
    pub region: Region,
    /// When the applicant filed it: it never changes.
    pub first_received_at: Timestamp,
    /// Deadlines that run.
    pub running_deadlines: Vec<RunningDeadline>,
    /// Files of the package.
    pub files: u32,
    /// Their octets.
    pub octets: u64,
    /// How far the applicant's identity is proven, 1 to 4.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_level: Option<u8>,
    /// What the content is like.
    pub flags: Flags,
    /// Until when an answer is wanted, with its computation; holidays are those of the receiver.
    pub answer_wanted_by: Deadline,
    /// Until when it can be taken over, unless the package says otherwise.
    pub take_over_until: Timestamp,
    /// SHA-256 of the manifest.
    pub manifest: Digest<32>,
    /// Where it has been.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hops: Vec<Hop>,
    /// Whether it belongs to a test instance.
    pub test: bool,
    /// The transfer that brought it, if this hands it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns: Option<Id>,
}

/// Keys as they stand in messages.
pub(crate) mod key {
    use std::fmt::Display;
    use std::str::FromStr;

    use serde::{Deserialize, Deserializer, Serializer, de};

    pub(crate) fn serialize<K: Display, S: Serializer>(key: &K, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(key)
    }

    pub(crate) fn deserialize<'de, K, D>(deserializer: D) -> Result<K, D::Error>
    where
        K: FromStr<Err: Display>,
        D: Deserializer<'de>,
    {
        String::deserialize(deserializer)?
            .parse()
            .map_err(de::Error::custom)
    }
}

/// What is wrong with an offer.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OfferError {
    /// Not of this form.
    #[error("this is no offer: {0}")]
    Malformed(String),
    /// A level that does not exist.
    #[error("a trust level is 1 to 4, not {0}")]
    TrustLevel(u8),
    /// No time is left.
    #[error(
        "it could be taken over until {until}, but a deadline ends at {deadline}; the time to take over ends before"
    )]
    NoTime {
        /// Until when it could be taken over.
        until: Timestamp,
        /// When the earliest deadline ends.
        deadline: Timestamp,
    },
    /// An answer after the time to take over.
    #[error("an answer is wanted by {answer}, after the time to take over ended at {until}")]
    AnswerTooLate {
        /// When an answer is wanted.
        answer: Timestamp,
        /// Until when it could be taken over.
        until: Timestamp,
    },
    /// A package of nothing.
    #[error("a package has at least one file")]
    Empty,
    /// More stations than an application has in its life.
    #[error("an application with more than {MAX_HOPS} hops goes to the supervisory authority")]
    TooManyHops,
}

impl OfferError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Malformed(_) => "offer_malformed",
            Self::TrustLevel(_) => "offer_trust_level",
            Self::NoTime { .. } => "offer_no_time",
            Self::AnswerTooLate { .. } => "offer_answer_too_late",
            Self::Empty => "offer_empty",
            Self::TooManyHops => "offer_too_many_hops",
        }
    }
}

/// Stations of an application.
pub const MAX_HOPS: usize = 20;

/// Why a person has to look before the application is offered to a member.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Circle {
    /// It refused the application before.
    RefusedBefore,
    /// It had taken the application over before: a return is a transfer of its own.
    HadIt,
    /// The application was refused twice: the supervisory authority sees the chain.
    RefusedTwice,
}

impl Offer {
    /// Reads an offer.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Self, OfferError> {
        let offer: Self =
            serde_json::from_slice(bytes).map_err(|error| OfferError::Malformed(error.to_string()))?;
        offer.check()?;
        Ok(offer)
    }

    /// Names the files of a package.
    ///
    /// # Errors
    /// As the manifest's.
    pub fn of_package(mut self, manifest: &Manifest) -> Result<Self, OfferError> {
        let (_, digest) = manifest
            .bytes()
            .map_err(|error| OfferError::Malformed(error.to_string()))?;
        self.files = u32::try_from(manifest.files().len()).unwrap_or(u32::MAX);
        self.octets = manifest.octets();
        self.manifest = digest;
        Ok(self)
    }

    /// Whether it can be sent, and believed when it comes.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn check(&self) -> Result<(), OfferError> {
        if let Some(level) = self.trust_level.filter(|level| !(1..=4).contains(level)) {
            return Err(OfferError::TrustLevel(level));
        }
        if self.files == 0 {
            return Err(OfferError::Empty);
        }
        if self.hops.len() > MAX_HOPS {
            return Err(OfferError::TooManyHops);
        }
        let until = self.take_over_until;
        let earliest = self
            .running_deadlines
            .iter()
            .map(|deadline| deadline.ends_at)
            .min();
        if let Some(deadline) = earliest.filter(|deadline| until >= *deadline) {
            return Err(OfferError::NoTime { until, deadline });
        }
        let answer = self.answer_wanted_by.ends_at;
        if answer > until {
            return Err(OfferError::AnswerTooLate { answer, until });
        }
        Ok(())
    }

    /// The clocks of the transfer.
    pub const fn clocks(&self) -> Clocks {
        Clocks {
            answer_wanted_by: self.answer_wanted_by.ends_at,
            take_over_until: self.take_over_until,
        }
    }

    /// Whether a person has to look before it is offered to that member.
    pub fn circle(&self, to: &MemberId) -> Option<Circle> {
        let to = to.to_string();
        let refused = |hop: &&Hop| matches!(hop.outcome, Outcome::Refused { .. });
        let there: Vec<_> = self.hops.iter().filter(|hop| hop.member == to).collect();
        if self.hops.iter().filter(refused).count() >= 2 {
            return Some(Circle::RefusedTwice);
        }
        if there.iter().any(refused) {
            return Some(Circle::RefusedBefore);
        }
        there
            .iter()
            .any(|hop| hop.outcome == Outcome::TakenOver)
            .then_some(Circle::HadIt)
    }
}
