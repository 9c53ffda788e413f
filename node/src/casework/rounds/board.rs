//! What lists need of every request, in memory: the board of those that this house sent and the inbox of those it is asked. Made anew
//! at every start, from columns that are in clear.

use std::collections::{BTreeMap, HashMap};
use std::sync::{PoisonError, RwLock};

use jiff::Timestamp;
use kontor_participation::round::delivery::Side;
use kontor_participation::round::state::State;
use kontor_participation::transfer::offer::Id;

use super::super::Principal;
use super::super::index::List;
use super::super::row::Process;
use super::row::RequestRow;
use crate::config::casework::Role;

/// What ends first comes first, then what has no end yet; the id makes places unique.
type Place = (Timestamp, Id);

struct Entry {
    state: State,
    unit: Option<Box<str>>,
    assignee: Option<Box<str>>,
    case: Option<Id>,
    round: Id,
    question: bool,
    extension: bool,
    notices: bool,
    guest: bool,
}

#[derive(Default)]
struct Side0 {
    entries: BTreeMap<Place, Entry>,
    places: HashMap<Id, Place>,
}

#[derive(Default)]
struct Inner {
    sent: Side0,
    asked: Side0,
    /// When something of a request may fall due.
    due: BTreeMap<(Timestamp, Process), ()>,
    waits: HashMap<Process, Timestamp>,
}

/// See the module.
#[derive(Default)]
pub(in crate::casework) struct Board(RwLock<Inner>);

/// What is looked for.
#[derive(Clone, Debug, Default)]
pub(crate) struct Wanted {
    pub(crate) list: List,
    /// By its name in the protocol.
    pub(crate) state: Option<String>,
    /// Of this round only.
    pub(crate) round: Option<Id>,
    /// Of this case only.
    pub(crate) case: Option<Id>,
    /// Also what has ended.
    pub(crate) everything: bool,
    /// Only what ends before this instant.
    pub(crate) ends_before: Option<Timestamp>,
    /// Only what somebody has to look at: a question, a wish for more time, something overdue.
    pub(crate) attention: bool,
}

/// A page of a list.
#[derive(Debug, Default)]
pub(crate) struct Page {
    pub(crate) ids: Vec<Id>,
    /// Where the next page begins.
    pub(crate) next: Option<Id>,
    /// How many there are in each state, of this list without the wish for a state.
    pub(crate) counts: BTreeMap<&'static str, usize>,
    /// How many somebody has to look at.
    pub(crate) attention: usize,
}

impl Board {
    /// Takes a request as it is now, and when something of it may be due.
    pub(in crate::casework) fn put(&self, row: &RequestRow, due: Option<Timestamp>) {
        let request = row.expected();
        let end = request
            .deadline()
            .map_or(Timestamp::MAX, |deadline| deadline.ends_at);
        let place = (end, row.id().clone());
        let entry = Entry {
            state: request.state(),
            unit: row.unit.as_deref().map(Into::into),
            assignee: row.assignee.as_deref().map(Into::into),
            case: row.case.clone(),
            round: row.body.round_id.clone(),
            question: request.question_open(),
            extension: request.extension_wanted().is_some(),
            notices: !row.notices.is_empty(),
            guest: row.is_of_guest(),
        };
        let process = row.process();
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let side = match row.side() {
            Side::Requester => &mut inner.sent,
            Side::Participant => &mut inner.asked,
        };
        if let Some(before) = side.places.insert(row.id().clone(), place.clone()) {
            side.entries.remove(&before);
        }
        side.entries.insert(place, entry);
        if let Some(before) = inner.waits.remove(&process) {
            inner.due.remove(&(before, process.clone()));
        }
        if let Some(at) = due {
            inner.waits.insert(process.clone(), at);
            inner.due.insert((at, process), ());
        }
    }

    /// What may have fallen due by now; it is handed out once, until it is put anew.
    pub(in crate::casework) fn take_due(&self, now: Timestamp) -> Vec<Process> {
        let mut inner = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let mut taken = Vec::new();
        while let Some(((at, process), ())) = inner.due.first_key_value() {
            if *at > now {
                break;
            }
            let process = process.clone();
            inner.due.pop_first();
            inner.waits.remove(&process);
            taken.push(process);
        }
        taken
    }

    /// A page of what is wanted, as far as it may be seen.
    pub(in crate::casework) fn find(
        &self,
        who: &Principal,
        side: Side,
        wanted: &Wanted,
        after: Option<&Id>,
        most: usize,
    ) -> Page {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let side0 = match side {
            Side::Requester => &inner.sent,
            Side::Participant => &inner.asked,
        };
        let after = after.and_then(|id| side0.places.get(id));
        let mut page = Page::default();
        for (place, entry) in &side0.entries {
            let listed = match wanted.list {
                List::Mine => entry.assignee.as_deref() == Some(who.pseudonym.as_str()),
                List::All => true,
                List::Unassigned => entry.assignee.is_none(),
            };
            let fits = listed
                && (wanted.everything || !has_ended(entry.state))
                && wanted.round.as_ref().is_none_or(|round| entry.round == *round)
                && wanted
                    .case
                    .as_ref()
                    .is_none_or(|case| entry.case.as_ref() == Some(case))
                && wanted.ends_before.is_none_or(|before| place.0 < before)
                && may_see(who, side, entry);
            if !fits {
                continue;
            }
            let attention = entry.question || entry.extension || entry.notices;
            *page.counts.entry(entry.state.name()).or_default() += 1;
            page.attention += usize::from(attention);
            let shown = wanted
                .state
                .as_ref()
                .is_none_or(|state| entry.state.name() == state)
                && (attention || !wanted.attention);
            if !shown || after.is_some_and(|after| place <= after) {
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

    /// How many requests there are: sent, and asked.
    pub(in crate::casework) fn len(&self) -> (usize, usize) {
        let inner = self.0.read().unwrap_or_else(PoisonError::into_inner);
        (inner.sent.entries.len(), inner.asked.entries.len())
    }
}

/// Whether nobody waits for anything of it any more.
const fn has_ended(state: State) -> bool {
    matches!(
        state,
        State::Dropped | State::Declined | State::Revoked | State::Purged | State::Notified
    )
}

fn may_see(who: &Principal, side: Side, entry: &Entry) -> bool {
    match side {
        Side::Requester => who.sees(entry.unit.as_deref()),
        Side::Participant => {
            let has = |role| who.roles.contains(&role);
            let own = entry.assignee.as_deref() == Some(who.pseudonym.as_str());
            let unit = entry.unit.as_deref().is_some_and(|unit| who.units.contains(unit));
            who.only.is_none()
                && !entry.guest
                && (has(Role::Coordinator)
                    || has(Role::Supervisor)
                    || (has(Role::Specialist) && (own || unit)))
        }
    }
}
