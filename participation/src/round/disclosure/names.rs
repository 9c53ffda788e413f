//! Lists of what may be shown, by names: templates for people and lists of recipient classes are of this form. A list is held
//! against a form and gives places and files.
//!
//! A name is a technical name of the form; `#` in it stands for digits, so that repeated groups are named once. A name that means
//! several places among the same siblings is an error, for nobody can have meant both. What is not in the form is told, and is no
//! error.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::{DisclosureError, FilePart, FormPart, Held, Right};
use crate::application::manifest::Role;
use crate::application::{Content, Form, Node};
use crate::round::profile::Versioned;

/// What a list names.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Names {
    /// Beginnings of form ids that it is for; none: every form.
    #[serde(default)]
    pub forms: Vec<String>,
    /// Places of the form, each by the names that lead to it.
    #[serde(default)]
    pub parts: Vec<Vec<String>>,
    /// Groups whose attachments are shown.
    #[serde(default)]
    pub file_groups: Vec<String>,
    /// What may be done with places.
    pub form_right: Right,
    /// What may be done with files.
    pub file_right: Right,
}

/// What a list means for a form.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Found {
    /// Places.
    pub parts: Vec<FormPart>,
    /// Files.
    pub files: Vec<FilePart>,
    /// Names that the form does not have.
    pub missing: Vec<String>,
}

impl Names {
    /// Holds the list against a form and the files of its case.
    ///
    /// # Errors
    /// `template_ambiguous`, `template_other_form`.
    pub fn find(&self, list: &Versioned, form: &Form, held: &[Held]) -> Result<Found, DisclosureError> {
        let id = form.control.form_id.as_deref().unwrap_or_default();
        if !self.forms.is_empty()
            && !self
                .forms
                .iter()
                .any(|beginning| id.starts_with(beginning.as_str()))
        {
            return Err(DisclosureError::OtherForm {
                list: list.clone(),
                form: id.to_owned(),
            });
        }
        let mut found = Found {
            parts: Vec::new(),
            files: Vec::new(),
            missing: Vec::new(),
        };
        for path in &self.parts {
            let mut places = Vec::new();
            places_of(list, path, 0, &form.items, &mut Vec::new(), &mut places)?;
            if places.is_empty() {
                found.missing.push(path.join("/"));
            }
            let right = self.form_right;
            for at in places {
                if !found.parts.iter().any(|part| part.at == at) {
                    found.parts.push(FormPart { at, right });
                }
            }
        }
        let wanted = |held: &&Held| {
            held.file.role == Role::Attachment
                && held
                    .file
                    .group
                    .as_ref()
                    .is_some_and(|group| self.file_groups.iter().any(|name| matches(name, group)))
        };
        for file in held.iter().filter(wanted) {
            // In place of what has a redacted copy, the copy.
            let copy = held
                .iter()
                .find(|copy| copy.redacts.as_ref() == Some(&file.file.file_id));
            found.files.push(FilePart {
                file_id: copy.unwrap_or(file).file.file_id.clone(),
                right: self.file_right,
            });
        }
        Ok(found)
    }
}

fn places_of(
    list: &Versioned,
    path: &[String],
    depth: usize,
    items: &[Node],
    at: &mut Vec<usize>,
    places: &mut Vec<Vec<usize>>,
) -> Result<(), DisclosureError> {
    let Some(name) = path.get(depth) else {
        return Ok(());
    };
    let mut of_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, node) in items.iter().enumerate() {
        if matches(name, &node.name) {
            of_name.entry(&node.name).or_default().push(index);
        }
    }
    let ambiguous = of_name.values().find(|indices| indices.len() > 1);
    if let Some(indices) = ambiguous {
        return Err(DisclosureError::Ambiguous {
            list: list.clone(),
            name: path[..=depth].join("/"),
            count: indices.len(),
        });
    }
    for index in of_name.into_values().flatten() {
        at.push(index);
        match &items[index].content {
            _ if depth + 1 == path.len() => places.push(at.clone()),
            Content::Group(inner) => places_of(list, path, depth + 1, inner, at, places)?,
            Content::Text(_)
            | Content::Number(_)
            | Content::Date(_)
            | Content::Boolean(_)
            | Content::Nothing => {}
        }
        at.pop();
    }
    Ok(())
}

/// Whether a name is meant; `#` stands for one or more digits.
fn matches(pattern: &str, name: &str) -> bool {
    match pattern.split_once('#') {
        None => pattern == name,
        Some((before, after)) => name.strip_prefix(before).is_some_and(|rest| {
            let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
            (1..=digits).any(|taken| matches(after, &rest[taken..]))
        }),
    }
}
