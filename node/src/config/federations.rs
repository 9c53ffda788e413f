//! `[trust] federations`: configuration of which other instances is taken, of those that the own instance trusts (wire 7.9).

use serde::Deserialize;

/// Which federated instances are taken.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Federations {
    /// None, as X-Road does unless it is told otherwise.
    #[default]
    None,
    /// All that the own instance trusts.
    All,
    /// These, compared without regard to case.
    Only(Vec<String>),
}

impl Federations {
    /// Whether configuration of an instance is taken.
    #[must_use]
    pub fn admit(&self, instance: &str) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Only(names) => names.iter().any(|name| name.eq_ignore_ascii_case(instance)),
        }
    }
}

/// As it stands in the file: `"none"`, `"all"` or a list.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum FederationsText {
    Word(String),
    List(Vec<String>),
}

impl Default for FederationsText {
    fn default() -> Self {
        Self::Word("none".into())
    }
}

impl FederationsText {
    pub(super) fn checked(self, mistakes: &mut Vec<String>) -> Federations {
        match self {
            Self::Word(word) if word == "none" => Federations::None,
            Self::Word(word) if word == "all" => Federations::All,
            Self::Word(word) => {
                mistakes.push(format!(
                    "trust.federations = {word:?}: write \"none\", \"all\" or a list of instances such as [{word:?}]"
                ));
                Federations::None
            }
            Self::List(names) => {
                if names.iter().any(|name| name.trim().is_empty()) {
                    mistakes.push("trust.federations names an instance without letters".into());
                }
                Federations::Only(names)
            }
        }
    }
}
