//! Deletion of given entries, as a court or a person's right orders it. Owns what may be deleted so: messages, failure
//! closures and looks. Entries about the log itself name nobody and prove others; inside a range they are left and told.

use std::{collections::BTreeMap, ops::ControlFlow, str::FromStr};

use kontor_protocol::log::{EntryKind, Leaf};
use serde::{Deserialize, Serialize};

use super::plan::{Due, not_deleted};
use crate::messagelog::{error::LogError, keytree::BlobClass, leaf, numbers::NumberSet, read::Reader};

/// The rule that a deletion on order names.
pub(super) const RULE: &str = "order";
/// Kept entries that are told one by one.
const TOLD: usize = 1000;

/// A part of an entry that can be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Part {
    /// The message and its ids.
    Head,
    /// The body.
    Body,
    /// Signature and digests.
    Evidence,
}

impl Part {
    /// All of an entry but its leaf.
    pub const ALL: [Self; 3] = [Self::Head, Self::Body, Self::Evidence];

    fn class(self) -> BlobClass {
        match self {
            Self::Head => BlobClass::Head,
            Self::Body => BlobClass::Body,
            Self::Evidence => BlobClass::Evidence,
        }
    }
}

impl FromStr for Part {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let part = Self::ALL.into_iter().find(|part| part.class().name() == text);
        part.ok_or_else(|| format!("`{text}` is no part of an entry: write head, body or evidence"))
    }
}

/// Entries to be deleted whatever their retention classes say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Given {
    /// Which.
    pub numbers: NumberSet,
    /// Which parts of each.
    pub parts: Vec<Part>,
    /// Who ordered it, as the person at the keyboard says: a court, a case, a person's request.
    pub by: Option<String>,
    /// The user who gave the order, as the system says.
    pub who: String,
}

/// An entry that an order leaves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftEntry {
    /// Its number.
    pub number: u64,
    /// What it is, for example `time-stamp`.
    pub kind: String,
}

/// What an order deletes and what it leaves.
pub(super) struct Ordered {
    pub(super) due: Vec<Due>,
    /// The first entries about the log itself, as many as are told.
    pub(super) left: Vec<LeftEntry>,
    /// Parts that are deleted already.
    pub(super) already: u64,
}

fn may_go(kind: EntryKind) -> bool {
    matches!(
        kind,
        EntryKind::Request | EntryKind::Response | EntryKind::FailureClosure | EntryKind::Look
    )
}

impl Ordered {
    /// Looks at every entry that is given. Nothing is deleted when one of them is on hold or not there.
    pub(super) fn make(reader: &mut Reader, given: &Given) -> Result<Self, LogError> {
        if let Some(number) = given.numbers.last().filter(|last| *last >= reader.entries()) {
            return Err(LogError::NotFound { number });
        }
        for (hold, _, numbers) in reader.holds()? {
            let held: NumberSet = given.numbers.both(&numbers);
            if !held.is_empty() {
                return Err(LogError::OnHold {
                    numbers: held.short(),
                    hold,
                });
            }
        }
        let mut ordered = Self {
            due: Vec::new(),
            left: Vec::new(),
            already: 0,
        };
        let mut trees = BTreeMap::<_, (Due, u64)>::new();
        let (mut found, mut unread) = (0, None);
        for run in given.numbers.runs() {
            reader.each_leaf(run.0, &mut |number, bytes| {
                if number >= run.1 {
                    return ControlFlow::Break(());
                }
                let Ok(leaf) = Leaf::parse(bytes) else {
                    unread.get_or_insert(number);
                    return ControlFlow::Continue(());
                };
                if !may_go(leaf.kind) {
                    if ordered.left.len() < TOLD {
                        ordered.left.push(LeftEntry {
                            number,
                            kind: leaf.kind.name().into(),
                        });
                    }
                    return ControlFlow::Continue(());
                }
                found += 1;
                for part in &given.parts {
                    let part = part.class();
                    if let Some((month, class)) = leaf::key_of(&leaf, part) {
                        let key = (part.name(), class.as_str().to_owned(), month);
                        let tree = trees.entry(key).or_insert_with(|| {
                            let due = Due {
                                part,
                                class,
                                month,
                                numbers: NumberSet::default(),
                                whole_month: false,
                            };
                            (due, 0)
                        });
                        tree.0.numbers.insert(number);
                        tree.1 += 1;
                    }
                }
                ControlFlow::Continue(())
            })?;
        }
        if let Some(number) = unread {
            return Err(LogError::Damaged {
                report: format!("the leaf of entry {number} does not read, so nothing was deleted"),
            });
        }
        if found == 0 {
            return Err(match ordered.left.first() {
                Some(left) => LogError::Unsuited {
                    number: left.number,
                    found: format!("a {}", left.kind),
                    wanted: "a message, a failure closure or a look; entries about the log itself name nobody and stay",
                },
                None => LogError::NotFound { number: 0 },
            });
        }
        for (mut due, all) in trees.into_values() {
            due.numbers = not_deleted(reader, due.part.name(), due.numbers)?;
            ordered.already += all - due.numbers.len();
            if !due.numbers.is_empty() {
                ordered.due.push(due);
            }
        }
        Ok(ordered)
    }
}
