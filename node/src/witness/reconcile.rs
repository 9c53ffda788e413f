//! Reconciles two logs (evidence 5): asks a peer for its account of the messages exchanged with the own member, under
//! proofs, and names what one side lacks or has otherwise. Messages are matched by request id, which both sides have.

mod account;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Weak};

use kontor_protocol::id::MemberId;
use kontor_protocol::log::{EntryKind, ListedPart};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use self::account::{Theirs, theirs};
pub(super) use self::account::{lines, page};
use super::Witness;
use super::ask::{AskError, Asker};
use crate::messagelog::{AccountEntry, LogError, MessageLog};
use crate::registry::OWN_SERVICE;

/// Messages in one answer: 200 of them with their proofs have about 700 KB.
const PAGE: usize = 200;
/// Younger entries are matched, and never missed: the other side may be writing its own at this moment.
const SETTLED: u64 = 10;

/// What one side lacks or has otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Discrepancy {
    /// `missing_there`, `missing_here`, `differs` or `unproven` for a message; `behind`, `forked` or `new_log` for the log.
    pub code: String,
    /// `request`, `response`, or `log` for what is wrong with the peer's log as a whole.
    pub message: String,
    /// The id that both sides have.
    pub request_id: String,
    /// Entry of this log.
    pub here: Option<u64>,
    /// Entry of the peer's log.
    pub there: Option<u64>,
    /// In words.
    pub text: String,
}

/// How two logs stand to each other.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciled {
    /// The peer's security server.
    pub server: String,
    /// Messages that both sides have alike.
    pub alike: u64,
    /// Messages here whose ids or digests are deleted.
    pub deleted_here: u64,
    /// The same there.
    pub deleted_there: u64,
    /// Requests of this node that ended with a fault and that the peer, which refused or never got them, does not have.
    #[serde(default)]
    pub failed: u64,
    /// Everything else.
    pub discrepancies: Vec<Discrepancy>,
}

/// Why there is no comparison.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// The member has no node that serves a ledger.
    #[error(
        "no node of {member} can be asked: global configuration has none, other than this one, at which the subsystem `{code}` ([transparency] client) is registered"
    )]
    NoPlace {
        /// The member.
        member: MemberId,
        /// The code of the subsystem in whose name nodes ask each other.
        code: String,
    },
    /// The configuration is not usable.
    #[error("{0}")]
    Trust(String),
    /// The peer.
    #[error("{server}: {error}")]
    Ask {
        /// Its security server.
        server: String,
        /// Why.
        error: AskError,
    },
    /// The own log.
    #[error(transparent)]
    Log(#[from] LogError),
}

/// What is compared of a message: request or response with this id.
type Key = (bool, String);

struct Message {
    number: u64,
    second: u64,
    /// Digests of message and body, sorted by name.
    parts: Vec<(String, [u8; 64])>,
}

/// The digests that both sides must have alike; signatures and chains travel too, but are logged as each got them.
fn compared(parts: &[ListedPart]) -> Vec<(String, [u8; 64])> {
    let mut compared: Vec<_> = parts
        .iter()
        .filter(|part| matches!(&*part.name, "message.xml" | "attachment1"))
        .map(|part| (part.name.clone(), part.digest))
        .collect();
    compared.sort();
    compared
}

#[derive(Default)]
struct Side {
    messages: HashMap<Key, Message>,
    deleted: u64,
    /// Entries of requests that ended with a fault.
    failed: HashSet<u64>,
}

impl Side {
    fn take(
        &mut self,
        kind: EntryKind,
        entry: (u64, u64),
        request_id: Option<String>,
        parts: Option<&[ListedPart]>,
    ) {
        match (request_id, parts) {
            (Some(id), Some(parts)) => {
                let message = Message {
                    number: entry.0,
                    second: entry.1,
                    parts: compared(parts),
                };
                self.messages.insert((kind == EntryKind::Request, id), message);
            }
            _ => self.deleted += 1,
        }
    }
}

