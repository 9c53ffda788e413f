//! What in an application needs a person's look before it leaves the house: identification numbers, tax data and social data.
//!
//! Owns finding them in a form; what a finding blocks is decided elsewhere. The identification number (IDNr, § 139b AO) may travel
//! with a statutory permission only (§ 9 IDNrG). Eleven digits alone are found where their check rule holds and they are the whole
//! value; behind a label that names the number every eleven digits are found, so that a slip of the pen hides nothing.

#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

use crate::application::{Content, Form};

/// What was found.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// An identification number (IDNr).
    IdentificationNumber,
    /// Data under tax secrecy (§ 30 AO), by the service.
    TaxSecrecy,
    /// Social data (§ 35 SGB I), by the service.
    SocialData,
}

/// Something found in a form. It holds the place and never the value.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Finding {
    /// What.
    pub kind: Kind,
    /// Where in the form, by indices; empty for the application as a whole.
    pub at: Vec<usize>,
    /// Label of that place, for whoever decides.
    pub label: String,
}

/// What a service is about, as the tenant has configured it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Secrecy {
    /// Its applications are under tax secrecy.
    pub tax: bool,
    /// Its applications hold social data.
    pub social: bool,
}

/// Words in a name or label behind which an identification number stands.
const NAMES: [&str; 8] = [
    "identifikationsnummer",
    "identifikations-nr",
    "steuer-id",
    "steuerid",
    "steueridentifikation",
    "steuer-identifikation",
    "idnr",
    "id-nr",
];

/// Looks through a form.
pub fn find(form: &Form, secrecy: Secrecy) -> Vec<Finding> {
    let whole = |kind| Finding {
        kind,
        at: Vec::new(),
        label: form.control.name.clone().unwrap_or_default(),
    };
    let mut found = Vec::new();
    if secrecy.tax {
        found.push(whole(Kind::TaxSecrecy));
    }
    if secrecy.social {
        found.push(whole(Kind::SocialData));
    }
    form.walk(&mut |at, node| {
        let text = match &node.content {
            Content::Text(text) | Content::Date(text) => text.as_str(),
            Content::Number(number) => number.as_str(),
            Content::Boolean(_) | Content::Group(_) | Content::Nothing => return,
        };
        if holds_number(text, names_it(&node.name) || names_it(&node.label)) {
            found.push(Finding {
                kind: Kind::IdentificationNumber,
                at: at.to_vec(),
                label: node.label.clone(),
            });
        }
    });
    found
}

fn names_it(text: &str) -> bool {
    let lower = text.to_lowercase().replace(['_', ' '], "-");
    let joined = lower.replace('-', "");
    NAMES
        .iter()
        .any(|name| lower.contains(name) || joined.contains(&name.replace('-', "")))
}

/// Whether a value is an identification number, or holds one where the field is named after it.
fn holds_number(text: &str, named: bool) -> bool {
    let is_gap = |c: char| c.is_whitespace() || matches!(c, '-' | '/' | '.' | '\u{2011}' | '\u{2013}');
    if named {
        // Any run of eleven digits and gaps; what is longer is another number.
        return text
            .split(|c: char| !c.is_ascii_digit() && !is_gap(c))
            .any(|run| run.chars().filter(char::is_ascii_digit).count() == 11);
    }
    let digits: Option<Vec<u8>> = text
        .trim()
        .chars()
        .filter(|c| !is_gap(*c))
        .map(|c| c.to_digit(10).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    digits.is_some_and(|digits| is_identification_number(&digits))
}

/// The form of the number: eleven digits, the first not zero; among the first ten one occurs twice or three times (three times not
/// in a row) and the others once at most; the last one is a check digit (ISO/IEC 7064, MOD 11,10).
pub fn is_identification_number(digits: &[u8]) -> bool {
    let [first, .., check] = digits else { return false };
    if digits.len() != 11 || *first == 0 || digits.iter().any(|digit| *digit > 9) {
        return false;
    }
    let ten = &digits[..10];
    let times = |digit: u8| ten.iter().filter(|other| **other == digit).count();
    let repeated: Vec<usize> = (0..=9).map(times).filter(|times| *times > 1).collect();
    let in_a_row = ten
        .windows(3)
        .any(|three| three[0] == three[1] && three[1] == three[2]);
    if !matches!(repeated[..], [2 | 3]) || in_a_row {
        return false;
    }
    let product = ten.iter().fold(10u8, |product, digit| {
        let sum = match (digit + product) % 10 {
            0 => 10,
            sum => sum,
        };
        sum * 2 % 11
    });
    *check == (11 - product) % 10
}
