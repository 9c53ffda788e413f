//! One renewal: what is due becomes leaves, a token is had for the root over them, and entries record it.

use std::collections::BTreeMap;

use kontor_pki::{
    certificate::Certificate,
    crypto::{DigestAlgorithm, digest},
    evidence_record::{EvidenceError, HashTree, group_value},
    time::UnixTime,
    timestamp::TimestampToken,
};
use tokio::runtime::Handle;

use super::{
    RenewalError, RenewalOrder, RenewalReport, RenewedToken,
    entry::{Chunk, Form},
    objects,
    plan::{self, Measure, Plan},
    records::{Renewals, algorithms},
    state::{Footing, State},
};
use crate::{
    messagelog::{
        MessageLog,
        error::LogError,
        numbers::NumberSet,
        read::{OpenStamp, Reader},
    },
    timestamper::Timestamper,
};

/// Where a progress goes.
pub(super) type Progress = Box<dyn FnMut(u64, u64) + Send>;

/// Leaves after which a progress is told.
const STEP: u64 = 256;

/// See the module. Blocks.
pub(super) struct Run<'a> {
    log: &'a MessageLog,
    order: &'a RenewalOrder,
    digest: DigestAlgorithm,
    timestamper: &'a Timestamper,
    runtime: Handle,
    progress: Progress,
    reader: Reader,
    renewals: Renewals,
    report: RenewalReport,
    /// Messages without the data that the digest needs.
    gone: NumberSet,
    /// Time-stamp entries with such messages.
    stuck: NumberSet,
    done: u64,
    of: u64,
}

/// Leaves that wait for a token.
#[derive(Default)]
struct Gathered {
    chunks: Vec<Chunk>,
    leaves: usize,
}

/// By digest.
type Waiting = BTreeMap<&'static str, (DigestAlgorithm, Gathered)>;

impl<'a> Run<'a> {
    pub(super) fn new(
        log: &'a MessageLog,
        order: &'a RenewalOrder,
        digest: DigestAlgorithm,
        timestamper: &'a Timestamper,
        runtime: Handle,
        progress: Progress,
    ) -> Self {
        Self {
            log,
            order,
            digest,
            timestamper,
            runtime,
            progress,
            reader: log.reader(),
            renewals: Renewals::default(),
            report: RenewalReport::default(),
            gone: NumberSet::default(),
            stuck: NumberSet::default(),
            done: 0,
            of: 0,
        }
    }

    pub(super) fn run(mut self) -> Result<RenewalReport, RenewalError> {
        let ended = self.all();
        let (gone, stuck) = (std::mem::take(&mut self.gone), std::mem::take(&mut self.stuck));
        let settings = &*self.log.renewal.settings;
        let now = self.log.clock.now();
        // What was recorded is taken in also when the rest failed.
        let looked = self.log.with_renewals(|state| {
            state.gone.extend(&gone);
            state.stuck.extend(&stuck);
            let left = Plan::make(state, &RenewalOrder::default(), &self.measure(now, None));
            let first_end = plan::first_end(state, settings);
            plan::tell(&left, first_end, &mut self.log.renewal.stats());
            let saved = match self.report.tokens.is_empty() && self.order.dry_run {
                true => Ok(()),
                false => state.save(&self.log.home),
            };
            saved.map(|()| first_end)
        });
        ended?;
        self.report.next_end = looked??.map(|end| end.to_rfc3339());
        self.report.not_renewable = gone.len();
        self.report.not_renewable_numbers = gone.short();
        Ok(self.report)
    }

