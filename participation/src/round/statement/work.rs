//! How a statement comes about in the participant's house: drafted, released, submitted, each by whom; a released one is submitted
//! word by word or not at all.

use serde::{Deserialize, Serialize};

use super::{Statement, StatementError};
use crate::application::manifest::Digest;
use crate::round::message::Kind;
use crate::round::release::{Actor, Eyes, ReleaseError};

/// A statement in the making.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Work {
    eyes: Eyes,
    drafted_by: Vec<Actor>,
    released: Option<Released>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
struct Released {
    by: Actor,
    statement: Digest<32>,
}

/// A statement that may be submitted; only [`Work::submit`] makes it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Submission {
    kind: Kind,
    statement: Digest<32>,
    drafted_by: Vec<Actor>,
    released_by: Actor,
    submitted_by: Actor,
}

/// Why a statement is not released or submitted.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum WorkError {
    /// The people are not the right ones, or a step is missing.
    #[error(transparent)]
    Release(#[from] ReleaseError),
    /// The statement is not.
    #[error(transparent)]
    Statement(#[from] StatementError),
}

impl WorkError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Release(error) => error.code(),
            Self::Statement(error) => error.code(),
        }
    }
}

impl Work {
    /// Somebody begins.
    pub fn begun(eyes: Eyes, by: Actor) -> Self {
        Self {
            eyes,
            drafted_by: vec![by],
            released: None,
        }
    }

    /// Somebody changes it: what was released before is not released any more.
    pub fn change(&mut self, by: Actor) {
        self.released = None;
        if !self.drafted_by.contains(&by) {
            self.drafted_by.push(by);
        }
    }

    /// Whether it is released.
    pub const fn is_released(&self) -> bool {
        self.released.is_some()
    }

    /// Releases these words.
    ///
    /// # Errors
    /// Another person is wanted; the statement cannot be submitted as it is.
    pub fn release(&mut self, statement: &Statement, by: Actor) -> Result<(), WorkError> {
        statement.check(None)?;
        if self.eyes.release_by_another && !by.is_second_pair_to(&self.drafted_by) {
            return Err(ReleaseError::SecondPair("the release").into());
        }
        self.released = Some(Released {
            by,
            statement: statement.digest()?,
        });
        Ok(())
    }

    /// Submits what was released.
    ///
    /// # Errors
    /// It is not released, or in other words; another person is wanted.
    pub fn submit(&self, statement: &Statement, by: Actor) -> Result<Submission, WorkError> {
        let released = self.released.as_ref().ok_or(ReleaseError::NotReleased)?;
        let digest = statement.digest()?;
        if digest != released.statement {
            return Err(ReleaseError::Changed.into());
        }
        let before = self.drafted_by.iter().chain([&released.by]);
        if self.eyes.submit_by_another && !by.is_second_pair_to(before) {
            return Err(ReleaseError::SecondPair("the submission").into());
        }
        Ok(Submission {
            kind: statement.kind,
            statement: digest,
            drafted_by: self.drafted_by.clone(),
            released_by: released.by.clone(),
            submitted_by: by,
        })
    }
}

impl Submission {
    /// What it says as a whole.
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// SHA-256 of the statement.
    pub const fn statement(&self) -> Digest<32> {
        self.statement
    }

    /// Who did what: drafted, released, submitted.
    pub fn by(&self) -> (&[Actor], &Actor, &Actor) {
        (&self.drafted_by, &self.released_by, &self.submitted_by)
    }
}
