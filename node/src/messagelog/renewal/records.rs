//! The evidence record of a message, put together from the entries that renewed it.

use std::{collections::VecDeque, sync::Arc};

use kontor_pki::{
    certificate::Certificate,
    crypto::DigestAlgorithm,
    evidence_record::{ArchiveTimestamp, EvidenceError, EvidenceRecord, HashTree, ObjectDigests, Windows},
};

use super::{
    RenewalError,
    entry::{Form, RenewalEntry},
    objects,
    state::State,
};
use crate::messagelog::{LogError, MessageLog, read::Reader};

/// Entries that are kept open with their trees: 10 MiB each, and one follows the other in a run.
const OPEN: usize = 4;

/// A renewal with the tree over its leaves.
struct OpenRenewal {
    entry: RenewalEntry,
    tree: HashTree,
}

/// Reads renewals, and keeps the last ones.
#[derive(Default)]
pub(super) struct Renewals {
    open: VecDeque<(u64, Arc<OpenRenewal>)>,
}

impl Renewals {
    fn open(&mut self, reader: &mut Reader, number: u64) -> Result<Arc<OpenRenewal>, RenewalError> {
        if let Some((_, open)) = self.open.iter().find(|(known, _)| *known == number) {
            return Ok(Arc::clone(open));
        }
        let fact = reader.fact(number)?;
        let entry = RenewalEntry::read(&fact).ok_or(RenewalError::Entry { number })?;
        let open = Arc::new(OpenRenewal {
            tree: entry.tree()?,
            entry,
        });
        if self.open.len() == OPEN {
            self.open.pop_front();
        }
        self.open.push_back((number, Arc::clone(&open)));
        Ok(open)
    }

    /// The token of a renewal, hashed: the leaf of what renews it.
    pub(super) fn token_digest(&mut self, reader: &mut Reader, number: u64) -> Result<Vec<u8>, RenewalError> {
        let open = self.open(reader, number)?;
        let digest = kontor_pki::crypto::digest(open.entry.digest, open.entry.token.der());
        Ok(digest.map_err(EvidenceError::from)?)
    }

    /// The record of a message with these data objects; `None` while nothing renewed it.
    pub(super) fn record(
        &mut self,
        reader: &mut Reader,
        steps: &[Step],
        message: u64,
        objects: &[ObjectDigests],
    ) -> Result<Option<EvidenceRecord>, RenewalError> {
        let mut record: Option<EvidenceRecord> = None;
        for step in steps {
            let open = self.open(reader, step.renewal)?;
            let wrong = || RenewalError::Entry { number: step.renewal };
            let digest = open.entry.digest;
            let (group, number) = match (&record, step.form) {
                (None, Form::First) => {
                    let group = objects.iter().map(|object| object.by(digest).map(<[u8]>::to_vec));
                    (group.collect::<Result<_, _>>()?, message)
                }
                (Some(record), Form::Timestamp) => (vec![record.timestamp_digest()?.1], step.renewed),
                (Some(record), Form::Tree) => (record.renewal_digests(digest, objects)?, message),
                (None, _) | (Some(_), Form::First) => return Err(wrong()),
            };
            let way = open.entry.way(&open.tree, number, group)?.ok_or_else(wrong)?;
            let stamp = ArchiveTimestamp::new(way, open.entry.token.clone());
            match (&mut record, step.form) {
                (Some(record), Form::Tree) => record.renew_tree(stamp, objects)?,
                (Some(record), _) => record.renew_timestamp(stamp)?,
                (none, _) => *none = Some(EvidenceRecord::first(stamp)),
            }
        }
        Ok(record)
    }
}

/// One renewal on the way of a message.
pub(super) struct Step {
    renewal: u64,
    form: Form,
    pub(super) digest: DigestAlgorithm,
    /// For a renewal of a token: that of which entry.
    renewed: u64,
}

impl State {
    /// The renewals of a message, oldest first.
    pub(super) fn steps(&self, message: u64) -> Vec<Step> {
        let mut steps: Vec<Step> = Vec::new();
        for (renewal, kept) in &self.kept {
            let Some(digest) = kept.digest() else { continue };
            let last = steps.last().map(|step| step.renewal);
            let (is_next, renewed) = match (kept.form, last) {
                (Form::First, None) | (Form::Tree, Some(_)) => (kept.numbers.contains(message), 0),
                (Form::Timestamp, Some(last)) => (kept.numbers.contains(last), last),
                (Form::First, Some(_)) | (Form::Timestamp | Form::Tree, None) => (false, 0),
            };
            if is_next {
                steps.push(Step {
                    renewal: *renewal,
                    form: kept.form,
                    digest,
                    renewed,
                });
            }
        }
        steps
    }
}

/// See [`MessageLog::evidence_record`].
pub(super) fn of(log: &MessageLog, message: u64) -> Result<Option<Vec<u8>>, RenewalError> {
    let steps = log.with_known_renewals(|state| state.steps(message))?;
    if steps.is_empty() {
        return Ok(None);
    }
    let mut reader = log.reader();
    let objects = match reader.message(message) {
        Err(archived @ LogError::Archived { .. }) => {
            objects::of_archived(&mut reader, message)?.ok_or(archived)?
        }
        read => objects::of(read?, &algorithms(&steps, None))?,
    };
    let Some(record) = Renewals::default().record(&mut reader, &steps, message, &objects)? else {
        return Ok(None);
    };
    // Every token was verified before it was recorded, and brings the certificate that it was verified by.
    let authorities = record.timestamps().flat_map(|stamp| {
        let certificates = stamp.token().certificates();
        certificates
            .filter_map(|der| Certificate::parse(der).ok())
            .collect::<Vec<_>>()
    });
    let policy = Windows::open_ended(authorities.collect());
    match record.verify(&objects, &policy, record.last().token().gen_time()) {
        // That it was renewed too late is for the one who judges it to say.
        Ok(_) | Err(EvidenceError::Expired { .. }) => Ok(Some(record.to_der())),
        Err(error) => Err(error.into()),
    }
}

/// The digests that a record by these renewals asks for, and one more.
pub(super) fn algorithms(steps: &[Step], more: Option<DigestAlgorithm>) -> Vec<DigestAlgorithm> {
    let mut algorithms = vec![DigestAlgorithm::Sha512];
    for digest in steps.iter().map(|step| step.digest).chain(more) {
        if !algorithms.contains(&digest) {
            algorithms.push(digest);
        }
    }
    algorithms
}
