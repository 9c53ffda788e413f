//! One entry for people and programs that ask: what its leaf says, what is still there of it and what was deleted. Never its
//! body; the message itself only through an export.

use kontor_pki::{time::UnixTime, timestamp::TimestampToken};
use kontor_protocol::log::{Direction, EntryKind, Leaf, leaf_hash, parse_parts};
use kontor_protocol::statement::{left_of_evidence, left_of_leaf};
use serde::{Deserialize, Serialize};

use super::{
    MessageLog,
    blob::{Evidence, Head},
    error::LogError,
    identity::hex,
    keytree::BlobClass,
    read::{Reader, StoredBody, StoredEntry},
};

/// What became of a part of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PartState {
    /// It never had one.
    None,
    /// It can be read.
    There,
    /// It was forgotten on purpose.
    Deleted,
    /// It lies in an archive and was dropped from the log.
    Archived,
}

impl PartState {
    /// The word for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::There => "there",
            Self::Deleted => "deleted",
            Self::Archived => "archived",
        }
    }
}

/// An entry as a search tells it: its leaf, and the query id while the head is there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundEntry {
    /// Number of the entry.
    pub number: u64,
    /// When it was logged, to the second (RFC 3339).
    pub at: String,
    /// What it records, for example `request`.
    pub kind: String,
    /// `sent` or `received`, for messages.
    pub direction: Option<String>,
    /// Who asked.
    pub client: Option<String>,
    /// Which service.
    pub service: Option<String>,
    /// Security server on the client's side.
    pub client_server: Option<String>,
    /// Security server on the provider's side.
    pub provider_server: Option<String>,
    /// `x-road-id`.
    pub query_id: Option<String>,
    /// Message and body together have fewer bytes than this.
    pub bytes_below: Option<u64>,
    /// Whether it is of a test.
    pub test: bool,
    /// The message and its ids.
    pub head: PartState,
    /// The body.
    pub body: PartState,
    /// Signature and digests.
    pub evidence: PartState,
}

impl FoundEntry {
    pub(crate) fn of(
        reader: &mut Reader,
        entry: &StoredEntry,
        leaf: &Leaf,
        query_id: Option<String>,
    ) -> Result<Self, LogError> {
        let direction = match leaf.direction {
            Direction::None => None,
            Direction::Sent => Some("sent".into()),
            Direction::Received => Some("received".into()),
        };
        let at = UnixTime::from_secs(i64::try_from(leaf.second).unwrap_or(i64::MAX));
        Ok(Self {
            number: entry.number,
            at: at.to_rfc3339(),
            kind: leaf.kind.name().into(),
            direction,
            client: leaf.client.as_ref().map(ToString::to_string),
            service: leaf.service.as_ref().map(ToString::to_string),
            client_server: leaf.client_server.as_ref().map(ToString::to_string),
            provider_server: leaf.provider_server.as_ref().map(ToString::to_string),
            query_id,
            bytes_below: (leaf.size_class > 0)
                .then(|| 1_u64.checked_shl(leaf.size_class.into()).unwrap_or(u64::MAX)),
            test: leaf.test,
            head: reader.part_state(entry, BlobClass::Head)?,
            body: reader.part_state(entry, BlobClass::Body)?,
            evidence: reader.part_state(entry, BlobClass::Evidence)?,
        })
    }
}

/// Everything that is told of one entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownEntry {
    /// As a search tells it.
    #[serde(flatten)]
    pub found: FoundEntry,
    /// Id of the log.
    pub log: String,
    /// SHA-256(0x00 ‖ leaf): the entry's place in the tree.
    pub leaf_hash: String,
    /// What the leaf commits to.
    pub commitment: String,
    /// The month of its keys, year times 100 plus month.
    pub key_period: u32,
    /// Retention classes of head, body and evidence.
    pub retention: [Option<String>; 3],
    /// When it was logged, to the millisecond.
    pub logged: Option<String>,
    /// `x-road-request-id`.
    pub request_id: Option<String>,
    /// The entry that it answers or closes.
    pub answers: Option<u64>,
    /// The fault with which an exchange ended.
    pub fault: Option<String>,
    /// What the commitment is over.
    pub parts: Vec<ShownPart>,
    /// Bytes of the body.
    pub body_bytes: Option<u64>,
    /// Instant of the time-stamp that covers it.
    pub stamped: Option<String>,
    /// By which entry and rule a part was deleted.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gone: Vec<ShownGone>,
    /// For a message, what an auditor can show with what is there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provable: Option<String>,
    /// The archive that the message lies in, if it is in one.
    #[serde(default)]
    pub archive: Option<ShownArchive>,
    /// For a time-stamp: how many entries it covers, the first and the last.
    pub covers: Option<(u64, u64, u64)>,
}

/// Why a part is not there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownGone {
    /// `head`, `body` or `evidence`.
    pub part: String,
    /// A stable word, such as `log_content_deleted`.
    pub code: String,
    /// The rule under which it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rule: Option<String>,
    /// The entry that says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
    /// The same as a sentence.
    pub text: String,
}

impl ShownGone {
    fn of(part: &str, why: &LogError) -> Self {
        let (rule, entry) = match why {
            LogError::Deleted { rule, entry, .. } => (Some(rule.clone()), Some(*entry)),
            LogError::Quarantined { entry, .. } => (None, Some(*entry)),
            _ => (None, None),
        };
        Self {
            part: part.into(),
            code: why.code().into(),
            rule,
            entry,
            text: why.to_string(),
        }
    }
}

