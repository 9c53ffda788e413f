//! Searching over the control socket: what is asked for, and each entry that fits as it is found.

use std::{
    io,
    ops::ControlFlow,
    time::{Duration, Instant},
};

use kontor_pki::time::UnixTime;
use kontor_protocol::log::EntryKind;
use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;

use super::{Answer, PROGRESS, Question, Side, client::Control};
use crate::messagelog::{
    MessageLog,
    error::LogError,
    search::{self, Filter},
    show::FoundEntry,
};

/// Entries found that wait to be sent: the search waits for whoever reads.
const AHEAD: usize = 32;

/// A [`Filter`] as text.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Wanted {
    #[serde(skip_serializing_if = "Option::is_none")]
    query_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    service: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    member: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<String>,
    /// The number of the kind, as in leaves.
    #[serde(skip_serializing_if = "Option::is_none")]
    kind: Option<u8>,
    /// Milliseconds since 1970.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<i64>,
    first: u64,
    messages: bool,
}

impl From<&Filter> for Wanted {
    fn from(filter: &Filter) -> Self {
        Self {
            query_id: filter.query_id.clone(),
            client: filter.client.as_ref().map(ToString::to_string),
            service: filter.service.as_ref().map(ToString::to_string),
            member: filter.member.as_ref().map(ToString::to_string),
            server: filter.server.as_ref().map(ToString::to_string),
            kind: filter.kind.map(EntryKind::code),
            from: filter.from.map(UnixTime::millis),
            until: filter.until.map(UnixTime::millis),
            first: filter.first,
            messages: filter.messages,
        }
    }
}

impl Wanted {
    pub(super) fn filter(self) -> Result<Filter, kontor_protocol::id::InvalidId> {
        Ok(Filter {
            query_id: self.query_id,
            client: self.client.as_deref().map(str::parse).transpose()?,
            service: self.service.as_deref().map(str::parse).transpose()?,
            member: self.member.as_deref().map(str::parse).transpose()?,
            server: self.server.as_deref().map(str::parse).transpose()?,
            kind: self.kind.map(EntryKind::from_code),
            from: self.from.map(UnixTime::from_millis),
            until: self.until.map(UnixTime::from_millis),
            first: self.first,
            messages: self.messages,
            ..Filter::default()
        })
    }
}

/// Entries that fit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Search {
    filter: Wanted,
    /// How many at most.
    limit: u64,
}

/// What a running search says.
pub(super) enum Event {
    Partial { indexed: u64, of: u64 },
    Progress { read: u64, of: u64 },
    Found(Box<FoundEntry>),
    Failed(LogError),
}

/// Searches on a thread of its own until nobody listens any more.
pub(super) fn events(log: &MessageLog, filter: Filter) -> mpsc::Receiver<Event> {
    let (say, events) = mpsc::channel(AHEAD);
    let mut reader = log.reader();
    tokio::task::spawn_blocking(move || {
        let mut last = Instant::now();
        let ended = search::search(&mut reader, &filter, &mut |reader, told| {
            let event = match told {
                search::Told::Partial { indexed, of } => Event::Partial { indexed, of },
                search::Told::Progress { read, of } => {
                    if last.elapsed() < PROGRESS {
                        return match say.is_closed() {
                            true => ControlFlow::Break(()),
                            false => ControlFlow::Continue(()),
                        };
                    }
                    last = Instant::now();
                    Event::Progress { read, of }
                }
                search::Told::Hit {
                    entry,
                    leaf,
                    query_id,
                } => match FoundEntry::of(reader, entry, &leaf, query_id) {
                    Ok(found) => Event::Found(Box::new(found)),
                    Err(error) => Event::Failed(error),
                },
            };
            match say.blocking_send(event) {
                Ok(()) => ControlFlow::Continue(()),
                Err(_) => ControlFlow::Break(()),
            }
        });
        if let Err(error) = ended {
            let _ = say.blocking_send(Event::Failed(error));
        }
    });
    events
}

/// Entries that fit, as far as somebody would wait for them.
#[derive(Debug, Serialize)]
pub struct Listed {
    /// In ascending order.
    pub entries: Vec<FoundEntry>,
    /// Where to go on: there are more, or the rest was not searched in time. None when all was searched.
    pub next: Option<u64>,
}

impl MessageLog {
    /// At most `limit` entries that fit, searched for no longer than `patience`.
    pub async fn list(&self, filter: Filter, limit: usize, patience: Duration) -> Result<Listed, LogError> {
        let (mut searched, until) = (filter.first, tokio::time::Instant::now() + patience);
        let (mut events, mut entries) = (events(self, filter), Vec::new());
        loop {
            let next = match tokio::time::timeout_at(until, events.recv()).await {
                Err(_) => Some(searched),
                Ok(None) => None,
                Ok(Some(Event::Partial { .. })) => continue,
                Ok(Some(Event::Progress { read, .. })) => {
                    searched = read;
                    continue;
                }
                Ok(Some(Event::Found(found))) if entries.len() == limit => Some(found.number),
                Ok(Some(Event::Found(found))) => {
                    searched = found.number + 1;
                    entries.push(*found);
                    continue;
                }
                Ok(Some(Event::Failed(error))) => return Err(error),
            };
            return Ok(Listed { entries, next });
        }
    }
}

impl Search {
    pub(super) async fn answer(self, log: &MessageLog, side: &mut Side) -> io::Result<()> {
        let filter = match self.filter.filter() {
            Ok(filter) => filter,
            Err(error) => return side.refuse(None, "malformed", &error).await,
        };
        let (mut events, mut told) = (events(log, filter), 0);
        while let Some(event) = events.recv().await {
            match event {
                Event::Partial { indexed, of } => side.say(&Answer::Partial { indexed, of }).await?,
                Event::Progress { read, of } => side.say(&Answer::Progress { read, of }).await?,
                Event::Found(found) if told == self.limit => {
                    return side.say(&Answer::More { first: found.number }).await;
                }
                Event::Found(found) => {
                    told += 1;
                    side.say(&Answer::Found(found)).await?;
                }
                Event::Failed(error) => return side.refuse(None, error.code(), &error).await,
            }
        }
        Ok(())
    }
}

/// What a node tells while it searches.
#[derive(Debug)]
pub enum SearchTold {
    /// The index reflects so many entries of so many; the others are read.
    Partial(u64, u64),
    /// How many entries were searched, and how many there are.
    Progress(u64, u64),
    /// An entry that fits.
    Found(Box<FoundEntry>),
    /// There are more than asked for; the next has this number.
    More(u64),
}

impl Control {
    /// Searches, and hands on what the node tells. Entries come in ascending order.
    pub fn search(
        self,
        filter: &Filter,
        limit: u64,
        told: &mut dyn FnMut(SearchTold) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let filter = Wanted::from(filter);
        self.ask(&Question::Search(Search { filter, limit }), &mut |answer| {
            told(match answer {
                Answer::Partial { indexed, of } => SearchTold::Partial(indexed, of),
                Answer::Progress { read, of } => SearchTold::Progress(read, of),
                Answer::Found(found) => SearchTold::Found(found),
                Answer::More { first } => SearchTold::More(first),
                answer => return answer.unexpected(),
            })
        })
    }
}