    fn measure(&self, now: UnixTime, limit: Option<UnixTime>) -> Measure<'a> {
        Measure {
            settings: &self.log.renewal.settings,
            now,
            digest: self.digest,
            limit,
        }
    }

    fn plan(&self, limit: Option<UnixTime>) -> Result<Plan, LogError> {
        let now = self.log.clock.now();
        self.log
            .with_renewals(|state| Plan::make(state, self.order, &self.measure(now, limit)))
    }

    fn all(&mut self) -> Result<(), RenewalError> {
        let due = self.plan(None)?;
        self.report.stamps = due.stamps.len();
        self.report.renewals = due.renewals();
        self.report.trees = due.trees.len();
        self.report.late = due.late;
        if due.is_empty() || self.order.dry_run {
            return Ok(());
        }
        let settings = &self.log.renewal.settings;
        let makes_trees = !due.trees.is_empty() || due.first_digest == self.digest;
        if let Some(at) = settings.end_of_digest(self.digest).filter(|_| makes_trees)
            && at.since(self.log.clock.now()) <= settings.before
        {
            return Err(RenewalError::DigestEnds {
                digest: self.digest.name().into(),
                at: at.to_rfc3339(),
            });
        }
        // Before a tree over millions is made: is there an authority at all, and does its token last longer?
        let limit = match self.order.all || self.order.digest.is_some() {
            true => None,
            false => Some(self.probe(due.first_end)?),
        };
        let plan = self.plan(limit)?;
        self.of = plan.renewals() + self.log.with_renewals(|state| expected(state, &plan))?;
        let mut waiting = BTreeMap::new();
        for (digest, numbers) in plan.timestamps.into_values() {
            self.timestamps(digest, &numbers, &mut waiting)?;
        }
        self.first(plan.first_digest, &plan.stamps, &mut waiting)?;
        // New trees are over what renewed a message so far, so what stays with its old digest comes before them.
        let own = waiting.remove(self.digest.name());
        for (digest, gathered) in waiting.into_values() {
            self.stamp(digest, gathered)?;
        }
        let mut waiting: Waiting = own.into_iter().map(|own| (self.digest.name(), own)).collect();
        if !plan.trees.is_empty() {
            let trees = self.plan(limit)?.trees;
            self.trees(&trees, &mut waiting)?;
        }
        for (digest, gathered) in waiting.into_values() {
            self.stamp(digest, gathered)?;
        }
        Ok(())
    }

    /// A token over nothing in particular: until when would one last that is made now?
    fn probe(&self, first_end: Option<UnixTime>) -> Result<UnixTime, RenewalError> {
        let settings = &self.log.renewal.settings;
        let data = digest(self.digest, b"kontor/renewal/probe/1").map_err(EvidenceError::from)?;
        let accept = |token: &TimestampToken, _: &Certificate| {
            let end = Footing::of(token).end(settings);
            match first_end {
                Some(first) if end <= first => Err(format!(
                    "its tokens end at {end}, no later than the first that is to be renewed; name another authority in \
                     [timestamping] urls, or have its new certificate approved"
                )),
                _ => Ok(()),
            }
        };
        let asked = self.timestamper.stamp_digest(self.digest, &data, &accept);
        let (token, _) = self.runtime.block_on(asked)?;
        Ok(Footing::of(&token).end(settings))
    }

    /// The tokens of renewals.
    fn timestamps(
        &mut self,
        digest: DigestAlgorithm,
        numbers: &NumberSet,
        waiting: &mut Waiting,
    ) -> Result<(), RenewalError> {
        let mut leaves = Vec::new();
        for number in numbers.iter() {
            leaves.push((number, self.renewals.token_digest(&mut self.reader, number)?));
            self.step();
        }
        self.put(digest, Form::Timestamp, leaves, NumberSet::default(), waiting)
    }

    /// Messages that were never renewed.
    fn first(
        &mut self,
        digest: DigestAlgorithm,
        stamps: &NumberSet,
        waiting: &mut Waiting,
    ) -> Result<(), RenewalError> {
        let (mut leaves, mut dealt) = (Vec::new(), NumberSet::default());
        for stamp in stamps.iter() {
            let mut is_whole = true;
            let entry = self.reader.entry(stamp)?;
            if let Some(open) = self.reader.open_stamp(&entry)? {
                let wanted = self.log.with_known_renewals(|state| {
                    let places = open.covered.iter().enumerate();
                    let wanted = places.filter(|(_, message)| state.wants(stamp, **message));
                    wanted
                        .map(|(place, message)| (place, *message))
                        .collect::<Vec<_>>()
                })?;
                for (place, message) in wanted {
                    match self.group(&open, place, message, digest)? {
                        Group::There(group) => leaves.push((message, group_value(digest, group)?)),
                        Group::Deleted => {}
                        Group::Missing => {
                            self.gone.insert(message);
                            is_whole = false;
                        }
                    }
                    self.step();
                }
            }
            match is_whole {
                true => dealt.insert(stamp),
                false => self.stuck.insert(stamp),
            }
            if leaves.len() >= self.log.renewal.sizes.entry {
                let (leaves, dealt) = (std::mem::take(&mut leaves), std::mem::take(&mut dealt));
                self.put(digest, Form::First, leaves, dealt, waiting)?;
            }
        }
        self.put(digest, Form::First, leaves, dealt, waiting)
    }

    /// The digests of the data objects of a message that a time-stamp covers.
    fn group(
        &mut self,
        stamp: &OpenStamp,
        place: usize,
        message: u64,
        digest: DigestAlgorithm,
    ) -> Result<Group, RenewalError> {
        if digest == DigestAlgorithm::Sha512 {
            return match stamp.group(&mut self.reader, place) {
                Err(LogError::Archived { .. }) => Ok(Group::Missing),
                group => Ok(group?.map_or(Group::Deleted, Group::There)),
            };
        }
        let Some(logged) = there(self.reader.message(message))? else {
            return Ok(Group::Missing);
        };
        let objects = objects::of(logged, &[digest])?;
        let group = objects.iter().map(|object| object.by(digest).map(<[u8]>::to_vec));
        Ok(group
            .collect::<Result<_, _>>()
            .map_or(Group::Missing, Group::There))
    }

    /// Messages whose trees are made anew.
    fn trees(&mut self, renewals: &NumberSet, waiting: &mut Waiting) -> Result<(), RenewalError> {
        let lives = self.log.with_known_renewals(|state| {
            let lives = renewals.iter().filter_map(|renewal| state.kept.get(&renewal));
            lives.map(|kept| kept.live.clone()).collect::<Vec<_>>()
        })?;
        let mut leaves = Vec::new();
        for message in lives.iter().flat_map(NumberSet::iter) {
            let steps = self.log.with_known_renewals(|state| state.steps(message))?;
            match self.tree_leaf(message, &steps)? {
                Some(leaf) => leaves.push((message, leaf)),
                None => self.gone.insert(message),
            }
            self.step();
            if leaves.len() >= self.log.renewal.sizes.entry {
                let leaves = std::mem::take(&mut leaves);
                self.put(self.digest, Form::Tree, leaves, NumberSet::default(), waiting)?;
            }
        }
        self.put(self.digest, Form::Tree, leaves, NumberSet::default(), waiting)
    }

    /// `None` where data is missing.
    fn tree_leaf(
        &mut self,
        message: u64,
        steps: &[super::records::Step],
    ) -> Result<Option<Vec<u8>>, RenewalError> {
        let Some(logged) = there(self.reader.message(message))? else {
            return Ok(None);
        };
        let objects = objects::of(logged, &algorithms(steps, Some(self.digest)))?;
        if objects.iter().any(|object| object.by(self.digest).is_err()) {
            return Ok(None);
        }
        let record = self.renewals.record(&mut self.reader, steps, message, &objects)?;
        let Some(record) = record else { return Ok(None) };
        let group = record.renewal_digests(self.digest, &objects)?;
        Ok(Some(group_value(self.digest, group)?))
    }

    /// Leaves for one entry; when there are enough of them, they are stamped.
    fn put(
        &mut self,
        digest: DigestAlgorithm,
        form: Form,
        mut leaves: Vec<(u64, Vec<u8>)>,
        stamps: NumberSet,
        waiting: &mut Waiting,
    ) -> Result<(), RenewalError> {
        if leaves.is_empty() {
            return Ok(());
        }
        leaves.sort();
        let numbers = leaves.iter().map(|(number, _)| *number).collect();
        let leaves: Vec<_> = leaves.into_iter().map(|(_, leaf)| leaf).collect();
        let (_, gathered) = waiting
            .entry(digest.name())
            .or_insert_with(|| (digest, Gathered::default()));
        gathered.leaves += leaves.len();
        gathered.chunks.push(Chunk {
            form,
            numbers,
            leaves,
            stamps,
        });
        if gathered.leaves >= self.log.renewal.sizes.token {
            let gathered = std::mem::take(gathered);
            self.stamp(digest, gathered)?;
        }
        Ok(())
    }

    /// Has the root over all these leaves stamped, and records it, entry by entry. A crash before the first entry costs the
    /// token; one between two leaves the rest as due as it was.
    fn stamp(&mut self, digest: DigestAlgorithm, gathered: Gathered) -> Result<(), RenewalError> {
        if gathered.chunks.is_empty() {
            return Ok(());
        }
        let mut roots = Vec::with_capacity(gathered.chunks.len());
        for chunk in &gathered.chunks {
            roots.push(vec![chunk.tree(digest)?.root().to_vec()]);
        }
        let top = HashTree::new(digest, roots)?;
        let accept = |_: &TimestampToken, _: &Certificate| Ok(());
        let asked = self.timestamper.stamp_digest(digest, top.root(), &accept);
        let (token, authority) = self.runtime.block_on(asked)?;
        let mut entries = Vec::with_capacity(gathered.chunks.len());
        for (place, chunk) in gathered.chunks.iter().enumerate() {
            let path = top.siblings(place).unwrap_or_default();
            let fact = chunk.fact(digest, &token, &path, &self.order.ground);
            entries.push(self.runtime.block_on(self.log.append_fact(fact))?.number);
            if chunk.form != Form::Timestamp {
                self.report.messages += chunk.leaves.len() as u64;
            }
        }
        // What is read from here on was written after this reader was made.
        self.reader = self.log.reader();
        let settings = &self.log.renewal.settings;
        self.report.tokens.push(RenewedToken {
            at: token.gen_time().to_rfc3339(),
            authority: authority.subject().to_rfc2253(),
            ends: Footing::of(&token).end(settings).to_rfc3339(),
            digest: digest.name().into(),
            leaves: gathered.leaves as u64,
            entries: entries.len() as u64,
            first: entries.first().copied().unwrap_or(0),
            last: entries.last().copied().unwrap_or(0),
        });
        Ok(())
    }

    fn step(&mut self) {
        self.done += 1;
        if self.done.is_multiple_of(STEP) {
            (self.progress)(self.done, self.of.max(self.done));
        }
    }
}

/// What there is of the data objects of a message.
enum Group {
    There(Vec<Vec<u8>>),
    /// Nothing is left that a record could be about.
    Deleted,
    /// Some data is not there, and its digest by this algorithm was never made.
    Missing,
}

/// A message, unless its content is not there any more.
fn there<T>(read: Result<T, LogError>) -> Result<Option<T>, LogError> {
    match read {
        Err(
            LogError::Archived { .. }
            | LogError::Deleted { .. }
            | LogError::Forgotten { .. }
            | LogError::Lost { .. }
            | LogError::Quarantined { .. }
            | LogError::Shortened { .. },
        ) => Ok(None),
        read => read.map(Some),
    }
}

/// How many messages a plan is about, more or less.
fn expected(state: &State, plan: &Plan) -> u64 {
    let trees = plan.trees.iter().filter_map(|renewal| state.kept.get(&renewal));
    let trees: u64 = trees.map(|kept| kept.live.len()).sum();
    trees
        + if plan.stamps.is_empty() {
            0
        } else {
            state.without_record()
        }
}