/// Compares the own log with those of a member's nodes.
pub async fn reconcile(
    asker: &Asker,
    witness: &Witness,
    member: &MemberId,
    progress: &watch::Sender<(u64, u64)>,
) -> Result<Vec<Reconciled>, ReconcileError> {
    let handles = &asker.handles;
    let trust = handles.trust.current(handles.now());
    let trust = trust.map_err(|fault| ReconcileError::Trust(fault.text().to_owned()))?;
    let places = asker.places(member, &trust);
    if places.is_empty() {
        return Err(ReconcileError::NoPlace {
            member: member.clone(),
            code: asker.code().to_owned(),
        });
    }
    // The own side first: what comes in meanwhile is not missed there.
    let here = own(&handles.log, member).await?;
    let mut reports = Vec::new();
    for place in places {
        let server = place.server.to_string();
        let kept = witness.kept_of(place.server.clone()).await;
        let Theirs { side: there, found } =
            theirs(asker, &place, &trust, &kept, progress)
                .await
                .map_err(|error| ReconcileError::Ask {
                    server: server.clone(),
                    error,
                })?;
        let settled = u64::try_from(handles.now().secs())
            .unwrap_or(0)
            .saturating_sub(SETTLED);
        reports.push(compare(server, &here, &there, found, settled));
    }
    Ok(reports)
}

async fn own(log: &MessageLog, member: &MemberId) -> Result<Side, LogError> {
    let (mut side, mut first) = (Side::default(), Some(0));
    side.failed = log.failed_requests(member.clone()).await?;
    while let Some(from) = first {
        let account = log.account(member.clone(), from, 10 * PAGE).await?;
        for AccountEntry {
            number,
            kind,
            second,
            service,
            request_id,
            parts,
            ..
        } in account.entries
        {
            if service != OWN_SERVICE {
                side.take(
                    kind,
                    (number, second),
                    request_id,
                    parts.as_ref().map(|(_, parts)| &parts[..]),
                );
            }
        }
        first = account.next;
    }
    Ok(side)
}

fn compare(
    server: String,
    here: &Side,
    there: &Side,
    unproven: Vec<Discrepancy>,
    settled: u64,
) -> Reconciled {
    let mut report = Reconciled {
        server,
        deleted_here: here.deleted,
        deleted_there: there.deleted,
        discrepancies: unproven,
        ..Reconciled::default()
    };
    let found =
        |code: &str, key: &Key, own: Option<&Message>, other: Option<&Message>, text: String| Discrepancy {
            code: code.into(),
            message: if key.0 { "request" } else { "response" }.into(),
            request_id: key.1.clone(),
            here: own.map(|message| message.number),
            there: other.map(|message| message.number),
            text,
        };
    let perhaps = |deleted: u64| match deleted {
        0 => String::new(),
        some => format!("; {some} messages there cannot be compared because their ids are deleted"),
    };
    for (key, own) in &here.messages {
        match there.messages.get(key) {
            Some(other) if other.parts == own.parts => report.alike += 1,
            Some(other) => {
                let text = "the digests of message or body differ".to_owned();
                report
                    .discrepancies
                    .push(found("differs", key, Some(own), Some(other), text));
            }
            None if own.second > settled => {}
            None if key.0 && here.failed.contains(&own.number) => report.failed += 1,
            None => {
                let text = format!("this log has it, the peer's has not{}", perhaps(there.deleted));
                report
                    .discrepancies
                    .push(found("missing_there", key, Some(own), None, text));
            }
        }
    }
    for (key, other) in &there.messages {
        if !here.messages.contains_key(key) && other.second <= settled {
            let text = format!("the peer's log has it, this one has not{}", perhaps(here.deleted));
            report
                .discrepancies
                .push(found("missing_here", key, None, Some(other), text));
        }
    }
    report
        .discrepancies
        .sort_by(|a, b| (a.here, a.there, &a.request_id).cmp(&(b.here, b.there, &b.request_id)));
    report
}

