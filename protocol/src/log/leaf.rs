//! One leaf as a value and as bytes. Owns the layout of the page in [`super`]; every field is public because a leaf has
//! no secrets and no invariants beyond being writable.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use kontor_pki::time::UnixTime;

use crate::id::{ClientId, MemberId, ServerId, ServiceId};
use crate::limits;

const VERSION: u8 = 1;
const TEST: u8 = 1;

/// The longest leaf there can be: all identifiers with fields of [`limits::ID_FIELD`] bytes.
pub const LEAF_LIMIT: usize =
    FIXED + 4 + 4 * 4 * FIELD + 2 * FIELD + 3 * (2 + RetentionClass::LIMIT) + COMMITMENT;
/// Bytes before the first name.
const FIXED: usize = 57;
const COMMITMENT: usize = 32;
const FIELD: usize = 2 + limits::ID_FIELD;

/// What an entry of the log records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EntryKind {
    /// 1: a request.
    Request,
    /// 2: a response.
    Response,
    /// 3: an exchange ended without its response; the fault code is in the evidence.
    FailureClosure,
    /// 4: a time-stamp token with the numbers it covers.
    TimeStamp,
    /// 5: a renewal of time-stamps.
    Renewal,
    /// 6: content was deleted: rule, ground and numbers.
    Deletion,
    /// 7: numbers that may not be deleted.
    Hold,
    /// 8: the end of a hold.
    HoldReleased,
    /// 9: a local decision that state cites.
    Act,
    /// 10: somebody looked at case data or at the log.
    Look,
    /// 11: the configuration of the node.
    ConfigurationSnapshot,
    /// 12: the node started.
    Start,
    /// 13: the node stopped.
    Stop,
    /// 14: the key that signs checkpoints, bound to the member.
    CheckpointKey,
    /// A kind of a later version.
    Unknown(u8),
}

impl EntryKind {
    /// The byte in the leaf.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Request => 1,
            Self::Response => 2,
            Self::FailureClosure => 3,
            Self::TimeStamp => 4,
            Self::Renewal => 5,
            Self::Deletion => 6,
            Self::Hold => 7,
            Self::HoldReleased => 8,
            Self::Act => 9,
            Self::Look => 10,
            Self::ConfigurationSnapshot => 11,
            Self::Start => 12,
            Self::Stop => 13,
            Self::CheckpointKey => 14,
            Self::Unknown(code) => code,
        }
    }

    /// The kind of this byte.
    #[must_use]
    pub fn from_code(code: u8) -> Self {
        match code {
            1 => Self::Request,
            2 => Self::Response,
            3 => Self::FailureClosure,
            4 => Self::TimeStamp,
            5 => Self::Renewal,
            6 => Self::Deletion,
            7 => Self::Hold,
            8 => Self::HoldReleased,
            9 => Self::Act,
            10 => Self::Look,
            11 => Self::ConfigurationSnapshot,
            12 => Self::Start,
            13 => Self::Stop,
            14 => Self::CheckpointKey,
            other => Self::Unknown(other),
        }
    }

    /// The word for reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Request => "request",
            Self::Response => "response",
            Self::FailureClosure => "failure closure",
            Self::TimeStamp => "time-stamp",
            Self::Renewal => "renewal",
            Self::Deletion => "deletion",
            Self::Hold => "hold",
            Self::HoldReleased => "hold released",
            Self::Act => "act",
            Self::Look => "look",
            Self::ConfigurationSnapshot => "configuration snapshot",
            Self::Start => "start",
            Self::Stop => "stop",
            Self::CheckpointKey => "checkpoint key",
            Self::Unknown(_) => "entry of a later version",
        }
    }
}

/// Which way a message went, seen from the node that keeps the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// No message, or neither way.
    None,
    /// Signed and sent by this node.
    Sent,
    /// Received and verified by this node.
    Received,
}

impl Direction {
    fn code(self) -> u8 {
        match self {
            Self::None => 0,
            Self::Sent => 1,
            Self::Received => 2,
        }
    }

    fn from_code(code: u8) -> Option<Self> {
        [Self::None, Self::Sent, Self::Received]
            .into_iter()
            .find(|d| d.code() == code)
    }
}

/// The name of a rule for how long something is kept, an open set: 1 to 32 lower-case letters, digits and `-`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RetentionClass(Arc<str>);

/// A name that no retention class can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a retention class is named by 1 to 32 lower-case letters, digits and `-`")]
pub struct InvalidRetentionClass;

