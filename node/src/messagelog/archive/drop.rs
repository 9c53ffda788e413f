//! Dropping what lies in archives from the log, so that it does not grow for ever. Owns what may go: the message, its
//! signature document and its body, each only if an archive holds it that was written, read back and recorded, and is still
//! there with the same bytes; nothing of an entry on hold, because an archive is a file that the node does not keep. Leaf,
//! evidence blob and ids stay: the entry is found and proven as before, and what the archive holds can be tied to it.
//!
//! 1. the archives that are concerned are read to their last byte and compared with what was recorded;
//! 2. `log/purge.pending` says where the log ended, and the content files of the bodies;
//! 3. the acts that say what is dropped are on disk;
//! 4. sealed segments are rewritten, then content files removed, then `log/purge.pending`; see `purge.rs`, whose `finish`
//!    does this for deletions too, here and at a start.
//!
//! A crash before 3: nothing was dropped. After it: what is still there can be read until the next start ends the work.

use std::collections::BTreeMap;

use kontor_protocol::log::Leaf;
use serde::{Deserialize, Serialize};

use super::{
    ArchiveError,
    catalog::{DROP, Dropped},
    draft::Place,
};
use crate::messagelog::{
    MessageLog,
    fact::{Acted, Fact, FactKind},
    keytree::BlobClass,
    numbers::NumberSet,
    purge::{DROPPED, Pending, PurgeReport},
    segment::read_leaves,
};

/// Names of archives in one act.
const FILES: usize = 100_000;

/// What was dropped, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DropReport {
    /// Messages.
    pub messages: u64,
    /// Of these, with their bodies.
    pub bodies: u64,
    /// Messages that could be dropped and are on hold.
    pub on_hold: u64,
    /// Archives that are not there as they were recorded, and why; nothing in them is dropped.
    pub unverified: Vec<Unverified>,
    /// Segments that were rewritten.
    pub segments: u64,
    /// The acts that record it.
    pub entries: Vec<u64>,
}

/// An archive that is not as it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unverified {
    /// Its name.
    pub file: String,
    /// What is wrong.
    pub reason: String,
}

impl MessageLog {
    /// Drops what has been archived for `days` days. The caller holds the lock of archiving.
    pub(super) fn drop_archived(
        &self,
        place: &Place,
        days: u32,
        dry_run: bool,
    ) -> Result<DropReport, ArchiveError> {
        let mut report = DropReport::default();
        let old = Leaf::second_of(self.clock.now()).saturating_sub(u64::from(days) * 86_400);
        let mut reader = self.reader();
        let archives = reader.archives()?;
        let mut candidates = NumberSet::default();
        for known in &archives {
            candidates.extend(&known.numbers);
        }
        let mut candidates = candidates.without(&reader.dropped(BlobClass::Head)?);
        // A segment is rewritten once, when all of it is old enough.
        for first in reader.segments_of(&candidates) {
            let leaves = read_leaves(&*self.home.disk, &self.home.layout, &self.home.id, first);
            let last = leaves.ok().and_then(|leaves| {
                let second = Leaf::parse(leaves.last()?).ok()?.second;
                Some((first + leaves.len() as u64, second))
            });
            let end = reader.segment_after(first).unwrap_or(reader.entries());
            if last.is_none_or(|(_, second)| second > old) {
                let mut young = NumberSet::default();
                young.insert_run(first, end);
                candidates = candidates.without(&young);
            }
        }
        if candidates.is_empty() {
            return Ok(report);
        }
        let (mut numbers, mut bodies) = (NumberSet::default(), NumberSet::default());
        let mut files = Vec::new();
        for known in &archives {
            let here = known.numbers.both(&candidates);
            if here.is_empty() {
                continue;
            }
            if let Err(error) = place.is_as_recorded(&known.file, &known.sha256) {
                let reason = error.to_string();
                tracing::error!(file = %known.file, %reason, "an archive is not as it was recorded; nothing in it is dropped");
                report.unverified.push(Unverified {
                    file: known.file.clone(),
                    reason,
                });
                continue;
            }
            numbers.extend(&here);
            bodies.extend(&known.bodies.both(&candidates));
            files.push(known.file.clone());
        }
        // From here on no hold and no deletion comes in between.
        let _one = self.purging();
        if !dry_run {
            self.finish(&mut PurgeReport::default())?;
        }
        let mut reader = self.reader();
        let mut held = NumberSet::default();
        for (_, _, hold) in reader.holds()? {
            held.extend(&hold);
        }
        report.on_hold = numbers.both(&held).len();
        // Of bodies some may be gone already: a crash came between the two acts.
        let gone = reader.dropped(BlobClass::Body)?;
        (numbers, bodies) = (numbers.without(&held), bodies.without(&held).without(&gone));
        (report.messages, report.bodies) = (numbers.len(), bodies.len());
        if dry_run || numbers.is_empty() {
            return Ok(report);
        }
        let content = reader.content_of(&bodies)?;
        let content = content.into_iter().map(|id| id.to_string()).collect();
        let pending = Pending::new(reader.entries(), BTreeMap::from([(DROPPED.into(), content)]));
        pending.save(&self.home)?;
        files.truncate(FILES);
        for (part, numbers) in [(BlobClass::Body, bodies), (BlobClass::Head, numbers)] {
            if numbers.is_empty() {
                continue;
            }
            let said = Dropped {
                part: part.name().into(),
                files: files.clone(),
                entries: numbers.len(),
            };
            let acted = Acted {
                act: DROP.into(),
                who: "the node".into(),
                ground: format!("configuration [archive] drop_after_days = {days}"),
                details: serde_json::to_value(&said).expect("numbers and strings always serialise"),
            };
            let receipt = self.append_blocking(about_archives(&acted, numbers))?;
            report.entries.push(receipt.number);
        }
        let mut finished = PurgeReport::default();
        self.finish(&mut finished)?;
        report.segments = finished.segments;
        Ok(report)
    }
}

/// A fact about archives. It is about the log: whoever follows the chain of archives needs it as long as they are kept.
pub(super) fn about_archives(acted: &Acted, numbers: NumberSet) -> Fact {
    let mut fact = Fact::new(FactKind::Act, acted).about(numbers);
    fact.class = FactKind::Deletion
        .default_class()
        .parse()
        .expect("the names of default classes are well formed");
    fact
}
