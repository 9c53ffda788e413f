//! Searching the log: what is asked for, and the course of a search. The index proposes, the entries decide: each hit is read
//! and compared before it is told, and what the index does not reflect yet is searched by reading. So an answer is whole in
//! any case, and says how much of it was slow.

use std::ops::ControlFlow;

use kontor_pki::time::UnixTime;
use kontor_protocol::{
    id::{ClientId, MemberId, ServerId, ServiceId},
    log::{EntryKind, Leaf},
};

use super::{
    MessageLog,
    auditors::Restriction,
    blob::Head,
    error::LogError,
    index::{self, BLOCK, Field, Term, View, ViewError, term},
    read::{Reader, StoredEntry},
};

/// So many entries beside the index are read so quickly that nobody need hear of it.
const SOON: u64 = 10_000;
/// How many entries are read between two signs of progress.
const STEP: u64 = 512;

/// What is asked for; everything given must hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Filter {
    /// `x-road-id` of the message.
    pub query_id: Option<String>,
    /// Who asked.
    pub client: Option<ClientId>,
    /// The service that was asked; without a version, every version.
    pub service: Option<ServiceId>,
    /// The member of the client or of the provider.
    pub member: Option<MemberId>,
    /// The security server on either side.
    pub server: Option<ServerId>,
    /// Kind of the entry.
    pub kind: Option<EntryKind>,
    /// From this second on.
    pub from: Option<UnixTime>,
    /// Before this instant.
    pub until: Option<UnixTime>,
    /// Entries from this number on.
    pub first: u64,
    /// Messages only, which can be exported.
    pub messages: bool,
    /// What whoever asks may see at all.
    pub only: Restriction,
}

/// What a search tells while it runs.
pub(crate) enum Told<'a> {
    /// The index reflects so many entries of so many; the others are read, which takes a while.
    Partial { indexed: u64, of: u64 },
    /// Everything below this number was searched.
    Progress { read: u64, of: u64 },
    /// An entry that fits, with its leaf and its query id if that can be read.
    Hit {
        entry: &'a StoredEntry,
        leaf: Box<Leaf>,
        query_id: Option<String>,
    },
}

/// Takes what a search tells, and may end it.
pub(crate) type Tell<'a> = dyn FnMut(&mut Reader, Told<'_>) -> ControlFlow<()> + 'a;

impl Filter {
    fn second(at: UnixTime) -> u64 {
        u64::try_from(at.secs()).unwrap_or(0)
    }

    /// Whether a leaf fits all that a leaf can tell.
    pub(crate) fn fits(&self, leaf: &Leaf) -> bool {
        let member = |wanted: &MemberId| {
            leaf.client
                .as_ref()
                .is_some_and(|client| client.member() == wanted)
                || leaf
                    .service
                    .as_ref()
                    .is_some_and(|service| service.provider().member() == wanted)
        };
        let service = |wanted: &ServiceId| {
            leaf.service.as_ref().is_some_and(|service| {
                service.provider() == wanted.provider()
                    && service.code() == wanted.code()
                    && (wanted.version().is_none() || wanted.version() == service.version())
            })
        };
        let server =
            |wanted: &ServerId| [&leaf.client_server, &leaf.provider_server].contains(&&Some(wanted.clone()));
        let is_message = matches!(leaf.kind, EntryKind::Request | EntryKind::Response);
        self.client
            .as_ref()
            .is_none_or(|wanted| leaf.client.as_ref() == Some(wanted))
            && self.service.as_ref().is_none_or(service)
            && self.member.as_ref().is_none_or(member)
            && self.server.as_ref().is_none_or(server)
            && self.kind.is_none_or(|wanted| leaf.kind == wanted)
            && self.from.is_none_or(|from| leaf.second >= Self::second(from))
            && self.until.is_none_or(|until| leaf.second < Self::second(until))
            && (is_message || !self.messages)
            && self.only.allows(leaf)
    }

