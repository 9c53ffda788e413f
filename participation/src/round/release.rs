//! Who may let something leave the house: persons by pseudonym, systems that act for somebody, and what needs a second pair of eyes.
//!
//! A system that acts on behalf of a person says so itself; that is recorded as asserted and is never a second pair of eyes.

use serde::{Deserialize, Serialize};

use super::requester::ProofLevel;
use super::terms::Terms;
use crate::transfer::offer::Flags;

/// Who acts.
#[derive(Clone, Debug, Deserialize, Eq, Hash, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "actor")]
pub enum Actor {
    /// A person who signed in.
    Person {
        /// By pseudonym.
        pseudonym: String,
    },
    /// A system with a key.
    System {
        /// Which key.
        key: String,
        /// For whom it says that it acts.
        on_behalf_of: Option<String>,
    },
}

impl Actor {
    /// A person.
    pub fn person(pseudonym: &str) -> Self {
        Self::Person {
            pseudonym: pseudonym.to_owned(),
        }
    }

    fn stands_for(&self) -> Option<&str> {
        match self {
            Self::Person { pseudonym } => Some(pseudonym),
            Self::System { on_behalf_of, .. } => on_behalf_of.as_deref(),
        }
    }

    /// Whether this is another person than all of those, and a person at all.
    pub fn is_second_pair_to<'a>(&self, others: impl IntoIterator<Item = &'a Self>) -> bool {
        match self {
            Self::Person { pseudonym } => others
                .into_iter()
                .all(|other| other.stands_for() != Some(pseudonym)),
            Self::System { .. } => false,
        }
    }
}

/// Which steps another person has to do, as the house has configured it.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Eyes {
    /// Who releases did not draft.
    pub release_by_another: bool,
    /// Who submits neither drafted nor released.
    pub submit_by_another: bool,
}

impl Eyes {
    /// One person does it all.
    pub const TWO: Self = Self {
        release_by_another: false,
        submit_by_another: false,
    };
    /// A second one releases.
    pub const FOUR: Self = Self {
        release_by_another: true,
        submit_by_another: false,
    };
    /// A third one submits.
    pub const SIX: Self = Self {
        release_by_another: true,
        submit_by_another: true,
    };
}

/// A request that somebody wants to send.
#[derive(Clone, Copy, Debug)]
pub struct Draft<'a> {
    /// What it fixes.
    pub terms: &'a Terms,
    /// What the content is like.
    pub flags: Flags,
    /// Whom it goes to.
    pub level: ProofLevel,
    /// For what.
    pub purpose: &'a str,
    /// On which ground.
    pub legal_basis: &'a str,
}

/// That a request may be sent; only [`Draft::clear`] makes it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Cleared {
    terms: Terms,
    drafted_by: Actor,
    approved_by: Option<Actor>,
}

/// Why something may not leave yet.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ReleaseError {
    /// No basis, no send.
    #[error("a request names its purpose and its legal basis; state both")]
    NoBasis,
    /// Secrecy that guests are kept from.
    #[error("tax and social data do not go to guests; the body needs a node of its own, or another way")]
    NotForGuests,
    /// A second person is wanted.
    #[error("{0} needs the release of another person than those who prepared it; a system is none")]
    SecondPair(&'static str),
    /// Not released yet.
    #[error("the statement is not released; have it released first")]
    NotReleased,
    /// Other words than were released.
    #[error("the statement was changed after its release; have it released again")]
    Changed,
}

impl ReleaseError {
    /// The machine code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::NoBasis => "release_no_basis",
            Self::NotForGuests => "release_not_for_guests",
            Self::SecondPair(_) => "release_second_pair",
            Self::NotReleased => "release_missing",
            Self::Changed => "release_changed",
        }
    }
}

impl Draft<'_> {
    /// Whether an approver has to release it: silence has an effect, or the content is of a kind that is looked at twice.
    pub const fn needs_approval(&self) -> bool {
        let Flags {
            special_categories,
            tax_secrecy,
            social_data,
            business_secrets,
            payment_done: _,
            decision_exists: _,
            open_question: _,
            paper_remainder: _,
        } = self.flags;
        self.terms.has_effect() || special_categories || tax_secrecy || social_data || business_secrets
    }

    /// Lets it go.
    ///
    /// # Errors
    /// No purpose or basis; secrecy that guests are kept from; an approver is missing, or is no other person.
    pub fn clear(self, drafted_by: Actor, approved_by: Option<Actor>) -> Result<Cleared, ReleaseError> {
        if self.purpose.trim().is_empty() || self.legal_basis.trim().is_empty() {
            return Err(ReleaseError::NoBasis);
        }
        if self.level == ProofLevel::Guest && (self.flags.tax_secrecy || self.flags.social_data) {
            return Err(ReleaseError::NotForGuests);
        }
        let another = approved_by
            .as_ref()
            .is_some_and(|approver| approver.is_second_pair_to([&drafted_by]));
        if self.needs_approval() && !another {
            return Err(ReleaseError::SecondPair("this request"));
        }
        Ok(Cleared {
            terms: self.terms.clone(),
            drafted_by,
            approved_by,
        })
    }
}

impl Cleared {
    /// Whether it is for a request that fixes this.
    pub fn is_for(&self, terms: &Terms) -> bool {
        self.terms == *terms
    }

    /// Who prepared it.
    pub const fn drafted_by(&self) -> &Actor {
        &self.drafted_by
    }

    /// Who released it.
    pub const fn approved_by(&self) -> Option<&Actor> {
        self.approved_by.as_ref()
    }
}
