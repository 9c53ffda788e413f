//! The sheet of a request: exactly what a participant gets to see, as a document, with the manifest of the files beside it.
//!
//! It holds the disclosed places with the headings above them and nothing of what lies beside: no names, no labels, no sizes, no
//! places in the original tree, no members that nobody knows. How much more there is stands in it as a count, where a person chose;
//! where a list of a recipient class chose, its name and version stand there and no count.

use jiff::civil::Date;
use serde::{Deserialize, Serialize};

use super::{Disclosure, DisclosureError, FormPart, Held, Right, Selection};
use crate::application::manifest::{File, Manifest, Role};
use crate::application::{Content, Extras, Form, Node};
use crate::round::profile::{Text, Versioned};

/// What a sheet says of itself.
pub const FORMAT: &str = "kontor-disclosure/1";
/// The name of the sheet in the manifest.
pub const NAME: &str = "disclosure.json";

/// What is asked, and what the participant has to know.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Cover {
    /// The question.
    pub question: String,
    /// By which profile.
    pub profile: Versioned,
    /// Its name.
    pub profile_name: Text,
    /// What silence means.
    pub silence: Text,
    /// The only topics that a statement is wanted on; none: all.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub topics: Vec<String>,
    /// Role and unit to write to.
    pub contact: String,
}

/// A file as it is shown.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct ShownFile {
    /// Which, in the manifest.
    pub file_id: String,
    /// What may be done with it.
    pub right: Right,
    /// Whether it is a redacted copy; of what, stays in the house.
    #[serde(default)]
    pub redacted: bool,
}

/// How much more there is.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct More {
    /// Fields of the form.
    pub fields: u32,
    /// Files; the original of a redacted copy is none of them.
    pub files: u32,
}

/// The sheet.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Sheet {
    /// [`FORMAT`].
    pub format: String,
    /// What is asked.
    pub cover: Cover,
    /// Name of the form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub form_name: Option<String>,
    /// The disclosed places, with the headings above them.
    pub items: Vec<Node>,
    /// What may be done with them, by places in `items`.
    pub parts: Vec<FormPart>,
    /// Files.
    pub files: Vec<ShownFile>,
    /// For what.
    pub purpose: String,
    /// On which ground.
    pub legal_basis: String,
    /// The last day on which it may be seen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Date>,
    /// Whether it may be shown to an adviser.
    pub onward: bool,
    /// By which list, where one chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filter: Option<Versioned>,
    /// How much more there is, where a person chose.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub more: Option<More>,
}

/// A sheet with its bytes, and the manifest of everything that goes with it: the sheet first.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Package {
    /// The sheet.
    pub sheet: Sheet,
    /// Its bytes.
    pub sheet_bytes: Vec<u8>,
    /// Sheet and files, in the order in which they are pulled.
    pub manifest: Manifest,
}

impl Disclosure {
    /// Makes what the participant gets, and only that. `sheet_id` is the file id of the sheet, `salt` is of the manifest.
    ///
    /// # Errors
    /// As [`Disclosure::check`].
    pub fn package(
        &self,
        form: &Form,
        held: &[Held],
        cover: Cover,
        sheet_id: String,
        salt: [u8; 32],
    ) -> Result<Package, DisclosureError> {
        let sheet = self.sheet(form, held, cover)?;
        let unwritable = |error: String| DisclosureError::Unwritable(error);
        let sheet_bytes = serde_json::to_vec(&sheet).map_err(|error| unwritable(error.to_string()))?;
        let own = File::of(
            sheet_id,
            Role::Data,
            NAME.to_owned(),
            "application/json".to_owned(),
            &sheet_bytes,
        );
        let shown = self.files.iter().filter_map(|part| {
            let held = held.iter().find(|held| held.file.file_id == part.file_id)?;
            // The group is a name of the form, which may not be shown.
            Some(File {
                group: None,
                ..held.file.clone()
            })
        });
        let files = [own].into_iter().chain(shown).collect();
        let manifest = Manifest::new(files, salt).map_err(|error| unwritable(error.to_string()))?;
        Ok(Package {
            sheet,
            sheet_bytes,
            manifest,
        })
    }