    fn terms(&self) -> Vec<Term> {
        let mut terms = Vec::new();
        if let Some(client) = &self.client {
            terms.push(term(Field::Client, &client.to_string()));
        }
        if let Some(service) = &self.service {
            let text = format!("{}/{}", service.provider(), service.code());
            terms.push(term(Field::Service, &text));
        }
        for member in self.member.iter().chain(&self.only.member) {
            terms.push(term(Field::Member, &member.to_string()));
        }
        if let Some(server) = &self.server {
            terms.push(term(Field::Server, &server.to_string()));
        }
        if let Some(kind) = self.kind {
            terms.push(term(Field::Kind, &kind.code().to_string()));
        }
        terms
    }

    fn may_be_in(&self, (earliest, latest): (u64, u64)) -> bool {
        let (mut from, mut until) = (
            self.from.iter().chain(&self.only.from),
            self.until.iter().chain(&self.only.to),
        );
        from.all(|from| latest >= Self::second(*from)) && until.all(|until| earliest < Self::second(*until))
    }
}

impl MessageLog {
    /// Numbers of the messages with a query id, ascending.
    pub async fn find(&self, query_id: &str) -> Result<Vec<u64>, LogError> {
        let (mut reader, mut found) = (self.reader(), Vec::new());
        let filter = Filter {
            query_id: Some(query_id.into()),
            messages: true,
            ..Filter::default()
        };
        let find = move || {
            search(&mut reader, &filter, &mut |_, told| {
                if let Told::Hit { entry, .. } = told {
                    found.push(entry.number);
                }
                ControlFlow::Continue(())
            })?;
            Ok(found)
        };
        tokio::task::spawn_blocking(find)
            .await
            .map_err(|_| LogError::Closed)?
    }
}

/// How the part that the index reflects ended.
enum Indexed {
    /// Whoever asked has enough.
    Broke,
    /// Everything below this number was searched.
    Through(u64),
    /// The index is wrong; what is below this number was searched.
    Wrong(u64, String),
}

