//! Which entries a command is about, as options on the command line.

use clap::Args;
use kontor_pki::time::UnixTime;
use kontor_protocol::id::{ClientId, MemberId, ServerId, ServiceId};
use kontor_protocol::log::EntryKind;

use crate::messagelog::Filter;

/// What entries are chosen by; everything given must hold.
#[derive(Args, Debug)]
pub(super) struct By {
    /// Query id (x-road-id): requests and responses
    #[arg(long, value_name = "ID")]
    pub(super) query_id: Option<String>,
    /// Who asked: INSTANCE/CLASS/MEMBER/SUBSYSTEM
    #[arg(long, value_name = "ID")]
    client: Option<ClientId>,
    /// The service that was asked: INSTANCE/CLASS/MEMBER/SUBSYSTEM/SERVICE, of any version if none is named
    #[arg(long, value_name = "ID")]
    service: Option<ServiceId>,
    /// A member, whether it asked or was asked: INSTANCE/CLASS/MEMBER
    #[arg(long, value_name = "ID")]
    member: Option<MemberId>,
    /// A security server on either side: INSTANCE/CLASS/MEMBER/SERVER
    #[arg(long, value_name = "ID")]
    server: Option<ServerId>,
    /// Logged at this instant or later, such as 2026-01-31 or 2026-01-31T12:00:00Z
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    from: Option<UnixTime>,
    /// Logged before this instant
    #[arg(long, value_name = "INSTANT", value_parser = instant)]
    to: Option<UnixTime>,
}

impl By {
    /// Whether nothing is said.
    pub(super) fn is_empty(&self) -> bool {
        self.filter() == Filter::default()
    }

    pub(super) fn filter(&self) -> Filter {
        Filter {
            query_id: self.query_id.clone(),
            client: self.client.clone(),
            service: self.service.clone(),
            member: self.member.clone(),
            server: self.server.clone(),
            from: self.from,
            until: self.to,
            ..Filter::default()
        }
    }
}

/// An instant, or a day, which begins at midnight UTC.
pub(super) fn instant(text: &str) -> Result<UnixTime, String> {
    UnixTime::parse_rfc3339(text)
        .or_else(|_| UnixTime::parse_rfc3339(&format!("{text}T00:00:00Z")))
        .map_err(|_| "write it like 2026-01-31 or 2026-01-31T12:00:00Z".to_owned())
}

/// A kind of entries by its name, with `-` for spaces.
pub(super) fn kind(text: &str) -> Result<EntryKind, String> {
    let kinds = (1..=14).map(EntryKind::from_code);
    let name = |kind: EntryKind| kind.name().replace(' ', "-");
    let found = kinds.clone().find(|kind| name(*kind) == text);
    found.ok_or_else(|| format!("one of {}", kinds.map(name).collect::<Vec<_>>().join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_and_kinds_are_read_as_people_write_them() {
        let day = instant("2026-01-31").unwrap();
        assert_eq!(day.to_rfc3339(), "2026-01-31T00:00:00.000Z");
        assert!(instant("31.1.2026").is_err());
        assert_eq!(kind("failure-closure"), Ok(EntryKind::FailureClosure));
        assert!(kind("nonsense").unwrap_err().contains("time-stamp"));
    }
}
