//! How a statement is treated (Abwägung), point by point, in the codes that XBeteiligung has for it.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{MAX_LINE, MAX_TEXT, Statement};
use crate::round::state::State;

/// How a point is treated: the code list `abwaegungsvorschlag`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(into = "u16", try_from = "u16")]
pub enum Treatment {
    /// 1000: it is followed.
    Followed,
    /// 2000: it was followed already.
    AlreadyFollowed,
    /// 3000: it is not followed.
    NotFollowed,
    /// 4000: a working group deals with it.
    WorkingGroup,
    /// 5000: it is noted.
    Noted,
}

/// How far a statement is: the code list `statusderstellungnahme`.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(into = "u16", try_from = "u16")]
pub enum Progress {
    /// 1000: new.
    New,
    /// 2000: being processed.
    InProgress,
    /// 3000: processed.
    Processed,
    /// 4000: the final notice was sent.
    NoticeSent,
}

/// A code that is not on the list.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{0} is not on the list; a multiple of 1000 that is, is wanted")]
pub struct NoTreatment(u16);

impl From<Treatment> for u16 {
    fn from(treatment: Treatment) -> Self {
        match treatment {
            Treatment::Followed => 1000,
            Treatment::AlreadyFollowed => 2000,
            Treatment::NotFollowed => 3000,
            Treatment::WorkingGroup => 4000,
            Treatment::Noted => 5000,
        }
    }
}

impl TryFrom<u16> for Treatment {
    type Error = NoTreatment;

    fn try_from(code: u16) -> Result<Self, NoTreatment> {
        Ok(match code {
            1000 => Self::Followed,
            2000 => Self::AlreadyFollowed,
            3000 => Self::NotFollowed,
            4000 => Self::WorkingGroup,
            5000 => Self::Noted,
            other => return Err(NoTreatment(other)),
        })
    }
}

impl From<Progress> for u16 {
    fn from(progress: Progress) -> Self {
        match progress {
            Progress::New => 1000,
            Progress::InProgress => 2000,
            Progress::Processed => 3000,
            Progress::NoticeSent => 4000,
        }
    }
}

impl TryFrom<u16> for Progress {
    type Error = NoTreatment;

    fn try_from(code: u16) -> Result<Self, NoTreatment> {
        Ok(match code {
            1000 => Self::New,
            2000 => Self::InProgress,
            3000 => Self::Processed,
            4000 => Self::NoticeSent,
            other => return Err(NoTreatment(other)),
        })
    }
}

impl Progress {
    /// How far the statement of a request is; nothing where there is none. `begun`: somebody works on the assessment.
    pub const fn of(state: State, begun: bool) -> Option<Self> {
        match (state, begun) {
            (State::Submitted | State::Amended | State::Late, false) => Some(Self::New),
            (State::Submitted | State::Amended | State::Late, true) => Some(Self::InProgress),
            (State::Assessed, _) => Some(Self::Processed),
            (State::Notified, _) => Some(Self::NoticeSent),
            (
                State::Created
                | State::Dropped
                | State::Sent
                | State::Failed
                | State::Delivered
                | State::Acknowledged
                | State::Declined
                | State::InPreparation
                | State::Withdrawn
                | State::Expired
                | State::Revoked
                | State::Purged,
                _,
            ) => None,
        }
    }
}

/// How one point is treated.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Treated {
    /// Number of the point; nothing: the statement as a whole.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub point: Option<u16>,
    /// How.
    pub treatment: Treatment,
    /// Why.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub text: String,
}

/// What the participant is told: the outcome.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Assessment {
    /// Which version of the statement; nothing: there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u32>,
    /// Point by point.
    pub treated: Vec<Treated>,
    /// The decision that it went into.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<String>,
}

/// What is wrong with an assessment.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AssessmentError {
    /// A point is not treated.
    #[error("point {0} is not treated; state a code for it")]
    Missing(u16),
    /// A point that is not there, or twice.
    #[error("point {0} is not in the statement, or is treated twice")]
    Unknown(u16),
    /// The statement has no points, and is not treated as a whole.
    #[error("a statement without points is treated as a whole; state one code")]
    Whole,
    /// Another version than the last one that counts.
    #[error("version {found} is assessed, the last one is {last}")]
    Version {
        /// Which was assessed.
        found: u32,
        /// Which there is.
        last: u32,
    },
    /// Words without a bound.
    #[error("a text has at most {MAX_TEXT} characters, a reference {MAX_LINE}")]
    TooLarge,
}

impl AssessmentError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Missing(_) => "assessment_point_missing",
            Self::Unknown(_) => "assessment_point_unknown",
            Self::Whole => "assessment_whole_missing",
            Self::Version { .. } => "assessment_version",
            Self::TooLarge => "assessment_too_large",
        }
    }
}

impl Assessment {
    /// Whether it treats a statement as a whole: every point once.
    ///
    /// # Errors
    /// What is missing or too much.
    pub fn check(&self, statement: &Statement) -> Result<(), AssessmentError> {
        let long = |text: &str, most| text.chars().count() > most;
        if self.treated.iter().any(|treated| long(&treated.text, MAX_TEXT))
            || self.decision.as_deref().is_some_and(|text| long(text, MAX_LINE))
        {
            return Err(AssessmentError::TooLarge);
        }
        if self.version != Some(statement.version) {
            return Err(AssessmentError::Version {
                found: self.version.unwrap_or_default(),
                last: statement.version,
            });
        }
        let points: BTreeSet<u16> = statement.points.iter().map(|point| point.number).collect();
        let mut treated = BTreeSet::new();
        for point in self.treated.iter().filter_map(|treated| treated.point) {
            if !points.contains(&point) || !treated.insert(point) {
                return Err(AssessmentError::Unknown(point));
            }
        }
        let whole = self.treated.iter().any(|treated| treated.point.is_none());
        if points.is_empty() && !whole {
            return Err(AssessmentError::Whole);
        }
        match points.difference(&treated).next().filter(|_| !whole) {
            Some(missing) => Err(AssessmentError::Missing(*missing)),
            None => Ok(()),
        }
    }
}