/// Searches in ascending order of numbers.
pub(crate) fn search(reader: &mut Reader, filter: &Filter, tell: &mut Tell<'_>) -> Result<(), LogError> {
    let of = reader.entries();
    let index = reader.index().clone();
    let view = index.view();
    let indexed = view.as_ref().map_or(0, View::position).min(of).max(filter.first);
    if of - indexed.min(of) > SOON && tell(reader, Told::Partial { indexed, of }).is_break() {
        return Ok(());
    }
    let from = match view {
        None => filter.first,
        Some(view) => match search_indexed(reader, &view, filter, tell)? {
            Indexed::Broke => return Ok(()),
            Indexed::Through(number) => number,
            Indexed::Wrong(number, reason) => {
                tracing::warn!(%reason, "the search index does not agree with the log and is made anew");
                index.suspect(&reason);
                let partial = Told::Partial { indexed: number, of };
                if of - number > SOON && tell(reader, partial).is_break() {
                    return Ok(());
                }
                number
            }
        },
    };
    reader.scan(from, &mut |reader, entry| {
        let leaf = reader.leaf(entry)?;
        if (entry.number + 1).is_multiple_of(STEP) {
            let read = entry.number + 1;
            if tell(reader, Told::Progress { read, of }).is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        if !filter.fits(leaf) {
            return Ok(ControlFlow::Continue(()));
        }
        hit(reader, entry, filter, tell).map(|told| told.unwrap_or(ControlFlow::Continue(())))
    })
}

/// Tells an entry whose leaf fits; `None` when it has another query id than the one asked for.
fn hit(
    reader: &mut Reader,
    entry: &StoredEntry,
    filter: &Filter,
    tell: &mut Tell<'_>,
) -> Result<Option<ControlFlow<()>>, LogError> {
    let head = match reader.head(entry) {
        // What is deleted is not found by what it said, and still by its leaf.
        Err(LogError::Forgotten { .. }) if filter.query_id.is_none() => None,
        Err(LogError::Forgotten { .. }) => return Ok(Some(ControlFlow::Continue(()))),
        head => head?,
    };
    let query_id = head
        .as_ref()
        .and_then(|head| Head::parse(head))
        .map(|head| head.query_id.to_owned());
    if filter.query_id.is_some() && filter.query_id != query_id {
        return Ok(None);
    }
    let leaf = Box::new(reader.leaf(entry)?.clone());
    Ok(Some(tell(
        reader,
        Told::Hit {
            entry,
            leaf,
            query_id,
        },
    )))
}

fn search_indexed(
    reader: &mut Reader,
    view: &View,
    filter: &Filter,
    tell: &mut Tell<'_>,
) -> Result<Indexed, LogError> {
    let of = reader.entries();
    let end = view.position().min(of);
    let mut searched = filter.first;
    let failed = |searched, error| match error {
        ViewError::Store(error) => Ok(Indexed::Wrong(searched, error.to_string())),
        ViewError::Log(error) => Err(error),
    };
    if let Some(query_id) = &filter.query_id {
        let numbers = match view.query(query_id, filter.first) {
            Ok(numbers) => numbers,
            Err(error) => return failed(searched, error),
        };
        for number in numbers.into_iter().filter(|number| *number < end) {
            match check(reader, number, filter, false, tell)? {
                Checked::Told(flow) if flow.is_break() => return Ok(Indexed::Broke),
                Checked::Told(_) => searched = number + 1,
                Checked::Wrong(reason) => return Ok(Indexed::Wrong(searched, reason)),
            }
        }
        return Ok(Indexed::Through(end.max(filter.first)));
    }
    let terms = filter.terms();
    while searched < end {
        let block = index::block(searched);
        let after = ((u64::from(block) + 1) * BLOCK).min(end);
        let numbers = match view.seconds(block) {
            Ok(seconds) if !filter.may_be_in(seconds) => Ok(Vec::new()),
            Ok(_) => view.block(block, &terms),
            Err(error) => Err(error),
        };
        let numbers = match numbers {
            Ok(numbers) => numbers,
            Err(error) => return failed(searched, error),
        };
        for number in numbers
            .into_iter()
            .filter(|number| (searched..after).contains(number))
        {
            match check(reader, number, filter, true, tell)? {
                Checked::Told(flow) if flow.is_break() => return Ok(Indexed::Broke),
                Checked::Told(_) => {}
                Checked::Wrong(reason) => return Ok(Indexed::Wrong(number, reason)),
            }
        }
        searched = after;
        if tell(reader, Told::Progress { read: searched, of }).is_break() {
            return Ok(Indexed::Broke);
        }
    }
    Ok(Indexed::Through(searched))
}

enum Checked {
    Told(ControlFlow<()>),
    /// The index said that this entry fits, and it does not.
    Wrong(String),
}

/// Compares a hit of the index with its entry. `by_terms`: it was found by fields of its leaf, of which time, and the version
/// of a service, are not in the index.
fn check(
    reader: &mut Reader,
    number: u64,
    filter: &Filter,
    by_terms: bool,
    tell: &mut Tell<'_>,
) -> Result<Checked, LogError> {
    let entry = reader.entry(number)?;
    let leaf = reader.leaf(&entry)?;
    if by_terms {
        let has = index::terms(leaf);
        if !filter.terms().iter().all(|term| has.contains(term)) {
            return Ok(Checked::Wrong(format!(
                "entry {number} has other fields than it says"
            )));
        }
    }
    if !filter.fits(leaf) {
        return Ok(Checked::Told(ControlFlow::Continue(())));
    }
    match hit(reader, &entry, filter, tell)? {
        Some(flow) => Ok(Checked::Told(flow)),
        None => Ok(Checked::Wrong(format!(
            "entry {number} has another query id than it says"
        ))),
    }
}
