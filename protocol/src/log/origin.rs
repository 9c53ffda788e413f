//! The names of logs and witnesses: the origin of a checkpoint, which is also the name of the key that signs it.
//!
//! Owns their spelling, `kontor/INSTANCE/CLASS/CODE/SERVER/LOGID` and `kontor/INSTANCE/CLASS/CODE/SERVER/witness`. Fields
//! are percent-encoded but for letters and digits of ASCII and `-._~`, with upper-case hex digits, so that a name has
//! neither spaces nor `+`; the log id has 64 lower-case hex digits. One server, one name: [`LogOrigin::parse`] refuses
//! every other spelling.

use std::fmt;

use super::note::KeyName;
use crate::id::{MemberId, ServerId, decode_segment};

const PRODUCT: &str = "kontor";
const WITNESS: &str = "witness";

/// A log of a security server.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct LogOrigin {
    /// The server that keeps the log.
    pub server: ServerId,
    /// Which of its logs.
    pub log_id: [u8; 32],
}

impl LogOrigin {
    /// Origin of its checkpoints and name of the key that signs them.
    #[must_use]
    pub fn key_name(&self) -> KeyName {
        name(&self.to_string())
    }

    /// Reads an origin.
    ///
    /// `None` if it is not that of a log of ours.
    #[must_use]
    pub fn parse(origin: &str) -> Option<Self> {
        let (server, last) = split(origin)?;
        let mut log_id = [0; 32];
        if last.len() != 2 * log_id.len() || !last.is_ascii() {
            return None;
        }
        for (at, byte) in log_id.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&last[2 * at..2 * at + 2], 16).ok()?;
        }
        let read = Self { server, log_id };
        (read.to_string() == origin).then_some(read)
    }
}

impl fmt::Display for LogOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/", prefix(&self.server))?;
        self.log_id.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The name under which a server co-signs checkpoints of others.
#[must_use]
pub fn witness_name(server: &ServerId) -> KeyName {
    name(&format!("{}/{WITNESS}", prefix(server)))
}

/// The server that co-signs under this name; `None` if it is not the name of a witness of ours.
#[must_use]
pub fn parse_witness_name(text: &str) -> Option<ServerId> {
    let (server, last) = split(text)?;
    (last == WITNESS && witness_name(&server).as_str() == text).then_some(server)
}

fn name(text: &str) -> KeyName {
    text.parse()
        .expect("four encoded fields within ID_FIELD and a log id are within KEY_NAME")
}

fn prefix(server: &ServerId) -> String {
    let owner = server.owner();
    let mut out = PRODUCT.to_owned();
    for field in [owner.instance(), owner.class(), owner.code(), server.code()] {
        out.push('/');
        for byte in field.bytes() {
            if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
                out.push(char::from(byte));
            } else {
                out.push_str(&format!("%{byte:02X}"));
            }
        }
    }
    out
}

fn split(text: &str) -> Option<(ServerId, &str)> {
    let mut pieces = text.split('/');
    if pieces.next()? != PRODUCT {
        return None;
    }
    let mut field = || decode_segment(pieces.next()?).ok();
    let owner = MemberId::new(&field()?, &field()?, &field()?).ok()?;
    let server = ServerId::new(owner, &field()?).ok()?;
    let last = pieces.next()?;
    pieces.next().is_none().then_some((server, last))
}
