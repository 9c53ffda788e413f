//! What a log is: its id, whose it is, and whether the unsealing key is the right one. Owns `log/identity`, which is
//! written once. A log of another server, or of test mode in production, is refused.

use std::{
    fmt::Write as _,
    sync::{Arc, atomic::AtomicU64},
};

use kontor_pki::{crypto, sealed::MasterKey, time::UnixTime};
use kontor_protocol::id::ServerId;

use super::{error::LogError, format::Layout};
use crate::disk::{self, Disk};

const LABEL: &str = "kontor/log/identity/1";
const LIMIT: usize = 64 * 1024;

/// Where a log lies and which it is: what reading and writing both start from.
#[derive(Clone)]
pub(crate) struct Home {
    pub(crate) disk: Arc<dyn Disk>,
    pub(crate) layout: Layout,
    pub(crate) id: [u8; 32],
    /// How many purges changed key files since the log was opened: whoever holds keys drops them when it grows.
    pub(crate) purges: Arc<AtomicU64>,
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    text
}

pub(crate) fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut id = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (index, byte) in id.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(id)
}

fn owner(server: &ServerId, test: bool) -> String {
    format!("{server} in {} mode", if test { "test" } else { "production" })
}

/// Reads the identity, or writes the first. `has_entries` says that there are segments, which never lack an identity.
pub(crate) fn open(
    disk: Arc<dyn Disk>,
    layout: Layout,
    master: &MasterKey,
    server: &ServerId,
    test: bool,
    now: UnixTime,
) -> Result<Home, LogError> {
    let path = layout.identity();
    let text = match disk::read_all(&*disk, &path, LIMIT) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let segments = disk
                .list(&layout.segments())
                .map_err(LogError::io("could not list", &layout.segments()))?;
            if segments
                .iter()
                .any(|name| super::format::number_in_name(name, ".seg").is_some())
            {
                return Err(LogError::damaged(&path, "it is missing beside segments"));
            }
            let id: [u8; 32] = crypto::random();
            let check = master.seal(LABEL, &id).expect("the label is one short line");
            let owner = owner(server, test);
            let mut text = format!(
                "kontor-log 1\nid {}\nowner {owner}\nbegun {now}\nkey-check\n",
                hex(&id)
            )
            .into_bytes();
            text.extend_from_slice(&check);
            disk::replace(&*disk, &path, &text).map_err(LogError::io("could not write", &path))?;
            text
        }
        Err(error) => return Err(LogError::io("could not read", &path)(error)),
    };
    let (id, found, check) =
        parse(&text).ok_or_else(|| LogError::damaged(&path, "it is not the identity of a log"))?;
    let wanted = owner(server, test);
    if found != wanted {
        return Err(LogError::OtherServer {
            path: layout.data().display().to_string(),
            found: found.into(),
            wanted,
        });
    }
    unsealed(disk, layout, master, id, check)
}

/// The log that lies here, read and not written.
pub(crate) fn known(disk: Arc<dyn Disk>, layout: Layout, master: &MasterKey) -> Result<Home, LogError> {
    let path = layout.identity();
    let text = disk::read_all(&*disk, &path, LIMIT).map_err(LogError::io("could not read", &path))?;
    let (id, _, check) =
        parse(&text).ok_or_else(|| LogError::damaged(&path, "it is not the identity of a log"))?;
    unsealed(disk, layout, master, id, check)
}

/// The log with this id, if the unsealing key is the one it was begun with.
fn unsealed(
    disk: Arc<dyn Disk>,
    layout: Layout,
    master: &MasterKey,
    id: [u8; 32],
    check: &[u8],
) -> Result<Home, LogError> {
    match master.open(LABEL, check) {
        Ok(opened) if opened[..] == id => Ok(Home {
            disk,
            layout,
            id,
            purges: Arc::default(),
        }),
        _ => Err(LogError::WrongKey {
            path: layout.data().display().to_string(),
        }),
    }
}

fn parse(text: &[u8]) -> Option<([u8; 32], &str, &[u8])> {
    let marker = b"\nkey-check\n";
    let at = text.windows(marker.len()).position(|window| window == marker)?;
    let mut lines = std::str::from_utf8(&text[..at]).ok()?.lines();
    let version = lines.next()?;
    let id = from_hex(lines.next()?.strip_prefix("id ")?)?;
    let owner = lines.next()?.strip_prefix("owner ")?;
    lines.next()?.strip_prefix("begun ")?;
    (version == "kontor-log 1" && lines.next().is_none()).then_some((id, owner, &text[at + marker.len()..]))
}
