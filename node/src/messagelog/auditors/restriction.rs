//! Which entries an auditor may see: those of a member or a subsystem, of a time, or some by number. What an entry says
//! of that is its leaf; entries that name no party are outside of every view of a party.

use std::str::FromStr;

use kontor_pki::time::UnixTime;
use kontor_protocol::{
    id::{ClientId, MemberId},
    log::Leaf,
};
use serde::{Deserialize, Serialize};

use crate::messagelog::numbers::NumberSet;

/// See the module; everything given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restriction {
    /// The member of the client or of the provider.
    pub member: Option<MemberId>,
    /// The client or the provider: a subsystem, or a member without one.
    pub client: Option<ClientId>,
    /// From this second on.
    pub from: Option<UnixTime>,
    /// Before this second.
    pub to: Option<UnixTime>,
    /// These entries.
    pub numbers: Option<NumberSet>,
}

impl Restriction {
    /// Whether every entry may be seen.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// Whether the entry of this leaf may be seen.
    pub fn allows(&self, leaf: &Leaf) -> bool {
        let sides = [
            leaf.client.as_ref(),
            leaf.service.as_ref().map(|service| service.provider()),
        ];
        let mut sides = sides.into_iter().flatten();
        let second = i64::try_from(leaf.second).unwrap_or(i64::MAX);
        self.member
            .as_ref()
            .is_none_or(|wanted| sides.clone().any(|side| side.member() == wanted))
            && self
                .client
                .as_ref()
                .is_none_or(|wanted| sides.any(|side| side == wanted))
            && self.from.is_none_or(|from| second >= from.secs())
            && self.to.is_none_or(|to| second < to.secs())
            && self
                .numbers
                .as_ref()
                .is_none_or(|numbers| numbers.contains(leaf.number))
    }
}

/// A restriction as it stands in files, entries and answers.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RestrictionText {
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    numbers: Option<String>,
}

/// A text that names no restriction.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0} is no restriction that this version knows")]
pub struct InvalidRestriction(&'static str);

impl RestrictionText {
    /// Whether every entry may be seen.
    pub fn is_none(&self) -> bool {
        *self == Self::default()
    }

    /// The restriction. What cannot be read restricts to nothing: it is an error, never a wider view.
    pub fn read(&self) -> Result<Restriction, InvalidRestriction> {
        fn one<T: FromStr>(
            name: &'static str,
            text: Option<&String>,
        ) -> Result<Option<T>, InvalidRestriction> {
            let read = text.map(|text| text.parse().map_err(|_| InvalidRestriction(name)));
            read.transpose()
        }
        let instant = |name, text: Option<&String>| {
            let read = text.map(|text| UnixTime::parse_rfc3339(text).map_err(|_| InvalidRestriction(name)));
            read.transpose()
        };
        Ok(Restriction {
            member: one("member", self.member.as_ref())?,
            client: one("client", self.client.as_ref())?,
            from: instant("from", self.from.as_ref())?,
            to: instant("to", self.to.as_ref())?,
            numbers: one("numbers", self.numbers.as_ref())?,
        })
    }

    /// In a line, for people.
    pub fn in_words(&self) -> String {
        let words = [
            ("member", &self.member),
            ("client", &self.client),
            ("from", &self.from),
            ("to", &self.to),
            ("entries", &self.numbers),
        ];
        let words = words
            .into_iter()
            .filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
        words.collect::<Vec<_>>().join(", ")
    }
}

impl From<&Restriction> for RestrictionText {
    fn from(only: &Restriction) -> Self {
        Self {
            member: only.member.as_ref().map(ToString::to_string),
            client: only.client.as_ref().map(ToString::to_string),
            from: only.from.map(|from| from.to_rfc3339()),
            to: only.to.map(|to| to.to_rfc3339()),
            numbers: only.numbers.as_ref().map(ToString::to_string),
        }
    }
}
