//! Security servers: the nodes of the federation (wire 1.1).

use std::fmt;
use std::str::FromStr;

use super::{InvalidId, MemberId, checked, segment, serde_as_text, shortened};

/// A security server of a member: `DE/GOV/09162000/ss1`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServerId {
    owner: MemberId,
    code: String,
}

impl ServerId {
    /// The server `code` of `owner`, unescaped.
    ///
    /// # Errors
    /// A code that cannot stand in an identifier.
    pub fn new(owner: MemberId, code: &str) -> Result<Self, InvalidId> {
        Ok(Self {
            owner,
            code: checked(code)?,
        })
    }

    /// The member that owns the server.
    #[must_use]
    pub fn owner(&self) -> &MemberId {
        &self.owner
    }

    /// The code of the server, unique for its owner.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// `SERVER:DE/GOV/09162000/ss1` (wire 1.4).
    #[must_use]
    pub fn typed(&self) -> String {
        format!("SERVER:{self}")
    }

    /// Reads the percent-encoded form of exactly four segments, as in `X-Road-Security-Server` (wire 1.3).
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
        let mut out = self.owner.to_path();
        out.push('/');
        segment::push_encoded(&mut out, &self.code);
        out
    }

    fn from_pieces<S: AsRef<str>>(pieces: &[S], text: &str) -> Result<Self, InvalidId> {
        let [instance, class, owner, code] = pieces else {
            return Err(InvalidId::Pieces {
                kind: "security server",
                wanted: "4",
                text: shortened(text),
            });
        };
        Self::new(
            MemberId::new(instance.as_ref(), class.as_ref(), owner.as_ref())?,
            code.as_ref(),
        )
    }
}

impl fmt::Display for ServerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.code)
    }
}

impl FromStr for ServerId {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        Self::from_pieces(&text.split('/').collect::<Vec<_>>(), text)
    }
}

serde_as_text!(ServerId);
