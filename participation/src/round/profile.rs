//! Participation profiles: on which ground somebody is asked, what starts the clock, how long it runs, what silence means and
//! whether more time can be had. They are data with versions; a tenant adds a file of the same form as `data/profiles.toml`.
//!
//! Owns reading the files and holding a request against its profile. Refuses whatever the profile leaves open and the request does
//! not say, and whatever the profile fixes and the request says otherwise: nothing is guessed that has a legal effect.

mod named;
mod table;
#[cfg(test)]
mod tests;

pub use self::named::{Code, NoCode, Text, Versioned};
pub use self::table::{ProfileFileError, ProfileTable};

use std::collections::BTreeSet;

use jiff::Timestamp;
use jiff::civil::Date;
use kontor_protocol::package::cover::Language;
use serde::{Deserialize, Serialize};

use super::terms::{Extendable, Terms};
use crate::calendar::{HolidayTable, Place};
use crate::deadline::{Deadline, DeadlineError, Rule};
use crate::transfer::offer::SilenceEffect;

/// What somebody who is asked is.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Class {
    /// A recognised association.
    Association,
    /// An authority.
    Authority,
    /// A chamber.
    Chamber,
    /// A unit of the own house (Fachstelle).
    Internal,
    /// A municipality.
    Municipality,
    /// Another body whose public interests are affected (Träger öffentlicher Belange).
    PublicBody,
}

impl Class {
    /// Its name in files and messages.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Association => "ASSOCIATION",
            Self::Authority => "AUTHORITY",
            Self::Chamber => "CHAMBER",
            Self::Internal => "INTERNAL",
            Self::Municipality => "MUNICIPALITY",
            Self::PublicBody => "PUBLIC_BODY",
        }
    }
}

/// What the clock waits for.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Trigger {
    /// The request is there, with what is disclosed.
    Delivery,
    /// And nothing is missing: a later supplement may start the period anew.
    CompleteDocuments,
}

/// How long a participant has.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields, rename_all = "snake_case", tag = "kind")]
pub enum Length {
    /// As the law says.
    Fixed {
        /// The rule.
        rule: Rule,
    },
    /// As the authority says.
    Set {
        /// The longest that the law allows.
        at_most: Option<Rule>,
    },
    /// As the authority says, or without an end.
    Free,
}

/// An effect that silence may have, with its sentence.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Silence {
    /// Which.
    pub effect: SilenceEffect,
    /// In German: what stands in the request, in every reminder and in the record of the expiry.
    pub de: String,
    /// In English.
    pub en: String,
}

/// A profile.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its code and version.
    pub code: Code,
    /// Changes with every change of content.
    pub version: Code,
    /// Its name for people.
    pub name: Text,
    /// The legal basis: no request goes without one.
    pub basis: String,
    /// Who may be asked.
    pub who: Vec<Class>,
    /// What the clock waits for.
    pub trigger: Trigger,
    /// How long it runs.
    pub length: Length,
    /// What silence may mean.
    pub silence: Vec<Silence>,
    /// Whether more time can be had.
    pub extension: Vec<Extendable>,
    /// Days before the end on which the participant is reminded.
    #[serde(default)]
    pub reminders: Vec<u16>,
    /// Whether who refuses has to name a legal ground.
    #[serde(default)]
    pub refusal_needs_ground: bool,
    /// Whether it was not compared with the law in force: the tenant does that before the first use.
    pub to_check: bool,
    /// What else people have to know.
    pub note: Option<Text>,
}

/// What a request says where its profile leaves it open.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Choice {
    /// What the participant is.
    pub class: Class,
    /// How long.
    pub rule: Option<Rule>,
    /// What silence means.
    pub effect: Option<SilenceEffect>,
    /// Whether more time can be had.
    pub extension: Option<Extendable>,
    /// The day whose end the period begins with, if that is later than the delivery; like the day of an event it is not counted.
    pub runs_from: Option<Date>,
}

