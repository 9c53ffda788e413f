//! Members, their subsystems, and global groups of them (wire 1.1).
//!
//! Owns the forms of three kinds of identifier. Who is registered is a question for the trust set.

use std::fmt;
use std::str::FromStr;

use super::{InvalidId, checked, segment, serde_as_text, shortened};

/// An organisation that takes part: `DE/GOV/09162000`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MemberId {
    instance: String,
    class: String,
    code: String,
}

impl MemberId {
    /// A member from its three fields, unescaped.
    ///
    /// # Errors
    /// A field that cannot stand in an identifier.
    pub fn new(instance: &str, class: &str, code: &str) -> Result<Self, InvalidId> {
        Ok(Self {
            instance: checked(instance)?,
            class: checked(class)?,
            code: checked(code)?,
        })
    }

    /// The X-Road instance, for example `DE`.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The member class, for example `GOV`.
    #[must_use]
    pub fn class(&self) -> &str {
        &self.class
    }

    /// The member code, unique within its class.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// `MEMBER:DE/GOV/09162000` (wire 1.4).
    #[must_use]
    pub fn typed(&self) -> String {
        format!("MEMBER:{self}")
    }

    /// Reads the percent-encoded form of exactly three segments (wire 1.3).
    ///
    /// # Errors
    /// Another number of segments, or a segment that is not validly encoded.
    pub fn parse_path(path: &str) -> Result<Self, InvalidId> {
        let pieces = path
            .split('/')
            .map(segment::decode)
            .collect::<Result<Vec<_>, _>>()?;
        Self::from_pieces(&pieces, path)
    }

    /// The percent-encoded form.
    #[must_use]
    pub fn to_path(&self) -> String {
        let mut out = String::new();
        self.push_path(&mut out);
        out
    }

    pub(super) fn push_path(&self, out: &mut String) {
        segment::push_encoded(out, &self.instance);
        out.push('/');
        segment::push_encoded(out, &self.class);
        out.push('/');
        segment::push_encoded(out, &self.code);
    }

    fn from_pieces<S: AsRef<str>>(pieces: &[S], text: &str) -> Result<Self, InvalidId> {
        let [instance, class, code] = pieces else {
            return Err(InvalidId::Pieces {
                kind: "member",
                wanted: "3",
                text: shortened(text),
            });
        };
        Self::new(instance.as_ref(), class.as_ref(), code.as_ref())
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.instance, self.class, self.code)
    }
}

impl FromStr for MemberId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::from_pieces(&text.split('/').collect::<Vec<_>>(), text)
    }
}

/// Who sends or serves messages: a member itself, or one of its subsystems (X-Road's ClientId).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId {
    member: MemberId,
    subsystem: Option<String>,
}

impl ClientId {
    /// The subsystem `code` of `member`, unescaped.
    ///
    /// # Errors
    /// A code that cannot stand in an identifier.
    pub fn subsystem_of(member: MemberId, code: &str) -> Result<Self, InvalidId> {
        Ok(Self {
            member,
            subsystem: Some(checked(code)?),
        })
    }

    /// The member: signer of everything this client sends.
    #[must_use]
    pub fn member(&self) -> &MemberId {
        &self.member
    }

    /// The X-Road instance.
    #[must_use]
    pub fn instance(&self) -> &str {
        self.member.instance()
    }

    /// The code of the subsystem; `None` for the member itself.
    #[must_use]
    pub fn subsystem(&self) -> Option<&str> {
        self.subsystem.as_deref()
    }

    /// `SUBSYSTEM:DE/GOV/09162000/PORTAL`, or `MEMBER:…` without a subsystem (wire 1.4).
    #[must_use]
    pub fn typed(&self) -> String {
        match self.subsystem {
            Some(_) => format!("SUBSYSTEM:{self}"),
            None => self.member.typed(),
        }
    }

    /// Reads the percent-encoded form of three or four segments, as in `X-Road-Client` (wire 1.3).
    ///
    /// # Errors
    /// Another number of segments, or a segment that is not validly encoded.
    pub fn parse_path(path: &str) -> Result<Self, InvalidId> {
        let pieces = path
            .split('/')
            .map(segment::decode)
            .collect::<Result<Vec<_>, _>>()?;
        Self::from_pieces(&pieces, path)
    }

    /// The percent-encoded form, as in `x-road-client` of a response.
    #[must_use]
    pub fn to_path(&self) -> String {
        let mut out = String::new();
        self.push_path(&mut out);
        out
    }

    pub(super) fn push_path(&self, out: &mut String) {
        self.member.push_path(out);
        if let Some(subsystem) = &self.subsystem {
            out.push('/');
            segment::push_encoded(out, subsystem);
        }
    }

    fn from_pieces<S: AsRef<str>>(pieces: &[S], text: &str) -> Result<Self, InvalidId> {
        match pieces {
            [instance, class, code] => {
                MemberId::new(instance.as_ref(), class.as_ref(), code.as_ref()).map(Self::from)
            }
            [instance, class, code, subsystem] => Self::subsystem_of(
                MemberId::new(instance.as_ref(), class.as_ref(), code.as_ref())?,
                subsystem.as_ref(),
            ),
            _ => Err(InvalidId::Pieces {
                kind: "client",
                wanted: "3 or 4",
                text: shortened(text),
            }),
        }
    }
}

impl From<MemberId> for ClientId {
    fn from(member: MemberId) -> Self {
        Self {
            member,
            subsystem: None,
        }
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subsystem {
            Some(subsystem) => write!(f, "{}/{subsystem}", self.member),
            None => self.member.fmt(f),
        }
    }
}

impl FromStr for ClientId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::from_pieces(&text.split('/').collect::<Vec<_>>(), text)
    }
}

/// A global group of an instance: `DE/all-municipalities`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId {
    instance: String,
    code: String,
}

impl GroupId {
    /// A group from its two fields, unescaped.
    ///
    /// # Errors
    /// A field that cannot stand in an identifier.
    pub fn new(instance: &str, code: &str) -> Result<Self, InvalidId> {
        Ok(Self {
            instance: checked(instance)?,
            code: checked(code)?,
        })
    }

    /// The X-Road instance that defines the group.
    #[must_use]
    pub fn instance(&self) -> &str {
        &self.instance
    }

    /// The code of the group.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// `GLOBALGROUP:DE/all-municipalities` (wire 1.4).
    #[must_use]
    pub fn typed(&self) -> String {
        format!("GLOBALGROUP:{self}")
    }
}

impl fmt::Display for GroupId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.instance, self.code)
    }
}

impl FromStr for GroupId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        match text.split_once('/') {
            Some((instance, code)) => Self::new(instance, code),
            None => Err(InvalidId::Pieces {
                kind: "group",
                wanted: "2",
                text: shortened(text),
            }),
        }
    }
}

serde_as_text!(MemberId);
serde_as_text!(ClientId);
serde_as_text!(GroupId);