/// What an auditor can show of a message, in the words of the table that says what is proven when.
fn provable(found: &FoundEntry, is_kept: [bool; 2], gone: &[ShownGone]) -> String {
    // What lies in an archive is as good as here for whoever has the archive.
    let is_there = |state: PartState| matches!(state, PartState::There | PartState::Archived);
    let [head_kept, body_kept] = is_kept;
    let body = body_kept && found.body != PartState::Deleted;
    match (is_there(found.head) && head_kept, body, is_there(found.evidence)) {
        (true, true, true) => {
            "everything: who signed what, when, unchanged, at which place of a complete log".into()
        }
        (true, false, true) => {
            "everything but the body's content: who signed what, when, unchanged, at which place of a \
                                complete log; the body's digest is bound"
                .into()
        }
        (false, _, true) => left_of_evidence().into(),
        (_, _, false) => {
            let by = gone.iter().find(|gone| gone.part == "evidence");
            let deleted = by.and_then(|gone| Some((gone.rule.as_deref()?, gone.entry?)));
            left_of_leaf(deleted)
        }
    }
}

/// An archive.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownArchive {
    /// Its name.
    pub file: String,
    /// Where it was written to.
    pub place: Option<String>,
    /// Last digest of its chain, in hexadecimal.
    pub digest: String,
    /// SHA-256 of the file, in hexadecimal.
    pub sha256: String,
    /// The entry that records it.
    pub entry: u64,
    /// Whether the body is in it.
    pub body: bool,
}

/// One line of the part list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ShownPart {
    /// Its name, for example `message.xml`.
    pub name: String,
    /// Its bytes.
    pub length: u64,
    /// SHA-512 of it.
    pub sha512: String,
}

impl MessageLog {
    /// What is told of one entry.
    pub async fn shown(&self, number: u64) -> Result<ShownEntry, LogError> {
        let mut reader = self.reader();
        let read = move || show(&mut reader, number).map(|(shown, _)| shown);
        tokio::task::spawn_blocking(read)
            .await
            .map_err(|_| LogError::Closed)?
    }
}

/// Reads an entry; the body comes with it, unread.
pub(crate) fn show(reader: &mut Reader, number: u64) -> Result<(ShownEntry, StoredBody), LogError> {
    let entry = reader.entry(number)?;
    let leaf = reader.leaf(&entry)?;
    let absent = |error| match error {
        LogError::Forgotten { .. } => Ok(None),
        error => Err(error),
    };
    let head = reader.head(&entry).or_else(absent)?;
    let head = head.as_deref().and_then(|head| Head::parse(head));
    let opened = reader.evidence(&entry).map(Some).or_else(absent)?;
    let evidence = opened.as_deref().and_then(|evidence| Evidence::parse(evidence));
    let query_id = head.as_ref().map(|head| head.query_id.to_owned());
    let found = FoundEntry::of(reader, &entry, leaf, query_id)?;
    let body = match reader.body(&entry) {
        Err(LogError::Forgotten { .. }) => StoredBody::None,
        body => body?,
    };
    let mut gone = Vec::new();
    for (part, state) in [
        ("head", found.head),
        ("body", found.body),
        ("evidence", found.evidence),
    ] {
        if state == PartState::Deleted {
            let why = reader.explain(LogError::Forgotten { number, part });
            gone.push(ShownGone::of(part, &why));
        }
    }
    let not_kept = evidence
        .as_ref()
        .map(|evidence| evidence.not_kept)
        .unwrap_or_default();
    let is_message = matches!(leaf.kind, EntryKind::Request | EntryKind::Response);
    let provable = is_message.then(|| provable(&found, [!not_kept.head, !not_kept.body], &gone));
    let genuine = |token: &[u8]| {
        TimestampToken::parse(token)
            .ok()
            .map(|token| token.gen_time().to_rfc3339())
    };
    let stamp = reader.stamp(number)?;
    let archive = reader.archive_of(number)?;
    let parts = evidence
        .as_ref()
        .and_then(|evidence| parse_parts(evidence.parts).ok());
    let shown = ShownEntry {
        log: hex(&leaf.log_id),
        leaf_hash: hex(&leaf_hash(entry.leaf_bytes())),
        commitment: hex(&leaf.commitment),
        key_period: leaf.period,
        retention: [
            &leaf.retention.head,
            &leaf.retention.body,
            &leaf.retention.evidence,
        ]
        .map(|class| class.as_ref().map(ToString::to_string)),
        logged: evidence
            .as_ref()
            .map(|evidence| UnixTime::from_millis(evidence.millis).to_rfc3339()),
        request_id: head.as_ref().map(|head| head.request_id.to_owned()),
        answers: evidence.as_ref().and_then(|evidence| evidence.answers),
        fault: evidence
            .as_ref()
            .and_then(|evidence| evidence.fault.map(str::to_owned)),
        parts: parts
            .unwrap_or_default()
            .into_iter()
            .map(|part| ShownPart {
                name: part.name,
                length: part.length,
                sha512: hex(&part.digest),
            })
            .collect(),
        body_bytes: match &body {
            StoredBody::None => None,
            StoredBody::Inline(bytes) => Some(bytes.len() as u64),
            StoredBody::Content(_, length) => Some(*length),
        },
        archive: archive.map(|known| ShownArchive {
            file: known.file.clone(),
            place: known.place.clone(),
            digest: known.digest.clone(),
            sha256: known.sha256.clone(),
            entry: known.entry,
            body: known.bodies.contains(number),
        }),
        stamped: stamp.and_then(|stamp| genuine(stamp.token())),
        gone,
        provable,
        covers: evidence.as_ref().and_then(|evidence| {
            let (first, last) = (evidence.covered.iter().min()?, evidence.covered.iter().max()?);
            Some((evidence.covered.len() as u64, *first, *last))
        }),
        found,
    };
    Ok((shown, body))
}
