//! What the log knows of its archives: which message lies in which file, and what was dropped from the log because it lies
//! there. Read from the acts that record both, once, and kept in memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kontor_protocol::log::EntryKind;
use serde::{Deserialize, Serialize};

use super::state::{ACT, Recorded};
use crate::messagelog::{
    error::LogError,
    fact::{Acted, LoggedFact},
    keytree::BlobClass,
    numbers::NumberSet,
    read::Reader,
};

/// The name of the act that records that messages were dropped.
pub(in crate::messagelog) const DROP: &str = "archive-drop";

/// What such an act says. The numbers concerned stand beside it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Dropped {
    /// `head`, with the signature document, or `body`.
    pub(super) part: String,
    /// Archives that hold them and were read for it.
    pub(super) files: Vec<String>,
    pub(super) entries: u64,
}

/// Archives that hold copies of what was deleted or held: files that this node does not keep, under a rule of their own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ArchivedCopies {
    /// How many of the entries.
    pub entries: u64,
    /// The archives, as many as are named.
    pub files: Vec<String>,
    /// Archives that are not named.
    #[serde(default)]
    pub further: u64,
}

/// Archives that are named as copies.
const NAMED: usize = 100;

/// One archive, as its entry says.
#[derive(Debug)]
pub(in crate::messagelog) struct Known {
    pub(in crate::messagelog) entry: u64,
    pub(in crate::messagelog) file: String,
    pub(in crate::messagelog) digest: String,
    pub(in crate::messagelog) sha256: String,
    /// Where it was written to.
    pub(in crate::messagelog) place: Option<String>,
    pub(in crate::messagelog) numbers: NumberSet,
    /// Those whose body is in it.
    pub(in crate::messagelog) bodies: NumberSet,
}

/// See the module. Clones share it.
#[derive(Clone, Default)]
pub(in crate::messagelog) struct Catalog(Arc<Mutex<Inner>>);

#[derive(Default)]
struct Inner {
    /// Acts below were read.
    seen: u64,
    archives: Vec<Arc<Known>>,
    heads: NumberSet,
    bodies: NumberSet,
}

impl Inner {
    fn fold(&mut self, fact: &LoggedFact) {
        let Some(said) = fact.said::<Acted>() else {
            return;
        };
        match said.act.as_str() {
            ACT => {
                let Ok(recorded) = serde_json::from_value::<Recorded>(said.details) else {
                    return;
                };
                let mut bodies = NumberSet::default();
                match recorded.bodies {
                    Some(runs) => runs.iter().for_each(|run| bodies.insert_run(run.0, run.1)),
                    // Recorded before archives left any out.
                    None => bodies = fact.numbers.clone(),
                }
                self.archives.push(Arc::new(Known {
                    entry: fact.number,
                    file: recorded.file,
                    digest: recorded.digest,
                    sha256: recorded.sha256,
                    place: recorded.place,
                    numbers: fact.numbers.clone(),
                    bodies,
                }));
            }
            DROP => match serde_json::from_value::<Dropped>(said.details) {
                Ok(dropped) if dropped.part == BlobClass::Body.name() => self.bodies.extend(&fact.numbers),
                Ok(_) => self.heads.extend(&fact.numbers),
                Err(_) => {}
            },
            _ => {}
        }
    }
}

impl Catalog {
    fn held(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// Takes in what was recorded since.
    fn follow_archives(&mut self) -> Result<Catalog, LogError> {
        let catalog = self.catalog().clone();
        let seen = catalog.held().seen;
        let acts = self.marks().of_kind_from(EntryKind::Act, seen);
        for number in acts.into_iter().map(|mark| mark.number) {
            if number >= self.entries() {
                break;
            }
            let fact = match self.fact(number) {
                // Another act, whose class is over, or one that was put aside.
                Err(LogError::Forgotten { .. }) => None,
                fact => Some(fact?),
            };
            let mut held = catalog.held();
            // Another reader may have been here.
            if number >= held.seen {
                held.seen = number + 1;
                fact.iter().for_each(|fact| held.fold(fact));
            }
        }
        Ok(catalog)
    }

    /// All archives, in the order in which they were recorded.
    pub(in crate::messagelog) fn archives(&mut self) -> Result<Vec<Arc<Known>>, LogError> {
        Ok(self.follow_archives()?.held().archives.clone())
    }

    /// The archive that an entry lies in; the newest, if it is in several.
    pub(in crate::messagelog) fn archive_of(&mut self, number: u64) -> Result<Option<Arc<Known>>, LogError> {
        let catalog = self.follow_archives()?;
        let held = catalog.held();
        let known = held
            .archives
            .iter()
            .rev()
            .find(|known| known.numbers.contains(number));
        Ok(known.cloned())
    }

    /// Entries whose message and signature document, or whose body, was dropped from the log.
    pub(in crate::messagelog) fn dropped(&mut self, class: BlobClass) -> Result<NumberSet, LogError> {
        let catalog = self.follow_archives()?;
        let held = catalog.held();
        Ok(match class {
            BlobClass::Head => held.heads.clone(),
            BlobClass::Body => held.bodies.clone(),
            BlobClass::Evidence | BlobClass::Shared => NumberSet::default(),
        })
    }

    /// Whether a part of an entry was dropped.
    pub(in crate::messagelog) fn is_dropped(
        &mut self,
        number: u64,
        class: BlobClass,
    ) -> Result<bool, LogError> {
        let catalog = self.follow_archives()?;
        let held = catalog.held();
        Ok(match class {
            BlobClass::Head => held.heads.contains(number),
            BlobClass::Body => held.bodies.contains(number),
            BlobClass::Evidence | BlobClass::Shared => false,
        })
    }

    /// The archives that hold a part of some of these entries, if any do.
    pub(in crate::messagelog) fn copies(
        &mut self,
        numbers: &NumberSet,
        class: BlobClass,
    ) -> Result<Option<ArchivedCopies>, LogError> {
        let mut copies = ArchivedCopies {
            entries: 0,
            files: Vec::new(),
            further: 0,
        };
        let mut all = NumberSet::default();
        for known in self.archives()? {
            let there = match class {
                BlobClass::Body => &known.bodies,
                _ => &known.numbers,
            };
            let here = there.both(numbers);
            if here.is_empty() {
                continue;
            }
            all.extend(&here);
            match copies.files.len() < NAMED {
                true => copies.files.push(known.file.clone()),
                false => copies.further += 1,
            }
        }
        copies.entries = all.len();
        Ok((copies.entries > 0).then_some(copies))
    }

    /// That a part of an entry is in an archive only, if it is.
    pub(in crate::messagelog) fn archived(
        &mut self,
        number: u64,
        class: BlobClass,
    ) -> Result<Option<LogError>, LogError> {
        if !self.is_dropped(number, class)? {
            return Ok(None);
        }
        let known = self.archive_of(number)?;
        Ok(known.map(|known| LogError::Archived {
            number,
            part: class.name(),
            file: known.file.clone(),
            digest: known.digest.clone(),
        }))
    }
}
