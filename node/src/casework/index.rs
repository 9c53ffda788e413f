//! What lists and searches need of every case, in memory: the clear columns at once, names and numbers as they are unsealed.
//! Nothing of it is written anywhere; it is made anew at every start.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock};

use jiff::Timestamp;
use jiff::civil::Date;
use kontor_participation::case::Status;
use kontor_participation::transfer::Responsibility;
use kontor_participation::transfer::offer::Id;

use super::Principal;
use super::row::{CaseRecord, CaseRow};

/// Newest first; the id makes places unique.
pub(super) type Place = (Reverse<Timestamp>, Id);

struct Entry {
    status: Status,
    unit: Option<Box<str>>,
    assignee: Option<Box<str>>,
    responsibility: Responsibility,
    follow_up: Option<Date>,
    delete_at: Option<Timestamp>,
    purged: bool,
    /// Lower case; `None` while it is sealed.
    words: Option<Box<str>>,
}

#[derive(Default)]
struct Inner {
    entries: BTreeMap<Place, Entry>,
    places: HashMap<Id, Place>,
    sealed: usize,
}

/// See the module.
#[derive(Default)]
pub(super) struct Index(RwLock<Inner>);

/// Which cases.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum List {
    /// Those of who asks.
    Mine,
    /// All that may be seen.
    #[default]
    All,
    /// Those of nobody.
    Unassigned,
}

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) list: List,
    /// By its name in the interface.
    pub(crate) status: Option<String>,
    /// In name, number, title or reference.
    pub(crate) words: Option<String>,
    /// Also what is another authority's, or was deleted.
    pub(crate) everything: bool,
    /// Follow-up due on or before.
    pub(crate) follow_up_by: Option<Date>,
}

/// A page of a list.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) ids: Vec<Id>,
    /// Where the next page begins.
    pub(crate) next: Option<Id>,
    /// How many there are in each state, of this list without the wish for a state.
    pub(crate) counts: BTreeMap<&'static str, usize>,
    /// Follow-ups that are due.
    pub(crate) follow_ups: usize,
    /// Names are not all unsealed yet: a search may miss some.
    pub(crate) partial: bool,
}

/// What a search by words looks into.
fn words(record: &CaseRecord) -> Box<str> {
    let all = [
        Some(record.number.as_str()),
        Some(record.title.as_str()),
        record.applicant.as_deref(),
        record.file_reference.as_deref(),
        record.instance_number.as_deref(),
        record.foreign_number.as_deref(),
    ];
    let all: Vec<&str> = all.into_iter().flatten().collect();
    all.join("\n").to_lowercase().into_boxed_str()
}

impl Index {
    /// Takes a case as it is now.
    pub(super) fn put(&self, case: &CaseRow, record: Option<&CaseRecord>) {
        let place = (Reverse(case.received_here_at), case.id.clone());
        let open = case
            .follow_ups
            .iter()
            .filter(|it| !it.done)
            .map(|it| it.date)
            .min();
        let words = record.map(words);
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let sealed = usize::from(words.is_none());
        let entry = Entry {
            status: case.status,
            unit: case.unit.as_deref().map(Into::into),
            assignee: case.assignee.as_deref().map(Into::into),
            responsibility: case.responsibility,
            follow_up: open,
            delete_at: case.delete_at.filter(|_| case.hold.is_none()),
            purged: case.purged_at.is_some(),
            words,
        };
        inner.places.insert(case.id.clone(), place.clone());
        let before = inner.entries.insert(place, entry);
        let was_sealed = usize::from(before.is_some_and(|before| before.words.is_none()));
        inner.sealed = (inner.sealed + sealed).saturating_sub(was_sealed);
    }

    /// Whether the names of a case are missing.
    pub(super) fn is_sealed(&self, id: &Id) -> bool {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let entry = inner.places.get(id).and_then(|place| inner.entries.get(place));
        entry.is_some_and(|entry| entry.words.is_none())
    }

    /// Adds the names of a case, unless they are there.
    pub(super) fn name(&self, id: &Id, record: Option<&CaseRecord>) {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let Inner {
            entries,
            places,
            sealed,
        } = &mut *inner;
        let entry = places.get(id).and_then(|place| entries.get_mut(place));
        if let Some(entry) = entry.filter(|entry| entry.words.is_none()) {
            // A record that was forgotten has none, and nothing is missing then.
            entry.words = Some(record.map(words).unwrap_or_default());
            *sealed = sealed.saturating_sub(1);
        }
    }

    /// A page of what is wanted, as far as it may be seen.
    pub(super) fn find(
        &self,
        who: &Principal,
        wanted: &Wanted,
        today: Date,
        after: Option<&Id>,
        most: usize,
    ) -> Page {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let words = wanted.words.as_ref().map(|words| words.to_lowercase());
        let after = after.and_then(|id| inner.places.get(id));
        let mut page = Page {
            partial: words.is_some() && inner.sealed > 0,
            ..Page::default()
        };
        for (place, entry) in &inner.entries {
            let ours = entry.responsibility != Responsibility::Theirs && !entry.purged;
            let listed = match wanted.list {
                List::Mine => entry.assignee.as_deref() == Some(who.pseudonym.as_str()),
                List::All => true,
                List::Unassigned => entry.assignee.is_none(),
            };
            let named = words.as_ref().is_none_or(|words| {
                entry
                    .words
                    .as_ref()
                    .is_some_and(|all| all.contains(words.as_str()))
            });
            if !(listed && named && (ours || wanted.everything) && who.sees(entry.unit.as_deref())) {
                continue;
            }
            let due = entry.follow_up.is_some_and(|date| date <= today);
            *page.counts.entry(entry.status.name()).or_default() += 1;
            page.follow_ups += usize::from(due);
            let fits = wanted
                .status
                .as_ref()
                .is_none_or(|status| entry.status.name() == status)
                && wanted
                    .follow_up_by
                    .is_none_or(|by| entry.follow_up.is_some_and(|date| date <= by));
            if !fits || after.is_some_and(|after| place <= after) {
                continue;
            }
            if page.ids.len() == most {
                page.next = page.next.or_else(|| page.ids.last().cloned());
                continue;
            }
            page.ids.push(place.1.clone());
        }
        page
    }

    /// Cases whose content is to be deleted by now.
    pub(super) fn due(&self, now: Timestamp) -> Vec<Id> {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let due = inner
            .entries
            .iter()
            .filter(|(_, entry)| !entry.purged && entry.delete_at.is_some_and(|at| at <= now));
        due.map(|(place, _)| place.1.clone()).collect()
    }

    /// How many cases there are.
    pub(super) fn len(&self) -> usize {
        self.0
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .entries
            .len()
    }
}
