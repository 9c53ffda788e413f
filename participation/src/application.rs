//! An application (Antrag) as it is handed over: the form that the applicant filled in, and the files beside it.
//!
//! Owns what travels: the tree of the form in its order, with labels and types, and the manifest that names every file with its
//! digests. What the intake of an OZG-Cloud instance is like is in [`intake`]. Nothing is interpreted: letters, blanks, numbers as
//! they were written and members that nobody knows come out as they came in.

pub mod intake;
pub mod manifest;
#[cfg(test)]
mod tests;

use std::fmt;

use serde::{Deserialize, Serialize};

/// The form of an application.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Form {
    /// Who sent it, to whom, for which service.
    pub control: Control,
    /// Its steps, headings and fields, in order.
    pub items: Vec<Node>,
    /// Members of the form that are not known here.
    #[serde(default, skip_serializing_if = "Extras::is_empty")]
    pub extras: Extras,
}

/// What accompanies a form.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Control {
    /// Made by the sender for this application.
    pub transaction_id: String,
    /// The unit that is competent, as the sender has it (zuständige Stelle).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub competent_unit: Option<String>,
    /// Keys of the service (LeiKa, FIM).
    pub service_keys: Vec<String>,
    /// Which form it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form_id: Option<String>,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// By which account the applicant can be written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account: Option<ServiceAccount>,
    /// Members that are not known here.
    #[serde(default, skip_serializing_if = "Extras::is_empty")]
    pub extras: Extras,
}

/// An account of the applicant (Servicekonto).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ServiceAccount {
    /// Of which kind, such as `OSI` or `BAYERN_ID`.
    pub kind: String,
    /// How far the applicant's identity is proven, such as `STORK-QAA-LEVEL-3`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trust_level: Option<String>,
    /// The mailbox.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mailbox: Option<Mailbox>,
    /// Members that are not known here.
    #[serde(default, skip_serializing_if = "Extras::is_empty")]
    pub extras: Extras,
}

/// A mailbox (Postfach).
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Mailbox {
    /// Its identifier.
    pub identifier: String,
    /// Of whom, such as `Citizen`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    /// Members that are not known here.
    #[serde(default, skip_serializing_if = "Extras::is_empty")]
    pub extras: Extras,
}

/// A field or a group of the form. Names may repeat among siblings: a place is named by indices.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Node {
    /// Technical name.
    pub name: String,
    /// What people see.
    pub label: String,
    /// What it holds.
    #[serde(flatten)]
    pub content: Content,
    /// Members that are not known here.
    #[serde(default, skip_serializing_if = "Extras::is_empty")]
    pub extras: Extras,
}

/// What a node holds.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(content = "value", rename_all = "snake_case", tag = "type")]
pub enum Content {
    /// Text.
    Text(String),
    /// A number as it was written.
    Number(Decimal),
    /// A date, as text.
    Date(String),
    /// Yes or no.
    Boolean(bool),
    /// Further nodes.
    Group(Vec<Node>),
    /// A field that nobody filled in.
    Nothing,
}

/// A number as JSON writes it, digit by digit: no reader of ours rounds it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(try_from = "String")]
pub struct Decimal(String);

/// What is no number in JSON.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("this is no number as JSON writes it, such as -12.50")]
pub struct NoNumber;

impl Decimal {
    /// Its digits.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Decimal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for Decimal {
    type Error = NoNumber;

    /// RFC 8259, section 6.
    fn try_from(text: String) -> Result<Self, NoNumber> {
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        let unsigned = text.strip_prefix('-').unwrap_or(&text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (unsigned, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (mantissa, None),
        };
        let good = digits(whole)
            && (whole == "0" || !whole.starts_with('0'))
            && fraction.is_none_or(digits)
            && exponent.is_none_or(|exponent| digits(exponent.strip_prefix(['+', '-']).unwrap_or(exponent)));
        match good {
            true => Ok(Self(text)),
            false => Err(NoNumber),
        }
    }
}

/// Members of an object that are not known here, in their order, each with the JSON text of its value.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Extras(Vec<(String, String)>);

impl Extras {
    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Names and JSON texts.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

impl FromIterator<(String, String)> for Extras {
    fn from_iter<I: IntoIterator<Item = (String, String)>>(members: I) -> Self {
        Self(members.into_iter().collect())
    }
}

impl Form {
    /// Every node with its place: the indices that lead to it.
    pub fn walk<'a>(&'a self, visit: &mut impl FnMut(&[usize], &'a Node)) {
        walk(&self.items, &mut Vec::new(), visit);
    }
}

fn walk<'a>(items: &'a [Node], at: &mut Vec<usize>, visit: &mut impl FnMut(&[usize], &'a Node)) {
    for (index, node) in items.iter().enumerate() {
        at.push(index);
        visit(at, node);
        if let Content::Group(inner) = &node.content {
            walk(inner, at, visit);
        }
        at.pop();
    }
}
