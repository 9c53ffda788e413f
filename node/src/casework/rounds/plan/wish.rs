//! What people want to ask, of whom, and what they want to show, as the interface takes it. Nothing of it is checked yet.

use jiff::civil::Date;
use kontor_participation::deadline::Rule;
use kontor_participation::round::disclosure::{FilePart, FormPart};
use kontor_participation::round::profile::Class;
use kontor_participation::round::terms::Extendable;
use kontor_participation::transfer::offer::{Id, SilenceEffect};
use serde::Deserialize;

/// A round that is wanted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoundWish {
    /// Code of the profile.
    #[serde(default)]
    pub(crate) profile: Option<String>,
    /// What is asked.
    pub(crate) question: String,
    /// Role and unit to write to.
    pub(crate) contact: String,
    /// The only topics.
    #[serde(default)]
    pub(crate) topics: Vec<String>,
    /// The round that it renews.
    #[serde(default)]
    pub(crate) renews: Option<Id>,
}

/// Somebody to be asked.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct AskWish {
    /// A member with a node, `INSTANCE/CLASS/CODE`.
    #[serde(default)]
    pub(crate) to: Option<String>,
    /// A guest.
    #[serde(default)]
    pub(crate) guest: Option<GuestWish>,
    /// An own unit.
    #[serde(default)]
    pub(crate) unit: Option<String>,
    /// What the participant is.
    pub(crate) class: Class,
    /// How long.
    #[serde(default)]
    pub(crate) rule: Option<Rule>,
    /// What silence means.
    #[serde(default)]
    pub(crate) effect: Option<SilenceEffect>,
    /// Whether more time can be had.
    #[serde(default)]
    pub(crate) extension: Option<Extendable>,
    /// The day with whose end the period begins.
    #[serde(default)]
    pub(crate) runs_from: Option<Date>,
    /// What is shown.
    pub(crate) disclosure: ShowWish,
    /// The content has data of special categories (Art. 9 GDPR).
    #[serde(default)]
    pub(crate) special_categories: bool,
    /// The content has business secrets (§ 30 VwVfG).
    #[serde(default)]
    pub(crate) business_secrets: bool,
    /// The request that this one replaces.
    #[serde(default)]
    pub(crate) replaces: Option<Id>,
}

/// A guest.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct GuestWish {
    /// Its name.
    pub(crate) name: String,
    /// Where it is written to: the link goes there, and the code by another way.
    pub(crate) address: String,
}

/// What is to be shown.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ShowWish {
    /// Code of a recipient class, whose list decides.
    #[serde(default)]
    pub(crate) recipient_class: Option<String>,
    /// Take the template for the profile where there is one.
    #[serde(default)]
    pub(crate) template: bool,
    /// Places of the form, by indices.
    #[serde(default)]
    pub(crate) parts: Vec<FormPart>,
    /// Files.
    #[serde(default)]
    pub(crate) files: Vec<FilePart>,
    /// For what.
    pub(crate) purpose: String,
    /// On which ground.
    pub(crate) legal_basis: String,
    /// The last day on which it may be seen.
    #[serde(default)]
    pub(crate) ends: Option<Date>,
    /// Whether the participant may show it to an adviser.
    #[serde(default)]
    pub(crate) onward: bool,
}