/// Why a request does not fit its profile.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum ProfileError {
    /// No such profile.
    #[error(
        "there is no profile {0}; add it to the tenant's file of profiles, or choose one of those that are listed"
    )]
    Unknown(String),
    /// Nobody of that kind is asked by it.
    #[error("{profile} asks {allowed}, not {class}; choose the profile that fits the participant")]
    Class {
        /// Which profile.
        profile: Versioned,
        /// Whom it asks.
        allowed: String,
        /// Who was to be asked.
        class: &'static str,
    },
    /// The law says how long.
    #[error("{0} says how long the period is; leave the rule out")]
    LengthFixed(Versioned),
    /// Nobody said how long.
    #[error("{0} leaves the period to the authority; state a rule or a date")]
    LengthMissing(Versioned),
    /// Longer than the law allows.
    #[error("{profile} allows a period until {at_most} at most, not until {end}; state a shorter one")]
    TooLong {
        /// Which profile.
        profile: Versioned,
        /// The last day that it allows, if the request were delivered now.
        at_most: Date,
        /// The last day that was wanted.
        end: Date,
    },
    /// Several effects, or ways to get more time, and none was chosen.
    #[error("{profile} leaves the {what} open; state one of {allowed}")]
    Open {
        /// Which profile.
        profile: Versioned,
        /// What.
        what: &'static str,
        /// What can be chosen.
        allowed: String,
    },
    /// One that it does not know.
    #[error("{profile} does not have {wanted} as its {what}; it has {allowed}")]
    NotAllowed {
        /// Which profile.
        profile: Versioned,
        /// What.
        what: &'static str,
        /// What was chosen.
        wanted: String,
        /// What can be chosen.
        allowed: String,
    },
    /// Silence cannot mean anything at no time.
    #[error("silence has an effect at the end of a period only; state a rule")]
    EffectWithoutEnd,
    /// The period cannot be computed.
    #[error(transparent)]
    Deadline(#[from] DeadlineError),
}

impl ProfileError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "profile_unknown",
            Self::Class { .. } => "profile_class",
            Self::LengthFixed(_) => "profile_length_fixed",
            Self::LengthMissing(_) => "profile_length_missing",
            Self::TooLong { .. } => "profile_too_long",
            Self::Open { .. } => "profile_open",
            Self::NotAllowed { .. } => "profile_not_allowed",
            Self::EffectWithoutEnd => "profile_effect_without_end",
            Self::Deadline(error) => error.code(),
        }
    }
}

/// The name of an effect in files and messages.
pub const fn effect_name(effect: SilenceEffect) -> &'static str {
    match effect {
        SilenceEffect::None => "NONE",
        SilenceEffect::MayBeDisregarded => "MAY_BE_DISREGARDED",
        SilenceEffect::AssumeNoObjection => "ASSUME_NO_OBJECTION",
        SilenceEffect::ConsentDeemedGiven => "CONSENT_DEEMED_GIVEN",
    }
}

/// What silence means, in general; a profile says it for its law.
pub const fn effect_in_words(effect: SilenceEffect, language: Language) -> &'static str {
    match (effect, language) {
        (SilenceEffect::None, Language::German) => "Schweigen hat keine Rechtsfolge.",
        (SilenceEffect::None, Language::English) => "Silence has no legal effect.",
        (SilenceEffect::MayBeDisregarded, Language::German) => {
            "Eine verspätete Stellungnahme darf unberücksichtigt bleiben."
        }
        (SilenceEffect::MayBeDisregarded, Language::English) => "A late statement may be disregarded.",
        (SilenceEffect::AssumeNoObjection, Language::German) => {
            "Es darf davon ausgegangen werden, dass keine Bedenken bestehen."
        }
        (SilenceEffect::AssumeNoObjection, Language::English) => {
            "It may be assumed that there are no objections."
        }
        (SilenceEffect::ConsentDeemedGiven, Language::German) => "Die Zustimmung gilt als erteilt.",
        (SilenceEffect::ConsentDeemedGiven, Language::English) => "Consent is deemed given.",
    }
}

impl Profile {
    /// What a request records.
    pub fn id(&self) -> Versioned {
        Versioned {
            code: self.code.clone(),
            version: self.version.clone(),
        }
    }

    /// What silence means, in a sentence.
    pub fn silence_in_words(&self, effect: SilenceEffect, language: Language) -> Option<&str> {
        let silence = self.silence.iter().find(|silence| silence.effect == effect)?;
        Some(match language {
            Language::German => &silence.de,
            Language::English => &silence.en,
        })
    }

