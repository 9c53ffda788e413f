//! How far archiving is: per chain its end and the next entry, and the file that is on its way. Kept in `log/archive.state`,
//! and made anew from the entries that record archives when that is missing.

use std::{collections::BTreeMap, io, ops::ControlFlow};

use kontor_protocol::{archive::Link, log::EntryKind};
use serde::{Deserialize, Serialize};

use super::ArchivedFile;
use crate::{
    disk,
    messagelog::{
        error::LogError,
        fact::{Acted, LoggedFact},
        identity::Home,
        numbers::NumberSet,
        read::Reader,
        search::{self, Filter, Told},
    },
};

/// The name of the act that records an archive.
pub(super) const ACT: &str = "archive";
/// The state of a million chains does not come near.
const LIMIT: usize = 64 * 1024 * 1024;

/// The end of a chain.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Chain {
    digest: String,
    file: String,
    /// Entries of this chain below are archived.
    next: u64,
}

/// An archive that is announced and not recorded yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Pending {
    pub(super) group: String,
    pub(super) file: String,
    pub(super) digest: String,
    pub(super) containers: u64,
    pub(super) previous: Option<Before>,
    /// Runs of entries in it: first, and the one after the last.
    runs: Vec<(u64, u64)>,
    /// The same of those whose body is in it; all, where nothing is said.
    #[serde(default)]
    pub(super) bodies: Option<Vec<(u64, u64)>>,
}

/// The archive before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Before {
    pub(super) digest: String,
    pub(super) file: String,
}

impl Pending {
    pub(super) fn new(
        group: &str,
        file: String,
        digest: String,
        previous: Option<Link>,
        numbers: &NumberSet,
        bodies: &NumberSet,
    ) -> Self {
        Self {
            group: group.into(),
            file,
            digest,
            containers: numbers.len(),
            previous: previous.map(|Link { digest, file }| Before { digest, file }),
            runs: numbers.runs().to_vec(),
            bodies: Some(bodies.runs().to_vec()),
        }
    }

    pub(super) fn numbers(&self) -> NumberSet {
        let mut numbers = NumberSet::default();
        self.runs.iter().for_each(|run| numbers.insert_run(run.0, run.1));
        numbers
    }
}

/// What the act that records an archive says beside its numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Recorded {
    /// Member or subsystem; empty for one chain of all.
    pub(super) group: String,
    pub(super) file: String,
    pub(super) digest: String,
    pub(super) sha256: String,
    pub(super) containers: u64,
    /// Every message below was archived, or deleted before.
    pub(super) through: u64,
    /// Where it was written to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) place: Option<String>,
    /// Runs of the entries whose body is in it; all of its entries, where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) bodies: Option<Vec<(u64, u64)>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct State {
    format: u32,
    /// Entries below were searched for archives that are recorded.
    seen: u64,
    /// Every message below is archived, or was deleted before.
    pub(super) through: u64,
    chains: BTreeMap<String, Chain>,
    pub(super) pending: Option<Pending>,
}

impl State {
    /// Reads the file and what the log recorded since.
    pub(super) fn load(home: &Home, reader: &mut Reader) -> Result<Self, LogError> {
        let path = home.layout.archive_state();
        let mut state = match disk::read_all(&*home.disk, &path, LIMIT) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Self::default(),
            read => {
                let bytes = read.map_err(LogError::io("could not read", &path))?;
                match serde_json::from_slice::<Self>(&bytes) {
                    Ok(state) if state.format == 1 => state,
                    // Made anew from the log; a file that was announced is found by nobody then, and made again.
                    Ok(_) | Err(_) => {
                        tracing::warn!(path = %path.display(), "the state of archiving does not read and is made anew");
                        Self::default()
                    }
                }
            }
        };
        state.format = 1;
        let (mut acts, of) = (Vec::new(), reader.entries());
        let filter = Filter {
            kind: Some(EntryKind::Act),
            first: state.seen,
            ..Filter::default()
        };
        search::search(reader, &filter, &mut |_, told| {
            if let Told::Hit { entry, .. } = told {
                acts.push(entry.number);
            }
            ControlFlow::Continue(())
        })?;
        for number in acts {
            state.fold(&reader.fact(number)?);
        }
        state.seen = of;
        Ok(state)
    }

    /// Takes in what an act says, if it is about an archive.
    pub(super) fn fold(&mut self, fact: &LoggedFact) {
        let said = fact.said::<Acted>().filter(|said| said.act == ACT);
        let recorded = said.and_then(|said| serde_json::from_value::<Recorded>(said.details).ok());
        if let (Some(recorded), Some(last)) = (recorded, fact.numbers.last()) {
            self.record(&recorded, last);
        }
    }

    /// Notes an archive that is recorded, whose last entry is `last`.
    pub(super) fn record(&mut self, recorded: &Recorded, last: u64) {
        let chain = Chain {
            digest: recorded.digest.clone(),
            file: recorded.file.clone(),
            next: last + 1,
        };
        if self
            .pending
            .as_ref()
            .is_some_and(|pending| pending.file == recorded.file)
        {
            self.pending = None;
        }
        self.through = self.through.max(recorded.through);
        self.chains.insert(recorded.group.clone(), chain);
    }

    pub(super) fn save(&self, home: &Home) -> Result<(), LogError> {
        let path = home.layout.archive_state();
        let bytes = serde_json::to_vec(self).expect("numbers and strings always serialise");
        disk::replace(&*home.disk, &path, &bytes).map_err(LogError::io("could not write", &path))
    }

    /// The archive that the next one of a group continues.
    pub(super) fn end(&self, group: &str) -> Option<Link> {
        self.chains.get(group).map(|chain| Link {
            digest: chain.digest.clone(),
            file: chain.file.clone(),
        })
    }

    /// Whether an entry of a group is archived.
    pub(super) fn has(&self, group: &str, number: u64) -> bool {
        number < self.through || self.chains.get(group).is_some_and(|chain| number < chain.next)
    }
}

impl Recorded {
    pub(super) fn told(&self, numbers: &NumberSet, entry: u64) -> ArchivedFile {
        ArchivedFile {
            group: Some(self.group.clone()).filter(|group| !group.is_empty()),
            file: self.file.clone(),
            digest: self.digest.clone(),
            sha256: self.sha256.clone(),
            containers: self.containers,
            first: numbers.runs().first().map_or(0, |run| run.0),
            last: numbers.last().unwrap_or(0),
            entry,
        }
    }
}