impl RetentionClass {
    const LIMIT: usize = 32;

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RetentionClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RetentionClass {
    type Err = InvalidRetentionClass;

    fn from_str(name: &str) -> Result<Self, InvalidRetentionClass> {
        let fits = (1..=Self::LIMIT).contains(&name.len())
            && name
                .bytes()
                .all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-'));
        if fits {
            Ok(Self(name.into()))
        } else {
            Err(InvalidRetentionClass)
        }
    }
}

/// The retention classes of an entry's blobs; `None` where the entry has no such blob.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Retention {
    /// How long the message and its ids stay readable.
    pub head: Option<RetentionClass>,
    /// How long the body does.
    pub body: Option<RetentionClass>,
    /// How long signature and digests do.
    pub evidence: Option<RetentionClass>,
}

/// Why bytes are no leaf.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeafError {
    /// A field with a value that no leaf has, for example a flag that is not defined.
    #[error("the leaf has a wrong {0}")]
    Field(&'static str),
    /// Bytes are missing or left over.
    #[error("the leaf does not have the length that its fields say")]
    Length,
    /// A version this program does not know.
    #[error("the leaf has format version {0}; a newer program is needed to read it")]
    Version(u8),
}

impl LeafError {
    /// A stable word for reports.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::Field(_) | Self::Length => "malformed_leaf",
            Self::Version(_) => "unknown_leaf_version",
        }
    }
}

/// The permanent record of one entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf {
    /// What is recorded.
    pub kind: EntryKind,
    /// Which way it went.
    pub direction: Direction,
    /// Made by a node in test mode.
    pub test: bool,
    /// Size of message and body as a power of two, see [`Leaf::size_class`].
    pub size_class: u8,
    /// Which log.
    pub log_id: [u8; 32],
    /// Index in the tree.
    pub number: u64,
    /// Seconds since 1970.
    pub second: u64,
    /// Key period: year times 100 plus month.
    pub period: u32,
    /// Who asked.
    pub client: Option<ClientId>,
    /// What was asked, without path.
    pub service: Option<ServiceId>,
    /// Security server on the client's side.
    pub client_server: Option<ServerId>,
    /// Security server on the provider's side.
    pub provider_server: Option<ServerId>,
    /// Retention classes.
    pub retention: Retention,
    /// Commitment to salt and part list.
    pub commitment: [u8; 32],
}

impl Leaf {
    /// The smallest k so that `bytes` is less than 2^k; 0 for no bytes.
    #[must_use]
    pub fn size_class(bytes: u64) -> u8 {
        u8::try_from(u64::BITS - bytes.leading_zeros()).expect("64 at most")
    }

    /// The second that a leaf of this instant names; times before 1970 count as 1970.
    #[must_use]
    pub fn second_of(at: UnixTime) -> u64 {
        u64::try_from(at.secs()).unwrap_or(0)
    }

    /// The bytes that go into the tree.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(512);
        out.extend([
            VERSION,
            self.kind.code(),
            self.direction.code(),
            if self.test { TEST } else { 0 },
            self.size_class,
        ]);
        out.extend(self.log_id);
        out.extend(self.number.to_be_bytes());
        out.extend(self.second.to_be_bytes());
        out.extend(self.period.to_be_bytes());
        put_client(&mut out, self.client.as_ref());
        put_client(&mut out, self.service.as_ref().map(ServiceId::provider));
        put_string(&mut out, self.service.as_ref().map_or("", ServiceId::code));
        put_string(
            &mut out,
            self.service
                .as_ref()
                .and_then(ServiceId::version)
                .unwrap_or_default(),
        );
        put_server(&mut out, self.client_server.as_ref());
        put_server(&mut out, self.provider_server.as_ref());
        for class in [
            &self.retention.head,
            &self.retention.body,
            &self.retention.evidence,
        ] {
            put_string(&mut out, class.as_ref().map_or("", RetentionClass::as_str));
        }
        out.extend(self.commitment);
        out
    }

    /// The part of a leaf's bytes that names parties, servers and classes: equal for all leaves between the same.
    /// Empty for bytes that are too short for a leaf.
    #[must_use]
    pub fn names(bytes: &[u8]) -> &[u8] {
        let end = bytes.len().saturating_sub(COMMITMENT);
        bytes.get(FIXED..end).unwrap_or_default()
    }

    /// Reads a leaf.
    ///
    /// # Errors
    /// Bytes that [`Leaf::to_bytes`] would not write.
    pub fn parse(bytes: &[u8]) -> Result<Self, LeafError> {
        let mut cursor = Cursor(bytes);
        let [version] = cursor.array()?;
        if version != VERSION {
            return Err(LeafError::Version(version));
        }
        let [kind, direction, flags, size_class] = cursor.array()?;
        if flags & !TEST != 0 || size_class > 64 {
            return Err(LeafError::Field("flag or size"));
        }
        let leaf = Self {
            kind: EntryKind::from_code(kind),
            direction: Direction::from_code(direction).ok_or(LeafError::Field("direction"))?,
            test: flags & TEST != 0,
            size_class,
            log_id: cursor.array()?,
            number: u64::from_be_bytes(cursor.array()?),
            second: u64::from_be_bytes(cursor.array()?),
            period: u32::from_be_bytes(cursor.array()?),
            client: cursor.client()?,
            service: cursor.service()?,
            client_server: cursor.server()?,
            provider_server: cursor.server()?,
            retention: Retention {
                head: cursor.retention_class()?,
                body: cursor.retention_class()?,
                evidence: cursor.retention_class()?,
            },
            commitment: cursor.array()?,
        };
        if cursor.0.is_empty() {
            Ok(leaf)
        } else {
            Err(LeafError::Length)
        }
    }
}

