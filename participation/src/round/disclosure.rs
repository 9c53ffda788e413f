//! What is shown to a participant: parts of the form and files, chosen one by one or by a list, for a purpose, on a legal basis, with
//! a right and an end.
//!
//! A part of the form is a place by indices, for names repeat among siblings; the places are bound to the tree by its digest. A
//! file that has a redacted copy never leaves; the copy is a file of its own. Towards a node of somebody else the right to view alone
//! is a request and not a control: what it has, it has.

pub mod access;
pub mod names;
pub mod sheet;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use jiff::civil::Date;
use kontor_pki::crypto::sha256;
use serde::{Deserialize, Serialize};

use super::profile::Versioned;
use crate::application::manifest::{Digest, File, Role};
use crate::application::{Content, Form, Node};

/// What the participant may do with a part.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Right {
    /// Look at it.
    View,
    /// And keep a copy.
    Download,
}

/// A place in a form, with everything below it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FormPart {
    /// The indices that lead to it.
    pub at: Vec<usize>,
    /// What may be done with it.
    pub right: Right,
}

/// A file.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct FilePart {
    /// Which.
    pub file_id: String,
    /// What may be done with it.
    pub right: Right,
}

/// How it was chosen. It decides what the participant learns of the rest.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "by")]
pub enum Selection {
    /// By the list of a recipient class: its name and version are told, and nothing else.
    Class(Versioned),
    /// By a person, from a template or without one: that there is more is told, as a count.
    Person {
        /// The template.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        template: Option<Versioned>,
    },
}

/// What is shown.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Disclosure {
    /// SHA-256 of the tree that the places are in: [`tree_digest`]. It stays in the house.
    pub form: Digest<32>,
    /// Places in the form.
    pub parts: Vec<FormPart>,
    /// Files.
    pub files: Vec<FilePart>,
    /// For what.
    pub purpose: String,
    /// On which ground.
    pub legal_basis: String,
    /// The last day on which it may be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Date>,
    /// Whether the participant may show it to an adviser of its own.
    #[serde(default)]
    pub onward: bool,
    /// How it was chosen.
    pub selection: Selection,
}

/// A file of the case, as far as disclosing it goes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Held {
    /// The file.
    pub file: File,
    /// The file that it is a redacted copy of.
    pub redacts: Option<String>,
}

/// Why something is not disclosed.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum DisclosureError {
    /// Another tree.
    #[error("the form is another one than was chosen from; choose again")]
    FormChanged,
    /// No such place.
    #[error("there is no place {at:?} in the form; choose again")]
    NoPart {
        /// Which.
        at: Vec<usize>,
    },
    /// No such file.
    #[error("the case has no file {0}")]
    NoFile(String),
    /// The same twice.
    #[error("{0} is chosen twice, which leaves its right open; choose it once")]
    Twice(String),
    /// It has a redacted copy.
    #[error("{0} has a redacted copy and never leaves; choose the copy")]
    OriginalStays(String),
    /// The form as a file would show everything.
    #[error("{0} is the form as data; choose places of the form instead")]
    RawForm(String),
    /// No basis, no send.
    #[error("a disclosure names its purpose and its legal basis; state both")]
    NoBasis,
    /// More than the recipient class allows.
    #[error("{class} does not allow {what}; leave it out")]
    BeyondClass {
        /// Which class.
        class: Versioned,
        /// What.
        what: String,
    },
    /// A name that means several places.
    #[error(
        "the name {name} means {count} places in {list}; name them apart in a list of your own, or choose by hand"
    )]
    Ambiguous {
        /// In which list.
        list: Versioned,
        /// Which name, with those above it.
        name: String,
        /// How many places it means.
        count: usize,
    },
    /// A list for other forms.
    #[error("{list} is no list for the form {form}; what is not listed is not sent")]
    OtherForm {
        /// Which list.
        list: Versioned,
        /// Which form.
        form: String,
    },
    /// It cannot be written.
    #[error("the disclosure cannot be written: {0}")]
    Unwritable(String),
}

impl DisclosureError {
    /// The machine code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::FormChanged => "disclosure_form_changed",
            Self::NoPart { .. } => "disclosure_part_unknown",
            Self::NoFile(_) => "disclosure_file_unknown",
            Self::Twice(_) => "disclosure_twice",
            Self::OriginalStays(_) => "disclosure_original",
            Self::RawForm(_) => "disclosure_raw_form",
            Self::NoBasis => "disclosure_no_basis",
            Self::BeyondClass { .. } => "disclosure_beyond_class",
            Self::Ambiguous { .. } => "template_ambiguous",
            Self::OtherForm { .. } => "template_other_form",
            Self::Unwritable(_) => "disclosure_unwritable",
        }
    }
}

/// SHA-256 of a form's tree: what binds places by indices to it.
pub fn tree_digest(form: &Form) -> Digest<32> {
    // The neutral form is always written: it has no maps with keys that are no text, and no numbers that JSON lacks.
    Digest(sha256(&serde_json::to_vec(&form.items).unwrap_or_default()))
}

/// The node at a place.
pub fn node_at<'a>(form: &'a Form, at: &[usize]) -> Option<&'a Node> {
    let (last, above) = at.split_last()?;
    let mut items = &form.items;
    for index in above {
        match &items.get(*index)?.content {
            Content::Group(inner) => items = inner,
            Content::Text(_)
            | Content::Number(_)
            | Content::Date(_)
            | Content::Boolean(_)
            | Content::Nothing => return None,
        }
    }
    items.get(*last)
}

impl Disclosure {
    /// Whether it can be sent: everything that is chosen is there, once, and may leave.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, form: &Form, held: &[Held]) -> Result<(), DisclosureError> {
        if self.purpose.trim().is_empty() || self.legal_basis.trim().is_empty() {
            return Err(DisclosureError::NoBasis);
        }
        if self.form != tree_digest(form) {
            return Err(DisclosureError::FormChanged);
        }
        let mut places = BTreeSet::new();
        for part in &self.parts {
            if node_at(form, &part.at).is_none() {
                return Err(DisclosureError::NoPart { at: part.at.clone() });
            }
            if !places.insert(&part.at) {
                return Err(DisclosureError::Twice(format!("the place {:?}", part.at)));
            }
        }
        let mut files = BTreeSet::new();
        for part in &self.files {
            let id = &part.file_id;
            let file = held
                .iter()
                .find(|held| held.file.file_id == *id)
                .ok_or_else(|| DisclosureError::NoFile(id.clone()))?;
            if !files.insert(id) {
                return Err(DisclosureError::Twice(format!("the file {id}")));
            }
            if held.iter().any(|copy| copy.redacts.as_ref() == Some(id)) {
                return Err(DisclosureError::OriginalStays(id.clone()));
            }
            match file.file.role {
                Role::Data | Role::Dossier => return Err(DisclosureError::RawForm(id.clone())),
                Role::Representation
                | Role::Attachment
                | Role::Decision
                | Role::MessageAttachment
                | Role::Evidence => {}
            }
        }
        Ok(())
    }
}