/// How a command asks for it: answers with the reports, or a sentence.
/// The command does not keep the asker: its links to peers have to end when the node stops.
pub fn reconciler(asker: Weak<Asker>, witness: Arc<Witness>) -> crate::messagelog::Reconciler {
    Arc::new(move |member, progress| {
        let (asker, witness) = (Weak::clone(&asker), Arc::clone(&witness));
        Box::pin(async move {
            let asker = asker.upgrade().ok_or("the node is stopping")?;
            let reports = reconcile(&asker, &witness, &member, &progress)
                .await
                .map_err(|error| error.to_string())?;
            reports
                .iter()
                .map(|report| serde_json::to_value(report).map_err(|error| error.to_string()))
                .collect()
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(name: &str, fill: u8) -> ListedPart {
        ListedPart {
            name: name.into(),
            length: 1,
            digest: [fill; 64],
        }
    }

    fn side(messages: &[(bool, &str, u64, u8)]) -> Side {
        let mut side = Side::default();
        for (number, (is_request, id, second, fill)) in (0..).zip(messages) {
            let kind = if *is_request {
                EntryKind::Request
            } else {
                EntryKind::Response
            };
            // Documents of the signature are each side's own.
            let parts = [
                listed("message.xml", *fill),
                listed("signatures.xml", number as u8),
            ];
            side.take(kind, (number, *second), Some((*id).into()), Some(&parts));
        }
        side
    }

    fn codes(report: &Reconciled) -> Vec<(&str, &str, &str)> {
        let found = report.discrepancies.iter();
        found
            .map(|found| (&*found.code, &*found.message, &*found.request_id))
            .collect()
    }

    #[test]
    fn the_same_messages_in_another_order_are_alike() {
        let here = side(&[(true, "a", 5, 1), (false, "a", 5, 2), (true, "b", 6, 3)]);
        let there = side(&[(true, "b", 7, 3), (true, "a", 5, 1), (false, "a", 9, 2)]);
        let report = compare("s".into(), &here, &there, Vec::new(), 100);
        assert_eq!((report.alike, codes(&report)), (3, vec![]));
    }

    #[test]
    fn what_one_side_lacks_or_has_otherwise_is_named() {
        let here = side(&[(true, "a", 5, 1), (false, "a", 5, 2), (true, "b", 6, 3)]);
        let there = side(&[(true, "a", 5, 9), (true, "b", 6, 3), (false, "b", 7, 4)]);
        let mut found = codes(&compare("s".into(), &here, &there, Vec::new(), 100))
            .into_iter()
            .map(|(code, message, id)| format!("{code} {message} {id}"))
            .collect::<Vec<_>>();
        found.sort();
        assert_eq!(
            found,
            [
                "differs request a",
                "missing_here response b",
                "missing_there response a"
            ]
        );
    }

    #[test]
    fn what_is_being_written_at_this_moment_is_not_missed() {
        let here = side(&[(true, "new", 99, 1)]);
        let report = compare("s".into(), &here, &Side::default(), Vec::new(), 90);
        assert_eq!(codes(&report), []);
        let report = compare("s".into(), &here, &Side::default(), Vec::new(), 99);
        assert_eq!(codes(&report), [("missing_there", "request", "new")]);
    }

    #[test]
    fn a_request_that_ended_with_a_fault_is_not_missed_there() {
        let mut here = side(&[(true, "refused", 5, 1), (true, "answered", 5, 2)]);
        here.failed.insert(0);
        let report = compare("s".into(), &here, &Side::default(), Vec::new(), 100);
        assert_eq!(report.failed, 1);
        assert_eq!(codes(&report), [("missing_there", "request", "answered")]);
    }

    #[test]
    fn deleted_ids_are_counted_and_said_beside_what_is_missed() {
        let here = side(&[(true, "a", 5, 1)]);
        let mut there = Side::default();
        there.take(
            EntryKind::Request,
            (0, 5),
            None,
            Some(&[listed("message.xml", 1)]),
        );
        there.take(EntryKind::Request, (1, 5), Some("b".into()), None);
        let report = compare("s".into(), &here, &there, Vec::new(), 100);
        assert_eq!((report.deleted_here, report.deleted_there), (0, 2));
        assert!(
            report.discrepancies[0]
                .text
                .contains("2 messages there cannot be compared")
        );
    }
}
