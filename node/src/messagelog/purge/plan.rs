//! What is due. Owns `log/purge.state`, which says up to which entry everything of a class was looked at, so that a purge does
//! not read all leaves again; lost, it costs that reading.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use kontor_pki::time::UnixTime;
use kontor_protocol::log::{EntryKind, Leaf, RetentionClass};
use serde::{Deserialize, Serialize};

use crate::{
    config::retention::{Kept, Schedule},
    disk,
    messagelog::{
        error::LogError, identity::Home, keytree::BlobClass, leaf, numbers::NumberSet, read::Reader,
    },
};

const LIMIT: usize = 16 * 1024 * 1024;

/// Parts of entries that share a key tree and are due.
pub(super) struct Due {
    pub(super) part: BlobClass,
    pub(super) class: RetentionClass,
    pub(super) month: u32,
    pub(super) numbers: NumberSet,
    /// Whether nothing else needs the tree.
    pub(super) whole_month: bool,
}

/// How far each class was looked at.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(in crate::messagelog) struct State {
    format: u32,
    classes: BTreeMap<String, Looked>,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Looked {
    /// Every entry below was due and is deleted or on hold.
    upto: u64,
    /// Key trees that entries on hold need, as `PART.MONTH`.
    held: BTreeSet<String>,
}

impl State {
    /// Reads it; whatever does not read is as good as none.
    pub(in crate::messagelog) fn load(home: &Home) -> Self {
        let read = disk::read_all(&*home.disk, &home.layout.purge_state(), LIMIT);
        let state: Option<Self> = read.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok());
        state.filter(|state| state.format == 1).unwrap_or(Self {
            format: 1,
            ..Self::default()
        })
    }

    pub(in crate::messagelog) fn save(&self, home: &Home) -> Result<(), LogError> {
        let path = home.layout.purge_state();
        let bytes = serde_json::to_vec(self).expect("numbers and strings always serialise");
        disk::replace(&*home.disk, &path, &bytes).map_err(LogError::io("could not write", &path))
    }

    /// Looks again from an entry on, because it is not on hold any more.
    pub(in crate::messagelog) fn look_again(&mut self, from: u64) {
        for looked in self.classes.values_mut().filter(|looked| looked.upto > from) {
            looked.upto = from;
            looked.held.clear();
        }
    }
}

/// See the module.
pub(super) struct Plan {
    pub(super) due: Vec<Due>,
    pub(super) on_hold: u64,
    /// To be kept when it is carried out.
    pub(super) state: State,
}

impl Plan {
    pub(super) fn make(reader: &mut Reader, schedule: &Schedule, now: UnixTime) -> Result<Self, LogError> {
        let mut held = NumberSet::default();
        for (_, _, numbers) in reader.holds()? {
            held.extend(&numbers);
        }
        let mut plan = Self {
            due: Vec::new(),
            on_hold: 0,
            state: State::load(reader.home()),
        };
        for (class, kept) in schedule.classes() {
            if kept != Kept::Always {
                plan.look(reader, class, kept, &held, now)?;
            }
        }
        Ok(plan)
    }

    fn look(
        &mut self,
        reader: &mut Reader,
        class: &RetentionClass,
        kept: Kept,
        held: &NumberSet,
        now: UnixTime,
    ) -> Result<(), LogError> {
        let looked = self.state.classes.entry(class.as_str().to_owned()).or_default();
        let (from, now_second, this_month) = (looked.upto, Leaf::second_of(now), leaf::period(now));
        let mut due = BTreeMap::<(&'static str, u32), (BlobClass, NumberSet)>::new();
        let (mut next, mut month_of_next, mut on_hold) = (reader.entries().max(from), this_month, 0);
        reader.each_leaf(from, &mut |number, bytes| {
            // A leaf that was lost names no class.
            let Ok(leaf) = Leaf::parse(bytes) else {
                return ControlFlow::Continue(());
            };
            if kept.until(leaf.second).is_none_or(|until| until > now_second) {
                (next, month_of_next) = (number, leaf.period);
                return ControlFlow::Break(());
            }
            // A token proves the time of others: it stays while one of them has to.
            let proves = matches!(leaf.kind, EntryKind::TimeStamp | EntryKind::Renewal);
            let stays = held.contains(number) || (proves && !held.is_empty());
            for part in [BlobClass::Head, BlobClass::Body, BlobClass::Evidence] {
                match leaf::key_of(&leaf, part) {
                    Some((_, retention)) if retention != *class => continue,
                    None => continue,
                    Some(_) if stays => {
                        on_hold += 1;
                        looked.held.insert(format!("{}.{}", part.name(), leaf.period));
                    }
                    Some((month, _)) => {
                        let numbers = due.entry((part.name(), month));
                        numbers
                            .or_insert_with(|| (part, NumberSet::default()))
                            .1
                            .insert(number);
                    }
                }
            }
            ControlFlow::Continue(())
        })?;
        looked.upto = next;
        self.on_hold += on_hold;
        let needed = looked.held.clone();
        for ((name, month), (part, numbers)) in due {
            let numbers = not_deleted(reader, name, numbers)?;
            if numbers.is_empty() {
                continue;
            }
            // The writer makes keys for the month it is: the file of one that is over is all that goes as a whole.
            let over = month < month_of_next && month < this_month;
            self.due.push(Due {
                part,
                class: class.clone(),
                month,
                whole_month: over && !needed.contains(&format!("{name}.{month}")),
                numbers,
            });
        }
        Ok(())
    }
}

/// What no earlier deletion names.
pub(super) fn not_deleted(
    reader: &mut Reader,
    part: &str,
    numbers: NumberSet,
) -> Result<NumberSet, LogError> {
    let (Some((first, _)), Some(last)) = (numbers.runs().first().copied(), numbers.last()) else {
        return Ok(numbers);
    };
    match reader.deleted(first, last)?.get(part) {
        Some(gone) => Ok(numbers.without(gone)),
        None => Ok(numbers),
    }
}