    fn mistakes(&self) -> Vec<String> {
        let effects: BTreeSet<&str> = self
            .silence
            .iter()
            .map(|silence| effect_name(silence.effect))
            .collect();
        let silent = |silence: &Silence| silence.de.trim().is_empty() || silence.en.trim().is_empty();
        let has_effect = self
            .silence
            .iter()
            .any(|silence| silence.effect != SilenceEffect::None);
        let wrong = [
            (self.name.is_empty(), "needs a name in both languages"),
            (self.basis.trim().is_empty(), "needs its legal basis"),
            (self.who.is_empty(), "asks nobody; name at least one class"),
            (
                self.silence.is_empty() || self.silence.iter().any(silent),
                "says what silence means, in both languages",
            ),
            (effects.len() != self.silence.len(), "names an effect twice"),
            (
                self.extension.is_empty(),
                "says whether more time can be had: none, for_reason or free",
            ),
            (
                has_effect && self.length == Length::Free,
                "cannot have an effect of silence and no end",
            ),
        ];
        wrong
            .into_iter()
            .filter(|(wrong, _)| *wrong)
            .map(|(_, what)| format!("{} {what}", self.id()))
            .collect()
    }

    /// What a request by this profile fixes for both sides. `now` is for the longest period and for dates that are over: the real
    /// deadline is computed when the request is delivered.
    ///
    /// # Errors
    /// What does not fit, or was left open; a period that cannot be computed (`calendar_unknown`).
    pub fn terms(
        &self,
        choice: &Choice,
        place: &Place,
        table: &HolidayTable,
        now: Timestamp,
    ) -> Result<Terms, ProfileError> {
        if !self.who.contains(&choice.class) {
            let allowed: Vec<_> = self.who.iter().map(|class| class.name()).collect();
            return Err(ProfileError::Class {
                profile: self.id(),
                allowed: allowed.join(", "),
                class: choice.class.name(),
            });
        }
        let (rule, at_most) = match (self.length, choice.rule) {
            (Length::Fixed { .. }, Some(_)) => return Err(ProfileError::LengthFixed(self.id())),
            (Length::Fixed { rule }, None) => (Some(rule), None),
            (Length::Set { .. }, None) => return Err(ProfileError::LengthMissing(self.id())),
            (Length::Set { at_most }, Some(rule)) => (Some(rule), at_most),
            (Length::Free, rule) => (rule, None),
        };
        if let (Some(rule), Some(longest)) = (rule, at_most) {
            let [wanted, longest] = [rule, longest].map(|rule| Deadline::compute(rule, now, place, table));
            let (end, at_most) = (wanted?.effective_end, longest?.effective_end);
            if end > at_most {
                return Err(ProfileError::TooLong {
                    profile: self.id(),
                    at_most,
                    end,
                });
            }
        }
        let effects: Vec<_> = self.silence.iter().map(|silence| silence.effect).collect();
        let effect = self.chosen("effect of silence", &effects, choice.effect, effect_name)?;
        let extension = self.chosen(
            "way to more time",
            &self.extension,
            choice.extension,
            Extendable::name,
        )?;
        if effect != SilenceEffect::None && rule.is_none() {
            return Err(ProfileError::EffectWithoutEnd);
        }
        let terms = Terms {
            rule,
            at_most,
            runs_from: choice.runs_from,
            place: place.clone(),
            effect,
            extension,
        };
        // A date that is over will not do later either; what the calendar does not know yet may be known then, or is stated.
        match terms.deadline(now, table) {
            Ok(_) | Err(DeadlineError::Calendar(_)) => Ok(terms),
            Err(error) => Err(error.into()),
        }
    }

    fn chosen<T: Copy + PartialEq>(
        &self,
        what: &'static str,
        allowed: &[T],
        wanted: Option<T>,
        name: impl Fn(T) -> &'static str,
    ) -> Result<T, ProfileError> {
        let names = || {
            allowed
                .iter()
                .map(|one| name(*one))
                .collect::<Vec<_>>()
                .join(", ")
        };
        match (wanted, allowed) {
            (None, [only]) => Ok(*only),
            (None, _) => Err(ProfileError::Open {
                profile: self.id(),
                what,
                allowed: names(),
            }),
            (Some(wanted), allowed) if allowed.contains(&wanted) => Ok(wanted),
            (Some(wanted), _) => Err(ProfileError::NotAllowed {
                profile: self.id(),
                what,
                wanted: name(wanted).to_owned(),
                allowed: names(),
            }),
        }
    }
}
