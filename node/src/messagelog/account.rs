//! An account of the messages exchanged with a member, for comparing two logs: ids and digests, and what ties them to the
//! leaf. No content.

use std::{collections::HashSet, ops::ControlFlow};

use kontor_protocol::{
    id::MemberId,
    log::{EntryKind, Leaf, ListedPart, parse_parts},
};

use super::{
    MessageLog,
    blob::{Evidence, Head},
    error::LogError,
    read::{Reader, StoredEntry},
    search::{Filter, Told, search},
};

/// One message of the account.
#[derive(Debug, Clone)]
pub struct AccountEntry {
    /// Number of the entry.
    pub number: u64,
    /// Request or response.
    pub kind: EntryKind,
    /// Second of the entry.
    pub second: u64,
    /// Code of the service.
    pub service: String,
    /// `x-road-request-id`, which both sides have; `None` once the head is deleted.
    pub request_id: Option<String>,
    /// The leaf.
    pub leaf: Vec<u8>,
    /// Salt and parts of its commitment; `None` once the evidence is deleted.
    pub parts: Option<([u8; 32], Vec<ListedPart>)>,
}

/// A piece of the account.
#[derive(Debug, Clone, Default)]
pub struct Account {
    /// Messages, in the order of their entries.
    pub entries: Vec<AccountEntry>,
    /// Where the next piece begins; `None` after the last.
    pub next: Option<u64>,
}

impl MessageLog {
    /// The messages exchanged with a member from entry `first` on, at most `limit`.
    pub async fn account(&self, member: MemberId, first: u64, limit: usize) -> Result<Account, LogError> {
        let mut reader = self.reader();
        let filter = Filter {
            member: Some(member),
            messages: true,
            first,
            ..Filter::default()
        };
        let read = move || account(&mut reader, &filter, limit);
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|_| LogError::Closed)?
    }
}

impl MessageLog {
    /// Numbers of the requests exchanged with a member that ended with a failure closure.
    pub async fn failed_requests(&self, member: MemberId) -> Result<HashSet<u64>, LogError> {
        let mut reader = self.reader();
        let filter = Filter {
            member: Some(member),
            kind: Some(EntryKind::FailureClosure),
            ..Filter::default()
        };
        let read = move || {
            let mut failed = HashSet::new();
            search(&mut reader, &filter, &mut |reader, told| {
                // A closure whose evidence is deleted names no request any more.
                if let Told::Hit { entry, .. } = told
                    && let Ok(opened) = reader.evidence(entry)
                {
                    failed.extend(Evidence::parse(&opened).and_then(|evidence| evidence.answers));
                }
                ControlFlow::Continue(())
            })?;
            Ok(failed)
        };
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|_| LogError::Closed)?
    }
}

fn account(reader: &mut Reader, filter: &Filter, limit: usize) -> Result<Account, LogError> {
    let (mut account, mut failure) = (Account::default(), None);
    search(reader, filter, &mut |reader, told| {
        let Told::Hit { entry, leaf, .. } = told else {
            return ControlFlow::Continue(());
        };
        if account.entries.len() == limit {
            account.next = Some(entry.number);
            return ControlFlow::Break(());
        }
        match line(reader, entry, &leaf) {
            Ok(line) => {
                account.entries.push(line);
                ControlFlow::Continue(())
            }
            Err(error) => {
                failure = Some(error);
                ControlFlow::Break(())
            }
        }
    })?;
    match failure {
        Some(error) => Err(error),
        None => Ok(account),
    }
}

fn line(reader: &mut Reader, entry: &StoredEntry, leaf: &Leaf) -> Result<AccountEntry, LogError> {
    let head = match reader.head(entry) {
        Err(LogError::Forgotten { .. }) => None,
        head => head?,
    };
    let evidence = match reader.evidence(entry) {
        Err(LogError::Forgotten { .. }) => None,
        evidence => Some(evidence?),
    };
    let parts = evidence
        .as_ref()
        .and_then(|bytes| Evidence::parse(bytes))
        .and_then(|evidence| Some((evidence.salt, parse_parts(evidence.parts).ok()?)));
    let request_id = head
        .as_ref()
        .and_then(|bytes| Head::parse(bytes))
        .map(|head| head.request_id.to_owned());
    Ok(AccountEntry {
        number: entry.number,
        kind: leaf.kind,
        second: leaf.second,
        service: leaf
            .service
            .as_ref()
            .map_or_else(String::new, |service| service.code().to_owned()),
        request_id,
        leaf: entry.leaf_bytes().to_vec(),
        parts,
    })
}
