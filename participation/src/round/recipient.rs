//! Recipient classes: who gets which fields of a registration (§ 14 Abs. 8 GewO and the like), as versioned lists; and templates, by
//! which people choose.
//!
//! A class decides what leaves; a person may take less and never more. A template is where a person begins. Both are applied at the
//! sender, and both refuse a form that they are not for.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::civil::Date;
use serde::Deserialize;

use super::disclosure::names::{Found, Names};
use super::disclosure::{Disclosure, DisclosureError, Held, Right, Selection, tree_digest};
use super::profile::{Class, Code, Text, Versioned};
use crate::application::Form;

/// What is built in.
static BUILT_IN: LazyLock<Result<RecipientTable, RecipientFileError>> =
    LazyLock::new(|| RecipientTable::parse(include_str!("../../data/recipients.toml")));

/// A recipient class.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RecipientClass {
    /// Its code and version.
    pub code: Code,
    /// Changes with every change of content.
    pub version: Code,
    /// Its name for people.
    pub name: Text,
    /// The legal basis.
    pub basis: String,
    /// Keys of the services.
    pub services: Vec<String>,
    /// What it gets.
    pub show: Names,
    /// Whether it was made up to show the form.
    pub example: bool,
    /// Whether it was not compared with the law in force.
    pub to_check: bool,
}

/// A template: what people show to a kind of participant by a profile, before they change it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// Its code and version.
    pub code: Code,
    /// Changes with every change of content.
    pub version: Code,
    /// Its name for people.
    pub name: Text,
    /// For which profile.
    pub profile: Code,
    /// For which kind of participant; nothing: for all.
    pub class: Option<Class>,
    /// What it chooses.
    pub show: Names,
}

/// Why something is disclosed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ground {
    /// For what.
    pub purpose: String,
    /// On which ground.
    pub legal_basis: String,
    /// The last day on which it may be seen.
    pub ends: Option<Date>,
}

/// Lists that cannot be used: every mistake in them.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the file of recipient classes and templates cannot be used: {}", .0.join("; "))]
pub struct RecipientFileError(pub Vec<String>);

impl RecipientFileError {
    /// The machine code.
    pub const CODE: &'static str = "recipient_file_invalid";
}

/// Classes and templates.
#[derive(Clone, Debug)]
pub struct RecipientTable {
    classes: Vec<RecipientClass>,
    templates: Vec<Template>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    class: Vec<RecipientClass>,
    #[serde(default)]
    template: Vec<Template>,
}

impl RecipientTable {
    /// The classes of this version of the program; templates are the tenant's.
    ///
    /// # Panics
    /// Never: a test reads them.
    pub fn built_in() -> &'static Self {
        BUILT_IN.as_ref().expect("a test reads the built-in classes")
    }

    /// Reads a file; `data/recipients.toml` explains the form.
    ///
    /// # Errors
    /// Every mistake in it, as sentences.
    pub fn parse(text: &str) -> Result<Self, RecipientFileError> {
        let file: File = toml::from_str(text).map_err(|error| RecipientFileError(vec![error.to_string()]))?;
        let (mut seen, mut wrong) = (BTreeSet::new(), Vec::new());
        let classes = file
            .class
            .iter()
            .map(|class| (class.id(), &class.show, !class.basis.trim().is_empty()));
        let templates = file
            .template
            .iter()
            .map(|template| (template.id(), &template.show, true));
        for (id, names, has_basis) in classes.chain(templates) {
            if names.parts.iter().any(Vec::is_empty) {
                wrong.push(format!("{id} names a place without a name"));
            }
            if !has_basis {
                wrong.push(format!("{id} needs its legal basis"));
            }
            if !seen.insert(id.clone()) {
                wrong.push(format!("{id} stands there twice"));
            }
        }
        match wrong.is_empty() {
            true => Ok(Self {
                classes: file.class,
                templates: file.template,
            }),
            false => Err(RecipientFileError(wrong)),
        }
    }

    /// These with a tenant's own before them.
    #[must_use]
    pub fn with(&self, own: Self) -> Self {
        let (mut classes, mut templates) = (own.classes, own.templates);
        classes.extend(self.classes.iter().cloned());
        templates.extend(self.templates.iter().cloned());
        Self { classes, templates }
    }

    /// All classes, a tenant's own first.
    pub fn classes(&self) -> &[RecipientClass] {
        &self.classes
    }

    /// The list that a class has for a service.
    pub fn class(&self, code: &str, service: &str) -> Option<&RecipientClass> {
        self.classes
            .iter()
            .find(|class| class.code.as_str() == code && class.services.iter().any(|key| key == service))
    }

    /// The template for a profile and a kind of participant; one that names the kind goes before one for all.
    pub fn template(&self, profile: &str, class: Class) -> Option<&Template> {
        let fits = |wanted: Option<Class>| {
            self.templates
                .iter()
                .find(|template| template.profile.as_str() == profile && template.class == wanted)
        };
        fits(Some(class)).or_else(|| fits(None))
    }
}

