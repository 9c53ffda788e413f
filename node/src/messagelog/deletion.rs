//! What was deleted and what may not be: reads deletions and holds back from their entries, and says of a part that is gone
//! whether it was deleted, and by which entry, or lost. A key that is missing without a deletion is damage.

use std::collections::BTreeMap;

use kontor_protocol::log::EntryKind;
use serde::{Deserialize, Serialize};

use super::{
    archive::ArchivedCopies,
    error::LogError,
    fact::{Acted, LoggedFact},
    keytree::BlobClass,
    numbers::NumberSet,
    quarantine,
    read::Reader,
};

/// What a deletion says. The numbers concerned stand beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deleted {
    /// The rule, for example `days = 7d`.
    pub rule: String,
    /// Which part of each entry: `head`, `body` or `evidence`.
    pub part: String,
    /// Retention class of the part.
    pub class: String,
    /// Key period: year times 100 plus month, UTC.
    pub month: u32,
    /// Whether the key file of the month goes as a whole.
    pub whole_month: bool,
    /// Why it was done now.
    pub ground: String,
    /// How many entries.
    pub entries: u64,
    /// Who ordered it, for a deletion under the rule `order`: a court, a case, a request.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<String>,
    /// The user who gave that order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub who: Option<String>,
    /// Archives that still hold copies of it, which no deletion in this log reaches.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub archived: Option<ArchivedCopies>,
}

/// What a hold says. The numbers concerned stand beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Held {
    /// Why nothing of them may be deleted.
    pub ground: String,
    /// Who ordered it.
    pub who: String,
}

/// What the end of a hold says. The numbers that are free again stand beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// Entry of the hold.
    pub hold: u64,
    /// Why it ends.
    pub ground: String,
    /// Who ordered it.
    pub who: String,
}

/// A deletion as it was recorded.
#[derive(Debug, Clone)]
pub(crate) struct Deletion {
    pub(crate) number: u64,
    pub(crate) said: Deleted,
    pub(crate) numbers: NumberSet,
}

impl Deletion {
    pub(crate) fn of(fact: LoggedFact) -> Option<Self> {
        Some(Self {
            number: fact.number,
            said: fact.said()?,
            numbers: fact.numbers,
        })
    }

    pub(crate) fn class(&self) -> Option<BlobClass> {
        class_of(&self.said.part)
    }
}

/// The part of an entry with this name.
pub(crate) fn class_of(part: &str) -> Option<BlobClass> {
    [BlobClass::Head, BlobClass::Body, BlobClass::Evidence]
        .into_iter()
        .find(|class| class.name() == part)
}

impl Reader {
    /// Deletions that concern a number from `first` to `last`, in order.
    pub(crate) fn deletions(&mut self, first: u64, last: u64) -> Result<Vec<Deletion>, LogError> {
        let mut deletions = Vec::new();
        for mark in self.marks().of_kind(EntryKind::Deletion) {
            let (least, greatest) = mark.span;
            if mark.number >= self.entries() || least > last || greatest < first || mark.number < first {
                continue;
            }
            let fact = self.fact(mark.number)?;
            let runs = fact.numbers.runs();
            if let (Some((least, _)), Some(greatest)) = (runs.first(), fact.numbers.last()) {
                let span = (*least, greatest);
                self.marks().narrow(mark.number, span);
                if span.0 > last || span.1 < first {
                    continue;
                }
            }
            deletions.extend(Deletion::of(fact));
        }
        Ok(deletions)
    }

    /// Which numbers from `first` to `last` have lost which part by a deletion.
    pub(crate) fn deleted(
        &mut self,
        first: u64,
        last: u64,
    ) -> Result<BTreeMap<&'static str, NumberSet>, LogError> {
        let mut deleted = BTreeMap::<_, NumberSet>::new();
        for deletion in self.deletions(first, last)? {
            if let Some(class) = deletion.class() {
                deleted.entry(class.name()).or_default().extend(&deletion.numbers);
            }
        }
        Ok(deleted)
    }

    /// Turns the news that a part is gone into the reason: deleted under a rule by an entry, or lost.
    pub(crate) fn explain(&mut self, error: LogError) -> LogError {
        let LogError::Forgotten { number, part } = error else {
            return error;
        };
        let deletions = match self.deletions(number, number) {
            Ok(deletions) => deletions,
            Err(error) => return error,
        };
        let by = deletions
            .into_iter()
            .find(|deletion| deletion.said.part == part && deletion.numbers.contains(number));
        match by {
            Some(by) => LogError::Deleted {
                number,
                part,
                rule: by.said.rule,
                entry: by.number,
            },
            None if class_of(part).is_some_and(|class| self.is_dropped(number, class).unwrap_or(false)) => {
                let archived = class_of(part).map_or(Ok(None), |class| self.archived(number, class));
                archived.map_or_else(|error| error, |archived| archived.unwrap_or(error))
            }
            None => match self.quarantined(number, number) {
                Ok(acts) => match acts.first() {
                    Some((entry, _)) => LogError::Quarantined {
                        number,
                        part,
                        entry: *entry,
                    },
                    None => LogError::Lost { number, part },
                },
                Err(error) => error,
            },
        }
    }

    /// Acts of quarantine that concern a number from `first` to `last`, with all their numbers.
    pub(crate) fn quarantined(&mut self, first: u64, last: u64) -> Result<Vec<(u64, NumberSet)>, LogError> {
        let mut acts = Vec::new();
        for mark in self.marks().of_kind(EntryKind::Act) {
            if mark.number >= self.entries() {
                continue;
            }
            let fact = self.fact(mark.number)?;
            let is_it = fact
                .said::<Acted>()
                .is_some_and(|said| said.act == quarantine::ACT);
            let numbers = fact.numbers;
            if is_it && numbers.iter().any(|number| (first..=last).contains(&number)) {
                acts.push((mark.number, numbers));
            }
        }
        Ok(acts)
    }

    /// Holds that were not released: entry, what it says, the numbers.
    pub(crate) fn holds(&mut self) -> Result<Vec<(u64, Held, NumberSet)>, LogError> {
        let mut released = Vec::new();
        for mark in self.marks().of_kind(EntryKind::HoldReleased) {
            released.extend(self.fact(mark.number)?.said::<Released>().map(|said| said.hold));
        }
        let mut holds = Vec::new();
        for mark in self.marks().of_kind(EntryKind::Hold) {
            if released.contains(&mark.number) {
                continue;
            }
            let fact = self.fact(mark.number)?;
            let said = fact.said().unwrap_or_else(|| Held {
                ground: "recorded by a later version".into(),
                who: String::new(),
            });
            holds.push((mark.number, said, fact.numbers));
        }
        Ok(holds)
    }
}