fn put_string(out: &mut Vec<u8>, text: &str) {
    // Fields of identifiers and names of classes are bounded far below 64 KiB by their types.
    let length = u16::try_from(text.len()).expect("bounded by limits::ID_FIELD");
    out.extend(length.to_be_bytes());
    out.extend(text.as_bytes());
}

fn put_fields(out: &mut Vec<u8>, fields: &[&str]) {
    out.push(u8::try_from(fields.len()).expect("four fields at most"));
    for field in fields {
        put_string(out, field);
    }
}

fn put_client(out: &mut Vec<u8>, client: Option<&ClientId>) {
    let Some(client) = client else {
        return put_fields(out, &[]);
    };
    let member = client.member();
    let fields = [
        member.instance(),
        member.class(),
        member.code(),
        client.subsystem().unwrap_or_default(),
    ];
    put_fields(out, &fields[..if client.subsystem().is_some() { 4 } else { 3 }]);
}

fn put_server(out: &mut Vec<u8>, server: Option<&ServerId>) {
    let Some(server) = server else {
        return put_fields(out, &[]);
    };
    let owner = server.owner();
    put_fields(
        out,
        &[owner.instance(), owner.class(), owner.code(), server.code()],
    );
}

/// Reads from the front, never past the end.
struct Cursor<'a>(&'a [u8]);

impl<'a> Cursor<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], LeafError> {
        let (piece, rest) = self.0.split_at_checked(length).ok_or(LeafError::Length)?;
        self.0 = rest;
        Ok(piece)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], LeafError> {
        self.take(N)?.try_into().map_err(|_| LeafError::Length)
    }

    fn string(&mut self) -> Result<&'a str, LeafError> {
        let length = u16::from_be_bytes(self.array()?);
        std::str::from_utf8(self.take(length.into())?).map_err(|_| LeafError::Field("string"))
    }

    fn fields(&mut self) -> Result<Vec<&'a str>, LeafError> {
        let [count] = self.array()?;
        if count > 4 {
            return Err(LeafError::Field("identifier"));
        }
        (0..count).map(|_| self.string()).collect()
    }

    fn client(&mut self) -> Result<Option<ClientId>, LeafError> {
        let wrong = |_| LeafError::Field("identifier");
        match self.fields()?[..] {
            [] => Ok(None),
            [i, c, m] => Ok(Some(MemberId::new(i, c, m).map_err(wrong)?.into())),
            [i, c, m, s] => {
                let member = MemberId::new(i, c, m).map_err(wrong)?;
                ClientId::subsystem_of(member, s).map(Some).map_err(wrong)
            }
            _ => Err(LeafError::Field("identifier")),
        }
    }

    fn service(&mut self) -> Result<Option<ServiceId>, LeafError> {
        let (provider, code, version) = (self.client()?, self.string()?, self.string()?);
        match (provider, code, version) {
            (None, "", "") => Ok(None),
            (Some(provider), code, version) => {
                let version = (!version.is_empty()).then_some(version);
                ServiceId::new(provider, code, version)
                    .map(Some)
                    .map_err(|_| LeafError::Field("identifier"))
            }
            _ => Err(LeafError::Field("identifier")),
        }
    }

    fn server(&mut self) -> Result<Option<ServerId>, LeafError> {
        let wrong = |_| LeafError::Field("identifier");
        match self.fields()?[..] {
            [] => Ok(None),
            [i, c, m, s] => {
                let owner = MemberId::new(i, c, m).map_err(wrong)?;
                ServerId::new(owner, s).map(Some).map_err(wrong)
            }
            _ => Err(LeafError::Field("identifier")),
        }
    }

    fn retention_class(&mut self) -> Result<Option<RetentionClass>, LeafError> {
        match self.string()? {
            "" => Ok(None),
            name => name
                .parse()
                .map(Some)
                .map_err(|_| LeafError::Field("retention class")),
        }
    }
}