impl RecipientClass {
    /// What a disclosure records.
    pub fn id(&self) -> Versioned {
        Versioned {
            code: self.code.clone(),
            version: self.version.clone(),
        }
    }

    /// Everything that the class gets, and the names that the form does not have.
    ///
    /// # Errors
    /// A form that the list is not for; a name that means several places.
    pub fn disclosure(
        &self,
        form: &Form,
        held: &[Held],
        ground: Ground,
    ) -> Result<(Disclosure, Vec<String>), DisclosureError> {
        let found = self.show.find(&self.id(), form, held)?;
        Ok(chosen(found, form, ground, Selection::Class(self.id())))
    }

    /// Whether a disclosure that a person made shows no more than the class gets: neither other places or files, nor another right.
    ///
    /// # Errors
    /// As [`Self::disclosure`]; what is too much.
    pub fn covers(&self, disclosure: &Disclosure, form: &Form, held: &[Held]) -> Result<(), DisclosureError> {
        let found = self.show.find(&self.id(), form, held)?;
        let beyond = |what: String| DisclosureError::BeyondClass {
            class: self.id(),
            what,
        };
        let allows = |right: Right, at: Option<Right>| at.is_some_and(|most| right <= most);
        for part in &disclosure.parts {
            let most = found
                .parts
                .iter()
                .filter(|allowed| part.at.starts_with(&allowed.at))
                .map(|allowed| allowed.right)
                .max();
            if !allows(part.right, most) {
                return Err(beyond(format!("the place {:?} of the form", part.at)));
            }
        }
        for part in &disclosure.files {
            let most = found
                .files
                .iter()
                .find(|allowed| allowed.file_id == part.file_id)
                .map(|allowed| allowed.right);
            if !allows(part.right, most) {
                return Err(beyond(format!("the file {}", part.file_id)));
            }
        }
        Ok(())
    }
}

impl Template {
    /// What a disclosure records.
    pub fn id(&self) -> Versioned {
        Versioned {
            code: self.code.clone(),
            version: self.version.clone(),
        }
    }

    /// Where a person begins, and the names that the form does not have.
    ///
    /// # Errors
    /// A form that the template is not for; a name that means several places.
    pub fn disclosure(
        &self,
        form: &Form,
        held: &[Held],
        ground: Ground,
    ) -> Result<(Disclosure, Vec<String>), DisclosureError> {
        let found = self.show.find(&self.id(), form, held)?;
        let selection = Selection::Person {
            template: Some(self.id()),
        };
        Ok(chosen(found, form, ground, selection))
    }
}

fn chosen(found: Found, form: &Form, ground: Ground, selection: Selection) -> (Disclosure, Vec<String>) {
    let disclosure = Disclosure {
        form: tree_digest(form),
        parts: found.parts,
        files: found.files,
        purpose: ground.purpose,
        legal_basis: ground.legal_basis,
        ends: ground.ends,
        onward: false,
        selection,
    };
    (disclosure, found.missing)
}