    fn sheet(&self, form: &Form, held: &[Held], cover: Cover) -> Result<Sheet, DisclosureError> {
        self.check(form, held)?;
        let mut reducing = Reducing {
            parts: &self.parts,
            shown: Vec::new(),
            hidden: 0,
        };
        let items = reducing.items(&form.items, &mut Vec::new(), &mut Vec::new(), false);
        let files = self.files.iter().filter_map(|part| {
            let held = held.iter().find(|held| held.file.file_id == part.file_id)?;
            Some(ShownFile {
                file_id: part.file_id.clone(),
                right: part.right,
                redacted: held.redacts.is_some(),
            })
        });
        let files: Vec<ShownFile> = files.collect();
        let (filter, more) = match &self.selection {
            Selection::Class(class) => (Some(class.clone()), None),
            Selection::Person { .. } => {
                let hidden = held.iter().filter(|one| self.is_hidden_file(one, held)).count();
                let more = More {
                    fields: reducing.hidden,
                    files: u32::try_from(hidden).unwrap_or(u32::MAX),
                };
                (None, (more != More::default()).then_some(more))
            }
        };
        Ok(Sheet {
            format: FORMAT.to_owned(),
            cover,
            form_name: form.control.name.clone(),
            items,
            parts: reducing.shown,
            files,
            purpose: self.purpose.clone(),
            legal_basis: self.legal_basis.clone(),
            ends: self.ends,
            onward: self.onward,
            filter,
            more,
        })
    }

    fn is_hidden_file(&self, one: &Held, held: &[Held]) -> bool {
        let id = &one.file.file_id;
        let has_copy = held.iter().any(|copy| copy.redacts.as_ref() == Some(id));
        let shown = self.files.iter().any(|part| part.file_id == *id);
        match one.file.role {
            // The form is counted by its fields.
            Role::Data | Role::Dossier => false,
            Role::Representation
            | Role::Attachment
            | Role::Decision
            | Role::MessageAttachment
            | Role::Evidence => !shown && !has_copy,
        }
    }
}

/// A tree while what is not disclosed falls off it.
struct Reducing<'a> {
    parts: &'a [FormPart],
    shown: Vec<FormPart>,
    hidden: u32,
}

impl Reducing<'_> {
    /// What stays of siblings. `at` leads to them in the original, `to` in what stays; `disclosed`: something above them is.
    fn items(
        &mut self,
        items: &[Node],
        at: &mut Vec<usize>,
        to: &mut Vec<usize>,
        disclosed: bool,
    ) -> Vec<Node> {
        let mut kept = Vec::new();
        for (index, node) in items.iter().enumerate() {
            at.push(index);
            to.push(kept.len());
            if let Some(node) = self.node(node, at, to, disclosed) {
                kept.push(node);
            }
            at.pop();
            to.pop();
        }
        kept
    }

    fn node(
        &mut self,
        node: &Node,
        at: &mut Vec<usize>,
        to: &mut Vec<usize>,
        disclosed: bool,
    ) -> Option<Node> {
        let own = self
            .parts
            .iter()
            .find(|part| part.at == *at)
            .map(|part| part.right);
        let disclosed = disclosed || own.is_some();
        if let Some(right) = own {
            self.shown.push(FormPart {
                at: to.clone(),
                right,
            });
        }
        let content = match &node.content {
            Content::Group(inner) => {
                let inner = self.items(inner, at, to, disclosed);
                if inner.is_empty() && !disclosed {
                    return None;
                }
                Content::Group(inner)
            }
            leaf if disclosed => leaf.clone(),
            Content::Text(_)
            | Content::Number(_)
            | Content::Date(_)
            | Content::Boolean(_)
            | Content::Nothing => {
                self.hidden = self.hidden.saturating_add(1);
                return None;
            }
        };
        Some(Node {
            name: node.name.clone(),
            label: node.label.clone(),
            content,
            extras: Extras::default(),
        })
    }
}
