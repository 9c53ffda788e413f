//! What is due, from what the log says about its tokens, the settings, and what is asked.

use std::collections::BTreeMap;

use kontor_pki::{crypto::DigestAlgorithm, time::UnixTime};

use super::{RenewalOrder, RenewalStats, state::State};
use crate::{config::renewal::RenewalSettings, messagelog::numbers::NumberSet};

/// See the module.
#[derive(Debug)]
pub(super) struct Plan {
    /// The digest of first archive time-stamps.
    pub(super) first_digest: DigestAlgorithm,
    /// Time-stamp entries whose messages get their first archive time-stamp.
    pub(super) stamps: NumberSet,
    /// Renewals whose token is renewed, by the digest of their trees.
    pub(super) timestamps: BTreeMap<&'static str, (DigestAlgorithm, NumberSet)>,
    /// Renewals whose messages get a new tree.
    pub(super) trees: NumberSet,
    /// Tokens among these that have ended.
    pub(super) late: u64,
    /// When the first of these ends.
    pub(super) first_end: Option<UnixTime>,
}

/// By what a plan is made.
pub(super) struct Measure<'a> {
    pub(super) settings: &'a RenewalSettings,
    pub(super) now: UnixTime,
    /// The digest of new trees.
    pub(super) digest: DigestAlgorithm,
    /// The end of a token that could be had: what lasts as long need not be renewed by it.
    pub(super) limit: Option<UnixTime>,
}

impl Plan {
    pub(super) fn make(state: &State, order: &RenewalOrder, by: &Measure<'_>) -> Self {
        let soon = |end: UnixTime| end.since(by.now) <= by.settings.before;
        let ends = |digest| by.settings.end_of_digest(digest);
        let mut plan = Self {
            first_digest: DigestAlgorithm::Sha512,
            stamps: NumberSet::default(),
            timestamps: BTreeMap::new(),
            trees: NumberSet::default(),
            late: 0,
            first_end: None,
        };
        let (mut late, mut first_end) = (0, None::<UnixTime>);
        let mut note = |end: UnixTime, count: u64| {
            late += if end <= by.now { count } else { 0 };
            first_end = Some(first_end.map_or(end, |first| first.min(end)));
        };
        // X-Road hashes by SHA-512, from the message up to what is stamped (wire 5.2), and so the digests are at hand: first
        // trees are by it as long as it holds.
        let chain = ends(DigestAlgorithm::Sha512);
        let asked = order.digest.is_some() && by.digest != DigestAlgorithm::Sha512;
        let needs_data = asked || chain.is_some_and(soon);
        plan.first_digest = if needs_data {
            by.digest
        } else {
            DigestAlgorithm::Sha512
        };
        for stamps in &state.stamps {
            let end = stamps.footing.end(by.settings);
            let end = chain.map_or(end, |chain| chain.min(end));
            let helps = order.all || by.limit.is_none_or(|limit| end < limit);
            if asked || order.all || (soon(end) && helps) {
                let numbers = match needs_data && !asked {
                    true => stamps.numbers.without(&state.stuck),
                    false => stamps.numbers.clone(),
                };
                if !numbers.is_empty() {
                    note(end, numbers.len());
                }
                plan.stamps.extend(&numbers);
            }
        }
        for (number, kept) in state.kept.iter().filter(|(_, kept)| !kept.live.is_empty()) {
            let Some(digest) = kept.digest() else { continue };
            let end = kept.footing.end(by.settings);
            let tree_end = ends(digest);
            let other = digest != by.digest;
            let can = || !kept.live.without(&state.gone).is_empty();
            let tree = other && (order.digest.is_some() || (tree_end.is_some_and(soon) && can()));
            let helps = order.all || by.limit.is_none_or(|limit| end < limit);
            // With a new tree the token is renewed too; what cannot have one needs its token all the same when it is due.
            let token = (soon(end) && helps) || (order.all && !tree);
            if tree {
                plan.trees.insert(*number);
                note(tree_end.map_or(end, |tree_end| tree_end.min(end)), 1);
            } else if token {
                note(end, 1);
            }
            if token {
                let of_digest = plan.timestamps.entry(digest.name());
                of_digest
                    .or_insert_with(|| (digest, NumberSet::default()))
                    .1
                    .insert(*number);
            }
        }
        (plan.late, plan.first_end) = (late, first_end);
        plan
    }

    pub(super) fn is_empty(&self) -> bool {
        self.stamps.is_empty() && self.timestamps.is_empty() && self.trees.is_empty()
    }

    /// Renewals whose token is renewed.
    pub(super) fn renewals(&self) -> u64 {
        self.timestamps.values().map(|(_, numbers)| numbers.len()).sum()
    }
}

/// When the first token that counts ends, whether due or not.
pub(super) fn first_end(state: &State, settings: &RenewalSettings) -> Option<UnixTime> {
    let stamps = state.stamps.iter().map(|stamps| stamps.footing.end(settings));
    let kept = state.kept.values().filter(|kept| !kept.live.is_empty());
    stamps.chain(kept.map(|kept| kept.footing.end(settings))).min()
}

/// Puts what is due into the numbers that health shows.
pub(super) fn tell(plan: &Plan, first_end: Option<UnixTime>, stats: &mut RenewalStats) {
    stats.first_end = first_end;
    stats.due = plan.stamps.len() + plan.renewals() + plan.trees.len();
    stats.late = plan.late;
}
